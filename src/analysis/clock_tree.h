/* SPDX-License-Identifier: MIT
 *
 * One time for several clocks (domains), from what the calls between pairs of them say (clock_bounds.h): a spanning tree of the
 * pairs with the least errors, Prim's. The other pairs close loops, which check the tree.
 */
#ifndef LAP_CLOCK_TREE_H
#define LAP_CLOCK_TREE_H

#include "clock_bounds.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Domains are numbers from 0 on. */
struct lap_clock_pair {
    uint32_t client, server;
    const struct lap_clock_bounds *bounds; /* not owned: lives as long as the tree, and is not added to meanwhile */
};

/* A pair that is not in the tree: from the client to the root by the tree, against by the pair to the server and then by the
 * tree, at up to 16 times, spread evenly over its calls, that are not near a step. Of these the one that fits worst. */
struct lap_clock_loop {
    size_t pair;        /* its place in the array */
    uint32_t samples;   /* 0: there was no such time, and the rest is 0 */
    int64_t client_ns;  /* when it fits worst */
    double residual_ns; /* how far the two are apart, on the root's clock */
    double error_ns;    /* the errors of both, added up */
    bool is_within;     /* the residual is not above the error, at all of these times */
};

struct lap_clock_tree;

/* A pair's weight is its median error; one with no bound on one side, or from a domain to itself, is not used. The pairs are
 * copied. Returns 0, -EINVAL (a number that is not below domain_count) or -ENOMEM. */
int lap_clock_tree_make(struct lap_clock_tree **ret_tree, uint32_t domain_count, uint32_t root,
                        const struct lap_clock_pair *pairs, size_t pair_count);
void lap_clock_tree_free(struct lap_clock_tree *tree);

/* Is there a way of pairs from the domain to the root? */
bool lap_clock_tree_has(const struct lap_clock_tree *tree, uint32_t domain);
/* The pair that leads from the domain towards the root; SIZE_MAX of the root and where there is no way. */
size_t lap_clock_tree_pair(const struct lap_clock_tree *tree, uint32_t domain);

/* A domain's time as the root's; errors add up along the way, and a step within the error is near. Returns 0, -ENODATA (no way to
 * the root), -EINVAL (no such domain) or -ERANGE. */
int lap_clock_tree_to_root(const struct lap_clock_tree *tree, uint32_t domain, int64_t time_ns,
                           struct lap_clock_time *ret_time);

/* A pair by its place; owned by the tree. `index` must be below the count. */
const struct lap_clock_pair *lap_clock_tree_get_pair(const struct lap_clock_tree *tree, size_t index);

size_t lap_clock_tree_loop_count(const struct lap_clock_tree *tree);
/* Owned by the tree, in the order of the pairs. */
const struct lap_clock_loop *lap_clock_tree_loops(const struct lap_clock_tree *tree);

#endif
