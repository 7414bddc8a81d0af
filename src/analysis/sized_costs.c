/* SPDX-License-Identifier: MIT */
#include "sized_costs.h"

#include "fit_lines.h"

#include <errno.h>
#include <stdlib.h>

/* A size's bucket: itself below 64, and then 32 an octave. */
static uint32_t size_bucket(uint64_t n)
{
    const unsigned fine = 5;
    if (n < 2u << fine)
        return (uint32_t)n;
    const unsigned octave = 63u - (unsigned)__builtin_clzll(n);
    return (octave << fine) + ((uint32_t)(n >> (octave - fine)) & ((1u << fine) - 1));
}

static uint32_t hash(uint32_t size, uint32_t run)
{
    return (uint32_t)(((uint64_t)run << 32 | size) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* The place of a cell, or the empty one where it belongs. */
static uint32_t *place_of(const struct lap_sized_costs *costs, uint32_t size, uint32_t run)
{
    for (size_t at = hash(size, run);; at++) {
        uint32_t *const place = &costs->buckets[at & (costs->bucket_count - 1)];
        if (*place == 0 || (costs->cells[*place - 1].size == size && costs->cells[*place - 1].run == run))
            return place;
    }
}

static int cells_grow(struct lap_sized_costs *costs)
{
    const size_t room = costs->room ? 2 * costs->room : 16;
    struct lap_sized_costs_cell *const cells = realloc(costs->cells, room * sizeof *cells);
    if (!cells)
        return -ENOMEM;
    costs->cells = cells;
    uint32_t *const buckets = calloc(2 * room, sizeof *buckets);
    if (!buckets)
        return -ENOMEM;
    free(costs->buckets);
    costs->buckets = buckets;
    costs->bucket_count = 2 * room;
    costs->room = room;
    for (size_t i = 0; i < costs->count; i++)
        *place_of(costs, cells[i].size, cells[i].run) = (uint32_t)i + 1;
    return 0;
}

static struct lap_sized_costs_cell *cell_get(struct lap_sized_costs *costs, uint32_t size, uint32_t run)
{
    if (costs->count == costs->room && cells_grow(costs) != 0)
        return NULL;
    uint32_t *const place = place_of(costs, size, run);
    if (*place == 0) {
        costs->cells[costs->count] = (struct lap_sized_costs_cell){.size = size, .run = run};
        *place = (uint32_t)++costs->count;
    }
    return &costs->cells[*place - 1];
}

static int cell_add(struct lap_sized_costs_cell *cell, struct lap_random *random, double cost)
{
    if (cell->kept == cell->room && cell->room < LAP_SIZED_COSTS_KEPT) {
        const uint32_t room = cell->room ? 2 * cell->room : 1;
        float *const costs = realloc(cell->costs, room * sizeof *costs);
        if (!costs)
            return -ENOMEM;
        cell->costs = costs;
        cell->room = room;
    }
    cell->count++;
    const uint64_t place = cell->kept < cell->room ? cell->kept++ : lap_random_below(random, cell->count);
    if (place < cell->kept)
        cell->costs[place] = (float)cost;
    return 0;
}

int lap_sized_costs_add(struct lap_sized_costs *costs, uint32_t run, int64_t n, double cost)
{
    if (costs->added++ == 0)
        lap_random_seed(&costs->random, 1);
    struct lap_sized_costs_cell *const cell = cell_get(costs, size_bucket((uint64_t)n), run % LAP_SIZED_COSTS_RUNS);
    if (!cell || cell_add(cell, &costs->random, cost) != 0)
        return -ENOMEM;
    cell->sum_n += (double)n;
    costs->total += cost;
    return 0;
}

void lap_sized_costs_done(struct lap_sized_costs *costs)
{
    for (size_t i = 0; i < costs->count; i++)
        free(costs->cells[i].costs);
    free(costs->cells);
    free(costs->buckets);
    *costs = (struct lap_sized_costs){0};
}

static int by_size(const void *a, const void *b)
{
    const struct lap_sized_costs_cell *const *const p = a, *const *const q = b;
    return ((*p)->size > (*q)->size) - ((*p)->size < (*q)->size);
}

/* By size; cells of one size have one n. NULL: no memory. */
static struct lap_fit_cell *cells_make(const struct lap_sized_costs *costs)
{
    const struct lap_sized_costs_cell **const sorted = calloc(costs->count + 1, sizeof(struct lap_sized_costs_cell *));
    struct lap_fit_cell *const cells = sorted ? calloc(costs->count + 1, sizeof *cells) : NULL;
    for (size_t i = 0; cells && i < costs->count; i++)
        sorted[i] = &costs->cells[i];
    if (cells && costs->count > 0)
        qsort(sorted, costs->count, sizeof(struct lap_sized_costs_cell *), by_size);
    for (size_t i = 0, end; cells && i < costs->count; i = end) {
        double sum_n = 0, count = 0;
        for (end = i; end < costs->count && sorted[end]->size == sorted[i]->size; end++) {
            sum_n += sorted[end]->sum_n;
            count += (double)sorted[end]->count;
        }
        for (size_t k = i; k < end; k++)
            cells[k] = (struct lap_fit_cell){sum_n / count, sorted[k]->run, sorted[k]->kept, sorted[k]->costs};
    }
    free(sorted);
    return cells;
}

int lap_sized_costs_fit(struct lap_fit *ret_fit, const struct lap_sized_costs *costs, unsigned resamples)
{
    struct lap_fit_cell *const cells = cells_make(costs);
    const int code = cells ? lap_fit_make(ret_fit, cells, costs->count, resamples) : -ENOMEM;
    free(cells);
    return code;
}

int lap_sized_costs_points(struct lap_sized_costs_point **ret_points, size_t *ret_count,
                           const struct lap_sized_costs *costs)
{
    struct lap_fit_lines lines = {0};
    struct lap_fit_cell *const cells = cells_make(costs);
    struct lap_sized_costs_point *const points = calloc(costs->count + 1, sizeof *points);
    int code = cells && points ? lap_fit_lines_make(&lines, cells, costs->count) : -ENOMEM;
    if (code == 0) {
        lap_fit_lines_cost(&lines, NULL);
        for (size_t i = 0; i < lines.point_count; i++)
            points[i] = (struct lap_sized_costs_point){lines.points[i].n, lines.points[i].cost};
        *ret_points = points;
        *ret_count = lines.point_count;
    } else {
        free(points);
    }
    lap_fit_lines_done(&lines);
    free(cells);
    return code;
}
