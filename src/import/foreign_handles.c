/* SPDX-License-Identifier: MIT */
#include "foreign_handles.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS 16384u /* doc/format.md, "Limits" */

struct slot {
    int64_t end_ns; /* of the handle that has it */
    uint32_t number, generation;
};

/* The slots that were used, the one that is free first at the top: a heap. */
struct slots {
    struct slot slots[SLOTS];
    uint32_t count;
};

static void sift_down(struct slots *slots)
{
    struct slot *const heap = slots->slots;
    for (uint32_t at = 0;;) {
        uint32_t least = 2 * at + 1;
        if (least >= slots->count)
            return;
        if (least + 1 < slots->count && heap[least + 1].end_ns < heap[least].end_ns)
            least++;
        if (heap[at].end_ns <= heap[least].end_ns)
            return;
        const struct slot moved = heap[at];
        heap[at] = heap[least];
        heap[least] = moved;
        at = least;
    }
}

static void sift_up(struct slots *slots)
{
    struct slot *const heap = slots->slots;
    for (uint32_t at = slots->count - 1; at > 0 && heap[at].end_ns < heap[(at - 1) / 2].end_ns; at = (at - 1) / 2) {
        const struct slot moved = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = moved;
    }
}

/* A handle's number; 0: no slot is free. One that ends in this very nanosecond is not: rings do not tell what came first. */
static uint64_t slot_take(struct slots *slots, const struct lap_foreign_slice *slice)
{
    struct slot *const first = slots->slots;
    if (slots->count > 0 && first->end_ns < slice->begin_ns) {
        first->generation += 2;
        first->end_ns = slice->end_ns;
        const uint64_t number = (uint64_t)first->generation << 32 | first->number;
        sift_down(slots);
        return number;
    }
    if (slots->count == SLOTS)
        return 0;
    slots->count++;
    slots->slots[slots->count - 1] = (struct slot){slice->end_ns, slots->count, 1};
    const uint64_t number = UINT64_C(1) << 32 | slots->count;
    sift_up(slots);
    return number;
}

static int moments_compare(const void *a, const void *b)
{
    const struct lap_foreign_moment *const m = a, *const n = b;
    if (m->slice != n->slice)
        return m->slice < n->slice ? -1 : 1;
    return m->ns < n->ns ? -1 : m->ns > n->ns;
}

static int stored_compare(const void *a, const void *b)
{
    const struct lap_foreign_stored *const s = a, *const t = b;
    if (s->thread != t->thread)
        return s->thread < t->thread ? -1 : 1;
    if (s->ns != t->ns)
        return s->ns < t->ns ? -1 : 1;
    return s->order < t->order ? -1 : s->order > t->order;
}

struct order {
    int64_t ns;
    uint32_t handle;
};

static int order_compare(const void *a, const void *b)
{
    const struct order *const o = a, *const p = b;
    if (o->ns != p->ns)
        return o->ns < p->ns ? -1 : 1;
    return o->handle < p->handle ? -1 : o->handle > p->handle;
}

/* The first moment of a slice, or where it would be. */
static size_t moment_find(const struct lap_foreign_slices *slices, uint32_t slice)
{
    size_t low = 0, high = slices->moment_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (slices->moments[middle].slice < slice)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct lap_foreign_stored *store(struct lap_foreign_layout *layout, uint32_t handle, uint32_t kind, int64_t ns,
                                        uint32_t thread)
{
    struct lap_foreign_stored *const stored = &layout->stored[layout->stored_count];
    *stored = (struct lap_foreign_stored){
        .ns = ns, .order = layout->stored_count++, .thread = thread, .handle = handle, .kind = kind};
    return stored;
}

static int handle_store(struct lap_foreign_layout *layout, uint32_t index)
{
    const struct lap_foreign_slices *const slices = layout->slices;
    const uint32_t slice_index = layout->handles[index].slice;
    const struct lap_foreign_slice *const slice = &slices->slices[slice_index];
    int64_t last_ns = slice->begin_ns;
    uint32_t marks = 0;
    store(layout, index, LAP_FOREIGN_BEGIN, slice->begin_ns, slice->begin_thread)->path = slice->path;
    for (size_t i = moment_find(slices, slice_index); i < slices->moment_count && slices->moments[i].slice == slice_index;
         i++) {
        const struct lap_foreign_moment *const moment = &slices->moments[i];
        const uint32_t class_id = lap_foreign_class_get(layout->classes, moment->name, LAP_FOREIGN_AS_MOMENT, false);
        if (class_id == 0)
            return -ENOMEM;
        struct lap_foreign_stored *const stored = store(layout, index, LAP_FOREIGN_MARK, moment->ns, moment->thread);
        stored->name = moment->name;
        stored->path = lap_paths_get(&layout->paths, slice->path, class_id);
        stored->lap_ns = moment->ns - last_ns;
        stored->marks = marks++;
        last_ns = moment->ns;
    }
    if (slice->end_ns == LAP_FOREIGN_STILL_OPEN)
        return 0;
    struct lap_foreign_stored *const stored = store(layout, index, LAP_FOREIGN_END, slice->end_ns, slice->end_thread);
    stored->path = slice->path;
    stored->lap_ns = slice->end_ns - last_ns;
    stored->marks = marks;
    return 0;
}

int lap_foreign_handles_number(struct lap_foreign_layout *layout)
{
    const size_t count = layout->handle_count;
    layout->stored_count = 0;
    free(layout->stored);
    layout->stored = NULL;
    if (count == 0)
        return 0;
    if (layout->slices->moment_count > 0)
        qsort(layout->slices->moments, layout->slices->moment_count, sizeof *layout->slices->moments, moments_compare);
    struct slots *const slots = malloc(sizeof *slots);
    struct order *const order = malloc(count * sizeof *order);
    layout->stored = malloc((2 * count + layout->slices->moment_count) * sizeof *layout->stored);
    if (!slots || !order || !layout->stored) {
        free(slots);
        free(order);
        return -ENOMEM;
    }
    slots->count = 0;
    for (size_t i = 0; i < count; i++)
        order[i] = (struct order){layout->slices->slices[layout->handles[i].slice].begin_ns, (uint32_t)i};
    qsort(order, count, sizeof *order, order_compare);
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        struct lap_foreign_handle *const handle = &layout->handles[order[i].handle];
        handle->number = slot_take(slots, &layout->slices->slices[handle->slice]);
        layout->trace->left_out[LAP_FOREIGN_TOO_MANY] += handle->number == 0;
        if (handle->number != 0)
            code = handle_store(layout, order[i].handle);
    }
    qsort(layout->stored, layout->stored_count, sizeof *layout->stored, stored_compare);
    free(slots);
    free(order);
    return code;
}
