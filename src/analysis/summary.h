/* SPDX-License-Identifier: MIT
 *
 * The tree of profilers and laps, merged over threads and processes by their labels, with counts, times and percentiles.
 */
#ifndef LAP_SUMMARY_H
#define LAP_SUMMARY_H

#include "distribution.h"
#include "recording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_summary_source {
    LAP_SUMMARY_STORED = 0, /* stored statistics, and the events behind them: exact whatever the rings have lost */
    LAP_SUMMARY_EVENTS = 1  /* the events alone */
};
enum lap_summary_by { LAP_SUMMARY_BY_ALL = 0, LAP_SUMMARY_BY_PROCESS = 1, LAP_SUMMARY_BY_THREAD = 2 };
enum lap_summary_kind { LAP_SUMMARY_PROFILER = 0, LAP_SUMMARY_LAP = 1, LAP_SUMMARY_REST = 2 };

struct lap_summary_options {
    enum lap_summary_source source;
    enum lap_summary_by by;
    unsigned threads; /* to work with; 0: as many as there are processors */
    bool compares;    /* with LAP_SUMMARY_EVENTS: also compares, see lap_summary_compare(), at little cost */
    bool keeps_paths; /* for lap_summary_get_paths(); with LAP_SUMMARY_BY_ALL */
    /* Called now and then from one thread; may be NULL. */
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes);
    void *user;
};

#define LAP_SUMMARY_NONE UINT32_MAX

/* A node from where a profiler of another process is called, and how often it was. */
struct lap_summary_caller {
    uint32_t node;
    uint64_t calls;
};

/* A node of a tree. Times in nanoseconds. */
struct lap_summary_node {
    const char *label; /* as in the source; "(rest)"; "(checkpoint at file.c:12)" where it has none; "(other paths)" */
    const char *file, *function; /* of the first site met, "" for rests */
    uint32_t line;
    uint8_t kind;      /* enum lap_summary_kind */
    uint8_t is_text;   /* the label is no format: made at run time */
    uint8_t is_handle; /* a profiler that is not bound to a block (or a checkpoint of one) */
    uint8_t is_numbered;
    uint32_t parent, first_child, next_sibling; /* indices in the group's nodes, LAP_SUMMARY_NONE */
    uint32_t depth;                             /* from 0 */
    uint64_t met;                               /* grows with the first meeting: by process, and in one by path */
    uint64_t count;
    double total_ns; /* inclusive */
    double self_ns;  /* of a profiler: less its nested profilers, at least 0; of others the total */
    double min_ns, max_ns, mean_ns;
    double p50_ns, p90_ns, p99_ns, p999_ns;
    struct lap_distribution *distribution; /* of the durations, see distribution.h */
    /* Of a profiler that is called from several places, and so stands below none of them: the most calls first. */
    struct lap_summary_caller *callers;
    size_t caller_count;
};

/* One tree: of all, of a process, or of a thread. nodes[] is in depth-first order, laps in the order of their first
 * meeting, rest last; the roots have parent LAP_SUMMARY_NONE. */
struct lap_summary_group {
    const struct lap_process *process; /* NULL: of all */
    const struct lap_thread *thread;   /* NULL: not by thread, or unknown */
    uint64_t threads;                  /* by thread: how many used this ring one after another, and are together here */
    struct lap_summary_node *nodes;
    size_t node_count;
    double total_ns; /* of the roots */
};

/* Where stored statistics differ from the events. */
struct lap_summary_difference {
    uint64_t rings_compared, rings_skipped;
    const struct lap_process *process; /* the rest is of the first difference */
    uint32_t ring;
    uint32_t path;
    const char *label; /* of the path's last part, as in the metadata */
    uint64_t stored_count, events_count;
};

struct lap_summary {
    enum lap_summary_source source;
    struct lap_summary_group *groups;
    size_t group_count;
    uint64_t events;         /* of checkpoints, begins and ends that were kept, overwritten ones included */
    uint64_t events_decoded; /* of those, how many are still there (and were read) */
    uint64_t overwritten;    /* events - events_decoded; unknown, 0, where nothing is stored but the events */
    uint64_t lost;           /* never stored: see the losses of the processes */
    uint64_t samples_lost;   /* laps and totals for which the statistics had no memory */
    uint64_t orphans, abandoned, backward;
    uint64_t replayed;    /* events that the stored statistics did not have yet */
    uint64_t taken_back;  /* events that are in the statistics, and were taken out of the rings on purpose */
    uint64_t provisional; /* rings whose stored statistics were being written and could not be caught at rest */
    double cost_ns;       /* the recording's own: estimated */
    double span_ns;       /* from the first process's start to the last one's end */
    double resolution_ns; /* the coarsest clock's */
    int comparison;       /* where options.compares: 1 equal, 0 not */
    struct lap_summary_difference difference;
    void *internal;
};

/* Returns 0 or a negative errno. The recording must outlive the summary. Cost: from stored statistics about 2 ns for each
 * event that is still there, from events about 4. */
int lap_summary_make(struct lap_summary **ret_summary, struct lap_recording *recording,
                     const struct lap_summary_options *options);
void lap_summary_free(struct lap_summary *summary);

/* What the recording itself cost a process, and its events, by the last summary's measure: see lap_summary.cost_ns. */
struct lap_summary_process {
    uint64_t events, events_decoded, overwritten;
    uint64_t replayed, taken_back, samples_lost;
    uint64_t orphans, abandoned, backward;
    uint64_t provisional;
    double cost_ns;
};
void lap_summary_get_process(const struct lap_summary *summary, const struct lap_process *process,
                             struct lap_summary_process *ret_counts);

/* The paths of a process, those that the events have beyond the stored ones included, and which node of groups[0] each of them is
 * (LAP_FORMAT_PATHS of them; LAP_SUMMARY_NONE: none). `process` is its index in the recording. */
struct lap_paths *lap_summary_get_paths(const struct lap_summary *summary, size_t process, const uint32_t **ret_nodes);

/* Compares what is stored, brought up to date, with what the events alone give, path by path and counter by counter:
 * 1 equal, 0 not (*ret_difference tells the first), or a negative errno. Rings that overwrote or took back something cannot
 * be compared and are counted. */
int lap_summary_compare(struct lap_recording *recording, const struct lap_summary_options *options,
                        struct lap_summary_difference *ret_difference);

#endif
