/* SPDX-License-Identifier: MIT
 *
 * Many threads, one after another and at once, within the process's bound of memory; exact counts with four at full speed.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- one after another ---------------------------------------------------------------------------------------------- */

#define IN_TURN times(1000)

static void *short_life(void *argument)
{
    char name[32];
    snprintf(name, sizeof name, "worker %d", (int)(intptr_t)argument);
    lap_thread_name(name);
    LAP_PROFILE("short-lived %d", (int)(intptr_t)argument);
    for (int i = 0; i < 20; i++)
        LAP_MARK("step");
    return NULL;
}

static int case_in_turn(void)
{
    long after_hundred = 0;
    for (intptr_t i = 0; i < (intptr_t)IN_TURN; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_life, (void *)i) != 0)
            return 1;
        pthread_join(thread, NULL);
        if (i == 100)
            after_hundred = status_kib("VmSize");
    }
    const long events_kib = (long)IN_TURN * 400 / 1024; /* their segments are made as they are needed */
    return status_kib("VmSize") - after_hundred < events_kib + 1024 || is_sanitized() ? 0 : 2;
}

static void test_in_turn(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("in_turn", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=16M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.rings, 1);
    assert_int_equal(stored_named(stored, "step"), IN_TURN * 20);
    assert_int_equal(stored_named(stored, "lapmark:end"), IN_TURN);
    assert_int_equal(stored_lost(stored), 0);
    assert_true(stored->control.memory_bytes < (1 << 20) + (uint64_t)IN_TURN * 400);
    /* Each is known by its number and name. */
    size_t named = 0;
    for (size_t i = 0; i < stored->count; i++)
        named += stored->events[i].class_id == LAP_FORMAT_THREAD &&
                 strncmp((const char *)(stored->events[i].words + 4), "worker ", 7) == 0;
    assert_int_equal(named, IN_TURN);
    print_message("counted: %u threads in turn, all of whose events are there\n", IN_TURN);
    stored_free(stored);
}

/* ---- at once -------------------------------------------------------------------------------------------------------- */

static pthread_barrier_t barrier;
static uint64_t marked;
static int threads_at_once, marks_each;

static void *together(void *argument)
{
    pthread_barrier_wait(&barrier);
    {
        LAP_PROFILE("together %d", (int)(intptr_t)argument);
        for (int i = 0; i < marks_each; i++)
            LAP_MARK_N(i, "step");
    }
    __atomic_add_fetch(&marked, (uint64_t)marks_each, __ATOMIC_RELAXED);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static int case_at_once(void)
{
    threads_at_once = atoi(getenv("TEST_THREADS"));
    marks_each = atoi(getenv("TEST_MARKS"));
    const long before = status_kib("VmRSS");
    pthread_t threads[1000];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    pthread_barrier_init(&barrier, NULL, (unsigned)threads_at_once);
    for (int round = 0; round < 2; round++) {
        for (intptr_t i = 0; i < threads_at_once; i++)
            if (pthread_create(&threads[i], &attributes, together, (void *)i) != 0)
                return 1;
        for (int i = 0; i < threads_at_once; i++)
            pthread_join(threads[i], NULL);
    }
    printf("%llu %ld %ld\n", (unsigned long long)marked, before, status_kib("VmHWM"));
    return 0;
}

/* Bytes of the files in a directory of tmpfs, with what is below. */
static uint64_t bytes_of(const char *directory)
{
    uint64_t bytes = 0;
    DIR *const listing = opendir(directory);
    for (const struct dirent *entry = listing ? readdir(listing) : NULL; entry; entry = readdir(listing)) {
        char path[4096];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || stat(path, &status) < 0)
            continue;
        bytes += S_ISDIR(status.st_mode) ? bytes_of(path) : (uint64_t)status.st_blocks * 512;
    }
    if (listing)
        closedir(listing);
    return bytes;
}

/* What was not stored is counted as lost; what was is there, where nothing was overwritten. */
static void at_once(const char *threads, const char *marks, const char *memory_mib, int may_lose)
{
    const char *const directory = temporary_directory();
    char memory[64];
    snprintf(memory, sizeof memory, "LAPMARK_MEMORY=%sM", memory_mib);
    struct outcome outcome = run_case("at_once", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", memory,
                                      variable("TEST_THREADS", threads), variable("TEST_MARKS", marks), NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    char *rest;
    const uint64_t said = strtoull(outcome.out, &rest, 10);
    const uint64_t asked = strtoull(memory_mib, NULL, 10) << 20, least = 256 << 10;
    const uint64_t bound = asked < least ? least : asked;
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_in_range(stored->control.memory_bytes, 1, bound);
    assert_true(bytes_of(process) <= bound + (1 << 20)); /* the tables that every process has, besides */
    const uint64_t steps = stored_named(stored, "step");
    const uint64_t ends = stored_named(stored, "lapmark:end"), begins = stored_of_kind(stored, "begin");
    if (!may_lose) {
        assert_int_equal(stored_lost(stored), 0);
        assert_int_equal(steps, said);
    } else {
        /* A begin that is lost has no end to lose. */
        const uint64_t turns = 2 * strtoull(threads, NULL, 10);
        assert_int_equal(begins, ends);
        if (steps + stored_lost(stored) != said + turns - begins)
            for (int kind = 0; kind < LAP_FORMAT_LOSSES; kind++)
                print_error("%llu losses of kind %d, %llu steps\n", (unsigned long long)stored->control.losses[kind],
                            kind, (unsigned long long)steps);
        assert_int_equal(steps + stored_lost(stored), said + turns - begins);
    }
    stored_free(stored);
}

/* A container has little memory, and the recorder takes its share and no more: the host is not killed for it. */
static void test_little_memory(void **state)
{
    (void)state;
    const char *const group = is_sanitized() ? NULL : memory_group(64 << 20);
    if (!group)
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("at_once", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      variable("TEST_GROUP", group), "TEST_THREADS=500", "TEST_MARKS=200", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.memory_limit_bytes, 16 << 20);
    assert_in_range(stored->control.memory_bytes, 1, 16 << 20);
    stored_free(stored);
}

static void test_at_once(void **state)
{
    (void)state;
    at_once("200", "200", "64", 0);
    at_once("200", "200", "4", 1); /* room for some of them */
    at_once("100", "1000", "1", 1);
    at_once("20", "10", "0", 1); /* hardly any: it gets the least */
    if (times(1) > 1)
        at_once("500", "200", "128", 0);
}

/* ---- exact counts --------------------------------------------------------------------------------------------------- */

enum { FAST = 4, MARKS = 250000 };

static void *fast(void *argument)
{
    LAP_PROFILE("fast %d", (int)(intptr_t)argument);
    for (int i = 0; i < MARKS; i++) {
        LAP_MARK("plain");
        if (i % 50 == 0) {
            LAP_PROFILE("inner");
            LAP_MARK("in it %d", i);
        }
    }
    return NULL;
}

static int case_fast(void)
{
    pthread_t threads[FAST];
    for (intptr_t i = 0; i < FAST; i++)
        pthread_create(&threads[i], NULL, fast, (void *)i);
    for (int i = 0; i < FAST; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_fast(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("fast", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=16M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "plain"), (size_t)FAST * MARKS);
    assert_int_equal(stored_named(stored, "inner"), (size_t)FAST * MARKS / 50);
    assert_int_equal(stored_lost(stored), 0);
    /* A checkpoint is 8 bytes; headers and the recorder's own events are a percent. */
    const double events = (double)(stored->count - stored_named(stored, "lapmark:pause"));
    assert_true((double)stored->bytes < 1.02 * (8 * events + 8 * (double)stored_named(stored, "in it %d")));
    stored_free(stored);
}

/* ---- a ring that nobody has is taken over, with its file; one whose thread is stuck inside the library is not ---------- */

static void *leave_in_sink(void *argument)
{
    LAP_PROFILE("printed");
    return argument;
}

static void exit_thread(const char *text, uint64_t length_bytes, void *user)
{
    (void)text;
    (void)length_bytes;
    if (!__atomic_exchange_n((int *)user, 1, __ATOMIC_ACQ_REL))
        pthread_exit(NULL);
}

/* A sink should not end its thread; where one does, the others go on. */
static int case_sink_exits(void)
{
    static int has_left;
    pthread_t thread;
    lap_sink_function(exit_thread, &has_left);
    pthread_create(&thread, NULL, leave_in_sink, NULL);
    pthread_join(thread, NULL);
    return has_left == 1 ? 0 : 1;
}

static void test_sink_exits(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("sink_exits", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    babeltrace_agrees(process_directory(directory, 0));
}

/* ---- threads that outlive main ------------------------------------------------------------------------------------- */

/* Exit does not wait until threads that write their segments leave it a gap: that would be hundreds of megabytes. */
enum { OUTLIVE_BYTES_MAX = 64 << 20 };

static void *outlive(void *argument)
{
    LAP_PROFILE("outlives main");
    for (uint64_t i = 0;; i++) {
        LAP_MARK("still there");
        if (i == 1000)
            __atomic_store_n((int *)argument, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static int case_outlive(void)
{
    static int started[3];
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, outlive, &started[i]);
        pthread_detach(thread);
    }
    for (int i = 0; i < 3; i++)
        while (!__atomic_load_n(&started[i], __ATOMIC_ACQUIRE))
            sched_yield();
    return 0;
}

static void test_outlive(void **state)
{
    (void)state;
    static const char *const modes[] = {"LAPMARK_MODE=flight", "LAPMARK_MODE=full"};
    for (unsigned i = 0; i < times(4); i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case("outlive", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                          modes[i % 2], "LAPMARK_RING=1M", NULL);
        assert_ended_well(&outcome);
        if (outcome.err_bytes != 0)
            print_error("%s", outcome.err);
        assert_int_equal(outcome.err_bytes, 0);
        outcome_free(&outcome);
        const char *const process = process_directory(directory, 0);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored->control.state, LAP_FORMAT_ENDED);
        assert_true(stored->bytes < OUTLIVE_BYTES_MAX);
        assert_int_equal(stored->control.rings, 3);
        stored_free(stored);
    }
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_in_turn), cmocka_unit_test(test_at_once),    cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_fast),    cmocka_unit_test(test_sink_exits), cmocka_unit_test(test_outlive),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"in_turn", case_in_turn},       {"at_once", case_at_once}, {"fast", case_fast},
        {"sink_exits", case_sink_exits}, {"outlive", case_outlive}, {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
