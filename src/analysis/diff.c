/* SPDX-License-Identifier: MIT */
#include "diff.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define ALPHA (1 - LAP_RATIO_LEVEL)
#define PARENT_SHARE 0.8

enum measure { MEAN, P50, P99, COUNT, TOTAL };

struct work {
    struct lap_diff *diff;
    struct lap_ratio_run *runs[2]; /* of one node and measure */
};

static bool is_one_run_a_side(const struct lap_diff *diff)
{
    return diff->sides[LAP_DIFF_BASE].run_count == 1 && diff->sides[LAP_DIFF_NEXT].run_count == 1;
}

static uint32_t node_of(const struct lap_diff_node *node, int s) { return s == LAP_DIFF_BASE ? node->base : node->next; }

/* ---- what the runs say of a node ----------------------------------------------------------------------------------- */

static const struct lap_spread_quantile *quantile_of(const struct lap_run_value *value, enum measure measure)
{
    return measure == P50 ? &value->spread.p50 : &value->spread.p99;
}

static struct lap_ratio_run run_of(const struct lap_run_value *value, enum measure measure)
{
    switch (measure) {
    case MEAN: return (struct lap_ratio_run){value->total_ns, (double)value->count};
    case P50:
    case P99: return (struct lap_ratio_run){quantile_of(value, measure)->ns, value->count > 0};
    case COUNT: return (struct lap_ratio_run){(double)value->count, 1};
    default: return (struct lap_ratio_run){value->total_ns, 1};
    }
}

/* Is there anything to divide by? */
static bool gather(struct work *work, const struct lap_diff_node *node, int s, enum measure measure)
{
    const struct lap_run_tree *const tree = &work->diff->sides[s];
    struct lap_ratio_run sum = {0};
    for (size_t run = 0; run < tree->run_count && node_of(node, s) != LAP_LIVE_NONE; run++) {
        const struct lap_ratio_run one = run_of(lap_run_tree_value(tree, run, node_of(node, s)), measure);
        work->runs[s][run] = one;
        sum.sum += one.sum;
        sum.weight += one.weight;
    }
    return sum.sum > 0 && sum.weight > 0;
}

/* The means of the runs' own. */
static void percentiles_fill(struct lap_diff_side *side, const struct lap_run_tree *tree, uint32_t node)
{
    double runs = 0;
    for (size_t run = 0; run < tree->run_count; run++)
        runs += lap_run_tree_value(tree, run, node)->count > 0;
    for (size_t run = 0; run < tree->run_count; run++) {
        const struct lap_run_value *const value = lap_run_tree_value(tree, run, node);
        for (size_t i = 0; i < LAP_PERCENTILES && value->count > 0; i++)
            side->percentiles.ns[i] += value->spread.percentiles.ns[i] / runs;
    }
}

static void side_fill(struct work *work, struct lap_diff_node *node, int s)
{
    const struct lap_run_tree *const tree = &work->diff->sides[s];
    struct lap_diff_side *const side = &node->sides[s];
    *side = (struct lap_diff_side){.mean_half_ns = INFINITY, .p50_half_ns = INFINITY};
    if (node_of(node, s) == LAP_LIVE_NONE)
        return;
    for (size_t run = 0; run < tree->run_count; run++) {
        const struct lap_run_value *const value = lap_run_tree_value(tree, run, node_of(node, s));
        side->count += (double)value->count;
        side->total_ns += value->total_ns / (double)tree->run_count;
        side->self_ns += value->self_ns / (double)tree->run_count;
    }
    side->count /= (double)tree->run_count; /* once: so it is whole where all runs have the same */
    percentiles_fill(side, tree, node_of(node, s));
    double *const means[] = {&side->mean_ns, &side->p50_ns, &side->p99_ns};
    double *const halves[] = {&side->mean_half_ns, &side->p50_half_ns, NULL};
    for (enum measure measure = MEAN; measure <= P99; measure++) {
        if (!gather(work, node, s, measure))
            continue;
        const struct lap_ratio_mean mean = lap_ratio_mean_of(work->runs[s], tree->run_count);
        *means[measure] = mean.mean;
        if (halves[measure])
            *halves[measure] = lap_ratio_half_width(mean.error, mean.degrees);
    }
    const struct lap_run_value *const only = lap_run_tree_value(tree, 0, node_of(node, s));
    if (tree->run_count == 1 && only->count > 0) {
        side->mean_half_ns = only->spread.mean_ns * lap_ratio_half_width(only->spread.mean_error, only->spread.degrees);
        side->p50_half_ns =
            only->spread.p50.low_ns > 0 ? (only->spread.p50.high_ns - only->spread.p50.low_ns) / 2 : INFINITY;
    }
}

/* ---- how it changed ------------------------------------------------------------------------------------------------ */

/* Two percentiles of which each has an interval (Zou and Donner 2008, "Construction of confidence limits about effect
 * measures"). */
static void ratio_of_intervals(struct lap_ratio *ratio, const struct lap_spread_quantile *base,
                               const struct lap_spread_quantile *next)
{
    const double p = log(base->ns), q = log(next->ns);
    ratio->log_ratio = q - p;
    const double down = hypot(q - log(next->low_ns), log(base->high_ns) - p);
    const double up = hypot(log(next->high_ns) - q, p - log(base->low_ns));
    ratio->log_low = q - p - down;
    ratio->log_high = q - p + up;
    ratio->log_error = (q > p ? down : up) / lap_ratio_half_width(1, INFINITY);
    ratio->degrees = INFINITY;
}

static void ratio_of_one_run(const struct work *work, struct lap_ratio *ratio, const struct lap_diff_node *node,
                             enum measure measure)
{
    const struct lap_run_value *const base = lap_run_tree_value(&work->diff->sides[LAP_DIFF_BASE], 0, node->base);
    const struct lap_run_value *const next = lap_run_tree_value(&work->diff->sides[LAP_DIFF_NEXT], 0, node->next);
    if (measure == MEAN)
        lap_ratio_of_errors(ratio, log(next->spread.mean_ns / base->spread.mean_ns), base->spread.mean_error,
                            base->spread.degrees, next->spread.mean_error, next->spread.degrees);
    else if (measure == COUNT)
        lap_ratio_of_errors(ratio, log((double)next->count / (double)base->count), 0, 1, 0, 1);
    else
        ratio_of_intervals(ratio, quantile_of(base, measure), quantile_of(next, measure));
}

/* What a bucket and the clock leave open of a side's percentile, as logarithms. */
static void bucket_slack(const struct work *work, const struct lap_diff_node *node, int s, enum measure measure,
                         double *ret_down, double *ret_up)
{
    double ns = 0, least_ns = 0, most_ns = 0;
    for (size_t run = 0; run < work->diff->sides[s].run_count; run++) {
        const struct lap_spread_quantile *const quantile =
            quantile_of(lap_run_tree_value(&work->diff->sides[s], run, node_of(node, s)), measure);
        ns += quantile->ns;
        least_ns += quantile->least_ns;
        most_ns += quantile->most_ns;
    }
    *ret_down = log(ns / least_ns);
    *ret_up = log(most_ns / ns);
}

static int ratio_fill(struct work *work, struct lap_ratio *ratio, const struct lap_diff_node *node, enum measure measure)
{
    *ratio = (struct lap_ratio){NAN, INFINITY, 1, -INFINITY, INFINITY};
    if (!gather(work, node, LAP_DIFF_BASE, measure) || !gather(work, node, LAP_DIFF_NEXT, measure))
        return 0;
    if (is_one_run_a_side(work->diff)) {
        ratio_of_one_run(work, ratio, node, measure);
        return 0;
    }
    const int code = lap_ratio_of_runs(ratio, work->runs[LAP_DIFF_BASE], work->diff->sides[LAP_DIFF_BASE].run_count,
                                       work->runs[LAP_DIFF_NEXT], work->diff->sides[LAP_DIFF_NEXT].run_count);
    if (code == 0 && (measure == P50 || measure == P99)) {
        double base_down, base_up, next_down, next_up;
        bucket_slack(work, node, LAP_DIFF_BASE, measure, &base_down, &base_up);
        bucket_slack(work, node, LAP_DIFF_NEXT, measure, &next_down, &next_up);
        ratio->log_low -= next_down + base_up;
        ratio->log_high += next_up + base_down;
    }
    return code;
}

/* The error of what a node takes in a run. */
static struct lap_ratio_mean total_of(struct work *work, const struct lap_diff_node *node, int s)
{
    if (!gather(work, node, s, TOTAL))
        return (struct lap_ratio_mean){0, 0, 1};
    if (!is_one_run_a_side(work->diff))
        return lap_ratio_mean_of(work->runs[s], work->diff->sides[s].run_count);
    const struct lap_run_value *const only = lap_run_tree_value(&work->diff->sides[s], 0, node_of(node, s));
    return (struct lap_ratio_mean){only->total_ns, only->total_ns * only->spread.mean_error, only->spread.degrees};
}

/* The change of a product, divided evenly (Bennet 1920): both parts are the whole. Where a side has none the count did
 * it. */
static void added_fill(struct work *work, struct lap_diff_node *node)
{
    const struct lap_diff_side *const base = &node->sides[LAP_DIFF_BASE], *const next = &node->sides[LAP_DIFF_NEXT];
    const struct lap_ratio_mean p = total_of(work, node, LAP_DIFF_BASE), q = total_of(work, node, LAP_DIFF_NEXT);
    struct lap_ratio difference;
    lap_ratio_of_errors(&difference, q.mean - p.mean, p.error, p.degrees, q.error, q.degrees);
    node->added_ns = next->total_ns - base->total_ns;
    node->added_half_ns = (difference.log_high - difference.log_low) / 2;
    node->self_added_ns = next->self_ns - base->self_ns;
    node->by_count_ns = node->added_ns;
    if (base->count > 0 && next->count > 0)
        node->by_count_ns = (next->count - base->count) * (base->mean_ns + next->mean_ns) / 2;
    node->by_cost_ns = node->added_ns - node->by_count_ns;
}

static int node_fill(struct work *work, struct lap_diff_node *node)
{
    struct lap_ratio *const ratios[] = {&node->mean, &node->p50, &node->p99, &node->count};
    int code = 0;
    for (int s = 0; s < 2; s++)
        side_fill(work, node, s);
    for (enum measure measure = MEAN; measure <= COUNT && code == 0; measure++)
        code = ratio_fill(work, ratios[measure], node, measure);
    added_fill(work, node);
    return code;
}

/* ---- the nodes of both sides --------------------------------------------------------------------------------------- */

/* Those of next, then those that only base has. */
static int nodes_make(struct lap_diff *diff, const struct lap_diff_pairs *pairs)
{
    const struct lap_live_tree *const base = &diff->sides[LAP_DIFF_BASE].tree, *const next =
                                                                                   &diff->sides[LAP_DIFF_NEXT].tree;
    diff->nodes = calloc(base->count + next->count + 1, sizeof *diff->nodes);
    uint32_t *const places = malloc((base->count + 1) * sizeof *places); /* of base's nodes */
    if (!diff->nodes || !places) {
        free(places);
        return -ENOMEM;
    }
    for (uint32_t n = 0; n < next->count; n++)
        diff->nodes[diff->node_count++] = (struct lap_diff_node){
            .base = pairs->of_next[n], .next = n, .parent = next->nodes[n].parent, .match = pairs->how[n]};
    for (uint32_t b = 0; b < base->count; b++) {
        const uint32_t parent = base->nodes[b].parent;
        places[b] = pairs->of_base[b] != LAP_LIVE_NONE ? pairs->of_base[b] : (uint32_t)diff->node_count;
        if (pairs->of_base[b] == LAP_LIVE_NONE)
            diff->nodes[diff->node_count++] = (struct lap_diff_node){
                .base = b, .next = LAP_LIVE_NONE, .parent = parent == LAP_LIVE_NONE ? parent : places[parent]};
    }
    free(places);
    return 0;
}

const struct lap_live_node *lap_diff_label(const struct lap_diff *diff, const struct lap_diff_node *node)
{
    return node->next != LAP_LIVE_NONE ? &diff->sides[LAP_DIFF_NEXT].tree.nodes[node->next]
                                       : &diff->sides[LAP_DIFF_BASE].tree.nodes[node->base];
}

/* ---- what is more than noise --------------------------------------------------------------------------------------- */

struct test {
    const struct lap_ratio *ratio;
    bool *has_changed;
    double least; /* a change, as a logarithm: less is none, whatever the interval */
    double chance;
};

static int by_chance(const void *a, const void *b)
{
    const struct test *const p = a, *const q = b;
    return (p->chance > q->chance) - (p->chance < q->chance);
}

static bool is_worth_a_test(const struct lap_diff *diff, const struct lap_diff_node *node)
{
    for (int s = 0; s < 2; s++)
        if (node->sides[s].total_ns > 0 && node->sides[s].total_ns >= LAP_DIFF_TEST_SHARE * diff->total_ns[s])
            return true;
    return false;
}

static bool is_in_every_run(const struct lap_diff *diff, const struct lap_diff_node *node)
{
    const int s = node->next != LAP_LIVE_NONE ? LAP_DIFF_NEXT : LAP_DIFF_BASE;
    for (size_t run = 0; run < diff->sides[s].run_count; run++)
        if (lap_run_tree_value(&diff->sides[s], run, node_of(node, s))->count == 0)
            return false;
    return true;
}

static bool is_change(const struct lap_ratio *ratio, double least)
{
    return fabs(ratio->log_ratio) >= least && (ratio->log_low > 0 || ratio->log_high < 0);
}

/* Holm, "A simple sequentially rejective multiple test procedure", 1979: whatever the tests have to do with each other,
 * and parents have much to do with their children. What has no error is no test. */
static void tests_judge(struct lap_diff *diff, struct test *tests, size_t count)
{
    qsort(tests, count, sizeof *tests, by_chance);
    diff->tests = count;
    diff->alpha = ALPHA / (double)(count > 0 ? count : 1);
    for (size_t i = 0; i < count && tests[i].chance <= ALPHA / (double)(count - i); i++)
        *tests[i].has_changed = is_change(tests[i].ratio, tests[i].least);
}

static size_t test_add(struct test *tests, size_t count, const struct lap_ratio *ratio, double least, bool *has_changed)
{
    if (isnan(ratio->log_ratio) || !isfinite(ratio->log_error))
        return count;
    if (ratio->log_error == 0) {
        *has_changed = is_change(ratio, least);
        return count;
    }
    tests[count] = (struct test){ratio, has_changed, least, lap_ratio_chance(ratio)};
    return count + 1;
}

/* What each instance costs more, which the mean of a few slow ones can hide: the p50 does not know those. */
static double shift_by_p50(const struct lap_diff_node *node)
{
    const struct lap_diff_side *const base = &node->sides[LAP_DIFF_BASE], *const next = &node->sides[LAP_DIFF_NEXT];
    return (next->p50_ns - base->p50_ns) * (base->count + next->count) / 2 +
           (node->has_changed_count ? node->by_count_ns : 0);
}

/* The ratio of means may be untold where the difference is plain: a side takes next to nothing, and was interrupted. */
static bool is_added_sure(const struct lap_diff_node *node)
{
    return fabs(node->added_ns) > node->added_half_ns && (node->added_ns > 0) == (node->p50.log_ratio > 0);
}

static double shift_of(const struct lap_diff_node *node)
{
    if (node->has_changed_mean || isnan(node->mean.log_ratio))
        return node->has_changed_mean || node->has_changed_count ? node->added_ns : 0;
    if (node->has_changed_p50)
        return is_added_sure(node) ? node->added_ns : shift_by_p50(node);
    return node->has_changed_count ? node->by_count_ns : 0;
}

static int changes_find(struct lap_diff *diff)
{
    struct test *const tests = malloc((3 * diff->node_count + 1) * sizeof *tests);
    const double least = is_one_run_a_side(diff) ? log(LAP_DIFF_ONE_RUN_LEAST) : 0;
    size_t count = 0;
    if (!tests)
        return -ENOMEM;
    for (size_t i = 0; i < diff->node_count; i++) {
        struct lap_diff_node *const node = &diff->nodes[i];
        node->is_tested = is_worth_a_test(diff, node);
        if (!node->is_tested)
            continue;
        if (isnan(node->mean.log_ratio)) {
            node->has_changed_count = is_in_every_run(diff, node);
            continue;
        }
        diff->untold += isfinite(node->mean.log_error) ? 0 : 1;
        count = test_add(tests, count, &node->mean, least, &node->has_changed_mean);
        count = test_add(tests, count, &node->p50, least, &node->has_changed_p50);
        count = test_add(tests, count, &node->count, 0, &node->has_changed_count);
    }
    tests_judge(diff, tests, count);
    free(tests);
    for (size_t i = 0; i < diff->node_count; i++)
        diff->nodes[i].shift_ns = shift_of(&diff->nodes[i]);
    return 0;
}

/* ---- what it is about ---------------------------------------------------------------------------------------------- */

double lap_diff_share(const struct lap_diff *diff, uint32_t part, uint32_t of)
{
    const struct lap_diff_node *const p = &diff->nodes[part], *const q = &diff->nodes[of];
    if (p->shift_ns == 0 || q->shift_ns == 0)
        return q->added_ns != 0 ? p->shift_ns / q->added_ns : 0;
    const double share = p->shift_ns / q->shift_ns;
    return p->has_changed_p50 && q->has_changed_p50 ? fmax(share, shift_by_p50(p) / shift_by_p50(q)) : share;
}

/* Noise in the mean of what is far around a node may be more than all of its change: so it is enough to have most by far of its
 * parent's. */
static bool is_cause(const struct lap_diff *diff, uint32_t node, uint32_t of)
{
    return lap_diff_share(diff, node, of) >= LAP_DIFF_CAUSE_SHARE ||
           lap_diff_share(diff, node, diff->nodes[node].parent) >= PARENT_SHARE;
}

/* Is a node in another one, with none between them that changed? Noise may hide the change of one that came once a run. */
static bool is_next_in(const struct lap_diff *diff, uint32_t node, uint32_t parent)
{
    uint32_t around = diff->nodes[node].parent;
    while (around != LAP_LIVE_NONE && around != parent && diff->nodes[around].shift_ns == 0)
        around = diff->nodes[around].parent;
    return around == parent;
}

static bool is_a_profiler(const struct lap_diff *diff, uint32_t node)
{
    return lap_diff_label(diff, &diff->nodes[node])->kind == LAP_SUMMARY_PROFILER;
}

/* A profiler, or in one that does not show it: not a lap, which contains such. */
static bool is_inner(const struct lap_diff *diff, uint32_t node, uint32_t parent)
{
    return is_a_profiler(diff, node) || diff->nodes[node].parent != parent;
}

/* The one next in it that has the most of a change; a nested profiler rather than the lap that contains it. */
static uint32_t cause_in(const struct lap_diff *diff, uint32_t parent, uint32_t of)
{
    uint32_t found = LAP_LIVE_NONE;
    if (diff->nodes[parent].match == LAP_DIFF_ALONE)
        return found; /* all that is in it is new or gone with it */
    for (uint32_t i = 0; i < diff->node_count; i++) {
        if (!is_next_in(diff, i, parent) || !is_cause(diff, i, of))
            continue;
        const bool is_inside = is_inner(diff, i, parent);
        const bool is_best_inside = found != LAP_LIVE_NONE && is_inner(diff, found, parent);
        if (found == LAP_LIVE_NONE || (is_inside && !is_best_inside) ||
            (is_inside == is_best_inside && fabs(diff->nodes[i].shift_ns) > fabs(diff->nodes[found].shift_ns)))
            found = i;
    }
    return found;
}

/* What in a lap has its change: noise decides which of the two has more. */
static uint32_t cause_in_lap(const struct lap_diff *diff, uint32_t lap)
{
    const uint32_t parent = diff->nodes[lap].parent;
    const uint32_t in = parent == LAP_LIVE_NONE ? LAP_LIVE_NONE : cause_in(diff, parent, lap);
    const bool has_it =
        in != LAP_LIVE_NONE && is_inner(diff, in, parent) && lap_diff_share(diff, in, lap) >= PARENT_SHARE;
    return has_it ? in : LAP_LIVE_NONE;
}

/* The next step from a node to what has most of the change of another one. */
static uint32_t cause_next(const struct lap_diff *diff, uint32_t node, uint32_t of)
{
    return is_a_profiler(diff, node) ? cause_in(diff, node, of) : cause_in_lap(diff, node);
}

uint32_t lap_diff_cause_in(const struct lap_diff *diff, uint32_t node) { return cause_next(diff, node, node); }

/* Is a lap's change one of the profiler around it, as far as can be told of that? */
static bool is_about_parent(const struct lap_diff *diff, uint32_t lap)
{
    const uint32_t parent = diff->nodes[lap].parent;
    if (parent == LAP_LIVE_NONE || diff->nodes[parent].match == LAP_DIFF_ALONE)
        return false;
    const double share = lap_diff_share(diff, lap, parent);
    const bool is_untold = !isnan(diff->nodes[parent].mean.log_ratio) && !isfinite(diff->nodes[parent].mean.log_error);
    return share >= LAP_DIFF_CAUSE_SHARE &&
           (diff->nodes[parent].shift_ns != 0 || (is_untold && share <= 1 / LAP_DIFF_CAUSE_SHARE));
}

static void cause_find(struct lap_diff *diff)
{
    diff->changed = LAP_LIVE_NONE;
    double shift_ns = 0;
    for (uint32_t i = 0; i < diff->node_count; i++)
        if (fabs(diff->nodes[i].shift_ns) > fabs(shift_ns)) {
            diff->changed = i;
            shift_ns = diff->nodes[i].shift_ns;
        }
    const uint32_t most = diff->cause = diff->changed;
    if (most == LAP_LIVE_NONE)
        return;
    for (uint32_t in; (in = cause_next(diff, diff->cause, most)) != LAP_LIVE_NONE;)
        diff->cause = in;
    const bool is_lap = !is_a_profiler(diff, diff->cause);
    diff->changed = is_lap && is_about_parent(diff, diff->cause) ? diff->nodes[diff->cause].parent : diff->cause;
}

/* What would be seen of a node by its mean or its p50, as far as the bucket of that lets it. */
static double detectable_of(const struct lap_diff *diff, const struct lap_diff_node *node)
{
    const double by_mean = lap_ratio_detectable(&node->mean, diff->alpha);
    const double half = (node->p50.log_high - node->p50.log_low) / 2;
    const double bucket = half - lap_ratio_half_width(node->p50.log_error, node->p50.degrees);
    const double by_p50 = lap_ratio_detectable(&node->p50, diff->alpha) + (bucket > 0 ? bucket : 0);
    const double least = is_one_run_a_side(diff) ? log(LAP_DIFF_ONE_RUN_LEAST) : 0;
    return fmax(least, by_p50 < by_mean ? by_p50 : by_mean);
}

static void surest_find(struct lap_diff *diff)
{
    double most_ns = 0;
    diff->surest = LAP_LIVE_NONE;
    for (size_t i = 0; i < diff->node_count; i++)
        most_ns = fmax(most_ns, diff->nodes[i].sides[LAP_DIFF_BASE].total_ns);
    diff->detectable = INFINITY;
    for (uint32_t i = 0; i < diff->node_count; i++) {
        const struct lap_diff_node *const node = &diff->nodes[i];
        const double detectable = node->sides[LAP_DIFF_BASE].total_ns < most_ns / 2 || isnan(node->mean.log_ratio)
                                      ? INFINITY
                                      : detectable_of(diff, node);
        if (detectable < diff->detectable) {
            diff->detectable = detectable;
            diff->surest = i;
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------------- */

struct place {
    bool has_changed;
    double size_ns;
    uint32_t node;
};

static int by_size(const void *a, const void *b)
{
    const struct place *const p = a, *const q = b;
    if (p->has_changed != q->has_changed)
        return q->has_changed - p->has_changed;
    return p->size_ns != q->size_ns ? (p->size_ns < q->size_ns) - (p->size_ns > q->size_ns)
                                    : (p->node > q->node) - (p->node < q->node);
}

static int order_make(struct lap_diff *diff)
{
    struct place *const places = malloc((diff->node_count + 1) * sizeof *places);
    diff->order = malloc((diff->node_count + 1) * sizeof *diff->order);
    if (!places || !diff->order) {
        free(places);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < diff->node_count; i++)
        places[i] = diff->nodes[i].shift_ns != 0 ? (struct place){true, fabs(diff->nodes[i].shift_ns), i}
                                                 : (struct place){false, fabs(diff->nodes[i].added_ns), i};
    qsort(places, diff->node_count, sizeof *places, by_size);
    for (size_t i = 0; i < diff->node_count; i++)
        diff->order[i] = places[i].node;
    free(places);
    return 0;
}

static int nodes_fill(struct lap_diff *diff)
{
    struct work work = {.diff = diff};
    int code = 0;
    for (int s = 0; s < 2; s++)
        if (!(work.runs[s] = calloc(diff->sides[s].run_count + 1, sizeof *work.runs[s])))
            code = -ENOMEM;
    for (size_t i = 0; i < diff->node_count && code == 0; i++) {
        code = node_fill(&work, &diff->nodes[i]);
        for (int s = 0; s < 2; s++)
            if (diff->nodes[i].parent == LAP_LIVE_NONE)
                diff->total_ns[s] += diff->nodes[i].sides[s].total_ns;
    }
    for (int s = 0; s < 2; s++)
        free(work.runs[s]);
    return code;
}

int lap_diff_finish(struct lap_diff *diff)
{
    struct lap_diff_pairs pairs;
    int code = lap_diff_match(&pairs, &diff->sides[LAP_DIFF_BASE], &diff->sides[LAP_DIFF_NEXT]);
    if (code < 0)
        return code;
    code = nodes_make(diff, &pairs);
    lap_diff_pairs_done(&pairs);
    if (code == 0)
        code = nodes_fill(diff);
    if (code == 0)
        code = changes_find(diff);
    if (code == 0)
        code = order_make(diff);
    if (code < 0)
        return code;
    cause_find(diff);
    surest_find(diff);
    return 0;
}

void lap_diff_done(struct lap_diff *diff)
{
    for (int s = 0; s < 2; s++)
        lap_run_tree_done(&diff->sides[s]);
    free(diff->nodes);
    free(diff->order);
    diff->nodes = NULL;
    diff->order = NULL;
}
