/* SPDX-License-Identifier: MIT
 *
 * Handles: profilers that are not bound to a block. A slot holds what their next checkpoint needs; their events lie in the
 * rings of the threads that store them.
 */
#ifndef LAP_HANDLE_TABLE_H
#define LAP_HANDLE_TABLE_H

#include "lapmark/context.h"

#include <stdint.h>

#define LAP_HANDLES 16384u

/* What a forked child has inherited is stale there. */
void lap_handles_drop_all(void);

/* The path of an open handle and its depth's class; LAP_FORMAT_PATH_NONE for one that is not open. */
uint32_t lap_handle_path(uint64_t handle);

struct lap_ring;
struct lap_slow_call;
/* The event of a call that is over lies at `position`, for an open handle's report to be found; `is_kept`: the handle will print.
 * Returns how many checkpoints it had; 0 for one that is not open. Position taken. */
uint32_t lap_handle_note_call(uint64_t handle, const struct lap_ring *ring, uint64_t position,
                              const struct lap_slow_call *call, int is_kept);
/* It serves this call: held when it has ended without a report. */
void lap_handle_serves(uint64_t handle, uint64_t span_id);
/* The same for an event that makes it the child of a step, or not: NULL. Returns its path, or LAP_FORMAT_PATH_NONE. */
uint32_t lap_handle_note_parent(uint64_t handle, const struct lap_ring *ring, uint64_t position,
                                const struct lap_context *parent);

/* An open handle's own context, made where it has none yet: then 1, and *ret_parent is the step whose child it is; zeros: none,
 * or known before. Else 0, or -ENOENT: it is not open. Position taken. */
int lap_handle_context_get(uint64_t handle, struct lap_context *ret_own, struct lap_context *ret_parent);
/* Has an open handle with a threshold taken it by then? */
int lap_handle_is_slow(uint64_t handle, uint64_t ticks);

struct lap_peer_lap;
/* The laps that an open handle had by now, those of a label as one, the greatest sum first: at most LAP_PEER_LAPS. Returns how
 * many. Cold: reads the rings that it has events in. */
uint32_t lap_handle_laps(uint64_t handle, struct lap_peer_lap *laps);

/* A slot for a profiler whose state a binding keeps: its handle, 0 where none is free. It is not open for anybody here. */
uint64_t lap_handle_take(void);
void lap_handle_give(uint64_t handle);

#endif
