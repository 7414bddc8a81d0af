/* SPDX-License-Identifier: MIT
 *
 * Several runs of a program as one tree: its nodes by their labels, and what each run says of each. A run is a recording,
 * with all processes that are in it. Owns what it holds; recordings may go once they were added. One thread. Cold.
 */
#ifndef LAP_RUN_TREE_H
#define LAP_RUN_TREE_H

#include "live_tree.h"
#include "recording.h"
#include "spread.h"
#include "summary.h"

#include <stddef.h>
#include <stdint.h>

/* A node in one run; all 0 where the run did not meet it. */
struct lap_run_value {
    uint64_t count;
    double total_ns, self_ns; /* as lap_summary_node's */
    struct lap_spread spread; /* where count > 0 */
};

struct lap_run_values {
    struct lap_run_value *values; /* of the nodes that there were then */
    size_t value_count;
};

struct lap_run_tree {
    struct lap_live_tree tree; /* its distributions are not used */
    struct lap_run_values *runs;
    size_t run_count;
};

#define LAP_RUN_TREE_EMPTY                                                                                               \
    {                                                                                                                    \
        .tree = LAP_LIVE_TREE_EMPTY                                                                                      \
    }

/* Adds a run. `options` are those of the summary, for its progress; may be NULL. The spread is that of the node's events
 * if they are all there, else of its histogram. Returns 0 or a negative errno. */
int lap_run_tree_add(struct lap_run_tree *tree, struct lap_recording *recording,
                     const struct lap_summary_options *options);
void lap_run_tree_done(struct lap_run_tree *tree);

/* Never NULL. */
const struct lap_run_value *lap_run_tree_value(const struct lap_run_tree *tree, size_t run, uint32_t node);

#endif
