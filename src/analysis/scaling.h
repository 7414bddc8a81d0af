/* SPDX-License-Identifier: MIT
 *
 * How the cost of each lap and profiler grows with a size, how often it runs in the one around it, and which of that is an
 * iteration that nobody wrote down. Sizes are those that the program gives; where it gives none, the numbers in its messages.
 */
#ifndef LAP_SCALING_H
#define LAP_SCALING_H

#include "fit.h"
#include "recording.h"
#include "sized_costs.h"
#include "summary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_scaling_size {
    LAP_SCALING_SIZE_NONE = 0,
    LAP_SCALING_SIZE_N,        /* that the program gives */
    LAP_SCALING_SIZE_ARGUMENT, /* a number in a label */
    LAP_SCALING_SIZE_COUNT     /* how often `node` runs in its parent */
};

struct lap_scaling_from {
    enum lap_scaling_size size;
    uint32_t node;     /* whose n, label or count it is */
    unsigned level;    /* how far around the node that is: 0, it itself */
    unsigned argument; /* from 0 */
};

struct lap_scaling_curve {
    struct lap_fit fit;
    struct lap_scaling_from from;        /* SIZE_NONE: there is no curve */
    const struct lap_sized_costs *costs; /* what was fitted */
};

struct lap_scaling_node {
    struct lap_scaling_curve cost;  /* of one, in nanoseconds */
    struct lap_scaling_curve count; /* of how many there are in one of the profiler around it, by that one's sizes */
    struct lap_scaling_curve loop;  /* its cost by the size that its count grows with */
};

enum lap_scaling_kind {
    LAP_SCALING_LOOP = 0,     /* it grows with n, and runs n times */
    LAP_SCALING_REPEATED = 1, /* it grows with n, and runs many times in each of its profiler */
    LAP_SCALING_CONSTANT = 2, /* it grows where those beside it don't */
    LAP_SCALING_OFTEN = 3     /* it is cheap today, and runs n times, as nothing dearer beside it does */
};

struct lap_scaling_finding {
    enum lap_scaling_kind kind;
    uint32_t node;
    double share;  /* of its profiler's time, as it is now */
    bool is_small; /* of all time */
    bool is_sure;  /* CONSTANT: the others are, and do not only look like it */
    double times;  /* that it runs in each of its profiler, in the mean */
};

struct lap_scaling {
    struct lap_summary_group group;       /* the nodes: labels, places, counts and times of what the events still say */
    struct lap_scaling_node *nodes;       /* as in the group */
    struct lap_scaling_finding *findings; /* the worst first, and what is small today behind what is not */
    size_t finding_count;
    double whole_ns; /* of all outermost profilers */
    size_t runs;
    bool is_incomplete; /* events are gone */
    void *internal;
};

struct lap_scaling_options {
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *user;
};

/* Returns 0 or a negative errno. Cold: about 0.2 us an event, and some 20 ms a node. */
int lap_scaling_make(struct lap_scaling **ret_scaling, struct lap_recording *recording,
                     const struct lap_scaling_options *options);
void lap_scaling_free(struct lap_scaling *scaling);

/* Does it grow, at least like `least`? Said only if that is sure. */
bool lap_scaling_grows(const struct lap_scaling_curve *curve, enum lap_fit_class least);

#endif
