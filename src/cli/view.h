/* SPDX-License-Identifier: MIT
 *
 * A recording's report as `lapmark report` and `lapmark run` print it.
 */
#ifndef LAP_VIEW_H
#define LAP_VIEW_H

#include "json.h"
#include "options.h"
#include "recording.h"
#include "summary.h"

#include <stdbool.h>

struct lap_open_profilers {
    const struct lap_process *process;
    struct lap_open_profiler *open;
    size_t count;
};

/* All that a report says. */
struct lap_view_content {
    struct lap_recording *recording;
    struct lap_summary *summary;
    struct lap_open_profilers *open; /* one for each process */
    bool has_comparison;
    int comparison; /* 1 equal, 0 not, -1: no ring can be compared */
    struct lap_summary_difference difference;
};

/* By the options --by, --events, --json and --html. Returns the exit status. */
int lap_view_print(struct lap_recording *recording, const struct lap_arguments *arguments);

/* A node's labels from the root on; "profiler", "lap" or "rest". */
json_t *lap_view_path_json(const struct lap_summary_group *group, const struct lap_summary_node *node);
const char *lap_view_kind_text(const struct lap_summary_node *node);

void lap_view_print_head(const struct lap_view_content *content);
void lap_view_print_trees(const struct lap_view_content *content);
json_t *lap_view_json(const struct lap_view_content *content);

/* How many of a profiler's callers are named; how many more there are is told. */
#define LAP_VIEW_CALLERS 8u

/* Is it so short that the clock's steps show in it? */
bool lap_view_is_near_resolution(const struct lap_summary *summary, const struct lap_summary_node *node);

#endif
