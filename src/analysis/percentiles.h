/* SPDX-License-Identifier: MIT
 *
 * A curve of percentiles: the same places for every node, evenly up to 90 % and from there on closer and closer to 100 %, where
 * slow instances are. Cold.
 */
#ifndef LAP_PERCENTILES_H
#define LAP_PERCENTILES_H

#include "distribution.h"

#include <stdbool.h>
#include <stddef.h>

#define LAP_PERCENTILES 26u

struct lap_percentiles {
    double ns[LAP_PERCENTILES]; /* ascending; the first is the least, the last the greatest */
};

/* Which one a place is of: 0, 10, ... 90, 95, 98, 99, 99.5, ... 99.9999, 100. */
double lap_percentiles_at(size_t place);
/* Does a place say what its neighbours don't? Of few instances those near 100 % are all the greatest. */
bool lap_percentiles_tells(size_t place, double count);

/* Of at least one sample. */
void lap_percentiles_of_distribution(struct lap_percentiles *ret_percentiles,
                                     const struct lap_distribution *distribution);
/* Of at least one, ascending: linear between ranks. */
void lap_percentiles_of_sorted(struct lap_percentiles *ret_percentiles, const double *sorted_ns, size_t count);
/* The value that a share `q` (0 to 1) of the samples does not exceed: linear between ranks (Hyndman and Fan 1996, definition 7). */
double lap_percentiles_sorted_quantile(const double *sorted_ns, size_t count, double q);

#endif
