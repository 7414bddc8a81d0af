/* SPDX-License-Identifier: MIT
 *
 * How a mean changed from some runs to others, with an interval. What varies is the run: instances of one run share its
 * noise, so an interval over pooled instances would be far too narrow (Kalibera and Jones, "Rigorous benchmarking in
 * reasonable time", 2013).
 */
#ifndef LAP_RATIO_H
#define LAP_RATIO_H

#include <stdbool.h>
#include <stddef.h>

/* What a run contributes to its side's mean, which is the sum of all sums by that of all weights: a total by a count, or
 * a value by 1. A run of weight 0 says nothing. */
struct lap_ratio_run {
    double sum, weight;
};

/* The logarithm of a ratio, and how exact it is. */
struct lap_ratio {
    double log_ratio;
    double log_error;         /* its standard error; INFINITY: not known */
    double degrees;           /* of freedom, of the error */
    double log_low, log_high; /* the 95 % interval; infinite where the error is not known */
};
#define LAP_RATIO_LEVEL 0.95
#define LAP_RATIO_RESAMPLED_RUNS 5u /* from so many a side on they are resampled */

/* Of runs. By Welch's t on the logarithm, the error by linearization; from LAP_RATIO_RESAMPLED_RUNS a side on the runs
 * are also resampled, and the interval is what that and t hold together: where both sides are skewed alike resampling
 * falls short, where one is t does. It holds 1 where Welch's interval of the difference holds 0. If one side has a
 * single run, it is taken to vary as the other's do. Both sides must have a sum and a weight above 0. Returns 0 or
 * -ENOMEM. Cost: with resampling 2000 times the runs. */
int lap_ratio_of_runs(struct lap_ratio *ret_ratio, const struct lap_ratio_run *base, size_t base_count,
                      const struct lap_ratio_run *next, size_t next_count);

/* The mean of one side's runs, and how exact it is. */
struct lap_ratio_mean {
    double mean;
    double error, degrees; /* its standard error; INFINITY: not known */
};
struct lap_ratio_mean lap_ratio_mean_of(const struct lap_ratio_run *runs, size_t count);
/* Half the width of a 95 % interval. */
double lap_ratio_half_width(double error, double degrees);

/* Of two means whose errors are known, as Welch's t: errors of their logarithms, or for a difference (and its interval)
 * of themselves. */
void lap_ratio_of_errors(struct lap_ratio *ret_ratio, double log_ratio, double base_error, double base_degrees,
                         double next_error, double next_degrees);

/* The chance to see so much or more where nothing changed, on either side of 0; 1 where the error is not known. */
double lap_ratio_chance(const struct lap_ratio *ratio);
/* The least change, as a logarithm, that would be seen in four of five cases by a test whose chance to be wrong is
 * `alpha`. */
double lap_ratio_detectable(const struct lap_ratio *ratio, double alpha);

#endif
