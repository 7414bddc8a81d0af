/* SPDX-License-Identifier: MIT
 *
 * Calls: stamps and trailers, and the events that say of them what both sides know.
 */
#define _GNU_SOURCE
#include "lapmark/call.h"

#include "call_notes.h"
#include "call_times.h"
#include "handle_table.h"
#include "lapmark.h"
#include "process.h"
#include "scope.h"

#include <errno.h>
#include <string.h>

/* ---- trailers: little-endian, of any alignment ------------------------------------------------------------------------ */

enum { MAGIC_REQUEST = 0x514C, MAGIC_REPLY = 0x524C, VERSION = 1 }; /* "LQ", "LR" */
enum { REPLY_SLOW = 1 };
#define KHZ_MAX 100000000u /* no clock is faster: 100 GHz */

struct __attribute__((packed, may_alias)) lap_request_trailer {
    uint16_t magic;
    uint8_t version, length, flags, level;
    uint16_t threshold; /* none yet: 0 */
    uint8_t trace_id[16], span_id[8];
    uint64_t domain, sent_ticks;
};
struct __attribute__((packed)) lap_reply_trailer {
    uint16_t magic;
    uint8_t version, length, flags, reserved[3];
    uint8_t span_id[8];
    uint64_t received_ticks, replied_ticks, domain;
    uint32_t queue_us, khz;
};
static_assert(sizeof(struct lap_request_trailer) == LAP_TRAILER_BYTES &&
                  sizeof(struct lap_reply_trailer) == LAP_TRAILER_BYTES,
              "trailers");

/* Reads one of them into `out`; 0, -ENOMSG: there is none, -EBADMSG. */
static int trailer_read(void *out, const void *from, uint64_t bytes, uint16_t magic)
{
    if (!from || bytes == 0)
        return -ENOMSG;
    if (bytes < LAP_TRAILER_BYTES)
        return -EBADMSG;
    memcpy(out, from, LAP_TRAILER_BYTES); /* once: it may lie where the peer can still write */
    uint32_t head;
    memcpy(&head, out, sizeof head);
    if (head == 0)
        return -ENOMSG;
    return head == (magic | VERSION << 16 | (uint32_t)LAP_TRAILER_BYTES << 24) ? 0 : -EBADMSG;
}

/* A number whose digits are those of the bytes. */
static uint64_t number_of(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

static uint32_t shared = 0; /* enum lap_share; atomic */

void lap_share(uint32_t what) { __atomic_store_n(&shared, what, __ATOMIC_RELAXED); }

static inline uint32_t shares(void) { return __atomic_load_n(&shared, __ATOMIC_RELAXED) | lap_process.settings.shares; }

uint32_t lap_impl_shared(void) { return shares(); }

static uint64_t domain_told(void) { return shares() & LAP_SHARE_DOMAIN ? lap_process_clock_domain() : 0; }

/* Of a process that is there. */
static inline uint64_t call_ticks(void)
{
    if (__builtin_expect(lap_process.clock.source == LAP_FORMAT_CLOCK_MONOTONIC, 0))
        return lap_clock_ticks(&lap_process.clock);
    return lap_impl_ticks();
}

/* A thread that has a ring is one of a process that is there: a fork takes it away. */
static inline int is_there(void) { return lap_impl_local.thread->segment != 0 || lap_process_ensure() == 0; }

uint64_t lap_now(void) { return is_there() ? call_ticks() : lap_impl_ticks(); }

static inline uint64_t clock_domain(void)
{
    const uint64_t domain = __atomic_load_n(&lap_process.clock_domain, __ATOMIC_RELAXED);
    return domain != 0 ? domain : lap_process_clock_domain();
}

/* ---- the caller ------------------------------------------------------------------------------------------------------- */

/* Each member is stored here or before: clearing all of it first costs as much as the rest. */
static void call_open(struct lap_call *call, const struct lap_context *parent)
{
    call->split = (struct lap_split){.total_ns = 0};
    call->reserved = 0;
    if (parent) {
        call->context = lap_context_child(*parent);
    } else {
        const struct lap_context current = lap_context_current();
        call->context = lap_context_is_valid(&current) ? lap_context_child(current) : lap_context_new();
    }
    call->context.flags |= LAP_CONTEXT_SAMPLED; /* who is called should record it, too */
    struct lap_request_trailer *const request = (struct lap_request_trailer *)call->request;
    request->magic = MAGIC_REQUEST;
    request->version = VERSION;
    request->length = LAP_TRAILER_BYTES;
    request->flags = call->context.flags;
    request->level = 0;
    request->threshold = 0;
    request->domain = domain_told();
    memcpy(request->trace_id, call->context.trace_id, sizeof request->trace_id);
    memcpy(request->span_id, call->context.span_id, sizeof request->span_id);
    call->is_open = lap_process.life;
    call->sent_ticks = request->sent_ticks = call_ticks();
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
    event->peer_khz = event->queue_us = event->flags = 0;
    const int error = trailer_read(&reply, from, bytes, MAGIC_REPLY);
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
    event->flags = reply.flags & REPLY_SLOW ? LAP_FORMAT_CALL_SLOW : 0;
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
                   (event->flags & LAP_FORMAT_CALL_SLOW ? LAP_SPLIT_SLOW : 0);
}

/* Fills in the event of a call that is over. Returns what is wrong with the reply. */
static int call_close(struct lap_call *call, struct lap_format_call *event, uint64_t now, const void *reply,
                      uint64_t bytes)
{
    event->handle = call->handle;
    event->trace_id_high = number_of(call->context.trace_id);
    event->trace_id_low = number_of(call->context.trace_id + 8);
    event->span_id = number_of(call->context.span_id);
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
    uint64_t now = is_there() ? call_ticks() : lap_impl_ticks();
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
    event->number = lap_handle_note(call->handle, ring, position);
    *(uint64_t *)(uintptr_t)position = now << LAP_FORMAT_CLOCK_SHIFT | call->class_id;
    if (__builtin_expect(bytes > LAP_TRAILER_BYTES, 0) && error == 0)
        end = lap_call_notes_store(end, now, event, call->split.server_ns, (const char *)reply + LAP_TRAILER_BYTES,
                                   bytes - LAP_TRAILER_BYTES);
    ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, end)};
    lap_impl_commit(ring->thread, end);
    lap_ring_give(ring, end);
    return error;
}

/* ---- the server ------------------------------------------------------------------------------------------------------- */

/* Stores an event of a fixed class for a handle. */
static void event_put(uint32_t class_id, const void *payload, uint32_t bytes, uint64_t handle)
{
    uint64_t position, ticks;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    position = ring ? lap_ring_room(ring, position, 8 + bytes, &ticks) : 0;
    if (position == 0)
        return;
    lap_handle_note(handle, ring, position);
    memcpy((void *)(uintptr_t)(position + 8), payload, bytes);
    *(uint64_t *)(uintptr_t)position = ticks << LAP_FORMAT_CLOCK_SHIFT | class_id;
    position += 8 + bytes;
    ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
    lap_impl_commit(ring->thread, position);
    lap_ring_give(ring, position);
}

int lap_impl_serve_begin(struct lap_serve *serve, uint64_t handle, const void *trailer, uint64_t bytes,
                         uint64_t arrived_ticks)
{
    struct lap_request_trailer request;
    const uint64_t now = lap_now();
    int error = trailer_read(&request, trailer, bytes, MAGIC_REQUEST);
    *serve = (struct lap_serve){.handle = handle,
                                .begin_ticks = now,
                                .received_ticks = arrived_ticks != 0 && arrived_ticks < now ? arrived_ticks : now};
    struct lap_context context = {.flags = 0};
    if (error == 0) {
        context.flags = request.flags;
        memcpy(context.trace_id, request.trace_id, sizeof request.trace_id);
        memcpy(context.span_id, request.span_id, sizeof request.span_id);
        error = lap_context_is_valid(&context) ? 0 : -EBADMSG;
    }
    if (error < 0) {
        if (error != -ENOMSG)
            lap_process_count_loss(LAP_FORMAT_LOSS_TRAILER, 1);
        return error;
    }
    serve->has_trailer = 1;
    serve->context = context;
    const struct lap_format_serve event = {.handle = handle,
                                           .trace_id_high = number_of(request.trace_id),
                                           .trace_id_low = number_of(request.trace_id + 8),
                                           .span_id = number_of(request.span_id),
                                           .sent_ticks = request.sent_ticks,
                                           .received_ticks = serve->received_ticks,
                                           .peer_domain = request.domain};
    if (handle != 0)
        event_put(LAP_FORMAT_SERVE, &event, sizeof event, handle);
    return 0;
}

uint64_t lap_serve_reply(struct lap_serve *serve, void *out)
{
    memset(out, 0, LAP_TRAILER_BYTES);
    if (!serve->has_trailer || !is_there())
        return 0;
    const double queue_us = (double)(serve->begin_ticks - serve->received_ticks) * lap_process.ns_per_tick / 1e3;
    struct lap_reply_trailer reply = {.magic = MAGIC_REPLY,
                                      .version = VERSION,
                                      .length = LAP_TRAILER_BYTES,
                                      .received_ticks = serve->received_ticks,
                                      .domain = domain_told(),
                                      .queue_us = queue_us < (double)UINT32_MAX ? (uint32_t)queue_us : UINT32_MAX,
                                      .khz = (uint32_t)(1e6 / lap_process.ns_per_tick + 0.5)};
    memcpy(reply.span_id, serve->context.span_id, sizeof reply.span_id);
    reply.replied_ticks = call_ticks();
    reply.flags = lap_handle_is_slow(serve->handle, reply.replied_ticks) ? REPLY_SLOW : 0;
    memcpy(out, &reply, sizeof reply);
    const struct lap_format_reply event = {
        .handle = serve->handle, .span_id = number_of(serve->context.span_id), .replied_ticks = reply.replied_ticks};
    if (serve->handle != 0)
        event_put(LAP_FORMAT_REPLY, &event, sizeof event, serve->handle);
    return LAP_TRAILER_BYTES;
}
