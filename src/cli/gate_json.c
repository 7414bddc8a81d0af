/* SPDX-License-Identifier: MIT
 *
 * A gate's result as JSON. The schema stands in lapmark-gate(1).
 */
#include "gate_view.h"

#include "json.h"

#include <math.h>
#include <stdlib.h>

/* Shares and ratios, with six digits behind the point. */
static json_t *share_json(double share) { return json_real(round(share * 1e6) / 1e6); }

static json_t *path_json(const struct lap_gate_path *path)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < path->depth; i++)
        lap_json_append(array, lap_json_text(path->labels[i]));
    return array;
}

static json_t *side_json(const struct lap_gate_result *result, enum lap_gate_side side, size_t path, double median_ns)
{
    const struct lap_gate_cell mean = lap_gate_runs_mean(result->runs, side, result->compared, path);
    json_t *const value = json_object();
    lap_json_set(value, "count", lap_json_count(mean.count));
    lap_json_set(value, "median_ns", lap_json_ns(median_ns));
    lap_json_set(value, "mean_ns", lap_json_ns(mean.mean_ns));
    lap_json_set(value, "p50_ns", lap_json_ns(mean.p50_ns));
    lap_json_set(value, "p99_ns", lap_json_ns(mean.p99_ns));
    return value;
}

static json_t *node_json(const struct lap_gate_result *result, size_t at)
{
    const struct lap_gate_node *const node = &result->gate->nodes[at];
    const size_t path = result->paths[at];
    json_t *const value = json_object(), *const interval = json_array();
    lap_json_append(interval, share_json(node->ratio_low));
    lap_json_append(interval, share_json(node->ratio_high));
    lap_json_set(value, "path", path_json(&result->runs->paths[path]));
    lap_json_set(value, "verdict", lap_json_text(lap_gate_word(node)));
    lap_json_set(value, "share", share_json(lap_gate_runs_share(result->runs, result->compared, path)));
    lap_json_set(value, "base", side_json(result, LAP_GATE_BASE, path, node->base_median_ns));
    lap_json_set(value, "new", side_json(result, LAP_GATE_NEW, path, node->new_median_ns));
    lap_json_set(value, "ratio", share_json(node->ratio));
    lap_json_set(value, "ratio_ci", interval);
    lap_json_set(value, "second_ratio", node->second_count > 0 ? share_json(node->second_ratio) : json_null());
    lap_json_set(value, "detectable", share_json(node->detectable));
    lap_json_set(value, "blind", json_boolean(node->is_blind));
    return value;
}

void lap_gate_print_json(const struct lap_gate_result *result)
{
    const struct lap_gate *const gate = result->gate;
    json_t *const value = json_object(), *const nodes = json_array(), *const left_out = json_array();
    for (size_t i = 0; i < gate->node_count; i++)
        lap_json_append(nodes, node_json(result, i));
    for (size_t i = 0; i < result->runs->path_count; i++)
        if (lap_gate_runs_choose(result->runs, result->compared, i) == LAP_GATE_NOT_ALWAYS)
            lap_json_append(left_out, path_json(&result->runs->paths[i]));
    char *const sentence = lap_gate_sentence(result);
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "verdict", lap_json_text(gate->failed ? "fails" : "passes"));
    lap_json_set(value, "sentence", lap_json_text(sentence));
    lap_json_set(value, "interleaved", json_boolean(result->is_interleaved));
    lap_json_set(value, "max_slowdown", share_json(gate->rules.max_slowdown));
    lap_json_set(value, "min_effect_ns", lap_json_ns(gate->rules.min_effect_ns));
    lap_json_set(value, "pairs", lap_json_count(gate->pairs));
    lap_json_set(value, "second_pairs", lap_json_count(gate->second_pairs));
    lap_json_set(value, "looks", lap_json_count(gate->looks));
    lap_json_set(value, "elapsed_ns", lap_json_ns(result->elapsed_ns));
    lap_json_set(value, "detectable", share_json(gate->detectable));
    lap_json_set(value, "blind", json_boolean(gate->is_blind));
    lap_json_set(value, "nodes", nodes);
    lap_json_set(value, "not_gated", left_out);
    lap_json_print(value, stdout);
    free(sentence);
}
