/* SPDX-License-Identifier: MIT */
#include "summary.h"

#include "ring_statistics.h"
#include "summary_tree.h"
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THREADED_BYTES_MIN (UINT64_C(2) << 20) /* less is not worth a thread */

/* Behind summary->internal. */
struct kept {
    struct lap_summary_texts texts;
    struct lap_summary_process *processes; /* as in the recording */
    struct lap_recording *recording;
    struct lap_path_table *tables; /* where they are kept: one a process, */
    uint32_t **nodes_of_paths;     /* and their nodes */
};

struct making {
    struct lap_recording *recording;
    struct lap_path_table *tables;          /* one a process */
    struct lap_ring_statistics *statistics; /* one a ring */
    struct lap_ring_part **parts;           /* of all rings */
    size_t ring_count, part_count;
    bool shares_tables; /* they are another's, who frees them */
};

/* ---- the passes over the rings ------------------------------------------------------------------------------------- */

static size_t rings_of(const struct lap_recording *recording)
{
    size_t rings = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        rings += recording->processes[p]->ring_count;
    return rings;
}

static void making_done(struct making *making)
{
    for (size_t p = 0; making->tables && !making->shares_tables && p < making->recording->process_count; p++)
        lap_path_table_done(&making->tables[p]);
    for (size_t r = 0; making->statistics && r < making->ring_count; r++)
        lap_ring_statistics_done(&making->statistics[r]);
    if (!making->shares_tables)
        free(making->tables);
    free(making->statistics);
    free(making->parts);
}

static int making_plan(struct making *making, enum lap_summary_source source, enum lap_ring_wants wants, unsigned threads)
{
    const struct lap_recording *const recording = making->recording;
    size_t place = 0;
    for (size_t p = 0; p < recording->process_count; p++) {
        int code = making->shares_tables ? 0 : lap_path_table_init(&making->tables[p], recording->processes[p]);
        for (size_t r = 0; code == 0 && r < recording->processes[p]->ring_count; r++) {
            struct lap_ring_statistics *const statistics = &making->statistics[place++];
            /* More parts than threads, so that none waits for long at the end. */
            code = lap_ring_statistics_plan(statistics, &recording->processes[p]->rings[r], &making->tables[p], source,
                                            wants, threads > 1 ? 4u * threads : 1);
            making->part_count += code == 0 ? statistics->part_count : 0;
        }
        if (code < 0)
            return code;
    }
    making->parts = calloc(making->part_count + 1, sizeof(struct lap_ring_part *));
    if (!making->parts)
        return -ENOMEM;
    size_t part = 0;
    for (size_t r = 0; r < making->ring_count; r++)
        for (size_t i = 0; i < making->statistics[r].part_count; i++)
            making->parts[part++] = &making->statistics[r].parts[i];
    return 0;
}

static int part_run(struct lap_work *work, size_t piece)
{
    const struct making *const making = work->user;
    return lap_ring_part_run(making->parts[piece]);
}

static int making_run(struct making *making, const struct lap_summary_options *options)
{
    struct lap_work work = {.count = making->part_count,
                            .threads = options ? options->threads : 0,
                            .run = part_run,
                            .user = making,
                            .progress = options ? options->progress : NULL,
                            .progress_user = options ? options->user : NULL};
    for (size_t i = 0; i < making->part_count; i++) {
        struct lap_ring_part *const part = making->parts[i];
        part->done_bytes = &work.done_bytes;
        part->step = lap_work_step;
        part->user = &work;
        for (size_t s = part->first; s < part->end; s++)
            work.total_bytes += part->ring->segments[s].content_bytes;
    }
    if (work.total_bytes < THREADED_BYTES_MIN)
        work.threads = 1;
    int code = lap_work_run(&work);
    for (size_t r = 0; code == 0 && r < making->ring_count; r++)
        code = lap_ring_statistics_join(&making->statistics[r]);
    return code;
}

/* Reads all rings. Whatever it returns, making_done() is due. */
static int making_read(struct making *making, struct lap_recording *recording, const struct lap_summary_options *options,
                       enum lap_summary_source source, enum lap_ring_wants wants)
{
    making->recording = recording;
    making->ring_count = rings_of(recording);
    if (!making->shares_tables)
        making->tables = calloc(recording->process_count + 1, sizeof *making->tables);
    making->statistics = calloc(making->ring_count + 1, sizeof *making->statistics);
    if (!making->tables || !making->statistics)
        return -ENOMEM;
    const int code = making_plan(making, source, wants, lap_work_threads(options ? options->threads : 0));
    return code == 0 ? making_run(making, options) : code;
}

/* ---- head ---------------------------------------------------------------------------------------------------------- */

static void ring_count(struct lap_summary_process *counts, const struct lap_ring *ring,
                       const struct lap_ring_statistics *statistics, double *cost_ticks)
{
    const struct lap_format_control *const control = &ring->process->control;
    const struct lap_format_statistics *const heap = statistics->heap;
    const bool is_stored = statistics->source == LAP_SUMMARY_STORED;
    const uint64_t taken_back = is_stored && heap->taken_back <= heap->events ? heap->taken_back : 0;
    uint64_t events = is_stored ? heap->events - taken_back : statistics->decoded;
    if (events < statistics->decoded) /* of statistics that are damaged */
        events = statistics->decoded;
    counts->events += events;
    counts->events_decoded += statistics->decoded;
    counts->overwritten += events - statistics->decoded;
    counts->replayed += is_stored ? statistics->replayed : 0;
    counts->taken_back += taken_back;
    counts->samples_lost += heap->laps_lost;
    counts->orphans += statistics->orphans;
    counts->abandoned += statistics->abandoned;
    counts->backward += statistics->backward;
    counts->provisional += is_stored && ring->is_provisional;
    *cost_ticks += (double)(events + taken_back) * (double)control->event_ticks_x1000 / 1000 +
                   (double)(ring->statistics ? ring->statistics->batch_ticks : 0);
}

static void process_count(struct lap_summary *summary, const struct lap_summary_process *counts)
{
    summary->events += counts->events;
    summary->events_decoded += counts->events_decoded;
    summary->overwritten += counts->overwritten;
    summary->replayed += counts->replayed;
    summary->taken_back += counts->taken_back;
    summary->samples_lost += counts->samples_lost;
    summary->orphans += counts->orphans;
    summary->abandoned += counts->abandoned;
    summary->backward += counts->backward;
    summary->provisional += counts->provisional;
    summary->cost_ns += counts->cost_ns;
}

static void head_fill(struct lap_summary *summary, struct kept *kept, const struct making *making)
{
    uint64_t first_ns = UINT64_MAX, end_ns = 0;
    const struct lap_ring_statistics *statistics = making->statistics;
    for (size_t p = 0; p < making->recording->process_count; p++) {
        const struct lap_process *const process = making->recording->processes[p];
        struct lap_summary_process *const counts = &kept->processes[p];
        double cost_ticks = 0;
        for (size_t r = 0; r < process->ring_count; r++)
            ring_count(counts, &process->rings[r], statistics++, &cost_ticks);
        counts->cost_ns = cost_ticks * process->clock.ns_per_tick;
        process_count(summary, counts);
        summary->lost += process->lost;
        if (process->clock.resolution_ns > summary->resolution_ns)
            summary->resolution_ns = process->clock.resolution_ns;
        if (process->end_ticks == 0)
            continue;
        const uint64_t start_ticks = process->has_control ? process->clock.start_ticks : process->first_ticks;
        const uint64_t start = lap_timebase_realtime_ns(&process->clock, start_ticks);
        const uint64_t end = lap_timebase_realtime_ns(&process->clock, process->end_ticks);
        first_ns = start < first_ns ? start : first_ns;
        end_ns = end > end_ns ? end : end_ns;
    }
    summary->span_ns = end_ns > first_ns ? (double)(end_ns - first_ns) : 0;
}

/* ---- groups -------------------------------------------------------------------------------------------------------- */

static size_t groups_needed(const struct making *making, enum lap_summary_by by)
{
    return by == LAP_SUMMARY_BY_ALL       ? 1
           : by == LAP_SUMMARY_BY_PROCESS ? making->recording->process_count
                                          : making->ring_count;
}

static void group_describe(struct lap_summary_group *group, enum lap_summary_by by, const struct lap_ring *ring)
{
    if (by != LAP_SUMMARY_BY_ALL)
        group->process = ring->process;
    if (by == LAP_SUMMARY_BY_THREAD) {
        group->thread = ring->thread_count == 1 ? ring->thread : NULL;
        group->threads = ring->thread_count;
    }
}

static int groups_fill(struct lap_summary *summary, struct kept *kept, const struct making *making,
                       enum lap_summary_by by)
{
    const size_t needed = groups_needed(making, by);
    summary->groups = calloc(needed + 1, sizeof *summary->groups);
    if (!summary->groups)
        return -ENOMEM;
    struct lap_summary_tree tree = {.texts = &kept->texts, .nodes_of_paths = kept->nodes_of_paths};
    struct lap_call_join *join = NULL;
    int code = by == LAP_SUMMARY_BY_ALL ? lap_call_join_make(&join, making->recording) : 0;
    tree.grafts = (struct lap_summary_grafts){join, making->recording, making->tables};
    size_t place = 0;
    for (size_t p = 0; code == 0 && p < making->recording->process_count; p++) {
        const struct lap_process *const process = making->recording->processes[p];
        for (size_t r = 0; code == 0 && r < process->ring_count; r++, place++) {
            const size_t group = by == LAP_SUMMARY_BY_ALL ? 0 : by == LAP_SUMMARY_BY_PROCESS ? p : place;
            group_describe(&summary->groups[group], by, &process->rings[r]);
            code = lap_summary_tree_add(&tree, process, p, &making->tables[p].paths, &making->statistics[place]);
            if (code == 0 && by == LAP_SUMMARY_BY_THREAD)
                code = lap_summary_tree_finish(&tree, &summary->groups[summary->group_count++]);
            if (by == LAP_SUMMARY_BY_THREAD)
                lap_summary_tree_done(&tree);
        }
        if (code == 0 && by == LAP_SUMMARY_BY_PROCESS) {
            summary->groups[p].process = process;
            code = lap_summary_tree_finish(&tree, &summary->groups[summary->group_count++]);
            lap_summary_tree_done(&tree);
        }
    }
    if (code == 0 && by == LAP_SUMMARY_BY_ALL)
        code = lap_summary_tree_add_callers(&tree);
    if (code == 0 && by == LAP_SUMMARY_BY_ALL)
        code = lap_summary_tree_finish(&tree, &summary->groups[summary->group_count++]);
    lap_summary_tree_done(&tree);
    lap_call_join_free(join);
    return code;
}

/* ---- stored against events ----------------------------------------------------------------------------------------- */

static bool cells_equal(const struct lap_format_statistics *a, const struct lap_format_cell *p,
                        const struct lap_format_statistics *b, const struct lap_format_cell *q)
{
    if (p->count != q->count || p->sum_ticks != q->sum_ticks || p->min_ticks != q->min_ticks ||
        p->max_ticks != q->max_ticks)
        return false;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        if ((p->chunks[octave] | q->chunks[octave]) != 0 &&
            memcmp(lap_heap_counters(a, p, octave), lap_heap_counters(b, q, octave), LAP_FORMAT_UNIT_BYTES) != 0)
            return false;
    return true;
}

/* Where events lie behind the statistics' position, the thread may have been at the first, which it had counted, wholly or in
 * part, and not said so: a sample of one cell, or with an end two. */
#define CELLS_IN_DOUBT 2u

/* Finds the first path whose cells differ: its number and counts, or false if there is none. `cells` has room for two of
 * each path. */
static bool ring_differs(const struct lap_format_statistics *stored, const struct lap_format_statistics *events,
                         bool is_in_doubt, struct lap_summary_difference *difference,
                         const struct lap_format_cell **cells)
{
    unsigned in_doubt = is_in_doubt ? CELLS_IN_DOUBT : 0;
    static const struct lap_format_cell none = {.min_ticks = UINT64_MAX};
    const struct lap_format_statistics *const heaps[2] = {stored, events};
    memset(cells, 0, 2 * LAP_FORMAT_PATHS * sizeof *cells);
    for (size_t side = 0; side < 2; side++) {
        uint32_t unit = 0;
        for (const struct lap_format_cell *cell; (cell = lap_heap_next(heaps[side], &unit));)
            cells[2 * (cell->path - 1) + side] = cell;
    }
    for (uint32_t path = 0; path < LAP_FORMAT_PATHS; path++) {
        if (!cells[2 * path] && !cells[2 * path + 1])
            continue;
        const struct lap_format_cell *const p = cells[2 * path] ? cells[2 * path] : &none;
        const struct lap_format_cell *const q = cells[2 * path + 1] ? cells[2 * path + 1] : &none;
        if (cells_equal(stored, p, events, q))
            continue;
        if (in_doubt > 0 && (p->count == q->count || p->count == q->count + 1)) {
            in_doubt--;
            continue;
        }
        difference->path = path;
        difference->stored_count = p->count;
        difference->events_count = q->count;
        return true;
    }
    return false;
}

static void difference_describe(struct lap_summary_difference *difference, const struct lap_ring_statistics *events)
{
    const struct lap_process *const process = events->ring->process;
    const struct lap_paths *const paths = &events->table->paths;
    difference->process = process;
    difference->ring = events->ring->number;
    difference->label = lap_catalog_name(
        &process->catalog, difference->path < paths->header->count ? paths->entries[difference->path].class_id : 0);
}

/* Compares with statistics that were made from the events. 1, 0 or a negative errno. */
static int making_compare(const struct making *events, const struct lap_summary_options *options,
                          struct lap_summary_difference *difference)
{
    /* The same tables, so that a path has one number. */
    struct making stored = {.tables = events->tables, .shares_tables = true};
    struct lap_summary_options quiet = options ? *options : (struct lap_summary_options){0};
    quiet.progress = NULL;
    const struct lap_format_cell **const cells = calloc(2 * LAP_FORMAT_PATHS, sizeof *cells);
    *difference = (struct lap_summary_difference){0};
    const int code =
        cells ? making_read(&stored, events->recording, &quiet, LAP_SUMMARY_STORED, LAP_RING_WANTS_CELLS) : -ENOMEM;
    for (size_t r = 0; code == 0 && r < events->ring_count; r++) {
        if (!lap_ring_statistics_is_comparable(&events->statistics[r])) {
            difference->rings_skipped++;
            continue;
        }
        difference->rings_compared++;
        if (!difference->process && ring_differs(stored.statistics[r].heap, events->statistics[r].heap,
                                                 stored.statistics[r].replayed != 0, difference, cells))
            difference_describe(difference, &events->statistics[r]);
    }
    if (stored.recording)
        making_done(&stored);
    free(cells);
    return code < 0 ? code : !difference->process;
}

int lap_summary_compare(struct lap_recording *recording, const struct lap_summary_options *options,
                        struct lap_summary_difference *ret_difference)
{
    struct making events = {0};
    int code = making_read(&events, recording, options, LAP_SUMMARY_EVENTS, LAP_RING_WANTS_CELLS);
    if (code == 0)
        code = making_compare(&events, options, ret_difference);
    making_done(&events);
    return code;
}

/* ---- what is kept of the paths --------------------------------------------------------------------------------------- */

static int paths_keep(struct kept *kept)
{
    const size_t count = kept->recording->process_count;
    kept->nodes_of_paths = calloc(count + 1, sizeof *kept->nodes_of_paths);
    for (size_t p = 0; kept->nodes_of_paths && p < count; p++) {
        kept->nodes_of_paths[p] = malloc(LAP_FORMAT_PATHS * sizeof **kept->nodes_of_paths);
        if (!kept->nodes_of_paths[p])
            return -ENOMEM;
        for (uint32_t path = 0; path < LAP_FORMAT_PATHS; path++)
            kept->nodes_of_paths[p][path] = LAP_SUMMARY_NONE;
    }
    return kept->nodes_of_paths ? 0 : -ENOMEM;
}

static void paths_done(struct kept *kept)
{
    for (size_t p = 0; p < kept->recording->process_count; p++) {
        if (kept->tables)
            lap_path_table_done(&kept->tables[p]);
        if (kept->nodes_of_paths)
            free(kept->nodes_of_paths[p]);
    }
    free(kept->tables);
    free(kept->nodes_of_paths);
}

struct lap_paths *lap_summary_get_paths(const struct lap_summary *summary, size_t process, const uint32_t **ret_nodes)
{
    const struct kept *const kept = summary->internal;
    *ret_nodes = kept->nodes_of_paths[process];
    return &kept->tables[process].paths;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

int lap_summary_make(struct lap_summary **ret_summary, struct lap_recording *recording,
                     const struct lap_summary_options *options)
{
    struct lap_summary *const summary = calloc(1, sizeof *summary);
    struct kept *const kept = calloc(1, sizeof *kept);
    if (!summary || !kept || !(kept->processes = calloc(recording->process_count + 1, sizeof *kept->processes))) {
        free(summary);
        free(kept);
        return -ENOMEM;
    }
    kept->recording = recording;
    summary->internal = kept;
    summary->source = options ? options->source : LAP_SUMMARY_STORED;
    struct making making = {0};
    int code = making_read(&making, recording, options, summary->source, LAP_RING_WANTS_COUNTS);
    if (code == 0 && options && options->compares && options->source == LAP_SUMMARY_EVENTS) {
        summary->comparison = making_compare(&making, options, &summary->difference);
        code = summary->comparison < 0 ? summary->comparison : 0;
    }
    if (code == 0 && options && options->keeps_paths)
        code = paths_keep(kept);
    if (code == 0) {
        head_fill(summary, kept, &making);
        code = groups_fill(summary, kept, &making, options ? options->by : LAP_SUMMARY_BY_ALL);
    }
    if (kept->nodes_of_paths) {
        kept->tables = making.tables;
        making.tables = NULL;
    }
    making_done(&making);
    if (code < 0) {
        lap_summary_free(summary);
        return code;
    }
    *ret_summary = summary;
    return 0;
}

void lap_summary_free(struct lap_summary *summary)
{
    if (!summary)
        return;
    for (size_t g = 0; g < summary->group_count; g++) {
        for (size_t i = 0; i < summary->groups[g].node_count; i++) {
            free(summary->groups[g].nodes[i].callers);
            lap_distribution_done(summary->groups[g].nodes[i].distribution);
            free(summary->groups[g].nodes[i].distribution);
        }
        free(summary->groups[g].nodes);
    }
    struct kept *const kept = summary->internal;
    lap_summary_texts_done(&kept->texts);
    paths_done(kept);
    free(kept->processes);
    free(kept);
    free(summary->groups);
    free(summary);
}

void lap_summary_get_process(const struct lap_summary *summary, const struct lap_process *process,
                             struct lap_summary_process *ret_counts)
{
    const struct kept *const kept = summary->internal;
    *ret_counts = kept->processes[process->index];
}
