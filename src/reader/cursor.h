/* SPDX-License-Identifier: MIT
 *
 * Passes over the events: ring by ring, or all rings merged by time. Any number of cursors at once, each on one thread.
 */
#ifndef LAP_CURSOR_H
#define LAP_CURSOR_H

#include "decode.h"
#include "recording.h"

#include <stddef.h>
#include <stdint.h>

/* Where a pass over one ring is. The decoder's open scopes go on from one segment to the next where the sequences are
 * contiguous; behind a gap they start from the segment's `open` events. Memory: one segment, or some 128 KiB of it. */
struct lap_cursor {
    struct lap_decoder decoder; /* first: see lap_cursor_of() */
    struct lap_ring *ring;
    struct lap_process *process;
    struct lap_thread *thread;         /* whose events these are */
    const struct lap_segment *segment; /* NULL before the first */
    const void *data;                  /* the segment's content; events' words lie in it until the next one is loaded */
    size_t next_segment, end_segment;  /* may be set before the first load, for a part of the ring */
    uint32_t offset, to;               /* the next event, the content's end */
    uint64_t gaps;                     /* segments that were missing or unreadable so far */
    uint64_t damaged_bytes;            /* left out behind a damaged event */
    int is_broken;                     /* the next segment starts anew */
    struct lap_event event;            /* the next one, where has_event */
    int has_event;
    void *mapping; /* of the segment's file; NULL: data is a copy that the recording has */
    size_t mapping_bytes;
    int is_one_of_many;  /* may be set before the first load: only what is around the next event is in memory */
    uint32_t given_back; /* up to there it is no longer, where that is so */
};

/* The cursor whose decoder a visitor was called with. */
static inline struct lap_cursor *lap_cursor_of(struct lap_decoder *decoder)
{
    return (struct lap_cursor *)(void *)decoder;
}

int lap_cursor_make(struct lap_cursor **ret_cursor, struct lap_ring *ring);
void lap_cursor_free(struct lap_cursor *cursor);

/* Goes to the next segment that can be read: 1, or 0 at the end, or -ENOMEM. Decode from cursor->offset to cursor->to,
 * with lap_decode(&cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, ...), then give the result to
 * lap_cursor_decoded(), which warns of damage. cursor->thread is then the segment's first: `thread` events are the
 * visitor's to look at. */
int lap_cursor_load(struct lap_cursor *cursor);
void lap_cursor_decoded(struct lap_cursor *cursor, struct lap_decode_result result);

/* What a `thread` event says: from here on the ring is another thread's. */
void lap_cursor_see_thread(struct lap_cursor *cursor, const struct lap_event *event);

/* The two in one, for a visitor that need not be inlined: decodes what was loaded. */
void lap_cursor_run(struct lap_cursor *cursor, const struct lap_visitor *visitor, void *user);

/* Decodes one event: 1, or 0 at the end, or -ENOMEM. `thread` events have been applied before the visitor sees the next. */
int lap_cursor_next(struct lap_cursor *cursor, const struct lap_visitor *visitor, void *user);
/* The event that lap_cursor_next will decode: 1, or 0 at the end, or -ENOMEM. Loads segments as needed. */
int lap_cursor_peek(struct lap_cursor *cursor, struct lap_event *ret_event);

/* Decodes a whole ring. Returns 0 or -ENOMEM. */
int lap_ring_visit(struct lap_ring *ring, const struct lap_visitor *visitor, void *user);

/* Rings merged: by time (realtime, equal times in the order of the rings), or ring after ring. */
struct lap_merge;
enum lap_merge_order { LAP_MERGE_BY_RING = 0, LAP_MERGE_BY_TIME = 1 };

/* All rings of the recording for which `wanted` (NULL: all) is true. */
int lap_merge_make(struct lap_merge **ret_merge, struct lap_recording *recording, enum lap_merge_order order,
                   bool (*wanted)(void *user, const struct lap_ring *ring), void *user);
/* The cursor whose event is next: 1, or 0 at the end, or -ENOMEM. Call again after lap_cursor_next() on that cursor. */
int lap_merge_peek(struct lap_merge *merge, struct lap_cursor **ret_cursor);
/* Decodes the next event: 1, or 0 at the end, or -ENOMEM. In the visitor lap_cursor_of(decoder) tells ring and thread. */
int lap_merge_next(struct lap_merge *merge, const struct lap_visitor *visitor, void *user);
void lap_merge_free(struct lap_merge *merge);

#endif
