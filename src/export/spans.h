/* SPDX-License-Identifier: MIT
 *
 * What a recording's events say, as spans with a begin and an end, for all that writes them in another format: process after process,
 * within a process thread after thread, or all together by time where profilers may cross threads (handles, calls). One pass; memory is for the profilers that are open, whatever the count of events.
 *
 * Times are on the recording's one clock, in nanoseconds since 1970 (timeline.h), and those of a thread's scopes nest: a lap lies in its
 * profiler, a profiler in the lap of the one around it. They hold the recorder's own work, which is told as pauses; durations
 * (`lap_ns`, `total_ns`) do not. Those are also there in ticks, for who adds them up: of a hundred million short laps, what is cut
 * from each to whole nanoseconds would be a part of the sum that shows.
 */
#ifndef LAP_SPANS_H
#define LAP_SPANS_H

#include "call_times.h"
#include "cursor.h"
#include "recording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text that is UTF-8, with nothing in it that moves a cursor (label.h); ended by 0. */
struct lap_span_text {
    const char *text;
    uint32_t bytes;
    uint32_t id; /* one number for one text in a process, from 1; 0: of this event alone */
};

/* A trace id and a span id, as numbers; zeros: none. */
struct lap_span_id {
    uint64_t trace_high, trace_low, span;
};

/* A profiler that is open. */
struct lap_span {
    const struct lap_process *process;
    const struct lap_thread *thread; /* that began it; NULL if unknown */
    struct lap_span *parent;         /* the profiler around it, which may have ended; NULL: none, or not known */
    uint64_t number;                 /* from 1 in the recording, in the order in which they are told */
    uint64_t parent_number;          /* 0: none */
    uint64_t handle;                 /* 0: a scope of its thread */
    uint64_t begin_ns;
    uint64_t last_ns;  /* end of its last lap, or its begin */
    uint64_t inner_ns; /* of its lap under way: what profilers inside took, their durations added up */
    uint64_t inner_ticks;
    uint64_t total_ticks; /* once it has ended */
    uint64_t marks;
    int64_t n;                 /* its problem size, where has_n */
    uint64_t threshold_ns;     /* LAP_FORMAT_NO_THRESHOLD: none */
    struct lap_span_text name; /* its label as `lapmark report` names it: one for all of a site */
    uint32_t class_id;
    uint32_t depth; /* of a scope, among its thread's */
    bool has_n;
    bool is_cut;               /* its begin was overwritten, and earlier laps with it */
    bool is_open;              /* false: it has ended, and only those inside still look at it */
    char *message;             /* its label with its arguments; NULL: the same as its name, or not wanted */
    struct lap_span_id caller; /* of a handle that serves a call: the call; span 0: none */
    bool has_replied;          /* to that, so far */
    uint64_t user[4];          /* the writer's, 0 at begin */

    /* The stream's own. */
    uint64_t begin_ticks;
    uint32_t references;
};

/* A checkpoint, or the rest. */
struct lap_span_lap {
    const struct lap_thread *thread; /* that met it */
    uint64_t begin_ns, end_ns;
    uint64_t lap_ns;   /* without pauses; at most end - begin */
    uint64_t inner_ns; /* of that, in profilers inside; at most lap_ns */
    uint64_t lap_ticks, inner_ticks;
    struct lap_span_text name; /* "(rest)" for the rest */
    const char *message;       /* NULL: the same, or not wanted */
    uint64_t number;           /* from 0 */
    int64_t n;
    uint32_t class_id; /* LAP_FORMAT_REST for the rest */
    bool has_n;
};

enum lap_span_end {
    LAP_SPAN_ENDED = 0,
    LAP_SPAN_ABANDONED, /* left without an end: longjmp, the thread's end */
    LAP_SPAN_OPEN,      /* it was still open at the end of what is stored */
    LAP_SPAN_LOST       /* its end is among the events that are gone; the time is that of the last one that is there */
};

struct lap_span_call {
    const struct lap_process *process;
    const struct lap_thread *thread; /* that ended it */
    struct lap_span *span;           /* whose lap awaited it; NULL: none */
    uint64_t begin_ns, end_ns;       /* t1, t4 */
    struct lap_call_times times;
    struct lap_span_id id;
    struct lap_span_text name;
    uint32_t class_id;
    bool is_one_way, is_refused;
};

/* Any text as those of spans are: UTF-8 without control characters. Returns its bytes, cut to fit. */
size_t lap_span_text_escape(char *out, size_t out_bytes, const char *text);

/* Nanoseconds in ticks; of a damaged recording they may be any. */
static inline uint64_t lap_span_ticks(const struct lap_process *process, uint64_t ns)
{
    const double ticks = (double)ns / process->clock.ns_per_tick;
    return ticks < 0x1p63 ? (uint64_t)ticks : UINT64_MAX / 2;
}

/* Where what is known of a thread is kept: a damaged number must not take all memory. */
#define LAP_SPAN_THREADS (1u << 20)
static inline uint32_t lap_span_thread_slot(const struct lap_thread *thread)
{
    return (uint32_t)(thread->index % LAP_SPAN_THREADS);
}

/* NULL: not wanted. */
struct lap_span_writer {
    void (*process)(void *user, const struct lap_process *process); /* before its spans; of each, also of one without */
    /* Before what it does first; and again at the end of the process where it got another name meanwhile. */
    void (*thread)(void *user, const struct lap_thread *thread);
    void (*begin)(void *user, struct lap_span *span);
    void (*lap)(void *user, struct lap_span *span, const struct lap_span_lap *lap);
    void (*end)(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how);
    void (*pause)(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                  uint64_t end_ns); /* of the recorder; span: of the scope it came in, NULL: none */
    void (*call)(void *user, const struct lap_span_call *call);
    void (*serve)(void *user, struct lap_span *span); /* `caller` is known; right behind its begin */
    void (*link)(void *user, struct lap_span *span,
                 const struct lap_format_link *link); /* of the span, or of a call of it */
    void (*process_end)(void *user, const struct lap_process *process, uint64_t end_ns);
    bool wants_messages;
};

struct lap_spans_options {
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *progress_user;
    bool (*failed)(void *user); /* the writer's: true ends the pass, with -ECANCELED; may be NULL */
};

/* Returns 0 or a negative errno. `failed` is asked now and then whether to go on. */
int lap_spans_run(struct lap_recording *recording, const struct lap_span_writer *writer, void *user,
                  const struct lap_spans_options *options);

#endif
