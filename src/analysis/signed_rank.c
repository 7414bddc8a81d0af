/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "signed_rank.h"

#include <math.h>

enum { EXACT_MAX = 40, BISECTIONS = 60 };
#define Z_FAR 9.0       /* beyond, there is less than 1e-18 */
#define RESOLUTION 1e-6 /* of logarithms of ratios */

double lap_normal_share(double z) { return 0.5 * erfc(-z * M_SQRT1_2); }

double lap_normal_z(double share)
{
    double low = -Z_FAR, high = Z_FAR;
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = (low + high) / 2;
        *(lap_normal_share(middle) < share ? &low : &high) = middle;
    }
    return (low + high) / 2;
}

/* Both ends move inwards: with each i the partners from `from` on have a mean above the shift, those from `from_equal` on one that
 * is not below. Once it is above with itself, all that are left are. */
static double count_above(const double *sorted, size_t count, double shift)
{
    double above = 0;
    size_t from = count, from_equal = count;
    for (size_t i = 0; i < count; i++) {
        const double needed = shift - sorted[i];
        while (from > i && sorted[from - 1] - shift > needed)
            from--;
        const size_t left = count - i;
        if (from == i)
            return above + (double)(left * (left + 1) / 2);
        from_equal = from_equal < from ? from_equal : from;
        while (from_equal > i && sorted[from_equal - 1] - shift >= needed)
            from_equal--;
        from_equal = from_equal > i ? from_equal : i;
        above += (double)(count - from) + 0.5 * (double)(from - from_equal);
    }
    return above;
}

/* How likely W is at most `most`: of all ways to draw the signs of 1 to n, those whose positive ones come to so much. Exact, as all
 * numbers are multiples of 2^-n. */
static double share_upto(size_t count, size_t most)
{
    double ways[EXACT_MAX * (EXACT_MAX + 1) / 2 + 1] = {1};
    for (size_t rank = 1, greatest = 0; rank <= count; rank++) {
        greatest = greatest + rank < most ? greatest + rank : most;
        for (size_t sum = greatest + 1; sum-- > rank;)
            ways[sum] = (ways[sum] + ways[sum - rank]) / 2;
        for (size_t sum = 0; sum < rank && sum <= greatest; sum++)
            ways[sum] /= 2;
    }
    double share = 0;
    for (size_t sum = 0; sum <= most; sum++)
        share += ways[sum];
    return share;
}

/* At least `w`. The lower half says what the upper one is. */
static double share_from_exact(size_t count, size_t w)
{
    const size_t greatest = count * (count + 1) / 2;
    if (w == 0 || w > greatest)
        return w == 0;
    return greatest - w < w ? share_upto(count, greatest - w) : 1 - share_upto(count, w - 1);
}

static double expected(double n) { return n * (n + 1) / 4; }
static double deviation(double n) { return sqrt(n * (n + 1) * (2 * n + 1) / 24); }

static double share_from(size_t count, double w)
{
    const double n = (double)count;
    if (count <= EXACT_MAX)
        return share_from_exact(count, (size_t)w); /* half a tie is none */
    return lap_normal_share((expected(n) + 0.5 - w) / deviation(n));
}

double lap_signed_rank_above(const double *sorted, size_t count, double shift)
{
    return share_from(count, count_above(sorted, count, shift));
}

double lap_signed_rank_below(const double *sorted, size_t count, double shift)
{
    return share_from(count, 2 * expected((double)count) - count_above(sorted, count, shift));
}

/* Where W, which falls in steps as the shift rises, comes down to the target. */
static double descend(const double *sorted, size_t count, double target, double low, double high)
{
    while (high - low > RESOLUTION) {
        const double middle = low + (high - low) / 2;
        *(count_above(sorted, count, middle) > target ? &low : &high) = middle;
    }
    return high;
}

double lap_signed_rank_shift(const double *sorted, size_t count, double z)
{
    if (count == 0)
        return 0;
    const double target = expected((double)count) + z * deviation((double)count);
    const double first = descend(sorted, count, target, sorted[0], sorted[count - 1]);
    /* It may stay at the target for a while, as with an even number of means: then the middle of that. */
    if (count_above(sorted, count, first) < target)
        return first;
    return (first + descend(sorted, count, target - 0.25, first, sorted[count - 1])) / 2;
}
