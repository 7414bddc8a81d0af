/* SPDX-License-Identifier: MIT
 *
 * The durations of each node of a summary one by one, as far as their events are still there.
 */
#ifndef LAP_SAMPLES_H
#define LAP_SAMPLES_H

#include "recording.h"
#include "summary.h"

#include <stddef.h>

#define LAP_SAMPLES_MAX (1u << 20) /* of a node: the first ones */

/* Of a node: ring after ring, each in the order of its events. All of them are there if `count` is that of the node. */
struct lap_samples {
    double *ns;
    size_t count, room;
    double tick_ns; /* what the coarsest of their clocks counts by */
};

/* One for each node of groups[0] of a summary of `recording`, by all, that keeps its paths. Returns 0 or -ENOMEM. Cost:
 * reads all events, and 8 bytes each. */
int lap_samples_make(struct lap_samples **ret_samples, struct lap_recording *recording,
                     const struct lap_summary *summary);
void lap_samples_free(struct lap_samples *samples, size_t node_count);

#endif
