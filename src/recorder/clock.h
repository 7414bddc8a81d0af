/* SPDX-License-Identifier: MIT
 *
 * The clock that checkpoints read, and what is needed to turn its ticks into time.
 */
#ifndef LAP_CLOCK_H
#define LAP_CLOCK_H

#include "lapmark/format.h"

#include <stdint.h>

struct lap_clock {
    uint32_t source; /* enum lap_format_clock */
    uint32_t resolution_ticks;
    uint64_t hz;
    struct lap_format_clock_reading start;
};

/* Reads the three clocks as close together as it can in four tries. Signal-safe. */
struct lap_format_clock_reading lap_clock_read(void);

/* The same with the events' clock as its ticks. */
struct lap_format_clock_reading lap_clock_read_as(const struct lap_clock *clock);

/* Finds the counter's rate: the kernel's own figure where it gives one, else measured against CLOCK_MONOTONIC for 2 ms.
 * Never fails: a machine without a constant counter is said in `source`. */
void lap_clock_init(struct lap_clock *clock);

/* The clock that events carry. Signal-safe. */
uint64_t lap_clock_ticks(const struct lap_clock *clock);

/* Nanoseconds a tick, as well as it is known by now: measured from the start once 100 ms have passed. Signal-safe. */
double lap_clock_ns_per_tick(const struct lap_clock *clock);

#endif
