/* SPDX-License-Identifier: MIT
 *
 * How durations are distributed: histograms of any number of threads and processes added up. Buckets are those of the
 * stored statistics (16 an octave of ticks); other clocks' buckets are spread over them.
 */
#ifndef LAP_DISTRIBUTION_H
#define LAP_DISTRIBUTION_H

#include "lapmark/format.h"

#include <stdint.h>

struct lap_distribution {
    double ns_per_tick; /* of the first that was added; 0: none yet */
    uint64_t samples;   /* in the buckets: may be less than the count, where there was no memory for them */
    uint64_t count;
    double total_ns, min_ns, max_ns;
    uint64_t *octaves[LAP_FORMAT_OCTAVES]; /* 16 counters each, NULL: none */
};

/* Adds a cell of a heap whose references have been checked. Returns 0 or -ENOMEM. */
int lap_distribution_add(struct lap_distribution *distribution, const struct lap_format_statistics *heap,
                         const struct lap_format_cell *cell, double ns_per_tick);
/* Adds one duration; its buckets are those of a clock of 1 ns, if it is the first. Returns 0 or -ENOMEM. Warm. */
int lap_distribution_add_one(struct lap_distribution *distribution, double ns);
/* Adds another one. Returns 0 or -ENOMEM. */
int lap_distribution_join(struct lap_distribution *distribution, const struct lap_distribution *other);
/* What came between two moments of one clock's distribution, into `recent`, whose memory is used again. The counts are exact;
 * the greatest is exact where it is the greatest of all so far, else the end of the last bucket that something came into;
 * likewise the least. Returns 0 or -ENOMEM. */
int lap_distribution_since(struct lap_distribution *recent, const struct lap_distribution *before,
                           const struct lap_distribution *after);
/* Empties it, and keeps its memory. */
void lap_distribution_clear(struct lap_distribution *distribution);
void lap_distribution_done(struct lap_distribution *distribution);

/* The value that a share `q` of the samples (0 to 1) does not exceed: interpolated in its bucket, never outside of the
 * least and the greatest. 0 with no samples. */
double lap_distribution_quantile_ns(const struct lap_distribution *distribution, double q);
/* Between which values that is: its bucket's ends. Zeros with no samples. */
void lap_distribution_quantile_bounds(const struct lap_distribution *distribution, double q, double *ret_least_ns,
                                      double *ret_most_ns);
/* The variance of the samples, in ns squared, by the middles of their buckets. 0 with fewer than two. */
double lap_distribution_variance(const struct lap_distribution *distribution);

/* How many samples an octave has (below LAP_FORMAT_OCTAVES), and where it begins and ends. */
uint64_t lap_distribution_octave(const struct lap_distribution *distribution, uint32_t octave, double *ret_least_ns,
                                 double *ret_end_ns);

#endif
