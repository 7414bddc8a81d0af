/* SPDX-License-Identifier: MIT
 *
 * Links: what a profiler, or one of its calls, has to do with a step of a trace.
 */
#define _GNU_SOURCE
#include "link.h"

#include "handle_table.h"
#include "lapmark.h"
#include "process.h"
#include "scope.h"

#include <errno.h>

static struct lap_format_link link_to(uint64_t handle, uint32_t relation, const struct lap_context *other)
{
    return (struct lap_format_link){.handle = handle,
                                    .trace_id_high = lap_id_number(other->trace_id),
                                    .trace_id_low = lap_id_number(other->trace_id + 8),
                                    .span_id = lap_id_number(other->span_id),
                                    .relation = relation,
                                    .path = LAP_FORMAT_PATH_NONE};
}

/* Without a path it takes its handle's. */
static void link_put(struct lap_format_link *link, const struct lap_context *parent, int must_be_open)
{
    uint64_t position, ticks;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    position = ring ? lap_ring_room(ring, position, 8 + sizeof *link, &ticks) : 0;
    if (position == 0)
        return;
    const uint32_t path = lap_handle_note_parent(link->handle, ring, position, parent);
    if (link->path == LAP_FORMAT_PATH_NONE)
        link->path = path;
    if (must_be_open && path == LAP_FORMAT_PATH_NONE) {
        lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    } else {
        position = lap_ring_store_fixed(ring, position, ticks, LAP_FORMAT_LINK, link, sizeof *link);
        if (lap_process.control)
            __atomic_add_fetch(&lap_process.control->links, 1, __ATOMIC_RELAXED);
    }
    lap_ring_give(ring, position);
}

void lap_impl_link(uint64_t handle, uint32_t path, uint32_t relation, const struct lap_context *call,
                   const struct lap_context *other)
{
    struct lap_format_link link = link_to(handle, relation, other);
    link.path = path;
    link.own_span_id = call ? lap_id_number(call->span_id) : 0;
    link_put(&link, NULL, 0);
}

void lap_link(uint64_t handle, const struct lap_context *other)
{
    if (!lap_context_is_valid(other) || (handle == 0 && lap_is_muted()))
        return;
    struct lap_format_link link = link_to(handle, LAP_FORMAT_LINK_FOLLOWS, other);
    link_put(&link, NULL, handle != 0);
}

int lap_serve_parent(struct lap_serve *serve, const struct lap_context *context)
{
    if (!lap_context_is_valid(context))
        return -EINVAL;
    if (lap_context_is_valid(&serve->context))
        return -EEXIST;
    serve->context = *context;
    struct lap_format_link link = link_to(serve->handle, LAP_FORMAT_LINK_PARENT, context);
    if (serve->handle != 0)
        link_put(&link, context, 1);
    return 0;
}

struct lap_context lap_handle_context(uint64_t handle)
{
    struct lap_context own = {.flags = 0}, parent = {.flags = 0};
    uint64_t position;
    struct lap_ring *const ring = handle == 0 ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return own;
    const int is_new = lap_handle_context_get(handle, &own, &parent);
    lap_ring_give(ring, position);
    if (is_new < 0)
        lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    if (is_new > 0 && lap_context_is_valid(&parent))
        lap_impl_link(handle, LAP_FORMAT_PATH_NONE, LAP_FORMAT_LINK_PARENT, NULL, &parent);
    if (is_new > 0)
        lap_impl_link(handle, LAP_FORMAT_PATH_NONE, LAP_FORMAT_LINK_IS, NULL, &own);
    return own;
}
