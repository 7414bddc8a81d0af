/* SPDX-License-Identifier: MIT
 *
 * How often a gate errs: replayed from real runs (runs-*.csv, by record_runs.py), each gate from a stretch of them as it was in
 * time, so that drift and noise that comes and goes stay in, with a coin of its own. The step worth a fifth is slowed.
 * Given the runs, the coins alone decide, and they are independent: so the bounds hold for these runs although stretches overlap.
 */
#define _GNU_SOURCE
#include "gate_decide.h"
#include "random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_cdf.h>

enum { LOADS = 3, GATES = 3334, GATES_AT_STATED = 500 }; /* of each load */
enum { NODES_MAX = 8, RUNS_MAX = 4000 };
/* In the first round as many as its looks at 20, 30, 45, ... come to; and with all second rounds there could be. */
enum { FIRST_PAIRS_MAX = 230, PAIRS_MAX = 878 };
#define SLOWDOWN 0.1
static const char *const loads[LOADS] = {"quiet", "one-core", "both-cores"};
static const struct lap_gate_rules rules = {.max_slowdown = 0.05, .min_effect_ns = 100e3};

struct runs {
    size_t run_count, node_count;
    double us[RUNS_MAX][NODES_MAX];
    size_t whole, slowed; /* nodes: the job, and the step that is slowed */
};

static char *next_line(FILE *file, char *line, int bytes)
{
    do {
        if (!fgets(line, bytes, file))
            return NULL;
    } while (line[0] == '#');
    line[strcspn(line, "\n")] = 0;
    return line;
}

static void read_numbers(char *line, double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        numbers[i] = strtod(line, &line);
        assert_true(*line == (i + 1 < count ? ',' : 0));
        line++;
    }
}

static void read_runs(struct runs *runs, const char *load)
{
    char path[1024], line[1024];
    snprintf(path, sizeof path, "%s/tests/gate/runs-%s.csv", getenv("SOURCE_DIR"), load);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    *runs = (struct runs){.run_count = 0};
    assert_non_null(next_line(file, line, sizeof line));
    char *rest = line;
    for (char *name; (name = strsep(&rest, ",")) != NULL; runs->node_count++) {
        assert_true(runs->node_count < NODES_MAX);
        if (strcmp(name, "job") == 0)
            runs->whole = runs->node_count;
        if (strcmp(name, "job/parse") == 0)
            runs->slowed = runs->node_count;
    }
    for (; next_line(file, line, sizeof line); runs->run_count++) {
        assert_true(runs->run_count < RUNS_MAX);
        read_numbers(line, runs->us[runs->run_count], runs->node_count);
    }
    fclose(file);
}

struct replay {
    const struct runs *runs;
    size_t next; /* run */
    double slowdown;
    struct lap_random random;
};

static void replay_pair(struct replay *replay, double *base_ns, double *new_ns)
{
    const struct runs *const runs = replay->runs;
    const size_t first = lap_random_below(&replay->random, 2);
    const double *const base = runs->us[replay->next + first], *const new = runs->us[replay->next + 1 - first];
    for (size_t i = 0; i < runs->node_count; i++) {
        base_ns[i] = base[i] * 1e3;
        new_ns[i] = new[i] * 1e3;
    }
    new_ns[runs->slowed] *= 1 + replay->slowdown;
    new_ns[runs->whole] += new[runs->slowed] * 1e3 * replay->slowdown;
    replay->next += 2;
}

struct outcome {
    bool failed, is_blind;
    double detectable, step_detectable; /* of all; of the step that is slowed */
    size_t pairs;
};

static struct outcome replay_gate(const struct runs *runs, uint64_t seed, double slowdown)
{
    struct replay replay = {.runs = runs, .slowdown = slowdown};
    double base_ns[NODES_MAX], new_ns[NODES_MAX], run_ns[NODES_MAX];
    lap_random_seed(&replay.random, seed);
    assert_true(runs->run_count > 2 * PAIRS_MAX);
    replay.next = lap_random_below(&replay.random, runs->run_count - 2 * PAIRS_MAX);
    for (size_t i = 0; i < runs->node_count; i++)
        run_ns[i] = runs->us[replay.next][i] * 1e3;
    struct lap_gate gate;
    assert_int_equal(lap_gate_init(&gate, &rules, run_ns, runs->node_count), 0);
    gate.pairs_possible = FIRST_PAIRS_MAX;
    for (size_t wanted; lap_gate_wants(&gate, &wanted) == 0 && wanted > 0;)
        for (; wanted > 0; wanted--) {
            if (!gate.is_second && gate.pairs >= FIRST_PAIRS_MAX) {
                lap_gate_stop(&gate);
                break;
            }
            replay_pair(&replay, base_ns, new_ns);
            assert_int_equal(lap_gate_add(&gate, base_ns, new_ns), 0);
        }
    assert_true(gate.is_decided);
    const struct outcome outcome = {gate.failed, gate.is_blind, gate.detectable, gate.nodes[runs->slowed].detectable,
                                    gate.pairs};
    lap_gate_done(&gate);
    return outcome;
}

/* The upper end of Clopper and Pearson's 95 % bound, one-sided: at most `k` of `n` are as likely as a beta variable is above the share.
 * GSL's own inverse does not converge for all of ours. */
static double at_most(unsigned k, unsigned n)
{
    double low = 0, high = 1;
    for (int i = 0; i < 60 && k < n; i++) {
        const double middle = (low + high) / 2;
        *(gsl_cdf_beta_Q(middle, k + 1, n - k) > 0.05 ? &low : &high) = middle;
    }
    return high;
}

struct rates {
    unsigned gates, red, seeing, seeing_red, blind;
    double pairs;
};

static void count_outcome(struct rates *rates, const struct outcome *outcome)
{
    const bool sees = outcome->detectable <= SLOWDOWN;
    rates->gates++;
    rates->red += outcome->failed;
    rates->seeing += sees;
    rates->seeing_red += sees && outcome->failed;
    rates->blind += outcome->is_blind;
    rates->pairs += (double)outcome->pairs;
}

static void add_rates(struct rates *sum, const struct rates *rates)
{
    sum->gates += rates->gates;
    sum->red += rates->red;
    sum->seeing += rates->seeing;
    sum->seeing_red += rates->seeing_red;
}

static struct rates replay_gates(const struct runs *runs, double slowdown)
{
    struct rates rates = {0};
    for (unsigned i = 0; i < GATES; i++) {
        const struct outcome outcome = replay_gate(runs, i, slowdown);
        count_outcome(&rates, &outcome);
    }
    return rates;
}

/* Each is slowed by just what it says that it would have found. */
static struct rates replay_at_stated(const struct runs *runs)
{
    struct rates rates = {0};
    for (unsigned i = 0; i < GATES_AT_STATED; i++) {
        const struct outcome same = replay_gate(runs, i, 0), slowed = replay_gate(runs, i, same.step_detectable);
        count_outcome(&rates, &slowed);
    }
    return rates;
}

static void say(const char *load, const char *what, const struct rates *rates)
{
    const unsigned missed = rates->gates - rates->red, seeing_missed = rates->seeing - rates->seeing_red;
    printf("%-10s %-14s %u gates, %.0f pairs in the mean: red %.2f %% (%.2f to %.2f)", load, what, rates->gates,
           rates->pairs / rates->gates, 100.0 * rates->red / rates->gates, 100 * (1 - at_most(missed, rates->gates)),
           100 * at_most(rates->red, rates->gates));
    if (rates->seeing > 0)
        printf("; detectable <= 10 %% in %.1f %%, of those red %.2f %% (from %.2f)", 100.0 * rates->seeing / rates->gates,
               100.0 * rates->seeing_red / rates->seeing, 100 * (1 - at_most(seeing_missed, rates->seeing)));
    printf("; blind %.1f %%\n", 100.0 * rates->blind / rates->gates);
}

static void test_rates(void **state)
{
    (void)state;
    static struct runs runs;
    struct rates same = {0}, slowed = {0}, at_stated = {0};
    for (int load = 0; load < LOADS; load++) {
        read_runs(&runs, loads[load]);
        const struct rates here = replay_gates(&runs, 0), there = replay_gates(&runs, SLOWDOWN),
                           just = replay_at_stated(&runs);
        say(loads[load], "identical", &here);
        say(loads[load], "slowed by 10 %", &there);
        say(loads[load], "by its stated", &just);
        assert_true(at_most(here.red, here.gates) <= 0.01);
        add_rates(&same, &here);
        add_rates(&slowed, &there);
        add_rates(&at_stated, &just);
    }
    assert_true(same.gates >= 10000 && slowed.gates >= 10000);
    assert_true(at_most(same.red, same.gates) <= 0.0025); /* what is promised, and less than the 1 % that is asked for */
    assert_true(slowed.seeing >= 1000);
    assert_true(1 - at_most(slowed.seeing - slowed.seeing_red, slowed.seeing) >= 0.95);
    assert_true(at_stated.red >= 0.95 * at_stated.gates);
    printf("all        identical      red %.2f %% (to %.2f)\n", 100.0 * same.red / same.gates,
           100 * at_most(same.red, same.gates));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
