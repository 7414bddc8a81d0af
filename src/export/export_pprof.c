/* SPDX-License-Identifier: MIT
 *
 * pprof's profile.proto: for each stack how often it was met and its own time. A location is a site; its function's name is the site's
 * label, its system name that of the function of the source. Not compressed: pprof reads both, and a compressor would be a library more.
 * Field numbers: proto/profile.proto of https://github.com/google/pprof.
 */
#define _GNU_SOURCE
#include "export.h"
#include "process_notes.h"
#include "protobuf.h"
#include "stack_sums.h"

#include <errno.h>
#include <stdio.h>

#define COMMENTS_MAX 256u
#define IDS_BYTES ((LAP_STACKS_DEPTH + 2) * 5)
_Static_assert(IDS_BYTES + 64 < 16384, "a sample is a message of two bytes' length");

enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING_TABLE = 6,
    PROFILE_TIME_NANOS = 9,
    PROFILE_DURATION_NANOS = 10,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_SAMPLE_TYPE = 14
};
static const char *const own_texts[] = {"samples", "count", "time", "nanoseconds"};
enum { TEXT_SAMPLES = 0, TEXT_COUNT, TEXT_TIME, TEXT_NANOSECONDS, OWN_TEXTS };

struct pprof {
    const struct lap_export *export;
    struct lap_stacks *stacks;
    struct lap_out *out;
    uint64_t mapping;  /* of all locations; 0: none */
    uint32_t comments; /* texts behind the stacks' and our own */
};

/* The strings are the stacks' texts, of which the first is "", then our own. */
static uint64_t own_text(const struct pprof *to, uint32_t text) { return to->stacks->texts.index.count + text; }

static void text_write(struct pprof *to, const char *text, size_t bytes)
{
    uint8_t *const start = (uint8_t *)lap_out_room(to->out, bytes + LAP_PB_FIELD);
    lap_out_add(to->out, (size_t)(lap_pb_bytes(start, PROFILE_STRING_TABLE, text, bytes) - start));
}

static void value_type_write(struct pprof *to, uint32_t field, uint32_t type, uint32_t unit)
{
    uint8_t *length, *const start = (uint8_t *)lap_out_room(to->out, 64);
    uint8_t *at = lap_pb_open(start, field, &length);
    at = lap_pb_uint(lap_pb_uint(at, 1, own_text(to, type)), 2, own_text(to, unit));
    lap_out_add(to->out, (size_t)(lap_pb_close(at, length) - start));
}

static void number_write(struct pprof *to, uint32_t field, uint64_t number)
{
    uint8_t *const start = (uint8_t *)lap_out_room(to->out, LAP_PB_FIELD);
    lap_out_add(to->out, (size_t)(lap_pb_uint(start, field, number) - start));
}

/* ---- stacks -------------------------------------------------------------------------------------------------------- */

/* Names the program where it is one: pprof's headings do so. */
static void mapping_write(struct pprof *to)
{
    const struct lap_stacks *const stacks = to->stacks;
    uint8_t *length, *const start = (uint8_t *)lap_out_room(to->out, 128);
    for (uint32_t i = 1; i < stacks->keys.index.count; i++)
        if (stacks->stacks[i].parent == LAP_STACKS_NONE)
            return;
    if (stacks->keys.index.count == 0)
        return;
    uint8_t *at = lap_pb_open(start, PROFILE_MAPPING, &length);
    at = lap_pb_uint(lap_pb_uint(at, 1, to->mapping = 1), 5, stacks->stacks[0].text);
    for (uint32_t has_names = 7; has_names <= 9; has_names++)
        at = lap_pb_uint(at, has_names, 1);
    lap_out_add(to->out, (size_t)(lap_pb_close(at, length) - start));
}

/* A location and its function are known by the frame's number, from 1. */
static void frame_write(struct pprof *to, uint32_t frame)
{
    const uint32_t *const key = to->stacks->frames.keys[frame];
    uint8_t *length, *line, *const start = (uint8_t *)lap_out_room(to->out, 256);
    uint8_t *at = lap_pb_open(start, PROFILE_FUNCTION, &length);
    at = lap_pb_uint(lap_pb_uint(at, 1, (uint64_t)frame + 1), 2, key[LAP_FRAME_TEXT]);
    at = lap_pb_uint(lap_pb_uint(at, 3, key[LAP_FRAME_FUNCTION]), 4, key[LAP_FRAME_FILE]);
    at = lap_pb_close(at, length);
    at = lap_pb_open(at, PROFILE_LOCATION, &length);
    at = lap_pb_uint(lap_pb_uint(at, 1, (uint64_t)frame + 1), 2, to->mapping);
    at = lap_pb_open(at, 4, &line);
    at = lap_pb_uint(lap_pb_uint(at, 1, (uint64_t)frame + 1), 2, key[LAP_FRAME_LINE]);
    at = lap_pb_close(lap_pb_close(at, line), length);
    lap_out_add(to->out, (size_t)(at - start));
}

static void sample_write(struct pprof *to, uint32_t stack)
{
    const struct lap_stack *const stacks = to->stacks->stacks;
    const uint64_t self_ns = lap_stack_self_ns(&stacks[stack]);
    const uint64_t count = stacks[stack].count;
    uint8_t ids[IDS_BYTES], values[2 * LAP_PB_FIELD];
    uint8_t *length, *at = ids;
    if (count == 0)
        return;
    for (uint32_t around = stack; around != LAP_STACKS_NONE; around = stacks[around].parent)
        at = lap_pb_varint(at, (uint64_t)stacks[around].frame + 1); /* the leaf first */
    const size_t id_bytes = (size_t)(at - ids);
    const size_t value_bytes = (size_t)(lap_pb_varint(lap_pb_varint(values, count), self_ns) - values);
    uint8_t *const start = (uint8_t *)lap_out_room(to->out, sizeof ids + sizeof values + 4 * LAP_PB_FIELD);
    at = lap_pb_open(start, PROFILE_SAMPLE, &length);
    at = lap_pb_bytes(at, 1, ids, id_bytes);
    at = lap_pb_bytes(at, 2, values, value_bytes);
    lap_out_add(to->out, (size_t)(lap_pb_close(at, length) - start));
}

/* ---- the recording ------------------------------------------------------------------------------------------------- */

static void times_write(struct pprof *to)
{
    const struct lap_recording *const recording = to->export->recording;
    const uint64_t begin_ns = lap_recording_start_ns(recording);
    uint64_t end_ns = 0;
    for (size_t p = 0; p < recording->process_count; p++) {
        const struct lap_process *const process = recording->processes[p];
        const uint64_t to_ns = lap_timebase_realtime_ns(&process->clock, process->end_ticks);
        end_ns = process->end_ticks != 0 && to_ns > end_ns ? to_ns : end_ns;
    }
    number_write(to, PROFILE_TIME_NANOS, begin_ns);
    if (end_ns > begin_ns)
        number_write(to, PROFILE_DURATION_NANOS, end_ns - begin_ns);
}

static void comment_write(struct pprof *to, const char *text)
{
    char escaped[1024];
    number_write(to, PROFILE_COMMENT, own_text(to, OWN_TEXTS + to->comments++));
    text_write(to, escaped, lap_span_text_escape(escaped, sizeof escaped, text));
}

static bool has_gaps(const struct lap_process *process)
{
    for (size_t r = 0; r < process->ring_count; r++) {
        const struct lap_ring *const ring = &process->rings[r];
        if (ring->missing_segments > 0 || (ring->segment_count > 0 && ring->segments[0].header.sequence > 0))
            return true;
    }
    return false;
}

/* What a process's numbers lack. */
static void process_comment(struct pprof *to, const struct lap_process *process)
{
    char notes[LAP_PROCESS_NOTES_BYTES], text[LAP_PROCESS_NOTES_BYTES + 512];
    const bool has_notes = lap_process_notes(notes, to->export, process) > 0;
    snprintf(text, sizeof text, "%.400s%s%s%s", process->name, has_notes ? ": " : "", notes,
             !has_gaps(process) ? ""
             : has_notes        ? ", older events overwritten"
                                : ": older events overwritten");
    comment_write(to, text);
}

static void comments_write(struct pprof *to)
{
    const struct lap_recording *const recording = to->export->recording;
    char text[128];
    for (size_t p = 0; p < recording->process_count && p < COMMENTS_MAX; p++)
        process_comment(to, recording->processes[p]);
    if (recording->process_count > COMMENTS_MAX) {
        snprintf(text, sizeof text, "and %zu more processes", recording->process_count - COMMENTS_MAX);
        comment_write(to, text);
    }
}

static void profile_write(struct pprof *to)
{
    const struct lap_stacks *const stacks = to->stacks;
    value_type_write(to, PROFILE_SAMPLE_TYPE, TEXT_SAMPLES, TEXT_COUNT);
    value_type_write(to, PROFILE_SAMPLE_TYPE, TEXT_TIME, TEXT_NANOSECONDS);
    for (uint32_t i = 0; i < stacks->keys.index.count && to->out->error == 0; i++)
        sample_write(to, i);
    mapping_write(to);
    for (uint32_t i = 0; i < stacks->frames.index.count && to->out->error == 0; i++)
        frame_write(to, i);
    for (uint32_t i = 0; i < stacks->texts.index.count && to->out->error == 0; i++)
        text_write(to, lap_texts_text(&stacks->texts, i), strlen(lap_texts_text(&stacks->texts, i)));
    for (uint32_t i = 0; i < OWN_TEXTS; i++)
        text_write(to, own_texts[i], strlen(own_texts[i]));
    times_write(to);
    value_type_write(to, PROFILE_PERIOD_TYPE, TEXT_TIME, TEXT_NANOSECONDS);
    number_write(to, PROFILE_PERIOD, 1);
    number_write(to, PROFILE_DEFAULT_SAMPLE_TYPE, own_text(to, TEXT_TIME));
    comments_write(to);
}

int lap_export_pprof(const struct lap_export *export, struct lap_out *out)
{
    struct pprof to = {.export = export, .out = out};
    const int code = lap_stacks_make(&to.stacks, export);
    if (code < 0)
        return code;
    profile_write(&to);
    lap_stacks_free(to.stacks);
    return out->error;
}
