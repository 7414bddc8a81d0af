/* SPDX-License-Identifier: MIT */
#include "distribution.h"

#include "statistics.h"

#include <errno.h>
#include <stdlib.h>

/* Clocks whose rates differ less than this share their buckets: the error is far below a bucket's width. */
#define RATE_TOLERANCE 1e-3

static uint64_t *octave_get(struct lap_distribution *distribution, uint32_t octave)
{
    if (!distribution->octaves[octave])
        distribution->octaves[octave] = calloc(LAP_FORMAT_CHUNK_COUNTERS, sizeof **distribution->octaves);
    return distribution->octaves[octave];
}

static int count_add(struct lap_distribution *distribution, uint32_t octave, uint32_t counter, uint64_t samples)
{
    uint64_t *const counters = octave < LAP_FORMAT_OCTAVES ? octave_get(distribution, octave) : NULL;
    if (!counters)
        return -ENOMEM;
    counters[counter] += samples;
    distribution->samples += samples;
    return 0;
}

/* Spreads a bucket [least, least + width) of another clock evenly over ours. */
static int bucket_spread(struct lap_distribution *distribution, double least, double width, uint64_t samples)
{
    const double end = least + width;
    uint64_t given = 0;
    for (double at = least; given < samples;) {
        const uint32_t bucket = lap_histogram_bucket(at < 0x1p62 ? (uint64_t)at : UINT64_C(1) << 62);
        const uint32_t octave = LAP_HISTOGRAM_OCTAVE(bucket), counter = LAP_HISTOGRAM_COUNTER(bucket);
        const double next = (double)lap_histogram_least(octave, counter) + (double)lap_histogram_width(octave);
        uint64_t upto = next >= end ? samples : (uint64_t)((double)samples * (next - least) / width + 0.5);
        upto = upto > samples ? samples : upto;
        if (upto > given) {
            const int code = count_add(distribution, octave, counter, upto - given);
            if (code < 0)
                return code;
            given = upto;
        }
        at = next;
    }
    return 0;
}

int lap_distribution_add(struct lap_distribution *distribution, const struct lap_format_statistics *heap,
                         const struct lap_format_cell *cell, double ns_per_tick)
{
    if (cell->count == 0)
        return 0;
    if (distribution->ns_per_tick == 0)
        distribution->ns_per_tick = ns_per_tick;
    const double rate = ns_per_tick / distribution->ns_per_tick;
    const int is_same = rate > 1 - RATE_TOLERANCE && rate < 1 + RATE_TOLERANCE;
    const double min_ns = (double)cell->min_ticks * ns_per_tick, max_ns = (double)cell->max_ticks * ns_per_tick;
    if (distribution->count == 0 || min_ns < distribution->min_ns)
        distribution->min_ns = min_ns;
    if (distribution->count == 0 || max_ns > distribution->max_ns)
        distribution->max_ns = max_ns;
    distribution->count += cell->count;
    distribution->total_ns += (double)cell->sum_ticks * ns_per_tick;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        if (cell->chunks[octave] == 0)
            continue;
        const uint64_t *const counters =
            (const uint64_t *)(const void *)((const char *)heap + (size_t)cell->chunks[octave] * LAP_FORMAT_UNIT_BYTES);
        for (uint32_t counter = 0; counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            if (counters[counter] == 0)
                continue;
            const int code = is_same ? count_add(distribution, octave, counter, counters[counter])
                                     : bucket_spread(distribution, (double)lap_histogram_least(octave, counter) * rate,
                                                     (double)lap_histogram_width(octave) * rate, counters[counter]);
            if (code < 0)
                return code;
        }
    }
    return 0;
}

void lap_distribution_done(struct lap_distribution *distribution)
{
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        free(distribution->octaves[octave]);
        distribution->octaves[octave] = NULL;
    }
}

double lap_distribution_quantile_ns(const struct lap_distribution *distribution, double q)
{
    const double rank = q * (double)distribution->samples;
    double before = 0, value = 0;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        const uint64_t *const counters = distribution->octaves[octave];
        for (uint32_t counter = 0; counters && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            const double samples = (double)counters[counter];
            if (samples == 0)
                continue;
            /* The bucket's ticks, the first to the last, as far as they are between the least and the greatest. */
            double least = (double)lap_histogram_least(octave, counter) * distribution->ns_per_tick;
            double most = ((double)lap_histogram_least(octave, counter) + (double)lap_histogram_width(octave) - 1) *
                          distribution->ns_per_tick;
            least = least < distribution->min_ns ? distribution->min_ns : least;
            most = most > distribution->max_ns ? distribution->max_ns : most;
            most = most < least ? least : most;
            value = before + samples >= rank ? least + (most - least) * (rank > before ? (rank - before) / samples : 0)
                                             : most;
            if (before + samples >= rank)
                return value < distribution->max_ns ? value : distribution->max_ns;
            before += samples;
        }
    }
    return value;
}
