/* SPDX-License-Identifier: MIT
 *
 * The statistics of a comparison: against GSL where it has them, and how often intervals hold the truth of generated data.
 */
#include "diff.h"
#include "distribution.h"
#include "generated_runs.h"
#include "student.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

static void assert_close(double got, double wanted, double part)
{
    if (!(fabs(got - wanted) <= part * fabs(wanted)))
        fail_msg("%.17g is not %.17g", got, wanted);
}

/* ---- against GSL --------------------------------------------------------------------------------------------------- */

static void test_student(void **state)
{
    static const double degrees[] = {1, 1.3, 2, 3.7, 4, 9, 19, 30.5, 200, 1e4, 1e6};
    static const double ts[] = {0, 1e-3, 0.1, 0.7, 1, 1.96, 3, 7, 20, 60};
    static const double tails[] = {0.49, 0.25, 0.1, 0.025, 1e-3, 1e-5, 1e-8};
    (void)state;
    for (size_t d = 0; d < sizeof degrees / sizeof *degrees; d++) {
        for (size_t i = 0; i < sizeof ts / sizeof *ts; i++) {
            assert_close(lap_student_above(ts[i], degrees[d]), gsl_cdf_tdist_Q(ts[i], degrees[d]), 1e-8);
            assert_close(lap_student_above(-ts[i], degrees[d]), gsl_cdf_tdist_P(ts[i], degrees[d]), 1e-8);
        }
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
            assert_close(lap_student_quantile(tails[i], degrees[d]), gsl_cdf_tdist_Qinv(tails[i], degrees[d]), 1e-6);
    }
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        assert_close(lap_student_quantile(tails[i], INFINITY), gsl_cdf_ugaussian_Qinv(tails[i]), 1e-8);
    assert_close(lap_student_quantile(0.9, 5), gsl_cdf_tdist_Qinv(0.9, 5), 1e-8);
}

/* With one weight the linearized error is that of the mean, and the interval Welch's. */
static void test_welch(void **state)
{
    enum { BASE = 4, NEXT = 3 };
    const double p[BASE] = {100, 104, 97, 101}, q[NEXT] = {152, 149, 160};
    struct lap_ratio_run base[BASE], next[NEXT];
    (void)state;
    for (size_t i = 0; i < BASE; i++)
        base[i] = (struct lap_ratio_run){p[i] * 7, 7};
    for (size_t i = 0; i < NEXT; i++)
        next[i] = (struct lap_ratio_run){q[i] * 5, 5};
    const double base_mean = gsl_stats_mean(p, 1, BASE), next_mean = gsl_stats_mean(q, 1, NEXT);
    const double base_error = gsl_stats_sd(p, 1, BASE) / sqrt(BASE), next_error = gsl_stats_sd(q, 1, NEXT) / sqrt(NEXT);
    const double u = pow(base_error / base_mean, 2), v = pow(next_error / next_mean, 2);
    const double degrees = (u + v) * (u + v) / (u * u / (BASE - 1) + v * v / (NEXT - 1));
    struct lap_ratio ratio;
    assert_int_equal(lap_ratio_of_runs(&ratio, base, BASE, next, NEXT), 0);
    assert_close(ratio.log_ratio, log(next_mean / base_mean), 1e-12);
    assert_close(ratio.log_error, sqrt(u + v), 1e-12);
    assert_close(ratio.degrees, degrees, 1e-12);
    assert_close(ratio.log_high - ratio.log_ratio, sqrt(u + v) * gsl_cdf_tdist_Qinv(0.025, degrees), 1e-8);
    assert_close(lap_ratio_chance(&ratio), 2 * gsl_cdf_tdist_Q(ratio.log_ratio / sqrt(u + v), degrees), 1e-8);
    const struct lap_ratio_mean mean = lap_ratio_mean_of(base, BASE);
    assert_close(mean.mean, base_mean, 1e-12);
    assert_close(mean.error, base_error, 1e-12);
}

/* Where the weights differ, runs count by them. */
static void test_weights(void **state)
{
    const struct lap_ratio_run base[] = {{100, 1}, {2000, 10}, {0, 0}}, next[] = {{300, 1}, {300, 1}};
    struct lap_ratio ratio;
    (void)state;
    assert_int_equal(lap_ratio_of_runs(&ratio, base, 3, next, 2), 0);
    assert_close(exp(ratio.log_ratio), 300 / (2100.0 / 11), 1e-12);
    /* One run on a side is taken to vary as the other side's do. */
    const struct lap_ratio_run runs[] = {{100, 1}, {104, 1}, {97, 1}, {101, 1}}, one[] = {{130, 1}};
    assert_int_equal(lap_ratio_of_runs(&ratio, runs, 4, one, 1), 0);
    const double values[] = {100, 104, 97, 101}, part = gsl_stats_sd(values, 1, 4) / gsl_stats_mean(values, 1, 4);
    assert_close(ratio.log_error, part * sqrt(1 + 1 / 4.0), 1e-12);
    assert_int_equal(lap_ratio_of_runs(&ratio, one, 1, one, 1), 0);
    assert_true(isinf(ratio.log_error) && isinf(ratio.log_low) && lap_ratio_chance(&ratio) == 1);
}

static void test_spread_of_samples(void **state)
{
    enum { FEW = 37, MANY = 4000, BATCHES = 20 };
    static double ns[MANY], sorted[MANY];
    struct lap_random random;
    struct lap_spread spread;
    (void)state;
    lap_random_seed(&random, 1);
    generated_draw(&random, &(struct generated_times){1000, 0.5, 0, 0}, ns, MANY);
    memcpy(sorted, ns, sizeof ns);
    gsl_sort(sorted, 1, FEW);
    assert_int_equal(lap_spread_of_samples(&spread, ns, FEW, 0), 0);
    assert_close(spread.mean_ns, gsl_stats_mean(ns, 1, FEW), 1e-12);
    assert_close(spread.mean_error, gsl_stats_sd(ns, 1, FEW) / sqrt(FEW) / spread.mean_ns, 1e-12);
    assert_close(spread.p50.ns, gsl_stats_quantile_from_sorted_data(sorted, 1, FEW, 0.5), 1e-12);
    assert_close(spread.p99.ns, gsl_stats_quantile_from_sorted_data(sorted, 1, FEW, 0.99), 1e-12);
    for (size_t i = 0; i < LAP_PERCENTILES; i++)
        assert_close(spread.percentiles.ns[i],
                     gsl_stats_quantile_from_sorted_data(sorted, 1, FEW, lap_percentiles_at(i) / 100), 1e-12);
    assert_true(isinf(spread.p99.high_ns)); /* no sample is known to be above it */
    assert_true(spread.p50.low_ns < spread.p50.ns && spread.p50.ns < spread.p50.high_ns);
    double means[BATCHES];
    for (size_t i = 0; i < BATCHES; i++)
        means[i] = gsl_stats_mean(ns + i * (MANY / BATCHES), 1, MANY / BATCHES);
    assert_int_equal(lap_spread_of_samples(&spread, ns, MANY, 0), 0);
    assert_close(spread.mean_error, gsl_stats_sd(means, 1, BATCHES) / sqrt(BATCHES) / spread.mean_ns, 1e-9);
    assert_int_equal(lap_spread_of_samples(&spread, ns, 1, 0), 0);
    assert_true(isinf(spread.mean_error) && spread.p50.ns == ns[0] && spread.p50.low_ns == 0);
    assert_int_equal(lap_spread_of_samples(&spread, ns, 1, 3), 0); /* a clock's tick is not known better */
    assert_true(spread.p50.ns == ns[0] && spread.p50.least_ns == ns[0] - 3 && spread.p50.most_ns == ns[0] + 3);
}

/* Within a bucket's sixteenth of what the samples themselves give, and it says so. */
static void test_spread_of_distribution(void **state)
{
    enum { COUNT = 4000 };
    static double ns[COUNT];
    struct lap_random random;
    struct lap_distribution distribution = {0};
    struct lap_spread spread;
    (void)state;
    lap_random_seed(&random, 2);
    generated_draw(&random, &(struct generated_times){100000, 0.5, 0, 0}, ns, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(lap_distribution_add_one(&distribution, ns[i]), 0);
    lap_spread_of_distribution(&spread, &distribution);
    gsl_sort(ns, 1, COUNT);
    const double p50 = gsl_stats_median_from_sorted_data(ns, 1, COUNT),
                 p99 = gsl_stats_quantile_from_sorted_data(ns, 1, COUNT, 0.99);
    assert_close(spread.mean_ns, gsl_stats_mean(ns, 1, COUNT), 1e-9);
    assert_close(lap_distribution_variance(&distribution), gsl_stats_variance(ns, 1, COUNT), 1.0 / 16);
    assert_close(spread.p50.ns, p50, 1.0 / 16);
    for (size_t i = 0; i < LAP_PERCENTILES; i++) {
        const double wanted = gsl_stats_quantile_from_sorted_data(ns, 1, COUNT, lap_percentiles_at(i) / 100);
        if (lap_percentiles_tells(i, COUNT))
            assert_close(spread.percentiles.ns[i], wanted, 1.0 / 16);
    }
    assert_true(spread.percentiles.ns[0] == ns[0] && spread.percentiles.ns[LAP_PERCENTILES - 1] == ns[COUNT - 1]);
    assert_true(spread.p50.least_ns <= p50 && p50 <= spread.p50.most_ns);
    assert_true(spread.p99.least_ns <= p99 && p99 <= spread.p99.most_ns);
    assert_true(spread.p50.most_ns - spread.p50.least_ns <= p50 / 16 + 1 && spread.p50.most_ns > spread.p50.least_ns);
    assert_true(spread.p50.low_ns <= spread.p50.least_ns && spread.p50.high_ns >= spread.p50.most_ns);
    lap_distribution_done(&distribution);
}

/* 99.9 % is told by a thousand, and the greatest by any. */
static void test_percentiles_that_are_told(void **state)
{
    size_t of_one = 0, of_ten = 0, of_thousand = 0;
    (void)state;
    for (size_t i = 0; i < LAP_PERCENTILES; i++) {
        of_one += lap_percentiles_tells(i, 1);
        of_ten += lap_percentiles_tells(i, 10);
        of_thousand += lap_percentiles_tells(i, 1000);
        assert_true(i == 0 || lap_percentiles_at(i - 1) < lap_percentiles_at(i));
        if (lap_percentiles_at(i) == 99.9)
            assert_true(lap_percentiles_tells(i, 1000) && !lap_percentiles_tells(i, 999));
    }
    assert_int_equal(of_one, 2);       /* 0 and 100 */
    assert_int_equal(of_ten, 11);      /* 0, 10, ... 90, 100 */
    assert_int_equal(of_thousand, 17); /* and 95, 98, 99, 99.5, 99.8, 99.9 */
}

/* ---- how often intervals hold the truth ---------------------------------------------------------------------------- */

enum { RUNS_MAX = 20, INSTANCES_MAX = 1000, SLOWER_PERCENT = 10 };

struct covering {
    unsigned mean, p50, p99, added, all;
};

static bool holds(const struct lap_ratio *ratio, double truth)
{
    return ratio->log_low <= truth && truth <= ratio->log_high;
}

static void cover_once(struct covering *covering, struct lap_random *random, struct generated_times times, size_t runs,
                       size_t instances)
{
    static double ns[INSTANCES_MAX];
    const double ratio = 1 + SLOWER_PERCENT / 100.0;
    const double mean_ns = times.p50_ns * exp((times.sigma * times.sigma + times.run_effect * times.run_effect) / 2);
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    for (int s = 0; s < 2; s++) {
        for (size_t run = 0; run < runs; run++) {
            generated_draw(random, &times, ns, instances);
            generated_add(&diff.sides[s], &(struct generated_node){0, LAP_SUMMARY_PROFILER, "work", ns, instances}, 1);
        }
        times.p50_ns *= ratio;
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    const struct lap_diff_node *const node = &diff.nodes[0];
    covering->mean += holds(&node->mean, log(ratio));
    covering->p50 += holds(&node->p50, log(ratio));
    covering->p99 += holds(&node->p99, log(ratio));
    covering->added += fabs(node->added_ns - mean_ns * (ratio - 1) * (double)instances) <= node->added_half_ns;
    covering->all++;
    lap_diff_done(&diff);
}

static void assert_covers(const char *name, unsigned count, unsigned all)
{
    print_message("  %-6s %.1f %%\n", name, 100.0 * count / all);
    if (count < 0.93 * all)
        fail_msg("the interval of %s holds the truth in %.1f %% only", name, 100.0 * count / all);
}

static void cover(const struct generated_times *times, size_t runs, size_t instances, unsigned tries, bool has_p99)
{
    struct covering covering = {0};
    struct lap_random random;
    lap_random_seed(&random, runs * 1000 + (uint64_t)(times->run_effect * 100));
    for (unsigned i = 0; i < tries; i++)
        cover_once(&covering, &random, *times, runs, instances);
    print_message("%zu runs a side of %zu instances, run effect %g %%, correlation %g:\n", runs, instances,
                  100 * times->run_effect, times->correlation);
    assert_covers("mean", covering.mean, covering.all);
    assert_covers("p50", covering.p50, covering.all);
    if (has_p99)
        assert_covers("p99", covering.p99, covering.all);
    assert_covers("added", covering.added, covering.all);
}

static void test_coverage_of_runs(void **state)
{
    static const size_t runs[] = {3, 5, 10, 20};
    (void)state;
    for (int effect = 0; effect < 2; effect++)
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
            cover(&(struct generated_times){1000, 0.5, 0, effect ? 0.1 : 0.03}, runs[i], 100, runs[i] < 10 ? 600 : 400,
                  true);
}

/* One run a side: without run effects, which it cannot know. */
static void test_coverage_of_instances(void **state)
{
    (void)state;
    cover(&(struct generated_times){1000, 0.5, 0, 0}, 1, 1000, 1000, true);
    cover(&(struct generated_times){1000, 0.3, 0, 0}, 1, 30, 1500, false);
    cover(&(struct generated_times){1000, 0.5, 0.7, 0}, 1, 1000, 1000, true);
}

/* Runs that are slow now and then, on one side or both: rates for the record, and a floor. */
static void test_coverage_of_skewed_runs(void **state)
{
    enum { TRIES = 1000, RUNS = 20 };
    struct lap_random random;
    unsigned held[2] = {0, 0};
    (void)state;
    lap_random_seed(&random, 3);
    for (int both = 0; both < 2; both++)
        for (unsigned i = 0; i < TRIES; i++) {
            struct lap_ratio_run base[RUNS], next[RUNS];
            for (size_t run = 0; run < RUNS; run++) {
                const double skewed = 1 - 0.1 * log(1 - lap_random_unit(&random)); /* its mean is 1.1 */
                base[run] = (struct lap_ratio_run){
                    both ? 1 - 0.1 * log(1 - lap_random_unit(&random)) : 1.1 * (1 + 0.03 * generated_normal(&random)), 1};
                next[run] = (struct lap_ratio_run){skewed, 1};
            }
            struct lap_ratio ratio;
            assert_int_equal(lap_ratio_of_runs(&ratio, base, RUNS, next, RUNS), 0);
            held[both] += holds(&ratio, 0);
        }
    print_message("skewed runs, 20 a side:\n");
    assert_covers("one", held[0], TRIES);
    assert_covers("both", held[1], TRIES);
}

/* ---- how often something is told where nothing changed ------------------------------------------------------------- */

static void test_nothing_changed(void **state)
{
    enum { TRIES = 400, NODES = 20, RUNS = 5, INSTANCES = 20 };
    static double ns[NODES][INSTANCES];
    static char labels[NODES][8];
    struct lap_random random;
    unsigned told = 0;
    (void)state;
    lap_random_seed(&random, 4);
    for (unsigned i = 0; i < TRIES; i++) {
        struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
        for (size_t run = 0; run < 2 * RUNS; run++) {
            struct generated_node nodes[NODES];
            for (size_t n = 0; n < NODES; n++) {
                snprintf(labels[n], sizeof labels[n], "%zu", n);
                generated_draw(&random, &(struct generated_times){1000, 0.3, 0, 0.05}, ns[n], INSTANCES);
                nodes[n] = (struct generated_node){0, LAP_SUMMARY_PROFILER, labels[n], ns[n], INSTANCES};
            }
            generated_add(&diff.sides[run % 2], nodes, NODES);
        }
        assert_int_equal(lap_diff_finish(&diff), 0);
        assert_int_equal(diff.tests, 2 * NODES); /* mean and p50; counts are all the same */
        told += diff.changed != LAP_LIVE_NONE;
        lap_diff_done(&diff);
    }
    print_message("a change is told in %.1f %% of comparisons of 20 nodes where there is none\n", 100.0 * told / TRIES);
    assert_true(told <= 0.05 * TRIES);
    assert_true(told > 0); /* or nothing would ever be told */
}

/* What is said to be seen in four of five cases is. */
static void test_detectable(void **state)
{
    enum { TRIES = 400, RUNS = 10, INSTANCES = 50 };
    static double ns[INSTANCES];
    struct lap_random random;
    unsigned seen = 0;
    double detectable = 0;
    (void)state;
    lap_random_seed(&random, 5);
    for (unsigned i = 0; i < 2 * TRIES; i++) { /* first what it says, then how it is */
        struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
        for (size_t run = 0; run < 2 * RUNS; run++) {
            const double slower = i >= TRIES && run % 2 ? exp(detectable / TRIES) : 1;
            generated_draw(&random, &(struct generated_times){1000 * slower, 0.3, 0, 0.05}, ns, INSTANCES);
            generated_add(&diff.sides[run % 2], &(struct generated_node){0, LAP_SUMMARY_PROFILER, "work", ns, INSTANCES},
                          1);
        }
        assert_int_equal(lap_diff_finish(&diff), 0);
        if (i < TRIES)
            detectable += diff.detectable;
        else
            seen += diff.changed != LAP_LIVE_NONE;
        lap_diff_done(&diff);
    }
    print_message("of what is detectable (%.1f %%), %.1f %% is seen\n", 100 * expm1(detectable / TRIES),
                  100.0 * seen / TRIES);
    assert_in_range(seen, 0.75 * TRIES, 0.95 * TRIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_student),
        cmocka_unit_test(test_welch),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_spread_of_samples),
        cmocka_unit_test(test_spread_of_distribution),
        cmocka_unit_test(test_percentiles_that_are_told),
        cmocka_unit_test(test_coverage_of_runs),
        cmocka_unit_test(test_coverage_of_instances),
        cmocka_unit_test(test_coverage_of_skewed_runs),
        cmocka_unit_test(test_nothing_changed),
        cmocka_unit_test(test_detectable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
