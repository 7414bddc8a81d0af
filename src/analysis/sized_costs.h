/* SPDX-License-Identifier: MIT
 *
 * Costs by size and run, in bounded memory: of each size that differs by 3 % and each run a sample of at most
 * LAP_SIZED_COSTS_KEPT, which are as likely to be any (Vitter 1985, algorithm R).
 */
#ifndef LAP_SIZED_COSTS_H
#define LAP_SIZED_COSTS_H

#include "fit.h"
#include "random.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_SIZED_COSTS_KEPT 64u
#define LAP_SIZED_COSTS_RUNS 32u /* more share the numbers of the first */

struct lap_sized_costs_cell {
    uint32_t size, run; /* the size's bucket */
    uint32_t kept, room;
    uint64_t count;
    double sum_n;
    float *costs;
};

/* Zeros are an empty one. */
struct lap_sized_costs {
    struct lap_sized_costs_cell *cells;
    size_t count, room;
    uint32_t *buckets; /* cell + 1; power of 2 */
    size_t bucket_count;
    uint64_t added;
    double total; /* of all costs */
    struct lap_random random;
};

/* `n` at least 1. Returns 0 or -ENOMEM. Warm. */
int lap_sized_costs_add(struct lap_sized_costs *costs, uint32_t run, int64_t n, double cost);
void lap_sized_costs_done(struct lap_sized_costs *costs);

/* What a size costs in the mean, without what is far off: what the fit goes by. */
struct lap_sized_costs_point {
    double n, cost;
};
/* `*ret_points` by size, to be freed. Returns 0 or -ENOMEM. */
int lap_sized_costs_points(struct lap_sized_costs_point **ret_points, size_t *ret_count,
                           const struct lap_sized_costs *costs);

/* See lap_fit_make(). Returns 0 or -ENOMEM. */
int lap_sized_costs_fit(struct lap_fit *ret_fit, const struct lap_sized_costs *costs, unsigned resamples);

#endif
