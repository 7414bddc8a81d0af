/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "heap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES ((size_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES)
#define COUNTER_MAX (UINT64_C(1) << 56) /* nothing counts so far; and no counter looks like a cell */

static void *unit_of(const struct lap_format_statistics *heap, uint32_t unit)
{
    return (char *)(uintptr_t)heap + (size_t)unit * LAP_FORMAT_UNIT_BYTES;
}

static bool is_cell(const struct lap_format_cell *cell)
{
    return cell->magic == LAP_FORMAT_CELL_MAGIC && cell->path != 0 && cell->path <= LAP_FORMAT_PATHS;
}

const struct lap_format_cell *lap_heap_next(const struct lap_format_statistics *heap, uint32_t *unit)
{
    uint32_t at = *unit < LAP_FORMAT_FIRST_UNIT ? LAP_FORMAT_FIRST_UNIT : *unit;
    for (; at + 2 <= heap->units; at++) {
        const struct lap_format_cell *const cell = unit_of(heap, at);
        if (is_cell(cell)) {
            *unit = at + 2;
            return cell;
        }
    }
    *unit = at;
    return NULL;
}

const uint64_t *lap_heap_counters(const struct lap_format_statistics *heap, const struct lap_format_cell *cell,
                                  uint32_t octave)
{
    static const uint64_t zeros[LAP_FORMAT_CHUNK_COUNTERS];
    return cell->chunks[octave] == 0 ? zeros : unit_of(heap, cell->chunks[octave]);
}

/* ---- copying and adding -------------------------------------------------------------------------------------------- */

/* A chunk with these counters; 0 if the heap is full. */
static uint16_t chunk_append(struct lap_format_statistics *heap, const uint64_t *from)
{
    if (heap->units >= LAP_FORMAT_UNITS)
        return 0;
    uint64_t *const counters = unit_of(heap, heap->units);
    for (uint32_t i = 0; i < LAP_FORMAT_CHUNK_COUNTERS; i++)
        counters[i] = from[i] < COUNTER_MAX ? from[i] : 0;
    return (uint16_t)heap->units++;
}

/* Copies one cell with its counters; the unit it has, 0 if the heap is full. */
static uint32_t cell_append(struct lap_format_statistics *heap, const struct lap_format_statistics *other,
                            const struct lap_format_cell *from)
{
    if (heap->units + 2 > LAP_FORMAT_UNITS)
        return 0;
    const uint32_t unit = heap->units;
    struct lap_format_cell *const cell = unit_of(heap, unit);
    *cell = (struct lap_format_cell){.count = from->count,
                                     .sum_ticks = from->sum_ticks,
                                     .min_ticks = from->min_ticks,
                                     .max_ticks = from->max_ticks,
                                     .path = from->path,
                                     .magic = LAP_FORMAT_CELL_MAGIC};
    heap->units += 2;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        if (from->chunks[octave] != 0)
            cell->chunks[octave] = chunk_append(heap, lap_heap_counters(other, from, octave));
    return unit;
}

static void cell_add(struct lap_format_statistics *heap, struct lap_format_cell *cell,
                     const struct lap_format_statistics *other, const struct lap_format_cell *from)
{
    cell->count += from->count;
    cell->sum_ticks += from->sum_ticks;
    cell->min_ticks = from->min_ticks < cell->min_ticks ? from->min_ticks : cell->min_ticks;
    cell->max_ticks = from->max_ticks > cell->max_ticks ? from->max_ticks : cell->max_ticks;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        if (from->chunks[octave] == 0)
            continue;
        const uint64_t *const counters = lap_heap_counters(other, from, octave);
        if (cell->chunks[octave] == 0) {
            cell->chunks[octave] = chunk_append(heap, counters);
            continue;
        }
        uint64_t *const sums = unit_of(heap, cell->chunks[octave]);
        for (uint32_t i = 0; i < LAP_FORMAT_CHUNK_COUNTERS; i++)
            sums[i] += counters[i];
    }
}

static void heap_copy(struct lap_format_statistics *heap, const struct lap_format_statistics *stored, uint32_t units)
{
    uint64_t seen[LAP_FORMAT_PATHS / 64] = {0};
    *heap = *stored;
    heap->units = LAP_FORMAT_FIRST_UNIT;
    for (uint32_t unit = LAP_FORMAT_FIRST_UNIT; unit + 2 <= units; unit++) {
        const struct lap_format_cell *const cell = unit_of(stored, unit);
        if (!is_cell(cell))
            continue;
        unit++; /* a cell is two units */
        const uint32_t path = cell->path - 1;
        if (seen[path / 64] >> (path % 64) & 1)
            continue;
        seen[path / 64] |= UINT64_C(1) << (path % 64);
        if (cell_append(heap, stored, cell) == 0)
            return;
    }
}

void lap_heap_add(struct lap_statistics *statistics, const struct lap_format_statistics *other)
{
    struct lap_format_statistics *const heap = statistics->heap;
    heap->events += other->events;
    heap->laps_lost += other->laps_lost;
    uint32_t unit = 0;
    for (const struct lap_format_cell *cell; (cell = lap_heap_next(other, &unit));) {
        struct lap_format_cell *const known = lap_statistics_cell(statistics, cell->path - 1);
        if (known) {
            cell_add(heap, known, other, cell);
            continue;
        }
        const uint32_t added = cell_append(heap, other, cell);
        if (added != 0)
            statistics->cell_of_path[cell->path - 1] = (uint16_t)added;
        else
            heap->laps_lost += cell->count;
    }
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

int lap_heap_init(struct lap_statistics *statistics, const struct lap_format_statistics *stored, uint32_t units,
                  struct lap_paths *paths)
{
    /* Untouched pages cost nothing: room for all that there can ever be. */
    void *const heap = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *statistics = (struct lap_statistics){.heap = heap == MAP_FAILED ? NULL : heap,
                                          .units = LAP_FORMAT_UNITS,
                                          .paths = paths,
                                          .cell_of_path = calloc(LAP_FORMAT_PATHS, sizeof *statistics->cell_of_path),
                                          .cache = calloc(LAP_STATISTICS_CACHE, sizeof *statistics->cache)};
    if (!statistics->heap || !statistics->cell_of_path || !statistics->cache) {
        lap_heap_done(statistics);
        return -ENOMEM;
    }
    if (stored)
        heap_copy(statistics->heap, stored, units);
    lap_statistics_init(statistics);
    return 0;
}

void lap_heap_done(struct lap_statistics *statistics)
{
    if (statistics->heap)
        munmap(statistics->heap, HEAP_BYTES);
    free(statistics->cell_of_path);
    free(statistics->cache);
    *statistics = (struct lap_statistics){0};
}

struct lap_format_statistics *lap_heap_finish(struct lap_statistics *statistics)
{
    const size_t bytes = (size_t)statistics->heap->units * LAP_FORMAT_UNIT_BYTES;
    struct lap_format_statistics *const heap = malloc(bytes);
    if (heap)
        memcpy(heap, statistics->heap, bytes);
    lap_heap_done(statistics);
    return heap;
}
