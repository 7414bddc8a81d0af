/* SPDX-License-Identifier: MIT
 *
 * Scopes and their checkpoints by what is stored of them where that is hard.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <string.h>

/* All that is open stands at the start of each segment, however small it is. */
static void descend(int depth)
{
    LAP_PROFILE("a scope far inside, whose message is rather long, with its depth at the end: %d", depth);
    if (depth > 1)
        descend(depth - 1);
    for (int i = 0; depth == 1 && i < 1000000; i++)
        LAP_MARK("deepest");
    LAP_MARK("back");
}

static int case_deep_in_little(void)
{
    descend(500);
    return 0;
}

static void test_deep_in_little(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("deep_in_little", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=1k", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.segment_bytes, LAP_FORMAT_SEGMENT_BYTES_MIN);
    uint64_t sequence = UINT64_MAX;
    uint32_t depth = 500;
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        if (event->sequence != sequence)
            depth = 0;
        sequence = event->sequence;
        if (event->class_id != LAP_FORMAT_OPEN)
            continue;
        struct lap_format_open open;
        memcpy(&open, event->words + 1, sizeof open);
        assert_int_equal(open.depth, depth++);
        assert_memory_equal((const char *)(event->words + 1) + sizeof open, "a scope far ins", 15);
    }
    assert_int_equal(stored_of_kind(stored, "begin"), 0); /* overwritten */
    assert_int_equal(stored_named(stored, "lapmark:end"), 500);
    stored_free(stored);
}

/* A string that another thread changes meanwhile spoils its own label at most. */
static char changing[256];
static int stop_changing;

static void *change(void *argument)
{
    while (!__atomic_load_n(&stop_changing, __ATOMIC_RELAXED))
        for (size_t at = 1; at < 250; at += 83) {
            __atomic_store_n(&changing[at], 0, __ATOMIC_RELAXED);
            __atomic_store_n(&changing[at], 'z', __ATOMIC_RELAXED);
        }
    return argument;
}

static int case_changing_string(void)
{
    memset(changing, 'z', sizeof changing - 1);
    pthread_t thread;
    pthread_create(&thread, NULL, change, NULL);
    {
        LAP_PROFILE("around");
        for (int i = 0; i < 100000; i++)
            LAP_MARK("<%s|%d|%s>", changing, i, changing);
    }
    __atomic_store_n(&stop_changing, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return 0;
}

static void test_changing_string(void **state)
{
    (void)state;
    if (is_sanitized() == 2) /* the race is what it is about */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("changing_string", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_RING=64M", "LAPMARK_MEMORY=256M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "<%s|%d|%s>"), 100000);
    stored_free(stored);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_deep_in_little),
        cmocka_unit_test(test_changing_string),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"deep_in_little", case_deep_in_little},
        {"changing_string", case_changing_string},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
