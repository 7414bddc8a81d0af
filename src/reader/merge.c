/* SPDX-License-Identifier: MIT */
#include "cursor.h"

#include <errno.h>
#include <stdlib.h>

/* A ring that takes part: its next event's time is the key. */
struct merge_entry {
    uint64_t realtime_ns;
    uint64_t ticks;
    size_t process; /* place in the recording */
    size_t place;   /* among the rings that take part */
    struct lap_ring *ring;
    struct lap_cursor *cursor; /* NULL: its turn has not come, and the key is that of its first segment */
};

/* A heap by time, or a queue. A ring's cursor is made when its turn comes, so that memory is for those that are under way, and a
 * queue holds one segment at a time. */
struct lap_merge {
    enum lap_merge_order order;
    struct merge_entry *entries;
    size_t count;
    bool is_stale; /* the first entry's event was decoded: its key is not that of the next one */
};

static bool is_before(const struct merge_entry *a, const struct merge_entry *b)
{
    if (a->realtime_ns != b->realtime_ns)
        return a->realtime_ns < b->realtime_ns;
    if (a->process == b->process && a->ticks != b->ticks)
        return a->ticks < b->ticks;
    return a->place < b->place;
}

static void sift_down(struct lap_merge *merge, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < merge->count; child++)
            if (is_before(&merge->entries[child], &merge->entries[least]))
                least = child;
        if (least == at)
            return;
        const struct merge_entry entry = merge->entries[at];
        merge->entries[at] = merge->entries[least];
        merge->entries[least] = entry;
        at = least;
    }
}

static void entry_set(struct merge_entry *entry, uint64_t ticks)
{
    entry->ticks = ticks;
    entry->realtime_ns = lap_timebase_realtime_ns(&entry->ring->process->clock, ticks);
}

/* Looks at the entry's next event: 1, 0: it has none, or -ENOMEM. */
static int entry_update(const struct lap_merge *merge, struct merge_entry *entry)
{
    struct lap_event event;
    if (!entry->cursor && lap_cursor_make(&entry->cursor, entry->ring) < 0)
        return -ENOMEM;
    entry->cursor->is_one_of_many = merge->order == LAP_MERGE_BY_TIME;
    const int found = lap_cursor_peek(entry->cursor, &event);
    if (found == 1)
        entry_set(entry, event.ticks);
    return found;
}

static void entry_remove(struct lap_merge *merge, size_t at)
{
    lap_cursor_free(merge->entries[at].cursor);
    if (merge->order == LAP_MERGE_BY_TIME) {
        merge->entries[at] = merge->entries[--merge->count];
    } else {
        merge->count--;
        for (size_t i = at; i < merge->count; i++)
            merge->entries[i] = merge->entries[i + 1];
    }
}

int lap_merge_make(struct lap_merge **ret_merge, struct lap_recording *recording, enum lap_merge_order order,
                   bool (*wanted)(void *user, const struct lap_ring *ring), void *user)
{
    size_t rings = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        rings += recording->processes[p]->ring_count;
    struct lap_merge *const merge = calloc(1, sizeof *merge);
    if (!merge || !(merge->entries = calloc(rings ? rings : 1, sizeof *merge->entries))) {
        free(merge);
        return -ENOMEM;
    }
    merge->order = order;
    for (size_t p = 0; p < recording->process_count; p++)
        for (size_t r = 0; r < recording->processes[p]->ring_count; r++) {
            struct lap_ring *const ring = &recording->processes[p]->rings[r];
            if (ring->segment_count == 0 || (wanted && !wanted(user, ring)))
                continue;
            struct merge_entry *const entry = &merge->entries[merge->count];
            *entry = (struct merge_entry){.process = p, .place = merge->count++, .ring = ring};
            entry_set(entry, ring->segments[0].header.begin_ticks);
        }
    if (order == LAP_MERGE_BY_TIME)
        for (size_t i = merge->count / 2; i-- > 0;)
            sift_down(merge, i);
    *ret_merge = merge;
    return 0;
}

int lap_merge_peek(struct lap_merge *merge, struct lap_cursor **ret_cursor)
{
    while (merge->count > 0) {
        if (merge->order == LAP_MERGE_BY_TIME && !merge->is_stale && merge->entries[0].cursor)
            break;
        const int found = entry_update(merge, &merge->entries[0]);
        if (found < 0)
            return found;
        merge->is_stale = false;
        if (found == 0)
            entry_remove(merge, 0);
        if (merge->order == LAP_MERGE_BY_TIME)
            sift_down(merge, 0);
        else if (found == 1)
            break;
    }
    if (merge->count == 0)
        return 0;
    *ret_cursor = merge->entries[0].cursor;
    merge->is_stale = true;
    return 1;
}

int lap_merge_next(struct lap_merge *merge, const struct lap_visitor *visitor, void *user)
{
    struct lap_cursor *cursor;
    const int found = lap_merge_peek(merge, &cursor);
    return found == 1 ? lap_cursor_next(cursor, visitor, user) : found;
}

void lap_merge_free(struct lap_merge *merge)
{
    if (!merge)
        return;
    for (size_t i = 0; i < merge->count; i++)
        lap_cursor_free(merge->entries[i].cursor);
    free(merge->entries);
    free(merge);
}
