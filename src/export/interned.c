/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "interned.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64u

/* Room for `count` elements, doubled each time it is not enough. */
static bool room_make(void *array, uint32_t *room, uint32_t count, size_t element_bytes)
{
    void *old;
    if (count <= *room)
        return true;
    memcpy(&old, array, sizeof old);
    const uint32_t more = *room > 0 ? 2 * *room : FIRST_ROOM;
    void *const grown = realloc(old, more * element_bytes);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *room = more;
    return true;
}

static uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t text_hash(const char *text, size_t bytes)
{
    uint64_t hash = bytes;
    for (; bytes >= 8; bytes -= 8, text += 8) {
        uint64_t word;
        memcpy(&word, text, sizeof word);
        hash = hash_mix(hash, word);
    }
    for (; bytes > 0; bytes--)
        hash = hash_mix(hash, (unsigned char)*text++);
    return hash;
}

static uint64_t key_hash(const uint32_t key[4])
{
    return hash_mix(hash_mix(0, (uint64_t)key[0] << 32 | key[1]), (uint64_t)key[2] << 32 | key[3]);
}

static void index_place(struct lap_interned_index *index, uint64_t hash, uint32_t element)
{
    while (index->buckets[hash & (index->bucket_count - 1)] != 0)
        hash++;
    index->buckets[hash & (index->bucket_count - 1)] = element + 1;
}

/* At most half full. True: it has grown, and is empty. */
static bool index_grow(struct lap_interned_index *index, bool *ret_has_room)
{
    *ret_has_room = 2 * (index->count + 1) <= index->bucket_count;
    if (*ret_has_room)
        return false;
    const uint32_t count = index->bucket_count > 0 ? 2 * index->bucket_count : 2 * FIRST_ROOM;
    uint32_t *const buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    free(index->buckets);
    index->buckets = buckets;
    index->bucket_count = count;
    *ret_has_room = true;
    return true;
}

/* ---- texts --------------------------------------------------------------------------------------------------------- */

static uint32_t text_find(const struct lap_texts *texts, uint64_t hash, const char *text, size_t bytes)
{
    const struct lap_interned_index *const index = &texts->index;
    for (; index->bucket_count > 0; hash++) {
        const uint32_t found = index->buckets[hash & (index->bucket_count - 1)];
        if (found == 0)
            break;
        const char *const other = lap_texts_text(texts, found - 1);
        if (strncmp(other, text, bytes) == 0 && other[bytes] == 0)
            return found - 1;
    }
    return LAP_INTERNED_NONE;
}

static bool text_reserve(struct lap_texts *texts, size_t bytes)
{
    bool has_room;
    if (index_grow(&texts->index, &has_room))
        for (uint32_t i = 0; i < texts->index.count; i++)
            index_place(&texts->index, text_hash(lap_texts_text(texts, i), strlen(lap_texts_text(texts, i))), i);
    if (!has_room || !room_make(&texts->starts, &texts->start_room, texts->index.count + 1, sizeof *texts->starts))
        return false;
    if (texts->used + bytes + 1 <= texts->room)
        return true;
    const size_t room = texts->room + (texts->room > bytes + 1 ? texts->room : bytes + 1 + 4096);
    char *const grown = realloc(texts->bytes, room);
    if (!grown)
        return false;
    texts->bytes = grown;
    texts->room = room;
    return true;
}

uint32_t lap_texts_get(struct lap_texts *texts, const char *text, size_t bytes)
{
    const uint64_t hash = text_hash(text, bytes);
    const uint32_t found = text_find(texts, hash, text, bytes);
    if (found != LAP_INTERNED_NONE)
        return found;
    if (bytes >= texts->bytes_max || texts->used > texts->bytes_max - bytes || !text_reserve(texts, bytes))
        return LAP_INTERNED_NONE;
    memcpy(texts->bytes + texts->used, text, bytes);
    texts->bytes[texts->used + bytes] = 0;
    texts->starts[texts->index.count] = (uint32_t)texts->used;
    texts->used += bytes + 1;
    index_place(&texts->index, hash, texts->index.count);
    return texts->index.count++;
}

void lap_texts_done(struct lap_texts *texts)
{
    free(texts->index.buckets);
    free(texts->bytes);
    free(texts->starts);
}

/* ---- keys ---------------------------------------------------------------------------------------------------------- */

static uint32_t key_find(const struct lap_keys *keys, uint64_t hash, const uint32_t key[4])
{
    const struct lap_interned_index *const index = &keys->index;
    for (; index->bucket_count > 0; hash++) {
        const uint32_t found = index->buckets[hash & (index->bucket_count - 1)];
        if (found == 0)
            break;
        if (memcmp(keys->keys[found - 1], key, sizeof *keys->keys) == 0)
            return found - 1;
    }
    return LAP_INTERNED_NONE;
}

uint32_t lap_keys_get(struct lap_keys *keys, const uint32_t key[4], uint32_t most)
{
    const uint64_t hash = key_hash(key);
    const uint32_t found = key_find(keys, hash, key);
    if (found != LAP_INTERNED_NONE)
        return found;
    bool has_room;
    if (keys->index.count >= most)
        return LAP_INTERNED_NONE;
    if (index_grow(&keys->index, &has_room))
        for (uint32_t i = 0; i < keys->index.count; i++)
            index_place(&keys->index, key_hash(keys->keys[i]), i);
    if (!has_room || !room_make(&keys->keys, &keys->room, keys->index.count + 1, sizeof *keys->keys))
        return LAP_INTERNED_NONE;
    memcpy(keys->keys[keys->index.count], key, sizeof *keys->keys);
    index_place(&keys->index, hash, keys->index.count);
    return keys->index.count++;
}

void lap_keys_done(struct lap_keys *keys)
{
    free(keys->index.buckets);
    free(keys->keys);
}
