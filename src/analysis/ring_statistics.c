/* SPDX-License-Identifier: MIT */
#include "ring_statistics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_BYTES (UINT64_C(4) << 20) /* a part has at least so many */

static struct lap_ring_position position_of(const struct lap_ring_statistics *result)
{
    if (result->source == LAP_SUMMARY_EVENTS)
        return (struct lap_ring_position){0, 0};
    const uint64_t applied = result->ring->statistics->applied;
    return (struct lap_ring_position){applied >> LAP_FORMAT_APPLIED_SHIFT,
                                      (uint32_t)(applied & ((1u << LAP_FORMAT_APPLIED_SHIFT) - 1))};
}

static void warn_if_behind(const struct lap_ring *ring)
{
    const uint64_t applied = ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
    if (ring->segment_count == 0 || applied >= ring->segments[0].header.sequence)
        return;
    char file[4096];
    snprintf(file, sizeof file, "%s/.lapmark/statistics-%04u", ring->process->directory, ring->number);
    lap_recording_warn(ring->process->recording, ring->process, LAP_READER_CHANGED, file,
                       offsetof(struct lap_format_statistics, applied),
                       "events that the statistics lack were overwritten");
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

static void parts_done(struct lap_ring_statistics *result)
{
    for (size_t i = 0; i < result->part_count; i++)
        lap_ring_part_done(&result->parts[i]);
    free(result->parts);
    result->parts = NULL;
    result->part_count = 0;
}

static int parts_make(struct lap_ring_statistics *result, size_t count)
{
    struct lap_ring *const ring = result->ring;
    const size_t segments = ring->segment_count - result->first;
    result->parts = calloc(count, sizeof *result->parts);
    if (!result->parts)
        return -ENOMEM;
    result->part_count = count;
    for (size_t i = 0; i < count; i++)
        result->parts[i] = (struct lap_ring_part){
            .ring = ring,
            .table = result->table,
            .first = result->first + segments * i / count,
            .end = result->first + segments * (i + 1) / count,
            .from = position_of(result),
            .base = i == 0 && result->source == LAP_SUMMARY_STORED ? ring->statistics : NULL,
        };
    return 0;
}

int lap_ring_statistics_plan(struct lap_ring_statistics *result, struct lap_ring *ring, struct lap_path_table *table,
                             enum lap_summary_source source, enum lap_ring_wants wants, size_t parts)
{
    *result = (struct lap_ring_statistics){
        .ring = ring, .table = table, .source = ring->statistics ? source : LAP_SUMMARY_EVENTS};
    if (result->source == LAP_SUMMARY_STORED) {
        warn_if_behind(ring);
        const uint64_t sequence = position_of(result).sequence;
        if (wants == LAP_RING_WANTS_CELLS)
            while (result->first < ring->segment_count && ring->segments[result->first].header.sequence < sequence)
                result->first++;
    }
    uint64_t bytes = 0;
    for (size_t i = result->first; i < ring->segment_count; i++)
        bytes += ring->segments[i].content_bytes;
    if (parts > bytes / PART_BYTES)
        parts = (size_t)(bytes / PART_BYTES);
    if (parts > ring->segment_count - result->first)
        parts = ring->segment_count - result->first;
    return parts_make(result, parts > 0 ? parts : 1);
}

/* ---- joining --------------------------------------------------------------------------------------------------------- */

static bool parts_fit(const struct lap_ring_statistics *result)
{
    if (result->first > 0 && result->parts[0].orphans != 0)
        return false; /* its segment does not tell of all that was open */
    for (size_t i = 1; i < result->part_count; i++)
        if (!lap_ring_part_is_continued(&result->parts[i - 1], &result->parts[i]))
            return false;
    return true;
}

static void counts_add(struct lap_ring_statistics *result, const struct lap_ring_part *part,
                       const struct lap_ring_part *previous)
{
    result->decoded += part->decoded;
    result->replayed += part->replayed;
    result->orphans += part->orphans;
    result->abandoned += part->abandoned;
    result->backward += part->backward;
    result->damaged_bytes += part->damaged_bytes;
    result->gaps += part->gaps;
    if (previous && previous->first_sequence <= previous->last_sequence && part->first_sequence <= part->last_sequence)
        result->gaps += part->first_sequence - previous->last_sequence - 1;
}

int lap_ring_statistics_join(struct lap_ring_statistics *result)
{
    int code = 0;
    if (!parts_fit(result)) {
        parts_done(result);
        result->first = 0;
        code = parts_make(result, 1);
        if (code == 0)
            code = lap_ring_part_run(&result->parts[0]);
        if (code < 0)
            return code;
    }
    for (size_t i = 0; i < result->part_count; i++)
        counts_add(result, &result->parts[i], i > 0 ? &result->parts[i - 1] : NULL);
    if (result->part_count == 1) {
        result->heap = result->parts[0].heap;
        result->parts[0].heap = NULL;
    } else {
        struct lap_statistics sum;
        const struct lap_format_statistics *const first = result->parts[0].heap;
        code = lap_heap_init(&sum, first, first->units, &result->table->paths);
        for (size_t i = 1; code == 0 && i < result->part_count; i++)
            lap_heap_add(&sum, result->parts[i].heap);
        if (code == 0)
            result->heap = lap_heap_finish(&sum);
        if (!result->heap)
            code = -ENOMEM;
    }
    parts_done(result);
    return code;
}

void lap_ring_statistics_done(struct lap_ring_statistics *result)
{
    parts_done(result);
    free(result->heap);
    result->heap = NULL;
}

int lap_ring_statistics_is_comparable(const struct lap_ring_statistics *result)
{
    const struct lap_ring *const ring = result->ring;
    return ring->statistics && !ring->is_provisional && ring->statistics->taken_back == 0 &&
           ring->statistics->laps_lost == 0 && ring->segment_count > 0 && ring->segments[0].header.sequence == 0 &&
           result->gaps == 0 && result->damaged_bytes == 0;
}
