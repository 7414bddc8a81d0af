/* SPDX-License-Identifier: MIT
 *
 * Wilcoxon's signed rank test of differences, and the estimate that belongs to it (Hodges and Lehmann, 1963). W is the number
 * of pairs of differences, each with itself too, whose mean is above `shift`; that is the sum of ranks of Wilcoxon (Tukey, 1949),
 * and needs nothing but the differences in order. Where a coin drew the signs, the test is exact whatever the differences are.
 */
#ifndef LAP_SIGNED_RANK_H
#define LAP_SIGNED_RANK_H

#include <stddef.h>

/* `sorted` are the differences in ascending order. */

/* How likely so great a W is, or a greater, if the differences were as likely above as below `shift`; exact up to 40 differences,
 * by the normal distribution beyond, which in its tail says more than is so. Ties count half, which errs to the same side. */
double lap_signed_rank_above(const double *sorted, size_t count, double shift);
/* The same for so small a W, or a smaller. */
double lap_signed_rank_below(const double *sorted, size_t count, double shift);

/* The shift from which W lies `z` standard deviations above what is expected: the estimate with 0, the lower and the
 * upper end of a 95 % interval with 1.96 and -1.96. Not outside of the least and the greatest difference. */
double lap_signed_rank_shift(const double *sorted, size_t count, double z);

/* The normal distribution: below z; and the z below which there is `share`, between 0 and 1. */
double lap_normal_share(double z);
double lap_normal_z(double share);

#endif
