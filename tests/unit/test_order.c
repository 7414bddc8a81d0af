/* SPDX-License-Identifier: MIT
 *
 * Numbers in order, ranks and medians against GSL's, for orders that sorting by parts finds hard, too.
 */
#include "order.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

enum { MANY = 3000, SHAPES = 7 };

static double value_of(struct lap_random *random, unsigned shape, size_t i, size_t count)
{
    switch (shape) {
    case 0: return (double)i;
    case 1: return -(double)i;
    case 2: return (double)(i < count / 2 ? i : count - i); /* up, then down */
    case 3: return 7;
    case 4: return (double)lap_random_below(random, 3);
    case 5: return i % 2 ? (double)i : (double)(i + count); /* the middle ones of three are among the least */
    default: return lap_random_unit(random);
    }
}

static void test_against_gsl(void **state)
{
    static double values[MANY], sorted[MANY], moved[MANY];
    struct lap_random random;
    (void)state;
    lap_random_seed(&random, 1);
    for (unsigned shape = 0; shape < SHAPES; shape++)
        for (size_t count = 1; count <= MANY; count += 1 + count / 7) {
            for (size_t i = 0; i < count; i++)
                sorted[i] = values[i] = value_of(&random, shape, i, count);
            gsl_sort(sorted, 1, count);
            memcpy(moved, values, count * sizeof *values);
            lap_order_sort(moved, count);
            assert_memory_equal(moved, sorted, count * sizeof *sorted);
            memcpy(moved, values, count * sizeof *values);
            assert_true(lap_order_median(moved, count) == gsl_stats_median_from_sorted_data(sorted, 1, count));
            for (size_t rank = 0; rank < count; rank += 1 + count / 5) {
                memcpy(moved, values, count * sizeof *values);
                assert_true(lap_order_nth(moved, count, rank) == sorted[rank]);
                for (size_t i = 0; i < count; i++)
                    assert_true(i < rank ? moved[i] <= sorted[rank] : moved[i] >= sorted[rank]);
            }
        }
    assert_true(lap_order_median(moved, 0) == 0);
}

/* The middle of three is the second greatest each time: what takes quadratic time if nothing is done about it. */
static void test_uneven_parts(void **state)
{
    static double values[MANY];
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        values[i] = (double)i;
    for (size_t count = 3; count <= MANY; count++) {
        const double value = values[count / 2];
        values[count / 2] = values[count - 2];
        values[count - 2] = value;
    }
    lap_order_sort(values, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_true(values[i] == (double)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_gsl), cmocka_unit_test(test_uneven_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
