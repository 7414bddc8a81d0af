/* SPDX-License-Identifier: MIT
 *
 * Snapshots: what the rings hold now, written as a recording of its own with write(2), while other threads go on.
 *
 * Of each ring the statistics come first, then the segments from the newest back, copied one at a time, so that no thread
 * waits for a file. What follows a segment was there before it was copied, so it was full; a ring that laps the copy loses its
 * oldest. Paths and classes come behind the events that name them.
 */
#ifndef LAP_SNAPSHOT_H
#define LAP_SNAPSHOT_H

#include <stdint.h>

struct lap_ring;

/* Of those that a process leaves by itself. */
#define LAP_SNAPSHOT_BREACHES_MAX 16u
#define LAP_SNAPSHOT_BREACH_BYTES_MAX (UINT64_C(256) << 20)
#define LAP_SNAPSHOT_BREACH_EVERY_MS 1000

/* For a forked child, which has left none yet. */
struct lap_snapshots {
    uint32_t is_busy; /* atomic: a thread is writing one */
    uint32_t number;  /* of the last one */
    uint64_t breach_bytes;
    uint64_t breach_ticks; /* when the last one was done */
};

/* A profiler took its threshold or longer: leaves a snapshot, unless there was one just now, or enough. For the thread that has
 * the ring, with its position taken; returns it, behind the pause. */
uint64_t lap_snapshot_breach(struct lap_ring *ring, uint64_t position, uint32_t class_id, uint64_t total_ticks);

#endif
