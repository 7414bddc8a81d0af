/* SPDX-License-Identifier: MIT */
#include "call_join.h"

#include "cursor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT (1u << 18) /* calls of which one side was seen; the oldest are forgotten */
#define BUCKETS (2 * IN_FLIGHT)
#define NOBODY UINT32_MAX
#define CHAIN_MAX 64u

/* One side of a call; of a profiler by its own name, too, which many may be started by. */
struct side {
    uint64_t span_id;
    uint32_t process; /* NOBODY: free */
    uint32_t path;
    bool is_caller;
    bool stays;
};

struct served {
    uint32_t client; /* process; NOBODY: none yet */
    uint32_t path;
    uint32_t last_client, last_path; /* that were found to be the same */
    bool is_mixed;
};

struct begun {
    uint64_t handle;
    uint32_t path;
};

struct lap_call_join {
    struct lap_recording *recording;
    struct served **served; /* a process, then a path; NULL: the process serves nothing */
    struct begun **begun;   /* a process, then a ring: its last handle */
    struct side *sides;     /* used round and round */
    uint32_t *buckets;      /* side + 1 */
    uint32_t next;
    int error;
};

/* ---- sides that wait for the other ------------------------------------------------------------------------------------- */

static uint32_t bucket_of(uint64_t span_id)
{
    return (uint32_t)((span_id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (BUCKETS - 1);
}

static uint32_t *side_find(const struct lap_call_join *join, uint64_t span_id)
{
    uint32_t at = bucket_of(span_id);
    while (join->buckets[at] != 0 && join->sides[join->buckets[at] - 1].span_id != span_id)
        at = (at + 1) & (BUCKETS - 1);
    return &join->buckets[at];
}

/* Takes one out, and moves up those behind it that would not be found any more. */
static void bucket_clear(struct lap_call_join *join, uint32_t *bucket)
{
    uint32_t hole = (uint32_t)(bucket - join->buckets);
    join->sides[*bucket - 1].process = NOBODY;
    for (uint32_t at = (hole + 1) & (BUCKETS - 1); join->buckets[at] != 0; at = (at + 1) & (BUCKETS - 1)) {
        const uint32_t home = bucket_of(join->sides[join->buckets[at] - 1].span_id);
        if (((at - home) & (BUCKETS - 1)) < ((at - hole) & (BUCKETS - 1)))
            continue;
        join->buckets[hole] = join->buckets[at];
        hole = at;
    }
    join->buckets[hole] = 0;
}

static void side_wait(struct lap_call_join *join, const struct side *side)
{
    struct side *const place = &join->sides[join->next];
    if (place->process != NOBODY)
        bucket_clear(join, side_find(join, place->span_id));
    *place = *side;
    *side_find(join, side->span_id) = join->next + 1;
    join->next = (join->next + 1) % IN_FLIGHT;
}

/* ---- both sides -------------------------------------------------------------------------------------------------------- */

static const struct lap_format_path *path_entry(const struct lap_process *process, uint32_t path)
{
    return path != 0 && path < process->path_count ? &process->path_entries[path] : NULL;
}

/* Do two paths have the same labels? */
static bool paths_equal(const struct lap_process *a, uint32_t p, const struct lap_process *b, uint32_t q)
{
    for (unsigned depth = 0; depth < CHAIN_MAX; depth++) {
        const struct lap_format_path *const at = path_entry(a, p), *const other = path_entry(b, q);
        if (!at || !other)
            return !at && !other;
        if (strcmp(lap_catalog_name(&a->catalog, at->class_id), lap_catalog_name(&b->catalog, other->class_id)) != 0)
            return false;
        p = at->parent;
        q = other->parent;
    }
    return true;
}

static void pair_add(struct lap_call_join *join, const struct side *call, const struct side *serve)
{
    struct lap_process *const *const processes = join->recording->processes;
    if (!join->served[serve->process]) {
        struct served *const served = malloc(LAP_FORMAT_PATHS * sizeof *served);
        if (!served) {
            join->error = -ENOMEM;
            return;
        }
        for (uint32_t path = 0; path < LAP_FORMAT_PATHS; path++)
            served[path] = (struct served){.client = NOBODY};
        join->served[serve->process] = served;
    }
    struct served *const served = &join->served[serve->process][serve->path];
    if (served->client == NOBODY)
        *served = (struct served){call->process, call->path, call->process, call->path, false};
    if (served->is_mixed || (served->last_client == call->process && served->last_path == call->path))
        return;
    served->is_mixed = !paths_equal(processes[served->client], served->path, processes[call->process], call->path);
    served->last_client = call->process;
    served->last_path = call->path;
}

static void side_add(struct lap_call_join *join, const struct side *side)
{
    if (side->path >= LAP_FORMAT_PATHS)
        return;
    uint32_t *const bucket = side_find(join, side->span_id);
    if (*bucket == 0) {
        side_wait(join, side);
        return;
    }
    const struct side other = join->sides[*bucket - 1];
    if (other.is_caller == side->is_caller)
        return; /* many replies to one call, or a request that was sent twice */
    if (!other.stays)
        bucket_clear(join, bucket);
    if (side->stays)
        side_wait(join, side);
    pair_add(join, side->is_caller ? side : &other, side->is_caller ? &other : side);
}

/* ---- the pass ---------------------------------------------------------------------------------------------------------- */

static uint32_t index_of(const struct lap_call_join *join, const struct lap_process *process)
{
    uint32_t index = 0;
    while (join->recording->processes[index] != process)
        index++;
    return index;
}

static struct begun *begun_of(struct lap_call_join *join, uint32_t process, const struct lap_ring *ring)
{
    return &join->begun[process][ring - join->recording->processes[process]->rings];
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_call_join *const join = user;
    if (event->class->kind != LAP_CLASS_HANDLE_BEGIN)
        return;
    const struct lap_format_handle_begin *const begin = lap_event_payload(event->words, event->class);
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    *begun_of(join, index_of(join, cursor->process), cursor->ring) = (struct begun){begin->handle, begin->path};
}

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_call_join *const join = user;
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    const uint32_t process = index_of(join, lap_cursor_of(decoder)->process);
    side_add(join, &(const struct side){call->span_id, process, call->path, true, false});
}

/* One that serves without stamps, by a traceparent; and whom that was of, where it was no call. */
static void see_link(struct lap_call_join *join, const struct lap_format_link *link, const struct lap_process *process)
{
    const bool is_caller = link->relation == LAP_FORMAT_LINK_IS;
    if (is_caller || link->relation == LAP_FORMAT_LINK_PARENT)
        side_add(join, &(const struct side){link->span_id, index_of(join, process), link->path, is_caller, is_caller});
}

/* A profiler that serves begins right before it says so, on the same thread. */
static void see_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_call_join *const join = user;
    if (event->class->kind == LAP_CLASS_LINK)
        see_link(join, lap_event_payload(event->words, event->class), lap_cursor_of(decoder)->process);
    if (event->class->kind != LAP_CLASS_SERVE)
        return;
    const struct lap_format_serve *const serve = lap_event_payload(event->words, event->class);
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    const uint32_t process = index_of(join, cursor->process);
    const struct begun *const begun = begun_of(join, process, cursor->ring);
    if (begun->handle == serve->handle)
        side_add(join, &(const struct side){serve->span_id, process, begun->path, false, false});
}

static bool calls(const struct lap_recording *recording)
{
    for (size_t p = 0; p < recording->process_count; p++) {
        if (recording->processes[p]->control.links != 0)
            return true;
        for (uint32_t id = 0; id < recording->processes[p]->catalog.class_count; id++)
            if (recording->processes[p]->catalog.classes[id].kind == LAP_CLASS_CALL)
                return true;
    }
    return false;
}

static int run(struct lap_call_join *join)
{
    static const struct lap_visitor visitor = {.handle = see_handle, .call = see_call, .other = see_other};
    struct lap_merge *merge;
    int code = lap_merge_make(&merge, join->recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (code < 0)
        return code;
    while ((code = lap_merge_next(merge, &visitor, join)) == 1 && join->error == 0)
        continue;
    lap_merge_free(merge);
    return code < 0 ? code : join->error;
}

int lap_call_join_make(struct lap_call_join **ret_join, struct lap_recording *recording)
{
    *ret_join = NULL;
    if (recording->process_count < 2 || !calls(recording))
        return 0;
    struct lap_call_join *const join = calloc(1, sizeof *join);
    if (!join)
        return -ENOMEM;
    join->recording = recording;
    join->served = calloc(recording->process_count, sizeof *join->served);
    join->begun = calloc(recording->process_count, sizeof *join->begun);
    join->sides = malloc(IN_FLIGHT * sizeof *join->sides);
    join->buckets = calloc(BUCKETS, sizeof *join->buckets);
    int code = join->served && join->begun && join->sides && join->buckets ? 0 : -ENOMEM;
    for (size_t p = 0; code == 0 && p < recording->process_count; p++) {
        join->begun[p] = calloc(recording->processes[p]->ring_count + 1, sizeof **join->begun);
        code = join->begun[p] ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; code == 0 && i < IN_FLIGHT; i++)
        join->sides[i].process = NOBODY;
    if (code == 0)
        code = run(join);
    if (code < 0) {
        lap_call_join_free(join);
        return code;
    }
    *ret_join = join;
    return 0;
}

void lap_call_join_free(struct lap_call_join *join)
{
    if (!join)
        return;
    for (size_t p = 0; p < join->recording->process_count; p++) {
        if (join->served)
            free(join->served[p]);
        if (join->begun)
            free(join->begun[p]);
    }
    free(join->served);
    free(join->begun);
    free(join->sides);
    free(join->buckets);
    free(join);
}

int lap_call_join_find(const struct lap_call_join *join, size_t server, uint32_t path, size_t *ret_client, uint32_t *ret_path)
{
    if (!join || path >= LAP_FORMAT_PATHS || !join->served[server])
        return 0;
    const struct served *const served = &join->served[server][path];
    if (served->client == NOBODY || served->is_mixed)
        return 0;
    *ret_client = served->client;
    *ret_path = served->path;
    return 1;
}
