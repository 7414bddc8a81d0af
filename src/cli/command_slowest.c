/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "input.h"
#include "message.h"
#include "slowest.h"
#include "table.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT_DEFAULT = 10, COUNT_MAX = 10000, LABEL_BYTES = 1024 };

/* ---- JSON: the schema stands in lapmark-slowest(1) ---- */

static json_t *lap_json(const struct lap_slowest_lap *lap)
{
    static const char *const kinds[] = {
        [LAP_SLOWEST_LAP] = "lap", [LAP_SLOWEST_PROFILER] = "profiler", [LAP_SLOWEST_REST] = "rest"};
    json_t *const value = json_object();
    lap_json_set(value, "label", lap_json_text(lap->label));
    lap_json_set(value, "kind", lap_json_text(kinds[lap->kind]));
    lap_json_set(value, "count", lap_json_count(lap->count));
    lap_json_set(value, "total_ns", lap_json_ns(lap->total_ns));
    lap_json_set(value, "max_ns", lap_json_ns(lap->max_ns));
    lap_json_set(value, "until_ns", lap_json_ns(lap->until_ns));
    if (lap->has_n)
        lap_json_set(value, "n", json_integer(lap->n));
    return value;
}

static json_t *instance_json(const struct lap_slowest_instance *instance)
{
    json_t *const laps = json_array();
    for (size_t i = 0; i < instance->lap_count; i++)
        lap_json_append(laps, lap_json(&instance->laps[i]));
    json_t *const value = json_object();
    lap_json_set(value, "message", lap_json_text(instance->message));
    lap_json_set(value, "process", lap_json_text(instance->process->name));
    lap_json_set(value, "pid", lap_json_count(instance->process->pid));
    lap_json_set(value, "thread_id", instance->thread ? lap_json_count(instance->thread->id) : json_null());
    lap_json_set(value, "thread_name", lap_json_text(instance->thread ? instance->thread->name : NULL));
    lap_json_set(value, "kind", lap_json_text(instance->handle ? "handle" : "scope"));
    lap_json_set(value, "depth", json_integer(instance->depth));
    lap_json_set(value, "begin_time_ns", lap_json_count(instance->begin_realtime_ns));
    lap_json_set(value, "total_ns", lap_json_ns(instance->total_ns));
    lap_json_set(value, "checkpoints", lap_json_count(instance->checkpoints));
    lap_json_set(value, "incomplete", json_boolean(instance->is_incomplete));
    lap_json_set(value, "laps", laps);
    lap_json_set(value, "laps_left_out", lap_json_count(instance->laps_left_out));
    return value;
}

static void print_json(const struct lap_slowest *slowest)
{
    json_t *const instances = json_array();
    for (size_t i = 0; i < slowest->instance_count; i++)
        lap_json_append(instances, instance_json(&slowest->instances[i]));
    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "matched", lap_json_count(slowest->matched));
    lap_json_set(value, "instances", instances);
    lap_json_print(value, stdout);
}

/* ---- text ---- */

static void print_laps(const struct lap_slowest_instance *instance)
{
    static const struct lap_table_column columns[] = {{"", 0, true},        {"count", 60, false}, {"took", 100, false},
                                                      {"share", 90, false}, {"max", 50, false},   {"until", 80, false},
                                                      {"n", 70, false}};
    struct lap_table *const table = lap_table_make(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < instance->lap_count; i++) {
        const struct lap_slowest_lap *const lap = &instance->laps[i];
        const bool is_profiler = lap->kind == LAP_SLOWEST_PROFILER;
        char label[LABEL_BYTES], text[LAP_UNITS_BYTES];
        snprintf(label, sizeof label, "  %s%s", is_profiler ? "> " : "", lap->label);
        lap_table_row(table, LAP_STYLE_PLAIN);
        lap_table_cell_styled(table, is_profiler ? LAP_STYLE_BOLD : LAP_STYLE_PLAIN, label);
        lap_table_cell(table, lap_units_count(text, lap->count));
        lap_table_cell(table, lap_units_duration(text, lap->total_ns));
        lap_table_cell(table, lap_units_share(text, lap->total_ns, instance->total_ns));
        lap_table_cell(table, lap->count > 1 ? lap_units_duration(text, lap->max_ns) : "");
        lap_table_cell(table, lap->kind == LAP_SLOWEST_REST ? "" : lap_units_duration(text, lap->until_ns));
        if (lap->has_n) {
            snprintf(text, sizeof text, "%lld", (long long)lap->n);
            lap_table_cell(table, text);
        }
    }
    if (instance->lap_count > 0)
        lap_table_print(table, stdout, lap_terminal_get()->columns);
    lap_table_free(table);
    char count[LAP_UNITS_BYTES], time[LAP_UNITS_BYTES];
    if (instance->laps_left_out > 0)
        printf("  (%s of further sites: %s)\n", lap_units_counted(count, instance->laps_left_out, "lap"),
               lap_units_duration(time, instance->left_out_ns));
}

static void print_instance(size_t number, const struct lap_slowest_instance *instance)
{
    char total[LAP_UNITS_BYTES], time[LAP_UNITS_BYTES], thread[LAP_FORMAT_THREAD_NAME_BYTES + 32] = "";
    const struct lap_process *const process = instance->process;
    if (instance->thread && instance->thread->name[0])
        snprintf(thread, sizeof thread, ", thread %s (%llu)", instance->thread->name,
                 (unsigned long long)instance->thread->id);
    else if (instance->thread && instance->thread->id != process->pid)
        snprintf(thread, sizeof thread, ", thread %llu", (unsigned long long)instance->thread->id);
    char *const message = lap_text_printable(instance->message);
    char *const program = lap_text_printable(process->program);
    char *const thread_name = lap_text_printable(thread);
    printf("%s%zu. %s%s: %s, at %s in %s %llu%s%s\n", number > 1 ? "\n" : "", number, lap_terminal_style(LAP_STYLE_BOLD),
           message, lap_units_duration(total, instance->total_ns), lap_units_time(time, instance->begin_realtime_ns),
           program, (unsigned long long)process->pid, thread_name, lap_terminal_style(LAP_STYLE_PLAIN));
    free(message);
    free(program);
    free(thread_name);
    if (instance->is_incomplete)
        puts("  (its begin was overwritten: earlier laps are missing)");
    print_laps(instance);
}

static void print_text(const struct lap_slowest *slowest, const char *name)
{
    char shown[LAP_UNITS_BYTES], matched[LAP_UNITS_BYTES];
    for (size_t i = 0; i < slowest->instance_count && !ferror(stdout); i++)
        print_instance(i + 1, &slowest->instances[i]);
    if (slowest->instance_count == 0)
        printf("no profiler %s%s%s is in the recording's events\n", name ? "that matches '" : "that ended",
               name ? name : "", name ? "'" : "");
    else if (slowest->matched > slowest->instance_count)
        printf("\n(the slowest %s of %s)\n", lap_units_count(shown, slowest->instance_count),
               lap_units_counted(matched, slowest->matched, "instance"));
}

int lap_command_slowest(const struct lap_arguments *arguments)
{
    uint64_t count = COUNT_DEFAULT;
    if (lap_arguments_count(arguments, LAP_OPTION_COUNT, &count) != 0)
        return LAP_EXIT_TROUBLE;
    if (count > COUNT_MAX)
        return lap_message_trouble("--count: '%s' is more than %d", arguments->values[LAP_OPTION_COUNT], COUNT_MAX);
    char **names = arguments->operands;
    int name_count = arguments->operand_count;
    struct lap_progress progress = {.text = "reading"};
    struct lap_slowest_options options = {.count = (size_t)count, .progress = lap_progress_step, .user = &progress};
    if (name_count > 0 && !strchr(names[0], '/') && !lap_input_is_recording(names[0])) {
        options.name = names[0];
        names++;
        name_count--;
    }
    struct lap_recording *recording;
    int status = lap_input_open(&recording, names, name_count);
    if (status != 0)
        return status;
    struct lap_slowest *slowest;
    const int error = lap_slowest_make(&slowest, recording, &options);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    if (error < 0) {
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    } else {
        if (arguments->given[LAP_OPTION_JSON])
            print_json(slowest);
        else
            print_text(slowest, options.name);
        lap_slowest_free(slowest);
    }
    lap_recording_free(recording);
    return status;
}
