/* SPDX-License-Identifier: MIT
 *
 * Chrome's trace events, as JSON: for chrome://tracing, ui.perfetto.dev, speedscope, Firefox's profiler and whatever else reads that.
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 *
 * Times are microseconds with three decimals from the recording's start, as those since 1970 do not fit a double. A thread has its
 * track; handles, which are of no thread, have one for each slot, and calls one for as many as are under way at once, as threads with
 * numbers that the kernel gives none. A lap's begin stands in the file when its end is known: readers sort by time. Ids are nobody's
 * arguments, as speedscope shows those in names.
 *
 * What ends and what begins at one time, as laps do, most readers take in the order of the file, which is right. Speedscope takes a begin
 * before an end with the same name and arguments, and else an end before a begin. So ends have other arguments than any begin, {}; and
 * what begins and ends in one nanosecond ends some hundredths of it later, which is nothing for readers that count in nanoseconds.
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

#define PARTS 100u /* of a nanosecond */

struct track {
    uint64_t time_ns; /* of its newest event, but for begins that are written late */
    uint32_t part;    /* of that nanosecond */
    uint32_t tid;     /* 0: not told yet */
};

/* By the number of a thread or slot. */
struct numbered_tracks {
    struct track *tracks;
    size_t count;
};

struct chrome {
    const struct lap_export *export;
    struct lap_out *out;
    const struct lap_process *process;
    uint64_t start_ns;
    uint32_t pid;
    uint8_t *pids_taken, *tids_taken; /* a bit each */
    struct numbered_tracks threads, slots;
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

static inline char *event_time(const struct chrome *to, char *at, uint64_t time_ns, uint32_t part)
{
    at = lap_json_us(LAP_JSON_TEXT(at, ",\"ts\":"), time_ns > to->start_ns ? time_ns - to->start_ns : 0);
    return __builtin_expect(part == 0, 1) ? at : (char *)memcpy(at, lap_json_pairs + 2 * part, 2) + 2;
}

static char *event_name(char *at, struct lap_span_text name)
{
    return lap_json_string(LAP_JSON_TEXT(at, ",\"name\":"), name.text, name.bytes);
}

#define EVENT_CATEGORY(at, category) LAP_JSON_TEXT(at, ",\"cat\":\"" category "\"")

static char *event_category(char *at, const char *category)
{
    return LAP_JSON_TEXT(stpcpy(LAP_JSON_TEXT(at, ",\"cat\":\""), category), "\"");
}

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

/* `category` is that of its begin: Chromium's own developer tools take no end to a begin that has another one. */
static void end_write(struct chrome *to, uint32_t tid, uint64_t time_ns, uint32_t part, const char *category,
                      struct lap_span_text name)
{
    char *at = event_category(event_time(to, event_open(to, name.bytes, 'E', tid), time_ns, part), category);
    event_close(to, LAP_JSON_TEXT(event_name(at, name), ",\"args\":{}"));
}

static void counter_write(struct chrome *to, struct lap_span_text name, uint64_t time_ns, int64_t n)
{
    char *at = event_time(to, event_open(to, name.bytes, 'C', NO_THREAD), time_ns, 0);
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
    if (taken && kernel_number > 0 && kernel_number < NUMBERS && is_first(taken, (uint32_t)kernel_number))
        return (uint32_t)kernel_number;
    return NUMBERS + (uint32_t)(index % NUMBERS);
}

static void tracks_clear(struct numbered_tracks *numbered)
{
    if (numbered->count > 0)
        memset(numbered->tracks, 0, numbered->count * sizeof *numbered->tracks);
}

/* NULL: there is no memory. */
static struct track *track_get(struct numbered_tracks *numbered, uint64_t number)
{
    if (number < numbered->count)
        return &numbered->tracks[number];
    const size_t count = 2 * (size_t)number + 64;
    struct track *const tracks = realloc(numbered->tracks, count * sizeof *tracks);
    if (!tracks)
        return NULL;
    memset(tracks + numbered->count, 0, (count - numbered->count) * sizeof *tracks);
    numbered->tracks = tracks;
    numbered->count = count;
    return &tracks[number];
}

static void see_process(void *user, const struct lap_process *process)
{
    struct chrome *const to = user;
    char text[LAP_PROCESS_NOTES_BYTES];
    to->process = process;
    to->pid = number_of(to->pids_taken, process->pid, process->index);
    to->track_bytes = 0;
    lap_call_lanes_clear(&to->lanes);
    tracks_clear(&to->threads);
    tracks_clear(&to->slots);
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
    struct track *const track = track_get(&to->threads, lap_span_thread_slot(thread));
    if (!track) {
        to->out->error = -ENOMEM;
        return;
    }
    const bool is_again = track->tid != 0;
    if (!is_again)
        track->tid = number_of(to->tids_taken, thread->id, thread->index);
    lap_span_text_escape(name, sizeof name, thread->name);
    if (is_again)
        name_tell(to, track->tid, "thread_name", "name", name);
    else
        track_tell(to, track->tid, name, (int64_t)thread->index);
}

static struct track *track_of_thread(struct chrome *to, const struct lap_thread *thread)
{
    static struct track none;
    struct track *const track = track_get(&to->threads, thread ? lap_span_thread_slot(thread) : 0);
    if (!track) {
        to->out->error = -ENOMEM;
        return &none;
    }
    if (track->tid == 0)
        track->tid = NUMBERS;
    return track;
}

static struct track *track_of(struct chrome *to, const struct lap_span *span)
{
    if (span->handle == 0)
        return track_of_thread(to, span->thread);
    const uint32_t slot = lap_handle_slot(span->handle);
    struct track *const track = track_get(&to->slots, slot);
    if (!track)
        return track_of_thread(to, span->thread);
    if (track->tid == 0) {
        track->tid = NUMBER_OF_SLOT(slot);
        track_tell(to, track->tid, "handles", (int64_t)track->tid);
    }
    return track;
}

/* The track's time is now this one. */
static inline void track_begin(struct track *track, uint64_t time_ns)
{
    if (time_ns != track->time_ns)
        track->part = 0;
    track->time_ns = time_ns;
}

/* The same for the end of what began at `begin_part` of `begin_ns`. */
static inline void track_end(struct track *track, uint64_t time_ns, uint64_t begin_ns, uint32_t begin_part)
{
    track_begin(track, time_ns);
    if (__builtin_expect(time_ns == begin_ns, 0) && track->part <= begin_part && begin_part + 1 < PARTS)
        track->part = begin_part + 1;
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

/* span->user: parts of its begin and of its next lap's; whether it was known to be cut. */
enum { BEGIN_PART = 0, LAP_PART, WAS_CUT };

static char *begin_arguments(char *at, bool has_n, int64_t n, const char *message, bool is_cut)
{
    if (!has_n && !message && !is_cut)
        return at;
    struct arguments arguments = arguments_open(at);
    if (has_n)
        argument_int(&arguments, "n", n);
    if (message)
        argument_text(&arguments, "message", message);
    if (is_cut)
        argument_true(&arguments, "cut");
    return arguments_close(arguments);
}

static void see_begin(void *user, struct lap_span *span)
{
    struct chrome *const to = user;
    struct track *const track = track_of(to, span);
    track_begin(track, span->begin_ns);
    span->user[BEGIN_PART] = track->part;
    span->user[WAS_CUT] = span->is_cut;
    span->user[LAP_PART] = span->last_ns == span->begin_ns ? track->part : 0;
    char *at = event_open(to, span->name.bytes + text_bytes(span->message), 'B', track->tid);
    at = event_name(EVENT_CATEGORY(event_time(to, at, span->begin_ns, track->part), "profiler"), span->name);
    event_close(to, begin_arguments(at, span->has_n, span->n, span->message, span->is_cut));
    if (span->has_n)
        counter_write(to, span->name, span->begin_ns, span->n);
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct chrome *const to = user;
    struct track *const track = track_of(to, span);
    const uint32_t begin_part = (uint32_t)span->user[LAP_PART];
    char *at = event_open(to, lap->name.bytes + text_bytes(lap->message), 'B', track->tid);
    at = event_name(EVENT_CATEGORY(event_time(to, at, lap->begin_ns, begin_part), "lap"), lap->name);
    event_close(to, begin_arguments(at, lap->has_n, lap->n, lap->message, false));
    track_end(track, lap->end_ns, lap->begin_ns, begin_part);
    span->user[LAP_PART] = track->part;
    end_write(to, track->tid, lap->end_ns, track->part, "lap", lap->name);
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
    struct track *const track = track_of(to, span);
    track_end(track, end_ns, span->begin_ns, (uint32_t)span->user[BEGIN_PART]);
    const bool is_cut = span->is_cut && !span->user[WAS_CUT];
    if (how == LAP_SPAN_ENDED && !is_cut) {
        end_write(to, track->tid, end_ns, track->part, "profiler", span->name);
        return;
    }
    char *at = event_open(to, span->name.bytes, 'E', track->tid);
    struct arguments arguments =
        arguments_open(event_name(EVENT_CATEGORY(event_time(to, at, end_ns, track->part), "profiler"), span->name));
    if (is_cut)
        argument_true(&arguments, "cut");
    if (how != LAP_SPAN_ENDED)
        argument_true(&arguments, how == LAP_SPAN_ABANDONED ? "abandoned" : "unfinished");
    event_close(to, arguments_close(arguments));
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    static const struct lap_span_text name = {.text = "(recorder)", .bytes = sizeof "(recorder)" - 1};
    struct chrome *const to = user;
    struct track *const track = track_of_thread(to, thread);
    (void)span;
    char *at = event_time(to, event_open(to, name.bytes, 'B', track->tid), begin_ns, 0);
    event_close(to, event_name(EVENT_CATEGORY(at, "recorder"), name));
    track_begin(track, end_ns);
    end_write(to, track->tid, end_ns, track->part, "recorder", name);
}

/* ---- calls, and what binds them to those that serve them ----------------------------------------------------------- */

/* `phase` s: from the call around it; f: to the profiler around it. */
static void flow_write(struct chrome *to, char phase, uint32_t tid, uint64_t time_ns, uint32_t part, uint64_t id)
{
    char text[2 + 16 + 1];
    if (id == 0)
        return;
    const int bytes = snprintf(text, sizeof text, "0x%llx", (unsigned long long)id);
    char *at = EVENT_CATEGORY(event_time(to, event_open(to, (size_t)bytes, phase, tid), time_ns, part), "call");
    at = lap_json_string(LAP_JSON_TEXT(at, ",\"name\":\"call\",\"bp\":\"e\",\"id\":"), text, (size_t)bytes);
    event_close(to, at);
}

static void see_serve(void *user, struct lap_span *span)
{
    struct chrome *const to = user;
    flow_write(to, 'f', track_of(to, span)->tid, span->begin_ns, (uint32_t)span->user[BEGIN_PART], span->caller.span);
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
    char *at = event_time(to, event_open(to, call->name.bytes, 'B', tid), call->begin_ns, 0);
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
    flow_write(to, 's', tid, call->begin_ns, 0, call->id.span);
    end_write(to, tid, call->end_ns, call->begin_ns == call->end_ns, "call", call->name);
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
                        .pids_taken = calloc(NUMBERS / 8, 1)};
    const int code = to.pids_taken ? trace_write(&to) : -ENOMEM;
    lap_call_lanes_done(&to.lanes);
    free(to.pids_taken);
    free(to.tids_taken);
    free(to.threads.tracks);
    free(to.slots.tracks);
    return code;
}
