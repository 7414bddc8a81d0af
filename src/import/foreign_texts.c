/* SPDX-License-Identifier: MIT */
#include "foreign_texts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX (UINT32_C(1) << 30)

static uint32_t hash_of(const char *text, size_t bytes)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001B3);
    return (uint32_t)(hash ^ hash >> 32);
}

static size_t bytes_of(const struct lap_foreign_texts *texts, uint32_t number)
{
    return texts->starts[number + 1] - texts->starts[number] - 1;
}

static void place(struct lap_foreign_texts *texts, uint32_t number)
{
    uint32_t at = hash_of(texts->bytes + texts->starts[number], bytes_of(texts, number));
    while (texts->buckets[at & (texts->bucket_count - 1)] != 0)
        at++;
    texts->buckets[at & (texts->bucket_count - 1)] = number + 1;
}

static bool buckets_grow(struct lap_foreign_texts *texts)
{
    const uint32_t count = texts->bucket_count ? 2 * texts->bucket_count : 256;
    uint32_t *const buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    free(texts->buckets);
    texts->buckets = buckets;
    texts->bucket_count = count;
    for (uint32_t i = 0; i < texts->count; i++)
        place(texts, i);
    return true;
}

static bool reserve(struct lap_foreign_texts *texts, size_t bytes)
{
    if (texts->count >= COUNT_MAX || (texts->count >= texts->bucket_count / 2 && !buckets_grow(texts)))
        return false;
    if (texts->count + 2 > texts->start_room) {
        const uint32_t room = texts->start_room ? 2 * texts->start_room : 128;
        size_t *const starts = realloc(texts->starts, room * sizeof *starts);
        if (!starts)
            return false;
        starts[0] = 0;
        texts->starts = starts;
        texts->start_room = room;
    }
    if (texts->room - texts->used <= bytes) {
        const size_t room = 2 * texts->room + bytes + 4096;
        char *const more = realloc(texts->bytes, room);
        if (!more)
            return false;
        texts->bytes = more;
        texts->room = room;
    }
    return true;
}

uint32_t lap_foreign_texts_put(struct lap_foreign_texts *texts, const char *text, size_t bytes)
{
    for (uint32_t at = hash_of(text, bytes); texts->bucket_count != 0; at++) {
        const uint32_t found = texts->buckets[at & (texts->bucket_count - 1)];
        if (found == 0)
            break;
        if (bytes_of(texts, found - 1) == bytes && memcmp(texts->bytes + texts->starts[found - 1], text, bytes) == 0)
            return found - 1;
    }
    if (!reserve(texts, bytes))
        return LAP_FOREIGN_NONE;
    memcpy(texts->bytes + texts->used, text, bytes);
    texts->bytes[texts->used + bytes] = 0;
    texts->used += bytes + 1;
    texts->starts[++texts->count] = texts->used;
    place(texts, texts->count - 1);
    return texts->count - 1;
}

const char *lap_foreign_texts_get(const struct lap_foreign_texts *texts, uint32_t number, size_t *ret_bytes)
{
    if (ret_bytes)
        *ret_bytes = bytes_of(texts, number);
    return texts->bytes + texts->starts[number];
}

void lap_foreign_texts_done(struct lap_foreign_texts *texts)
{
    free(texts->bytes);
    free(texts->starts);
    free(texts->buckets);
    *texts = (struct lap_foreign_texts){0};
}
