/* SPDX-License-Identifier: MIT
 *
 * Comparisons of trees that are made by hand: which node is which, by what a change came, and which node it is about. And
 * the instances of a recording one by one, against its stored statistics.
 */
#include "diff.h"
#include "generated_runs.h"
#include "samples.h"
#include "synthetic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RUNS = 4, INSTANCES_MAX = 1000 };

/* What is to be in a tree: a label with as many dots before it as it is deep, "(rest)" a rest, "name()" a profiler, else
 * a lap; how often; how long each time, to about 1 % from run to run. */
struct step {
    const char *label;
    size_t count;
    double ns;
};

static void add_runs(struct lap_run_tree *side, const struct step *steps, size_t count, uint64_t seed)
{
    enum { STEPS_MAX = 16 };
    static double ns[STEPS_MAX][INSTANCES_MAX];
    struct generated_node nodes[STEPS_MAX];
    struct lap_random random;
    lap_random_seed(&random, seed);
    for (int run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < count; i++) {
            const unsigned depth = (unsigned)strspn(steps[i].label, ".");
            const char *const label = steps[i].label + depth;
            const struct generated_times times = {steps[i].ns, 0.01, 0, 0.01};
            generated_draw(&random, &times, ns[i], steps[i].count);
            nodes[i] = (struct generated_node){depth,
                                               strcmp(label, "(rest)") == 0 ? LAP_SUMMARY_REST
                                               : strstr(label, "()")        ? LAP_SUMMARY_PROFILER
                                                                            : LAP_SUMMARY_LAP,
                                               label, ns[i], steps[i].count};
        }
        generated_add(side, nodes, count);
    }
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void compare(struct lap_diff *diff, const struct step *base, size_t base_count, const struct step *next,
                    size_t next_count)
{
    *diff = (struct lap_diff){.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    add_runs(&diff->sides[LAP_DIFF_BASE], base, base_count, 1);
    add_runs(&diff->sides[LAP_DIFF_NEXT], next, next_count, 2);
    assert_int_equal(lap_diff_finish(diff), 0);
    for (size_t i = 0; i < diff->node_count; i++) {
        const struct lap_diff_node *const node = &diff->nodes[i];
        assert_true(node->parent == LAP_LIVE_NONE || node->parent < i || node->next != LAP_LIVE_NONE);
        assert_true(fabs(node->by_count_ns + node->by_cost_ns - node->added_ns) <= 1e-9 * (1 + fabs(node->added_ns)));
        assert_true(fabs(node->added_ns - (node->sides[1].total_ns - node->sides[0].total_ns)) <=
                    1e-9 * (1 + fabs(node->added_ns)));
    }
}

static const char *label_of(const struct lap_diff *diff, uint32_t node)
{
    return node == LAP_LIVE_NONE ? "nothing" : lap_diff_label(diff, &diff->nodes[node])->label;
}

static const struct lap_diff_node *node_of(const struct lap_diff *diff, const char *label)
{
    for (uint32_t i = 0; i < diff->node_count; i++)
        if (strcmp(label_of(diff, i), label) == 0)
            return &diff->nodes[i];
    fail_msg("no node '%s'", label);
    return NULL;
}

static void assert_near(double got, double wanted, double part)
{
    if (!(fabs(got - wanted) <= part * fabs(wanted)))
        fail_msg("%g is not near %g", got, wanted);
}

/* ---- what a change is about ---------------------------------------------------------------------------------------- */

static const struct step plain[] = {
    {"main()", 1, 90000},   {".load", 1, 10000},    {".work()", 10, 7000}, {"..parse", 10, 2000},
    {"..lookup", 100, 400}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
};

static void test_slower(void **state)
{
    const struct step next[] = {
        {"main()", 1, 170000},   {".load", 1, 10000},    {".work()", 10, 15000}, {"..parse", 10, 2000},
        {"..lookup", 100, 1200}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    const struct lap_diff_node *const lookup = node_of(&diff, "lookup"), *const work = node_of(&diff, "work()");
    assert_string_equal(label_of(&diff, diff.changed), "work()");
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    assert_true(lookup->has_changed_mean && lookup->has_changed_p50 && !lookup->has_changed_count);
    assert_near(exp(lookup->mean.log_ratio), 3, 0.03);
    assert_true(lookup->mean.log_low < log(3) && log(3) < lookup->mean.log_high);
    assert_near(lookup->added_ns, 80000, 0.05);
    assert_true(lookup->by_count_ns == 0 && lookup->by_cost_ns == lookup->added_ns &&
                lookup->shift_ns == lookup->added_ns);
    assert_near(node_of(&diff, "main()")->self_added_ns, node_of(&diff, "main()")->added_ns - work->added_ns, 1e-9);
    assert_true(!node_of(&diff, "parse")->has_changed_mean && node_of(&diff, "parse")->shift_ns == 0);
    assert_true(fabs(diff.nodes[diff.order[0]].added_ns) >= fabs(diff.nodes[diff.order[1]].added_ns));
    lap_diff_done(&diff);
    compare(&diff, next, COUNT(next), plain, COUNT(plain)); /* and back */
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    assert_near(exp(node_of(&diff, "lookup")->mean.log_ratio), 1 / 3.0, 0.03);
    assert_near(node_of(&diff, "lookup")->added_ns, -80000, 0.05);
    lap_diff_done(&diff);
}

static void test_more_often(void **state)
{
    const struct step next[] = {
        {"main()", 1, 170000},  {".load", 1, 10000},    {".work()", 10, 15000}, {"..parse", 10, 2000},
        {"..lookup", 300, 400}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    const struct lap_diff_node *const lookup = node_of(&diff, "lookup");
    assert_string_equal(label_of(&diff, diff.changed), "work()");
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    assert_true(lookup->has_changed_count && !lookup->has_changed_mean && !lookup->has_changed_p50);
    assert_near(exp(lookup->count.log_ratio), 3, 1e-12);
    assert_true(lookup->count.log_low == lookup->count.log_high); /* each run says the same */
    assert_near(lookup->by_count_ns, 80000, 0.05);
    assert_true(fabs(lookup->by_cost_ns) < 4000);
    lap_diff_done(&diff);
}

/* Both at once: each by the mean of the other on both sides. */
static void test_more_often_and_slower(void **state)
{
    const struct step next[] = {
        {"main()", 1, 300000},  {".load", 1, 10000},    {".work()", 10, 27000}, {"..parse", 10, 2000},
        {"..lookup", 300, 800}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    const struct lap_diff_node *const lookup = node_of(&diff, "lookup");
    assert_true(lookup->has_changed_count && lookup->has_changed_mean && lookup->has_changed_p50);
    assert_near(lookup->by_count_ns, (300 - 100) * (400 + 800) / 2.0, 0.03);
    assert_near(lookup->by_cost_ns, (800 - 400) * (100 + 300) / 2.0, 0.03);
    lap_diff_done(&diff);
}

/* Of histograms a percentile is known as well as its bucket, however alike the runs are. */
static void test_buckets(void **state)
{
    enum { INSTANCES = 500 };
    static double ns[INSTANCES];
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 13);
    for (int run = 0; run < 2 * RUNS; run++) {
        struct lap_distribution distribution = {0};
        generated_draw(&random, &(struct generated_times){run % 2 ? 1030 : 1000, 0.02, 0, 0.0001}, ns, INSTANCES);
        for (size_t i = 0; i < INSTANCES; i++)
            assert_int_equal(lap_distribution_add_one(&distribution, ns[i]), 0);
        struct lap_run_tree *const side = &diff.sides[run % 2];
        generated_add(side, &(struct generated_node){0, LAP_SUMMARY_PROFILER, "work()", ns, INSTANCES}, 1);
        lap_spread_of_distribution(&side->runs[side->run_count - 1].values[0].spread, &distribution);
        lap_distribution_done(&distribution);
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    const struct lap_diff_node *const work = &diff.nodes[0];
    const struct lap_spread_quantile *const p50 = &diff.sides[LAP_DIFF_BASE].runs[0].values[0].spread.p50;
    assert_true(work->p50.log_low < log(1.03) && log(1.03) < work->p50.log_high);
    assert_true(work->p50.log_low <= log(work->sides[1].p50_ns / work->sides[0].p50_ns) - log(p50->most_ns / p50->ns));
    assert_true(!work->has_changed_p50 && work->has_changed_mean); /* the mean is exact all the same */
    lap_diff_done(&diff);
}

static void test_same(void **state)
{
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), plain, COUNT(plain));
    assert_true(diff.changed == LAP_LIVE_NONE && diff.cause == LAP_LIVE_NONE && diff.untold == 0);
    assert_int_equal(diff.tests, 2 * COUNT(plain));
    assert_true(diff.surest != LAP_LIVE_NONE && diff.detectable > 0.005 && diff.detectable < 0.2);
    lap_diff_done(&diff);
}

/* A few slow instances are in the mean and not in the p50, and make it uncertain; that each takes twice as long is seen
 * all the same. */
static void test_p50_behind_noise(void **state)
{
    enum { INSTANCES = 400 };
    static double ns[INSTANCES];
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 9);
    for (int run = 0; run < 2 * RUNS; run++) {
        generated_draw(&random, &(struct generated_times){run % 2 ? 2000 : 1000, 0.05, 0, 0.01}, ns, INSTANCES);
        for (uint64_t slow = lap_random_below(&random, 8); slow > 0; slow--)
            ns[lap_random_below(&random, INSTANCES)] = 1e6;
        generated_add(&diff.sides[run % 2], &(struct generated_node){0, LAP_SUMMARY_PROFILER, "work()", ns, INSTANCES},
                      1);
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    const struct lap_diff_node *const work = &diff.nodes[0];
    assert_true(work->has_changed_p50 && !work->has_changed_mean && diff.changed == 0);
    assert_near(exp(work->p50.log_ratio), 2, 0.03);
    assert_near(work->shift_ns, 1000.0 * INSTANCES, 0.05);
    lap_diff_done(&diff);
}

/* What is new or gone is so as a whole, not by what is in it. */
static void test_gone(void **state)
{
    const struct step next[] = {{"main()", 1, 20000}, {".load", 1, 10000}, {".(rest)", 1, 10000}};
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    assert_string_equal(label_of(&diff, diff.changed), "work()");
    assert_string_equal(label_of(&diff, diff.cause), "work()");
    assert_near(node_of(&diff, "work()")->shift_ns, -70000, 0.05);
    assert_near(node_of(&diff, "work()")->by_count_ns, -70000, 0.05);
    lap_diff_done(&diff);
}

/* The profiler around it came once in one run a side, so of it nothing can be told; the lap is about it all the same. */
static void test_one_run(void **state)
{
    static double job[2] = {1000000, 3000000}, ns[2][1000];
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 11);
    for (int s = 0; s < 2; s++) {
        generated_draw(&random, &(struct generated_times){s ? 3000 : 1000, 0.1, 0, 0}, ns[s], 1000);
        const struct generated_node nodes[] = {{0, LAP_SUMMARY_PROFILER, "job()", &job[s], 1},
                                               {1, LAP_SUMMARY_LAP, "step", ns[s], 1000}};
        generated_add(&diff.sides[s], nodes, COUNT(nodes));
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    assert_string_equal(label_of(&diff, diff.changed), "job()");
    assert_string_equal(label_of(&diff, diff.cause), "step");
    assert_int_equal(diff.untold, 1);
    assert_true(isinf(diff.nodes[0].mean.log_error) && diff.nodes[0].shift_ns == 0);
    lap_diff_done(&diff);
}

/* With one run a side 4 % is less than what two runs of one program may differ by. */
static void test_one_run_small(void **state)
{
    static double ns[2][1000];
    struct lap_random random;
    (void)state;
    for (int is_more = 0; is_more < 2; is_more++) {
        struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
        lap_random_seed(&random, 12);
        for (int s = 0; s < 2; s++) {
            const double slower = s == 0 ? 1 : is_more ? 1.08 : 1.03;
            generated_draw(&random, &(struct generated_times){1000 * slower, 0.05, 0, 0}, ns[s], 1000);
            generated_add(&diff.sides[s], &(struct generated_node){0, LAP_SUMMARY_PROFILER, "job()", ns[s], 1000}, 1);
        }
        assert_int_equal(lap_diff_finish(&diff), 0);
        assert_true(diff.nodes[0].mean.log_low > 0);
        assert_int_equal(diff.changed != LAP_LIVE_NONE, is_more);
        assert_true(diff.detectable >= log(LAP_DIFF_ONE_RUN_LEAST));
        lap_diff_done(&diff);
    }
}

/* The machine was slower in the new runs, by some long interruptions: that is in the mean of what is around, and its
 * p50, if it came once a run; what each lookup takes more is all the same found. */
static void test_cause_behind_noise(void **state)
{
    enum { TURNS = 200 };
    static double lookup[TURNS], turn[TURNS];
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 14);
    for (int run = 0; run < 2 * RUNS; run++) {
        const int s = run % 2;
        double job = 0;
        generated_draw(&random, &(struct generated_times){s ? 2000 : 1000, 0.01, 0, 0.001}, lookup, TURNS);
        for (int i = 0; i < TURNS; i++) {
            turn[i] = lookup[i] + 5000 + (s && i % 20 == 0 ? 1e5 + 1e4 * lap_random_unit(&random) : 0);
            job += turn[i];
        }
        const struct generated_node nodes[] = {{0, LAP_SUMMARY_PROFILER, "job()", &job, 1},
                                               {1, LAP_SUMMARY_PROFILER, "turn()", turn, TURNS},
                                               {2, LAP_SUMMARY_LAP, "lookup", lookup, TURNS}};
        generated_add(&diff.sides[s], nodes, COUNT(nodes));
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    assert_true(diff.nodes[0].has_changed_mean && diff.nodes[1].has_changed_mean && diff.nodes[1].has_changed_p50);
    assert_string_equal(label_of(&diff, diff.changed), "turn()");
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    lap_diff_done(&diff);
}

/* A lap contains a profiler, and noise makes its change the greatest of all. */
static void test_cause_in_lap(void **state)
{
    const struct step base[] = {
        {"main()", 1, 90000},   {".worked", 1, 70500},  {".work()", 10, 7000},
        {"..lookup", 100, 500}, {"..(rest)", 10, 2000}, {".(rest)", 1, 20000},
    };
    const struct step next[] = {
        {"main()", 1, 169000},   {".worked", 1, 154000}, {".work()", 10, 15000},
        {"..lookup", 100, 1300}, {"..(rest)", 10, 2000}, {".(rest)", 1, 20000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, base, COUNT(base), next, COUNT(next));
    assert_string_equal(label_of(&diff, diff.order[0]), "worked");
    assert_string_equal(label_of(&diff, diff.changed), "work()");
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    assert_string_equal(label_of(&diff, lap_diff_cause_in(&diff, diff.order[0])), "work()");
    assert_true(lap_diff_cause_in(&diff, diff.cause) == LAP_LIVE_NONE);
    lap_diff_done(&diff);
}

/* What is next to nothing now was interrupted in one run, so the mean of its phase, which comes once a run, tells nothing:
 * what is in that is found all the same. */
static void test_cause_behind_untold(void **state)
{
    enum { SPIKED_RUNS = 8, TURNS = 200 };
    static double lookup[TURNS];
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 15);
    for (int run = 0; run < 2 * SPIKED_RUNS; run++) {
        const int s = run % 2;
        double phase = 0;
        generated_draw(&random, &(struct generated_times){s ? 20 : 1e5, 0.01, 0, 0.01}, lookup, TURNS);
        lookup[0] += run == 1 ? 900000 : 0;
        for (int i = 0; i < TURNS; i++)
            phase += lookup[i];
        double job = phase + (s ? 2e7 : 2.2e7); /* most of the change is in it */
        const struct generated_node nodes[] = {{0, LAP_SUMMARY_PROFILER, "job()", &job, 1},
                                               {1, LAP_SUMMARY_PROFILER, "phase()", &phase, 1},
                                               {2, LAP_SUMMARY_LAP, "lookup", lookup, TURNS}};
        generated_add(&diff.sides[s], nodes, COUNT(nodes));
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    assert_true(node_of(&diff, "job()")->shift_ns != 0 && node_of(&diff, "phase()")->shift_ns == 0);
    assert_string_equal(label_of(&diff, diff.cause), "lookup");
    lap_diff_done(&diff);
}

/* One run of eight was interrupted for thousands of times what the others took. */
static void test_one_run_interrupted(void **state)
{
    enum { MANY_RUNS = 8 };
    struct lap_random random;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    (void)state;
    lap_random_seed(&random, 16);
    for (int run = 0; run < 2 * MANY_RUNS; run++) {
        double job = 1e6, step = 1500;
        generated_draw(&random, &(struct generated_times){1500, 0.1, 0, 0.1}, &step, 1);
        step += run == 1 ? 9.6e6 : 0;
        job += step;
        const struct generated_node nodes[] = {{0, LAP_SUMMARY_PROFILER, "job()", &job, 1},
                                               {1, LAP_SUMMARY_LAP, "step", &step, 1}};
        generated_add(&diff.sides[run % 2], nodes, COUNT(nodes));
    }
    assert_int_equal(lap_diff_finish(&diff), 0);
    assert_true(exp(node_of(&diff, "step")->mean.log_ratio) > 500);
    assert_true(diff.changed == LAP_LIVE_NONE && node_of(&diff, "step")->shift_ns == 0);
    lap_diff_done(&diff);
}

/* ---- which node is which ------------------------------------------------------------------------------------------- */

static void test_renamed(void **state)
{
    const struct step next[] = {
        {"main()", 1, 170000},  {".load", 1, 10000},    {".toil()", 10, 7000}, {"..read", 10, 4000},
        {"..lookup", 100, 400}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    assert_int_equal(diff.node_count, COUNT(next));
    assert_int_equal(node_of(&diff, "toil()")->match, LAP_DIFF_RENAMED);
    assert_int_equal(node_of(&diff, "read")->match, LAP_DIFF_RENAMED);
    assert_int_equal(node_of(&diff, "lookup")->match, LAP_DIFF_SAME);
    assert_string_equal(diff.sides[LAP_DIFF_BASE].tree.nodes[node_of(&diff, "read")->base].label, "parse");
    assert_near(exp(node_of(&diff, "read")->mean.log_ratio), 2, 0.03);
    lap_diff_done(&diff);
}

/* In the same place, but not as often, or with nothing in it alike: another one. */
static void test_not_renamed(void **state)
{
    const struct step next[] =
        {
            {"main()", 1, 170000}, {".load", 1, 10000},  {".toil()", 10, 7000}, {"..draw", 10, 4000},
            {"..paint", 200, 400}, {"..frame", 10, 100}, {".(rest)", 1, 10000},
        },
                      often[] = {
                          {"main()", 1, 90000},   {".load", 1, 10000},    {".work()", 10, 7000}, {"..read", 20, 1000},
                          {"..lookup", 100, 400}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
                      };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    assert_int_equal(node_of(&diff, "toil()")->match, LAP_DIFF_ALONE);
    assert_int_equal(node_of(&diff, "work()")->match, LAP_DIFF_ALONE);
    assert_true(node_of(&diff, "work()")->next == LAP_LIVE_NONE && node_of(&diff, "work()")->has_changed_count);
    assert_true(node_of(&diff, "toil()")->base == LAP_LIVE_NONE && isnan(node_of(&diff, "toil()")->mean.log_ratio));
    assert_near(node_of(&diff, "work()")->added_ns, -70000, 0.05);
    lap_diff_done(&diff);
    compare(&diff, plain, COUNT(plain), often, COUNT(often));
    assert_int_equal(node_of(&diff, "read")->match, LAP_DIFF_ALONE);
    assert_int_equal(node_of(&diff, "parse")->match, LAP_DIFF_ALONE);
    lap_diff_done(&diff);
}

/* As often, but elsewhere among its neighbours. */
static void test_elsewhere(void **state)
{
    const struct step next[] = {
        {"main()", 1, 90000}, {".load", 1, 10000},    {".work()", 10, 7000}, {"..lookup", 100, 400},
        {"..read", 10, 2000}, {"..(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    assert_int_equal(node_of(&diff, "read")->match, LAP_DIFF_ALONE);
    assert_int_equal(node_of(&diff, "parse")->match, LAP_DIFF_ALONE);
    lap_diff_done(&diff);
}

static void test_moved(void **state)
{
    const struct step next[] = {
        {"main()", 1, 170000},  {".load", 1, 10000},     {".batch()", 2, 40000},  {"..work()", 10, 7000},
        {"...parse", 10, 2000}, {"...lookup", 100, 400}, {"...(rest)", 10, 1000}, {".(rest)", 1, 10000},
    };
    struct lap_diff diff;
    (void)state;
    compare(&diff, plain, COUNT(plain), next, COUNT(next));
    assert_int_equal(diff.node_count, COUNT(next));
    assert_int_equal(node_of(&diff, "batch()")->match, LAP_DIFF_ALONE);
    assert_int_equal(node_of(&diff, "work()")->match, LAP_DIFF_MOVED);
    assert_int_equal(node_of(&diff, "parse")->match, LAP_DIFF_SAME); /* along with it */
    assert_int_equal(node_of(&diff, "lookup")->match, LAP_DIFF_SAME);
    assert_true(!node_of(&diff, "work()")->has_changed_count && !node_of(&diff, "work()")->has_changed_mean);
    lap_diff_done(&diff);
}

/* ---- instances one by one ------------------------------------------------------------------------------------------ */

static void test_samples(void **state)
{
    enum { TURNS = 12 };
    char *const directory = synthetic_directory();
    const char *const path = directory;
    struct lap_recording *recording;
    struct lap_summary *summary;
    struct lap_samples *samples;
    size_t compared = 0;
    (void)state;
    synthetic_example(directory, "one", 1, 1 << 16, 0, TURNS);
    synthetic_example(directory, "two", 2, 4096, 0, TURNS);
    assert_int_equal(lap_recording_open(&recording, &path, 1, NULL), 0);
    assert_int_equal(lap_summary_make(&summary, recording, &(struct lap_summary_options){.keeps_paths = true}), 0);
    assert_int_equal(lap_samples_make(&samples, recording, summary), 0);
    for (size_t i = 0; i < summary->groups[0].node_count; i++) {
        const struct lap_summary_node *const node = &summary->groups[0].nodes[i];
        double sum_ns = 0;
        assert_int_equal(samples[i].count, node->count);
        for (size_t k = 0; k < samples[i].count; k++) {
            assert_true(samples[i].ns[k] >= node->min_ns && samples[i].ns[k] <= node->max_ns);
            sum_ns += samples[i].ns[k];
        }
        assert_near(sum_ns, node->total_ns, 1e-9);
        compared += samples[i].count;
    }
    assert_true(compared > 2 * 12 * TURNS);
    lap_samples_free(samples, summary->groups[0].node_count);
    lap_summary_free(summary);
    lap_recording_free(recording);
    synthetic_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slower),
        cmocka_unit_test(test_more_often),
        cmocka_unit_test(test_more_often_and_slower),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_p50_behind_noise),
        cmocka_unit_test(test_cause_behind_noise),
        cmocka_unit_test(test_cause_in_lap),
        cmocka_unit_test(test_cause_behind_untold),
        cmocka_unit_test(test_one_run_interrupted),
        cmocka_unit_test(test_one_run),
        cmocka_unit_test(test_one_run_small),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_not_renamed),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
