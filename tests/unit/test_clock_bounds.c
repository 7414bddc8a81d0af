/* SPDX-License-Identifier: MIT
 *
 * Bounds on the offset between two clocks, judged by clocks whose true offset is known, by the error that one call alone
 * guarantees, and by all pairs of constraints.
 */
#include "clock_bounds.h"
#include "clock_lines.h"
#include "simulated_clocks.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NS_PER_MS 1e6
#define NS_PER_S 1e9
#define START INT64_C(1790000000123456789)

static struct simulation usual(uint64_t seed)
{
    return (struct simulation){.seed = seed,
                               .start_ns = START,
                               .offset_ns = INT64_C(-1234567890123),
                               .drift = 40e-6,
                               .interval_ns = 10 * NS_PER_MS,
                               .least_delay_ns = 0.1 * NS_PER_MS,
                               .mean_delay_ns = 0.2 * NS_PER_MS,
                               .work_ns = 0.5 * NS_PER_MS,
                               .loss = 0.1,
                               .disorder = 3};
}

static struct lap_clock_bounds *bounds_make(const struct lap_clock_bounds_options *options)
{
    struct lap_clock_bounds *bounds = NULL;
    assert_int_equal(lap_clock_bounds_make(&bounds, options), 0);
    return bounds;
}

static void bounds_give(struct lap_clock_bounds *bounds, const struct simulated_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(lap_clock_bounds_add_call(bounds, calls[i].t1, calls[i].t2, calls[i].t3, calls[i].t4), 0);
}

/* The error that the best single call guarantees at a time. */
static double single_error(const struct simulated_call *calls, size_t count, int64_t time)
{
    double least = INFINITY;
    for (size_t i = 0; i < count; i++) {
        const struct simulated_call *const call = &calls[i];
        const double rtt = (double)(call->t4 - call->t1 - (call->t3 - call->t2));
        const double error = (rtt + 500e-6 * (fabs((double)(time - call->t1)) + fabs((double)(time - call->t4)))) / 2;
        least = error < least ? error : least;
    }
    return least;
}

/* At `times` random times from 10 s before the first call to 10 s after the last, the truth is where the bounds say. Returns how
 * many of the times were not near a step. With calls: the error is not above what one of them guarantees. */
static int truth_is_within(const struct lap_clock_bounds *bounds, const struct simulation *simulation,
                           const struct simulated_call *calls, size_t count, int times, double tolerance)
{
    uint64_t state = simulation->seed + 1;
    int64_t from, to;
    int judged = 0;
    assert_int_equal(lap_clock_bounds_span(bounds, &from, &to), 0);
    const double outside = simulation->step_ns != 0 ? 0 : 10 * NS_PER_S;
    for (int i = 0; i < times; i++) {
        const double t =
            (double)(from - START) - outside + simulated_random(&state) * ((double)(to - from) + 2 * outside);
        const int64_t time = START + (int64_t)t;
        struct lap_clock_offset offset;
        assert_int_equal(lap_clock_bounds_at(bounds, time, &offset), 0);
        if (offset.is_near_step)
            continue;
        judged++;
        const double truth = simulated_theta(simulation, (double)(time - START));
        const double got = (double)(offset.offset_ns - simulation->offset_ns);
        if (!(fabs(got - truth) <= offset.error_ns))
            fail_msg("seed %llu at %.0f: %.1f is not %.1f +- %.1f", (unsigned long long)simulation->seed, t, truth, got,
                     offset.error_ns);
        if (calls && !(offset.error_ns <= single_error(calls, count, time) + 2 * tolerance + 1))
            fail_msg("seed %llu at %.0f: an error of %.1f, where one call alone gives %.1f",
                     (unsigned long long)simulation->seed, t, offset.error_ns, single_error(calls, count, time));
    }
    return judged;
}

/* ---- the truth --------------------------------------------------------------------------------------------------------- */

static void truth_is_within_the_error(void **state)
{
    (void)state;
    static const double drifts[] = {0, 40e-6, -40e-6, 400e-6, -400e-6};
    static const size_t counts[] = {2, 30, 1500};
    for (size_t i = 0; i < sizeof drifts / sizeof *drifts; i++)
        for (int delay = 0; delay < DELAY_KINDS; delay++)
            for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
                struct simulation simulation = usual(1000 * i + 10 * (size_t)delay + j);
                simulation.drift = drifts[i];
                simulation.delay = (enum simulated_delay)delay;
                struct simulated_call *const calls = simulated_calls(&simulation, counts[j]);
                struct lap_clock_bounds *const bounds = bounds_make(NULL);
                bounds_give(bounds, calls, counts[j]);
                assert_int_equal(truth_is_within(bounds, &simulation, calls, counts[j], 1000, 1), 1000);
                assert_int_equal(lap_clock_bounds_window_count(bounds), 1);
                struct lap_clock_window window;
                lap_clock_bounds_window(bounds, 0, &window);
                assert_true(window.rate_least <= drifts[i] && drifts[i] <= window.rate_greatest);
                assert_true(window.rate_least <= window.rate && window.rate <= window.rate_greatest);
                assert_true(window.calls == counts[j] && window.margin_ns > 0);
                if (counts[j] > 1000) /* 15 s, rtt up to 1.1 ms */
                    assert_true(window.rate_greatest - window.rate_least < 200e-6);
                lap_clock_bounds_free(bounds);
                free(calls);
            }
}

/* Windows of 1 s, at first; later ones are longer, since there is room for 16 only. */
static void truth_is_within_across_windows(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct simulation simulation = usual(seed);
        const size_t count = 4000; /* 40 s */
        const struct lap_clock_bounds_options options = {.window_ns = 1000000000, .window_count = seed < 2 ? 1000 : 16};
        struct simulated_call *const calls = simulated_calls(&simulation, count);
        struct lap_clock_bounds *const bounds = bounds_make(&options);
        bounds_give(bounds, calls, count);
        const size_t windows = lap_clock_bounds_window_count(bounds);
        assert_true(seed < 2 ? windows > 30 : windows > 4 && windows <= 16);
        assert_int_equal(lap_clock_bounds_step_count(bounds), 0);
        assert_int_equal(truth_is_within(bounds, &simulation, calls, count, 2000, (double)(windows + 1)), 2000);
        lap_clock_bounds_free(bounds);
        free(calls);
    }
}

static void one_call(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_offset offset;
    assert_int_equal(lap_clock_bounds_add_call(bounds, 1000000, 6000000, 6500000, 2500000),
                     0); /* rtt 1 ms, theta 4.5 ms */
    assert_int_equal(lap_clock_bounds_at(bounds, 1000000, &offset), 0);
    assert_true(offset.error_ns >= 500000 && offset.error_ns <= 500000 + 375 + 4);
    assert_true(llabs(offset.offset_ns - 4500000) <= 376);
    /* A second behind: 500 ppm to each side. */
    assert_int_equal(lap_clock_bounds_at(bounds, 1002500000, &offset), 0);
    assert_true(offset.error_ns >= 1000000 && offset.error_ns <= 1000000 + 375 + 4);
    assert_false(offset.is_near_step);
    lap_clock_bounds_free(bounds);
}

static void nothing_and_one_side(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_offset offset = {.offset_ns = 7};
    struct lap_clock_time time;
    int64_t from, to;
    assert_int_equal(lap_clock_bounds_at(bounds, 5, &offset), -ENODATA);
    assert_int_equal(offset.offset_ns, 7);
    assert_int_equal(lap_clock_bounds_span(bounds, &from, &to), -ENODATA);
    assert_int_equal(lap_clock_bounds_to_client(bounds, 5, &time), -ENODATA);
    assert_int_equal(lap_clock_bounds_window_count(bounds), 0);
    assert_true(isinf(lap_clock_bounds_median_error_ns(bounds)));
    assert_false(lap_clock_bounds_contradicts_zero(bounds, 0));

    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(lap_clock_bounds_add_message(bounds, START + i * 1000000, START + i * 1000000 + 5000 + i % 7),
                         0);
    assert_int_equal(lap_clock_bounds_at(bounds, START + 500000000, &offset), 0);
    assert_true(isinf(offset.error_ns));
    assert_true(offset.offset_ns >= 5000 && offset.offset_ns <= 5003);
    assert_false(lap_clock_bounds_contradicts_zero(bounds, 0));
    assert_int_equal(lap_clock_bounds_to_server(bounds, START, &time), 0);
    assert_true(isinf(time.error_ns));
    /* One answer bounds the other side, too. */
    assert_int_equal(
        lap_clock_bounds_add_call(bounds, START + 500000000, START + 500005000, START + 500005000, START + 500004000), 0);
    assert_int_equal(lap_clock_bounds_at(bounds, START + 500000000, &offset), 0);
    assert_true(offset.error_ns < 2010);
    lap_clock_bounds_free(bounds);
}

/* ---- all pairs of constraints ------------------------------------------------------------------------------------------- */

enum { FEW = 12 };
struct few {
    struct lap_clock_point upper[FEW], lower[FEW];
    int upper_count, lower_count;
};

/* Half of the gap that a line of this rate has between the bounds; negative: it has none. */
static double few_margin(const struct few *few, double rate)
{
    double above = INFINITY, below = -INFINITY;
    for (int i = 0; i < few->upper_count; i++)
        above = fmin(above, few->upper[i].y - rate * few->upper[i].x);
    for (int i = 0; i < few->lower_count; i++)
        below = fmax(below, few->lower[i].y - rate * few->lower[i].x);
    return (above - below) / 2;
}

/* Each corner of the polygon of lines is one of a line through two of the bounds, or through one with the greatest or least
 * rate; each optimum is at a corner. */
static bool few_solve(const struct few *few, double x, double *ret_least, double *ret_greatest, double *ret_margin)
{
    struct lap_clock_point points[2 * FEW];
    double rates[4 * FEW * FEW];
    int count = 0, rate_count = 0;
    for (int i = 0; i < few->upper_count; i++)
        points[count++] = few->upper[i];
    for (int i = 0; i < few->lower_count; i++)
        points[count++] = few->lower[i];
    rates[rate_count++] = LAP_CLOCK_RATE_LIMIT;
    rates[rate_count++] = -LAP_CLOCK_RATE_LIMIT;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) {
            const double rate = (points[i].y - points[j].y) / (points[i].x - points[j].x);
            if (points[i].x != points[j].x && fabs(rate) <= LAP_CLOCK_RATE_LIMIT)
                rates[rate_count++] = rate;
        }
    *ret_least = INFINITY;
    *ret_greatest = *ret_margin = -INFINITY;
    for (int i = 0; i < rate_count; i++) {
        const double margin = few_margin(few, rates[i]);
        *ret_margin = fmax(*ret_margin, margin);
        if (margin < -1e-6)
            continue;
        for (int j = 0; j < count; j++) {
            const double y = points[j].y + rates[i] * (x - points[j].x);
            const double above = points[j].y - rates[i] * points[j].x;
            bool is_allowed = true;
            for (int k = 0; k < few->upper_count; k++)
                is_allowed = is_allowed && above + rates[i] * few->upper[k].x <= few->upper[k].y + 1e-6;
            for (int k = 0; k < few->lower_count; k++)
                is_allowed = is_allowed && above + rates[i] * few->lower[k].x >= few->lower[k].y - 1e-6;
            if (is_allowed) {
                *ret_least = fmin(*ret_least, y);
                *ret_greatest = fmax(*ret_greatest, y);
            }
        }
    }
    return *ret_margin >= 0;
}

static void few_are_solved_as_by_all_pairs(void **state)
{
    (void)state;
    uint64_t random = 4711;
    struct lap_clock_point upper[FEW], lower[FEW];
    int feasible = 0, infeasible = 0;
    for (int round = 0; round < 20000; round++) {
        struct lap_clock_lines lines = {.upper = {upper, 0, FEW}, .lower = {lower, 0, FEW}};
        lap_clock_lines_clear(&lines);
        lap_clock_lines_set_base(&lines, 0, 0);
        struct few few = {0};
        const int count = 2 + (int)(simulated_random(&random) * (2 * FEW - 2));
        const double drift = (simulated_random(&random) - 0.5) * 1.2e-3,
                     noise = pow(10, 2 + 4 * simulated_random(&random));
        bool is_feasible = true;
        double least, greatest, margin = 0;
        while (is_feasible && few.upper_count + few.lower_count < count) {
            const bool is_upper = few.lower_count == FEW || (few.upper_count < FEW && simulated_random(&random) < 0.5);
            /* Few different times, so that some have several bounds. */
            const double x = floor(simulated_random(&random) * 40) * 1e8;
            const double y = floor(drift * x + (is_upper ? 1 : -1) * noise * (simulated_random(&random) - 0.05));
            *(is_upper ? &few.upper[few.upper_count++] : &few.lower[few.lower_count++]) = (struct lap_clock_point){x, y};
            is_feasible = is_upper ? lap_clock_lines_add_upper(&lines, x, y) : lap_clock_lines_add_lower(&lines, x, y);
            const bool is_solved = few_solve(&few, 0, &least, &greatest, &margin);
            if (fabs(margin) > 1e-2)
                assert_int_equal(is_solved, is_feasible);
        }
        if (!is_feasible || margin < 1e-2) {
            infeasible += !is_feasible;
            continue;
        }
        for (int i = 0; i < 10 && few.upper_count != 0 && few.lower_count != 0; i++) {
            const double x = floor(simulated_random(&random) * 60 - 10) * 1e8;
            few_solve(&few, x, &least, &greatest, &margin);
            if (fabs(lap_clock_lines_upper(&lines, x) - greatest) > 0.01 ||
                fabs(lap_clock_lines_lower(&lines, x) - least) > 0.01)
                fail_msg("round %d at %.0f: %.3f to %.3f is not %.3f to %.3f", round, x, lap_clock_lines_lower(&lines, x),
                         lap_clock_lines_upper(&lines, x), least, greatest);
            double y, rate;
            if (fabs(lap_clock_lines_widest(&lines, &y, &rate) - margin) > 0.01 ||
                fabs(few_margin(&few, rate) - margin) > 0.01)
                fail_msg("round %d: %.3f is not %.3f", round, lap_clock_lines_widest(&lines, &y, &rate), margin);
            feasible++;
        }
    }
    assert_true(feasible > 10000 && infeasible > 1000);
}

/* Hulls of 4 points: the answer is wider, and not wrong. */
static void full_hulls_are_only_wider(void **state)
{
    (void)state;
    uint64_t dropped = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct simulation simulation = usual(seed);
        const struct lap_clock_bounds_options small = {.hull_points = 4};
        simulation.interval_ns = 0.1 * NS_PER_MS; /* so that the rate stays in doubt, and the hulls large */
        struct simulated_call *const calls = simulated_calls(&simulation, 2000);
        struct lap_clock_bounds *const bounds = bounds_make(&small), *const full = bounds_make(NULL);
        struct lap_clock_counts counts;
        bounds_give(bounds, calls, 2000);
        bounds_give(full, calls, 2000);
        assert_int_equal(truth_is_within(bounds, &simulation, NULL, 0, 1000, 1), 1000);
        for (int64_t time = START; time < START + 200000000; time += 1000000) {
            struct lap_clock_offset wide, narrow;
            assert_int_equal(lap_clock_bounds_at(bounds, time, &wide), 0);
            assert_int_equal(lap_clock_bounds_at(full, time, &narrow), 0);
            assert_true(wide.error_ns >= narrow.error_ns - 0.01 && wide.error_ns < 1.5 * narrow.error_ns);
        }
        lap_clock_bounds_counts(bounds, &counts);
        dropped += counts.dropped_points;
        lap_clock_bounds_free(bounds);
        lap_clock_bounds_free(full);
        free(calls);
    }
    assert_true(dropped > 0);
}

/* ---- steps -------------------------------------------------------------------------------------------------------------- */

static void step_is_found(const struct simulation *simulation, size_t count)
{
    struct simulated_call *const calls = simulated_calls(simulation, count);
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_window window;
    bounds_give(bounds, calls, count);
    assert_int_equal(lap_clock_bounds_step_count(bounds), 1);
    assert_int_equal(lap_clock_bounds_window_count(bounds), 2);
    lap_clock_bounds_window(bounds, 1, &window);
    assert_int_equal(window.begin, LAP_CLOCK_STEP);
    assert_true(fabs(window.step_ns - simulation->step_ns) <= window.step_error_ns);
    assert_true(window.step_error_ns < fabs(simulation->step_ns) / 2);
    assert_true((double)(window.after_ns - START) <= simulation->step_at_ns);
    assert_true((double)(window.before_ns - START) >= simulation->step_at_ns);
    assert_true(truth_is_within(bounds, simulation, NULL, 0, 3000, 1) > 2500);

    /* The time between is told, and what is on which side. */
    struct lap_clock_offset before, at, behind;
    const int64_t step_at = START + (int64_t)simulation->step_at_ns;
    assert_int_equal(lap_clock_bounds_at(bounds, window.after_ns, &before), 0);
    assert_int_equal(lap_clock_bounds_at(bounds, step_at, &at), 0);
    assert_int_equal(lap_clock_bounds_at(bounds, window.before_ns, &behind), 0);
    assert_true(!before.is_near_step && at.is_near_step && !behind.is_near_step);
    assert_true(before.steps == 0 && behind.steps == 1);
    lap_clock_bounds_free(bounds);
    free(calls);
}

static void steps_are_found(void **state)
{
    (void)state;
    static const double steps[] = {3 * NS_PER_S, -3 * NS_PER_S, 5 * NS_PER_MS, -5 * NS_PER_MS};
    for (uint64_t seed = 0; seed < 200; seed++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct simulation simulation = usual(seed * 4 + i);
            simulation.delay = (enum simulated_delay)(seed % DELAY_KINDS);
            simulation.disorder = seed % 2 * 3;
            simulation.step_at_ns = (8 + (double)seed / 100) * NS_PER_S;
            simulation.step_ns = steps[i];
            step_is_found(&simulation, 2000);
        }
}

/* Smaller than what the calls leave open: not a step, in any case. */
static void small_step_is_not_claimed(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct simulation simulation = usual(seed);
        simulation.step_at_ns = 10 * NS_PER_S;
        simulation.step_ns = seed % 2 ? 20e3 : -20e3;
        struct simulated_call *const calls = simulated_calls(&simulation, 2000);
        struct lap_clock_bounds *const bounds = bounds_make(NULL);
        bounds_give(bounds, calls, 2000);
        assert_int_equal(lap_clock_bounds_step_count(bounds), 0);
        lap_clock_bounds_free(bounds);
        free(calls);
    }
}

/* After a step that nobody has seen yet, slow calls that fit both sides: they must not make the old window's error too small, nor
 * those before it the new one's. */
static void slow_calls_around_a_step(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_offset offset;
    struct lap_clock_counts counts;
    for (int64_t i = 0; i < 400; i++) {
        const int64_t t = START + i * 20000000, step = i < 200 ? 0 : 5000000;
        if (i >= 190 && i < 210) {
            /* At -0.05 ms to 5.05 ms before, which is 0.05 ms too small for it to be the new offset; and likewise behind. */
            const int64_t least = i < 200 ? -5000 : 5000000 - 4950000, greatest = i < 200 ? 4950000 : 5005000;
            assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + greatest, t + greatest, t + greatest - least), 0);
        } else {
            assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + step + 100000, t + step + 100000, t + 200000), 0);
        }
    }
    lap_clock_bounds_counts(bounds, &counts);
    assert_int_equal(counts.ambiguous, 20 + 1);
    assert_int_equal(lap_clock_bounds_step_count(bounds), 1);
    for (int64_t i = 0; i < 400; i++) {
        assert_int_equal(lap_clock_bounds_at(bounds, START + i * 20000000, &offset), 0);
        const int64_t truth = i < 200 ? 0 : 5000000;
        assert_true(offset.is_near_step || (double)llabs(offset.offset_ns - truth) <= offset.error_ns);
        assert_int_equal(offset.is_near_step, i >= 190 && i <= 210);
    }
    lap_clock_bounds_free(bounds);
}

/* A call is sent before a step and received behind it; others that are sent later are through before. That is one step. */
static void calls_that_overtake_at_a_step(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_counts counts;
    for (int64_t i = 0; i < 100; i++) {
        const int64_t t = START + i * 1000000, step = i <= 55 ? 0 : 50000000;
        if (i == 50)
            assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + 59900000, t + 59900000, t + 10000000), 0);
        else
            assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + step + 100000, t + step + 100000, t + 200000), 0);
    }
    lap_clock_bounds_counts(bounds, &counts);
    assert_int_equal(lap_clock_bounds_window_count(bounds), 2);
    assert_int_equal(lap_clock_bounds_step_count(bounds), 1);
    assert_int_equal(counts.ambiguous, 5 + 1);
    assert_int_equal(counts.contradictory + counts.late, 0);
    lap_clock_bounds_free(bounds);
}

/* The rate changes, and theta does not jump: no line fits all, but that is no step. */
static void bend_is_no_step(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_window window;
    for (int64_t i = 0; i < 2000; i++) {
        const int64_t t = i * 10000000, theta = 1000000 + (i < 1000 ? t : 20000000000 - t) / 5000; /* +-200 ppm */
        assert_int_equal(lap_clock_bounds_add_call(bounds, START + t, START + t + theta + 50000,
                                                   START + t + theta + 50000, START + t + 100000),
                         0);
    }
    assert_int_equal(lap_clock_bounds_step_count(bounds), 0);
    assert_true(lap_clock_bounds_window_count(bounds) >= 2);
    lap_clock_bounds_window(bounds, 1, &window);
    assert_int_equal(window.begin, LAP_CLOCK_BEND);
    assert_true(fabs(window.step_ns) <= window.step_error_ns);
    lap_clock_bounds_free(bounds);
}

/* Calls that came from before a step after it had been seen, and calls that no line fits. */
static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    struct lap_clock_bounds *const bounds = bounds_make(NULL);
    struct lap_clock_counts counts;
    for (int64_t i = 0; i < 200; i++) {
        const int64_t t = START + i * 1000000, step = i < 100 ? 0 : 5000000;
        if (i != 98)
            assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + step + 1000, t + step + 2000, t + 3000), 0);
    }
    const int64_t t = START + 98 * 1000000;
    assert_int_equal(lap_clock_bounds_add_call(bounds, t, t + 1000, t + 2000, t + 3000), 0);
    assert_int_equal(lap_clock_bounds_add_call(bounds, t + 60000000, t + 1000, t + 90000000, t + 60003000), 0);
    /* In the middle of others that agree: one call is wrong, and there is no step. */
    assert_int_equal(lap_clock_bounds_add_call(bounds, t + 60000000, t + 2, t + 3, t + 60000001), 0);
    lap_clock_bounds_counts(bounds, &counts);
    assert_int_equal(counts.calls, 198); /* the last before the step may have been under way at it */
    assert_int_equal(counts.ambiguous, 1);
    assert_int_equal(counts.late, 1);
    assert_int_equal(counts.contradictory, 2);
    assert_int_equal(lap_clock_bounds_step_count(bounds), 1);
    struct lap_clock_offset offset;
    assert_int_equal(lap_clock_bounds_at(bounds, START + 150000000, &offset), 0);
    assert_true(llabs(offset.offset_ns - 5000000) <= (int64_t)offset.error_ns && offset.error_ns < 1010);
    lap_clock_bounds_free(bounds);
}

static void times_are_checked(void **state)
{
    (void)state;
    struct lap_clock_bounds *bounds = NULL;
    const struct lap_clock_bounds_options bad[] = {
        {.tolerance_ns = -1}, {.window_ns = -1}, {.window_ns = INT64_MAX}, {.hull_points = 3}, {.window_count = 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(lap_clock_bounds_make(&bounds, &bad[i]), -EINVAL);
    assert_null(bounds);
    bounds = bounds_make(NULL);
    const int64_t most = LAP_CLOCK_TIME_LIMIT - 1;
    assert_int_equal(lap_clock_bounds_add_call(bounds, -1, 5, 6, 7), -EINVAL);
    assert_int_equal(lap_clock_bounds_add_call(bounds, 1, 5, 6, most + 1), -EINVAL);
    assert_int_equal(lap_clock_bounds_add_call(bounds, 8, 5, 6, 7), -EINVAL);
    assert_int_equal(lap_clock_bounds_add_call(bounds, 5, 7, 6, 8), -EINVAL);
    assert_int_equal(lap_clock_bounds_add_message(bounds, 5, INT64_MIN), -EINVAL);
    /* From end to end: nothing overflows. */
    struct lap_clock_offset offset;
    struct lap_clock_time time;
    assert_int_equal(lap_clock_bounds_add_call(bounds, 0, most - 3, most - 2, 2), 0);
    assert_int_equal(lap_clock_bounds_add_call(bounds, most - 3, 0, 1, most), 0);
    assert_int_equal(lap_clock_bounds_add_call(bounds, 0, most, most, most), 0);
    assert_int_equal(lap_clock_bounds_at(bounds, 1, &offset), 0);
    assert_true(llabs(offset.offset_ns - (most - 3)) < 5);
    assert_int_equal(lap_clock_bounds_at(bounds, most, &offset), 0);
    assert_true(llabs(offset.offset_ns + (most - 3)) < 5);
    assert_int_equal(lap_clock_bounds_at(bounds, INT64_MIN, &offset), -EINVAL);
    assert_int_equal(lap_clock_bounds_at(bounds, -LAP_CLOCK_TIME_LIMIT, &offset), 0);
    (void)lap_clock_bounds_to_client(bounds, INT64_MAX, &time);
    (void)lap_clock_bounds_to_client(bounds, INT64_MIN, &time);
    lap_clock_bounds_free(bounds);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------------- */

/* There and back again, and the truth is within the error both ways. */
static void times_are_converted(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct simulation simulation = usual(seed);
        simulation.drift = seed % 2 ? 400e-6 : -400e-6;
        simulation.delay = (enum simulated_delay)(seed % DELAY_KINDS);
        simulation.step_at_ns = seed % 3 ? 0 : 8 * NS_PER_S;
        simulation.step_ns = seed % 3 ? 0 : seed % 2 ? 5 * NS_PER_MS : -5 * NS_PER_MS;
        struct simulated_call *const calls = simulated_calls(&simulation, 1500);
        struct lap_clock_bounds *const bounds = bounds_make(NULL);
        int judged = 0;
        bounds_give(bounds, calls, 1500);
        for (double t = 0; t < 15 * NS_PER_S; t += 765432) {
            struct lap_clock_time server, client;
            const double theta = simulated_theta(&simulation, t);
            const int64_t truth = START + (int64_t)t + simulation.offset_ns + (int64_t)theta;
            assert_int_equal(lap_clock_bounds_to_server(bounds, START + (int64_t)t, &server), 0);
            assert_int_equal(lap_clock_bounds_to_client(bounds, truth, &client), 0);
            if (!server.is_near_step)
                assert_true((double)llabs(server.time_ns - truth) <= server.error_ns + 1);
            if (client.is_near_step)
                continue;
            judged++;
            assert_true((double)llabs(client.time_ns - (START + (int64_t)t)) <= client.error_ns + 1);
            assert_int_equal(lap_clock_bounds_to_server(bounds, client.time_ns, &server), 0);
            assert_true(server.is_near_step || llabs(server.time_ns - truth) <= 1);
        }
        assert_true(judged > 19000);
        lap_clock_bounds_free(bounds);
        free(calls);
    }
}

static void one_clock_or_two(void **state)
{
    (void)state;
    static const int64_t offsets[] = {0, 100000, 5000000, -5000000};
    for (size_t i = 0; i < 4; i++) {
        struct simulation simulation = usual(i);
        simulation.offset_ns = offsets[i];
        simulation.drift = 0;
        struct simulated_call *const calls = simulated_calls(&simulation, 1000);
        struct lap_clock_bounds *const bounds = bounds_make(NULL);
        bounds_give(bounds, calls, 1000);
        /* 0.1 ms is not more than the delays leave open. */
        assert_int_equal(lap_clock_bounds_contradicts_zero(bounds, 0), i >= 2);
        assert_int_equal(lap_clock_bounds_contradicts_zero(bounds, 4000000), i >= 2);
        assert_false(lap_clock_bounds_contradicts_zero(bounds, 6000000));
        lap_clock_bounds_free(bounds);
        free(calls);
    }
}

static size_t bytes_with(const struct lap_clock_bounds_options *options, size_t count)
{
    struct simulation simulation = usual(1);
    simulation.interval_ns = NS_PER_MS;
    struct simulated_call *const calls = simulated_calls(&simulation, count);
    struct lap_clock_bounds *const bounds = bounds_make(options);
    bounds_give(bounds, calls, count);
    truth_is_within(bounds, &simulation, NULL, 0, 2000, 1);
    const size_t bytes = lap_clock_bounds_bytes(bounds);
    lap_clock_bounds_free(bounds);
    free(calls);
    return bytes;
}

static void memory_does_not_grow(void **state)
{
    (void)state;
    const struct lap_clock_bounds_options long_ones = {.window_ns = INT64_C(1) << 50};
    assert_int_equal(bytes_with(&long_ones, 1000), bytes_with(&long_ones, 1000000));
    const struct lap_clock_bounds_options short_ones = {.window_ns = 1000000, .window_count = 16};
    const size_t few = bytes_with(&short_ones, 1000), many = bytes_with(&short_ones, 1000000);
    assert_true(many < few + 16 * 2 * 20 * sizeof(struct lap_clock_point));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truth_is_within_the_error),
        cmocka_unit_test(truth_is_within_across_windows),
        cmocka_unit_test(one_call),
        cmocka_unit_test(nothing_and_one_side),
        cmocka_unit_test(few_are_solved_as_by_all_pairs),
        cmocka_unit_test(full_hulls_are_only_wider),
        cmocka_unit_test(steps_are_found),
        cmocka_unit_test(small_step_is_not_claimed),
        cmocka_unit_test(slow_calls_around_a_step),
        cmocka_unit_test(calls_that_overtake_at_a_step),
        cmocka_unit_test(bend_is_no_step),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(times_are_checked),
        cmocka_unit_test(times_are_converted),
        cmocka_unit_test(one_clock_or_two),
        cmocka_unit_test(memory_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
