/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cursor.h"
#include "recording_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 4 /* of a segment that is being overwritten */
/* and of a ring: somebody may have taken the processor from us for as long as it takes to fill it */
#define RING_TRIES 32
#define STATISTICS_TRIES 64 /* of statistics that are being written: a batch takes microseconds */
#define KEPT_DIGITS 8       /* a name with so many holds a segment that is not used again */
#define RING_NUMBER_MAX 65535u
#define SEGMENTS_OF_RING 16u   /* that are used again */
#define NEW_SEGMENTS_MAX 4096u /* kept ones that were made since they were listed */

/* A file of a ring. */
struct ring_file {
    uint32_t ring;
    bool is_segment;        /* else statistics */
    bool is_final;          /* nobody writes to it */
    uint64_t kept_sequence; /* of a segment that is not used again; else UINT64_MAX */
    char name[32];
};

struct ring_files {
    struct ring_file *files;
    size_t count, room;
};

/* ---- which files there are ----------------------------------------------------------------------------------------- */

static bool number_read(const char **text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++)
        if ((number = number * 10 + (uint64_t)(*at - '0')) > max)
            return false;
    const bool is_any = at != *text;
    *text = at;
    *ret_number = number;
    return is_any;
}

/* stream-RRRR-SS, stream-RRRR-NNNNNNNN, .lapmark/statistics-RRRR */
static bool name_parse(const char *name, bool is_segment, struct ring_file *ret_file)
{
    const char *const prefix = is_segment ? "stream-" : "statistics-";
    const char *at = name + strlen(prefix);
    uint64_t ring, rest = 0;
    if (strncmp(name, prefix, strlen(prefix)) != 0 || !number_read(&at, RING_NUMBER_MAX, &ring))
        return false;
    size_t digits = 0;
    if (is_segment) {
        if (*at++ != '-')
            return false;
        const char *const start = at;
        if (!number_read(&at, UINT64_MAX / 16, &rest))
            return false;
        digits = (size_t)(at - start);
    }
    if (*at != 0)
        return false;
    *ret_file = (struct ring_file){.ring = (uint32_t)ring,
                                   .is_segment = is_segment,
                                   .is_final = digits >= KEPT_DIGITS,
                                   .kept_sequence = digits >= KEPT_DIGITS ? rest : UINT64_MAX};
    const int length = snprintf(ret_file->name, sizeof ret_file->name, "%s%s", is_segment ? "" : ".lapmark/", name);
    return length > 0 && (size_t)length < sizeof ret_file->name;
}

/* Adds a file of that name if it is one of a ring's. 0 or -ENOMEM. */
static int file_add(const struct lap_process *process, struct ring_files *files, const char *name, bool is_segment)
{
    const struct lap_process_shared *const shared = process->internal;
    struct ring_file file;
    if (!name_parse(name, is_segment, &file)) {
        if (is_segment && strncmp(name, "stream-", 7) == 0)
            lap_process_warn(process, LAP_READER_SEGMENT, name, UINT64_MAX, "file with a name that is no segment's");
        return 0;
    }
    if (files->count == files->room) {
        files->room = files->room ? 2 * files->room : 64;
        struct ring_file *const more = realloc(files->files, files->room * sizeof *more);
        if (!more)
            return -ENOMEM;
        files->files = more;
    }
    /* Kept segments are files of their own; until they are written, a link of the name leads to the ring's. */
    struct stat status;
    file.is_final = !shared->may_change ||
                    (file.is_final && fstatat(process->directory_fd, file.name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISREG(status.st_mode));
    files->files[files->count++] = file;
    return 0;
}

static int files_list(const struct lap_process *process, const char *directory_name, bool is_segment,
                      struct ring_files *files)
{
    const int fd = openat(process->directory_fd, directory_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        lap_process_warn(process, -errno, directory_name, UINT64_MAX, NULL);
        if (fd >= 0)
            close(fd);
        return 0;
    }
    int error = 0;
    for (const struct dirent *entry; error == 0 && (entry = readdir(directory));)
        error = file_add(process, files, entry->d_name, is_segment);
    closedir(directory);
    return error;
}

static int files_compare(const void *a, const void *b)
{
    const struct ring_file *const f = a, *const g = b;
    if (f->ring != g->ring)
        return f->ring < g->ring ? -1 : 1;
    if (f->is_segment != g->is_segment)
        return f->is_segment ? 1 : -1;
    return strcmp(f->name, g->name);
}

/* ---- one segment ------------------------------------------------------------------------------------------------- */

/* Looks at every field; clips what is too long. 0, or a code: the segment cannot be used (warned, but for CHANGED). */
static int header_check(const struct lap_process *process, const struct ring_file *file, struct lap_segment *segment,
                        uint64_t file_bytes)
{
    struct lap_format_segment *const header = &segment->header;
    const char *const name = file->name;
    if (header->magic != LAP_FORMAT_PACKET_MAGIC) {
        lap_process_warn(process, LAP_READER_SEGMENT, name, 0, "file that is no segment");
        return LAP_READER_SEGMENT;
    }
    if (process->has_control && memcmp(header->uuid, process->control.uuid, sizeof header->uuid) != 0) {
        lap_process_warn(process, LAP_READER_SEGMENT, name, offsetof(struct lap_format_segment, uuid),
                         "segment of another process");
        return LAP_READER_SEGMENT;
    }
    if (header->stream_class != 0 || header->stream != file->ring) {
        lap_process_warn(process, LAP_READER_SEGMENT, name, offsetof(struct lap_format_segment, stream_class),
                         "segment of another ring than its name says");
        return LAP_READER_SEGMENT;
    }
    uint64_t content = header->content_bits / 8;
    if (content < sizeof *header) {
        lap_process_warn(process, LAP_READER_EMPTY, name, offsetof(struct lap_format_segment, content_bits), NULL);
        return LAP_READER_EMPTY;
    }
    if (header->content_bits > header->packet_bits || header->content_bits % 64 != 0) {
        lap_process_warn(process, LAP_READER_SEGMENT, name, offsetof(struct lap_format_segment, content_bits),
                         "segment with a damaged size");
        content = (header->content_bits < header->packet_bits ? header->content_bits : header->packet_bits) / 8;
    }
    if (header->packet_bits / 8 > file_bytes)
        lap_process_warn(process, LAP_READER_TORN, name, file_bytes, NULL);
    if (content > file_bytes)
        content = file_bytes;
    if (content > LAP_FORMAT_SEGMENT_BYTES_MAX) {
        lap_process_warn(process, LAP_READER_LIMIT, name, LAP_FORMAT_SEGMENT_BYTES_MAX, NULL);
        content = LAP_FORMAT_SEGMENT_BYTES_MAX;
    }
    content &= ~UINT64_C(7);
    if (content < sizeof *header)
        return LAP_READER_EMPTY; /* damage that has been told */
    if (header->sequence > UINT64_MAX >> (LAP_FORMAT_APPLIED_SHIFT + 1)) {
        lap_process_warn(process, LAP_READER_SEGMENT, name, offsetof(struct lap_format_segment, sequence),
                         "segment with a damaged sequence number");
        return LAP_READER_SEGMENT;
    }
    segment->content_bytes = content;
    header->content_bits = content * 8;
    return 0;
}

/* Is it the same segment still, and not on its way to be another? Gives its header as it is now. */
static bool is_still(int fd, const struct lap_segment *segment, struct lap_format_segment *ret_now)
{
    return lap_file_read_at(fd, ret_now, sizeof *ret_now, 0) == (int64_t)sizeof *ret_now &&
           ret_now->sequence == segment->header.sequence && ret_now->begin_ticks == segment->header.begin_ticks;
}

/* Of the newest segment a part may be taken back, and other events be stored in its place, while we read it. What a second
 * reading finds the same was there all the time between, since no two events have one clock: the copy ends there, which is
 * then cut to whole events by lap_segments_trim(). A writer that stands still in the middle of an event looks the same, too:
 * what was committed between the two readings, `committed_bytes`, ends in front of that. */
static int newest_settle(int fd, struct lap_segment *segment, const char *copy, uint64_t committed_bytes)
{
    const uint64_t bytes = segment->content_bytes;
    char *const again = malloc(bytes);
    if (!again)
        return -ENOMEM;
    int code = LAP_READER_CHANGED;
    struct lap_format_segment now;
    if (lap_file_read_at(fd, again, bytes, 0) == (int64_t)bytes && is_still(fd, segment, &now)) {
        uint64_t same = sizeof segment->header;
        while (same < bytes && same < committed_bytes && memcmp(copy + same, again + same, 8) == 0)
            same += 8;
        segment->is_cut = true; /* where an event ended when we asked, none may end any more */
        segment->content_bytes = same;
        segment->header.content_bits = 8 * same;
        code = 0;
    }
    free(again);
    return code;
}

/* Copies the content of a segment that may be written to while we read, and sees to it that it was one segment's all the
 * time: the writer stores the new sequence number before it overwrites an event, and we look at it after we have read them.
 * 0 or LAP_READER_CHANGED or -ENOMEM. */
static int segment_copy(const struct lap_process *process, int fd, bool is_newest, struct lap_segment *segment)
{
    struct lap_recording_shared *const recording = process->recording->internal;
    if (recording->copied_bytes + segment->content_bytes > LAP_COPIED_BYTES_MAX)
        return LAP_READER_LIMIT;
    char *const copy = malloc(segment->content_bytes);
    if (!copy)
        return -ENOMEM;
    int code = LAP_READER_CHANGED;
    struct lap_format_segment now;
    if (lap_file_read_at(fd, copy, segment->content_bytes, 0) == (int64_t)segment->content_bytes &&
        is_still(fd, segment, &now))
        code = is_newest ? newest_settle(fd, segment, copy, now.content_bits / 8) : 0;
    if (code < 0) {
        free(copy);
        return code;
    }
    memcpy(copy, &segment->header, sizeof segment->header);
    segment->copy = copy;
    recording->copied_bytes += segment->content_bytes;
    return 0;
}

void lap_segments_trim(struct lap_process *process)
{
    const struct lap_decoder decoder = {.classes = process->catalog.classes, .class_count = process->catalog.class_count};
    for (size_t r = 0; r < process->ring_count; r++)
        for (size_t i = 0; i < process->rings[r].segment_count; i++) {
            struct lap_segment *const segment = &process->rings[r].segments[i];
            struct lap_event event = {.end = LAP_FORMAT_SEGMENT_HEADER_BYTES};
            uint32_t end = event.end;
            while (segment->is_cut && end < segment->content_bytes &&
                   lap_decode_measure(&decoder, segment->copy, 0, end, (uint32_t)segment->content_bytes, &event).error ==
                       LAP_DECODE_OK)
                end = event.end;
            if (segment->is_cut) {
                segment->content_bytes = end;
                segment->header.content_bits = end * UINT64_C(8);
            }
        }
}

/* Sequences of segments that are wanted. */
struct wanted {
    uint64_t first, last;
    bool tells; /* what cannot be read is a warning: it is not tried again */
};

/* The first is that of the statistics' position, where only what they lack is. The last is the ring's newest before any
 * content is read: those before it are closed then, and read whole. One that the ring begins meanwhile would stand behind
 * one that was read before it was full, with a hole between them that no sequence tells. */
static struct wanted wanted_find(const struct lap_ring *ring, const struct ring_file *files, size_t count)
{
    const struct lap_process *const process = ring->process;
    const struct lap_process_shared *const shared = process->internal;
    const struct lap_recording_shared *const recording = process->recording->internal;
    struct wanted wanted = {0, UINT64_MAX, true};
    if (recording->is_newest && ring->statistics)
        wanted.first = ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
    if (!shared->may_change)
        return wanted;
    wanted.last = 0;
    for (size_t i = 0; i < count && files[i].is_segment; i++) {
        struct lap_format_segment header;
        uint64_t bytes;
        const int fd = files[i].is_final ? -1 : lap_file_open(process->directory_fd, files[i].name, &bytes);
        if (files[i].is_final && files[i].kept_sequence > wanted.last)
            wanted.last = files[i].kept_sequence;
        if (fd < 0)
            continue;
        if (lap_file_read_at(fd, &header, sizeof header, 0) == (int64_t)sizeof header &&
            header.magic == LAP_FORMAT_PACKET_MAGIC && header.sequence > wanted.last)
            wanted.last = header.sequence;
        close(fd);
    }
    return wanted;
}

/* 0, or a code: it is left out, for LAP_READER_EMPTY without a word. */
static int segment_read(const struct lap_process *process, const struct ring_file *file, const struct wanted *wanted,
                        struct lap_segment *segment)
{
    if (file->kept_sequence < wanted->first)
        return LAP_READER_EMPTY;
    int code = LAP_READER_CHANGED;
    for (int i = 0; i < TRIES && code == LAP_READER_CHANGED; i++) {
        uint64_t file_bytes = 0;
        const int fd = lap_file_open(process->directory_fd, file->name, &file_bytes);
        if (fd < 0) {
            lap_process_warn_segment(process, fd, file->name);
            return fd;
        }
        *segment = (struct lap_segment){.content_bytes = 0};
        memcpy(segment->name, file->name, sizeof segment->name);
        if (file_bytes == 0) {
            lap_process_warn(process, code = LAP_READER_EMPTY, file->name, 0, NULL);
        } else if (lap_file_read_at(fd, &segment->header, sizeof segment->header, 0) < (int64_t)sizeof segment->header) {
            lap_process_warn(process, code = LAP_READER_TORN, file->name, file_bytes,
                             "segment is shorter than its header");
        } else {
            code = header_check(process, file, segment, file_bytes);
            const uint64_t sequence = segment->header.sequence;
            if (code == 0 && file->kept_sequence != UINT64_MAX && file->kept_sequence != sequence && !file->is_final)
                code = LAP_READER_CHANGED; /* the name was the link's that the kept file has replaced by now */
            else if (code == 0 && (sequence < wanted->first || sequence > wanted->last))
                code = LAP_READER_EMPTY;
            else if (code == 0 && !file->is_final)
                code = segment_copy(process, fd, sequence == wanted->last, segment);
        }
        close(fd);
    }
    if ((code == LAP_READER_CHANGED && wanted->tells) || code == LAP_READER_LIMIT)
        lap_process_warn(process, code, file->name, UINT64_MAX, NULL);
    return code;
}

/* ---- statistics ---------------------------------------------------------------------------------------------------- */

/* Takes out of the copy what points nowhere. Returns the place of the first, UINT64_MAX if all is sound. */
static uint64_t cells_check(struct lap_format_statistics *heap, uint32_t units)
{
    uint64_t damage = UINT64_MAX;
    for (uint32_t unit = LAP_FORMAT_FIRST_UNIT; unit + 2 <= units; unit++) {
        const uint64_t place = (uint64_t)unit * LAP_FORMAT_UNIT_BYTES;
        struct lap_format_cell *const cell = (struct lap_format_cell *)(void *)((char *)heap + place);
        if (cell->magic != LAP_FORMAT_CELL_MAGIC || cell->path == 0)
            continue;
        if (cell->path > LAP_FORMAT_PATHS) {
            cell->path = 0;
            damage = damage < place ? damage : place + offsetof(struct lap_format_cell, path);
        }
        for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
            const uint16_t chunk = cell->chunks[octave];
            if (chunk == 0 || (chunk >= LAP_FORMAT_FIRST_UNIT && chunk < units && chunk != unit && chunk != unit + 1))
                continue;
            cell->chunks[octave] = 0;
            damage = damage < place ? damage : place + offsetof(struct lap_format_cell, chunks) + 2 * (uint64_t)octave;
        }
        unit++; /* a cell is two units */
    }
    return damage;
}

/* Copies what is used of the file, as of one moment: `applied` is stored behind each event's samples, so that two equal
 * ones around the copy mean that nothing was written in between. Returns the bytes read, or a negative errno. */
static int64_t statistics_copy(int fd, struct lap_format_statistics *heap, uint64_t bytes, bool is_final,
                               bool *ret_is_provisional)
{
    for (int i = 0;; i++) {
        struct lap_format_statistics before, after;
        int64_t got = lap_file_read_at(fd, &before, sizeof before, 0);
        if (got < (int64_t)sizeof before)
            return got;
        const uint64_t used = (uint64_t)before.units * LAP_FORMAT_UNIT_BYTES;
        got = lap_file_read_at(fd, heap, is_final || used > bytes ? bytes : used, 0);
        if (is_final || got < (int64_t)sizeof *heap)
            return got;
        if (lap_file_read_at(fd, &after, sizeof after, 0) < (int64_t)sizeof after)
            return -EIO;
        *ret_is_provisional = before.applied != after.applied || before.units != after.units;
        if (!*ret_is_provisional || i == STATISTICS_TRIES)
            return got;
    }
}

static int statistics_read(const struct lap_process *process, const struct ring_file *file, struct lap_ring *ring)
{
    uint64_t bytes = 0;
    const int fd = lap_file_open(process->directory_fd, file->name, &bytes);
    if (fd < 0) {
        lap_process_warn(process, fd, file->name, UINT64_MAX, NULL);
        return 0;
    }
    if (bytes > (uint64_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES)
        bytes = (uint64_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES;
    struct lap_format_statistics *const heap =
        calloc(1, bytes > LAP_FORMAT_STATISTICS_HEADER_BYTES ? bytes : LAP_FORMAT_STATISTICS_HEADER_BYTES);
    if (!heap) {
        close(fd);
        return -ENOMEM;
    }
    const int64_t got = statistics_copy(fd, heap, bytes, file->is_final, &ring->is_provisional);
    close(fd);
    if (got >= 0 && heap->magic == 0 && process->state != LAP_PROCESS_ENDED) { /* it was just being made */
        free(heap);
        return 0;
    }
    const uint64_t whole = got > 0 ? (uint64_t)got / LAP_FORMAT_UNIT_BYTES : 0;
    if (whole < LAP_FORMAT_FIRST_UNIT || heap->magic != LAP_FORMAT_STATISTICS_MAGIC) {
        lap_process_warn(process, got < 0 ? (int)got : LAP_READER_STATISTICS, file->name, 0, NULL);
        free(heap);
        return 0;
    }
    if (heap->version != LAP_FORMAT_VERSION) {
        lap_process_warn(process, LAP_READER_VERSION, file->name, offsetof(struct lap_format_statistics, version), NULL);
        free(heap);
        return 0;
    }
    if (heap->units > whole || heap->units < LAP_FORMAT_FIRST_UNIT) {
        lap_process_warn(process, LAP_READER_STATISTICS, file->name, offsetof(struct lap_format_statistics, units), NULL);
        heap->units = heap->units > whole ? (uint32_t)whole : LAP_FORMAT_FIRST_UNIT;
    }
    const uint64_t damage = cells_check(heap, heap->units);
    if (damage != UINT64_MAX && !ring->is_provisional)
        lap_process_warn(process, LAP_READER_STATISTICS, file->name, damage, NULL);
    ring->is_provisional |= heap->is_in_motion != 0;
    free(ring->statistics);
    ring->statistics = heap;
    ring->statistics_units = heap->units;
    return 0;
}

/* ---- one ring ------------------------------------------------------------------------------------------------------ */

static int segments_compare(const void *a, const void *b)
{
    const struct lap_segment *const s = a, *const t = b;
    if (s->header.sequence != t->header.sequence)
        return s->header.sequence < t->header.sequence ? -1 : 1;
    if (s->content_bytes != t->content_bytes)
        return s->content_bytes > t->content_bytes ? -1 : 1;
    return (s->copy != NULL) - (t->copy != NULL);
}

static void segments_drop(struct lap_process *process, struct lap_ring *ring)
{
    struct lap_recording_shared *const recording = process->recording->internal;
    for (size_t i = 0; i < ring->segment_count; i++) {
        if (ring->segments[i].copy)
            recording->copied_bytes -= ring->segments[i].content_bytes;
        free(ring->segments[i].copy);
    }
    ring->segment_count = 0;
}

/* By sequence; of a kept segment and the ring's own the fuller one. */
static void segments_sort(struct lap_ring *ring)
{
    qsort(ring->segments, ring->segment_count, sizeof *ring->segments, segments_compare);
    size_t kept = 0;
    for (size_t i = 0; i < ring->segment_count; i++) {
        if (kept > 0 && ring->segments[kept - 1].header.sequence == ring->segments[i].header.sequence)
            free(ring->segments[i].copy);
        else
            ring->segments[kept++] = ring->segments[i];
    }
    ring->segment_count = kept;
}

/* The segment where the statistics' position is, or the first behind it; segment_count if all are before it. */
static size_t applied_find(const struct lap_ring *ring)
{
    const uint64_t sequence = ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
    size_t at = 0;
    while (at < ring->segment_count && ring->segments[at].header.sequence < sequence)
        at++;
    return at;
}

/* Have the events from the statistics' position on, or the newest segment, been overwritten while we read? */
static bool is_behind(const struct lap_ring *ring, const struct wanted *wanted)
{
    const size_t count = ring->segment_count;
    if (!ring->statistics || wanted->last == UINT64_MAX)
        return false;
    if (count == 0)
        return ring->statistics->applied != 0;
    const size_t at = applied_find(ring);
    return at == count || ring->segments[at].header.sequence != ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT ||
           ring->segments[count - 1].header.sequence != wanted->last;
}

/* The files were read one after another while the ring went on: leaves those that belong to one moment, the row of
 * segments without a gap where the statistics' position is. What comes behind a gap is newer, what lies before one was
 * about to be overwritten; kept segments before one stay. */
static void segments_keep_moment(struct lap_ring *ring)
{
    if (!ring->statistics || ring->segment_count == 0)
        return;
    size_t end = applied_find(ring), kept = 0;
    size_t first = end < ring->segment_count ? end : ring->segment_count - 1;
    while (first > 0 && ring->segments[first - 1].header.sequence + 1 == ring->segments[first].header.sequence)
        first--;
    for (end = end < ring->segment_count ? end + 1 : end;
         end < ring->segment_count && ring->segments[end - 1].header.sequence + 1 == ring->segments[end].header.sequence;)
        end++;
    for (size_t i = 0; i < ring->segment_count; i++) {
        if (i >= end || (i < first && ring->segments[i].copy))
            free(ring->segments[i].copy);
        else
            ring->segments[kept++] = ring->segments[i];
    }
    ring->segment_count = kept;
}

/* A flight recording's ring has its files from 00 on, and none goes: tells the first that is missing. */
static void missing_tell(const struct lap_process *process, const struct lap_ring *ring, const struct ring_file *files,
                         size_t count)
{
    if (!process->has_control || process->control.full)
        return;
    char name[sizeof files->name];
    unsigned number = 0;
    int is_missing = 0;
    for (size_t i = 0; i < count && !is_missing; i++) {
        snprintf(name, sizeof name, "stream-%04u-%02u", ring->number, number);
        if (files[i].is_segment && strlen(files[i].name) == strlen(name)) {
            is_missing = strcmp(files[i].name, name) != 0;
            number++;
        }
    }
    const int has_none = !files[count - 1].is_segment; /* they are sorted behind the statistics */
    if (is_missing || (has_none && ring->statistics && ring->statistics->applied != 0))
        lap_process_warn(process, -ENOENT, name, UINT64_MAX, NULL);
}

/* The ring has gone on since its files were listed: adds those that it made since, up to that of the statistics' position. */
static int files_extend(const struct lap_process *process, const struct lap_ring *ring, struct ring_files *files,
                        uint64_t last)
{
    const uint64_t applied = ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT;
    char name[sizeof files->files->name];
    unsigned used = 0;
    for (size_t i = 0; i < files->count; i++)
        used += files->files[i].is_segment && files->files[i].kept_sequence == UINT64_MAX;
    int error = 0;
    for (unsigned number = used; number < SEGMENTS_OF_RING && error == 0; number++) {
        snprintf(name, sizeof name, "stream-%04u-%02u", ring->number, number);
        if (faccessat(process->directory_fd, name, F_OK, 0) == 0)
            error = file_add(process, files, name, true);
    }
    if (used == 0 && process->control.full && applied - last < NEW_SEGMENTS_MAX)
        for (uint64_t sequence = last + 1; sequence <= applied && error == 0; sequence++) {
            snprintf(name, sizeof name, "stream-%04u-%08llu", ring->number, (unsigned long long)sequence);
            if (faccessat(process->directory_fd, name, F_OK, 0) == 0)
                error = file_add(process, files, name, true);
        }
    return error;
}

/* Reads the ring once: statistics first, so that what they do not have is then in the segments. 0, -ENOMEM, or
 * LAP_READER_CHANGED where it was overwritten meanwhile. */
static int ring_try(struct lap_process *process, struct lap_ring *ring, struct ring_files *files, bool is_last)
{
    const struct lap_process_shared *const shared = process->internal;
    segments_drop(process, ring);
    size_t first = 0;
    for (; first < files->count && !files->files[first].is_segment; first++)
        if (statistics_read(process, &files->files[first], ring) == -ENOMEM)
            return -ENOMEM;
    struct wanted wanted = wanted_find(ring, files->files + first, files->count - first);
    if (shared->may_change && ring->statistics && ring->statistics->applied >> LAP_FORMAT_APPLIED_SHIFT > wanted.last) {
        if (files_extend(process, ring, files, wanted.last) < 0)
            return -ENOMEM;
        wanted = wanted_find(ring, files->files + first, files->count - first);
    }
    wanted.tells = is_last || !shared->may_change;
    struct lap_segment *const segments = realloc(ring->segments, (files->count + 1) * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    ring->segments = segments;
    for (size_t i = first; i < files->count; i++) {
        const int code = segment_read(process, &files->files[i], &wanted, &ring->segments[ring->segment_count]);
        if (code == -ENOMEM)
            return code;
        ring->segment_count += code == 0;
    }
    segments_sort(ring);
    return is_behind(ring, &wanted) ? LAP_READER_CHANGED : 0;
}

static int ring_read(struct lap_process *process, struct lap_ring *ring, struct ring_files *files)
{
    const struct lap_process_shared *const shared = process->internal;
    ring->process = process;
    ring->number = files->files[0].ring;
    int code = LAP_READER_CHANGED;
    for (int try = 1; try <= RING_TRIES && code == LAP_READER_CHANGED; try++)
        code = ring_try(process, ring, files, try == RING_TRIES);
    if (code == -ENOMEM)
        return code;
    if (shared->may_change)
        segments_keep_moment(ring);
    else
        missing_tell(process, ring, files->files, files->count);
    if (files->files[0].is_segment && ring->segment_count > 0) { /* they are made before the ring's first segment */
        char name[sizeof files->files->name];
        snprintf(name, sizeof name, ".lapmark/statistics-%04u", ring->number);
        lap_process_warn(process, -ENOENT, name, UINT64_MAX, NULL);
    }
    return 0;
}

int lap_process_read_rings(struct lap_process *process)
{
    struct ring_files files = {0};
    int code = files_list(process, ".", true, &files);
    if (code == 0)
        code = files_list(process, ".lapmark", false, &files);
    if (files.count > 0)
        qsort(files.files, files.count, sizeof *files.files, files_compare);
    size_t rings = 0;
    for (size_t i = 0; i < files.count; i++)
        rings += i == 0 || files.files[i].ring != files.files[i - 1].ring;
    process->rings = calloc(rings ? rings : 1, sizeof *process->rings);
    if (!process->rings)
        code = -ENOMEM;
    for (size_t from = 0, to; code == 0 && from < files.count; from = to) {
        for (to = from + 1; to < files.count && files.files[to].ring == files.files[from].ring; to++)
            continue;
        struct ring_files own = {.count = to - from, .room = to - from};
        own.files = malloc(own.room * sizeof *own.files);
        if (!own.files) {
            code = -ENOMEM;
            break;
        }
        memcpy(own.files, &files.files[from], own.count * sizeof *own.files);
        code = ring_read(process, &process->rings[process->ring_count++], &own);
        free(own.files);
    }
    free(files.files);
    return code;
}
