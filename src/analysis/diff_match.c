/* SPDX-License-Identifier: MIT */
#include "diff_match.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ALONE_MAX 256u /* children of one parent that are tried for a rename: more are labels made at run time */
#define COUNT_FACTOR 1.25

struct matching {
    const struct lap_run_tree *base, *next;
    struct lap_diff_pairs *pairs;
};

double lap_diff_count(const struct lap_run_tree *tree, uint32_t node)
{
    double count = 0;
    for (size_t run = 0; run < tree->run_count; run++)
        count += (double)lap_run_tree_value(tree, run, node)->count;
    return count;
}

static uint32_t first_child(const struct lap_run_tree *tree, uint32_t node)
{
    return node == LAP_LIVE_NONE ? tree->tree.first_root : tree->tree.nodes[node].first_child;
}

static uint32_t next_sibling(const struct lap_run_tree *tree, uint32_t node)
{
    return tree->tree.nodes[node].next_sibling;
}

static bool has_label_of(const struct lap_live_node *a, const struct lap_live_node *b)
{
    return a->kind == b->kind && strcmp(a->label, b->label) == 0;
}

static void pair(struct matching *matching, uint32_t base, uint32_t next, enum lap_diff_match how)
{
    matching->pairs->of_base[base] = next;
    matching->pairs->of_next[next] = base;
    matching->pairs->how[next] = (uint8_t)how;
}

/* ---- by label ------------------------------------------------------------------------------------------------------ */

/* Children mostly come in the same order on both sides, so each is looked for from the last one's place on. */
static void children_match_labels(struct matching *matching, uint32_t base_parent, uint32_t next_parent)
{
    const uint32_t first = first_child(matching->next, next_parent);
    uint32_t from = first;
    for (uint32_t b = first_child(matching->base, base_parent); b != LAP_LIVE_NONE; b = next_sibling(matching->base, b)) {
        if (matching->pairs->of_base[b] != LAP_LIVE_NONE || first == LAP_LIVE_NONE)
            continue;
        uint32_t n = from;
        do {
            if (matching->pairs->of_next[n] == LAP_LIVE_NONE &&
                has_label_of(&matching->base->tree.nodes[b], &matching->next->tree.nodes[n])) {
                pair(matching, b, n, LAP_DIFF_SAME);
                from = n;
                break;
            }
            n = next_sibling(matching->next, n) != LAP_LIVE_NONE ? next_sibling(matching->next, n) : first;
        } while (n != from);
    }
}

/* ---- by neighbours ------------------------------------------------------------------------------------------------- */

/* A child without a partner, and those of its siblings around it that have one: by their nodes of next. */
struct lonely {
    uint32_t node, before, behind;
};

static size_t lonely_list(struct lonely list[ALONE_MAX], const struct lap_run_tree *tree, uint32_t parent,
                          const uint32_t *partners, bool is_next)
{
    size_t count = 0, open = 0; /* those from `open` on have not met who is behind them */
    uint32_t before = LAP_LIVE_NONE;
    for (uint32_t node = first_child(tree, parent); node != LAP_LIVE_NONE; node = next_sibling(tree, node)) {
        if (partners[node] == LAP_LIVE_NONE) {
            if (count == ALONE_MAX)
                return 0;
            list[count++] = (struct lonely){node, before, LAP_LIVE_NONE};
            continue;
        }
        before = is_next ? node : partners[node];
        for (; open < count; open++)
            list[open].behind = before;
    }
    return count;
}

static bool are_counts_alike(double a, double b) { return a <= b * COUNT_FACTOR && b <= a * COUNT_FACTOR; }

/* Do at least half of the children of the one that has fewer have the label of one of the other's? */
static bool are_children_alike(const struct lap_run_tree *base, uint32_t b, const struct lap_run_tree *next, uint32_t n)
{
    size_t base_count = 0, next_count = 0, common = 0;
    for (uint32_t child = first_child(base, b); child != LAP_LIVE_NONE; child = next_sibling(base, child)) {
        base_count++;
        uint32_t other = first_child(next, n);
        while (other != LAP_LIVE_NONE && !has_label_of(&base->tree.nodes[child], &next->tree.nodes[other]))
            other = next_sibling(next, other);
        common += other != LAP_LIVE_NONE;
    }
    for (uint32_t child = first_child(next, n); child != LAP_LIVE_NONE; child = next_sibling(next, child))
        next_count++;
    return 2 * common >= (base_count < next_count ? base_count : next_count);
}

static bool is_renamed(const struct matching *matching, const struct lonely *b, const struct lonely *n)
{
    const struct lap_run_tree *const base = matching->base, *const next = matching->next;
    return b->before == n->before && b->behind == n->behind &&
           base->tree.nodes[b->node].kind == next->tree.nodes[n->node].kind &&
           are_counts_alike(lap_diff_count(base, b->node) / (double)base->run_count,
                            lap_diff_count(next, n->node) / (double)next->run_count) &&
           are_children_alike(base, b->node, next, n->node);
}

static void children_match_neighbours(struct matching *matching, uint32_t base_parent, uint32_t next_parent)
{
    struct lonely base[ALONE_MAX], next[ALONE_MAX];
    const size_t base_count = lonely_list(base, matching->base, base_parent, matching->pairs->of_base, false);
    const size_t next_count = lonely_list(next, matching->next, next_parent, matching->pairs->of_next, true);
    size_t from = 0; /* so that several in one place keep their order */
    for (size_t i = 0; i < base_count; i++)
        for (size_t j = from; j < next_count; j++)
            if (is_renamed(matching, &base[i], &next[j])) {
                pair(matching, base[i].node, next[j].node, LAP_DIFF_RENAMED);
                from = j + 1;
                break;
            }
}

/* ---- by label, elsewhere ------------------------------------------------------------------------------------------- */

/* Nodes without a partner, sorted by label. */
struct shelved {
    const char *label;
    uint8_t kind;
    uint32_t node;
};

struct shelf {
    struct shelved *nodes;
    size_t count;
};

static int by_label(const void *a, const void *b)
{
    const struct shelved *const p = a, *const q = b;
    return p->kind != q->kind ? p->kind - q->kind : strcmp(p->label, q->label);
}

static int shelf_fill(struct shelf *shelf, const struct lap_run_tree *tree, const uint32_t *partners)
{
    shelf->nodes = malloc((tree->tree.count + 1) * sizeof *shelf->nodes);
    if (!shelf->nodes)
        return -ENOMEM;
    for (uint32_t i = 0; i < tree->tree.count; i++) {
        const struct lap_live_node *const node = &tree->tree.nodes[i];
        if (partners[i] == LAP_LIVE_NONE && node->kind != LAP_SUMMARY_REST)
            shelf->nodes[shelf->count++] = (struct shelved){node->label, node->kind, i};
    }
    qsort(shelf->nodes, shelf->count, sizeof *shelf->nodes, by_label);
    return 0;
}

static bool is_only(const struct shelf *shelf, size_t place)
{
    return (place == 0 || by_label(&shelf->nodes[place - 1], &shelf->nodes[place]) != 0) &&
           (place + 1 == shelf->count || by_label(&shelf->nodes[place], &shelf->nodes[place + 1]) != 0);
}

static uint32_t partner_of_parent(const struct matching *matching, uint32_t base)
{
    const uint32_t parent = matching->base->tree.nodes[base].parent;
    return parent == LAP_LIVE_NONE ? LAP_LIVE_NONE : matching->pairs->of_base[parent];
}

static int match_moved(struct matching *matching)
{
    struct shelf base = {0}, next = {0};
    int code = shelf_fill(&base, matching->base, matching->pairs->of_base);
    if (code == 0)
        code = shelf_fill(&next, matching->next, matching->pairs->of_next);
    size_t j = 0;
    for (size_t i = 0; code == 0 && i < base.count; i++) {
        while (j < next.count && by_label(&next.nodes[j], &base.nodes[i]) < 0)
            j++;
        if (j == next.count || by_label(&next.nodes[j], &base.nodes[i]) != 0 || !is_only(&base, i) || !is_only(&next, j))
            continue;
        pair(matching, base.nodes[i].node, next.nodes[j].node, LAP_DIFF_MOVED);
    }
    for (uint32_t n = 0; code == 0 && n < matching->next->tree.count; n++) /* whose parent has moved has not itself */
        if (matching->pairs->how[n] == LAP_DIFF_MOVED && matching->next->tree.nodes[n].parent != LAP_LIVE_NONE &&
            partner_of_parent(matching, matching->pairs->of_next[n]) == matching->next->tree.nodes[n].parent)
            matching->pairs->how[n] = LAP_DIFF_SAME;
    free(base.nodes);
    free(next.nodes);
    return code;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

/* Parents come before their children. Those that have a partner keep it. */
static void match_below_partners(struct matching *matching)
{
    children_match_labels(matching, LAP_LIVE_NONE, LAP_LIVE_NONE);
    children_match_neighbours(matching, LAP_LIVE_NONE, LAP_LIVE_NONE);
    for (uint32_t b = 0; b < matching->base->tree.count; b++) {
        const uint32_t n = matching->pairs->of_base[b];
        if (n == LAP_LIVE_NONE)
            continue;
        children_match_labels(matching, b, n);
        children_match_neighbours(matching, b, n);
    }
}

int lap_diff_match(struct lap_diff_pairs *ret_pairs, const struct lap_run_tree *base, const struct lap_run_tree *next)
{
    struct lap_diff_pairs pairs = {.of_base = malloc((base->tree.count + 1) * sizeof *pairs.of_base),
                                   .of_next = malloc((next->tree.count + 1) * sizeof *pairs.of_next),
                                   .how = calloc(next->tree.count + 1, sizeof *pairs.how)};
    int code = pairs.of_base && pairs.of_next && pairs.how ? 0 : -ENOMEM;
    if (code == 0) {
        memset(pairs.of_base, 0xff, base->tree.count * sizeof *pairs.of_base);
        memset(pairs.of_next, 0xff, next->tree.count * sizeof *pairs.of_next);
        struct matching matching = {base, next, &pairs};
        match_below_partners(&matching);
        code = match_moved(&matching);
        match_below_partners(&matching);
    }
    if (code < 0) {
        lap_diff_pairs_done(&pairs);
        return code;
    }
    *ret_pairs = pairs;
    return 0;
}

void lap_diff_pairs_done(struct lap_diff_pairs *pairs)
{
    free(pairs->of_base);
    free(pairs->of_next);
    free(pairs->how);
}
