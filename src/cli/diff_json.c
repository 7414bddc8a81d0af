/* SPDX-License-Identifier: MIT
 *
 * A comparison as JSON. The schema stands in lapmark-diff(1).
 */
#include "diff_view.h"

#include <math.h>
#include <stdlib.h>

static json_t *path_json(const struct lap_live_tree *tree, uint32_t node)
{
    json_t *const path = json_array();
    for (; node != LAP_LIVE_NONE; node = tree->nodes[node].parent)
        if (json_array_insert_new(path, 0, lap_json_text(tree->nodes[node].label)) != 0)
            abort();
    return path;
}

static json_t *number_json(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *ratio_json(const struct lap_ratio *ratio) { return number_json(exp(ratio->log_ratio)); }

static json_t *interval_json(const struct lap_ratio *ratio)
{
    if (isnan(ratio->log_ratio))
        return json_null();
    json_t *const interval = json_array();
    lap_json_append(interval, isfinite(ratio->log_low) ? json_real(exp(ratio->log_low)) : json_null());
    lap_json_append(interval, isfinite(ratio->log_high) ? json_real(exp(ratio->log_high)) : json_null());
    return interval;
}

static json_t *side_json(const struct lap_diff_side *side)
{
    json_t *const value = json_object();
    lap_json_set(value, "count", lap_json_ns(side->count));
    lap_json_set(value, "total_ns", lap_json_ns(side->total_ns));
    lap_json_set(value, "self_ns", lap_json_ns(side->self_ns));
    lap_json_set(value, "mean_ns", side->count > 0 ? lap_json_ns(side->mean_ns) : json_null());
    lap_json_set(value, "p50_ns", side->count > 0 ? lap_json_ns(side->p50_ns) : json_null());
    lap_json_set(value, "p99_ns", side->count > 0 ? lap_json_ns(side->p99_ns) : json_null());
    lap_json_set(value, "percentiles", lap_json_percentiles(&side->percentiles, side->count));
    return value;
}

/* `places` is where each of the nodes stands in JSON. */
static json_t *node_json(const struct lap_diff *diff, const struct lap_diff_node *node, const uint32_t *places)
{
    static const char *const kinds[] = {
        [LAP_SUMMARY_PROFILER] = "profiler", [LAP_SUMMARY_LAP] = "lap", [LAP_SUMMARY_REST] = "rest"};
    static const char *const matches[] = {
        [LAP_DIFF_SAME] = "same", [LAP_DIFF_RENAMED] = "renamed", [LAP_DIFF_MOVED] = "moved"};
    const struct lap_live_tree *const base = &diff->sides[LAP_DIFF_BASE].tree, *const next =
                                                                                   &diff->sides[LAP_DIFF_NEXT].tree;
    const struct lap_live_node *const label = lap_diff_label(diff, node);
    const bool is_in_both = node->match != LAP_DIFF_ALONE, is_new = node->base == LAP_LIVE_NONE;
    json_t *const value = json_object();
    lap_json_set(value, "path", is_new || is_in_both ? path_json(next, node->next) : path_json(base, node->base));
    lap_json_set(value, "base_path", is_new ? json_null() : path_json(base, node->base));
    lap_json_set(value, "parent", node->parent == LAP_LIVE_NONE ? json_null() : json_integer(places[node->parent]));
    lap_json_set(value, "match", lap_json_text(is_in_both ? matches[node->match] : is_new ? "new" : "gone"));
    lap_json_set(value, "kind", lap_json_text(kinds[label->kind]));
    lap_json_set(value, "function", lap_json_text(label->function));
    lap_json_set(value, "file", lap_json_text(label->file));
    lap_json_set(value, "line", lap_json_count(label->line));
    lap_json_set(value, "base", is_new ? json_null() : side_json(&node->sides[LAP_DIFF_BASE]));
    lap_json_set(value, "new", is_new || is_in_both ? side_json(&node->sides[LAP_DIFF_NEXT]) : json_null());
    lap_json_set(value, "ratio", ratio_json(&node->mean));
    lap_json_set(value, "ratio_ci", interval_json(&node->mean));
    lap_json_set(value, "p50_ratio", ratio_json(&node->p50));
    lap_json_set(value, "p50_ratio_ci", interval_json(&node->p50));
    lap_json_set(value, "p99_ratio", ratio_json(&node->p99));
    lap_json_set(value, "p99_ratio_ci", interval_json(&node->p99));
    lap_json_set(value, "count_ratio", ratio_json(&node->count));
    lap_json_set(value, "count_ratio_ci", interval_json(&node->count));
    lap_json_set(value, "added_ns", lap_json_ns(node->added_ns));
    lap_json_set(value, "added_error_ns", lap_json_ns(node->added_half_ns));
    lap_json_set(value, "by_count_ns", lap_json_ns(node->by_count_ns));
    lap_json_set(value, "by_cost_ns", lap_json_ns(node->by_cost_ns));
    lap_json_set(value, "self_added_ns", lap_json_ns(node->self_added_ns));
    lap_json_set(value, "inherited_added_ns", lap_json_ns(node->added_ns - node->self_added_ns));
    lap_json_set(value, "shift_ns", lap_json_ns(node->shift_ns));
    lap_json_set(value, "mean_changed", json_boolean(node->has_changed_mean));
    lap_json_set(value, "p50_changed", json_boolean(node->has_changed_p50));
    lap_json_set(value, "count_changed", json_boolean(node->has_changed_count));
    return value;
}

static json_t *found_json(const struct lap_diff *diff, uint32_t node)
{
    if (node == LAP_LIVE_NONE)
        return json_null();
    const struct lap_diff_node *const found = &diff->nodes[node];
    return found->next != LAP_LIVE_NONE ? path_json(&diff->sides[LAP_DIFF_NEXT].tree, found->next)
                                        : path_json(&diff->sides[LAP_DIFF_BASE].tree, found->base);
}

static json_t *nodes_json(const struct lap_diff *diff)
{
    json_t *const nodes = json_array();
    uint32_t *const places = calloc(diff->node_count + 1, sizeof *places);
    if (!places)
        abort();
    for (uint32_t i = 0; i < diff->node_count; i++)
        places[diff->order[i]] = i;
    for (size_t i = 0; i < diff->node_count; i++)
        lap_json_append(nodes, node_json(diff, &diff->nodes[diff->order[i]], places));
    free(places);
    return nodes;
}

static json_t *also_json(const struct lap_diff *diff)
{
    char text[LAP_DIFF_SENTENCE_BYTES];
    size_t place = 0;
    json_t *const sentences = json_array();
    while (lap_diff_further(text, diff, &place))
        lap_json_append(sentences, lap_json_text(text));
    return sentences;
}

json_t *lap_diff_json(const struct lap_diff *diff)
{
    char sentence[LAP_DIFF_SENTENCE_BYTES];
    const bool is_told = diff->surest != LAP_LIVE_NONE;
    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "sentence", lap_json_text(lap_diff_sentence(sentence, diff)));
    lap_json_set(value, "also", also_json(diff));
    lap_json_set(value, "base_runs", lap_json_count(diff->sides[LAP_DIFF_BASE].run_count));
    lap_json_set(value, "new_runs", lap_json_count(diff->sides[LAP_DIFF_NEXT].run_count));
    lap_json_set(value, "base_total_ns", lap_json_ns(diff->total_ns[LAP_DIFF_BASE]));
    lap_json_set(value, "new_total_ns", lap_json_ns(diff->total_ns[LAP_DIFF_NEXT]));
    lap_json_set(value, "changed", found_json(diff, diff->changed));
    lap_json_set(value, "cause", found_json(diff, diff->cause));
    lap_json_set(value, "tests", lap_json_count(diff->tests));
    lap_json_set(value, "untold", lap_json_count(diff->untold));
    lap_json_set(value, "detectable_of", found_json(diff, diff->surest));
    lap_json_set(value, "detectable_ratio", is_told ? number_json(exp(diff->detectable)) : json_null());
    lap_json_set(value, "nodes", nodes_json(diff));
    return value;
}
