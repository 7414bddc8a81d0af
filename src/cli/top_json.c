/* SPDX-License-Identifier: MIT */
#include "top_json.h"

#include "json.h"
#include "top_rows.h"

#include <stdlib.h>

static json_t *process_json(const struct lap_top_process *process)
{
    json_t *const value = json_object();
    lap_json_set(value, "name", lap_json_text(process->name));
    lap_json_set(value, "directory", lap_json_text(process->directory));
    lap_json_set(value, "pid", lap_json_count(process->pid));
    lap_json_set(value, "program", lap_json_text(process->program));
    lap_json_set(value, "command", lap_json_text(process->command));
    lap_json_set(value, "state", lap_json_text(lap_process_state_text(process->state)));
    lap_json_set(value, "start_time_ns", lap_json_count(process->start_time_ns));
    lap_json_set(value, "duration_ns", lap_json_ns(process->span_ns));
    lap_json_set(value, "threads", lap_json_count(process->threads));
    lap_json_set(value, "lost", lap_json_count(process->lost));
    return value;
}

static json_t *numbers_json(const struct lap_top_row *row)
{
    json_t *const value = json_object();
    lap_json_set(value, "count", lap_json_count(row->count));
    lap_json_set(value, "rate", json_real(row->rate));
    lap_json_set(value, "total_ns", lap_json_ns(row->total_ns));
    lap_json_set(value, "share", json_real(row->share));
    lap_json_set(value, "mean_ns", lap_json_ns(row->mean_ns));
    lap_json_set(value, "p50_ns", lap_json_ns(row->p50_ns));
    lap_json_set(value, "p99_ns", lap_json_ns(row->p99_ns));
    lap_json_set(value, "max_ns", lap_json_ns(row->max_ns));
    return value;
}

static json_t *path_json(const struct lap_live_tree *tree, uint32_t node)
{
    json_t *const path = json_array();
    for (; node != LAP_LIVE_NONE; node = tree->nodes[node].parent)
        if (json_array_insert_new(path, 0, lap_json_text(tree->nodes[node].label)) != 0)
            abort();
    return path;
}

static json_t *site_json(const struct lap_live_tree *tree, const struct lap_top_row *row,
                         const struct lap_top_row *recent)
{
    static const char *const kinds[] = {
        [LAP_SUMMARY_PROFILER] = "profiler", [LAP_SUMMARY_LAP] = "lap", [LAP_SUMMARY_REST] = "rest"};
    const struct lap_live_node *const node = &tree->nodes[row->node];
    json_t *const value = json_object();
    lap_json_set(value, "path", path_json(tree, row->node));
    lap_json_set(value, "kind", lap_json_text(kinds[node->kind]));
    lap_json_set(value, "handle", json_boolean(node->is_handle));
    lap_json_set(value, "file", lap_json_text(node->file));
    lap_json_set(value, "line", json_integer(node->line));
    lap_json_set(value, "function", lap_json_text(node->function));
    lap_json_set(value, "since_start", numbers_json(row));
    lap_json_set(value, "interval", recent ? numbers_json(recent) : json_null());
    return value;
}

void lap_top_json_print(const struct lap_top_watch *watch)
{
    const struct lap_live_tree *const tree = lap_top_watch_tree(watch, false);
    const double span_ns = lap_top_watch_span_ns(watch);
    struct lap_top_view view = {.is_flat = true, .sort = LAP_TOP_TOTAL, .focus = LAP_LIVE_NONE};
    size_t count, recent_count;
    struct lap_top_row *const rows = lap_top_rows_make(tree, &view, span_ns / 1e9, &count);
    view.is_recent = true;
    struct lap_top_row *const recent = lap_top_rows_make(tree, &view, watch->recent_s, &recent_count);
    const struct lap_top_row **const recent_of = calloc(tree->count + 1, sizeof(struct lap_top_row *));
    if (!recent_of)
        abort();
    for (size_t i = 0; i < recent_count && watch->recent_s > 0; i++)
        recent_of[recent[i].node] = &recent[i];

    json_t *const value = json_object(), *const processes = json_array(), *const sites = json_array();
    for (size_t i = 0; i < watch->process_count; i++)
        lap_json_append(processes, process_json(watch->processes[i]));
    for (size_t i = 0; i < count; i++)
        lap_json_append(sites, site_json(tree, &rows[i], recent_of[rows[i].node]));
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "span_ns", lap_json_ns(span_ns));
    lap_json_set(value, "interval_ns", watch->recent_s > 0 ? lap_json_ns(watch->recent_s * 1e9) : json_null());
    lap_json_set(value, "processes", processes);
    lap_json_set(value, "sites", sites);
    lap_json_print_line(value, stdout);
    free(rows);
    free(recent);
    free(recent_of);
}
