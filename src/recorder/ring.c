/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring.h"

#include "guard.h"
#include "printer.h"
#include "process.h"
#include "ring_segments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATISTICS_BYTES_FIRST (16u << 10)
#define REFUSALS_EACH 1024u /* events lost before a ring without a segment asks for one again */
#define COPIES_MAX 1000u
#define RING_MEMORY_BYTES (32u << 10) /* what a ring touches besides segments and statistics, roughly */
#define STATISTICS_TABLES_BYTES                                                                                          \
    (LAP_STATISTICS_CACHE * sizeof(struct lap_statistics_cached) + LAP_FORMAT_PATHS * sizeof(uint16_t))

static uint64_t ring_ticks(void) { return lap_clock_ticks(&lap_process.clock); }

void lap_ring_statistics_name(char *name, const struct lap_ring *ring)
{
    snprintf(name, LAP_STORAGE_NAME_BYTES, ".lapmark/statistics-%04u", ring->number);
}

/* ---- statistics ---------------------------------------------------------------------------------------------------- */

static int statistics_grow(struct lap_statistics *statistics)
{
    struct lap_ring *const ring = statistics->owner;
    const uint64_t bytes = ring->statistics_bytes * 2;
    if (bytes > (uint64_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES ||
        lap_process_reserve(bytes - ring->statistics_bytes) < 0)
        return -ENOMEM;
    char name[LAP_STORAGE_NAME_BYTES];
    lap_ring_statistics_name(name, ring);
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_rwlock_wrlock(&lap_process.storage_lock); /* nobody is copying it: it may move */
    void *heap = NULL;
    if (!lap_ring_is_stale(ring)) /* else its file belongs to a recording that has ended */
        heap = lap_storage_extend(&lap_process.storage, name, statistics->heap, ring->statistics_bytes, bytes);
    LAP_I_POINT("statistics moved");
    if (heap) { /* under the lock, since who stops the recording writes it out; and before a held back signal's handler jumps */
        statistics->heap = heap;
        statistics->units = (uint32_t)(bytes / LAP_FORMAT_UNIT_BYTES);
        ring->statistics_bytes = bytes;
    } else {
        lap_process_release(bytes - ring->statistics_bytes);
    }
    pthread_rwlock_unlock(&lap_process.storage_lock);
    lap_guard_leave(&guard);
    return heap ? 0 : -ENOMEM;
}

/* The statistics of a recording that is over stay as they are, and its reader counts the rest: a path that is new now would be
 * none of its paths, or another. */
static void statistics_detach(struct lap_statistics *statistics)
{
    const struct lap_ring *const ring = statistics->owner;
    if (!lap_ring_is_stale(ring))
        return;
    lap_storage_to_memory(statistics->heap, ring->statistics_bytes);
    statistics->before_cell = NULL;
}

static int statistics_open(struct lap_ring *ring)
{
    struct lap_statistics *const statistics = &ring->statistics;
    int error;
    if (lap_process_reserve(STATISTICS_BYTES_FIRST) < 0)
        return -ENOMEM;
    if (statistics->cache) {
        memset(statistics->cache, 0, LAP_STATISTICS_CACHE * sizeof *statistics->cache);
        memset(statistics->cell_of_path, 0, LAP_FORMAT_PATHS * sizeof *statistics->cell_of_path);
    } else {
        char *const memory =
            mmap(NULL, STATISTICS_TABLES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            lap_process_release(STATISTICS_BYTES_FIRST);
            return -ENOMEM;
        }
        statistics->cache = (struct lap_statistics_cached *)(void *)memory;
        statistics->cell_of_path = (uint16_t *)(void *)(memory + LAP_STATISTICS_CACHE * sizeof *statistics->cache);
    }
    char name[LAP_STORAGE_NAME_BYTES];
    lap_ring_statistics_name(name, ring);
    statistics->heap = lap_storage_map(&lap_process.storage, name, STATISTICS_BYTES_FIRST, NULL, 0, &error);
    if (!statistics->heap) {
        lap_process_release(STATISTICS_BYTES_FIRST);
        lap_process_fail("cannot map", name, error);
        return error;
    }
    ring->statistics_bytes = STATISTICS_BYTES_FIRST;
    statistics->units = STATISTICS_BYTES_FIRST / LAP_FORMAT_UNIT_BYTES;
    statistics->paths = &lap_process.paths;
    statistics->grow = statistics_grow;
    statistics->before_cell = statistics_detach;
    statistics->owner = ring;
    lap_statistics_init(statistics);
    return 0;
}

/* The counter went backward: what was stored of it is held as the decoder holds it, for readers that know 44 bits of clock
 * would take it for a turn of those. */
static void clocks_hold(const struct lap_ring *ring, uint32_t from, uint32_t to, uint64_t last_ticks)
{
    const uint64_t begin_ticks = ring->thread->begin_ticks;
    for (uint32_t offset = from; offset < to;) {
        uint64_t *const words = (uint64_t *)(uintptr_t)(ring->thread->segment + offset);
        const uint64_t ticks = begin_ticks + lap_event_elapsed(words[0], begin_ticks << LAP_FORMAT_CLOCK_SHIFT);
        if (ticks < last_ticks)
            words[0] = last_ticks << LAP_FORMAT_CLOCK_SHIFT | (words[0] & LAP_FORMAT_CLASS_MASK);
        else
            last_ticks = ticks;
        offset += (uint32_t)lap_event_size_bytes(words, &lap_process.sites.classes[words[0] & LAP_FORMAT_CLASS_MASK]);
    }
}

void lap_ring_apply(struct lap_ring *ring, uint64_t position)
{
    if (!lap_ring_has_segment(ring))
        return;
    if (ring->statistics.before_cell)
        statistics_detach(&ring->statistics);
    const uint32_t to = lap_ring_offset(ring, position);
    const uint64_t backward = ring->decoder.backward, last_ticks = ring->decoder.last_ticks;
    const uint32_t from = ring->applied;
    ring->at_work++;
    ring->decoder.class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
    const struct lap_decode_result result =
        lap_statistics_run(&ring->statistics, &ring->decoder, ring->segments[ring->current].header,
                           ring->thread->begin_ticks, ring->sequence, from, to);
    (void)
        result; /* the ring holds what this process stored: a decoder that stops is a defect, and costs statistics only */
    ring->applied = to;
    ring->at_work--;
    if (__builtin_expect(ring->decoder.backward != backward, 0)) {
        clocks_hold(ring, from, to, last_ticks);
        lap_process_count_loss(LAP_FORMAT_LOSS_CLOCK, ring->decoder.backward - backward);
    }
}

struct lap_ring *lap_ring_settle(uint64_t *ret_position)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    struct lap_ring *const ring = (struct lap_ring *)(uintptr_t)thread->reserved_words[0];
    if (!ring)
        return NULL;
    *ret_position = lap_impl_take(thread);
    if (*ret_position >= LAP_IMPL_BUSY) {
        thread->position -= LAP_IMPL_BUSY;
        return NULL;
    }
    lap_ring_apply(ring, *ret_position);
    return ring;
}

static void limit_set(struct lap_ring *ring, uint64_t position)
{
    struct lap_impl_thread *const thread = ring->thread;
    const uint64_t block_end = (position + LAP_RING_BLOCK_BYTES) & ~(uint64_t)(LAP_RING_BLOCK_BYTES - 1);
    const uint64_t segment_end = thread->segment + ring->segment_bytes - LAP_RING_SLACK_BYTES;
    __atomic_store_n(&thread->limit, block_end < segment_end ? block_end : segment_end, __ATOMIC_RELAXED);
    /* Orders our limit before our look at the recording's number, as lap_ring_interrupt_all orders its two the other way
     * round: either we see the new number, or it overwrites our limit. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (ring->recording != __atomic_load_n(&lap_process.recording, __ATOMIC_RELAXED))
        __atomic_store_n(&thread->limit, 0, __ATOMIC_RELAXED);
}

/* ---- room ---------------------------------------------------------------------------------------------------------- */

static int ring_restart(struct lap_ring *ring);

uint64_t lap_ring_make_room(struct lap_ring *ring, uint64_t position, uint32_t bytes)
{
    struct lap_impl_thread *const thread = ring->thread;
    const uint64_t start = ring_ticks();
    const int was_without = !lap_ring_has_segment(ring);
    if (was_without && !lap_ring_is_stale(ring) && ring->refusals++ % REFUSALS_EACH != 0)
        return 0;
    LAP_I_POINT("batch not done");
    lap_ring_apply(ring, position);
    int must_restart = lap_ring_is_stale(ring) || !ring->statistics.heap;
    /* A block that is not full is left alone: it came here for its size, its clock or an interruption. */
    int must_go_on = must_restart || was_without ||
                     position + bytes + LAP_RING_SLACK_BYTES > thread->segment + ring->segment_bytes ||
                     (start > thread->begin_ticks && (start - thread->begin_ticks) >> (LAP_IMPL_CLOCK_BITS - 1) != 0);
    while (must_go_on) {
        position = must_restart && ring_restart(ring) < 0 ? LAP_SEGMENTS_NONE : lap_segments_next(ring, start);
        must_go_on = must_restart = position == LAP_SEGMENTS_STALE;
    }
    if (position == LAP_SEGMENTS_NONE) {
        __atomic_store_n(&thread->limit, 0, __ATOMIC_RELAXED);
        return 0;
    }
    ring->refusals = 0;
    if (was_without && ring->decoder.depth > thread->depth) /* their ends are lost */
        position = lap_ring_store_abandoned(ring, position, ring->decoder.depth - thread->depth);
    /* Less the time that a counter which went backward has not shown yet: thread time does not go backward. */
    const uint64_t now = ring_ticks(), shown_from = start > ring->decoder.last_ticks ? start : ring->decoder.last_ticks;
    const uint64_t took = now > shown_from ? now - shown_from : 0;
    ring->statistics.heap->batch_ticks += took;
    LAP_I_POINT("batch done");
    position = lap_ring_store_pause(ring, position, took);
    limit_set(ring, position);
    return position;
}

/* ---- making, taking over, leaving ---------------------------------------------------------------------------------- */

static void segments_release(struct lap_ring *ring)
{
    __atomic_store_n(&ring->thread->limit, 0, __ATOMIC_RELAXED); /* they are not to be touched any more */
    /* Forgotten before they go: a child that is forked in between must not unmap what came into their place. */
    const uint32_t count = ring->segment_count;
    ring->segment_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        munmap(ring->segments[i].header, ring->segment_bytes);
        lap_process_release(ring->segment_bytes);
    }
    void *const heap = ring->statistics.heap;
    ring->statistics.heap = NULL;
    if (heap) {
        munmap(heap, ring->statistics_bytes);
        lap_process_release(ring->statistics_bytes);
    }
}

/* The recording began or ended since the ring's segments were made: it makes new ones. The decoder goes on. */
static int ring_restart(struct lap_ring *ring)
{
    if (lap_ring_has_segment(ring)) {
        lap_ring_keep_messages(ring);
        lap_printer_before_restart(ring);
    }
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_rwlock_wrlock(&lap_process.storage_lock); /* no report of a handle looks into the segments that go */
    segments_release(ring);
    LAP_I_POINT("segments released");
    ring->recording = __atomic_load_n(&lap_process.recording, __ATOMIC_ACQUIRE);
    ring->sequence = 0;
    ring->current = 0;
    ring->floor = (struct lap_ring_place){0, 0};
    for (uint32_t i = 0; i < LAP_IMPL_FRAMES; i++)
        ring->slow[i].place.sequence = UINT64_MAX; /* not taken back: its begin is gone */
    for (uint32_t i = 0; i < ring->decoder.depth; i++)
        ring->decoder.open[i].unit = 0; /* of the heap that goes */
    ring->segment_bytes = lap_process.settings.segment_bytes;
    if (lap_process_memory_used() + ring->segment_bytes > lap_process.settings.memory_bytes / 4 * 3)
        ring->segment_bytes = LAP_FORMAT_SEGMENT_BYTES_MIN; /* memory is getting short */
    const int error = statistics_open(ring);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    lap_guard_leave(&guard);
    if (error < 0)
        return error;
    ring->statistics.heap->threads = 1;
    return 0;
}

/* Without segments, which ring_enter gets it. A ring stays for as long as the process. */
static struct lap_ring *ring_make(void)
{
    const uint32_t number = lap_process.ring_count;
    if (number == LAP_PROCESS_RINGS || lap_process_reserve(RING_MEMORY_BYTES) < 0)
        return NULL;
    struct lap_ring *const ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring != MAP_FAILED) {
        ring->thread = lap_process_map_wiped(sizeof *ring->thread);
        if (ring->thread) {
            ring->number = number;
            ring->recording = lap_process.recording - 1;
            ring->decoder.classes = lap_process.sites.classes;
            lap_process.rings[number] = ring;
            LAP_I_POINT("ring not counted");
            __atomic_store_n(&lap_process.ring_count, number + 1, __ATOMIC_RELEASE);
            lap_process.control->rings = number + 1;
            return ring;
        }
        munmap(ring, sizeof *ring);
    }
    lap_process_release(RING_MEMORY_BYTES);
    return NULL;
}

static struct lap_ring *ring_find_free(void)
{
    for (uint32_t i = 0; i < lap_process.ring_count; i++)
        if (!__atomic_load_n(&lap_process.rings[i]->is_used, __ATOMIC_ACQUIRE))
            return lap_process.rings[i];
    return NULL;
}

/* Makes the ring ready for the calling thread. 0, or negative: it has no segment. */
static int ring_enter(struct lap_ring *ring)
{
    struct lap_impl_thread *const thread = ring->thread;
    ring->thread_id = (uint64_t)syscall(SYS_gettid);
    ring->thread_index = lap_process.thread_count++;
    memset(ring->thread_name, 0, sizeof ring->thread_name);
    prctl(PR_GET_NAME, ring->thread_name);
    thread->depth = 0;
    thread->frames[0].address = UINT64_MAX;
    thread->reserved_words[0] = (uint64_t)(uintptr_t)ring;
    uint64_t position = thread->position & ~LAP_IMPL_BUSY;
    const uint64_t now = ring_ticks();
    if ((lap_ring_is_stale(ring) || !ring->statistics.heap) && ring_restart(ring) < 0)
        return -ENOMEM;
    if (ring->segment_count == 0) {
        position = lap_segments_next(ring, now);
    } else {
        ring->statistics.heap->threads++;
        lap_ring_apply(ring, position);
        /* It may have been nobody's for longer than the clock's bits reach. */
        if (position + 256 + LAP_RING_SLACK_BYTES > thread->segment + ring->segment_bytes ||
            (now - thread->begin_ticks) >> (LAP_IMPL_CLOCK_BITS - 1) != 0)
            position = lap_segments_next(ring, now);
        else
            position = lap_ring_store_thread(ring, position);
    }
    if (position == LAP_SEGMENTS_NONE)
        return -ENOMEM;
    limit_set(ring, position);
    thread->position = position;
    return 0;
}

struct lap_ring *lap_ring_adopt(void)
{
    static __thread volatile int is_adopting __attribute__((tls_model("initial-exec")));
    if (is_adopting)
        return NULL;
    is_adopting = 1;
    struct lap_guard guard;
    lap_guard_enter(&guard);
    struct lap_ring *ring = NULL;
    if (lap_process_ensure() == 0) {
        pthread_mutex_lock(&lap_process.lock);
        ring = ring_find_free();
        if (!ring)
            ring = ring_make();
        if (ring) {
            __atomic_store_n(&ring->is_used, 1, __ATOMIC_RELEASE);
            if (ring_enter(ring) < 0) {
                lap_process.thread_count--;
                __atomic_store_n(&ring->is_used, 0, __ATOMIC_RELEASE);
                ring = NULL;
            }
        }
        pthread_mutex_unlock(&lap_process.lock);
        if (ring) {
            lap_impl_local.thread = ring->thread;
            lap_process_watch_thread(ring);
        }
    }
    is_adopting = 0; /* a handler that was held back may fork, and its child adopts one */
    lap_guard_leave(&guard);
    return ring;
}

void lap_ring_leave(struct lap_ring *ring)
{
    struct lap_impl_thread *const thread = ring->thread;
    uint64_t position = lap_impl_take(thread);
    if (position >= LAP_IMPL_BUSY) { /* it ends from inside the library: left as it is, its ring is not used again */
        thread->position -= LAP_IMPL_BUSY;
        return;
    }
    if (thread->depth != 0) {
        if (!lap_ring_has_room(ring, position, 16, ring_ticks()))
            position = lap_ring_make_room(ring, position, 16);
        if (position != 0)
            position = lap_ring_store_abandoned(ring, position, thread->depth);
        thread->depth = 0;
    }
    if (position != 0) {
        lap_ring_apply(ring, position);
        lap_printer_thread_ends(ring);
    } else { /* no room to say that they are left */
        position = thread->position & ~LAP_IMPL_BUSY;
        ring->decoder.depth = 0;
    }
    thread->position = position;
    ring->printing = ring->immediate = 0;
    lap_impl_local.thread = &lap_impl_no_thread;
    lap_impl_local.divert = 0;
    LAP_I_POINT("ring left");
    __atomic_store_n(&ring->is_used, 0, __ATOMIC_RELEASE);
}

/* ---- all rings ----------------------------------------------------------------------------------------------------- */

void lap_ring_interrupt_all(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the change before the limits: see limit_set */
    const uint32_t count = __atomic_load_n(&lap_process.ring_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++)
        __atomic_store_n(&lap_process.rings[i]->thread->limit, 0, __ATOMIC_SEQ_CST);
}

__attribute__((noinline, no_sanitize("thread"))) uint32_t lap_ring_copy_words(void *to, const void *from, uint64_t bytes,
                                                                              int compares)
{
    uint64_t *const words = to;
    const volatile uint64_t *const others = from;
    uint32_t i = 0;
    for (; i < bytes / 8; i++) {
        if (compares && words[i] != others[i])
            break;
        words[i] = others[i];
    }
    return i * 8;
}

void lap_ring_copy_statistics(const struct lap_ring *ring, void *room)
{
    const struct lap_format_statistics *const heap = ring->statistics.heap;
    struct lap_format_statistics *const copy = room;
    uint64_t applied;
    unsigned tries = 0;
    do {
        applied = __atomic_load_n(&heap->applied, __ATOMIC_ACQUIRE);
        lap_ring_copy_words(copy, heap, ring->statistics_bytes, 0);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        copy->is_in_motion = __atomic_load_n(&heap->applied, __ATOMIC_RELAXED) != applied;
    } while (copy->is_in_motion && ++tries < COPIES_MAX);
}

int lap_ring_write_statistics(const struct lap_ring *ring, const struct lap_storage *storage,
                              const struct lap_format_statistics *copy)
{
    char name[LAP_STORAGE_NAME_BYTES];
    lap_ring_statistics_name(name, ring);
    return lap_storage_write(storage, name, copy, (size_t)copy->units * LAP_FORMAT_UNIT_BYTES);
}

void lap_ring_finish_all(uint32_t recording)
{
    for (uint32_t i = 0; i < lap_process.ring_count; i++) {
        struct lap_ring *const ring = lap_process.rings[i];
        if (ring->segment_count == 0 || ring->recording != recording)
            continue;
        if (lap_process.storage.kind == LAP_STORAGE_DISK) {
            void *const room =
                mmap(NULL, ring->statistics_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (room != MAP_FAILED) {
                lap_ring_copy_statistics(ring, room);
                lap_ring_write_statistics(ring, &lap_process.storage, room);
                munmap(room, ring->statistics_bytes);
            }
        }
        lap_segments_write_out(ring);
    }
}

void lap_ring_drop_all(void)
{
    for (uint32_t i = 0; i < lap_process.ring_count; i++) {
        struct lap_ring *const ring = lap_process.rings[i];
        if (!ring)
            continue;
        for (uint32_t k = 0; k < ring->segment_count; k++)
            munmap(ring->segments[k].header, ring->segment_bytes);
        if (ring->statistics.heap)
            munmap(ring->statistics.heap, ring->statistics_bytes);
        if (ring->statistics.cache)
            munmap(ring->statistics.cache, LAP_STATISTICS_CACHE * sizeof *ring->statistics.cache +
                                               LAP_FORMAT_PATHS * sizeof *ring->statistics.cell_of_path);
        lap_printer_drop(ring);
        munmap(ring, sizeof *ring);
        lap_process.rings[i] = NULL;
    }
    lap_process.ring_count = 0;
}
