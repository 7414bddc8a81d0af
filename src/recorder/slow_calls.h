/* SPDX-License-Identifier: MIT
 *
 * Calls that were slow for the caller alone: its profiler took its threshold, so the next request of that kind names the slowest
 * of its calls, and the server, which may still hold it (served.h), keeps its side, too.
 *
 * Any thread, with its position taken, so that no handler of its own comes between.
 */
#ifndef LAP_SLOW_CALLS_H
#define LAP_SLOW_CALLS_H

#include <stdint.h>

/* The slowest call of a profiler, but for those that the server found slow itself; span_id 0: none. */
struct lap_slow_call {
    uint64_t span_id;
    uint64_t sent_ticks;
    uint64_t took_ticks;
    uint32_t class_id;
    uint32_t reserved;
};

/* `call` is over; what was sent before `since_ticks` counts no more. */
static inline void lap_slow_call_see(struct lap_slow_call *slowest, const struct lap_slow_call *call,
                                     uint64_t since_ticks)
{
    if (slowest->span_id == 0 || slowest->sent_ticks < since_ticks || call->took_ticks > slowest->took_ticks)
        *slowest = *call;
}

/* A profiler that began then has taken its threshold: if the call is one of its, the next request of that kind says so. */
void lap_slow_call_tell(struct lap_slow_call *slowest, uint64_t since_ticks);
/* What a request of this kind is to say: a span, or 0. Hot: one load where there is nothing. */
uint64_t lap_slow_call_told(uint32_t class_id);

/* A forked child has no part in these. */
void lap_slow_calls_drop_all(void);

#endif
