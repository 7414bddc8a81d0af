/* SPDX-License-Identifier: MIT
 *
 * Which of a process's profilers serve whose calls: found by the span ids that the callers' `call` events and the servers' `serve`
 * events have in common, in one pass over all events by time; and by `link` events, which profilers were started by whom. Memory:
 * a bounded number of calls, and the pairs of paths; not the events. A call that was sent again, or on to others, has all that serve it.
 * What is not held any more on one side, or comes too far apart, is not joined.
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
int lap_call_join_find(const struct lap_call_join *join, size_t server, uint32_t path, size_t *ret_client,
                       uint32_t *ret_path);

/* A path by which a profiler is called, and how often it was. */
struct lap_call_caller {
    uint32_t server, path; /* the profiler's */
    uint32_t client, call_path;
    uint64_t calls;
};

/* All of them, those of a profiler in a row. Owned by the join, which may be NULL. */
size_t lap_call_join_callers(const struct lap_call_join *join, const struct lap_call_caller **ret_callers);

#endif
