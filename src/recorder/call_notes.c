/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "call_notes.h"

#include "handle_table.h"
#include "lapmark.h"
#include "process.h"

#include <string.h>

static uint64_t lap_put(uint64_t position, uint64_t ticks, const struct lap_format_call *call,
                        const struct lap_peer_lap *lap)
{
    struct lap_format_peer_lap *const told = (struct lap_format_peer_lap *)(uintptr_t)(position + 8);
    const uint64_t label_bytes = strlen(lap->label) + 1;
    const uint64_t end = (position + 8 + sizeof *told + label_bytes + 7) / 8 * 8 + 8;
    memset(told, 0, end - position - 8);
    *told = (struct lap_format_peer_lap){.size = end - position,
                                         .handle = call->handle,
                                         .span_id = call->span_id,
                                         .sum_ns = (uint64_t)lap->sum_ns,
                                         .count = lap->count,
                                         .number = call->number};
    memcpy(told + 1, lap->label, label_bytes);
    *(uint64_t *)(uintptr_t)position = ticks << LAP_FORMAT_CLOCK_SHIFT | LAP_FORMAT_PEER_LAP;
    return end;
}

uint64_t lap_call_notes_store(uint64_t position, uint64_t ticks, const struct lap_format_call *call, uint64_t server_ns,
                              const void *notes, uint64_t bytes)
{
    struct lap_peer_lap laps[LAP_PEER_LAPS];
    int is_bad;
    const uint32_t count = lap_peer_laps_read(laps, notes, bytes, (double)server_ns, &is_bad);
    if (is_bad)
        lap_process_count_loss(LAP_FORMAT_LOSS_TRAILER, 1);
    for (uint32_t i = 0; i < count; i++)
        position = lap_put(position, ticks, call, &laps[i]);
    return position;
}

uint64_t lap_serve_reply_notes(struct lap_serve *serve, void *out, uint64_t room)
{
    struct lap_peer_lap laps[LAP_PEER_LAPS];
    uint32_t count = 0;
    /* Before the reply's stamp: the caller waits for this, so it is part of what the server took. */
    if (serve->has_trailer && room > LAP_TRAILER_BYTES && lap_impl_shared() & LAP_SHARE_LAPS)
        count = lap_handle_laps(serve->handle, laps);
    const double server_ns = count == 0 ? 0 : (double)(lap_now() - serve->received_ticks) * lap_process.ns_per_tick;
    const uint64_t bytes = lap_serve_reply(serve, out);
    if (count == 0 || bytes == 0)
        return bytes;
    return bytes + lap_peer_laps_write((char *)out + bytes, room - bytes, laps, count, server_ns);
}
