/* SPDX-License-Identifier: MIT
 *
 * The printed report of a handle, whose events lie in the rings of all threads that had it.
 */
#ifndef LAP_HANDLE_REPORT_H
#define LAP_HANDLE_REPORT_H

#include "peer_laps.h"
#include "ring.h"

#include <stdint.h>

#define LAP_HANDLE_RINGS 4u /* that a handle remembers; past that, all are looked through */

/* The rings that hold a handle's events, and where they start in each. */
struct lap_handle_rings {
    uint32_t count;
    struct {
        uint32_t ring;
        uint32_t recording; /* that the ring was of */
        struct lap_ring_place place;
    } first[LAP_HANDLE_RINGS];
};

/* The handle has an event at `position` of this ring. */
void lap_handle_rings_note(struct lap_handle_rings *rings, const struct lap_ring *ring, uint64_t position);

/* Gathers the handle's events and prints its report through the calling thread's `ring`, where its end is the last event.
 * What the rings no longer hold is counted in it. Cold: reads as many events as those rings had since it began. */
void lap_handle_print(struct lap_ring *ring, uint64_t handle, uint32_t class_id, const struct lap_handle_rings *touched);

/* Sums up the handle's laps by label, of the first labels and events that it had; see lap_handle_laps(). `ring` is the calling
 * thread's, and its position must be taken. */
uint32_t lap_handle_sum(const struct lap_ring *ring, uint64_t handle, const struct lap_handle_rings *touched,
                        struct lap_peer_lap *laps);

#endif
