/* SPDX-License-Identifier: MIT
 *
 * Counters that jump, go backward, differ between cores or cannot be trusted, and threads asleep for longer than an event's
 * 44 bits of clock.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include "lapmark/abi.h"

#include <lapmark.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the clock ------------------------------------------------------------------------------------------------------- */

static uint64_t offset_ticks = UINT64_C(1) << 43; /* a machine that has just booted can be set back, too */
static __thread uint64_t core_ticks;              /* what the "core" of a thread is ahead by */

uint64_t lapmark_test_ticks(void)
{
    const uint64_t moved = __atomic_load_n(&offset_ticks, __ATOMIC_RELAXED) + core_ticks;
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc() + moved;
#else
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks + moved;
#endif
}

int lapmark_test_is_trusted(void) { return getenv("TEST_IS_UNTRUSTED") == NULL; }

uint64_t lapmark_test_domain(void) { return 0; }

static void move(int64_t ticks) { __atomic_fetch_add(&offset_ticks, (uint64_t)ticks, __ATOMIC_RELAXED); }

/* ---- reading the answer ------------------------------------------------------------------------------------------------ */

/* A member of the row whose path ends with this label. */
static double figure_of(const char *report, const char *label, const char *member)
{
    char pattern[128];
    snprintf(pattern, sizeof pattern, "\"%s\"\n", label); /* the last of its path */
    const char *row = strstr(report, pattern);
    assert_non_null(row);
    snprintf(pattern, sizeof pattern, "\"%s\": ", member);
    const char *const value = strstr(row, pattern);
    assert_non_null(value);
    return strtod(value + strlen(pattern), NULL);
}

static const char *record(const char *name, const char *further)
{
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case(name, variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=1M", further, NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    return process;
}

static void assert_near(double value, double wanted, double share)
{
    if (value < wanted * (1 - share) || value > wanted * (1 + share))
        print_error("%g is not %g\n", value, wanted);
    assert_true(value >= wanted * (1 - share) && value <= wanted * (1 + share));
}

static double ns_of(const char *process, double ticks)
{
    struct stored *const stored = stored_load(process);
    const double ns = ticks * 1e9 / (double)stored->control.clock_hz;
    stored_free(stored);
    return ns;
}

/* ---- longer than 44 bits ------------------------------------------------------------------------------------------------ */

#define SPAN ((int64_t)1 << 44)
static const int64_t sleeps[] = {SPAN / 2 - 1, SPAN / 2, SPAN - 1, SPAN, SPAN + 1, 3 * SPAN + SPAN / 3, 1000 * SPAN};
enum { SLEEPS = sizeof sleeps / sizeof *sleeps };

static int case_asleep(void)
{
    LAP_PROFILE("sleeper");
    LAP_MARK("awake");
    for (int i = 0; i < SLEEPS; i++) {
        move(sleeps[i]);
        LAP_MARK("asleep");
        LAP_MARK("awake");
    }
    move(5 * SPAN);
    return 0; /* the end comes late, too */
}

static void test_asleep(void **state)
{
    (void)state;
    const char *const process = record("asleep", "X=");
    const char *const report = lapmark_says("report --json", process, NULL);
    double sum = 0;
    for (int i = 0; i < SLEEPS; i++)
        sum += (double)sleeps[i];
    assert_near(figure_of(report, "asleep", "total_ns"), ns_of(process, sum), 1e-3);
    assert_near(figure_of(report, "asleep", "max_ns"), ns_of(process, (double)sleeps[SLEEPS - 1]), 1e-3);
    assert_near(figure_of(report, "asleep", "min_ns"), ns_of(process, (double)sleeps[0]), 1e-3);
    assert_near(figure_of(report, "sleeper", "total_ns"), ns_of(process, sum + 5 * (double)SPAN), 1e-3);
    assert_true(figure_of(report, "awake", "max_ns") < 1e9);
    assert_int_equal((int)figure_of(report, "asleep", "count"), SLEEPS);
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ */

static int case_backward(void)
{
    LAP_PROFILE("around");
    for (int i = 0; i < 2000; i++) {
        LAP_MARK("before");
        if (i % 100 == 50)
            move(-(int64_t)100000000);
        LAP_MARK("behind");
    }
    move(-(int64_t)1000000000000); /* before the segment's begin */
    LAP_MARK("far behind");
    for (int i = 0; i < 2000; i++)
        LAP_MARK("last");
    return 0;
}

static void test_backward(void **state)
{
    (void)state;
    const char *const process = record("backward", "X=");
    const char *const report = lapmark_says("report --json", process, NULL);
    assert_int_equal((int)figure_of(report, "before", "count"), 2000);
    assert_int_equal((int)figure_of(report, "behind", "count"), 2000);
    assert_int_equal((int)figure_of(report, "last", "count"), 2000);
    /* No lap is negative, none is a wrap of the clock, and what was held is counted. */
    assert_true(figure_of(report, "behind", "max_ns") < 1e9);
    assert_true(figure_of(report, "around", "max_ns") < 10e9);
    struct stored *const stored = stored_load(process);
    assert_in_range(stored->control.losses[LAP_FORMAT_LOSS_CLOCK], 1, 10000);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

/* ---- cores that differ ---------------------------------------------------------------------------------------------------- */

static lap_handle handle;

static void *on_core(void *argument)
{
    const int number = (int)(intptr_t)argument;
    core_ticks = (uint64_t)number * 3000000;
    LAP_PROFILE("thread");
    for (int i = 0; i < 20000; i++) {
        if (i % 10 == 0) /* it moves to another core and back */
            core_ticks = (uint64_t)number * 3000000 + (uint64_t)(i / 10 % 2) * 5000;
        LAP_MARK("step");
        if (i % 100 == 0)
            lap_mark(handle, "shared");
    }
    return NULL;
}

static int case_cores(void)
{
    handle = lap_begin("handle");
    pthread_t threads[4];
    for (intptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, on_core, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    lap_end(handle);
    return 0;
}

static void test_cores(void **state)
{
    (void)state;
    const char *const report = lapmark_says("report --json", record("cores", "X="), NULL);
    assert_int_equal((int)figure_of(report, "step", "count"), 80000);
    assert_int_equal((int)figure_of(report, "shared", "count"), 800);
    assert_true(figure_of(report, "shared", "max_ns") < 10e9);
    assert_true(figure_of(report, "step", "max_ns") < 10e9);
}

/* ---- a counter that nobody trusts ------------------------------------------------------------------------------------------- */

static int case_untrusted(void)
{
    LAP_PROFILE("outer %d", 1);
    for (int i = 0; i < 1000; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.n = i), "inner");
        move(i % 2 ? 1000000000 : -1000000000); /* it is not looked at */
        LAP_MARK("step");
        LAP_MARK("numbered %d", i);
    }
    const struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    LAP_MARK("slept");
    const lap_handle own = lap_begin("handle");
    lap_mark(own, "marked");
    lap_end(own);
    return 0;
}

static void test_untrusted(void **state)
{
    (void)state;
    const char *const process = record("untrusted", "TEST_IS_UNTRUSTED=1");
    const char *const report = lapmark_says("report --json", process, NULL);
    assert_non_null(strstr(report, "\"monotonic\""));
    assert_int_equal((int)figure_of(report, "step", "count"), 1000);
    assert_true(figure_of(report, "slept", "max_ns") >= 20e6);
    assert_true(figure_of(report, "step", "total_ns") < 10e9);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.clock_source, LAP_FORMAT_CLOCK_MONOTONIC);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_CLOCK], 0);
    stored_free(stored);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_untrusted),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"asleep", case_asleep},
        {"backward", case_backward},
        {"cores", case_cores},
        {"untrusted", case_untrusted},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
