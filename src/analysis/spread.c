/* SPDX-License-Identifier: MIT */
#include "spread.h"

#include "order.h"
#include "ratio.h"
#include "student.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCHES = 20 }; /* more would be too short, fewer too few (Schmeiser, "Batch size effects", 1982) */
#define BATCHED_MIN (2 * BATCHES)
#define TAIL ((1 - LAP_RATIO_LEVEL) / 2)

/* ---- instances ----------------------------------------------------------------------------------------------------- */

/* A share of instances, those up to a value, or the mean of all: what is added up of each. */
static double value_of(double sample_ns, double upto_ns) { return isnan(upto_ns) ? sample_ns : sample_ns <= upto_ns; }

static double mean_of(const double *samples_ns, size_t count, double upto_ns)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += value_of(samples_ns[i], upto_ns);
    return sum / (double)count;
}

/* The standard error of the mean of values in their order; NAN for `upto_ns`: of the samples themselves. */
static double error_of(const double *samples_ns, size_t count, double upto_ns, double *ret_degrees)
{
    const size_t batches = count >= BATCHED_MIN ? BATCHES : count, each = count / batches;
    const double mean = mean_of(samples_ns, batches * each, upto_ns);
    double squares = 0;
    *ret_degrees = (double)batches - 1;
    if (batches < 2)
        return INFINITY;
    for (size_t i = 0; i < batches; i++) {
        const double deviation = mean_of(samples_ns + i * each, each, upto_ns) - mean;
        squares += deviation * deviation;
    }
    return sqrt(squares / (double)(batches - 1) / (double)batches);
}

/* ---- percentiles: between which shares of the instances they are --------------------------------------------------- */

/* From the sorted instances, by the ranks of the shares (David and Nagaraja, "Order Statistics", 2003, 7.1). */
static double at_rank(const double *sorted_ns, size_t count, double rank)
{
    return rank < 1 ? 0 : rank > (double)count ? INFINITY : sorted_ns[(size_t)rank - 1];
}

/* What the share of instances up to a percentile may be off by: at least as much as of independent ones. */
static double share_error(double q, double count, double batched_error)
{
    const double independent = sqrt(q * (1 - q) / count);
    return batched_error > independent ? batched_error : independent;
}

static double relative_error(double error_ns, double mean_ns) { return mean_ns > 0 ? error_ns / mean_ns : INFINITY; }

static const double shares[] = {0.5, 0.99};

/* A duration is a difference of two readings, each of which may be off by up to a tick, either way. */
static void widen(struct lap_spread_quantile *quantile, double tick_ns)
{
    quantile->least_ns = fmax(quantile->least_ns - tick_ns, 0);
    quantile->most_ns += tick_ns;
    quantile->low_ns = fmax(quantile->low_ns - tick_ns, 0);
    quantile->high_ns += tick_ns;
}

int lap_spread_of_samples(struct lap_spread *ret_spread, const double *samples_ns, size_t count, double tick_ns)
{
    struct lap_spread_quantile *const quantiles[] = {&ret_spread->p50, &ret_spread->p99};
    double *const sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    memcpy(sorted, samples_ns, count * sizeof *sorted);
    lap_order_sort(sorted, count);
    ret_spread->mean_ns = mean_of(samples_ns, count, NAN);
    ret_spread->mean_error = relative_error(error_of(samples_ns, count, NAN, &ret_spread->degrees), ret_spread->mean_ns);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const double ns = lap_percentiles_sorted_quantile(sorted, count, shares[i]), n = (double)count;
        double degrees = INFINITY;
        const double batched = count >= BATCHED_MIN ? error_of(samples_ns, count, ns, &degrees) : 0;
        const double wide = share_error(shares[i], n, batched) * lap_student_quantile(TAIL, degrees);
        *quantiles[i] = (struct lap_spread_quantile){ns, ns, ns, at_rank(sorted, count, floor(n * (shares[i] - wide))),
                                                     at_rank(sorted, count, ceil(n * (shares[i] + wide)) + 1)};
        widen(quantiles[i], tick_ns);
    }
    lap_percentiles_of_sorted(&ret_spread->percentiles, sorted, count);
    free(sorted);
    return 0;
}

/* ---- histograms ---------------------------------------------------------------------------------------------------- */

void lap_spread_of_distribution(struct lap_spread *ret_spread, const struct lap_distribution *distribution)
{
    struct lap_spread_quantile *const quantiles[] = {&ret_spread->p50, &ret_spread->p99};
    const double n = (double)distribution->samples;
    ret_spread->mean_ns = distribution->total_ns / (double)distribution->count;
    ret_spread->degrees = n - 1;
    ret_spread->mean_error =
        relative_error(n > 1 ? sqrt(lap_distribution_variance(distribution) / n) : INFINITY, ret_spread->mean_ns);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        struct lap_spread_quantile quantile = {.ns = lap_distribution_quantile_ns(distribution, shares[i])};
        const double wide = share_error(shares[i], n, 0) * lap_student_quantile(TAIL, INFINITY);
        const double low = shares[i] - wide - 1 / n, high = shares[i] + wide + 1 / n;
        double unused;
        lap_distribution_quantile_bounds(distribution, shares[i], &quantile.least_ns, &quantile.most_ns);
        quantile.high_ns = INFINITY;
        if (low > 0)
            lap_distribution_quantile_bounds(distribution, low, &quantile.low_ns, &unused);
        if (high <= 1)
            lap_distribution_quantile_bounds(distribution, high, &unused, &quantile.high_ns);
        widen(&quantile, distribution->ns_per_tick);
        *quantiles[i] = quantile;
    }
    lap_percentiles_of_distribution(&ret_spread->percentiles, distribution);
}
