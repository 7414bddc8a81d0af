/* SPDX-License-Identifier: MIT */
#include "otlp_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the first pass ------------------------------------------------------------------------------------------------ */

static uint32_t *bucket_of(const struct lap_otlp_steps *steps, uint64_t handle)
{
    const uint32_t mask = 2 * steps->room - 1;
    uint32_t bucket = (uint32_t)lap_otlp_mix(handle) & mask;
    while (steps->buckets[bucket] != 0 && steps->steps[steps->buckets[bucket] - 1].handle != handle)
        bucket = (bucket + 1) & mask;
    return &steps->buckets[bucket];
}

static bool steps_grow(struct lap_otlp_steps *steps)
{
    const uint32_t room = steps->room != 0 ? 2 * steps->room : 256;
    struct lap_otlp_step *const grown = realloc(steps->steps, room * sizeof *grown);
    uint32_t *const buckets = calloc(2 * (size_t)room, sizeof *buckets);
    steps->steps = grown ? grown : steps->steps;
    if (!grown || !buckets) {
        free(buckets);
        return false;
    }
    free(steps->buckets);
    steps->buckets = buckets;
    steps->room = room;
    for (uint32_t i = 0; i < steps->count; i++)
        *bucket_of(steps, steps->steps[i].handle) = i + 1;
    return true;
}

static struct lap_otlp_step *step_get(struct lap_otlp_steps *steps, uint64_t handle)
{
    const uint32_t known = steps->room != 0 ? *bucket_of(steps, handle) : 0;
    if (known != 0)
        return &steps->steps[known - 1];
    if (steps->count == LAP_OTLP_STEPS) {
        steps->left_out++;
        return NULL;
    }
    if (steps->count == steps->room && !steps_grow(steps)) {
        steps->error = -ENOMEM;
        return NULL;
    }
    steps->steps[steps->count] = (struct lap_otlp_step){.handle = handle};
    *bucket_of(steps, handle) = ++steps->count;
    return &steps->steps[steps->count - 1];
}

static void see_link(struct lap_otlp_steps *steps, const struct lap_format_link *link)
{
    const struct lap_span_id other = {link->trace_id_high, link->trace_id_low, link->span_id};
    const bool is_own = link->relation == LAP_FORMAT_LINK_IS;
    if (link->handle == 0 || link->own_span_id != 0 || other.span == 0 || (other.trace_high | other.trace_low) == 0 ||
        (!is_own && link->relation != LAP_FORMAT_LINK_PARENT))
        return;
    struct lap_otlp_step *const step = step_get(steps, link->handle);
    if (!step)
        return;
    const bool is_same_trace = lap_otlp_is_same_trace(&step->id, &other);
    if (is_own && step->id.span == 0) {
        step->id = other;
        step->parent = is_same_trace ? step->parent : 0;
    } else if (!is_own && step->parent == 0 && (step->id.span == 0 || is_same_trace)) {
        step->id.trace_high = other.trace_high;
        step->id.trace_low = other.trace_low;
        step->parent = other.span;
    }
}

static void see_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    (void)decoder;
    if (event->class->kind == LAP_CLASS_LINK)
        see_link(user, lap_event_payload(event->words, event->class));
}

int lap_otlp_steps_read(struct lap_otlp_steps *steps, struct lap_process *process)
{
    static const struct lap_visitor visitor = {.other = see_other};
    uint64_t uuid[2];
    int code = 0;
    memcpy(uuid, process->catalog.uuid, sizeof uuid);
    *steps = (struct lap_otlp_steps){.of_process = lap_otlp_mix(uuid[0]) ^ uuid[1]};
    for (size_t r = 0; r < process->ring_count && process->control.links > 0 && code == 0; r++)
        code = lap_ring_visit(&process->rings[r], &visitor, steps);
    return code < 0 ? code : steps->error;
}

void lap_otlp_steps_done(struct lap_otlp_steps *steps)
{
    free(steps->steps);
    free(steps->buckets);
    *steps = (struct lap_otlp_steps){.count = 0};
}

const struct lap_otlp_step *lap_otlp_step_find(const struct lap_otlp_steps *steps, uint64_t handle)
{
    if (steps->count == 0 || handle == 0)
        return NULL;
    const uint32_t index = *bucket_of(steps, handle);
    return index != 0 ? &steps->steps[index - 1] : NULL;
}
