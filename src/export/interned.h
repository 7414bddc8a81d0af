/* SPDX-License-Identifier: MIT
 *
 * Texts, and keys of four numbers, each kept once and known by its index, which grows by one from 0. Bounded: what is beyond the bound
 * is refused. Not thread-safe.
 */
#ifndef LAP_INTERNED_H
#define LAP_INTERNED_H

#include <stddef.h>
#include <stdint.h>

#define LAP_INTERNED_NONE UINT32_MAX

struct lap_interned_index {
    uint32_t *buckets; /* 0: empty, else an index + 1 */
    uint32_t bucket_count, count;
};

struct lap_texts {
    struct lap_interned_index index;
    char *bytes; /* one behind the other, each ended by 0 */
    size_t used, room;
    uint32_t *starts, start_room;
    size_t bytes_max;
};

struct lap_keys {
    struct lap_interned_index index;
    uint32_t (*keys)[4];
    uint32_t room;
};

/* The text's index, made if it is new; LAP_INTERNED_NONE: bytes_max is reached, or there is no memory. */
uint32_t lap_texts_get(struct lap_texts *texts, const char *text, size_t bytes);
/* Until the next is made. */
static inline const char *lap_texts_text(const struct lap_texts *texts, uint32_t index)
{
    return texts->bytes + texts->starts[index];
}
void lap_texts_done(struct lap_texts *texts);

/* The key's index, made if it is new and there are fewer than `most`; LAP_INTERNED_NONE: there are not, or there is no memory. */
uint32_t lap_keys_get(struct lap_keys *keys, const uint32_t key[4], uint32_t most);
void lap_keys_done(struct lap_keys *keys);

#endif
