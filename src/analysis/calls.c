/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include "calls_clocks.h"
#include "cursor.h"
#include "distribution.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
enum { SLOTS = 2 * LAP_CALLS_KINDS, RECENT = 16 };

/* The ways of a kind's calls by one clock: they do not count where that clock turns out to be two. */
struct ways {
    uint64_t domain;
    struct lap_distribution there, back;
    struct ways *next;
};

struct gathered_kind {
    struct lap_calls_kind kind; /* its counts; the times are made at the end */
    struct lap_distribution parts[LAP_CALLS_PARTS];
    struct ways *ways;
    struct lap_peer_lap *laps; /* LAP_CALLS_LAPS_HELD, NULL: none yet */
    uint32_t lap_count;
};

/* Calls whose laps may come yet: they stand right behind them, but those of other rings at that moment may come between. */
struct recent {
    uint64_t span_id;
    const struct lap_ring *ring;
    struct gathered_kind *kind;
};

struct gathering {
    struct lap_calls *calls;
    const struct lap_calls_options *options;
    struct lap_calls_clocks *clocks;
    struct gathered_kind **kinds;
    size_t kind_count, kind_room;
    struct recent recent[RECENT];
    size_t recent_next;
    uint32_t slots[SLOTS]; /* kinds by label and owner; NONE: empty */
    int error;
};

/* ---- kinds --------------------------------------------------------------------------------------------------------- */

static size_t slot_of(const char *name, const void *owner)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t)owner; /* FNV-1a */
    for (const char *at = name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    return (size_t)((hash ^ hash >> 32) % SLOTS);
}

static const void *owner_of(const struct lap_calls_kind *kind)
{
    return kind->thread ? (const void *)kind->thread : (const void *)kind->process;
}

static struct gathered_kind *kind_make(struct gathering *gathering, const struct lap_calls_kind *wanted, size_t slot)
{
    if (gathering->kind_count == gathering->kind_room) {
        const size_t room = gathering->kind_room ? 2 * gathering->kind_room : 16;
        struct gathered_kind **const kinds = realloc(gathering->kinds, room * sizeof(struct gathered_kind *));
        if (!kinds)
            return NULL;
        gathering->kinds = kinds;
        gathering->kind_room = room;
    }
    struct gathered_kind *const made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->kind = *wanted;
    gathering->slots[slot] = (uint32_t)gathering->kind_count;
    return gathering->kinds[gathering->kind_count++] = made;
}

static struct gathered_kind *kind_find(struct gathering *gathering, struct lap_calls_kind wanted)
{
    for (;;) {
        size_t slot = slot_of(wanted.name, owner_of(&wanted));
        for (; gathering->slots[slot] != NONE; slot = (slot + 1) % SLOTS) {
            struct gathered_kind *const found = gathering->kinds[gathering->slots[slot]];
            if (owner_of(&found->kind) == owner_of(&wanted) && strcmp(found->kind.name, wanted.name) == 0)
                return found;
        }
        if (gathering->kind_count < LAP_CALLS_KINDS || strcmp(wanted.name, LAP_CALLS_OTHERS) == 0)
            return kind_make(gathering, &wanted, slot);
        wanted = (struct lap_calls_kind){.name = LAP_CALLS_OTHERS};
    }
}

/* ---- one call ------------------------------------------------------------------------------------------------------ */

static void time_add(struct gathering *gathering, struct lap_distribution *distribution, double ns)
{
    const int code = lap_distribution_add_one(distribution, ns);
    if (code < 0)
        gathering->error = code;
}

static void ways_add(struct gathering *gathering, struct gathered_kind *kind, uint64_t domain,
                     const struct lap_call_times *times)
{
    struct ways *ways = kind->ways;
    while (ways && ways->domain != domain)
        ways = ways->next;
    if (!ways) {
        ways = calloc(1, sizeof *ways);
        if (!ways) {
            gathering->error = -ENOMEM;
            return;
        }
        ways->domain = domain;
        ways->next = kind->ways;
        kind->ways = ways;
    }
    time_add(gathering, &ways->there, times->there_ns);
    time_add(gathering, &ways->back, times->back_ns);
}

static void kind_add(struct gathering *gathering, struct gathered_kind *kind, uint64_t domain,
                     const struct lap_calls_instance *instance)
{
    const struct lap_call_times *const times = &instance->times;
    kind->kind.count++;
    kind->kind.silent += instance->outcome == LAP_CALLS_IS_SILENT;
    kind->kind.refused += instance->outcome == LAP_CALLS_IS_REFUSED;
    kind->kind.one_way += instance->outcome == LAP_CALLS_IS_ONE_WAY;
    time_add(gathering, &kind->parts[LAP_CALLS_TOTAL], times->total_ns);
    if (instance->outcome != LAP_CALLS_IS_ANSWERED)
        return;
    kind->kind.answered++;
    time_add(gathering, &kind->parts[LAP_CALLS_ANSWERED], times->total_ns);
    time_add(gathering, &kind->parts[LAP_CALLS_SERVER], times->server_ns);
    time_add(gathering, &kind->parts[LAP_CALLS_QUEUE], times->queue_ns);
    time_add(gathering, &kind->parts[LAP_CALLS_HANDLE], times->server_ns - times->queue_ns);
    time_add(gathering, &kind->parts[LAP_CALLS_BETWEEN], times->between_ns);
    if (times->has_ways)
        ways_add(gathering, kind, domain, times);
}

/* Keeps it if it is one of the slowest so far. */
static void slowest_offer(struct gathering *gathering, const struct lap_calls_instance *instance)
{
    struct lap_calls *const calls = gathering->calls;
    size_t at = calls->slowest_count;
    if (at < gathering->options->slowest)
        calls->slowest_count++;
    else if (at == 0 || calls->slowest[at - 1].times.total_ns >= instance->times.total_ns)
        return;
    else
        at--;
    for (; at > 0 && calls->slowest[at - 1].times.total_ns < instance->times.total_ns; at--)
        calls->slowest[at] = calls->slowest[at - 1];
    calls->slowest[at] = *instance;
}

static void clocks_add(struct gathering *gathering, const struct lap_process *process, const struct lap_format_call *call)
{
    const int code = lap_calls_clocks_add(gathering->clocks, process, call);
    if (code < 0)
        gathering->error = code;
}

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathering *const gathering = user;
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    const struct lap_process *const process = cursor->process;
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    clocks_add(gathering, process, call);
    if (call->flags & LAP_FORMAT_CALL_PART)
        return;
    const uint64_t domain = process->control.clock_domain;
    struct lap_calls_instance instance = {.name = lap_catalog_name(&process->catalog, event->class_id),
                                          .process = process,
                                          .thread = cursor->thread,
                                          .begin_realtime_ns =
                                              lap_timebase_realtime_ns(&process->clock, call->sent_ticks),
                                          .trace_id_high = call->trace_id_high,
                                          .trace_id_low = call->trace_id_low,
                                          .span_id = call->span_id,
                                          .peer_domain = call->peer_domain,
                                          .times = lap_call_times(call, process->clock.ns_per_tick, domain)};
    instance.outcome = call->flags & LAP_FORMAT_CALL_ONE_WAY   ? LAP_CALLS_IS_ONE_WAY
                       : call->flags & LAP_FORMAT_CALL_REFUSED ? LAP_CALLS_IS_REFUSED
                       : instance.times.has_server             ? LAP_CALLS_IS_ANSWERED
                                                               : LAP_CALLS_IS_SILENT;
    const enum lap_summary_by by = gathering->options->by;
    struct gathered_kind *const kind =
        kind_find(gathering, (struct lap_calls_kind){.name = instance.name,
                                                     .process = by != LAP_SUMMARY_BY_ALL ? process : NULL,
                                                     .thread = by == LAP_SUMMARY_BY_THREAD ? cursor->thread : NULL});
    if (!kind) {
        gathering->error = -ENOMEM;
        return;
    }
    kind_add(gathering, kind, domain, &instance);
    gathering->recent[gathering->recent_next++ % RECENT] = (struct recent){call->span_id, cursor->ring, kind};
    slowest_offer(gathering, &instance);
}

static void see_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathering *const gathering = user;
    if (event->class->kind != LAP_CLASS_SERVE)
        return;
    const int code = lap_calls_clocks_add_served(gathering->clocks, lap_cursor_of(decoder)->process,
                                                 lap_event_payload(event->words, event->class));
    if (code < 0)
        gathering->error = code;
}

static void see_peer_lap(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathering *const gathering = user;
    const struct lap_format_peer_lap *const told = (const struct lap_format_peer_lap *)(const void *)(event->words + 1);
    for (size_t i = 0; i < RECENT; i++) {
        const struct recent *const recent = &gathering->recent[i];
        if (!recent->kind || recent->span_id != told->span_id || recent->ring != lap_cursor_of(decoder)->ring)
            continue;
        struct gathered_kind *const kind = recent->kind;
        if (!kind->laps)
            kind->laps = calloc(LAP_CALLS_LAPS_HELD, sizeof *kind->laps);
        if (!kind->laps) {
            gathering->error = -ENOMEM;
            return;
        }
        const struct lap_peer_lap lap = lap_peer_lap_of(event->words);
        lap_peer_laps_add(kind->laps, &kind->lap_count, LAP_CALLS_LAPS_HELD, &lap);
        return;
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------------------ */

/* By time, for the clocks: their bounds want the calls nearly in order. */
static int gathering_read(struct gathering *gathering, struct lap_recording *recording)
{
    static const struct lap_visitor visitor = {.call = see_call, .peer_lap = see_peer_lap, .other = see_other};
    const struct lap_calls_options *const options = gathering->options;
    uint64_t done_bytes = 0, total_bytes = 0, told_bytes = 0;
    for (size_t i = 0; i < recording->process_count; i++)
        total_bytes += recording->processes[i]->content_bytes;
    struct lap_merge *merge;
    int found = lap_merge_make(&merge, recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (found < 0)
        return found;
    struct lap_cursor *cursor;
    while ((found = lap_merge_peek(merge, &cursor)) == 1) {
        const uint32_t from = cursor->offset;
        found = lap_cursor_next(cursor, &visitor, gathering);
        if (found < 0 || gathering->error < 0)
            break;
        done_bytes += cursor->offset > from ? cursor->offset - from : 0;
        if (options->progress && done_bytes - told_bytes >= 1u << 20) {
            options->progress(options->user, done_bytes, total_bytes);
            told_bytes = done_bytes;
        }
    }
    lap_merge_free(merge);
    return found < 0 ? found : gathering->error;
}

static void times_fill(struct lap_calls_times *times, const struct lap_distribution *distribution)
{
    *times = (struct lap_calls_times){.count = distribution->count};
    if (distribution->count == 0)
        return;
    times->sum_ns = distribution->total_ns;
    times->mean_ns = distribution->total_ns / (double)distribution->count;
    times->max_ns = distribution->max_ns;
    times->p50_ns = lap_distribution_quantile_ns(distribution, 0.5);
    times->p99_ns = lap_distribution_quantile_ns(distribution, 0.99);
}

static int kind_finish(const struct gathering *gathering, struct gathered_kind *kind)
{
    int code = 0;
    for (struct ways *ways = kind->ways; ways && code == 0; ways = ways->next) {
        if (lap_calls_clocks_is_contradicted(gathering->clocks, ways->domain))
            continue;
        code = lap_distribution_join(&kind->parts[LAP_CALLS_THERE], &ways->there);
        if (code == 0)
            code = lap_distribution_join(&kind->parts[LAP_CALLS_BACK], &ways->back);
    }
    for (int part = 0; part < LAP_CALLS_PARTS; part++)
        times_fill(&kind->kind.times[part], &kind->parts[part]);
    kind->kind.ways = kind->kind.times[LAP_CALLS_THERE].count;
    lap_peer_laps_sort(kind->laps, kind->lap_count);
    kind->kind.lap_count = kind->lap_count < LAP_CALLS_LAPS ? kind->lap_count : LAP_CALLS_LAPS;
    if (kind->laps)
        memcpy(kind->kind.laps, kind->laps, kind->kind.lap_count * sizeof *kind->laps);
    return code;
}

static int kind_compare(const void *left, const void *right)
{
    const struct lap_calls_kind *const a = left, *const b = right;
    if (a->process != b->process) { /* the others' has none, and comes last */
        if (!a->process || !b->process)
            return a->process ? -1 : 1;
        return strcmp(a->process->directory, b->process->directory);
    }
    if (a->thread != b->thread) {
        if (!a->thread || !b->thread)
            return a->thread ? -1 : 1;
        return a->thread->index < b->thread->index ? -1 : 1;
    }
    const double a_ns = a->times[LAP_CALLS_TOTAL].sum_ns, b_ns = b->times[LAP_CALLS_TOTAL].sum_ns;
    return a_ns != b_ns ? (a_ns < b_ns ? 1 : -1) : strcmp(a->name, b->name);
}

static int gathering_finish(struct gathering *gathering)
{
    struct lap_calls *const calls = gathering->calls;
    int code = 0;
    calls->kinds = calloc(gathering->kind_count + 1, sizeof *calls->kinds);
    if (!calls->kinds)
        return -ENOMEM;
    for (size_t i = 0; i < gathering->kind_count && code == 0; i++) {
        code = kind_finish(gathering, gathering->kinds[i]);
        const struct lap_calls_kind *const kind = &gathering->kinds[i]->kind;
        calls->kinds[calls->kind_count++] = *kind;
        calls->count += kind->count;
        calls->answered += kind->answered;
        calls->silent += kind->silent;
        calls->refused += kind->refused;
        calls->one_way += kind->one_way;
        calls->sum_ns += kind->times[LAP_CALLS_TOTAL].sum_ns;
    }
    if (calls->kind_count > 1)
        qsort(calls->kinds, calls->kind_count, sizeof *calls->kinds, kind_compare);
    for (size_t i = 0; i < calls->slowest_count; i++)
        if (calls->slowest[i].times.has_ways &&
            lap_calls_clocks_is_contradicted(gathering->clocks, calls->slowest[i].peer_domain))
            calls->slowest[i].times.has_ways = 0;
    return code == 0 ? lap_calls_clocks_fill(gathering->clocks, calls) : code;
}

static void gathering_done(struct gathering *gathering)
{
    for (size_t i = 0; i < gathering->kind_count; i++) {
        struct gathered_kind *const kind = gathering->kinds[i];
        for (int part = 0; part < LAP_CALLS_PARTS; part++)
            lap_distribution_done(&kind->parts[part]);
        while (kind->ways) {
            struct ways *const ways = kind->ways;
            kind->ways = ways->next;
            lap_distribution_done(&ways->there);
            lap_distribution_done(&ways->back);
            free(ways);
        }
        free(kind->laps);
        free(kind);
    }
    free(gathering->kinds);
    lap_calls_clocks_free(gathering->clocks);
    free(gathering);
}

static bool is_selected(const struct lap_recording *recording)
{
    for (size_t i = 0; i < recording->process_count; i++)
        for (size_t r = 0; r < recording->processes[i]->ring_count; r++) {
            const struct lap_format_statistics *const statistics = recording->processes[i]->rings[r].statistics;
            if (statistics && statistics->taken_back > 0)
                return true;
        }
    return false;
}

int lap_calls_make(struct lap_calls **ret_calls, struct lap_recording *recording, const struct lap_calls_options *options)
{
    if (options->slowest > LAP_CALLS_SLOWEST_MAX)
        return -EINVAL;
    struct lap_calls *const calls = calloc(1, sizeof *calls);
    struct gathering *const gathering = calloc(1, sizeof *gathering);
    if (!calls || !gathering || !(calls->slowest = calloc(options->slowest + 1, sizeof *calls->slowest))) {
        free(calls);
        free(gathering);
        return -ENOMEM;
    }
    gathering->calls = calls;
    gathering->options = options;
    memset(gathering->slots, 0xff, sizeof gathering->slots);
    int code = lap_calls_clocks_make(&gathering->clocks, recording);
    if (code == 0)
        code = gathering_read(gathering, recording);
    if (code == 0)
        code = gathering_finish(gathering);
    calls->is_incomplete = lap_recording_is_incomplete(recording);
    calls->is_selected = is_selected(recording);
    gathering_done(gathering);
    if (code < 0) {
        lap_calls_free(calls);
        return code;
    }
    *ret_calls = calls;
    return 0;
}

void lap_calls_free(struct lap_calls *calls)
{
    if (!calls)
        return;
    for (size_t i = 0; i < calls->clock_count; i++)
        free(calls->clocks[i].steps);
    free(calls->clocks);
    free(calls->slowest);
    free(calls->kinds);
    free(calls);
}
