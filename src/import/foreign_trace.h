/* SPDX-License-Identifier: MIT
 *
 * What another tool's trace says, as far as Lapmark has a counterpart for it: slices on tracks, not matched yet, of threads of
 * processes. A track is a thread's, whose slices become scopes, or any other, whose slices become handles. What has none is
 * counted. Without memory `code` is set, and nothing is added any more.
 */
#ifndef LAP_FOREIGN_TRACE_H
#define LAP_FOREIGN_TRACE_H

#include "foreign_texts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_foreign_kind {
    LAP_FOREIGN_BEGIN,
    LAP_FOREIGN_END,
    LAP_FOREIGN_WHOLE, /* begin and end in one */
    LAP_FOREIGN_MARK   /* a moment of the innermost slice of a track */
};

#define LAP_FOREIGN_STILL_OPEN INT64_MAX
/* Times beyond these are not believed: 36 years before and 73 after the clock's begin. What a recording's times may be, all fit. */
#define LAP_FOREIGN_NS_MIN (-(INT64_C(1) << 60))
#define LAP_FOREIGN_NS_MAX (INT64_C(1) << 61)

struct lap_foreign_event {
    int64_t ns;
    int64_t duration_ns; /* of a whole one; LAP_FOREIGN_STILL_OPEN: it had not ended */
    int64_t n;           /* its problem size, 0: none */
    uint32_t name;       /* of trace->names; LAP_FOREIGN_NONE: an end that names none */
    uint32_t track, thread;
    uint32_t kind;
};

struct lap_foreign_process {
    uint64_t pid;
    uint32_t name; /* of trace->names; LAP_FOREIGN_NONE: it is not told */
};

struct lap_foreign_thread {
    uint32_t process;
    uint32_t name;
    uint32_t track; /* LAP_FOREIGN_NONE: it has none yet */
    uint32_t index; /* in the process */
    uint64_t tid;
};

struct lap_foreign_track {
    uint32_t thread; /* LAP_FOREIGN_NONE: it is no thread's */
};

/* What is left out, and counted. */
enum lap_foreign_left_out {
    LAP_FOREIGN_INSTANTS,
    LAP_FOREIGN_COUNTERS,
    LAP_FOREIGN_FLOWS,
    LAP_FOREIGN_OBJECTS,
    LAP_FOREIGN_SAMPLES,
    LAP_FOREIGN_DUMPS,
    LAP_FOREIGN_STEPS,
    LAP_FOREIGN_ARGUMENTS,
    LAP_FOREIGN_NAME_ENDS,
    LAP_FOREIGN_SCHEDULING,
    LAP_FOREIGN_COMPRESSED,
    LAP_FOREIGN_OTHERS,
    LAP_FOREIGN_UNTIMED,
    LAP_FOREIGN_NEGATIVE,
    LAP_FOREIGN_ORPHANS,
    LAP_FOREIGN_UNNAMED,
    LAP_FOREIGN_INCOMPLETE,
    LAP_FOREIGN_TOO_DEEP,
    LAP_FOREIGN_TOO_MANY,
    LAP_FOREIGN_LEFT_OUT
};

struct lap_foreign_trace {
    const char *format; /* "Chrome JSON" */
    struct lap_foreign_texts names, keys;
    uint32_t *key_values; /* of each key the number that it stands for */
    uint32_t key_room;
    struct lap_foreign_process *processes;
    struct lap_foreign_thread *threads;
    struct lap_foreign_track *tracks;
    uint32_t process_count, thread_count, track_count;
    uint32_t process_room, thread_room, track_room;
    struct lap_foreign_event *events; /* as they were met */
    size_t event_count, event_room;
    int64_t first_ns;          /* the least time */
    int64_t realtime_shift_ns; /* from its times to the time since 1970 */
    bool is_fine;              /* some time is no whole microsecond */
    uint64_t left_out[LAP_FOREIGN_LEFT_OUT];
    int code;
};

/* Room for one more in an array, of which `array` is the address of its pointer. False: no memory. */
bool lap_foreign_reserve(void *array, uint32_t count, uint32_t *room, size_t each);
/* Where the number that a key stands for is kept until the next one is asked for; a new key's is LAP_FOREIGN_NONE. NULL: no memory.
 * The first byte of a key says whose it is: those of processes and threads start with 'p', 't' and 'n'. */
uint32_t *lap_foreign_value(struct lap_foreign_trace *trace, const char *key, size_t bytes);
/* Numbers of these, made if they are new; 0 where there is no memory. */
uint32_t lap_foreign_process(struct lap_foreign_trace *trace, uint64_t pid);
uint32_t lap_foreign_thread(struct lap_foreign_trace *trace, uint32_t process, uint64_t tid);
/* What the slices of a process that are on no thread's track are stored with: no scope is open where they begin. */
uint32_t lap_foreign_no_thread(struct lap_foreign_trace *trace, uint32_t process);
uint32_t lap_foreign_thread_track(struct lap_foreign_trace *trace, uint32_t thread);
/* A track that is no thread's, by its key. */
uint32_t lap_foreign_track(struct lap_foreign_trace *trace, const char *key, size_t key_bytes);
/* No 0 is left in it. One of more than LAP_FOREIGN_NAME_BYTES is cut, not inside a character, and ends with a hash of all of it, so
 * that what differs behind the cut stays apart; it is counted once. */
uint32_t lap_foreign_name(struct lap_foreign_trace *trace, const char *text, size_t bytes);
#define LAP_FOREIGN_NAME_BYTES 1000u

/* One whose times cannot be is counted and left out. */
void lap_foreign_add(struct lap_foreign_trace *trace, const struct lap_foreign_event *event);

/* "12 counters, 3 flow events"; NULL: nothing was left out, or no memory. Caller frees. */
char *lap_foreign_left_out_text(const struct lap_foreign_trace *trace);
void lap_foreign_done(struct lap_foreign_trace *trace);

#endif
