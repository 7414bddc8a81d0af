/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "signed_rank.h"

#include "order.h"

#include <math.h>
#include <stdbool.h>

enum { EXACT_MAX = 40, BISECTIONS = 60, GATHERED = 128 };
#define Z_FAR 9.0       /* beyond, there is less than 1e-18 */
#define RESOLUTION 1e-9 /* of logarithms of ratios: means that are as near are one */

/* Of two of so many, each with itself, too. */
static size_t means_of(size_t count) { return count * (count + 1) / 2; }

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

/* How many means of two are above the shift, or not below it. Both ends move inwards: with each i the partners from `from` on have
 * such a mean; once it has one with itself, all that are left do. */
static size_t means_above(const double *sorted, size_t count, double shift, bool or_equal)
{
    size_t above = 0;
    for (size_t i = 0, from = count; i < count; i++) {
        const double needed = shift - sorted[i];
        if (or_equal)
            for (; from > i && sorted[from - 1] - shift >= needed; from--)
                ;
        else
            for (; from > i && sorted[from - 1] - shift > needed; from--)
                ;
        if (from == i)
            return above + means_of(count - i);
        above += count - from;
    }
    return above;
}

/* W, with ties as half. */
static double count_above(const double *sorted, size_t count, double shift)
{
    return 0.5 * (double)(means_above(sorted, count, shift, false) + means_above(sorted, count, shift, true));
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

/* The means above `low` and not above `high`. */
static size_t gather(const double *sorted, size_t count, double low, double high, double *means)
{
    size_t gathered = 0;
    for (size_t i = 0, from = count, end = count; i < count; i++) {
        from = from > i ? from : i;
        end = end > i ? end : i;
        while (from > i && sorted[from - 1] - low > low - sorted[i])
            from--;
        while (end > i && sorted[end - 1] - high > high - sorted[i])
            end--;
        for (size_t k = from; k < end; k++)
            means[gathered++] = (sorted[i] + sorted[k]) / 2;
    }
    return gathered;
}

/* The mean of two that has this rank, from 0. It is halved where it lies until few are left, between differences that are too low
 * and high enough: of those up to one alone, or from one on, are so many means. */
static double mean_at(const double *sorted, size_t count, size_t rank)
{
    const size_t all = means_of(count);
    size_t first = 0, last = 0;
    while (means_of(last + 1) <= rank)
        last++;
    while (first < last && means_of(count - first - 1) >= all - rank)
        first++;
    double low = sorted[first], high = sorted[last];
    size_t upto_low = all - means_above(sorted, count, low, false),
           upto_high = all - means_above(sorted, count, high, false);
    if (upto_low > rank)
        return low;
    while (upto_high - upto_low > GATHERED && high - low > RESOLUTION) {
        const double middle = low + (high - low) / 2;
        const size_t upto = all - means_above(sorted, count, middle, false);
        if (upto > rank) {
            high = middle;
            upto_high = upto;
        } else {
            low = middle;
            upto_low = upto;
        }
    }
    double means[GATHERED];
    if (upto_high - upto_low > GATHERED)
        return high;
    return lap_order_nth(means, gather(sorted, count, low, high, means), rank - upto_low);
}

double lap_signed_rank_shift(const double *sorted, size_t count, double z)
{
    if (count == 0)
        return 0;
    const double target = expected((double)count) + z * deviation((double)count);
    const size_t all = means_of(count);
    if (target < 0 || target >= (double)all)
        return sorted[target < 0 ? count - 1 : 0];
    const size_t above = (size_t)target;
    const double first = mean_at(sorted, count, all - above - 1);
    /* W stays at a whole target from one mean to the next: then the middle of that. */
    return above > 0 && (double)above == target ? (first + mean_at(sorted, count, all - above)) / 2 : first;
}
