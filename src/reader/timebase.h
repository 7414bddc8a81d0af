/* SPDX-License-Identifier: MIT
 *
 * A process's clock: from ticks to nanoseconds.
 */
#ifndef LAP_TIMEBASE_H
#define LAP_TIMEBASE_H

#include "lapmark/format.h"

#include <stddef.h>
#include <stdint.h>

enum lap_timebase_from {
    LAP_TIMEBASE_NOMINAL = 0, /* what the kernel said at the start */
    LAP_TIMEBASE_SEGMENT = 1, /* measured from the start to the newest segment */
    LAP_TIMEBASE_END = 2      /* measured from the start to the end */
};

/* A moment of another clock: see lap_timeline_make(). */
struct lap_timebase_piece {
    uint64_t ticks;
    uint64_t realtime_ns;
    double error_ns; /* within which that is */
};

struct lap_timebase {
    double hz;
    double ns_per_tick;
    uint64_t scale; /* nanoseconds a tick, times 2^56 */
    uint64_t start_ticks;
    uint64_t start_monotonic_ns;
    uint64_t start_realtime_ns;
    uint32_t source;    /* enum lap_format_clock */
    uint32_t rate_from; /* enum lap_timebase_from */
    double resolution_ns;
    const struct lap_timebase_piece *pieces; /* in the order of ticks, not owned; NULL: its own clock */
    size_t piece_count;
};

/* `newest` is the latest reading that a segment holds, NULL if none does. A control page without a sound rate gives one of
 * 10^9 Hz, and -EINVAL. */
int lap_timebase_init(struct lap_timebase *timebase, const struct lap_format_control *control,
                      const struct lap_format_clock_reading *newest);

/* A duration. Hot. */
__extension__ typedef unsigned __int128 lap_uint128;
static inline uint64_t lap_timebase_ns(const struct lap_timebase *timebase, uint64_t ticks)
{
    return (uint64_t)(((lap_uint128)ticks * timebase->scale) >> 56);
}
/* A moment on the clock of the pieces, and its error in nanoseconds, 0 without pieces. */
uint64_t lap_timebase_piece_ns(const struct lap_timebase *timebase, uint64_t ticks);
double lap_timebase_error_ns(const struct lap_timebase *timebase, uint64_t ticks);
/* A moment, in nanoseconds since 1970 by the realtime clock as it was at the process's start; with pieces by theirs. */
static inline uint64_t lap_timebase_realtime_ns(const struct lap_timebase *timebase, uint64_t ticks)
{
    if (__builtin_expect(timebase->pieces != NULL, 0))
        return lap_timebase_piece_ns(timebase, ticks);
    return ticks >= timebase->start_ticks
               ? timebase->start_realtime_ns + lap_timebase_ns(timebase, ticks - timebase->start_ticks)
               : timebase->start_realtime_ns - lap_timebase_ns(timebase, timebase->start_ticks - ticks);
}

/* "tsc", "cntvct", "monotonic", "unknown" */
const char *lap_timebase_source_text(uint32_t source);

#endif
