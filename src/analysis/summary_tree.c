/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "summary_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_BYTES 320u

/* ---- texts --------------------------------------------------------------------------------------------------------- */

const char *lap_summary_text_keep(struct lap_summary_texts *texts, const char *text)
{
    if (texts->count == texts->room) {
        const size_t room = texts->room ? 2 * texts->room : 16;
        char **const more = realloc(texts->texts, room * sizeof *more);
        if (!more)
            return NULL;
        texts->texts = more;
        texts->room = room;
    }
    char *const copy = strdup(text);
    if (copy)
        texts->texts[texts->count++] = copy;
    return copy;
}

void lap_summary_texts_done(struct lap_summary_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->texts[i]);
    free(texts->texts);
    *texts = (struct lap_summary_texts){0};
}

/* ---- what a path is ------------------------------------------------------------------------------------------------ */

/* What makes a node, and whether two paths are one: the label and the kind, under the same parent. */
struct identity {
    const char *label;
    bool is_kept; /* the label is the metadata's; else the caller's buffer */
    uint8_t kind;
    const struct lap_description *description;
    const struct lap_class *class; /* NULL: none */
};

static void identity_find(struct identity *identity, const struct lap_process *process,
                          const struct lap_format_path *entry, uint32_t path, char buffer[LABEL_BYTES])
{
    const struct lap_catalog *const catalog = &process->catalog;
    const uint32_t id = entry->class_id;
    *identity = (struct identity){.label = lap_catalog_name(catalog, id),
                                  .is_kept = true,
                                  .kind = LAP_SUMMARY_PROFILER,
                                  .description = lap_catalog_description(catalog, id)};
    if (path == LAP_PATHS_OTHER) {
        identity->label = "(other paths)";
        return;
    }
    if (id == LAP_FORMAT_REST) {
        identity->kind = LAP_SUMMARY_REST;
        return;
    }
    if (id >= catalog->class_count || catalog->classes[id].kind == LAP_CLASS_NONE)
        return;
    identity->class = &catalog->classes[id];
    if (identity->class->kind == LAP_CLASS_MARK || identity->class->kind == LAP_CLASS_HANDLE_MARK)
        identity->kind = LAP_SUMMARY_LAP;
    if (!(identity->class->flags & LAP_CLASS_NUMBERED))
        return;
    const char *const slash = strrchr(identity->description->file, '/');
    snprintf(buffer, LABEL_BYTES, "(checkpoint at %.256s:%u)", slash ? slash + 1 : identity->description->file,
             identity->description->line);
    identity->label = buffer;
    identity->is_kept = false;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

#define CHAIN_MAX 1024u /* of a path through several processes */

static size_t node_hash(uint32_t parent, uint8_t kind, const char *label)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ parent ^ (uint64_t)kind << 32;
    for (; *label; label++)
        hash = (hash ^ (unsigned char)*label) * UINT64_C(0x100000001b3);
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash >> 24);
}

static void node_place(struct lap_summary_tree *tree, uint32_t node)
{
    const struct lap_summary_node *const it = &tree->nodes[node];
    size_t at = node_hash(it->parent, it->kind, it->label);
    while (tree->buckets[at & (tree->bucket_count - 1)] != 0)
        at++;
    tree->buckets[at & (tree->bucket_count - 1)] = node + 1;
}

static int tree_reserve(struct lap_summary_tree *tree)
{
    if (tree->count < tree->room)
        return 0;
    if (tree->count >= LAP_SUMMARY_NONE / 4)
        return -ENOMEM;
    const size_t room = tree->room ? 2 * tree->room : 64;
    struct lap_summary_node *const nodes = realloc(tree->nodes, room * sizeof *nodes);
    if (nodes)
        tree->nodes = nodes;
    uint32_t *const buckets = nodes ? calloc(2 * room, sizeof *buckets) : NULL;
    if (!buckets)
        return -ENOMEM;
    free(tree->buckets);
    tree->buckets = buckets;
    tree->bucket_count = 2 * room;
    tree->room = room;
    for (uint32_t i = 0; i < tree->count; i++)
        node_place(tree, i);
    return 0;
}

/* The node of an identity under a parent, made if it is new; LAP_SUMMARY_NONE: no memory. */
static uint32_t node_get(struct lap_summary_tree *tree, uint32_t parent, const struct identity *identity)
{
    if (tree_reserve(tree) < 0)
        return LAP_SUMMARY_NONE;
    for (size_t at = node_hash(parent, identity->kind, identity->label);; at++) {
        const uint32_t found = tree->buckets[at & (tree->bucket_count - 1)];
        if (found == 0)
            break;
        const struct lap_summary_node *const node = &tree->nodes[found - 1];
        if (node->parent == parent && node->kind == identity->kind && strcmp(node->label, identity->label) == 0)
            return found - 1;
    }
    const char *const label = identity->is_kept ? identity->label : lap_summary_text_keep(tree->texts, identity->label);
    struct lap_distribution *const distribution = calloc(1, sizeof *distribution);
    if (!label || !distribution) {
        free(distribution);
        return LAP_SUMMARY_NONE;
    }
    const uint32_t node = (uint32_t)tree->count++;
    const struct lap_class *const class = identity->class;
    tree->nodes[node] = (struct lap_summary_node){
        .label = label,
        .file = identity->description->file,
        .function = identity->description->function,
        .line = identity->description->line,
        .kind = identity->kind,
        .is_text = identity->description->is_text != 0,
        .is_handle = class && (class->kind == LAP_CLASS_HANDLE_BEGIN || class->kind == LAP_CLASS_HANDLE_MARK),
        .is_numbered = class && (class->flags & LAP_CLASS_NUMBERED) != 0,
        .parent = parent,
        .first_child = LAP_SUMMARY_NONE,
        .next_sibling = LAP_SUMMARY_NONE,
        .met = UINT64_MAX,
        .distribution = distribution,
    };
    node_place(tree, node);
    return node;
}

/* ---- a ring's cells ------------------------------------------------------------------------------------------------ */

/* The parent of a path that can be trusted to have a smaller number. */
static uint32_t parent_of(const struct lap_paths *paths, uint32_t path)
{
    const uint32_t parent = paths->entries[path].parent;
    return parent < path ? parent : path > LAP_PATHS_OTHER ? LAP_PATHS_OTHER : LAP_PATHS_ROOT;
}

/* The node of a path, with those around it; a served one's are those of its callers. LAP_SUMMARY_NONE: the root, or no memory, or
 * processes that call each other without end. */
static uint32_t node_of_path(struct lap_summary_tree *tree, size_t process, uint32_t path, unsigned depth)
{
    const struct lap_paths *const paths = &tree->grafts.tables[process].paths;
    if (path == LAP_PATHS_ROOT || path >= paths->header->count || depth >= CHAIN_MAX)
        return LAP_SUMMARY_NONE;
    size_t client = process;
    uint32_t around = parent_of(paths, path);
    lap_call_join_find(tree->grafts.join, process, path, &client, &around);
    const uint32_t parent = node_of_path(tree, client, around, depth + 1);
    char buffer[LABEL_BYTES];
    struct identity identity;
    identity_find(&identity, tree->grafts.recording->processes[process], &paths->entries[path], path, buffer);
    return node_get(tree, parent, &identity);
}

uint32_t lap_summary_tree_node(struct lap_summary_tree *tree, size_t process, uint32_t path)
{
    return node_of_path(tree, process, path, 0);
}

int lap_summary_tree_add(struct lap_summary_tree *tree, const struct lap_process *process, size_t index,
                         const struct lap_paths *paths, const struct lap_ring_statistics *statistics)
{
    enum { UNUSED = 0, USED = 1 };
    tree->process_count += process != tree->process;
    tree->process = process;
    const uint32_t count = paths->header->count;
    const struct lap_format_cell **const cells = calloc(count, sizeof *cells);
    uint32_t *const nodes = calloc(count, sizeof *nodes); /* first whether it is used, then its node */
    int code = cells && nodes ? 0 : -ENOMEM;
    uint32_t unit = 0;
    for (const struct lap_format_cell *cell; code == 0 && (cell = lap_heap_next(statistics->heap, &unit));)
        if (cell->count != 0 && cell->path > 1 && cell->path <= count) {
            cells[cell->path - 1] = cell;
            nodes[cell->path - 1] = USED;
        }
    for (uint32_t path = count; code == 0 && path-- > 1;)
        if (nodes[path] == USED)
            nodes[parent_of(paths, path)] = USED;
    if (code == 0)
        nodes[LAP_PATHS_ROOT] = LAP_SUMMARY_NONE;
    for (uint32_t path = 1; code == 0 && path < count; path++) {
        if (nodes[path] == UNUSED)
            continue;
        char buffer[LABEL_BYTES];
        struct identity identity;
        identity_find(&identity, process, &paths->entries[path], path, buffer);
        size_t client;
        uint32_t call;
        const uint32_t parent = lap_call_join_find(tree->grafts.join, index, path, &client, &call)
                                    ? node_of_path(tree, client, call, 0)
                                    : nodes[parent_of(paths, path)];
        nodes[path] = node_get(tree, parent, &identity);
        if (nodes[path] == LAP_SUMMARY_NONE) {
            code = -ENOMEM;
            break;
        }
        struct lap_summary_node *const node = &tree->nodes[nodes[path]];
        const uint64_t met = tree->process_count << 32 | path;
        node->met = met < node->met ? met : node->met; /* a handle's may be in several rings */
        if (tree->nodes_of_paths)
            tree->nodes_of_paths[index][path] = nodes[path];
        if (cells[path])
            code = lap_distribution_add(node->distribution, statistics->heap, cells[path], process->clock.ns_per_tick);
    }
    free(cells);
    free(nodes);
    return code;
}

/* ---- callers ------------------------------------------------------------------------------------------------------- */

/* The same caller's calls are added up when all are there. */
static int caller_add(struct lap_summary_node *node, uint32_t caller, uint64_t calls)
{
    if ((node->caller_count & (node->caller_count - 1)) == 0) {
        const size_t room = node->caller_count ? 2 * node->caller_count : 1;
        struct lap_summary_caller *const callers = realloc(node->callers, room * sizeof *callers);
        if (!callers)
            return -ENOMEM;
        node->callers = callers;
    }
    node->callers[node->caller_count++] = (struct lap_summary_caller){caller, calls};
    return 0;
}

int lap_summary_tree_add_callers(struct lap_summary_tree *tree)
{
    const struct lap_call_caller *callers;
    const size_t count = lap_call_join_callers(tree->grafts.join, &callers);
    for (size_t i = 0; i < count; i++) {
        size_t client;
        uint32_t call;
        if (lap_call_join_find(tree->grafts.join, callers[i].server, callers[i].path, &client, &call))
            continue;
        const uint32_t node = node_of_path(tree, callers[i].server, callers[i].path, 0);
        const uint32_t caller = node_of_path(tree, callers[i].client, callers[i].call_path, 0);
        if (node == LAP_SUMMARY_NONE || caller == LAP_SUMMARY_NONE)
            continue;
        if (caller_add(&tree->nodes[node], caller, callers[i].calls) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- the finished tree --------------------------------------------------------------------------------------------- */

static void node_finish(struct lap_summary_node *node)
{
    const struct lap_distribution *const distribution = node->distribution;
    node->count = distribution->count;
    node->total_ns = node->self_ns = distribution->total_ns;
    node->min_ns = distribution->min_ns;
    node->max_ns = distribution->max_ns;
    node->mean_ns = node->count != 0 ? node->total_ns / (double)node->count : 0;
    node->p50_ns = lap_distribution_quantile_ns(distribution, 0.5);
    node->p90_ns = lap_distribution_quantile_ns(distribution, 0.9);
    node->p99_ns = lap_distribution_quantile_ns(distribution, 0.99);
    node->p999_ns = lap_distribution_quantile_ns(distribution, 0.999);
}

static int by_node(const void *a, const void *b)
{
    const struct lap_summary_caller *const p = a, *const q = b;
    return (p->node > q->node) - (p->node < q->node);
}

static int by_calls(const void *a, const void *b)
{
    const struct lap_summary_caller *const p = a, *const q = b;
    return p->calls != q->calls ? (p->calls < q->calls) - (p->calls > q->calls) : by_node(a, b);
}

/* `place` is where a node has come to. */
static void callers_finish(struct lap_summary_node *node, const uint32_t *place)
{
    size_t kept = 0;
    if (node->caller_count == 0)
        return;
    for (size_t i = 0; i < node->caller_count; i++)
        node->callers[i].node = place[node->callers[i].node];
    qsort(node->callers, node->caller_count, sizeof *node->callers, by_node);
    for (size_t i = 1; i < node->caller_count; i++)
        if (node->callers[i].node == node->callers[kept].node)
            node->callers[kept].calls += node->callers[i].calls;
        else
            node->callers[++kept] = node->callers[i];
    node->caller_count = kept + 1;
    qsort(node->callers, node->caller_count, sizeof *node->callers, by_calls);
}

static int by_meeting(const void *a, const void *b)
{
    const struct lap_summary_node *const *const p = a, *const *const q = b;
    const int p_rests = (*p)->kind == LAP_SUMMARY_REST, q_rests = (*q)->kind == LAP_SUMMARY_REST;
    return p_rests != q_rests ? p_rests - q_rests : ((*p)->met > (*q)->met) - ((*p)->met < (*q)->met);
}

/* Links children in the order of their first meeting, rests last, by going backward and linking each before the others.
 * `order` has room for all. */
static uint32_t children_link(struct lap_summary_tree *tree, struct lap_summary_node **order)
{
    for (size_t i = 0; i < tree->count; i++)
        order[i] = &tree->nodes[i];
    qsort(order, tree->count, sizeof *order, by_meeting);
    uint32_t first = LAP_SUMMARY_NONE;
    for (size_t i = tree->count; i-- > 0;) {
        struct lap_summary_node *const node = order[i];
        uint32_t *const head = node->parent == LAP_SUMMARY_NONE ? &first : &tree->nodes[node->parent].first_child;
        node->next_sibling = *head;
        *head = (uint32_t)(node - tree->nodes);
    }
    return first;
}

int lap_summary_tree_finish(struct lap_summary_tree *tree, struct lap_summary_group *group)
{
    struct lap_summary_node *const sorted = calloc(tree->count ? tree->count : 1, sizeof *sorted);
    uint32_t *const place = calloc(tree->count ? tree->count : 1, sizeof *place); /* of a node in sorted */
    struct lap_summary_node **const order = calloc(tree->count ? tree->count : 1, sizeof *order);
    if (!sorted || !place || !order) {
        free(sorted);
        free(place);
        free(order);
        return -ENOMEM;
    }
    uint32_t count = 0;
    for (uint32_t node = children_link(tree, order); node != LAP_SUMMARY_NONE;) {
        place[node] = count;
        sorted[count++] = tree->nodes[node];
        if (tree->nodes[node].first_child != LAP_SUMMARY_NONE) {
            node = tree->nodes[node].first_child;
            continue;
        }
        while (node != LAP_SUMMARY_NONE && tree->nodes[node].next_sibling == LAP_SUMMARY_NONE)
            node = tree->nodes[node].parent;
        if (node != LAP_SUMMARY_NONE)
            node = tree->nodes[node].next_sibling;
    }
    for (uint32_t i = 0; i < count; i++) { /* parents come first */
        struct lap_summary_node *const node = &sorted[i];
        uint32_t *const links[] = {&node->parent, &node->first_child, &node->next_sibling};
        for (size_t k = 0; k < sizeof links / sizeof *links; k++)
            if (*links[k] != LAP_SUMMARY_NONE)
                *links[k] = place[*links[k]];
        callers_finish(node, place);
        node->depth = node->parent == LAP_SUMMARY_NONE ? 0 : sorted[node->parent].depth + 1;
        node_finish(node);
        if (node->parent == LAP_SUMMARY_NONE)
            group->total_ns += node->total_ns;
        else if (node->kind == LAP_SUMMARY_PROFILER)
            sorted[node->parent].self_ns -= node->total_ns;
    }
    for (uint32_t i = 0; i < count; i++)
        if (sorted[i].self_ns < 0) /* nested ones of handles go on side by side; of open ones only they are counted */
            sorted[i].self_ns = 0;
    for (size_t p = 0; tree->nodes_of_paths && p < tree->grafts.recording->process_count; p++)
        for (uint32_t path = 0; path < LAP_FORMAT_PATHS; path++)
            if (tree->nodes_of_paths[p][path] != LAP_SUMMARY_NONE)
                tree->nodes_of_paths[p][path] = place[tree->nodes_of_paths[p][path]];
    group->nodes = sorted;
    group->node_count = count;
    free(tree->nodes);
    tree->nodes = NULL;
    tree->count = tree->room = 0;
    free(place);
    free(order);
    return 0;
}

void lap_summary_tree_done(struct lap_summary_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->nodes[i].callers);
        lap_distribution_done(tree->nodes[i].distribution);
        free(tree->nodes[i].distribution);
    }
    free(tree->nodes);
    free(tree->buckets);
    *tree = (struct lap_summary_tree){.texts = tree->texts, .grafts = tree->grafts};
}
