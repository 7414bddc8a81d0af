/* SPDX-License-Identifier: MIT
 *
 * A scaling as JSON. The schema stands in lapmark-scaling(1).
 */
#include "scaling_view.h"

#include "view.h"

#include <math.h>
#include <stdlib.h>

/* With four decimals. */
static json_t *number_json(double value) { return json_real(round(value * 1e4) / 1e4); }

static json_t *pair_json(double low, double high)
{
    json_t *const pair = json_array();
    lap_json_append(pair, number_json(low));
    lap_json_append(pair, number_json(high));
    return pair;
}

static json_t *candidates_json(const struct lap_fit *fit)
{
    if (!lap_fit_is_pair(fit))
        return json_null();
    json_t *const candidates = json_array();
    const bool is_first_less = fit->likely < fit->rival;
    lap_json_append(candidates, lap_json_text(lap_fit_class_text(is_first_less ? fit->likely : fit->rival)));
    lap_json_append(candidates, lap_json_text(lap_fit_class_text(is_first_less ? fit->rival : fit->likely)));
    return candidates;
}

/* The likelier one first. */
static json_t *lines_json(const struct lap_fit *fit)
{
    json_t *const lines = json_array();
    const enum lap_fit_class classes[] = {fit->likely, fit->rival};
    for (size_t i = 0; i < (lap_fit_is_pair(fit) ? 2 : 1); i++) {
        json_t *const line = json_object();
        lap_json_set(line, "class", lap_json_text(lap_fit_class_text(classes[i])));
        lap_json_set(line, "offset", json_real(fit->lines[classes[i]].offset));
        lap_json_set(line, "factor", json_real(fit->lines[classes[i]].factor));
        lap_json_append(lines, line);
    }
    return lines;
}

static json_t *points_json(const struct lap_sized_costs *costs)
{
    json_t *const pairs = json_array();
    struct lap_sized_costs_point *points;
    size_t count;
    if (lap_sized_costs_points(&points, &count, costs) != 0)
        abort();
    for (size_t i = 0; i < count; i++)
        lap_json_append(pairs, pair_json(points[i].n, points[i].cost));
    free(points);
    return pairs;
}

static const char *doubt_text(enum lap_fit_doubt doubt)
{
    static const char *const texts[] = {NULL,     "few sizes",  "narrow range", "two within the noise",
                                        "caches", "few timings"};
    return texts[doubt];
}

/* Sets the members that a cost and a count have in common. */
static void curve_set(json_t *value, const struct lap_scaling *scaling, const struct lap_scaling_curve *curve)
{
    const struct lap_fit *const fit = &curve->fit;
    const bool is_known = curve->from.size != LAP_SCALING_SIZE_NONE;
    const bool is_fitted = is_known && fit->doubt != LAP_FIT_FEW_SIZES && fit->doubt != LAP_FIT_NARROW;
    char from[LAP_SCALING_TEXT_BYTES];
    lap_json_set(value, "class", lap_json_text(lap_fit_class_text(is_known ? fit->class : LAP_FIT_UNCLEAR)));
    lap_json_set(value, "candidates", is_known ? candidates_json(fit) : json_null());
    lap_json_set(value, "doubt", lap_json_text(is_known ? doubt_text(fit->doubt) : "no sizes"));
    lap_json_set(value, "exponent", is_fitted ? number_json(fit->exponent) : json_null());
    lap_json_set(value, "exponent_ci", is_fitted ? pair_json(fit->exponent_low, fit->exponent_high) : json_null());
    lap_json_set(value, "range", is_known ? pair_json(fit->n_min, fit->n_max) : json_null());
    lap_json_set(value, "range_needed", is_known && fit->range_needed > 0 ? number_json(fit->range_needed) : json_null());
    lap_json_set(value, "sizes", lap_json_count(is_known ? fit->sizes : 0));
    lap_json_set(value, "noise", is_fitted ? number_json(fit->noise) : json_null());
    lap_json_set(value, "size_from", lap_json_text(is_known ? lap_scaling_from_text(from, scaling, &curve->from) : NULL));
    lap_json_set(value, "offset", is_fitted ? json_real(fit->lines[fit->likely].offset) : json_null());
    lap_json_set(value, "factor", is_fitted ? json_real(fit->lines[fit->likely].factor) : json_null());
    lap_json_set(value, "lines", is_fitted ? lines_json(fit) : json_null());
    lap_json_set(value, "points", is_known ? points_json(curve->costs) : json_null());
}

static json_t *node_json(const struct lap_scaling *scaling, uint32_t place)
{
    const struct lap_summary_node *const summary = &scaling->group.nodes[place];
    const struct lap_scaling_node *const node = &scaling->nodes[place];
    json_t *const value = json_object();
    lap_json_set(value, "path", lap_view_path_json(&scaling->group, summary));
    lap_json_set(value, "kind", lap_json_text(lap_view_kind_text(summary)));
    lap_json_set(value, "file", lap_json_text(summary->file));
    lap_json_set(value, "line", json_integer(summary->line));
    lap_json_set(value, "function", lap_json_text(summary->function));
    lap_json_set(value, "count", lap_json_count(summary->count));
    lap_json_set(value, "total_ns", lap_json_ns(summary->total_ns));
    curve_set(value, scaling, &node->cost);
    json_t *calls = json_null();
    if (node->count.from.size != LAP_SCALING_SIZE_NONE)
        curve_set(calls = json_object(), scaling, &node->count);
    lap_json_set(value, "calls", calls);
    return value;
}

json_t *lap_scaling_json(const struct lap_scaling *scaling)
{
    char text[LAP_SCALING_TEXT_BYTES];
    json_t *const nodes = json_array(), *const findings = json_array(), *const value = json_object();
    for (uint32_t i = 0; i < scaling->group.node_count; i++)
        lap_json_append(nodes, node_json(scaling, i));
    for (size_t i = 0; i < scaling->finding_count; i++)
        lap_json_append(findings, lap_json_text(lap_scaling_finding_text(text, scaling, &scaling->findings[i], false)));
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "sentence", lap_json_text(lap_scaling_sentence(text, scaling, false)));
    lap_json_set(value, "runs", lap_json_count(scaling->runs));
    lap_json_set(value, "incomplete", json_boolean(scaling->is_incomplete));
    lap_json_set(value, "findings", findings);
    lap_json_set(value, "nodes", nodes);
    return value;
}
