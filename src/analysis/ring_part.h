/* SPDX-License-Identifier: MIT
 *
 * A pass over some of a ring's segments, for statistics. A part that does not start with the ring's first segment starts
 * from what that segment's `open` events say; whether that is what the part before ended with is looked at when they are
 * joined.
 */
#ifndef LAP_RING_PART_H
#define LAP_RING_PART_H

#include "cursor.h"
#include "path_table.h"

#include <stdint.h>

/* Which events go into the statistics: those at or behind a position. */
struct lap_ring_position {
    uint64_t sequence;
    uint32_t offset;
};

/* What was open at a moment. */
struct lap_ring_state {
    uint32_t depth;
    uint64_t paused;
    struct lap_open *open;
};

struct lap_ring_part {
    struct lap_ring *ring;
    struct lap_path_table *table;
    size_t first, end; /* segments */
    struct lap_ring_position from;
    const struct lap_format_statistics *base; /* the statistics start with these; NULL: with none */
    uint64_t *done_bytes;                     /* grows with each segment, atomically */
    void (*step)(void *user);                 /* called after each */
    void *user;

    /* The result. */
    struct lap_format_statistics *heap;
    uint64_t decoded, replayed; /* events that were read; of those the ones that went into the statistics */
    uint64_t orphans, abandoned, backward, gaps, damaged_bytes;
    uint64_t first_sequence, last_sequence; /* that could be read; first > last: none */
    uint64_t first_ticks, last_ticks;       /* of the first segment's begin, and of the last event */
    int is_broken;                          /* what follows starts anew */
    struct lap_ring_state start, finish;
};

/* Returns 0 or -ENOMEM. Threads: any number of parts at once. */
int lap_ring_part_run(struct lap_ring_part *part);
void lap_ring_part_done(struct lap_ring_part *part);

/* Does `next` start as `part` ended, so that both together are what one pass over all would give? */
int lap_ring_part_is_continued(const struct lap_ring_part *part, const struct lap_ring_part *next);

#endif
