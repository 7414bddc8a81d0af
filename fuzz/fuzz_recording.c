/* SPDX-License-Identifier: MIT
 *
 * A whole process directory. The first byte chooses the commands that read it; then come its files, each behind the bytes
 * F1 E0 and a letter, so that a byte more in one of them moves nothing in the others:
 *     M  metadata           E  the event blocks of one that is otherwise sound, with the control page's uuid
 *     C  .lapmark/control   P  .lapmark/paths
 *     0, 1  the segments 00 and 01 of ring 0      2  the segment 00 of ring 1
 *     S, T  the statistics of rings 0 and 1: the header's 64 bytes, then what is behind the header's page
 */
#include "fuzz_place.h"

#include "lapmark/format.h"

#include <string.h>

static const struct {
    char letter;
    const char *name;
    size_t head_bytes, rest_offset; /* 0: in one piece */
} files[] = {
    {'M', "metadata", 0, 0},
    {'E', "", 0, 0},
    {'C', ".lapmark/control", 0, 0},
    {'P', ".lapmark/paths", 0, 0},
    {'0', "stream-0000-00", 0, 0},
    {'1', "stream-0000-01", 0, 0},
    {'2', "stream-0001-00", 0, 0},
    {'S', ".lapmark/statistics-0000", sizeof(struct lap_format_statistics), LAP_FORMAT_STATISTICS_HEADER_BYTES},
    {'T', ".lapmark/statistics-0001", sizeof(struct lap_format_statistics), LAP_FORMAT_STATISTICS_HEADER_BYTES},
};
enum { FILES = sizeof files / sizeof *files };

struct part {
    const uint8_t *bytes;
    size_t count;
};

static const uint8_t *part_find(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 3; at++)
        if (at[0] == 0xF1 && at[1] == 0xE0)
            return at;
    return end;
}

static void parts_split(const uint8_t *bytes, size_t count, struct part parts[FILES])
{
    const uint8_t *const end = bytes + count;
    for (const uint8_t *at = part_find(bytes, end), *next; at < end; at = next) {
        next = part_find(at + 3, end);
        for (size_t i = 0; i < FILES; i++)
            if (files[i].letter == at[2])
                parts[i] = (struct part){at + 3, (size_t)(next - at - 3)};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct part parts[FILES] = {0};
    uint8_t uuid[16] = {0};
    if (count == 0)
        return 0;
    parts_split(bytes + 1, count - 1, parts);
    const size_t uuid_end = offsetof(struct lap_format_control, uuid) + sizeof uuid;
    if (parts[2].count >= uuid_end)
        memcpy(uuid, parts[2].bytes + uuid_end - sizeof uuid, sizeof uuid);
    for (size_t i = 0; i < FILES; i++) {
        const struct part *const part = &parts[i];
        const size_t head =
            files[i].head_bytes != 0 && files[i].head_bytes < part->count ? files[i].head_bytes : part->count;
        if (files[i].letter == 'E' && part->bytes)
            fuzz_place_write_metadata(uuid, part->bytes, part->count);
        else if (files[i].letter == 'C' && part->bytes)
            fuzz_place_write_control(part->bytes, part->count);
        else if (part->bytes)
            fuzz_place_write(files[i].name, part->bytes, head, part->bytes + head, part->count - head,
                             files[i].rest_offset);
        else if (*files[i].name)
            fuzz_place_remove(files[i].name);
    }
    fuzz_place_read(bytes[0]);
    return 0;
}
