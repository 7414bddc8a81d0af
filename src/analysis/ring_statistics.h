/* SPDX-License-Identifier: MIT
 *
 * The statistics of one ring, as of its last event: what the recorder stored plus the events that it had not come to, or
 * made anew from the events alone.
 */
#ifndef LAP_RING_STATISTICS_H
#define LAP_RING_STATISTICS_H

#include "recording.h"
#include "statistics.h"
#include "summary.h"

#include <stdint.h>

/* A process's paths, with room for those that a pass meets: shared by the passes over its rings. */
struct lap_path_table {
    struct lap_paths paths;
    void *memory;
    uint32_t *buckets;
};

int lap_path_table_init(struct lap_path_table *table, const struct lap_process *process);
void lap_path_table_done(struct lap_path_table *table);

struct lap_ring_statistics {
    struct lap_format_statistics *heap; /* its units only; references checked */
    enum lap_summary_source source;     /* events where nothing is stored */
    uint64_t decoded;                   /* events that were read */
    uint64_t replayed;                  /* of those, how many the stored statistics did not have */
    uint64_t orphans, abandoned, backward;
    uint64_t gaps;                      /* segments that are missing */
    uint64_t damaged_bytes;
};

/* `done_bytes` (atomic, may be NULL) grows with each segment, and `step` (may be NULL) is called after each. Returns 0 or
 * -ENOMEM. Threads: one a ring, any number of rings of one table at once. */
int lap_ring_statistics_make(struct lap_ring_statistics *result, struct lap_ring *ring, struct lap_path_table *table,
                             enum lap_summary_source source, uint64_t *done_bytes, void (*step)(void *user), void *user);
void lap_ring_statistics_done(struct lap_ring_statistics *result);

/* The cell behind `unit` (0: the first), and the unit of the one after it; NULL at the end. */
const struct lap_format_cell *lap_ring_statistics_next(const struct lap_ring_statistics *result, uint32_t *unit);

/* Were all events of the ring read, so that statistics made from them should equal the stored ones? */
int lap_ring_statistics_is_comparable(const struct lap_ring *ring, const struct lap_ring_statistics *result);

#endif
