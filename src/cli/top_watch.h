/* SPDX-License-Identifier: MIT
 *
 * The processes that `lapmark top` looks at, and what they have done: since their start, and since the last look. A look
 * reads what the recorder stores anyway; the process is neither stopped nor told. One thread; out of memory ends the program.
 */
#ifndef LAP_TOP_WATCH_H
#define LAP_TOP_WATCH_H

#include "live_tree.h"
#include "options.h"
#include "recording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lap_top_process {
    char *directory;
    char *name, *program, *command;
    uint64_t pid;
    enum lap_process_state state;
    bool is_over; /* it has been read for the last time */
    double span_ns;
    uint64_t start_time_ns;
    uint64_t threads, lost;
    double resolution_ns;
    struct lap_live_tree tree;
};

struct lap_top_watch {
    const struct lap_arguments *arguments; /* its operands: what to look at */
    struct lap_top_process **processes;    /* in the order in which they were found; none is ever taken out */
    size_t process_count;
    char **passed_over; /* directories of processes that do not run */
    size_t passed_over_count;
    struct lap_live_tree merged, by_process; /* of all processes */
    uint64_t looked_ns;                      /* by the monotonic clock; 0: never */
    double recent_s;                         /* between the last two looks; 0: there was one */
};

/* Looks at what the operands name, or at this user's running processes, for the first time. Returns 0, or an exit status
 * with the message written. */
int lap_top_watch_begin(struct lap_top_watch *watch, const struct lap_arguments *arguments);
/* Looks again, also for processes that have come since. Returns 0, or 2 with the message written. */
int lap_top_watch_look(struct lap_top_watch *watch);
void lap_top_watch_done(struct lap_top_watch *watch);

/* All processes in one tree, or a tree of each under a node of its own. */
const struct lap_live_tree *lap_top_watch_tree(const struct lap_top_watch *watch, bool is_by_process);
/* From the first start on to the last end, or now. */
double lap_top_watch_span_ns(const struct lap_top_watch *watch);

#endif
