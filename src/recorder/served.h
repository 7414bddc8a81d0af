/* SPDX-License-Identifier: MIT
 *
 * The last profilers that served a call and ended without a report: held for callers that found theirs slow, and say so with
 * their next request. Their events lie in the rings for as long as others' do.
 *
 * Any thread, with its position taken, so that no handler of its own comes between.
 */
#ifndef LAP_SERVED_H
#define LAP_SERVED_H

#include "handle_report.h"

#include <stdint.h>

#define LAP_SERVED_HELD 64u

struct lap_served {
    uint64_t span_id; /* of the call */
    uint64_t handle;
    uint64_t total_ticks;
    uint32_t class_id;
    uint32_t flags; /* LAP_SLOW_* */
    struct lap_handle_rings rings;
};

/* Holds it instead of the oldest. */
void lap_served_put(const struct lap_served *served);
/* Takes it out. 1, or 0: it is not among them. */
int lap_served_take(struct lap_served *ret_served, uint64_t span_id);

/* A forked child has no part in these. */
void lap_served_drop_all(void);

#endif
