/* SPDX-License-Identifier: MIT
 *
 * Two clocks whose true offset is known, and calls between them: what the estimates are judged by.
 */
#ifndef SIMULATED_CLOCKS_H
#define SIMULATED_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum simulated_delay { DELAY_EXPONENTIAL, DELAY_HEAVY_TAIL, DELAY_LOPSIDED, DELAY_KINDS };

struct simulation {
    uint64_t seed;
    int64_t start_ns;  /* client's clock */
    int64_t offset_ns; /* theta at the start */
    double drift;      /* and its slope */
    double interval_ns;
    double least_delay_ns, mean_delay_ns; /* one way; the mean is what comes on top */
    double work_ns;                       /* mean of what the server takes */
    enum simulated_delay delay;
    double loss;                /* a share of the calls is not seen */
    size_t disorder;            /* a call may be this many places too early or late */
    double step_at_ns, step_ns; /* since the start; 0: none */
};

struct simulated_call {
    int64_t t1, t2, t3, t4;
};

double simulated_random(uint64_t *state); /* 0 < u < 1 */
/* Theta at start + t, without the offset. */
double simulated_theta(const struct simulation *simulation, double t);
/* `count` calls; free() them. */
struct simulated_call *simulated_calls(const struct simulation *simulation, size_t count);

#endif
