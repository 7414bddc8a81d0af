/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "gate_runs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 256 };

static void path_done(struct lap_gate_path *path)
{
    for (size_t i = 0; path->labels && i < path->depth; i++)
        free(path->labels[i]);
    free(path->labels);
}

void lap_gate_runs_done(struct lap_gate_runs *runs)
{
    for (size_t i = 0; i < runs->path_count; i++)
        path_done(&runs->paths[i]);
    free(runs->paths);
    for (int side = 0; side < LAP_GATE_SIDES; side++) {
        for (size_t i = 0; i < runs->counts[side]; i++)
            free(runs->sides[side][i].cells);
        free(runs->sides[side]);
    }
    *runs = (struct lap_gate_runs){.path_count = 0};
}

/* Room for one more of `bytes` each: the array doubles when `count` comes to a power of two. Returns NULL without memory. */
static void *grow(void *array, size_t count, size_t bytes)
{
    return count & (count - 1) ? array : realloc(array, (count ? 2 * count : 1) * bytes);
}

int lap_gate_runs_add(struct lap_gate_runs *runs, enum lap_gate_side side)
{
    struct lap_gate_run *const grown = grow(runs->sides[side], runs->counts[side], sizeof *grown);
    if (!grown)
        return -ENOMEM;
    runs->sides[side] = grown;
    grown[runs->counts[side]++] = (struct lap_gate_run){.cell_count = 0};
    return 0;
}

static bool is_path(const struct lap_gate_path *path, enum lap_summary_kind kind, const char *const *labels, size_t depth)
{
    if (path->kind != kind || path->depth != depth)
        return false;
    for (size_t i = depth; i-- > 0;) /* the last ones differ most */
        if (strcmp(path->labels[i], labels[i]) != 0)
            return false;
    return true;
}

/* Its index, met before or not; -ENOMEM. A run has its nodes in the same order as the one before, so the search starts behind
 * `after`. */
static int64_t find_path(struct lap_gate_runs *runs, enum lap_summary_kind kind, const char *const *labels, size_t depth,
                         size_t after)
{
    for (size_t i = 0; i < runs->path_count; i++) {
        const size_t at = (after + i) % runs->path_count;
        if (is_path(&runs->paths[at], kind, labels, depth))
            return (int64_t)at;
    }
    struct lap_gate_path *const grown = grow(runs->paths, runs->path_count, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    runs->paths = grown;
    struct lap_gate_path path = {.labels = calloc(depth + 1, sizeof(char *)), .kind = kind};
    while (path.labels && path.depth < depth && (path.labels[path.depth] = strdup(labels[path.depth])) != NULL)
        path.depth++;
    if (!path.labels || path.depth < depth) {
        path_done(&path);
        return -ENOMEM;
    }
    runs->paths[runs->path_count] = path;
    return (int64_t)runs->path_count++;
}

int lap_gate_runs_set(struct lap_gate_runs *runs, enum lap_gate_side side, enum lap_summary_kind kind,
                      const char *const *labels, size_t depth, const struct lap_gate_cell *cell)
{
    struct lap_gate_run *const run = &runs->sides[side][runs->counts[side] - 1];
    const int64_t found = find_path(runs, kind, labels, depth, run->cell_count);
    if (found < 0)
        return (int)found;
    const size_t at = (size_t)found;
    if (at >= run->cell_count) {
        struct lap_gate_cell *const cells = realloc(run->cells, (at + 1) * sizeof *cells);
        if (!cells)
            return -ENOMEM;
        memset(cells + run->cell_count, 0, (at + 1 - run->cell_count) * sizeof *cells);
        run->cells = cells;
        run->cell_count = at + 1;
    }
    run->cells[at] = *cell;
    return 0;
}

int lap_gate_runs_add_summary(struct lap_gate_runs *runs, enum lap_gate_side side, const struct lap_summary *summary)
{
    int error = lap_gate_runs_add(runs, side);
    const struct lap_summary_group *const group = summary->group_count > 0 ? &summary->groups[0] : NULL;
    for (size_t i = 0; group && i < group->node_count && error == 0; i++) {
        const struct lap_summary_node *const node = &group->nodes[i], *at = node;
        const char *labels[DEPTH_MAX];
        if (node->count == 0 || node->depth >= DEPTH_MAX)
            continue;
        for (size_t depth = node->depth + 1; depth-- > 0;
             at = at->parent == LAP_SUMMARY_NONE ? at : &group->nodes[at->parent])
            labels[depth] = at->label;
        const struct lap_gate_cell cell = {node->count, node->mean_ns, node->p50_ns, node->p99_ns};
        error = lap_gate_runs_set(runs, side, node->kind, labels, node->depth + 1, &cell);
    }
    return error;
}

struct lap_gate_cell lap_gate_runs_get(const struct lap_gate_runs *runs, enum lap_gate_side side, size_t run, size_t path)
{
    const struct lap_gate_run *const found = &runs->sides[side][run];
    return path < found->cell_count ? found->cells[path] : (struct lap_gate_cell){.count = 0};
}

struct lap_gate_cell lap_gate_runs_mean(const struct lap_gate_runs *runs, enum lap_gate_side side, size_t count,
                                        size_t path)
{
    struct lap_gate_cell sum = {.count = 0};
    double met = 0;
    for (size_t run = 0; run < count; run++) {
        const struct lap_gate_cell cell = lap_gate_runs_get(runs, side, run, path);
        sum.count += cell.count;
        sum.mean_ns += cell.mean_ns;
        sum.p50_ns += cell.p50_ns;
        sum.p99_ns += cell.p99_ns;
        met += cell.count > 0;
    }
    if (met == 0)
        return sum;
    return (struct lap_gate_cell){(uint64_t)llround((double)sum.count / met), sum.mean_ns / met, sum.p50_ns / met,
                                  sum.p99_ns / met};
}

static double total_ns(const struct lap_gate_runs *runs, enum lap_gate_side side, size_t count, size_t path)
{
    double total = 0;
    for (size_t run = 0; run < count; run++) {
        const struct lap_gate_cell cell = lap_gate_runs_get(runs, side, run, path);
        total += (double)cell.count * cell.mean_ns;
    }
    return total;
}

double lap_gate_runs_share(const struct lap_gate_runs *runs, size_t count, size_t path)
{
    double greatest = 0;
    for (enum lap_gate_side side = 0; side < LAP_GATE_SIDES; side++) {
        double whole = 0;
        for (size_t i = 0; i < runs->path_count; i++)
            if (runs->paths[i].depth == 1)
                whole += total_ns(runs, side, count, i);
        if (whole > 0)
            greatest = fmax(greatest, total_ns(runs, side, count, path) / whole);
    }
    return greatest;
}

enum lap_gate_choice lap_gate_runs_choose(const struct lap_gate_runs *runs, size_t count, size_t path)
{
    if (lap_gate_runs_share(runs, count, path) < LAP_GATE_SHARE)
        return LAP_GATE_SMALL;
    for (enum lap_gate_side side = 0; side < LAP_GATE_SIDES; side++)
        for (size_t run = 0; run < count; run++)
            if (!(lap_gate_runs_get(runs, side, run, path).mean_ns > 0))
                return LAP_GATE_NOT_ALWAYS;
    return LAP_GATE_GATED;
}
