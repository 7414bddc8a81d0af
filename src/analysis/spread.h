/* SPDX-License-Identifier: MIT
 *
 * How the instances of one run vary, and so how exact their mean and percentiles are, as far as the noise inside the run
 * goes.
 */
#ifndef LAP_SPREAD_H
#define LAP_SPREAD_H

#include "distribution.h"
#include "percentiles.h"

#include <stddef.h>

struct lap_spread_quantile {
    double ns;
    double least_ns, most_ns; /* it lies between these: a bucket's ends, and a tick of the clock more */
    double low_ns,
        high_ns; /* the 95 % interval, with that; 0 and INFINITY where there are too few instances to bound it */
};

struct lap_spread {
    double mean_ns;
    double mean_error; /* the standard error of the mean's logarithm; INFINITY: not known */
    double degrees;    /* of freedom, of the errors */
    struct lap_spread_quantile p50, p99;
    struct lap_percentiles percentiles;
};

/* Of instances in the order in which they came, at least one. Neighbours may be alike, so from 40 on errors are those of
 * the means of 20 batches. Returns 0 or -ENOMEM. */
int lap_spread_of_samples(struct lap_spread *ret_spread, const double *samples_ns, size_t count, double tick_ns);
/* Of a histogram with samples, which knows no order: as if each instance were independent of the others. */
void lap_spread_of_distribution(struct lap_spread *ret_spread, const struct lap_distribution *distribution);

#endif
