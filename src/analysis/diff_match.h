/* SPDX-License-Identifier: MIT
 *
 * Which node of one tree is which of another: by the path of labels; what is on one side only, by its neighbours (renamed)
 * or by its label elsewhere (moved).
 */
#ifndef LAP_DIFF_MATCH_H
#define LAP_DIFF_MATCH_H

#include "run_tree.h"

#include <stdint.h>

enum lap_diff_match {
    LAP_DIFF_ALONE = 0, /* on this side only */
    LAP_DIFF_SAME,
    LAP_DIFF_RENAMED, /* between the same neighbours, as often, with another label */
    LAP_DIFF_MOVED    /* the only one of this label that is alone on either side */
};

struct lap_diff_pairs {
    uint32_t *of_base; /* a node of base: that of next; LAP_LIVE_NONE */
    uint32_t *of_next; /* and back */
    uint8_t *how;      /* of a node of next: enum lap_diff_match */
};

/* Returns 0 or -ENOMEM. */
int lap_diff_match(struct lap_diff_pairs *ret_pairs, const struct lap_run_tree *base, const struct lap_run_tree *next);
void lap_diff_pairs_done(struct lap_diff_pairs *pairs);

/* How often a node came in all runs of its side. */
double lap_diff_count(const struct lap_run_tree *tree, uint32_t node);

#endif
