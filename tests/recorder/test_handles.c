/* SPDX-License-Identifier: MIT
 *
 * Handles: profilers that are not bound to a block, and every wrong use of them.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) != 0 || pthread_join(thread, NULL) != 0)
        abort();
}

/* ---- one thread ---------------------------------------------------------------------------------------------------- */

static int case_report(void)
{
    const lap_handle handle = lap_begin("request %d of %s", 7, "somebody");
    if (handle == 0)
        return 1;
    spend_us(100);
    if (lap_mark(handle, "read %u bytes", 12u) < 95000)
        return 2;
    if (lap_mark(handle, "parsed") > 50000000)
        return 3;
    lap_mark_n(handle, 5, "looked up");
    for (int i = 0; i < 6; i++)
        lap_mark(handle, "sent");
    lap_mark_text(handle, "made at run time");
    spend_us(100);
    if (lap_elapsed_ns(handle) < 190000)
        return 4;
    return lap_end(handle) < 190000;
}

static void test_report(void **state)
{
    (void)state;
    struct outcome outcome = run_case("report", NULL);
    assert_printed(&outcome, "> Entering request 7 of somebody\n"
                             "  read 12 bytes: T, tot: T\n"
                             "  parsed: T, tot: T\n"
                             "  looked up: T, tot: T, n=5\n"
                             "  sent (x6): T, tot: T, mean T, max T\n"
                             "  made at run time: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting request 7 of somebody, total time: T\n");
}

static int case_options(void)
{
    const lap_handle quiet = lap_begin_with(LAP_OPTS(.threshold_ms = 10000), "below its threshold");
    const lap_handle off = lap_begin_with(LAP_OPTS(.disabled = 1), "disabled");
    const lap_handle loud = lap_begin_with(LAP_OPTS(.threshold_ms = 0.05, .n = 8), "above its threshold");
    const lap_handle named = lap_begin_text(LAP_OPTS(.n = 2), "named at run time");
    if (off != 0 || quiet == 0 || lap_mark(off, "nowhere") != 0 || lap_elapsed_ns(off) != 0)
        return 1;
    spend_us(60);
    lap_mark(quiet, "unseen");
    lap_mark(loud, "seen");
    return lap_end(quiet) == 0 || lap_end(loud) == 0 || lap_end(off) != 0 || lap_end(named) == 0;
}

static void test_options(void **state)
{
    (void)state;
    struct outcome outcome = run_case("options", NULL);
    assert_printed(&outcome, "> Entering above its threshold\n"
                             "  seen: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting above its threshold, total time: T, n=8\n"
                             "> Entering named at run time\n"
                             "< Exiting named at run time, total time: T, n=2\n");
}

/* A handle is nobody's innermost: a checkpoint goes to the scope, and a handle's end does not end it. */
static int case_apart(void)
{
    LAP_PROFILE("scope");
    LAP_MARK("before");
    const lap_handle handle = lap_begin("handle");
    LAP_MARK("of the scope");
    lap_mark(handle, "of the handle");
    LAP_PROFILE("inner");
    lap_end(handle);
    LAP_MARK("of the inner scope");
    return 0;
}

static void test_apart(void **state)
{
    (void)state;
    struct outcome outcome = run_case("apart", NULL);
    assert_printed(&outcome, "> Entering handle\n"
                             "  of the handle: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting handle, total time: T\n"
                             "> Entering scope\n"
                             "  before: T, tot: T\n"
                             "  of the scope: T, tot: T\n"
                             "  > Entering inner\n"
                             "    of the inner scope: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting inner, total time: T\n"
                             "  (rest): T\n"
                             "< Exiting scope, total time: T\n");
}

/* ---- several threads ----------------------------------------------------------------------------------------------- */

static void *mark_it(void *handle)
{
    lap_mark(*(lap_handle *)handle, "on another thread");
    return NULL;
}

static void *end_it(void *handle)
{
    static uint64_t total;
    lap_mark(*(lap_handle *)handle, "on the thread that ends it");
    total = lap_end(*(lap_handle *)handle);
    return &total;
}

static int case_threads(void)
{
    lap_handle handle = lap_begin("travels");
    lap_mark(handle, "on the first thread");
    on_thread(mark_it, &handle);
    on_thread(mark_it, &handle);
    lap_mark(handle, "on the first thread again");
    on_thread(end_it, &handle);
    return lap_end(handle) != 0;
}

static void test_threads(void **state)
{
    (void)state;
    struct outcome outcome = run_case("threads", NULL);
    assert_printed(&outcome, "> Entering travels\n"
                             "  on the first thread: T, tot: T\n"
                             "  on another thread: T, tot: T\n"
                             "  on another thread: T, tot: T\n"
                             "  on the first thread again: T, tot: T\n"
                             "  on the thread that ends it: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting travels, total time: T\n");
}

/* More threads at once than it remembers rings of. */
static pthread_barrier_t barrier;
static void *mark_together(void *handle)
{
    pthread_barrier_wait(&barrier);
    lap_mark(*(lap_handle *)handle, "one of eight");
    pthread_barrier_wait(&barrier);
    return NULL;
}

static int case_many_threads(void)
{
    pthread_t threads[8];
    lap_handle handle = lap_begin("shared");
    pthread_barrier_init(&barrier, NULL, 9);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, mark_together, &handle);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    return lap_end(handle) == 0;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct outcome outcome = run_case("many_threads", NULL);
    assert_printed(&outcome, "> Entering shared\n"
                             "  one of eight (x8): T, tot: T, mean T, max T\n"
                             "  (rest): T\n"
                             "< Exiting shared, total time: T\n");
}

/* ---- parents ------------------------------------------------------------------------------------------------------- */

static void *scope_with_parent(void *handle)
{
    LAP_PROFILE_WITH(LAP_OPTS(.parent = *(lap_handle *)handle), "scope of the request");
    LAP_MARK("in it");
    return NULL;
}

static int case_parents(void)
{
    lap_handle request = lap_begin("request");
    {
        LAP_PROFILE("unrelated scope");
        const lap_handle child = lap_begin_with(LAP_OPTS(.parent = request), "child of the request");
        const lap_handle taken = lap_begin("child of the scope");
        lap_mark(child, "child's");
        lap_end(child);
        lap_end(taken);
    }
    on_thread(scope_with_parent, &request);
    const lap_handle stale = request;
    lap_end(request);
    {
        LAP_PROFILE_WITH(LAP_OPTS(.parent = stale), "scope of a stale parent");
    }
    lap_end(lap_begin_with(LAP_OPTS(.parent = stale), "handle of a stale parent"));
    return 0;
}

/* The chain of class numbers of a path, from the root, as names in one text. */
static void path_text(char *out, const struct stored *stored, const char *directory, uint32_t path)
{
    char name[4096];
    snprintf(name, sizeof name, "%s/.lapmark/paths", directory);
    FILE *const file = fopen(name, "re");
    assert_non_null(file);
    static struct lap_format_path entries[LAP_FORMAT_PATHS];
    assert_int_equal(fseek(file, (long)sizeof(struct lap_format_paths), SEEK_SET), 0);
    assert_true(fread(entries, sizeof *entries, LAP_FORMAT_PATHS, file) > path);
    fclose(file);
    *out = 0;
    while (path != 0) {
        assert_true(path < LAP_FORMAT_PATHS);
        char text[512];
        const char *label = "?";
        for (size_t i = 0; i < stored->count; i++)
            if (stored->events[i].class_id == entries[path].class_id)
                label = stored->events[i].name;
        snprintf(text, sizeof text, "/%s%s", label, out);
        strcpy(out, text);
        path = entries[path].parent;
    }
}

static const struct stored_event *event_named(const struct stored *stored, const char *name)
{
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->events[i].name, name) == 0)
            return &stored->events[i];
    fail_msg("no event '%s'", name);
    return NULL;
}

static void test_parents(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("parents", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    static const struct {
        const char *name;
        const char *path;
        int is_begin_with;
    } wanted[] = {
        {"request", "/request", 0},
        {"child of the request", "/request/child of the request", 0},
        {"child of the scope", "/unrelated scope/child of the scope", 0},
        {"handle of a stale parent", "/handle of a stale parent", 0},
        {"scope of the request", "/request", 1},
        {"scope of a stale parent", "", 1},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct stored_event *const event = event_named(stored, wanted[i].name);
        uint32_t path;
        if (wanted[i].is_begin_with)
            path = ((const struct lap_format_begin_with *)(const void *)(event->words + 1))->path;
        else
            path = ((const struct lap_format_handle_begin *)(const void *)(event->words + 1))->path;
        char text[2048];
        path_text(text, stored, process, path);
        assert_string_equal(text, wanted[i].path);
    }
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_HANDLE], 0);
    stored_free(stored);
}

/* ---- wrong use: counted, never undefined --------------------------------------------------------------------------- */

static int case_wrong_use(void)
{
    const lap_handle handle = lap_begin("right");
    lap_end(handle);
    /* 1 and 2: ended twice, marked after the end. */
    if (lap_end(handle) != 0 || lap_mark(handle, "after the end") != 0)
        return 1;
    /* 3: stale, its slot is used again. */
    const lap_handle again = lap_begin("in the same slot");
    if (again == handle || lap_mark(handle, "stale") != 0)
        return 2;
    /* 4 to 7: never a handle. */
    lap_end(UINT64_MAX);
    lap_end(1);
    lap_mark(UINT64_C(0x123456789abcdef0), "of nothing");
    lap_end(again ^ 1u << 20);
    /* Not counted: no profiler. */
    lap_end(0);
    lap_mark(0, "of none");
    if (lap_elapsed_ns(handle) != 0 || lap_elapsed_ns(0) != 0 || lap_elapsed_ns(~UINT64_C(0)) != 0)
        return 3;
    return lap_end(again) == 0;
}

static void test_wrong_use(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("wrong_use", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_HANDLE], 7);
    assert_int_equal(stored_lost(stored), 0);
    assert_int_equal(stored_of_kind(stored, "handle_begin"), 2);
    assert_int_equal(stored_named(stored, "lapmark:handle_end"), 2);
    assert_int_equal(stored_of_kind(stored, "handle_mark"), 0);
    stored_free(stored);
}

/* 16,384 at once and no more; slots come back; nothing leaks. */
static int case_many(void)
{
    static lap_handle handles[16384];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 16384; i++) {
            handles[i] = lap_begin("open");
            if (handles[i] == 0)
                return 1;
        }
        for (int i = 0; i < 10; i++)
            if (lap_begin("one too many") != 0)
                return 2;
        for (int i = 0; i < 16384; i++)
            if (lap_end(handles[i]) == 0)
                return 3;
    }
    const long before = status_kib("VmRSS");
    for (int i = 0; i < 1000000; i++)
        lap_end(lap_begin("one after another"));
    return status_kib("VmRSS") - before < 1024 || is_sanitized() ? 0 : 4;
}

static void test_many(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("many", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_HANDLE], 40);
    stored_free(stored);
}

/* ---- what it still prints when its events are gone ----------------------------------------------------------------- */

static int case_overwritten(void)
{
    const lap_handle handle = lap_begin("long-lived");
    lap_mark(handle, "early");
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "filler");
        for (int i = 0; i < 1000000; i++)
            LAP_MARK("fills the ring");
    }
    lap_mark(handle, "late");
    return lap_end(handle) == 0;
}

static void test_overwritten(void **state)
{
    (void)state;
    struct outcome outcome = run_case("overwritten", "LAPMARK_RING=1M", NULL);
    assert_printed(&outcome, "> Entering long-lived\n"
                             "  (1 checkpoint no longer held)\n"
                             "  late: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting long-lived, total time: T\n");
}

/* ---- all at once, from many threads -------------------------------------------------------------------------------- */

enum { SHARED = 64, TURNS = 20000, THREADS = 4 };
static lap_handle shared[SHARED];
static uint64_t begun, ended, refused;

static void *exchange(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < TURNS; i++) {
        const int slot = rand_r(&seed) % SHARED;
        const lap_handle mine = lap_begin_with(LAP_OPTS(.threshold_ms = 1e6), "exchanged");
        if (mine != 0)
            __atomic_add_fetch(&begun, 1, __ATOMIC_RELAXED);
        const lap_handle other = __atomic_exchange_n(&shared[slot], mine, __ATOMIC_ACQ_REL);
        lap_mark(__atomic_load_n(&shared[rand_r(&seed) % SHARED], __ATOMIC_ACQUIRE), "seen");
        if (other != 0)
            __atomic_add_fetch(lap_end(other) != 0 ? &ended : &refused, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int case_exchange(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, exchange, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++)
        if (shared[i] != 0)
            ended += lap_end(shared[i]) != 0;
    return begun == (uint64_t)TURNS * THREADS && ended == begun && refused == 0 ? 0 : 1;
}

static void test_exchange(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("exchange", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    babeltrace_agrees(process_directory(directory, 0));
    check_finds_it_sound(process_directory(directory, 0));
}

/* The same printing all, with recordings that start and stop meanwhile: reports look into other threads' rings. */
static int case_exchange_printing(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, exchange, (void *)(i + 1));
    for (int i = 0; i < 30; i++) {
        if (lap_record_start(getenv("TEST_DIRECTORY")) != 0)
            return 1;
        if (lap_record_stop() != 0)
            return 2;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_exchange_printing(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("exchange_printing", variable("TEST_DIRECTORY", directory), "LAPMARK=*:0", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_overwritten),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_exchange_printing),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"report", case_report},
        {"options", case_options},
        {"apart", case_apart},
        {"threads", case_threads},
        {"many_threads", case_many_threads},
        {"parents", case_parents},
        {"wrong_use", case_wrong_use},
        {"many", case_many},
        {"overwritten", case_overwritten},
        {"exchange", case_exchange},
        {"exchange_printing", case_exchange_printing},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
