/* SPDX-License-Identifier: MIT
 *
 * A ring of a recording that is written from a trace: one thread's events, in segments that are kept.
 */
#ifndef LAP_WRITTEN_RING_H
#define LAP_WRITTEN_RING_H

#include "class.h"
#include "foreign_layout.h"

struct lap_written_process {
    const char *directory;
    struct lap_foreign_layout *layout;
    const struct lap_class *classes; /* as readers will have them */
    uint32_t class_count;
    uint8_t uuid[16];
    int64_t origin_ns;           /* of the trace's times: tick 0 */
    uint64_t origin_realtime_ns; /* then */
};

static inline uint64_t lap_written_ticks(const struct lap_written_process *process, int64_t ns)
{
    return (uint64_t)(ns - process->origin_ns);
}

/* Writes the ring of a thread and its statistics, if that has any events. *ret_is_any: it has. 0 or a negative errno. */
int lap_written_ring(const struct lap_written_process *process, uint32_t thread, uint32_t number, bool *ret_is_any);
/* How many slices would be in a thread's ring. */
uint64_t lap_written_ring_slices(const struct lap_written_process *process, uint32_t thread);

#endif
