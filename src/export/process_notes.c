/* SPDX-License-Identifier: MIT */
#include "process_notes.h"

#include "cursor.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct notes {
    char *out;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct notes *notes, const char *format, ...)
{
    va_list arguments;
    if (notes->used > 0)
        notes->used += (size_t)snprintf(notes->out + notes->used, LAP_PROCESS_NOTES_BYTES - notes->used, ", ");
    va_start(arguments, format);
    notes->used += (size_t)vsnprintf(notes->out + notes->used, LAP_PROCESS_NOTES_BYTES - notes->used, format, arguments);
    va_end(arguments);
}

static bool is_of_several_hosts(const struct lap_recording *recording)
{
    for (size_t p = 1; p < recording->process_count; p++)
        if (strcmp(recording->processes[p]->host, recording->processes[0]->host) != 0)
            return true;
    return false;
}

static void add_error(struct notes *notes, const struct lap_timeline *timeline, size_t index)
{
    const struct lap_timeline_process *const times = &timeline->processes[index];
    if (times->how == LAP_TIMELINE_CALLS && isfinite(times->error_ns))
        add(notes, "times within %.0f ns", ceil(times->error_ns));
    else if (times->how == LAP_TIMELINE_CALLS)
        add(notes, "times without a bound");
    else if (times->how == LAP_TIMELINE_WALL && times->root == index)
        add(notes, "times by its wall clock");
    if (times->root != index && times->root != timeline->root)
        add(notes, "times by the wall clock of %s", timeline->recording->processes[times->root]->name);
}

size_t lap_process_notes(char out[LAP_PROCESS_NOTES_BYTES], const struct lap_export *export,
                         const struct lap_process *process)
{
    struct notes notes = {.out = out};
    char host[LAP_PROCESS_NOTES_BYTES / 2];
    out[0] = 0;
    if (is_of_several_hosts(export->recording) && lap_span_text_escape(host, sizeof host, process->host) > 0)
        add(&notes, "on %s", host);
    if (process->state != LAP_PROCESS_ENDED)
        add(&notes, "%s", lap_process_state_text(process->state));
    if (process->lost > 0)
        add(&notes, "%" PRIu64 " events lost", process->lost);
    if (export->timeline)
        add_error(&notes, export->timeline, process->index);
    return notes.used;
}

static void see_open(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    uint64_t *const oldest_ticks = user;
    (void)decoder;
    (void)event;
    *oldest_ticks = scope->begin_ticks < *oldest_ticks ? scope->begin_ticks : *oldest_ticks;
}

/* Scopes that were open when the ring's first segment began stand at its begin: they may be older than the recording. */
static uint64_t ring_oldest_ticks(struct lap_ring *ring)
{
    static const struct lap_visitor visitor = {.begin = see_open};
    struct lap_cursor *cursor;
    struct lap_event event;
    uint64_t oldest_ticks = UINT64_MAX;
    if (lap_cursor_make(&cursor, ring) < 0)
        return oldest_ticks;
    while (lap_cursor_peek(cursor, &event) == 1 &&
           (event.class->kind == LAP_CLASS_OPEN || event.class->kind == LAP_CLASS_THREAD) &&
           lap_cursor_next(cursor, &visitor, &oldest_ticks) == 1)
        continue;
    lap_cursor_free(cursor);
    return oldest_ticks;
}

uint64_t lap_recording_start_ns(const struct lap_recording *recording)
{
    uint64_t start_ns = UINT64_MAX;
    for (size_t p = 0; p < recording->process_count; p++) {
        const struct lap_timebase *const clock = &recording->processes[p]->clock;
        uint64_t oldest_ticks = clock->start_ticks;
        for (size_t r = 0; r < recording->processes[p]->ring_count; r++) {
            const uint64_t ring_ticks = ring_oldest_ticks(&recording->processes[p]->rings[r]);
            oldest_ticks = ring_ticks < oldest_ticks ? ring_ticks : oldest_ticks;
        }
        const uint64_t process_ns = lap_timebase_realtime_ns(clock, oldest_ticks);
        start_ns = process_ns < start_ns ? process_ns : start_ns;
    }
    return start_ns;
}
