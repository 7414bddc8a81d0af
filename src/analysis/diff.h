/* SPDX-License-Identifier: MIT
 *
 * What changed between two sets of runs: how often each node of their trees came, what an instance cost, what that adds to
 * a run, and whether it is more than noise. One thread. Cold.
 */
#ifndef LAP_DIFF_H
#define LAP_DIFF_H

#include "diff_match.h"
#include "ratio.h"
#include "run_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A node on one side; zeros where it has none. Of several runs: what each has in the mean; the mean time is that of all
 * instances, percentiles are the means of the runs' own. */
struct lap_diff_side {
    double count, total_ns, self_ns; /* a run */
    double mean_ns, p50_ns, p99_ns;
    double mean_half_ns, p50_half_ns; /* half of their 95 % interval; INFINITY: not known */
    struct lap_percentiles percentiles;
};

struct lap_diff_node {
    uint32_t base, next; /* in the sides' trees, LAP_LIVE_NONE */
    uint32_t parent;     /* in diff->nodes, LAP_LIVE_NONE */
    uint8_t match;       /* enum lap_diff_match; of nodes that only one side has: LAP_DIFF_ALONE */
    bool is_tested;      /* it has a part of the time that matters */
    bool has_changed_mean, has_changed_p50, has_changed_count; /* by more than noise, see lap_diff_finish() */
    struct lap_diff_side sides[2];
    struct lap_ratio mean, p50, p99, count; /* log_ratio is NAN where one side has none */
    double added_ns, added_half_ns;         /* to a run, and half of its 95 % interval; INFINITY: not known */
    double by_count_ns, by_cost_ns;         /* both are added_ns */
    /* of added_ns what is no noise: by the p50 where only that changed, unless it adds surely; 0: nothing */
    double shift_ns;
    double self_added_ns; /* the rest is inherited from the profilers in it */
};
enum { LAP_DIFF_BASE = 0, LAP_DIFF_NEXT = 1 };

struct lap_diff {
    struct lap_run_tree sides[2];
    struct lap_diff_node *nodes; /* parents before their children */
    uint32_t *order;             /* of the nodes: those that changed, then the others; what adds or saves most first */
    size_t node_count;
    double total_ns[2]; /* of the roots, a run */
    double alpha;       /* what is left of the 5 % for a single test */
    size_t tests;       /* that were made */
    size_t untold;      /* nodes of which nothing can be told, as the noise is not known */
    uint32_t changed;   /* the node that the difference is about, LAP_LIVE_NONE: there is none */
    uint32_t cause;     /* in it, the innermost one that has most of that; may be itself */
    uint32_t surest; /* of those with most of the time, the one of which the least change could be told; LAP_LIVE_NONE */
    double detectable; /* of that: the change of all instances that would be seen in four of five cases, as a logarithm */
};
#define LAP_DIFF_CAUSE_SHARE 0.5 /* what a cause has of its change, at least */
#define LAP_DIFF_TEST_SHARE 1e-3 /* nodes with less of the time are not tested */
/* With one run a side less is no change: where things happen to lie in memory alone makes as much between two runs
 * (Mytkowicz et al., "Producing wrong data without doing anything obviously wrong", 2009). */
#define LAP_DIFF_ONE_RUN_LEAST 1.05

/* Make with zeros and LAP_RUN_TREE_EMPTY for both sides; add all runs to the sides' trees; then finish, once. A change
 * is told if its interval does not hold 1x and it stands among all that were tested, at 5 % for all together. With
 * several runs a side noise is what differs between runs. With one a side it is what differs inside them, and a count is
 * what it is. Returns 0 or -ENOMEM. */
int lap_diff_finish(struct lap_diff *diff);
void lap_diff_done(struct lap_diff *diff);

/* What part of a node's change is another's, which is in it: both by the mean, or by the p50 where that changed in both. */
double lap_diff_share(const struct lap_diff *diff, uint32_t part, uint32_t of);
/* What in a node has most of its change; LAP_LIVE_NONE: nothing has half of it. */
uint32_t lap_diff_cause_in(const struct lap_diff *diff, uint32_t node);

/* The node's own: that of next, or of base where it is only there. */
const struct lap_live_node *lap_diff_label(const struct lap_diff *diff, const struct lap_diff_node *node);

#endif
