/* SPDX-License-Identifier: MIT
 *
 * A report as JSON. The schema stands in lapmark-report(1).
 */
#include "view.h"

#include "input.h"

#include <stdlib.h>

static json_t *open_json(const struct lap_open_profilers *open)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < open->count; i++) {
        const struct lap_open_profiler *const profiler = &open->open[i];
        const struct lap_timebase *const clock = &open->process->clock;
        const uint64_t begin_ns = lap_timebase_realtime_ns(clock, profiler->begin_ticks);
        const uint64_t end_ns = lap_timebase_realtime_ns(clock, open->process->end_ticks);
        json_t *const value = json_object();
        lap_json_set(value, "message", lap_json_text(profiler->message));
        lap_json_set(value, "kind", lap_json_text(profiler->handle ? "handle" : "scope"));
        lap_json_set(value, "depth", json_integer(profiler->depth));
        lap_json_set(value, "thread", lap_input_thread_json(profiler->thread));
        lap_json_set(value, "begin_time_ns", lap_json_count(begin_ns));
        lap_json_set(value, "open_ns", lap_json_count(end_ns > begin_ns ? end_ns - begin_ns : 0));
        lap_json_set(value, "last_time_ns", lap_json_count(lap_timebase_realtime_ns(clock, profiler->last_ticks)));
        lap_json_set(value, "checkpoints", lap_json_count(profiler->marks));
        lap_json_append(array, value);
    }
    return array;
}

static json_t *processes_json(const struct lap_view_content *content)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < content->recording->process_count; i++) {
        const struct lap_process *const process = content->recording->processes[i];
        struct lap_summary_process counts = {0};
        lap_summary_get_process(content->summary, process, &counts);
        json_t *const value = lap_input_process_json(process);
        lap_json_set(value, "events", lap_json_count(counts.events));
        lap_json_set(value, "overwritten", lap_json_count(counts.overwritten));
        lap_json_set(value, "taken_back", lap_json_count(counts.taken_back));
        lap_json_set(value, "cost_ns", lap_json_ns(counts.cost_ns));
        lap_json_set(value, "open", open_json(&content->open[i]));
        lap_json_append(array, value);
    }
    return array;
}

const char *lap_view_kind_text(const struct lap_summary_node *node)
{
    static const char *const kinds[] = {
        [LAP_SUMMARY_PROFILER] = "profiler", [LAP_SUMMARY_LAP] = "lap", [LAP_SUMMARY_REST] = "rest"};
    return kinds[node->kind];
}

json_t *lap_view_path_json(const struct lap_summary_group *group, const struct lap_summary_node *node)
{
    json_t *const path = json_array();
    for (;;) {
        if (json_array_insert_new(path, 0, lap_json_text(node->label)) != 0)
            abort();
        if (node->parent == LAP_SUMMARY_NONE)
            return path;
        node = &group->nodes[node->parent];
    }
}

static json_t *callers_json(const struct lap_summary_group *group, const struct lap_summary_node *node)
{
    json_t *const array = json_array();
    for (size_t i = 0; i < node->caller_count && i < LAP_VIEW_CALLERS; i++) {
        json_t *const value = json_object();
        lap_json_set(value, "path", lap_view_path_json(group, &group->nodes[node->callers[i].node]));
        lap_json_set(value, "count", lap_json_count(node->callers[i].calls));
        lap_json_append(array, value);
    }
    return array;
}

static json_t *percentiles_json(const struct lap_summary_node *node)
{
    struct lap_percentiles percentiles = {0};
    if (node->count > 0)
        lap_percentiles_of_distribution(&percentiles, node->distribution);
    return lap_json_percentiles(&percentiles, (double)node->count);
}

static json_t *site_json(const struct lap_summary *summary, const struct lap_summary_group *group,
                         const struct lap_summary_node *node)
{
    json_t *const value = json_object();
    lap_json_set(value, "path", lap_view_path_json(group, node));
    lap_json_set(value, "kind", lap_json_text(lap_view_kind_text(node)));
    lap_json_set(value, "handle", json_boolean(node->is_handle));
    lap_json_set(value, "file", lap_json_text(node->file));
    lap_json_set(value, "line", json_integer(node->line));
    lap_json_set(value, "function", lap_json_text(node->function));
    lap_json_set(value, "count", lap_json_count(node->count));
    lap_json_set(value, "total_ns", lap_json_ns(node->total_ns));
    lap_json_set(value, "self_ns", lap_json_ns(node->self_ns));
    lap_json_set(value, "min_ns", lap_json_ns(node->min_ns));
    lap_json_set(value, "max_ns", lap_json_ns(node->max_ns));
    lap_json_set(value, "mean_ns", lap_json_ns(node->mean_ns));
    lap_json_set(value, "p50_ns", lap_json_ns(node->p50_ns));
    lap_json_set(value, "p90_ns", lap_json_ns(node->p90_ns));
    lap_json_set(value, "p99_ns", lap_json_ns(node->p99_ns));
    lap_json_set(value, "p999_ns", lap_json_ns(node->p999_ns));
    lap_json_set(value, "percentiles", percentiles_json(node));
    lap_json_set(value, "near_resolution", json_boolean(lap_view_is_near_resolution(summary, node)));
    if (node->caller_count > 0) {
        lap_json_set(value, "callers", callers_json(group, node));
        lap_json_set(value, "callers_left_out",
                     lap_json_count(node->caller_count > LAP_VIEW_CALLERS ? node->caller_count - LAP_VIEW_CALLERS : 0));
    }
    if (group->process) {
        lap_json_set(value, "process", lap_json_text(group->process->name));
        lap_json_set(value, "thread", lap_input_thread_json(group->thread));
    }
    return value;
}

static json_t *comparison_json(const struct lap_view_content *content)
{
    json_t *const value = json_object();
    const struct lap_summary_difference *const difference = &content->difference;
    lap_json_set(value, "equal", content->comparison < 0 ? json_null() : json_boolean(content->comparison));
    lap_json_set(value, "rings_compared", lap_json_count(difference->rings_compared));
    lap_json_set(value, "rings_skipped", lap_json_count(difference->rings_skipped));
    if (content->comparison == 0) {
        lap_json_set(value, "process", lap_json_text(difference->process ? difference->process->name : NULL));
        lap_json_set(value, "ring", json_integer(difference->ring));
        lap_json_set(value, "label", lap_json_text(difference->label));
        lap_json_set(value, "stored_count", lap_json_count(difference->stored_count));
        lap_json_set(value, "events_count", lap_json_count(difference->events_count));
    }
    return value;
}

json_t *lap_view_json(const struct lap_view_content *content)
{
    const struct lap_summary *const summary = content->summary;
    json_t *const sites = json_array();
    for (size_t i = 0; i < summary->group_count; i++)
        for (size_t j = 0; j < summary->groups[i].node_count; j++)
            lap_json_append(sites, site_json(summary, &summary->groups[i], &summary->groups[i].nodes[j]));

    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "source", lap_json_text(summary->source == LAP_SUMMARY_STORED ? "statistics" : "events"));
    lap_json_set(value, "processes", processes_json(content));
    lap_json_set(value, "events", lap_json_count(summary->events));
    lap_json_set(value, "lost", lap_json_count(summary->lost));
    lap_json_set(value, "overwritten", lap_json_count(summary->overwritten));
    lap_json_set(value, "taken_back", lap_json_count(summary->taken_back));
    lap_json_set(value, "samples_lost", lap_json_count(summary->samples_lost));
    lap_json_set(value, "abandoned", lap_json_count(summary->abandoned));
    lap_json_set(value, "orphans", lap_json_count(summary->orphans));
    lap_json_set(value, "backward", lap_json_count(summary->backward));
    lap_json_set(value, "span_ns", lap_json_ns(summary->span_ns));
    lap_json_set(value, "cost_ns", lap_json_ns(summary->cost_ns));
    lap_json_set(value, "resolution_ns", lap_json_ns(summary->resolution_ns));
    if (content->has_comparison)
        lap_json_set(value, "comparison", comparison_json(content));
    lap_json_set(value, "sites", sites);
    return value;
}
