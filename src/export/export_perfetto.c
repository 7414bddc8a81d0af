/* SPDX-License-Identifier: MIT
 *
 * Perfetto's protobuf: TrackEvent slices, for ui.perfetto.dev and trace_processor. A thread has a track; handles, which are of no
 * thread, have one for each slot, which they use one after another; so have calls, one for as many as are under way at once. Field numbers:
 * protos/perfetto/trace/ of https://github.com/google/perfetto.
 *
 * A lap is known when it ends, so its begin stands in the file behind what is in it; trace_processor sorts by time. All times are those of
 * one clock, REALTIME, which is the trace's own.
 */
#define _GNU_SOURCE
#include "call_lanes.h"
#include "export.h"
#include "process_notes.h"
#include "protobuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LANES 4096u             /* of calls; more at once share the last */
#define EVENT_BYTES_MAX 14000u  /* see lap_pb_close() */
#define FIRST_CLOCK 128u        /* those of the trace's own */
enum { CLOCK_ID_REALTIME = 1 }; /* BuiltinClock */
enum { INCREMENTAL_STATE_CLEARED = 1, NEEDS_INCREMENTAL_STATE = 2 };
enum { SLICE_BEGIN = 1, SLICE_END = 2, COUNTER = 4 };

enum category { CATEGORY_PROFILER = 1, CATEGORY_LAP, CATEGORY_CALL, CATEGORY_RECORDER, CATEGORIES };
static const char *const category_names[CATEGORIES] = {NULL, "profiler", "lap", "call", "recorder"};

enum annotation {
    ANNOTATION_N = 1,
    ANNOTATION_MESSAGE,
    ANNOTATION_UNFINISHED,
    ANNOTATION_ABANDONED,
    ANNOTATION_CUT,
    ANNOTATION_TRACE,
    ANNOTATION_SPAN,
    ANNOTATION_SERVER,
    ANNOTATION_QUEUE,
    ANNOTATION_BETWEEN,
    ANNOTATION_REFUSED,
    ANNOTATIONS
};
static const char *const annotation_names[ANNOTATIONS] = {NULL,        "n",        "message",    "unfinished",
                                                          "abandoned", "cut",      "trace_id",   "span_id",
                                                          "server_ns", "queue_ns", "between_ns", "refused"};

/* Names that are the format's own, before those of classes. */
enum { NAME_REST = 1, NAME_RECORDER, NAME_FIRST_CLASS };

enum track_kind {
    TRACK_PROCESS = 0,
    TRACK_THREAD = 1,
    TRACK_SLOT = 2,
    TRACK_CALLS = 3,
    TRACK_COUNTER = 4,
    TRACK_KINDS = 5
};

struct perfetto {
    const struct lap_export *export;
    struct lap_out *out;
    const struct lap_process *process;
    uint8_t *told; /* of the process: bits of slots with a track, names and counters that were told */
    uint32_t classes;
    struct lap_call_lanes lanes;
    uint8_t before[16]; /* how each of its events begins, up to the time */
    size_t before_bytes;
};

/* ---- packets ------------------------------------------------------------------------------------------------------- */

/* One field of the trace, a packet of up to EVENT_BYTES_MAX and what its texts take. */
struct packet {
    uint8_t *start, *at;
    uint8_t *length;
};

static struct packet packet_open(struct perfetto *to)
{
    struct packet packet = {.start = (uint8_t *)lap_out_room(to->out, LAP_OUT_BYTES / 4)};
    packet.at = lap_pb_open(packet.start, 1, &packet.length);       /* Trace.packet */
    packet.at = lap_pb_uint(packet.at, 10, to->process->index + 1); /* trusted_packet_sequence_id */
    return packet;
}

static void packet_close(struct perfetto *to, struct packet *packet)
{
    packet->at = lap_pb_close(packet->at, packet->length);
    lap_out_add(to->out, (size_t)(packet->at - packet->start));
}

static void before_make(struct perfetto *to)
{
    uint8_t *length, *at = lap_pb_open(to->before, 1, &length);
    at = lap_pb_uint(at, 10, to->process->index + 1);
    at = lap_pb_tag(at, 8, LAP_PB_VARINT); /* timestamp */
    to->before_bytes = (size_t)(at - to->before);
}

/* Small where the numbers are: the ids of tracks stand in every event. */
static uint64_t track_id(const struct perfetto *to, enum track_kind kind, uint64_t index)
{
    return (index * TRACK_KINDS + (uint64_t)kind) * to->export->recording->process_count + to->process->index + 1;
}

static bool is_new(struct perfetto *to, uint64_t bit)
{
    uint8_t *const byte = &to->told[bit / 8];
    const uint8_t mask = (uint8_t)(1u << bit % 8);
    const bool was = (*byte & mask) != 0;
    *byte |= mask;
    return !was;
}
static uint64_t bit_of_slot(uint64_t handle) { return lap_handle_slot(handle); }
static uint64_t bit_of_name(uint32_t class_id) { return LAP_HANDLE_SLOTS + class_id; }
static uint64_t bit_of_counter(const struct perfetto *to, uint32_t class_id)
{
    return LAP_HANDLE_SLOTS + to->classes + class_id;
}

/* The text as the format bounds it: whole characters of the first few thousand bytes. */
static size_t text_bytes(const char *text, size_t bytes)
{
    const size_t most = 4096;
    if (bytes <= most)
        return bytes;
    bytes = most;
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xC0) == 0x80)
        bytes--;
    return bytes;
}

/* ---- tracks -------------------------------------------------------------------------------------------------------- */

static void track_tell(struct perfetto *to, uint64_t id, const char *name, bool is_counter)
{
    struct packet packet = packet_open(to);
    uint8_t *descriptor, *counter;
    packet.at = lap_pb_open(packet.at, 60, &descriptor); /* track_descriptor */
    packet.at = lap_pb_uint(packet.at, 1, id);
    packet.at = lap_pb_uint(packet.at, 5, track_id(to, TRACK_PROCESS, 0)); /* parent_uuid */
    packet.at = lap_pb_bytes(packet.at, 2, name, text_bytes(name, strlen(name)));
    if (is_counter) {
        packet.at = lap_pb_open(packet.at, 8, &counter);
        packet.at = lap_pb_close(packet.at, counter);
    }
    packet.at = lap_pb_close(packet.at, descriptor);
    packet_close(to, &packet);
}

static void see_thread(void *user, const struct lap_thread *thread)
{
    struct perfetto *const to = user;
    struct packet packet = packet_open(to);
    uint8_t *descriptor, *of_thread;
    packet.at = lap_pb_open(packet.at, 60, &descriptor);
    packet.at = lap_pb_uint(packet.at, 1, track_id(to, TRACK_THREAD, thread->index));
    packet.at = lap_pb_uint(packet.at, 5, track_id(to, TRACK_PROCESS, 0));
    packet.at = lap_pb_open(packet.at, 4, &of_thread);
    packet.at = lap_pb_uint(packet.at, 1, to->process->pid);
    packet.at = lap_pb_uint(packet.at, 2, thread->id);
    if (thread->name[0]) {
        char name[256];
        lap_span_text_escape(name, sizeof name, thread->name);
        packet.at = lap_pb_text(packet.at, 5, name);
    }
    packet.at = lap_pb_close(packet.at, of_thread);
    packet.at = lap_pb_close(packet.at, descriptor);
    packet_close(to, &packet);
}

/* The process's sequence begins: names of its own, the clock of all timestamps. */
static void sequence_begin(struct perfetto *to)
{
    struct packet packet = packet_open(to);
    uint8_t *defaults, *interned, *entry;
    packet.at = lap_pb_uint(packet.at, 13, INCREMENTAL_STATE_CLEARED);
    packet.at = lap_pb_uint(packet.at, 87, 1); /* first_packet_on_sequence */
    packet.at = lap_pb_open(packet.at, 59, &defaults);
    packet.at = lap_pb_uint(packet.at, 58, CLOCK_ID_REALTIME);
    packet.at = lap_pb_close(packet.at, defaults);
    packet.at = lap_pb_open(packet.at, 12, &interned);
    for (uint32_t i = 1; i < CATEGORIES; i++) {
        packet.at = lap_pb_open(packet.at, 1, &entry);
        packet.at = lap_pb_text(lap_pb_uint(packet.at, 1, i), 2, category_names[i]);
        packet.at = lap_pb_close(packet.at, entry);
    }
    for (uint32_t i = 1; i < ANNOTATIONS; i++) {
        packet.at = lap_pb_open(packet.at, 3, &entry);
        packet.at = lap_pb_text(lap_pb_uint(packet.at, 1, i), 2, annotation_names[i]);
        packet.at = lap_pb_close(packet.at, entry);
    }
    static const char *const names[NAME_FIRST_CLASS] = {NULL, "(rest)", "(recorder)"};
    for (uint32_t i = 1; i < NAME_FIRST_CLASS; i++) {
        packet.at = lap_pb_open(packet.at, 2, &entry);
        packet.at = lap_pb_text(lap_pb_uint(packet.at, 1, i), 2, names[i]);
        packet.at = lap_pb_close(packet.at, entry);
    }
    packet.at = lap_pb_close(packet.at, interned);
    packet_close(to, &packet);
}

/* The domain's clock, the process's CLOCK_MONOTONIC, against the trace's. */
static void clock_tell(struct perfetto *to)
{
    const struct lap_process *const process = to->process;
    const uint64_t domain = process->control.clock_domain;
    uint32_t number = 0;
    for (size_t p = 0; p < process->index; p++) {
        if (domain != 0 && to->export->recording->processes[p]->control.clock_domain == domain)
            return;
        number++;
    }
    const uint64_t readings[2][2] = {
        {CLOCK_ID_REALTIME, lap_timebase_realtime_ns(&process->clock, process->clock.start_ticks)},
        {FIRST_CLOCK + number, process->clock.start_monotonic_ns}};
    struct packet packet = packet_open(to);
    uint8_t *snapshot, *clock;
    packet.at = lap_pb_open(packet.at, 6, &snapshot);
    for (int i = 0; i < 2; i++) {
        packet.at = lap_pb_open(packet.at, 1, &clock);
        packet.at = lap_pb_uint(lap_pb_uint(packet.at, 1, readings[i][0]), 2, readings[i][1]);
        packet.at = lap_pb_close(packet.at, clock);
    }
    packet.at = lap_pb_uint(packet.at, 2, CLOCK_ID_REALTIME); /* primary_trace_clock */
    packet.at = lap_pb_close(packet.at, snapshot);
    packet_close(to, &packet);
}

static void process_tell(struct perfetto *to)
{
    const struct lap_process *const process = to->process;
    char name[512], command[4096], notes[LAP_PROCESS_NOTES_BYTES];
    struct packet packet = packet_open(to);
    uint8_t *descriptor, *of_process;
    lap_span_text_escape(name, sizeof name, process->program);
    lap_span_text_escape(command, sizeof command, process->command);
    packet.at = lap_pb_open(packet.at, 60, &descriptor);
    packet.at = lap_pb_uint(packet.at, 1, track_id(to, TRACK_PROCESS, 0));
    packet.at = lap_pb_open(packet.at, 3, &of_process);
    packet.at = lap_pb_uint(packet.at, 1, process->pid);
    packet.at = lap_pb_text(packet.at, 6, name);
    packet.at = lap_pb_text(packet.at, 2, command);
    packet.at = lap_pb_uint(packet.at, 7, lap_timebase_realtime_ns(&process->clock, process->clock.start_ticks));
    if (lap_process_notes(notes, to->export, process) > 0)
        packet.at = lap_pb_text(packet.at, 8, notes); /* process_labels */
    packet.at = lap_pb_close(packet.at, of_process);
    packet.at = lap_pb_close(packet.at, descriptor);
    packet_close(to, &packet);
}

static void see_process(void *user, const struct lap_process *process)
{
    struct perfetto *const to = user;
    to->process = process;
    to->classes = process->catalog.class_count;
    lap_call_lanes_clear(&to->lanes);
    free(to->told);
    to->told = calloc(LAP_HANDLE_SLOTS / 8 + 2 * ((size_t)to->classes / 8 + 1), 1);
    if (!to->told) {
        to->out->error = -ENOMEM;
        return;
    }
    before_make(to);
    clock_tell(to);
    sequence_begin(to);
    process_tell(to);
}

/* ---- slices -------------------------------------------------------------------------------------------------------- */

struct event {
    struct packet packet;
    uint8_t *length;
};

/* What is the same in every event of a process is copied. */
static struct event event_open(struct perfetto *to, uint64_t time_ns, uint8_t type, uint64_t track)
{
    static const uint8_t middle[8] = {13 << 3, NEEDS_INCREMENTAL_STATE, 11 << 3 | LAP_PB_BYTES, 0, 0, 9 << 3};
    uint8_t *at = (uint8_t *)lap_out_room(to->out, LAP_OUT_BYTES / 4);
    struct event event = {.packet = {.start = at, .length = at + 1}};
    memcpy(at, to->before, sizeof to->before);
    at = lap_pb_time(at + to->before_bytes, time_ns);
    memcpy(at, middle, sizeof middle);
    event.length = at + 3; /* of track_event */
    at[6] = type;
    at[7] = 11 << 3; /* track_uuid */
    event.packet.at = lap_pb_varint(at + 8, track);
    return event;
}

static void event_close(struct perfetto *to, struct event *event)
{
    event->packet.at = lap_pb_close(event->packet.at, event->length);
    packet_close(to, &event->packet);
}

/* Before the event that needs it. */
static void name_tell(struct perfetto *to, struct lap_span_text name)
{
    if (name.id == 0 || !is_new(to, bit_of_name(name.id)))
        return;
    struct packet packet = packet_open(to);
    uint8_t *interned, *entry;
    packet.at = lap_pb_uint(packet.at, 13, NEEDS_INCREMENTAL_STATE);
    packet.at = lap_pb_open(packet.at, 12, &interned);
    packet.at = lap_pb_open(packet.at, 2, &entry);
    packet.at = lap_pb_uint(packet.at, 1, (uint64_t)name.id + NAME_FIRST_CLASS);
    packet.at = lap_pb_bytes(packet.at, 2, name.text, text_bytes(name.text, name.bytes));
    packet.at = lap_pb_close(packet.at, entry);
    packet.at = lap_pb_close(packet.at, interned);
    packet_close(to, &packet);
}

static void event_name(struct event *event, struct lap_span_text name)
{
    event->packet.at = name.id != 0 ? lap_pb_uint(event->packet.at, 10, (uint64_t)name.id + NAME_FIRST_CLASS)
                                    : lap_pb_bytes(event->packet.at, 23, name.text, text_bytes(name.text, name.bytes));
}

static void annotate_int(struct event *event, enum annotation annotation, int64_t value)
{
    uint8_t *entry, *at = lap_pb_open(event->packet.at, 4, &entry);
    at = lap_pb_int(lap_pb_uint(at, 1, annotation), 4, value);
    event->packet.at = lap_pb_close(at, entry);
}

static void annotate_true(struct event *event, enum annotation annotation)
{
    uint8_t *entry, *at = lap_pb_open(event->packet.at, 4, &entry);
    at = lap_pb_uint(lap_pb_uint(at, 1, annotation), 2, 1);
    event->packet.at = lap_pb_close(at, entry);
}

static void annotate_text(struct event *event, enum annotation annotation, const char *text)
{
    uint8_t *entry, *at = lap_pb_open(event->packet.at, 4, &entry);
    at = lap_pb_bytes(lap_pb_uint(at, 1, annotation), 6, text, text_bytes(text, strlen(text)));
    event->packet.at = lap_pb_close(at, entry);
}

static void counter_tell(struct perfetto *to, uint32_t class_id, struct lap_span_text name, uint64_t time_ns, int64_t n)
{
    const uint64_t track = track_id(to, TRACK_COUNTER, class_id);
    if (is_new(to, bit_of_counter(to, class_id))) {
        char text[4096];
        snprintf(text, sizeof text, "n of %.*s", (int)text_bytes(name.text, name.bytes < 4000 ? name.bytes : 4000),
                 name.text);
        track_tell(to, track, text, true);
    }
    struct event event = event_open(to, time_ns, COUNTER, track);
    event.packet.at = lap_pb_int(event.packet.at, 30, n);
    event_close(to, &event);
}

/* A handle may be on no thread's track, as it crosses them. */
static uint64_t track_of(struct perfetto *to, const struct lap_span *span)
{
    if (span->handle != 0)
        return track_id(to, TRACK_SLOT, lap_handle_slot(span->handle));
    return track_id(to, TRACK_THREAD, span->thread ? span->thread->index : 0);
}

enum { IS_PENDING = 1 }; /* span->user[0]: a handle's begin, until it is known whether it serves a call */

static void begin_write(struct perfetto *to, struct lap_span *span)
{
    span->user[0] = 0;
    if (span->handle != 0 && is_new(to, bit_of_slot(span->handle)))
        track_tell(to, track_of(to, span), "handles", false);
    name_tell(to, span->name);
    struct event event = event_open(to, span->begin_ns, SLICE_BEGIN, track_of(to, span));
    event.packet.at = lap_pb_uint(event.packet.at, 3, CATEGORY_PROFILER);
    event_name(&event, span->name);
    if (span->has_n)
        annotate_int(&event, ANNOTATION_N, span->n);
    if (span->message)
        annotate_text(&event, ANNOTATION_MESSAGE, span->message);
    if (span->is_cut)
        annotate_true(&event, ANNOTATION_CUT);
    if (span->caller.span != 0)
        event.packet.at = lap_pb_fixed64(event.packet.at, 47, span->caller.span); /* flow_ids */
    event_close(to, &event);
    if (span->has_n)
        counter_tell(to, span->class_id, span->name, span->begin_ns, span->n);
}

static void begin_flush(struct perfetto *to, struct lap_span *span)
{
    if (span->user[0] == IS_PENDING)
        begin_write(to, span);
}

static void see_begin(void *user, struct lap_span *span)
{
    if (span->handle != 0)
        span->user[0] = IS_PENDING;
    else
        begin_write(user, span);
}

static void see_serve(void *user, struct lap_span *span) { begin_flush(user, span); }

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct perfetto *const to = user;
    begin_flush(to, span);
    name_tell(to, lap->name);
    const uint64_t track = track_of(to, span);
    struct event event = event_open(to, lap->begin_ns, SLICE_BEGIN, track);
    event.packet.at = lap_pb_uint(event.packet.at, 3, CATEGORY_LAP);
    if (lap->class_id == LAP_FORMAT_REST)
        event.packet.at = lap_pb_uint(event.packet.at, 10, NAME_REST);
    else
        event_name(&event, lap->name);
    if (lap->has_n)
        annotate_int(&event, ANNOTATION_N, lap->n);
    if (lap->message)
        annotate_text(&event, ANNOTATION_MESSAGE, lap->message);
    event_close(to, &event);
    event = event_open(to, lap->end_ns, SLICE_END, track);
    event_close(to, &event);
    if (lap->has_n)
        counter_tell(to, lap->class_id, lap->name, lap->end_ns, lap->n);
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    struct perfetto *const to = user;
    (void)total_ns;
    begin_flush(to, span);
    /* What runs on has no end. */
    if (how == LAP_SPAN_OPEN && (to->process->state == LAP_PROCESS_RUNNING || to->process->state == LAP_PROCESS_UNKNOWN))
        return;
    struct event event = event_open(to, end_ns, SLICE_END, track_of(to, span));
    if (how == LAP_SPAN_ABANDONED)
        annotate_true(&event, ANNOTATION_ABANDONED);
    else if (how != LAP_SPAN_ENDED)
        annotate_true(&event, ANNOTATION_UNFINISHED);
    event_close(to, &event);
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    struct perfetto *const to = user;
    (void)span;
    const uint64_t track = track_id(to, TRACK_THREAD, thread->index);
    struct event event = event_open(to, begin_ns, SLICE_BEGIN, track);
    event.packet.at = lap_pb_uint(event.packet.at, 3, CATEGORY_RECORDER);
    event.packet.at = lap_pb_uint(event.packet.at, 10, NAME_RECORDER);
    event_close(to, &event);
    event = event_open(to, end_ns, SLICE_END, track);
    event_close(to, &event);
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

/* A track on which the call overlaps no other. */
static uint64_t lane_find(struct perfetto *to, const struct lap_span_call *call)
{
    uint32_t lane = 0;
    bool is_new = false;
    const int code = lap_call_lanes_take(&to->lanes, call->begin_ns, call->end_ns, &lane, &is_new);
    if (code < 0)
        to->out->error = code;
    const uint64_t track = track_id(to, TRACK_CALLS, lane);
    if (is_new)
        track_tell(to, track, "calls", false);
    return track;
}

static void see_call(void *user, const struct lap_span_call *call)
{
    struct perfetto *const to = user;
    const uint64_t track = lane_find(to, call);
    char text[40];
    name_tell(to, call->name);
    struct event event = event_open(to, call->begin_ns, SLICE_BEGIN, track);
    event.packet.at = lap_pb_uint(event.packet.at, 3, CATEGORY_CALL);
    event_name(&event, call->name);
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)call->id.trace_high,
             (unsigned long long)call->id.trace_low);
    annotate_text(&event, ANNOTATION_TRACE, text);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)call->id.span);
    annotate_text(&event, ANNOTATION_SPAN, text);
    if (call->times.has_server) {
        annotate_int(&event, ANNOTATION_SERVER, (int64_t)call->times.server_ns);
        annotate_int(&event, ANNOTATION_QUEUE, (int64_t)call->times.queue_ns);
        annotate_int(&event, ANNOTATION_BETWEEN, (int64_t)call->times.between_ns);
    }
    if (call->is_refused)
        annotate_true(&event, ANNOTATION_REFUSED);
    event.packet.at = lap_pb_fixed64(event.packet.at, 47, call->id.span);
    event_close(to, &event);
    event = event_open(to, call->end_ns, SLICE_END, track);
    event_close(to, &event);
}

static bool has_failed(void *user) { return ((struct perfetto *)user)->out->error != 0; }

int lap_export_perfetto(const struct lap_export *export, struct lap_out *out)
{
    static const struct lap_span_writer writer = {.process = see_process,
                                                  .thread = see_thread,
                                                  .begin = see_begin,
                                                  .lap = see_lap,
                                                  .end = see_end,
                                                  .pause = see_pause,
                                                  .call = see_call,
                                                  .serve = see_serve,
                                                  .wants_messages = true};
    struct perfetto *const to = calloc(1, sizeof *to);
    if (!to)
        return -ENOMEM;
    to->export = export;
    to->out = out;
    struct lap_spans_options options = export->options;
    options.failed = has_failed;
    int code = lap_spans_run(export->recording, &writer, to, &options);
    if (out->error < 0)
        code = out->error;
    lap_call_lanes_done(&to->lanes);
    free(to->told);
    free(to);
    return code;
}
