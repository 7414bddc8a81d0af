/* SPDX-License-Identifier: MIT */
#include "call_lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16u

static void sum_up(struct lap_call_lanes *lanes, uint32_t node)
{
    const uint64_t left = lanes->ends_ns[2 * node], right = lanes->ends_ns[2 * node + 1];
    lanes->ends_ns[node] = left < right ? left : right;
}

static int grow(struct lap_call_lanes *lanes)
{
    const uint32_t room = lanes->room > 0 ? 2 * lanes->room : FIRST_ROOM;
    uint64_t *const ends_ns = calloc(2 * (size_t)room, sizeof *ends_ns);
    if (!ends_ns)
        return -ENOMEM;
    if (lanes->room > 0)
        memcpy(ends_ns + room, lanes->ends_ns + lanes->room, lanes->room * sizeof *ends_ns);
    free(lanes->ends_ns);
    lanes->ends_ns = ends_ns;
    lanes->room = room;
    for (uint32_t node = room - 1; node > 0; node--)
        sum_up(lanes, node);
    return 0;
}

int lap_call_lanes_take(struct lap_call_lanes *lanes, uint64_t begin_ns, uint64_t end_ns, uint32_t *ret_lane,
                        bool *ret_is_new)
{
    if (lanes->room == 0 || lanes->ends_ns[1] > begin_ns) {
        const int code = grow(lanes);
        if (code < 0)
            return code;
    }
    uint32_t node = 1;
    while (node < lanes->room)
        node = 2 * node + (lanes->ends_ns[2 * node] > begin_ns);
    *ret_lane = node - lanes->room;
    *ret_is_new = *ret_lane == lanes->count;
    lanes->count += *ret_is_new;
    lanes->ends_ns[node] = end_ns;
    while ((node /= 2) > 0)
        sum_up(lanes, node);
    return 0;
}

void lap_call_lanes_clear(struct lap_call_lanes *lanes)
{
    if (lanes->room > 0)
        memset(lanes->ends_ns, 0, 2 * (size_t)lanes->room * sizeof *lanes->ends_ns);
    lanes->count = 0;
}

void lap_call_lanes_done(struct lap_call_lanes *lanes) { free(lanes->ends_ns); }
