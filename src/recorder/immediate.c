/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "immediate.h"

#include "label.h"
#include "line.h"
#include "printer.h"
#include "process.h"

#include <string.h>

#define LINE_BYTES 1024u

static double to_ns(uint64_t ticks) { return (double)ticks * lap_process.ns_per_tick; }

static void label_of(char *out, uint32_t id, uint64_t event, uint64_t number)
{
    const struct lap_class *const class = &lap_process.sites.classes[id];
    const struct lap_description *const description = &lap_process.sites.descriptions[class->description];
    if (event == 0 && lap_label_needs_event(class))
        lap_label_pattern(out, LAP_LABEL_BYTES, description, class, NULL);
    else
        lap_label_format(out, LAP_LABEL_BYTES, description, class, (const uint64_t *)(uintptr_t)event, number);
}

/* Lines are as deep as they lie in the outermost immediate scope. */
static struct lap_line_place line_place_of(struct lap_ring *ring, uint32_t depth)
{
    const size_t prefix_bytes = lap_printer_prefix(ring->prefix, sizeof ring->prefix);
    const uint32_t inside = depth > ring->base_immediate ? depth - ring->base_immediate : 0;
    return (struct lap_line_place){ring->prefix, prefix_bytes, LAP_LINE_INDENT * inside};
}

static struct lap_line_sizes sizes_of(const struct lap_event_parts *parts)
{
    if (!(parts->site->flags & LAP_IMPL_SITE_N))
        return (struct lap_line_sizes){0, 0, 0};
    return (struct lap_line_sizes){(int64_t)parts->words[0], (int64_t)parts->words[0], 1};
}

void lap_immediate_enter(struct lap_ring *ring, uint32_t id, uint64_t event, uint32_t depth)
{
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    label_of(label, id, event, 0);
    const struct lap_line_place place = line_place_of(ring, depth);
    lap_printer_write(line, lap_line_enter(line, sizeof line, &place, label, NULL));
}

void lap_immediate_mark(struct lap_ring *ring, const struct lap_event_parts *parts, uint64_t event)
{
    const struct lap_open *const scope = &ring->decoder.open[ring->decoder.depth - 1];
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    label_of(label, parts->id, event, scope->marks - 1);
    const struct lap_line_sizes sizes = sizes_of(parts);
    const struct lap_line_place place = line_place_of(ring, ring->decoder.depth);
    lap_printer_write(line, lap_line_lap(line, sizeof line, &place, label, to_ns(scope->last - ring->immediate_last),
                                         to_ns(scope->last - scope->begin), &sizes));
}

void lap_immediate_exit(struct lap_ring *ring, const struct lap_open *scope, uint32_t depth, uint64_t now)
{
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    if (!scope->event && ring->open_text[depth][0])
        strcpy(label, ring->open_text[depth]);
    else
        label_of(label, scope->class_id, (uint64_t)(uintptr_t)scope->event, 0);
    const struct lap_line_place inside = line_place_of(ring, depth + 1), place = line_place_of(ring, depth);
    size_t used = 0;
    if (scope->marks != 0)
        used = lap_line_rest(line, sizeof line, &inside, to_ns(now - scope->last));
    const struct lap_line_sizes sizes = {scope->n, scope->n, scope->n != 0};
    used += lap_line_exit(line + used, sizeof line - used, &place, label, to_ns(now - scope->begin), &sizes, NULL);
    lap_printer_write(line, used);
}

void lap_immediate_handle_mark(struct lap_ring *ring, const struct lap_event_parts *parts, uint64_t event,
                               uint32_t number, uint64_t lap_ticks, uint64_t total_ticks)
{
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    label_of(label, parts->id, event, number);
    const struct lap_line_sizes sizes = sizes_of(parts);
    const struct lap_line_place place = line_place_of(ring, ring->base_immediate + 1);
    lap_printer_write(line, lap_line_lap(line, sizeof line, &place, label, to_ns(lap_ticks), to_ns(total_ticks), &sizes));
}

void lap_immediate_handle_end(struct lap_ring *ring, uint32_t id, uint64_t rest_ticks, uint64_t total_ticks,
                              uint32_t marks)
{
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    label_of(label, id, 0, 0);
    const struct lap_line_place inside = line_place_of(ring, ring->base_immediate + 1),
                                place = line_place_of(ring, ring->base_immediate);
    const struct lap_line_sizes none = {0, 0, 0};
    size_t used = 0;
    if (marks != 0)
        used = lap_line_rest(line, sizeof line, &inside, to_ns(rest_ticks));
    used += lap_line_exit(line + used, sizeof line - used, &place, label, to_ns(total_ticks), &none, NULL);
    lap_printer_write(line, used);
}
