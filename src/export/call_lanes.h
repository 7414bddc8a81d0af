/* SPDX-License-Identifier: MIT
 *
 * Tracks for calls, of which many may be under way at once: each call gets the first track on which it overlaps none before. Calls come in
 * the order of their ends. Memory is for as many as are under way at once; a call costs the logarithm of that.
 */
#ifndef LAP_CALL_LANES_H
#define LAP_CALL_LANES_H

#include <stdbool.h>
#include <stdint.h>

struct lap_call_lanes {
    uint64_t
        *ends_ns;  /* a tree: each but the `room` leaves is the least of its two children, 2i and 2i + 1; 1 is the root */
    uint32_t room; /* a power of two; 0: none yet */
    uint32_t count; /* that were used */
};

/* Returns 0 or -ENOMEM. */
int lap_call_lanes_take(struct lap_call_lanes *lanes, uint64_t begin_ns, uint64_t end_ns, uint32_t *ret_lane,
                        bool *ret_is_new);
/* For the next process. */
void lap_call_lanes_clear(struct lap_call_lanes *lanes);
void lap_call_lanes_done(struct lap_call_lanes *lanes);

#endif
