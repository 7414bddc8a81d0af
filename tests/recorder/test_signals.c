/* SPDX-License-Identifier: MIT
 * ctest: long
 *
 * Checkpoints in signal handlers that interrupt checkpoints, locks of the library, and its calls; cancellation; errno.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { THREADS = 4, MARKS_MAX = 1000000, CALLS_MIN = 20000 };

static uint64_t called;  /* checkpoints of handlers */
static uint64_t stepped; /* and of threads */
static int is_over;

static void on_signal(int signal)
{
    (void)signal;
    const int saved = errno;
    errno = EDOM;
    LAP_MARK("in a handler");
    LAP_MARK_N(1, "in a handler, sized");
    LAP_MARK("in a handler %s", "with a string");
    __atomic_add_fetch(&called, 3, __ATOMIC_RELAXED);
    if (errno != EDOM)
        abort();
    errno = saved;
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(signal, &action, NULL);
}

/* 10,000 signals a second to the calling thread. */
static void start_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    timer_t timer;
    const struct itimerspec each = {{0, 100000}, {0, 100000}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &each, NULL) < 0)
        abort();
}

/* And as many as there can be. */
static pthread_t hammered[THREADS];
static void *hammer(void *argument)
{
    (void)argument;
    while (__atomic_load_n(&called, __ATOMIC_RELAXED) < CALLS_MIN)
        for (int i = 0; i < THREADS; i++)
            pthread_kill(hammered[i], SIGUSR1);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    return NULL;
}

static pthread_barrier_t barrier;

static void *mark_under_signals(void *argument)
{
    const int number = (int)(intptr_t)argument;
    LAP_PROFILE("thread %d", number);
    start_timer();
    pthread_barrier_wait(&barrier);
    uint64_t steps = 0;
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        for (volatile int i = 0; i < 30; i++)
            continue;
        if (steps < MARKS_MAX)
            LAP_MARK_N(steps++, "step");
    }
    __atomic_add_fetch(&stepped, steps, __ATOMIC_RELAXED);
    pthread_barrier_wait(&barrier); /* until here it can be sent signals */
    return NULL;
}

static int case_hammer(void)
{
    handle(SIGPROF, on_signal);
    handle(SIGUSR1, on_signal);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&hammered[i], NULL, mark_under_signals, (void *)i);
    pthread_barrier_wait(&barrier);
    pthread_t hammerer;
    pthread_create(&hammerer, NULL, hammer, NULL);
    pthread_join(hammerer, NULL);
    handle(SIGPROF, SIG_IGN);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++)
        pthread_join(hammered[i], NULL);
    printf("%llu %llu\n", (unsigned long long)called, (unsigned long long)stepped);
    return 0;
}

static void test_hammer(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("hammer", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_RING=32M", "LAPMARK_MEMORY=1G", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    char *rest;
    const uint64_t said = strtoull(outcome.out, &rest, 10);
    const uint64_t said_steps = strtoull(rest, NULL, 10);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    const uint64_t steps = stored_named(stored, "step");
    const uint64_t others = stored_named(stored, "in a handler") + stored_named(stored, "in a handler, sized") +
                            stored_named(stored, "in a handler %s");
    assert_int_equal(steps, said_steps);
    assert_true(said >= CALLS_MIN);
    assert_int_equal(others + stored_lost(stored), said);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_SIGNAL], stored_lost(stored));
    assert_true(stored_lost(stored) > 0);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_CLOCK], 0);
    uint64_t last = 0, stream = UINT64_MAX;
    for (size_t i = 0; i < stored->count; i++) {
        if (stored->events[i].stream == stream)
            assert_true(stored->events[i].ticks >= last);
        stream = stored->events[i].stream;
        last = stored->events[i].ticks;
    }
    stored_free(stored);
}

/* ---- while rings and segments are made ------------------------------------------------------------------------------- */

static void *short_life(void *argument)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    LAP_PROFILE("short-lived");
    for (int i = 0; i < 40000; i++)
        LAP_MARK("step");
    __atomic_add_fetch(&stepped, 40000, __ATOMIC_RELAXED);
    return argument;
}

static void *hammer_process(void *argument)
{
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
        kill(getpid(), SIGUSR1);
    return argument;
}

static int case_new_threads(void)
{
    handle(SIGUSR1, on_signal);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* the signals go to the threads, in their first checkpoints, too */
    pthread_t hammerer;
    pthread_create(&hammerer, NULL, hammer_process, NULL);
    for (int i = 0; i < 6; i++) {
        pthread_t threads[3];
        for (int k = 0; k < 3; k++)
            pthread_create(&threads[k], NULL, short_life, NULL);
        for (int k = 0; k < 3; k++)
            pthread_join(threads[k], NULL);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    pthread_join(hammerer, NULL);
    printf("%llu %llu\n", (unsigned long long)called, (unsigned long long)stepped);
    return 0;
}

static void test_new_threads(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("new_threads", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "LAPMARK_RING=64M", "LAPMARK_MEMORY=2G", NULL);
    assert_ended_well(&outcome);
    if (outcome.err_bytes != 0)
        print_error("%s", outcome.err);
    assert_int_equal(outcome.err_bytes, 0);
    char *rest;
    const uint64_t in_handlers = strtoull(outcome.out, &rest, 10);
    const uint64_t steps = strtoull(rest, NULL, 10);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_true(in_handlers != 0);
    assert_int_equal(stored_named(stored, "step"), steps);
    assert_int_equal(stored_named(stored, "in a handler") + stored_named(stored, "in a handler, sized") +
                         stored_named(stored, "in a handler %s") + stored_lost(stored),
                     in_handlers);
    stored_free(stored);
}

/* ---- in the library's own calls, with every kind of event in the handler ---------------------------------------------- */

static lap_handle global_handle;
static uint64_t handled;

static void on_signal_all(int signal)
{
    (void)signal;
    const int saved = errno;
    {
        LAP_PROFILE("scope in a handler");
        LAP_MARK("m");
        char label[32];
        snprintf(label, sizeof label, "label %llu", (unsigned long long)handled % 100);
        LAP_MARK_TEXT(label);
        LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "immediate in a handler");
        LAP_MARK("n");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled in a handler");
        LAP_MARK("o");
    }
    lap_mark(global_handle, "shared");
    lap_end(lap_begin("handle in a handler"));
    lap_flush();
    (void)LAP_ELAPSED_NS();
    (void)lap_elapsed_ns(global_handle);
    handled++;
    errno = saved;
}

static void *hammer_main(void *thread)
{
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void sink(const char *text, uint64_t length_bytes, void *user)
{
    (void)text;
    (void)length_bytes;
    (void)user;
}

static int case_calls(void)
{
    handle(SIGUSR1, on_signal_all);
    lap_sink_function(sink, NULL);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pthread_t main_thread = pthread_self(), hammerer;
    pthread_create(&hammerer, NULL, hammer_main, &main_thread);
    const char *const directory = getenv("TEST_DIRECTORY");
    for (unsigned i = 0; i < 100 || __atomic_load_n(&handled, __ATOMIC_RELAXED) < 300; i++) {
        global_handle = lap_begin("global");
        LAP_PROFILE("main's");
        lap_set(i % 2 ? "-main*" : "main*");
        lap_sink_function(sink, &i);
        lap_sink_fd(nowhere);
        lap_sink_function(sink, NULL);
        if (i % 10 == 0 && lap_record_start(directory) != 0)
            return 1;
        LAP_MARK("m");
        lap_thread_name(i % 2 ? "one" : "another");
        {
            LAP_PROFILE("printed");
            char label[32];
            snprintf(label, sizeof label, "main's label %u", i);
            LAP_MARK_TEXT(label);
        }
        lap_flush();
        if (i % 10 == 9 && lap_record_stop() != 0)
            return 2;
        lap_end(global_handle);
    }
    lap_record_stop();
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    pthread_join(hammerer, NULL);
    return 0;
}

static void test_calls(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("calls", variable("TEST_DIRECTORY", directory), "LAPMARK=-nothing", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    for (unsigned i = 0; i < process_count(directory); i++) {
        babeltrace_agrees(process_directory(directory, i));
        check_finds_it_sound(process_directory(directory, i));
    }
}

/* At the very end, too: the process's destructor takes locks. */
static int case_exits(void)
{
    handle(SIGUSR1, on_signal_all);
    static pthread_t main_thread;
    main_thread = pthread_self();
    pthread_t hammerer;
    pthread_create(&hammerer, NULL, hammer_main, &main_thread);
    while (__atomic_load_n(&handled, __ATOMIC_RELAXED) < 20) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "main's");
        LAP_MARK("m");
    }
    return 0; /* signals go on */
}

static void test_exits(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case("exits", variable("LAPMARK_RECORD", directory), NULL);
        assert_ended_well(&outcome);
        outcome_free(&outcome);
        babeltrace_agrees(process_directory(directory, 0));
        check_finds_it_sound(process_directory(directory, 0));
    }
}

/* ---- cancellation ---------------------------------------------------------------------------------------------------- */

static int pipe_fds[2];

static void *print_into_full_pipe(void *argument)
{
    LAP_PROFILE("cancelled while it prints");
    LAP_MARK("m");
    return argument;
}

/* A thread is cancelled while its report waits for a reader: the report goes out whole, and nobody waits for a lock. */
static int case_cancel_write(void)
{
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return 77;
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    char bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    while (write(pipe_fds[1], bytes, sizeof bytes) > 0)
        continue;
    fcntl(pipe_fds[1], F_SETFL, 0);
    lap_sink_fd(pipe_fds[1]);
    pthread_t thread;
    pthread_create(&thread, NULL, print_into_full_pipe, NULL);
    char path[64], what[128] = "";
    /* Until it waits in write. */
    do {
        snprintf(path, sizeof path, "/proc/self/task");
        FILE *const pipe = popen("cat /proc/$PPID/task/*/syscall", "re");
        size_t used = fread(what, 1, sizeof what - 1, pipe);
        what[used] = 0;
        pclose(pipe);
    } while (!strstr(what, "\n1 0x") && strncmp(what, "1 0x", 4) != 0);
    pthread_cancel(thread);
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    int is_joined = 0;
    do {
        if (read(pipe_fds[0], bytes, sizeof bytes) <= 0)
            sched_yield();
        is_joined = pthread_tryjoin_np(thread, NULL) == 0;
    } while (!is_joined);
    lap_sink_fd(-1);
    LAP_PROFILE("printed by another");
    return 0;
}

static void test_cancel_write(void **state)
{
    (void)state;
    struct outcome outcome = run_case("cancel_write", NULL);
    assert_printed(&outcome, "> Entering printed by another\n< Exiting printed by another, total time: T\n");
}

/* Threads are cancelled wherever they are; each ends, and the rest goes on. */
static uint64_t lived;
static void *live(void *argument)
{
    for (;;) {
        LAP_PROFILE("cancelled anywhere");
        LAP_MARK("m");
        LAP_MARK_TEXT("n");
        lap_end(lap_begin("handle"));
        lap_flush();
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "inner");
            pthread_testcancel();
        }
        __atomic_add_fetch(&lived, 1, __ATOMIC_RELAXED);
    }
    return argument;
}

static int case_cancel_anywhere(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return 77;
    lap_sink_fd(fds[1]);
    for (int i = 0; i < 200; i++) {
        pthread_t threads[3];
        for (int k = 0; k < 3; k++)
            pthread_create(&threads[k], NULL, live, NULL);
        const uint64_t until = __atomic_load_n(&lived, __ATOMIC_RELAXED) + (uint64_t)(i % 7);
        while (__atomic_load_n(&lived, __ATOMIC_RELAXED) < until)
            sched_yield();
        for (int k = 0; k < 3; k++)
            pthread_cancel(threads[k]); /* some of them before their first checkpoint */
        for (int k = 0; k < 3; k++)
            pthread_join(threads[k], NULL);
        char bytes[65536];
        while (read(fds[0], bytes, sizeof bytes) > 0)
            continue;
    }
    lap_sink_fd(-1);
    return 0;
}

static void test_cancel_anywhere(void **state)
{
    (void)state;
    if (is_sanitized()) /* AddressSanitizer takes the stack of a thread that was cancelled for damaged */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("cancel_anywhere", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_true(stored->control.rings <= 4); /* they take over each other's */
    stored_free(stored);
}

/* ---- errno ------------------------------------------------------------------------------------------------------------ */

static int case_errno(void)
{
    enum { MINE = 12345 };
    for (int i = 0; i < 3; i++) {
        errno = MINE;
        LAP_PROFILE("p %s", "q");
        LAP_MARK("m");
        char label[32];
        snprintf(label, sizeof label, "text %d", i);
        LAP_MARK_TEXT(label);
        const lap_handle handle = lap_begin("h");
        lap_mark(handle, "n");
        lap_end(handle);
        lap_end(handle);
        lap_flush();
        lap_thread_name("t");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "i");
            LAP_MARK("m");
        }
        for (int k = 0; k < 100000; k++)
            LAP_MARK("fills");
        if (errno != MINE)
            return 1;
    }
    return 0;
}

static void test_errno(void **state)
{
    (void)state;
    struct outcome outcome = run_case("errno", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    for (int i = 0; i < 2; i++) {
        const char *const directory = temporary_directory();
        outcome = run_case("errno", "LAPMARK_RING=1M", variable("LAPMARK_RECORD", directory),
                           i == 0 ? "LAPMARK_MODE=flight" : "LAPMARK_MODE=full", NULL);
        assert_ended_well(&outcome);
        outcome_free(&outcome);
    }
    /* Where nothing works. */
    outcome = run_case("errno", "LAPMARK_RING=1M", "LAPMARK_RECORD=/proc/no/such", "LAPMARK_PRINT=99", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_hammer), cmocka_unit_test(test_new_threads),  cmocka_unit_test(test_calls),
        cmocka_unit_test(test_exits),  cmocka_unit_test(test_cancel_write), cmocka_unit_test(test_cancel_anywhere),
        cmocka_unit_test(test_errno),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"hammer", case_hammer},
        {"new_threads", case_new_threads},
        {"calls", case_calls},
        {"exits", case_exits},
        {"cancel_write", case_cancel_write},
        {"cancel_anywhere", case_cancel_anywhere},
        {"errno", case_errno},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
