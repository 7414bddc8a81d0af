/* SPDX-License-Identifier: MIT
 *
 * The last profilers that served a call and ended without a report: held for callers that found theirs slow, and say so with their
 * next request. As recorder/served.h has it for C code, but that it is the text that is held, with where it goes. Under the GIL.
 */
#ifndef LAP_PY_HELD_H
#define LAP_PY_HELD_H

#include "profiler.h"

#define LAP_HELD 64u

/* Holds it instead of the oldest. */
void lap_held_put(uint64_t span_id, struct profiler *profiler);
/* Asks the library what is to become of one that a request names, and prints it where it is here and granted. Returns as
 * lap_impl_served_keep(). */
int lap_held_keep(uint64_t span_id);
/* In a forked child, which has no part in these, and at the end. */
void lap_held_drop_all(void);

#endif
