/* SPDX-License-Identifier: MIT
 *
 * The segments of a ring: their files, their headers, and which comes next. For ring.c.
 */
#ifndef LAP_RING_SEGMENTS_H
#define LAP_RING_SEGMENTS_H

#include "process.h"
#include "ring.h"

/* Did a recording begin or end since the ring's segments were made? For certain under one of the process's locks. */
static inline int lap_ring_is_stale(const struct lap_ring *ring)
{
    return ring->recording != __atomic_load_n(&lap_process.recording, __ATOMIC_ACQUIRE);
}

/* Makes the next segment the current one: a new one, or the oldest, which full recording keeps on disk before. Returns its
 * first free position, behind what is open, or one of the values below. Cold; takes storage_lock. */
uint64_t lap_segments_next(struct lap_ring *ring, uint64_t now);
enum {
    LAP_SEGMENTS_NONE = 0, /* the ring has no segment */
    LAP_SEGMENTS_STALE = 1 /* it must restart first */
};

/* Writes a segment, or a copy of one, cut to its content, as a file of that name. 0 or a negative errno. */
int lap_segment_write(const struct lap_storage *storage, const struct lap_format_segment *segment, const char *name);
/* Its name as one that is used again: number `file` of its ring. */
void lap_segment_name(char *name, const struct lap_ring *ring, uint32_t file, const char *prefix);

/* Writes what is not on tmpfs: all segments, or in full recording the current one. Under storage_lock. */
void lap_segments_write_out(struct lap_ring *ring);

#endif
