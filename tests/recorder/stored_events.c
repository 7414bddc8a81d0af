/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stored_events.h"

#include "run_case.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLASSES_MAX 131072u
#define SEGMENTS_MAX 65536u

struct class
{
    char name[256];
    char kind[16];
    char types[16];
    unsigned flags;
    int is_there;
};

struct segment {
    char *bytes;
    size_t file_bytes;
    struct lap_format_segment header;
};

struct owned {
    struct class *classes;
    struct segment *segments;
    unsigned segment_count;
};

static char *file_load(const char *path, size_t *ret_bytes)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("cannot open %s", path);
    assert_int_equal(fstat(fd, &status), 0);
    char *const bytes = malloc((size_t)status.st_size + 8);
    size_t used = 0;
    for (ssize_t got = 1; got > 0; used += (size_t)got) {
        got = read(fd, bytes + used, (size_t)status.st_size - used);
        assert_true(got >= 0);
    }
    close(fd);
    memset(bytes + used, 0, 8);
    *ret_bytes = used;
    return bytes;
}

/* ---- metadata ------------------------------------------------------------------------------------------------------ */

static unsigned number_after(const char *text, const char *what)
{
    const char *const at = strstr(text, what);
    return at ? (unsigned)strtoul(at + strlen(what), NULL, 10) : 0;
}

static void word_copy(char *out, size_t out_bytes, const char *text, const char *until)
{
    const size_t length = strcspn(text, until);
    assert_true(length < out_bytes);
    memcpy(out, text, length);
    out[length] = 0;
}

static void class_read(struct class *classes, const char *line)
{
    char name[sizeof classes->name];
    size_t used = 0;
    const char *at = strchr(line, '"') + 1;
    for (; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if (used + 1 < sizeof name)
            name[used++] = *at;
    }
    name[used] = 0;
    const unsigned id = number_after(at, "; id = ");
    assert_in_range(id, 1, CLASSES_MAX - 1);
    struct class *const class = &classes[id];
    assert_false(class->is_there);
    class->is_there = 1;
    strcpy(class->name, name);
    const char *const uri = strstr(at, "uri = \"lapmark:");
    assert_non_null(uri);
    if (!strchr(uri, '?'))
        return;
    word_copy(class->kind, sizeof class->kind, uri + 15, "?");
    class->flags = number_after(uri, "?flags=");
    const char *const types = strstr(uri, "&types=");
    word_copy(class->types, sizeof class->types, types + 7, "&\"");
}

static void metadata_read(struct class *classes, const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/metadata", directory);
    size_t bytes;
    char *const file = file_load(path, &bytes);
    for (size_t offset = 0; offset + 37 <= bytes;) {
        uint32_t magic, content_bits, packet_bits;
        memcpy(&magic, file + offset, 4);
        memcpy(&content_bits, file + offset + 24, 4);
        memcpy(&packet_bits, file + offset + 28, 4);
        assert_int_equal(magic, LAP_FORMAT_METADATA_MAGIC);
        assert_true(content_bits / 8 <= bytes - offset && content_bits >= 37 * 8);
        char *const end = file + offset + content_bits / 8;
        char *const text = file + offset + 37;
        char *next;
        for (char *line = text; line < end; line = next + 1) {
            next = memchr(line, '\n', (size_t)(end - line));
            assert_non_null(next);
            *next = 0;
            if (strncmp(line, "event { name", 12) == 0)
                class_read(classes, line);
        }
        offset += packet_bits / 8;
    }
    free(file);
}

/* ---- segments ------------------------------------------------------------------------------------------------------ */

static int segment_compare(const void *a, const void *b)
{
    const struct segment *const one = a, *const other = b;
    if (one->header.stream != other->header.stream)
        return one->header.stream < other->header.stream ? -1 : 1;
    return one->header.sequence < other->header.sequence ? -1 : one->header.sequence > other->header.sequence;
}

static void segments_read(struct owned *owned, const char *directory)
{
    DIR *const listing = opendir(directory);
    assert_non_null(listing);
    for (const struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        if (strncmp(entry->d_name, "stream-", 7) != 0)
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        assert_true(owned->segment_count < SEGMENTS_MAX);
        struct segment *const segment = &owned->segments[owned->segment_count++];
        segment->bytes = file_load(path, &segment->file_bytes);
        assert_true(segment->file_bytes >= sizeof segment->header);
        memcpy(&segment->header, segment->bytes, sizeof segment->header);
        assert_int_equal(segment->header.magic, LAP_FORMAT_PACKET_MAGIC);
        assert_int_equal(segment->header.packet_bits, segment->file_bytes * 8);
        assert_true(segment->header.content_bits <= segment->header.packet_bits);
    }
    closedir(listing);
    qsort(owned->segments, owned->segment_count, sizeof *owned->segments, segment_compare);
}

static unsigned fixed_words(const char *kind)
{
    if (strcmp(kind, "begin_with") == 0)
        return 4;
    if (strcmp(kind, "handle_begin") == 0)
        return 5;
    if (strcmp(kind, "call") == 0)
        return 12;
    return strcmp(kind, "handle_mark") == 0 ? 3 : 0;
}

static size_t event_bytes(const struct class *class, uint32_t id, const uint64_t *words)
{
    static const unsigned fixed[] = {
        [LAP_FORMAT_END] = 1,   [LAP_FORMAT_ABANDONED] = 2, [LAP_FORMAT_PAUSE] = 2, [LAP_FORMAT_HANDLE_END] = 5,
        [LAP_FORMAT_SERVE] = 8, [LAP_FORMAT_REPLY] = 4,     [LAP_FORMAT_LINK] = 7};
    if (id == LAP_FORMAT_OPEN || id == LAP_FORMAT_THREAD || id == LAP_FORMAT_PEER_LAP)
        return words[1];
    if (id < LAP_FORMAT_FIRST_SITE_CLASS)
        return 8 * fixed[id];
    if (class->flags & 2 || strchr(class->types, 's'))
        return words[1];
    return 8 * (1 + fixed_words(class->kind) + (class->flags & 1) + strlen(class->types));
}

static void segment_walk(struct stored *stored, size_t *room, const struct segment *segment, const struct class *classes)
{
    const size_t end = segment->header.content_bits / 8;
    for (size_t offset = sizeof segment->header; offset < end;) {
        const uint64_t *const words = (const uint64_t *)(const void *)(segment->bytes + offset);
        const uint32_t id = words[0] & LAP_FORMAT_CLASS_MASK;
        const struct class *const class = &classes[id < CLASSES_MAX ? id : 0];
        if (!class->is_there)
            fail_msg("class %u at byte %zu of segment %llu of ring %llu is not in the metadata", id, offset,
                     (unsigned long long)segment->header.sequence, (unsigned long long)segment->header.stream);
        const size_t bytes = event_bytes(class, id, words);
        assert_true(bytes != 0 && bytes % 8 == 0 && offset + bytes <= end);
        if (stored->count == *room) {
            *room = *room * 2 + 4096;
            stored->events = realloc(stored->events, *room * sizeof *stored->events);
        }
        const uint64_t begin = segment->header.begin_ticks;
        const uint64_t *const values =
            words + 1 + (class->flags & 2 || strchr(class->types, 's')) + fixed_words(class->kind);
        stored->events[stored->count++] = (struct stored_event){
            .name = class->name,
            .kind = class->kind,
            .words = words,
            .ticks = begin + (((words[0] >> LAP_FORMAT_CLOCK_SHIFT) - begin) & LAP_FORMAT_CLOCK_MASK),
            .stream = segment->header.stream,
            .sequence = segment->header.sequence,
            .thread_id = segment->header.thread_id,
            .thread_index = segment->header.thread_index,
            .class_id = id,
            .has_n = (class->flags & 1) != 0,
            .n = class->flags & 1 ? (int64_t)values[0] : 0,
            .values = values,
        };
        offset += bytes;
    }
    stored->bytes += end;
}

struct stored *stored_load(const char *process_directory)
{
    struct stored *const stored = calloc(1, sizeof *stored);
    struct owned *const owned = calloc(1, sizeof *owned);
    stored->owned = owned;
    owned->classes = calloc(CLASSES_MAX, sizeof *owned->classes);
    owned->segments = calloc(SEGMENTS_MAX, sizeof *owned->segments);
    segments_read(owned, process_directory); /* before the metadata, which only grows */
    metadata_read(owned->classes, process_directory);
    char path[4096];
    size_t bytes;
    snprintf(path, sizeof path, "%s/.lapmark/control", process_directory);
    char *const control = file_load(path, &bytes);
    assert_true(bytes >= sizeof stored->control);
    memcpy(&stored->control, control, sizeof stored->control);
    free(control);
    assert_true(stored->control.magic == LAP_FORMAT_CONTROL_MAGIC);
    size_t room = 0;
    for (unsigned i = 0; i < owned->segment_count; i++) {
        const struct segment *const segment = &owned->segments[i];
        if (i > 0 && segment[-1].header.stream == segment->header.stream)
            assert_true(segment[-1].header.sequence < segment->header.sequence);
        segment_walk(stored, &room, segment, owned->classes);
    }
    stored->segments = owned->segment_count;
    return stored;
}

void stored_free(struct stored *stored)
{
    struct owned *const owned = stored->owned;
    for (unsigned i = 0; i < owned->segment_count; i++)
        free(owned->segments[i].bytes);
    free(owned->segments);
    free(owned->classes);
    free(owned);
    free(stored->events);
    free(stored);
}

size_t stored_named(const struct stored *stored, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < stored->count; i++)
        count += strcmp(stored->events[i].name, name) == 0;
    return count;
}

size_t stored_of_kind(const struct stored *stored, const char *kind)
{
    size_t count = 0;
    for (size_t i = 0; i < stored->count; i++)
        count += strcmp(stored->events[i].kind, kind) == 0;
    return count;
}

uint64_t stored_lost(const struct stored *stored)
{
    const uint64_t *const losses = stored->control.losses;
    return losses[LAP_FORMAT_LOSS_SIGNAL] + losses[LAP_FORMAT_LOSS_MEMORY] + losses[LAP_FORMAT_LOSS_DEPTH] +
           losses[LAP_FORMAT_LOSS_CLASS] + losses[LAP_FORMAT_LOSS_DISK];
}

/* ---- the other reader ---------------------------------------------------------------------------------------------- */

size_t babeltrace_count(const char *directory)
{
    char command[4096];
    snprintf(command, sizeof command, "babeltrace2 '%s' -c c:sink.utils.counter 2>&1", directory);
    FILE *const pipe = popen(command, "re");
    assert_non_null(pipe);
    char line[512], all[8192] = "";
    size_t count = SIZE_MAX;
    while (fgets(line, sizeof line, pipe)) {
        if (strstr(line, " Event message"))
            count = strtoul(line, NULL, 10);
        if (strlen(all) + strlen(line) < sizeof all)
            strcat(all, line);
    }
    const int status = pclose(pipe);
    if (status != 0 || count == SIZE_MAX)
        print_error("babeltrace2 %s:\n%s\n", directory, all);
    assert_int_equal(status, 0);
    assert_true(count != SIZE_MAX);
    return count;
}

size_t babeltrace_agrees(const char *process_directory)
{
    struct stored *const stored = stored_load(process_directory);
    const size_t count = stored->count;
    assert_int_equal(babeltrace_count(process_directory), count);
    stored_free(stored);
    return count;
}

void check_finds_it_sound(const char *process_directory) { lapmark_says("check", process_directory, NULL); }
