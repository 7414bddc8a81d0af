/* SPDX-License-Identifier: MIT
 *
 * Growth of costs, judged by generated timings whose class and exponent are known. LAPMARK_FIT_REPEATS=N generates N times as
 * many; the table of rates is printed.
 */
#include "sized_costs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_fit.h>

enum { TIMINGS = 1000, SIZES = 20 };

static double truth_at(enum lap_fit_class class, double n)
{
    const double values[] = {1, log(n), n, n * log(n), n * n, n * n * n};
    return values[class];
}

static double truth_exponent(enum lap_fit_class class, double n)
{
    const double exponents[] = {0, 1 / log(n), 1, 1 + 1 / log(n), 2, 3};
    return exponents[class];
}

/* By Box and Muller. */
static double normal(struct lap_random *random)
{
    return sqrt(-2 * log(1 - lap_random_unit(random))) * cos(2 * 3.14159265358979 * lap_random_unit(random));
}

struct scenario {
    enum lap_fit_class class;
    double n_min, range, offset; /* offset: in costs of the least size */
    double noise, size_noise, run_noise;
    bool is_skewed;   /* noise is lognormal */
    unsigned sizes;   /* 0: each timing has its own */
    unsigned timings; /* 0: TIMINGS */
    unsigned runs;
    bool is_size_a_run; /* each size is timed in a run of its own */
};

static double factor_of(struct lap_random *random, double noise, bool is_skewed)
{
    return is_skewed ? exp(noise * normal(random)) : fmax(0.05, 1 + noise * normal(random));
}

static void generate(struct lap_sized_costs *costs, const struct scenario *scenario, uint64_t seed)
{
    struct lap_random random;
    lap_random_seed(&random, seed);
    const unsigned runs = scenario->is_size_a_run ? scenario->sizes : scenario->runs;
    double run_factors[SIZES];
    for (unsigned run = 0; run < runs; run++)
        run_factors[run] = factor_of(&random, scenario->run_noise, scenario->is_skewed);
    double size_factors[SIZES * SIZES];
    for (unsigned i = 0; i < SIZES * SIZES; i++)
        size_factors[i] = factor_of(&random, scenario->size_noise, scenario->is_skewed);
    for (unsigned i = 0; i < (scenario->timings ? scenario->timings : TIMINGS); i++) {
        const unsigned size = scenario->sizes ? i % scenario->sizes : 0;
        const double share = scenario->sizes ? (double)size / (scenario->sizes - 1) : lap_random_unit(&random);
        const double n = floor(scenario->n_min * pow(scenario->range, share) + 0.5);
        const unsigned run = scenario->is_size_a_run ? size : i / SIZES % scenario->runs;
        double cost =
            100 * (truth_at(scenario->class, n) + scenario->offset * truth_at(scenario->class, scenario->n_min));
        cost *= run_factors[run] * size_factors[run % SIZES * SIZES + size] *
                factor_of(&random, scenario->noise, scenario->is_skewed);
        if (lap_random_unit(&random) < 0.01)
            cost *= 10;
        assert_int_equal(lap_sized_costs_add(costs, run, (int64_t)n, cost), 0);
    }
}

static struct lap_fit fit_generated(const struct scenario *scenario, uint64_t seed, unsigned resamples)
{
    struct lap_sized_costs costs = {0};
    struct lap_fit fit;
    generate(&costs, scenario, seed);
    assert_int_equal(lap_sized_costs_fit(&fit, &costs, resamples), 0);
    lap_sized_costs_done(&costs);
    return fit;
}

static unsigned repeats(unsigned usual)
{
    const char *const times = getenv("LAPMARK_FIT_REPEATS");
    return times ? usual * (unsigned)atoi(times) : usual;
}

struct rates {
    unsigned all, right, paired, wrong, inside;
};

/* Starts at 10, 100 and 1000; noise normal and lognormal; 20 sizes, or each timing its own. */
static struct rates rates_of(struct scenario scenario, unsigned count, uint64_t seed, unsigned resamples)
{
    struct rates rates = {0};
    for (unsigned i = 0; i < count; i++) {
        static const double starts[] = {10, 100, 1000};
        scenario.n_min = starts[i % 3];
        scenario.is_skewed = i / 3 % 2;
        scenario.sizes = resamples || i / 6 % 2 ? SIZES : 0;
        const struct lap_fit fit = fit_generated(&scenario, seed++, resamples);
        const double exponent = truth_exponent(scenario.class, sqrt(fit.n_min * fit.n_max));
        rates.all++;
        rates.right += fit.class == scenario.class;
        rates.wrong += fit.class != scenario.class && fit.class != LAP_FIT_UNCLEAR;
        rates.paired += fit.class == LAP_FIT_UNCLEAR && (fit.likely == scenario.class || fit.rival == scenario.class);
        rates.inside += exponent >= fit.exponent_low && exponent <= fit.exponent_high;
    }
    return rates;
}

static double percent(unsigned part, unsigned all) { return 100.0 * part / all; }

static void row_print(const char *class, const struct rates *rates, bool has_interval)
{
    printf("  %-8s right %6.2f %%, unclear with it in the pair %6.2f %%, wrong %5.2f %%", class,
           percent(rates->right, rates->all), percent(rates->paired, rates->all), percent(rates->wrong, rates->all));
    if (has_interval)
        printf(", inside %6.2f %%", percent(rates->inside, rates->all));
    printf(" of %u\n", rates->all);
}

/* Prints a row a class, and returns the sum. No class may be wrong more often than 2 %, which a row of few cannot show. */
static struct rates table(const char *title, struct scenario scenario, unsigned count, uint64_t seed, unsigned resamples)
{
    struct rates sum = {0};
    printf("%s\n", title);
    for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++) {
        scenario.class = class;
        const struct rates rates = rates_of(scenario, count, seed + 1000000ull * class, resamples);
        row_print(lap_fit_class_text(class), &rates, resamples > 0);
        assert_true(rates.wrong <= 3 || percent(rates.wrong, count) <= 2);
        sum.all += rates.all;
        sum.right += rates.right;
        sum.paired += rates.paired;
        sum.wrong += rates.wrong;
        sum.inside += rates.inside;
    }
    row_print("all", &sum, resamples > 0);
    fflush(stdout);
    return sum;
}

static void test_rates_with_independent_noise(void **state)
{
    static const struct {
        double noise, right;
    } levels[] = {{0.05, 99}, {0.20, 98}, {0.50, 95}};
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (int offset = 0; offset < 2; offset++)
            for (int narrow = 0; narrow < 2; narrow++) {
                char title[128];
                const struct scenario scenario = {
                    .range = narrow ? 10 : 100, .offset = offset, .noise = levels[i].noise, .runs = 1};
                snprintf(title, sizeof title, "%d timings, noise %.0f %%, range %.0fx, offset %.0f of the least cost",
                         TIMINGS, 100 * scenario.noise, scenario.range, scenario.offset);
                const struct rates rates =
                    table(title, scenario, repeats(60), 1 + 100000ull * (i * 4 + (unsigned)offset * 2), 0);
                const double good = percent(narrow ? rates.all - rates.wrong : rates.right, rates.all);
                /* Of few generated a percent less may be right by chance. */
                assert_true(good >= levels[i].right - (rates.all < 3000 ? 1 : 0));
            }
}

static void test_rates_with_shared_noise(void **state)
{
    static const struct {
        const char *name;
        struct scenario scenario;
        double run_share, size_share;
    } kinds[] = {
        {"each size in a run of its own", {.range = 100, .noise = 0.05, .is_size_a_run = true}, 1, 0},
        {"five runs of all sizes", {.range = 100, .noise = 0.05, .runs = 5}, 1, 0.5},
        {"one run, noise shared by a size", {.range = 100, .noise = 0.05, .runs = 1}, 0, 1},
        {"each size in a run of its own, range 10x", {.range = 10, .noise = 0.05, .is_size_a_run = true}, 1, 0},
    };
    (void)state;
    for (unsigned percents = 3; percents <= 10; percents += 7)
        for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
            char title[128];
            struct scenario scenario = kinds[kind].scenario;
            scenario.run_noise = kinds[kind].run_share * percents / 100;
            scenario.size_noise = kinds[kind].size_share * percents / 100;
            snprintf(title, sizeof title, "shared noise %u %%, %s", percents, kinds[kind].name);
            const struct rates rates = table(title, scenario, repeats(36), 7 + 100000ull * (percents * 4 + kind), 200);
            assert_true(percent(rates.inside, rates.all) >= 97);
            assert_true(percent(rates.wrong, rates.all) <= 2);
        }
}

/* A dozen sizes, each timed once or a few times: what is O(n) or more is told from what is constant, which is never said to grow. */
static void test_few_timings(void **state)
{
    (void)state;
    for (unsigned each = 1; each <= 2; each++)
        for (unsigned percents = 5; percents <= 20; percents += 15)
            for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++) {
                struct scenario scenario = {.class = class,
                                            .n_min = 100,
                                            .range = 80,
                                            .noise = percents / 100.0,
                                            .runs = 1,
                                            .sizes = 12,
                                            .timings = 12 * each,
                                            .is_skewed = true};
                unsigned right = 0, wrong = 0, grows = 0;
                const unsigned all = repeats(50);
                for (unsigned i = 0; i < all; i++) {
                    const struct lap_fit fit =
                        fit_generated(&scenario, 77 + 1000000ull * class + 10000 * percents + i, 0);
                    right += fit.class == scenario.class;
                    wrong += fit.class != scenario.class && fit.class != LAP_FIT_UNCLEAR;
                    grows += fit.flattest >= LAP_FIT_N && fit.flattest != LAP_FIT_UNCLEAR;
                }
                printf("  12 sizes, %u each, noise %2u %%: %-8s right %5.1f %%, wrong %4.1f %%, O(n) at least %5.1f %%\n",
                       each, percents, lap_fit_class_text(class), percent(right, all), percent(wrong, all),
                       percent(grows, all));
                assert_true(percent(wrong, all) <= 2);
                if (class <= LAP_FIT_LOG)
                    assert_true(percent(grows, all) <= 2);
                else
                    assert_true(percent(grows, all) >= 94);
            }
}

/* Without outliers and with an offset the line is that of least squares, relative to the costs. */
static void test_line_is_that_of_least_squares(void **state)
{
    enum { COUNT = 40 };
    float costs[COUNT];
    struct lap_fit_cell cells[COUNT];
    double n[COUNT], weights[COUNT], y[COUNT], offset, factor, c00, c01, c11, sum;
    struct lap_random random;
    (void)state;
    lap_random_seed(&random, 5);
    for (unsigned i = 0; i < COUNT; i++) {
        n[i] = floor(100 * pow(100, i / (COUNT - 1.0)));
        costs[i] = (float)((3000 + 7 * n[i]) * (1 + 0.03 * normal(&random)));
        y[i] = costs[i];
        weights[i] = 1 / ((3000 + 7 * n[i]) * (3000 + 7 * n[i]));
        cells[i] = (struct lap_fit_cell){n[i], 0, 1, &costs[i]};
    }
    struct lap_fit fit;
    assert_int_equal(lap_fit_make(&fit, cells, COUNT, 100), 0);
    assert_int_equal(gsl_fit_wlinear(n, 1, weights, 1, y, 1, COUNT, &offset, &factor, &c00, &c01, &c11, &sum), 0);
    assert_int_equal(fit.class, LAP_FIT_N);
    assert_true(fabs(fit.lines[fit.likely].offset / offset - 1) < 0.01);
    assert_true(fabs(fit.lines[fit.likely].factor / factor - 1) < 0.005);
    assert_true(fit.exponent_low < 1 && 1 < fit.exponent_high && fit.exponent_high - fit.exponent_low < 0.2);
}

/* The exponent of costs without an offset is the slope of their logarithms. */
static void test_exponent_is_the_slope(void **state)
{
    enum { COUNT = 60 };
    float costs[COUNT];
    struct lap_fit_cell cells[COUNT];
    double x[COUNT], y[COUNT], c0, slope, c00, c01, c11, sum;
    struct lap_random random;
    (void)state;
    lap_random_seed(&random, 6);
    for (unsigned i = 0; i < COUNT; i++) {
        const double n = 10 * pow(100, i / (COUNT - 1.0));
        costs[i] = (float)(n * n * exp(0.05 * normal(&random)));
        x[i] = log(n);
        y[i] = log(costs[i]);
        cells[i] = (struct lap_fit_cell){n, 0, 1, &costs[i]};
    }
    struct lap_fit fit;
    assert_int_equal(lap_fit_make(&fit, cells, COUNT, 400), 0);
    assert_int_equal(gsl_fit_linear(x, 1, y, 1, COUNT, &c0, &slope, &c00, &c01, &c11, &sum), 0);
    assert_int_equal(fit.class, LAP_FIT_N2);
    assert_true(fabs(fit.exponent - slope) < 3 * sqrt(c11));
    assert_true(fit.exponent_high - fit.exponent_low > 2 * sqrt(c11));
    assert_true(fit.exponent_high - fit.exponent_low < 14 * sqrt(c11));
}

static struct lap_fit fit_exact(const double *sizes, size_t count)
{
    float costs[16];
    struct lap_fit_cell cells[16] = {0};
    struct lap_fit fit;
    for (size_t i = 0; i < count; i++) {
        costs[i] = (float)sizes[i];
        cells[i] = (struct lap_fit_cell){sizes[i], 0, 1, &costs[i]};
    }
    assert_int_equal(lap_fit_make(&fit, cells, count, 50), 0);
    return fit;
}

static void test_what_cannot_be_told(void **state)
{
    static const double few[] = {1, 2, 4, 8, 16, 32, 64}, narrow[] = {100, 101, 102, 103, 104, 105, 106, 107, 399};
    static const double enough[] = {1, 2, 4, 8, 16, 32, 64, 128};
    (void)state;
    assert_int_equal(fit_exact(few, 0).doubt, LAP_FIT_FEW_SIZES);
    assert_int_equal(fit_exact(few, 7).doubt, LAP_FIT_FEW_SIZES);
    assert_int_equal(fit_exact(narrow, 9).doubt, LAP_FIT_NARROW);
    assert_int_equal(fit_exact(narrow, 9).class, LAP_FIT_UNCLEAR);
    assert_int_equal(fit_exact(enough, 8).class, LAP_FIT_N);
}

/* n and n log n over 8x with 20 %: both are named, with a range that would tell, and over that range they are told. */
static void test_needed_range_tells(void **state)
{
    unsigned told = 0, asked = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct scenario scenario = {
            .class = LAP_FIT_N, .n_min = 100, .range = 5, .noise = 0.5, .sizes = SIZES, .runs = 1};
        const struct lap_fit fit = fit_generated(&scenario, seed, 0);
        if (fit.class != LAP_FIT_UNCLEAR || fit.range_needed == 0)
            continue;
        asked++;
        assert_true(fit.range_needed > fit.n_max / fit.n_min);
        scenario.range = fit.range_needed;
        told += fit_generated(&scenario, seed + 1000, 0).class == LAP_FIT_N;
    }
    printf("unclear at 5x: %u of 60; told over the range that was asked for: %u\n", asked, told);
    assert_true(asked >= 20 && told >= asked * 85 / 100);
}

/* offset + each * n as a lap of Python would have it: 14 sizes, 64 timings each, 3 % beyond that. */
static struct lap_fit fit_line(double offset_ns, double each_ns, uint64_t seed)
{
    struct lap_sized_costs costs = {0};
    struct lap_random random;
    struct lap_fit fit;
    lap_random_seed(&random, seed);
    for (unsigned size = 0; size < 14; size++) {
        const double n = floor(120 * pow(1.37, size)), of_size = 1 + 0.03 * normal(&random);
        for (unsigned i = 0; i < 64; i++)
            assert_int_equal(lap_sized_costs_add(&costs, 0, (int64_t)n,
                                                 (offset_ns + each_ns * n) * of_size * exp(0.1 * normal(&random))),
                             0);
    }
    assert_int_equal(lap_sized_costs_fit(&fit, &costs, 0), 0);
    lap_sized_costs_done(&costs);
    return fit;
}

/* A lookup in a dictionary takes 57 ns, and 83 in one of 7000, as measured; a scan of an array 2 us, and 8. */
static void test_memory_is_no_growth(void **state)
{
    unsigned seemed = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct lap_fit lookup = fit_line(57, 0.0036, seed), scan = fit_line(2050, 0.81, seed);
        seemed += lap_fit_flatter(&lookup) >= LAP_FIT_LOG;
        lap_fit_doubt_memory(&lookup);
        lap_fit_doubt_memory(&scan);
        assert_int_equal(lap_fit_flatter(&lookup), LAP_FIT_1);
        assert_true(lap_fit_flatter(&scan) >= LAP_FIT_N);
    }
    assert_true(seemed >= 30);
    struct lap_fit each = {
        .class = LAP_FIT_N_LOG, .likely = LAP_FIT_N_LOG, .n_min = 100, .n_max = 10000, .lines[LAP_FIT_N_LOG] = {0, 4}};
    lap_fit_doubt_memory(&each);
    assert_true(each.doubt == LAP_FIT_CACHES && lap_fit_flatter(&each) == LAP_FIT_N);
    each = (struct lap_fit){.class = LAP_FIT_N_LOG,
                            .likely = LAP_FIT_N_LOG,
                            .n_min = 100,
                            .n_max = 10000,
                            .lines[LAP_FIT_N_LOG] = {60, 4e-4}};
    lap_fit_doubt_memory(&each);
    assert_true(each.doubt == LAP_FIT_CACHES && lap_fit_flatter(&each) == LAP_FIT_1);
}

static void test_same_input_gives_the_same(void **state)
{
    const struct scenario scenario = {.class = LAP_FIT_N_LOG, .n_min = 10, .range = 100, .noise = 0.2, .runs = 3};
    (void)state;
    const struct lap_fit one = fit_generated(&scenario, 3, 50), other = fit_generated(&scenario, 3, 50);
    assert_true(one.exponent_low == other.exponent_low && one.exponent_high == other.exponent_high);
    assert_memory_equal(one.lines, other.lines, sizeof one.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_timings),
        cmocka_unit_test(test_line_is_that_of_least_squares),
        cmocka_unit_test(test_exponent_is_the_slope),
        cmocka_unit_test(test_what_cannot_be_told),
        cmocka_unit_test(test_needed_range_tells),
        cmocka_unit_test(test_memory_is_no_growth),
        cmocka_unit_test(test_same_input_gives_the_same),
        cmocka_unit_test(test_rates_with_independent_noise),
        cmocka_unit_test(test_rates_with_shared_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
