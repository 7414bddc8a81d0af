/* SPDX-License-Identifier: MIT
 *
 * Runs a program to its end, as a shell would. While it runs, ^C and ^\ of the terminal are the program's alone, and what
 * is sent to this process is passed on.
 */
#ifndef LAP_LAUNCH_H
#define LAP_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

struct lap_launch_variable {
    const char *name;
    const char *value; /* NULL takes it out of the environment */
};

struct lap_launch {
    int status;   /* its exit status, or 128 + the signal that ended it */
    int signal;   /* 0: none */
    bool was_run; /* false: status is 127 (not found) or 126, and the message is written */
};

/* Returns 0, or 2 with the message written where there is no process to be had. */
int lap_launch_run(struct lap_launch *ret_launch, char **argv, const struct lap_launch_variable *variables, size_t count);

/* Ignores SIGPIPE and SIGXFSZ in this process; a program that is run finds them as they were. Once, at the start. */
void lap_launch_ignore(void);

/* The signal that has asked for an end since the first program was run, also between two: for who runs many. 0: none. */
int lap_launch_ending(void);

#endif
