/* SPDX-License-Identifier: MIT
 *
 * Which of a process's profilers serve whose calls: found by the span ids that the callers' `call` events and the servers' `serve`
 * events have in common, in one pass over all events by time; and by `link` events, which profilers were started by whom. Memory:
 * a bounded number of calls in flight, and the paths; not the events. What is not held any more on one side, or comes too far
 * apart, is not joined.
 */
#ifndef LAP_CALL_JOIN_H
#define LAP_CALL_JOIN_H

#include "recording.h"

#include <stdint.h>

struct lap_call_join;

/* *ret_join is NULL where nothing calls: one process, or no calls and links in any. 0 or a negative errno. Cold: reads all
 * events. */
int lap_call_join_make(struct lap_call_join **ret_join, struct lap_recording *recording);
void lap_call_join_free(struct lap_call_join *join);

/* The path of the calls, or of the profiler, that a path of `server` serves; `*ret_client`: the index in the recording of one of
 * the processes that make them. 1, or 0: none, or calls of different paths. `server` is an index, too. `join` may be NULL. */
int lap_call_join_find(const struct lap_call_join *join, size_t server, uint32_t path, size_t *ret_client, uint32_t *ret_path);

#endif
