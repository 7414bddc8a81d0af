/* SPDX-License-Identifier: MIT
 *
 * How the time of a call divides, from its event. One place for the caller's report, the commands and bindings.
 */
#ifndef LAP_CALL_TIMES_H
#define LAP_CALL_TIMES_H

#include "lapmark/format.h"

#include <stdint.h>

/* In nanoseconds. Without `has_server` the peer said nothing, and all but the total is 0; without `has_ways` the two clocks are not
 * known to be one. */
struct lap_call_times {
    double total_ns;
    double server_ns;
    double queue_ns; /* of server_ns */
    double between_ns;
    double there_ns; /* of between_ns */
    double back_ns;
    int has_server;
    int has_ways;
};

/* `domain`: the caller's clock's. Whatever the event holds, no time is negative and the parts add up. */
static inline struct lap_call_times lap_call_times(const struct lap_format_call *call, double ns_per_tick,
                                                   uint64_t domain)
{
    struct lap_call_times times = {.total_ns = (double)(call->got_ticks - call->sent_ticks) * ns_per_tick};
    if (call->got_ticks < call->sent_ticks)
        times.total_ns = 0;
    if (call->received_ticks == 0 || call->peer_khz == 0 || call->replied_ticks < call->received_ticks)
        return times;
    const int is_same = call->peer_domain != 0 && call->peer_domain == domain;
    const double peer_ns_per_tick = is_same ? ns_per_tick : 1e6 / call->peer_khz;
    times.has_server = 1;
    times.server_ns = (double)(call->replied_ticks - call->received_ticks) * peer_ns_per_tick;
    if (times.server_ns > times.total_ns)
        times.server_ns = times.total_ns;
    times.queue_ns = (double)call->queue_us * 1e3 < times.server_ns ? (double)call->queue_us * 1e3 : times.server_ns;
    times.between_ns = times.total_ns - times.server_ns;
    if (is_same && call->sent_ticks <= call->received_ticks && call->replied_ticks <= call->got_ticks) {
        times.has_ways = 1;
        times.there_ns = (double)(call->received_ticks - call->sent_ticks) * ns_per_tick;
        times.back_ns = (double)(call->got_ticks - call->replied_ticks) * ns_per_tick;
    }
    return times;
}

#endif
