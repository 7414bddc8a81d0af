/* SPDX-License-Identifier: MIT
 *
 * The server's end of a call.
 */
#define _GNU_SOURCE
#include "handle_table.h"
#include "lapmark.h"
#include "link.h"
#include "scope.h"
#include "served.h"
#include "snapshot.h"
#include "trailer.h"
#include "wishes.h"

uint32_t lap_shared = 0;

void lap_share(uint32_t what) { __atomic_store_n(&lap_shared, what, __ATOMIC_RELAXED); }

uint32_t lap_impl_shared(void) { return lap_shares(); }

uint64_t lap_now(void) { return lap_is_there() ? lap_call_ticks() : lap_impl_ticks(); }

/* Stores an event of a fixed class for a handle, which is the child of `parent` from then on, or not: NULL. */
static void event_put(uint32_t class_id, const void *payload, uint32_t bytes, uint64_t handle,
                      const struct lap_context *parent)
{
    uint64_t position, ticks;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    position = ring ? lap_ring_room(ring, position, 8 + bytes, &ticks) : 0;
    if (position == 0)
        return;
    lap_handle_note_parent(handle, ring, position, parent);
    lap_ring_give(ring, lap_ring_store_fixed(ring, position, ticks, class_id, payload, bytes));
}

static int request_read(struct lap_request_trailer *request, struct lap_context *ret_context, const void *trailer,
                        uint64_t bytes)
{
    *ret_context = (struct lap_context){.flags = 0};
    const int error = lap_trailer_read(request, trailer, bytes, LAP_MAGIC_REQUEST);
    if (error < 0)
        return error;
    ret_context->flags = request->flags;
    memcpy(ret_context->trace_id, request->trace_id, sizeof request->trace_id);
    memcpy(ret_context->span_id, request->span_id, sizeof request->span_id);
    return lap_context_is_valid(ret_context) ? 0 : -EBADMSG;
}

void lap_impl_serve_options(struct lap_options *options, const void *trailer, uint64_t bytes)
{
    struct lap_request_trailer request;
    struct lap_context context;
    if (!lap_is_there() || !lap_wishes_are_accepted(LAP_ACCEPT_THRESHOLD) ||
        request_read(&request, &context, trailer, bytes) < 0)
        return;
    const uint32_t wish = request.level & LAP_LEVEL_WISH;
    const double threshold_ms = lap_wish_unpack_threshold_ms(request.threshold);
    const int is_lower = request.threshold != 0 && threshold_ms < options->threshold_ms;
    const int switches_on = wish == LAP_WISH_ON && options->disabled;
    if ((is_lower || switches_on) && !lap_wish_grant(lap_call_ticks())) /* what makes less work is free */
        return;
    if (request.threshold != 0)
        options->threshold_ms = threshold_ms;
    if (wish != LAP_WISH_AS_IT_IS)
        options->disabled = wish == LAP_WISH_OFF;
}

/* A caller found it slow: its report is due after all. */
int lap_impl_served_keep(uint64_t span_id, int is_held)
{
    struct lap_served served = {.flags = 0};
    uint64_t position;
    struct lap_ring *const ring = lap_wishes_are_accepted(LAP_ACCEPT_SLOW) ? lap_ring_take(0, &position) : NULL;
    if (!ring)
        return -EPERM;
    const int is_there = is_held || lap_served_take(&served, span_id),
              is_kept = is_there && lap_wish_grant(lap_call_ticks());
    if (!is_there)
        lap_process_count_loss(LAP_FORMAT_LOSS_WISH, 1);
    if (is_kept && served.flags & LAP_SLOW_PRINTS)
        lap_handle_print(ring, served.handle, served.class_id, &served.rings);
    if (is_kept && served.flags & LAP_SLOW_SNAPSHOTS)
        position = lap_snapshot_breach(ring, position, served.class_id, served.total_ticks);
    lap_ring_give(ring, position);
    return is_kept;
}

int lap_impl_serve_begin(struct lap_serve *serve, uint64_t handle, const void *trailer, uint64_t bytes,
                         uint64_t arrived_ticks)
{
    struct lap_request_trailer request;
    const uint64_t now = lap_now();
    struct lap_context context;
    const int error = request_read(&request, &context, trailer, bytes);
    *serve = (struct lap_serve){.handle = handle,
                                .begin_ticks = now,
                                .received_ticks = arrived_ticks != 0 && arrived_ticks < now ? arrived_ticks : now};
    if (error < 0) {
        if (error != -ENOMSG)
            lap_process_count_loss(LAP_FORMAT_LOSS_TRAILER, 1);
        return error;
    }
    serve->has_trailer = 1;
    serve->context = context;
    const struct lap_format_serve event = {.handle = handle,
                                           .trace_id_high = lap_id_number(request.trace_id),
                                           .trace_id_low = lap_id_number(request.trace_id + 8),
                                           .span_id = lap_id_number(request.span_id),
                                           .sent_ticks = request.sent_ticks,
                                           .received_ticks = serve->received_ticks,
                                           .peer_domain = request.level & LAP_LEVEL_EARLIER ? 0 : request.domain};
    if (handle != 0)
        event_put(LAP_FORMAT_SERVE, &event, sizeof event, handle, &context);
    if (handle != 0 && lap_wishes_are_accepted(LAP_ACCEPT_SLOW))
        lap_handle_serves(handle, event.span_id);
    if (request.level & LAP_LEVEL_EARLIER)
        (void)lap_impl_served_keep(request.domain, 0);
    return 0;
}

uint64_t lap_serve_reply(struct lap_serve *serve, void *out)
{
    memset(out, 0, LAP_TRAILER_BYTES);
    if (!serve->has_trailer || !lap_is_there())
        return 0;
    const double queue_us = (double)(serve->begin_ticks - serve->received_ticks) * lap_process.ns_per_tick / 1e3;
    struct lap_reply_trailer reply = {.magic = LAP_MAGIC_REPLY,
                                      .version = LAP_TRAILER_VERSION,
                                      .length = LAP_TRAILER_BYTES,
                                      .received_ticks = serve->received_ticks,
                                      .domain = lap_domain_told(),
                                      .queue_us = queue_us < (double)UINT32_MAX ? (uint32_t)queue_us : UINT32_MAX,
                                      .khz = (uint32_t)(1e6 / lap_process.ns_per_tick + 0.5)};
    memcpy(reply.span_id, serve->context.span_id, sizeof reply.span_id);
    reply.replied_ticks = lap_call_ticks();
    reply.flags = serve->is_slow || lap_handle_is_slow(serve->handle, reply.replied_ticks) ? LAP_REPLY_SLOW : 0;
    memcpy(out, &reply, sizeof reply);
    const struct lap_format_reply event = {
        .handle = serve->handle, .span_id = lap_id_number(serve->context.span_id), .replied_ticks = reply.replied_ticks};
    if (serve->handle != 0)
        event_put(LAP_FORMAT_REPLY, &event, sizeof event, serve->handle, NULL);
    return LAP_TRAILER_BYTES;
}
