/* SPDX-License-Identifier: MIT
 *
 * The inside of a report, shared by what collects (report.c) and what prints (report_text.c).
 */
#ifndef LAP_REPORT_STATE_H
#define LAP_REPORT_STATE_H

#include "label.h"
#include "report.h"
#include "report_tree.h"

#include "lapmark/format.h"

#define LAP_REPORT_NONE UINT32_MAX

struct lap_report {
    struct lap_report_settings settings;
    uint32_t depth;    /* of the decoder, as last seen */
    uint32_t top;      /* depth of the outermost open profiler that prints, or NONE */
    uint32_t certain;  /* depth of an open one that took its threshold already, or NONE */
    uint32_t is_tight; /* there was nothing to be had: not asked for again before much is free */
    uint64_t last;     /* thread time of the last event */
    uint64_t missed;   /* events, for the next report */
    /* The handle whose report is being built. */
    uint64_t handle_begin; /* first word of its event: its clock */
    uint64_t handle_tot;
    uint32_t handle_marks;
    uint16_t handle; /* node */
    uint16_t handle_has_begin;
    struct lap_open handle_open; /* for the policy */
    /* The report that is being printed. */
    uint32_t lines;
    uint32_t is_cut;
    size_t bytes;
    size_t last_line; /* where it starts, and how many lines it stands for */
    uint64_t last_more;
    uint64_t more;
    uint32_t written; /* reports */
    uint32_t label_bytes;
    const char *open_note;
    char label[LAP_LABEL_BYTES];
    uint64_t scratch[LAP_FORMAT_EVENT_BYTES_MAX / 8];
    uint16_t stack[LAP_DECODE_DEPTH]; /* node of each open profiler; 0: not held */
    uint16_t calls[LAP_DECODE_DEPTH]; /* of those: calls since the last checkpoint, 0: none */
    uint16_t handle_calls;
    char text[LAP_REPORT_BYTES_MAX];
    struct lap_tree tree;
};

/* A class, and one that says nothing where there is none of that number. */
const struct lap_class *lap_report_class(const struct lap_report *report, uint32_t class_id);
const struct lap_description *lap_report_description(const struct lap_report *report, const struct lap_class *class);

/* Prints a node with all inside as one report. `note` may be NULL: of its first line. */
void lap_report_print(struct lap_report *report, uint16_t node, const char *note);
/* Prints what qualifies inside a node that does not, each by itself, in order, and leaves a mark in its place. */
void lap_report_print_inside(struct lap_report *report, uint16_t node, const char *note);

/* Is one of the open profilers up to depth `inner` sure to be printed with all inside? */
int lap_report_is_certain(struct lap_report *report, uint32_t inner);
/* Prints what waits in an open profiler's node (0: nothing). */
void lap_report_print_waiting(struct lap_report *report, uint16_t node, const char *note);
/* Counts lines for which there is no room in the innermost open profiler, from `depth` on, that is held. */
void lap_report_count_more(struct lap_report *report, uint32_t depth, uint64_t lines);

/* Makes room for `units` if it can. Indices of lines are not valid across it. */
void lap_report_reclaim(struct lap_report *report);
static inline void lap_report_reserve(struct lap_report *report, uint32_t units)
{
    if (__builtin_expect(report->tree.free_count < units, 0) && !report->is_tight)
        lap_report_reclaim(report);
}

static inline double lap_report_ns(const struct lap_report *report, uint64_t ticks)
{
    return (double)ticks * report->settings.ns_per_tick;
}

#endif
