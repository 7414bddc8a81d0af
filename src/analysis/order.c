/* SPDX-License-Identifier: MIT */
#include "order.h"

#include <stdlib.h>

enum { FEW = 16 };

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void insert_each(double *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const double value = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static double middle_of(double a, double b, double c)
{
    if (a > b)
        return b > c ? b : a > c ? c : a;
    return a > c ? a : b > c ? c : b;
}

/* Hoare's: returns how many stand in the lower part, none of them above any in the upper one; neither is empty. */
static size_t part(double *values, size_t count)
{
    const double pivot = middle_of(values[0], values[count / 2], values[count - 1]);
    for (size_t low = 0, high = count - 1;; low++, high--) {
        while (values[low] < pivot)
            low++;
        while (values[high] > pivot)
            high--;
        if (low >= high)
            return high + 1;
        const double value = values[low];
        values[low] = values[high];
        values[high] = value;
    }
}

/* How often it may be parted before the values are of the rare kind that takes quadratic time. */
static unsigned depth_for(size_t count)
{
    unsigned depth = 0;
    for (; count > 0; count /= 2)
        depth += 2;
    return depth;
}

static void sort(double *values, size_t count, unsigned depth)
{
    for (; count > FEW && depth > 0; depth--) {
        const size_t lower = part(values, count);
        sort(values, lower, depth - 1);
        values += lower;
        count -= lower;
    }
    if (count > FEW)
        qsort(values, count, sizeof *values, by_value);
    else
        insert_each(values, count);
}

void lap_order_sort(double *values, size_t count) { sort(values, count, depth_for(count)); }

double lap_order_nth(double *values, size_t count, size_t rank)
{
    unsigned depth = depth_for(count);
    for (; count > FEW && depth > 0; depth--) {
        const size_t lower = part(values, count);
        if (rank < lower) {
            count = lower;
        } else {
            values += lower;
            count -= lower;
            rank -= lower;
        }
    }
    sort(values, count, 0);
    return values[rank];
}

double lap_order_median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    const double upper = lap_order_nth(values, count, count / 2);
    if (count % 2)
        return upper;
    double lower = values[0];
    for (size_t i = 1; i < count / 2; i++)
        lower = values[i] > lower ? values[i] : lower;
    return (lower + upper) / 2;
}
