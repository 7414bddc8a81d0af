/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring_statistics.h"

#include "cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAP_BYTES ((size_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES)
#define PATH_CACHE 1024u

/* ---- paths --------------------------------------------------------------------------------------------------------- */

int lap_path_table_init(struct lap_path_table *table, const struct lap_process *process)
{
    table->memory = calloc(1, LAP_PATHS_BYTES);
    table->buckets = calloc(1, LAP_PATHS_BUCKETS_BYTES);
    if (!table->memory || !table->buckets) {
        free(table->memory);
        free(table->buckets);
        return -ENOMEM;
    }
    struct lap_format_paths *const header = table->memory;
    *header = (struct lap_format_paths){LAP_FORMAT_PATHS_MAGIC, LAP_FORMAT_VERSION, process->path_count};
    memcpy(header + 1, process->path_entries, process->path_count * sizeof *process->path_entries);
    lap_paths_init(&table->paths, table->memory, table->buckets);
    return 0;
}

void lap_path_table_done(struct lap_path_table *table)
{
    if (!table->memory)
        return;
    pthread_mutex_destroy(&table->paths.lock);
    free(table->memory);
    free(table->buckets);
    table->memory = NULL;
}

/* ---- state only: what events before the statistics' position leave open -------------------------------------------- */

struct path_cached {
    uint32_t parent; /* + 1; 0 is empty */
    uint32_t class_id;
    uint32_t path;
};

struct pass {
    struct lap_cursor *cursor;
    struct lap_paths *paths;
    struct lap_statistics statistics;
    struct path_cached path_cache[PATH_CACHE];
};

static inline void state_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct pass *const pass = user;
    if (event->class->kind == LAP_CLASS_OPEN) {
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
    struct path_cached *const cached = &pass->path_cache[event->class_id & (PATH_CACHE - 1)];
    if (cached->parent != parent + 1 || cached->class_id != event->class_id)
        *cached = (struct path_cached){parent + 1, event->class_id, lap_paths_get(pass->paths, parent, event->class_id)};
    scope->path = cached->path;
}

static struct lap_decode_result state_run(struct pass *pass, uint32_t from, uint32_t to)
{
    static const struct lap_visitor visitor = {.begin = state_begin};
    const struct lap_cursor *const cursor = pass->cursor;
    return lap_decode(&pass->cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, from, to, &visitor, pass);
}

/* ---- a ring -------------------------------------------------------------------------------------------------------- */

static void segment_run(struct pass *pass, uint64_t applied, struct lap_ring_statistics *result)
{
    struct lap_cursor *const cursor = pass->cursor;
    const uint64_t sequence = cursor->segment->header.sequence, applied_sequence = applied >> LAP_FORMAT_APPLIED_SHIFT;
    const uint32_t applied_offset = (uint32_t)(applied & ((1u << LAP_FORMAT_APPLIED_SHIFT) - 1));
    uint32_t split = cursor->offset;
    if (sequence < applied_sequence)
        split = cursor->to;
    else if (sequence == applied_sequence && applied_offset > split)
        split = applied_offset < cursor->to ? applied_offset & ~7u : cursor->to;
    struct lap_decode_result decoded = {.offset = split};
    if (split > cursor->offset)
        decoded = state_run(pass, cursor->offset, split);
    /* An event that lies across the split is damage of the position, not of the event. */
    if (decoded.offset < cursor->to && (decoded.error == LAP_DECODE_OK || (decoded.error == LAP_DECODE_SIZE && split < cursor->to))) {
        const uint64_t before = cursor->decoder.events;
        decoded = lap_statistics_run(&pass->statistics, &cursor->decoder, cursor->data, cursor->segment->header.begin_ticks,
                                     sequence, decoded.offset, cursor->to);
        result->replayed += cursor->decoder.events - before;
    }
    lap_cursor_decoded(cursor, decoded);
}

static void *unit_of(const struct lap_format_statistics *heap, uint32_t unit)
{
    return (char *)(uintptr_t)heap + (size_t)unit * LAP_FORMAT_UNIT_BYTES;
}

/* Copies one cell with its counters; false if the heap is full. */
static bool cell_copy(struct lap_format_statistics *heap, const struct lap_format_statistics *stored,
                      const struct lap_format_cell *from)
{
    if (heap->units + 2 > LAP_FORMAT_UNITS)
        return false;
    struct lap_format_cell *const cell = unit_of(heap, heap->units);
    *cell = (struct lap_format_cell){.count = from->count,
                                     .sum_ticks = from->sum_ticks,
                                     .min_ticks = from->min_ticks,
                                     .max_ticks = from->max_ticks,
                                     .path = from->path,
                                     .magic = LAP_FORMAT_CELL_MAGIC};
    heap->units += 2;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        if (from->chunks[octave] == 0)
            continue;
        if (heap->units >= LAP_FORMAT_UNITS)
            return false;
        uint64_t *const counters = unit_of(heap, heap->units);
        memcpy(counters, unit_of(stored, from->chunks[octave]), LAP_FORMAT_UNIT_BYTES);
        for (uint32_t i = 0; i < LAP_FORMAT_CHUNK_COUNTERS; i++)
            if (counters[i] > from->count || counters[i] >> 56 != 0)
                counters[i] = 0;
        cell->chunks[octave] = (uint16_t)heap->units++;
    }
    return true;
}

/* Makes a heap anew from the cells of a stored one: what damage could have put into it, cells that lie in one another or
 * counters that lie in cells, is not copied, so that adding to it is safe. */
static void heap_copy(struct lap_format_statistics *heap, const struct lap_format_statistics *stored, uint32_t units)
{
    uint64_t seen[LAP_FORMAT_PATHS / 64] = {0};
    *heap = *stored;
    heap->units = LAP_FORMAT_FIRST_UNIT;
    for (uint32_t unit = LAP_FORMAT_FIRST_UNIT; unit + 2 <= units; unit++) {
        const struct lap_format_cell *const cell = unit_of(stored, unit);
        if (cell->magic != LAP_FORMAT_CELL_MAGIC || cell->path == 0 || cell->path > LAP_FORMAT_PATHS)
            continue;
        unit++;
        const uint32_t path = cell->path - 1;
        if (seen[path / 64] >> (path % 64) & 1)
            continue;
        seen[path / 64] |= UINT64_C(1) << (path % 64);
        if (!cell_copy(heap, stored, cell))
            return;
    }
}

static int statistics_open(struct lap_statistics *statistics, const struct lap_format_statistics *stored, uint32_t units,
                           struct lap_paths *paths)
{
    /* Untouched pages cost nothing: room for all that there can ever be. */
    void *const heap = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *statistics = (struct lap_statistics){.units = LAP_FORMAT_UNITS,
                                          .paths = paths,
                                          .cell_of_path = calloc(LAP_FORMAT_PATHS, sizeof *statistics->cell_of_path),
                                          .cache = calloc(LAP_STATISTICS_CACHE, sizeof *statistics->cache)};
    if (heap == MAP_FAILED || !statistics->cell_of_path || !statistics->cache) {
        if (heap != MAP_FAILED)
            munmap(heap, HEAP_BYTES);
        free(statistics->cell_of_path);
        free(statistics->cache);
        return -ENOMEM;
    }
    statistics->heap = heap;
    if (stored)
        heap_copy(heap, stored, units);
    lap_statistics_init(statistics);
    return 0;
}

/* Keeps the used part of the heap and frees the rest. */
static int statistics_close(struct lap_statistics *statistics, struct lap_format_statistics **ret_heap)
{
    const size_t bytes = (size_t)statistics->heap->units * LAP_FORMAT_UNIT_BYTES;
    struct lap_format_statistics *const heap = malloc(bytes);
    if (heap)
        memcpy(heap, statistics->heap, bytes);
    munmap(statistics->heap, HEAP_BYTES);
    free(statistics->cell_of_path);
    free(statistics->cache);
    *ret_heap = heap;
    return heap ? 0 : -ENOMEM;
}

static void warn_if_behind(const struct lap_ring *ring)
{
    const uint64_t applied = ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
    if (ring->segment_count == 0 || applied >= ring->segments[0].header.sequence)
        return;
    char file[4096];
    snprintf(file, sizeof file, "%s/.lapmark/statistics-%04u", ring->process->directory, ring->number);
    lap_recording_warn(ring->process->recording, ring->process, LAP_READER_CHANGED, file,
                       offsetof(struct lap_format_statistics, applied), "events that the statistics lack were overwritten");
}

int lap_ring_statistics_make(struct lap_ring_statistics *result, struct lap_ring *ring, struct lap_path_table *table,
                             enum lap_summary_source source, uint64_t *done_bytes, void (*step)(void *user), void *user)
{
    *result = (struct lap_ring_statistics){.source = ring->statistics ? source : LAP_SUMMARY_EVENTS};
    const struct lap_format_statistics *const stored = result->source == LAP_SUMMARY_STORED ? ring->statistics : NULL;
    struct pass *const pass = calloc(1, sizeof *pass);
    if (!pass || statistics_open(&pass->statistics, stored, ring->statistics_units, &table->paths) < 0) {
        free(pass);
        return -ENOMEM;
    }
    pass->paths = &table->paths;
    if (stored)
        warn_if_behind(ring);
    int code = lap_cursor_make(&pass->cursor, ring);
    while (code == 0 && (code = lap_cursor_load(pass->cursor)) == 1) {
        segment_run(pass, stored ? stored->applied : 0, result);
        if (done_bytes)
            __atomic_fetch_add(done_bytes, pass->cursor->segment->content_bytes, __ATOMIC_RELAXED);
        if (step)
            step(user);
        code = 0;
    }
    if (pass->cursor) {
        const struct lap_decoder *const decoder = &pass->cursor->decoder;
        result->decoded = decoder->events;
        result->orphans = decoder->orphans;
        result->abandoned = decoder->abandoned;
        result->backward = decoder->backward;
        result->gaps = pass->cursor->gaps;
        result->damaged_bytes = pass->cursor->damaged_bytes;
    }
    lap_cursor_free(pass->cursor);
    const int closed = statistics_close(&pass->statistics, &result->heap);
    free(pass);
    return code < 0 ? code : closed;
}

void lap_ring_statistics_done(struct lap_ring_statistics *result)
{
    free(result->heap);
    result->heap = NULL;
}

const struct lap_format_cell *lap_ring_statistics_next(const struct lap_ring_statistics *result, uint32_t *unit)
{
    uint32_t at = *unit < LAP_FORMAT_FIRST_UNIT ? LAP_FORMAT_FIRST_UNIT : *unit;
    for (; at + 2 <= result->heap->units; at++) {
        const struct lap_format_cell *const cell =
            unit_of(result->heap, at);
        if (cell->magic == LAP_FORMAT_CELL_MAGIC && cell->path != 0 && cell->path <= LAP_FORMAT_PATHS) {
            *unit = at + 2;
            return cell;
        }
    }
    *unit = at;
    return NULL;
}

int lap_ring_statistics_is_comparable(const struct lap_ring *ring, const struct lap_ring_statistics *result)
{
    return ring->statistics && !ring->is_provisional && ring->statistics->taken_back == 0 && ring->statistics->laps_lost == 0 &&
           ring->segment_count > 0 && ring->segments[0].header.sequence == 0 && result->gaps == 0 && result->damaged_bytes == 0;
}
