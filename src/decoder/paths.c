/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "paths.h"

#include "lapmark/abi.h"

#include <signal.h>

/* The last entries are kept for the classes' own paths once the table is full. */
#define PATHS_FOR_OTHER 2048u

static uint32_t paths_hash(uint32_t parent, uint32_t class_id)
{
    const uint64_t key = (uint64_t)parent << 32 | class_id;
    return (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (LAP_PATHS_BUCKETS - 1);
}

/* The bucket that holds the pair, or the empty one where it belongs. */
static uint32_t *paths_bucket(const struct lap_paths *paths, uint32_t parent, uint32_t class_id)
{
    for (uint32_t i = paths_hash(parent, class_id);; i = (i + 1) & (LAP_PATHS_BUCKETS - 1)) {
        const uint32_t path = __atomic_load_n(&paths->buckets[i], __ATOMIC_ACQUIRE);
        if (path == 0)
            return &paths->buckets[i];
        const struct lap_format_path *const entry = &paths->entries[path - 1];
        if (entry->parent == parent && entry->class_id == class_id)
            return &paths->buckets[i];
    }
}

void lap_paths_init(struct lap_paths *paths, void *memory, uint32_t *buckets)
{
    paths->header = memory;
    paths->entries = (struct lap_format_path *)(void *)(paths->header + 1);
    paths->buckets = buckets;
    pthread_mutex_init(&paths->lock, NULL);
    if (paths->header->magic != LAP_FORMAT_PATHS_MAGIC || paths->header->count < 2) {
        paths->header->version = LAP_FORMAT_VERSION;
        paths->entries[LAP_PATHS_ROOT] = (struct lap_format_path){LAP_FORMAT_PATH_NONE, 0};
        paths->entries[LAP_PATHS_OTHER] = (struct lap_format_path){LAP_PATHS_ROOT, LAP_FORMAT_REST};
        paths->header->count = 2;
        paths->header->magic = LAP_FORMAT_PATHS_MAGIC;
    }
    if (paths->header->count > LAP_FORMAT_PATHS)
        paths->header->count = LAP_FORMAT_PATHS;
    for (uint32_t path = 1; path < paths->header->count; path++) {
        const struct lap_format_path *const entry = &paths->entries[path];
        uint32_t *const bucket = entry->parent < path ? paths_bucket(paths, entry->parent, entry->class_id) : NULL;
        if (!bucket) {
            paths->header->count = path;
            break;
        }
        if (*bucket == 0)
            *bucket = path + 1;
    }
}

uint32_t lap_paths_get(struct lap_paths *paths, uint32_t parent, uint32_t class_id)
{
    const uint32_t *const found = paths_bucket(paths, parent, class_id);
    const uint32_t known = __atomic_load_n(found, __ATOMIC_ACQUIRE);
    if (known != 0)
        return known - 1;

    /* A handler that left by siglongjmp would leave the lock taken. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_mutex_lock(&paths->lock);
    uint32_t *bucket = paths_bucket(paths, parent, class_id);
    const uint32_t count = paths->header->count;
    if (*bucket == 0 && count >= LAP_FORMAT_PATHS - PATHS_FOR_OTHER && parent != LAP_PATHS_OTHER) {
        parent = LAP_PATHS_OTHER;
        bucket = paths_bucket(paths, parent, class_id);
    }
    uint32_t path = *bucket == 0 ? LAP_PATHS_OTHER : *bucket - 1;
    if (*bucket == 0 && count < LAP_FORMAT_PATHS) {
        path = count;
        paths->entries[path] = (struct lap_format_path){parent, class_id};
        LAP_I_POINT("path not counted");
        __atomic_store_n(&paths->header->count, count + 1, __ATOMIC_RELEASE);
        __atomic_store_n(bucket, path + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&paths->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return path;
}
