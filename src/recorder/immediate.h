/* SPDX-License-Identifier: MIT
 *
 * The lines of immediate profilers, printed as they come. The thread's position is taken.
 */
#ifndef LAP_IMMEDIATE_H
#define LAP_IMMEDIATE_H

#include "scope.h"

#include <stdint.h>

/* A profiler of class `id` begins at `depth`; `event` is the address of its begin. */
void lap_immediate_enter(struct lap_ring *ring, uint32_t id, uint64_t event, uint32_t depth);
/* A checkpoint of the innermost scope is stored at `event`, and the ring's decoder is behind it. */
void lap_immediate_mark(struct lap_ring *ring, const struct lap_event_parts *parts, uint64_t event);
/* The scope at `depth` ends at the thread time `now`; the decoder is in front of its end. */
void lap_immediate_exit(struct lap_ring *ring, const struct lap_open *scope, uint32_t depth, uint64_t now);

/* The same of a handle, whose laps are not the decoder's. `event` 0: its begin is gone. */
void lap_immediate_handle_mark(struct lap_ring *ring, const struct lap_event_parts *parts, uint64_t event,
                               uint32_t number, uint64_t lap_ticks, uint64_t total_ticks);
void lap_immediate_handle_end(struct lap_ring *ring, uint32_t id, uint64_t rest_ticks, uint64_t total_ticks,
                              uint32_t marks);

#endif
