/* SPDX-License-Identifier: MIT */
#include "clock_tree.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What an error is at most multiplied by where it goes from one clock to another: 1 / (1 - 500 ppm), and its rounding. */
#define ERROR_GROWTH 1.000501

struct domain {
    bool is_reached;
    size_t pair; /* towards the root; SIZE_MAX: none */
    uint32_t parent;
};

struct lap_clock_tree {
    uint32_t domain_count;
    struct domain *domains;
    struct lap_clock_pair *pairs;
    size_t pair_count;
    struct lap_clock_loop *loops;
    size_t loop_count;
};

/* Each turn takes the pair with the least error that leads to a new domain. */
static int tree_grow(struct lap_clock_tree *tree)
{
    double *const errors = malloc((tree->pair_count + 1) * sizeof *errors);
    if (!errors)
        return -ENOMEM;
    for (size_t i = 0; i < tree->pair_count; i++)
        errors[i] = lap_clock_bounds_median_error_ns(tree->pairs[i].bounds);
    for (;;) {
        size_t best = SIZE_MAX;
        double least = INFINITY;
        for (size_t i = 0; i < tree->pair_count; i++) {
            const struct lap_clock_pair *const pair = &tree->pairs[i];
            if (tree->domains[pair->client].is_reached != tree->domains[pair->server].is_reached && errors[i] < least) {
                least = errors[i];
                best = i;
            }
        }
        if (best == SIZE_MAX)
            break;
        const struct lap_clock_pair *const pair = &tree->pairs[best];
        const bool is_client_new = !tree->domains[pair->client].is_reached;
        tree->domains[is_client_new ? pair->client : pair->server] =
            (struct domain){.is_reached = true, .pair = best, .parent = is_client_new ? pair->server : pair->client};
    }
    free(errors);
    return 0;
}

/* A time with an error across one pair. */
static int pair_move(const struct lap_clock_pair *pair, bool is_to_server, const struct lap_clock_time *from,
                     struct lap_clock_time *ret_time)
{
    int (*const move)(const struct lap_clock_bounds *, int64_t, struct lap_clock_time *) =
        is_to_server ? lap_clock_bounds_to_server : lap_clock_bounds_to_client;
    struct lap_clock_time time, end;
    const int code = move(pair->bounds, from->time_ns, &time);
    if (code < 0)
        return code;
    time.is_near_step = time.is_near_step || from->is_near_step;
    if (from->error_ns > 0 && from->error_ns < 0x1p62) {
        const int64_t error = (int64_t)from->error_ns + 1;
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t at;
            if (__builtin_add_overflow(from->time_ns, sign * error, &at) || move(pair->bounds, at, &end) < 0 ||
                end.is_near_step || end.steps != time.steps)
                time.is_near_step = true;
        }
    }
    time.error_ns += from->error_ns * ERROR_GROWTH;
    *ret_time = time;
    return 0;
}

int lap_clock_tree_to_root(const struct lap_clock_tree *tree, uint32_t domain, int64_t time_ns,
                           struct lap_clock_time *ret_time)
{
    if (domain >= tree->domain_count)
        return -EINVAL;
    if (!tree->domains[domain].is_reached)
        return -ENODATA;
    struct lap_clock_time time = {.time_ns = time_ns};
    for (uint32_t at = domain; tree->domains[at].pair != SIZE_MAX; at = tree->domains[at].parent) {
        const struct lap_clock_pair *const pair = &tree->pairs[tree->domains[at].pair];
        const int code = pair_move(pair, pair->client == at, &time, &time);
        if (code < 0)
            return code == -EINVAL ? -ERANGE : code;
    }
    *ret_time = time;
    return 0;
}

/* The two ways from a pair's client to the root, at one time. False: not both exist, or a step is near. */
static bool loop_sample(const struct lap_clock_tree *tree, const struct lap_clock_pair *pair, int64_t client_ns,
                        double *ret_residual, double *ret_error)
{
    struct lap_clock_time by_tree, server, by_pair;
    if (lap_clock_tree_to_root(tree, pair->client, client_ns, &by_tree) < 0 ||
        lap_clock_bounds_to_server(pair->bounds, client_ns, &server) < 0 ||
        lap_clock_tree_to_root(tree, pair->server, server.time_ns, &by_pair) < 0 || by_tree.is_near_step ||
        server.is_near_step || by_pair.is_near_step)
        return false;
    double growth = 1;
    for (uint32_t at = pair->server; tree->domains[at].pair != SIZE_MAX; at = tree->domains[at].parent)
        growth *= ERROR_GROWTH;
    int64_t residual;
    if (__builtin_sub_overflow(by_tree.time_ns, by_pair.time_ns, &residual))
        return false;
    *ret_residual = residual < 0 ? -(double)residual : (double)residual;
    *ret_error = by_tree.error_ns + by_pair.error_ns + server.error_ns * growth;
    return true;
}

static void loop_close(struct lap_clock_tree *tree, size_t index)
{
    enum { SAMPLES = 16 };
    const struct lap_clock_pair *const pair = &tree->pairs[index];
    struct lap_clock_loop *const loop = &tree->loops[tree->loop_count++];
    int64_t from, to;
    *loop = (struct lap_clock_loop){.pair = index};
    if (lap_clock_bounds_span(pair->bounds, &from, &to) < 0)
        return;
    for (int i = 0; i < SAMPLES; i++) {
        const int64_t time = from + (to - from) / (SAMPLES - 1) * i;
        double residual, error;
        if (!loop_sample(tree, pair, time, &residual, &error))
            continue;
        if (loop->samples++ == 0 || residual - error > loop->residual_ns - loop->error_ns) {
            loop->client_ns = time;
            loop->residual_ns = residual;
            loop->error_ns = error;
            loop->is_within = residual <= error;
        }
    }
}

int lap_clock_tree_make(struct lap_clock_tree **ret_tree, uint32_t domain_count, uint32_t root,
                        const struct lap_clock_pair *pairs, size_t pair_count)
{
    if (root >= domain_count)
        return -EINVAL;
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].client >= domain_count || pairs[i].server >= domain_count)
            return -EINVAL;
    struct lap_clock_tree *const tree = calloc(1, sizeof *tree);
    if (!tree)
        return -ENOMEM;
    tree->domain_count = domain_count;
    tree->pair_count = pair_count;
    tree->domains = calloc(domain_count, sizeof *tree->domains);
    tree->pairs = calloc(pair_count + 1, sizeof *tree->pairs);
    tree->loops = calloc(pair_count + 1, sizeof *tree->loops);
    int code = tree->domains && tree->pairs && tree->loops ? 0 : -ENOMEM;
    if (code == 0) {
        if (pair_count != 0)
            memcpy(tree->pairs, pairs, pair_count * sizeof *pairs);
        for (uint32_t i = 0; i < domain_count; i++)
            tree->domains[i] = (struct domain){.is_reached = i == root, .pair = SIZE_MAX};
        code = tree_grow(tree);
    }
    if (code < 0) {
        lap_clock_tree_free(tree);
        return code;
    }
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].client != pairs[i].server && tree->domains[pairs[i].client].pair != i &&
            tree->domains[pairs[i].server].pair != i)
            loop_close(tree, i);
    *ret_tree = tree;
    return 0;
}

void lap_clock_tree_free(struct lap_clock_tree *tree)
{
    if (!tree)
        return;
    free(tree->domains);
    free(tree->pairs);
    free(tree->loops);
    free(tree);
}

bool lap_clock_tree_has(const struct lap_clock_tree *tree, uint32_t domain)
{
    return domain < tree->domain_count && tree->domains[domain].is_reached;
}

size_t lap_clock_tree_pair(const struct lap_clock_tree *tree, uint32_t domain)
{
    return domain < tree->domain_count ? tree->domains[domain].pair : SIZE_MAX;
}

const struct lap_clock_pair *lap_clock_tree_get_pair(const struct lap_clock_tree *tree, size_t index)
{
    return &tree->pairs[index];
}

size_t lap_clock_tree_loop_count(const struct lap_clock_tree *tree) { return tree->loop_count; }

const struct lap_clock_loop *lap_clock_tree_loops(const struct lap_clock_tree *tree) { return tree->loops; }
