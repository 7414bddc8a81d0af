/* SPDX-License-Identifier: MIT
 *
 * What of a live tree is shown, in which order, with which numbers. Cold; one thread; out of memory ends the program.
 */
#ifndef LAP_TOP_ROWS_H
#define LAP_TOP_ROWS_H

#include "live_tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_top_column {
    LAP_TOP_LABEL = 0,
    LAP_TOP_RATE,
    LAP_TOP_COUNT,
    LAP_TOP_TOTAL,
    LAP_TOP_SHARE,
    LAP_TOP_MEAN,
    LAP_TOP_P50,
    LAP_TOP_P99,
    LAP_TOP_MAX,
    LAP_TOP_COLUMNS
};

/* What the user has chosen. */
struct lap_top_view {
    bool is_recent;     /* of the last interval, else since the start */
    bool is_by_process; /* a tree of each process */
    bool is_flat;       /* one list, sorted as a whole */
    bool is_reversed;
    enum lap_top_column sort;
    char filter[128]; /* a glob, or without wildcards a part, of label or function */
    uint32_t focus;   /* only this node and what is below it; LAP_LIVE_NONE: all */
};

struct lap_top_row {
    uint32_t node;
    uint32_t depth; /* below the focus; 0 in a flat list */
    const struct lap_distribution *distribution;
    uint64_t count;
    double rate; /* a second */
    double total_ns;
    double share; /* of all that the tree took; what is open yet counts with its parts */
    double mean_ns, p50_ns, p99_ns;
    double max_ns;
};

/* The rows of a tree over so many seconds. Caller frees. */
struct lap_top_row *lap_top_rows_make(const struct lap_live_tree *tree, const struct lap_top_view *view, double seconds,
                                      size_t *ret_count);

#endif
