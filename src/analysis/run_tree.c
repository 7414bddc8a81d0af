/* SPDX-License-Identifier: MIT */
#include "run_tree.h"

#include "samples.h"

#include <errno.h>
#include <stdlib.h>

static int value_make(struct lap_run_value *value, const struct lap_summary_node *node, const struct lap_samples *samples)
{
    value->count = node->count;
    value->total_ns = node->total_ns;
    value->self_ns = node->self_ns;
    if (node->count == 0)
        return 0;
    if (samples->count == node->count)
        return lap_spread_of_samples(&value->spread, samples->ns, samples->count, samples->tick_ns);
    lap_spread_of_distribution(&value->spread, node->distribution);
    return 0;
}

static int values_make(struct lap_run_values *run, struct lap_live_tree *tree, const struct lap_summary_group *group,
                       const struct lap_samples *samples)
{
    uint32_t *const places = malloc((group->node_count + 1) * sizeof *places);
    int code = places ? lap_live_tree_place(tree, group, places) : -ENOMEM;
    run->value_count = tree->count;
    if (code == 0 && !(run->values = calloc(run->value_count + 1, sizeof *run->values)))
        code = -ENOMEM;
    for (size_t i = 0; code == 0 && i < group->node_count; i++)
        code = value_make(&run->values[places[i]], &group->nodes[i], &samples[i]);
    free(places);
    return code;
}

int lap_run_tree_add(struct lap_run_tree *tree, struct lap_recording *recording,
                     const struct lap_summary_options *options)
{
    struct lap_run_values *const runs = realloc(tree->runs, (tree->run_count + 1) * sizeof *runs);
    if (!runs)
        return -ENOMEM;
    tree->runs = runs;
    struct lap_summary_options wanted = options ? *options : (struct lap_summary_options){0};
    wanted.keeps_paths = true;
    struct lap_summary *summary;
    struct lap_samples *samples;
    int code = lap_summary_make(&summary, recording, &wanted);
    if (code < 0)
        return code;
    code = lap_samples_make(&samples, recording, summary);
    if (code == 0) {
        struct lap_run_values run = {0};
        code = values_make(&run, &tree->tree, &summary->groups[0], samples);
        if (code == 0)
            tree->runs[tree->run_count++] = run;
        else
            free(run.values);
        lap_samples_free(samples, summary->groups[0].node_count);
    }
    lap_summary_free(summary);
    return code;
}

void lap_run_tree_done(struct lap_run_tree *tree)
{
    for (size_t i = 0; i < tree->run_count; i++)
        free(tree->runs[i].values);
    free(tree->runs);
    lap_live_tree_done(&tree->tree);
    tree->runs = NULL;
    tree->run_count = 0;
}

const struct lap_run_value *lap_run_tree_value(const struct lap_run_tree *tree, size_t run, uint32_t node)
{
    static const struct lap_run_value none;
    return node < tree->runs[run].value_count ? &tree->runs[run].values[node] : &none;
}
