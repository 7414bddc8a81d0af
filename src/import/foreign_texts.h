/* SPDX-License-Identifier: MIT
 *
 * Texts of a trace that are met again and again, each kept once and known by its number, from 0. They may contain any byte.
 */
#ifndef LAP_FOREIGN_TEXTS_H
#define LAP_FOREIGN_TEXTS_H

#include <stddef.h>
#include <stdint.h>

struct lap_foreign_texts {
    char *bytes; /* each text with a 0 behind it */
    size_t used, room;
    size_t *starts; /* count + 1 of them */
    uint32_t *buckets;
    uint32_t count, start_room, bucket_count;
};
#define LAP_FOREIGN_NONE UINT32_MAX

/* The number of a text, LAP_FOREIGN_NONE: no memory. */
uint32_t lap_foreign_texts_put(struct lap_foreign_texts *texts, const char *text, size_t bytes);
/* Holds until the next put. ret_bytes may be NULL. */
const char *lap_foreign_texts_get(const struct lap_foreign_texts *texts, uint32_t number, size_t *ret_bytes);
void lap_foreign_texts_done(struct lap_foreign_texts *texts);

#endif
