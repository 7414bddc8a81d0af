/* SPDX-License-Identifier: MIT
 *
 * The text report: fed with one thread's events in their order, it hands over each report when it is due, whole, in one
 * call. The recorder feeds it in process, `lapmark show` from a recording.
 *
 * A report is due when the thread's outermost profiler that prints ends. If it took its threshold or more, it is shown
 * with all that is inside, parent before child; if not, each profiler inside that prints and took its own threshold is a
 * report by itself. Labels and nested profilers seen more than three times in one instance are one line where the first
 * was, of a nested profiler with the slowest in full.
 *
 * Memory is lap_report_bytes(), touched as it is needed, whatever the number of events: what does not fit is printed
 * early (as by lap_report_flush), then the oldest nested profilers lose their inside, then new lines are counted; each
 * leaves a line that says so.
 *
 * Threads: one report object is one thread's, or used under a lock. No allocation, no lock, no I/O. Its need of stack
 * does not grow with how deep profilers nest; a conversion's snprintf is the most of it. Cost: a repeated checkpoint
 * 7 ns, a profiler that is not printed 30 to 80, a printed line 100 and, with arguments, as much again.
 */
#ifndef LAP_REPORT_H
#define LAP_REPORT_H

#include "class.h"
#include "decode.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_REPORT_LINES_MAX 1000u
#define LAP_REPORT_BYTES_MAX (64u << 10)
#define LAP_REPORT_PREFIX_BYTES_MAX 128u /* longer ones are cut */
#define LAP_REPORT_INDENT_MAX 256u

struct lap_report_settings {
    double ns_per_tick;
    uint64_t clock_domain; /* of the process */
    /* Of all classes that events have; only grow. Not owned. */
    const struct lap_class *classes;
    const struct lap_description *descriptions;
    uint32_t class_count;
    uint32_t description_count;
    /* Put before every line; not owned. */
    const char *prefix;
    size_t prefix_bytes;
    uint32_t indent;    /* spaces before a report's outermost lines */
    uint32_t max_lines; /* 0 and above the maximum: LAP_REPORT_LINES_MAX; at least 4 */
    uint32_t max_bytes; /* 0 and above the maximum: LAP_REPORT_BYTES_MAX; at least 4 KiB */
    /* Does this profiler print (not 0), and from what total on? Called when it begins and again when it ends: one that
     * prints must say so both times. For a handle `open` has class_id, threshold_ns, n, flags and path, the rest is 0. */
    int (*decide)(void *user, const struct lap_open *open, const struct lap_class *class, uint64_t *ret_threshold_ns);
    /* Takes one whole report, in the report's own memory. It must not call back into this report. */
    void (*write)(void *user, const char *text, size_t text_bytes);
    void *user;
};

struct lap_report;

/* What a report needs, 8-byte aligned; it may hold anything. */
size_t lap_report_bytes(void);
struct lap_report *lap_report_init(void *memory, const struct lap_report_settings *settings);
/* The settings in force; may be changed between calls. */
struct lap_report_settings *lap_report_settings(struct lap_report *report);
/* Forgets all that was fed and not printed (a ring that another thread takes over); the settings stay. */
void lap_report_reset(struct lap_report *report);

/* Feeds events; see lap_decode. The decoder is the report's alone. When its open scopes are not those of the last call
 * (it was reset, or filled from elsewhere): of those that are gone, what ended inside is printed and the rest counted
 * as missed; those that are new are around what is fed, and not themselves printed. */
struct lap_decode_result lap_report_run(struct lap_report *report, struct lap_decoder *decoder, const void *segment,
                                        uint64_t begin_ticks, uint32_t from, uint32_t to);

/* Events that were overwritten before they could be fed: counted in a line of the next report. */
void lap_report_missed(struct lap_report *report, uint64_t events);

/* Is there a profiler that ended, would print by itself and waits for one around it? */
int lap_report_is_waiting(const struct lap_report *report);
/* Prints those by themselves, marked with `reason` in parentheses (NULL: "parent still open"); a report of what is around
 * them then has one line for each. Returns how many reports it wrote. */
uint32_t lap_report_flush(struct lap_report *report, const struct lap_decoder *decoder, const char *reason);

/* At the process's or the thread's end: prints what is still open as if it had ended at `now_ticks` of the clock (0: at
 * the last event), each marked with `reason` (NULL: "still open at exit"). Their ends, if they come yet, print
 * nothing. */
void lap_report_open(struct lap_report *report, const struct lap_decoder *decoder, uint64_t now_ticks,
                     const char *reason);

/* ---- handles: one at a time, apart from the thread's scopes --------------------------------------------------- */

/* Starts a handle's report from its LAP_CLASS_HANDLE_BEGIN event, or where that is gone from `class_id` and NULL. A
 * report that was started and not ended is dropped. */
void lap_report_handle_begin(struct lap_report *report, const uint64_t *words, uint32_t class_id);
/* Its LAP_CLASS_HANDLE_MARK events, in the order of their numbers, and between them its LAP_CLASS_CALL ones, each with its
 * LAP_CLASS_PEER_LAP ones behind it; gaps are counted in a line. */
void lap_report_handle_mark(struct lap_report *report, const uint64_t *words);
/* Its LAP_CLASS_HANDLE_END event, or NULL for one that is still open `total_ticks` after its begin. Prints it, if it is
 * one that prints. Returns 1 if it did. */
int lap_report_handle_end(struct lap_report *report, const uint64_t *words, uint64_t total_ticks, const char *note);
/* The three for a whole handle: its events in order; ones of another kind are left out. */
int lap_report_handle(struct lap_report *report, const uint64_t *const *events, size_t count);

#endif
