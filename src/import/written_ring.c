/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "written_ring.h"

#include "temporary_files.h"
#include "written_statistics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES (1u << 20)
#define MESSAGE_BYTES 96u /* of a state dump, with its 0 */

struct ring {
    const struct lap_written_process *process;
    const struct lap_foreign_thread *thread;
    uint32_t number;
    char *segment;
    uint32_t used; /* 0: none is begun */
    uint64_t sequence;
    struct lap_foreign_nest nest; /* what is open */
    size_t next_stored, end_stored;
    struct lap_written_statistics statistics;
    int code;
};

static const struct lap_foreign_trace *trace_of(const struct ring *ring) { return ring->process->layout->trace; }

static const struct lap_foreign_slice *slice_at(const struct ring *ring, uint32_t index)
{
    return &ring->process->layout->slices->slices[index];
}

static uint32_t class_of(const struct ring *ring, const struct lap_foreign_slice *slice, enum lap_foreign_use use)
{
    return lap_foreign_class_get(ring->process->layout->classes, slice->name, use, false);
}

/* ---- segments ------------------------------------------------------------------------------------------------------ */

static void file_write(struct ring *ring, bool is_segment)
{
    char *path;
    const int length = is_segment
                           ? asprintf(&path, "%s/stream-%04u-%08llu", ring->process->directory, ring->number,
                                      (unsigned long long)ring->sequence)
                           : asprintf(&path, "%s/.lapmark/statistics-%04u", ring->process->directory, ring->number);
    if (length < 0) {
        ring->code = -ENOMEM;
        return;
    }
    ring->code = is_segment ? lap_temporary_file(path, ring->segment, ring->used)
                            : lap_written_statistics_write(&ring->statistics, path);
    free(path);
}

static void segment_write(struct ring *ring)
{
    struct lap_format_segment *const header = (struct lap_format_segment *)(void *)ring->segment;
    header->content_bits = header->packet_bits = ring->used * UINT64_C(8);
    if (ring->sequence == 0)
        ring->code = lap_written_statistics_make(&ring->statistics, ring->process->classes, ring->process->class_count,
                                                 &ring->process->layout->paths);
    if (ring->code < 0)
        return;
    lap_written_statistics_add(&ring->statistics, ring->segment);
    file_write(ring, true);
    ring->sequence++;
    ring->used = 0;
}

static void segment_begin(struct ring *ring, uint64_t ticks)
{
    struct lap_format_segment header = {.magic = LAP_FORMAT_PACKET_MAGIC,
                                        .stream = ring->number,
                                        .begin_ticks = ticks,
                                        .sequence = ring->sequence,
                                        .thread_id = ring->thread->tid,
                                        .thread_index = ring->thread->index,
                                        .clock_ticks = ticks,
                                        .clock_monotonic_ns = ticks,
                                        .clock_realtime_ns = ring->process->origin_realtime_ns + ticks};
    memcpy(header.uuid, ring->process->uuid, sizeof header.uuid);
    if (ring->thread->name != LAP_FOREIGN_NONE) {
        size_t bytes;
        const char *const name = lap_foreign_texts_get(&trace_of(ring)->names, ring->thread->name, &bytes);
        memcpy(header.thread_name, name, bytes < sizeof header.thread_name ? bytes : sizeof header.thread_name - 1);
    }
    memcpy(ring->segment, &header, sizeof header);
    ring->used = sizeof header;
}

static void put(struct ring *ring, const void *bytes, size_t count)
{
    memcpy(ring->segment + ring->used, bytes, count);
    ring->used += (uint32_t)count;
}

static void word_put(struct ring *ring, uint64_t ticks, uint32_t class_id)
{
    const uint64_t word = ticks << LAP_FORMAT_CLOCK_SHIFT | class_id;
    put(ring, &word, sizeof word);
}

/* The state dump of one that is open, by the names of format.h. */
static void open_put(struct ring *ring, uint64_t ticks, uint32_t depth)
{
    const struct lap_foreign_slice *const slice = slice_at(ring, ring->nest.slices[depth]);
    const uint64_t begin_ticks = lap_written_ticks(ring->process, slice->begin_ns);
    char message[MESSAGE_BYTES + 16] = {0}; /* and zeros to the next word, and the tail */
    size_t bytes;
    const char *const name = lap_foreign_texts_get(&trace_of(ring)->names, slice->name, &bytes);
    bytes = bytes < MESSAGE_BYTES ? bytes : MESSAGE_BYTES - 1;
    memcpy(message, name, bytes);
    const size_t string_bytes = (bytes + 8) / 8 * 8 + 8;
    const struct lap_format_open open = {.size = 8 + sizeof open + string_bytes,
                                         .begin_ticks = begin_ticks,
                                         .last_ticks = begin_ticks,
                                         .threshold_ns = LAP_FORMAT_NO_THRESHOLD,
                                         .n = slice->n,
                                         .class_id = class_of(ring, slice, LAP_FOREIGN_AS_SCOPE),
                                         .depth = depth,
                                         .path = slice->path};
    word_put(ring, ticks, LAP_FORMAT_OPEN);
    put(ring, &open, sizeof open);
    put(ring, message, string_bytes);
}

/* Sees to it that an event of `bytes` can be stored with this clock. */
static void room_make(struct ring *ring, uint64_t ticks, size_t bytes)
{
    const struct lap_format_segment *const header = (const struct lap_format_segment *)(const void *)ring->segment;
    if (ring->used != 0 && ring->used + bytes <= SEGMENT_BYTES && ticks - header->begin_ticks < LAP_FORMAT_CLOCK_MASK)
        return;
    if (ring->used != 0)
        segment_write(ring);
    segment_begin(ring, ticks);
    for (uint32_t depth = 0; depth < ring->nest.depth; depth++)
        open_put(ring, ticks, depth);
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

/* An event of a class, whose label is made of `name`. */
static void event_put(struct ring *ring, int64_t ns, uint32_t class_id, const void *payload, size_t payload_bytes,
                      uint32_t name)
{
    const uint64_t ticks = lap_written_ticks(ring->process, ns);
    const struct lap_foreign_class *const class = lap_foreign_class_of(ring->process->layout->classes, class_id);
    size_t bytes;
    const char *const text = lap_foreign_texts_get(&trace_of(ring)->names, name, &bytes);
    if (class->form == LAP_FOREIGN_BY_TEXT) {
        char string[LAP_FORMAT_STRING_BYTES + 16] = {0};
        bytes = bytes < LAP_FORMAT_STRING_BYTES ? bytes : LAP_FORMAT_STRING_BYTES - 1;
        memcpy(string, text, bytes);
        const size_t string_bytes = (bytes + 8) / 8 * 8 + 8;
        const uint64_t size = 16 + payload_bytes + string_bytes;
        room_make(ring, ticks, size);
        word_put(ring, ticks, class_id);
        put(ring, &size, sizeof size);
        put(ring, payload, payload_bytes);
        put(ring, string, string_bytes);
        return;
    }
    struct lap_foreign_parts parts = {.count = 0};
    if (class->form == LAP_FOREIGN_BY_FORMAT)
        lap_foreign_take_apart(&parts, text, bytes);
    room_make(ring, ticks, 8 + payload_bytes + parts.count * sizeof *parts.numbers);
    word_put(ring, ticks, class_id);
    put(ring, payload, payload_bytes);
    put(ring, parts.numbers, parts.count * sizeof *parts.numbers);
}

static void scope_begin(struct ring *ring, uint32_t index)
{
    const struct lap_foreign_slice *const slice = slice_at(ring, index);
    const uint32_t class_id = class_of(ring, slice, LAP_FOREIGN_AS_SCOPE);
    const struct lap_format_begin_with with = {.threshold_ns = LAP_FORMAT_NO_THRESHOLD, .n = slice->n};
    const bool has_n = lap_foreign_class_of(ring->process->layout->classes, class_id)->has_n;
    event_put(ring, slice->begin_ns, class_id, &with, has_n ? sizeof with : 0, slice->name);
    ring->nest.slices[ring->nest.depth++] = index;
}

static void scope_end(struct ring *ring)
{
    const uint64_t ticks =
        lap_written_ticks(ring->process, slice_at(ring, ring->nest.slices[ring->nest.depth - 1])->end_ns);
    room_make(ring, ticks, 8);
    word_put(ring, ticks, LAP_FORMAT_END);
    ring->nest.depth--;
}

static void handle_begin(struct ring *ring, const struct lap_foreign_handle *handle)
{
    const struct lap_foreign_layout *const layout = ring->process->layout;
    const struct lap_foreign_slice *const slice = slice_at(ring, handle->slice);
    const struct lap_format_handle_begin begin = {
        .handle = handle->number,
        .threshold_ns = LAP_FORMAT_NO_THRESHOLD,
        .n = slice->n,
        .parent = handle->parent != 0 ? layout->handles[handle->parent - 1].number : 0,
        .path = slice->path};
    event_put(ring, slice->begin_ns, class_of(ring, slice, LAP_FOREIGN_AS_HANDLE), &begin, sizeof begin, slice->name);
}

static void stored_put(struct ring *ring, const struct lap_foreign_stored *stored)
{
    const struct lap_foreign_layout *const layout = ring->process->layout;
    const struct lap_foreign_handle *const handle = &layout->handles[stored->handle];
    if (stored->kind == LAP_FOREIGN_BEGIN) {
        handle_begin(ring, handle);
    } else if (stored->kind == LAP_FOREIGN_MARK) {
        const struct lap_format_handle_mark mark = {.handle = handle->number,
                                                    .lap_ticks = (uint64_t)stored->lap_ns,
                                                    .path = stored->path,
                                                    .number = stored->marks};
        const uint32_t class_id = lap_foreign_class_get(layout->classes, stored->name, LAP_FOREIGN_AS_MOMENT, false);
        event_put(ring, stored->ns, class_id, &mark, sizeof mark, stored->name);
    } else {
        const uint64_t ticks = lap_written_ticks(ring->process, stored->ns);
        const struct lap_format_handle_end end = {.handle = handle->number,
                                                  .lap_ticks = (uint64_t)stored->lap_ns,
                                                  .total_ticks =
                                                      (uint64_t)(stored->ns - slice_at(ring, handle->slice)->begin_ns),
                                                  .path = stored->path,
                                                  .marks = stored->marks};
        room_make(ring, ticks, 8 + sizeof end);
        word_put(ring, ticks, LAP_FORMAT_HANDLE_END);
        put(ring, &end, sizeof end);
    }
}

/* What of handles comes before a scope's event. */
static void stored_put_until(struct ring *ring, int64_t ns)
{
    const struct lap_foreign_stored *const stored = ring->process->layout->stored;
    while (ring->next_stored < ring->end_stored && stored[ring->next_stored].ns < ns && ring->code == 0)
        stored_put(ring, &stored[ring->next_stored++]);
}

static void scopes_end(struct ring *ring, const struct lap_foreign_slice *next)
{
    const struct lap_foreign_slice *const slices = ring->process->layout->slices->slices;
    while (ring->nest.depth > 0 && ring->code == 0) {
        const struct lap_foreign_slice *const top = &slices[ring->nest.slices[ring->nest.depth - 1]];
        if (next ? !lap_foreign_nest_has_ended(&ring->nest, slices, next) : top->end_ns == LAP_FOREIGN_STILL_OPEN)
            break;
        stored_put_until(ring, top->end_ns);
        scope_end(ring);
    }
}

static void events_write(struct ring *ring)
{
    const struct lap_foreign_slices *const slices = ring->process->layout->slices;
    size_t slice = 0, end = 0;
    if (ring->thread->track != LAP_FOREIGN_NONE) {
        slice = slices->track_starts[ring->thread->track];
        end = slices->track_starts[ring->thread->track + 1];
    }
    for (; slice < end && ring->code == 0; slice++) {
        if (slices->slices[slice].place != LAP_FOREIGN_SCOPE)
            continue;
        scopes_end(ring, &slices->slices[slice]);
        stored_put_until(ring, slices->slices[slice].begin_ns);
        scope_begin(ring, (uint32_t)slice);
    }
    scopes_end(ring, NULL);
    stored_put_until(ring, INT64_MAX);
    if (ring->used != 0 && ring->code == 0)
        segment_write(ring);
    if (ring->sequence > 0 && ring->code == 0)
        file_write(ring, false);
}

/* Where a thread's are among the stored ones, which are in the order of the threads. */
static size_t stored_find(const struct lap_foreign_layout *layout, uint64_t thread)
{
    size_t low = 0, high = layout->stored_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (layout->stored[middle].thread < thread)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t lap_written_ring_slices(const struct lap_written_process *process, uint32_t thread)
{
    const struct lap_foreign_layout *const layout = process->layout;
    const uint32_t track = layout->trace->threads[thread].track;
    uint64_t count = 0;
    if (track != LAP_FOREIGN_NONE)
        for (size_t i = layout->slices->track_starts[track]; i < layout->slices->track_starts[track + 1]; i++)
            count += layout->slices->slices[i].place == LAP_FOREIGN_SCOPE;
    for (size_t i = stored_find(layout, thread); i < layout->stored_count && layout->stored[i].thread == thread; i++)
        count += layout->stored[i].kind == LAP_FOREIGN_BEGIN;
    return count;
}

int lap_written_ring(const struct lap_written_process *process, uint32_t thread, uint32_t number, bool *ret_is_any)
{
    struct ring ring = {.process = process,
                        .thread = &process->layout->trace->threads[thread],
                        .number = number,
                        .next_stored = stored_find(process->layout, thread),
                        .end_stored = stored_find(process->layout, thread + UINT64_C(1)),
                        .segment = malloc(SEGMENT_BYTES)};
    if (!ring.segment)
        return -ENOMEM;
    events_write(&ring);
    lap_written_statistics_done(&ring.statistics);
    free(ring.segment);
    *ret_is_any = ring.sequence > 0;
    return ring.code;
}
