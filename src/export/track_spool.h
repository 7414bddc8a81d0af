/* SPDX-License-Identifier: MIT
 *
 * Openings and closings on many tracks, which come mixed by time and are to be read track by track: in an unnamed file, with the last few
 * of each track in memory, a bounded number of bytes for all. What an opening opens may be said later. An error is kept, and what
 * comes after it does nothing. One thread.
 */
#ifndef LAP_TRACK_SPOOL_H
#define LAP_TRACK_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#define LAP_SPOOL_CLOSE UINT32_MAX       /* as a frame: closes the innermost one that is open */
#define LAP_SPOOL_UNSET (UINT32_MAX - 1) /* an opening of which nothing was said */

struct lap_spool_record {
    uint32_t at_low, at_high;
    uint32_t frame;
};
static inline uint64_t lap_spool_at(const struct lap_spool_record *record)
{
    return (uint64_t)record->at_high << 32 | record->at_low;
}

struct lap_spool_track {
    uint32_t first, last; /* blocks */
    uint32_t records;     /* in the last */
    uint64_t at;          /* of its newest record */
};

struct lap_spool {
    const char *directory; /* for the file; not owned */
    int fd;                /* -1: not needed yet */
    int error;             /* 0 or a negative errno */
    struct lap_spool_track *tracks;
    uint32_t track_count, track_room;
    uint32_t block_count;
    struct lap_spool_block *blocks; /* the last of some tracks */
    uint32_t *owners;               /* of those: a track + 1 */
};

/* Returns 0 or -ENOMEM. */
int lap_spool_init(struct lap_spool *spool, const char *directory);
void lap_spool_done(struct lap_spool *spool);

/* The number of a new track, from 0. */
uint32_t lap_spool_track_make(struct lap_spool *spool);
/* `at` is not before that of the track's newest record, or else becomes that. Returns where the record is. */
uint64_t lap_spool_add(struct lap_spool *spool, uint32_t track, uint64_t at, uint32_t frame);
void lap_spool_set(struct lap_spool *spool, uint32_t track, uint64_t where, uint32_t frame);

/* All of a track's, in order, a block at a time; of all tracks there are block_count. */
void lap_spool_read(struct lap_spool *spool, uint32_t track,
                    void (*see)(void *user, const struct lap_spool_record *records, size_t count), void *user);
/* Forgets all tracks and their records. */
void lap_spool_clear(struct lap_spool *spool);

#endif
