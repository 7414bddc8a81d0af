/* SPDX-License-Identifier: MIT */
#include "generated_runs.h"

#include <math.h>
#include <stdlib.h>

enum { DEPTH_MAX = 16, NODES_MAX = 64 };

double generated_normal(struct lap_random *random)
{
    const double pi = 3.14159265358979323846;
    return sqrt(-2 * log(1 - lap_random_unit(random))) * cos(2 * pi * lap_random_unit(random));
}

void generated_draw(struct lap_random *random, const struct generated_times *times, double *ret_ns, size_t count)
{
    const double scale = times->p50_ns * exp(times->run_effect * generated_normal(random));
    const double fresh = sqrt(1 - times->correlation * times->correlation);
    double level = generated_normal(random);
    for (size_t i = 0; i < count; i++) {
        ret_ns[i] = scale * exp(times->sigma * level);
        level = times->correlation * level + fresh * generated_normal(random);
    }
}

static void check(int is_good)
{
    if (!is_good)
        abort();
}

void generated_add(struct lap_run_tree *tree, const struct generated_node *nodes, size_t count)
{
    static char empty[] = "";
    struct lap_summary_node made[NODES_MAX] = {0};
    uint32_t around[DEPTH_MAX], places[NODES_MAX];
    check(count <= NODES_MAX);
    for (size_t i = 0; i < count; i++) {
        made[i] = (struct lap_summary_node){.label = nodes[i].label,
                                            .file = empty,
                                            .function = empty,
                                            .kind = (uint8_t)nodes[i].kind,
                                            .parent = nodes[i].depth > 0 ? around[nodes[i].depth - 1] : LAP_SUMMARY_NONE};
        around[nodes[i].depth] = (uint32_t)i;
    }
    const struct lap_summary_group group = {.nodes = made, .node_count = count};
    check(lap_live_tree_place(&tree->tree, &group, places) == 0);
    check((tree->runs = realloc(tree->runs, (tree->run_count + 1) * sizeof *tree->runs)) != NULL);
    struct lap_run_values *const run = &tree->runs[tree->run_count++];
    run->value_count = tree->tree.count;
    check((run->values = calloc(run->value_count + 1, sizeof *run->values)) != NULL);
    for (size_t i = 0; i < count; i++) {
        struct lap_run_value *const value = &run->values[places[i]];
        for (size_t k = 0; k < nodes[i].count; k++)
            value->total_ns += nodes[i].ns[k];
        value->self_ns = value->total_ns;
        value->count = nodes[i].count;
        check(nodes[i].count == 0 || lap_spread_of_samples(&value->spread, nodes[i].ns, nodes[i].count, 0) == 0);
    }
    for (size_t i = 0; i < count; i++)
        if (nodes[i].kind == LAP_SUMMARY_PROFILER && made[i].parent != LAP_SUMMARY_NONE)
            run->values[places[made[i].parent]].self_ns -= run->values[places[i]].total_ns;
}
