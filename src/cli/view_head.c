/* SPDX-License-Identifier: MIT
 *
 * The lines above a report's trees: what was recorded, by which clock, what is lost, what the recording cost.
 */
#define _GNU_SOURCE
#include "view.h"

#include "head.h"
#include "input.h"
#include "units.h"

#include <string.h>

enum { PROCESSES_SHOWN = 10, OPEN_SHOWN = 10, LINE_BYTES = 1024 };

static uint64_t count_threads(const struct lap_recording *recording)
{
    uint64_t threads = 0;
    for (size_t i = 0; i < recording->process_count; i++)
        threads += recording->processes[i]->thread_count;
    return threads;
}

static void print_totals(const struct lap_view_content *content)
{
    char processes[LAP_UNITS_BYTES], threads[LAP_UNITS_BYTES], events[LAP_UNITS_BYTES], span[LAP_UNITS_BYTES];
    const struct lap_recording *const recording = content->recording;
    lap_head_line("recorded", "%s, %s, %s in %s", lap_units_counted(processes, recording->process_count, "process"),
                  lap_units_counted(threads, count_threads(recording), "thread"),
                  lap_units_counted(events, content->summary->events, "event"),
                  lap_units_duration(span, content->summary->span_ns));
}

static void print_processes(const struct lap_recording *recording)
{
    size_t i = 0;
    for (; i < recording->process_count && i < PROCESSES_SHOWN; i++) {
        const struct lap_process *const process = recording->processes[i];
        char taken[LAP_INPUT_SNAPSHOT_BYTES] = "";
        if (process->state == LAP_PROCESS_SNAPSHOT)
            lap_input_snapshot_text(taken, sizeof taken, process);
        const char *const state = *taken                                  ? taken
                                  : process->state == LAP_PROCESS_RUNNING ? "runs since"
                                  : process->state == LAP_PROCESS_UNKNOWN ? "unknown whether it runs; stored"
                                                                          : lap_process_state_text(process->state);
        char span[LAP_UNITS_BYTES];
        lap_units_duration(span, lap_input_span_ns(process));
        lap_head_line(i == 0 ? "process" : "", "%s %llu%s%s, %s %s%s: %s", process->program,
                      (unsigned long long)process->pid, *process->host ? " on " : "", process->host, state,
                      process->state == LAP_PROCESS_RUNNING || process->state == LAP_PROCESS_UNKNOWN ? "" : "after ",
                      span, process->command);
    }
    if (i < recording->process_count)
        lap_head_line("", "and %zu more; --json has them all", recording->process_count - i);
}

/* One line for processes whose clocks are of one kind. */
static void print_clock(const struct lap_view_content *content)
{
    const struct lap_recording *const recording = content->recording;
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_timebase *const clock = &recording->processes[i]->clock;
        bool is_new = true;
        for (size_t j = 0; j < i && is_new; j++)
            is_new = recording->processes[j]->clock.source != clock->source ||
                     strcmp(recording->processes[j]->host, recording->processes[i]->host) != 0;
        if (!is_new)
            continue;
        char frequency[LAP_UNITS_BYTES], resolution[LAP_UNITS_BYTES];
        lap_head_line("clock", "%s, %s, resolution %s%s", lap_timebase_source_text(clock->source),
                      lap_units_frequency(frequency, clock->hz), lap_units_duration(resolution, clock->resolution_ns),
                      clock->rate_from == LAP_TIMEBASE_NOMINAL && clock->source != LAP_FORMAT_CLOCK_MONOTONIC
                          ? ", rate as the system gives it"
                          : "");
    }
}

/* "10 signal, 2 memory" of the losses that are lost events, or of the others. */
static void join_losses(char out[LINE_BYTES], const struct lap_recording *recording, bool are_events)
{
    *out = 0;
    for (int loss = 0; loss < LAP_FORMAT_LOSSES; loss++) {
        const char *const name = lap_loss_text((enum lap_format_loss)loss);
        if (!name || lap_loss_is_event((enum lap_format_loss)loss) != are_events)
            continue;
        uint64_t count = 0;
        for (size_t i = 0; i < recording->process_count; i++)
            count += recording->processes[i]->control.losses[loss];
        char number[LAP_UNITS_BYTES];
        const size_t length = strlen(out);
        if (count > 0)
            snprintf(out + length, LINE_BYTES - length, "%s%s %s", length > 0 ? ", " : "", lap_units_count(number, count),
                     name);
    }
}

static void print_losses(const struct lap_view_content *content)
{
    char reasons[LINE_BYTES], number[LAP_UNITS_BYTES];
    const struct lap_summary *const summary = content->summary;
    join_losses(reasons, content->recording, true);
    if (summary->lost == 0)
        lap_head_line("lost", "nothing");
    else
        lap_head_line("lost", "%s%s%s%s", lap_units_counted(number, summary->lost, "event"), *reasons ? " (" : "",
                      reasons, *reasons ? ")" : "");
    join_losses(reasons, content->recording, false);
    if (*reasons)
        lap_head_line("counted", "%s: 'lapmark check' says what that is", reasons);
    if (summary->samples_lost > 0)
        lap_head_line("", "%s without memory for statistics", lap_units_counted(number, summary->samples_lost, "lap"));
    if (summary->overwritten > 0)
        lap_head_line("overwritten", "%s%s", lap_units_counted(number, summary->overwritten, "event"),
                      summary->source == LAP_SUMMARY_STORED ? ", which the statistics below still count"
                                                            : ", which are missing below");
    if (summary->taken_back > 0)
        lap_head_line("taken back", "%s of profilers below their thresholds, which the statistics still count",
                      lap_units_counted(number, summary->taken_back, "event"));
    if (summary->abandoned > 0)
        lap_head_line("abandoned", "%s left without an end", lap_units_counted(number, summary->abandoned, "profiler"));
    if (summary->provisional > 0)
        lap_head_line("in motion", "%s whose statistics were being written",
                      lap_units_counted(number, summary->provisional, "ring"));
}

static void print_cost(const struct lap_summary *summary, const struct lap_recording *recording)
{
    char cost[LAP_UNITS_BYTES], share[LAP_UNITS_BYTES];
    double span_ns = 0;
    bool is_known = false; /* of other tools it is not */
    for (size_t i = 0; i < recording->process_count; i++) {
        span_ns += lap_input_span_ns(recording->processes[i]);
        is_known |= recording->processes[i]->control.event_ticks_x1000 != 0;
    }
    if (!is_known)
        return;
    lap_head_line("cost", "about %s for recording, %s of the processes' time", lap_units_duration(cost, summary->cost_ns),
                  lap_units_share(share, summary->cost_ns, span_ns));
}

static void print_open(const struct lap_view_content *content)
{
    size_t shown = 0;
    size_t all = 0;
    for (size_t i = 0; i < content->recording->process_count; i++) {
        const struct lap_open_profilers *const open = &content->open[i];
        all += open->count;
        for (size_t j = 0; j < open->count && shown < OPEN_SHOWN; j++, shown++) {
            const struct lap_open_profiler *const profiler = &open->open[j];
            const uint64_t end = open->process->end_ticks;
            const uint64_t ticks = end > profiler->begin_ticks ? end - profiler->begin_ticks : 0;
            char since[LAP_UNITS_BYTES];
            lap_head_line(shown == 0 ? "still open" : "", "%*s%s, for %s, in %s %llu", (int)profiler->depth * 2, "",
                          profiler->message,
                          lap_units_duration(since, (double)lap_timebase_ns(&open->process->clock, ticks)),
                          open->process->program, (unsigned long long)open->process->pid);
        }
    }
    if (all > shown)
        lap_head_line("", "and %zu more; --json has them all", all - shown);
}

static void print_comparison(const struct lap_view_content *content)
{
    const struct lap_summary_difference *const difference = &content->difference;
    char skipped[LAP_UNITS_BYTES];
    lap_units_counted(skipped, difference->rings_skipped, "ring");
    if (content->comparison < 0)
        lap_head_line("compared", "nothing: in %s events were overwritten, or taken back below their threshold", skipped);
    else if (content->comparison == 1 && difference->rings_skipped > 0)
        lap_head_line("compared",
                      "events and stored statistics are equal; not compared: %s with events overwritten or taken back",
                      skipped);
    else if (content->comparison == 1)
        lap_head_line("compared", "events and stored statistics are equal");
    else
        lap_head_line("compared", "DIFFERENT: '%s' in ring %u of %s: %llu stored, %llu by the events", difference->label,
                      difference->ring, difference->process ? difference->process->name : "?",
                      (unsigned long long)difference->stored_count, (unsigned long long)difference->events_count);
}

void lap_view_print_head(const struct lap_view_content *content)
{
    print_totals(content);
    print_processes(content->recording);
    print_clock(content);
    print_losses(content);
    print_cost(content->summary, content->recording);
    print_open(content);
    if (content->has_comparison)
        print_comparison(content);
}
