/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "take_back.h"

#include "lapmark.h"
#include "process.h"
#include "scope.h"

#define THRESHOLD_MS_MAX 1e12 /* never */

uint64_t lap_threshold_ticks(uint64_t threshold_ns)
{
    /* Bounded once more: others may write to the switches that it is from. */
    return (uint64_t)((double)lap_threshold_ns((double)threshold_ns) * lap_process.ticks_per_ms / 1e6);
}

/* Events and pauses between two offsets of the current segment. */
static uint64_t range_measure(const struct lap_ring *ring, uint32_t from, uint32_t to, uint64_t *ret_paused)
{
    uint64_t events = 0;
    *ret_paused = 0;
    for (uint32_t offset = from; offset < to;) {
        const uint64_t *const words = (const uint64_t *)(uintptr_t)(ring->thread->segment + offset);
        const struct lap_class *const class = &lap_process.sites.classes[words[0] & LAP_FORMAT_CLASS_MASK];
        if (class->kind == LAP_CLASS_PAUSE)
            *ret_paused += words[1];
        else if (class->kind == LAP_CLASS_MARK || class->kind == LAP_CLASS_END || class->kind == LAP_CLASS_BEGIN ||
                 class->kind == LAP_CLASS_BEGIN_WITH || class->kind == LAP_CLASS_CALL)
            events++;
        offset += (uint32_t)lap_event_size_bytes(words, class);
    }
    return events;
}

static inline __attribute__((always_inline)) int may_go(const struct lap_ring *ring, const struct lap_slow_scope *slow)
{
    if (slow->place.sequence != ring->sequence)
        return 0;
    /* Of another segment, it is not between the two. */
    if (ring->thread->kept - ring->thread->segment <= ring->segment_bytes &&
        ring->thread->kept - ring->thread->segment > slow->place.offset)
        return 0;
    return ring->floor.sequence != ring->sequence || slow->place.offset >= ring->floor.offset;
}

static inline __attribute__((always_inline)) uint64_t take_back(struct lap_ring *ring, const struct lap_slow_scope *slow,
                                                                uint64_t position, int is_breach)
{
    if (is_breach) {
        if (slow->threshold_ticks != 0) /* one without a threshold goes with what is around it */
            ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
        return position;
    }
    if (!may_go(ring, slow))
        return position;
    const uint32_t begin = slow->place.offset;
    uint64_t events, paused;
    if (ring->applied == begin) { /* what is applied now is what goes */
        events = ring->decoder.events;
        paused = ring->decoder.paused;
        const uint32_t end = lap_ring_offset(ring, position);
        ring->applied = lap_statistics_run_short(&ring->statistics, &ring->decoder, ring->segments[ring->current].header,
                                                 ring->thread->begin_ticks, ring->sequence, begin, end);
        ring->statistics.heap->events += ring->decoder.events - events;
        if (__builtin_expect(ring->applied != end, 0))
            lap_ring_apply(ring, position);
        events = ring->decoder.events - events;
        paused = ring->decoder.paused - paused;
    } else {
        lap_ring_apply(ring, position);
        events = range_measure(ring, begin, lap_ring_offset(ring, position), &paused);
    }
    struct lap_format_statistics *const heap = ring->statistics.heap;
    heap->taken_back += events;
    position = ring->thread->segment + begin;
    /* The content first: a kill in between leaves statistics that are ahead of the events, which a reader accepts. The
     * limit stays: the next batch is longer than a block. */
    lap_impl_commit(ring->thread, position);
    LAP_I_POINT("taken back, statistics ahead");
    ring->applied = begin;
    __atomic_store_n(&heap->applied, ring->sequence << LAP_FORMAT_APPLIED_SHIFT | begin, __ATOMIC_RELEASE);
    if (paused != 0) { /* what is around it must still not contain the recorder's own time */
        ring->decoder.paused -= paused;
        position = lap_ring_store_pause(ring, position, paused);
    }
    return position;
}

uint64_t lap_take_back(struct lap_ring *ring, const struct lap_slow_scope *slow, uint64_t position, int is_breach)
{
    return take_back(ring, slow, position, is_breach);
}

/* ---- the short ways: a scope that may be taken back and does nothing else that is slow ------------------------------- */

/* Returns 1, or 0 with nothing done but, where *ret_taken is set, the position taken: then the general way goes on. */
static inline __attribute__((always_inline)) int begin_shortly(struct lap_impl_scope *scope,
                                                               const struct lap_impl_site *site,
                                                               const struct lap_options *options, const uint64_t *words,
                                                               uint64_t *ret_taken)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    const unsigned state = lap_impl_state(site);
    const uint32_t depth = thread->depth;
    if ((state & ~(unsigned)LAP_IMPL_FORCED) != (LAP_IMPL_ON | LAP_IMPL_TAKE_BACK) || lap_impl_local.divert != 0)
        return 0;
    const struct lap_class *const class = &lap_process.sites.classes[site->id];
    if (options->immediate || options->parent != 0 || (options->disabled && !(state & LAP_IMPL_FORCED)) ||
        class->words == 0 || site->flags & LAP_IMPL_SITE_TEXT || depth >= LAP_IMPL_FRAMES - 1 ||
        thread->frames[depth].address < lap_impl_stack_pointer() || thread->frames[depth].address == (uintptr_t)scope)
        return 0;
    /* The state is the first byte of the site's switch. */
    const struct lap_format_switch *const site_switch = (const struct lap_format_switch *)(uintptr_t)site->state;
    const double given_ms = options->threshold_ms > 0 ? options->threshold_ms : 0;
    const double code_ms = given_ms < THRESHOLD_MS_MAX ? given_ms : THRESHOLD_MS_MAX;
    uint64_t threshold_ticks = (uint64_t)(int64_t)(code_ms * lap_process.ticks_per_ms);
    const uint64_t switched_ns = __atomic_load_n(&site_switch->threshold_ns, __ATOMIC_RELAXED);
    if (switched_ns != LAP_FORMAT_NO_THRESHOLD)
        threshold_ticks = lap_threshold_ticks(switched_ns);

    const uint64_t position = lap_impl_take(thread);
    const uint64_t ticks = lap_impl_ticks();
    if (lap_impl_is_full(thread, position, ticks)) {
        *ret_taken = position;
        return 0;
    }
    struct lap_ring *const ring = (struct lap_ring *)(uintptr_t)thread->reserved_words[0];
    uint64_t *const event = (uint64_t *)(uintptr_t)position;
    event[0] = ticks << LAP_IMPL_CLASS_BITS | site->id;
    event[1] = (uint64_t)(int64_t)(code_ms * 1e6);
    event[2] = (uint64_t)options->n;
    event[3] = 0;
    event[4] = 0;
    for (unsigned i = 0; i < site->args; i++)
        event[5 + i] = words[i];
    const uint64_t end = position + 8u * class->words;
    lap_impl_commit(thread, end);
    thread->frames[depth + 1] = (struct lap_impl_frame){(uintptr_t)scope, ticks};
    thread->depth = depth + 1;
    scope->mode = LAP_IMPL_SCOPE_SLOW;
    struct lap_slow_scope *const slow = &ring->slow[depth + 1];
    slow->address = (uintptr_t)scope;
    slow->begin_ticks = ticks;
    slow->threshold_ticks = threshold_ticks;
    slow->place = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
    slow->flags = LAP_SLOW_TAKES_BACK;
    slow->id = site->id;
    lap_impl_give(thread, end);
    return 1;
}

void lap_impl_begin_with(struct lap_impl_scope *scope, struct lap_impl_site *site, const struct lap_options *options,
                         const uint64_t *words)
{
    uint64_t taken = 0;
    if (!begin_shortly(scope, site, options, words, &taken))
        lap_scope_begin_with(scope, site, options, words, taken, lap_impl_stack_pointer());
}

static inline __attribute__((always_inline)) int end_shortly(struct lap_impl_scope *scope, uint64_t *ret_taken)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint32_t depth = thread->depth;
    const struct lap_ring *const known = (const struct lap_ring *)(uintptr_t)thread->reserved_words[0];
    if (thread->frames[depth].address != (uintptr_t)scope || !known)
        return 0;
    const struct lap_slow_scope *const slow = &known->slow[depth];
    if (slow->address != (uintptr_t)scope || slow->begin_ticks != thread->frames[depth].begin_ticks ||
        slow->flags != LAP_SLOW_TAKES_BACK)
        return 0;
    uint64_t position = lap_impl_take(thread);
    const uint64_t ticks = lap_impl_ticks();
    if (lap_impl_is_full(thread, position, ticks)) {
        *ret_taken = position;
        return 0;
    }
    struct lap_ring *const ring = (struct lap_ring *)(uintptr_t)thread->reserved_words[0];
    lap_impl_store(position, ticks, LAP_IMPL_END_CLASS, 0, 0);
    position += 8;
    lap_impl_commit(thread, position);
    thread->depth = depth - 1;
    const int is_breach = ticks - slow->begin_ticks >= slow->threshold_ticks;
    if (is_breach && slow->threshold_ticks != 0)
        lap_slow_call_tell(&ring->slowest_call, slow->begin_ticks);
    position = take_back(ring, slow, position, is_breach);
    lap_impl_give(thread, position);
    return 1;
}

void lap_impl_end_cold(struct lap_impl_scope *scope, uint64_t taken)
{
    if (__builtin_expect(scope->mode == LAP_IMPL_SCOPE_RESTORE, 0))
        lap_impl_local.divert = scope->saved;
    else if (taken != 0 || !end_shortly(scope, &taken))
        lap_scope_end((uintptr_t)scope, taken);
}
