/* SPDX-License-Identifier: MIT
 *
 * The tree of profilers and laps: its numbers, what it is made of (stored statistics and events in every mixture), groups,
 * merging by labels, and the slowest instances.
 */
#include "cursor.h"
#include "distribution.h"
#include "heap.h"
#include "slowest.h"
#include "summary.h"
#include "synthetic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *directory;

static int setup(void **state)
{
    (void)state;
    directory = synthetic_directory();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_remove(directory);
    free(directory);
    return 0;
}

static struct lap_recording *open_all(void)
{
    const char *const path = directory;
    struct lap_recording *recording = NULL;
    assert_int_equal(lap_recording_open(&recording, &path, 1, NULL), 0);
    return recording;
}

static struct lap_summary *make(struct lap_recording *recording, enum lap_summary_source source, enum lap_summary_by by,
                                unsigned threads)
{
    const struct lap_summary_options options = {
        .source = source, .by = by, .threads = threads, .compares = source == LAP_SUMMARY_EVENTS};
    struct lap_summary *summary = NULL;
    assert_int_equal(lap_summary_make(&summary, recording, &options), 0);
    return summary;
}

/* A node by its path, the labels joined by '/'. */
static const struct lap_summary_node *find(const struct lap_summary_group *group, const char *path)
{
    for (size_t i = 0; i < group->node_count; i++) {
        char text[1024] = "";
        for (uint32_t node = (uint32_t)i; node != LAP_SUMMARY_NONE; node = group->nodes[node].parent) {
            char longer[2048];
            snprintf(longer, sizeof longer, "%s%s%s", group->nodes[node].label, text[0] ? "/" : "", text);
            snprintf(text, sizeof text, "%.1000s", longer);
        }
        if (strcmp(text, path) == 0)
            return &group->nodes[i];
    }
    print_error("no node '%s'\n", path);
    return NULL;
}

static void assert_near(double value, double expected)
{
    if (fabs(value - expected) > 1e-6 * fabs(expected) + 1e-9)
        print_error("%.9g is not %.9g\n", value, expected);
    assert_true(fabs(value - expected) <= 1e-6 * fabs(expected) + 1e-9);
}

static void assert_node(const struct lap_summary_group *group, const char *path, enum lap_summary_kind kind,
                        uint64_t count, double each)
{
    const struct lap_summary_node *const node = find(group, path);
    assert_non_null(node);
    assert_int_equal(node->kind, kind);
    assert_int_equal(node->count, count);
    assert_near(node->total_ns, each * (double)count);
    assert_near(node->min_ns, each);
    assert_near(node->max_ns, each);
    assert_near(node->mean_ns, each);
    assert_near(node->p50_ns, each);
    assert_near(node->p999_ns, each);
}

static void assert_example(const struct lap_summary_group *group, uint64_t turns)
{
    assert_node(group, "outer(%d)", LAP_SUMMARY_PROFILER, turns, 1000);
    assert_near(find(group, "outer(%d)")->self_ns, 700.0 * (double)turns);
    assert_node(group, "outer(%d)/inner", LAP_SUMMARY_PROFILER, turns, 300);
    assert_node(group, "outer(%d)/inner/(checkpoint at file.c:190)", LAP_SUMMARY_LAP, 2 * turns, 50);
    assert_node(group, "outer(%d)/inner/(rest)", LAP_SUMMARY_REST, turns, 200);
    assert_node(group, "outer(%d)/text %s %lld", LAP_SUMMARY_LAP, turns, 600);
    assert_node(group, "outer(%d)/(rest)", LAP_SUMMARY_REST, turns, 300);
    assert_node(group, "request", LAP_SUMMARY_PROFILER, turns, 900);
    assert_node(group, "request/received", LAP_SUMMARY_LAP, 2 * turns, 300);
    assert_node(group, "request/(rest)", LAP_SUMMARY_REST, turns, 300);
    assert_int_equal(find(group, "request")->is_handle, 1);
    assert_int_equal(find(group, "outer(%d)/inner/(checkpoint at file.c:190)")->is_numbered, 1);
    assert_string_equal(find(group, "outer(%d)")->function, "fun_16");
    assert_int_equal(find(group, "outer(%d)")->line, 160);
    const struct lap_summary_node *const step = find(group, "outer(%d)/step"); /* one more, of the scope that is open */
    assert_int_equal(step->count % (turns + 1), 0);
    assert_near(step->min_ns, 7);
    assert_near(step->max_ns, 100);
}

/* Depth first, rests last, links right. */
static void assert_order(const struct lap_summary_group *group)
{
    for (uint32_t i = 0; i < group->node_count; i++) {
        const struct lap_summary_node *const node = &group->nodes[i];
        if (node->parent != LAP_SUMMARY_NONE) {
            assert_true(node->parent < i);
            assert_int_equal(node->depth, group->nodes[node->parent].depth + 1);
        } else {
            assert_int_equal(node->depth, 0);
        }
        if (node->first_child != LAP_SUMMARY_NONE) {
            assert_int_equal(node->first_child, i + 1);
            assert_int_equal(group->nodes[node->first_child].parent, i);
        }
        if (node->next_sibling != LAP_SUMMARY_NONE) {
            assert_int_equal(group->nodes[node->next_sibling].parent, node->parent);
            assert_true(node->kind != LAP_SUMMARY_REST);
        }
    }
}

static void test_example(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 10);
    struct lap_recording *const recording = open_all();
    for (int source = LAP_SUMMARY_STORED; source <= LAP_SUMMARY_EVENTS; source++) {
        struct lap_summary *const summary = make(recording, (enum lap_summary_source)source, LAP_SUMMARY_BY_ALL, 0);
        assert_int_equal(summary->group_count, 1);
        assert_example(&summary->groups[0], 10);
        assert_order(&summary->groups[0]);
        assert_int_equal(summary->events, 10 * 12 + 4);
        assert_int_equal(summary->events_decoded, summary->events);
        assert_int_equal(summary->overwritten, 0);
        assert_int_equal(summary->abandoned, 1);
        assert_int_equal(summary->replayed, source == LAP_SUMMARY_STORED ? 12 + 4 : 0);
        assert_near(summary->cost_ns, (double)summary->events * 10);
        assert_near(summary->span_ns, 1e10);
        assert_near(summary->resolution_ns, 20);
        assert_near(summary->groups[0].total_ns, 10 * 1900);
        if (source == LAP_SUMMARY_EVENTS) {
            assert_int_equal(summary->comparison, 1);
            assert_int_equal(summary->difference.rings_compared, 1);
        }
        lap_summary_free(summary);
    }
    lap_recording_free(recording);
}

/* Two processes whose classes and paths have other numbers, on one host and on one whose clock runs twice as fast. */
static void test_merges_by_labels(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 10);
    struct synthetic process;
    static struct synthetic_ring ring;
    synthetic_open(&process, directory, "b-2-y", 2);
    synthetic_class(&process, 30, "begin", "inner", 0, "");
    synthetic_class(&process, 31, "begin", "outer(%d)", 0, "i");
    process.control.clock_hz = 2000000000;
    process.control.end.ticks = SYNTHETIC_START + UINT64_C(20000000000);
    synthetic_ring_open(&ring, &process, 0, 65536, 4);
    const uint64_t argument = 5;
    for (int i = 0; i < 10; i++) {
        synthetic_event(&ring, 10, 31, &argument, 1);
        synthetic_event(&ring, 10, 30, NULL, 0);
        synthetic_event(&ring, 600, LAP_FORMAT_END, NULL, 0);
        synthetic_event(&ring, 1390, LAP_FORMAT_END, NULL, 0);
    }
    synthetic_ring_close(&ring);
    synthetic_close(&process);

    struct lap_recording *const recording = open_all();
    struct lap_summary *summary = make(recording, LAP_SUMMARY_STORED, LAP_SUMMARY_BY_ALL, 0);
    assert_node(&summary->groups[0], "outer(%d)", LAP_SUMMARY_PROFILER, 20, 1000);
    assert_node(&summary->groups[0], "outer(%d)/inner", LAP_SUMMARY_PROFILER, 20, 300);
    assert_near(find(&summary->groups[0], "outer(%d)")->self_ns, 700 * 20);
    struct lap_summary_process counts;
    lap_summary_get_process(summary, recording->processes[1], &counts);
    assert_int_equal(counts.events, strcmp(recording->processes[1]->name, "b-2-y") == 0 ? 40 : 124);
    lap_summary_free(summary);

    summary = make(recording, LAP_SUMMARY_EVENTS, LAP_SUMMARY_BY_PROCESS, 0);
    assert_int_equal(summary->group_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_ptr_equal(summary->groups[i].process, recording->processes[i]);
        assert_int_equal(find(&summary->groups[i], "outer(%d)")->count, 10);
        assert_order(&summary->groups[i]);
    }
    lap_summary_free(summary);
    lap_recording_free(recording);
}

static void test_by_thread(void **state)
{
    (void)state;
    struct synthetic process;
    static struct synthetic_ring rings[3];
    synthetic_open(&process, directory, "a-1-x", 1);
    synthetic_class(&process, 20, "begin", "work", 0, "");
    for (uint32_t i = 0; i < 3; i++) {
        synthetic_ring_open(&rings[i], &process, i, 65536, 4);
        for (uint32_t k = 0; k <= i; k++) {
            synthetic_event(&rings[i], 10, 20, NULL, 0);
            synthetic_event(&rings[i], 100, LAP_FORMAT_END, NULL, 0);
        }
        if (i == 2)
            synthetic_thread(&rings[i], 7000, 40, "later");
        synthetic_ring_close(&rings[i]);
    }
    synthetic_close(&process);
    struct lap_recording *const recording = open_all();
    struct lap_summary *const summary = make(recording, LAP_SUMMARY_STORED, LAP_SUMMARY_BY_THREAD, 0);
    assert_int_equal(summary->group_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(find(&summary->groups[i], "work")->count, i + 1);
        assert_int_equal(summary->groups[i].threads, i == 2 ? 2 : 1);
        if (i < 2)
            assert_int_equal(summary->groups[i].thread->id, 5000 + i);
        else
            assert_null(summary->groups[i].thread);
    }
    lap_summary_free(summary);
    lap_recording_free(recording);
}

/* Long enough to be read in parts by several threads: the same to the last counter, whatever the number of threads, and
 * with scopes open across every border. */
static void test_parts(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 0, 60000);
    struct lap_recording *const recording = open_all();
    assert_true(recording->processes[0]->content_bytes > UINT64_C(16) << 20);
    struct lap_summary *const one = make(recording, LAP_SUMMARY_EVENTS, LAP_SUMMARY_BY_ALL, 1);
    assert_int_equal(one->comparison, 1);
    assert_example(&one->groups[0], 60000);
    for (int source = LAP_SUMMARY_STORED; source <= LAP_SUMMARY_EVENTS; source++) {
        struct lap_summary *const many = make(recording, (enum lap_summary_source)source, LAP_SUMMARY_BY_ALL, 3);
        assert_int_equal(many->events, one->events);
        assert_int_equal(many->events_decoded, one->events_decoded);
        assert_int_equal(many->orphans, 0);
        assert_int_equal(many->groups[0].node_count, one->groups[0].node_count);
        for (size_t i = 0; i < one->groups[0].node_count; i++) {
            const struct lap_summary_node *const p = &one->groups[0].nodes[i];
            const struct lap_summary_node *const q = &many->groups[0].nodes[i];
            assert_string_equal(p->label, q->label);
            assert_int_equal(p->count, q->count);
            assert_near(p->total_ns, q->total_ns);
            assert_near(p->p99_ns, q->p99_ns);
        }
        if (source == LAP_SUMMARY_EVENTS)
            assert_int_equal(many->comparison, 1);
        lap_summary_free(many);
    }
    lap_summary_free(one);
    struct lap_summary_difference difference;
    assert_int_equal(lap_summary_compare(recording, NULL, &difference), 1);
    lap_recording_free(recording);
}

/* Samples too many in what is stored are found, and told. One may be: events lie behind the statistics here. */
static void test_compare_finds_a_difference(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 10);
    char path[600];
    size_t bytes;
    snprintf(path, sizeof path, "%s/a-1-x/.lapmark/statistics-0000", directory);
    char *const heap = synthetic_read(path, &bytes);
    uint32_t unit = 0;
    struct lap_format_cell *const cell =
        (struct lap_format_cell *)(uintptr_t)lap_heap_next((const struct lap_format_statistics *)(void *)heap, &unit);
    assert_non_null(cell);
    cell->count += 2;
    synthetic_write(path, heap, bytes);
    const uint32_t number = cell->path - 1;
    free(heap);
    struct lap_recording *const recording = open_all();
    struct lap_summary_difference difference;
    assert_int_equal(lap_summary_compare(recording, NULL, &difference), 0);
    assert_int_equal(difference.path, number);
    assert_int_equal(difference.stored_count, difference.events_count + 2);
    assert_ptr_equal(difference.process, recording->processes[0]);
    lap_recording_free(recording);
}

/* Wherever the recorder was when it was killed, the statistics come out the same. */
static void test_any_applied_position(void **state)
{
    (void)state;
    struct synthetic process;
    static struct synthetic_ring ring;
    for (unsigned applied = 0; applied <= 24; applied++) {
        char name[32];
        snprintf(name, sizeof name, "p-%u-x", applied);
        synthetic_open(&process, directory, name, (uint8_t)(1 + applied));
        synthetic_class(&process, 20, "begin", "work", 0, "");
        synthetic_class(&process, 21, "mark", "part", 0, "i");
        synthetic_ring_open(&ring, &process, 0, 320, 0); /* a few events a segment */
        for (unsigned event = 0; event < 24; event++) {
            const uint64_t argument = event;
            if (event % 4 == 0)
                synthetic_event(&ring, 10, 20, NULL, 0);
            else if (event % 4 == 3)
                synthetic_event(&ring, 50, LAP_FORMAT_END, NULL, 0);
            else
                synthetic_event(&ring, 20, 21, &argument, 1);
            if (event + 1 == applied)
                synthetic_apply(&ring);
        }
        synthetic_ring_close(&ring);
        synthetic_close(&process);
    }
    struct lap_recording *const recording = open_all();
    struct lap_summary *const summary = make(recording, LAP_SUMMARY_STORED, LAP_SUMMARY_BY_PROCESS, 0);
    assert_int_equal(summary->group_count, 25);
    for (size_t i = 0; i < 25; i++) {
        assert_node(&summary->groups[i], "work", LAP_SUMMARY_PROFILER, 6, 90);
        assert_node(&summary->groups[i], "work/part", LAP_SUMMARY_LAP, 12, 20);
        assert_node(&summary->groups[i], "work/(rest)", LAP_SUMMARY_REST, 6, 50);
    }
    lap_summary_free(summary);
    lap_recording_free(recording);
}

/* Of 1 to 100000 ticks, one each: percentiles within a bucket's width, in which they are interpolated. */
static void test_quantiles(void **state)
{
    (void)state;
    struct lap_paths paths;
    void *const memory = calloc(1, LAP_PATHS_BYTES);
    uint32_t *const buckets = calloc(1, LAP_PATHS_BUCKETS_BYTES);
    lap_paths_init(&paths, memory, buckets);
    const uint32_t path = lap_paths_get(&paths, LAP_PATHS_ROOT, 20);
    struct lap_statistics statistics;
    assert_int_equal(lap_heap_init(&statistics, NULL, 0, &paths), 0);
    for (uint64_t ticks = 1; ticks <= 100000; ticks++)
        lap_statistics_add(&statistics, path, ticks);
    struct lap_distribution distribution = {0};
    assert_int_equal(lap_distribution_add(&distribution, statistics.heap, lap_statistics_cell(&statistics, path), 0.5),
                     0);
    const double shares[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        const double exact = shares[i] * 50000;
        const double value = lap_distribution_quantile_ns(&distribution, shares[i]);
        assert_true(fabs(value - exact) <= exact * 0.002 + 1); /* even samples: interpolation is nearly exact */
    }
    assert_near(lap_distribution_quantile_ns(&distribution, 0), 0.5);
    assert_near(lap_distribution_quantile_ns(&distribution, 1), 50000);

    /* The same from a clock of another rate: buckets are spread, nothing is lost. */
    assert_int_equal(lap_distribution_add(&distribution, statistics.heap, lap_statistics_cell(&statistics, path), 0.35),
                     0);
    assert_int_equal(distribution.samples, 200000);
    assert_int_equal(distribution.count, 200000);
    const double p50 = lap_distribution_quantile_ns(&distribution, 0.5), exact = 100000 / (1 / 0.5 + 1 / 0.35);
    assert_true(fabs(p50 - exact) < exact * 0.03);
    lap_distribution_done(&distribution);
    lap_heap_done(&statistics);
    pthread_mutex_destroy(&paths.lock);
    free(memory);
    free(buckets);
}

static void test_slowest(void **state)
{
    (void)state;
    struct synthetic process;
    static struct synthetic_ring ring;
    synthetic_open(&process, directory, "a-1-x", 1);
    synthetic_class(&process, 20, "begin", "job %d", 0, "i");
    synthetic_class(&process, 21, "begin", "inner %d", 0, "i");
    synthetic_class(&process, 22, "mark", "part %d", LAP_CLASS_N, "i");
    synthetic_class(&process, 23, "mark", "once", 0, "");
    synthetic_ring_open(&ring, &process, 0, 1024, 0);
    for (uint64_t job = 0; job < 50; job++) {
        const uint64_t slow = job * 7 % 50; /* a permutation */
        synthetic_event(&ring, 10, 20, &job, 1);
        for (uint64_t part = 0; part < 3; part++) {
            const uint64_t words[] = {job + part, part};
            synthetic_event(&ring, 10 + slow, 22, words, 2);
        }
        synthetic_event(&ring, 5, 23, NULL, 0);
        synthetic_event(&ring, 5, 21, &job, 1);
        synthetic_event(&ring, 100 + slow, LAP_FORMAT_END, NULL, 0);
        synthetic_event(&ring, 20, LAP_FORMAT_END, NULL, 0);
    }
    synthetic_ring_close(&ring);
    synthetic_close(&process);

    struct lap_recording *const recording = open_all();
    struct lap_slowest *slowest;
    struct lap_slowest_options options = {.count = 3};
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    assert_int_equal(slowest->matched, 50);
    assert_int_equal(slowest->instance_count, 3);
    static const char *const messages[] = {"job 7", "job 14", "job 21"}; /* slow 49, 48, 47 */
    for (size_t i = 0; i < 3; i++) {
        const struct lap_slowest_instance *const instance = &slowest->instances[i];
        const double slow = 49 - (double)i;
        assert_string_equal(instance->message, messages[i]);
        assert_near(instance->total_ns, 3 * (10 + slow) + 10 + 100 + slow + 20);
        assert_int_equal(instance->checkpoints, 4);
        assert_false(instance->is_incomplete);
        assert_string_equal(instance->thread->name, "thread0");
        assert_near((double)(instance->end_ticks - instance->begin_ticks), instance->total_ns);
        assert_int_equal(instance->lap_count, 4);
        assert_string_equal(instance->laps[0].label, "part #");
        assert_int_equal(instance->laps[0].count, 3);
        assert_near(instance->laps[0].total_ns, 3 * (10 + slow));
        assert_near(instance->laps[0].until_ns, 3 * (10 + slow));
        assert_int_equal(instance->laps[0].has_n, 1);
        assert_int_equal(instance->laps[0].n, atoi(messages[i] + 4) + 2);
        assert_string_equal(instance->laps[1].label, "once");
        assert_int_equal(instance->laps[2].kind, LAP_SLOWEST_PROFILER);
        assert_near(instance->laps[2].total_ns, 100 + slow);
        assert_string_equal(instance->laps[3].label, "(rest)");
        assert_near(instance->laps[3].until_ns, instance->total_ns);
    }
    lap_slowest_free(slowest);

    options.name = "inner*";
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    assert_int_equal(slowest->matched, 50);
    assert_string_equal(slowest->instances[0].message, "inner 7");
    assert_int_equal(slowest->instances[0].depth, 1);
    lap_slowest_free(slowest);

    options.name = "*job 1?"; /* of the message only */
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    assert_int_equal(slowest->matched, 10);
    assert_string_equal(slowest->instances[0].message, "job 14");
    lap_slowest_free(slowest);

    options.name = "fun_20"; /* the function */
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    assert_int_equal(slowest->matched, 50);
    lap_slowest_free(slowest);
    options.count = 0;
    assert_true(lap_slowest_make(&slowest, recording, &options) < 0);
    lap_recording_free(recording);
}

/* Handles and instances whose begin is no longer there. */
static void test_slowest_handles_and_incomplete(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 1024, 3, 100);
    struct lap_recording *const recording = open_all();
    struct lap_slowest *slowest;
    struct lap_slowest_options options = {.count = 1000, .name = "request"};
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    assert_true(slowest->instance_count > 3);
    size_t whole = 0;
    for (size_t i = 0; i < slowest->instance_count; i++) {
        const struct lap_slowest_instance *const instance = &slowest->instances[i];
        assert_string_equal(instance->message, "request");
        assert_near(instance->total_ns, 900);
        assert_true(instance->handle != 0);
        if (instance->is_incomplete)
            continue;
        whole++;
        assert_int_equal(instance->lap_count, 2);
        assert_int_equal(instance->laps[0].count, 2);
        assert_near(instance->laps[0].until_ns, 600);
    }
    assert_true(whole >= 3);
    lap_slowest_free(slowest);
    options.name = "outer*";
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    for (size_t i = 0; i < slowest->instance_count; i++)
        assert_near(slowest->instances[i].total_ns, 1000);
    lap_slowest_free(slowest);
    lap_recording_free(recording);
}

/* More labels in one instance than are kept apart. */
static void test_slowest_is_bounded(void **state)
{
    (void)state;
    struct synthetic process;
    static struct synthetic_ring ring;
    synthetic_open(&process, directory, "a-1-x", 1);
    synthetic_class(&process, 20, "begin", "job", 0, "");
    synthetic_class(&process, 21, "mark", "(run-time label)", LAP_CLASS_TEXT, "");
    synthetic_ring_open(&ring, &process, 0, 65536, 4);
    synthetic_event(&ring, 10, 20, NULL, 0);
    for (int i = 0; i < 300; i++) {
        char label[32];
        snprintf(label, sizeof label, "label %d", i);
        const char *const text = label;
        synthetic_event_strings(&ring, 10, 21, NULL, 0, &text, 1);
    }
    synthetic_event(&ring, 10, LAP_FORMAT_END, NULL, 0);
    synthetic_ring_close(&ring);
    synthetic_close(&process);
    struct lap_recording *const recording = open_all();
    struct lap_slowest *slowest;
    const struct lap_slowest_options options = {.count = 1};
    assert_int_equal(lap_slowest_make(&slowest, recording, &options), 0);
    const struct lap_slowest_instance *const instance = &slowest->instances[0];
    assert_int_equal(instance->lap_count, LAP_SLOWEST_LAPS + 1); /* and the rest */
    assert_string_equal(instance->laps[17].label, "label 17");
    assert_int_equal(instance->laps_left_out, 300 - LAP_SLOWEST_LAPS);
    assert_near(instance->left_out_ns, 10.0 * (300 - LAP_SLOWEST_LAPS));
    assert_int_equal(instance->checkpoints, 300);
    lap_slowest_free(slowest);
    lap_recording_free(recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_example, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merges_by_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare_finds_a_difference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_applied_position, setup, teardown),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test_setup_teardown(test_slowest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slowest_handles_and_incomplete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slowest_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
