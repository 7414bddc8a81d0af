/* SPDX-License-Identifier: MIT
 *
 * The calls to other processes, by kind: how long they took, and where that time went; the slowest of them; and the clocks of
 * the two sides. What the parts of a call mean is told in lapmark/call.h.
 */
#ifndef LAP_CALLS_H
#define LAP_CALLS_H

#include "call_times.h"
#include "peer_laps.h"
#include "recording.h"
#include "summary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAP_CALLS_SLOWEST_MAX 10000u
#define LAP_CALLS_KINDS 4096u /* what is beyond is one kind, LAP_CALLS_OTHERS */
#define LAP_CALLS_LAPS 8u     /* of a kind: the greatest of LAP_CALLS_LAPS_HELD labels, those that were met first */
#define LAP_CALLS_LAPS_HELD 64u
#define LAP_CALLS_PAIRS 256u /* of clocks; calls between further ones are counted only */
#define LAP_CALLS_OTHERS "(others)"

struct lap_calls_options {
    enum lap_summary_by by; /* one kind for each label, or for each label in each process or thread */
    size_t slowest;         /* how many single calls, at most LAP_CALLS_SLOWEST_MAX */
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *user;
};

enum lap_calls_part {
    LAP_CALLS_TOTAL = 0, /* of all calls */
    LAP_CALLS_ANSWERED,  /* the total of those whose peer said what it did; what follows is theirs */
    LAP_CALLS_SERVER,    /* = queue + handle */
    LAP_CALLS_QUEUE,
    LAP_CALLS_HANDLE,
    LAP_CALLS_BETWEEN, /* = answered - server */
    LAP_CALLS_THERE,   /* of those between processes that read one clock; their count is 0 where there are none */
    LAP_CALLS_BACK,
    LAP_CALLS_PARTS
};

struct lap_calls_times {
    uint64_t count;
    double sum_ns, mean_ns, max_ns; /* exact */
    double p50_ns, p99_ns;          /* within one part in 16 */
};

struct lap_calls_kind {
    const char *name;                  /* the label, as in the source; lives as long as the recording */
    const struct lap_process *process; /* NULL: of all */
    const struct lap_thread *thread;   /* NULL: of all, or unknown */
    uint64_t count;                    /* = answered + silent + refused + one_way */
    uint64_t answered;
    uint64_t silent;  /* the peer said nothing of its part, or no reply came */
    uint64_t refused; /* what it said was none, damaged, or another call's */
    uint64_t one_way; /* nothing was to come back; their total is until they were sent */
    uint64_t ways;    /* of the answered: there and back are known */
    struct lap_calls_times times[LAP_CALLS_PARTS];
    struct lap_peer_lap laps[LAP_CALLS_LAPS]; /* that the servers told, the greatest sum first */
    uint32_t lap_count;
};

enum lap_calls_outcome {
    LAP_CALLS_IS_ANSWERED = 0,
    LAP_CALLS_IS_SILENT = 1,
    LAP_CALLS_IS_REFUSED = 2,
    LAP_CALLS_IS_ONE_WAY = 3
};

/* One call. */
struct lap_calls_instance {
    const char *name;
    const struct lap_process *process;
    const struct lap_thread *thread; /* that ended it; NULL if unknown */
    uint64_t begin_realtime_ns;
    uint64_t trace_id_high, trace_id_low, span_id;
    uint64_t peer_domain;
    struct lap_call_times times;
    enum lap_calls_outcome outcome;
};

struct lap_calls_step {
    uint64_t after_time_ns, before_time_ns; /* realtime of the client: it came between */
    double step_ns, error_ns;               /* by how much the offset changed */
};

/* Two clocks, and what the calls from the one to the other say of them. */
struct lap_calls_clock {
    uint64_t client, server;     /* their domains */
    double client_hz, server_hz; /* the rates that their ticks are taken for */
    uint64_t calls;              /* answered ones, and those that went one way and whose arrival the server recorded */
    uint64_t left_out;           /* of them: for reasons that clock_bounds.h tells, or their times cannot be */
    bool is_same;                /* both sides read one clock, and nothing speaks against it: the rest is 0 */
    bool is_contradicted;        /* both sides say so, but the calls exclude it */
    bool has_offset;             /* what follows is known */
    bool is_server_read;         /* a process that reads the server's clock is in the recording: its rate was measured */
    int64_t theta_ns;            /* server's - client's clock, at end_time_ns; within +- error_ns */
    uint64_t end_time_ns;        /* realtime of the client: of the last call's end */
    double error_ns;             /* INFINITY: unbounded */
    double drift_ppm;            /* of theta at the end; within +- drift_error_ppm */
    double drift_error_ppm;
    size_t windows; /* stretches of time in which one straight line fits all calls */
    struct lap_calls_step *steps;
    size_t step_count;
};

struct lap_calls {
    struct lap_calls_kind *kinds; /* by process and thread, where asked for; then the greatest sum first */
    size_t kind_count;
    struct lap_calls_instance *slowest; /* slowest first */
    size_t slowest_count;
    struct lap_calls_clock *clocks; /* the most calls first */
    size_t clock_count;
    uint64_t count, answered, silent, refused, one_way;
    double sum_ns;           /* of all calls */
    uint64_t client_untold;  /* answered, but the caller's recording does not say by which clock */
    uint64_t server_untold;  /* answered, but the peer did not say by which clock */
    uint64_t pairs_left_out; /* answered, between clocks beyond LAP_CALLS_PAIRS */
    bool is_incomplete;      /* the oldest events of a ring are gone, and calls with them */
    bool is_selected;        /* profilers below their threshold were taken back, and calls with them */
};

/* One pass over all events. Memory: by kinds of calls and pairs of clocks, whatever the count of calls. Returns 0 or a negative
 * errno. */
int lap_calls_make(struct lap_calls **ret_calls, struct lap_recording *recording,
                   const struct lap_calls_options *options);
void lap_calls_free(struct lap_calls *calls);

#endif
