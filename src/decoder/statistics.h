/* SPDX-License-Identifier: MIT
 *
 * Exact statistics of every path: count, sum, least, greatest and a log-linear histogram of 16 buckets an octave (relative
 * error at most 1/16), with 64-bit counts. They are brought up to date from stored events by lap_statistics_run(), in the
 * recorder each time a block of the ring is full, in the reader for what the recorder had not come to.
 */
#ifndef LAP_STATISTICS_H
#define LAP_STATISTICS_H

#include "decode.h"
#include "paths.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_STATISTICS_CACHE 1024u

/* Where a class's cell under a parent is: one entry a class, so that what comes at random still hits. */
struct lap_statistics_cached {
    uint64_t key;   /* (parent + 1) << 32 | class, and a bit for checkpoints; 0 is empty */
    uint32_t unit;  /* of the cell */
    uint32_t bytes; /* of the events, where they have one size and are checkpoints or plain begins; else 0 */
};

/* One ring's statistics. `heap` is a struct lap_format_statistics and its units: mapped by the owner, who makes it longer
 * in `grow`. */
struct lap_statistics {
    struct lap_format_statistics *heap;
    uint32_t units; /* how many the memory has room for */
    struct lap_paths *paths;
    uint16_t *cell_of_path;              /* LAP_FORMAT_PATHS entries, 0: none yet */
    struct lap_statistics_cached *cache; /* LAP_STATISTICS_CACHE, zeros */
    /* Makes room for more units: moves heap, sets heap and units. 0, or negative: there is no more. May be NULL. */
    int (*grow)(struct lap_statistics *);
    /* Called where a path is met first, before its cell is made: a heap whose path table is closed may move. May be NULL. */
    void (*before_cell)(struct lap_statistics *);
    void *owner;
    uint64_t sequence; /* of the segment being run, shifted: for `applied` */
};

/* Writes the header of a new heap, or takes over a stored one (cell_of_path is filled from its cells). Memory is the
 * caller's. */
void lap_statistics_init(struct lap_statistics *statistics);

/* Applies the events of a segment from `from` to `to`; see lap_decode. The heap's `applied` follows event by event. */
struct lap_decode_result lap_statistics_run(struct lap_statistics *statistics, struct lap_decoder *decoder,
                                            const void *segment, uint64_t begin_ticks, uint64_t sequence, uint32_t from,
                                            uint32_t to);

/* The same for a few events: stops in front of the first that needs the general way, and returns its offset. The heap's
 * count of events is the caller's to add to, from the decoder's. */
uint32_t lap_statistics_run_short(struct lap_statistics *statistics, struct lap_decoder *decoder, const void *segment,
                                  uint64_t begin_ticks, uint64_t sequence, uint32_t from, uint32_t to);

/* A path's cell, or NULL. */
struct lap_format_cell *lap_statistics_cell(const struct lap_statistics *statistics, uint32_t path);

/* The bucket of a value: octave 0 are the values 0 to 15, then each octave doubles the one before, in 16 counters. Back: the
 * least value of a bucket and its width. */
static inline __attribute__((always_inline)) unsigned lap_histogram_shift(uint64_t value)
{
    return (63u ^ (unsigned)__builtin_clzll(value | 16)) - 4;
}
static inline __attribute__((always_inline)) uint32_t lap_histogram_bucket(uint64_t value)
{
    const unsigned shift = lap_histogram_shift(value);
    return (shift << 4) + (uint32_t)(value >> shift);
}
#define LAP_HISTOGRAM_OCTAVE(bucket) ((bucket) >> 4)
#define LAP_HISTOGRAM_COUNTER(bucket) ((bucket)&15u)
static inline uint64_t lap_histogram_least(uint32_t octave, uint32_t counter)
{
    return octave == 0 ? counter : (UINT64_C(16) + counter) << (octave - 1);
}
static inline uint64_t lap_histogram_width(uint32_t octave) { return octave == 0 ? 1 : UINT64_C(1) << (octave - 1); }

/* Adds one value to a cell. Returns 0, or -ENOMEM when the histogram had no memory (the rest is counted all the same). */
int lap_statistics_add(struct lap_statistics *statistics, uint32_t path, uint64_t ticks);

#endif
