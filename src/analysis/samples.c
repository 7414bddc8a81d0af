/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include "cursor.h"

#include <errno.h>
#include <stdlib.h>

struct sampling {
    struct lap_samples *samples;
    struct lap_paths *paths; /* of the process, and which nodes they are */
    const uint32_t *nodes;
    double ns_per_tick;
    int error;
};

static void sample_add(struct sampling *sampling, uint32_t path, uint64_t ticks)
{
    const uint32_t node = path < LAP_FORMAT_PATHS ? sampling->nodes[path] : LAP_SUMMARY_NONE;
    if (node == LAP_SUMMARY_NONE || sampling->samples[node].count == LAP_SAMPLES_MAX)
        return;
    struct lap_samples *const samples = &sampling->samples[node];
    if (samples->count == samples->room) {
        const size_t room = samples->room ? 2 * samples->room : 16;
        double *const more = realloc(samples->ns, room * sizeof *more);
        if (!more) {
            sampling->error = -ENOMEM;
            return;
        }
        samples->ns = more;
        samples->room = room;
    }
    samples->ns[samples->count++] = (double)ticks * sampling->ns_per_tick;
    if (sampling->ns_per_tick > samples->tick_ns)
        samples->tick_ns = sampling->ns_per_tick;
}

/* ---- events: paths and times are those that the statistics have (decoder/statistics.c) ----------------------------- */

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct sampling *const sampling = user;
    if (event->class->kind == LAP_CLASS_OPEN) {
        if (scope->path >= LAP_FORMAT_PATHS)
            scope->path = LAP_PATHS_OTHER;
        return;
    }
    const uint32_t parent = lap_decode_around(decoder, event, scope);
    scope->path = lap_paths_get(sampling->paths, parent, event->class_id);
}

static void see_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                     uint64_t lap)
{
    struct sampling *const sampling = user;
    (void)decoder;
    sample_add(sampling, lap_paths_get(sampling->paths, scope->path, event->class_id), lap);
}

static void see_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                    uint64_t total, uint64_t rest)
{
    struct sampling *const sampling = user;
    (void)decoder;
    (void)event;
    sample_add(sampling, scope->path, total);
    if (scope->marks != 0)
        sample_add(sampling, lap_paths_get(sampling->paths, scope->path, LAP_FORMAT_REST), rest);
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct sampling *const sampling = user;
    (void)decoder;
    if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
        sample_add(sampling, mark->path, mark->lap_ticks);
    } else if (event->class->kind == LAP_CLASS_HANDLE_END) {
        const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
        sample_add(sampling, end->path, end->total_ticks);
        if (end->marks != 0 && end->path < LAP_FORMAT_PATHS)
            sample_add(sampling, lap_paths_get(sampling->paths, end->path, LAP_FORMAT_REST), end->lap_ticks);
    }
}

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    (void)decoder;
    sample_add(user, call->path, call->got_ticks - call->sent_ticks);
}

int lap_samples_make(struct lap_samples **ret_samples, struct lap_recording *recording, const struct lap_summary *summary)
{
    static const struct lap_visitor visitor = {
        .begin = see_begin, .mark = see_mark, .end = see_end, .handle = see_handle, .call = see_call};
    const size_t node_count = summary->groups[0].node_count;
    struct sampling sampling = {.samples = calloc(node_count + 1, sizeof(struct lap_samples))};
    if (!sampling.samples)
        return -ENOMEM;
    for (size_t p = 0; p < recording->process_count && sampling.error == 0; p++) {
        struct lap_process *const process = recording->processes[p];
        sampling.paths = lap_summary_get_paths(summary, p, &sampling.nodes);
        sampling.ns_per_tick = process->clock.ns_per_tick;
        for (size_t r = 0; r < process->ring_count && sampling.error == 0; r++) {
            const int code = lap_ring_visit(&process->rings[r], &visitor, &sampling);
            sampling.error = code < 0 ? code : sampling.error;
        }
    }
    if (sampling.error < 0) {
        lap_samples_free(sampling.samples, node_count);
        return sampling.error;
    }
    *ret_samples = sampling.samples;
    return 0;
}

void lap_samples_free(struct lap_samples *samples, size_t node_count)
{
    for (size_t i = 0; samples && i < node_count; i++)
        free(samples[i].ns);
    free(samples);
}
