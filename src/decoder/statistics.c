/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include <errno.h>
#include <string.h>

static void *unit_at(const struct lap_statistics *statistics, uint32_t unit)
{
    return (char *)statistics->heap + (size_t)unit * LAP_FORMAT_UNIT_BYTES;
}

/* Takes `count` units of zeros from the heap; 0 when there are none. The heap may move. */
static uint32_t units_take(struct lap_statistics *statistics, uint32_t count)
{
    const uint32_t first = statistics->heap->units;
    if (first + count > LAP_FORMAT_UNITS)
        return 0;
    if (first + count > statistics->units) {
        if (!statistics->grow || statistics->grow(statistics) < 0 || first + count > statistics->units)
            return 0;
        memset(statistics->cache, 0, LAP_STATISTICS_CACHE * sizeof *statistics->cache);
    }
    statistics->heap->units = first + count;
    return first;
}

static uint32_t cell_make(struct lap_statistics *statistics, uint32_t path)
{
    const uint32_t unit = units_take(statistics, 2);
    if (unit == 0)
        return 0;
    struct lap_format_cell *const cell = unit_at(statistics, unit);
    cell->min_ticks = UINT64_MAX;
    cell->magic = LAP_FORMAT_CELL_MAGIC;
    cell->path = path + 1;
    statistics->cell_of_path[path] = (uint16_t)unit;
    return unit;
}

void lap_statistics_init(struct lap_statistics *statistics)
{
    struct lap_format_statistics *const heap = statistics->heap;
    if (heap->magic != LAP_FORMAT_STATISTICS_MAGIC) {
        heap->version = LAP_FORMAT_VERSION;
        heap->units = LAP_FORMAT_FIRST_UNIT;
        heap->magic = LAP_FORMAT_STATISTICS_MAGIC;
        return;
    }
    if (heap->units > statistics->units)
        heap->units = statistics->units;
    for (uint32_t unit = LAP_FORMAT_FIRST_UNIT; unit + 2 <= heap->units; unit++) {
        const struct lap_format_cell *const cell = unit_at(statistics, unit);
        if (cell->magic == LAP_FORMAT_CELL_MAGIC && cell->path != 0 && cell->path <= LAP_FORMAT_PATHS &&
            statistics->cell_of_path[cell->path - 1] == 0)
            statistics->cell_of_path[cell->path - 1] = (uint16_t)unit;
    }
}

struct lap_format_cell *lap_statistics_cell(const struct lap_statistics *statistics, uint32_t path)
{
    const uint32_t unit = path < LAP_FORMAT_PATHS ? statistics->cell_of_path[path] : 0;
    return unit == 0 ? NULL : unit_at(statistics, unit);
}

/* The first value of an octave: its counters are made. The cell may move. */
static __attribute__((cold, noinline)) void cell_add_octave(struct lap_statistics *statistics, uint32_t path, uint32_t octave,
                                                            uint32_t counter)
{
    const uint32_t unit = units_take(statistics, 1);
    struct lap_format_cell *const cell = lap_statistics_cell(statistics, path);
    if (unit == 0 || octave >= LAP_FORMAT_OCTAVES) {
        statistics->heap->laps_lost++;
        return;
    }
    ((uint64_t *)unit_at(statistics, unit))[counter] = 1;
    cell->chunks[octave] = (uint16_t)unit;
}

static inline __attribute__((always_inline)) void cell_add(struct lap_statistics *statistics, struct lap_format_cell *cell, uint64_t ticks)
{
    cell->count++;
    cell->sum_ticks += ticks;
    if (ticks < cell->min_ticks)
        cell->min_ticks = ticks;
    if (ticks > cell->max_ticks)
        cell->max_ticks = ticks;
    uint32_t octave, counter;
    lap_histogram_bucket(ticks, &octave, &counter);
    const uint32_t unit = octave < LAP_FORMAT_OCTAVES ? cell->chunks[octave] : 0;
    if (__builtin_expect(unit != 0, 1))
        ((uint64_t *)unit_at(statistics, unit))[counter]++;
    else
        cell_add_octave(statistics, cell->path - 1, octave, counter);
}

/* The path of a class under a parent, and its cell (NULL: no memory), by way of the cache. */
static __attribute__((cold, noinline)) struct lap_statistics_cached *cache_fill(struct lap_statistics *statistics, uint32_t parent,
                                                                                uint32_t class_id)
{
    const uint32_t path = lap_paths_get(statistics->paths, parent, class_id);
    if (statistics->cell_of_path[path] == 0)
        cell_make(statistics, path);
    struct lap_statistics_cached *const cached = &statistics->cache[class_id & (LAP_STATISTICS_CACHE - 1)];
    *cached = (struct lap_statistics_cached){parent + 1, class_id, lap_statistics_cell(statistics, path), path, 0};
    return cached;
}

static inline __attribute__((always_inline)) struct lap_statistics_cached *cache_get(struct lap_statistics *statistics, uint32_t parent,
                                                                                     uint32_t class_id)
{
    struct lap_statistics_cached *const cached = &statistics->cache[class_id & (LAP_STATISTICS_CACHE - 1)];
    if (__builtin_expect(cached->parent == parent + 1 && cached->class_id == class_id, 1))
        return cached;
    return cache_fill(statistics, parent, class_id);
}

int lap_statistics_add(struct lap_statistics *statistics, uint32_t path, uint64_t ticks)
{
    if (statistics->cell_of_path[path] == 0 && cell_make(statistics, path) == 0) {
        statistics->heap->laps_lost++;
        return -ENOMEM;
    }
    cell_add(statistics, lap_statistics_cell(statistics, path), ticks);
    return 0;
}

static inline __attribute__((always_inline)) void add_under(struct lap_statistics *statistics, uint32_t parent, uint32_t class_id, uint64_t ticks)
{
    struct lap_format_cell *const cell = cache_get(statistics, parent, class_id)->cell;
    if (__builtin_expect(cell != NULL, 1))
        cell_add(statistics, cell, ticks);
    else
        statistics->heap->laps_lost++;
}

/* ---- the visitor: what each event adds --------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void on_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope, uint64_t lap)
{
    (void)decoder;
    add_under(user, scope->path, event->class_id, lap);
}

static inline __attribute__((always_inline)) void on_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct lap_statistics *const statistics = user;
    if (event->class->kind == LAP_CLASS_OPEN) { /* its path is stored */
        if (scope->path >= LAP_FORMAT_PATHS)
            scope->path = LAP_PATHS_OTHER;
        return;
    }
    uint32_t parent = decoder->depth > 1 ? scope[-1].path : LAP_PATHS_ROOT;
    if (event->class->kind == LAP_CLASS_BEGIN_WITH) {
        const struct lap_format_begin_with *const with = lap_event_payload(event->words, event->class);
        if (with->parent != 0 && with->path < LAP_FORMAT_PATHS)
            parent = with->path;
    }
    scope->path = cache_get(statistics, parent, event->class_id)->path;
}

static inline __attribute__((always_inline)) void on_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope, uint64_t total,
                   uint64_t rest)
{
    (void)event;
    struct lap_statistics *const statistics = user;
    if (scope->marks != 0)
        add_under(statistics, scope->path, LAP_FORMAT_REST, rest);
    const uint32_t parent = decoder->depth > 1 ? scope[-1].path : LAP_PATHS_ROOT;
    struct lap_statistics_cached *const cached = &statistics->cache[scope->class_id & (LAP_STATISTICS_CACHE - 1)];
    if (__builtin_expect(cached->path == scope->path && cached->parent == parent + 1 && cached->class_id == scope->class_id && cached->cell, 1))
        cell_add(statistics, cached->cell, total);
    else
        lap_statistics_add(statistics, scope->path, total);
}

static void on_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    (void)decoder;
    struct lap_statistics *const statistics = user;
    if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
        if (mark->path < LAP_FORMAT_PATHS)
            lap_statistics_add(statistics, mark->path, mark->lap_ticks);
    } else if (event->class->kind == LAP_CLASS_HANDLE_END) {
        const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
        if (end->path >= LAP_FORMAT_PATHS)
            return;
        if (end->marks != 0)
            add_under(statistics, end->path, LAP_FORMAT_REST, end->lap_ticks);
        lap_statistics_add(statistics, end->path, end->total_ticks);
    }
}

/* The commit of one event's samples: a kill before it makes a reader apply the event again, after it not. */
static inline __attribute__((always_inline)) void on_done(void *user, struct lap_decoder *decoder, uint32_t end)
{
    struct lap_statistics *const statistics = user;
    (void)decoder;
    __atomic_store_n(&statistics->heap->applied, statistics->sequence | end, __ATOMIC_RELEASE);
}

struct lap_decode_result lap_statistics_run(struct lap_statistics *statistics, struct lap_decoder *decoder, const void *segment,
                                            uint64_t begin_ticks, uint64_t sequence, uint32_t from, uint32_t to)
{
    static const struct lap_visitor visitor = {
        .mark = on_mark, .begin = on_begin, .end = on_end, .handle = on_handle, .done = on_done};
    const uint64_t events = decoder->events;
    statistics->sequence = sequence << LAP_FORMAT_APPLIED_SHIFT;
    const struct lap_decode_result result = lap_decode(decoder, segment, begin_ticks, from, to, &visitor, statistics);
    statistics->heap->events += decoder->events - events;
    return result;
}
