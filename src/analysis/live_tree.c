/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "live_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What tells a node from its siblings, and what describes it. */
struct identity {
    const char *label, *function, *file;
    uint32_t line;
    uint8_t kind, is_handle;
};

static uint32_t *first_of(struct lap_live_tree *tree, uint32_t parent)
{
    return parent == LAP_LIVE_NONE ? &tree->first_root : &tree->nodes[parent].first_child;
}

static uint32_t *found_of(struct lap_live_tree *tree, uint32_t parent)
{
    return parent == LAP_LIVE_NONE ? &tree->found_root : &tree->nodes[parent].found;
}

static int node_is(const struct lap_live_node *node, const struct identity *identity)
{
    return node->kind == identity->kind && strcmp(node->label, identity->label) == 0;
}

/* Children are looked for in the order that they have: from the one found last on, then from the first. */
static uint32_t node_find(struct lap_live_tree *tree, uint32_t parent, const struct identity *identity)
{
    uint32_t *const found = found_of(tree, parent);
    for (int turn = 0; turn < 2; turn++) {
        uint32_t at = turn == 0 && *found != LAP_LIVE_NONE ? tree->nodes[*found].next_sibling : *first_of(tree, parent);
        for (; at != LAP_LIVE_NONE; at = tree->nodes[at].next_sibling)
            if (node_is(&tree->nodes[at], identity))
                return *found = at;
    }
    return LAP_LIVE_NONE;
}

static void node_done(struct lap_live_node *node)
{
    free(node->label);
    free(node->function);
    free(node->file);
    lap_distribution_done(&node->total);
    lap_distribution_done(&node->recent);
}

static int tree_reserve(struct lap_live_tree *tree)
{
    if (tree->count < tree->room)
        return 0;
    const size_t room = tree->room ? 2 * tree->room : 64;
    struct lap_live_node *const nodes = room < LAP_LIVE_NONE ? realloc(tree->nodes, room * sizeof *nodes) : NULL;
    if (!nodes)
        return -ENOMEM;
    tree->nodes = nodes;
    tree->room = room;
    return 0;
}

/* The node, made behind its siblings where it is new, a rest always last; LAP_LIVE_NONE: no memory. */
static uint32_t node_get(struct lap_live_tree *tree, uint32_t parent, const struct identity *identity)
{
    const uint32_t known = node_find(tree, parent, identity);
    if (known != LAP_LIVE_NONE || tree_reserve(tree) < 0)
        return known;
    const uint32_t place = (uint32_t)tree->count;
    struct lap_live_node *const node = &tree->nodes[place];
    *node = (struct lap_live_node){.label = strdup(identity->label),
                                   .function = strdup(identity->function),
                                   .file = strdup(identity->file),
                                   .line = identity->line,
                                   .kind = identity->kind,
                                   .is_handle = identity->is_handle,
                                   .parent = parent,
                                   .first_child = LAP_LIVE_NONE,
                                   .next_sibling = LAP_LIVE_NONE,
                                   .depth = parent == LAP_LIVE_NONE ? 0 : tree->nodes[parent].depth + 1,
                                   .found = LAP_LIVE_NONE};
    if (!node->label || !node->function || !node->file) {
        node_done(node);
        return LAP_LIVE_NONE;
    }
    tree->count++;
    uint32_t *link = first_of(tree, parent);
    while (*link != LAP_LIVE_NONE && (identity->kind == LAP_SUMMARY_REST || tree->nodes[*link].kind != LAP_SUMMARY_REST))
        link = &tree->nodes[*link].next_sibling;
    node->next_sibling = *link;
    *link = place;
    return *found_of(tree, parent) = place;
}

int lap_live_tree_place(struct lap_live_tree *tree, const struct lap_summary_group *group, uint32_t *ret_places)
{
    for (size_t i = 0; i < group->node_count; i++) {
        const struct lap_summary_node *const from = &group->nodes[i];
        const struct identity identity = {from->label, from->function, from->file,
                                          from->line,  from->kind,     from->is_handle};
        ret_places[i] =
            node_get(tree, from->parent == LAP_SUMMARY_NONE ? LAP_LIVE_NONE : ret_places[from->parent], &identity);
        if (ret_places[i] == LAP_LIVE_NONE)
            return -ENOMEM;
    }
    return 0;
}

int lap_live_tree_update(struct lap_live_tree *tree, const struct lap_summary_group *group)
{
    uint32_t *const places = malloc((group->node_count + 1) * sizeof *places);
    int code = places ? lap_live_tree_place(tree, group, places) : -ENOMEM;
    if (code == 0)
        lap_live_tree_rest(tree);
    for (size_t i = 0; code == 0 && i < group->node_count; i++) {
        struct lap_live_node *const node = &tree->nodes[places[i]];
        const struct lap_distribution *const now = group->nodes[i].distribution;
        code = lap_distribution_since(&node->recent, &node->total, now);
        lap_distribution_clear(&node->total);
        if (code == 0)
            code = lap_distribution_join(&node->total, now);
    }
    free(places);
    return code;
}

void lap_live_tree_rest(struct lap_live_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->nodes[i].recent.count != 0)
            lap_distribution_clear(&tree->nodes[i].recent);
}

void lap_live_tree_clear(struct lap_live_tree *tree)
{
    lap_live_tree_rest(tree);
    for (size_t i = 0; i < tree->count; i++)
        lap_distribution_clear(&tree->nodes[i].total);
}

int lap_live_tree_add(struct lap_live_tree *tree, const struct lap_live_tree *other, const char *root)
{
    uint32_t top = LAP_LIVE_NONE;
    if (root) {
        const struct identity identity = {root, "", "", 0, LAP_SUMMARY_PROFILER, 0};
        top = node_get(tree, LAP_LIVE_NONE, &identity);
        if (top == LAP_LIVE_NONE)
            return -ENOMEM;
    }
    uint32_t *const places = malloc((other->count + 1) * sizeof *places);
    int code = places ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < other->count; i++) {
        const struct lap_live_node *const from = &other->nodes[i];
        const struct identity identity = {from->label, from->function, from->file,
                                          from->line,  from->kind,     from->is_handle};
        places[i] = node_get(tree, from->parent == LAP_LIVE_NONE ? top : places[from->parent], &identity);
        if (places[i] == LAP_LIVE_NONE) {
            code = -ENOMEM;
            break;
        }
        struct lap_live_node *const node = &tree->nodes[places[i]];
        code = lap_distribution_join(&node->total, &from->total);
        if (code == 0)
            code = lap_distribution_join(&node->recent, &from->recent);
    }
    free(places);
    return code;
}

void lap_live_tree_done(struct lap_live_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        node_done(&tree->nodes[i]);
    free(tree->nodes);
    *tree = (struct lap_live_tree)LAP_LIVE_TREE_EMPTY;
}
