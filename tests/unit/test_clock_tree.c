/* SPDX-License-Identifier: MIT
 *
 * One time for several clocks, judged by clocks whose offsets are known.
 */
#include "clock_tree.h"
#include "simulated_clocks.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DOMAINS = 5 };
#define START INT64_C(1790000000000000000)
#define LENGTH_NS 20e9

static const int64_t offsets[DOMAINS] = {0, INT64_C(-1790000000000000000), 3000000000, -77, INT64_C(123456789012345678)};
static const double drifts[DOMAINS] = {0, 30e-6, -45e-6, 200e-6, -200e-6};

/* What the clock of a domain shows at a time. */
static int64_t clock_at(uint32_t domain, double t)
{
    return START + offsets[domain] + (int64_t)floor(t + drifts[domain] * t);
}

/* 1000 calls; one way takes at least `delay_ns`, the other a tenth. The server's clock is off by `wrong_ns`, which no clock
 * should be. */
static struct lap_clock_bounds *calls_between(uint32_t client, uint32_t server, double delay_ns, int64_t wrong_ns)
{
    struct lap_clock_bounds *bounds = NULL;
    uint64_t random = client * 16 + server;
    assert_int_equal(lap_clock_bounds_make(&bounds, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        const double t1 = 1e6 + LENGTH_NS / 1000 * i, t2 = t1 + delay_ns * (1 - log(simulated_random(&random)));
        const double t3 = t2 + 1e6 * simulated_random(&random),
                     t4 = t3 + delay_ns / 10 * (1 - log(simulated_random(&random)));
        assert_int_equal(lap_clock_bounds_add_call(bounds, clock_at(client, t1), clock_at(server, t2) + wrong_ns,
                                                   clock_at(server, t3) + wrong_ns, clock_at(client, t4)),
                         0);
    }
    return bounds;
}

static struct lap_clock_tree *tree_make(uint32_t domain_count, uint32_t root, const struct lap_clock_pair *pairs,
                                        size_t count)
{
    struct lap_clock_tree *tree = NULL;
    assert_int_equal(lap_clock_tree_make(&tree, domain_count, root, pairs, count), 0);
    return tree;
}

static void done(struct lap_clock_tree *tree, const struct lap_clock_pair *pairs, size_t count)
{
    lap_clock_tree_free(tree);
    for (size_t i = 0; i < count; i++)
        lap_clock_bounds_free((struct lap_clock_bounds *)pairs[i].bounds);
}

/* Every domain's time is converted to the root's within the error, which is not above `most_ns`. */
static void truth_is_within(const struct lap_clock_tree *tree, uint32_t root, double most_ns)
{
    uint64_t random = 1;
    for (int i = 0; i < 2000; i++) {
        const double t = simulated_random(&random) * LENGTH_NS;
        for (uint32_t domain = 0; domain < DOMAINS; domain++) {
            struct lap_clock_time time;
            assert_int_equal(lap_clock_tree_to_root(tree, domain, clock_at(domain, t), &time), 0);
            assert_false(time.is_near_step);
            /* Reading a clock takes up to 1 ns from either. */
            assert_true((double)llabs(time.time_ns - clock_at(root, t)) <= time.error_ns + 2);
            if (domain == root ? time.error_ns != 0 : !(time.error_ns > 0 && time.error_ns < most_ns))
                fail_msg("domain %u, root %u: an error of %.1f", domain, root, time.error_ns);
        }
    }
}

static void ring(void **state)
{
    (void)state;
    const struct lap_clock_pair pairs[] = {{0, 1, calls_between(0, 1, 10e3, 0)},
                                           {1, 2, calls_between(1, 2, 20e3, 0)},
                                           {2, 3, calls_between(2, 3, 90e3, 0)}, /* the worst: closes the loop */
                                           {3, 4, calls_between(3, 4, 40e3, 0)},
                                           {4, 0, calls_between(4, 0, 50e3, 0)}};
    for (uint32_t root = 0; root < DOMAINS; root++) {
        struct lap_clock_tree *const tree = tree_make(DOMAINS, root, pairs, 5);
        truth_is_within(tree, root, 180e3);
        assert_int_equal(lap_clock_tree_loop_count(tree), 1);
        const struct lap_clock_loop *const loop = lap_clock_tree_loops(tree);
        assert_int_equal(loop->pair, 2);
        assert_int_equal(loop->samples, 16);
        assert_true(loop->is_within && loop->residual_ns <= loop->error_ns && loop->error_ns < 400e3);
        assert_int_equal(lap_clock_tree_pair(tree, root), SIZE_MAX);
        lap_clock_tree_free(tree);
    }
    done(NULL, pairs, 5);
}

static void star(void **state)
{
    (void)state;
    const struct lap_clock_pair pairs[] = {{0, 1, calls_between(0, 1, 10e3, 0)},
                                           {2, 0, calls_between(2, 0, 20e3, 0)},
                                           {0, 3, calls_between(0, 3, 30e3, 0)},
                                           {4, 0, calls_between(4, 0, 50e3, 0)}};
    static const uint32_t roots[] = {0, 2};
    for (size_t i = 0; i < 2; i++) {
        struct lap_clock_tree *const tree = tree_make(DOMAINS, roots[i], pairs, 4);
        truth_is_within(tree, roots[i], 110e3);
        assert_int_equal(lap_clock_tree_loop_count(tree), 0);
        assert_int_equal(lap_clock_tree_pair(tree, 4), 3);
        lap_clock_tree_free(tree);
    }
    done(NULL, pairs, 4);
}

/* A pair that says something else than the way around, by 2 ms: seen, and not in the tree though it is a pair like others. */
static void wrong_pair_is_seen(void **state)
{
    (void)state;
    const struct lap_clock_pair pairs[] = {
        {0, 1, calls_between(0, 1, 10e3, 0)},       {1, 2, calls_between(1, 2, 20e3, 0)},
        {0, 2, calls_between(0, 2, 40e3, 2000000)}, {0, 3, calls_between(0, 3, 30e3, 0)},
        {0, 4, calls_between(0, 4, 30e3, 0)},       {4, 0, calls_between(4, 0, 60e3, 0)}};
    struct lap_clock_tree *const tree = tree_make(DOMAINS, 0, pairs, 6);
    truth_is_within(tree, 0, 80e3);
    assert_int_equal(lap_clock_tree_loop_count(tree), 2);
    const struct lap_clock_loop *const loops = lap_clock_tree_loops(tree);
    assert_int_equal(loops[0].pair, 2);
    assert_false(loops[0].is_within);
    assert_true(fabs(loops[0].residual_ns - 2e6) <= loops[0].error_ns && loops[0].error_ns < 200e3);
    assert_int_equal(loops[1].pair, 5);
    assert_true(loops[1].is_within);
    done(tree, pairs, 6);
}

static void no_way(void **state)
{
    (void)state;
    struct lap_clock_bounds *one_way = NULL, *empty = NULL;
    struct lap_clock_tree *tree = NULL;
    struct lap_clock_time time = {.time_ns = 7};
    assert_int_equal(lap_clock_bounds_make(&one_way, NULL), 0);
    assert_int_equal(lap_clock_bounds_make(&empty, NULL), 0);
    assert_int_equal(lap_clock_bounds_add_message(one_way, START, START + 5000), 0);
    const struct lap_clock_pair pairs[] = {
        {0, 1, calls_between(0, 1, 10e3, 0)}, {1, 2, one_way}, {2, 3, empty}, {1, 1, empty}};
    assert_int_equal(lap_clock_tree_make(&tree, 3, 0, pairs, 4), -EINVAL);
    assert_int_equal(lap_clock_tree_make(&tree, 4, 4, pairs, 4), -EINVAL);
    assert_int_equal(lap_clock_tree_make(&tree, 0, 0, NULL, 0), -EINVAL);
    tree = tree_make(4, 0, pairs, 4);
    assert_true(lap_clock_tree_has(tree, 0) && lap_clock_tree_has(tree, 1));
    assert_false(lap_clock_tree_has(tree, 2) || lap_clock_tree_has(tree, 3) || lap_clock_tree_has(tree, 4));
    assert_int_equal(lap_clock_tree_to_root(tree, 2, START, &time), -ENODATA);
    assert_int_equal(lap_clock_tree_to_root(tree, 4, START, &time), -EINVAL);
    assert_int_equal(time.time_ns, 7);
    assert_int_equal(lap_clock_tree_loop_count(tree), 2);
    assert_int_equal(lap_clock_tree_loops(tree)[0].samples, 0);
    done(tree, pairs, 3);
}

/* A time whose error reaches over a step may be on either side of it. */
static void step_within_the_error_is_near(void **state)
{
    (void)state;
    struct lap_clock_bounds *coarse = NULL, *stepped = NULL;
    assert_int_equal(lap_clock_bounds_make(&coarse, NULL), 0);
    assert_int_equal(lap_clock_bounds_make(&stepped, NULL), 0);
    for (int64_t i = 0; i < 1000; i++) {
        const int64_t t = START + i * 1000000, step = i < 500 ? 0 : 1000000000;
        assert_int_equal(lap_clock_bounds_add_call(coarse, t, t + 10000000, t + 10000000, t + 20000000), 0);
        assert_int_equal(lap_clock_bounds_add_call(stepped, t, t + step + 1000, t + step + 1000, t + 2000), 0);
    }
    const struct lap_clock_pair pairs[] = {{2, 1, coarse}, {1, 0, stepped}};
    struct lap_clock_tree *const tree = tree_make(3, 0, pairs, 2);
    struct lap_clock_time time;
    for (int64_t ms = 0; ms < 1000; ms++) {
        assert_int_equal(lap_clock_tree_to_root(tree, 2, START + ms * 1000000 + 3000, &time), 0);
        if (ms > 490 && ms < 508)
            assert_true(time.is_near_step);
        if (ms < 485 || ms > 515)
            assert_false(time.is_near_step);
    }
    done(tree, pairs, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring),
        cmocka_unit_test(star),
        cmocka_unit_test(wrong_pair_is_seen),
        cmocka_unit_test(no_way),
        cmocka_unit_test(step_within_the_error_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
