/* SPDX-License-Identifier: MIT
 *
 * Which instances are the slowest: the first of two passes. Memory is bounded by how many are wanted.
 */
#ifndef LAP_SLOWEST_SELECT_H
#define LAP_SLOWEST_SELECT_H

#include "slowest.h"

/* Where an instance is: a scope by the place of its begin (or of the `open` event that tells of it), a handle by itself. */
struct lap_slowest_candidate {
    uint64_t total_ticks;
    double total_ns;
    struct lap_process *process;
    struct lap_ring *ring; /* of a scope; of a handle the one where it ended */
    uint64_t sequence;
    uint32_t offset;
    uint32_t class_id; /* of a handle whose begin is gone: by its path; 0: unknown */
    uint64_t handle;   /* 0: a scope */
    uint64_t end_ticks;
    const struct lap_thread *thread; /* that ended it */
};

/* Slowest first. Returns 0 or a negative errno; free *ret_candidates. */
int lap_slowest_select(struct lap_recording *recording, const struct lap_slowest_options *options,
                       struct lap_slowest_candidate **ret_candidates, size_t *ret_count, uint64_t *ret_matched);

#endif
