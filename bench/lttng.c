/* SPDX-License-Identifier: MIT
 *
 * A profiler's begin and end against two LTTng-UST tracepoints, in turns in one process, both recording.
 * usage: lttng ROUNDS. Ends with 3 if no LTTng session records the tracepoints.
 */
#define _GNU_SOURCE
#include "harness.h"
#include "lttng_tracepoints.h"

#include <lapmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVENTS (UINT64_C(1) << 16)

static __attribute__((noinline)) void profiler(uint64_t iterations)
{
    LAP_PROFILE("profilers");
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler");
    }
}

static __attribute__((noinline)) void tracepoints(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        lttng_ust_tracepoint(lapmark_bench, begin);
        lttng_ust_tracepoint(lapmark_bench, end);
    }
}

/* The library learns of the session in a thread of its own. */
static int are_recorded(void)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};
    for (int i = 0; i < 500; i++) {
        if (lttng_ust_tracepoint_enabled(lapmark_bench, begin) && lttng_ust_tracepoint_enabled(lapmark_bench, end))
            return 1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct lap_bench_case base = {"profiler", profiler, 2};
    static const struct lap_bench_case cases[] = {{"tracepoints", tracepoints, 2}};
    const unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (rounds == 0) {
        fputs("usage: lttng ROUNDS\n", stderr);
        return 2;
    }
    if (!are_recorded())
        return 3;
    lap_bench_compare(&base, cases, 1, rounds, EVENTS);
    return 0;
}
