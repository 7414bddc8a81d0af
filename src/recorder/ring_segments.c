/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring_segments.h"

#include "guard.h"
#include "printer.h"
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t segment_address(const struct lap_ring *ring)
{
    return (uint64_t)(uintptr_t)ring->segments[ring->current].header;
}

const struct lap_segment *lap_ring_segment(const struct lap_ring *ring, uint64_t sequence)
{
    const uint32_t count = __atomic_load_n(&ring->segment_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++)
        if (ring->segments[i].header &&
            __atomic_load_n(&ring->segments[i].header->sequence, __ATOMIC_ACQUIRE) == sequence)
            return &ring->segments[i];
    return NULL;
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

void lap_segment_name(char *name, const struct lap_ring *ring, uint32_t file, const char *prefix)
{
    snprintf(name, LAP_STORAGE_NAME_BYTES, "%sstream-%04u-%02u", prefix, ring->number, file);
}

static void name_of_kept(char *name, const struct lap_ring *ring, uint64_t sequence)
{
    snprintf(name, LAP_STORAGE_NAME_BYTES, "stream-%04u-%08llu", ring->number, (unsigned long long)sequence);
}

/* ---- one segment ------------------------------------------------------------------------------------------------------ */

/* Writes a segment to the disk, cut to its content. Its own header keeps the size that the mapped file has: readers, and
 * whoever looks after a kill, see it. */
int lap_segment_write(const struct lap_storage *storage, const struct lap_format_segment *segment, const char *name)
{
    if (segment->magic == 0) /* its thread has made it, and not begun it yet */
        return 0;
    struct lap_format_segment header;
    const size_t content_at = offsetof(struct lap_format_segment, content_bits),
                 rest_at = content_at + sizeof header.content_bits;
    memcpy(&header, segment, content_at);
    /* at the end another thread may go on */
    header.content_bits = __atomic_load_n(&segment->content_bits, __ATOMIC_ACQUIRE);
    memcpy((char *)&header + rest_at, (const char *)segment + rest_at, sizeof header - rest_at);
    header.packet_bits = header.content_bits;
    return lap_storage_write_headed(storage, name, &header, sizeof header, segment, (size_t)(header.content_bits / 8));
}

/* Full recording: the closed segment goes to the disk. 0, or negative: it does not, and its name still leads to its memory. */
static int segment_keep(struct lap_ring *ring)
{
    const struct lap_storage *const storage = &lap_process.storage;
    if (!storage->is_full || storage->kind == LAP_STORAGE_MEMORY)
        return 0;
    const struct lap_format_segment *const header = ring->segments[ring->current].header;
    char name[LAP_STORAGE_NAME_BYTES];
    name_of_kept(name, ring, ring->sequence);
    const int error = lap_segment_write(storage, header, name);
    if (error < 0) {
        lap_process_fail("cannot write", name, error);
        return error;
    }
    LAP_I_POINT("segment kept");
    lap_process_kept(ring->number, ring->sequence, __atomic_load_n(&header->content_bits, __ATOMIC_RELAXED) / 8);
    return 0;
}

/* A further segment for the ring, or none where the process's memory is getting short. */
static int segment_make(struct lap_ring *ring)
{
    const uint64_t limit = lap_process.settings.memory_bytes;
    const uint64_t used = lap_process_memory_used();
    if (ring->segment_count == LAP_RING_SEGMENTS)
        return -ENOSPC;
    if (ring->segment_count > 1 && used + ring->segment_bytes > limit / 2)
        return -ENOSPC;
    if (ring->segment_count == 1 && used + ring->segment_bytes > limit / 4 * 3)
        return -ENOSPC;
    if (lap_process_reserve(ring->segment_bytes) < 0)
        return -ENOMEM;
    char name[LAP_STORAGE_NAME_BYTES];
    lap_segment_name(name, ring, ring->segment_count, ".");
    int error;
    void *const memory = lap_storage_map(&lap_process.storage, name, ring->segment_bytes, NULL, 0, &error);
    if (!memory) {
        lap_process_release(ring->segment_bytes);
        if (ring->segment_count == 0)
            lap_process_fail("cannot map", name + 1, error);
        return error;
    }
    LAP_I_POINT("segment mapped");
    const uint32_t made = ring->segment_count;
    ring->segments[made] = (struct lap_segment){memory, made};
    __atomic_store_n(&ring->segment_count, made + 1, __ATOMIC_RELEASE);
    return (int)made;
}

/* Fills the header of the segment that becomes the current one. The order keeps the file readable throughout: empty first,
 * then the new place in the order. Returns 1 if its file has no name yet. */
static int segment_begin(struct lap_ring *ring, uint64_t now)
{
    struct lap_format_segment *const header = ring->segments[ring->current].header;
    const int is_new = header->magic == 0;
    __atomic_store_n(&header->content_bits, LAP_FORMAT_SEGMENT_HEADER_BYTES * UINT64_C(8), __ATOMIC_SEQ_CST);
    LAP_I_POINT("segment emptied");
    __atomic_store_n(&header->sequence, ring->sequence, __ATOMIC_SEQ_CST);
    LAP_I_POINT("segment numbered");
    __atomic_store_n(&header->begin_ticks, now, __ATOMIC_SEQ_CST);
    LAP_I_POINT("segment begun");
    const struct lap_format_clock_reading reading = lap_clock_read_as(&lap_process.clock);
    header->clock_ticks = reading.ticks;
    header->clock_monotonic_ns = reading.monotonic_ns;
    header->clock_realtime_ns = reading.realtime_ns;
    header->lost_events = ring->lost_events;
    header->paused_ticks = ring->decoder.paused;
    header->thread_id = ring->thread_id;
    header->thread_index = ring->thread_index;
    memcpy(header->thread_name, ring->thread_name, sizeof header->thread_name);
    if (!is_new)
        return 0;
    header->packet_bits = ring->segment_bytes * 8;
    header->stream = ring->number;
    memcpy(header->uuid, lap_process.control->uuid, sizeof header->uuid);
    LAP_I_POINT("segment without magic");
    __atomic_store_n(&header->magic, LAP_FORMAT_PACKET_MAGIC, __ATOMIC_SEQ_CST);
    return 1;
}

/* Gives the current segment's file its names. */
static void segment_publish(const struct lap_ring *ring, int is_new)
{
    if (!is_new && !lap_process.settings.is_full)
        return;
    char hidden[LAP_STORAGE_NAME_BYTES], name[LAP_STORAGE_NAME_BYTES], kept[LAP_STORAGE_NAME_BYTES];
    lap_segment_name(hidden, ring, ring->segments[ring->current].file, ".");
    lap_segment_name(name, ring, ring->segments[ring->current].file, "");
    name_of_kept(kept, ring, ring->sequence);
    LAP_I_POINT("segment without name");
    const int error = is_new ? lap_storage_publish(&lap_process.storage, hidden, name) : 0;
    if (error < 0)
        lap_process_fail("cannot rename", hidden, error);
    LAP_I_POINT("segment named");
    lap_storage_link(&lap_process.storage, name, kept);
}

/* ---- all of a ring's ------------------------------------------------------------------------------------------------ */

/* Makes the next segment the current one; returns its first free position. */
uint64_t lap_segments_next(struct lap_ring *ring, uint64_t now)
{
    struct lap_guard guard;
    int made = -ENOSPC, error = 0;
    lap_guard_enter(&guard);
    pthread_rwlock_rdlock(&lap_process.storage_lock);
    const int stale = lap_ring_is_stale(ring);
    const int is_first = ring->segment_count == 0;
    if (!stale && !is_first) {
        lap_ring_keep_messages(ring);
        error = segment_keep(ring);
    }
    if (!stale && error == 0)
        made = segment_make(ring);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    lap_guard_leave(&guard);
    if (stale)
        return LAP_SEGMENTS_STALE;
    if (ring->segment_count == 0 || error < 0) /* it stays in memory, and is written at the end if that can be then */
        return LAP_SEGMENTS_NONE;
    const uint32_t next = made >= 0 ? (uint32_t)made : (ring->current + 1) % ring->segment_count;
    if (made < 0) /* may wait for who reads the report: no lock, no signal held back */
        lap_printer_before_overwrite(ring, ring->segments[next].header->sequence);

    lap_guard_enter(&guard); /* all of it or nothing */
    pthread_rwlock_rdlock(&lap_process.storage_lock);
    if (lap_ring_is_stale(ring)) {
        pthread_rwlock_unlock(&lap_process.storage_lock);
        lap_guard_leave(&guard);
        return LAP_SEGMENTS_STALE;
    }
    ring->current = next;
    __atomic_store_n(&ring->sequence, ring->sequence + !is_first, __ATOMIC_RELEASE);
    if (now < ring->decoder.last_ticks)
        now = ring->decoder.last_ticks;
    if (!is_first && now <= ring->thread->begin_ticks) /* readers put packets in order by their begins */
        now = ring->thread->begin_ticks + 1;
    segment_publish(ring, segment_begin(ring, now));
    pthread_rwlock_unlock(&lap_process.storage_lock);
    LAP_I_POINT("segment not current");
    ring->thread->segment = segment_address(ring);
    ring->thread->begin_ticks = now;
    const uint64_t position = lap_ring_store_open(ring, segment_address(ring) + LAP_FORMAT_SEGMENT_HEADER_BYTES);
    LAP_I_POINT("segment without statistics");
    ring->applied = lap_ring_offset(ring, position);
    __atomic_store_n(&ring->statistics.heap->applied, ring->sequence << LAP_FORMAT_APPLIED_SHIFT | ring->applied,
                     __ATOMIC_RELEASE);
    lap_guard_leave(&guard);
    return position;
}

void lap_segments_write_out(struct lap_ring *ring)
{
    const struct lap_storage *const storage = &lap_process.storage;
    char name[LAP_STORAGE_NAME_BYTES];
    for (uint32_t i = 0; storage->kind == LAP_STORAGE_DISK && !storage->is_full && i < ring->segment_count; i++) {
        lap_segment_name(name, ring, ring->segments[i].file, "");
        const int error = lap_segment_write(storage, ring->segments[i].header, name);
        if (error < 0)
            lap_process_fail("cannot write", name, error);
    }
    if (storage->is_full)
        segment_keep(ring);
}
