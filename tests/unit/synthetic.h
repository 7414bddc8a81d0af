/* SPDX-License-Identifier: MIT
 *
 * Writes recordings byte by byte, as the format's text says and without the recorder, so that a reader's tests can have
 * any recording they like. One tick is one nanosecond. Every function ends the test program if it fails.
 */
#ifndef LAP_SYNTHETIC_H
#define LAP_SYNTHETIC_H

#include "class.h"
#include "statistics.h"

#include "lapmark/format.h"

#include <stddef.h>
#include <stdint.h>

#define SYNTHETIC_START UINT64_C(50000000000000)         /* ticks at the process's start */
#define SYNTHETIC_REALTIME UINT64_C(1700000000000000000) /* then */
#define SYNTHETIC_CLASSES 256u

/* A process directory that is being written. */
struct synthetic {
    char directory[512];
    struct lap_format_control control;
    char *metadata;
    size_t metadata_bytes;
    struct lap_class classes[SYNTHETIC_CLASSES];
    struct lap_paths paths;
    void *paths_memory;
    uint32_t *buckets;
};

/* A ring of it. */
struct synthetic_ring {
    struct synthetic *process;
    uint32_t number;
    uint32_t segment_bytes, segments_each; /* segments_each 0: every segment is kept */
    char *segment;
    struct lap_format_segment *header; /* the segment's start */
    uint64_t clock;                    /* of the next event */
    uint32_t applied;
    uint64_t thread_id, thread_index; /* that has the ring */
    char thread_name[LAP_FORMAT_THREAD_NAME_BYTES];
    struct lap_decoder decoder;
    struct lap_statistics statistics;
};

/* Makes the directory PARENT/NAME. `seed` makes the process's uuid. */
void synthetic_open(struct synthetic *process, const char *parent, const char *name, uint8_t seed);
/* Adds a class; flags as enum lap_class_flags, types as letters. */
void synthetic_class(struct synthetic *process, uint32_t id, const char *kind, const char *label, unsigned flags,
                     const char *types);
/* Writes metadata, control page and paths. The rings must be closed. */
void synthetic_close(struct synthetic *process);

void synthetic_ring_open(struct synthetic_ring *ring, struct synthetic *process, uint32_t number, uint32_t segment_bytes,
                         uint32_t segments_each);
/* Stores one event, `after_ticks` after the one before: its class's first word and `count` words. */
void synthetic_event(struct synthetic_ring *ring, uint64_t after_ticks, uint32_t class_id, const uint64_t *words,
                     size_t count);
/* One of a class with strings: `numbers` first, then the strings. */
void synthetic_event_strings(struct synthetic_ring *ring, uint64_t after_ticks, uint32_t class_id,
                             const uint64_t *numbers, size_t count, const char *const *strings, size_t string_count);
/* Another thread takes the ring over: a `thread` event. */
void synthetic_thread(struct synthetic_ring *ring, uint64_t thread_id, uint64_t thread_index, const char *name);
/* Starts the next segment: as if the current one were full. */
void synthetic_segment_next(struct synthetic_ring *ring);
/* Brings the ring's statistics up to the last event. */
void synthetic_apply(struct synthetic_ring *ring);
/* Writes segment and statistics; the ring can go on and be written again. */
void synthetic_ring_write(struct synthetic_ring *ring);
void synthetic_ring_close(struct synthetic_ring *ring);

/* A process of one ring with everything in it: `turns` of
 *     outer(%d)          begin_with, 1000 ticks
 *       step             after 100
 *       inner            from 200 to 500, with two numbered checkpoints after 50 and 100
 *       text %s %lld     after 700, with n
 * and one handle "request", begun, marked twice ("received", 300 each) and ended (total 900), in each turn.
 * and behind the turns a pause, an abandoned scope, a thread's name, an open scope ("outer(99)") and an open handle.
 * The statistics lack what comes behind the last turn but one. Laps add up: step 100, inner 300, text 600 (from step to
 * 700), rest 300. */
enum {
    SYNTHETIC_OUTER = 16,
    SYNTHETIC_STEP,
    SYNTHETIC_INNER,
    SYNTHETIC_NUMBERED,
    SYNTHETIC_TEXT,
    SYNTHETIC_REQUEST,
    SYNTHETIC_RECEIVED
};
void synthetic_example(const char *parent, const char *name, uint8_t seed, uint32_t segment_bytes, uint32_t segments_each,
                       unsigned turns);

/* A fresh directory under TMPDIR, and its removal with all that is in it. */
char *synthetic_directory(void);
void synthetic_remove(const char *directory);

/* Files as a whole. */
char *synthetic_read(const char *path, size_t *ret_bytes);
void synthetic_write(const char *path, const void *bytes, size_t count);

/* Does babeltrace2 read the directory, and to how many events? -1: it is not here; -2: it does not. */
long synthetic_babeltrace(const char *directory);

#endif
