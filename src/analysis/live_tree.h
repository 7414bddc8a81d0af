/* SPDX-License-Identifier: MIT
 *
 * A tree of profilers and laps that lives on while what it shows goes on: what it was told last, and what came since it was
 * told the time before. It owns all of its texts. One thread.
 */
#ifndef LAP_LIVE_TREE_H
#define LAP_LIVE_TREE_H

#include "distribution.h"
#include "summary.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_LIVE_NONE UINT32_MAX

struct lap_live_node {
    char *label; /* as lap_summary_node's */
    char *function, *file;
    uint32_t line;
    uint8_t kind;                               /* enum lap_summary_kind */
    uint8_t is_handle;                          /* it is bound to no block */
    uint32_t parent, first_child, next_sibling; /* in the order of their first meeting; LAP_LIVE_NONE */
    uint32_t depth;
    uint32_t found; /* its child that was looked for last */
    struct lap_distribution total, recent;
};

struct lap_live_tree {
    struct lap_live_node *nodes; /* a parent before its children; a node keeps its place */
    size_t count, room;
    uint32_t first_root, found_root;
};
#define LAP_LIVE_TREE_EMPTY                                                                                              \
    {                                                                                                                    \
        .first_root = LAP_LIVE_NONE, .found_root = LAP_LIVE_NONE                                                         \
    }

/* Which node each of a group's is, made where it is missing. Returns 0 or -ENOMEM. Warm, as the next one. */
int lap_live_tree_place(struct lap_live_tree *tree, const struct lap_summary_group *group, uint32_t *ret_places);

/* What a process has now: `recent` becomes the difference to what it had the time before. Nodes that it does not have stay.
 * Returns 0 or -ENOMEM. Warm: no search where the nodes come in the same order as before. */
int lap_live_tree_update(struct lap_live_tree *tree, const struct lap_summary_group *group);

/* Nothing came since the time before. */
void lap_live_tree_rest(struct lap_live_tree *tree);

/* For a tree that several are added up in: empties it but for the nodes, then adds another one, under `root` (made where it
 * is missing; NULL: at the top). Returns 0 or -ENOMEM. */
void lap_live_tree_clear(struct lap_live_tree *tree);
int lap_live_tree_add(struct lap_live_tree *tree, const struct lap_live_tree *other, const char *root);

void lap_live_tree_done(struct lap_live_tree *tree);

#endif
