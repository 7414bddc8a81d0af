/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "commands.h"
#include "input.h"
#include "message.h"
#include "terminal.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

static double open_ns(const struct lap_open_profiler *open)
{
    const struct lap_process *const process = open->process;
    const uint64_t ticks = process->end_ticks > open->begin_ticks ? process->end_ticks - open->begin_ticks : 0;
    return (double)lap_timebase_ns(&process->clock, ticks);
}

static json_t *finding_json(const struct lap_check_finding *finding)
{
    json_t *const value = json_object();
    lap_json_set(value, "severity", lap_json_text(lap_check_severity_text(finding->severity)));
    lap_json_set(value, "what", lap_json_text(lap_check_what_text(finding->what)));
    lap_json_set(value, "text", lap_json_text(finding->text));
    lap_json_set(value, "process", lap_json_text(finding->process ? finding->process->name : NULL));
    lap_json_set(value, "count", lap_json_count(finding->count));
    lap_json_set(value, "file", finding->file && *finding->file ? lap_json_text(finding->file) : json_null());
    lap_json_set(value, "offset", finding->offset == UINT64_MAX ? json_null() : lap_json_count(finding->offset));
    if (finding->open) {
        const struct lap_open_profiler *const open = finding->open;
        lap_json_set(value, "message", lap_json_text(open->message));
        lap_json_set(value, "thread_id", open->thread ? lap_json_count(open->thread->id) : json_null());
        lap_json_set(value, "begin_time_ns",
                     lap_json_count(lap_timebase_realtime_ns(&open->process->clock, open->begin_ticks)));
        lap_json_set(value, "open_ns", lap_json_ns(open_ns(open)));
    }
    return value;
}

static void print_json(const struct lap_check *check, const struct lap_recording *recording)
{
    json_t *const processes = json_array();
    for (size_t i = 0; i < recording->process_count; i++)
        lap_json_append(processes, lap_input_process_json(recording->processes[i]));
    json_t *const findings = json_array();
    for (size_t i = 0; i < check->finding_count; i++)
        lap_json_append(findings, finding_json(&check->findings[i]));
    json_t *const value = json_object();
    lap_json_set(value, "version", json_integer(LAP_JSON_VERSION));
    lap_json_set(value, "sound", json_boolean(check->worst < LAP_CHECK_DAMAGE));
    lap_json_set(value, "worst", lap_json_text(lap_check_severity_text(check->worst)));
    lap_json_set(value, "events", lap_json_count(check->events));
    lap_json_set(value, "rings", lap_json_count(check->rings));
    lap_json_set(value, "segments", lap_json_count(check->segments));
    lap_json_set(value, "lost", lap_json_count(check->lost));
    lap_json_set(value, "overwritten", lap_json_count(check->overwritten));
    lap_json_set(value, "processes", processes);
    lap_json_set(value, "findings", findings);
    lap_json_print(value, stdout);
}

static void print_finding(const struct lap_check_finding *finding)
{
    static const enum lap_style styles[] = {
        [LAP_CHECK_NOTE] = LAP_STYLE_PLAIN, [LAP_CHECK_WARNING] = LAP_STYLE_WARM, [LAP_CHECK_DAMAGE] = LAP_STYLE_BAD};
    char count[LAP_UNITS_BYTES], since[LAP_UNITS_BYTES], time[LAP_UNITS_BYTES];
    printf("  %s%-8s%s ", lap_terminal_style(styles[finding->severity]), lap_check_severity_text(finding->severity),
           lap_terminal_style(LAP_STYLE_PLAIN));
    if (finding->file && *finding->file) {
        char *const file = lap_text_printable(finding->file);
        printf("'%s': ", file);
        free(file);
    }
    fputs(finding->what == LAP_CHECK_OPEN ? "still open" : finding->text, stdout);
    if (finding->count > 0)
        printf(": %s", lap_units_count(count, finding->count));
    if (finding->offset != UINT64_MAX)
        printf(", at byte %llu", (unsigned long long)finding->offset);
    if (finding->open) {
        const struct lap_open_profiler *const open = finding->open;
        char *const message = lap_text_printable(open->message ? open->message : "");
        printf(": %s, since %s, for %s", message,
               lap_units_time(time, lap_timebase_realtime_ns(&open->process->clock, open->begin_ticks)),
               lap_units_duration(since, open_ns(open)));
        free(message);
    }
    putchar('\n');
}

/* The line of the process says that it ended. */
static bool is_said(const struct lap_check_finding *finding)
{
    return finding->what == LAP_CHECK_STATE && finding->process && finding->process->state == LAP_PROCESS_ENDED;
}

static void print_text(const struct lap_check *check, const struct lap_recording *recording)
{
    char events[LAP_UNITS_BYTES], rings[LAP_UNITS_BYTES], segments[LAP_UNITS_BYTES], lost[LAP_UNITS_BYTES];
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_process *const process = recording->processes[i];
        char *const name = lap_text_printable(process->name);
        char taken[LAP_INPUT_SNAPSHOT_BYTES];
        printf("%s%s%s: %s\n", lap_terminal_style(LAP_STYLE_BOLD), name, lap_terminal_style(LAP_STYLE_PLAIN),
               process->state == LAP_PROCESS_SNAPSHOT ? lap_input_snapshot_text(taken, sizeof taken, process)
                                                      : lap_process_state_text(process->state));
        free(name);
        for (size_t j = 0; j < check->finding_count; j++)
            if (check->findings[j].process == process && !is_said(&check->findings[j]))
                print_finding(&check->findings[j]);
    }
    for (size_t j = 0; j < check->finding_count; j++)
        if (!check->findings[j].process)
            print_finding(&check->findings[j]);
    const bool is_sound = check->worst < LAP_CHECK_DAMAGE;
    printf("%s%s%s: %s in %s of %s, %s lost\n", lap_terminal_style(is_sound ? LAP_STYLE_GOOD : LAP_STYLE_BAD),
           !is_sound                           ? "not sound"
           : check->worst == LAP_CHECK_WARNING ? "sound, with something missing"
                                               : "sound",
           lap_terminal_style(LAP_STYLE_PLAIN), lap_units_counted(events, check->events, "event"),
           lap_units_counted(segments, check->segments, "segment"), lap_units_counted(rings, check->rings, "ring"),
           lap_units_count(lost, check->lost));
}

int lap_command_check(const struct lap_arguments *arguments)
{
    struct lap_recording *recording;
    int status = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (status != 0)
        return status;
    struct lap_check *check;
    const int error = lap_check_make(&check, recording);
    if (error < 0) {
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    } else {
        if (arguments->given[LAP_OPTION_JSON])
            print_json(check, recording);
        else
            print_text(check, recording);
        status = check->worst < LAP_CHECK_DAMAGE ? LAP_EXIT_FINE : LAP_EXIT_NO;
        lap_check_free(check);
    }
    lap_recording_free(recording);
    return status;
}
