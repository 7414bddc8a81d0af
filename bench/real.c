/* SPDX-License-Identifier: MIT
 *
 * What profilers that are always on cost programs that people run: real JOB ROUNDS runs a job without profilers, with them
 * switched off, and with them on, in turns of STEPS steps. For each it prints, with tabs between: its name, the least
 * nanoseconds a step of all rounds, the least 99th percentile of a round, the median over the rounds of its time over that
 * without.
 */
#define _POSIX_C_SOURCE 200809L
#include "real_jobs.h"

#include <lapmark.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 1000, ROUNDS_MAX = 10000 };
enum variant { WITHOUT, OFF, ON, VARIANTS };
static const char *const names[] = {"without", "off", "on"};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* One round: nanoseconds a step, and the 99th percentile of them. */
static double run(void (*step)(void *, unsigned), void *state, unsigned first, double *ret_p99_ns)
{
    static double took[STEPS];
    const double start = now_ns();
    double last = start;
    for (unsigned i = 0; i < STEPS; i++) {
        step(state, first + i);
        const double now = now_ns();
        took[i] = now - last;
        last = now;
    }
    qsort(took, STEPS, sizeof *took, by_value);
    *ret_p99_ns = took[STEPS * 99 / 100];
    return (last - start) / STEPS;
}

int main(int argc, char **argv)
{
    const int rounds = argc == 3 ? atoi(argv[2]) : 0;
    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fputs("usage: real sqlite|zlib ROUNDS\n", stderr);
        return 2;
    }
    const int is_sqlite = strcmp(argv[1], "sqlite") == 0;
    void *const state = is_sqlite ? sqlite_open() : zlib_open();
    if (!state) {
        fputs("real: the job cannot be set up\n", stderr);
        return 1;
    }
    void (*const with)(void *, unsigned) = is_sqlite ? sqlite_step : zlib_step;
    void (*const without)(void *, unsigned) = is_sqlite ? sqlite_step_without : zlib_step_without;
    static double ratios[VARIANTS][ROUNDS_MAX];
    double least[VARIANTS], least_p99[VARIANTS];
    for (int i = 0; i < rounds; i++) {
        double ns[VARIANTS], p99_ns;
        for (int turn = 0; turn < VARIANTS; turn++) {
            const int variant = (turn + i) % VARIANTS; /* none is always the first */
            if (variant != WITHOUT)
                lap_set(variant == OFF ? "off" : "*");
            ns[variant] = run(variant == WITHOUT ? without : with, state, (unsigned)i * STEPS, &p99_ns);
            if (i == 0 || ns[variant] < least[variant])
                least[variant] = ns[variant];
            if (i == 0 || p99_ns < least_p99[variant])
                least_p99[variant] = p99_ns;
        }
        for (int variant = 0; variant < VARIANTS; variant++)
            ratios[variant][i] = ns[variant] / ns[WITHOUT];
    }
    for (int variant = 0; variant < VARIANTS; variant++) {
        qsort(ratios[variant], (size_t)rounds, sizeof(double), by_value);
        printf("%s\t%.1f\t%.1f\t%.5f\n", names[variant], least[variant], least_p99[variant], ratios[variant][rounds / 2]);
    }
    return 0;
}
