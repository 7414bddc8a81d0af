/* SPDX-License-Identifier: MIT */
#include "ring_part.h"

#include "heap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PATH_CACHE 1024u

struct path_cached {
    uint32_t parent; /* + 1; 0 is empty */
    uint32_t class_id;
    uint32_t path;
};

struct pass {
    struct lap_ring_part *part;
    struct lap_cursor *cursor;
    struct lap_statistics statistics;
    struct path_cached path_cache[PATH_CACHE];
};

/* ---- state only: what events before the position leave open --------------------------------------------------------- */

static inline void state_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                               struct lap_open *scope)
{
    struct pass *const pass = user;
    if (event->class->kind == LAP_CLASS_OPEN) {
        if (scope->path >= LAP_FORMAT_PATHS)
            scope->path = LAP_PATHS_OTHER;
        return;
    }
    const uint32_t parent = lap_decode_around(decoder, event, scope);
    struct path_cached *const cached = &pass->path_cache[event->class_id & (PATH_CACHE - 1)];
    if (cached->parent != parent + 1 || cached->class_id != event->class_id)
        *cached = (struct path_cached){parent + 1, event->class_id,
                                       lap_paths_get(pass->statistics.paths, parent, event->class_id)};
    scope->path = cached->path;
}

static struct lap_decode_result state_run(struct pass *pass, uint32_t from, uint32_t to)
{
    static const struct lap_visitor visitor = {.begin = state_begin};
    const struct lap_cursor *const cursor = pass->cursor;
    return lap_decode(&pass->cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, from, to, &visitor,
                      pass);
}

static int state_save(struct lap_ring_state *state, const struct lap_decoder *decoder)
{
    state->depth = decoder->depth;
    state->paused = decoder->paused;
    state->open = malloc((decoder->depth ? decoder->depth : 1) * sizeof *state->open);
    if (!state->open)
        return -ENOMEM;
    memcpy(state->open, decoder->open, decoder->depth * sizeof *state->open);
    return 0;
}

static bool state_equal(const struct lap_ring_state *a, const struct lap_ring_state *b)
{
    if (a->depth != b->depth)
        return false;
    for (uint32_t depth = 0; depth < a->depth; depth++) {
        const struct lap_open *const p = &a->open[depth], *const q = &b->open[depth];
        if (p->begin != q->begin || p->last != q->last || p->class_id != q->class_id || p->path != q->path ||
            p->marks != q->marks)
            return false;
    }
    return true;
}

/* ---- segments -------------------------------------------------------------------------------------------------------- */

/* Takes the `open` events that a segment starts with; the offset behind them. */
static uint32_t opens_run(struct pass *pass)
{
    struct lap_cursor *const cursor = pass->cursor;
    uint32_t offset = cursor->offset;
    struct lap_event event;
    while (offset < cursor->to &&
           lap_decode_measure(&cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, offset, cursor->to,
                              &event)
                   .error == LAP_DECODE_OK &&
           event.class->kind == LAP_CLASS_OPEN)
        offset = event.end;
    return offset > cursor->offset ? state_run(pass, cursor->offset, offset).offset : offset;
}

/* The offset from which on the events of this segment go into the statistics. */
static uint32_t split_find(const struct lap_cursor *cursor, const struct lap_ring_position *from)
{
    const uint64_t sequence = cursor->segment->header.sequence;
    if (sequence != from->sequence)
        return sequence < from->sequence ? cursor->to : cursor->offset;
    if (from->offset <= cursor->offset)
        return cursor->offset;
    return from->offset < cursor->to ? from->offset & ~7u : cursor->to;
}

static void segment_run(struct pass *pass)
{
    struct lap_cursor *const cursor = pass->cursor;
    const uint32_t split = split_find(cursor, &pass->part->from);
    struct lap_decode_result decoded = {.offset = split};
    if (split > cursor->offset)
        decoded = state_run(pass, cursor->offset, split);
    /* An event that lies across the split is damage of the position, not of the event. */
    if (decoded.offset < cursor->to &&
        (decoded.error == LAP_DECODE_OK || (decoded.error == LAP_DECODE_SIZE && split < cursor->to))) {
        const uint64_t before = cursor->decoder.events;
        decoded =
            lap_statistics_run(&pass->statistics, &cursor->decoder, cursor->data, cursor->segment->header.begin_ticks,
                               cursor->segment->header.sequence, decoded.offset, cursor->to);
        pass->part->replayed += cursor->decoder.events - before;
    }
    lap_cursor_decoded(cursor, decoded);
}

static int segments_run(struct pass *pass)
{
    struct lap_ring_part *const part = pass->part;
    struct lap_cursor *const cursor = pass->cursor;
    bool is_first = true;
    int code;
    while ((code = lap_cursor_load(cursor)) == 1) {
        if (is_first) {
            part->first_sequence = cursor->segment->header.sequence;
            part->first_ticks = cursor->segment->header.begin_ticks;
            cursor->offset = opens_run(pass);
            code = state_save(&part->start, &cursor->decoder);
            if (code < 0)
                return code;
        }
        is_first = false;
        segment_run(pass);
        part->last_sequence = cursor->segment->header.sequence;
        if (part->done_bytes)
            __atomic_fetch_add(part->done_bytes, cursor->segment->content_bytes, __ATOMIC_RELAXED);
        if (part->step)
            part->step(part->user);
    }
    return code < 0 ? code : state_save(&part->finish, &cursor->decoder);
}

int lap_ring_part_run(struct lap_ring_part *part)
{
    struct pass *const pass = calloc(1, sizeof *pass);
    if (!pass)
        return -ENOMEM;
    pass->part = part;
    part->first_sequence = 1; /* none yet */
    part->last_sequence = 0;
    int code = lap_heap_init(&pass->statistics, part->base, part->base ? part->base->units : 0, &part->table->paths);
    if (code == 0)
        code = lap_cursor_make(&pass->cursor, part->ring);
    if (code == 0) {
        pass->cursor->next_segment = part->first;
        pass->cursor->end_segment = part->end;
        code = segments_run(pass);
        const struct lap_decoder *const decoder = &pass->cursor->decoder;
        part->decoded = decoder->events;
        part->orphans = decoder->orphans;
        part->abandoned = decoder->abandoned;
        part->backward = decoder->backward;
        part->last_ticks = decoder->last_ticks;
        part->gaps = pass->cursor->gaps;
        part->damaged_bytes = pass->cursor->damaged_bytes;
        part->is_broken = pass->cursor->is_broken;
    }
    if (pass->statistics.heap)
        part->heap = lap_heap_finish(&pass->statistics);
    lap_cursor_free(pass->cursor);
    free(pass);
    return code < 0 ? code : part->heap ? 0 : -ENOMEM;
}

void lap_ring_part_done(struct lap_ring_part *part)
{
    free(part->heap);
    free(part->start.open);
    free(part->finish.open);
    part->heap = NULL;
    part->start.open = part->finish.open = NULL;
}

int lap_ring_part_is_continued(const struct lap_ring_part *part, const struct lap_ring_part *next)
{
    if (part->first_sequence > part->last_sequence || next->first_sequence > next->last_sequence || part->is_broken ||
        next->first_sequence != part->last_sequence + 1)
        return 1; /* a pass over all would have started anew there, too */
    return next->first_ticks >= part->last_ticks && state_equal(&part->finish, &next->start);
}
