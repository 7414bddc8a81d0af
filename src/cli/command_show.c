/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "commands.h"
#include "input.h"
#include "message.h"
#include "show.h"
#include "switches.h"
#include "timeline.h"
#include "timeline_notes.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

bool lap_show_matches_thread(const struct lap_show_filter *filter, const struct lap_thread *thread)
{
    if (!filter->thread)
        return true;
    if (!thread)
        return false;
    char *end;
    const unsigned long long number = strtoull(filter->thread, &end, 10);
    if (*filter->thread && !*end && (number == thread->id || number == thread->index))
        return true;
    return lap_glob_matches(filter->thread, thread->name);
}

bool lap_show_matches_name(const struct lap_show_filter *filter, const struct lap_description *description,
                           const char *name)
{
    return !filter->name || lap_glob_matches(filter->name, name) ||
           (description->function && lap_glob_matches(filter->name, description->function));
}

static uint64_t resolve(const struct lap_moment *moment, const struct lap_recording *recording, uint64_t otherwise)
{
    if (!moment->given)
        return otherwise;
    if (moment->is_wall_clock)
        return moment->ns > 0 ? (uint64_t)moment->ns : 0;
    uint64_t start = UINT64_MAX;
    uint64_t end = 0;
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_process *const process = recording->processes[i];
        const uint64_t process_end = lap_timebase_realtime_ns(&process->clock, process->end_ticks);
        const uint64_t process_start = lap_timebase_realtime_ns(&process->clock, process->clock.start_ticks);
        if (process_start < start)
            start = process_start;
        if (process->end_ticks != 0 && process_end > end)
            end = process_end;
    }
    return moment->ns < 0 ? end - (uint64_t)-moment->ns : start + (uint64_t)moment->ns;
}

int lap_command_show(const struct lap_arguments *arguments)
{
    struct lap_show_filter filter = {.name = arguments->values[LAP_OPTION_NAME],
                                     .thread = arguments->values[LAP_OPTION_THREAD],
                                     .has_min_duration = arguments->given[LAP_OPTION_MIN_DURATION],
                                     .is_json = arguments->given[LAP_OPTION_JSON]};
    struct lap_moment since = {0};
    struct lap_moment until = {0};
    if (lap_arguments_moment(arguments, LAP_OPTION_SINCE, &since) != 0 ||
        lap_arguments_moment(arguments, LAP_OPTION_UNTIL, &until) != 0 ||
        lap_arguments_duration(arguments, LAP_OPTION_MIN_DURATION, &filter.min_duration_ns) != 0)
        return LAP_EXIT_TROUBLE;
    const bool shows_events = arguments->given[LAP_OPTION_EVENTS];
    if (shows_events && filter.has_min_duration)
        return lap_message_trouble("--min-duration is for profilers, and does not go with --events");

    struct lap_recording *recording;
    int status = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (status != 0)
        return status;
    struct lap_timeline *timeline = NULL;
    if (arguments->given[LAP_OPTION_MERGE]) {
        const int code = lap_timeline_make(&timeline, recording);
        if (code < 0) {
            lap_recording_free(recording);
            return lap_message_trouble("cannot read the recording: %s", lap_message_reason(code));
        }
        lap_timeline_note(timeline);
    }
    filter.since_ns = resolve(&since, recording, 0);
    filter.until_ns = resolve(&until, recording, UINT64_MAX);
    const int shown = shows_events ? lap_show_events(recording, &filter) : lap_show_reports(recording, &filter);
    lap_input_warn(recording, 0);
    if (shown < 0)
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(shown));
    else if (shown == 0 && !filter.is_json)
        lap_message_note("nothing to show: no %s in the recording matches", shows_events ? "event" : "report");
    lap_timeline_free(timeline);
    lap_recording_free(recording);
    return status;
}
