/* SPDX-License-Identifier: MIT
 *
 * The slices of a trace: begins and ends matched, track by track.
 */
#ifndef LAP_FOREIGN_SLICES_H
#define LAP_FOREIGN_SLICES_H

#include "foreign_trace.h"

enum lap_foreign_place {
    LAP_FOREIGN_SCOPE,
    LAP_FOREIGN_HANDLE,
    LAP_FOREIGN_NOWHERE /* it is left out */
};

struct lap_foreign_slice {
    int64_t begin_ns, end_ns; /* LAP_FOREIGN_STILL_OPEN */
    int64_t n;
    uint32_t name;
    uint32_t begin_thread, end_thread;
    uint32_t begin_at, end_at; /* where its events are among those of its track, which are in order */
    uint32_t track;
    uint32_t path;  /* see foreign_layout.h */
    uint32_t place; /* enum lap_foreign_place */
};

struct lap_foreign_moment {
    int64_t ns;
    uint32_t slice, name, thread;
};

struct lap_foreign_slices {
    struct lap_foreign_slice *slices; /* track by track; in a track by begin, the outer one first */
    size_t count, room;
    size_t *track_starts;               /* of each track, and behind the last */
    struct lap_foreign_moment *moments; /* checkpoints, in a track by time */
    size_t moment_count, moment_room;
};

/* Takes the events out of the trace. An end without a begin, and a moment in no slice, are counted as left out. A slice without
 * an end stays open. Returns 0 or -ENOMEM. Cost: sorts each track that is not in order. */
int lap_foreign_slices_make(struct lap_foreign_slices *slices, struct lap_foreign_trace *trace);
void lap_foreign_slices_done(struct lap_foreign_slices *slices);

#endif
