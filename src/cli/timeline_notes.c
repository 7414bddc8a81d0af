/* SPDX-License-Identifier: MIT */
#include "timeline_notes.h"

#include "message.h"
#include "units.h"

/* Before 2001 no recording was made: a trace said nothing of when its clock began, or a machine's was not set. */
#define WALL_KNOWN_NS (UINT64_C(978307200) * 1000000000u)

static void tell_unknown_wall(const struct lap_timeline *timeline)
{
    const struct lap_recording *const recording = timeline->recording;
    bool has_others = false;
    for (size_t p = 0; p < recording->process_count; p++)
        has_others |= timeline->processes[p].root != timeline->root;
    for (size_t p = 0; p < recording->process_count && has_others; p++) {
        const struct lap_process *const process = recording->processes[p];
        if (timeline->processes[p].root == p && process->clock.start_realtime_ns < WALL_KNOWN_NS)
            lap_message_note("the wall clock of %s is not known: its times stand as if its clock had begun in 1970",
                             process->name);
    }
}

/* Whose clock it is, and how well the others are known by it. */
static void tell_timeline(const struct lap_timeline *timeline)
{
    const struct lap_recording *const recording = timeline->recording;
    for (size_t p = 0; p < recording->process_count; p++) {
        const struct lap_timeline_process *const to = &timeline->processes[p];
        const struct lap_process *const process = recording->processes[p], *const root = recording->processes[to->root];
        char shift[LAP_UNITS_BYTES], error[LAP_UNITS_BYTES];
        lap_units_duration(shift, to->shift_ns < 0 ? -to->shift_ns : to->shift_ns);
        lap_units_duration(error, to->error_ns);
        if (to->how == LAP_TIMELINE_WALL && to->root == p)
            lap_message_note("%s is shown by its wall clock: no call between it and %s says how far the two are apart",
                             process->name, recording->processes[timeline->root]->name);
        else if (to->how == LAP_TIMELINE_WALL)
            lap_message_note("%s is shown by the clock of %s, which is its own", process->name, root->name);
        else if (to->how == LAP_TIMELINE_CALLS)
            lap_message_note("%s is shown by the clock of %s, of which its own is %s %s, within %s%s", process->name,
                             root->name, shift, to->shift_ns < 0 ? "behind" : "ahead", error,
                             to->is_near_step ? "; a clock was set meanwhile, and times around that are rough" : "");
    }
}

/* Calls that close a loop of clocks: what they say must be what the others say. */
static void tell_loops(const struct lap_timeline *timeline)
{
    for (size_t i = 0; i < timeline->loop_count; i++) {
        const struct lap_timeline_loop *const loop = &timeline->loops[i];
        char residual[LAP_UNITS_BYTES], error[LAP_UNITS_BYTES];
        lap_units_duration(residual, loop->residual_ns);
        lap_units_duration(error, loop->error_ns);
        if (loop->is_within)
            lap_message_note("the calls from %s to %s check that: by them a time differs by %s, within %s",
                             loop->client->name, loop->server->name, residual, error);
        else
            lap_message_warning("the calls from %s to %s contradict that: by them a time differs by %s, and may by %s; "
                                "a clock does not run evenly, or was told wrong",
                                loop->client->name, loop->server->name, residual, error);
    }
}

void lap_timeline_note(const struct lap_timeline *timeline)
{
    tell_timeline(timeline);
    tell_unknown_wall(timeline);
    tell_loops(timeline);
}

static bool has_several_clocks(const struct lap_recording *recording)
{
    for (size_t p = 1; p < recording->process_count; p++) {
        const uint64_t domain = recording->processes[p]->control.clock_domain;
        if (domain == 0 ||
            domain != recording->processes[0]->control.clock_domain) /* 0: it is not known which one it is */
            return true;
    }
    return false;
}

int lap_timeline_join(struct lap_timeline **ret_timeline, struct lap_recording *recording)
{
    *ret_timeline = NULL;
    const int code = has_several_clocks(recording) ? lap_timeline_make(ret_timeline, recording) : 0;
    if (code < 0)
        return lap_message_trouble("cannot read the recording: %s", lap_message_reason(code));
    if (*ret_timeline)
        lap_timeline_note(*ret_timeline);
    return 0;
}
