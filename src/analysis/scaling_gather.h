/* SPDX-License-Identifier: MIT
 *
 * What the events say of how costs go with sizes: of each node the costs by each number that could be its size, and how often it
 * runs in one of its parent. Memory is bounded by the nodes, not by the events.
 */
#ifndef LAP_SCALING_GATHER_H
#define LAP_SCALING_GATHER_H

#include "sized_costs.h"
#include "summary_tree.h"

/* Where a size may come from: the node's own event, the profiler around it, and the one around that. */
enum { LAP_SCALING_OWN = 0, LAP_SCALING_AROUND = 1, LAP_SCALING_FURTHER = 2, LAP_SCALING_LEVELS = 3 };
/* Of each: its n, or an argument of its label. */
enum { LAP_SCALING_N = 0, LAP_SCALING_ARGUMENT = 1, LAP_SCALING_ARGUMENTS = 6, LAP_SCALING_NUMBERS = 7 };
#define LAP_SCALING_SLOT(level, number) ((level)*LAP_SCALING_NUMBERS + (number))
/* How often what runs most often in the profiler runs in this one. */
#define LAP_SCALING_COUNT ((unsigned)LAP_SCALING_LEVELS * LAP_SCALING_NUMBERS)
#define LAP_SCALING_SLOTS (LAP_SCALING_COUNT + 1)

/* NULL: nothing was met. */
struct lap_scaling_gathered {
    struct lap_sized_costs *costs[LAP_SCALING_SLOTS];
    struct lap_sized_costs *counts[LAP_SCALING_SLOTS]; /* by what its parent has: its own is the parent's */
};

struct lap_scaling_gather {
    struct lap_summary_group group;
    struct lap_summary_texts texts;
    struct lap_path_table *tables;
    struct lap_scaling_gathered *nodes; /* as in the group */
    size_t runs;                        /* processes */
};

/* Reads all events, by time. Whatever it returns, lap_scaling_gather_done() is due. Returns 0 or a negative errno. */
int lap_scaling_gather_make(struct lap_scaling_gather *gather, struct lap_recording *recording,
                            void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes), void *user);
void lap_scaling_gather_done(struct lap_scaling_gather *gather);

#endif
