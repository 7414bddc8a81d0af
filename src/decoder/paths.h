/* SPDX-License-Identifier: MIT
 *
 * The paths of a process: every chain of labels from the root that was met, numbered. Bounded; past the bound a site has
 * one path for wherever it is met. Memory is the caller's. Threads: lap_paths_get from any number at once.
 */
#ifndef LAP_PATHS_H
#define LAP_PATHS_H

#include "lapmark/format.h"

#include <pthread.h>
#include <stdint.h>

#define LAP_PATHS_ROOT 0u
#define LAP_PATHS_OTHER 1u /* the parent of the paths past the bound */
#define LAP_PATHS_BUCKETS (2u * LAP_FORMAT_PATHS)

struct lap_paths {
    struct lap_format_paths *header; /* followed by LAP_FORMAT_PATHS entries */
    struct lap_format_path *entries;
    uint32_t *buckets;    /* LAP_PATHS_BUCKETS, path + 1 */
    pthread_mutex_t lock; /* of those who add */
};

/* Bytes of the header and entries, and of the buckets. */
#define LAP_PATHS_BYTES (sizeof(struct lap_format_paths) + LAP_FORMAT_PATHS * sizeof(struct lap_format_path))
#define LAP_PATHS_BUCKETS_BYTES (LAP_PATHS_BUCKETS * sizeof(uint32_t))

/* `memory` is LAP_PATHS_BYTES, zero or a stored table; `buckets` LAP_PATHS_BUCKETS_BYTES of zeros. Both stay the
 * caller's. A stored table that is damaged is cut before the damage. */
void lap_paths_init(struct lap_paths *paths, void *memory, uint32_t *buckets);

/* The path of `class_id` under `parent`, made if it is new. Never fails: past the bound it is the class's own under
 * LAP_PATHS_OTHER, past that LAP_PATHS_OTHER itself. Warm: no lock where it exists. */
uint32_t lap_paths_get(struct lap_paths *paths, uint32_t parent, uint32_t class_id);

#endif
