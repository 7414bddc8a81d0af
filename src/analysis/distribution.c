/* SPDX-License-Identifier: MIT */
#include "distribution.h"

#include "statistics.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

static bool is_same_rate(double rate) { return rate > 1 - RATE_TOLERANCE && rate < 1 + RATE_TOLERANCE; }

/* Adds an octave's counters of a clock that is `rate` times ours. */
static int octave_add(struct lap_distribution *distribution, uint32_t octave, const uint64_t *counters, double rate)
{
    const bool is_same = is_same_rate(rate);
    for (uint32_t counter = 0; counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
        if (counters[counter] == 0)
            continue;
        const int code = is_same ? count_add(distribution, octave, counter, counters[counter])
                                 : bucket_spread(distribution, (double)lap_histogram_least(octave, counter) * rate,
                                                 (double)lap_histogram_width(octave) * rate, counters[counter]);
        if (code < 0)
            return code;
    }
    return 0;
}

static void totals_add(struct lap_distribution *distribution, uint64_t count, double total_ns, double min_ns,
                       double max_ns)
{
    if (distribution->count == 0 || min_ns < distribution->min_ns)
        distribution->min_ns = min_ns;
    if (distribution->count == 0 || max_ns > distribution->max_ns)
        distribution->max_ns = max_ns;
    distribution->count += count;
    distribution->total_ns += total_ns;
}

int lap_distribution_add(struct lap_distribution *distribution, const struct lap_format_statistics *heap,
                         const struct lap_format_cell *cell, double ns_per_tick)
{
    if (cell->count == 0)
        return 0;
    if (distribution->ns_per_tick == 0)
        distribution->ns_per_tick = ns_per_tick;
    totals_add(distribution, cell->count, (double)cell->sum_ticks * ns_per_tick, (double)cell->min_ticks * ns_per_tick,
               (double)cell->max_ticks * ns_per_tick);
    int code = 0;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES && code == 0; octave++)
        if (cell->chunks[octave] != 0)
            code = octave_add(distribution, octave,
                              (const uint64_t *)(const void *)((const char *)heap +
                                                               (size_t)cell->chunks[octave] * LAP_FORMAT_UNIT_BYTES),
                              ns_per_tick / distribution->ns_per_tick);
    return code;
}

int lap_distribution_add_one(struct lap_distribution *distribution, double ns)
{
    if (distribution->ns_per_tick == 0)
        distribution->ns_per_tick = 1;
    totals_add(distribution, 1, ns, ns, ns);
    const double ticks = ns / distribution->ns_per_tick;
    const uint32_t bucket = lap_histogram_bucket(ticks < 0x1p62 ? (uint64_t)ticks : UINT64_C(1) << 62);
    return count_add(distribution, LAP_HISTOGRAM_OCTAVE(bucket), LAP_HISTOGRAM_COUNTER(bucket), 1);
}

int lap_distribution_join(struct lap_distribution *distribution, const struct lap_distribution *other)
{
    if (other->count == 0)
        return 0;
    if (distribution->ns_per_tick == 0)
        distribution->ns_per_tick = other->ns_per_tick;
    totals_add(distribution, other->count, other->total_ns, other->min_ns, other->max_ns);
    int code = 0;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES && code == 0; octave++)
        if (other->octaves[octave])
            code =
                octave_add(distribution, octave, other->octaves[octave], other->ns_per_tick / distribution->ns_per_tick);
    return code;
}

/* Where the buckets that have samples begin and end, within what is known of the whole. */
static void bounds_find(struct lap_distribution *recent, double least_ns, double most_ns)
{
    bool is_first = true;
    recent->min_ns = least_ns;
    recent->max_ns = most_ns;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        for (uint32_t counter = 0; recent->octaves[octave] && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            if (recent->octaves[octave][counter] == 0)
                continue;
            const double least = (double)lap_histogram_least(octave, counter) * recent->ns_per_tick;
            const double most = least + (double)(lap_histogram_width(octave) - 1) * recent->ns_per_tick;
            if (is_first && least > least_ns)
                recent->min_ns = least;
            is_first = false;
            recent->max_ns = most < most_ns ? most : most_ns;
        }
}

int lap_distribution_since(struct lap_distribution *recent, const struct lap_distribution *before,
                           const struct lap_distribution *after)
{
    lap_distribution_clear(recent);
    recent->ns_per_tick = after->ns_per_tick;
    if (after->count <= before->count)
        return 0;
    /* Ticks are exact; what a tick takes may have been measured anew in between. */
    const double rate = before->ns_per_tick > 0 ? after->ns_per_tick / before->ns_per_tick : 1;
    const double total_ns = after->total_ns - before->total_ns * rate;
    recent->count = after->count - before->count;
    recent->total_ns = total_ns > 0 ? total_ns : 0;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        for (uint32_t counter = 0; after->octaves[octave] && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            const uint64_t had = before->octaves[octave] ? before->octaves[octave][counter] : 0;
            const uint64_t has = after->octaves[octave][counter];
            const int code = has > had ? count_add(recent, octave, counter, has - had) : 0;
            if (code < 0)
                return code;
        }
    bounds_find(recent, after->min_ns, after->max_ns);
    const double half_tick_ns = after->ns_per_tick / 2;
    if (before->count == 0 || after->max_ns > before->max_ns * rate + half_tick_ns)
        recent->max_ns = after->max_ns;
    if (before->count == 0 || after->min_ns < before->min_ns * rate - half_tick_ns)
        recent->min_ns = after->min_ns;
    return 0;
}

void lap_distribution_clear(struct lap_distribution *distribution)
{
    struct lap_distribution empty = {0};
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        if ((empty.octaves[octave] = distribution->octaves[octave]))
            memset(empty.octaves[octave], 0, LAP_FORMAT_CHUNK_COUNTERS * sizeof **empty.octaves);
    *distribution = empty;
}

void lap_distribution_done(struct lap_distribution *distribution)
{
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++) {
        free(distribution->octaves[octave]);
        distribution->octaves[octave] = NULL;
    }
}

/* A bucket with samples: its ticks, the first to the last, as far as they are between the least and the greatest. */
struct bucket {
    double least_ns, most_ns;
    double before, samples; /* how many samples are in the buckets before, and in it */
};

static struct bucket bucket_make(const struct lap_distribution *distribution, uint32_t octave, uint32_t counter,
                                 double before)
{
    const double first = (double)lap_histogram_least(octave, counter), width = (double)lap_histogram_width(octave);
    struct bucket bucket = {first * distribution->ns_per_tick, (first + width - 1) * distribution->ns_per_tick, before,
                            (double)distribution->octaves[octave][counter]};
    bucket.least_ns = bucket.least_ns < distribution->min_ns ? distribution->min_ns : bucket.least_ns;
    bucket.most_ns = bucket.most_ns > distribution->max_ns ? distribution->max_ns : bucket.most_ns;
    bucket.most_ns = bucket.most_ns < bucket.least_ns ? bucket.least_ns : bucket.most_ns;
    return bucket;
}

/* The bucket that the sample of a rank is in; the last one, if there are not so many. Zeros: there is none. */
static struct bucket bucket_at(const struct lap_distribution *distribution, double rank)
{
    struct bucket bucket = {0};
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        for (uint32_t counter = 0; distribution->octaves[octave] && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            if (distribution->octaves[octave][counter] == 0)
                continue;
            bucket = bucket_make(distribution, octave, counter, bucket.before + bucket.samples);
            if (bucket.before + bucket.samples >= rank)
                return bucket;
        }
    return bucket;
}

double lap_distribution_quantile_ns(const struct lap_distribution *distribution, double q)
{
    const double rank = q * (double)distribution->samples;
    const struct bucket bucket = bucket_at(distribution, rank);
    const double width = bucket.most_ns - bucket.least_ns, within = rank - bucket.before;
    const double value =
        within > bucket.samples ? bucket.most_ns : bucket.least_ns + (within > 0 ? width * within / bucket.samples : 0);
    return value < distribution->max_ns ? value : distribution->max_ns;
}

void lap_distribution_quantile_bounds(const struct lap_distribution *distribution, double q, double *ret_least_ns,
                                      double *ret_most_ns)
{
    const struct bucket bucket = bucket_at(distribution, q * (double)distribution->samples);
    *ret_least_ns = bucket.least_ns;
    *ret_most_ns = bucket.most_ns;
}

double lap_distribution_variance(const struct lap_distribution *distribution)
{
    if (distribution->samples < 2)
        return 0;
    const double mean_ns = distribution->total_ns / (double)distribution->count;
    double squares = 0;
    for (uint32_t octave = 0; octave < LAP_FORMAT_OCTAVES; octave++)
        for (uint32_t counter = 0; distribution->octaves[octave] && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++) {
            if (distribution->octaves[octave][counter] == 0)
                continue;
            const struct bucket bucket = bucket_make(distribution, octave, counter, 0);
            const double width_ns = bucket.most_ns - bucket.least_ns;
            const double off_ns = bucket.least_ns + width_ns / 2 - mean_ns;
            squares += bucket.samples * (off_ns * off_ns + width_ns * width_ns / 12); /* as if even in its bucket */
        }
    return squares / (double)(distribution->samples - 1);
}

uint64_t lap_distribution_octave(const struct lap_distribution *distribution, uint32_t octave, double *ret_least_ns,
                                 double *ret_end_ns)
{
    uint64_t samples = 0;
    for (uint32_t counter = 0; distribution->octaves[octave] && counter < LAP_FORMAT_CHUNK_COUNTERS; counter++)
        samples += distribution->octaves[octave][counter];
    *ret_least_ns = (double)lap_histogram_least(octave, 0) * distribution->ns_per_tick;
    *ret_end_ns = (double)(lap_histogram_least(octave, LAP_FORMAT_CHUNK_COUNTERS - 1) + lap_histogram_width(octave)) *
                  distribution->ns_per_tick;
    return samples;
}
