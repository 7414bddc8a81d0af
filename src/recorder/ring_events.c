/* SPDX-License-Identifier: MIT
 *
 * The events that the library stores of its own: pauses, abandoned scopes, threads, and what is open.
 */
#define _GNU_SOURCE
#include "label.h"
#include "process.h"
#include "ring.h"

#include <string.h>

static uint64_t *event_at(uint64_t position) { return (uint64_t *)(uintptr_t)position; }

/* The clock for an event at this place: never before the segment's begin. */
static uint64_t event_ticks(const struct lap_ring *ring)
{
    const uint64_t now = lap_clock_ticks(&lap_process.clock);
    return now < ring->thread->begin_ticks ? ring->thread->begin_ticks : now;
}

static uint64_t event_commit(struct lap_ring *ring, uint64_t end)
{
    lap_impl_commit(ring->thread, end);
    return end;
}

uint64_t lap_ring_store_pause(struct lap_ring *ring, uint64_t position, uint64_t ticks)
{
    lap_impl_store(position, event_ticks(ring), LAP_FORMAT_PAUSE, &ticks, 1);
    return event_commit(ring, position + 16);
}

uint64_t lap_ring_store_abandoned(struct lap_ring *ring, uint64_t position, uint64_t count)
{
    lap_impl_store(position, event_ticks(ring), LAP_FORMAT_ABANDONED, &count, 1);
    return event_commit(ring, position + 16);
}

/* Writes a string, zeros up to 8 bytes and the tail behind it; returns the position behind. */
static uint64_t string_store(uint64_t position, const char *text, size_t length)
{
    char *const out = (char *)(uintptr_t)position;
    const uint64_t end = (position + length + 1 + 7) & ~UINT64_C(7);
    memcpy(out, text, length);
    memset(out + length, 0, end - position - length);
    *event_at(end) = 0;
    return end + 8;
}

uint64_t lap_ring_store_thread(struct lap_ring *ring, uint64_t position)
{
    uint64_t *const event = event_at(position);
    const uint64_t end =
        string_store(position + 8 + sizeof(struct lap_format_thread), ring->thread_name, strlen(ring->thread_name));
    event[0] = event_ticks(ring) << LAP_FORMAT_CLOCK_SHIFT | LAP_FORMAT_THREAD;
    event[1] = end - position;
    event[2] = ring->thread_id;
    event[3] = ring->thread_index;
    return event_commit(ring, end);
}

/* Says at the start of a segment what is open, so that the segments before it may go. There is room for all, as long as the
 * messages of those far inside are short ones. */
#define OPEN_TEXT_BYTES_SHORT 16u
#define OPEN_BYTES(text_bytes) (8u + sizeof(struct lap_format_open) + (text_bytes) + 8u)
#define OPEN_WHOLE_PART 16u
static_assert(LAP_FORMAT_SEGMENT_HEADER_BYTES + LAP_FORMAT_SEGMENT_BYTES_MIN / OPEN_WHOLE_PART +
                      OPEN_BYTES(LAP_RING_OPEN_TEXT_BYTES) + LAP_DECODE_DEPTH * OPEN_BYTES(OPEN_TEXT_BYTES_SHORT) +
                      LAP_FORMAT_EVENT_BYTES_MAX + LAP_RING_SLACK_BYTES <
                  LAP_FORMAT_SEGMENT_BYTES_MIN,
              "all that can be open, and the largest event, fit into the smallest segment");

uint64_t lap_ring_store_open(struct lap_ring *ring, uint64_t position)
{
    const uint64_t whole_until = ring->thread->segment + ring->segment_bytes / OPEN_WHOLE_PART;
    for (uint32_t depth = 0; depth < ring->decoder.depth; depth++) {
        const struct lap_open *const scope = &ring->decoder.open[depth];
        const char *const text = ring->open_text[depth];
        const struct lap_format_open open = {.begin_ticks = scope->begin_ticks,
                                             .begin_paused = scope->begin_ticks - scope->begin,
                                             .last_ticks = scope->last,
                                             .threshold_ns = scope->threshold_ns,
                                             .n = scope->n,
                                             .class_id = scope->class_id,
                                             .depth = depth,
                                             .marks = scope->marks,
                                             .flags = scope->flags,
                                             .path = scope->path};
        const size_t most_bytes = position < whole_until ? LAP_RING_OPEN_TEXT_BYTES : OPEN_TEXT_BYTES_SHORT;
        memcpy(event_at(position) + 1, &open, sizeof open);
        const uint64_t end = string_store(position + 8 + sizeof open, text, strnlen(text, most_bytes - 1));
        event_at(position)[0] = event_ticks(ring) << LAP_FORMAT_CLOCK_SHIFT | LAP_FORMAT_OPEN;
        event_at(position)[1] = end - position;
        position = event_commit(ring, end);
    }
    return position;
}

/* Writes down the messages of open scopes while their begins are still there. */
void lap_ring_keep_messages(struct lap_ring *ring)
{
    for (uint32_t depth = 0; depth < ring->decoder.depth; depth++) {
        struct lap_open *const scope = &ring->decoder.open[depth];
        if (!scope->event)
            continue;
        const struct lap_class *const class = &lap_process.sites.classes[scope->class_id];
        lap_label_format(ring->open_text[depth], LAP_RING_OPEN_TEXT_BYTES,
                         &lap_process.sites.descriptions[class->description], class, scope->event, 0);
        scope->event = NULL;
    }
}
