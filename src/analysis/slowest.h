/* SPDX-License-Identifier: MIT
 *
 * The slowest instances of profilers, each with all its laps.
 */
#ifndef LAP_SLOWEST_H
#define LAP_SLOWEST_H

#include "recording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lap_slowest_options {
    size_t count;     /* how many instances, at most 10000 */
    const char *name; /* a glob for the label as in the source, the message or the function; NULL: all outermost ones */
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *user;
};

enum lap_slowest_kind { LAP_SLOWEST_LAP = 0, LAP_SLOWEST_PROFILER = 1, LAP_SLOWEST_REST = 2 };

/* A lap, or a profiler nested in it; those of one site are folded into one, at their first place. */
struct lap_slowest_lap {
    char *label; /* formatted with its arguments if it came once, else with # in their places */
    uint32_t class_id;
    uint8_t kind; /* enum lap_slowest_kind */
    uint8_t has_n;
    uint64_t count;
    double total_ns, max_ns;
    double until_ns; /* from the instance's begin to the end of the last of them */
    int64_t n;       /* of the last */
};

struct lap_slowest_instance {
    const struct lap_process *process;
    const struct lap_thread *thread; /* that ended it; NULL if unknown */
    char *message;
    uint32_t class_id;
    uint32_t depth;  /* of a scope */
    uint64_t handle; /* 0: a scope */
    uint64_t begin_ticks, end_ticks;
    uint64_t begin_realtime_ns;
    double total_ns; /* thread time: without the recorder's own */
    uint64_t checkpoints;
    bool is_incomplete; /* its begin was overwritten: earlier laps are missing */
    struct lap_slowest_lap *laps;
    size_t lap_count;
    uint64_t laps_left_out; /* past LAP_SLOWEST_LAPS sites in one instance: their count and time */
    double left_out_ns;
};
#define LAP_SLOWEST_LAPS 256u

struct lap_slowest {
    struct lap_slowest_instance *instances; /* slowest first */
    size_t instance_count;
    uint64_t matched; /* instances that the name matched */
};

/* Returns 0 or a negative errno. */
int lap_slowest_make(struct lap_slowest **ret_slowest, struct lap_recording *recording,
                     const struct lap_slowest_options *options);
void lap_slowest_free(struct lap_slowest *slowest);

#endif
