/* SPDX-License-Identifier: MIT
 *
 * Cases that run in a process of their own: the recorder reads its environment once, and how a process ends is the
 * point of many. A test program runs itself again with the case's name.
 */
#ifndef TEST_RUN_CASE_H
#define TEST_RUN_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <cmocka.h>

struct test_case {
    const char *name;
    int (*run)(void); /* returns the process's exit status */
};

/* How a case ended. */
struct outcome {
    int status; /* as waitpid gives it */
    char *err;  /* its stderr, ended by 0; and stdout */
    char *out;
    size_t err_bytes;
};

/* The program's main: runs the case that the first argument names, or `tests`, of which TEST_ONLY and TEST_NOT choose by patterns.
 * `cases` ends with a NULL name. With TEST_EMULATOR, a command, cases run behind that. */
int run_cases_or_tests(int argc, char **argv, const struct test_case *cases, int (*tests)(void));

/* Runs a case to its end, with "NAME=value" texts in its environment up to a NULL; LAPMARK variables but those are gone. */
struct outcome run_case(const char *name, ...) __attribute__((sentinel));
/* Starts one; `*ret_pipe` reads its stdout. Its stderr is the test's own. With "TEST_SUPERVISED=directory" it is `lapmark record`
 * that starts it, and that is waited for. */
pid_t start_case(const char *name, int *ret_pipe, ...) __attribute__((sentinel));
void outcome_free(struct outcome *outcome);
/* What `lapmark ARGUMENTS RECORDING` prints, on stdout and stderr. Static memory. Its status has to be 0, unless `ret_status`
 * takes it. */
const char *lapmark_says(const char *arguments, const char *recording, int *ret_status);
/* A new control group with so much memory, for one case: "TEST_GROUP=path" puts it in. NULL: not root, or none here. */
const char *memory_group(unsigned long bytes);
/* So many, or in a long run as many times as TEST_TIMES says. With a sanitizer, under which all takes longer, a third. */
unsigned times(unsigned count);
/* It ended by itself with status 0. */
void assert_ended_well(const struct outcome *outcome);
/* The same, and its stderr is this text, where every time of a report ("0.0310 ms") is written "T". */
void assert_printed(struct outcome *outcome, const char *text);
/* Replaces the times in a report. */
void times_replace(char *text);
/* How often a text is in another. */
unsigned count_of(const char *text, const char *part);

/* A new directory; it, and all that links in it lead to, is gone when the program ends. */
const char *temporary_directory(void);
/* All of them go now. */
void temporary_directories_remove(void);
/* The only directory entry in one (a recording of one process), or the n-th by name. Static memory. */
const char *process_directory(const char *directory, unsigned index);
unsigned process_count(const char *directory);

/* "LAPMARK_RECORD=directory", in static memory (four at a time). */
const char *variable(const char *name, const char *value);

/* Is this built with a sanitizer, whose runtime has memory, signals and stacks of its own? 1: the address sanitizer, 2: the
 * thread sanitizer. */
int is_sanitized(void);

/* So many bytes of a file that is made where there is none, in memory that outlives the process. */
void *shared_map(const char *path, size_t bytes);

/* Works for at least this long by CLOCK_MONOTONIC; longer does no harm. */
void spend_us(long us);

/* A figure of /proc/self/status, in KiB. */
long status_kib(const char *name);

#ifdef __cplusplus
}
#endif

#endif
