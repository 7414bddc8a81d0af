/* SPDX-License-Identifier: MIT
 *
 * The gate's test and estimate against GSL, printed tables and what brute force finds, and its rounds by hand-made pairs. GSL has no
 * signed rank test, so its chances are counted here: all signs of up to 12 differences, beyond that those that GSL draws.
 */
#include "gate_decide.h"
#include "order.h"
#include "random.h"
#include "signed_rank.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

enum { MANY = 60, SUMS = MANY * (MANY + 1) / 2 + 1 };

static void near(double got, double wanted, double error)
{
    if (!(fabs(got - wanted) <= error))
        fail_msg("got %.12g, wanted %.12g", got, wanted);
}

/* Differences 1 to n, of which those with the given ranks are negative: W of the others is n (n + 1) / 2 - their sum. */
static void with_negative_sum(double *differences, size_t count, unsigned sum)
{
    for (size_t rank = count; rank > 0; rank--) {
        const int is_negative = sum >= rank;
        differences[rank - 1] = is_negative ? -(double)rank : (double)rank;
        sum -= is_negative ? (unsigned)rank : 0;
    }
    assert_int_equal(sum, 0);
    lap_order_sort(differences, count);
}

/* Critical values as printed (Wilcoxon and Wilcox 1964, table 1; one-sided): the greatest sum that is still so rare. */
static void test_printed_table(void **state)
{
    (void)state;
    static const struct {
        unsigned count, sum;
        double level;
    } rows[] = {{10, 10, 0.05},  {10, 8, 0.025},  {10, 5, 0.01},    {15, 30, 0.05}, {15, 25, 0.025},
                {15, 19, 0.01},  {20, 60, 0.05},  {20, 52, 0.025},  {20, 43, 0.01}, {30, 151, 0.05},
                {30, 120, 0.01}, {50, 466, 0.05}, {50, 434, 0.025}, {50, 397, 0.01}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double differences[MANY];
        const unsigned slack = rows[i].count > 40 ? 2 : 0; /* from there on by the normal distribution */
        with_negative_sum(differences, rows[i].count, rows[i].sum - slack);
        assert_true(lap_signed_rank_above(differences, rows[i].count, 0) <= rows[i].level);
        with_negative_sum(differences, rows[i].count, rows[i].sum + slack + 1);
        assert_true(lap_signed_rank_above(differences, rows[i].count, 0) > rows[i].level);
    }
}

/* Differences of none count half to each side. */
static void test_ties(void **state)
{
    (void)state;
    double differences[] = {-3, -1, 0, 0, 0, 1, 1, 2, 5, 8}, turned[] = {3, 1, 0, 0, 0, -1, -1, -2, -5, -8},
           none[30] = {0};
    enum { COUNT = sizeof differences / sizeof *differences };
    lap_order_sort(turned, COUNT);
    near(lap_signed_rank_below(turned, COUNT, 0), lap_signed_rank_above(differences, COUNT, 0), 1e-12);
    near(lap_signed_rank_shift(turned, COUNT, 0), -lap_signed_rank_shift(differences, COUNT, 0), 1e-6);
    assert_true(lap_signed_rank_above(none, 30, 0) >= 0.5 && lap_signed_rank_below(none, 30, 0) >= 0.5);
    near(lap_signed_rank_shift(none, 30, 1.96), 0, 0);
}

static void draw(struct lap_random *random, double *differences, size_t count)
{
    for (size_t i = 0; i < count; i++)
        differences[i] = tan(3.1 * (lap_random_unit(random) - 0.5)) + 0.3;
}

/* All ways to turn signs, ranks counted one by one. */
static void test_brute_force(void **state)
{
    (void)state;
    enum { COUNT = 11 };
    struct lap_random random;
    lap_random_seed(&random, 7);
    for (int turn = 0; turn < 20; turn++) {
        double differences[COUNT];
        draw(&random, differences, COUNT);
        unsigned ranks[COUNT], w = 0, as_great = 0;
        for (int i = 0; i < COUNT; i++) {
            ranks[i] = 0;
            for (int j = 0; j < COUNT; j++)
                ranks[i] += fabs(differences[j]) <= fabs(differences[i]);
            w += differences[i] > 0 ? ranks[i] : 0;
        }
        for (unsigned signs = 0; signs < 1u << COUNT; signs++) {
            unsigned other = 0;
            for (int i = 0; i < COUNT; i++)
                other += signs >> i & 1 ? ranks[i] : 0;
            as_great += other >= w;
        }
        lap_order_sort(differences, COUNT);
        near(lap_signed_rank_above(differences, COUNT, 0), as_great / (double)(1u << COUNT), 1e-12);
    }
}

/* P(W >= w) as the test has it. */
static double chance_of(size_t count, unsigned w)
{
    double differences[MANY];
    with_negative_sum(differences, count, (unsigned)(count * (count + 1) / 2) - w);
    return lap_signed_rank_above(differences, count, 0);
}

/* The whole distribution, by all 2^n signs. */
static void test_all_signs(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 12; count++) {
        unsigned ways[SUMS] = {0};
        for (unsigned signs = 0; signs < 1u << count; signs++) {
            unsigned w = 0;
            for (unsigned i = 0; i < count; i++)
                w += signs >> i & 1 ? i + 1 : 0;
            ways[w]++;
        }
        unsigned as_great = 0;
        for (unsigned w = count * (count + 1) / 2 + 1; w-- > 0;) {
            as_great += ways[w];
            near(chance_of(count, w), as_great / (double)(1u << count), 0);
        }
    }
}

/* Signs as GSL draws them. A share of so many that is further off than 5 of its standard errors comes once in 1.7 million; some 4,300
 * are looked at. */
static void test_drawn_signs(void **state)
{
    enum { DRAWS = 40000 };
    static const unsigned counts[] = {13, 20, 31, 40, 41, 60};
    gsl_rng *const random = gsl_rng_alloc(gsl_rng_mt19937);
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        const unsigned count = counts[c];
        unsigned drawn[SUMS] = {0};
        for (unsigned draw = 0; draw < DRAWS; draw++) {
            unsigned w = 0;
            for (unsigned rank = 1; rank <= count; rank++)
                w += gsl_rng_uniform_int(random, 2) ? rank : 0;
            drawn[w]++;
        }
        unsigned as_great = 0;
        for (unsigned w = count * (count + 1) / 2 + 1; w-- > 0;) {
            const double chance = chance_of(count, w), part = (as_great += drawn[w]) / (double)DRAWS;
            const double off = count > 40 ? 0.002 : 0; /* of the normal distribution */
            near(part, chance, off + 5 * sqrt(chance * (1 - chance) / DRAWS) + 1.0 / DRAWS);
        }
    }
    gsl_rng_free(random);
}

/* Beyond 40 it is the normal distribution with a correction for continuity, as GSL has it. */
static void test_normal_chances(void **state)
{
    (void)state;
    for (unsigned count = 41; count <= MANY; count++)
        for (unsigned w = 0; w <= count * (count + 1) / 2; w += 7) {
            const double mean = count * (count + 1) / 4.0, variance = mean * (2 * count + 1) / 6;
            const double chance = gsl_cdf_gaussian_Q(w - 0.5 - mean, sqrt(variance));
            near(chance_of(count, w), chance, 1e-12 * chance);
        }
}

/* The estimate is the median of all means of two, and the ends of its interval are two of them. */
static void test_estimate(void **state)
{
    const double z = gsl_cdf_ugaussian_Pinv(0.975);
    (void)state;
    struct lap_random random;
    lap_random_seed(&random, 8);
    for (size_t count = 1; count <= MANY; count++) {
        double differences[MANY], means[SUMS];
        size_t mean_count = 0;
        draw(&random, differences, count);
        for (size_t i = 0; i < count; i++)
            for (size_t j = i; j < count; j++)
                means[mean_count++] = (differences[i] + differences[j]) / 2;
        gsl_sort(means, 1, mean_count);
        lap_order_sort(differences, count);
        near(lap_signed_rank_shift(differences, count, 0), gsl_stats_median_from_sorted_data(means, 1, mean_count),
             1e-12);
        const double n = (double)count, above = n * (n + 1) / 4 + z * sqrt(n * (n + 1) * (2 * n + 1) / 24);
        const size_t most = above < (double)mean_count ? (size_t)above : mean_count - 1; /* means above the lower end */
        near(lap_signed_rank_shift(differences, count, z), means[mean_count - 1 - most], 1e-12);
        near(lap_signed_rank_shift(differences, count, -z), means[most], 1e-12);
    }
}

/* Of normal numbers the interval holds the truth as often as it says, and the normal tail beyond 40 is near the exact one. */
static void test_interval(void **state)
{
    (void)state;
    struct lap_random random;
    unsigned inside = 0, rare = 0;
    enum { TURNS = 4000, COUNT = 45 };
    lap_random_seed(&random, 9);
    for (int turn = 0; turn < TURNS; turn++) {
        double differences[COUNT];
        for (int i = 0; i < COUNT; i++)
            differences[i] =
                5 + sqrt(-2 * log(1 - lap_random_unit(&random))) * cos(2 * 3.14159265358979 * lap_random_unit(&random));
        lap_order_sort(differences, COUNT);
        inside +=
            lap_signed_rank_shift(differences, COUNT, 1.96) <= 5 && lap_signed_rank_shift(differences, COUNT, -1.96) >= 5;
        rare += lap_signed_rank_above(differences, COUNT, 5) <= 0.01;
    }
    near(inside / (double)TURNS, 0.95, 0.012);
    near(rare / (double)TURNS, 0.01, 0.006);
}

static void test_normal(void **state)
{
    (void)state;
    for (double z = -8; z <= 8; z += 0.37)
        near(lap_normal_share(z), gsl_cdf_ugaussian_P(z), 1e-13 * gsl_cdf_ugaussian_P(z));
    for (double share = 1e-9; share < 1; share = share < 0.01 ? share * 10 : share + 0.07)
        near(lap_normal_z(share), gsl_cdf_ugaussian_Pinv(share), 1e-9);
}

/* ---- the rounds ---- */

struct story {
    double first, second; /* slowdown of node 0 in the two rounds */
    double noise;
    size_t pairs_max;
};

static void play(struct lap_gate *gate, const struct lap_gate_rules *rules, const struct story *story)
{
    static const double run_ns[2] = {1e6, 10e6};
    struct lap_random random;
    lap_random_seed(&random, 3);
    assert_int_equal(lap_gate_init(gate, rules, run_ns, 2), 0);
    for (size_t wanted; lap_gate_wants(gate, &wanted) == 0 && wanted > 0;) {
        const double slowdown = gate->is_second ? story->second : story->first;
        const double base[2] = {1e6, 5e6};
        const double new[2] = {1e6 * (1 + slowdown) * exp(story->noise * (lap_random_unit(&random) - 0.5)),
                               5e6 * exp(story->noise * (lap_random_unit(&random) - 0.5))};
        if (!gate->is_second && gate->pairs >= story->pairs_max)
            lap_gate_stop(gate);
        else
            assert_int_equal(lap_gate_add(gate, base, new), 0);
    }
    assert_true(gate->is_decided);
}

static void test_rounds(void **state)
{
    (void)state;
    static const struct {
        struct story story;
        struct lap_gate_rules rules;
        bool fails;
        enum lap_gate_state first_node;
        size_t pairs;
    } rows[] = {
        {{0, 0, 0.02, 500}, {0.05, 0, false}, false, LAP_GATE_CLEAR, 20}, /* quiet: clear at once */
        {{0.10, 0.10, 0.02, 500}, {0.05, 0, false}, true, LAP_GATE_FAILED, 20},
        {{0.03, 0.03, 0.02, 500}, {0.05, 0, false}, false, LAP_GATE_CLEAR, 20}, /* slower for sure, and below the limit */
        {{0.10, 0.10, 0.02, 500}, {0.05, 110e3, false}, false, LAP_GATE_CLEAR, 20},
        {{0.10, 0.10, 0.02, 500}, {0.05, 90e3, false}, true, LAP_GATE_FAILED, 20},
        {{0.10, 0, 0.02, 100}, {0.05, 0, false}, false, LAP_GATE_OPEN, 100}, /* never found again */
        {{0.20, 0.20, 0.02, 12}, {0.05, 0, true}, true, LAP_GATE_FAILED, 12},
        {{0.20, 0.20, 0.02, 9}, {0.05, 0, true}, false, LAP_GATE_OPEN, 9}, /* too few for any finding */
        {{0, 0, 2, 60}, {0.05, 0, false}, false, LAP_GATE_OPEN, 60},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lap_gate gate;
        play(&gate, &rows[i].rules, &rows[i].story);
        if (gate.failed != rows[i].fails || gate.nodes[0].state != rows[i].first_node || gate.pairs != rows[i].pairs)
            fail_msg("row %zu: failed %d, state %d, pairs %zu", i, gate.failed, gate.nodes[0].state, gate.pairs);
        assert_int_not_equal(gate.nodes[1].state, LAP_GATE_FAILED);
        near(gate.nodes[0].ratio, 1 + rows[i].story.first, rows[i].story.noise / 8);
        assert_true(gate.nodes[0].ratio_low <= gate.nodes[0].ratio && gate.nodes[0].ratio <= gate.nodes[0].ratio_high);
        assert_true(gate.detectable >= 0.05);
        assert_true(gate.is_blind == (rows[i].story.noise > 1 || rows[i].story.pairs_max == 9) || rows[i].rules.is_once);
        lap_gate_done(&gate);
    }
}

/* What it tells beside the ratio are medians. */
static void test_medians(void **state)
{
    enum { PAIRS = 45 };
    static const double run_ns[1] = {1e6};
    const struct lap_gate_rules rules = {.max_slowdown = 0.05, .is_once = true};
    (void)state;
    for (size_t pairs = PAIRS - 1; pairs <= PAIRS; pairs++) {
        struct lap_random random;
        struct lap_gate gate;
        double base[PAIRS], new[PAIRS];
        size_t wanted;
        lap_random_seed(&random, 11);
        assert_int_equal(lap_gate_init(&gate, &rules, run_ns, 1), 0);
        for (size_t i = 0; i < pairs; i++) {
            base[i] = 1e6 * exp(lap_random_unit(&random));
            new[i] = 1e6 * exp(lap_random_unit(&random));
            assert_int_equal(lap_gate_add(&gate, &base[i], &new[i]), 0);
        }
        lap_gate_stop(&gate);
        assert_int_equal(lap_gate_wants(&gate, &wanted), 0);
        near(gate.nodes[0].base_median_ns, gsl_stats_median(base, 1, pairs), 1e-6);
        near(gate.nodes[0].new_median_ns, gsl_stats_median(new, 1, pairs), 1e-6);
        lap_gate_done(&gate);
    }
}

/* A node that is missing in some runs neither fails by that nor hides that the others are slower. */
static void test_missing(void **state)
{
    (void)state;
    static const double run_ns[1] = {1e6};
    for (int slower = 0; slower < 2; slower++) {
        const struct lap_gate_rules rules = {.max_slowdown = 0.05};
        struct lap_gate gate;
        assert_int_equal(lap_gate_init(&gate, &rules, run_ns, 1), 0);
        int pair = 0;
        for (size_t wanted; lap_gate_wants(&gate, &wanted) == 0 && wanted > 0; pair++) {
            const double base = pair % 8 == 3 ? 0 : 1e6, new = pair % 8 == 5 ? 0 : slower ? 1.5e6 : 1e6;
            assert_int_equal(lap_gate_add(&gate, &base, &new), 0);
        }
        assert_int_equal(gate.failed, slower);
        near(gate.nodes[0].ratio, slower ? 1.5 : 1, 0.01);
        assert_true(isfinite(gate.detectable));
        lap_gate_done(&gate);
    }
}

static void test_least_pairs(void **state)
{
    (void)state;
    assert_int_equal(lap_gate_least_pairs(1), 9);
    for (size_t nodes = 1; nodes < 30; nodes++) {
        double differences[MANY];
        const size_t pairs = lap_gate_least_pairs(nodes);
        with_negative_sum(differences, pairs, 0);
        assert_true(lap_signed_rank_above(differences, pairs, 0) <= 0.0025 / (double)nodes);
        with_negative_sum(differences, pairs - 1, 0);
        assert_true(lap_signed_rank_above(differences, pairs - 1, 0) > 0.0025 / (double)nodes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_table),  cmocka_unit_test(test_all_signs), cmocka_unit_test(test_drawn_signs),
        cmocka_unit_test(test_normal_chances), cmocka_unit_test(test_medians),   cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_ties),           cmocka_unit_test(test_estimate),  cmocka_unit_test(test_interval),
        cmocka_unit_test(test_normal),         cmocka_unit_test(test_rounds),    cmocka_unit_test(test_least_pairs),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
