/* SPDX-License-Identifier: MIT
 *
 * Runs whose truth is known: trees of one level, with times that are drawn. Every function ends the test program if it
 * fails.
 */
#ifndef LAP_GENERATED_RUNS_H
#define LAP_GENERATED_RUNS_H

#include "random.h"
#include "run_tree.h"

#include <stddef.h>

/* From the normal distribution. */
double generated_normal(struct lap_random *random);

/* Times of one run: lognormal instances, each with a part of what the one before it had (0: independent), all times the
 * run's own effect. */
struct generated_times {
    double p50_ns, sigma, correlation, run_effect;
};
void generated_draw(struct lap_random *random, const struct generated_times *times, double *ret_ns, size_t count);

/* A node of a tree that is made by hand: its parent is the last one before it that is less deep. */
struct generated_node {
    unsigned depth;
    enum lap_summary_kind kind;
    const char *label;
    const double *ns;
    size_t count;
};
/* Adds a run. */
void generated_add(struct lap_run_tree *tree, const struct generated_node *nodes, size_t count);

#endif
