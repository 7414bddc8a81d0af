/* SPDX-License-Identifier: MIT
 *
 * `lapmark record`: runs a program whose profilers record into a directory; `lapmark run` reports it, too.
 */
#define _GNU_SOURCE
#include "collect.h"
#include "commands.h"
#include "input.h"
#include "launch.h"
#include "message.h"
#include "switches.h"
#include "view.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VARIABLES_MAX = 12, KEEP_SLOW = 1 };

struct environment {
    struct lap_launch_variable variables[VARIABLES_MAX];
    size_t count;
    char sizes[3][24];
    char last[24];
};

static void set(struct environment *environment, const char *name, const char *value)
{
    environment->variables[environment->count++] = (struct lap_launch_variable){name, value};
}

static int set_size(struct environment *environment, int index, const struct lap_arguments *arguments,
                    enum lap_option_id id, const char *name)
{
    uint64_t bytes = 0;
    if (lap_arguments_size(arguments, id, &bytes) != 0)
        return LAP_EXIT_TROUBLE;
    if (bytes > 0) {
        snprintf(environment->sizes[index], sizeof environment->sizes[index], "%llu", (unsigned long long)bytes);
        set(environment, name, environment->sizes[index]);
    }
    return 0;
}

/* What the options say to the recorder. What they do not name stays as the user's environment has it. */
static int make_environment(struct environment *environment, const struct lap_arguments *arguments)
{
    int keep = -1;
    if (arguments->given[LAP_OPTION_DISK] && !arguments->given[LAP_OPTION_FULL])
        return lap_message_trouble("--disk bounds what --full keeps: give both");
    if (lap_arguments_word(arguments, LAP_OPTION_KEEP, &keep) != 0 ||
        set_size(environment, 0, arguments, LAP_OPTION_RING, "LAPMARK_RING") != 0 ||
        set_size(environment, 1, arguments, LAP_OPTION_DISK, "LAPMARK_DISK") != 0 ||
        set_size(environment, 2, arguments, LAP_OPTION_MEMORY, "LAPMARK_MEMORY") != 0)
        return LAP_EXIT_TROUBLE;
    uint64_t last_ns = 0;
    if (lap_arguments_duration(arguments, LAP_OPTION_SNAPSHOT, &last_ns) != 0)
        return LAP_EXIT_TROUBLE;
    if (last_ns > 0) {
        snprintf(environment->last, sizeof environment->last, "%lluns", (unsigned long long)last_ns);
        set(environment, "LAPMARK_SNAPSHOT", environment->last);
    }
    set(environment, "LAPMARK_PRINT", arguments->given[LAP_OPTION_PRINT] ? "on" : "off");
    if (arguments->given[LAP_OPTION_FULL])
        set(environment, "LAPMARK_MODE", "full");
    if (keep >= 0)
        set(environment, "LAPMARK_KEEP", keep == KEEP_SLOW ? "slow" : "all");
    if (arguments->given[LAP_OPTION_FILTER]) {
        const char *const terms = arguments->values[LAP_OPTION_FILTER], *where = terms;
        struct lap_switches switches = {.count = 0};
        if (lap_switches_add(&switches, terms, 1, &where) < 0)
            return lap_message_trouble(
                "cannot read --filter='%s' at '%s': give terms 'GLOB', 'GLOB:MILLISECONDS', '-GLOB' or 'off'", terms,
                where);
        set(environment, "LAPMARK", terms);
    }
    return 0;
}

static void print_json(const struct lap_collect *collect, const struct lap_launch *launch)
{
    json_t *const processes = json_array();
    for (size_t i = 0; i < collect->process_count; i++) {
        const struct lap_collect_process *const process = &collect->processes[i];
        if (!process->is_new)
            continue;
        json_t *const value = json_object();
        lap_json_set(value, "name", lap_json_text(process->name));
        lap_json_set(value, "pid", lap_json_count(process->pid));
        lap_json_set(value, "state", lap_json_text(lap_process_state_text(process->state)));
        lap_json_set(value, "copied", json_boolean(process->is_copied));
        lap_json_append(processes, value);
    }
    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "directory",
                 lap_json_text(collect->process_count > 0 || !collect->was_made ? collect->directory : NULL));
    lap_json_set(value, "exit_status", json_integer(launch->status));
    lap_json_set(value, "signal", json_integer(launch->signal));
    lap_json_set(value, "processes", processes);
    lap_json_print(value, stdout);
}

static void report(const struct lap_collect *collect, const struct lap_arguments *arguments)
{
    char **const paths = lap_collect_new_paths(collect);
    struct lap_recording *recording;
    if (lap_input_open(&recording, paths, (int)collect->new_count) == 0) {
        lap_view_print(recording, arguments);
        lap_recording_free(recording);
    }
    for (size_t i = 0; paths[i]; i++)
        free(paths[i]);
    free(paths);
}

/* What the processes have left by themselves. */
static void say_snapshots(const struct lap_collect *collect)
{
    uint64_t left = 0, spared = 0;
    char spared_text[64] = "";
    for (size_t i = 0; i < collect->process_count; i++)
        if (collect->processes[i].is_new) {
            left += collect->processes[i].breach_snapshots;
            spared += collect->processes[i].breach_snapshots_spared;
        }
    if (spared > 0)
        snprintf(spared_text, sizeof spared_text, "; %llu more breaches left none", (unsigned long long)spared);
    if (left + spared > 0)
        lap_message_note("%llu snapshot%s in '%s/snapshots'%s", (unsigned long long)left, left == 1 ? "" : "s",
                         collect->directory, spared_text);
}

static int run(const struct lap_arguments *arguments, bool reports)
{
    struct environment environment = {0};
    int by = 0;
    if (make_environment(&environment, arguments) != 0 || lap_arguments_word(arguments, LAP_OPTION_BY, &by) != 0)
        return LAP_EXIT_TROUBLE;
    struct lap_collect collect;
    struct lap_launch launch;
    int status = lap_collect_begin(&collect, arguments->values[LAP_OPTION_OUTPUT], LAP_INPUT_DEFAULT);
    if (status == 0) {
        set(&environment, "LAPMARK_RECORD", collect.absolute);
        status = lap_launch_run(&launch, arguments->operands, environment.variables, environment.count);
    }
    if (status == 0) {
        lap_collect_end(&collect);
        if (launch.signal)
            lap_message_note("'%s' was ended by SIG%s", arguments->operands[0], sigabbrev_np(launch.signal));
        if (collect.new_count == 0 && launch.was_run)
            lap_message_note("nothing was recorded: '%s' met no profiler that is on, or is not linked with lapmark",
                             arguments->operands[0]);
        else if (collect.new_count > 0 && reports)
            report(&collect, arguments);
        else if (collect.new_count > 0 && !arguments->given[LAP_OPTION_JSON])
            lap_message_note("recorded %zu process%s in '%s'", collect.new_count, collect.new_count == 1 ? "" : "es",
                             collect.directory);
        say_snapshots(&collect);
        if (!reports && arguments->given[LAP_OPTION_JSON])
            print_json(&collect, &launch);
        status = launch.status;
    } else if (collect.was_made) {
        rmdir(collect.directory);
    }
    lap_collect_done(&collect);
    return status;
}

int lap_command_run(const struct lap_arguments *arguments) { return run(arguments, true); }

int lap_command_record(const struct lap_arguments *arguments) { return run(arguments, false); }
