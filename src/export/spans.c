/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "spans.h"

#include "label.h"
#include "span_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_BYTES (1u << 20)

/* The scopes of a ring that are open, outermost first. */
struct ring_state {
    struct lap_span *scopes[LAP_DECODE_DEPTH];
    uint32_t depth;
    uint64_t last_ns;   /* of its newest event */
    uint64_t before_ns; /* of the one before */
};

struct stream {
    const struct lap_span_writer *writer;
    const struct lap_spans_options *options;
    void *user;
    uint64_t done_bytes, told_bytes, total_bytes;
    struct lap_process *process;
    struct lap_cursor *cursor;   /* of the event under way */
    struct ring_state **rings;   /* of the process; NULL: no event yet */
    const struct lap_ring *ring; /* the one that was looked for last, and its state */
    struct ring_state *state;
    struct lap_span **slots;     /* of its handles, made with the first one */
    uint64_t last_ns;            /* of the process's newest event */
    uint8_t *threads_told;       /* by index in the process, a bit each */
    size_t threads_room;         /* in bytes */
    struct lap_span *free_spans; /* by `parent` */
    struct lap_span_names names;
    uint64_t number;
    int error;
};

static uint64_t to_ns(const struct stream *stream, uint64_t ticks)
{
    return lap_timebase_realtime_ns(&stream->process->clock, ticks);
}

static uint64_t duration_ns(const struct stream *stream, uint64_t ticks)
{
    return lap_timebase_ns(&stream->process->clock, ticks);
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static void span_release(struct stream *stream, struct lap_span *span)
{
    if (!span || --span->references > 0)
        return;
    struct lap_span *const parent = span->parent;
    free(span->message);
    if (span->name.id == 0 && span->name.bytes > 0)
        free((char *)span->name.text);
    span->parent = stream->free_spans;
    stream->free_spans = span;
    span_release(stream, parent);
}

/* Options without a threshold are stored with 0, as no profiler takes less. */
static uint64_t threshold_of(uint64_t stored_ns) { return stored_ns != 0 ? stored_ns : LAP_FORMAT_NO_THRESHOLD; }

static struct lap_span *span_make(struct stream *stream, struct lap_span *parent)
{
    struct lap_span *span = stream->free_spans;
    if (span)
        stream->free_spans = span->parent;
    else if (!(span = malloc(sizeof *span)))
        return NULL;
    *span = (struct lap_span){.process = stream->process,
                              .parent = parent,
                              .number = ++stream->number,
                              .parent_number = parent ? parent->number : 0,
                              .threshold_ns = LAP_FORMAT_NO_THRESHOLD,
                              .references = 1,
                              .is_open = true};
    if (parent)
        parent->references++;
    return span;
}

/* NULL: it is the name, or there is none. */
static const char *message_of(struct stream *stream, struct lap_span_text name, uint32_t class_id,
                              const struct lap_event *event, uint64_t number)
{
    if (!stream->writer->wants_messages || !lap_label_needs_event(event->class))
        return NULL;
    return lap_span_names_message(&stream->names, class_id, event->class, event->words, number, name);
}

/* Its label; that of an event alone is kept with it. */
static void span_name(struct stream *stream, struct lap_span *span, const struct lap_event *event)
{
    span->name =
        lap_span_names_get(&stream->names, span->class_id, event ? event->class : NULL, event ? event->words : NULL);
    if (span->name.id == 0) {
        span->name.text = strndup(span->name.text, span->name.bytes);
        if (!span->name.text)
            span->name = (struct lap_span_text){.text = ""};
    }
    const char *const message = event ? message_of(stream, span->name, span->class_id, event, 0) : NULL;
    span->message = message ? strdup(message) : NULL;
}

static void thread_tell(struct stream *stream, const struct lap_thread *thread)
{
    if (!thread || !stream->writer->thread)
        return;
    const uint32_t slot = lap_span_thread_slot(thread);
    const size_t byte = slot / 8;
    if (byte >= stream->threads_room) {
        const size_t room = 2 * byte + 64;
        uint8_t *const told = realloc(stream->threads_told, room);
        if (!told) {
            stream->error = -ENOMEM;
            return;
        }
        memset(told + stream->threads_room, 0, room - stream->threads_room);
        stream->threads_told = told;
        stream->threads_room = room;
    }
    if (stream->threads_told[byte] & 1u << slot % 8)
        return;
    stream->threads_told[byte] |= (uint8_t)(1u << slot % 8);
    stream->writer->thread(stream->user, thread);
}

static void span_begin(struct stream *stream, struct lap_span *span)
{
    thread_tell(stream, span->thread);
    if (stream->writer->begin)
        stream->writer->begin(stream->user, span);
}

static void span_end(struct stream *stream, struct lap_span *span, uint64_t end_ns, uint64_t total_ns,
                     uint64_t total_ticks, enum lap_span_end how)
{
    span->total_ticks = total_ticks;
    if (stream->writer->end)
        stream->writer->end(stream->user, span, end_ns, total_ns, how);
    if (span->parent && span->parent->is_open) {
        span->parent->inner_ns += total_ns;
        span->parent->inner_ticks += total_ticks;
    }
    span->is_open = false;
    span_release(stream, span);
}

/* One that has no end in the recording. */
static void span_cut_off(struct stream *stream, struct lap_span *span, uint64_t end_ns, enum lap_span_end how)
{
    end_ns = end_ns > span->last_ns ? end_ns : span->last_ns;
    const uint64_t total_ns = end_ns > span->begin_ns ? end_ns - span->begin_ns : 0;
    span_end(stream, span, end_ns, total_ns, lap_span_ticks(stream->process, total_ns), how);
}

static void span_lap(struct stream *stream, struct lap_span *span, struct lap_span_lap *lap)
{
    lap->begin_ns = span->last_ns;
    if (lap->end_ns < lap->begin_ns)
        lap->end_ns = lap->begin_ns;
    if (lap->lap_ns > lap->end_ns - lap->begin_ns)
        lap->lap_ns = lap->end_ns - lap->begin_ns;
    lap->inner_ns = span->inner_ns < lap->lap_ns ? span->inner_ns : lap->lap_ns;
    lap->inner_ticks = span->inner_ticks < lap->lap_ticks ? span->inner_ticks : lap->lap_ticks;
    lap->number = span->marks;
    span->last_ns = lap->end_ns;
    span->inner_ns = 0;
    span->inner_ticks = 0;
    thread_tell(stream, lap->thread);
    if (stream->writer->lap)
        stream->writer->lap(stream->user, span, lap);
}

static void span_mark(struct stream *stream, struct lap_span *span, const struct lap_event *event, uint64_t lap_ticks,
                      uint64_t now_ns)
{
    struct lap_span_lap lap = {.thread = stream->cursor->thread,
                               .end_ns = now_ns,
                               .lap_ns = duration_ns(stream, lap_ticks),
                               .lap_ticks = lap_ticks,
                               .class_id = event->class_id,
                               .name = lap_span_names_get(&stream->names, event->class_id, event->class, event->words)};
    if (event->class->flags & LAP_CLASS_N) {
        lap.has_n = true;
        lap.n = (int64_t)lap_event_values(event->words, event->class)[0];
    }
    lap.message = message_of(stream, lap.name, event->class_id, event, span->marks);
    span_lap(stream, span, &lap);
    span->marks++;
}

static void span_rest(struct stream *stream, struct lap_span *span, uint64_t end_ns, uint64_t rest_ticks)
{
    struct lap_span_lap lap = {.thread = stream->cursor->thread,
                               .end_ns = end_ns,
                               .lap_ns = duration_ns(stream, rest_ticks),
                               .lap_ticks = rest_ticks,
                               .class_id = LAP_FORMAT_REST,
                               .name = {.text = "(rest)", .bytes = sizeof "(rest)" - 1}};
    if (span->marks > 0)
        span_lap(stream, span, &lap);
}

/* ---- where an event belongs ---------------------------------------------------------------------------------------- */

static struct ring_state *ring_of(struct stream *stream)
{
    if (__builtin_expect(stream->ring == stream->cursor->ring, 1))
        return stream->state;
    struct ring_state **const ring = &stream->rings[stream->cursor->ring - stream->process->rings];
    if (!*ring && !(*ring = calloc(1, sizeof **ring)))
        stream->error = -ENOMEM;
    stream->ring = *ring ? stream->cursor->ring : NULL;
    stream->state = *ring;
    return *ring;
}

/* The ring has `depth` scopes open: those beyond, whose ends are gone with a gap, end where it was seen last. */
static void ring_cut(struct stream *stream, struct ring_state *ring, uint32_t depth, enum lap_span_end how)
{
    while (ring->depth > depth)
        span_cut_off(stream, ring->scopes[--ring->depth], ring->last_ns, how);
}

/* The ring's state as of an event that is not a state dump: the decoder's scopes, of which it has no more than we. */
static struct ring_state *ring_enter(struct stream *stream, const struct lap_event *event, uint32_t depth)
{
    struct ring_state *const ring = ring_of(stream);
    if (!ring)
        return NULL;
    ring_cut(stream, ring, depth, LAP_SPAN_LOST);
    const uint64_t now_ns = to_ns(stream, event->ticks);
    ring->before_ns = ring->last_ns;
    ring->last_ns = now_ns > ring->last_ns ? now_ns : ring->last_ns;
    stream->last_ns = ring->last_ns > stream->last_ns ? ring->last_ns : stream->last_ns;
    return ring;
}

static struct lap_span **slot_of(struct stream *stream, uint64_t handle)
{
    if (!stream->slots && !(stream->slots = calloc(LAP_HANDLE_SLOTS, sizeof *stream->slots))) {
        stream->error = -ENOMEM;
        return NULL;
    }
    return &stream->slots[lap_handle_slot(handle)];
}

static struct lap_span *handle_find(struct stream *stream, uint64_t handle)
{
    struct lap_span *const span = handle != 0 && stream->slots ? stream->slots[lap_handle_slot(handle)] : NULL;
    return span && span->handle == handle ? span : NULL;
}

/* Whose checkpoint it would be: a handle's, else the thread's innermost scope's. */
static struct lap_span *span_of(struct stream *stream, uint64_t handle, const struct ring_state *ring)
{
    if (handle != 0)
        return handle_find(stream, handle);
    return ring->depth > 0 ? ring->scopes[ring->depth - 1] : NULL;
}

/* A lap is told behind the profilers in it, and readers put what begins at one time in the order in which they were told: so no
 * profiler begins in the nanosecond in which the lap around it does. */
static void scope_nest(struct ring_state *ring, struct lap_span *span)
{
    const struct lap_span *const around = ring->depth > 0 ? ring->scopes[ring->depth - 1] : NULL;
    if (!around || span->begin_ns > around->last_ns)
        return;
    span->begin_ns = around->last_ns + 1;
    span->last_ns = span->last_ns > span->begin_ns ? span->last_ns : span->begin_ns;
    ring->last_ns = ring->last_ns > span->begin_ns ? ring->last_ns : span->begin_ns;
}

/* ---- scopes -------------------------------------------------------------------------------------------------------- */

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct stream *const stream = user;
    const uint32_t depth = decoder->depth - 1;
    struct ring_state *ring = ring_of(stream);
    const bool is_dump = event->class->kind == LAP_CLASS_OPEN;
    if (!ring)
        return;
    if (is_dump && ring->depth > depth && ring->scopes[depth]->begin_ticks == scope->begin_ticks &&
        ring->scopes[depth]->class_id == scope->class_id) {
        ring->scopes[depth]->is_cut = true; /* known, and some of its events are missing */
        ring->scopes[depth]->marks = scope->marks;
        return;
    }
    ring = ring_enter(stream, event, depth);
    if (!ring || ring->depth != depth)
        return;
    uint64_t parent_handle = 0;
    if (event->class->kind == LAP_CLASS_BEGIN_WITH)
        parent_handle = ((const struct lap_format_begin_with *)lap_event_payload(event->words, event->class))->parent;
    struct lap_span *const span = span_make(stream, span_of(stream, parent_handle, ring));
    if (!span) {
        stream->error = -ENOMEM;
        return;
    }
    span->thread = stream->cursor->thread;
    span->class_id = scope->class_id;
    span->depth = depth;
    span->begin_ticks = scope->begin_ticks;
    span->begin_ns = span->last_ns = to_ns(stream, scope->begin_ticks);
    span->threshold_ns = threshold_of(scope->threshold_ns);
    span->marks = scope->marks;
    span->is_cut = is_dump;
    if (is_dump) /* thread time, as if there had been no pause since the begin */
        span->last_ns += duration_ns(stream, scope->last - scope->begin);
    span->n = scope->n;
    span->has_n = scope->n != 0;
    if (!is_dump && (event->class->flags & LAP_CLASS_N)) {
        span->n = (int64_t)lap_event_values(event->words, event->class)[0];
        span->has_n = true;
    }
    scope_nest(ring, span);
    span_name(stream, span, event);
    ring->scopes[ring->depth++] = span;
    span_begin(stream, span);
}

static void see_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                     uint64_t lap)
{
    struct stream *const stream = user;
    (void)scope;
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (ring && ring->depth == decoder->depth)
        span_mark(stream, ring->scopes[ring->depth - 1], event, lap, ring->last_ns);
}

static void see_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                    uint64_t total, uint64_t rest)
{
    struct stream *const stream = user;
    (void)scope;
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (!ring || ring->depth != decoder->depth)
        return;
    struct lap_span *const span = ring->scopes[--ring->depth];
    span_rest(stream, span, ring->last_ns, rest);
    span_end(stream, span, ring->last_ns, duration_ns(stream, total), total, LAP_SPAN_ENDED);
}

static void see_abandoned(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct stream *const stream = user;
    (void)scope;
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (ring && ring->depth == decoder->depth)
        span_cut_off(stream, ring->scopes[--ring->depth], ring->last_ns, LAP_SPAN_ABANDONED);
}

/* ---- handles ------------------------------------------------------------------------------------------------------- */

static struct lap_span *handle_open(struct stream *stream, struct ring_state *ring, uint64_t handle, uint32_t class_id,
                                    uint64_t begin_ticks, uint64_t parent_handle)
{
    struct lap_span **const slot = slot_of(stream, handle);
    if (!slot)
        return NULL;
    if (*slot)
        span_cut_off(stream, *slot, (*slot)->last_ns, LAP_SPAN_LOST);
    struct lap_span *const span = *slot = span_make(stream, span_of(stream, parent_handle, ring));
    if (!span) {
        stream->error = -ENOMEM;
        return NULL;
    }
    span->thread = stream->cursor->thread;
    span->handle = handle;
    span->class_id = class_id;
    span->begin_ticks = begin_ticks;
    span->begin_ns = span->last_ns = to_ns(stream, begin_ticks);
    return span;
}

static void handle_begin(struct stream *stream, struct ring_state *ring, const struct lap_event *event)
{
    const struct lap_format_handle_begin *const begin = lap_event_payload(event->words, event->class);
    struct lap_span *const span = handle_open(stream, ring, begin->handle, event->class_id, event->ticks, begin->parent);
    if (!span)
        return;
    span->threshold_ns = threshold_of(begin->threshold_ns);
    span->n = begin->n;
    span->has_n = begin->n != 0;
    if (event->class->flags & LAP_CLASS_N) {
        span->n = (int64_t)lap_event_values(event->words, event->class)[0];
        span->has_n = true;
    }
    span_name(stream, span, event);
    span_begin(stream, span);
}

/* One whose begin is gone is known by its path, and shown from `begin_ticks` on. */
static struct lap_span *handle_get(struct stream *stream, struct ring_state *ring, uint64_t handle, uint32_t path,
                                   uint64_t begin_ticks)
{
    struct lap_span *span = handle_find(stream, handle);
    if (span)
        return span;
    const struct lap_process *const process = stream->process;
    const uint32_t class_id = path < process->path_count ? process->path_entries[path].class_id : 0;
    span = handle_open(stream, ring, handle, class_id, begin_ticks, 0);
    if (!span)
        return NULL;
    span->is_cut = true;
    span_name(stream, span, NULL);
    span_begin(stream, span);
    return span;
}

static void handle_mark(struct stream *stream, struct ring_state *ring, const struct lap_event *event)
{
    const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
    const struct lap_process *const process = stream->process;
    const uint32_t around = mark->path < process->path_count ? process->path_entries[mark->path].parent : UINT32_MAX;
    struct lap_span *const span = handle_get(stream, ring, mark->handle, around, event->ticks - mark->lap_ticks);
    if (!span)
        return;
    span->marks = mark->number;
    span_mark(stream, span, event, mark->lap_ticks, to_ns(stream, event->ticks));
}

static void handle_end(struct stream *stream, struct ring_state *ring, const struct lap_event *event)
{
    const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
    struct lap_span *const span =
        handle_get(stream, ring, end->handle, end->path, event->ticks - (end->marks ? end->lap_ticks : end->total_ticks));
    if (!span)
        return;
    stream->slots[lap_handle_slot(end->handle)] = NULL;
    const bool is_left = end->path == LAP_FORMAT_PATH_NONE;
    if (end->marks != 0)
        span->marks = end->marks;
    if (end->marks != 0 && !is_left)
        span_rest(stream, span, ring->last_ns, end->lap_ticks);
    /* Of one that nobody ended, the total is up to its last checkpoint. */
    span_end(stream, span, ring->last_ns > span->last_ns ? ring->last_ns : span->last_ns,
             duration_ns(stream, end->total_ticks), end->total_ticks, is_left ? LAP_SPAN_ABANDONED : LAP_SPAN_ENDED);
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct stream *const stream = user;
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (!ring)
        return;
    switch (event->class->kind) {
    case LAP_CLASS_HANDLE_BEGIN: handle_begin(stream, ring, event); break;
    case LAP_CLASS_HANDLE_MARK: handle_mark(stream, ring, event); break;
    default: handle_end(stream, ring, event); break;
    }
}

/* ---- calls, and the rest ------------------------------------------------------------------------------------------- */

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct stream *const stream = user;
    const struct lap_format_call *const stored = lap_event_payload(event->words, event->class);
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (!ring || !stream->writer->call || (stored->flags & LAP_FORMAT_CALL_PART))
        return;
    thread_tell(stream, stream->cursor->thread);
    struct lap_span_call call = {
        .process = stream->process,
        .thread = stream->cursor->thread,
        .span = span_of(stream, stored->handle, ring),
        .begin_ns = to_ns(stream, stored->sent_ticks),
        .end_ns = to_ns(stream, stored->got_ticks < stored->sent_ticks ? stored->sent_ticks : stored->got_ticks),
        .times = lap_call_times(stored, stream->process->clock.ns_per_tick, stream->process->control.clock_domain),
        .id = {stored->trace_id_high, stored->trace_id_low, stored->span_id},
        .name = lap_span_names_get(&stream->names, event->class_id, event->class, event->words),
        .class_id = event->class_id,
        .is_one_way = (stored->flags & LAP_FORMAT_CALL_ONE_WAY) != 0,
        .is_refused = (stored->flags & LAP_FORMAT_CALL_REFUSED) != 0};
    stream->writer->call(stream->user, &call);
}

static void see_serve(struct stream *stream, const struct lap_event *event)
{
    const struct lap_format_serve *const serve = lap_event_payload(event->words, event->class);
    struct lap_span *const span = handle_find(stream, serve->handle);
    if (!span)
        return;
    span->caller = (struct lap_span_id){serve->trace_id_high, serve->trace_id_low, serve->span_id};
    if (stream->writer->serve)
        stream->writer->serve(stream->user, span);
}

static void see_reply(struct stream *stream, const struct lap_event *event)
{
    const struct lap_format_reply *const reply = lap_event_payload(event->words, event->class);
    struct lap_span *const span = handle_find(stream, reply->handle);
    if (span)
        span->has_replied = true;
}

static void see_pause(struct stream *stream, const struct ring_state *ring, const struct lap_event *event)
{
    const struct lap_format_pause *const pause = lap_event_payload(event->words, event->class);
    const uint64_t took_ns = duration_ns(stream, pause->ticks);
    if (!stream->writer->pause || !stream->cursor->thread)
        return;
    struct lap_span *const span = span_of(stream, 0, ring);
    uint64_t begin_ns = took_ns < ring->last_ns ? ring->last_ns - took_ns : 0;
    if (begin_ns <= ring->before_ns) /* as scope_nest() */
        begin_ns = ring->before_ns + 1;
    thread_tell(stream, stream->cursor->thread);
    if (begin_ns < ring->last_ns)
        stream->writer->pause(stream->user, span, stream->cursor->thread, begin_ns, ring->last_ns);
}

static void see_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct stream *const stream = user;
    struct ring_state *const ring = ring_enter(stream, event, decoder->depth);
    if (!ring)
        return;
    if (event->class->kind == LAP_CLASS_THREAD) {
        lap_cursor_see_thread(stream->cursor, event); /* merged, it is done already */
    } else if (event->class->kind == LAP_CLASS_PAUSE) {
        see_pause(stream, ring, event);
    } else if (event->class->kind == LAP_CLASS_SERVE) {
        see_serve(stream, event);
    } else if (event->class->kind == LAP_CLASS_REPLY) {
        see_reply(stream, event);
    } else if (event->class->kind == LAP_CLASS_LINK && stream->writer->link) {
        const struct lap_format_link *const link = lap_event_payload(event->words, event->class);
        struct lap_span *const span = span_of(stream, link->handle, ring);
        if (span)
            stream->writer->link(stream->user, span, link);
    }
}

/* ---- processes ----------------------------------------------------------------------------------------------------- */

static const struct lap_visitor visitor = {.mark = see_mark,
                                           .begin = see_begin,
                                           .end = see_end,
                                           .abandoned = see_abandoned,
                                           .handle = see_handle,
                                           .call = see_call,
                                           .other = see_other};

static void progress_step(struct stream *stream, uint64_t bytes)
{
    stream->done_bytes += bytes;
    if (stream->done_bytes - stream->told_bytes < PROGRESS_BYTES)
        return;
    stream->told_bytes = stream->done_bytes;
    if (stream->options->progress)
        stream->options->progress(stream->options->progress_user, stream->done_bytes, stream->total_bytes);
    if (stream->options->failed && stream->options->failed(stream->user))
        stream->error = -ECANCELED;
}

static bool of_process(void *user, const struct lap_ring *ring) { return ring->process == user; }

/* Event by event, from whichever ring has the next one. */
static int events_by_time(struct stream *stream)
{
    struct lap_merge *merge;
    struct lap_event event;
    int code = lap_merge_make(&merge, stream->process->recording, LAP_MERGE_BY_TIME, of_process, stream->process);
    if (code < 0)
        return code;
    while (stream->error == 0 && (code = lap_merge_peek(merge, &stream->cursor)) == 1 &&
           (code = lap_cursor_peek(stream->cursor, &event)) == 1) {
        if ((code = lap_cursor_next(stream->cursor, &visitor, stream)) < 0)
            break;
        progress_step(stream, event.end - event.offset);
    }
    lap_merge_free(merge);
    return code < 0 ? code : stream->error;
}

/* Segment by segment: the decoder and what it calls here are one loop. */
static int ring_read(struct stream *stream, struct lap_ring *ring)
{
    struct lap_cursor *cursor;
    int code = lap_cursor_make(&cursor, ring);
    if (code < 0)
        return code;
    stream->cursor = cursor;
    while (stream->error == 0 && (code = lap_cursor_load(cursor)) == 1) {
        lap_cursor_decoded(cursor, lap_decode(&cursor->decoder, cursor->data, cursor->segment->header.begin_ticks,
                                              cursor->offset, cursor->to, &visitor, stream));
        progress_step(stream, cursor->segment->content_bytes);
    }
    lap_cursor_free(cursor);
    return code < 0 ? code : stream->error;
}

static bool may_cross_threads(const struct lap_process *process)
{
    for (uint32_t i = 0; i < process->catalog.class_count; i++) {
        const uint8_t kind = process->catalog.classes[i].kind;
        if (i >= LAP_FORMAT_FIRST_SITE_CLASS &&
            (kind == LAP_CLASS_HANDLE_BEGIN || kind == LAP_CLASS_HANDLE_MARK || kind == LAP_CLASS_CALL))
            return true;
    }
    return false;
}

static int events_read(struct stream *stream)
{
    if (may_cross_threads(stream->process))
        return events_by_time(stream);
    int code = 0;
    for (size_t r = 0; r < stream->process->ring_count && code == 0; r++)
        code = ring_read(stream, &stream->process->rings[r]);
    return code;
}

/* Those that are still open end with what is stored. */
static uint64_t process_close(struct stream *stream)
{
    const struct lap_process *const process = stream->process;
    uint64_t end_ns = process->end_ticks != 0 ? to_ns(stream, process->end_ticks) : 0;
    end_ns = end_ns > stream->last_ns ? end_ns : stream->last_ns;
    for (size_t r = 0; r < process->ring_count; r++)
        if (stream->rings[r]) {
            stream->rings[r]->last_ns = end_ns;
            ring_cut(stream, stream->rings[r], 0, LAP_SPAN_OPEN);
        }
    for (uint32_t slot = LAP_HANDLE_SLOTS; stream->slots && slot-- > 0;)
        if (stream->slots[slot])
            span_cut_off(stream, stream->slots[slot], end_ns, LAP_SPAN_OPEN);
    return end_ns;
}

static void process_done(struct stream *stream)
{
    for (size_t r = 0; stream->rings && r < stream->process->ring_count; r++)
        free(stream->rings[r]);
    free(stream->rings);
    free(stream->slots);
    stream->ring = NULL;
    stream->rings = NULL;
    stream->slots = NULL;
}

static void threads_tell_again(struct stream *stream)
{
    const struct lap_process *const process = stream->process;
    for (size_t t = 0; stream->writer->thread && t < process->thread_count; t++) {
        const uint32_t slot = lap_span_thread_slot(process->threads[t]);
        if (process->threads[t]->is_renamed && slot / 8 < stream->threads_room &&
            (stream->threads_told[slot / 8] & 1u << slot % 8) != 0)
            stream->writer->thread(stream->user, process->threads[t]);
    }
}

static int process_run(struct stream *stream, struct lap_process *process)
{
    stream->process = process;
    stream->last_ns = 0;
    if (stream->threads_told)
        memset(stream->threads_told, 0, stream->threads_room);
    int code = lap_span_names_enter(&stream->names, process);
    stream->rings = calloc(process->ring_count + 1, sizeof *stream->rings);
    if (code == 0 && !stream->rings)
        code = -ENOMEM;
    if (code == 0) {
        if (stream->writer->process)
            stream->writer->process(stream->user, process);
        code = events_read(stream);
        const uint64_t end_ns = process_close(stream);
        threads_tell_again(stream);
        if (code == 0 && stream->writer->process_end)
            stream->writer->process_end(stream->user, process, end_ns);
    }
    process_done(stream);
    return code;
}

int lap_spans_run(struct lap_recording *recording, const struct lap_span_writer *writer, void *user,
                  const struct lap_spans_options *options)
{
    struct stream stream = {.writer = writer, .options = options, .user = user};
    int code = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        stream.total_bytes += recording->processes[p]->content_bytes;
    for (size_t p = 0; p < recording->process_count && code == 0; p++)
        code = process_run(&stream, recording->processes[p]);
    /* What a process that runs removes for want of room is gone; of another, somebody removes it while it is read. */
    for (size_t p = 0; p < recording->process_count && code == 0; p++)
        if (recording->processes[p]->unread > 0 && recording->processes[p]->state != LAP_PROCESS_RUNNING)
            code = LAP_READER_CHANGED;
    lap_span_names_done(&stream.names);
    free(stream.threads_told);
    while (stream.free_spans) {
        struct lap_span *const next = stream.free_spans->parent;
        free(stream.free_spans);
        stream.free_spans = next;
    }
    return code;
}
