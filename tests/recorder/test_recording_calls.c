/* SPDX-License-Identifier: MIT
 *
 * Recordings that a program starts and stops itself, while its threads go on.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *directory_of_test(void) { return getenv("TEST_DIRECTORY"); }

static struct lap_format_control control_of(const char *process)
{
    struct stored *const stored = stored_load(process);
    const struct lap_format_control control = stored->control;
    stored_free(stored);
    return control;
}

/* ---- one thread ---------------------------------------------------------------------------------------------------- */

static void marks(int count)
{
    LAP_PROFILE("marks");
    for (int i = 0; i < count; i++)
        LAP_MARK("one");
}

static int case_start_stop(void)
{
    const char *const directory = directory_of_test();
    if (lap_record_start(NULL) != -EINVAL || lap_record_start("") != -EINVAL)
        return 1;
    if (lap_record_stop() >= 0)
        return 2;
    marks(10); /* not part of it */
    if (lap_record_start(directory) != 0 || lap_record_start(directory) != -EALREADY)
        return 3;
    marks(100);
    {
        LAP_PROFILE("open over the stop");
        LAP_MARK("before the stop");
        if (lap_record_stop() != 0 || lap_record_stop() >= 0)
            return 4;
        LAP_MARK("behind the stop");
    }
    marks(20); /* nor this */
    {
        LAP_PROFILE("open over the start %d", 2);
        LAP_MARK("before the start");
        if (lap_record_start(directory) != 0)
            return 5;
        LAP_MARK("behind the start");
    }
    marks(200);
    return lap_record_stop() == 0 ? 0 : 6;
}

static void test_start_stop(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("start_stop", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 2);
    for (unsigned i = 0; i < 2; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored->control.state, LAP_FORMAT_ENDED);
        assert_int_equal(stored_lost(stored), 0);
        if (stored_named(stored, "one") == 100) {
            assert_int_equal(stored_named(stored, "before the stop"), 1);
            assert_int_equal(stored_named(stored, "behind the stop"), 0);
            assert_int_equal(stored_named(stored, "before the start"), 0);
        } else {
            assert_int_equal(stored_named(stored, "one"), 200);
            assert_int_equal(stored_named(stored, "behind the stop"), 0);
            assert_int_equal(stored_named(stored, "before the start"), 0);
            assert_int_equal(stored_named(stored, "behind the start"), 1);
            /* What was open at the start is said, with its message. */
            assert_int_equal(stored_named(stored, "lapmark:open"), 1);
            for (size_t k = 0; k < stored->count; k++)
                if (stored->events[k].class_id == LAP_FORMAT_OPEN)
                    assert_string_equal((const char *)(stored->events[k].words + 1 + sizeof(struct lap_format_open) / 8),
                                        "open over the start 2");
        }
        stored_free(stored);
    }
}

/* Reports go on over starts and stops. */
static int case_prints_on(void)
{
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE("outer %d", i);
        LAP_MARK("a");
        if (i == 1 && lap_record_start(directory_of_test()) != 0)
            return 1;
        if (i == 2 && lap_record_stop() != 0)
            return 2;
        LAP_MARK("b");
        {
            LAP_PROFILE("inner");
        }
    }
    marks(1);
    return 0;
}

static void test_prints_on(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("prints_on", variable("TEST_DIRECTORY", directory), NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "> Entering outer 0\n"), 1);
    assert_int_equal(count_of(outcome.err, "> Entering marks\n"), 1);
    assert_int_equal(count_of(outcome.err, "> Entering inner\n"), 3);
    outcome_free(&outcome);
}

/* ---- trouble ------------------------------------------------------------------------------------------------------- */

static int case_trouble(void)
{
    if (lap_record_start("/proc/no/such") >= 0 || lap_record_start("/dev/null") >= 0 ||
        lap_record_start("/dev/null/x") >= 0)
        return 1;
    char name[5000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    if (lap_record_start(name) != -ENAMETOOLONG)
        return 2;
    name[1000] = 0;
    if (lap_record_start(name) != -ENAMETOOLONG)
        return 3;
    marks(5);
    for (int error = -200; error < 200; error++)
        if (!lap_error_text(error) || !*lap_error_text(error))
            return 4;
    return 0;
}

static void test_trouble(void **state)
{
    (void)state;
    struct outcome outcome = run_case("trouble", NULL);
    assert_printed(
        &outcome,
        "> Entering marks\n  one (x5): T, tot: T, mean T, max T\n  (rest): T\n< Exiting marks, total time: T\n");
}

/* A relative directory stays where it was when the program goes elsewhere. */
static int case_relative(void)
{
    if (chdir(directory_of_test()) < 0 || lap_record_start("here/and/there") != 0)
        return 1;
    marks(5);
    if (chdir(getenv("TEST_ELSEWHERE")) < 0)
        return 3;
    const pid_t pid = fork();
    if (pid == 0) {
        marks(6);
        _exit(lap_record_stop() == 0 ? 0 : 9);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 2;
    return access("here", F_OK) == 0;
}

static void test_relative(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("relative", variable("TEST_DIRECTORY", directory),
                                      variable("TEST_ELSEWHERE", temporary_directory()), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    char path[512];
    snprintf(path, sizeof path, "%s/here/and/there", directory);
    assert_int_equal(process_count(path), 2);
}

/* Directories are 0700 and files 0600, whatever the umask; nothing of it stays open over an exec. */
static int case_modes(void)
{
    umask(0);
    marks(3);
    printf("ready\n");
    fflush(stdout);
    execl("/bin/sh", "sh", "-c", "ls -l /proc/self/fd; cat /proc/self/maps", (char *)NULL);
    return 1;
}

static void test_modes(void **state)
{
    (void)state;
    char parent[512];
    snprintf(parent, sizeof parent, "%s/new/sub", temporary_directory());
    struct outcome outcome = run_case("modes", variable("LAPMARK_RECORD", parent), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    assert_null(strstr(outcome.out, "lapmark-0/"));
    assert_null(strstr(outcome.out, "stream-"));
    outcome_free(&outcome);
    static const char *const files[] = {"",          "/metadata",         "/stream-0000-00",
                                        "/.lapmark", "/.lapmark/control", "/.lapmark/paths"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024];
        struct stat status;
        snprintf(path, sizeof path, "%s%s", process_directory(parent, 0), files[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, S_ISDIR(status.st_mode) ? 0700 : 0600);
    }
    babeltrace_agrees(process_directory(parent, 0));
}

/* ---- with other threads running ------------------------------------------------------------------------------------ */

enum { THREADS = 3, RECORDINGS = 25 };
static int stop;
static uint64_t turns[THREADS];

static void *run(void *argument)
{
    const int number = (int)(intptr_t)argument;
    char name[32];
    snprintf(name, sizeof name, "runner %d", number);
    lap_thread_name(name);
    LAP_PROFILE("thread %d", number);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        LAP_PROFILE("turn %llu", (unsigned long long)turns[number]);
        LAP_MARK("first");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.n = number), "inner %s", name);
            LAP_MARK_N(number, "second");
        }
        lap_end(lap_begin("handle"));
        __atomic_add_fetch(&turns[number], 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void wait_for_turns(uint64_t count)
{
    for (int i = 0; i < THREADS; i++) {
        const uint64_t until = __atomic_load_n(&turns[i], __ATOMIC_ACQUIRE) + count;
        while (__atomic_load_n(&turns[i], __ATOMIC_ACQUIRE) < until)
            sched_yield();
    }
}

static int case_meanwhile(void)
{
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (int i = 0; i < RECORDINGS; i++) {
        wait_for_turns(10);
        const int error = lap_record_start(directory_of_test());
        if (error != 0) {
            fprintf(stderr, "start %d: %s\n", i, lap_error_text(error));
            return 1;
        }
        wait_for_turns(i % 5 == 4 ? 20000 : 20); /* long enough for each ring to wrap, now and then */
        if (lap_record_stop() != 0)
            return 2;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_meanwhile(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("meanwhile", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), RECORDINGS);
    for (unsigned i = 0; i < RECORDINGS; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored_lost(stored), 0);
        assert_int_equal(stored->control.state, LAP_FORMAT_ENDED);
        /* Each thread was in its outermost scope all the time: its state says so, first thing in its first segment. */
        for (size_t k = 0; k < stored->count; k++)
            if (k == 0 || stored->events[k - 1].stream != stored->events[k].stream)
                assert_int_equal(stored->events[k].class_id, LAP_FORMAT_OPEN);
        stored_free(stored);
    }
}

/* A thread that waits while the recording ends: what it stored before is in there, with the paths that only the batch after
 * the end would have named. */
static pthread_barrier_t both;

static void *wait_over_the_end(void *argument)
{
    {
        LAP_PROFILE("waits");
        LAP_MARK("before the end");
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
    }
    marks(10);
    return argument;
}

static int case_waits(void)
{
    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    if (lap_record_start(directory_of_test()) != 0)
        return 1;
    pthread_create(&thread, NULL, wait_over_the_end, NULL);
    pthread_barrier_wait(&both);
    if (lap_record_stop() != 0)
        return 2;
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    return 0;
}

static void test_waits(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("waits", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "before the end"), 1);
    assert_int_equal(stored_named(stored, "one"), 0);
    stored_free(stored);
    assert_int_equal(count_of(lapmark_says("report", process, NULL), "before the end"), 1);
}

/* The same in full mode with a bound on the disk: each recording has its own files, whatever was removed of the last. */
static int case_full_again(void)
{
    for (int i = 0; i < 3; i++) {
        if (lap_record_start(directory_of_test()) != 0)
            return 1;
        marks(i == 0 ? 200000 : 40000);
        if (lap_record_stop() != 0)
            return 2;
    }
    return 0;
}

static void test_full_again(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("full_again", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_MODE=full", "LAPMARK_DISK=1M", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 3);
    unsigned whole = 0;
    for (unsigned i = 0; i < 3; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        const size_t ones = stored_named(stored, "one");
        whole += ones == 40000;
        if (ones != 40000)
            assert_in_range(ones, 90000, 131072);
        assert_int_equal(stored->control.removed_segments != 0, ones != 40000);
        stored_free(stored);
    }
    assert_int_equal(whole, 2);
}

/* ---- clocks -------------------------------------------------------------------------------------------------------- */

static void test_clocks(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("start_stop", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const struct lap_format_control control = control_of(process_directory(directory, 0));
    assert_true(control.end.monotonic_ns > control.start.monotonic_ns);
    assert_true(control.end.ticks > control.start.ticks);
    const double ns = (double)(control.end.ticks - control.start.ticks) * 1e9 / (double)control.clock_hz;
    const double monotonic_ns = (double)(control.end.monotonic_ns - control.start.monotonic_ns);
    /* To a part in a hundred, but for how long the readings took. */
    const double slack_ns =
        (double)(control.start.bracket_ticks + control.end.bracket_ticks) * 1e9 / (double)control.clock_hz;
    assert_true(ns > monotonic_ns * 0.99 - slack_ns && ns < monotonic_ns * 1.01 + slack_ns);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_start_stop), cmocka_unit_test(test_prints_on), cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_relative),   cmocka_unit_test(test_modes),     cmocka_unit_test(test_meanwhile),
        cmocka_unit_test(test_full_again), cmocka_unit_test(test_clocks),    cmocka_unit_test(test_waits),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"start_stop", case_start_stop}, {"prints_on", case_prints_on},   {"trouble", case_trouble},
        {"waits", case_waits},           {"relative", case_relative},     {"modes", case_modes},
        {"meanwhile", case_meanwhile},   {"full_again", case_full_again}, {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
