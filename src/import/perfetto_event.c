/* SPDX-License-Identifier: MIT */
#include "perfetto_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_SLICE_BEGIN = 1, TYPE_SLICE_END = 2, TYPE_INSTANT = 3, TYPE_COUNTER = 4, KEY_BYTES = 96 };

struct track_event {
    uint64_t type, track, name_iid, category_iid;
    struct lap_protobuf name, legacy;
    int64_t delta_us, absolute_us;
    bool has_track, has_delta, has_absolute;
    size_t arguments; /* all, and of these the annotations, one of which may be the size */
    size_t annotations;
    bool has_flows, has_named_size;
    int64_t size;
};

/* Of a LegacyEvent. */
struct legacy_event {
    uint64_t name_iid, phase, id, pid, tid;
    int64_t duration_us;
    char id_kind; /* 'u'nscoped, 'l'ocal, 'g'lobal; 0: none */
    struct lap_protobuf scope;
    bool has_duration, has_pid, has_tid;
};

/* ---- what is interned ---------------------------------------------------------------------------------------------- */

static uint32_t *interned_value(struct lap_perfetto *perfetto, uint32_t what, uint64_t number)
{
    char key[KEY_BYTES];
    const struct lap_perfetto_sequence *const sequence = perfetto->sequence;
    return lap_foreign_value(perfetto->trace, key,
                             (size_t)snprintf(key, sizeof key, "i%" PRIx64 ".%" PRIx32 ".%" PRIx32 ".%" PRIx64,
                                              sequence->id, sequence->generation, what, number));
}

uint32_t lap_perfetto_interned(struct lap_perfetto *perfetto, enum lap_perfetto_interned what, uint64_t number)
{
    const uint32_t *const value = number != 0 ? interned_value(perfetto, what, number) : NULL;
    return value ? *value : LAP_FOREIGN_NONE;
}

bool lap_perfetto_intern(struct lap_perfetto *perfetto, struct lap_protobuf data)
{
    struct lap_protobuf_field entry, field;
    int code;
    while ((code = lap_protobuf_next(&data, &entry)) == 1) {
        if (entry.type != LAP_PROTOBUF_BYTES || entry.number > LAP_PERFETTO_ARGUMENT_NAMES)
            continue;
        uint64_t number = 0;
        struct lap_protobuf text = {NULL, NULL};
        while ((code = lap_protobuf_next(&entry.bytes, &field)) == 1) {
            if (field.number == 1)
                number = field.value;
            else if (field.number == 2 && field.type == LAP_PROTOBUF_BYTES)
                text = field.bytes;
        }
        if (code < 0)
            return false;
        const uint32_t name =
            text.at ? lap_foreign_name(perfetto->trace, text.at, lap_protobuf_left(&text)) : LAP_FOREIGN_NONE;
        uint32_t *const value = interned_value(perfetto, entry.number, number);
        if (value)
            *value = name;
    }
    return code == 0;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

/* An annotation: is it called n, and a whole number? */
static bool annotation_read(struct lap_perfetto *perfetto, struct track_event *event, struct lap_protobuf message)
{
    struct lap_protobuf_field field;
    struct lap_protobuf name = {NULL, NULL};
    uint64_t name_iid = 0;
    int64_t size = 0;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 1) {
            name_iid = field.value;
        } else if (field.number == 10 && field.type == LAP_PROTOBUF_BYTES) {
            name = field.bytes;
        } else if ((field.number == 3 || field.number == 4) && field.type == LAP_PROTOBUF_VARINT) {
            size = field.value <= INT64_MAX ? (int64_t)field.value : 0;
        }
    }
    event->annotations++;
    event->arguments++;
    bool is_n = name.at && lap_protobuf_left(&name) == 1 && *name.at == 'n';
    if (!name.at && name_iid != 0) {
        const uint32_t number = lap_perfetto_interned(perfetto, LAP_PERFETTO_ARGUMENT_NAMES, name_iid);
        is_n =
            number != LAP_FOREIGN_NONE && strcmp(lap_foreign_texts_get(&perfetto->trace->names, number, NULL), "n") == 0;
    }
    if (is_n || !event->has_named_size)
        event->size = size;
    event->has_named_size |= is_n;
    return code == 0;
}

static int64_t size_of(const struct track_event *event)
{
    return event->has_named_size || event->annotations == 1 ? event->size : 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static void number_read(struct track_event *event, const struct lap_protobuf_field *field)
{
    switch (field->number) {
    case 1:
        event->delta_us = (int64_t)field->value;
        event->has_delta = true;
        break;
    case 3: event->category_iid = event->category_iid ? event->category_iid : field->value; break;
    case 9: event->type = field->value; break;
    case 10: event->name_iid = field->value; break;
    case 11:
        event->track = field->value;
        event->has_track = true;
        break;
    case 16:
        event->absolute_us = (int64_t)field->value;
        event->has_absolute = true;
        break;
    case 36:
    case 42:
    case 47:
    case 48: event->has_flows = true; break;
    default: break;
    }
}

static bool event_fields_read(struct lap_perfetto *perfetto, struct track_event *event, struct lap_protobuf message)
{
    struct lap_protobuf_field field;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.type != LAP_PROTOBUF_BYTES)
            number_read(event, &field);
        else if (field.number == 23)
            event->name = field.bytes;
        else if (field.number == 6)
            event->legacy = field.bytes;
        else if (field.number == 4 && !annotation_read(perfetto, event, field.bytes))
            return false;
        else if (field.number == 47 || field.number == 48 || field.number == 36 || field.number == 42)
            event->has_flows = true;
        else if (field.number != 4 && field.number != 22 && field.number != 3 && field.number != 12 &&
                 field.number != 31 && field.number != 45 && field.number != 46)
            event->arguments++;
    }
    return code == 0;
}

static bool legacy_read(struct legacy_event *legacy, struct lap_protobuf message)
{
    struct lap_protobuf_field field;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        switch (field.number) {
        case 1: legacy->name_iid = field.value; break;
        case 2: legacy->phase = field.value; break;
        case 3:
            legacy->duration_us = (int64_t)field.value;
            legacy->has_duration = true;
            break;
        case 6:
        case 10:
        case 11:
            legacy->id = field.value;
            legacy->id_kind = (char)(field.number == 6 ? 'u' : field.number == 10 ? 'l' : 'g');
            break;
        case 7: legacy->scope = field.type == LAP_PROTOBUF_BYTES ? field.bytes : legacy->scope; break;
        case 18:
            legacy->pid = field.value;
            legacy->has_pid = true;
            break;
        case 19:
            legacy->tid = field.value;
            legacy->has_tid = true;
            break;
        default: break;
        }
    }
    return code == 0;
}

/* ---- adding -------------------------------------------------------------------------------------------------------- */

static uint32_t name_of(struct lap_perfetto *perfetto, const struct track_event *event, uint64_t legacy_iid,
                        uint32_t kind)
{
    uint32_t name = LAP_FOREIGN_NONE;
    if (event->name.at && lap_protobuf_left(&event->name) > 0)
        return lap_foreign_name(perfetto->trace, event->name.at, lap_protobuf_left(&event->name));
    const uint64_t iid = event->name_iid != 0 ? event->name_iid : legacy_iid;
    if (iid != 0)
        name = lap_perfetto_interned(perfetto, LAP_PERFETTO_NAMES, iid);
    if (name != LAP_FOREIGN_NONE || kind == LAP_FOREIGN_END)
        return name;
    perfetto->trace->left_out[LAP_FOREIGN_UNNAMED] += iid != 0;
    return lap_foreign_name(perfetto->trace, "(unnamed)", 9);
}

static bool time_of(struct lap_perfetto *perfetto, const struct track_event *event, int64_t *ret_ns)
{
    int64_t us = event->absolute_us;
    if (event->has_delta) {
        struct lap_perfetto_sequence *const sequence = perfetto->sequence;
        if (!sequence->has_thread || __builtin_add_overflow(sequence->reference_us, event->delta_us, &us))
            return false;
        sequence->reference_us = us;
    } else if (!event->has_absolute) {
        return lap_perfetto_time(perfetto, ret_ns);
    }
    if (us > LAP_FOREIGN_NS_MAX / 1000 || us < -LAP_FOREIGN_NS_MAX / 1000)
        return false;
    *ret_ns = lap_perfetto_builtin_time(perfetto, LAP_PERFETTO_MONOTONIC, us * 1000);
    return true;
}

/* The thread that an event is of where no track says it; LAP_FOREIGN_NONE: that of its track, which is found at the end. */
static uint32_t thread_of(struct lap_perfetto *perfetto, const struct track_event *event,
                          const struct legacy_event *legacy)
{
    const struct lap_perfetto_sequence *const sequence = perfetto->sequence;
    const bool is_overridden = legacy->has_pid || legacy->has_tid;
    if (!is_overridden && (event->has_track || sequence->has_default_track || !sequence->has_thread))
        return LAP_FOREIGN_NONE;
    const uint64_t pid = legacy->has_pid ? legacy->pid : sequence->pid,
                   tid = legacy->has_tid ? legacy->tid : sequence->tid;
    return lap_foreign_thread(perfetto->trace, lap_foreign_process(perfetto->trace, pid), tid);
}

/* Asynchronous slices of old are told apart by category, id and scope. */
static uint32_t legacy_track(struct lap_perfetto *perfetto, const struct track_event *event,
                             const struct legacy_event *legacy)
{
    const uint32_t category = lap_perfetto_interned(perfetto, LAP_PERFETTO_CATEGORIES, event->category_iid);
    const size_t scope_bytes = lap_protobuf_left(&legacy->scope);
    const uint64_t pid = legacy->id_kind == 'l' ? perfetto->sequence->pid : 0;
    char *const key = malloc(KEY_BYTES + scope_bytes);
    if (!key) {
        perfetto->trace->code = -ENOMEM;
        return 0;
    }
    const size_t bytes = (size_t)snprintf(key, KEY_BYTES, "a%c%" PRIx64 ".%" PRIx64 ".%" PRIx32 ".",
                                          legacy->id_kind ? legacy->id_kind : 'u', pid, legacy->id, category);
    if (scope_bytes > 0)
        memcpy(key + bytes, legacy->scope.at, scope_bytes);
    const uint32_t track = lap_foreign_track(perfetto->trace, key, bytes + scope_bytes);
    free(key);
    lap_perfetto_track_below(perfetto, track, event->has_track ? event->track : perfetto->sequence->default_track);
    return track;
}

static uint32_t track_of(struct lap_perfetto *perfetto, const struct track_event *event, uint32_t thread)
{
    if (thread != LAP_FOREIGN_NONE)
        return lap_foreign_thread_track(perfetto->trace, thread);
    return lap_perfetto_track(perfetto, event->has_track ? event->track : perfetto->sequence->default_track);
}

/* What an event is; false: nothing that has a counterpart, and it is counted. */
static bool kind_of(struct lap_perfetto *perfetto, uint64_t type, uint64_t phase, uint32_t *ret_kind, bool *ret_is_async)
{
    uint64_t *const left_out = perfetto->trace->left_out;
    *ret_is_async = type == 0 && (phase == 'b' || phase == 'e' || phase == 'n' || phase == 'S' || phase == 'F');
    if (type == TYPE_SLICE_BEGIN || (type == 0 && (phase == 'B' || phase == 'b' || phase == 'S')))
        *ret_kind = LAP_FOREIGN_BEGIN;
    else if (type == TYPE_SLICE_END || (type == 0 && (phase == 'E' || phase == 'e' || phase == 'F')))
        *ret_kind = LAP_FOREIGN_END;
    else if (type == TYPE_INSTANT || (type == 0 && phase == 'n'))
        *ret_kind = LAP_FOREIGN_MARK;
    else if (type == 0 && phase == 'X')
        *ret_kind = LAP_FOREIGN_WHOLE;
    else {
        left_out[type == TYPE_COUNTER || phase == 'C'           ? LAP_FOREIGN_COUNTERS
                 : phase == 'i' || phase == 'I' || phase == 'R' ? LAP_FOREIGN_INSTANTS
                 : phase == 's' || phase == 't' || phase == 'f' ? LAP_FOREIGN_FLOWS
                 : phase == 'P'                                 ? LAP_FOREIGN_SAMPLES
                                                                : LAP_FOREIGN_OTHERS]++;
        return false;
    }
    return true;
}

bool lap_perfetto_event_read(struct lap_perfetto *perfetto, struct lap_protobuf message)
{
    struct lap_foreign_trace *const trace = perfetto->trace;
    struct track_event event = {.type = 0};
    struct legacy_event legacy = {.phase = 0};
    if (!event_fields_read(perfetto, &event, message) || (event.legacy.at && !legacy_read(&legacy, event.legacy)))
        return false;
    struct lap_foreign_event made = {.n = 0};
    const bool is_timed = time_of(perfetto, &event, &made.ns); /* a delta counts, whatever the event is */
    trace->left_out[LAP_FOREIGN_FLOWS] += event.has_flows;
    bool is_async;
    if (!kind_of(perfetto, event.type, legacy.phase, &made.kind, &is_async))
        return true;
    if (!is_timed) {
        trace->left_out[LAP_FOREIGN_UNTIMED]++;
        return true;
    }
    made.n = size_of(&event);
    trace->left_out[LAP_FOREIGN_ARGUMENTS] += made.kind != LAP_FOREIGN_MARK && event.arguments > (made.n != 0);
    made.name = name_of(perfetto, &event, legacy.name_iid, made.kind);
    made.thread = thread_of(perfetto, &event, &legacy);
    made.track = is_async ? legacy_track(perfetto, &event, &legacy) : track_of(perfetto, &event, made.thread);
    if (is_async && trace->code == 0 && made.thread != LAP_FOREIGN_NONE)
        made.thread = lap_foreign_no_thread(trace, trace->threads[made.thread].process);
    if (made.kind == LAP_FOREIGN_WHOLE)
        made.duration_ns = !legacy.has_duration                             ? LAP_FOREIGN_STILL_OPEN
                           : legacy.duration_us < 0                         ? -1
                           : legacy.duration_us < LAP_FOREIGN_NS_MAX / 1000 ? legacy.duration_us * 1000
                                                                            : LAP_FOREIGN_NS_MAX;
    if (trace->code == 0)
        lap_foreign_add(trace, &made);
    return true;
}
