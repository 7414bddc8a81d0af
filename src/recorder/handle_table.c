/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "handle_table.h"

#include "lapmark.h"
#include "printer.h"
#include "process.h"
#include "report.h"
#include "scope.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RINGS_EACH 4u       /* rings that a handle remembers its events in; past that, all are looked through */
#define EVENTS_MAX 4096u    /* of one handle's printed report */

struct slot {
    uint32_t lock;
    uint32_t generation; /* odd while open */
    uint32_t id;
    uint32_t path;
    uint32_t marks;
    uint32_t flags; /* LAP_SLOW_PRINTS */
    uint32_t next_free; /* + 1 */
    uint32_t ring_count;
    uint64_t begin_ticks;
    uint64_t last_ticks;
    uint64_t threshold_ns;
    struct {
        uint32_t ring;
        struct lap_ring_place place;
    } first[RINGS_EACH]; /* where its events in a ring start */
};

static struct {
    pthread_mutex_t lock;
    struct slot *slots;
    uint32_t used;
    uint32_t free_first; /* + 1 */
} handles = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The thread's position is taken whenever a lock here is: no handler of the same thread can want it. */
static void slot_lock(struct slot *slot)
{
    while (__atomic_exchange_n(&slot->lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void slot_unlock(struct slot *slot)
{
    __atomic_store_n(&slot->lock, 0, __ATOMIC_RELEASE);
}

void lap_handles_drop_all(void)
{
    pthread_mutex_init(&handles.lock, NULL);
    handles.free_first = 0;
    for (uint32_t i = handles.used; i-- > 0;) {
        struct slot *const slot = &handles.slots[i];
        slot->lock = 0;
        slot->generation += slot->generation & 1;
        slot->next_free = handles.free_first;
        handles.free_first = i + 1;
    }
}

static struct slot *slot_take(uint32_t *ret_index)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&handles.lock);
    if (!handles.slots) {
        void *const memory = mmap(NULL, LAP_HANDLES * sizeof *handles.slots, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        __atomic_store_n(&handles.slots, memory == MAP_FAILED ? NULL : memory, __ATOMIC_RELEASE);
    }
    if (handles.slots && handles.free_first != 0) {
        *ret_index = handles.free_first - 1;
        slot = &handles.slots[*ret_index];
        handles.free_first = slot->next_free;
    } else if (handles.slots && handles.used < LAP_HANDLES) {
        *ret_index = handles.used;
        slot = &handles.slots[*ret_index];
        __atomic_store_n(&handles.used, handles.used + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&handles.lock);
    return slot;
}

static void slot_free(struct slot *slot)
{
    pthread_mutex_lock(&handles.lock);
    slot->next_free = handles.free_first;
    handles.free_first = (uint32_t)(slot - handles.slots) + 1;
    pthread_mutex_unlock(&handles.lock);
}

/* The slot of an open handle, locked; NULL for one that is not open. */
static struct slot *slot_find(lap_handle handle)
{
    const uint32_t index = (uint32_t)handle - 1;
    if (index >= __atomic_load_n(&handles.used, __ATOMIC_ACQUIRE))
        return NULL;
    struct slot *const slot = &__atomic_load_n(&handles.slots, __ATOMIC_ACQUIRE)[index];
    slot_lock(slot);
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

/* Remembers where the handle's first event in this ring is. */
static void slot_note_ring(struct slot *slot, const struct lap_ring *ring, uint64_t position)
{
    for (uint32_t i = 0; i < slot->ring_count && i < RINGS_EACH; i++)
        if (slot->first[i].ring == ring->number)
            return;
    if (slot->ring_count < RINGS_EACH) {
        slot->first[slot->ring_count].ring = ring->number;
        slot->first[slot->ring_count].place = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
    }
    slot->ring_count++;
}

static uint64_t to_ns(uint64_t ticks)
{
    return (uint64_t)((double)ticks * lap_process.ns_per_tick);
}

static uint64_t now_ticks(void)
{
    return lap_clock_ticks(&lap_process.clock);
}

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

static void stale(struct lap_ring *ring, uint64_t position)
{
    lap_process_count_loss(LAP_FORMAT_LOSS_HANDLE, 1);
    lap_ring_give(ring, position);
}

lap_handle lap_impl_handle_begin(struct lap_impl_site *site, const struct lap_options *options, const uint64_t *words)
{
    uint64_t position;
    struct lap_ring *const ring = lap_ring_take(0, &position);
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
    struct lap_format_handle_begin begin = {.threshold_ns = options->threshold_ms > 0 ? (uint64_t)(options->threshold_ms * 1e6) : 0,
                                            .n = options->n,
                                            .parent = options->parent,
                                            .flags = state & LAP_IMPL_PRINT ? LAP_FORMAT_FLAG_PRINT : 0u};
    struct lap_event_parts parts = {.site = site, .words = words, .fixed = &begin, .fixed_words = sizeof begin / 8};
    lap_event_measure(&parts);
    position = handle_room(ring, position, parts.bytes);
    if (position == 0) {
        slot_free(slot);
        return 0;
    }
    slot_lock(slot);
    slot->generation += 1;
    const lap_handle handle = (uint64_t)slot->generation << 32 | (index + 1);
    slot->id = parts.id;
    slot->path = lap_paths_get(&lap_process.paths, parent, parts.id);
    slot->marks = 0;
    slot->ring_count = 0;
    slot->flags = state & LAP_IMPL_PRINT ? LAP_SLOW_PRINTS : 0;
    slot->threshold_ns = lap_printer_threshold_ns(parts.id, begin.threshold_ns);
    slot_note_ring(slot, ring, position);
    begin.handle = handle;
    begin.path = slot->path;
    slot->begin_ticks = slot->last_ticks = now_ticks();
    const uint64_t end = lap_event_store(&parts, position, slot->begin_ticks);
    slot_unlock(slot);
    lap_impl_commit(ring->thread, end);
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
    position = handle_room(ring, position, parts.bytes);
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
    mark.lap_ticks = ticks - slot->last_ticks;
    mark.number = slot->marks++;
    mark.path = lap_paths_get(&lap_process.paths, slot->path, parts.id);
    slot->last_ticks = ticks;
    slot_note_ring(slot, ring, position);
    const uint64_t end = lap_event_store(&parts, position, ticks < ring->thread->begin_ticks ? ring->thread->begin_ticks : ticks);
    slot_unlock(slot);
    lap_impl_commit(ring->thread, end);
    lap_ring_give(ring, end);
    return to_ns(mark.lap_ticks);
}

/* ---- a handle's report --------------------------------------------------------------------------------------------- */

/* The events of one handle, copied out of the rings, with their clocks for the order. */
struct gathered {
    lap_handle handle;
    uint32_t count;
    uint32_t used_words;
    uint64_t missed;
    struct {
        uint64_t ticks;
        uint32_t word;
    } events[EVENTS_MAX];
    uint64_t words[EVENTS_MAX * 8];
};

static void gather_event(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathered *const gathered = user;
    (void)decoder;
    const uint64_t *const payload = lap_event_payload(event->words, event->class);
    if (payload[0] != gathered->handle)
        return;
    const uint32_t words = (event->end - event->offset) / 8;
    if (gathered->count == EVENTS_MAX || gathered->used_words + words > EVENTS_MAX * 8) {
        gathered->missed++;
        return;
    }
    gathered->events[gathered->count].ticks = event->ticks;
    gathered->events[gathered->count++].word = gathered->used_words;
    memcpy(gathered->words + gathered->used_words, event->words, words * 8u);
    gathered->used_words += words;
}

/* Looks through a ring from a place on. Other threads' rings go on growing, and their oldest segment may be used again
 * meanwhile: then what was read of it is dropped. */
static void gather_ring(struct gathered *gathered, const struct lap_ring *ring, struct lap_ring_place from)
{
    static const struct lap_visitor visitor = {.handle = gather_event};
    for (uint64_t sequence = from.sequence;; sequence++) {
        const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
        if (!segment)
            return;
        const uint32_t count = gathered->count, used = gathered->used_words;
        const uint64_t bytes = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
        struct lap_decoder decoder;
        memset(&decoder, 0, offsetof(struct lap_decoder, open));
        decoder.classes = lap_process.sites.classes;
        decoder.class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
        const uint32_t start = sequence == from.sequence ? from.offset : LAP_FORMAT_SEGMENT_HEADER_BYTES;
        if (start <= bytes && bytes <= ring->segment_bytes)
            lap_decode(&decoder, segment->header, segment->header->begin_ticks, start, (uint32_t)bytes, &visitor, gathered);
        if (__atomic_load_n(&segment->header->sequence, __ATOMIC_ACQUIRE) != sequence) {
            gathered->count = count;
            gathered->used_words = used;
            gathered->missed++;
        }
    }
}

static void gathered_sort(struct gathered *gathered)
{
    for (uint32_t i = 1; i < gathered->count; i++)
        for (uint32_t k = i; k > 0 && gathered->events[k].ticks < gathered->events[k - 1].ticks; k--) {
            const uint64_t ticks = gathered->events[k].ticks;
            const uint32_t word = gathered->events[k].word;
            gathered->events[k] = gathered->events[k - 1];
            gathered->events[k - 1].ticks = ticks;
            gathered->events[k - 1].word = word;
        }
}

static void handle_print(struct lap_ring *ring, lap_handle handle, const struct slot *slot)
{
    struct lap_report *const report = lap_printer_report(ring);
    void *const memory = mmap(NULL, sizeof(struct gathered), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!report || memory == MAP_FAILED)
        return;
    struct gathered *const gathered = memory;
    gathered->handle = handle;
    pthread_rwlock_rdlock(&lap_process.storage_lock); /* rings keep their segments */
    const uint32_t rings = __atomic_load_n(&lap_process.ring_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < (slot->ring_count > RINGS_EACH ? rings : slot->ring_count); i++) {
        if (slot->ring_count > RINGS_EACH) {
            const struct lap_ring *const other = lap_process.rings[i];
            const uint64_t sequence = other->sequence;
            gather_ring(gathered, other,
                        (struct lap_ring_place){sequence < other->segment_count ? 0 : sequence + 1 - other->segment_count,
                                                LAP_FORMAT_SEGMENT_HEADER_BYTES});
        } else {
            gather_ring(gathered, lap_process.rings[slot->first[i].ring], slot->first[i].place);
        }
    }
    pthread_rwlock_unlock(&lap_process.storage_lock);
    gathered_sort(gathered);
    const uint64_t **const events = (const uint64_t **)(void *)(gathered->words + gathered->used_words);
    if (gathered->used_words + gathered->count <= EVENTS_MAX * 8) {
        for (uint32_t i = 0; i < gathered->count; i++)
            events[i] = gathered->words + gathered->events[i].word;
        lap_report_handle(report, events, gathered->count);
    }
    munmap(memory, sizeof(struct gathered));
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
    slot_note_ring(slot, ring, position);
    const struct slot copy = *slot;
    slot_unlock(slot);
    slot_free(slot);
    lap_impl_store(position, ticks < ring->thread->begin_ticks ? ring->thread->begin_ticks : ticks, LAP_FORMAT_HANDLE_END,
                   (const uint64_t *)(const void *)&end, sizeof end / 8);
    position += 8 + sizeof end;
    lap_impl_commit(ring->thread, position);
    const uint64_t total_ns = to_ns(end.total_ticks);
    if (copy.flags & LAP_SLOW_PRINTS && total_ns >= copy.threshold_ns)
        handle_print(ring, handle, &copy);
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
    uint64_t elapsed = 0;
    if (slot) {
        elapsed = to_ns(now_ticks() - slot->begin_ticks);
        slot_unlock(slot);
    }
    lap_ring_give(ring, position);
    return elapsed;
}
