/* SPDX-License-Identifier: MIT
 *
 * What bindings of other languages are given: see "for bindings" in abi.h. They keep the state of a profiler in an object of
 * theirs, and its events are those of a handle.
 */
#define _GNU_SOURCE
#include "lapmark/abi.h"

#include "guard.h"
#include "handle_table.h"
#include "printer.h"
#include "process.h"
#include "scope.h"

void lap_impl_facts_read(struct lap_impl_facts *ret_facts)
{
    *ret_facts = (struct lap_impl_facts){.ns_per_tick = 1, .fd = -1};
    if (lap_process_ensure() < 0)
        return;
    ret_facts->ns_per_tick = lap_clock_ns_per_tick(&lap_process.clock);
    ret_facts->prints = (uint32_t)lap_process.settings.prints;
    ret_facts->fd = lap_printer_fd();
    ret_facts->reads_clock = lap_process.clock.source == LAP_FORMAT_CLOCK_MONOTONIC;
    ret_facts->has_prefix = (uint32_t)lap_process.settings.has_prefix;
}

unsigned lap_impl_site_state(struct lap_impl_site *site)
{
    /* In a forked child the switches are worked out anew before they are looked at. */
    return lap_process_ensure() < 0 ? LAP_IMPL_OFF : lap_site_state(site);
}

int lap_impl_is_silenced(const struct lap_impl_site *site)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_mutex_lock(&lap_process.lock);
    const struct lap_term *const term = lap_switches_find_site(
        &lap_process.settings.switches, &lap_process.sites.classes[site->id], &lap_process.sites.descriptions[site->id]);
    const int is_silenced = term && term->is_negative;
    pthread_mutex_unlock(&lap_process.lock);
    lap_guard_leave(&guard);
    return is_silenced;
}

uint64_t lap_impl_threshold_ns(const struct lap_impl_site *site, uint64_t code_threshold_ns)
{
    return lap_printer_threshold_ns(site->id, code_threshold_ns);
}

uint32_t lap_impl_path(uint32_t parent, const struct lap_impl_site *site)
{
    return lap_process_ensure() < 0 ? LAP_PATHS_ROOT : lap_paths_get(&lap_process.paths, parent, site->id);
}

uint64_t lap_impl_handle_take(void)
{
    const uint64_t handle = lap_process_ensure() < 0 ? 0 : lap_handle_take();
    if (handle == 0)
        lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    return handle;
}

void lap_impl_handle_give(uint64_t handle) { lap_handle_give(handle); }

int lap_impl_innermost(uint32_t *ret_path, uint64_t *ret_begin_ticks)
{
    if (lap_impl_local.thread->segment == 0 || lap_impl_local.thread->depth == 0)
        return 0;
    uint64_t position;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    if (!ring)
        return 0;
    lap_ring_apply(ring, position);
    const int is_open = ring->decoder.depth != 0;
    if (is_open) {
        *ret_path = ring->decoder.open[ring->decoder.depth - 1].path;
        *ret_begin_ticks = ring->decoder.open[ring->decoder.depth - 1].begin_ticks;
    }
    lap_ring_give(ring, position);
    return is_open;
}

uint64_t lap_impl_room(uint64_t taken, uint32_t bytes, uint64_t *ret_ticks)
{
    uint64_t position;
    struct lap_ring *const ring = lap_ring_take(taken, &position);
    if (ring)
        return lap_ring_room(ring, position, bytes, ret_ticks);
    *ret_ticks = lap_process_ensure() < 0 ? lap_impl_ticks() : lap_clock_ticks(&lap_process.clock);
    return 0;
}

void lap_impl_adopt(const struct lap_impl_adopter *adopter)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    if (thread->segment == 0)
        return;
    if (adopter)
        lap_process.adopter = adopter;
    thread->frames[0].address = adopter ? 0 : UINT64_MAX; /* 0 is what sends begins to the library */
    ((struct lap_ring *)(uintptr_t)thread->reserved_words[0])->adopted_by = 0;
}
