/* SPDX-License-Identifier: MIT
 *
 * Forked children record by themselves and print nothing of their parent's, however they were made.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_well(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0)
        continue;
    return status;
}

static void marks(const char *who, int count)
{
    LAP_PROFILE("marks of %s", who);
    for (int i = 0; i < count; i++)
        LAP_MARK("one");
}

/* ---- what is printed ------------------------------------------------------------------------------------------------ */

static int case_printed(void)
{
    LAP_PROFILE("of the parent");
    LAP_MARK("before the fork");
    {
        LAP_PROFILE("inner, open at the fork");
        const pid_t pid = fork();
        if (pid == 0) {
            LAP_MARK("of nobody: the child's has no profiler");
            marks("the child", 2);
            if (fcntl(STDIN_FILENO, F_GETFD) < 0)
                _exit(9);
        } else if (wait_well(pid) != 0) {
            return 1;
        }
        LAP_MARK("behind the fork");
    }
    LAP_END(); /* in the child it ends nothing */
    return LAP_ELAPSED_NS() != 0;
}

static void test_printed(void **state)
{
    (void)state;
    struct outcome outcome = run_case("printed", NULL);
    assert_printed(&outcome, "> Entering marks of the child\n"
                             "  one: T, tot: T\n"
                             "  one: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting marks of the child, total time: T\n"
                             "> Entering of the parent\n"
                             "  before the fork: T, tot: T\n"
                             "  > Entering inner, open at the fork\n"
                             "    behind the fork: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting inner, open at the fork, total time: T\n"
                             "  (rest): T\n"
                             "< Exiting of the parent, total time: T\n");
}

/* A child that ends at once prints nothing, and has no recording to speak of; so has one that only leaves its blocks. */
static int case_quiet_child(void)
{
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE("parent's");
        LAP_MARK("before");
        const pid_t pid = fork();
        if (pid == 0) {
            if (i == 0)
                _exit(0);
            if (i == 1)
                exit(0);
            LAP_END();
            exit(0);
        }
        if (wait_well(pid) != 0)
            return 1;
    }
    return 0;
}

static void test_quiet_child(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("quiet_child", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "> Entering parent's\n"), 3);
    assert_int_equal(count_of(outcome.err, "\n"), 4 * 3);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 1);
}

/* Immediate and muting scopes that were open at the fork leave no trace in the child. */
static int case_diverted(void)
{
    {
        LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "immediate");
        if (fork() == 0) {
            marks("the child", 1);
            LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "immediate of the child");
            LAP_MARK("m");
            LAP_END();
            _exit(0);
        }
        wait(NULL);
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled");
        if (fork() == 0) {
            marks("a muted child", 1);
            LAP_END();
            goto out;
        }
        wait(NULL);
        return 0;
    }
out:
    marks("a child that is muted no more", 1);
    return 0;
}

static void test_diverted(void **state)
{
    (void)state;
    struct outcome outcome = run_case("diverted", NULL);
    assert_printed(&outcome, "> Entering immediate\n"
                             "> Entering marks of the child\n"
                             "  one: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting marks of the child, total time: T\n"
                             "> Entering immediate of the child\n"
                             "  m: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting immediate of the child, total time: T\n"
                             "< Exiting immediate, total time: T\n"
                             "> Entering marks of a child that is muted no more\n"
                             "  one: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting marks of a child that is muted no more, total time: T\n");
}

/* ---- what is recorded ----------------------------------------------------------------------------------------------- */

enum { THREADS = 3, CHILDREN = 12, MARKS = 3000 };
static int stop;
static uint64_t parent_marks;

static void *run(void *argument)
{
    uint64_t count = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        LAP_PROFILE("parent's thread");
        LAP_MARK("parent's");
        char label[32];
        snprintf(label, sizeof label, "label %u", (unsigned)(count % 40));
        LAP_MARK_TEXT(label);
        lap_end(lap_begin("handle"));
        count++;
        if (count % 1000 == 0)
            sched_yield();
    }
    __atomic_add_fetch(&parent_marks, count, __ATOMIC_RELAXED);
    return argument;
}

static pid_t fork_by(int how)
{
    if (how == 1)
        return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (how == 2)
        return _Fork();
    return fork();
}

static void *thread_of_child(void *argument)
{
    marks("a thread of the child", MARKS);
    return argument;
}

static void be_child(int number)
{
    LAP_PROFILE("child %d", number);
    for (int i = 0; i < MARKS; i++)
        LAP_MARK("child's");
    for (int i = 0; i < 50; i++) {
        char label[32];
        snprintf(label, sizeof label, "child's label %d", i);
        LAP_MARK_TEXT(label);
    }
    if (lap_set("-nothing,*") != 0)
        _exit(1);
    if (number % 3 == 0) { /* glibc lets only fork's children make threads */
        pthread_t thread;
        if (pthread_create(&thread, NULL, thread_of_child, NULL) != 0 || pthread_join(thread, NULL) != 0)
            _exit(2);
        const pid_t pid = fork();
        if (pid == 0) {
            marks("the grandchild", MARKS);
            _exit(0);
        }
        if (wait_well(pid) != 0)
            _exit(3);
    }
    lap_end(lap_begin("child's handle"));
}

static int case_storm(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, NULL);
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        LAP_PROFILE("open at fork %d", i);
        LAP_MARK("before");
        children[i] = fork_by(i % 3);
        if (children[i] == 0) {
            be_child(i);
            _exit(0);
        }
    }
    int failed = 0;
    for (int i = 0; i < CHILDREN; i++)
        failed |= wait_well(children[i]);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return failed != 0;
}

static void test_storm(void **state)
{
    (void)state;
    if (is_sanitized()) /* their runtimes have locks, which other threads may hold while one forks */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("storm", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=2M", NULL);
    assert_ended_well(&outcome);
    if (outcome.err_bytes != 0)
        print_error("%s", outcome.err);
    assert_int_equal(outcome.err_bytes, 0);
    outcome_free(&outcome);
    const unsigned count = process_count(directory);
    assert_int_equal(count, 1 + CHILDREN + CHILDREN / 3);
    uint8_t uuids[64][16];
    unsigned children = 0, grandchildren = 0;
    size_t all = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *const process = process_directory(directory, i);
        all += babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        memcpy(uuids[i], stored->control.uuid, 16);
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(uuids[i], uuids[k], 16);
        assert_int_equal(stored_lost(stored), 0);
        if (stored_named(stored, "parent's") != 0) {
            assert_int_equal(stored_named(stored, "child's"), 0);
        } else if (stored_named(stored, "child's") != 0) {
            assert_int_equal(stored_named(stored, "child's"), MARKS);
            assert_int_equal(stored_named(stored, "child's handle"), 1);
            assert_int_equal(stored_named(stored, "open at fork %d"), 0);
            assert_in_range(stored->control.rings, 1, 2); /* its parent has more */
            children++;
        } else {
            assert_int_equal(stored_named(stored, "one"), MARKS);
            assert_int_equal(stored->control.rings, 1);
            grandchildren++;
        }
        stored_free(stored);
    }
    assert_int_equal(children, CHILDREN);
    assert_int_equal(grandchildren, CHILDREN / 3);
    /* All at once they are read, too: each has its own UUID. */
    assert_int_equal(babeltrace_count(directory), all);
}

/* ---- a worker forks, and its child goes on as if it were the worker --------------------------------------------------- */

static void *fork_and_return(void *argument)
{
    marks("the worker", 2);
    const pid_t pid = fork();
    if (pid == 0) {
        /* Another thread of the child records first; then this one ends, whose ring was the parent's. */
        pthread_t thread;
        if (pthread_create(&thread, NULL, thread_of_child, NULL) != 0 || pthread_join(thread, NULL) != 0)
            _exit(4);
        return argument; /* the child's only thread ends: so does the child */
    }
    static int failed;
    failed = wait_well(pid) != 0;
    return &failed;
}

static int case_worker(void)
{
    pthread_t thread;
    void *failed;
    pthread_create(&thread, NULL, fork_and_return, NULL);
    pthread_join(thread, &failed);
    return *(int *)failed;
}

static void test_worker(void **state)
{
    (void)state;
    if (is_sanitized() == 2)
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("worker", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 2);
    for (unsigned i = 0; i < 2; i++) {
        babeltrace_agrees(process_directory(directory, i));
        check_finds_it_sound(process_directory(directory, i));
    }
}

/* ---- exec ------------------------------------------------------------------------------------------------------------- */

static int case_exec(void)
{
    extern char **environ;
    LAP_PROFILE("runs others");
    LAP_MARK("before");
    char *const arguments[] = {"sh", "-c", "exit 7", NULL};
    const pid_t child = vfork();
    if (child == 0) {
        execv("/bin/sh", arguments);
        _exit(1);
    }
    if (WEXITSTATUS(wait_well(child)) != 7)
        return 1;
    LAP_MARK("after vfork");
    pid_t pid;
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ) != 0 || WEXITSTATUS(wait_well(pid)) != 7)
        return 2;
    LAP_MARK("after posix_spawn");
    if (WEXITSTATUS(system("exit 7")) != 7)
        return 3;
    LAP_MARK("after system");
    return 0;
}

static void test_exec(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("exec", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 1);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_of_kind(stored, "mark"), 4);
    stored_free(stored);
}

/* The same process twice, by exec: two recordings, the first neither ended nor damaged. */
static int case_exec_self(void)
{
    marks("each", 10);
    if (getenv("TEST_SECOND"))
        return 0;
    setenv("TEST_SECOND", "1", 1);
    execl("/proc/self/exe", "test", "exec_self", (char *)NULL);
    return 1;
}

static void test_exec_self(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("exec_self", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 2);
    unsigned ended = 0;
    uint64_t pid = 0;
    for (unsigned i = 0; i < 2; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored_named(stored, "one"), 10);
        ended += stored->control.state == LAP_FORMAT_ENDED;
        assert_true(pid == 0 || stored->control.pid == pid);
        pid = stored->control.pid;
        stored_free(stored);
    }
    assert_int_equal(ended, 1);
}

/* daemon(): the one that stays records by itself, where it was told to before it went to "/". */
static int case_daemon(void)
{
    marks("the one that starts it", 5);
    int fds[2];
    if (pipe(fds) < 0)
        return 1;
    const pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        if (daemon(0, 0) < 0)
            _exit(1);
        marks("the daemon", 6);
        exit(0);
    }
    close(fds[1]);
    char byte;
    while (read(fds[0], &byte, 1) > 0) /* open for as long as the daemon lives */
        continue;
    return wait_well(pid);
}

static void test_daemon(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("daemon", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 2);
    size_t ones = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct stored *const stored = stored_load(process_directory(directory, i));
        ones += stored_named(stored, "one");
        assert_int_equal(stored->control.state, LAP_FORMAT_ENDED);
        stored_free(stored);
    }
    assert_int_equal(ones, 11);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_printed),   cmocka_unit_test(test_quiet_child), cmocka_unit_test(test_diverted),
        cmocka_unit_test(test_storm),     cmocka_unit_test(test_worker),      cmocka_unit_test(test_exec),
        cmocka_unit_test(test_exec_self), cmocka_unit_test(test_daemon),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"printed", case_printed},     {"quiet_child", case_quiet_child}, {"diverted", case_diverted},
        {"storm", case_storm},         {"worker", case_worker},           {"exec", case_exec},
        {"exec_self", case_exec_self}, {"daemon", case_daemon},           {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
