/* SPDX-License-Identifier: MIT
 *
 * Chrome's trace events, as JSON: for chrome://tracing, ui.perfetto.dev, speedscope, Firefox's profiler and whatever else reads that.
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 *
 * Times are microseconds with three decimals from the recording's start, as those since 1970 do not fit a double. A thread has its
 * track; handles, which are of no thread, have one for each slot, and calls one for as many as are under way at once, as threads with numbers that
 * the kernel gives none. A lap's begin stands in the file when its end is known: readers sort by time.
 *
 * Readers differ in what they make of an end and a begin of one name at one time, as laps of one name have them. Those that
 * compare the names alone, in the order of the file, get them in the right order. Speedscope also compares arguments, and takes a begin first whose
 * own end it could be: so a lap's end has other arguments than a begin, {}, unless they are one moment. Ids are nobody's arguments, as
 * speedscope shows those in names.
 */
#define _GNU_SOURCE
#include "call_lanes.h"
#include "export.h"
#include "json_text.h"
#include "process_notes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENT_BYTES 512u /* room for all of an event but its texts */

#define TRACK_BYTES 48u

/* What the kernel calls processes and threads is below; above, in this order, come those whose number another one has, handles, calls. */
#define NUMBERS (1u << 22)
#define NUMBER_OF_SLOT(slot) (2 * NUMBERS + (slot))
#define NUMBER_OF_LANE(lane) (3 * NUMBERS + (lane))

struct chrome {
    const struct lap_export *export;
    struct lap_out *out;
    const struct lap_process *process;
    uint64_t start_ns;
    uint32_t pid;
    uint8_t *pids_taken, *tids_taken; /* a bit each */
    uint32_t *tids;                   /* by the thread's index */
    size_t tids_room;
    uint8_t *slots_told; /* a bit each */
    struct lap_call_lanes lanes;
    char track_text[TRACK_BYTES];
    size_t track_bytes; /* 0: made for no track */
    uint32_t track_tid;
    bool has_event;
};

/* ---- events -------------------------------------------------------------------------------------------------------- */

enum { NO_THREAD = 0 };

/* What all events of a track begin with, kept since events of one track often follow each other. */
static void track_text_make(struct chrome *to, uint32_t tid)
{
    char *at = lap_json_uint(LAP_JSON_TEXT(to->track_text, ",\"pid\":"), to->pid);
    if (tid != NO_THREAD)
        at = lap_json_uint(LAP_JSON_TEXT(at, ",\"tid\":"), tid);
    to->track_tid = tid;
    to->track_bytes = (size_t)(at - to->track_text);
}

/* One event is written into the buffer's room from what is returned on; its texts need room besides. */
static inline char *event_open(struct chrome *to, size_t texts_bytes, char phase, uint32_t tid)
{
    char *at = lap_out_room(to->out, EVENT_BYTES + LAP_JSON_STRING(texts_bytes));
    if (tid != to->track_tid || to->track_bytes == 0)
        track_text_make(to, tid);
    if (to->has_event)
        *at++ = ',';
    to->has_event = true;
    at = LAP_JSON_TEXT(at, "\n{\"ph\":\"");
    *at++ = phase;
    *at++ = '"';
    memcpy(at, to->track_text, sizeof to->track_text);
    return at + to->track_bytes;
}

static void event_close(struct chrome *to, char *at)
{
    *at++ = '}';
    lap_out_add(to->out, (size_t)(at - (to->out->buffer + to->out->used)));
}

static char *event_time(const struct chrome *to, char *at, uint64_t time_ns)
{
    return lap_json_us(LAP_JSON_TEXT(at, ",\"ts\":"), time_ns > to->start_ns ? time_ns - to->start_ns : 0);
}

static char *event_name(char *at, struct lap_span_text name)
{
    return lap_json_string(LAP_JSON_TEXT(at, ",\"name\":"), name.text, name.bytes);
}

#define EVENT_CATEGORY(at, category) LAP_JSON_TEXT(at, ",\"cat\":\"" category "\"")

struct arguments {
    char *at;
    bool has_some;
};

static struct arguments arguments_open(char *at) { return (struct arguments){.at = LAP_JSON_TEXT(at, ",\"args\":{")}; }

static char *arguments_close(struct arguments arguments)
{
    *arguments.at++ = '}';
    return arguments.at;
}

static void argument_name(struct arguments *arguments, const char *name)
{
    if (arguments->has_some)
        *arguments->at++ = ',';
    arguments->has_some = true;
    *arguments->at++ = '"';
    arguments->at = LAP_JSON_TEXT(stpcpy(arguments->at, name), "\":");
}

static void argument_int(struct arguments *arguments, const char *name, int64_t value)
{
    argument_name(arguments, name);
    arguments->at = lap_json_int(arguments->at, value);
}

static void argument_true(struct arguments *arguments, const char *name)
{
    argument_name(arguments, name);
    arguments->at = LAP_JSON_TEXT(arguments->at, "true");
}

static void argument_text(struct arguments *arguments, const char *name, const char *text)
{
    argument_name(arguments, name);
    arguments->at = lap_json_string(arguments->at, text, strlen(text));
}

static size_t text_bytes(const char *text) { return text ? strlen(text) : 0; }

static void end_write(struct chrome *to, uint32_t tid, uint64_t time_ns, struct lap_span_text name)
{
    char *at = event_time(to, event_open(to, name.bytes, 'E', tid), time_ns);
    event_close(to, LAP_JSON_TEXT(event_name(at, name), ",\"args\":{}"));
}

static void counter_write(struct chrome *to, struct lap_span_text name, uint64_t time_ns, int64_t n)
{
    char *at = event_time(to, event_open(to, name.bytes, 'C', NO_THREAD), time_ns);
    struct arguments arguments = arguments_open(event_name(at, name));
    argument_int(&arguments, "n", n);
    event_close(to, arguments_close(arguments));
}

/* ---- processes and their tracks ------------------------------------------------------------------------------------ */

static void name_tell(struct chrome *to, uint32_t tid, const char *what, const char *key, const char *text)
{
    char *at = event_open(to, strlen(text), 'M', tid);
    at = lap_json_string(LAP_JSON_TEXT(at, ",\"name\":"), what, strlen(what));
    struct arguments arguments = arguments_open(at);
    argument_text(&arguments, key, text);
    event_close(to, arguments_close(arguments));
}

static void order_tell(struct chrome *to, uint32_t tid, const char *what, int64_t order)
{
    char *at = event_open(to, 0, 'M', tid);
    at = lap_json_string(LAP_JSON_TEXT(at, ",\"name\":"), what, strlen(what));
    struct arguments arguments = arguments_open(at);
    argument_int(&arguments, "sort_index", order);
    event_close(to, arguments_close(arguments));
}

static void track_tell(struct chrome *to, uint32_t tid, const char *name, int64_t order)
{
    if (*name)
        name_tell(to, tid, "thread_name", "name", name);
    order_tell(to, tid, "thread_sort_index", order);
}

static bool is_first(uint8_t *bits, uint32_t bit)
{
    const uint8_t mask = (uint8_t)(1u << bit % 8);
    const bool was = (bits[bit / 8] & mask) != 0;
    bits[bit / 8] |= mask;
    return !was;
}

/* The kernel's number, if no other has it: threads come one after another, and processes of several hosts together. */
static uint32_t number_of(uint8_t *taken, uint64_t kernel_number, uint64_t index)
{
    if (kernel_number > 0 && kernel_number < NUMBERS && is_first(taken, (uint32_t)kernel_number))
        return (uint32_t)kernel_number;
    return NUMBERS + (uint32_t)(index % NUMBERS);
}

static void see_process(void *user, const struct lap_process *process)
{
    struct chrome *const to = user;
    char text[LAP_PROCESS_NOTES_BYTES];
    to->process = process;
    to->pid = number_of(to->pids_taken, process->pid, process->index);
    to->track_bytes = 0;
    lap_call_lanes_clear(&to->lanes);
    memset(to->slots_told, 0, LAP_HANDLE_SLOTS / 8);
    free(to->tids_taken);
    to->tids_taken = calloc(NUMBERS / 8, 1);
    if (!to->tids_taken) {
        to->out->error = -ENOMEM;
        return;
    }
    lap_span_text_escape(text, sizeof text, process->program);
    name_tell(to, NO_THREAD, "process_name", "name", text);
    order_tell(to, NO_THREAD, "process_sort_index", (int64_t)process->index);
    if (lap_process_notes(text, to->export, process) > 0)
        name_tell(to, NO_THREAD, "process_labels", "labels", text);
}

static void see_thread(void *user, const struct lap_thread *thread)
{
    struct chrome *const to = user;
    char name[256];
    if (thread->index >= to->tids_room) {
        const size_t room = 2 * (size_t)thread->index + 64;
        uint32_t *const tids = realloc(to->tids, room * sizeof *tids);
        if (!tids) {
            to->out->error = -ENOMEM;
            return;
        }
        to->tids = tids;
        to->tids_room = room;
    }
    to->tids[thread->index] = number_of(to->tids_taken, thread->id, thread->index);
    lap_span_text_escape(name, sizeof name, thread->name);
    track_tell(to, to->tids[thread->index], name, (int64_t)thread->index);
}

static uint32_t tid_of_thread(const struct chrome *to, const struct lap_thread *thread)
{
    return thread && thread->index < to->tids_room ? to->tids[thread->index] : NUMBERS;
}

static uint32_t tid_of(struct chrome *to, const struct lap_span *span)
{
    if (span->handle == 0)
        return tid_of_thread(to, span->thread);
    const uint32_t slot = lap_handle_slot(span->handle);
    if (is_first(to->slots_told, slot))
        track_tell(to, NUMBER_OF_SLOT(slot), "handles", (int64_t)NUMBER_OF_SLOT(slot));
    return NUMBER_OF_SLOT(slot);
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

enum { WAS_CUT = 1 }; /* span->user[0]: as of its begin */

static char *span_arguments(const struct lap_span *span, char *at)
{
    if (!span->has_n && !span->message && span->user[0] != WAS_CUT)
        return at;
    struct arguments arguments = arguments_open(at);
    if (span->has_n)
        argument_int(&arguments, "n", span->n);
    if (span->message)
        argument_text(&arguments, "message", span->message);
    if (span->user[0] == WAS_CUT)
        argument_true(&arguments, "cut");
    return arguments_close(arguments);
}

static void see_begin(void *user, struct lap_span *span)
{
    struct chrome *const to = user;
    const uint32_t tid = tid_of(to, span);
    span->user[0] = span->is_cut ? WAS_CUT : 0;
    char *at = event_open(to, span->name.bytes + text_bytes(span->message), 'B', tid);
    at = EVENT_CATEGORY(event_time(to, at, span->begin_ns), "profiler");
    event_close(to, span_arguments(span, event_name(at, span->name)));
    if (span->has_n)
        counter_write(to, span->name, span->begin_ns, span->n);
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct chrome *const to = user;
    const uint32_t tid = tid_of(to, span);
    char *at = event_open(to, lap->name.bytes + text_bytes(lap->message), 'B', tid);
    at = event_name(EVENT_CATEGORY(event_time(to, at, lap->begin_ns), "lap"), lap->name);
    const bool is_moment = lap->begin_ns == lap->end_ns;
    if (is_moment || lap->has_n || lap->message) {
        struct arguments arguments = arguments_open(at);
        if (lap->has_n && !is_moment)
            argument_int(&arguments, "n", lap->n);
        if (lap->message && !is_moment)
            argument_text(&arguments, "message", lap->message);
        at = arguments_close(arguments);
    }
    event_close(to, at);
    end_write(to, tid, lap->end_ns, lap->name);
    if (lap->has_n)
        counter_write(to, lap->name, lap->end_ns, lap->n);
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    struct chrome *const to = user;
    (void)total_ns;
    /* What runs on has no end. */
    if (how == LAP_SPAN_OPEN && (to->process->state == LAP_PROCESS_RUNNING || to->process->state == LAP_PROCESS_UNKNOWN))
        return;
    char *at = event_open(to, span->name.bytes + text_bytes(span->message), 'E', tid_of(to, span));
    at = event_name(event_time(to, at, end_ns), span->name);
    /* Of a moment it must be known again by its arguments, unless nothing comes behind it. */
    if (end_ns == span->begin_ns && how != LAP_SPAN_OPEN) {
        at = span_arguments(span, at);
    } else if (how != LAP_SPAN_ENDED) {
        struct arguments arguments = arguments_open(at);
        argument_true(&arguments, how == LAP_SPAN_ABANDONED ? "abandoned" : "unfinished");
        at = arguments_close(arguments);
    }
    event_close(to, at);
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    static const struct lap_span_text name = {.text = "(recorder)", .bytes = sizeof "(recorder)" - 1};
    struct chrome *const to = user;
    (void)span;
    const uint32_t tid = tid_of_thread(to, thread);
    char *at = event_time(to, event_open(to, name.bytes, 'B', tid), begin_ns);
    event_close(to, event_name(EVENT_CATEGORY(at, "recorder"), name));
    end_write(to, tid, end_ns, name);
}

/* ---- calls, and what binds them to those that serve them ----------------------------------------------------------- */

/* `phase` s: from the call around it; f: to the profiler around it. */
static void flow_write(struct chrome *to, char phase, uint32_t tid, uint64_t time_ns, uint64_t id)
{
    char text[2 + 16 + 1];
    if (id == 0)
        return;
    const int bytes = snprintf(text, sizeof text, "0x%llx", (unsigned long long)id);
    char *at = EVENT_CATEGORY(event_time(to, event_open(to, (size_t)bytes, phase, tid), time_ns), "call");
    at = lap_json_string(LAP_JSON_TEXT(at, ",\"name\":\"call\",\"bp\":\"e\",\"id\":"), text, (size_t)bytes);
    event_close(to, at);
}

static void see_serve(void *user, struct lap_span *span)
{
    struct chrome *const to = user;
    flow_write(to, 'f', tid_of(to, span), span->begin_ns, span->caller.span);
}

static void see_call(void *user, const struct lap_span_call *call)
{
    struct chrome *const to = user;
    uint32_t lane;
    bool is_new;
    if (lap_call_lanes_take(&to->lanes, call->begin_ns, call->end_ns, &lane, &is_new) < 0) {
        to->out->error = -ENOMEM;
        return;
    }
    const uint32_t tid = NUMBER_OF_LANE(lane);
    if (is_new)
        track_tell(to, tid, "calls", (int64_t)tid);
    char *at = event_time(to, event_open(to, call->name.bytes, 'B', tid), call->begin_ns);
    at = event_name(EVENT_CATEGORY(at, "call"), call->name);
    struct arguments arguments = arguments_open(at);
    if (call->times.has_server) {
        argument_int(&arguments, "server_ns", (int64_t)call->times.server_ns);
        argument_int(&arguments, "queue_ns", (int64_t)call->times.queue_ns);
        argument_int(&arguments, "between_ns", (int64_t)call->times.between_ns);
    }
    if (call->is_refused)
        argument_true(&arguments, "refused");
    event_close(to, arguments_close(arguments));
    flow_write(to, 's', tid, call->begin_ns, call->id.span);
    end_write(to, tid, call->end_ns, call->name);
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

static bool has_failed(void *user) { return ((struct chrome *)user)->out->error != 0; }

static int trace_write(struct chrome *to)
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
    struct lap_spans_options options = to->export->options;
    options.failed = has_failed;
    lap_out_printf(to->out,
                   "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"exporter\":\"lapmark\",\"start_time_ns\":\"%llu\"},"
                   "\"traceEvents\":[",
                   (unsigned long long)to->start_ns);
    const int code = lap_spans_run(to->export->recording, &writer, to, &options);
    lap_out_text(to->out, "\n]}\n");
    return to->out->error < 0 ? to->out->error : code;
}

int lap_export_chrome(const struct lap_export *export, struct lap_out *out)
{
    struct chrome to = {.export = export,
                        .out = out,
                        .start_ns = lap_recording_start_ns(export->recording),
                        .pids_taken = calloc(NUMBERS / 8, 1),
                        .slots_told = calloc(LAP_HANDLE_SLOTS / 8, 1)};
    const int code = to.pids_taken && to.slots_told ? trace_write(&to) : -ENOMEM;
    lap_call_lanes_done(&to.lanes);
    free(to.pids_taken);
    free(to.tids_taken);
    free(to.tids);
    free(to.slots_told);
    return code;
}
