/* SPDX-License-Identifier: MIT */
#include "student.h"

#include <math.h>

enum { FRACTION_STEPS = 10000, STEPS = 200 };
#define CLOSE 1e-13
#define NORMAL_DEGREES 1e9 /* from here on the two differ by less than their digits */

/* The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300, close = 1e-16;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m <= FRACTION_STEPS; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        for (int half = 0; half < 2; half++) {
            const double term = half == 0 ? even : odd;
            d = 1 + term * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + term / c;
            c = fabs(c) < tiny ? tiny : c;
            value *= c * d;
        }
        if (fabs(c * d - 1) < close)
            break;
    }
    return value;
}

/* lgamma(), which other threads may call, too: the sign that it keeps is not looked at. */
static double beta_share(double x, double y, double a, double b)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a : 1 - front * beta_fraction(y, b, a) / b;
}

double lap_student_above(double t, double degrees)
{
    if (t < 0)
        return 1 - lap_student_above(-t, degrees);
    if (degrees >= NORMAL_DEGREES)
        return erfc(t / sqrt(2)) / 2;
    if (isinf(t))
        return 0;
    return beta_share(degrees / (degrees + t * t), t * t / (degrees + t * t), degrees / 2, 0.5) / 2;
}

double lap_student_quantile(double above, double degrees)
{
    if (above > 0.5)
        return -lap_student_quantile(1 - above, degrees);
    if (above <= 0)
        return INFINITY;
    double low = 0, high = 1, low_off = log(0.5 / above), high_off;
    while ((high_off = log(lap_student_above(high, degrees) / above)) > 0) {
        low = high;
        low_off = high_off;
        high *= 2;
    }
    /* The Illinois method (Dowell and Jarratt, 1971), on the logarithm, which is smooth far out, too. */
    double t = high;
    for (int i = 0, last = 0; i < STEPS && high - low > CLOSE * high; i++) {
        t = isfinite(high_off) ? (low * high_off - high * low_off) / (high_off - low_off) : (low + high) / 2;
        const double off = log(lap_student_above(t, degrees) / above);
        if (fabs(off) < CLOSE)
            break;
        if (off > 0) {
            high_off /= last > 0 ? 2 : 1;
            low = t;
            low_off = off;
        } else {
            low_off /= last < 0 ? 2 : 1;
            high = t;
            high_off = off;
        }
        last = off > 0 ? 1 : -1;
    }
    return t;
}
