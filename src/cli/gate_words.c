/* SPDX-License-Identifier: MIT
 *
 * A gate's result in words, which all of its forms have in common.
 */
#define _GNU_SOURCE
#include "gate_view.h"

#include "units.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above the first it is told how many times as slow it is; nobody needs to know more exactly what is above the second. */
#define MOST_PERCENT 10.0
#define MOST_TIMES 1e6
/* What an inner one has of what is around it, at least; of a lap, which the profilers beside it may or may not be in, more. */
#define INNER_SHARE 0.5
#define IN_LAP_SHARE 0.8

static __attribute__((format(printf, 1, 2))) char *text_of(const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    return text;
}

char *lap_gate_percent(char out[LAP_GATE_PERCENT_BYTES], double slowdown)
{
    if (slowdown > MOST_TIMES)
        snprintf(out, LAP_GATE_PERCENT_BYTES, "over %.0fx", MOST_TIMES);
    else if (slowdown > MOST_PERCENT)
        snprintf(out, LAP_GATE_PERCENT_BYTES, "%.0fx", 1 + slowdown);
    else
        snprintf(out, LAP_GATE_PERCENT_BYTES, "%.1f%%", fabs(slowdown) < 0.0005 ? 0.0 : 100 * slowdown);
    return out;
}

char *lap_gate_path_text(const struct lap_gate_path *path)
{
    char *text = text_of("%s", path->labels[0]);
    for (size_t i = 1; i < path->depth; i++) {
        char *const longer = text_of("%s > %s", text, path->labels[i]);
        free(text);
        text = longer;
    }
    return text;
}

const char *lap_gate_word(const struct lap_gate_node *node)
{
    return node->state == LAP_GATE_FAILED ? "fails" : node->state == LAP_GATE_CLEAR ? "passes" : "unclear";
}

/* What a node adds to a run. By medians: the mean of what takes next to nothing is a matter of who was interrupted. */
static double added_ns(const struct lap_gate_result *result, size_t at)
{
    const struct lap_gate_node *const node = &result->gate->nodes[at];
    const uint64_t count = lap_gate_runs_mean(result->runs, LAP_GATE_BASE, result->compared, result->paths[at]).count;
    return (node->new_median_ns - node->base_median_ns) * (double)count;
}

/* The failed node that adds the most to a run; -1: none has failed. */
static int worst(const struct lap_gate_result *result, size_t *ret_failed)
{
    int found = -1;
    *ret_failed = 0;
    for (size_t i = 0; i < result->gate->node_count; i++) {
        if (result->gate->nodes[i].state != LAP_GATE_FAILED)
            continue;
        if ((*ret_failed)++ == 0 || added_ns(result, i) > added_ns(result, (size_t)found))
            found = (int)i;
    }
    return found;
}

/* A lap may contain the profilers beside it. */
static size_t rank_of(const struct lap_gate_path *path) { return 2 * path->depth + (path->kind == LAP_SUMMARY_PROFILER); }

static bool is_inside(const struct lap_gate_path *path, const struct lap_gate_path *of)
{
    const size_t around = of->depth - (of->kind != LAP_SUMMARY_PROFILER);
    size_t same = 0;
    while (same < around && same < path->depth && strcmp(path->labels[same], of->labels[same]) == 0)
        same++;
    return same == around && rank_of(path) > rank_of(of);
}

/* Of those that are inside of one another the inner one says more: it is the deepest failed one that has most
 * of the worst. */
static int innermost(const struct lap_gate_result *result, int outer)
{
    const struct lap_gate *const gate = result->gate;
    for (size_t i = 0; i < gate->node_count && outer >= 0; i++) {
        const struct lap_gate_path *const path = &result->runs->paths[result->paths[i]],
                                          *const above = &result->runs->paths[result->paths[outer]];
        const double share = above->kind == LAP_SUMMARY_PROFILER ? INNER_SHARE : IN_LAP_SHARE;
        if (gate->nodes[i].state == LAP_GATE_FAILED && is_inside(path, above) &&
            added_ns(result, i) > share * added_ns(result, (size_t)outer))
            outer = (int)i;
    }
    return outer;
}

static char *sentence_of_failure(const struct lap_gate_result *result, int at, size_t failed)
{
    const struct lap_gate_node *const node = &result->gate->nodes[at];
    char base[LAP_UNITS_BYTES], new[LAP_UNITS_BYTES], pairs[LAP_UNITS_BYTES], steps[LAP_UNITS_BYTES],
        slower[LAP_GATE_PERCENT_BYTES], low[LAP_GATE_PERCENT_BYTES], high[LAP_GATE_PERCENT_BYTES],
        seen[LAP_GATE_PERCENT_BYTES];
    char *const path = lap_gate_path_text(&result->runs->paths[result->paths[at]]);
    char *const again = node->second_count > 0 ? text_of(", found again in %zu more", node->second_count) : strdup("");
    char *const others = failed > 1 ? text_of("; %zu steps fail", failed) : strdup("");
    char *const sentence =
        text_of("fails: \"%s\" is %s slower (%s to %s), %s -> %s, in %s of runs%s%s; a slowdown of %s in any of %s would "
                "have been found by %.0f of 100 such gates",
                path, lap_gate_percent(slower, node->ratio - 1), lap_gate_percent(low, node->ratio_low - 1),
                lap_gate_percent(high, node->ratio_high - 1), lap_units_duration(base, node->base_median_ns),
                lap_units_duration(new, node->new_median_ns), lap_units_counted(pairs, result->gate->pairs, "pair"),
                again, others, lap_gate_percent(seen, result->gate->detectable),
                lap_units_counted(steps, result->gate->node_count, "step"), 100 * LAP_GATE_POWER);
    free(path);
    free(again);
    free(others);
    return sentence;
}

char *lap_gate_sentence(const struct lap_gate_result *result)
{
    const struct lap_gate *const gate = result->gate;
    size_t failed;
    const int at = innermost(result, worst(result, &failed));
    char limit[LAP_GATE_PERCENT_BYTES], seen[LAP_GATE_PERCENT_BYTES], pairs[LAP_UNITS_BYTES], steps[LAP_UNITS_BYTES];
    if (at >= 0)
        return sentence_of_failure(result, at, failed);
    return text_of(
        "passes: of %s none is found to be slower by %s, in %s of runs; a slowdown of %s in any of them would have been "
        "found by %.0f of 100 such gates",
        lap_units_counted(steps, gate->node_count, "step"), lap_gate_percent(limit, gate->rules.max_slowdown),
        lap_units_counted(pairs, gate->pairs, "pair"), lap_gate_percent(seen, gate->detectable), 100 * LAP_GATE_POWER);
}

char *lap_gate_caution(const struct lap_gate_result *result)
{
    char limit[LAP_GATE_PERCENT_BYTES];
    size_t blind = 0;
    for (size_t i = 0; i < result->gate->node_count; i++)
        blind += result->gate->nodes[i].is_blind;
    if (blind == 0)
        return NULL;
    return text_of("the runs scatter so much that it could not have told a slowdown of %s from none in %zu of %zu steps: "
                   "give it more "
                   "%s, or a quieter machine",
                   lap_gate_percent(limit, result->gate->rules.max_slowdown), blind, result->gate->node_count,
                   result->is_interleaved ? "--max-time" : "runs");
}

char *lap_gate_how(const struct lap_gate_result *result)
{
    char elapsed[LAP_UNITS_BYTES];
    if (!result->is_interleaved)
        return text_of(
            "not interleaved: what else changed between the two sides counts as well, and no error rate is promised");
    return text_of("%zu pairs, interleaved, and %zu in a second round, in %s", result->gate->pairs,
                   result->gate->second_pairs, lap_units_duration(elapsed, result->elapsed_ns));
}

char *lap_gate_left_out(const struct lap_gate_result *result, size_t *place)
{
    while (*place < result->runs->path_count) {
        const size_t path = (*place)++;
        if (lap_gate_runs_choose(result->runs, result->compared, path) == LAP_GATE_NOT_ALWAYS)
            return lap_gate_path_text(&result->runs->paths[path]);
    }
    return NULL;
}
