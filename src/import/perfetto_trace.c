/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "perfetto_trace.h"

#include "perfetto_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef LAPMARK_HAS_ZLIB
#include <zlib.h>
#endif

#define PACKET_FIELD 1
#define PACKET_HEAD_BYTES 16 /* a tag and a length have no more */
#define UNPACKED_BYTES_MAX (UINT64_C(64) << 20)
enum { CLEARED = 1, NEEDS_STATE = 2, DEPTH_MAX = 2, KEY_BYTES = 32 };

/* A packet's fields that must be known before the others are read. */
struct packet {
    uint64_t sequence, flags, dropped;
    struct lap_protobuf defaults, interned, snapshot, event, track, thread, process, compressed;
    bool is_cleared;
    uint32_t other; /* the number of what else it has */
};

static bool is_packet(struct lap_perfetto *perfetto, struct lap_protobuf message, unsigned depth);

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static void bytes_read(struct packet *packet, const struct lap_protobuf_field *field)
{
    switch (field->number) {
    case 6: packet->snapshot = field->bytes; break;
    case 11: packet->event = field->bytes; break;
    case 12: packet->interned = field->bytes; break;
    case 43: packet->process = field->bytes; break;
    case 44: packet->thread = field->bytes; break;
    case 50: packet->compressed = field->bytes; break;
    case 59: packet->defaults = field->bytes; break;
    case 60: packet->track = field->bytes; break;
    default: packet->other = field->number;
    }
}

static bool fields_read(struct lap_perfetto *perfetto, struct packet *packet, struct lap_protobuf message)
{
    struct lap_protobuf_field field;
    int code;
    perfetto->has_timestamp = false;
    perfetto->timestamp_clock = 0;
    perfetto->trusted_pid = 0;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.type == LAP_PROTOBUF_BYTES) {
            bytes_read(packet, &field);
            continue;
        }
        switch (field.number) {
        case 8:
            perfetto->timestamp = field.value;
            perfetto->has_timestamp = true;
            break;
        case 10: packet->sequence = field.value; break;
        case 13: packet->flags = field.value; break;
        case 41: packet->is_cleared = field.value != 0; break;
        case 42: packet->dropped = field.value; break;
        case 58: perfetto->timestamp_clock = (uint32_t)field.value; break;
        case 79: perfetto->trusted_pid = field.value; break;
        default: break;
        }
    }
    return code == 0;
}

/* What a packet holds that is no event, as far as it is worth a word: most tell of the trace itself. */
static void other_count(struct lap_perfetto *perfetto, uint32_t number)
{
    uint64_t *const left_out = perfetto->trace->left_out;
    switch (number) {
    case 1: /* ftrace_events */
    case 95: /* etw_events */ left_out[LAP_FOREIGN_SCHEDULING]++; break;
    case 37: /* profile_packet */
    case 54: /* streaming_profile_packet */
    case 66: /* perf_sample */
    case 135: /* stack_sample */ left_out[LAP_FOREIGN_SAMPLES]++; break;
    case 68: /* smaps_packet */
    case 73: /* memory_tracker_snapshot */ left_out[LAP_FOREIGN_DUMPS]++; break;
    case 133: /* zstd_compressed_packets */ left_out[LAP_FOREIGN_COMPRESSED]++; break;
    case 0:
    case 2:   /* process_tree */
    case 33:  /* trace_config */
    case 34:  /* ftrace_stats */
    case 35:  /* trace_stats */
    case 36:  /* synchronization_marker */
    case 45:  /* system_info */
    case 46:  /* trigger */
    case 48:  /* chrome_benchmark_metadata */
    case 51:  /* chrome_metadata */
    case 67:  /* cpu_info */
    case 69:  /* service_event */
    case 72:  /* extension_descriptor */
    case 78:  /* ui_state */
    case 82:  /* translation_table */
    case 89:  /* trace_uuid */
    case 90:  /* track_event_range_of_interest */
    case 107: /* remote_clock_sync */
    case 109: /* chrome_trigger */
    case 124: /* trace_provenance */
    case 126: /* trace_attributes */ break;
    default: left_out[LAP_FOREIGN_OTHERS]++;
    }
}

/* ---- sequences ----------------------------------------------------------------------------------------------------- */

static struct lap_perfetto_sequence *sequence_get(struct lap_perfetto *perfetto, uint64_t id)
{
    char key[KEY_BYTES];
    uint32_t *const value = lap_foreign_value(perfetto->trace, key, (size_t)snprintf(key, sizeof key, "s%" PRIx64, id));
    if (!value || *value != LAP_FOREIGN_NONE)
        return value ? &perfetto->sequences[*value] : NULL;
    if (!lap_foreign_reserve(&perfetto->sequences, perfetto->sequence_count, &perfetto->sequence_room,
                             sizeof *perfetto->sequences)) {
        perfetto->trace->code = -ENOMEM;
        return NULL;
    }
    *value = perfetto->sequence_count++;
    perfetto->sequences[*value] = (struct lap_perfetto_sequence){.id = id};
    return &perfetto->sequences[*value];
}

static bool defaults_read(struct lap_perfetto_sequence *sequence, struct lap_protobuf message)
{
    struct lap_protobuf_field field, of_event;
    int code;
    sequence->default_clock = 0;
    sequence->has_default_track = false;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 58 && field.type == LAP_PROTOBUF_VARINT)
            sequence->default_clock = (uint32_t)field.value;
        if (field.number != 11 || field.type != LAP_PROTOBUF_BYTES)
            continue;
        while ((code = lap_protobuf_next(&field.bytes, &of_event)) == 1)
            if (of_event.number == 11) {
                sequence->default_track = of_event.value;
                sequence->has_default_track = true;
            }
        if (code < 0)
            return false;
    }
    return code == 0;
}

/* What was interned before is no longer valid behind a loss, and is said anew behind a clearing. */
static void state_follow(struct lap_perfetto_sequence *sequence, const struct packet *packet)
{
    if (packet->dropped)
        sequence->is_valid = false;
    if (!packet->is_cleared && !(packet->flags & CLEARED))
        return;
    sequence->is_valid = true;
    sequence->generation++;
    sequence->default_clock = 0;
    sequence->has_default_track = sequence->has_thread = false;
}

/* ---- packets ------------------------------------------------------------------------------------------------------- */

static bool thread_packet_read(struct lap_perfetto *perfetto, struct lap_protobuf message)
{
    struct lap_perfetto_sequence *const sequence = perfetto->sequence;
    sequence->has_thread = true;
    return lap_perfetto_thread_read(perfetto, message, &sequence->pid, &sequence->tid, &sequence->reference_us);
}

/* Packets that are packed together, with deflate. False: they are damaged. */
static bool compressed_read(struct lap_perfetto *perfetto, struct lap_protobuf packed, unsigned depth)
{
#ifdef LAPMARK_HAS_ZLIB
    const size_t guess = 16 * lap_protobuf_left(&packed) + 4096;
    char *bytes = NULL;
    int code = Z_BUF_ERROR;
    uLongf count = 0;
    for (size_t room = 0; code == Z_BUF_ERROR && depth < DEPTH_MAX && room < UNPACKED_BYTES_MAX;) {
        room = room ? 4 * room : guess;
        room = room < UNPACKED_BYTES_MAX ? room : UNPACKED_BYTES_MAX;
        free(bytes);
        bytes = malloc(room);
        count = room;
        code = bytes ? uncompress((Bytef *)bytes, &count, (const Bytef *)packed.at, lap_protobuf_left(&packed))
                     : Z_MEM_ERROR;
    }
    bool is_sound = code == Z_OK;
    struct lap_protobuf packets = lap_protobuf_of(is_sound ? bytes : "", is_sound ? count : 0);
    struct lap_protobuf_field field;
    int found = 0;
    while (is_sound && (found = lap_protobuf_next(&packets, &field)) == 1)
        if (field.number == PACKET_FIELD && field.type == LAP_PROTOBUF_BYTES)
            is_sound = is_packet(perfetto, field.bytes, depth + 1);
    free(bytes);
    if (code == Z_MEM_ERROR)
        perfetto->trace->code = -ENOMEM;
    return is_sound && found == 0;
#else
    (void)packed, (void)depth;
    perfetto->trace->left_out[LAP_FOREIGN_COMPRESSED]++;
    return true;
#endif
}

/* In the order in which one part may change what another one means. */
static bool is_packet(struct lap_perfetto *perfetto, struct lap_protobuf message, unsigned depth)
{
    struct packet packet = {.sequence = 0};
    int64_t unwanted;
    if (!fields_read(perfetto, &packet, message))
        return false;
    perfetto->sequence = sequence_get(perfetto, packet.sequence);
    if (!perfetto->sequence)
        return true; /* no memory: the trace says it */
    state_follow(perfetto->sequence, &packet);
    if ((packet.defaults.at && !defaults_read(perfetto->sequence, packet.defaults)) ||
        (packet.interned.at && !lap_perfetto_intern(perfetto, packet.interned)) ||
        (packet.snapshot.at && !lap_perfetto_clocks_read(perfetto, packet.snapshot)))
        return false;
    if (packet.flags & NEEDS_STATE && !perfetto->sequence->is_valid) {
        perfetto->trace->left_out[LAP_FOREIGN_INCOMPLETE]++;
        return true;
    }
    if (!packet.event.at && perfetto->has_timestamp)
        lap_perfetto_time(perfetto, &unwanted); /* the next time may be relative to it */
    other_count(perfetto, packet.other);
    uint64_t pid;
    return (!packet.track.at || lap_perfetto_track_read(perfetto, packet.track)) &&
           (!packet.process.at || lap_perfetto_process_read(perfetto, packet.process, &pid)) &&
           (!packet.thread.at || thread_packet_read(perfetto, packet.thread)) &&
           (!packet.event.at || lap_perfetto_event_read(perfetto, packet.event)) &&
           (!packet.compressed.at || compressed_read(perfetto, packet.compressed, depth));
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

/* The next field of the file; is it a packet? 1, 0: the file ends, -1: it ends too early, -2: it is damaged. */
static int file_next(struct lap_foreign_file *file, struct lap_protobuf_field *ret_field, size_t *ret_bytes)
{
    size_t there = lap_foreign_file_fill(file, PACKET_HEAD_BYTES);
    uint64_t tag, length = 0;
    if (there == 0)
        return file->is_cut ? -1 : 0;
    const char *const bytes = file->bytes + file->begin;
    const size_t tag_bytes = lap_protobuf_varint(bytes, bytes + there, &tag);
    if (tag_bytes == 0)
        return there < PACKET_HEAD_BYTES ? -1 : -2;
    size_t wanted = PACKET_HEAD_BYTES;
    if ((tag & 7) == LAP_PROTOBUF_BYTES) {
        const size_t length_bytes = lap_protobuf_varint(bytes + tag_bytes, bytes + there, &length);
        if (length_bytes == 0)
            return there < PACKET_HEAD_BYTES ? -1 : -2;
        if (length > LAP_FOREIGN_WINDOW_MAX)
            return -2;
        wanted = tag_bytes + length_bytes + length;
    }
    there = lap_foreign_file_fill(file, wanted);
    struct lap_protobuf message = lap_protobuf_of(file->bytes + file->begin, there);
    const int code = lap_protobuf_next(&message, ret_field);
    if (code != 1)
        return there < wanted ? -1 : -2;
    *ret_bytes = (size_t)(message.at - (file->bytes + file->begin));
    return 1;
}

static int packets_read(struct lap_perfetto *perfetto, struct lap_foreign_file *file, uint64_t *ret_cut,
                        struct lap_reader_error *error)
{
    struct lap_protobuf_field field;
    size_t bytes;
    int found;
    while ((found = file_next(file, &field, &bytes)) == 1) {
        if (field.number == PACKET_FIELD && (field.type != LAP_PROTOBUF_BYTES || !is_packet(perfetto, field.bytes, 0)))
            return lap_reader_error_set(error, LAP_READER_FOREIGN, file->name, file->offset, "damaged packet");
        if (perfetto->trace->code < 0)
            return lap_reader_error_set(error, perfetto->trace->code, file->name, UINT64_MAX, NULL);
        lap_foreign_file_pass(file, bytes);
    }
    if (file->code < 0)
        return lap_reader_error_set(error, file->code, file->name, file->offset, file->problem);
    if (found == -2)
        return lap_reader_error_set(error, LAP_READER_FOREIGN, file->name, file->offset, "no packet");
    *ret_cut = found == -1 ? file->offset : UINT64_MAX;
    return 0;
}

int lap_perfetto_trace_read(struct lap_foreign_trace *trace, struct lap_foreign_file *file, uint64_t *ret_cut,
                            struct lap_reader_error *error)
{
    struct lap_perfetto perfetto = {.trace = trace, .trace_clock = LAP_PERFETTO_BOOTTIME};
    trace->format = "Perfetto";
    int code = packets_read(&perfetto, file, ret_cut, error);
    if (code == 0) {
        lap_perfetto_tracks_finish(&perfetto);
        if (trace->code < 0)
            code = lap_reader_error_set(error, trace->code, file->name, UINT64_MAX, NULL);
    }
    for (uint32_t i = 0; i < perfetto.clock_count; i++)
        free(perfetto.clocks[i].readings);
    free(perfetto.clocks);
    free(perfetto.sequences);
    free(perfetto.tracks);
    return code;
}

/* Does a message begin with a field? It has `bytes` bytes, of which `there` are there. The field must be whole, but for that of a
 * message that is longer than what a letter, of a text that begins with a blank line, would say. */
static bool begins_with_field(const char *at, size_t there, uint64_t bytes)
{
    uint64_t tag, length;
    const size_t tag_bytes = lap_protobuf_varint(at, at + there, &tag);
    if (tag_bytes == 0 || (tag & 7) != LAP_PROTOBUF_BYTES || bytes < 128) {
        struct lap_protobuf message = lap_protobuf_of(at, there);
        struct lap_protobuf_field field;
        return lap_protobuf_next(&message, &field) == 1;
    }
    const size_t length_bytes = lap_protobuf_varint(at + tag_bytes, at + there, &length);
    return tag >> 3 != 0 && tag >> 32 == 0 && length_bytes != 0 && length <= bytes - tag_bytes - length_bytes;
}

bool lap_perfetto_trace_is(const char *bytes, size_t count)
{
    struct lap_protobuf file = lap_protobuf_of(bytes, count), packet;
    struct lap_protobuf_field field;
    uint64_t tag, length;
    const size_t tag_bytes = lap_protobuf_varint(bytes, bytes + count, &tag);
    if (tag_bytes != 1 || tag != (PACKET_FIELD << 3 | LAP_PROTOBUF_BYTES))
        return false;
    if (lap_protobuf_next(&file, &field) == 1) { /* whole: its fields are fields, and another one follows */
        int code;
        packet = field.bytes;
        while ((code = lap_protobuf_next(&packet, &field)) == 1) {
        }
        return code == 0 && (file.at == file.end || *file.at == *bytes);
    }
    const size_t length_bytes = lap_protobuf_varint(bytes + 1, bytes + count, &length);
    if (length_bytes == 0 || length > LAP_FOREIGN_WINDOW_MAX)
        return false;
    return begins_with_field(bytes + 1 + length_bytes, count - 1 - length_bytes, length);
}
