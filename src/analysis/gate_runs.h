/* SPDX-License-Identifier: MIT
 *
 * What a gate knows of runs: for each node, which is a path of labels, and each run how often it was and what one took.
 */
#ifndef LAP_GATE_RUNS_H
#define LAP_GATE_RUNS_H

#include "summary.h"

#include <stddef.h>
#include <stdint.h>

enum lap_gate_side { LAP_GATE_BASE = 0, LAP_GATE_NEW = 1, LAP_GATE_SIDES };
#define LAP_GATE_SHARE 0.05 /* of the total of either side, below which a node is not gated */

struct lap_gate_cell {
    uint64_t count; /* 0: not in this run */
    double mean_ns, p50_ns, p99_ns;
};

struct lap_gate_run {
    struct lap_gate_cell *cells; /* by path; those met later are not in it */
    size_t cell_count;
};

struct lap_gate_path {
    char **labels; /* from the root */
    size_t depth;  /* how many */
    enum lap_summary_kind kind;
};

/* All zero at first. */
struct lap_gate_runs {
    struct lap_gate_path *paths;
    size_t path_count;
    struct lap_gate_run *sides[LAP_GATE_SIDES];
    size_t counts[LAP_GATE_SIDES];
};

void lap_gate_runs_done(struct lap_gate_runs *runs);

/* Adds a run without cells, and then its cells; the labels are copied. Each returns 0 or -ENOMEM. */
int lap_gate_runs_add(struct lap_gate_runs *runs, enum lap_gate_side side);
int lap_gate_runs_set(struct lap_gate_runs *runs, enum lap_gate_side side, enum lap_summary_kind kind,
                      const char *const *labels, size_t depth, const struct lap_gate_cell *cell);
/* Adds a run with all that a summary has of it, processes and threads together. */
int lap_gate_runs_add_summary(struct lap_gate_runs *runs, enum lap_gate_side side, const struct lap_summary *summary);

/* Zeros where the run has no such node. */
struct lap_gate_cell lap_gate_runs_get(const struct lap_gate_runs *runs, enum lap_gate_side side, size_t run,
                                       size_t path);
/* Over the first `count` runs of a side: means of the counts and of the times of an instance, 0 where it is in no run. */
struct lap_gate_cell lap_gate_runs_mean(const struct lap_gate_runs *runs, enum lap_gate_side side, size_t count,
                                        size_t path);

enum lap_gate_choice {
    LAP_GATE_SMALL = 0, /* below LAP_GATE_SHARE on both sides */
    LAP_GATE_GATED,
    LAP_GATE_NOT_ALWAYS /* large enough, but not in every run of both sides: nothing to compare it with */
};

/* What a path's share of the total is, on the side where it is greater, over the first `count` runs of each. */
double lap_gate_runs_share(const struct lap_gate_runs *runs, size_t count, size_t path);
/* By either side, so that the choice is the same whichever is which, and the coin stays fair. */
enum lap_gate_choice lap_gate_runs_choose(const struct lap_gate_runs *runs, size_t count, size_t path);

#endif
