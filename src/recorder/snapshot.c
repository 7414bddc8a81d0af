/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "snapshot.h"

#include "guard.h"
#include "lapmark.h"
#include "printer.h"
#include "process.h"
#include "ring_segments.h"
#include "scope.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_TRIES 1000u

struct request {
    uint64_t last_ns; /* 0: all */
    uint64_t total_ticks;
    uint32_t class_id; /* whose breach it is for, and how long that took; 0: nobody's */
};

struct taking {
    struct lap_storage storage;
    char name[LAP_STORAGE_NAME_BYTES];
    struct lap_format_segment *segment; /* copies: LAP_RING_ROOM_BYTES each */
    struct lap_format_statistics *statistics;
    uint64_t from_ticks;
    uint64_t bytes;
    struct lap_format_control control; /* the snapshot's */
};
#define ROOM_BYTES (2 * LAP_RING_ROOM_BYTES + sizeof(struct taking))

/* ---- one segment ----------------------------------------------------------------------------------------------------- */

/* Copies a segment of another thread, or of this one. 0: it is not there (any more). Of the newest a part may be taken back and
 * stored anew meanwhile. What is the same when it is compared was there all the time, since no two events have one clock; a thread
 * that stands still in the middle of an event has not committed it. The copy is cut behind the last event that is whole in that. */
static int segment_copy(struct taking *taking, const struct lap_ring *ring, uint64_t sequence)
{
    const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
    if (!segment)
        return 0;
    const char *const from = (const char *)segment->header;
    char *const to = (char *)taking->segment;
    const uint64_t bytes = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
    uint64_t offset = LAP_FORMAT_SEGMENT_HEADER_BYTES;
    if (bytes < offset) /* it has just been made */
        return 0;
    lap_ring_copy_words(to, from, bytes, 0);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const uint64_t committed = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
    uint64_t same = offset + lap_ring_copy_words(to + offset, from + offset, bytes - offset, 1);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (same > committed)
        same = committed;
    if (__atomic_load_n(&segment->header->sequence, __ATOMIC_ACQUIRE) != sequence)
        return 0;
    while (offset < same) {
        const uint64_t *const words = (const uint64_t *)(const void *)(to + offset);
        const uint64_t size = lap_event_size_bytes(words, &lap_process.sites.classes[words[0] & LAP_FORMAT_CLASS_MASK]);
        if (size - 1 >= same - offset)
            break;
        offset += size;
    }
    taking->segment->content_bits = offset * 8;
    memcpy(taking->segment->uuid, taking->control.uuid, sizeof taking->segment->uuid);
    return 1;
}

/* Copies one of the ring's segments, `with_statistics` these first and then the one that they go up to, while its thread can
 * neither move nor drop them. 1, 0: it is not there (any more), -1: nobody uses the ring. No system call in it: a thread at full
 * speed laps its ring in a millisecond. */
static int room_fill(struct taking *taking, const struct lap_ring *ring, uint64_t *sequence, int with_statistics)
{
    int result = -1;
    pthread_rwlock_rdlock(&lap_process.storage_lock);
    if (!lap_ring_is_stale(ring) && __atomic_load_n(&ring->segment_count, __ATOMIC_ACQUIRE) != 0 &&
        ring->statistics.heap) {
        if (with_statistics) {
            lap_ring_copy_statistics(ring, taking->statistics);
            *sequence = taking->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
        }
        result = segment_copy(taking, ring, *sequence);
    }
    pthread_rwlock_unlock(&lap_process.storage_lock);
    return result;
}

/* ---- one ring -------------------------------------------------------------------------------------------------------- */

/* Removes what there may be of a ring. */
static void ring_remove(const struct taking *taking, const struct lap_ring *ring)
{
    char name[LAP_STORAGE_NAME_BYTES];
    lap_ring_statistics_name(name, ring);
    for (uint32_t file = 0; file <= LAP_RING_SEGMENTS; file++) {
        lap_storage_remove(&taking->storage, name);
        lap_segment_name(name, ring, file, "");
    }
}

/* The newest segment becomes file 0. A ring that cannot be caught in so many tries is left out. 0 or a negative errno. */
static int ring_take(struct taking *taking, const struct lap_ring *ring)
{
    char name[LAP_STORAGE_NAME_BYTES];
    uint64_t sequence;
    int found = 0, error = 0;
    for (unsigned try = 0; try < RING_TRIES && found == 0; try++)
        found = room_fill(taking, ring, &sequence, 1);
    if (found > 0)
        error = lap_ring_write_statistics(ring, &taking->storage, taking->statistics);
    for (uint32_t file = 0; found > 0 && error == 0; file++) {
        lap_segment_name(name, ring, file, "");
        error = lap_segment_write(&taking->storage, taking->segment, name);
        taking->bytes += taking->segment->content_bits / 8;
        if (sequence-- == 0 || taking->segment->begin_ticks <= taking->from_ticks)
            break;
        found = room_fill(taking, ring, &sequence, 0);
    }
    return error;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static int tables_write(struct taking *taking)
{
    struct lap_format_control *const control = &taking->control;
    struct lap_metadata metadata = {.fd = -1};
    pthread_mutex_lock(&lap_process.lock);
    const struct lap_format_paths *const paths = lap_process.paths.header;
    const struct lap_format_paths head = {paths->magic, paths->version, __atomic_load_n(&paths->count, __ATOMIC_ACQUIRE)};
    int error = lap_storage_write_headed(&taking->storage, ".lapmark/paths", &head, sizeof head, paths,
                                         sizeof head + head.count * sizeof(struct lap_format_path));
    if (error == 0)
        error = lap_storage_write_headed(&taking->storage, ".lapmark/control", control, sizeof *control,
                                         lap_process.control, LAP_FORMAT_CONTROL_HEADER_BYTES);
    if (error == 0)
        error = lap_process_describe(&metadata, &taking->storage, control);
    lap_metadata_done(&metadata);
    pthread_mutex_unlock(&lap_process.lock);
    return error;
}

/* What the snapshot says of itself, before anything of it is copied. */
static void control_begin(struct taking *taking, const struct request *request)
{
    struct lap_format_control *const control = &taking->control;
    pthread_mutex_lock(&lap_process.lock);
    lap_process_describe_unrecorded();
    lap_ring_copy_words(control, lap_process.control, sizeof *control, 0);
    snprintf(taking->name, sizeof taking->name, ".part-%.60s-snapshot-%u", lap_process.storage.name,
             ++lap_process.snapshots.number);
    pthread_mutex_unlock(&lap_process.lock);
    memcpy(control->snapshot_of, control->uuid, sizeof control->uuid);
    lap_process_make_uuid(control->uuid);
    control->snapshot_last_ns = request->last_ns;
    control->snapshot_class = request->class_id;
    control->snapshot_total_ticks = request->total_ticks;
    control->switches = 0;
    control->full = 0;
    const uint64_t last_ticks = (uint64_t)((double)request->last_ns / lap_process.ns_per_tick),
                   now = lap_clock_ticks(&lap_process.clock);
    if (last_ticks != 0 && last_ticks < now)
        taking->from_ticks = now - last_ticks;
}

static int snapshot_write(struct taking *taking, const char *directory, const struct request *request)
{
    control_begin(taking, request);
    int error = lap_storage_open(&taking->storage, directory, taking->name, LAP_STORAGE_SNAPSHOT);
    if (error < 0)
        return error;
    const uint32_t count = __atomic_load_n(&lap_process.ring_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count && error == 0; i++)
        error = ring_take(taking, lap_process.rings[i]);
    taking->control.snapshot = lap_clock_read_as(&lap_process.clock);
    if (error == 0)
        error = tables_write(taking);
    char path[LAP_STORAGE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", directory, taking->name + sizeof ".part-" - 1);
    if (error == 0 && renameat(AT_FDCWD, taking->storage.disk, AT_FDCWD, path) < 0)
        error = -errno;
    if (error == 0) {
        lap_storage_done(&taking->storage);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        ring_remove(taking, lap_process.rings[i]);
    lap_storage_discard(&taking->storage);
    return error;
}

/* For the thread that has the ring, with its position taken; NULL: it has none. Returns 0 or a negative errno. What it takes is a
 * pause of the thread's: no lap contains it, and no threshold is reached by it. */
static int snapshot_take(struct lap_ring *ring, uint64_t *position, const char *directory, const struct request *request)
{
    struct lap_snapshots *const snapshots = &lap_process.snapshots;
    struct lap_guard guard;
    int error = -EBUSY;
    lap_guard_enter(&guard);
    const uint64_t start = lap_clock_ticks(&lap_process.clock);
    if (!__atomic_exchange_n(&snapshots->is_busy, 1, __ATOMIC_ACQUIRE)) {
        /* As much of it is touched as there is to copy; a profiler may end on a small stack. */
        void *const room =
            mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        error = -ENOMEM;
        if (room != MAP_FAILED) {
            struct taking *const taking = (struct taking *)(void *)((char *)room + 2 * LAP_RING_ROOM_BYTES);
            taking->segment = room;
            taking->statistics = (struct lap_format_statistics *)(void *)((char *)room + LAP_RING_ROOM_BYTES);
            error = snapshot_write(taking, directory, request);
            if (request->class_id != 0)
                snapshots->breach_bytes += taking->bytes;
            munmap(room, ROOM_BYTES);
        }
        __atomic_store_n(&snapshots->is_busy, 0, __ATOMIC_RELEASE);
    }
    if (ring) {
        const uint64_t took = lap_clock_ticks(&lap_process.clock) - start;
        for (uint32_t depth = 1; depth <= ring->thread->depth; depth++)
            ring->slow[depth].threshold_ticks += ring->slow[depth].threshold_ticks != 0 ? took : 0;
        uint64_t end = lap_ring_make_room(ring, *position, 16);
        if (end != 0) {
            ring->statistics.heap->batch_ticks += took;
            end = lap_ring_store_pause(ring, end, took);
        }
        *position = end != 0 ? end : ring->thread->position & ~LAP_IMPL_BUSY;
    }
    lap_guard_leave(&guard);
    return error;
}

int lap_snapshot(const char *directory, double last_ms)
{
    if (!directory || !*directory || !(last_ms >= 0))
        return -EINVAL;
    uint64_t position;
    if (lap_process_ensure() < 0)
        return -ENOMEM;
    struct lap_ring *const ring = lap_ring_settle(&position);
    const int error =
        snapshot_take(ring, &position, directory, &(const struct request){.last_ns = lap_threshold_ns(last_ms * 1e6)});
    if (ring)
        lap_ring_give(ring, position);
    return error;
}

/* ---- on a breach ----------------------------------------------------------------------------------------------------- */

uint64_t lap_snapshot_breach(struct lap_ring *ring, uint64_t position, uint32_t class_id, uint64_t total_ticks)
{
    struct lap_snapshots *const snapshots = &lap_process.snapshots;
    struct lap_format_control *const control = lap_process.control;
    const uint64_t since_ticks =
        lap_clock_ticks(&lap_process.clock) - __atomic_load_n(&snapshots->breach_ticks, __ATOMIC_RELAXED);
    int error = -EAGAIN;
    if (control->breach_snapshots < LAP_SNAPSHOT_BREACHES_MAX &&
        snapshots->breach_bytes < LAP_SNAPSHOT_BREACH_BYTES_MAX &&
        (double)since_ticks >= lap_process.ticks_per_ms * LAP_SNAPSHOT_BREACH_EVERY_MS) {
        char directory[LAP_STORAGE_PATH_BYTES + 16];
        snprintf(directory, sizeof directory, "%s/snapshots", lap_process.settings.directory);
        lap_ring_apply(ring, position);
        error = snapshot_take(ring, &position, directory,
                              &(const struct request){lap_process.settings.breach_last_ns, total_ticks, class_id});
        __atomic_store_n(&snapshots->breach_ticks, lap_clock_ticks(&lap_process.clock), __ATOMIC_RELAXED);
        if (error == 0) {
            control->breach_snapshots++;
        } else if (error != -EBUSY) {
            snapshots->breach_bytes = LAP_SNAPSHOT_BREACH_BYTES_MAX;
            lap_process_say("cannot write a snapshot into", directory, error, "; no more are left");
        }
    }
    if (error != 0)
        __atomic_add_fetch(&control->breach_snapshots_spared, 1, __ATOMIC_RELAXED);
    return position;
}
