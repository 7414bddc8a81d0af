/* SPDX-License-Identifier: MIT */
#include "scaling.h"

#include "scaling_gather.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 400 };

/* What grows by less over all of its range is said to be constant beside what it is called with. */
#define GROWTH_MIN 1.3
/* What runs as often in each of its profiler is a loop. */
#define TIMES_MIN 8.0
/* A child that takes less of its profiler's time is cheap. */
#define CHEAP_SHARE 0.05
/* What takes less of all time is told behind what takes more. */
#define SMALL_SHARE 0.05
/* Of two numbers that explain a cost about as well, the nearer one is taken. */
#define BETTER 0.8

/* ---- which size ---------------------------------------------------------------------------------------------------- */

static bool is_usable(const struct lap_fit *fit)
{
    return fit->doubt != LAP_FIT_FEW_SIZES && fit->doubt != LAP_FIT_NARROW;
}

/* Of two that are of no use: the one that is nearer to be. */
static bool is_nearer(const struct lap_fit *fit, const struct lap_fit *other)
{
    return fit->sizes != other->sizes ? fit->sizes > other->sizes : fit->n_max * other->n_min > other->n_max * fit->n_min;
}

struct choice {
    unsigned slot;
    struct lap_fit fit;
    bool is_any;
};

/* Takes a slot's costs if they are the better ones. */
static int choice_offer(struct choice *choice, struct lap_sized_costs *const *costs, unsigned slot)
{
    struct lap_fit fit;
    if (!costs[slot])
        return 0;
    const int code = lap_sized_costs_fit(&fit, costs[slot], 0);
    if (code < 0)
        return code;
    const bool is_better = !choice->is_any                              ? true
                           : is_usable(&fit) != is_usable(&choice->fit) ? is_usable(&fit)
                           : is_usable(&fit)                            ? fit.scatter < BETTER * choice->fit.scatter
                                                                        : is_nearer(&fit, &choice->fit);
    if (is_better)
        *choice = (struct choice){slot, fit, true};
    return 0;
}

/* Sizes that the program gives come first, the nearest of them; then numbers in labels, those that explain the costs; then
 * counts. */
static int choose(struct choice *choice, struct lap_sized_costs *const *costs)
{
    static const unsigned by_nearness[] = {LAP_SCALING_OWN, LAP_SCALING_AROUND, LAP_SCALING_FURTHER};
    static const unsigned by_likelihood[] = {LAP_SCALING_AROUND, LAP_SCALING_OWN, LAP_SCALING_FURTHER};
    int code = 0;
    for (unsigned i = 0; code == 0 && i < LAP_SCALING_LEVELS && !(choice->is_any && is_usable(&choice->fit)); i++)
        code = choice_offer(choice, costs, LAP_SCALING_SLOT(by_nearness[i], LAP_SCALING_N));
    if (code == 0 && choice->is_any && is_usable(&choice->fit))
        return 0;
    for (unsigned i = 0; i < LAP_SCALING_LEVELS; i++)
        for (unsigned argument = 0; code == 0 && argument < LAP_SCALING_ARGUMENTS; argument++)
            code = choice_offer(choice, costs, LAP_SCALING_SLOT(by_likelihood[i], LAP_SCALING_ARGUMENT + argument));
    if (code == 0 && !(choice->is_any && is_usable(&choice->fit)))
        code = choice_offer(choice, costs, LAP_SCALING_COUNT);
    return code;
}

/* ---- curves -------------------------------------------------------------------------------------------------------- */

static uint32_t node_around(const struct lap_summary_group *group, uint32_t node, unsigned levels)
{
    while (levels-- > 0 && node != LAP_SUMMARY_NONE)
        node = group->nodes[node].parent;
    return node;
}

/* What runs most often in a profiler. */
static uint32_t most_frequent(const struct lap_summary_group *group, uint32_t profiler)
{
    uint32_t most = LAP_SUMMARY_NONE;
    for (uint32_t i = group->nodes[profiler].first_child; i != LAP_SUMMARY_NONE; i = group->nodes[i].next_sibling)
        if (most == LAP_SUMMARY_NONE || group->nodes[i].count > group->nodes[most].count)
            most = i;
    return most;
}

/* `own` is the node that level 0 is of. */
static struct lap_scaling_from from_slot(const struct lap_summary_group *group, uint32_t own, unsigned slot)
{
    if (slot == LAP_SCALING_COUNT) {
        const bool is_around = group->nodes[own].kind != LAP_SUMMARY_PROFILER;
        const uint32_t profiler = is_around ? group->nodes[own].parent : own;
        return (struct lap_scaling_from){
            .size = LAP_SCALING_SIZE_COUNT,
            .node = profiler == LAP_SUMMARY_NONE ? own : most_frequent(group, profiler),
            .level = is_around,
        };
    }
    const unsigned level = slot / LAP_SCALING_NUMBERS, number = slot % LAP_SCALING_NUMBERS;
    return (struct lap_scaling_from){
        .size = number == LAP_SCALING_N ? LAP_SCALING_SIZE_N : LAP_SCALING_SIZE_ARGUMENT,
        .node = node_around(group, own, level),
        .level = level,
        .argument = number == LAP_SCALING_N ? 0 : number - LAP_SCALING_ARGUMENT,
    };
}

/* Counts say nothing of a size that is always the same. */
static bool is_told(const struct choice *choice)
{
    return choice->is_any && (is_usable(&choice->fit) || (choice->slot != LAP_SCALING_COUNT && choice->fit.sizes > 0));
}

/* `own` is the node that the slots' level 0 is of. */
static int curve_make(struct lap_scaling_curve *curve, const struct lap_summary_group *group, uint32_t own,
                      struct lap_sized_costs *const *costs, unsigned *ret_slot)
{
    struct choice choice = {0};
    int code = choose(&choice, costs);
    if (code < 0 || !is_told(&choice))
        return code;
    code = lap_sized_costs_fit(&curve->fit, costs[choice.slot], RESAMPLES);
    curve->from = from_slot(group, own, choice.slot);
    curve->costs = costs[choice.slot];
    *ret_slot = choice.slot;
    return code;
}

/* The costs by the size that the count goes by, which may be another than the one that explains the costs best. */
static int loop_make(struct lap_scaling_node *node, const struct lap_summary_group *group, uint32_t place,
                     struct lap_sized_costs *const *costs, unsigned cost_slot, unsigned count_slot)
{
    const unsigned slot = count_slot == LAP_SCALING_COUNT ? LAP_SCALING_COUNT : count_slot + LAP_SCALING_NUMBERS;
    if (node->count.from.size == LAP_SCALING_SIZE_NONE || slot >= LAP_SCALING_SLOTS || !costs[slot])
        return 0;
    if (slot == cost_slot) {
        node->loop = node->cost;
        return 0;
    }
    node->loop.from = from_slot(group, place, slot);
    const int code = lap_sized_costs_fit(&node->loop.fit, costs[slot], RESAMPLES);
    lap_fit_doubt_memory(&node->loop.fit);
    return code;
}

static int node_make(struct lap_scaling_node *node, const struct lap_summary_group *group, uint32_t place,
                     const struct lap_scaling_gathered *gathered)
{
    unsigned cost_slot = LAP_SCALING_SLOTS, count_slot = LAP_SCALING_SLOTS;
    const uint32_t parent = group->nodes[place].parent;
    int code = curve_make(&node->cost, group, place, gathered->costs, &cost_slot);
    lap_fit_doubt_memory(&node->cost.fit);
    if (code == 0 && parent != LAP_SUMMARY_NONE)
        code = curve_make(&node->count, group, parent, gathered->counts, &count_slot);
    lap_fit_doubt_count(&node->count.fit);
    node->count.from.level++; /* as the node sees it */
    return code == 0 ? loop_make(node, group, place, gathered->costs, cost_slot, count_slot) : code;
}

/* Its exponent is above that of what grows less, with 99.5 %. */
bool lap_scaling_grows(const struct lap_scaling_curve *curve, enum lap_fit_class least)
{
    const struct lap_fit *const fit = &curve->fit;
    const enum lap_fit_class less = least < LAP_FIT_N ? LAP_FIT_1 : LAP_FIT_LOG;
    if (curve->from.size == LAP_SCALING_SIZE_NONE || !is_usable(fit) || fit->likely == LAP_FIT_UNCLEAR ||
        fit->flattest < least)
        return false;
    return fit->exponent_low > lap_fit_class_exponent(less, sqrt(fit->n_min * fit->n_max)) &&
           lap_fit_at(fit, fit->n_max) >= GROWTH_MIN * lap_fit_at(fit, fit->n_min);
}

/* ---- findings ------------------------------------------------------------------------------------------------------ */

/* Of a profiler's laps and the profilers in it: does this one grow, and at least two others surely less, and none besides?
 * *ret_sure: those are constant. */
static bool is_odd_one(const struct lap_scaling *scaling, uint32_t place, bool *ret_sure)
{
    const struct lap_summary_node *const nodes = scaling->group.nodes;
    size_t constant = 0, flat = 0, growing = 0;
    for (uint32_t i = nodes[nodes[place].parent].first_child; i != LAP_SUMMARY_NONE; i = nodes[i].next_sibling) {
        const struct lap_scaling_curve *const cost = &scaling->nodes[i].cost;
        if (nodes[i].kind == LAP_SUMMARY_REST || cost->from.size == LAP_SCALING_SIZE_NONE || !is_usable(&cost->fit))
            continue;
        constant += cost->fit.class == LAP_FIT_1;
        flat += cost->fit.class == LAP_FIT_1 ||
                (cost->fit.likely == LAP_FIT_1 && cost->fit.exponent_high < scaling->nodes[place].cost.fit.exponent_low);
        growing += lap_scaling_grows(cost, LAP_FIT_LOG);
    }
    *ret_sure = constant == flat;
    return flat >= 2 && growing == 1;
}

/* Is its size its own, and another each time? */
static bool is_of_its_own(const struct lap_scaling_curve *curve)
{
    return curve->from.level == LAP_SCALING_OWN && curve->from.size != LAP_SCALING_SIZE_COUNT;
}

/* What is in a profiler, by `of` each: its laps and its rest, or, where those are still to come, the profilers that are in them. */
static double inside_ns(const struct lap_summary_group *group, uint32_t profiler,
                        double (*of)(const struct lap_summary_node *))
{
    double laps_ns = 0, profilers_ns = 0;
    for (uint32_t i = group->nodes[profiler].first_child; i != LAP_SUMMARY_NONE; i = group->nodes[i].next_sibling)
        *(group->nodes[i].kind == LAP_SUMMARY_PROFILER ? &profilers_ns : &laps_ns) += of(&group->nodes[i]);
    return fmax(laps_ns, profilers_ns);
}

static double total_ns(const struct lap_summary_node *node) { return node->total_ns; }

/* By the medians: one that was interrupted is not dear. */
static double usual_ns(const struct lap_summary_node *node) { return node->p50_ns * (double)node->count; }

/* Of the time of the profiler around it, whose own may be less than that of what is in it: it had not ended. */
static double share_of(const struct lap_summary_group *group, uint32_t place)
{
    const uint32_t around = group->nodes[place].parent;
    const double whole_ns = fmax(inside_ns(group, around, total_ns), group->nodes[around].total_ns);
    return whole_ns > 0 ? group->nodes[place].total_ns / whole_ns : 0;
}

/* Of the laps and profilers beside it, does one that takes more time run as often, whatever n is? Then that one is the loop's cost,
 * and stays so. */
static bool is_beside_dearer(const struct lap_scaling *scaling, uint32_t place)
{
    const struct lap_summary_node *const nodes = scaling->group.nodes;
    enum lap_fit_class often = scaling->nodes[place].count.fit.flattest;
    if (often == LAP_FIT_N_LOG) /* counts that are nearly n look like it */
        often = LAP_FIT_N;
    for (uint32_t i = nodes[nodes[place].parent].first_child; i != LAP_SUMMARY_NONE; i = nodes[i].next_sibling)
        if (nodes[i].total_ns > nodes[place].total_ns && lap_scaling_grows(&scaling->nodes[i].count, often))
            return true;
    return false;
}

/* By the medians, too; of those beside it, as what is longer is interrupted each time. */
static bool is_cheap(const struct lap_summary_group *group, uint32_t place, double share)
{
    const double whole_ns = inside_ns(group, group->nodes[place].parent, usual_ns);
    return share < CHEAP_SHARE || usual_ns(&group->nodes[place]) < CHEAP_SHARE * whole_ns;
}

static bool finding_find(const struct lap_scaling *scaling, uint32_t place, struct lap_scaling_finding *finding)
{
    const struct lap_summary_node *const summary = &scaling->group.nodes[place];
    const struct lap_scaling_node *const node = &scaling->nodes[place];
    if (summary->parent == LAP_SUMMARY_NONE || summary->kind == LAP_SUMMARY_REST)
        return false;
    *finding = (struct lap_scaling_finding){.node = place, .share = share_of(&scaling->group, place)};
    finding->is_small = summary->total_ns < SMALL_SHARE * scaling->whole_ns;
    const struct lap_summary_node *const around = &scaling->group.nodes[summary->parent];
    finding->times = around->count > 0 ? (double)summary->count / (double)around->count : 0;
    const bool runs_often = lap_scaling_grows(&node->count, LAP_FIT_LOG);
    if (runs_often && lap_scaling_grows(&node->loop, LAP_FIT_N))
        finding->kind = LAP_SCALING_LOOP;
    else if (finding->times >= TIMES_MIN && !is_of_its_own(&node->cost) && lap_scaling_grows(&node->cost, LAP_FIT_N))
        finding->kind = LAP_SCALING_REPEATED;
    else if (lap_scaling_grows(&node->cost, LAP_FIT_N) && is_odd_one(scaling, place, &finding->is_sure))
        finding->kind = LAP_SCALING_CONSTANT;
    else if (runs_often && node->count.from.size != LAP_SCALING_SIZE_COUNT &&
             is_cheap(&scaling->group, place, finding->share) && !is_beside_dearer(scaling, place))
        finding->kind = LAP_SCALING_OFTEN;
    else
        return false;
    return true;
}

static int worst_first(const void *a, const void *b)
{
    const struct lap_scaling_finding *const p = a, *const q = b;
    if (p->is_small != q->is_small)
        return p->is_small ? 1 : -1;
    if (p->kind != q->kind)
        return p->kind < q->kind ? -1 : 1;
    return p->share != q->share ? (p->share < q->share) - (p->share > q->share)
                                : (p->node > q->node) - (p->node < q->node);
}

static int findings_make(struct lap_scaling *scaling)
{
    const size_t count = scaling->group.node_count;
    scaling->findings = calloc(count + 1, sizeof *scaling->findings);
    if (!scaling->findings)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        if (scaling->group.nodes[i].parent == LAP_SUMMARY_NONE)
            scaling->whole_ns += scaling->group.nodes[i].total_ns;
    for (uint32_t i = 0; i < count; i++)
        scaling->finding_count += finding_find(scaling, i, &scaling->findings[scaling->finding_count]);
    qsort(scaling->findings, scaling->finding_count, sizeof *scaling->findings, worst_first);
    return 0;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

int lap_scaling_make(struct lap_scaling **ret_scaling, struct lap_recording *recording,
                     const struct lap_scaling_options *options)
{
    struct lap_scaling *const scaling = calloc(1, sizeof *scaling);
    struct lap_scaling_gather *const gather = calloc(1, sizeof *gather);
    if (!scaling || !gather) {
        free(scaling);
        free(gather);
        return -ENOMEM;
    }
    scaling->internal = gather;
    int code = lap_scaling_gather_make(gather, recording, options->progress, options->user);
    scaling->group = gather->group;
    scaling->runs = gather->runs;
    scaling->is_incomplete = lap_recording_is_incomplete(recording);
    scaling->nodes = calloc(gather->group.node_count + 1, sizeof *scaling->nodes);
    if (code == 0 && !scaling->nodes)
        code = -ENOMEM;
    for (uint32_t i = 0; code == 0 && i < scaling->group.node_count; i++)
        code = node_make(&scaling->nodes[i], &scaling->group, i, &gather->nodes[i]);
    if (code == 0)
        code = findings_make(scaling);
    if (code < 0)
        lap_scaling_free(scaling);
    else
        *ret_scaling = scaling;
    return code;
}

void lap_scaling_free(struct lap_scaling *scaling)
{
    if (!scaling)
        return;
    lap_scaling_gather_done(scaling->internal);
    free(scaling->internal);
    free(scaling->nodes);
    free(scaling->findings);
    free(scaling);
}
