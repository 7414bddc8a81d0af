/* SPDX-License-Identifier: MIT */
#include "gate_decide.h"

#include "order.h"
#include "signed_rank.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BISECTIONS = 40, ROOM_FIRST = 64 };
#define CLEAR_ERROR 0.01 /* of calling a node clear that is slower by the limit, at each look */
#define INTERVAL_SHARE 0.975
/* The noise of a second round is not that of the first, nor is it normal: aimed at more, so that the stated power is kept where
 * it was measured (tests/gate). */
#define POWER_AIMED 0.985
#define SLOWEST_TOLD 20.0 /* e^3: nobody needs to know more exactly that little can be seen */

int lap_gate_init(struct lap_gate *gate, const struct lap_gate_rules *rules, const double *run_ns, size_t node_count)
{
    *gate = (struct lap_gate){.rules = *rules, .node_count = node_count, .target = LAP_GATE_FIRST_LOOK};
    gate->nodes = calloc(node_count + 1, sizeof *gate->nodes);
    if (!gate->nodes)
        return -ENOMEM;
    for (size_t i = 0; i < node_count; i++)
        gate->nodes[i].run_ns = run_ns[i];
    return 0;
}

void lap_gate_done(struct lap_gate *gate)
{
    for (size_t i = 0; gate->nodes && i < gate->node_count; i++) {
        free(gate->nodes[i].base_ns);
        free(gate->nodes[i].new_ns);
        free(gate->nodes[i].differences);
        free(gate->nodes[i].second);
    }
    free(gate->nodes);
    free(gate->sorted);
    *gate = (struct lap_gate){0};
}

static int grow(double **array, size_t room)
{
    double *const grown = realloc(*array, room * sizeof **array);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

static int make_room(struct lap_gate *gate)
{
    if (gate->pairs < gate->room && gate->second_pairs < gate->room)
        return 0;
    const size_t room = gate->room ? 2 * gate->room : ROOM_FIRST;
    int error = grow(&gate->sorted, room);
    for (size_t i = 0; i < gate->node_count && error == 0; i++) {
        struct lap_gate_node *const node = &gate->nodes[i];
        if (grow(&node->base_ns, room) < 0 || grow(&node->new_ns, room) < 0 || grow(&node->differences, room) < 0 ||
            grow(&node->second, room) < 0)
            error = -ENOMEM;
    }
    if (error == 0)
        gate->room = room;
    return error;
}

int lap_gate_add(struct lap_gate *gate, const double *base_ns, const double *new_ns)
{
    const int error = make_room(gate);
    if (error < 0)
        return error;
    for (size_t i = 0; i < gate->node_count; i++) {
        struct lap_gate_node *const node = &gate->nodes[i];
        const double difference = base_ns[i] > 0 && new_ns[i] > 0 ? log(new_ns[i] / base_ns[i]) : 0;
        if (gate->is_second) {
            node->second[gate->second_pairs] = difference;
        } else {
            node->base_ns[gate->pairs] = base_ns[i];
            node->new_ns[gate->pairs] = new_ns[i];
            node->differences[gate->pairs] = difference;
        }
    }
    *(gate->is_second ? &gate->second_pairs : &gate->pairs) += 1;
    return 0;
}

void lap_gate_stop(struct lap_gate *gate)
{
    gate->is_stopped = true;
    if (!gate->is_second)
        gate->target = gate->pairs;
}

/* The slowdown at which a node fails: the limit, or what adds up to the least effect, whichever is more. As a logarithm. */
static double limit_of(const struct lap_gate *gate, const struct lap_gate_node *node)
{
    const double floor_slowdown = node->run_ns > 0 ? gate->rules.min_effect_ns / node->run_ns : 0;
    return log1p(fmax(gate->rules.max_slowdown, floor_slowdown));
}

static size_t next_target(size_t target) { return (target * 3 + 1) / 2; }

static double level_of_look(const struct lap_gate *gate, unsigned look)
{
    if (gate->rules.is_once)
        return LAP_GATE_FAMILY_ERROR * LAP_GATE_SECOND_ERROR;
    return LAP_GATE_FAMILY_ERROR / ((double)look * (look + 1));
}

static const double *sort(struct lap_gate *gate, const double *differences, size_t count)
{
    if (count > 0)
        memcpy(gate->sorted, differences, count * sizeof *differences);
    lap_order_sort(gate->sorted, count);
    return gate->sorted;
}

/* What one look, or the second round, says of a node. */
struct finding {
    struct lap_gate_node *node;
    double error;  /* how likely it is where nothing is slower */
    bool is_over;  /* the estimate is at the limit or above */
    bool is_below; /* it is surely below */
};

static int by_error(const void *left, const void *right)
{
    const double a = ((const struct finding *)left)->error, b = ((const struct finding *)right)->error;
    return (a > b) - (a < b);
}

static struct finding look_at(struct lap_gate *gate, struct lap_gate_node *node)
{
    const double *const differences = gate->is_second ? node->second : node->differences;
    const size_t count = gate->is_second ? gate->second_pairs : gate->pairs;
    const double *const sorted = sort(gate, differences, count), limit = limit_of(gate, node);
    const double below = lap_signed_rank_below(sorted, count, limit);
    return (struct finding){
        .node = node,
        .error = lap_signed_rank_above(sorted, count, 0),
        .is_over = below > 0.5, /* half of W or more lies above the limit: so does the estimate */
        .is_below = below < CLEAR_ERROR,
    };
}

/* Holm: the least error is held against level / count, the next against level / (count - 1), until one is too great. Of those
 * that differ from none, the ones over the limit get the state `found`. Returns how many. */
static size_t settle(struct finding *findings, size_t count, double level, enum lap_gate_state found)
{
    size_t settled = 0;
    qsort(findings, count, sizeof *findings, by_error);
    for (size_t i = 0; i < count && findings[i].error <= level / (double)(count - i); i++)
        if (findings[i].is_over) {
            findings[i].node->state = found;
            settled++;
        }
    return settled;
}

/* Looks at all nodes, in the second round at those that are suspected. NULL: no memory. */
static struct finding *look(struct lap_gate *gate, size_t *ret_count)
{
    struct finding *const findings = calloc(gate->node_count + 1, sizeof *findings);
    *ret_count = 0;
    for (size_t i = 0; findings && i < gate->node_count; i++)
        if (!gate->is_second || gate->nodes[i].state == LAP_GATE_SUSPECTED)
            findings[(*ret_count)++] = look_at(gate, &gate->nodes[i]);
    return findings;
}

/* ---- what could have been seen ---- */

/* Had nothing been clear, it would have gone on: it is by the last look that there was time for that a gate's power is told. */
static double level_of_last_look(const struct lap_gate *gate, double pairs)
{
    unsigned looks = 1;
    for (size_t target = LAP_GATE_FIRST_LOOK; (double)target < pairs; target = next_target(target))
        looks++;
    return level_of_look(gate, looks);
}

/* The least slowdown that is found so surely: in the first round and, if there is one, in the second. */
static double slowdown_found(double first_least, double second_least, double deviation, double power)
{
    double low = 0, high = log(SLOWEST_TOLD);
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = (low + high) / 2;
        const double found =
            lap_normal_share((middle - first_least) / deviation) * lap_normal_share((middle - second_least) / deviation);
        *(found < power ? &low : &high) = middle;
    }
    return expm1(high);
}

static void say_detectable(struct lap_gate *gate, struct lap_gate_node *node, double deviation_of_taken)
{
    const double taken = (double)gate->pairs, possible = fmax((double)gate->pairs_possible, taken);
    const double deviation = deviation_of_taken * sqrt(taken / possible);
    const bool is_once = gate->rules.is_once;
    const double limit = limit_of(gate, node);
    const double first = deviation * lap_normal_z(1 - level_of_last_look(gate, possible) / (double)gate->node_count);
    const double second = is_once ? -INFINITY : deviation * lap_normal_z(1 - LAP_GATE_SECOND_ERROR);
    node->detectable = slowdown_found(fmax(first, limit), is_once ? second : fmax(second, limit), deviation, POWER_AIMED);
    node->is_blind = slowdown_found(first, second, deviation, POWER_AIMED) > expm1(limit);
}

static double median_of(struct lap_gate *gate, const double *values, size_t count)
{
    if (count > 0)
        memcpy(gate->sorted, values, count * sizeof *values);
    return lap_order_median(gate->sorted, count);
}

static void describe(struct lap_gate *gate, struct lap_gate_node *node)
{
    const double z = lap_normal_z(INTERVAL_SHARE);
    node->base_median_ns = median_of(gate, node->base_ns, gate->pairs);
    node->new_median_ns = median_of(gate, node->new_ns, gate->pairs);
    if (node->second_count > 0)
        node->second_ratio =
            exp(lap_signed_rank_shift(sort(gate, node->second, node->second_count), node->second_count, 0));
    const double *const sorted = sort(gate, node->differences, gate->pairs);
    const double low = lap_signed_rank_shift(sorted, gate->pairs, z),
                 high = lap_signed_rank_shift(sorted, gate->pairs, -z);
    node->ratio = exp(lap_signed_rank_shift(sorted, gate->pairs, 0));
    node->ratio_low = exp(low);
    node->ratio_high = exp(high);
    /* The width of the interval says how much the estimate scatters, heavy tails or not (Lehmann, 1963). */
    say_detectable(gate, node, fmax((high - low) / (2 * z), 1e-12));
    gate->detectable = fmax(gate->detectable, node->detectable);
    gate->is_blind |= node->is_blind;
}

static void decide(struct lap_gate *gate, bool failed)
{
    gate->is_decided = true;
    gate->failed = failed;
    for (size_t i = 0; i < gate->node_count; i++)
        describe(gate, &gate->nodes[i]);
}

/* ---- the rounds ---- */

static bool has_open(const struct lap_gate *gate)
{
    for (size_t i = 0; i < gate->node_count; i++)
        if (gate->nodes[i].state == LAP_GATE_OPEN)
            return true;
    return false;
}

static void next_look(struct lap_gate *gate)
{
    if (gate->is_stopped || !has_open(gate))
        decide(gate, false);
    else
        gate->target = next_target(gate->target);
}

/* A look of the first round. */
static int end_first(struct lap_gate *gate)
{
    size_t count;
    gate->looks++;
    struct finding *const findings = look(gate, &count);
    if (!findings)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        findings[i].node->state = findings[i].is_below ? LAP_GATE_CLEAR : LAP_GATE_OPEN;
    const size_t found = settle(findings, count, level_of_look(gate, gate->looks),
                                gate->rules.is_once ? LAP_GATE_FAILED : LAP_GATE_SUSPECTED);
    free(findings);
    if (gate->rules.is_once) {
        decide(gate, found > 0);
    } else if (found > 0) {
        gate->is_second = true;
        gate->second_pairs = 0;
    } else {
        next_look(gate);
    }
    return 0;
}

static int end_second(struct lap_gate *gate)
{
    size_t count;
    struct finding *const findings = look(gate, &count);
    if (!findings)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        findings[i].node->state = LAP_GATE_OPEN;
        findings[i].node->second_count = gate->second_pairs;
    }
    const size_t found = settle(findings, count, LAP_GATE_SECOND_ERROR, LAP_GATE_FAILED);
    free(findings);
    gate->is_second = false;
    if (found > 0)
        decide(gate, true);
    else
        next_look(gate);
    return 0;
}

int lap_gate_wants(struct lap_gate *gate, size_t *ret_pairs)
{
    int error = 0;
    *ret_pairs = 0;
    while (!gate->is_decided && error == 0) {
        const size_t taken = gate->is_second ? gate->second_pairs : gate->pairs;
        const size_t wanted = gate->is_second ? gate->pairs : gate->target;
        if (taken < wanted) {
            *ret_pairs = wanted - taken;
            return 0;
        }
        error = gate->is_second ? end_second(gate) : end_first(gate);
    }
    return error;
}

size_t lap_gate_least_pairs(size_t node_count)
{
    const double level = LAP_GATE_FAMILY_ERROR * LAP_GATE_SECOND_ERROR / (double)node_count;
    return (size_t)ceil(-log2(level)); /* one of 2^pairs ways to draw the signs */
}
