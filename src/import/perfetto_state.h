/* SPDX-License-Identifier: MIT
 *
 * What one must know of the packets before to read a packet of a Perfetto trace: sequences, with what they have interned; clocks;
 * tracks. Numbers of fields are those of Perfetto's published definitions (protos/perfetto/trace/).
 */
#ifndef LAP_PERFETTO_STATE_H
#define LAP_PERFETTO_STATE_H

#include "foreign_trace.h"
#include "protobuf_reader.h"

enum lap_perfetto_builtin_clock { LAP_PERFETTO_REALTIME = 1, LAP_PERFETTO_MONOTONIC = 3, LAP_PERFETTO_BOOTTIME = 6 };
enum lap_perfetto_interned {
    LAP_PERFETTO_CATEGORIES = 1, /* the numbers of InternedData's fields */
    LAP_PERFETTO_NAMES = 2,
    LAP_PERFETTO_ARGUMENT_NAMES = 3
};

/* What one writer has said. */
struct lap_perfetto_sequence {
    uint64_t id;
    uint64_t default_track;
    uint32_t default_clock; /* 0: none */
    uint32_t generation;    /* of what it has interned: grows when that is cleared */
    bool has_default_track, is_valid;
    /* Before there were tracks, a sequence was a thread's. */
    bool has_thread;
    uint64_t pid, tid;
    int64_t reference_us;
};

/* A reading of a clock, and what the trace's clock was then. */
struct lap_perfetto_reading {
    int64_t clock_ns, trace_ns;
};

struct lap_perfetto_clock {
    struct lap_perfetto_reading *readings; /* as they were met */
    uint32_t count, room;
    uint64_t unit_ns;
    uint64_t last; /* of an incremental one, in its units */
    bool is_incremental;
};

struct lap_perfetto_track {
    uint64_t parent;
    uint64_t pid, tid;
    bool is_known, is_thread, is_process, has_parent;
    uint64_t trusted_pid; /* of who used it first */
};

struct lap_perfetto {
    struct lap_foreign_trace *trace;
    struct lap_perfetto_sequence *sequences;
    struct lap_perfetto_clock *clocks;
    struct lap_perfetto_track *tracks; /* by their number in the trace */
    uint32_t sequence_count, sequence_room, clock_count, clock_room, track_count, track_room;
    uint32_t trace_clock;
    bool has_realtime, is_fine; /* is_fine: a time that was used is in nanoseconds */
    /* Of the packet that is being read. */
    struct lap_perfetto_sequence *sequence;
    uint64_t trusted_pid;
    uint64_t timestamp;
    uint32_t timestamp_clock; /* 0: the sequence's, or the trace's */
    bool has_timestamp;
};

/* ---- perfetto_clocks.c ---- */

/* Reads a ClockSnapshot. False: it is damaged. */
bool lap_perfetto_clocks_read(struct lap_perfetto *perfetto, struct lap_protobuf snapshot);
/* The packet's time by the trace's clock. To be called once for each packet that has one. False: its clock is not known. */
bool lap_perfetto_time(struct lap_perfetto *perfetto, int64_t *ret_ns);
/* A time by a builtin clock. */
int64_t lap_perfetto_builtin_time(struct lap_perfetto *perfetto, uint32_t clock, int64_t ns);

/* ---- perfetto_tracks.c ---- */

/* Each false: it is damaged. */
bool lap_perfetto_track_read(struct lap_perfetto *perfetto, struct lap_protobuf descriptor);
bool lap_perfetto_thread_read(struct lap_perfetto *perfetto, struct lap_protobuf descriptor, uint64_t *ret_pid,
                              uint64_t *ret_tid, int64_t *ret_reference_us);
bool lap_perfetto_process_read(struct lap_perfetto *perfetto, struct lap_protobuf descriptor, uint64_t *ret_pid);
/* The track with this UUID, in the trace. */
uint32_t lap_perfetto_track(struct lap_perfetto *perfetto, uint64_t uuid);
/* A track without a descriptor is of the process that another track is of. */
void lap_perfetto_track_below(struct lap_perfetto *perfetto, uint32_t track, uint64_t parent);
/* Gives each event, now that all descriptors are known, its thread. */
void lap_perfetto_tracks_finish(struct lap_perfetto *perfetto);

/* ---- perfetto_event.c ---- */

/* Adds a TrackEvent. False: it is damaged. */
bool lap_perfetto_event_read(struct lap_perfetto *perfetto, struct lap_protobuf event);
/* What the sequence has interned with a number: of trace->names, LAP_FOREIGN_NONE: nothing. Put: false: it is damaged. */
uint32_t lap_perfetto_interned(struct lap_perfetto *perfetto, enum lap_perfetto_interned what, uint64_t number);
bool lap_perfetto_intern(struct lap_perfetto *perfetto, struct lap_protobuf data);

#endif
