/* SPDX-License-Identifier: MIT */
#include "held.h"

#include "blocks.h"
#include "stream.h"

static struct held {
    uint64_t span_id; /* of the call; 0: none */
    PyObject *sink, *file;
    char *text;
    size_t bytes;
} all[LAP_HELD];
static unsigned next_place;

/* Takes out what is in a place. */
static struct held held_take(struct held *place, const struct held *next)
{
    const struct held held = *place;
    *place = next ? *next : (struct held){.span_id = 0};
    return held;
}

/* Of one that is in no place any more: letting go of a sink may run anything. */
static void held_free(struct held held)
{
    PyMem_RawFree(held.text);
    Py_XDECREF(held.sink);
    Py_XDECREF(held.file);
}

void lap_held_put(uint64_t span_id, struct profiler *profiler)
{
    struct held held = {.span_id = span_id};
    const struct profiler *const stream = lap_report_stream(profiler);
    held.text = lap_report_text(profiler, &held.bytes);
    if (!held.text)
        return;
    Py_XINCREF(held.sink = stream->sink);
    Py_XINCREF(held.file = stream->file);
    struct held *const place = &all[next_place];
    next_place = (next_place + 1) % LAP_HELD;
    held_free(held_take(place, &held));
}

int lap_held_keep(uint64_t span_id)
{
    struct held *place = all;
    while (place < all + LAP_HELD && (place->span_id != span_id || span_id == 0))
        place++;
    if (place == all + LAP_HELD)
        return lap_impl_served_keep(span_id, 0);
    const int is_kept = lap_impl_served_keep(span_id, 1);
    if (is_kept < 0)
        return is_kept;
    const struct held held = held_take(place, NULL);
    if (is_kept)
        lap_stream_write(held.sink, held.file, held.text, held.bytes);
    held_free(held);
    return is_kept;
}

void lap_held_drop_all(void)
{
    for (struct held *place = all; place < all + LAP_HELD; place++)
        held_free(held_take(place, NULL));
}
