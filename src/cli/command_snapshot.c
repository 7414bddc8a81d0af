/* SPDX-License-Identifier: MIT
 *
 * `lapmark snapshot`: what the rings of a running process hold becomes a recording of its own.
 */
#define _GNU_SOURCE
#include "collect.h"
#include "commands.h"
#include "input.h"
#include "live.h"
#include "message.h"
#include "process_snapshot.h"
#include "terminal.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct taking {
    const struct lap_collect *collect;
    uint64_t last_ns; /* 0: all that the rings hold */
    json_t *array;    /* NULL: text */
};

static json_t *snapshot_json(const struct lap_process_snapshot *snapshot, const struct lap_process *process)
{
    json_t *const value = json_object();
    lap_json_set(value, "directory", lap_json_text(snapshot->path));
    lap_json_set(value, "pid", lap_json_count(process->pid));
    lap_json_set(value, "program", lap_json_text(process->program));
    lap_json_set(value, "time_ns", lap_json_count(snapshot->taken_ns));
    lap_json_set(value, "whole_since_ns", lap_json_count(snapshot->whole_ns));
    lap_json_set(value, "rings", lap_json_count(snapshot->rings));
    lap_json_set(value, "segments", lap_json_count(snapshot->segments));
    lap_json_set(value, "bytes", lap_json_count(snapshot->bytes));
    return value;
}

static void print_text(const struct lap_process_snapshot *snapshot, const struct lap_process *process)
{
    char rings[LAP_UNITS_BYTES], bytes[LAP_UNITS_BYTES], span[LAP_UNITS_BYTES];
    char *const program = lap_text_printable(process->program), *const path = lap_text_printable(snapshot->path);
    const uint64_t whole_ns = snapshot->taken_ns > snapshot->whole_ns ? snapshot->taken_ns - snapshot->whole_ns : 0;
    printf("%s %llu: '%s', %s of %s, all of the last %s\n", program, (unsigned long long)process->pid, path,
           lap_units_size(bytes, (double)snapshot->bytes), lap_units_counted(rings, snapshot->rings, "ring"),
           lap_units_duration(span, (double)whole_ns));
    free(program);
    free(path);
}

static int say(const struct taking *taking, const struct lap_process_snapshot *snapshot,
               const struct lap_process *process)
{
    char span[LAP_UNITS_BYTES];
    const uint64_t whole_ns = snapshot->taken_ns > snapshot->whole_ns ? snapshot->taken_ns - snapshot->whole_ns : 0;
    if (taking->array)
        lap_json_append(taking->array, snapshot_json(snapshot, process));
    else
        print_text(snapshot, process);
    if (whole_ns < taking->last_ns && snapshot->whole_ns > process->clock.start_realtime_ns)
        lap_message_note("the rings of process %llu reach back %s; 'lapmark record --ring SIZE' makes them larger",
                         (unsigned long long)process->pid, lap_units_duration(span, (double)whole_ns));
    return 0;
}

/* One process, by the directory of its mapped files: what a full recording has on disk besides is not looked at, since the
 * oldest of it may go at any moment. */
static int take(const struct taking *taking, const char *place)
{
    struct lap_recording *recording;
    char *name = strdup(place);
    if (!name)
        abort();
    const struct lap_format_clock_reading begun = lap_process_snapshot_clock();
    int status = lap_input_open(&recording, &name, 1);
    free(name);
    if (status != 0)
        return status;
    const struct lap_process *const process = recording->processes[0];
    struct lap_process_snapshot snapshot;
    int error = process->state == LAP_PROCESS_RUNNING ? 0 : -ESTALE;
    lap_input_warn(recording, 0);
    if (error == 0)
        error = lap_process_snapshot_write(&snapshot, process, taking->collect->directory, &begun, taking->last_ns);
    if (error == -ESTALE)
        status = lap_message_trouble("process %llu has just ended", (unsigned long long)process->pid);
    else if (error < 0)
        status = lap_message_trouble("cannot write a snapshot into '%s': %s", taking->collect->directory,
                                     lap_message_reason(error));
    else {
        status = say(taking, &snapshot, process);
        free(snapshot.path);
    }
    lap_recording_free(recording);
    return status;
}

int lap_command_snapshot(const struct lap_arguments *arguments)
{
    struct taking taking = {0};
    struct lap_collect collect;
    char **places;
    if (lap_arguments_duration(arguments, LAP_OPTION_LAST, &taking.last_ns) != 0)
        return LAP_EXIT_TROUBLE;
    if (arguments->given[LAP_OPTION_LAST] && taking.last_ns == 0)
        return lap_message_trouble("--last: give a time that is more than nothing, such as 500ms");
    int status = lap_live_places(&places, arguments->operands[0]);
    if (status != 0)
        return status;
    status = lap_collect_begin(&collect, arguments->values[LAP_OPTION_OUTPUT], "lapmark-snapshot");
    taking.collect = &collect;
    taking.array = arguments->given[LAP_OPTION_JSON] ? json_array() : NULL;
    for (size_t i = 0; places[i] && status == 0; i++)
        status = take(&taking, places[i]);
    if (status != 0 && collect.was_made)
        rmdir(collect.directory); /* if it is empty */
    if (taking.array && status == 0) {
        json_t *const value = json_object();
        lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
        lap_json_set(value, "snapshots", taking.array);
        lap_json_print(value, stdout);
    } else {
        json_decref(taking.array);
    }
    for (size_t i = 0; places[i]; i++)
        free(places[i]);
    free(places);
    lap_collect_done(&collect);
    return status;
}
