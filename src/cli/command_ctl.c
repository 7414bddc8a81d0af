/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "input.h"
#include "lapmark/abi.h"
#include "live.h"
#include "message.h"
#include "summary.h"
#include "switchboard.h"
#include "table.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- counts --------------------------------------------------------------------------------------------------------- */

static bool is_at(const struct lap_summary_node *node, const struct lap_switch_site *site)
{
    const bool is_mark = lap_switch_is_mark(site->class);
    if (node->line != site->line || node->kind != (is_mark ? LAP_SUMMARY_LAP : LAP_SUMMARY_PROFILER) ||
        strcmp(node->function, site->function) != 0 || strcmp(node->file, site->file) != 0)
        return false;
    return node->is_text || node->is_numbered || strcmp(node->label, site->label) == 0;
}

/* How often a site was met, as the statistics say. */
static uint64_t count_of(const struct lap_summary *summary, const struct lap_process *process,
                         const struct lap_switch_site *site)
{
    uint64_t count = 0;
    for (size_t g = 0; g < summary->group_count; g++)
        for (size_t i = 0; summary->groups[g].process == process && i < summary->groups[g].node_count; i++)
            if (is_at(&summary->groups[g].nodes[i], site))
                count += summary->groups[g].nodes[i].count;
    return count;
}

/* ---- listing -------------------------------------------------------------------------------------------------------- */

static const char *kind_text(const struct lap_class *class)
{
    switch (class->kind) {
    case LAP_CLASS_MARK: return "checkpoint";
    case LAP_CLASS_HANDLE_BEGIN: return "handle";
    case LAP_CLASS_HANDLE_MARK: return "handle checkpoint";
    case LAP_CLASS_CALL: return "call";
    default: return "profiler";
    }
}

static const char *state_text(uint8_t state)
{
    if (state == LAP_IMPL_OFF)
        return "off";
    if (state & LAP_IMPL_TAKE_BACK)
        return state & LAP_IMPL_PRINT ? "prints, keeps slow" : "keeps slow";
    return state & LAP_IMPL_PRINT ? "prints" : "on";
}

static json_t *site_json(const struct lap_switch_site *site, uint64_t count)
{
    json_t *const value = json_object();
    lap_json_set(value, "label", lap_json_text(site->label));
    lap_json_set(value, "function", lap_json_text(site->function));
    lap_json_set(value, "file", lap_json_text(site->file));
    lap_json_set(value, "line", lap_json_count(site->line));
    lap_json_set(value, "kind", lap_json_text(kind_text(site->class)));
    lap_json_set(value, "on", json_boolean(site->state != LAP_IMPL_OFF));
    lap_json_set(value, "prints", json_boolean(site->state & LAP_IMPL_PRINT));
    lap_json_set(value, "keeps_slow", json_boolean(site->state & LAP_IMPL_TAKE_BACK));
    lap_json_set(value, "threshold_ns",
                 site->threshold_ns == LAP_FORMAT_NO_THRESHOLD ? json_null() : lap_json_count(site->threshold_ns));
    lap_json_set(value, "count", lap_json_count(count));
    return value;
}

static void table_add(struct lap_table *table, const struct lap_switch_site *site, uint64_t count)
{
    char text[LAP_UNITS_BYTES];
    lap_table_row(table, site->state == LAP_IMPL_OFF ? LAP_STYLE_DIM : LAP_STYLE_PLAIN);
    lap_table_cell(table, site->label);
    lap_table_cell(table, kind_text(site->class));
    lap_table_cell(table, state_text(site->state));
    lap_table_cell(table, site->threshold_ns == LAP_FORMAT_NO_THRESHOLD || lap_switch_is_mark(site->class)
                              ? NULL
                              : lap_units_duration(text, (double)site->threshold_ns));
    lap_table_cell(table, lap_units_count(text, count));
    lap_table_cell(table, site->function);
}

/* Lists one process: into `ret_json`, or as a table. */
static int list(const struct lap_switchboard *board, const struct lap_process *process, const struct lap_summary *summary,
                json_t **ret_json)
{
    static const struct lap_table_column columns[] = {{"site", 9, true},   {"kind", 3, true},
                                                      {"state", 8, true},  {"threshold", 6, false},
                                                      {"count", 7, false}, {"function", 2, true}};
    struct lap_switch_site *sites;
    size_t count;
    if (lap_switchboard_list(board, &sites, &count) < 0)
        abort();
    if (ret_json) {
        json_t *const array = json_array();
        for (size_t i = 0; i < count; i++)
            lap_json_append(array, site_json(&sites[i], count_of(summary, process, &sites[i])));
        json_t *const value = lap_input_process_json(process);
        lap_json_set(value, "prints", json_boolean(lap_switchboard_prints(board)));
        lap_json_set(value, "keeps_slow", json_boolean(lap_switchboard_keeps_slow(board)));
        lap_json_set(value, "sites", array);
        *ret_json = value;
    } else {
        char *const program = lap_text_printable(process->program);
        char counted[LAP_UNITS_BYTES];
        printf("%s%s %llu%s: %s, %s, keeps %s\n", lap_terminal_style(LAP_STYLE_BOLD), program,
               (unsigned long long)process->pid, lap_terminal_style(LAP_STYLE_PLAIN),
               lap_units_counted(counted, count, "site"), lap_switchboard_prints(board) ? "prints" : "does not print",
               lap_switchboard_keeps_slow(board) ? "the slow" : "all");
        free(program);
        struct lap_table *const table = lap_table_make(columns, sizeof columns / sizeof *columns);
        for (size_t i = 0; i < count; i++)
            table_add(table, &sites[i], count_of(summary, process, &sites[i]));
        if (count > 0)
            lap_table_print(table, stdout, lap_terminal_get()->columns);
        lap_table_free(table);
    }
    free(sites);
    return 0;
}

/* ---- the command ----------------------------------------------------------------------------------------------------- */

static int complain(const struct lap_process *process, int error)
{
    const unsigned long long pid = process->pid;
    switch (error) {
    case -EACCES: return lap_message_trouble("process %llu is another user's: only they and root may switch it", pid);
    case -ESRCH: return lap_message_trouble("process %llu has ended, or stopped its recording", pid);
    case -EIO:
        return lap_message_trouble("process %llu could not go on recording, so that all in it is off for good", pid);
    case -ENOTSUP: return lap_message_trouble("process %llu has a liblapmark that cannot be switched from outside", pid);
    case -ENOSPC:
        return lap_message_trouble(
            "process %llu has no room for that many terms (%u in all); '*' or 'off' forgets those before", pid,
            LAP_FORMAT_TERMS);
    default:
        return lap_message_trouble("cannot open the switches of process %llu: %s", pid,
                                   error > -4096 ? lap_message_reason(error) : lap_reader_error_text(error));
    }
}

static int order_read(const struct lap_arguments *arguments, struct lap_switch_order *order)
{
    const char *const terms = arguments->operand_count > 1 ? arguments->operands[1] : "";
    const char *where;
    int prints = -1, keeps = -1;
    if (lap_switches_add(&order->terms, terms, 0, &where) < 0)
        return lap_message_trouble("cannot read the terms '%s' at '%s'", terms, where);
    if (lap_arguments_word(arguments, LAP_OPTION_PRINT, &prints) != 0 ||
        lap_arguments_word(arguments, LAP_OPTION_KEEP, &keeps) != 0)
        return LAP_EXIT_TROUBLE;
    static const enum lap_format_choice choices[] = {LAP_FORMAT_AS_IT_IS, LAP_FORMAT_YES, LAP_FORMAT_NO};
    order->prints = choices[prints + 1];
    order->keeps_slow = keeps < 0 ? LAP_FORMAT_AS_IT_IS : keeps == 1 ? LAP_FORMAT_YES : LAP_FORMAT_NO;
    return 0;
}

/* Switches, or lists, one process. */
static int run_one(const struct lap_process *process, const struct lap_switch_order *order, bool is_order,
                   const struct lap_summary *summary, json_t **ret_json)
{
    struct lap_switchboard *board;
    size_t named = 0;
    int error = lap_switchboard_open(&board, process, is_order);
    if (error < 0)
        return complain(process, error);
    if (is_order && (error = lap_switchboard_order(board, order, &named)) < 0) {
        lap_switchboard_close(board);
        return complain(process, error);
    }
    int status = 0;
    if (!is_order || ret_json) {
        status = list(board, process, summary, ret_json);
    } else if (order->terms.count > 0) {
        char counted[LAP_UNITS_BYTES];
        char *const program = lap_text_printable(process->program);
        printf("%s %llu: switched %s%s\n", program, (unsigned long long)process->pid,
               named > 0 ? lap_units_counted(counted, named, "profiler") : "nothing that was met yet",
               named > 0 ? "" : "; the terms hold for what is met from now on");
        free(program);
    }
    lap_switchboard_close(board);
    return status;
}

int lap_command_ctl(const struct lap_arguments *arguments)
{
    static struct lap_switch_order order;
    int status = order_read(arguments, &order);
    if (status != 0)
        return status;
    const bool is_order = order.terms.count > 0 || order.prints || order.keeps_slow;
    const bool is_json = arguments->given[LAP_OPTION_JSON];
    struct lap_recording *recording;
    if ((status = lap_live_open(&recording, arguments->operands[0])) != 0)
        return status;
    struct lap_summary *summary = NULL;
    const struct lap_summary_options options = {.by = LAP_SUMMARY_BY_PROCESS};
    const int error = !is_order || is_json ? lap_summary_make(&summary, recording, &options) : 0;
    if (error < 0)
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    json_t *const processes = json_array();
    for (size_t i = 0; i < recording->process_count && error == 0; i++) {
        json_t *value = NULL;
        if (recording->processes[i]->state != LAP_PROCESS_RUNNING)
            continue;
        if (run_one(recording->processes[i], &order, is_order, summary, is_json ? &value : NULL) != 0)
            status = LAP_EXIT_TROUBLE;
        else if (value)
            lap_json_append(processes, value);
    }
    if (is_json && status == 0) {
        json_t *const value = json_object();
        lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
        lap_json_set(value, "processes", processes);
        lap_json_print(value, stdout);
    } else {
        json_decref(processes);
    }
    lap_summary_free(summary);
    lap_recording_free(recording);
    return status;
}
