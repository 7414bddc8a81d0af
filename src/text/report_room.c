/* SPDX-License-Identifier: MIT
 *
 * What a report gives up when its tree is full.
 */
#include "report_state.h"

/* With less free than this, asking again is not worth its time. */
#define RECLAIM_UNITS 256u

int lap_report_is_certain(struct lap_report *report, uint32_t inner)
{
    if (report->certain <= inner)
        return 1;
    for (uint32_t depth = report->top; depth <= inner; depth++) {
        const struct lap_tree_node *const node = lap_tree_node(&report->tree, report->stack[depth]);
        if (report->stack[depth] == 0 || !(node->flags & LAP_TREE_PRINTS) || report->last < node->begin ||
            lap_report_ns(report, report->last - node->begin) < (double)node->threshold_ns)
            continue;
        report->certain = depth;
        return 1;
    }
    return 0;
}

void lap_report_print_waiting(struct lap_report *report, uint16_t node, const char *note)
{
    if (node != 0 && lap_tree_node(&report->tree, node)->flags & LAP_TREE_INSIDE) {
        lap_report_print_inside(report, node, note);
        lap_tree_settle(&report->tree, node);
    }
}

/* The open profilers, outermost first, and the handle. */
static uint16_t open_node(const struct lap_report *report, uint32_t *depth)
{
    for (; report->top != LAP_REPORT_NONE && *depth < report->depth; ++*depth)
        if (*depth >= report->top && report->stack[*depth] != 0)
            return report->stack[(*depth)++];
    if (*depth != LAP_REPORT_NONE) {
        *depth = LAP_REPORT_NONE;
        return report->handle;
    }
    return 0;
}

/* Is a nested line's profiler the slowest of its label, of those that are held? Of several, the first is. */
static int is_slowest(struct lap_tree *tree, uint16_t index)
{
    const struct lap_tree_line *const line = lap_tree_line(tree, index);
    const uint16_t head = (uint16_t)lap_tree_find(tree, line->owner, line->key);
    const uint16_t others[] = {head, lap_tree_line(tree, head)->second, lap_tree_line(tree, head)->third};
    const uint64_t total = lap_tree_node(tree, line->detail)->total;
    for (unsigned i = 0, is_before = 1; i < 3; i++) {
        const uint16_t detail = others[i] == 0 ? 0 : lap_tree_line(tree, others[i])->detail;
        is_before &= others[i] != index;
        if (detail != 0 && others[i] != index && lap_tree_node(tree, detail)->total + is_before > total)
            return 0;
    }
    return 1;
}

/* What ended loses its inside, the oldest first, with the slowest of each label or without. */
static void drop_details(struct lap_report *report, int with_slowest)
{
    struct lap_tree *const tree = &report->tree;
    uint32_t depth = 0;
    for (uint16_t open = open_node(report, &depth); open != 0; open = open_node(report, &depth)) {
        for (uint16_t index = lap_tree_node(tree, open)->first; index != 0; index = lap_tree_line(tree, index)->next) {
            const struct lap_tree_line *const line = lap_tree_line(tree, index);
            const uint16_t detail = line->flags & LAP_TREE_NESTED ? line->detail : 0;
            if (detail == 0 || lap_tree_node(tree, detail)->first == 0 || (!with_slowest && is_slowest(tree, index)))
                continue;
            lap_tree_node(tree, detail)->more += lap_tree_node_clear(tree, detail);
            if (tree->free_count >= RECLAIM_UNITS)
                return;
        }
    }
}

static void drop_repeats(struct lap_report *report)
{
    struct lap_tree *const tree = &report->tree;
    uint32_t depth = 0;
    for (uint16_t open = open_node(report, &depth); open != 0; open = open_node(report, &depth)) {
        for (uint16_t index = lap_tree_node(tree, open)->first, next; index != 0; index = next) {
            struct lap_tree_line *const line = lap_tree_line(tree, index);
            if ((line->flags & (LAP_TREE_HEAD | LAP_TREE_FOLDED)) == LAP_TREE_HEAD && line->second != 0)
                lap_tree_fold(tree, index, 0);
            next = line->next;
            if (tree->free_count >= RECLAIM_UNITS)
                return;
        }
    }
}

void lap_report_reclaim(struct lap_report *report)
{
    struct lap_tree *const tree = &report->tree;
    uint32_t depth = 0;
    for (uint32_t i = report->top; i < report->depth && !lap_report_is_certain(report, i); i++)
        lap_report_print_waiting(report, report->stack[i], "parent still open");
    for (uint16_t open = open_node(report, &depth); open != 0; open = open_node(report, &depth))
        lap_tree_settle(tree, open);
    depth = 0;
    if (tree->free_count < RECLAIM_UNITS)
        drop_details(report, 0);
    if (tree->free_count < RECLAIM_UNITS)
        drop_details(report, 1);
    if (tree->free_count < RECLAIM_UNITS)
        drop_repeats(report);
    report->is_tight = tree->free_count < RECLAIM_UNITS;
}

void lap_report_count_more(struct lap_report *report, uint32_t depth, uint64_t lines)
{
    if (report->top == LAP_REPORT_NONE)
        return;
    while (depth > report->top && report->stack[depth] == 0)
        depth--;
    if (report->stack[depth] != 0)
        lap_tree_node(&report->tree, report->stack[depth])->more += lines;
}
