/* SPDX-License-Identifier: MIT
 *
 * A machine that is suspended while it records. CLOCK_MONOTONIC stands still then, and CLOCK_REALTIME (with CLOCK_BOOTTIME)
 * goes on; the processor's counter goes on, stops, or begins anew.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include "lapmark/abi.h"

#include <lapmark.h>

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define HOUR_NS (3600 * NS_PER_S)

/* ---- the clocks ------------------------------------------------------------------------------------------------------ */

static int64_t counter_ticks, monotonic_ns, realtime_ns; /* what they are ahead by */

static uint64_t processor_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
}

uint64_t lapmark_test_ticks(void) { return processor_ticks() + (uint64_t)counter_ticks; }

int lapmark_test_is_trusted(void) { return getenv("TEST_IS_UNTRUSTED") == NULL; }

uint64_t lapmark_test_domain(void) { return 0; }

/* In the place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    const int result = (int)syscall(SYS_clock_gettime, id, ret_time);
    const int64_t ahead_ns = id == CLOCK_REALTIME ? realtime_ns : id == CLOCK_MONOTONIC ? monotonic_ns : 0;
    const int64_t ns = ret_time->tv_sec * NS_PER_S + ret_time->tv_nsec + ahead_ns;
    *ret_time = (struct timespec){ns / NS_PER_S, ns % NS_PER_S};
    return result;
}

static double ticks_per_ns;

static void clocks_measure(void)
{
    struct timespec from, to;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &from);
    const uint64_t start = processor_ticks();
    int64_t ns;
    do {
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &to);
        ns = (to.tv_sec - from.tv_sec) * NS_PER_S + to.tv_nsec - from.tv_nsec;
    } while (ns < 20000000);
    ticks_per_ns = (double)(processor_ticks() - start) / (double)ns;
}

/* Time that goes by on all of them. */
static void pass(int64_t ns)
{
    counter_ticks += (int64_t)(ticks_per_ns * (double)ns);
    monotonic_ns += ns;
    realtime_ns += ns;
}

enum how { GOES_ON, STOPS, BEGINS_ANEW };

static void suspend(enum how how, int64_t ns)
{
    realtime_ns += ns;
    if (how == GOES_ON)
        counter_ticks += (int64_t)(ticks_per_ns * (double)ns);
    else if (how == BEGINS_ANEW)
        counter_ticks = -(int64_t)processor_ticks();
}

/* ---- a day ------------------------------------------------------------------------------------------------------------- */

static int day(enum how how)
{
    clocks_measure();
    LAP_PROFILE("day");
    for (int i = 0; i < 100; i++) {
        LAP_MARK("before");
        pass(HOUR_NS / 100);
        LAP_MARK("worked");
    }
    suspend(how, HOUR_NS);
    LAP_MARK("suspended");
    for (int i = 0; i < 100; i++) {
        pass(HOUR_NS / 100);
        LAP_MARK("worked again");
    }
    return 0;
}

static int case_goes_on(void) { return day(GOES_ON); }
static int case_stops(void) { return day(STOPS); }
static int case_begins_anew(void) { return day(BEGINS_ANEW); }

static double figure_of(const char *report, const char *label, const char *member)
{
    char pattern[128];
    snprintf(pattern, sizeof pattern, "\"%s\"\n", label);
    const char *const row = strstr(report, pattern);
    assert_non_null(row);
    snprintf(pattern, sizeof pattern, "\"%s\": ", member);
    const char *const value = strstr(row, pattern);
    assert_non_null(value);
    return strtod(value + strlen(pattern), NULL);
}

static void assert_hours(double ns, double hours)
{
    if (ns < hours * 0.999e9 * 3600 || ns > hours * 1.001e9 * 3600)
        fail_msg("%g hours are not %g", ns / 3600e9, hours);
}

/* Returns the directory of the process. Its report goes into `ret_report`. */
static const char *record(const char *name, const char *further, const char **ret_report, struct outcome *ret_outcome)
{
    const char *const directory = temporary_directory();
    *ret_outcome = run_case(name, variable("LAPMARK_RECORD", directory), further, NULL);
    assert_ended_well(ret_outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    *ret_report = lapmark_says("report --json", process, NULL);
    assert_int_equal((int)figure_of(*ret_report, "worked", "count"), 100);
    assert_int_equal((int)figure_of(*ret_report, "suspended", "count"), 1);
    assert_int_equal((int)figure_of(*ret_report, "worked again", "count"), 100);
    return process;
}

/* What was printed: the total of the profiler, in ms. */
static double printed_total_ns(const struct outcome *outcome)
{
    const char *const total = strstr(outcome->err, "total time: ");
    assert_non_null(total);
    return strtod(total + strlen("total time: "), NULL) * 1e6;
}

/* ---- the tests ----------------------------------------------------------------------------------------------------------- */

static void test_goes_on(void **state)
{
    (void)state;
    const char *report;
    struct outcome outcome;
    record("goes_on", "X=", &report, &outcome);
    assert_hours(figure_of(report, "worked", "total_ns"), 1);
    assert_hours(figure_of(report, "suspended", "total_ns"), 1);
    assert_hours(figure_of(report, "worked again", "total_ns"), 1);
    assert_hours(figure_of(report, "day", "total_ns"), 3);
    assert_hours(printed_total_ns(&outcome), 3);
    outcome_free(&outcome);
}

static void test_stops(void **state)
{
    (void)state;
    const char *report;
    struct outcome outcome;
    record("stops", "X=", &report, &outcome);
    assert_hours(figure_of(report, "worked", "total_ns"), 1);
    assert_true(figure_of(report, "suspended", "total_ns") < 1e9);
    assert_hours(figure_of(report, "worked again", "total_ns"), 1);
    assert_hours(figure_of(report, "day", "total_ns"), 2);
    assert_hours(printed_total_ns(&outcome), 2);
    outcome_free(&outcome);
}

/* What was before is right; behind, time stands still until the counter is where it was, and that is said. */
static void test_begins_anew(void **state)
{
    (void)state;
    const char *report;
    struct outcome outcome;
    const char *const process = record("begins_anew", "X=", &report, &outcome);
    assert_hours(figure_of(report, "worked", "total_ns"), 1);
    assert_true(figure_of(report, "suspended", "total_ns") < 1e9);
    assert_true(figure_of(report, "worked again", "total_ns") < 1.001e9 * 3600);
    assert_true(figure_of(report, "day", "total_ns") < 2.002e9 * 3600);
    struct stored *const stored = stored_load(process);
    assert_in_range(stored->control.losses[LAP_FORMAT_LOSS_CLOCK], 1, 1000);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
    outcome_free(&outcome);
}

/* Without a counter that can be trusted: CLOCK_MONOTONIC, which is not there for the suspend. */
static void test_monotonic(void **state)
{
    (void)state;
    const char *report;
    struct outcome outcome;
    record("goes_on", "TEST_IS_UNTRUSTED=1", &report, &outcome);
    assert_hours(figure_of(report, "worked", "total_ns"), 1);
    assert_true(figure_of(report, "suspended", "total_ns") < 1e9);
    assert_hours(figure_of(report, "worked again", "total_ns"), 1);
    assert_hours(printed_total_ns(&outcome), 2);
    outcome_free(&outcome);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_begins_anew),
        cmocka_unit_test(test_monotonic),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"goes_on", case_goes_on},
        {"stops", case_stops},
        {"begins_anew", case_begins_anew},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
