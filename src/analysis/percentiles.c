/* SPDX-License-Identifier: MIT */
#include "percentiles.h"

static const double places[LAP_PERCENTILES] = {0,     10,     20,     30,     40,      50,      60,      70,    80,
                                               90,    95,     98,     99,     99.5,    99.8,    99.9,    99.95, 99.98,
                                               99.99, 99.995, 99.998, 99.999, 99.9995, 99.9998, 99.9999, 100};

double lap_percentiles_at(size_t place) { return places[place]; }

bool lap_percentiles_tells(size_t place, double count)
{
    const double rounding = 1e-9; /* of 100 - 99.9 */
    return place + 1 == LAP_PERCENTILES || (100 - places[place]) * count >= 100 - rounding;
}

void lap_percentiles_of_distribution(struct lap_percentiles *ret_percentiles, const struct lap_distribution *distribution)
{
    for (size_t i = 0; i < LAP_PERCENTILES; i++)
        ret_percentiles->ns[i] = lap_distribution_quantile_ns(distribution, places[i] / 100);
    /* Exact, whatever the histogram had no memory for. */
    ret_percentiles->ns[0] = distribution->min_ns;
    ret_percentiles->ns[LAP_PERCENTILES - 1] = distribution->max_ns;
}

double lap_percentiles_sorted_quantile(const double *sorted_ns, size_t count, double q)
{
    const double place = q * (double)(count - 1);
    const size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return sorted_ns[below] + (place - (double)below) * (sorted_ns[above] - sorted_ns[below]);
}

void lap_percentiles_of_sorted(struct lap_percentiles *ret_percentiles, const double *sorted_ns, size_t count)
{
    for (size_t i = 0; i < LAP_PERCENTILES; i++)
        ret_percentiles->ns[i] = lap_percentiles_sorted_quantile(sorted_ns, count, places[i] / 100);
}
