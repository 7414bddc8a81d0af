/* SPDX-License-Identifier: MIT
 *
 * What others write into the control page while the process runs: orders as doc/format.md has them, and any bytes at all.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL_BYTES (LAP_FORMAT_CONTROL_HEADER_BYTES + LAP_FORMAT_SWITCHES * sizeof(struct lap_format_switch))

/* The process's own control file, mapped a second time as another process would. */
static char *control_map(void)
{
    char path[600];
    snprintf(path, sizeof path, "%s/.lapmark/control", process_directory(getenv("LAPMARK_RECORD"), 0));
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    char *const memory = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

static void mail_leave(struct lap_format_control *control, const char *terms, enum lap_format_choice prints)
{
    const uint32_t next = ((control->mail >> LAP_FORMAT_MAIL_SHIFT) + 1) << LAP_FORMAT_MAIL_SHIFT;
    __atomic_store_n(&control->mail, next | LAP_FORMAT_MAIL_WRITING, __ATOMIC_SEQ_CST);
    strcpy((char *)control->mail_terms, terms);
    control->mail_prints = (uint8_t)prints;
    control->mail_keeps_slow = LAP_FORMAT_AS_IT_IS;
    __atomic_store_n(&control->mail, next | LAP_FORMAT_MAIL_THERE, __ATOMIC_SEQ_CST);
}

/* Is a profiler open? A coarse clock shows that a little later. */
static int is_open(void)
{
    for (int i = 0; i < 100000; i++)
        if (LAP_ELAPSED_NS() != 0)
            return 1;
    return 0;
}

static int first(void)
{
    LAP_PROFILE("first");
    return is_open();
}

static int second(void)
{
    LAP_PROFILE("second");
    return is_open();
}

static int third(void)
{
    LAP_PROFILE("third");
    return is_open();
}

static int is_taken(const struct lap_format_control *control)
{
    return (control->mail & LAP_FORMAT_MAIL_MASK) == LAP_FORMAT_MAIL_TAKEN;
}

/* ---- orders ---------------------------------------------------------------------------------------------------------- */

static int case_orders(void)
{
    struct lap_format_control *const control = (struct lap_format_control *)(void *)control_map();
    if (!control || control->prints != LAP_FORMAT_NO || control->keeps_slow != LAP_FORMAT_NO || !first())
        return 1;
    mail_leave(control, "-first,-second", LAP_FORMAT_AS_IT_IS);
    if (!first()) /* nobody has looked: a writer sets the switches of known sites itself */
        return 2;
    if (second() || first() || !is_taken(control) || control->terms != 2)
        return 3;
    mail_leave(control, "second", LAP_FORMAT_YES);
    if (lap_set("-third") != 0 || !second() || !is_taken(control) || control->prints != LAP_FORMAT_YES)
        return 4;
    if (third() || control->terms != 3)
        return 5;
    /* A later word goes over an earlier one, whoever says it. */
    mail_leave(control, "-second", LAP_FORMAT_AS_IT_IS);
    if (lap_set("second") != 0 || !second())
        return 6;
    /* While it is being written it is nobody's. */
    mail_leave(control, "-second", LAP_FORMAT_AS_IT_IS);
    control->mail = (control->mail & ~LAP_FORMAT_MAIL_MASK) | LAP_FORMAT_MAIL_WRITING;
    if (lap_set("third") != 0 || !second())
        return 7;
    /* Nor is what was taken read twice. */
    control->mail = (control->mail & ~LAP_FORMAT_MAIL_MASK) | LAP_FORMAT_MAIL_THERE;
    if (lap_set("third") != 0 || second() || lap_set("second") != 0 || !second() || lap_set("third") != 0 || !second())
        return 8;
    return 0;
}

static void test_orders(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("orders", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    assert_true(count_of(outcome.err, "> Entering second") > 0); /* as it was told */
    outcome_free(&outcome);
    check_finds_it_sound(process_directory(directory, 0));
}

/* A child has what its parent had at the fork, taken or not, and what the parent has taken since. */
static int case_fork(void)
{
    struct lap_format_control *const control = (struct lap_format_control *)(void *)control_map();
    int go[2];
    char byte = 0;
    if (!control || !first() || pipe(go) != 0)
        return 1;
    mail_leave(control, "-second", LAP_FORMAT_AS_IT_IS);
    const pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(10);
        exit(second() ? 11 : !third() ? 12 : 0);
    }
    if (second() || !is_taken(control)) /* the parent takes it before the child has looked */
        return 2;
    int status;
    if (write(go[1], &byte, 1) != 1 || waitpid(child, &status, 0) != child)
        return 3;
    return WEXITSTATUS(status);
}

static void test_fork(void **state)
{
    (void)state;
    struct outcome outcome =
        run_case("fork", variable("LAPMARK_RECORD", temporary_directory()), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

/* ---- anything at all ------------------------------------------------------------------------------------------------- */

static int stop;
static void *run_scopes(void *argument)
{
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        LAP_PROFILE("outer");
        LAP_MARK("o");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e5), "inner");
            LAP_MARK("i");
        }
        lap_end(lap_begin("handle"));
    }
    return argument;
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int case_hostile(void)
{
    static const char letters[] = "abinout*?\\-:,0159.ms e";
    char *const page = control_map();
    struct lap_format_control *const control = (struct lap_format_control *)(void *)page;
    pthread_t threads[2];
    uint64_t seed = 88172645463325252;
    if (!page || !first())
        return 1;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, run_scopes, NULL);
    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = offsetof(struct lap_format_control, mail); i < sizeof *control; i++)
            page[i] = (char)random_next(&seed);
        for (size_t i = 0; round % 2 && i < sizeof control->mail_terms; i++)
            control->mail_terms[i] = (uint8_t)letters[random_next(&seed) % (sizeof letters - 1)];
        for (size_t i = 0; i < 64 * sizeof(struct lap_format_switch); i++)
            page[LAP_FORMAT_CONTROL_HEADER_BYTES + i] = (char)random_next(&seed);
        control->switches = (uint32_t)random_next(&seed);
        __atomic_store_n(&control->mail, (uint32_t)random_next(&seed), __ATOMIC_SEQ_CST);
        if (lap_set(round % 3 ? "outer" : "-outer") != 0)
            lap_set("*"); /* there was no room for more */
        first();
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    if (lap_set("off") != 0 || first() || lap_set("first") != 0 || !first()) /* its own word still counts */
        return 2;
    return 0;
}

static void test_hostile(void **state)
{
    (void)state;
    struct outcome outcome =
        run_case("hostile", variable("LAPMARK_RECORD", temporary_directory()), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(test_orders), cmocka_unit_test(test_fork),
                                     cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"orders", case_orders}, {"fork", case_fork}, {"hostile", case_hostile}, {NULL, NULL}};
    return run_cases_or_tests(argc, argv, cases, tests);
}
