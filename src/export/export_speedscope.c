/* SPDX-License-Identifier: MIT
 *
 * Speedscope's own format, https://www.speedscope.app/file-format-schema.json: a profile for each thread, each slot of handles, and
 * each of the tracks of calls, with openings and closings in their order.
 *
 * A profile's events stand together in the file, and a lap is known when it ends, behind what is in it. So they are spooled, process by
 * process; where a lap begins, an opening is left for it to be named. Names are all that a frame has: what has no proper end says so there.
 */
#define _GNU_SOURCE
#include "call_lanes.h"
#include "export.h"
#include "interned.h"
#include "json_text.h"
#include "process_notes.h"
#include "track_spool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_BYTES 4096u
#define FRAMES_BYTES (16u << 20) /* of all frames' texts */
#define EVENT_BYTES 96u

/* A frame of its own for each way in which a profiler is not whole. */
enum state { WHOLE = 0, CUT, ABANDONED, UNFINISHED, STATES };
static const char *const state_texts[STATES] = {"", " (cut)", " (abandoned)", " (unfinished)"};

enum track_kind { OF_THREAD = 0, OF_SLOT, OF_CALLS, TRACK_KINDS };

struct numbered_track {
    uint32_t track;                  /* of the spool, + 1; 0: none */
    const struct lap_thread *thread; /* NULL: unknown, or of none */
};

/* By the thread's index, the slot, the lane. */
struct numbered_tracks {
    struct numbered_track *tracks;
    size_t count;
};

struct speedscope {
    const struct lap_export *export;
    struct lap_out *out;
    const struct lap_process *process;
    uint64_t start_ns; /* of the recording: times count from here */
    uint64_t first_ns; /* of the process's events; UINT64_MAX: there is none yet */
    struct numbered_tracks numbered[TRACK_KINDS];
    struct lap_spool spool;
    struct lap_call_lanes lanes;
    struct lap_texts frames;        /* each as the JSON that it becomes */
    uint32_t *class_frames[STATES]; /* of the process: a frame + 1; 0: not yet */
    uint32_t other, rest, recorder; /* frames */
    uint32_t *open;                 /* frames of the profile that is written */
    size_t open_count, open_room;
    bool has_profile, has_event;
    uint64_t read_bytes, total_bytes; /* of the recording */
    uint64_t done_bytes;              /* of processes that are written, too */
    uint32_t blocks_written;          /* of the process, in the spool */
};

static bool has_failed(void *user)
{
    const struct speedscope *const to = user;
    return to->out->error != 0 || to->spool.error != 0;
}

static void fail(struct speedscope *to, int code)
{
    if (to->out->error == 0)
        to->out->error = code;
}

/* ---- how far it is ------------------------------------------------------------------------------------------------- */

/* Shares of the time, about. */
enum { READING = 1, WRITING = 3 };
#define BLOCKS_EACH 256u

static void progress_tell(struct speedscope *to, uint64_t written_bytes)
{
    const struct lap_spans_options *const options = &to->export->options;
    if (options->progress && to->total_bytes > 0)
        options->progress(options->progress_user, READING * to->read_bytes + WRITING * written_bytes,
                          (READING + WRITING) * to->total_bytes);
}

static void see_reading(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    struct speedscope *const to = user;
    to->read_bytes = done_bytes;
    to->total_bytes = total_bytes;
    progress_tell(to, to->done_bytes);
}

static void block_written(struct speedscope *to)
{
    if (++to->blocks_written % BLOCKS_EACH != 0)
        return;
    const double share = (double)to->blocks_written / (double)to->spool.block_count;
    progress_tell(to, to->done_bytes + (uint64_t)(share * (double)to->process->content_bytes));
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static uint32_t frame_make(struct speedscope *to, const char *name, size_t name_bytes, enum state state, const char *file,
                           uint32_t line)
{
    char text[2 * LAP_JSON_STRING(TEXT_BYTES) + EVENT_BYTES], *at = text;
    at = LAP_JSON_TEXT(at, "{\"name\":\"");
    at = lap_json_escape(at, name, name_bytes < TEXT_BYTES ? name_bytes : TEXT_BYTES);
    at = stpcpy(at, state_texts[state]);
    *at++ = '"';
    if (file && *file) {
        char path[TEXT_BYTES];
        const size_t bytes = lap_span_text_escape(path, sizeof path, file);
        at = lap_json_string(LAP_JSON_TEXT(at, ",\"file\":"), path, bytes);
        at = lap_json_uint(LAP_JSON_TEXT(at, ",\"line\":"), line);
    }
    *at++ = '}';
    const uint32_t frame = lap_texts_get(&to->frames, text, (size_t)(at - text));
    return frame == LAP_INTERNED_NONE ? to->other : frame;
}

static uint32_t frame_of(struct speedscope *to, struct lap_span_text name, uint32_t class_id, enum state state)
{
    const struct lap_catalog *const catalog = &to->process->catalog;
    uint32_t *const kept = name.id != 0 && to->class_frames[state] ? &to->class_frames[state][name.id] : NULL;
    if (kept && *kept != 0)
        return *kept - 1;
    const struct lap_description *const description =
        class_id < catalog->class_count ? lap_catalog_description(catalog, class_id) : NULL;
    const uint32_t frame = frame_make(to, name.text, name.bytes, state, description ? description->file : NULL,
                                      description ? description->line : 0);
    if (kept)
        *kept = frame + 1;
    return frame;
}

/* ---- tracks -------------------------------------------------------------------------------------------------------- */

/* Grows to hold `number`. */
static int numbered_grow(struct numbered_tracks *numbered, size_t number)
{
    if (number < numbered->count)
        return 0;
    const size_t count = 2 * number + 16;
    struct numbered_track *const tracks = realloc(numbered->tracks, count * sizeof *tracks);
    if (!tracks)
        return -ENOMEM;
    memset(tracks + numbered->count, 0, (count - numbered->count) * sizeof *tracks);
    numbered->tracks = tracks;
    numbered->count = count;
    return 0;
}

static uint32_t track_get(struct speedscope *to, enum track_kind kind, uint64_t number, const struct lap_thread *thread)
{
    const int code = numbered_grow(&to->numbered[kind], number);
    if (code < 0) {
        fail(to, code);
        return 0;
    }
    struct numbered_track *const found = &to->numbered[kind].tracks[number];
    if (found->track == 0)
        *found = (struct numbered_track){.track = lap_spool_track_make(&to->spool) + 1, .thread = thread};
    return found->track - 1;
}

static uint32_t track_of_thread(struct speedscope *to, const struct lap_thread *thread)
{
    return track_get(to, OF_THREAD, thread ? lap_span_thread_slot(thread) : 0, thread);
}

static uint64_t add(struct speedscope *to, uint32_t track, uint64_t time_ns, uint32_t frame)
{
    if (to->out->error != 0)
        return 0;
    time_ns = time_ns > to->start_ns ? time_ns - to->start_ns : 0;
    to->first_ns = time_ns < to->first_ns ? time_ns : to->first_ns;
    return lap_spool_add(&to->spool, track, time_ns, frame);
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

/* span->user: where its opening and that of its lap under way are, and its track. */
enum { OPENING = 0, LAP_OPENING, TRACK };

static void see_begin(void *user, struct lap_span *span)
{
    struct speedscope *const to = user;
    const uint32_t track = span->handle != 0 ? track_get(to, OF_SLOT, lap_handle_slot(span->handle), NULL)
                                             : track_of_thread(to, span->thread);
    span->user[TRACK] = track;
    span->user[OPENING] = add(to, track, span->begin_ns, frame_of(to, span->name, span->class_id, WHOLE));
    span->user[LAP_OPENING] = add(to, track, span->last_ns, LAP_SPOOL_UNSET);
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct speedscope *const to = user;
    const uint32_t track = (uint32_t)span->user[TRACK];
    const bool is_rest = lap->class_id == LAP_FORMAT_REST;
    const uint32_t frame = is_rest ? to->rest : frame_of(to, lap->name, lap->class_id, WHOLE);
    if (to->out->error != 0)
        return;
    lap_spool_set(&to->spool, track, span->user[LAP_OPENING], frame);
    add(to, track, lap->end_ns, LAP_SPOOL_CLOSE);
    if (!is_rest)
        span->user[LAP_OPENING] = add(to, track, lap->end_ns, LAP_SPOOL_UNSET);
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    static const enum state states[] = {[LAP_SPAN_ENDED] = WHOLE,
                                        [LAP_SPAN_ABANDONED] = ABANDONED,
                                        [LAP_SPAN_OPEN] = UNFINISHED,
                                        [LAP_SPAN_LOST] = UNFINISHED};
    struct speedscope *const to = user;
    const uint32_t track = (uint32_t)span->user[TRACK];
    const enum state state = how == LAP_SPAN_ENDED && span->is_cut ? CUT : states[how];
    (void)total_ns;
    add(to, track, end_ns, LAP_SPOOL_CLOSE);
    if (state != WHOLE && to->out->error == 0)
        lap_spool_set(&to->spool, track, span->user[OPENING], frame_of(to, span->name, span->class_id, state));
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    struct speedscope *const to = user;
    const uint32_t track = track_of_thread(to, thread);
    (void)span;
    add(to, track, begin_ns, to->recorder);
    add(to, track, end_ns, LAP_SPOOL_CLOSE);
}

static void see_call(void *user, const struct lap_span_call *call)
{
    struct speedscope *const to = user;
    uint32_t lane;
    bool is_new;
    const int code = lap_call_lanes_take(&to->lanes, call->begin_ns, call->end_ns, &lane, &is_new);
    if (code < 0) {
        fail(to, code);
        return;
    }
    const uint32_t track = track_get(to, OF_CALLS, lane, NULL);
    add(to, track, call->begin_ns, frame_of(to, call->name, call->class_id, WHOLE));
    add(to, track, call->end_ns, LAP_SPOOL_CLOSE);
}

/* ---- profiles ------------------------------------------------------------------------------------------------------ */

static void profile_event(struct speedscope *to, char type, uint32_t frame, uint64_t at_ns)
{
    char *const start = lap_out_room(to->out, EVENT_BYTES), *at = start;
    if (to->has_event)
        *at++ = ',';
    to->has_event = true;
    at = LAP_JSON_TEXT(at, "\n{\"type\":\"");
    *at++ = type;
    at = lap_json_uint(LAP_JSON_TEXT(at, "\",\"frame\":"), frame);
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"at\":"), at_ns);
    *at++ = '}';
    lap_out_add(to->out, (size_t)(at - start));
}

static bool open_grow(struct speedscope *to)
{
    if (to->open_count < to->open_room)
        return true;
    const size_t room = 2 * to->open_room + 64;
    uint32_t *const open = realloc(to->open, room * sizeof *open);
    if (!open)
        return false;
    to->open = open;
    to->open_room = room;
    return true;
}

static void see_record(struct speedscope *to, const struct lap_spool_record *record)
{
    const uint64_t at_ns = lap_spool_at(record);
    if (record->frame == LAP_SPOOL_UNSET)
        return;
    if (record->frame == LAP_SPOOL_CLOSE) {
        if (to->open_count > 0)
            profile_event(to, 'C', to->open[--to->open_count], at_ns);
    } else if (open_grow(to)) {
        to->open[to->open_count++] = record->frame;
        profile_event(to, 'O', record->frame, at_ns);
    } else {
        fail(to, -ENOMEM);
    }
}

static void see_records(void *user, const struct lap_spool_record *records, size_t count)
{
    struct speedscope *const to = user;
    for (size_t i = 0; i < count; i++)
        see_record(to, &records[i]);
    block_written(to);
}

/* "PROGRAM PID: THREAD TID (notes)" */
static size_t profile_name(char out[TEXT_BYTES], const struct speedscope *to, enum track_kind kind, uint64_t number)
{
    char program[TEXT_BYTES / 4], notes[LAP_PROCESS_NOTES_BYTES], track[512];
    const struct lap_thread *const thread = to->numbered[kind].tracks[number].thread;
    char name[256];
    lap_span_text_escape(program, sizeof program, to->process->program);
    const bool has_notes = lap_process_notes(notes, to->export, to->process) > 0;
    if (kind != OF_THREAD)
        snprintf(track, sizeof track, "%s %llu", kind == OF_SLOT ? "handles" : "calls", (unsigned long long)number);
    else if (thread && lap_span_text_escape(name, sizeof name, thread->name) > 0)
        snprintf(track, sizeof track, "%s %llu", name, (unsigned long long)thread->id);
    else
        snprintf(track, sizeof track, "thread %llu", thread ? (unsigned long long)thread->id : 0);
    return (size_t)snprintf(out, TEXT_BYTES, "%s %llu: %s%s%s%s", program, (unsigned long long)to->process->pid, track,
                            has_notes ? " (" : "", notes, has_notes ? ")" : "");
}

static void profile_write(struct speedscope *to, enum track_kind kind, uint64_t number, uint64_t end_ns)
{
    char name[TEXT_BYTES];
    const size_t name_bytes = profile_name(name, to, kind, number);
    const uint32_t track = to->numbered[kind].tracks[number].track - 1;
    const uint64_t last_ns = to->spool.tracks[track].at;
    char *const start = lap_out_room(to->out, LAP_JSON_STRING(TEXT_BYTES) + 256), *at = start;
    at = to->has_profile ? LAP_JSON_TEXT(at, ",\n{\"type\":\"evented\",\"name\":")
                         : LAP_JSON_TEXT(at, "\n{\"type\":\"evented\",\"name\":");
    at = lap_json_string(at, name, name_bytes);
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"unit\":\"nanoseconds\",\"startValue\":"), to->first_ns);
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"endValue\":"), end_ns > last_ns ? end_ns : last_ns);
    at = LAP_JSON_TEXT(at, ",\"events\":[");
    lap_out_add(to->out, (size_t)(at - start));
    to->has_profile = true;
    to->has_event = false;
    to->open_count = 0;
    lap_spool_read(&to->spool, track, see_records, to);
    while (to->open_count > 0)
        profile_event(to, 'C', to->open[--to->open_count], last_ns);
    lap_out_text(to->out, "\n]}");
}

/* ---- processes ----------------------------------------------------------------------------------------------------- */

static void see_process(void *user, const struct lap_process *process)
{
    struct speedscope *const to = user;
    to->process = process;
    to->first_ns = UINT64_MAX;
    lap_call_lanes_clear(&to->lanes);
    for (int state = 0; state < STATES; state++) {
        free(to->class_frames[state]);
        to->class_frames[state] = calloc((size_t)process->catalog.class_count + 1, sizeof *to->class_frames[state]);
        if (!to->class_frames[state])
            fail(to, -ENOMEM);
    }
}

static void see_process_end(void *user, const struct lap_process *process, uint64_t end_ns)
{
    struct speedscope *const to = user;
    end_ns = end_ns > to->start_ns ? end_ns - to->start_ns : 0;
    for (enum track_kind kind = OF_THREAD; kind < TRACK_KINDS; kind++)
        for (size_t number = 0; number < to->numbered[kind].count; number++) {
            struct numbered_track *const track = &to->numbered[kind].tracks[number];
            if (track->track != 0 && !has_failed(to))
                profile_write(to, kind, number, end_ns);
            *track = (struct numbered_track){.track = 0};
        }
    lap_spool_clear(&to->spool);
    to->done_bytes += process->content_bytes;
    to->blocks_written = 0;
}

static void file_open(struct speedscope *to)
{
    char program[TEXT_BYTES], *const start = lap_out_room(to->out, LAP_JSON_STRING(TEXT_BYTES) + 256), *at = start;
    const size_t bytes = lap_span_text_escape(program, sizeof program, to->export->recording->processes[0]->program);
    at = LAP_JSON_TEXT(
        at, "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"lapmark\",\"name\":");
    at = lap_json_string(at, program, bytes);
    at = LAP_JSON_TEXT(at, ",\"activeProfileIndex\":0,\"profiles\":[");
    lap_out_add(to->out, (size_t)(at - start));
}

static void file_close(struct speedscope *to)
{
    lap_out_text(to->out, "\n],\"shared\":{\"frames\":[\n");
    for (uint32_t i = 0; i < to->frames.index.count; i++) {
        lap_out_text(to->out, i > 0 ? ",\n" : "");
        lap_out_text(to->out, lap_texts_text(&to->frames, i));
    }
    lap_out_text(to->out, "\n]}}\n");
}

static int trace_write(struct speedscope *to)
{
    static const struct lap_span_writer writer = {.process = see_process,
                                                  .begin = see_begin,
                                                  .lap = see_lap,
                                                  .end = see_end,
                                                  .pause = see_pause,
                                                  .call = see_call,
                                                  .process_end = see_process_end};
    struct lap_spans_options options = to->export->options;
    options.failed = has_failed;
    options.progress = see_reading;
    options.progress_user = to;
    to->other = frame_make(to, "(other labels)", sizeof "(other labels)" - 1, WHOLE, NULL, 0);
    to->rest = frame_make(to, "(rest)", sizeof "(rest)" - 1, WHOLE, NULL, 0);
    to->recorder = frame_make(to, "(recorder)", sizeof "(recorder)" - 1, WHOLE, NULL, 0);
    file_open(to);
    const int code = lap_spans_run(to->export->recording, &writer, to, &options);
    file_close(to);
    fail(to, to->spool.error);
    return to->out->error < 0 ? to->out->error : code;
}

/* Where the file will be, there is room for what it is made from; a pipe says nothing of the kind. */
static const char *spool_directory(const struct lap_out *out, char **ret_owned)
{
    const char *const chosen = getenv("TMPDIR");
    *ret_owned = NULL;
    if (out->temporary && (*ret_owned = strdup(out->temporary)) != NULL) {
        char *const slash = strrchr(*ret_owned, '/');
        if (!slash)
            return ".";
        slash[slash == *ret_owned] = 0;
        return *ret_owned;
    }
    return chosen && access(chosen, W_OK | X_OK) == 0 ? chosen : "/var/tmp";
}

int lap_export_speedscope(const struct lap_export *export, struct lap_out *out)
{
    struct speedscope to = {.export = export, .out = out, .start_ns = lap_recording_start_ns(export->recording)};
    char *owned;
    to.frames.bytes_max = FRAMES_BYTES;
    int code = lap_spool_init(&to.spool, spool_directory(out, &owned));
    if (code == 0) {
        code = trace_write(&to);
        lap_spool_done(&to.spool);
    }
    lap_call_lanes_done(&to.lanes);
    lap_texts_done(&to.frames);
    for (int state = 0; state < STATES; state++)
        free(to.class_frames[state]);
    for (int kind = 0; kind < TRACK_KINDS; kind++)
        free(to.numbered[kind].tracks);
    free(to.open);
    free(owned);
    return code;
}
