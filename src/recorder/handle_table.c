/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "handle_table.h"

#include "handle_report.h"
#include "immediate.h"
#include "lapmark.h"
#include "printer.h"
#include "process.h"
#include "ring_segments.h"
#include "scope.h"
#include "served.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOCK_TRIES 200000u

struct slot {
    uint32_t lock;
    uint32_t generation; /* odd while open */
    uint32_t id;
    uint32_t path;
    uint32_t marks;
    uint32_t flags;     /* LAP_SLOW_*, and HAS_* */
    uint32_t next_free; /* + 1 */
    uint64_t begin_ticks;
    uint64_t last_ticks;
    uint64_t threshold_ns;
    uint64_t served_span; /* of the call that it serves and may be asked for; 0 */
    struct lap_slow_call slowest;
    struct lap_handle_rings rings;
};

enum { HAS_PARENT = 1 << 16, HAS_CONTEXT = 1 << 17 }; /* the slot's context is of the step around it, or its own */

/* The list of free slots takes no lock: a handler that leaves by siglongjmp loses a slot at most. */
static struct {
    struct slot *slots;
    uint32_t used;
    uint64_t free; /* {count of changes, first free + 1} */
} handles;

/* The thread's position is taken whenever a slot's lock is: no handler of the same thread can want it. Returns 0 after a
 * time that no other thread could need, unless it was left by siglongjmp or never gets to run. */
static int slot_lock(struct slot *slot)
{
    for (unsigned tries = 0; __atomic_exchange_n(&slot->lock, 1, __ATOMIC_ACQUIRE); tries++) {
        if (tries == LOCK_TRIES)
            return 0;
        sched_yield();
    }
    return 1;
}

static void slot_unlock(struct slot *slot) { __atomic_store_n(&slot->lock, 0, __ATOMIC_RELEASE); }

void lap_handles_drop_all(void)
{
    handles.free = 0;
    for (uint32_t i = handles.used; i-- > 0;) {
        struct slot *const slot = &handles.slots[i];
        slot->lock = 0;
        slot->generation += slot->generation & 1;
        slot->next_free = (uint32_t)handles.free;
        handles.free = i + 1;
    }
}

static struct slot *slots_make(void)
{
    const size_t bytes = LAP_HANDLES * (sizeof(struct slot) + sizeof(struct lap_context));
    struct slot *slots = NULL;
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (__atomic_compare_exchange_n(&handles.slots, &slots, memory, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return memory;
    munmap(memory, bytes); /* another thread was faster */
    return slots;
}

/* Of a locked slot. They lie behind the slots, where most programs never touch the memory. */
static struct lap_context *context_of(const struct slot *slot)
{
    struct slot *const slots = __atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE);
    return (struct lap_context *)(void *)&slots[LAP_HANDLES] + (slot - slots);
}

static struct slot *slot_take(uint32_t *ret_index)
{
    struct slot *slots = __atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE);
    if (!slots)
        slots = slots_make();
    if (!slots)
        return NULL;
    uint64_t first = __atomic_load_n(&handles.free, __ATOMIC_ACQUIRE);
    while ((uint32_t)first != 0) {
        const uint32_t next = __atomic_load_n(&slots[(uint32_t)first - 1].next_free, __ATOMIC_RELAXED);
        const uint64_t then = ((first >> 32) + 1) << 32 | next;
        if (__atomic_compare_exchange_n(&handles.free, &first, then, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            *ret_index = (uint32_t)first - 1;
            return &slots[*ret_index];
        }
    }
    uint32_t used = __atomic_load_n(&handles.used, __ATOMIC_ACQUIRE);
    while (used < LAP_HANDLES)
        if (__atomic_compare_exchange_n(&handles.used, &used, used + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            *ret_index = used;
            return &slots[used];
        }
    return NULL;
}

static void slot_free(struct slot *slot)
{
    const uint32_t own = (uint32_t)(slot - __atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE)) + 1;
    uint64_t first = __atomic_load_n(&handles.free, __ATOMIC_ACQUIRE), then;
    do {
        __atomic_store_n(&slot->next_free, (uint32_t)first, __ATOMIC_RELAXED);
        then = ((first >> 32) + 1) << 32 | own;
    } while (!__atomic_compare_exchange_n(&handles.free, &first, then, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

uint64_t lap_handle_take(void)
{
    uint32_t index = 0;
    struct slot *const slot = slot_take(&index);
    if (!slot)
        return 0;
    (void)slot_lock(slot); /* at most one who looks at it has it for a moment: it is not open */
    slot->generation += 2;
    const uint64_t handle = (uint64_t)(slot->generation | 1) << 32 | (index + 1);
    slot_unlock(slot);
    return handle;
}

void lap_handle_give(uint64_t handle)
{
    struct slot *const slot = &__atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE)[(uint32_t)handle - 1];
    slot->generation = (uint32_t)(handle >> 32) & ~1u; /* the binding may have counted on */
    slot_free(slot);
}

/* The slot of an open handle, locked; NULL for one that is not open. */
static struct slot *slot_find(lap_handle handle)
{
    const uint32_t index = (uint32_t)handle - 1;
    if (index >= __atomic_load_n(&handles.used, __ATOMIC_ACQUIRE))
        return NULL;
    struct slot *const slot = &__atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE)[index];
    if (!slot_lock(slot))
        return NULL;
    if (slot->generation == (uint32_t)(handle >> 32) && slot->generation & 1)
        return slot;
    slot_unlock(slot);
    return NULL;
}

uint32_t lap_handle_path(lap_handle handle)
{
    struct slot *const slot = slot_find(handle);
    if (!slot)
        return LAP_FORMAT_PATH_NONE;
    const uint32_t path = slot->path;
    slot_unlock(slot);
    return path;
}

uint32_t lap_handle_note_call(uint64_t handle, const struct lap_ring *ring, uint64_t position,
                              const struct lap_slow_call *call, int is_kept)
{
    struct slot *const slot = handle == 0 ? NULL : slot_find(handle);
    if (!slot)
        return 0;
    lap_handle_rings_note(&slot->rings, ring, position);
    if (call->span_id != 0)
        lap_slow_call_see(&slot->slowest, call, 0);
    slot->flags |= is_kept ? LAP_SLOW_KEPT : 0;
    const uint32_t marks = slot->marks;
    slot_unlock(slot);
    return marks;
}

void lap_handle_serves(uint64_t handle, uint64_t span_id)
{
    struct slot *const slot = handle == 0 ? NULL : slot_find(handle);
    if (!slot)
        return;
    slot->served_span = span_id;
    slot_unlock(slot);
}

uint32_t lap_handle_note_parent(uint64_t handle, const struct lap_ring *ring, uint64_t position,
                                const struct lap_context *parent)
{
    struct slot *const slot = handle == 0 ? NULL : slot_find(handle);
    if (!slot)
        return LAP_FORMAT_PATH_NONE;
    lap_handle_rings_note(&slot->rings, ring, position);
    if (parent && !(slot->flags & HAS_CONTEXT)) {
        *context_of(slot) = *parent;
        slot->flags |= HAS_PARENT;
    }
    const uint32_t path = slot->path;
    slot_unlock(slot);
    return path;
}

int lap_handle_context_get(uint64_t handle, struct lap_context *ret_own, struct lap_context *ret_parent)
{
    struct slot *const slot = slot_find(handle);
    if (!slot)
        return -ENOENT;
    struct lap_context *const context = context_of(slot);
    const int is_new = !(slot->flags & HAS_CONTEXT);
    if (is_new) {
        if (!(slot->flags & HAS_PARENT))
            *context = *ret_parent = lap_context_current();
        *context = lap_context_child(*context);
        context->flags |= LAP_CONTEXT_SAMPLED; /* who is started should record it, too */
        slot->flags |= HAS_CONTEXT;
    }
    *ret_own = *context;
    slot_unlock(slot);
    return is_new;
}

static uint64_t ticks_to_ns(uint64_t ticks) { return (uint64_t)((double)ticks * lap_process.ns_per_tick); }

int lap_handle_is_slow(uint64_t handle, uint64_t ticks)
{
    struct slot *const slot = handle == 0 ? NULL : slot_find(handle);
    if (!slot)
        return 0;
    const uint64_t took_ns = ticks > slot->begin_ticks ? ticks_to_ns(ticks - slot->begin_ticks) : 0;
    const int is_slow = slot->threshold_ns != 0 && took_ns >= slot->threshold_ns;
    slot_unlock(slot);
    return is_slow;
}

uint32_t lap_handle_laps(uint64_t handle, struct lap_peer_lap *laps)
{
    uint64_t position;
    struct lap_ring *const ring = handle == 0 ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return 0;
    uint32_t count = 0;
    struct slot *const slot = slot_find(handle);
    if (slot) {
        const struct lap_handle_rings rings = slot->rings;
        slot_unlock(slot);
        count = lap_handle_sum(ring, handle, &rings, laps);
    }
    lap_ring_give(ring, position);
    return count;
}

static uint64_t now_ticks(void) { return lap_clock_ticks(&lap_process.clock); }

/* Room for an event of a handle, committed state left to the caller; nothing before it is taken back any more. */
static uint64_t handle_room(struct lap_ring *ring, uint64_t position, uint32_t bytes)
{
    if (!lap_ring_has_room(ring, position, bytes, now_ticks()))
        position = lap_ring_make_room(ring, position, bytes);
    if (position == 0) {
        lap_process_count_loss(LAP_FORMAT_LOSS_MEMORY, 1);
        lap_ring_give(ring, ring->thread->position & ~LAP_IMPL_BUSY);
        return 0;
    }
    ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position) + bytes};
    return position;
}

/* Has the recording ended since there was room? Then a path that was looked up since may be none of its paths: the slot is
 * given back, and the next room is elsewhere. */
static int is_over(struct lap_ring *ring, struct slot *slot)
{
    if (__builtin_expect(!lap_ring_is_stale(ring), 1))
        return 0;
    slot_unlock(slot);
    __atomic_store_n(&ring->thread->limit, 0, __ATOMIC_RELAXED);
    return 1;
}

static void stale(struct lap_ring *ring, uint64_t position)
{
    lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    lap_ring_give(ring, position);
}

static uint32_t flags_of(const struct lap_options *options, unsigned state)
{
    if (!(state & LAP_IMPL_PRINT))
        return 0;
    return options->immediate ? LAP_FORMAT_FLAG_IMMEDIATE : LAP_FORMAT_FLAG_PRINT;
}

lap_handle lap_impl_handle_begin(struct lap_impl_site *site, const struct lap_options *options, const uint64_t *words)
{
    uint64_t position;
    struct lap_ring *const ring = options->parent == 0 && lap_is_muted() ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return 0;
    const unsigned state = lap_site_state(site);
    uint32_t index = 0;
    struct slot *slot = NULL;
    if (state != LAP_IMPL_OFF && (!options->disabled || state & LAP_IMPL_FORCED)) {
        slot = slot_take(&index);
        if (!slot)
            lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    }
    if (!slot) {
        lap_ring_give(ring, position);
        return 0;
    }
    uint32_t parent = options->parent ? lap_handle_path(options->parent) : LAP_FORMAT_PATH_NONE;
    if (parent == LAP_FORMAT_PATH_NONE) { /* the thread's innermost: the decoder must have come to it */
        lap_ring_apply(ring, position);
        parent = ring->decoder.depth != 0 ? ring->decoder.open[ring->decoder.depth - 1].path : LAP_PATHS_ROOT;
    }
    struct lap_format_handle_begin begin = {.threshold_ns = lap_threshold_ns(options->threshold_ms * 1e6),
                                            .n = options->n,
                                            .parent = options->parent,
                                            .flags = flags_of(options, state)};
    struct lap_event_parts parts = {.site = site, .words = words, .fixed = &begin, .fixed_words = sizeof begin / 8};
    lap_event_measure(&parts);
    begin.path = lap_paths_get(&lap_process.paths, parent, parts.id); /* before the room: see is_over */
    position = handle_room(ring, position, parts.bytes);
    if (position == 0) {
        slot_free(slot);
        return 0;
    }
    (void)slot_lock(slot); /* at most one who looks at it has it for a moment: it is not open */
    slot->generation += 1;
    const lap_handle handle = (uint64_t)slot->generation << 32 | (index + 1);
    slot->id = parts.id;
    slot->path = begin.path;
    slot->marks = 0;
    slot->rings.count = 0;
    slot->served_span = slot->slowest.span_id = 0;
    const int is_immediate = (begin.flags & LAP_FORMAT_FLAG_IMMEDIATE) != 0;
    slot->flags = begin.flags & LAP_FORMAT_FLAG_PRINT ? LAP_SLOW_PRINTS : is_immediate ? LAP_SLOW_IMMEDIATE : 0;
    slot->flags |= state & LAP_IMPL_SNAPSHOT ? LAP_SLOW_SNAPSHOTS : 0;
    slot->threshold_ns = lap_printer_threshold_ns(parts.id, begin.threshold_ns);
    lap_handle_rings_note(&slot->rings, ring, position);
    begin.handle = handle;
    slot->begin_ticks = slot->last_ticks = now_ticks();
    const uint64_t end = lap_event_store(&parts, position, slot->begin_ticks);
    slot_unlock(slot);
    lap_impl_commit(ring->thread, end);
    if (is_immediate)
        lap_immediate_enter(ring, parts.id, position, 0);
    lap_ring_give(ring, end);
    return handle;
}

uint64_t lap_impl_handle_mark(lap_handle handle, struct lap_impl_site *site, const uint64_t *words)
{
    uint64_t position;
    struct lap_ring *const ring = handle == 0 ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return 0;
    if (lap_site_state(site) == LAP_IMPL_OFF) {
        lap_ring_give(ring, position);
        return 0;
    }
    struct lap_format_handle_mark mark = {.handle = handle};
    struct lap_event_parts parts = {.site = site, .words = words, .fixed = &mark, .fixed_words = sizeof mark / 8};
    lap_event_measure(&parts);
    struct slot *slot;
    do {
        position = handle_room(ring, position, parts.bytes);
        if (position == 0)
            return 0;
        slot = slot_find(handle);
        if (!slot) {
            stale(ring, position);
            return 0;
        }
        mark.path = lap_paths_get(&lap_process.paths, slot->path, parts.id);
    } while (is_over(ring, slot));
    uint64_t ticks = now_ticks();
    if (ticks < slot->last_ticks)
        ticks = slot->last_ticks;
    mark.lap_ticks = ticks - slot->last_ticks;
    mark.number = slot->marks++;
    slot->last_ticks = ticks;
    const uint64_t total_ticks = ticks - slot->begin_ticks;
    const int is_immediate = (slot->flags & LAP_SLOW_IMMEDIATE) != 0;
    lap_handle_rings_note(&slot->rings, ring, position);
    const uint64_t end =
        lap_event_store(&parts, position, ticks < ring->thread->begin_ticks ? ring->thread->begin_ticks : ticks);
    slot_unlock(slot);
    lap_impl_commit(ring->thread, end);
    if (is_immediate)
        lap_immediate_handle_mark(ring, &parts, position, mark.number, mark.lap_ticks, total_ticks);
    lap_ring_give(ring, end);
    return ticks_to_ns(mark.lap_ticks);
}

uint64_t lap_end(lap_handle handle)
{
    uint64_t position;
    struct lap_ring *const ring = handle == 0 ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return 0;
    struct lap_format_handle_end end = {.handle = handle};
    position = handle_room(ring, position, 8 + sizeof end);
    if (position == 0)
        return 0;
    struct slot *const slot = slot_find(handle);
    if (!slot) {
        stale(ring, position);
        return 0;
    }
    uint64_t ticks = now_ticks();
    if (ticks < slot->last_ticks)
        ticks = slot->last_ticks;
    end.lap_ticks = ticks - slot->last_ticks;
    end.total_ticks = ticks - slot->begin_ticks;
    end.path = slot->path;
    end.marks = slot->marks;
    slot->generation += 1;
    lap_handle_rings_note(&slot->rings, ring, position);
    const struct lap_handle_rings rings = slot->rings;
    const uint64_t threshold_ns = slot->threshold_ns;
    const uint32_t id = slot->id, flags = slot->flags;
    const uint64_t served_span = slot->served_span;
    struct lap_slow_call slowest = slot->slowest;
    slot_unlock(slot);
    slot_free(slot);
    uint64_t words[sizeof end / 8];
    memcpy(words, &end, sizeof end);
    lap_impl_store(position, ticks < ring->thread->begin_ticks ? ring->thread->begin_ticks : ticks, LAP_FORMAT_HANDLE_END,
                   words, sizeof end / 8);
    position += 8 + sizeof end;
    lap_impl_commit(ring->thread, position);
    const uint64_t total_ns = ticks_to_ns(end.total_ticks);
    const int is_slow = total_ns >= threshold_ns, is_kept = (flags & LAP_SLOW_KEPT) != 0;
    if (flags & LAP_SLOW_PRINTS && (is_slow || is_kept))
        lap_handle_print(ring, handle, id, &rings);
    else if (flags & LAP_SLOW_IMMEDIATE)
        lap_immediate_handle_end(ring, id, end.lap_ticks, end.total_ticks, end.marks);
    if (flags & LAP_SLOW_SNAPSHOTS && is_slow && threshold_ns != 0)
        position = lap_snapshot_breach(ring, position, id, end.total_ticks);
    if (is_slow && threshold_ns != 0)
        lap_slow_call_tell(&slowest, 0);
    if (served_span != 0 && !is_slow && !is_kept)
        lap_served_put(&(struct lap_served){served_span, handle, end.total_ticks, id, flags, rings});
    lap_ring_give(ring, position);
    return total_ns;
}

uint64_t lap_elapsed_ns(lap_handle handle)
{
    uint64_t position;
    struct lap_ring *const ring = handle == 0 ? NULL : lap_ring_take(0, &position);
    if (!ring)
        return 0;
    struct slot *const slot = slot_find(handle);
    const uint64_t ticks = now_ticks();
    uint64_t elapsed = 0;
    if (slot) {
        elapsed = ticks_to_ns(ticks > slot->begin_ticks ? ticks - slot->begin_ticks : 0);
        slot_unlock(slot);
    }
    lap_ring_give(ring, position);
    return elapsed;
}
