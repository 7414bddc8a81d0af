/* SPDX-License-Identifier: MIT
 *
 * Student's t distribution, by the incomplete beta function (DLMF 8.17). Degrees of freedom need not be whole; INFINITY is
 * the normal distribution. Pure functions. Cold.
 */
#ifndef LAP_STUDENT_H
#define LAP_STUDENT_H

/* The share of the distribution above `t`. */
double lap_student_above(double t, double degrees);
/* The t that a share of `above` (0 to 1) is above. */
double lap_student_quantile(double above, double degrees);

#endif
