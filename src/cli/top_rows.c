/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_rows.h"

#include "switches.h"

#include <stdlib.h>
#include <string.h>

struct making {
    const struct lap_live_tree *tree;
    const struct lap_top_view *view;
    struct lap_top_row *values; /* of each node */
    bool *is_shown;
    uint32_t *order; /* room for all nodes */
    struct lap_top_row *rows;
    size_t row_count;
};

static void *room_for(size_t count, size_t bytes)
{
    void *const memory = calloc(count + 1, bytes);
    if (!memory)
        abort();
    return memory;
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

static void value_fill(struct lap_top_row *value, const struct lap_distribution *distribution, double seconds)
{
    value->distribution = distribution;
    value->count = distribution->count;
    if (value->count == 0)
        return;
    value->rate = seconds > 0 ? (double)value->count / seconds : 0;
    value->total_ns = distribution->total_ns;
    value->mean_ns = value->total_ns / (double)value->count;
    value->p50_ns = lap_distribution_quantile_ns(distribution, 0.5);
    value->p99_ns = lap_distribution_quantile_ns(distribution, 0.99);
    value->max_ns = distribution->max_ns;
}

static void values_fill(struct making *making, double seconds)
{
    const struct lap_live_tree *const tree = making->tree;
    double *const below = room_for(tree->count, sizeof *below); /* what a node's children took */
    double all = 0;
    for (size_t i = tree->count; i-- > 0;) { /* children come behind their parents */
        const struct lap_live_node *const node = &tree->nodes[i];
        struct lap_top_row *const value = &making->values[i];
        value->node = (uint32_t)i;
        value_fill(value, making->view->is_recent ? &node->recent : &node->total, seconds);
        value->share = value->count > 0 ? value->total_ns : below[i];
        *(node->parent == LAP_LIVE_NONE ? &all : &below[node->parent]) += value->share;
    }
    for (size_t i = 0; i < tree->count; i++)
        making->values[i].share = all > 0 ? making->values[i].share / all : 0;
    free(below);
}

/* ---- which are shown ------------------------------------------------------------------------------------------------- */

static bool matches(const struct lap_live_node *node, const char *filter)
{
    if (strpbrk(filter, "*?\\"))
        return lap_glob_matches(filter, node->label) || lap_glob_matches(filter, node->function);
    return strstr(node->label, filter) || strstr(node->function, filter);
}

static void shown_find(struct making *making)
{
    const struct lap_live_tree *const tree = making->tree;
    const struct lap_top_view *const view = making->view;
    for (size_t i = 0; i < tree->count; i++) {
        const uint32_t parent = tree->nodes[i].parent;
        making->is_shown[i] =
            view->focus == LAP_LIVE_NONE || view->focus == i || (parent != LAP_LIVE_NONE && making->is_shown[parent]);
    }
    for (size_t i = tree->count; view->filter[0] && i-- > 0;) {
        const bool is_within = making->is_shown[i];
        making->is_shown[i] = is_within && matches(&tree->nodes[i], view->filter);
    }
    /* What leads to them, in a tree. */
    for (size_t i = tree->count; view->filter[0] && !view->is_flat && i-- > 0;)
        if (making->is_shown[i] && tree->nodes[i].parent != LAP_LIVE_NONE && i != view->focus)
            making->is_shown[tree->nodes[i].parent] = true;
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

static double number_of(const struct lap_top_row *row, enum lap_top_column column)
{
    switch (column) {
    case LAP_TOP_RATE: return row->rate;
    case LAP_TOP_COUNT: return (double)row->count;
    case LAP_TOP_TOTAL: return row->total_ns;
    case LAP_TOP_SHARE: return row->share;
    case LAP_TOP_MEAN: return row->mean_ns;
    case LAP_TOP_P50: return row->p50_ns;
    case LAP_TOP_P99: return row->p99_ns;
    case LAP_TOP_MAX: return row->max_ns;
    case LAP_TOP_LABEL:
    case LAP_TOP_COLUMNS: break;
    }
    return 0;
}

/* The greatest first, labels from A on; equal ones as they were first met. */
static int by_column(const void *a, const void *b, void *user)
{
    const struct making *const making = user;
    const struct lap_top_row *const p = &making->values[*(const uint32_t *)a], *const q =
                                                                                   &making->values[*(const uint32_t *)b];
    int order;
    if (making->view->sort == LAP_TOP_LABEL) {
        order = strcmp(making->tree->nodes[p->node].label, making->tree->nodes[q->node].label);
    } else {
        const double x = number_of(p, making->view->sort), y = number_of(q, making->view->sort);
        order = (x < y) - (x > y);
    }
    order = making->view->is_reversed ? -order : order;
    return order != 0 ? order : (p->node > q->node) - (p->node < q->node);
}

static void emit(struct making *making, uint32_t node, uint32_t depth)
{
    making->rows[making->row_count] = making->values[node];
    making->rows[making->row_count++].depth = depth;
}

/* The children's numbers are sorted at the end of those that are being worked on: `used` are. */
static void emit_tree(struct making *making, uint32_t first, uint32_t depth, size_t used)
{
    size_t end = used;
    for (uint32_t child = first; child != LAP_LIVE_NONE; child = making->tree->nodes[child].next_sibling)
        if (making->is_shown[child])
            making->order[end++] = child;
    qsort_r(making->order + used, end - used, sizeof *making->order, by_column, making);
    for (size_t i = used; i < end; i++) {
        const uint32_t node = making->order[i];
        emit(making, node, depth);
        emit_tree(making, making->tree->nodes[node].first_child, depth + 1, end);
    }
}

static void emit_flat(struct making *making)
{
    size_t count = 0;
    for (size_t i = 0; i < making->tree->count; i++)
        if (making->is_shown[i])
            making->order[count++] = (uint32_t)i;
    qsort_r(making->order, count, sizeof *making->order, by_column, making);
    for (size_t i = 0; i < count; i++)
        emit(making, making->order[i], 0);
}

struct lap_top_row *lap_top_rows_make(const struct lap_live_tree *tree, const struct lap_top_view *view, double seconds,
                                      size_t *ret_count)
{
    struct making making = {.tree = tree,
                            .view = view,
                            .values = room_for(tree->count, sizeof(struct lap_top_row)),
                            .is_shown = room_for(tree->count, sizeof(bool)),
                            .order = room_for(tree->count, sizeof(uint32_t)),
                            .rows = room_for(tree->count, sizeof(struct lap_top_row))};
    values_fill(&making, seconds);
    shown_find(&making);
    if (view->is_flat) {
        emit_flat(&making);
    } else if (view->focus != LAP_LIVE_NONE && view->focus < tree->count) {
        if (making.is_shown[view->focus])
            emit(&making, view->focus, 0);
        emit_tree(&making, tree->nodes[view->focus].first_child, 1, 0);
    } else {
        emit_tree(&making, tree->first_root, 0, 0);
    }
    free(making.values);
    free(making.is_shown);
    free(making.order);
    *ret_count = making.row_count;
    return making.rows;
}
