/* SPDX-License-Identifier: MIT
 *
 * The caller's end of a call: its stamps, and the event that says of it what both sides know.
 */
#define _GNU_SOURCE
#include "call_notes.h"
#include "call_times.h"
#include "handle_table.h"
#include "lapmark.h"
#include "link.h"
#include "scope.h"
#include "trailer.h"
#include "wishes.h"

#define KHZ_MAX 100000000u /* no clock is faster: 100 GHz */

static inline uint64_t clock_domain(void)
{
    const uint64_t domain = __atomic_load_n(&lap_process.clock_domain, __ATOMIC_RELAXED);
    return domain != 0 ? domain : lap_process_clock_domain();
}

static inline void call_stamp(struct lap_call *call)
{
    struct lap_request_trailer *const request = (struct lap_request_trailer *)call->request;
    call->sent_ticks = request->sent_ticks = lap_call_ticks();
}

/* Each member is stored here or before: clearing all of it first costs as much as the rest. */
static void call_open(struct lap_call *call, const struct lap_context *parent)
{
    call->split = (struct lap_split){.total_ns = 0};
    call->flags = 0;
    if (parent) {
        call->context = lap_context_child(*parent);
    } else {
        const struct lap_context current = lap_context_current();
        call->context = lap_context_is_valid(&current) ? lap_context_child(current) : lap_context_new();
    }
    call->context.flags |= LAP_CONTEXT_SAMPLED; /* who is called should record it, too */
    struct lap_request_trailer *const request = (struct lap_request_trailer *)call->request;
    request->magic = LAP_MAGIC_REQUEST;
    request->version = LAP_TRAILER_VERSION;
    request->length = LAP_TRAILER_BYTES;
    request->flags = call->context.flags;
    const uint64_t earlier = lap_slow_call_told(call->class_id);
    request->level = earlier != 0 ? LAP_LEVEL_EARLIER : 0;
    request->threshold = 0;
    request->domain = earlier != 0 ? earlier : lap_domain_told();
    memcpy(request->trace_id, call->context.trace_id, sizeof request->trace_id);
    memcpy(request->span_id, call->context.span_id, sizeof request->span_id);
    call->is_open = lap_process.life;
    call_stamp(call);
}

void lap_call_wish(struct lap_call *call, enum lap_wish wish, double threshold_ms)
{
    struct lap_request_trailer *const request = (struct lap_request_trailer *)call->request;
    if (request->magic != LAP_MAGIC_REQUEST) /* it is off */
        return;
    request->level = (uint8_t)((request->level & LAP_LEVEL_EARLIER) | ((uint32_t)wish & LAP_LEVEL_WISH));
    request->threshold = lap_wish_pack_threshold(threshold_ms);
}

/* The path of the thread's innermost scope. The decoder has come to it where it has the same scope on top, as its begin tells by a
 * counter of which no two readings in a row are the same. */
static uint32_t path_innermost(struct lap_ring *ring, uint64_t position)
{
    const struct lap_decoder *const decoder = &ring->decoder;
    const struct lap_impl_thread *const thread = ring->thread;
    const uint32_t depth = thread->depth;
    if (lap_process.clock.source != LAP_FORMAT_CLOCK_TSC || decoder->depth != depth ||
        (depth != 0 && decoder->open[depth - 1].begin_ticks != thread->frames[depth].begin_ticks))
        lap_ring_apply(ring, position);
    return decoder->depth != 0 ? decoder->open[decoder->depth - 1].path : LAP_PATHS_ROOT;
}

void lap_impl_call_begin(struct lap_call *call, struct lap_impl_site *site, const struct lap_call_options *options)
{
    const uint64_t handle = options ? options->handle : 0;
    uint64_t position;
    struct lap_ring *const ring = handle == 0 && lap_is_muted() ? NULL : lap_ring_take(0, &position);
    if (!ring) {
        memset(call, 0, sizeof *call);
        return;
    }
    if (lap_site_state(site) == LAP_IMPL_OFF) {
        memset(call, 0, sizeof *call);
    } else {
        uint32_t parent = handle != 0 ? lap_handle_path(handle) : LAP_FORMAT_PATH_NONE;
        if (parent == LAP_FORMAT_PATH_NONE)
            parent = path_innermost(ring, position);
        call->handle = handle;
        call->class_id = site->id;
        call->path = lap_paths_get(&lap_process.paths, parent, site->id);
        call_open(call, options ? options->parent : NULL);
    }
    lap_ring_give(ring, position);
    const int may_follow =
        options && options->size >= offsetof(struct lap_call_options, follows) + sizeof options->follows;
    if (may_follow && call->is_open != 0 && lap_context_is_valid(options->follows)) {
        lap_impl_link(handle, LAP_FORMAT_PATH_NONE, LAP_FORMAT_LINK_FOLLOWS, &call->context, options->follows);
        call_stamp(call);
    }
}

void lap_impl_call_begin_at(struct lap_call *call, struct lap_impl_site *site, uint64_t handle, uint32_t path,
                            const struct lap_context *parent)
{
    if (lap_impl_site_state(site) == LAP_IMPL_OFF) {
        memset(call, 0, sizeof *call);
        return;
    }
    call->handle = handle;
    call->class_id = site->id;
    call->path = lap_impl_path(path, site);
    call_open(call, parent);
}

/* Takes the reply's figures into the event, if they can be those of this call. */
static int reply_take(struct lap_format_call *event, const struct lap_call *call, const void *from, uint64_t bytes)
{
    struct lap_reply_trailer reply;
    event->received_ticks = event->replied_ticks = event->peer_domain = 0;
    event->peer_khz = event->queue_us = 0;
    event->flags = call->flags;
    const int error = lap_trailer_read(&reply, from, bytes, LAP_MAGIC_REPLY);
    if (error < 0)
        return error;
    if (memcmp(reply.span_id, call->context.span_id, sizeof reply.span_id) != 0)
        return -EPROTO;
    if (reply.received_ticks == 0 || reply.replied_ticks < reply.received_ticks || reply.khz == 0 || reply.khz > KHZ_MAX)
        return -EBADMSG;
    /* A server can not have worked for longer than the caller has waited: 0.1 % for two rates that are roughly known. */
    const double peer_ns_per_tick = reply.domain == clock_domain() ? lap_process.ns_per_tick : 1e6 / reply.khz;
    const double took_ns = (double)(reply.replied_ticks - reply.received_ticks) * peer_ns_per_tick;
    const double total_ns = (double)(event->got_ticks - event->sent_ticks) * lap_process.ns_per_tick;
    if (took_ns > total_ns * 1.001 + 1e3 || (double)reply.queue_us * 1e3 > took_ns + 1e3)
        return -EBADMSG;
    event->received_ticks = reply.received_ticks;
    event->replied_ticks = reply.replied_ticks;
    event->peer_domain = reply.domain;
    event->peer_khz = reply.khz;
    event->queue_us = reply.queue_us;
    if (reply.flags & LAP_REPLY_SLOW) {
        event->flags |= LAP_FORMAT_CALL_SLOW;
        if (lap_wishes_are_accepted(LAP_ACCEPT_SLOW) && lap_wish_grant(event->got_ticks))
            event->flags |= LAP_FORMAT_CALL_KEPT;
    }
    return 0;
}

static inline void split_set(struct lap_split *split, const struct lap_format_call *event)
{
    const struct lap_call_times times = lap_call_times(event, lap_process.ns_per_tick, clock_domain());
    split->total_ns = (uint64_t)times.total_ns;
    split->server_ns = (uint64_t)times.server_ns;
    split->queue_ns = (uint64_t)times.queue_ns;
    split->between_ns = (uint64_t)times.between_ns;
    split->there_ns = (uint64_t)times.there_ns;
    split->back_ns = (uint64_t)times.back_ns;
    split->flags = (uint32_t)(times.has_server ? LAP_SPLIT_SERVER : 0) | (times.has_ways ? LAP_SPLIT_WAYS : 0) |
                   (event->flags & LAP_FORMAT_CALL_SLOW ? LAP_SPLIT_SLOW : 0) |
                   (event->flags & LAP_FORMAT_CALL_KEPT ? LAP_SPLIT_KEPT : 0);
}

/* Has it the least time between of this second, for this peer's clock? Such calls bound what the clocks are apart. */
static int is_tightest(struct lap_ring *ring, const struct lap_format_call *event, uint64_t between_ns)
{
    if (event->peer_domain == 0 || event->received_ticks == 0)
        return 0;
    struct lap_tightest *const least = &ring->tightest[event->peer_domain % LAP_RING_PEERS];
    const uint64_t second = (uint64_t)((double)event->got_ticks * lap_process.ns_per_tick / 1e9);
    if (least->domain == event->peer_domain && least->second == second && least->between_ns <= between_ns)
        return 0;
    *least = (struct lap_tightest){event->peer_domain, second, between_ns};
    return 1;
}

/* What its profiler must know of it, and whether it may be taken back with that. */
static void call_note(struct lap_ring *ring, uint64_t position, uint64_t end, const struct lap_call *call,
                      struct lap_format_call *event)
{
    const int is_kept = (event->flags & LAP_FORMAT_CALL_KEPT) != 0;
    struct lap_slow_call slow = {
        .sent_ticks = event->sent_ticks, .took_ticks = event->got_ticks - event->sent_ticks, .class_id = call->class_id};
    if (event->received_ticks != 0 && !(event->flags & (LAP_FORMAT_CALL_SLOW | LAP_FORMAT_CALL_PART)))
        slow.span_id = event->span_id;
    if (call->handle != 0) {
        event->number = lap_handle_note_call(call->handle, ring, position, &slow, is_kept);
    } else {
        if (slow.span_id != 0)
            lap_slow_call_see(&ring->slowest_call, &slow, ring->thread->frames[1].begin_ticks);
        ring->is_breached |= (uint32_t)(is_kept && ring->printing != 0);
    }
    if (call->handle != 0 || is_kept || is_tightest(ring, event, call->split.between_ns))
        ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, end)};
}

/* Fills in the event of a call that is over. Returns what is wrong with the reply. */
static int call_close(struct lap_call *call, struct lap_format_call *event, uint64_t now, const void *reply,
                      uint64_t bytes)
{
    event->handle = call->handle;
    event->trace_id_high = lap_id_number(call->context.trace_id);
    event->trace_id_low = lap_id_number(call->context.trace_id + 8);
    event->span_id = lap_id_number(call->context.span_id);
    event->sent_ticks = call->sent_ticks;
    event->got_ticks = now < call->sent_ticks ? call->sent_ticks : now;
    event->path = call->path;
    event->number = event->reserved = 0;
    const int error = reply_take(event, call, reply, bytes);
    if (error < 0 && error != -ENOMSG) {
        event->flags |= LAP_FORMAT_CALL_REFUSED;
        lap_process_count_loss(LAP_FORMAT_LOSS_TRAILER, 1);
    }
    split_set(&call->split, event);
    return error;
}

int lap_call_end(struct lap_call *call, const void *reply, uint64_t bytes)
{
    const uint32_t life = call->is_open;
    if (life == 0)
        return -EINVAL;
    call->is_open = 0;
    uint64_t position;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    uint64_t now = lap_is_there() ? lap_call_ticks() : lap_impl_ticks();
    if (life != lap_process.life) { /* it is a call of the process that forked this one, whose paths are others */
        if (ring)
            lap_ring_give(ring, position);
        return -EINVAL;
    }
    const uint64_t got_ticks = now;
    struct lap_format_call unseen;
    /* With the room that notes would take: few replies have some, and to ask for more costs nothing. */
    position = ring ? lap_ring_room_at(ring, position, 8 + sizeof unseen + LAP_CALL_NOTES_EVENTS_BYTES, &now) : 0;
    if (position == 0)
        return call_close(call, &unseen, got_ticks, reply, bytes);
    struct lap_format_call *const event = (struct lap_format_call *)(uintptr_t)(position + 8);
    uint64_t end = position + 8 + sizeof *event;
    const int error = call_close(call, event, got_ticks, reply, bytes);
    call_note(ring, position, end, call, event);
    *(uint64_t *)(uintptr_t)position = now << LAP_FORMAT_CLOCK_SHIFT | call->class_id;
    if (__builtin_expect(bytes > LAP_TRAILER_BYTES, 0) && error == 0)
        end = lap_call_notes_store(end, now, event, call->split.server_ns, (const char *)reply + LAP_TRAILER_BYTES,
                                   bytes - LAP_TRAILER_BYTES);
    lap_impl_commit(ring->thread, end);
    lap_ring_give(ring, end);
    return error;
}

int lap_call_part(struct lap_call *call, const void *reply, uint64_t bytes)
{
    const uint32_t life = call->is_open;
    call->flags = LAP_FORMAT_CALL_PART;
    const int error = lap_call_end(call, reply, bytes < LAP_TRAILER_BYTES ? bytes : LAP_TRAILER_BYTES);
    call->flags = 0;
    call->split = (struct lap_split){.total_ns = 0};
    call->is_open = error == -EINVAL ? 0 : life;
    return error;
}

int lap_call_sent(struct lap_call *call)
{
    call->flags = LAP_FORMAT_CALL_ONE_WAY;
    const int error = lap_call_end(call, NULL, 0);
    return error == -ENOMSG ? 0 : error;
}
