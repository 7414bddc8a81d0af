/* SPDX-License-Identifier: MIT */
#include "calls_clocks.h"

#include "clock_tree.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Clocks of a machine's processors may be so far apart and still count as one. */
enum { ONE_CLOCK_NS = 1000, SCALE_SHIFT = 40 };
#define WAITING (1u << 16) /* sides of calls; one that falls on another's place takes it, which only widens the bounds */

/* One rate for all that read the clock: two processes measure it slightly differently, which would look like a step between
 * their calls. */
struct domain {
    uint64_t id;
    uint64_t scale;                    /* nanoseconds a tick, times 2^40 */
    const struct lap_process *process; /* by whose measure; NULL: none is in the recording, and the peer's word counts */
};

struct pair {
    struct domain client, server;
    struct lap_clock_bounds *bounds;
    uint64_t calls, impossible; /* impossible: of the calls, their times cannot be */
};

/* One side of a call that may have gone one way. */
struct one_side {
    uint64_t span_id; /* 0: none */
    uint64_t domain, ticks;
    bool is_sent;
};

struct lap_calls_clocks {
    struct one_side *waiting; /* NULL: none yet */
    struct domain *domains;
    size_t domain_count;
    struct pair *pairs[LAP_CALLS_PAIRS];
    size_t pair_count, last; /* last: the pair that was met last */
    uint64_t client_untold, server_untold, pairs_left_out;
};

/* ---- domains ------------------------------------------------------------------------------------------------------- */

static uint64_t scale_of(double ns_per_tick)
{
    const double scale = ns_per_tick * (double)(UINT64_C(1) << SCALE_SHIFT);
    return scale >= 1 && scale < 0x1p63 ? (uint64_t)(scale + 0.5) : 0;
}

static double measured_ticks(const struct lap_process *process)
{
    return process->end_ticks > process->clock.start_ticks ? (double)(process->end_ticks - process->clock.start_ticks)
                                                           : 0;
}

static bool is_better(const struct lap_process *left, const struct lap_process *right)
{
    if (left->clock.rate_from != right->clock.rate_from)
        return left->clock.rate_from > right->clock.rate_from;
    return measured_ticks(left) > measured_ticks(right);
}

static struct domain *domain_find(const struct lap_calls_clocks *clocks, uint64_t id)
{
    for (size_t i = 0; i < clocks->domain_count; i++)
        if (clocks->domains[i].id == id)
            return &clocks->domains[i];
    return NULL;
}

int lap_calls_clocks_make(struct lap_calls_clocks **ret_clocks, const struct lap_recording *recording)
{
    struct lap_calls_clocks *const clocks = calloc(1, sizeof *clocks);
    if (!clocks || !(clocks->domains = calloc(recording->process_count + 1, sizeof *clocks->domains))) {
        free(clocks);
        return -ENOMEM;
    }
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_process *const process = recording->processes[i];
        if (process->control.clock_domain == 0)
            continue;
        struct domain *domain = domain_find(clocks, process->control.clock_domain);
        if (!domain)
            domain = &clocks->domains[clocks->domain_count++];
        else if (!is_better(process, domain->process))
            continue;
        *domain = (struct domain){process->control.clock_domain, scale_of(process->clock.ns_per_tick), process};
    }
    *ret_clocks = clocks;
    return 0;
}

void lap_calls_clocks_free(struct lap_calls_clocks *clocks)
{
    if (!clocks)
        return;
    for (size_t i = 0; i < clocks->pair_count; i++) {
        lap_clock_bounds_free(clocks->pairs[i]->bounds);
        free(clocks->pairs[i]);
    }
    free(clocks->waiting);
    free(clocks->domains);
    free(clocks);
}

static double domain_hz(const struct domain *domain)
{
    return domain->scale ? 1e9 * (double)(UINT64_C(1) << SCALE_SHIFT) / (double)domain->scale : 0;
}

/* A reading of the clock in nanoseconds; -1: it cannot be. */
static int64_t domain_ns(const struct domain *domain, uint64_t ticks)
{
    if (domain->scale == 0)
        return -1;
    const lap_uint128 ns = (lap_uint128)ticks * domain->scale >> SCALE_SHIFT;
    return ns < (lap_uint128)LAP_CLOCK_TIME_LIMIT ? (int64_t)ns : -1;
}

/* The realtime clock's, of a client's nanoseconds. */
static uint64_t domain_realtime_ns(const struct domain *domain, int64_t ns)
{
    const struct lap_timebase *const clock = &domain->process->clock;
    return clock->start_realtime_ns + (uint64_t)(ns - domain_ns(domain, clock->start_ticks));
}

/* ---- pairs --------------------------------------------------------------------------------------------------------- */

static struct pair *pair_find(struct lap_calls_clocks *clocks, uint64_t client, uint64_t server)
{
    for (size_t i = 0; i < clocks->pair_count; i++) {
        const size_t place = (clocks->last + i) % clocks->pair_count;
        struct pair *const pair = clocks->pairs[place];
        if (pair->client.id == client && pair->server.id == server) {
            clocks->last = place;
            return pair;
        }
    }
    return NULL;
}

/* The pair of a call, made with the first one; NULL in *ret_pair: there is no room, which is counted. */
static int pair_get(struct lap_calls_clocks *clocks, uint64_t client_domain, uint64_t server_domain, uint32_t server_khz,
                    struct pair **ret_pair)
{
    *ret_pair = pair_find(clocks, client_domain, server_domain);
    if (*ret_pair)
        return 0;
    if (clocks->pair_count >= LAP_CALLS_PAIRS) {
        clocks->pairs_left_out++;
        return 0;
    }
    struct pair *const pair = calloc(1, sizeof *pair);
    if (!pair)
        return -ENOMEM;
    const struct domain *const server = domain_find(clocks, server_domain);
    pair->client = *domain_find(clocks, client_domain);
    pair->server = server ? *server : (struct domain){server_domain, scale_of(1e6 / server_khz), NULL};
    const int code = lap_clock_bounds_make(&pair->bounds, NULL);
    if (code < 0) {
        free(pair);
        return code;
    }
    clocks->pairs[clocks->pair_count++] = *ret_pair = pair;
    return 0;
}

static int answered_add(struct lap_calls_clocks *clocks, uint64_t client, const struct lap_format_call *call)
{
    if (client == 0 || call->peer_domain == 0) {
        clocks->client_untold += client == 0;
        clocks->server_untold += client != 0;
        return 0;
    }
    struct pair *pair;
    int code = pair_get(clocks, client, call->peer_domain, call->peer_khz, &pair);
    if (code < 0 || !pair)
        return code;
    const int64_t t1 = domain_ns(&pair->client, call->sent_ticks), t4 = domain_ns(&pair->client, call->got_ticks);
    const int64_t t2 = domain_ns(&pair->server, call->received_ticks), t3 = domain_ns(&pair->server, call->replied_ticks);
    pair->calls++;
    code = t1 < 0 || t2 < 0 || t3 < 0 || t4 < 0 ? -EINVAL : lap_clock_bounds_add_call(pair->bounds, t1, t2, t3, t4);
    pair->impossible += code == -EINVAL;
    return code == -EINVAL ? 0 : code;
}

static int message_add(struct lap_calls_clocks *clocks, const struct one_side *sent, const struct one_side *received)
{
    struct pair *pair;
    int code = pair_get(clocks, sent->domain, received->domain, 0, &pair);
    if (code < 0 || !pair)
        return code;
    const int64_t t1 = domain_ns(&pair->client, sent->ticks), t2 = domain_ns(&pair->server, received->ticks);
    pair->calls++;
    code = t1 < 0 || t2 < 0 ? -EINVAL : lap_clock_bounds_add_message(pair->bounds, t1, t2);
    pair->impossible += code == -EINVAL;
    return code == -EINVAL ? 0 : code;
}

static int side_add(struct lap_calls_clocks *clocks, const struct one_side *side)
{
    if (side->span_id == 0 || side->domain == 0)
        return 0;
    if (!clocks->waiting && !(clocks->waiting = calloc(WAITING, sizeof *clocks->waiting)))
        return -ENOMEM;
    struct one_side *const place = &clocks->waiting[(side->span_id * UINT64_C(0x9E3779B97F4A7C15)) >> 48];
    static_assert(WAITING == 1u << (64 - 48), "a hash's bits");
    const struct one_side other = *place;
    if (other.span_id != side->span_id || other.is_sent == side->is_sent) {
        *place = *side;
        return 0;
    }
    *place = (struct one_side){.span_id = 0};
    return message_add(clocks, side->is_sent ? side : &other, side->is_sent ? &other : side);
}

int lap_calls_clocks_add(struct lap_calls_clocks *clocks, const struct lap_process *process,
                         const struct lap_format_call *call)
{
    const uint64_t client = process->control.clock_domain;
    if (call->flags & LAP_FORMAT_CALL_ONE_WAY)
        return side_add(clocks, &(const struct one_side){call->span_id, client, call->sent_ticks, true});
    const bool is_answered = !(call->flags & LAP_FORMAT_CALL_REFUSED) && lap_call_times(call, 1, client).has_server;
    return is_answered ? answered_add(clocks, client, call) : 0;
}

int lap_calls_clocks_add_served(struct lap_calls_clocks *clocks, const struct lap_process *process,
                                const struct lap_format_serve *serve)
{
    const uint64_t server = process->control.clock_domain;
    return side_add(clocks, &(const struct one_side){serve->span_id, server, serve->received_ticks, false});
}

bool lap_calls_clocks_is_contradicted(const struct lap_calls_clocks *clocks, uint64_t domain)
{
    for (size_t i = 0; i < clocks->pair_count; i++) {
        const struct pair *const pair = clocks->pairs[i];
        if (pair->client.id == domain && pair->server.id == domain)
            return lap_clock_bounds_contradicts_zero(pair->bounds, ONE_CLOCK_NS);
    }
    return false;
}

/* ---- one time ------------------------------------------------------------------------------------------------------- */

int lap_calls_clocks_tree(const struct lap_calls_clocks *clocks, uint64_t root_domain, struct lap_clock_tree **ret_tree)
{
    struct lap_clock_pair *const pairs = calloc(clocks->pair_count + 1, sizeof *pairs);
    if (!pairs)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < clocks->pair_count; i++) {
        const struct domain *const client = domain_find(clocks, clocks->pairs[i]->client.id);
        const struct domain *const server = domain_find(clocks, clocks->pairs[i]->server.id);
        if (client && server && client != server)
            pairs[count++] = (struct lap_clock_pair){(uint32_t)(client - clocks->domains),
                                                     (uint32_t)(server - clocks->domains), clocks->pairs[i]->bounds};
    }
    const int code = lap_clock_tree_make(ret_tree, (uint32_t)clocks->domain_count,
                                         (uint32_t)(domain_find(clocks, root_domain) - clocks->domains), pairs, count);
    free(pairs);
    return code;
}

const struct lap_process *lap_calls_clocks_process(const struct lap_calls_clocks *clocks, uint32_t domain)
{
    return clocks->domains[domain].process;
}

int lap_calls_clocks_to_root(const struct lap_calls_clocks *clocks, const struct lap_clock_tree *tree,
                             const struct lap_process *root, const struct lap_process *process, uint64_t ticks,
                             struct lap_clock_time *ret_time)
{
    const struct domain *const domain = domain_find(clocks, process->control.clock_domain);
    const struct domain *const to = domain_find(clocks, root->control.clock_domain);
    const int64_t ns = domain ? domain_ns(domain, ticks) : -1, start_ns = domain_ns(to, root->clock.start_ticks);
    if (ns < 0 || start_ns < 0)
        return -ENODATA;
    const int code = lap_clock_tree_to_root(tree, (uint32_t)(domain - clocks->domains), ns, ret_time);
    if (code == 0)
        ret_time->time_ns += (int64_t)root->clock.start_realtime_ns - start_ns;
    return code;
}

/* ---- the result ---------------------------------------------------------------------------------------------------- */

static int steps_fill(struct lap_calls_clock *clock, const struct pair *pair)
{
    struct lap_clock_window window;
    clock->steps = calloc(lap_clock_bounds_step_count(pair->bounds) + 1, sizeof *clock->steps);
    if (!clock->steps)
        return -ENOMEM;
    for (size_t i = 0; i < clock->windows; i++) {
        lap_clock_bounds_window(pair->bounds, i, &window);
        if (window.begin == LAP_CLOCK_STEP && clock->step_count < lap_clock_bounds_step_count(pair->bounds))
            clock->steps[clock->step_count++] =
                (struct lap_calls_step){.after_time_ns = domain_realtime_ns(&pair->client, window.after_ns),
                                        .before_time_ns = domain_realtime_ns(&pair->client, window.before_ns),
                                        .step_ns = window.step_ns,
                                        .error_ns = window.step_error_ns};
    }
    return 0;
}

static int offset_fill(struct lap_calls_clock *clock, const struct pair *pair)
{
    int64_t from_ns, to_ns;
    struct lap_clock_offset offset;
    struct lap_clock_window window;
    clock->windows = lap_clock_bounds_window_count(pair->bounds);
    if (clock->windows == 0 || lap_clock_bounds_span(pair->bounds, &from_ns, &to_ns) < 0 ||
        lap_clock_bounds_at(pair->bounds, to_ns, &offset) < 0)
        return 0;
    lap_clock_bounds_window(pair->bounds, clock->windows - 1, &window);
    const double less = window.rate - window.rate_least, more = window.rate_greatest - window.rate;
    clock->has_offset = true;
    clock->theta_ns = offset.offset_ns;
    clock->error_ns = offset.error_ns;
    clock->end_time_ns = domain_realtime_ns(&pair->client, to_ns);
    clock->drift_ppm = window.rate * 1e6;
    clock->drift_error_ppm = (less > more ? less : more) * 1e6;
    return steps_fill(clock, pair);
}

static int clock_fill(struct lap_calls_clock *clock, const struct pair *pair)
{
    struct lap_clock_counts counts;
    lap_clock_bounds_counts(pair->bounds, &counts);
    *clock =
        (struct lap_calls_clock){.client = pair->client.id,
                                 .server = pair->server.id,
                                 .client_hz = domain_hz(&pair->client),
                                 .server_hz = domain_hz(&pair->server),
                                 .calls = pair->calls,
                                 .left_out = pair->impossible + counts.contradictory + counts.late + counts.ambiguous,
                                 .is_server_read = pair->server.process != NULL};
    if (pair->client.id == pair->server.id) {
        clock->is_contradicted = lap_clock_bounds_contradicts_zero(pair->bounds, ONE_CLOCK_NS);
        clock->is_same = !clock->is_contradicted;
    }
    return clock->is_same ? 0 : offset_fill(clock, pair);
}

static int clock_compare(const void *left, const void *right)
{
    const struct lap_calls_clock *const a = left, *const b = right;
    return a->calls != b->calls ? (a->calls < b->calls ? 1 : -1) : (a->server > b->server) - (a->server < b->server);
}

int lap_calls_clocks_fill(const struct lap_calls_clocks *clocks, struct lap_calls *calls)
{
    calls->client_untold = clocks->client_untold;
    calls->server_untold = clocks->server_untold;
    calls->pairs_left_out = clocks->pairs_left_out;
    calls->clocks = calloc(clocks->pair_count + 1, sizeof *calls->clocks);
    if (!calls->clocks)
        return -ENOMEM;
    int code = 0;
    for (size_t i = 0; i < clocks->pair_count && code == 0; i++)
        code = clock_fill(&calls->clocks[calls->clock_count++], clocks->pairs[i]);
    if (calls->clock_count > 1)
        qsort(calls->clocks, calls->clock_count, sizeof *calls->clocks, clock_compare);
    return code;
}
