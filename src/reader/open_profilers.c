/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cursor.h"
#include "label.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is known of the handles that used a slot, one after another: the last begin, and the last event at all. */
struct slot {
    uint64_t handle, begin_ticks, last_ticks, marks;
    uint64_t ended, ended_ticks;
    const struct lap_thread *thread;
    uint64_t *words; /* of the begin; NULL: only a checkpoint of it was seen */
    uint32_t class_id;
};

struct finding {
    struct lap_process *process;
    struct lap_open_profiler *open;
    size_t count, room;
    struct slot *slots;            /* LAP_HANDLE_SLOTS, made with the first handle's event */
    char *texts[LAP_DECODE_DEPTH]; /* messages of open scopes whose begin is no longer in memory */
    bool has_handles; /* some were begun: all events are read. A ring's last segment tells which scopes are open. */
    int error;
};

/* ---- messages ------------------------------------------------------------------------------------------------------ */

static char *message_make(const struct lap_process *process, uint32_t class_id, const uint64_t *words)
{
    char text[LAP_LABEL_BYTES] = "";
    const struct lap_catalog *const catalog = &process->catalog;
    const uint32_t event_class = words ? (uint32_t)(words[0] & LAP_FORMAT_CLASS_MASK) : class_id;
    if (words && event_class < catalog->class_count)
        lap_label_format(text, sizeof text, lap_catalog_description(catalog, class_id), &catalog->classes[event_class],
                         words, 0);
    if (text[0] == 0 && class_id < catalog->class_count) /* a state dump leaves out what is the same for all */
        lap_label_pattern(text, sizeof text, lap_catalog_description(catalog, class_id), &catalog->classes[class_id],
                          NULL);
    return strdup(text);
}

static void scope_text_drop(struct finding *finding, uint32_t depth)
{
    free(finding->texts[depth]);
    finding->texts[depth] = NULL;
}

static void scope_texts_keep(struct finding *finding, const struct lap_decoder *decoder)
{
    for (uint32_t depth = 0; depth < decoder->depth; depth++)
        if (decoder->open[depth].event && !finding->texts[depth]) {
            finding->texts[depth] =
                message_make(finding->process, decoder->open[depth].class_id, decoder->open[depth].event);
            if (!finding->texts[depth])
                finding->error = -ENOMEM;
        }
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct finding *const finding = user;
    (void)event;
    (void)scope;
    if (finding->texts[decoder->depth - 1])
        scope_text_drop(finding, decoder->depth - 1);
}

static void handle_begin(struct finding *finding, struct slot *slot, const struct lap_event *event, uint64_t handle,
                         const struct lap_thread *thread)
{
    if (slot->handle != 0 && event->ticks < slot->begin_ticks)
        return;
    const size_t bytes = event->end - event->offset;
    uint64_t *const words = realloc(slot->words, bytes);
    if (!words) {
        finding->error = -ENOMEM;
        return;
    }
    memcpy(words, event->words, bytes);
    const uint64_t marks = slot->handle == handle ? slot->marks : 0; /* marks may be met first, in another ring */
    const uint64_t last = slot->handle == handle && slot->last_ticks > event->ticks ? slot->last_ticks : event->ticks;
    slot->words = words;
    slot->handle = handle;
    slot->begin_ticks = event->ticks;
    slot->last_ticks = last;
    slot->marks = marks;
    slot->class_id = event->class_id;
    slot->thread = thread;
}

static void handle_mark(const struct lap_process *process, struct slot *slot, const struct lap_event *event,
                        uint64_t handle)
{
    const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
    if (slot->handle != handle) {
        if (slot->handle != 0 && event->ticks < slot->begin_ticks)
            return;
        const uint32_t parent = mark->path < process->path_count ? process->path_entries[mark->path].parent : 0;
        free(slot->words);
        slot->words = NULL;
        slot->handle = handle;
        slot->begin_ticks = event->ticks - mark->lap_ticks;
        slot->last_ticks = event->ticks;
        slot->marks = 0;
        slot->class_id = parent < process->path_count ? process->path_entries[parent].class_id : 0;
        slot->thread = NULL;
    }
    if (event->ticks > slot->last_ticks)
        slot->last_ticks = event->ticks;
    if (mark->number >= slot->marks)
        slot->marks = (uint64_t)mark->number + 1;
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct finding *const finding = user;
    uint64_t handle; /* each kind's payload starts with it */
    memcpy(&handle, lap_event_payload(event->words, event->class), sizeof handle);
    if (!finding->slots && !(finding->slots = calloc(LAP_HANDLE_SLOTS, sizeof *finding->slots))) {
        finding->error = -ENOMEM;
        return;
    }
    struct slot *const slot = &finding->slots[lap_handle_slot(handle)];
    if (event->class->kind == LAP_CLASS_HANDLE_BEGIN) {
        handle_begin(finding, slot, event, handle, lap_cursor_of(decoder)->thread);
    } else if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        handle_mark(finding->process, slot, event, handle);
    } else if (event->ticks >= slot->ended_ticks) {
        slot->ended = handle;
        slot->ended_ticks = event->ticks;
    }
}

/* ---- the list -------------------------------------------------------------------------------------------------------- */

static int open_add(struct finding *finding, const struct lap_open_profiler *open)
{
    if (finding->count == finding->room) {
        const size_t room = finding->room ? 2 * finding->room : 16;
        struct lap_open_profiler *const more = realloc(finding->open, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        finding->open = more;
        finding->room = room;
    }
    finding->open[finding->count] = *open;
    if (!finding->open[finding->count].message)
        return -ENOMEM;
    finding->count++;
    return 0;
}

static int scopes_add(struct finding *finding, const struct lap_cursor *cursor)
{
    const struct lap_decoder *const decoder = &cursor->decoder;
    for (uint32_t depth = 0; depth < decoder->depth && finding->error == 0; depth++) {
        const struct lap_open *const scope = &decoder->open[depth];
        finding->error = open_add(finding, &(struct lap_open_profiler){.process = finding->process,
                                                                       .thread = cursor->thread,
                                                                       .begin_ticks = scope->begin_ticks,
                                                                       .last_ticks = scope->last + decoder->paused,
                                                                       .class_id = scope->class_id,
                                                                       .depth = depth,
                                                                       .marks = scope->marks,
                                                                       .message = finding->texts[depth]});
        finding->texts[depth] = NULL;
    }
    return finding->error;
}

static int ring_add(struct finding *finding, struct lap_ring *ring)
{
    static const struct lap_visitor visitor = {.begin = see_begin, .handle = see_handle};
    struct lap_cursor *cursor;
    int code = lap_cursor_make(&cursor, ring);
    if (code < 0)
        return code;
    if (!finding->has_handles && ring->segment_count > 0)
        cursor->next_segment = ring->segment_count - 1;
    while ((code = lap_cursor_load(cursor)) == 1 && finding->error == 0) {
        lap_cursor_run(cursor, &visitor, finding);
        scope_texts_keep(finding, &cursor->decoder);
    }
    if (code == 0 && cursor->segment)
        code = scopes_add(finding, cursor);
    for (uint32_t depth = 0; depth < LAP_DECODE_DEPTH; depth++)
        scope_text_drop(finding, depth);
    lap_cursor_free(cursor);
    return code < 0 ? code : finding->error;
}

static int handles_add(struct finding *finding)
{
    for (uint32_t i = 0; finding->slots && i < LAP_HANDLE_SLOTS && finding->error == 0; i++) {
        const struct slot *const slot = &finding->slots[i];
        if (slot->handle == 0 || (slot->ended == slot->handle && slot->ended_ticks >= slot->begin_ticks))
            continue;
        finding->error = open_add(
            finding, &(struct lap_open_profiler){.process = finding->process,
                                                 .thread = slot->thread,
                                                 .begin_ticks = slot->begin_ticks,
                                                 .last_ticks = slot->last_ticks,
                                                 .handle = slot->handle,
                                                 .class_id = slot->class_id,
                                                 .marks = slot->marks,
                                                 .message = message_make(finding->process, slot->class_id, slot->words)});
    }
    return finding->error;
}

int lap_process_open_profilers(struct lap_process *process, struct lap_open_profiler **ret_open, size_t *ret_count)
{
    struct finding *const finding = calloc(1, sizeof *finding);
    if (!finding)
        return -ENOMEM;
    finding->process = process;
    for (uint32_t id = 0; id < process->catalog.class_count; id++)
        finding->has_handles |= process->catalog.classes[id].kind == LAP_CLASS_HANDLE_BEGIN;
    int code = 0;
    for (size_t i = 0; i < process->ring_count && code == 0; i++)
        code = ring_add(finding, &process->rings[i]);
    if (code == 0)
        code = handles_add(finding);
    if (code == 0) {
        *ret_open = finding->open;
        *ret_count = finding->count;
    } else {
        lap_open_profilers_free(finding->open, finding->count);
    }
    for (uint32_t i = 0; finding->slots && i < LAP_HANDLE_SLOTS; i++)
        free(finding->slots[i].words);
    free(finding->slots);
    free(finding);
    return code;
}

void lap_open_profilers_free(struct lap_open_profiler *open, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(open[i].message);
    free(open);
}
