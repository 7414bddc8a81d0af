/* SPDX-License-Identifier: MIT
 *
 * How a cost grows with a size: which of six classes describes it, and with what exponent. Robust to outliers, and careful: two
 * classes within the noise are named both. The method is in doc/statistics.md.
 */
#ifndef LAP_FIT_H
#define LAP_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lap_fit_class {
    LAP_FIT_1 = 0,
    LAP_FIT_LOG = 1,
    LAP_FIT_N = 2,
    LAP_FIT_N_LOG = 3,
    LAP_FIT_N2 = 4,
    LAP_FIT_N3 = 5,
    LAP_FIT_UNCLEAR = 6
};
#define LAP_FIT_CLASSES 6u

/* Why it is unclear. */
enum lap_fit_doubt {
    LAP_FIT_SURE = 0,
    LAP_FIT_FEW_SIZES = 1,  /* fewer than LAP_FIT_SIZES_MIN */
    LAP_FIT_NARROW = 2,     /* the sizes differ by less than LAP_FIT_RANGE_MIN */
    LAP_FIT_TWO_WITHIN = 3, /* `likely` and `rival` are within the noise */
    LAP_FIT_CACHES = 4,     /* it is `likely`, or `rival` that comes from further and further caches */
    LAP_FIT_FEW_TIMINGS = 5 /* of as many as differ now, more timings would tell `likely` from `rival` */
};
#define LAP_FIT_SIZES_MIN 8u
#define LAP_FIT_RANGE_MIN 4.0

/* Costs of one size in one run. */
struct lap_fit_cell {
    double n;            /* above 0; of sizes that are nearly the same, their mean */
    uint32_t run;        /* from 0 */
    uint32_t cost_count; /* at least 1 */
    const float *costs;  /* at least 0 */
};

/* cost = offset + factor * f(n), f by the class */
struct lap_fit_line {
    double offset, factor;
};

struct lap_fit {
    enum lap_fit_class class; /* LAP_FIT_UNCLEAR or what it is */
    enum lap_fit_doubt doubt;
    enum lap_fit_class likely, rival; /* the best two; meaningful unless FEW_SIZES or NARROW */
    enum lap_fit_class flattest;      /* of all that are within the noise of `likely`; UNCLEAR as that is */
    double range_needed;              /* greatest by least size that would tell those two apart; 0: not known */
    size_t sizes, runs;
    double n_min, n_max;
    struct lap_fit_line lines[LAP_FIT_CLASSES]; /* meaningful unless FEW_SIZES or NARROW */
    double noise;                               /* of a size's cost, relative */
    double scatter;                             /* of a single cost, relative */
    /* d log(cost - offset) / d log n at sqrt(n_min * n_max), 99 % interval */
    double exponent, exponent_low, exponent_high;
};

/* Is it unclear between two? */
static inline bool lap_fit_is_pair(const struct lap_fit *fit) { return fit->doubt >= LAP_FIT_TWO_WITHIN; }

/* Of those the flatter one; or what it is likely to be. */
static inline enum lap_fit_class lap_fit_flatter(const struct lap_fit *fit)
{
    return lap_fit_is_pair(fit) && fit->rival < fit->likely ? fit->rival : fit->likely;
}

/* Cells of the same size have exactly the same n. `resamples` is for the interval: 0 leaves the exponent out. The same input
 * gives the same result. Returns 0 or -ENOMEM. Cold: about 2 ms, and 0.1 ms a resample. */
int lap_fit_make(struct lap_fit *ret_fit, const struct lap_fit_cell *cells, size_t count, unsigned resamples);

/* Costs in nanoseconds that grow by no more than further and further caches make them: doubts that they grow. */
void lap_fit_doubt_memory(struct lap_fit *fit);
/* Counts, which are exact: doubts that they grow if n does not give them but for a little of their growth. */
void lap_fit_doubt_count(struct lap_fit *fit);

/* "1", "log n", "n", "n log n", "n^2", "n^3", "unclear". */
const char *lap_fit_class_text(enum lap_fit_class class);
/* d log f(n) / d log n */
double lap_fit_class_exponent(enum lap_fit_class class, double n);
/* The cost that the line of `likely` has at a size. */
double lap_fit_at(const struct lap_fit *fit, double n);

#endif
