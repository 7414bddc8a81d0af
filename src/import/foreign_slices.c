/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "foreign_slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An end that is called by a name looks at so many of that name for one of its own process. */
enum { LOOKS = 64 };

/* A slice whose end was not met yet; entry 0 stands for none. */
struct open_slice {
    uint32_t slice;
    uint32_t previous, next; /* of its track, by begin */
    uint32_t same_name;      /* the one before it that has its name */
};

struct matching {
    struct lap_foreign_trace *trace;
    struct lap_foreign_slices *slices;
    const struct lap_foreign_event **events; /* of a track, by time */
    struct open_slice *open;
    uint32_t open_count, open_room; /* entry 0 is no slice, its `previous` the track's last */
    uint32_t *last_of_name;         /* an entry of `open` */
};

/* ---- the open ones of a track -------------------------------------------------------------------------------------- */

static int open_push(struct matching *matching, uint32_t slice, uint32_t name)
{
    if (matching->open_count == matching->open_room) {
        const uint32_t room = 2 * matching->open_room;
        struct open_slice *const open = realloc(matching->open, room * sizeof *open);
        if (!open)
            return -ENOMEM;
        matching->open = open;
        matching->open_room = room;
    }
    struct open_slice *const open = matching->open;
    const uint32_t entry = matching->open_count++, last = open[0].previous;
    open[entry] = (struct open_slice){slice, last, 0, matching->last_of_name[name]};
    open[last].next = entry;
    open[0].previous = entry;
    matching->last_of_name[name] = entry;
    return 0;
}

static void open_remove(struct matching *matching, uint32_t entry)
{
    struct open_slice *const open = matching->open;
    uint32_t *link = &matching->last_of_name[matching->slices->slices[open[entry].slice].name];
    while (*link != entry)
        link = &open[*link].same_name;
    *link = open[entry].same_name;
    open[open[entry].previous].next = open[entry].next;
    open[open[entry].next].previous = open[entry].previous;
    if (entry + 1 == matching->open_count) /* else its place is used again with the next track */
        matching->open_count--;
}

/* Which of the open ones an end ends; 0: none. */
static uint32_t open_find(const struct matching *matching, const struct lap_foreign_event *end)
{
    const struct open_slice *const open = matching->open;
    if (end->name == LAP_FOREIGN_NONE)
        return open[0].previous;
    const uint32_t last = matching->last_of_name[end->name];
    const struct lap_foreign_thread *const threads = matching->trace->threads;
    uint32_t entry = last;
    for (int looks = 0; entry != 0 && looks < LOOKS; looks++, entry = open[entry].same_name)
        if (threads[matching->slices->slices[open[entry].slice].begin_thread].process == threads[end->thread].process)
            return entry;
    return last;
}

static void open_clear(struct matching *matching)
{
    for (uint32_t entry = matching->open[0].previous; entry != 0; entry = matching->open[entry].previous)
        matching->last_of_name[matching->slices->slices[matching->open[entry].slice].name] = 0;
    matching->open[0] = (struct open_slice){0};
    matching->open_count = 1;
}

/* ---- slices -------------------------------------------------------------------------------------------------------- */

static struct lap_foreign_slice *slice_add(struct lap_foreign_slices *slices)
{
    if (slices->count == slices->room) {
        const size_t room = slices->room ? slices->room + slices->room / 2 : 1024;
        struct lap_foreign_slice *const more = room < UINT32_MAX ? realloc(slices->slices, room * sizeof *more) : NULL;
        if (!more)
            return NULL;
        slices->slices = more;
        slices->room = room;
    }
    return &slices->slices[slices->count++];
}

static int begin_add(struct matching *matching, const struct lap_foreign_event *event, uint32_t at)
{
    struct lap_foreign_slice *const slice = slice_add(matching->slices);
    if (!slice)
        return -ENOMEM;
    const bool is_whole = event->kind == LAP_FOREIGN_WHOLE && event->duration_ns != LAP_FOREIGN_STILL_OPEN;
    *slice = (struct lap_foreign_slice){.begin_ns = event->ns,
                                        .end_ns = is_whole ? event->ns + event->duration_ns : LAP_FOREIGN_STILL_OPEN,
                                        .n = event->n,
                                        .name = event->name,
                                        .begin_thread = event->thread,
                                        .end_thread = event->thread,
                                        .begin_at = at,
                                        .end_at = event->kind == LAP_FOREIGN_WHOLE ? at : UINT32_MAX,
                                        .track = event->track};
    return event->kind == LAP_FOREIGN_BEGIN
               ? open_push(matching, (uint32_t)(slice - matching->slices->slices), event->name)
               : 0;
}

static void end_add(struct matching *matching, const struct lap_foreign_event *event, uint32_t at)
{
    const uint32_t entry = open_find(matching, event);
    if (entry == 0) {
        matching->trace->left_out[LAP_FOREIGN_ORPHANS]++;
        return;
    }
    struct lap_foreign_slice *const slice = &matching->slices->slices[matching->open[entry].slice];
    const struct lap_foreign_thread *const threads = matching->trace->threads;
    slice->end_ns = event->ns;
    slice->end_at = at;
    slice->n = slice->n != 0 ? slice->n : event->n;
    if (threads[event->thread].process == threads[slice->begin_thread].process)
        slice->end_thread = event->thread;
    open_remove(matching, entry);
}

static int moment_add(struct matching *matching, const struct lap_foreign_event *event)
{
    struct lap_foreign_slices *const slices = matching->slices;
    const uint32_t entry = matching->open[0].previous;
    if (entry == 0) {
        matching->trace->left_out[LAP_FOREIGN_INSTANTS]++;
        return 0;
    }
    if (slices->moment_count == slices->moment_room) {
        const size_t room = slices->moment_room ? 2 * slices->moment_room : 64;
        struct lap_foreign_moment *const more = realloc(slices->moments, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        slices->moments = more;
        slices->moment_room = room;
    }
    const uint32_t slice = matching->open[entry].slice;
    const struct lap_foreign_thread *const threads = matching->trace->threads;
    const uint32_t begin_thread = slices->slices[slice].begin_thread;
    const bool is_own = threads[event->thread].process == threads[begin_thread].process;
    slices->moments[slices->moment_count++] =
        (struct lap_foreign_moment){event->ns, slice, event->name, is_own ? event->thread : begin_thread};
    return 0;
}

/* ---- tracks -------------------------------------------------------------------------------------------------------- */

static int events_compare(const void *a, const void *b)
{
    const struct lap_foreign_event *const e = *(const struct lap_foreign_event *const *)a,
                                          *const f = *(const struct lap_foreign_event *const *)b;
    if (e->ns != f->ns)
        return e->ns < f->ns ? -1 : 1;
    return e < f ? -1 : e > f;
}

static int slices_compare(const void *a, const void *b)
{
    const struct lap_foreign_slice *const s = a, *const t = b;
    if (s->begin_ns != t->begin_ns)
        return s->begin_ns < t->begin_ns ? -1 : 1;
    if (s->end_ns != t->end_ns)
        return s->end_ns > t->end_ns ? -1 : 1;
    return s->begin_at < t->begin_at ? -1 : s->begin_at > t->begin_at;
}

static int track_match(struct matching *matching, size_t from, size_t to)
{
    const struct lap_foreign_event **const events = matching->events + from;
    const size_t count = to - from, first = matching->slices->count, moments = matching->slices->moment_count;
    bool is_sorted = true, has_whole = false;
    for (size_t i = 1; i < count && is_sorted; i++)
        is_sorted = events[i - 1]->ns <= events[i]->ns;
    if (!is_sorted)
        qsort(events, count, sizeof(void *), events_compare);
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        has_whole |= events[i]->kind == LAP_FOREIGN_WHOLE;
        if (events[i]->kind == LAP_FOREIGN_END)
            end_add(matching, events[i], (uint32_t)i);
        else if (events[i]->kind == LAP_FOREIGN_MARK)
            code = moment_add(matching, events[i]);
        else
            code = begin_add(matching, events[i], (uint32_t)i);
    }
    open_clear(matching);
    /* Of those that begin at once the order of begins tells which is the outer one, but whole ones may be written at their ends. */
    if (has_whole && matching->slices->count > first && matching->slices->moment_count == moments)
        qsort(matching->slices->slices + first, matching->slices->count - first, sizeof *matching->slices->slices,
              slices_compare);
    return code;
}

/* Puts the events in the order of their tracks. Returns 0 or -ENOMEM. */
static int events_gather(struct matching *matching, size_t *starts)
{
    const struct lap_foreign_trace *const trace = matching->trace;
    for (size_t i = 0; i < trace->event_count; i++)
        starts[trace->events[i].track + 1]++;
    for (uint32_t track = 0; track < trace->track_count; track++)
        starts[track + 1] += starts[track];
    matching->events = malloc((trace->event_count + 1) * sizeof(void *));
    size_t *const next = malloc((trace->track_count + UINT64_C(1)) * sizeof *next);
    const bool is_memory = matching->events && next;
    if (is_memory) {
        memcpy(next, starts, trace->track_count * sizeof *next);
        for (size_t i = 0; i < trace->event_count; i++)
            matching->events[next[trace->events[i].track]++] = &trace->events[i];
    }
    free(next);
    return is_memory ? 0 : -ENOMEM;
}

int lap_foreign_slices_make(struct lap_foreign_slices *slices, struct lap_foreign_trace *trace)
{
    struct matching matching = {.trace = trace, .slices = slices, .open_count = 1, .open_room = 64};
    size_t *const starts = calloc(trace->track_count + UINT64_C(1), sizeof *starts);
    *slices = (struct lap_foreign_slices){0};
    slices->track_starts = calloc(trace->track_count + UINT64_C(1), sizeof *slices->track_starts);
    matching.open = calloc(matching.open_room, sizeof *matching.open);
    matching.last_of_name = calloc(trace->names.count + UINT64_C(1), sizeof *matching.last_of_name);
    int code = starts && slices->track_starts && matching.open && matching.last_of_name ? 0 : -ENOMEM;
    if (code == 0)
        code = events_gather(&matching, starts);
    for (uint32_t track = 0; code == 0 && track < trace->track_count; track++) {
        code = track_match(&matching, starts[track], starts[track + 1]);
        slices->track_starts[track + 1] = slices->count;
    }
    free(starts);
    free(matching.events);
    free(matching.open);
    free(matching.last_of_name);
    free(trace->events);
    trace->events = NULL;
    trace->event_count = trace->event_room = 0;
    return code;
}

void lap_foreign_slices_done(struct lap_foreign_slices *slices)
{
    free(slices->slices);
    free(slices->track_starts);
    free(slices->moments);
    *slices = (struct lap_foreign_slices){0};
}
