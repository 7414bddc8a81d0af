/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "recording_internal.h"

#include "cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_FILE ".lapmark/control"
#define PATHS_FILE ".lapmark/paths"
#define METADATA_FILE "metadata"

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static uint32_t thread_hash(uint64_t index) { return (uint32_t)((index * UINT64_C(0x9E3779B97F4A7C15)) >> 32); }

static void thread_place(struct lap_process *process, uint32_t *buckets, uint32_t bucket_count, uint32_t place)
{
    uint32_t at = thread_hash(process->threads[place]->index) & (bucket_count - 1);
    while (buckets[at] != 0)
        at = (at + 1) & (bucket_count - 1);
    buckets[at] = place + 1;
}

static bool threads_reserve(struct lap_process *process)
{
    struct lap_process_shared *const shared = process->internal;
    if (process->thread_count >= LAP_THREADS_MAX)
        return false;
    if (process->thread_count < shared->thread_room)
        return true;
    const uint32_t room = shared->thread_room ? 2 * shared->thread_room : 16;
    struct lap_thread **const threads = realloc(process->threads, room * sizeof *threads);
    if (threads)
        process->threads = threads;
    uint32_t *const buckets = threads ? calloc(2 * (size_t)room, sizeof *buckets) : NULL;
    if (!buckets)
        return false;
    for (uint32_t i = 0; i < process->thread_count; i++)
        thread_place(process, buckets, 2 * room, i);
    free(shared->thread_buckets);
    shared->thread_buckets = buckets;
    shared->bucket_count = 2 * room;
    shared->thread_room = room;
    return true;
}

static struct lap_thread *thread_find(const struct lap_process *process, uint64_t index)
{
    const struct lap_process_shared *const shared = process->internal;
    if (shared->bucket_count == 0)
        return NULL;
    for (uint32_t at = thread_hash(index);; at++) {
        const uint32_t place = shared->thread_buckets[at & (shared->bucket_count - 1)];
        if (place == 0)
            return NULL;
        if (process->threads[place - 1]->index == index)
            return process->threads[place - 1];
    }
}

struct lap_thread *lap_process_thread(struct lap_process *process, const struct lap_ring *ring, uint64_t index,
                                      uint64_t id, const char *name, size_t name_bytes)
{
    struct lap_process_shared *const shared = process->internal;
    struct lap_recording_shared *const recording = process->recording->internal;
    pthread_mutex_lock(&recording->lock);
    struct lap_thread *thread = thread_find(process, index);
    const bool is_met = thread != NULL;
    if (!thread && threads_reserve(process) && (thread = calloc(1, sizeof *thread))) {
        thread->process = process;
        thread->id = id;
        thread->index = index;
        thread->ring = (uint32_t)(ring - process->rings);
        process->threads[process->thread_count] = thread;
        thread_place(process, shared->thread_buckets, shared->bucket_count, (uint32_t)process->thread_count++);
    }
    const size_t length = strnlen(name, name_bytes < sizeof thread->name - 1 ? name_bytes : sizeof thread->name - 1);
    if (thread && length > 0 &&
        memcmp(thread->name, name, length + (name[length - 1] != 0 && length < name_bytes)) != 0) {
        memset(thread->name, 0, sizeof thread->name);
        memcpy(thread->name, name, length);
        thread->is_renamed |= is_met;
    }
    pthread_mutex_unlock(&recording->lock);
    return thread;
}

/* ---- side files -------------------------------------------------------------------------------------------------- */

static int paths_read(struct lap_process *process)
{
    struct lap_format_paths header = {0};
    uint64_t bytes = 0;
    const int fd = lap_file_open(process->directory_fd, PATHS_FILE, &bytes);
    if (fd < 0)
        lap_process_warn(process, fd, PATHS_FILE, UINT64_MAX, NULL);
    else if (lap_file_read_at(fd, &header, sizeof header, 0) < (int64_t)sizeof header ||
             header.magic != LAP_FORMAT_PATHS_MAGIC || header.version != LAP_FORMAT_VERSION) {
        lap_process_warn(process, LAP_READER_PATHS, PATHS_FILE, 0, NULL);
        header.count = 0;
    }
    uint32_t count = header.count;
    if (count > LAP_FORMAT_PATHS) {
        lap_process_warn(process, LAP_READER_PATHS, PATHS_FILE, offsetof(struct lap_format_paths, count), NULL);
        count = LAP_FORMAT_PATHS;
    }
    process->path_entries = calloc(count > 2 ? count : 2, sizeof *process->path_entries);
    if (!process->path_entries) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    uint32_t sound = 1;
    if (count > 0) {
        const int64_t got =
            lap_file_read_at(fd, process->path_entries, count * sizeof *process->path_entries, sizeof header);
        const uint32_t whole = got > 0 ? (uint32_t)((uint64_t)got / sizeof *process->path_entries) : 0;
        while (sound < whole && process->path_entries[sound].parent < sound)
            sound++;
        if (sound < count)
            lap_process_warn(process, LAP_READER_PATHS, PATHS_FILE, sizeof header + sound * sizeof *process->path_entries,
                             NULL);
    }
    process->path_entries[LAP_PATHS_ROOT] = (struct lap_format_path){LAP_FORMAT_PATH_NONE, 0};
    process->path_entries[LAP_PATHS_OTHER] = (struct lap_format_path){LAP_PATHS_ROOT, LAP_FORMAT_REST};
    process->path_count = sound > 2 ? sound : 2;
    if (fd >= 0)
        close(fd);
    return 0;
}

static int catalog_read(struct lap_process *process, struct lap_reader_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", process->directory, METADATA_FILE);
    uint64_t bytes = 0;
    const int fd = lap_file_open(process->directory_fd, METADATA_FILE, &bytes);
    if (fd < 0)
        return lap_reader_error_set(error, fd, path, UINT64_MAX, NULL);
    if (bytes > LAP_CATALOG_BYTES_MAX) {
        close(fd);
        return lap_reader_error_set(error, LAP_READER_LIMIT, path, UINT64_MAX, NULL);
    }
    /* Read from its start on: sizes before the texts that they cover, which were stored the other way round. */
    void *const memory = malloc(bytes ? bytes : 1);
    const int64_t got = memory ? lap_file_read_at(fd, memory, bytes, 0) : -ENOMEM;
    close(fd);
    int partial = 0;
    struct lap_reader_error problem = {0};
    const int code = got < 0 ? lap_reader_error_set(error, (int)got, path, UINT64_MAX, NULL)
                             : lap_catalog_parse(&process->catalog, memory, (size_t)got, path, &partial, &problem);
    free(memory);
    if (got >= 0 && code < 0 && error)
        *error = problem;
    if (code == 0 && partial)
        lap_recording_warn(process->recording, process, problem.code, path, problem.offset, problem.text);
    return code;
}

/* ---- one process ------------------------------------------------------------------------------------------------- */

static void segment_free(struct lap_segment *segment)
{
    free(segment->copy);
    segment->copy = NULL;
}

/* Segments that another process wrote, or another run: its classes are not ours. */
static void foreign_segments_drop(struct lap_process *process)
{
    for (size_t r = 0; r < process->ring_count; r++) {
        struct lap_ring *const ring = &process->rings[r];
        size_t kept = 0;
        for (size_t i = 0; i < ring->segment_count; i++) {
            if (memcmp(ring->segments[i].header.uuid, process->catalog.uuid, sizeof process->catalog.uuid) == 0) {
                ring->segments[kept++] = ring->segments[i];
                continue;
            }
            lap_process_warn(process, LAP_READER_SEGMENT, ring->segments[i].name,
                             offsetof(struct lap_format_segment, uuid), "segment of another process");
            segment_free(&ring->segments[i]);
        }
        ring->segment_count = kept;
    }
}

/* What the segments' headers tell of a ring. */
static void ring_describe(struct lap_process *process, struct lap_ring *ring)
{
    uint32_t threads = 0;
    const struct lap_thread *last = NULL;
    for (size_t i = 0; i < ring->segment_count; i++) {
        const struct lap_format_segment *const header = &ring->segments[i].header;
        ring->thread = lap_process_thread(process, ring, header->thread_index, header->thread_id,
                                          (const char *)header->thread_name, sizeof header->thread_name);
        threads += ring->thread != last;
        last = ring->thread;
        if (i > 0)
            ring->missing_segments += header->sequence - ring->segments[i - 1].header.sequence - 1;
        ring->lost_events = header->lost_events;
        process->content_bytes += ring->segments[i].content_bytes;
    }
    ring->thread_count = threads > 0 ? threads : 1;
    if (ring->statistics && ring->statistics->threads > ring->thread_count &&
        ring->statistics->threads <= LAP_THREADS_MAX)
        ring->thread_count = (uint32_t)ring->statistics->threads;
}

static void clock_find(struct lap_process *process)
{
    struct lap_format_clock_reading newest = {0};
    for (size_t r = 0; r < process->ring_count; r++)
        for (size_t i = 0; i < process->rings[r].segment_count; i++) {
            const struct lap_format_segment *const header = &process->rings[r].segments[i].header;
            if (header->clock_ticks > newest.ticks)
                newest = (struct lap_format_clock_reading){.ticks = header->clock_ticks,
                                                           .monotonic_ns = header->clock_monotonic_ns,
                                                           .realtime_ns = header->clock_realtime_ns};
            if (process->first_ticks == 0 || header->begin_ticks < process->first_ticks)
                process->first_ticks = header->begin_ticks;
            if (header->begin_ticks > process->end_ticks)
                process->end_ticks = header->begin_ticks;
        }
    struct lap_format_control control = process->control;
    if (control.end.ticks == 0)
        control.end = control.snapshot;
    if (!process->has_control) {
        control.clock_hz = process->catalog.clock_hz;
        control.start.realtime_ns = process->catalog.clock_offset_s * UINT64_C(1000000000);
        if (control.clock_hz != 0)
            control.start.realtime_ns +=
                (uint64_t)((double)process->catalog.clock_offset_ticks * 1e9 / (double)control.clock_hz);
    }
    if (lap_timebase_init(&process->clock, &control, newest.ticks != 0 ? &newest : NULL) < 0)
        lap_process_warn(process, LAP_READER_CONTROL, CONTROL_FILE, offsetof(struct lap_format_control, clock_hz),
                         "clock without a rate: ticks are shown as nanoseconds");
    if (control.end.ticks > process->end_ticks)
        process->end_ticks = control.end.ticks;
}

/* Of a process that did not say when it ended: the last event that it stored. */
static int end_find(struct lap_process *process)
{
    for (size_t r = 0; r < process->ring_count && process->control.end.ticks == 0; r++) {
        struct lap_cursor *cursor;
        struct lap_ring *const ring = &process->rings[r];
        int code = lap_cursor_make(&cursor, ring);
        if (code < 0)
            return code;
        cursor->next_segment = ring->segment_count > 0 ? ring->segment_count - 1 : 0;
        code = lap_cursor_load(cursor);
        if (code == 1)
            lap_cursor_run(cursor, NULL, NULL);
        if (cursor->decoder.last_ticks > process->end_ticks)
            process->end_ticks = cursor->decoder.last_ticks;
        lap_cursor_free(cursor);
        if (code < 0)
            return code;
    }
    return 0;
}

/* A process that runs is at the reader's now, whose clock it shares: what hangs in it is open until now. False: it is not
 * known when that is. */
static bool end_at_now(struct lap_process *process)
{
    struct stat namespace;
    struct timespec now;
    if (stat("/proc/self/ns/time", &namespace) < 0 || namespace.st_ino != process->control.time_namespace ||
        clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return false;
    const struct lap_timebase *const clock = &process->clock;
    const uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    if (now_ns < clock->start_monotonic_ns)
        return false;
    const uint64_t ticks =
        clock->start_ticks + (uint64_t)((double)(now_ns - clock->start_monotonic_ns) * clock->hz / 1e9);
    if (ticks > process->end_ticks)
        process->end_ticks = ticks;
    return true;
}

static int process_read(struct lap_process *process, struct lap_reader_error *error)
{
    struct lap_process_shared *const shared = process->internal;
    int code = lap_process_read_control(process, error);
    if (code < 0)
        return code;
    process->state = lap_process_find_state(process);
    shared->may_change = process->state == LAP_PROCESS_RUNNING || process->state == LAP_PROCESS_UNKNOWN;
    /* What events need comes after them: their paths and classes were stored before they were. */
    if ((code = lap_process_read_rings(process)) < 0 || (code = paths_read(process)) < 0)
        return lap_reader_error_set(error, code, process->directory, UINT64_MAX, NULL);
    if ((code = catalog_read(process, error)) < 0)
        return code;
    foreign_segments_drop(process);
    lap_segments_trim(process);
    for (size_t r = 0; r < process->ring_count; r++)
        ring_describe(process, &process->rings[r]);
    clock_find(process);
    process->program = process->catalog.program[0] ? process->catalog.program : (const char *)process->control.program;
    process->host = process->catalog.host[0] ? process->catalog.host : (const char *)process->control.host;
    process->command = process->catalog.command[0] ? process->catalog.command : (const char *)process->control.command;
    process->pid = process->has_control ? process->control.pid : process->catalog.pid;
    const bool is_at_now = process->state == LAP_PROCESS_RUNNING && end_at_now(process);
    const struct lap_recording_shared *const recording = process->recording->internal;
    code = is_at_now && recording->is_newest ? 0 : end_find(process);
    return code < 0 ? lap_reader_error_set(error, code, process->directory, UINT64_MAX, NULL) : 0;
}

int lap_process_open(struct lap_process **ret_process, struct lap_recording *recording, int directory_fd,
                     const char *directory, struct lap_reader_error *error)
{
    struct lap_process *const process = calloc(1, sizeof *process);
    struct lap_process_shared *const shared = calloc(1, sizeof *shared);
    if (!process || !shared || !(process->directory = strdup(directory))) {
        free(process);
        free(shared);
        close(directory_fd);
        return lap_reader_error_set(error, -ENOMEM, directory, UINT64_MAX, NULL);
    }
    size_t length = strlen(process->directory);
    while (length > 1 && process->directory[length - 1] == '/')
        process->directory[--length] = 0;
    const char *const slash = strrchr(process->directory, '/');
    process->name = slash && slash[1] ? (char *)(uintptr_t)(slash + 1) : process->directory;
    process->recording = recording;
    process->directory_fd = directory_fd;
    process->internal = shared;
    struct stat status;
    if (fstat(directory_fd, &status) == 0) {
        shared->device = status.st_dev;
        shared->inode = status.st_ino;
    }
    const int code = process_read(process, error);
    if (code < 0) {
        lap_recording_forget(recording, process);
        lap_process_free(process);
        return code;
    }
    if (!shared->may_change) {
        close(directory_fd);
        process->directory_fd = -1;
    }
    *ret_process = process;
    return 0;
}

void lap_process_free(struct lap_process *process)
{
    if (!process)
        return;
    for (size_t r = 0; r < process->ring_count; r++) {
        for (size_t i = 0; i < process->rings[r].segment_count; i++)
            segment_free(&process->rings[r].segments[i]);
        free(process->rings[r].segments);
        free(process->rings[r].statistics);
    }
    free(process->rings);
    for (size_t i = 0; i < process->thread_count; i++)
        free(process->threads[i]);
    free(process->threads);
    free(process->path_entries);
    lap_catalog_done(&process->catalog);
    struct lap_process_shared *const shared = process->internal;
    free(shared->thread_buckets);
    free(shared);
    if (process->directory_fd >= 0)
        close(process->directory_fd);
    free(process->directory);
    free(process);
}
