/* SPDX-License-Identifier: MIT
 *
 * What a live view is made of: distributions added up and taken from one another, a recording opened at its newest part, and
 * the tree that keeps what came since it was told the last time.
 */
#include "distribution.h"
#include "live_tree.h"
#include "statistics.h"
#include "summary.h"
#include "synthetic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void close_to(double got, double wanted)
{
    if (!(fabs(got - wanted) <= 1e-6 * fabs(wanted) + 1e-9))
        fail_msg("%.6f is not %.6f", got, wanted);
}

/* ---- distributions ----------------------------------------------------------------------------------------------------- */

/* Adds values as a stored cell has them. */
static void give(struct lap_distribution *distribution, double ns_per_tick, const uint64_t *ticks, size_t count)
{
    enum { CHUNK = 40 };
    const size_t bytes = (CHUNK + LAP_FORMAT_OCTAVES) * LAP_FORMAT_UNIT_BYTES;
    struct lap_format_statistics *const heap = calloc(1, bytes);
    struct lap_format_cell cell = {.count = count, .min_ticks = UINT64_MAX};
    assert_non_null(heap);
    for (size_t i = 0; i < count; i++) {
        const uint32_t bucket = lap_histogram_bucket(ticks[i]);
        cell.sum_ticks += ticks[i];
        cell.min_ticks = ticks[i] < cell.min_ticks ? ticks[i] : cell.min_ticks;
        cell.max_ticks = ticks[i] > cell.max_ticks ? ticks[i] : cell.max_ticks;
        cell.chunks[LAP_HISTOGRAM_OCTAVE(bucket)] = (uint16_t)(CHUNK + LAP_HISTOGRAM_OCTAVE(bucket));
        uint64_t *const counters =
            (uint64_t *)(void *)((char *)heap + (CHUNK + LAP_HISTOGRAM_OCTAVE(bucket)) * LAP_FORMAT_UNIT_BYTES);
        counters[LAP_HISTOGRAM_COUNTER(bucket)]++;
    }
    assert_int_equal(lap_distribution_add(distribution, heap, &cell, ns_per_tick), 0);
    free(heap);
}

#define GIVE(distribution, ns_per_tick, ...)                                                                             \
    give(distribution, ns_per_tick, (const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void difference_has_what_came_between(void **state)
{
    (void)state;
    struct lap_distribution before = {0}, after = {0}, recent = {0};
    double least, end;
    GIVE(&before, 0.5, 100, 200, 1000, 5000000);
    GIVE(&after, 0.5, 100, 200, 1000, 5000000);
    GIVE(&after, 0.5, 1000, 1000, 1000, 3000);
    assert_int_equal(lap_distribution_since(&recent, &before, &after), 0);
    assert_int_equal(recent.count, 4);
    assert_int_equal(recent.samples, 4);
    close_to(recent.total_ns, 3000);
    /* Neither is of the interval in the whole: the buckets of 1000 (992 to 1023) and of 3000 (2944 to 3071) bound them. */
    close_to(recent.min_ns, 496);
    close_to(recent.max_ns, 1535.5);
    assert_true(lap_distribution_quantile_ns(&recent, 0.5) >= 496 && lap_distribution_quantile_ns(&recent, 0.5) <= 512);
    assert_true(lap_distribution_quantile_ns(&recent, 0.99) <= 1535.5);
    assert_int_equal(lap_distribution_octave(&recent, LAP_HISTOGRAM_OCTAVE(lap_histogram_bucket(1000)), &least, &end), 3);
    close_to(least, 256);
    close_to(end, 512);

    /* Nothing came. */
    assert_int_equal(lap_distribution_since(&recent, &after, &after), 0);
    assert_int_equal(recent.count + recent.samples, 0);
    close_to(recent.max_ns, 0);
    assert_true(lap_distribution_quantile_ns(&recent, 0.99) == 0);

    /* The greatest and the least of all so far are known exactly. */
    struct lap_distribution later = {0};
    assert_int_equal(lap_distribution_join(&later, &after), 0);
    GIVE(&later, 0.5, 7, 9000001);
    assert_int_equal(lap_distribution_since(&recent, &after, &later), 0);
    assert_int_equal(recent.count, 2);
    close_to(recent.min_ns, 3.5);
    close_to(recent.max_ns, 4500000.5);

    /* From nothing: all. */
    const struct lap_distribution nothing = {0};
    assert_int_equal(lap_distribution_since(&recent, &nothing, &before), 0);
    assert_int_equal(recent.count, 4);
    close_to(recent.min_ns, 50);
    close_to(recent.max_ns, 2500000);
    close_to(recent.total_ns, before.total_ns);
    lap_distribution_done(&before);
    lap_distribution_done(&after);
    lap_distribution_done(&later);
    lap_distribution_done(&recent);
}

/* What a tick takes is measured again and again; what was long ago is not measured anew by that. */
static void difference_stands_a_better_rate(void **state)
{
    (void)state;
    struct lap_distribution before = {0}, after = {0}, recent = {0};
    GIVE(&before, 0.5, UINT64_C(1) << 50);
    GIVE(&after, 0.50001, UINT64_C(1) << 50, 2000);
    assert_int_equal(lap_distribution_since(&recent, &before, &after), 0);
    assert_int_equal(recent.count, 1);
    assert_true(fabs(recent.total_ns - 1000.02) < 1);
    assert_true(recent.max_ns < 1100);
    lap_distribution_done(&before);
    lap_distribution_done(&after);
    lap_distribution_done(&recent);
}

static void sums_of_clocks(void **state)
{
    (void)state;
    struct lap_distribution sum = {0}, same = {0}, other = {0};
    GIVE(&same, 1, 100, 300);
    GIVE(&other, 2, 1000);
    assert_int_equal(lap_distribution_join(&sum, &same), 0);
    assert_int_equal(lap_distribution_join(&sum, &other), 0);
    assert_int_equal(sum.count, 3);
    assert_int_equal(sum.samples, 3);
    close_to(sum.total_ns, 2400);
    close_to(sum.min_ns, 100);
    close_to(sum.max_ns, 2000);
    close_to(lap_distribution_quantile_ns(&sum, 1), 2000);
    lap_distribution_clear(&sum);
    assert_int_equal(sum.count + sum.samples, 0);
    assert_int_equal(lap_distribution_join(&sum, &other), 0); /* another clock's turn */
    close_to(lap_distribution_quantile_ns(&sum, 0.5), 2000);
    lap_distribution_done(&sum);
    lap_distribution_done(&same);
    lap_distribution_done(&other);
}

/* ---- recordings and trees ---------------------------------------------------------------------------------------------- */

static struct lap_summary *summary_of(const char *path, bool is_newest, struct lap_recording **ret_recording)
{
    struct lap_summary *summary = NULL;
    const struct lap_summary_options options = {.threads = 1};
    assert_int_equal((is_newest ? lap_recording_open_newest : lap_recording_open)(ret_recording, &path, 1, NULL), 0);
    assert_int_equal(lap_summary_make(&summary, *ret_recording, &options), 0);
    return summary;
}

static size_t segments_of(const struct lap_recording *recording)
{
    return recording->processes[0]->rings[0].segment_count;
}

static void newest_is_enough(void **state)
{
    (void)state;
    for (uint32_t segments_each = 0; segments_each <= 4; segments_each += 4) {
        char *const directory = synthetic_directory();
        struct lap_recording *whole, *newest;
        synthetic_example(directory, "one", 1, 64u << 10, segments_each, 1500);
        struct lap_summary *const all = summary_of(directory, false, &whole), *const some =
                                                                                  summary_of(directory, true, &newest);
        assert_true(segments_of(whole) >= 3);
        assert_int_equal(segments_of(newest), 1);
        assert_int_equal(newest->warning_count, 0);
        assert_int_equal(all->groups[0].node_count, some->groups[0].node_count);
        for (size_t i = 0; i < all->groups[0].node_count; i++) {
            const struct lap_summary_node *const a = &all->groups[0].nodes[i], *const b = &some->groups[0].nodes[i];
            assert_string_equal(a->label, b->label);
            assert_int_equal(a->count, b->count);
            assert_true(a->total_ns == b->total_ns && a->max_ns == b->max_ns && a->p50_ns == b->p50_ns &&
                        a->p99_ns == b->p99_ns);
        }
        lap_summary_free(all);
        lap_summary_free(some);
        lap_recording_free(whole);
        lap_recording_free(newest);
        synthetic_remove(directory);
        free(directory);
    }
}

static void update(struct lap_live_tree *tree, unsigned turns)
{
    char *const directory = synthetic_directory();
    struct lap_recording *recording;
    synthetic_example(directory, "one", 1, 64u << 10, 4, turns);
    struct lap_summary *const summary = summary_of(directory, true, &recording);
    assert_int_equal(lap_live_tree_update(tree, &summary->groups[0]), 0);
    lap_summary_free(summary);
    lap_recording_free(recording);
    synthetic_remove(directory);
    free(directory);
}

static const struct lap_live_node *node_of(const struct lap_live_tree *tree, const char *root, const char *label)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct lap_live_node *const node = &tree->nodes[i];
        if (strcmp(node->label, label) == 0 && (!root || strcmp(tree->nodes[node->parent].label, root) == 0))
            return node;
    }
    fail_msg("there is no '%s'", label);
    return NULL;
}

static void tree_goes_on(void **state)
{
    (void)state;
    struct lap_live_tree tree = LAP_LIVE_TREE_EMPTY, sum = LAP_LIVE_TREE_EMPTY, parts = LAP_LIVE_TREE_EMPTY;
    update(&tree, 10);
    const uint64_t steps = node_of(&tree, NULL, "step")->total.count;
    const size_t count = tree.count;
    assert_int_equal(node_of(&tree, NULL, "step")->recent.count, steps); /* all is new */
    update(&tree, 25);
    assert_int_equal(tree.count, count);
    assert_int_equal(node_of(&tree, NULL, "step")->total.count, steps + 15);
    assert_int_equal(node_of(&tree, NULL, "step")->recent.count, 15);
    close_to(node_of(&tree, NULL, "step")->recent.total_ns, 1500);

    /* Rests come last among their siblings, parents before their children. */
    for (size_t i = 0; i < tree.count; i++) {
        const struct lap_live_node *const node = &tree.nodes[i];
        assert_true(node->parent == LAP_LIVE_NONE || node->parent < i);
        if (node->kind == LAP_SUMMARY_REST)
            assert_true(node->next_sibling == LAP_LIVE_NONE);
    }

    assert_int_equal(lap_live_tree_add(&sum, &tree, NULL), 0);
    assert_int_equal(lap_live_tree_add(&sum, &tree, NULL), 0);
    assert_int_equal(sum.count, tree.count);
    assert_int_equal(node_of(&sum, NULL, "step")->total.count, 2 * (steps + 15));
    assert_int_equal(node_of(&sum, NULL, "step")->recent.count, 30);
    lap_live_tree_clear(&sum);
    assert_int_equal(sum.count, tree.count);
    assert_int_equal(node_of(&sum, NULL, "step")->total.count + node_of(&sum, NULL, "step")->recent.count, 0);

    assert_int_equal(lap_live_tree_add(&parts, &tree, "a"), 0);
    assert_int_equal(lap_live_tree_add(&parts, &tree, "b"), 0);
    assert_int_equal(parts.count, 2 * (tree.count + 1));
    assert_int_equal(node_of(&parts, NULL, "step")->depth, node_of(&tree, NULL, "step")->depth + 1);

    lap_live_tree_rest(&tree);
    assert_int_equal(node_of(&tree, NULL, "step")->recent.count, 0);
    assert_int_equal(node_of(&tree, NULL, "step")->total.count, steps + 15);
    lap_live_tree_done(&tree);
    lap_live_tree_done(&sum);
    lap_live_tree_done(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(difference_has_what_came_between),
        cmocka_unit_test(difference_stands_a_better_rate),
        cmocka_unit_test(sums_of_clocks),
        cmocka_unit_test(newest_is_enough),
        cmocka_unit_test(tree_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
