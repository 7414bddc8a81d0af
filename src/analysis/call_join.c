/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "call_join.h"

#include "cursor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define IN_FLIGHT (1u << 18)   /* calls of which one side was seen; the oldest are forgotten */
#define SERVED_HELD (1u << 12) /* calls of which both were; few, since a cache must hold them */
#define BUCKETS (2 * IN_FLIGHT)
#define NOBODY UINT32_MAX
#define CHAIN_MAX 512u
#define CALLERS_MAX (1u << 18) /* in all; what is beyond is not joined */
#define SERVERS_MAX 16u        /* paths that serve one call before it is seen; what is beyond is not joined */

/* One side of a call; of a profiler by its own name, too, which many may be started by. A call stays for a while when it is served: one
 * that was sent again, or on to several, is served more than once. */
struct side {
    uint64_t span_id;
    uint32_t process; /* NOBODY: free */
    uint32_t path;
    uint32_t count; /* of a server that waits: how often it has served that */
    bool is_caller;
    bool stays; /* for longer than it is held once it is served */
};

struct begun {
    uint64_t handle;
    uint32_t path;
};

struct lap_call_join {
    struct lap_recording *recording;
    struct begun **begun; /* a process, then a ring: its last handle */
    struct side *sides;   /* used round and round */
    uint32_t *buckets;    /* side + 1 */
    uint32_t next;
    struct {
        uint64_t span_id; /* 0: none */
        uint32_t side;
    } * served; /* used round and round, too */
    uint32_t next_served;
    struct lap_call_caller *callers;
    uint32_t *caller_buckets; /* caller + 1; twice as many as there is room for callers */
    size_t caller_count, caller_room;
    int error;
};

/* ---- sides by their span ----------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(uint64_t span_id)
{
    return (uint32_t)((span_id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (BUCKETS - 1);
}

static uint32_t after(uint32_t bucket) { return (bucket + 1) & (BUCKETS - 1); }

/* The bucket of one side of this span, by what is in it: 0 for the free one behind all of them. */
static uint32_t *bucket_with(const struct lap_call_join *join, uint64_t span_id, uint32_t what)
{
    uint32_t at = bucket_of(span_id);
    while (join->buckets[at] != what)
        at = after(at);
    return &join->buckets[at];
}

/* The next bucket from this one on that has a side of this span; NULL: none. */
static uint32_t *side_next(const struct lap_call_join *join, uint64_t span_id, uint32_t at)
{
    while (join->buckets[at] != 0 && join->sides[join->buckets[at] - 1].span_id != span_id)
        at = after(at);
    return join->buckets[at] != 0 ? &join->buckets[at] : NULL;
}

/* Takes one out, and moves up those behind it that would not be found any more. */
static void bucket_clear(struct lap_call_join *join, uint32_t *bucket)
{
    uint32_t hole = (uint32_t)(bucket - join->buckets);
    join->sides[*bucket - 1].process = NOBODY;
    for (uint32_t at = after(hole); join->buckets[at] != 0; at = after(at)) {
        const uint32_t home = bucket_of(join->sides[join->buckets[at] - 1].span_id);
        if (((at - home) & (BUCKETS - 1)) < ((at - hole) & (BUCKETS - 1)))
            continue;
        join->buckets[hole] = join->buckets[at];
        hole = at;
    }
    join->buckets[hole] = 0;
}

static void side_put(struct lap_call_join *join, const struct side *side)
{
    struct side *const place = &join->sides[join->next];
    if (place->process != NOBODY)
        bucket_clear(join, bucket_with(join, place->span_id, join->next + 1));
    *place = *side;
    *bucket_with(join, side->span_id, 0) = join->next + 1;
    join->next = (join->next + 1) % IN_FLIGHT;
}

/* A call that stays from its first server on, instead of the oldest of these. */
static void served_put(struct lap_call_join *join, uint32_t side)
{
    const uint32_t at = join->next_served, oldest = join->served[at].side;
    const uint64_t span_id = join->served[at].span_id;
    const bool is_there = join->sides[oldest].process != NOBODY && join->sides[oldest].span_id == span_id;
    if (span_id != 0 && is_there && join->sides[oldest].is_caller)
        bucket_clear(join, bucket_with(join, span_id, oldest + 1));
    join->served[at].span_id = join->sides[side].span_id;
    join->served[at].side = side;
    join->sides[side].stays = true;
    join->next_served = (at + 1) % SERVED_HELD;
}

/* ---- both sides -------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct lap_call_caller *a, const struct lap_call_caller *b)
{
    return a->server == b->server && a->path == b->path && a->client == b->client && a->call_path == b->call_path;
}

/* Where it is, or the free place for it. */
static uint32_t *caller_find(const struct lap_call_join *join, const struct lap_call_caller *caller)
{
    uint64_t hash = ((uint64_t)caller->server << 32 | caller->path) * UINT64_C(0x9E3779B97F4A7C15);
    hash = ((hash ^ hash >> 32) + ((uint64_t)caller->client << 32 | caller->call_path)) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(hash >> 32) & (2 * join->caller_room - 1);
    while (join->caller_buckets[at] != 0 && !is_same(&join->callers[join->caller_buckets[at] - 1], caller))
        at = (at + 1) & (2 * join->caller_room - 1);
    return &join->caller_buckets[at];
}

static int callers_reserve(struct lap_call_join *join)
{
    if (join->caller_count < join->caller_room)
        return 0;
    const size_t room = join->caller_room ? 2 * join->caller_room : 64;
    struct lap_call_caller *const callers = realloc(join->callers, room * sizeof *callers);
    if (callers)
        join->callers = callers;
    uint32_t *const buckets = callers ? calloc(2 * room, sizeof *buckets) : NULL;
    if (!buckets)
        return -ENOMEM;
    free(join->caller_buckets);
    join->caller_buckets = buckets;
    join->caller_room = room;
    for (size_t i = 0; i < join->caller_count; i++)
        *caller_find(join, &callers[i]) = (uint32_t)i + 1;
    return 0;
}

static void pair_add(struct lap_call_join *join, const struct side *call, const struct side *serve)
{
    const struct lap_call_caller caller = {serve->process, serve->path, call->process, call->path, serve->count};
    if (callers_reserve(join) < 0) {
        join->error = -ENOMEM;
        return;
    }
    uint32_t *const bucket = caller_find(join, &caller);
    if (*bucket != 0) {
        join->callers[*bucket - 1].calls += serve->count;
    } else if (join->caller_count < CALLERS_MAX) {
        join->callers[join->caller_count++] = caller;
        *bucket = (uint32_t)join->caller_count;
    }
}

/* It takes the place of the first that waits for it. */
static void caller_add(struct lap_call_join *join, const struct side *caller)
{
    uint32_t *bucket = side_next(join, caller->span_id, bucket_of(caller->span_id));
    if (!bucket) {
        side_put(join, caller);
        return;
    }
    const uint32_t place = *bucket - 1;
    struct side *const first = &join->sides[place];
    if (first->is_caller)
        return; /* the same name twice */
    pair_add(join, caller, first);
    *first = *caller;
    const uint32_t others = after((uint32_t)(bucket - join->buckets));
    while ((bucket = side_next(join, caller->span_id, others)) != NULL) {
        pair_add(join, caller, &join->sides[*bucket - 1]);
        bucket_clear(join, bucket);
    }
    if (!caller->stays)
        served_put(join, place);
}

static void server_add(struct lap_call_join *join, const struct side *server)
{
    unsigned others = 0;
    uint32_t *bucket = side_next(join, server->span_id, bucket_of(server->span_id));
    for (; bucket; bucket = side_next(join, server->span_id, after((uint32_t)(bucket - join->buckets))), others++) {
        struct side *const other = &join->sides[*bucket - 1];
        if (other->is_caller) {
            pair_add(join, other, server);
            if (!other->stays)
                served_put(join, *bucket - 1);
            return;
        }
        if (other->process == server->process && other->path == server->path) {
            other->count++;
            return;
        }
    }
    if (others < SERVERS_MAX)
        side_put(join, server);
}

static void side_add(struct lap_call_join *join, uint64_t span_id, const struct lap_process *process, uint32_t path,
                     bool is_caller, bool stays)
{
    const struct side side = {span_id, (uint32_t)process->index, path, 1, is_caller, stays};
    if (path >= LAP_FORMAT_PATHS)
        return;
    if (is_caller)
        caller_add(join, &side);
    else
        server_add(join, &side);
}

/* ---- the pass ---------------------------------------------------------------------------------------------------------- */

static struct begun *begun_of(struct lap_call_join *join, const struct lap_cursor *cursor)
{
    return &join->begun[cursor->process->index][cursor->ring - cursor->process->rings];
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_call_join *const join = user;
    if (event->class->kind != LAP_CLASS_HANDLE_BEGIN)
        return;
    const struct lap_format_handle_begin *const begin = lap_event_payload(event->words, event->class);
    *begun_of(join, lap_cursor_of(decoder)) = (struct begun){begin->handle, begin->path};
}

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_call_join *const join = user;
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    if (!(call->flags & LAP_FORMAT_CALL_PART))
        side_add(join, call->span_id, lap_cursor_of(decoder)->process, call->path, true, false);
}

/* One that serves without stamps, by a traceparent; and whom that was of, where it was no call. */
static void see_link(struct lap_call_join *join, const struct lap_format_link *link, const struct lap_process *process)
{
    const bool is_caller = link->relation == LAP_FORMAT_LINK_IS;
    if (is_caller || link->relation == LAP_FORMAT_LINK_PARENT)
        side_add(join, link->span_id, process, link->path, is_caller, is_caller);
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
    const struct begun *const begun = begun_of(join, cursor);
    if (begun->handle == serve->handle)
        side_add(join, serve->span_id, cursor->process, begun->path, false, false);
}

/* ---- who is the same --------------------------------------------------------------------------------------------------- */

static const char *label_of(const struct lap_process *process, uint32_t path)
{
    return lap_catalog_name(&process->catalog, process->path_entries[path].class_id);
}

static bool is_there(const struct lap_process *process, uint32_t path) { return path != 0 && path < process->path_count; }

/* By their labels. */
static int paths_compare(const struct lap_process *a, uint32_t p, const struct lap_process *b, uint32_t q)
{
    for (unsigned depth = 0; depth < CHAIN_MAX; depth++) {
        if (!is_there(a, p) || !is_there(b, q))
            return is_there(a, p) - is_there(b, q);
        const int order = a == b && p == q ? 0 : strcmp(label_of(a, p), label_of(b, q));
        if (order != 0)
            return order;
        p = a->path_entries[p].parent;
        q = b->path_entries[q].parent;
    }
    return 0;
}

static int served_compare(const struct lap_call_caller *a, const struct lap_call_caller *b)
{
    return a->server != b->server ? (a->server > b->server) - (a->server < b->server)
                                  : (a->path > b->path) - (a->path < b->path);
}

/* By who is called, then by the path of the calls. */
static int callers_compare(const void *left, const void *right, void *user)
{
    const struct lap_call_caller *const a = left, *const b = right;
    struct lap_process *const *const processes = user;
    int order = served_compare(a, b);
    if (order == 0)
        order = paths_compare(processes[a->client], a->call_path, processes[b->client], b->call_path);
    return order != 0 ? order : (a->client > b->client) - (a->client < b->client);
}

/* Clients that call by the same path become one, the first of them. */
static void callers_join(struct lap_call_join *join)
{
    struct lap_process **const processes = join->recording->processes;
    if (join->caller_count != 0)
        qsort_r(join->callers, join->caller_count, sizeof *join->callers, callers_compare, processes);
    size_t kept = 0;
    for (size_t i = 0; i < join->caller_count; i++) {
        const struct lap_call_caller *const caller = &join->callers[i];
        struct lap_call_caller *const last = kept > 0 ? &join->callers[kept - 1] : NULL;
        if (last && served_compare(last, caller) == 0 &&
            paths_compare(processes[last->client], last->call_path, processes[caller->client], caller->call_path) == 0)
            last->calls += caller->calls;
        else
            join->callers[kept++] = *caller;
    }
    join->caller_count = kept;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

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
    join->begun = calloc(recording->process_count, sizeof *join->begun);
    join->sides = malloc(IN_FLIGHT * sizeof *join->sides);
    join->buckets = calloc(BUCKETS, sizeof *join->buckets);
    join->served = calloc(SERVED_HELD, sizeof *join->served);
    int code = join->begun && join->sides && join->buckets && join->served ? 0 : -ENOMEM;
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
    callers_join(join);
    *ret_join = join;
    return 0;
}

void lap_call_join_free(struct lap_call_join *join)
{
    if (!join)
        return;
    for (size_t p = 0; join->begun && p < join->recording->process_count; p++)
        free(join->begun[p]);
    free(join->begun);
    free(join->callers);
    free(join->caller_buckets);
    free(join->sides);
    free(join->served);
    free(join->buckets);
    free(join);
}

/* The first caller of a path; caller_count where none calls it. */
static size_t first_find(const struct lap_call_join *join, const struct lap_call_caller *served)
{
    size_t from = 0, to = join->caller_count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (served_compare(&join->callers[middle], served) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from < join->caller_count && served_compare(&join->callers[from], served) == 0 ? from : join->caller_count;
}

int lap_call_join_find(const struct lap_call_join *join, size_t server, uint32_t path, size_t *ret_client,
                       uint32_t *ret_path)
{
    const struct lap_call_caller served = {.server = (uint32_t)server, .path = path};
    const size_t count = join ? join->caller_count : 0, first = count != 0 ? first_find(join, &served) : 0;
    if (first == count || (first + 1 < count && served_compare(&join->callers[first + 1], &served) == 0))
        return 0;
    *ret_client = join->callers[first].client;
    *ret_path = join->callers[first].call_path;
    return 1;
}

size_t lap_call_join_callers(const struct lap_call_join *join, const struct lap_call_caller **ret_callers)
{
    *ret_callers = join ? join->callers : NULL;
    return join ? join->caller_count : 0;
}
