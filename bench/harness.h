/* SPDX-License-Identifier: MIT
 *
 * Compares pieces of code by the least time of many short rounds in which they take turns, so that what disturbs the
 * machine for a while disturbs all of them, and a round that nothing disturbed is met by each. One thread.
 */
#ifndef LAP_BENCH_HARNESS_H
#define LAP_BENCH_HARNESS_H

#include <stdint.h>

/* The most cases that one comparison takes. */
#define LAP_BENCH_CASES 8

struct lap_bench_case {
    const char *name;
    void (*run)(uint64_t iterations);
    unsigned events; /* of one iteration: an iteration is compared with so many of the base's */
};

/* The clock that the recorder uses, without its library. */
uint64_t lap_bench_ticks(void);
/* Nanoseconds a tick, measured over the life of the process: ask late. */
double lap_bench_ns_a_tick(void);

/* Runs `base` and each case in turn, `rounds` times, `events` events in each, and prints a line for each case: its name,
 * ns an iteration, ns of the base's same number of events (least of all rounds, both), the median over the rounds of
 * their ratio, and of their difference in ns an iteration, and ns of processor time an iteration in the mean of all rounds. */
void lap_bench_compare(const struct lap_bench_case *base, const struct lap_bench_case *cases, unsigned count,
                       unsigned rounds, uint64_t events);

/* The two bases. The floor of an event: a bare clock reading, stored into a recycled 1 MiB ring. */
void lap_bench_floor(uint64_t iterations);
/* A loop that does nothing, and that the compiler keeps. */
void lap_bench_empty_loop(uint64_t iterations);
/* Keeps the compiler from joining two iterations. */
#define LAP_BENCH_KEEP() __asm__ volatile("" : : : "memory")

#endif
