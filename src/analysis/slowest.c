/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "slowest.h"

#include "cursor.h"
#include "label.h"
#include "slowest_select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 10000u

/* An instance while its laps are gathered. */
struct gathered {
    struct lap_slowest_candidate candidate;
    struct lap_slowest_instance *instance;
    uint64_t *keys;        /* of its laps: class, or class and text */
    uint64_t *first_ticks; /* of its laps: to sort those of a handle, which come from several rings */
    size_t room, last;     /* last: the lap that was met last */
    bool is_begun;
};

/* A scope that is open in the second pass. */
struct level {
    struct gathered *active; /* it is one of the instances */
    size_t nested;           /* it is nested in an active one: its lap there; SIZE_MAX: left out */
};

struct gathering {
    struct gathered **scopes; /* of the ring, by the place of their begin */
    size_t scope_count, next_scope;
    struct gathered **handles; /* of the process, by number */
    size_t handle_count;
    const struct lap_process *process;
    struct level levels[LAP_DECODE_DEPTH];
    int error;
};

/* ---- laps --------------------------------------------------------------------------------------------------------- */

static double to_ns(const struct gathering *gathering, uint64_t ticks)
{
    return (double)ticks * gathering->process->clock.ns_per_tick;
}

static const struct lap_description *description_of(const struct gathering *gathering, uint32_t class_id)
{
    return lap_catalog_description(&gathering->process->catalog, class_id);
}

/* The message of a begin or of a state dump, or where there is none the label as in the source. */
static char *message_make(const struct gathering *gathering, uint32_t class_id, const uint64_t *words)
{
    char text[LAP_LABEL_BYTES] = "";
    const struct lap_catalog *const catalog = &gathering->process->catalog;
    const uint32_t event_class = words ? (uint32_t)(words[0] & LAP_FORMAT_CLASS_MASK) : class_id;
    if (words && event_class < catalog->class_count)
        lap_label_format(text, sizeof text, description_of(gathering, class_id), &catalog->classes[event_class], words,
                         0);
    if (text[0] == 0 && class_id < catalog->class_count)
        lap_label_pattern(text, sizeof text, description_of(gathering, class_id), &catalog->classes[class_id], NULL);
    return strdup(text);
}

static bool laps_reserve(struct gathered *gathered)
{
    if (gathered->instance->lap_count < gathered->room)
        return true;
    const size_t room = gathered->room ? 2 * gathered->room : 8;
    struct lap_slowest_lap *const laps = realloc(gathered->instance->laps, room * sizeof *laps);
    if (laps)
        gathered->instance->laps = laps;
    uint64_t *const keys = laps ? realloc(gathered->keys, room * sizeof *keys) : NULL;
    if (keys)
        gathered->keys = keys;
    uint64_t *const ticks = keys ? realloc(gathered->first_ticks, room * sizeof *ticks) : NULL;
    if (!ticks)
        return false;
    gathered->first_ticks = ticks;
    gathered->room = room;
    return true;
}

/* The place of the lap that an event belongs to, made if it is the first of its kind; SIZE_MAX: left out. */
static size_t lap_find(struct gathering *gathering, struct gathered *gathered, const struct lap_event *event,
                       uint8_t kind, uint64_t number)
{
    struct lap_slowest_instance *const instance = gathered->instance;
    const struct lap_description *const description = description_of(gathering, event->class_id);
    const uint64_t key = lap_label_key(description, event->class, event->class_id, event->words);
    if (gathered->last < instance->lap_count && gathered->keys[gathered->last] == key)
        return gathered->last;
    for (size_t i = 0; i < instance->lap_count; i++)
        if (gathered->keys[i] == key)
            return gathered->last = i;
    if (instance->lap_count >= LAP_SLOWEST_LAPS)
        return SIZE_MAX;
    char text[LAP_LABEL_BYTES];
    if (event->words)
        lap_label_format(text, sizeof text, description, event->class, event->words, number);
    else
        lap_label_pattern(text, sizeof text, description, event->class, NULL);
    char *const label = strdup(text);
    if (!label || !laps_reserve(gathered)) {
        free(label);
        gathering->error = -ENOMEM;
        return SIZE_MAX;
    }
    const size_t place = instance->lap_count++;
    instance->laps[place] = (struct lap_slowest_lap){.label = label, .class_id = event->class_id, .kind = kind};
    gathered->keys[place] = key;
    gathered->first_ticks[place] = event->ticks;
    return gathered->last = place;
}

/* One label for many: without their arguments. */
static void lap_generalise(struct gathering *gathering, struct lap_slowest_lap *lap, const struct lap_event *event)
{
    char text[LAP_LABEL_BYTES];
    const struct lap_catalog *const catalog = &gathering->process->catalog;
    lap_label_pattern(text, sizeof text, description_of(gathering, lap->class_id), &catalog->classes[lap->class_id],
                      event->class_id == lap->class_id ? event->words : NULL);
    char *const label = strdup(text);
    if (!label) {
        gathering->error = -ENOMEM;
        return;
    }
    free(lap->label);
    lap->label = label;
}

static void lap_add(struct gathering *gathering, struct gathered *gathered, size_t place, const struct lap_event *event,
                    uint64_t ticks, uint64_t until_ticks)
{
    struct lap_slowest_instance *const instance = gathered->instance;
    const double ns = to_ns(gathering, ticks);
    if (place == SIZE_MAX) {
        instance->laps_left_out++;
        instance->left_out_ns += ns;
        return;
    }
    struct lap_slowest_lap *const lap = &instance->laps[place];
    lap->count++;
    lap->total_ns += ns;
    lap->max_ns = ns > lap->max_ns ? ns : lap->max_ns;
    if (to_ns(gathering, until_ticks) > lap->until_ns)
        lap->until_ns = to_ns(gathering, until_ticks);
    if (event->class->flags & LAP_CLASS_N) {
        lap->has_n = 1;
        lap->n = (int64_t)lap_event_values(event->words, event->class)[0];
    }
}

static void rest_add(struct gathering *gathering, struct gathered *gathered, uint64_t ticks, uint64_t until_ticks,
                     uint64_t end_ticks)
{
    struct lap_slowest_instance *const instance = gathered->instance;
    char *const label = strdup("(rest)");
    if (!label || !laps_reserve(gathered)) {
        free(label);
        gathering->error = -ENOMEM;
        return;
    }
    gathered->keys[instance->lap_count] = LAP_FORMAT_REST;
    gathered->first_ticks[instance->lap_count] = end_ticks;
    instance->laps[instance->lap_count++] = (struct lap_slowest_lap){.label = label,
                                                                     .kind = LAP_SLOWEST_REST,
                                                                     .count = 1,
                                                                     .total_ns = to_ns(gathering, ticks),
                                                                     .max_ns = to_ns(gathering, ticks),
                                                                     .until_ns = to_ns(gathering, until_ticks)};
}

/* ---- scopes --------------------------------------------------------------------------------------------------------- */

static int place_compare(uint64_t sequence, uint32_t offset, const struct lap_slowest_candidate *candidate)
{
    if (sequence != candidate->sequence)
        return sequence < candidate->sequence ? -1 : 1;
    return offset < candidate->offset ? -1 : offset > candidate->offset;
}

/* The instance that begins here, NULL: it is none. */
static struct gathered *scope_find(struct gathering *gathering, uint64_t sequence, uint32_t offset)
{
    while (gathering->next_scope < gathering->scope_count) {
        struct gathered *const next = gathering->scopes[gathering->next_scope];
        const int order = place_compare(sequence, offset, &next->candidate);
        if (order < 0)
            return NULL;
        gathering->next_scope++;
        if (order == 0)
            return next;
    }
    return NULL;
}

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct gathering *const gathering = user;
    struct level *const level = &gathering->levels[decoder->depth - 1];
    struct gathered *const outer = decoder->depth > 1 ? level[-1].active : NULL;
    level->nested = SIZE_MAX;
    if (outer) {
        struct lap_event begin = *event;
        if (event->class->kind == LAP_CLASS_OPEN) { /* its own begin is gone */
            begin.class_id = scope->class_id;
            begin.class = &gathering->process->catalog.classes[scope->class_id];
            begin.words = NULL;
        }
        if (begin.words || !(begin.class->flags & LAP_CLASS_TEXT))
            level->nested = lap_find(gathering, outer, &begin, LAP_SLOWEST_PROFILER, 0);
        if (level->nested != SIZE_MAX && outer->instance->laps[level->nested].count == 1)
            lap_generalise(gathering, &outer->instance->laps[level->nested], &begin);
    }
    level->active = scope_find(gathering, lap_cursor_of(decoder)->segment->header.sequence, event->offset);
    if (!level->active)
        return;
    struct lap_slowest_instance *const instance = level->active->instance;
    instance->message = message_make(gathering, scope->class_id, event->words);
    if (!instance->message)
        gathering->error = -ENOMEM;
    instance->class_id = scope->class_id;
    instance->depth = decoder->depth - 1;
    instance->begin_ticks = scope->begin_ticks;
    instance->is_incomplete = event->class->kind == LAP_CLASS_OPEN && scope->marks != 0;
}

static void see_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                     uint64_t lap)
{
    struct gathering *const gathering = user;
    struct gathered *const active = gathering->levels[decoder->depth - 1].active;
    if (!active)
        return;
    const size_t place = lap_find(gathering, active, event, LAP_SLOWEST_LAP, scope->marks - 1);
    if (place != SIZE_MAX && active->instance->laps[place].count == 1)
        lap_generalise(gathering, &active->instance->laps[place], event);
    lap_add(gathering, active, place, event, lap, scope->last - scope->begin);
}

static void nested_end(struct gathering *gathering, const struct lap_decoder *decoder, const struct lap_event *event,
                       const struct lap_open *scope, uint64_t now)
{
    if (decoder->depth < 2)
        return;
    const struct level *const level = &gathering->levels[decoder->depth - 1];
    if (level[-1].active)
        lap_add(gathering, level[-1].active, level->nested, event, now - scope->begin, now - scope[-1].begin);
}

static void see_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                    uint64_t total, uint64_t rest)
{
    struct gathering *const gathering = user;
    struct level *const level = &gathering->levels[decoder->depth - 1];
    nested_end(gathering, decoder, event, scope, scope->begin + total);
    if (!level->active)
        return;
    level->active->instance->checkpoints = scope->marks;
    if (scope->marks != 0)
        rest_add(gathering, level->active, rest, total, event->ticks);
    level->active = NULL;
}

static void see_abandoned(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct gathering *const gathering = user;
    nested_end(gathering, decoder, event, scope, event->ticks - decoder->paused);
    gathering->levels[decoder->depth - 1].active = NULL;
}

/* ---- handles ----------------------------------------------------------------------------------------------------------- */

static struct gathered *handle_find(const struct gathering *gathering, uint64_t handle)
{
    size_t from = 0, to = gathering->handle_count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const uint64_t number = gathering->handles[middle]->candidate.handle;
        if (number == handle)
            return gathering->handles[middle];
        if (number < handle)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathering *const gathering = user;
    uint64_t handle; /* each kind's payload starts with it */
    (void)decoder;
    memcpy(&handle, lap_event_payload(event->words, event->class), sizeof handle);
    struct gathered *const gathered = handle_find(gathering, handle);
    if (!gathered)
        return;
    struct lap_slowest_instance *const instance = gathered->instance;
    if (event->class->kind == LAP_CLASS_HANDLE_BEGIN && !instance->message) {
        instance->message = message_make(gathering, event->class_id, event->words);
        if (!instance->message)
            gathering->error = -ENOMEM;
        instance->class_id = event->class_id;
        gathered->is_begun = true;
    } else if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
        const size_t place = lap_find(gathering, gathered, event, LAP_SLOWEST_LAP, mark->number);
        if (place != SIZE_MAX && instance->laps[place].count == 1)
            lap_generalise(gathering, &instance->laps[place], event);
        if (place != SIZE_MAX && event->ticks < gathered->first_ticks[place])
            gathered->first_ticks[place] = event->ticks;
        lap_add(gathering, gathered, place, event, mark->lap_ticks, event->ticks - instance->begin_ticks);
        instance->checkpoints++;
    } else if (event->class->kind == LAP_CLASS_HANDLE_END) {
        const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
        if (end->marks != 0)
            rest_add(gathering, gathered, end->lap_ticks, end->total_ticks, event->ticks);
        gathered->candidate.offset = end->marks; /* to see what is missing */
    }
}

/* The laps of a handle in the order of their first. */
static void handle_sort(struct gathered *gathered)
{
    struct lap_slowest_instance *const instance = gathered->instance;
    for (size_t i = 1; i < instance->lap_count; i++) {
        const struct lap_slowest_lap lap = instance->laps[i];
        const uint64_t ticks = gathered->first_ticks[i];
        size_t at = i;
        for (; at > 0 && gathered->first_ticks[at - 1] > ticks; at--) {
            instance->laps[at] = instance->laps[at - 1];
            gathered->first_ticks[at] = gathered->first_ticks[at - 1];
        }
        instance->laps[at] = lap;
        gathered->first_ticks[at] = ticks;
    }
}

static void handle_finish(struct gathering *gathering, struct gathered *gathered)
{
    struct lap_slowest_instance *const instance = gathered->instance;
    if (!instance->message)
        instance->message = message_make(gathering, instance->class_id, NULL);
    if (!instance->message)
        gathering->error = -ENOMEM;
    instance->is_incomplete = !gathered->is_begun || instance->checkpoints < gathered->candidate.offset;
    handle_sort(gathered);
}

/* ---- both passes ------------------------------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct gathered *const p = *(struct gathered *const *)a, *const q = *(struct gathered *const *)b;
    return place_compare(p->candidate.sequence, p->candidate.offset, &q->candidate);
}

static int by_handle(const void *a, const void *b)
{
    const struct gathered *const p = *(struct gathered *const *)a, *const q = *(struct gathered *const *)b;
    return p->candidate.handle < q->candidate.handle ? -1 : p->candidate.handle > q->candidate.handle;
}

/* Gathers the laps of one process's instances. */
static int process_gather(struct lap_process *process, struct gathered *all, size_t count, struct gathered **handles,
                          struct gathered **scopes)
{
    static const struct lap_visitor visitor = {
        .begin = see_begin, .mark = see_mark, .end = see_end, .abandoned = see_abandoned, .handle = see_handle};
    struct gathering *const gathering = calloc(1, sizeof *gathering);
    if (!gathering)
        return -ENOMEM;
    gathering->process = process;
    gathering->handles = handles;
    gathering->scopes = scopes;
    for (size_t i = 0; i < count; i++)
        if (all[i].candidate.process == process && all[i].candidate.handle != 0)
            handles[gathering->handle_count++] = &all[i];
    if (gathering->handle_count > 0)
        qsort(handles, gathering->handle_count, sizeof *handles, by_handle);
    for (size_t r = 0; r < process->ring_count && gathering->error == 0; r++) {
        gathering->scope_count = gathering->next_scope = 0;
        for (size_t i = 0; i < count; i++)
            if (all[i].candidate.ring == &process->rings[r] && all[i].candidate.handle == 0)
                scopes[gathering->scope_count++] = &all[i];
        if (gathering->scope_count == 0 && gathering->handle_count == 0)
            continue;
        if (gathering->scope_count > 0)
            qsort(scopes, gathering->scope_count, sizeof *scopes, by_place);
        memset(gathering->levels, 0, sizeof gathering->levels);
        const int code = lap_ring_visit(&process->rings[r], &visitor, gathering);
        if (code < 0)
            gathering->error = code;
    }
    for (size_t i = 0; i < gathering->handle_count && gathering->error == 0; i++)
        handle_finish(gathering, handles[i]);
    for (size_t i = 0; i < count && gathering->error == 0; i++)
        if (all[i].candidate.process == process && !all[i].instance->message &&
            !(all[i].instance->message = message_make(gathering, all[i].instance->class_id, NULL)))
            gathering->error = -ENOMEM;
    const int error = gathering->error;
    free(gathering);
    return error;
}

static void instance_set(struct lap_slowest_instance *instance, const struct lap_slowest_candidate *candidate)
{
    *instance = (struct lap_slowest_instance){
        .process = candidate->process,
        .thread = candidate->thread,
        .class_id = candidate->class_id,
        .handle = candidate->handle,
        .begin_ticks = candidate->end_ticks - candidate->total_ticks,
        .end_ticks = candidate->end_ticks,
        .total_ns = candidate->total_ns,
    };
}

static int slowest_gather(struct lap_slowest *slowest, struct lap_recording *recording,
                          const struct lap_slowest_options *options, const struct lap_slowest_candidate *candidates)
{
    const size_t count = slowest->instance_count;
    struct gathered *const all = calloc(count + 1, sizeof *all);
    struct gathered **const handles = calloc(count + 1, sizeof *handles);
    struct gathered **const scopes = calloc(count + 1, sizeof *scopes);
    int code = all && handles && scopes ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < count; i++) {
        all[i].candidate = candidates[i];
        all[i].instance = &slowest->instances[i];
        instance_set(all[i].instance, &candidates[i]);
    }
    uint64_t total_bytes = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        total_bytes += recording->processes[p]->content_bytes;
    uint64_t done_bytes = total_bytes; /* by the first pass */
    for (size_t p = 0; code == 0 && p < recording->process_count; p++) {
        code = process_gather(recording->processes[p], all, count, handles, scopes);
        done_bytes += recording->processes[p]->content_bytes;
        if (options->progress)
            options->progress(options->user, done_bytes, 2 * total_bytes);
    }
    for (size_t i = 0; all && i < count; i++) {
        if (all[i].instance)
            all[i].instance->begin_realtime_ns =
                lap_timebase_realtime_ns(&all[i].candidate.process->clock, all[i].instance->begin_ticks);
        free(all[i].keys);
        free(all[i].first_ticks);
    }
    free(all);
    free(handles);
    free(scopes);
    return code;
}

int lap_slowest_make(struct lap_slowest **ret_slowest, struct lap_recording *recording,
                     const struct lap_slowest_options *options)
{
    if (options->count == 0 || options->count > COUNT_MAX)
        return -EINVAL;
    struct lap_slowest *const slowest = calloc(1, sizeof *slowest);
    struct lap_slowest_candidate *candidates = NULL;
    size_t count = 0;
    int code = slowest ? lap_slowest_select(recording, options, &candidates, &count, &slowest->matched) : -ENOMEM;
    if (code == 0) {
        slowest->instances = calloc(count + 1, sizeof *slowest->instances);
        slowest->instance_count = slowest->instances ? count : 0;
        code = slowest->instances ? slowest_gather(slowest, recording, options, candidates) : -ENOMEM;
    }
    free(candidates);
    if (code < 0) {
        lap_slowest_free(slowest);
        return code;
    }
    *ret_slowest = slowest;
    return 0;
}

void lap_slowest_free(struct lap_slowest *slowest)
{
    if (!slowest)
        return;
    for (size_t i = 0; i < slowest->instance_count; i++) {
        for (size_t lap = 0; lap < slowest->instances[i].lap_count; lap++)
            free(slowest->instances[i].laps[lap].label);
        free(slowest->instances[i].laps);
        free(slowest->instances[i].message);
    }
    free(slowest->instances);
    free(slowest);
}
