/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "slowest_select.h"

#include "cursor.h"
#include "label.h"
#include "switches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum match { MATCH_UNKNOWN = 0, MATCH_NO, MATCH_YES, MATCH_BY_MESSAGE };

struct selection {
    const struct lap_slowest_options *options;
    struct lap_slowest_candidate *heap; /* least first */
    size_t count, room;
    uint64_t matched;
    int error;
    struct lap_process *process;
    uint8_t *match_of_class; /* enum match, of the process */
    struct {
        uint64_t sequence;
        uint32_t offset;
        bool is_match;
    } begins[LAP_DECODE_DEPTH];
};

/* ---- the slowest so far ---------------------------------------------------------------------------------------------- */

static bool is_slower(const struct lap_slowest_candidate *a, const struct lap_slowest_candidate *b)
{
    return a->total_ns != b->total_ns ? a->total_ns > b->total_ns : a->end_ticks < b->end_ticks;
}

static void heap_down(struct lap_slowest_candidate *heap, size_t count)
{
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (is_slower(&heap[least], &heap[child]))
                least = child;
        if (least == at)
            return;
        const struct lap_slowest_candidate candidate = heap[at];
        heap[at] = heap[least];
        heap[least] = candidate;
        at = least;
    }
}

static void candidate_offer(struct selection *selection, const struct lap_slowest_candidate *candidate)
{
    selection->matched++;
    if (selection->count == selection->options->count) {
        if (selection->count == 0 || !is_slower(candidate, &selection->heap[0]))
            return;
        selection->heap[0] = *candidate;
        heap_down(selection->heap, selection->count);
        return;
    }
    if (selection->count == selection->room) {
        const size_t room = selection->room ? 2 * selection->room : 64;
        struct lap_slowest_candidate *const more = realloc(selection->heap, room * sizeof *more);
        if (!more) {
            selection->error = -ENOMEM;
            return;
        }
        selection->heap = more;
        selection->room = room;
    }
    size_t at = selection->count++;
    for (; at > 0 && is_slower(&selection->heap[(at - 1) / 2], candidate); at = (at - 1) / 2)
        selection->heap[at] = selection->heap[(at - 1) / 2];
    selection->heap[at] = *candidate;
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

static enum match class_match(struct selection *selection, uint32_t class_id)
{
    const struct lap_catalog *const catalog = &selection->process->catalog;
    if (class_id >= catalog->class_count)
        return MATCH_NO;
    uint8_t *const known = &selection->match_of_class[class_id];
    if (*known == MATCH_UNKNOWN) {
        const char *const name = selection->options->name;
        const struct lap_description *const description = lap_catalog_description(catalog, class_id);
        if (lap_glob_matches(name, description->label) || lap_glob_matches(name, lap_catalog_name(catalog, class_id)) ||
            lap_glob_matches(name, description->function))
            *known = MATCH_YES;
        else
            *known = lap_label_needs_event(&catalog->classes[class_id]) ? MATCH_BY_MESSAGE : MATCH_NO;
    }
    return *known;
}

static bool is_wanted(struct selection *selection, uint32_t class_id, const uint64_t *words, bool is_outermost)
{
    if (!selection->options->name)
        return is_outermost;
    const enum match match = class_match(selection, class_id);
    if (match != MATCH_BY_MESSAGE || !words)
        return match == MATCH_YES;
    char message[LAP_LABEL_BYTES];
    const struct lap_catalog *const catalog = &selection->process->catalog;
    lap_label_format(message, sizeof message, lap_catalog_description(catalog, class_id),
                     &catalog->classes[words[0] & LAP_FORMAT_CLASS_MASK], words, 0);
    return lap_glob_matches(selection->options->name, message);
}

/* ---- events ----------------------------------------------------------------------------------------------------------- */

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct selection *const selection = user;
    const uint32_t depth = decoder->depth - 1;
    selection->begins[depth].sequence = lap_cursor_of(decoder)->segment->header.sequence;
    selection->begins[depth].offset = event->offset;
    const struct lap_format_begin_with *const with =
        event->class->kind == LAP_CLASS_BEGIN_WITH ? lap_event_payload(event->words, event->class) : NULL;
    const bool is_outermost = depth == 0 && (!with || with->parent == 0);
    selection->begins[depth].is_match = is_wanted(selection, scope->class_id, event->words, is_outermost);
}

static void see_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                    uint64_t total, uint64_t rest)
{
    struct selection *const selection = user;
    const uint32_t depth = decoder->depth - 1;
    (void)rest;
    if (!selection->begins[depth].is_match)
        return;
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    candidate_offer(selection, &(struct lap_slowest_candidate){
                                   .total_ticks = total,
                                   .total_ns = (double)total * selection->process->clock.ns_per_tick,
                                   .process = selection->process,
                                   .ring = cursor->ring,
                                   .sequence = selection->begins[depth].sequence,
                                   .offset = selection->begins[depth].offset,
                                   .class_id = scope->class_id,
                                   .end_ticks = event->ticks,
                                   .thread = cursor->thread,
                               });
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct selection *const selection = user;
    const struct lap_process *const process = selection->process;
    if (event->class->kind != LAP_CLASS_HANDLE_END)
        return;
    const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
    const struct lap_format_path path =
        end->path < process->path_count ? process->path_entries[end->path] : (struct lap_format_path){0, 0};
    if (!is_wanted(selection, path.class_id, NULL, path.parent == LAP_PATHS_ROOT))
        return;
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    candidate_offer(selection, &(struct lap_slowest_candidate){
                                   .total_ticks = end->total_ticks,
                                   .total_ns = (double)end->total_ticks * process->clock.ns_per_tick,
                                   .process = selection->process,
                                   .ring = cursor->ring,
                                   .class_id = path.class_id,
                                   .handle = end->handle,
                                   .end_ticks = event->ticks,
                                   .thread = cursor->thread,
                               });
}

static int by_slowness(const void *a, const void *b)
{
    const struct lap_slowest_candidate *const p = a, *const q = b;
    return is_slower(p, q) ? -1 : is_slower(q, p);
}

int lap_slowest_select(struct lap_recording *recording, const struct lap_slowest_options *options,
                       struct lap_slowest_candidate **ret_candidates, size_t *ret_count, uint64_t *ret_matched)
{
    static const struct lap_visitor visitor = {.begin = see_begin, .end = see_end, .handle = see_handle};
    struct selection *const selection = calloc(1, sizeof *selection);
    if (!selection)
        return -ENOMEM;
    selection->options = options;
    uint64_t done_bytes = 0, total_bytes = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        total_bytes += recording->processes[p]->content_bytes;
    for (size_t p = 0; p < recording->process_count && selection->error == 0; p++) {
        struct lap_process *const process = selection->process = recording->processes[p];
        free(selection->match_of_class);
        selection->match_of_class = calloc(process->catalog.class_count, 1);
        if (!selection->match_of_class)
            selection->error = -ENOMEM;
        for (size_t r = 0; r < process->ring_count && selection->error == 0; r++) {
            const int code = lap_ring_visit(&process->rings[r], &visitor, selection);
            if (code < 0)
                selection->error = code;
            for (size_t i = 0; i < process->rings[r].segment_count; i++)
                done_bytes += process->rings[r].segments[i].content_bytes;
            if (options->progress)
                options->progress(options->user, done_bytes, 2 * total_bytes);
        }
    }
    const int error = selection->error;
    if (error == 0) {
        if (selection->count > 0)
            qsort(selection->heap, selection->count, sizeof *selection->heap, by_slowness);
        *ret_candidates = selection->heap;
        *ret_count = selection->count;
        *ret_matched = selection->matched;
    } else {
        free(selection->heap);
    }
    free(selection->match_of_class);
    free(selection);
    return error;
}
