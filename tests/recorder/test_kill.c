/* SPDX-License-Identifier: MIT
 *
 * Processes that die with all threads at full speed: what their checkpoints had stored is there, and is read as it lies.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, KILLS = 20 };

/* What the threads say they have done, in memory that outlives them. */
struct done {
    uint64_t count[THREADS]; /* checkpoints "step" that have returned */
    pid_t pid;
};

static struct done *done;

static void *run(void *argument)
{
    const int number = (int)(intptr_t)argument;
    LAP_PROFILE("thread %d", number);
    for (uint64_t i = 0;; i++) {
        if (i % 100 == 0) {
            LAP_PROFILE("now and then %s", "with a string");
            LAP_MARK("inside");
        }
        if (i % 1000 == 0)
            lap_end(lap_begin("handle"));
        LAP_MARK_N(i, "step");
        __atomic_store_n(&done->count[number], i + 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int case_storm(void)
{
    done = shared_map(getenv("TEST_DONE"), sizeof(struct done));
    done->pid = getpid();
    for (intptr_t i = 1; i < THREADS; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, run, (void *)i);
    }
    run(NULL);
    return 0;
}

/* Waits until the threads have done so much more together. */
static void wait_for(const struct done *of, uint64_t steps)
{
    for (;;) {
        uint64_t sum = 0, least = UINT64_MAX;
        for (int i = 0; i < THREADS; i++) {
            const uint64_t count = __atomic_load_n(&of->count[i], __ATOMIC_RELAXED);
            sum += count;
            least = count < least ? count : least;
        }
        if (sum >= steps && least > 0)
            return;
        sched_yield();
    }
}

/* Each thread's numbers are there without a gap up to the last whose checkpoint returned, and at most one more. Where a bound of the
 * disk has taken all before a segment, that one's state says how many there were. */
static void check_steps(const struct stored *stored, const struct done *of)
{
    uint64_t next[THREADS] = {0};
    int seen[THREADS] = {0};
    uint64_t stream = UINT64_MAX;
    int thread = -1;
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        if (event->stream != stream) {
            stream = event->stream;
            thread = -1;
        }
        if (strcmp(event->name, "thread %d") == 0)
            thread = (int)event->values[0];
        else if (event->class_id == LAP_FORMAT_OPEN && event->words[1] > 8 + sizeof(struct lap_format_open) + 16) {
            const struct lap_format_open *const open = (const struct lap_format_open *)(const void *)(event->words + 1);
            int number;
            if (sscanf((const char *)(open + 1), "thread %d", &number) != 1)
                continue;
            thread = number;
            if (seen[thread])
                assert_int_equal(open->marks, next[thread]);
            seen[thread] = 1;
            next[thread] = open->marks;
        } else if (strcmp(event->name, "step") == 0) {
            assert_in_range(thread, 0, THREADS - 1);
            if (seen[thread])
                assert_int_equal(event->n, next[thread]);
            seen[thread] = 1;
            next[thread] = (uint64_t)event->n + 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        assert_true(seen[i]);
        assert_in_range(next[i], of->count[i], of->count[i] + 1);
    }
}

/* What was open is named, and since when. */
static void check_names_what_was_open(const char *process)
{
    const char *const text = lapmark_says("check", process, NULL);
    for (int i = 0; i < THREADS; i++) {
        char open[64];
        snprintf(open, sizeof open, "still open: thread %d, since ", i);
        assert_int_equal(count_of(text, open), 1);
    }
    assert_int_equal(count_of(text, ": died\n"), 1);
    assert_int_equal(count_of(text, " 0 lost\n"), 1);
}

/* As it lies there; nothing of ours has looked at it, or the supervisor has put a copy in its place. */
static uint64_t killed_once(unsigned steps, int is_full, int is_supervised)
{
    const char *const directory = temporary_directory(), *const recording = temporary_directory();
    char path[512];
    snprintf(path, sizeof path, "%s/done", directory);
    const struct done *const of = shared_map(path, sizeof(struct done));
    int pipe;
    const pid_t pid = start_case("storm", &pipe, variable("LAPMARK_RECORD", recording), variable("TEST_DONE", path),
                                 is_supervised ? variable("TEST_SUPERVISED", recording) : "X=", "LAPMARK_PRINT=off",
                                 "LAPMARK_RING=1M", is_full ? "LAPMARK_MODE=full" : "X=", "LAPMARK_DISK=4M", NULL);
    wait_for(of, steps);
    kill(of->pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (is_supervised)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL);
    else
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(pipe);
    const char *const process = process_directory(recording, 0);
    struct stat link;
    assert_int_equal(lstat(process, &link), 0);
    assert_int_equal(S_ISLNK(link.st_mode), !is_supervised && !is_full);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.state, LAP_FORMAT_RUNNING);
    assert_int_equal(stored_lost(stored), 0);
    check_steps(stored, of);
    const uint64_t events = stored->count;
    stored_free(stored);
    check_names_what_was_open(process);
    temporary_directories_remove();
    return events;
}

static void test_storm(void **state)
{
    (void)state;
    unsigned seed = 1;
    uint64_t events = 0;
    const unsigned kills = times(KILLS);
    for (unsigned i = 0; i < kills; i++)
        events += killed_once((unsigned)rand_r(&seed) % 600000, i % 4 == 3, i % 4 == 2);
    print_message("counted: %u kills with 4 threads at full speed, %llu events read\n", kills,
                  (unsigned long long)events);
}

/* ---- other ways to die --------------------------------------------------------------------------------------------- */

static int die(void (*how)(void))
{
    LAP_PROFILE("dying");
    for (int i = 0; i < 1000; i++)
        LAP_MARK_N(i, "step");
    how();
    return 0;
}

static void by_abort(void) { abort(); }

static void by_segv(void) { raise(SIGSEGV); }

static void by_exit(void) { _exit(3); }

static void by_memory(void)
{
    const struct rlimit limit = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_AS, &limit);
    for (;;)
        memset(malloc(1 << 20), 1, 1 << 20); /* NULL in the end */
}

/* Killed by the kernel for the memory of its control group, which tmpfs counts to, too. */
static void by_cgroup(void)
{
    for (int i = 0; i < 512; i++)
        memset(malloc(1 << 20), 1, 1 << 20);
}

static int case_abort(void) { return die(by_abort); }
static int case_segv(void) { return die(by_segv); }
static int case_exit(void) { return die(by_exit); }
static int case_memory(void) { return die(by_memory); }
static int case_cgroup(void) { return die(by_cgroup); }

static void test_other_deaths(void **state)
{
    (void)state;
    static const char *const cases[] = {"abort", "segv", "exit", "memory"};
    /* A sanitizer's own memory is beyond any limit. */
    for (size_t i = 0; i < sizeof cases / sizeof *cases - (is_sanitized() != 0); i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case(cases[i], variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                          "ASAN_OPTIONS=handle_segv=0:handle_abort=0:allocator_may_return_null=1", NULL);
        assert_true(outcome.status != 0);
        outcome_free(&outcome);
        const char *const process = process_directory(directory, 0);
        babeltrace_agrees(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored_named(stored, "step"), 1000);
        assert_int_equal(stored->control.state, LAP_FORMAT_RUNNING);
        stored_free(stored);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    if (is_sanitized()) /* it dies otherwise, of its own memory */
        skip();
    const char *const group = memory_group(64 << 20);
    if (!group)
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("cgroup", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      variable("TEST_GROUP", group), NULL);
    assert_true(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGKILL);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "step"), 1000);
    stored_free(stored);
    assert_int_equal(count_of(lapmark_says("check", process, NULL), "still open: dying, since "), 1);
}

/* ---- read while it runs -------------------------------------------------------------------------------------------- */

static void read_alive(const char *mode)
{
    const char *const directory = temporary_directory();
    char path[512];
    snprintf(path, sizeof path, "%s/.done", directory);
    const struct done *const of = shared_map(path, sizeof(struct done));
    int pipe;
    const pid_t pid = start_case("storm", &pipe, variable("LAPMARK_RECORD", directory), variable("TEST_DONE", path),
                                 "LAPMARK_PRINT=off", "LAPMARK_RING=2M", mode, "LAPMARK_DISK=8M", NULL);
    wait_for(of, 1000);
    for (int i = 0; i < 12; i++) {
        /* Stopped, it must be whole at any moment; running, it changes under the reader, who must come through. */
        if (i % 2 == 0) {
            kill(pid, SIGSTOP);
            int status;
            assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
            assert_true(WIFSTOPPED(status));
            const char *const process = process_directory(directory, 0);
            babeltrace_agrees(process);
            struct stored *const stored = stored_load(process);
            check_steps(stored, of);
            stored_free(stored);
            kill(pid, SIGCONT);
        } else {
            wait_for(of, (uint64_t)i * 150000);
        }
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(pipe);
    babeltrace_agrees(process_directory(directory, 0));
}

static void test_read_alive(void **state)
{
    (void)state;
    read_alive("LAPMARK_MODE=flight");
    read_alive("LAPMARK_MODE=full");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_other_deaths),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_read_alive),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"storm", case_storm},   {"abort", case_abort},   {"segv", case_segv}, {"exit", case_exit},
        {"memory", case_memory}, {"cgroup", case_cgroup}, {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
