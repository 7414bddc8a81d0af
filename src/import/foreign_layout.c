/* SPDX-License-Identifier: MIT */
#include "foreign_layout.h"

#include "foreign_handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool lap_foreign_nest_has_ended(const struct lap_foreign_nest *nest, const struct lap_foreign_slice *slices,
                                const struct lap_foreign_slice *slice)
{
    const struct lap_foreign_slice *const top = &slices[nest->slices[nest->depth - 1]];
    if (top->end_ns != slice->begin_ns)
        return top->end_ns < slice->begin_ns;
    return slice->begin_at >= top->end_at; /* what begins when another ends is in it only if it stands before that end */
}

/* How many of those that are open contain the slice. */
static uint32_t depth_around(const struct lap_foreign_nest *nest, const struct lap_foreign_slice *slices,
                             const struct lap_foreign_slice *slice)
{
    uint32_t depth = nest->depth;
    while (depth > 0 && slices[nest->slices[depth - 1]].end_ns < slice->end_ns)
        depth--;
    return depth;
}

static int handle_add(struct lap_foreign_layout *layout, uint32_t slice, uint32_t parent)
{
    if (layout->handle_count == layout->handle_room) {
        const size_t room = layout->handle_room ? 2 * layout->handle_room : 64;
        struct lap_foreign_handle *const more = realloc(layout->handles, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        layout->handles = more;
        layout->handle_room = room;
    }
    layout->handles[layout->handle_count++] = (struct lap_foreign_handle){.slice = slice, .parent = parent};
    return 0;
}

/* Puts a slice in its place; `is_scope`: if it nests. */
static int slice_place(struct lap_foreign_layout *layout, struct lap_foreign_nest *nest, uint32_t index, bool is_scope)
{
    struct lap_foreign_slice *const slices = layout->slices->slices, *const slice = &slices[index];
    while (nest->depth > 0 && lap_foreign_nest_has_ended(nest, slices, slice))
        nest->depth--;
    const uint32_t around = depth_around(nest, slices, slice);
    const bool nests = around == nest->depth;
    if (nests && nest->depth >= LAP_FOREIGN_DEPTH) {
        slice->place = LAP_FOREIGN_NOWHERE;
        layout->trace->left_out[LAP_FOREIGN_TOO_DEEP]++;
        return 0;
    }
    slice->place = is_scope && nests ? LAP_FOREIGN_SCOPE : LAP_FOREIGN_HANDLE;
    const uint32_t class_id = lap_foreign_class_get(
        layout->classes, slice->name, slice->place == LAP_FOREIGN_SCOPE ? LAP_FOREIGN_AS_SCOPE : LAP_FOREIGN_AS_HANDLE,
        slice->n != 0);
    if (class_id == 0)
        return -ENOMEM;
    slice->path =
        lap_paths_get(&layout->paths, around > 0 ? slices[nest->slices[around - 1]].path : LAP_PATHS_ROOT, class_id);
    layout->slice_count++;
    if (slice->begin_ns < layout->first_ns)
        layout->first_ns = slice->begin_ns;
    const int64_t last_ns = slice->end_ns == LAP_FOREIGN_STILL_OPEN ? slice->begin_ns : slice->end_ns;
    if (last_ns > layout->last_ns)
        layout->last_ns = last_ns;
    int code = 0;
    if (slice->place == LAP_FOREIGN_HANDLE)
        code = handle_add(layout, index, is_scope || around == 0 ? 0 : nest->handles[around - 1]);
    if (nests) {
        nest->handles[nest->depth] = (uint32_t)layout->handle_count;
        nest->slices[nest->depth++] = index;
    }
    return code;
}

/* The slices of no thread's track that are of this process: each track for itself. */
static int others_place(struct lap_foreign_layout *layout)
{
    struct lap_foreign_nest nest = {.depth = 0};
    int code = 0;
    const size_t from = layout->other_starts[layout->process], to = layout->other_starts[layout->process + 1];
    for (size_t i = from; code == 0 && i < to; i++) {
        const struct lap_foreign_slice *const slices = layout->slices->slices;
        if (i > from && slices[layout->others[i]].track != slices[layout->others[i - 1]].track)
            nest.depth = 0;
        code = slice_place(layout, &nest, layout->others[i], false);
    }
    return code;
}

static int threads_place(struct lap_foreign_layout *layout)
{
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < layout->trace->thread_count; i++) {
        const struct lap_foreign_thread *const thread = &layout->trace->threads[i];
        if (thread->process != layout->process || thread->track == LAP_FOREIGN_NONE)
            continue;
        struct lap_foreign_nest nest = {.depth = 0};
        const size_t *const starts = layout->slices->track_starts + thread->track;
        for (size_t slice = starts[0]; code == 0 && slice < starts[1]; slice++)
            code = slice_place(layout, &nest, (uint32_t)slice, true);
    }
    return code;
}

int lap_foreign_layout_process(struct lap_foreign_layout *layout, uint32_t process)
{
    layout->process = process;
    layout->handle_count = layout->slice_count = 0;
    layout->first_ns = INT64_MAX;
    layout->last_ns = INT64_MIN;
    lap_foreign_classes_clear(layout->classes);
    memset(layout->paths_memory, 0, LAP_PATHS_BYTES);
    memset(layout->buckets, 0, LAP_PATHS_BUCKETS_BYTES);
    if (layout->paths.header)
        pthread_mutex_destroy(&layout->paths.lock);
    lap_paths_init(&layout->paths, layout->paths_memory, layout->buckets);
    int code = threads_place(layout);
    if (code == 0)
        code = others_place(layout);
    return code == 0 ? lap_foreign_handles_number(layout) : code;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

static uint32_t process_of(const struct lap_foreign_layout *layout, size_t slice)
{
    return layout->trace->threads[layout->slices->slices[slice].begin_thread].process;
}

static bool is_other(const struct lap_foreign_layout *layout, size_t slice)
{
    return layout->trace->tracks[layout->slices->slices[slice].track].thread == LAP_FOREIGN_NONE;
}

int lap_foreign_layout_make(struct lap_foreign_layout *layout, struct lap_foreign_trace *trace,
                            struct lap_foreign_slices *slices, struct lap_foreign_classes *classes)
{
    *layout = (struct lap_foreign_layout){.trace = trace, .slices = slices, .classes = classes};
    const size_t processes = trace->process_count;
    layout->others = malloc((slices->count + 1) * sizeof *layout->others);
    layout->other_starts = calloc(processes + 2, sizeof *layout->other_starts);
    layout->paths_memory = malloc(LAP_PATHS_BYTES);
    layout->buckets = malloc(LAP_PATHS_BUCKETS_BYTES);
    if (!layout->others || !layout->other_starts || !layout->paths_memory || !layout->buckets)
        return -ENOMEM;
    /* Counted two places further on, so that filling in leaves the starts where they belong. */
    for (size_t slice = 0; slice < slices->count; slice++)
        if (is_other(layout, slice))
            layout->other_starts[process_of(layout, slice) + 2]++;
    for (size_t process = 0; process < processes; process++)
        layout->other_starts[process + 2] += layout->other_starts[process + 1];
    for (size_t slice = 0; slice < slices->count; slice++)
        if (is_other(layout, slice))
            layout->others[layout->other_starts[process_of(layout, slice) + 1]++] = (uint32_t)slice;
    return 0;
}

void lap_foreign_layout_done(struct lap_foreign_layout *layout)
{
    if (layout->paths.header)
        pthread_mutex_destroy(&layout->paths.lock);
    free(layout->others);
    free(layout->other_starts);
    free(layout->paths_memory);
    free(layout->buckets);
    free(layout->handles);
    free(layout->stored);
    *layout = (struct lap_foreign_layout){0};
}
