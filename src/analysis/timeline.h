/* SPDX-License-Identifier: MIT
 *
 * One timeline for processes that read different clocks: what the calls between them say of those (clock_bounds.h) goes into their
 * timebases, so that all that shows or merges times afterwards is on the clock of one of them.
 */
#ifndef LAP_TIMELINE_H
#define LAP_TIMELINE_H

#include "recording.h"

#include <stdbool.h>
#include <stddef.h>

/* How a process came onto it. Where calls lead from one clock to another, but to none that the timeline's leads to, they are a group of
 * their own: it has a root, which is there by its wall clock, and the others with it. */
enum lap_timeline_how {
    LAP_TIMELINE_ROOT = 0, /* it reads the clock that the others are brought to */
    LAP_TIMELINE_CALLS,    /* by calls, within an error */
    LAP_TIMELINE_WALL      /* no call leads to it: by the wall clocks, as they were set */
};

struct lap_timeline_process {
    enum lap_timeline_how how;
    size_t
        root; /* the process whose clock it is shown by: the timeline's, or another one that is there by its wall clock */
    double shift_ns;   /* by how much its wall clock was ahead of that one, at its start */
    double error_ns;   /* the greatest of its time, by that one's; INFINITY: unbounded */
    bool is_near_step; /* a clock was set meanwhile: times around that are rough */
};

/* Two clocks whose calls are not needed for the timeline, and check it: by them and by the others a time differs by the
 * residual. */
struct lap_timeline_loop {
    const struct lap_process *client, *server; /* that read these clocks; there may be others */
    double residual_ns, error_ns;
    bool is_within; /* not above the errors of both ways; else a clock did not run evenly, or was told wrong */
};

struct lap_timeline {
    struct lap_recording *recording;
    struct lap_timeline_process *processes; /* as in the recording */
    size_t root;                            /* the process whose clock it is; the first group's */
    struct lap_timeline_loop *loops;        /* NULL: none */
    size_t loop_count;
    void *pieces;
};

/* Reads all events once. The recording's timebases refer to it: it lives as long. Returns 0 or a negative errno. */
int lap_timeline_make(struct lap_timeline **ret_timeline, struct lap_recording *recording);
void lap_timeline_free(struct lap_timeline *timeline);

#endif
