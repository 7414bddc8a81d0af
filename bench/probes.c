/* SPDX-License-Identifier: MIT
 *
 * What USDT probes cost while nobody is attached: events with them against the same without.
 * usage: probes ROUNDS. Lines as lap_bench_compare() prints them.
 */
#include "harness.h"
#include "probes_cases.h"

#include <stdio.h>
#include <stdlib.h>

/* As in speed.c: two segments of the ring. */
#define EVENTS (UINT64_C(1) << 16)

static const struct lap_bench_case checkpoint_case = {"checkpoint without", checkpoint, 1};
static const struct lap_bench_case profiler_case = {"profiler without", profiler, 2};
static const struct lap_bench_case with_probes[] = {{"checkpoint", checkpoint_with_probes, 1},
                                                    {"profiler", profiler_with_probes, 2}};

int main(int argc, char **argv)
{
    const unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (rounds == 0) {
        fputs("usage: probes ROUNDS\n", stderr);
        return 2;
    }
    lap_bench_compare(&checkpoint_case, &with_probes[0], 1, rounds, EVENTS);
    lap_bench_compare(&profiler_case, &with_probes[1], 1, rounds, EVENTS);
    return 0;
}
