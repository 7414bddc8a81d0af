/* SPDX-License-Identifier: MIT
 *
 * Keeping only the slow: a scope that took less than its threshold is counted in the statistics and taken out of the ring
 * again, so that a ring holds hours of outliers with every inner lap. What all of a program's scopes pay for it is in
 * the two short ways at the end.
 */
#ifndef LAP_TAKE_BACK_H
#define LAP_TAKE_BACK_H

#include "ring.h"

#include <stdint.h>

/* The scope has ended at `position`. Below its threshold it is taken back, if it began in this segment and nothing since
 * must stay; otherwise all before it stays with it. Returns the position. */
uint64_t lap_take_back(struct lap_ring *ring, const struct lap_slow_scope *slow, uint64_t position, int is_breach);

uint64_t lap_threshold_ticks(uint64_t threshold_ns);

#endif
