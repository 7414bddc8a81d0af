/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process_snapshot.h"

#include "lapmark/abi.h"
#include "process_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME_BYTES = 300, NUMBERS_MAX = 100000, UUID_TEXT_BYTES = 36, UUIDS_IN_TEXT = 2 };
enum { METADATA_HEADER_BYTES = 37, METADATA_UUID_OFFSET = 4, METADATA_CONTENT_OFFSET = 24, METADATA_PACKET_OFFSET = 28 };

struct writing {
    const struct lap_process *process;
    struct lap_process_snapshot *snapshot;
    int directory_fd; /* of what is being made */
    uint64_t from_ticks;
    uint64_t whole_ticks;
    uint8_t uuid[16];
};

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/* Writes `head` and, behind it, what `bytes` has from there on. */
static int file_write(struct writing *writing, const char *name, const void *head, size_t head_bytes, const void *bytes,
                      size_t count)
{
    const int fd = openat(writing->directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = lap_file_write_at(fd, head, head_bytes, 0);
    if (error == 0)
        error = lap_file_write_at(fd, (const char *)bytes + head_bytes, count - head_bytes, head_bytes);
    if (close(fd) < 0 && error == 0)
        error = -errno;
    writing->snapshot->bytes += count;
    return error;
}

/* ---- metadata ------------------------------------------------------------------------------------------------------- */

static void uuid_text(char text[UUID_TEXT_BYTES + 1], const uint8_t uuid[16])
{
    char *out = text;
    for (int i = 0; i < 16; i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* Puts the UUID into a packet, and where the text of the first one gives it: for the trace and for its clock. No string of the
 * text has a quote without a backslash before it. */
static void packet_rename(struct writing *writing, char *packet, size_t bytes, int is_first)
{
    static const char given[] = "uuid = \"";
    char text[UUID_TEXT_BYTES + 1];
    uuid_text(text, writing->uuid);
    memcpy(packet + METADATA_UUID_OFFSET, writing->uuid, sizeof writing->uuid);
    char *at = packet + METADATA_HEADER_BYTES;
    for (int i = 0; is_first && i < UUIDS_IN_TEXT; i++) {
        at = memmem(at, (size_t)(packet + bytes - at), given, strlen(given));
        if (!at || (size_t)(packet + bytes - at) < strlen(given) + UUID_TEXT_BYTES)
            return;
        at += strlen(given);
        memcpy(at, text, UUID_TEXT_BYTES);
    }
}

/* Each packet cut to its content, which is read after its size is: what comes behind was not there yet. */
static int metadata_write(struct writing *writing)
{
    const int from = openat(writing->process->directory_fd, "metadata", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (from < 0)
        return -errno;
    char *const bytes = fstat(from, &status) == 0 ? malloc((size_t)status.st_size + METADATA_HEADER_BYTES) : NULL;
    int error = bytes ? 0 : -ENOMEM;
    size_t used = 0;
    for (uint64_t at = 0; error == 0 && at + METADATA_HEADER_BYTES <= (uint64_t)status.st_size;) {
        char *const packet = bytes + used;
        uint32_t magic, content_bits, packet_bits;
        error = lap_file_read_exactly(from, packet, METADATA_HEADER_BYTES, at);
        memcpy(&magic, packet, sizeof magic);
        memcpy(&content_bits, packet + METADATA_CONTENT_OFFSET, sizeof content_bits);
        memcpy(&packet_bits, packet + METADATA_PACKET_OFFSET, sizeof packet_bits);
        const size_t content = content_bits / 8;
        if (error == 0 && (magic != LAP_FORMAT_METADATA_MAGIC || content < METADATA_HEADER_BYTES ||
                           content_bits > packet_bits || at + content > (uint64_t)status.st_size))
            break; /* it was just being made */
        if (error == 0)
            error = lap_file_read_exactly(from, packet + METADATA_HEADER_BYTES, content - METADATA_HEADER_BYTES,
                                          at + METADATA_HEADER_BYTES);
        memcpy(packet + METADATA_CONTENT_OFFSET, &content_bits, sizeof content_bits);
        memcpy(packet + METADATA_PACKET_OFFSET, &content_bits, sizeof content_bits);
        packet_rename(writing, packet, content, at == 0);
        used += content;
        at += packet_bits / 8;
    }
    close(from);
    if (error == 0)
        error = file_write(writing, "metadata", bytes, 0, bytes, used);
    free(bytes);
    return error;
}

/* ---- rings ---------------------------------------------------------------------------------------------------------- */

/* The first segment that is wanted: it, or what follows, reaches into the time that is; the newest always, and those that
 * the statistics lack events of. */
static size_t first_wanted(const struct writing *writing, const struct lap_ring *ring)
{
    size_t first = 0;
    while (first + 1 < ring->segment_count && ring->segments[first + 1].header.begin_ticks <= writing->from_ticks &&
           (!ring->statistics ||
            ring->segments[first].header.sequence < ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT))
        first++;
    return first;
}

static int ring_write(struct writing *writing, const struct lap_ring *ring)
{
    char name[64];
    int error = 0;
    const size_t first = first_wanted(writing, ring);
    for (size_t i = first; i < ring->segment_count && error == 0; i++) {
        const struct lap_segment *const segment = &ring->segments[i];
        struct lap_format_segment header = segment->header;
        if (!segment->copy) /* it has ended, and may be going */
            return -ESTALE;
        memcpy(header.uuid, writing->uuid, sizeof header.uuid);
        header.packet_bits = header.content_bits;
        snprintf(name, sizeof name, "stream-%04u-%08llu", ring->number, (unsigned long long)header.sequence);
        error = file_write(writing, name, &header, sizeof header, segment->copy, segment->content_bytes);
        writing->snapshot->segments++;
    }
    if (ring->segment_count > 0) {
        const struct lap_format_segment *const header = &ring->segments[first].header;
        writing->snapshot->rings++;
        if (header->sequence > 0 && header->begin_ticks > writing->whole_ticks)
            writing->whole_ticks = header->begin_ticks;
    }
    if (error == 0 && ring->statistics) {
        struct lap_format_statistics page = *ring->statistics;
        page.is_in_motion = ring->is_provisional;
        snprintf(name, sizeof name, ".lapmark/statistics-%04u", ring->number);
        error = file_write(writing, name, &page, sizeof page, ring->statistics,
                           (size_t)ring->statistics_units * LAP_FORMAT_UNIT_BYTES);
    }
    return error;
}

/* ---- side files ----------------------------------------------------------------------------------------------------- */

static int paths_write(struct writing *writing)
{
    const struct lap_process *const process = writing->process;
    const struct lap_format_paths header = {LAP_FORMAT_PATHS_MAGIC, LAP_FORMAT_VERSION, process->path_count};
    const size_t bytes = sizeof header + process->path_count * sizeof *process->path_entries;
    char *const table = malloc(bytes);
    if (!table)
        return -ENOMEM;
    memcpy(table, &header, sizeof header);
    memcpy(table + sizeof header, process->path_entries, bytes - sizeof header);
    const int error = file_write(writing, ".lapmark/paths", table, 0, table, bytes);
    free(table);
    return error;
}

struct lap_format_clock_reading lap_process_snapshot_clock(void)
{
    struct timespec monotonic, realtime;
    const uint64_t before = lap_impl_ticks();
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    const uint64_t after = lap_impl_ticks();
    clock_gettime(CLOCK_REALTIME, &realtime);
    return (struct lap_format_clock_reading){
        .ticks = before + (after - before) / 2,
        .monotonic_ns = (uint64_t)monotonic.tv_sec * 1000000000u + (uint64_t)monotonic.tv_nsec,
        .realtime_ns = (uint64_t)realtime.tv_sec * 1000000000u + (uint64_t)realtime.tv_nsec,
        .bracket_ticks = after - before};
}

static uint64_t ticks_of(const struct lap_process *process, const struct lap_format_clock_reading *reading)
{
    return process->clock.source == LAP_FORMAT_CLOCK_MONOTONIC ? reading->monotonic_ns : reading->ticks;
}

/* The control page without its switches: nobody switches a snapshot. */
static int control_write(struct writing *writing, struct lap_format_clock_reading taken, uint64_t last_ns)
{
    const struct lap_process *const process = writing->process;
    char page[LAP_FORMAT_CONTROL_HEADER_BYTES] = {0};
    struct lap_format_control control = process->control;
    struct stat namespace;
    if (stat("/proc/self/ns/time", &namespace) < 0 || namespace.st_ino != control.time_namespace)
        taken.monotonic_ns = 0; /* of another clock than the process's: no rate can be had from it */
    if (taken.ticks < process->end_ticks && process->state != LAP_PROCESS_RUNNING)
        taken.ticks = process->end_ticks;
    memcpy(control.snapshot_of, control.uuid, sizeof control.snapshot_of);
    memcpy(control.uuid, writing->uuid, sizeof control.uuid);
    control.state = LAP_FORMAT_RUNNING;
    control.snapshot = taken;
    control.snapshot_last_ns = last_ns;
    control.snapshot_class = 0;
    control.snapshot_total_ticks = 0;
    control.switches = 0;
    control.full = 0;
    control.removed_segments = 0;
    memcpy(page, &control, sizeof control);
    return file_write(writing, ".lapmark/control", page, 0, page, sizeof page);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int uuid_make(uint8_t uuid[16])
{
    if (getrandom(uuid, 16, 0) != 16)
        return -EIO;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

static int fill(struct writing *writing, const struct lap_format_clock_reading *begun, uint64_t last_ns)
{
    const struct lap_process *const process = writing->process;
    struct lap_format_clock_reading taken = lap_process_snapshot_clock();
    const uint64_t last_ticks = (uint64_t)((double)last_ns / process->clock.ns_per_tick), now = ticks_of(process, begun);
    taken.ticks = ticks_of(process, &taken);
    writing->from_ticks = last_ns != 0 && last_ticks < now ? now - last_ticks : 0;
    writing->whole_ticks = process->clock.start_ticks;
    int error = uuid_make(writing->uuid);
    if (error == 0 && mkdirat(writing->directory_fd, ".lapmark", 0700) < 0)
        error = -errno;
    for (size_t r = 0; r < process->ring_count && error == 0; r++)
        error = ring_write(writing, &process->rings[r]);
    if (error == 0)
        error = paths_write(writing);
    if (error == 0)
        error = metadata_write(writing);
    if (error == 0)
        error = control_write(writing, taken, last_ns);
    writing->snapshot->taken_ns = lap_timebase_realtime_ns(&process->clock, taken.ticks);
    writing->snapshot->whole_ns = lap_timebase_realtime_ns(&process->clock, writing->whole_ticks);
    return error;
}

/* Gives what was made the first name that is free. A directory is not put over one that holds something. */
static int publish(const struct writing *writing, int parent, const char *part, char name[NAME_BYTES])
{
    for (int number = 1; number <= NUMBERS_MAX; number++) {
        const int length = snprintf(name, NAME_BYTES, "%s-snapshot-%d", writing->process->name, number);
        if (length >= NAME_BYTES)
            return -ENAMETOOLONG;
        if (faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        if (renameat(parent, part, parent, name) == 0)
            return 0;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
            return -errno;
    }
    return -EEXIST;
}

int lap_process_snapshot_write(struct lap_process_snapshot *ret_snapshot, const struct lap_process *process,
                               const char *directory, const struct lap_format_clock_reading *begun, uint64_t last_ns)
{
    struct lap_process_snapshot snapshot = {0};
    struct writing writing = {.process = process, .snapshot = &snapshot, .directory_fd = -1};
    char part[NAME_BYTES], name[NAME_BYTES];
    const int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return -errno;
    snprintf(part, sizeof part, ".part-%d-%.200s", (int)getpid(), process->name);
    int error = mkdirat(parent, part, 0700) < 0 ? -errno : 0;
    if (error == 0) {
        writing.directory_fd = openat(parent, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = writing.directory_fd < 0 ? -errno : fill(&writing, begun, last_ns);
        if (error == 0)
            error = publish(&writing, parent, part, name);
        if (writing.directory_fd >= 0)
            close(writing.directory_fd);
        if (error < 0)
            lap_directory_remove(parent, part);
    }
    close(parent);
    if (error == 0 && asprintf(&snapshot.path, "%s/%s", directory, name) < 0)
        error = -ENOMEM;
    if (error == 0)
        *ret_snapshot = snapshot;
    return error;
}
