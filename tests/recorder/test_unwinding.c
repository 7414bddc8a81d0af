/* SPDX-License-Identifier: MIT
 *
 * Scopes that are left without their end: longjmp, siglongjmp out of handlers, pthread_exit, cancellation, exit, and
 * checkpoints after the end.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- longjmp ---------------------------------------------------------------------------------------------------------- */

static jmp_buf target;
static volatile int is_jumping = 1;

static __attribute__((noinline)) void jump_from(int depth)
{
    LAP_PROFILE("left at depth %d", depth);
    LAP_MARK("before the jump");
    if (depth > 0)
        jump_from(depth - 1);
    else if (is_jumping)
        longjmp(target, 1);
    LAP_MARK("never");
}

static __attribute__((noinline)) void after_jump(void)
{
    LAP_PROFILE("after the jump");
    LAP_MARK("there");
}

static int case_longjmp(void)
{
    LAP_PROFILE("outer");
    LAP_MARK("before");
    if (setjmp(target) == 0)
        jump_from(2);
    LAP_MARK("first after it"); /* of whom it is cannot be known before the next scope begins or ends */
    after_jump();
    LAP_MARK("last");
    return 0;
}

static void test_longjmp(void **state)
{
    (void)state;
    if (is_sanitized()) /* AddressSanitizer keeps variables elsewhere: what lies below the stack tells nothing there */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("longjmp", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    assert_int_equal(count_of(outcome.err, "< Exiting left at depth "), 3);
    assert_int_equal(count_of(outcome.err, " (abandoned)\n"), 3);
    assert_int_equal(count_of(outcome.err, "never"), 0);
    assert_non_null(strstr(outcome.err, "\n  > Entering after the jump\n    there: T, tot: T\n"));
    assert_non_null(strstr(outcome.err, "\n  last: T, tot: T\n  (rest): T\n< Exiting outer, total time: T\n"));
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "lapmark:abandoned"), 1);
    for (size_t i = 0; i < stored->count; i++)
        if (stored->events[i].class_id == LAP_FORMAT_ABANDONED)
            assert_int_equal(stored->events[i].words[1], 3);
    assert_int_equal(stored_named(stored, "lapmark:end"), 2);
    stored_free(stored);
}

/* Every begin has its end or is abandoned, whatever the depths; nesting does not grow. */
static int case_longjmp_loop(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "outer");
    for (volatile int i = 0; i < 20000; i++) {
        if (setjmp(target) == 0)
            jump_from(i % 7);
        if (i % 3 == 0)
            after_jump();
    }
    LAP_END();
    return LAP_ELAPSED_NS() != 0; /* none is open any more */
}

static void check_balance(const struct stored *stored)
{
    uint64_t opened = 0, closed = 0;
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        opened += strcmp(event->kind, "begin") == 0 || strcmp(event->kind, "begin_with") == 0;
        closed += event->class_id == LAP_FORMAT_END;
        closed += event->class_id == LAP_FORMAT_ABANDONED ? event->words[1] : 0;
        assert_true(closed <= opened && opened - closed < 16);
    }
    assert_int_equal(opened, closed);
}

static void test_longjmp_loop(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("longjmp_loop", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    check_balance(stored);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

/* The same printed, with options of all kinds among those that are left. */
static __attribute__((noinline)) void jump_from_all(int depth)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = depth % 2 ? 1e6 : 0), "with a threshold");
    LAP_PROFILE_WITH(LAP_OPTS(.disabled = depth % 3 == 2), "perhaps disabled");
    LAP_MARK("m");
    LAP_PROFILE_WITH(LAP_OPTS(.immediate = depth % 5 == 4), "perhaps immediate");
    LAP_MARK("n");
    if (depth > 0)
        jump_from_all(depth - 1);
    else if (is_jumping)
        longjmp(target, 1);
}

static void nowhere(const char *text, uint64_t length_bytes, void *user)
{
    (void)text;
    *(uint64_t *)user += length_bytes;
}

static int case_longjmp_all(void)
{
    static uint64_t bytes;
    lap_sink_function(nowhere, &bytes);
    for (volatile int i = 0; i < 3000; i++) {
        if (setjmp(target) == 0)
            jump_from_all(i % 11);
        if (i % 3 == 0)
            after_jump();
    }
    {
        LAP_PROFILE("at last");
        LAP_MARK("all is well again");
    }
    return bytes == 0;
}

static void test_longjmp_all(void **state)
{
    (void)state;
    static const char *const kept[] = {"LAPMARK_KEEP=all", "LAPMARK_KEEP=slow"};
    for (int i = 0; i < 2; i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case("longjmp_all", variable("LAPMARK_RECORD", directory), kept[i], NULL);
        assert_ended_well(&outcome);
        outcome_free(&outcome);
        const char *const process = process_directory(directory, 0);
        babeltrace_agrees(process);
        struct stored *const stored = stored_load(process);
        if (i == 0)
            check_balance(stored);
        assert_int_equal(stored_named(stored, "at last"), 1);
        assert_int_equal(stored_named(stored, "all is well again"), 1);
        stored_free(stored);
    }
}

/* ---- siglongjmp out of a handler that interrupts the library ----------------------------------------------------------- */

static sigjmp_buf signal_target;
static volatile sig_atomic_t may_jump;
static uint64_t jumped;

static void jump_away(int signal)
{
    (void)signal;
    if (!may_jump)
        return;
    may_jump = 0;
    jumped++;
    siglongjmp(signal_target, 1);
}

static int is_over;
static void *hammer(void *thread)
{
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

static __attribute__((noinline)) void work(void)
{
    LAP_PROFILE("work");
    for (int i = 0; i < 200; i++) {
        LAP_PROFILE("inner");
        LAP_MARK("step");
        LAP_MARK("step with %s", "a string");
        LAP_PROFILE_WITH(LAP_OPTS(.n = i), "with options");
    }
}

static int case_siglongjmp(void)
{
    struct sigaction action = {.sa_handler = jump_away};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t main_thread = pthread_self(), hammerer;
    {
        LAP_PROFILE("met"); /* all sites are known before */
        work();
    }
    pthread_create(&hammerer, NULL, hammer, &main_thread);
    while (jumped < 600) {
        LAP_PROFILE("round");
        if (sigsetjmp(signal_target, 1) == 0) {
            may_jump = 1;
            work();
            may_jump = 0;
        }
        LAP_MARK("behind the jump");
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    pthread_join(hammerer, NULL);
    for (int i = 0; i < 100; i++) {
        LAP_PROFILE("at last");
        LAP_MARK("all is well again");
    }
    return 0;
}

static void test_siglongjmp(void **state)
{
    (void)state;
    if (is_sanitized()) /* its runtime does not stand handlers that do not return */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("siglongjmp", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "at last"), 100);
    assert_int_equal(stored_named(stored, "all is well again"), 100);
    stored_free(stored);
}

/* ---- threads that end inside ------------------------------------------------------------------------------------------- */

static void *leave_by_exit(void *argument)
{
    LAP_PROFILE("left by pthread_exit");
    LAP_PROFILE_WITH(LAP_OPTS(.disabled = (uintptr_t)argument % 2 == 1), "perhaps disabled");
    LAP_MARK("m");
    pthread_exit(NULL);
}

static int is_there;
static void *leave_by_cancel(void *argument)
{
    LAP_PROFILE("left by pthread_cancel");
    LAP_PROFILE_WITH(LAP_OPTS(.immediate = (uintptr_t)argument % 2 == 1), "perhaps immediate");
    LAP_MARK("m");
    __atomic_store_n(&is_there, 1, __ATOMIC_RELEASE);
    for (;;) {
        sched_yield();
        pthread_testcancel();
    }
    return argument;
}

static int case_threads(void)
{
    for (uintptr_t i = 0; i < 200; i++) {
        pthread_t thread;
        is_there = 0;
        pthread_create(&thread, NULL, i % 2 ? leave_by_exit : leave_by_cancel, (void *)(i / 2));
        if (i % 2 == 0) {
            while (!__atomic_load_n(&is_there, __ATOMIC_ACQUIRE))
                sched_yield();
            pthread_cancel(thread);
        }
        pthread_join(thread, NULL);
    }
    LAP_PROFILE("of main");
    LAP_MARK("m");
    return 0;
}

static void test_threads(void **state)
{
    (void)state;
    if (is_sanitized()) /* as with cancellation anywhere */
        skip();
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("threads", variable("LAPMARK_RECORD", directory), "LAPMARK=-nothing,left*:1e6,perhaps*:1e6", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.rings, 1); /* one after another */
    check_balance(stored);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

/* ---- other stacks -------------------------------------------------------------------------------------------------------- */

/* A handler on a stack of its own is no sign that the scopes of the other stack are gone. */
static void on_other_stack(int signal)
{
    (void)signal;
    LAP_PROFILE("on the signal's stack");
    LAP_MARK("there");
}

static int case_other_stack(void)
{
    static char memory[1 << 16];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_other_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    char above[1 << 16];
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE("interrupted");
        LAP_MARK("before");
        raise(SIGUSR1);
        LAP_MARK("after");
    }
    /* And one whose stack lies just above. */
    const stack_t higher = {.ss_sp = above, .ss_size = sizeof above};
    sigaltstack(&higher, NULL);
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE("interrupted");
        LAP_MARK("before");
        raise(SIGUSR1);
        LAP_MARK("after");
    }
    return 0;
}

static void test_other_stack(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("other_stack", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "lapmark:abandoned"), 0);
    assert_int_equal(stored_named(stored, "lapmark:end"), 12);
    assert_int_equal(stored_of_kind(stored, "mark"), 18);
    stored_free(stored);
}

/* Coroutines are for handles: what scopes do there is counted, never undefined. */
static ucontext_t contexts[3], main_context;
static int finished;

static void coroutine(int number)
{
    const lap_handle handle = lap_begin("coroutine %d", number);
    for (int i = 0; i < 50; i++) {
        if (getenv("TEST_SCOPES")) {
            LAP_PROFILE("scope of a coroutine");
            LAP_MARK("step");
            swapcontext(&contexts[number], &main_context);
            LAP_MARK("resumed");
        }
        lap_mark(handle, "step of the handle");
        swapcontext(&contexts[number], &main_context);
    }
    lap_end(handle);
    finished++;
    swapcontext(&contexts[number], &main_context);
}

static int case_coroutines(void)
{
    static char stacks[3][1 << 16];
    for (int i = 0; i < 3; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = stacks[i];
        contexts[i].uc_stack.ss_size = sizeof stacks[i];
        makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
    }
    while (finished < 3)
        for (int i = 0; i < 3; i++)
            if (finished < 3)
                swapcontext(&main_context, &contexts[i]);
    return 0;
}

static void test_coroutines(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("coroutines", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "step of the handle"), 150);
    assert_int_equal(stored_named(stored, "lapmark:handle_end"), 3);
    stored_free(stored);
    const char *const other = temporary_directory();
    outcome = run_case("coroutines", variable("LAPMARK_RECORD", other), "TEST_SCOPES=1", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    babeltrace_agrees(process_directory(other, 0));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_longjmp),    cmocka_unit_test(test_longjmp_loop), cmocka_unit_test(test_longjmp_all),
        cmocka_unit_test(test_siglongjmp), cmocka_unit_test(test_threads),      cmocka_unit_test(test_other_stack),
        cmocka_unit_test(test_coroutines),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"longjmp", case_longjmp},         {"longjmp_loop", case_longjmp_loop},
        {"longjmp_all", case_longjmp_all}, {"siglongjmp", case_siglongjmp},
        {"threads", case_threads},         {"other_stack", case_other_stack},
        {"coroutines", case_coroutines},   {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
