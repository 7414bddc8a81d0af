/* SPDX-License-Identifier: MIT
 *
 * Full recording: every segment is kept, up to a bound on the disk; the oldest goes first.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 3, MARKS = 300000 };

static void *run(void *argument)
{
    const int number = (int)(intptr_t)argument;
    LAP_PROFILE("thread %d", number);
    for (int i = 0; i < MARKS; i++) {
        LAP_MARK_N(i, "step");
        if (i % 1000 == 0) {
            LAP_PROFILE("inner %s", "with a string");
            LAP_MARK("in it");
        }
    }
    return NULL;
}

static int case_all(void)
{
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_all(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("all", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_MODE=full", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "step"), THREADS * MARKS);
    assert_int_equal(stored_named(stored, "in it"), THREADS * MARKS / 1000);
    assert_int_equal(stored_lost(stored), 0);
    assert_int_equal(stored->control.full, 1);
    assert_int_equal(stored->control.removed_segments, 0);
    for (size_t i = 1; i < stored->count; i++) /* no gap */
        if (stored->events[i - 1].stream == stored->events[i].stream)
            assert_in_range(stored->events[i].sequence - stored->events[i - 1].sequence, 0, 1);
    stored_free(stored);
}

/* ---- the bound ------------------------------------------------------------------------------------------------------ */

static uint64_t disk_bytes(const char *directory, unsigned *ret_links)
{
    uint64_t bytes = 0;
    DIR *const listing = opendir(directory);
    assert_non_null(listing);
    *ret_links = 0;
    for (const struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        char path[4096];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        assert_int_equal(lstat(path, &status), 0);
        assert_null(strstr(entry->d_name, "part")); /* nothing half written is left */
        *ret_links += S_ISLNK(status.st_mode) && strncmp(entry->d_name, "stream-", 7) == 0;
        bytes += S_ISREG(status.st_mode) && strncmp(entry->d_name, "stream-", 7) == 0 ? (uint64_t)status.st_size : 0;
    }
    closedir(listing);
    return bytes;
}

static void test_bound(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("all", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_MODE=full", "LAPMARK_RING=1M", "LAPMARK_DISK=3M", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    unsigned links;
    const uint64_t bytes = disk_bytes(process, &links);
    assert_in_range(bytes, 2 << 20, 3 << 20);
    assert_int_equal(links, 0); /* all ended: nothing is on shared memory that belongs here */
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_true(stored->control.removed_segments > 100);
    assert_int_equal(stored_lost(stored), 0);
    /* What is there of a ring is its end, in one piece, and the last event of all is there. */
    int64_t last = -1;
    uint64_t stream = UINT64_MAX;
    int seen_end = 0;
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        if (event->stream != stream)
            last = -1;
        stream = event->stream;
        if (strcmp(event->name, "step") != 0)
            continue;
        if (last >= 0)
            assert_true(event->n == last + 1 || event->n == 0); /* the next thread on the ring */
        last = event->n;
        seen_end |= last == MARKS - 1;
    }
    assert_int_equal(seen_end, 1);
    stored_free(stored);
}

/* ---- a program that is still there ------------------------------------------------------------------------------------ */

static int case_live(void)
{
    LAP_PROFILE("live");
    for (int i = 0; i < 50000; i++)
        LAP_MARK_N(i, "step");
    printf("ready\n");
    fflush(stdout);
    while (pause() < 0)
        continue;
    return 0;
}

static void test_live(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    int pipe;
    const pid_t pid = start_case("live", &pipe, variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                 "LAPMARK_MODE=full", "LAPMARK_RING=1M", NULL);
    char line[16];
    assert_true(read(pipe, line, sizeof line) > 0);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "step"), 50000); /* what is not kept yet is linked */
    assert_int_equal(stored->control.state, LAP_FORMAT_RUNNING);
    stored_free(stored);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(pipe);
    assert_int_equal(babeltrace_agrees(process), babeltrace_count(process));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_live),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"all", case_all},
        {"live", case_live},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
