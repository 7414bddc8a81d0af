/* SPDX-License-Identifier: MIT
 *
 * A recording: one or more process directories, opened together. All is read-only for its users; what is damaged, torn or
 * lost is left out and told in the list of warnings.
 *
 * A process that still runs is read as of one moment: what can change is copied when it is opened, so that every pass
 * over the recording sees the same. What has ended stays in its files, and is read segment by segment.
 *
 *     recording > processes > rings > segments > events
 *                           > threads (a ring is used by threads one after another)
 */
#ifndef LAP_RECORDING_H
#define LAP_RECORDING_H

#include "catalog.h"
#include "lapmark/format.h"
#include "paths.h"
#include "reader_error.h"
#include "timebase.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_process_state {
    LAP_PROCESS_UNKNOWN = 0, /* another host, boot or pid namespace, so nobody here can tell */
    LAP_PROCESS_RUNNING,
    LAP_PROCESS_ENDED,
    LAP_PROCESS_REPLACED, /* by exec */
    LAP_PROCESS_DIED,
    LAP_PROCESS_SNAPSHOT /* not the process's own recording but a copy of what it had at one moment */
};

/* A handle's slot, which handles use one after another; there are so many (doc/format.md, "Handles"). */
#define LAP_HANDLE_SLOTS 16384u
static inline uint32_t lap_handle_slot(uint64_t handle) { return (uint32_t)handle & (LAP_HANDLE_SLOTS - 1); }

struct lap_process;
struct lap_ring;

struct lap_thread {
    struct lap_process *process;
    uint64_t id;                             /* the kernel's */
    uint64_t index;                          /* in the process, from 0 */
    uint32_t ring;                           /* index in process->rings */
    char name[LAP_FORMAT_THREAD_NAME_BYTES]; /* the last that was read; "": none; ended by 0; UTF-8 not checked */
    bool is_renamed;                         /* since it was first met */
};

/* One segment whose header is sound. Texts in headers are as stored: they need not end by 0. */
struct lap_segment {
    struct lap_format_segment header; /* as it was when the recording was opened; content_bits is within the file */
    uint64_t content_bytes;           /* header included */
    bool is_cut;                      /* behind what was the same in two readings: it may end in the middle of an event */
    void *copy;                       /* of the content, where the process may still write to it; else NULL */
    char name[32];                    /* of the file */
};

struct lap_ring {
    struct lap_process *process;
    uint32_t number;
    uint32_t thread_count;        /* how many threads used it, as far as is known; at least 1 */
    struct lap_thread *thread;    /* the last one; NULL if unknown */
    struct lap_segment *segments; /* by sequence, each sequence once */
    size_t segment_count;
    uint64_t missing_segments; /* gaps between those that are there */
    uint64_t lost_events;      /* as the newest segment says */
    /* The stored statistics, NULL where there are none: a copy, checked, whole units only. */
    struct lap_format_statistics *statistics;
    uint32_t statistics_units;
    bool is_provisional; /* they were being written, and could not be caught at rest: a few events may be half in */
};

struct lap_process {
    struct lap_recording *recording;
    char *directory;  /* as given or found */
    char *name;       /* its last part: PROGRAM-PID-NONCE */
    int directory_fd; /* -1: it has ended, and is opened by name; a descriptor of each would bound how many can be read */
    size_t index;     /* in recording->processes */
    enum lap_process_state state;
    struct lap_catalog catalog;
    struct lap_format_control control; /* texts are ended by 0; zeros where it could not be read */
    bool has_control;
    struct lap_timebase clock;
    const char *program, *host, *command; /* of the metadata, else of the control page; never NULL */
    uint64_t pid;
    struct lap_format_path *path_entries; /* as stored; what a pass makes beyond is its own */
    uint32_t path_count;                  /* at least 2 */
    struct lap_ring *rings;
    size_t ring_count;
    struct lap_thread **threads; /* those that segments' headers and the events read so far have named */
    size_t thread_count;
    uint64_t lost;          /* events: sum of the losses that are lost events */
    uint64_t content_bytes; /* of all segments */
    uint64_t first_ticks;   /* of the oldest segment's begin; 0 if there is none */
    uint32_t unread;        /* segments that were there when it was opened, and could not be read; atomic */
    /* of the end's reading, a snapshot's, or now if it runs, else of the newest event or segment; 0: none */
    uint64_t end_ticks;
    void *internal;
};

struct lap_warning {
    const struct lap_process *process; /* NULL: of none */
    int code;
    uint64_t offset; /* UINT64_MAX: of no place */
    const char *text;
    const char *file;
};

struct lap_recording {
    struct lap_process **processes; /* by first event */
    size_t process_count;
    struct lap_warning *warnings; /* at most LAP_RECORDING_WARNINGS; grows as segments are read */
    size_t warning_count;
    uint64_t warnings_left_out;
    void *internal;
};
#define LAP_RECORDING_WARNINGS 1000u
#define LAP_LOSS_MAX (UINT64_C(1) << 56) /* of one kind: more is damage */

/* Opens what `paths` name: process directories, or directories that hold some (one level down), links followed. Other
 * files in them are not looked at. Snapshots of a process that is there itself are left out, as are all but its newest one
 * where it is not: a warning for each. Returns 0 or a negative code: nothing can be read (no process directory at all, or each of them
 * unreadable; of several, the readable ones are opened, and the others are warnings). Cold. */
int lap_recording_open(struct lap_recording **ret_recording, const char *const *paths, size_t count,
                       struct lap_reader_error *error);
/* The same with only those segments that hold events which the stored statistics lack, for who wants the statistics as of
 * now, again and again: what else the rings hold is not looked at, and does not count. Cost: a copy of the statistics and of
 * one segment of each ring. */
int lap_recording_open_newest(struct lap_recording **ret_recording, const char *const *paths, size_t count,
                              struct lap_reader_error *error);
void lap_recording_free(struct lap_recording *recording);

/* Are events gone that rings had: overwritten, or in a segment that is missing? */
bool lap_recording_is_incomplete(const struct lap_recording *recording);

/* Adds a warning; thread-safe. `file` is copied; `text` NULL takes the code's. */
void lap_recording_warn(struct lap_recording *recording, const struct lap_process *process, int code, const char *file,
                        uint64_t offset, const char *text);

/* "running", "ended", "replaced", "died", "snapshot", "unknown". */
const char *lap_process_state_text(enum lap_process_state state);

/* The name of a kind of loss, as `signal`; and whether it counts lost events. NULL past the last. */
const char *lap_loss_text(enum lap_format_loss loss);
bool lap_loss_is_event(enum lap_format_loss loss);

/* A profiler that was begun and not ended, in scopes and handles alike. */
struct lap_open_profiler {
    const struct lap_process *process;
    const struct lap_thread *thread; /* that began it; NULL if unknown */
    uint64_t begin_ticks;
    uint64_t last_ticks; /* of its last checkpoint, or of its begin (clock; approximate for a scope with pauses) */
    uint64_t handle;     /* 0: a scope */
    uint32_t class_id;   /* catalog.classes[] */
    uint32_t depth;      /* of a scope, from 0 */
    uint64_t marks;
    char *message; /* formatted with its arguments */
};

/* Who was open at the end of what is stored (of a running process: now), outermost first within a thread. Handles whose
 * begin was overwritten and that had no event since are not seen. Returns 0 or -ENOMEM; free with
 * lap_open_profilers_free. Cost: reads the rings' last segments; all events, about 5 ns each, if there are handles. */
int lap_process_open_profilers(struct lap_process *process, struct lap_open_profiler **ret_open, size_t *ret_count);
void lap_open_profilers_free(struct lap_open_profiler *open, size_t count);

#endif
