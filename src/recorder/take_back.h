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

struct lap_options;

/* The scope has ended at `position`. Below its threshold it is taken back, if it began in this segment and nothing since
 * must stay; otherwise all before it stays with it. Returns the position. */
uint64_t lap_take_back(struct lap_ring *ring, const struct lap_slow_scope *slow, uint64_t position, int is_breach);

uint64_t lap_threshold_ticks(uint64_t threshold_ns);

/* Begin and end of a scope that may be taken back and does nothing else that is slow. They return 1, or 0 with nothing
 * done but, where *ret_taken is set, the position taken: then the general way goes on. */
int lap_take_back_begin(struct lap_impl_scope *scope, const struct lap_impl_site *site, const struct lap_options *options,
                        const uint64_t *words, uint64_t *ret_taken);
int lap_take_back_end(struct lap_impl_scope *scope, uint64_t *ret_taken);

#endif
