/* SPDX-License-Identifier: MIT */
#include "ratio.h"

#include "order.h"
#include "random.h"
#include "student.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 1999, SEED = 20 };
#define POWER 0.8
#define TAIL ((1 - LAP_RATIO_LEVEL) / 2)

/* ---- one side ------------------------------------------------------------------------------------------------------ */

struct side {
    double log_mean;
    double variance; /* of log_mean */
    size_t runs;     /* that have a weight */
};

/* The error of a ratio of sums, linearized (Cochran, "Sampling Techniques", 1977, 6.3), by its square. */
static struct side side_of(const struct lap_ratio_run *runs, size_t count)
{
    struct side side = {0};
    double sum = 0, weight = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += runs[i].sum;
        weight += runs[i].weight;
        side.runs += runs[i].weight > 0;
    }
    const double mean = sum / weight;
    for (size_t i = 0; i < count; i++) {
        const double residual = runs[i].sum - mean * runs[i].weight;
        squares += residual * residual;
    }
    const double n = (double)side.runs;
    side.log_mean = log(mean);
    side.variance = side.runs > 1 ? n / (n - 1) * squares / (sum * sum) : INFINITY;
    return side;
}

struct lap_ratio_mean lap_ratio_mean_of(const struct lap_ratio_run *runs, size_t count)
{
    const struct side side = side_of(runs, count);
    const double mean = exp(side.log_mean);
    return (struct lap_ratio_mean){mean, side.runs > 1 ? mean * sqrt(side.variance) : INFINITY, (double)side.runs - 1};
}

double lap_ratio_half_width(double error, double degrees)
{
    return error > 0 && isfinite(error) ? error * lap_student_quantile(TAIL, degrees) : error;
}

/* ---- two sides ----------------------------------------------------------------------------------------------------- */

void lap_ratio_of_errors(struct lap_ratio *ret_ratio, double log_ratio, double base_error, double base_degrees,
                         double next_error, double next_degrees)
{
    const double p = base_error * base_error, q = next_error * next_error;
    struct lap_ratio ratio = {.log_ratio = log_ratio, .log_error = sqrt(p + q), .degrees = INFINITY};
    if (isfinite(ratio.log_error) && p + q > 0) /* Welch 1947, Satterthwaite 1946 */
        ratio.degrees = (p + q) * (p + q) / (p * p / base_degrees + q * q / next_degrees);
    const double half = lap_ratio_half_width(ratio.log_error, ratio.degrees);
    ratio.log_low = log_ratio - half;
    ratio.log_high = log_ratio + half;
    *ret_ratio = ratio;
}

/* A side with runs drawn anew, each as often as it comes. */
static struct side side_drawn(struct lap_random *random, const struct lap_ratio_run *runs, size_t count,
                              struct lap_ratio_run *room)
{
    for (size_t i = 0; i < count; i++)
        room[i] = runs[lap_random_below(random, count)];
    return side_of(room, count);
}

/* Widens the interval to that of the studentized bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap",
 * 1993, 12.5). */
static int interval_resample(struct lap_ratio *ratio, const struct lap_ratio_run *base, size_t base_count,
                             const struct lap_ratio_run *next, size_t next_count)
{
    double *const deviations = malloc(RESAMPLES * sizeof *deviations);
    struct lap_ratio_run *const room = malloc((base_count > next_count ? base_count : next_count) * sizeof *room);
    if (!deviations || !room) {
        free(deviations);
        free(room);
        return -ENOMEM;
    }
    struct lap_random random;
    lap_random_seed(&random, SEED);
    size_t count = 0;
    for (size_t i = 0; i < RESAMPLES; i++) {
        const struct side p = side_drawn(&random, base, base_count, room);
        const struct side q = side_drawn(&random, next, next_count, room);
        const double error = sqrt(p.variance + q.variance), deviation = q.log_mean - p.log_mean - ratio->log_ratio;
        if (isfinite(error) && isfinite(deviation) && error > 0)
            deviations[count++] = deviation / error;
    }
    if (count > RESAMPLES / 2) {
        const size_t tail = (size_t)(TAIL * (double)(count + 1));
        const double most = lap_order_nth(deviations, count, count - tail);
        const double least = lap_order_nth(deviations, count - tail, tail - 1);
        ratio->log_low = fmin(ratio->log_low, ratio->log_ratio - ratio->log_error * most);
        ratio->log_high = fmax(ratio->log_high, ratio->log_ratio - ratio->log_error * least);
    }
    free(deviations);
    free(room);
    return 0;
}

/* Where one run outweighs all others the error of the logarithm is too small. That of the difference is not: if there may
 * be none, the ratio may be 1. */
static void interval_hold_one(struct lap_ratio *ratio, const struct lap_ratio_run *base, size_t base_count,
                              const struct lap_ratio_run *next, size_t next_count)
{
    const struct lap_ratio_mean p = lap_ratio_mean_of(base, base_count), q = lap_ratio_mean_of(next, next_count);
    struct lap_ratio difference;
    lap_ratio_of_errors(&difference, q.mean - p.mean, p.error, p.degrees, q.error, q.degrees);
    if (difference.log_low <= 0 && difference.log_high >= 0) {
        ratio->log_low = fmin(ratio->log_low, 0);
        ratio->log_high = fmax(ratio->log_high, 0);
    }
}

int lap_ratio_of_runs(struct lap_ratio *ret_ratio, const struct lap_ratio_run *base, size_t base_count,
                      const struct lap_ratio_run *next, size_t next_count)
{
    struct side p = side_of(base, base_count), q = side_of(next, next_count);
    double p_degrees = (double)p.runs - 1, q_degrees = (double)q.runs - 1;
    if (p.runs == 1 && q.runs > 1) {
        p.variance = q.variance * (double)q.runs;
        p_degrees = q_degrees;
    } else if (q.runs == 1 && p.runs > 1) {
        q.variance = p.variance * (double)p.runs;
        q_degrees = p_degrees;
    }
    struct lap_ratio ratio;
    lap_ratio_of_errors(&ratio, q.log_mean - p.log_mean, sqrt(p.variance), p_degrees, sqrt(q.variance), q_degrees);
    if (p.runs >= LAP_RATIO_RESAMPLED_RUNS && q.runs >= LAP_RATIO_RESAMPLED_RUNS && ratio.log_error > 0) {
        const int code = interval_resample(&ratio, base, base_count, next, next_count);
        if (code < 0)
            return code;
    }
    if (p.runs > 1 && q.runs > 1)
        interval_hold_one(&ratio, base, base_count, next, next_count);
    *ret_ratio = ratio;
    return 0;
}

double lap_ratio_chance(const struct lap_ratio *ratio)
{
    if (!isfinite(ratio->log_error))
        return 1;
    if (ratio->log_error == 0)
        return ratio->log_ratio == 0 ? 1 : 0;
    return 2 * lap_student_above(fabs(ratio->log_ratio) / ratio->log_error, ratio->degrees);
}

double lap_ratio_detectable(const struct lap_ratio *ratio, double alpha)
{
    if (ratio->log_error == 0 || !isfinite(ratio->log_error))
        return ratio->log_error;
    return ratio->log_error *
           (lap_student_quantile(alpha / 2, ratio->degrees) + lap_student_quantile(1 - POWER, ratio->degrees));
}
