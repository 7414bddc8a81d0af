/* SPDX-License-Identifier: MIT
 *
 * The statistics of one ring, as of its last event: what the recorder stored plus the events that it had not come to, or
 * made anew from the events alone. A long ring is read in parts, by several threads.
 */
#ifndef LAP_RING_STATISTICS_H
#define LAP_RING_STATISTICS_H

#include "heap.h"
#include "path_table.h"
#include "recording.h"
#include "ring_part.h"
#include "summary.h"

#include <stddef.h>
#include <stdint.h>

struct lap_ring_statistics {
    struct lap_ring *ring;
    struct lap_path_table *table;
    enum lap_summary_source source; /* events where nothing is stored */
    struct lap_ring_part *parts;
    size_t part_count;
    size_t first; /* segment: those before it were not wanted */

    /* The result, after lap_ring_statistics_join(). */
    struct lap_format_statistics *heap;
    uint64_t decoded;  /* events that were read */
    uint64_t replayed; /* of those, how many the stored statistics did not have */
    uint64_t orphans, abandoned, backward;
    uint64_t gaps; /* segments that are missing or could not be read */
    uint64_t damaged_bytes;
};

/* What a plan wants besides statistics. */
enum lap_ring_wants {
    LAP_RING_WANTS_COUNTS = 0, /* all events are read, for how many there are */
    LAP_RING_WANTS_CELLS = 1   /* only those that the stored statistics lack */
};

/* Divides the ring into parts, at most `parts`, each to be run with lap_ring_part_run(). Returns 0 or -ENOMEM. */
int lap_ring_statistics_plan(struct lap_ring_statistics *result, struct lap_ring *ring, struct lap_path_table *table,
                             enum lap_summary_source source, enum lap_ring_wants wants, size_t parts);
/* Adds the parts up; where they don't fit together, reads the ring again in one. Returns 0 or -ENOMEM. */
int lap_ring_statistics_join(struct lap_ring_statistics *result);
void lap_ring_statistics_done(struct lap_ring_statistics *result);

/* Were all events of the ring read, so that statistics made from them should equal the stored ones? */
int lap_ring_statistics_is_comparable(const struct lap_ring_statistics *result);

#endif
