/* SPDX-License-Identifier: MIT */
#include "perfetto_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { KEY_BYTES = 48, PARENTS_MAX = 32 };

static struct lap_perfetto_track *state_of(struct lap_perfetto *perfetto, uint32_t track)
{
    while (perfetto->trace->code == 0 && track >= perfetto->track_count) {
        if (!lap_foreign_reserve(&perfetto->tracks, perfetto->track_count, &perfetto->track_room,
                                 sizeof *perfetto->tracks))
            perfetto->trace->code = -ENOMEM;
        else
            perfetto->tracks[perfetto->track_count++] = (struct lap_perfetto_track){.is_known = false};
    }
    return perfetto->trace->code == 0 ? &perfetto->tracks[track] : NULL;
}

uint32_t lap_perfetto_track(struct lap_perfetto *perfetto, uint64_t uuid)
{
    char key[KEY_BYTES];
    const uint32_t track = lap_foreign_track(perfetto->trace, key, (size_t)snprintf(key, sizeof key, "u%" PRIx64, uuid));
    struct lap_perfetto_track *const state = state_of(perfetto, track);
    if (state && state->trusted_pid == 0)
        state->trusted_pid = perfetto->trusted_pid;
    return track;
}

void lap_perfetto_track_below(struct lap_perfetto *perfetto, uint32_t track, uint64_t parent)
{
    lap_perfetto_track(perfetto, parent);
    struct lap_perfetto_track *const state = state_of(perfetto, track);
    if (state && !state->is_known)
        *state = (struct lap_perfetto_track){
            .parent = parent, .is_known = true, .has_parent = true, .trusted_pid = perfetto->trusted_pid};
}

/* ---- descriptors --------------------------------------------------------------------------------------------------- */

bool lap_perfetto_thread_read(struct lap_perfetto *perfetto, struct lap_protobuf message, uint64_t *ret_pid,
                              uint64_t *ret_tid, int64_t *ret_reference_us)
{
    struct lap_protobuf_field field;
    struct lap_protobuf name = {NULL, NULL};
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 1)
            *ret_pid = field.value;
        else if (field.number == 2)
            *ret_tid = field.value;
        else if (field.number == 5 && field.type == LAP_PROTOBUF_BYTES)
            name = field.bytes;
        else if (field.number == 6)
            *ret_reference_us = (int64_t)field.value;
    }
    if (code < 0)
        return false;
    struct lap_foreign_trace *const trace = perfetto->trace;
    const uint32_t thread = lap_foreign_thread(trace, lap_foreign_process(trace, *ret_pid), *ret_tid);
    if (trace->code == 0 && name.at && lap_protobuf_left(&name) > 0) {
        const uint32_t number = lap_foreign_name(trace, name.at, lap_protobuf_left(&name));
        trace->threads[thread].name = number;
    }
    return true;
}

bool lap_perfetto_process_read(struct lap_perfetto *perfetto, struct lap_protobuf message, uint64_t *ret_pid)
{
    struct lap_protobuf_field field;
    struct lap_protobuf name = {NULL, NULL}, program = {NULL, NULL};
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 1)
            *ret_pid = field.value;
        else if (field.number == 2 && field.type == LAP_PROTOBUF_BYTES && !program.at)
            program = field.bytes;
        else if (field.number == 6 && field.type == LAP_PROTOBUF_BYTES)
            name = field.bytes;
    }
    if (code < 0)
        return false;
    struct lap_foreign_trace *const trace = perfetto->trace;
    const uint32_t process = lap_foreign_process(trace, *ret_pid);
    const struct lap_protobuf *const text = name.at && lap_protobuf_left(&name) > 0 ? &name : &program;
    if (trace->code == 0 && text->at && lap_protobuf_left(text) > 0) {
        const uint32_t number = lap_foreign_name(trace, text->at, lap_protobuf_left(text));
        trace->processes[process].name = number;
    }
    return true;
}

bool lap_perfetto_track_read(struct lap_perfetto *perfetto, struct lap_protobuf message)
{
    struct lap_perfetto_track read = {.is_known = true};
    struct lap_protobuf_field field;
    uint64_t uuid = 0, pid = 0;
    int64_t reference_us = 0;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 1) {
            uuid = field.value;
        } else if (field.number == 5) {
            read.parent = field.value;
            read.has_parent = true;
        } else if (field.number == 3 && field.type == LAP_PROTOBUF_BYTES) {
            read.is_process = true;
            if (!lap_perfetto_process_read(perfetto, field.bytes, &pid))
                return false;
        } else if (field.number == 4 && field.type == LAP_PROTOBUF_BYTES) {
            read.is_thread = true;
            if (!lap_perfetto_thread_read(perfetto, field.bytes, &read.pid, &read.tid, &reference_us))
                return false;
        }
    }
    if (!read.is_thread)
        read.pid = pid;
    struct lap_perfetto_track *const state = state_of(perfetto, lap_perfetto_track(perfetto, uuid));
    if (state) {
        read.trusted_pid = state->trusted_pid;
        *state = read;
    }
    return code == 0;
}

/* ---- whose the events are ------------------------------------------------------------------------------------------ */

/* The process that a track, or one above it, is of; else who wrote to it. */
static uint64_t pid_of(struct lap_perfetto *perfetto, const struct lap_perfetto_track *track)
{
    const uint64_t trusted_pid = track->trusted_pid;
    for (int i = 0; i < PARENTS_MAX; i++) {
        if (track->is_thread || track->is_process)
            return track->pid;
        const struct lap_perfetto_track *const parent =
            track->has_parent ? state_of(perfetto, lap_perfetto_track(perfetto, track->parent)) : NULL;
        if (!parent)
            break;
        track = parent;
    }
    return trusted_pid;
}

/* The thread that a track's events are stored with. */
static uint32_t thread_of(struct lap_perfetto *perfetto, uint32_t track)
{
    struct lap_foreign_trace *const trace = perfetto->trace;
    if (trace->tracks[track].thread != LAP_FOREIGN_NONE)
        return trace->tracks[track].thread;
    const struct lap_perfetto_track *const state = state_of(perfetto, track);
    if (!state)
        return 0;
    const bool is_thread = state->is_thread;
    const uint64_t tid = state->tid;
    const uint32_t process = lap_foreign_process(trace, pid_of(perfetto, state));
    return is_thread ? lap_foreign_thread(trace, process, tid) : lap_foreign_no_thread(trace, process);
}

void lap_perfetto_tracks_finish(struct lap_perfetto *perfetto)
{
    struct lap_foreign_trace *const trace = perfetto->trace;
    size_t kept = 0;
    perfetto->trusted_pid = 0;
    for (size_t i = 0; i < trace->event_count && trace->code == 0; i++) {
        struct lap_foreign_event event = trace->events[i];
        if (event.thread == LAP_FOREIGN_NONE) {
            const struct lap_perfetto_track *const state = state_of(perfetto, event.track);
            const bool is_thread = state && state->is_thread;
            event.thread = thread_of(perfetto, event.track);
            if (is_thread) /* a thread may have several tracks, which are one */
                event.track = lap_foreign_thread_track(trace, event.thread);
        }
        const bool is_of_thread = trace->code == 0 && trace->tracks[event.track].thread != LAP_FOREIGN_NONE;
        if (event.kind == LAP_FOREIGN_MARK && is_of_thread)
            trace->left_out[LAP_FOREIGN_INSTANTS]++;
        else
            trace->events[kept++] = event;
    }
    trace->event_count = kept;
    trace->is_fine = perfetto->is_fine; /* and not, since two clocks are so much apart */
}
