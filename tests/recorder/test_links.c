/* SPDX-License-Identifier: MIT
 *
 * Links: what a batch, a retry and a child process follow, whose child a request without a trailer is, by which name others know
 * a profiler, and messages to which no reply comes.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The words of a link behind its first. */
enum { HANDLE = 1, OWN_SPAN, TRACE_HIGH, TRACE_LOW, SPAN, RELATION_PATH };

static uint64_t number_at(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

static const struct lap_context given = {
    .trace_id = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
    .span_id = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
    .flags = LAP_CONTEXT_SAMPLED};

/* What a case says that it stored, for the test to find. */
static void say(unsigned relation, uint64_t handle, uint64_t own_span, const struct lap_context *other)
{
    printf("%u %llx %llx %llx %llx %llx\n", relation, (unsigned long long)handle, (unsigned long long)own_span,
           (unsigned long long)number_at(other->trace_id), (unsigned long long)number_at(other->trace_id + 8),
           (unsigned long long)number_at(other->span_id));
}

/* Whose links a case says: a forked child of it has a directory, too, and none. */
static const char *process_with_links(const char *directory)
{
    size_t found = 0;
    unsigned index = 0;
    for (unsigned i = 0; i < process_count(directory); i++) {
        struct stored *const stored = stored_load(process_directory(directory, i));
        if (stored_named(stored, "lapmark:link") > found) {
            found = stored_named(stored, "lapmark:link");
            index = i;
        }
        stored_free(stored);
    }
    return process_directory(directory, index);
}

/* Runs a case; its links are those that it said, in that order, and nothing else is lost but `losses` handles. */
static struct stored *run_and_compare(const char *name, const char *setting, uint64_t losses)
{
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case(name, variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", setting, NULL);
    assert_ended_well(&outcome);
    const char *const process = process_with_links(directory);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_HANDLE], losses);
    size_t at = 0;
    for (char *line = strtok(outcome.out, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned relation;
        unsigned long long words[5];
        assert_int_equal(
            sscanf(line, "%u %llx %llx %llx %llx %llx", &relation, &words[0], &words[1], &words[2], &words[3], &words[4]),
            6);
        while (at < stored->count && strcmp(stored->events[at].name, "lapmark:link") != 0)
            at++;
        assert_true(at < stored->count);
        const uint64_t *const link = stored->events[at++].words;
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(link[HANDLE + i], words[i]);
        assert_int_equal((uint32_t)link[RELATION_PATH], relation);
        assert_true((link[RELATION_PATH] >> 32 == LAP_FORMAT_PATH_NONE) == (words[0] == 0));
    }
    while (at < stored->count)
        assert_string_not_equal(stored->events[at++].name, "lapmark:link");
    outcome_free(&outcome);
    return stored;
}

/* ---- what follows what ------------------------------------------------------------------------------------------------ */

/* Three requests go into one batch, a handle; and one into a scope that would be taken back, were it not for its link. */
static int case_fan_in(void)
{
    struct lap_call calls[3];
    struct lap_serve requests[3];
    for (unsigned i = 0; i < 3; i++) {
        lap_call_begin(&calls[i], "add");
        if (lap_serve_begin(&requests[i], calls[i].request, sizeof calls[i].request, 0, "request") != 0)
            return 1;
    }
    const lap_handle batch = lap_begin("batch");
    for (unsigned i = 0; i < 3; i++) {
        lap_link(batch, &requests[i].context);
        say(LAP_FORMAT_LINK_FOLLOWS, batch, 0, &requests[i].context);
    }
    lap_end(batch);
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e9), "linked");
        lap_link(0, &requests[0].context);
        say(LAP_FORMAT_LINK_FOLLOWS, 0, 0, &requests[0].context);
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e9), "not linked");
        LAP_MARK("in it");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "off");
        lap_link(0, &requests[0].context);
    }
    const struct lap_context none = {.flags = 0}, half = {.span_id = {1}};
    lap_link(0, NULL);
    lap_link(0, &none);
    lap_link(0, &half);
    lap_link(batch, &given); /* it has ended */
    for (unsigned i = 0; i < 3; i++)
        lap_end(requests[i].handle);
    return 0;
}

static void test_fan_in(void **state)
{
    (void)state;
    struct stored *const stored = run_and_compare("fan_in", "LAPMARK_KEEP=slow", 1);
    assert_int_equal(stored_named(stored, "linked"), 1);
    assert_int_equal(stored_named(stored, "not linked"), 0);
    stored_free(stored);
}

/* The first attempt's reply is lost; the second is a call of its own, which follows it. */
static int case_retry(void)
{
    struct lap_call first, second, third;
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    const lap_handle handle = lap_begin("client");
    lap_call_begin_with(&first, LAP_CALL_OPTS(.handle = handle), "get");
    if (lap_call_end(&first, NULL, 0) != -ENOMSG)
        return 1;
    lap_call_begin_with(&second, LAP_CALL_OPTS(.handle = handle, .parent = &given, .follows = &first.context), "get");
    say(LAP_FORMAT_LINK_FOLLOWS, handle, number_at(second.context.span_id), &first.context);
    if (memcmp(second.context.trace_id, given.trace_id, sizeof given.trace_id) != 0 ||
        memcmp(second.context.span_id, first.context.span_id, sizeof first.context.span_id) == 0)
        return 2;
    lap_serve_begin(&serve, second.request, sizeof second.request, 0, "serve");
    const uint64_t bytes = lap_serve_reply(&serve, reply);
    lap_end(serve.handle);
    if (lap_call_end(&second, reply, bytes) != 0)
        return 3;
    /* Those who were compiled when there was no such option do not have it. */
    const struct lap_call_options old = {.size = offsetof(struct lap_call_options, follows), .follows = &first.context};
    lap_call_begin_with(&third, old, "get");
    lap_call_begin_with(&third, LAP_CALL_OPTS(.follows = &(struct lap_context){.flags = 0}), "get");
    lap_end(handle);
    return 0;
}

static void test_retry(void **state)
{
    (void)state;
    struct stored *const stored = run_and_compare("retry", "LAPMARK_KEEP=all", 0);
    const uint64_t *link = NULL;
    for (size_t i = 0; i < stored->count; i++) {
        if (strcmp(stored->events[i].name, "lapmark:link") == 0)
            link = stored->events[i].words;
        if (strcmp(stored->events[i].kind, "call") != 0)
            continue;
        const struct lap_format_call *const call = (const void *)(stored->events[i].words + 1);
        /* The link names one call, and follows the other; what it took to store is not in the call. */
        assert_int_equal(call->span_id, link ? link[OWN_SPAN] : call->span_id);
        assert_true(!link || stored->events[i].ticks >= call->sent_ticks);
        assert_int_equal(call->received_ticks != 0, link != NULL);
    }
    assert_int_equal(stored_of_kind(stored, "call"), 2);
    stored_free(stored);
}

/* ---- names -------------------------------------------------------------------------------------------------------------- */

static int contexts_equal(const struct lap_context *a, const struct lap_context *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static int is_child(const struct lap_context *child, const struct lap_context *parent)
{
    return memcmp(child->trace_id, parent->trace_id, sizeof child->trace_id) == 0 &&
           child->flags == (parent->flags | LAP_CONTEXT_SAMPLED) &&
           memcmp(child->span_id, parent->span_id, sizeof child->span_id) != 0;
}

static int case_names(void)
{
    struct lap_call call;
    struct lap_serve serve;
    const lap_handle plain = lap_begin("plain");
    const struct lap_context own = lap_handle_context(plain), again = lap_handle_context(plain);
    say(LAP_FORMAT_LINK_IS, plain, 0, &own);
    if (!lap_context_is_valid(&own) || !contexts_equal(&own, &again) ||
        own.flags != (LAP_CONTEXT_SAMPLED | LAP_CONTEXT_RANDOM))
        return 1;
    lap_context_set(given);
    const struct lap_context still = lap_handle_context(plain);
    if (!contexts_equal(&own, &still))
        return 2;
    const lap_handle inside = lap_begin("inside"); /* the thread's own context */
    const struct lap_context child = lap_handle_context(inside);
    say(LAP_FORMAT_LINK_PARENT, inside, 0, &given);
    say(LAP_FORMAT_LINK_IS, inside, 0, &child);
    if (!is_child(&child, &given))
        return 3;
    lap_call_begin_with(&call, LAP_CALL_OPTS(.parent = &own), "call");
    lap_serve_begin(&serve, call.request, sizeof call.request, 0,
                    "serve"); /* its request's comes first, and is stored already */
    const struct lap_context served = lap_handle_context(serve.handle);
    say(LAP_FORMAT_LINK_IS, serve.handle, 0, &served);
    if (!is_child(&served, &call.context) || lap_serve_parent(&serve, &given) != -EEXIST)
        return 4;
    lap_end(plain);
    lap_end(inside);
    lap_end(serve.handle);
    lap_context_set((struct lap_context){.flags = 0});
    const struct lap_context none = lap_handle_context(0), stale = lap_handle_context(plain);
    if (lap_context_is_valid(&none) || lap_context_is_valid(&stale))
        return 5;
    const lap_handle next = lap_begin("in the same slot");
    const struct lap_context other = lap_handle_context(next);
    say(LAP_FORMAT_LINK_IS, next, 0, &other);
    if ((uint32_t)next != (uint32_t)serve.handle || !lap_context_is_valid(&other) ||
        memcmp(other.trace_id, served.trace_id, sizeof other.trace_id) == 0)
        return 6;
    fflush(stdout); /* what it has is said once */
    const pid_t child_process = fork();
    if (child_process == 0) { /* of a child it is none */
        const struct lap_context parents = lap_handle_context(next);
        _exit(lap_context_is_valid(&parents));
    }
    int status;
    if (child_process < 0 || waitpid(child_process, &status, 0) != child_process || status != 0)
        return 7;
    lap_end(next);
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    stored_free(run_and_compare("names", "LAPMARK_KEEP=all", 1));
}

/* All threads that ask get the same, and it is stored once. */
enum { THREADS = 8, TURNS = 200 };
static pthread_barrier_t barrier;
static lap_handle shared_handle;
static struct lap_context seen[THREADS];

static void *ask(void *user)
{
    for (unsigned i = 0; i < TURNS; i++) {
        pthread_barrier_wait(&barrier);
        seen[(uintptr_t)user] = lap_handle_context(shared_handle);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static int case_race(void)
{
    pthread_t threads[THREADS];
    int error = 0;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask, (void *)i) != 0)
            return 1;
    for (unsigned i = 0; i < TURNS; i++) {
        shared_handle = lap_begin("shared");
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (unsigned t = 0; t < THREADS; t++)
            error |= !lap_context_is_valid(&seen[t]) || !contexts_equal(&seen[t], &seen[0]);
        lap_end(shared_handle);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return error;
}

static void test_race(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("race", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "lapmark:link"), TURNS);
    stored_free(stored);
}

/* ---- a request that has but a traceparent -------------------------------------------------------------------------------- */

static int case_parent(void)
{
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    const struct lap_context none = {.flags = 0};
    if (lap_serve_begin(&serve, NULL, 0, 0, "serve") != -ENOMSG || lap_context_is_valid(&serve.context))
        return 1;
    if (lap_serve_parent(&serve, NULL) != -EINVAL || lap_serve_parent(&serve, &none) != -EINVAL)
        return 2;
    if (lap_serve_parent(&serve, &given) != 0 || !contexts_equal(&serve.context, &given) ||
        lap_serve_parent(&serve, &given) != -EEXIST)
        return 3;
    say(LAP_FORMAT_LINK_PARENT, serve.handle, 0, &given);
    const struct lap_context own = lap_handle_context(serve.handle);
    say(LAP_FORMAT_LINK_IS, serve.handle, 0, &own);
    if (!is_child(&own, &given) || lap_serve_reply(&serve, reply) != 0)
        return 4;
    lap_end(serve.handle);
    serve.context = none;
    return lap_serve_parent(&serve, &given) == 0 ? 0 : 5; /* it has ended: nothing is stored */
}

static void test_parent(void **state)
{
    (void)state;
    stored_free(run_and_compare("parent", "LAPMARK_KEEP=all", 1));
}

/* A child process learns from its environment whose child it is. */
static int case_child(void)
{
    struct lap_serve serve;
    struct lap_context context;
    if (lap_context_from_environment(&context, NULL) != 0 ||
        lap_serve_begin(&serve, NULL, 0, 0, "the child's work") != -ENOMSG)
        return 1;
    const int error = lap_serve_parent(&serve, &context);
    spend_us(1000);
    lap_mark(serve.handle, "worked");
    lap_end(serve.handle);
    return error;
}

/* Not /proc/self/exe itself, which is valgrind under that; what it says is right there, too. */
static const char *own_path(void)
{
    static char path[4096];
    const ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - 1);
    path[bytes < 0 ? 0 : bytes] = '\0';
    return path;
}

static int case_spawn(void)
{
    struct lap_call call;
    char *arguments[] = {"test_links", "child", NULL};
    LAP_PROFILE("parent");
    lap_call_begin(&call, "run child");
    char **const environment = lap_context_environment(environ, &call.context, NULL);
    pid_t child;
    int status;
    if (!environment || posix_spawn(&child, own_path(), NULL, NULL, arguments, environment) != 0)
        return 1;
    free(environment);
    if (waitpid(child, &status, 0) != child || status != 0)
        return 2;
    lap_call_end(&call, NULL, 0);
    LAP_MARK("child ended");
    return 0;
}

/* Three children of a profiler that makes no call. */
static int case_spawn_three(void)
{
    char *arguments[] = {"test_links", "child", NULL};
    const lap_handle handle = lap_begin("starts three");
    const struct lap_context context = lap_handle_context(handle);
    char **const environment = lap_context_environment(environ, &context, NULL);
    pid_t children[3];
    int error = environment == NULL;
    for (unsigned i = 0; i < 3 && !error; i++)
        error = posix_spawn(&children[i], own_path(), NULL, NULL, arguments, environment);
    for (unsigned i = 0; i < 3 && !error; i++) {
        int status;
        error = waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    free(environment);
    lap_end(handle);
    return error;
}

/* How far a line of a report that begins with this label is indented, and how many it counts. */
static size_t indent_of(const char *report, const char *label, unsigned *ret_count)
{
    char *const copy = strdup(report);
    size_t indent = SIZE_MAX;
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        const size_t spaces = strspn(line, " ");
        if (strncmp(line + spaces, label, strlen(label)) == 0 &&
            sscanf(line + spaces + strlen(label), "%u", ret_count) == 1)
            indent = spaces;
    }
    free(copy);
    return indent;
}

/* The report hangs what children did below the call, or the profiler, that started them. */
static void test_spawn(void **state)
{
    (void)state;
    const char *const names[] = {"spawn", "spawn_three"}, *const starters[] = {"run child", "starts three"};
    for (unsigned i = 0; i < 2; i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case(names[i], variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
        assert_ended_well(&outcome);
        outcome_free(&outcome);
        const unsigned children = i == 0 ? 1 : 3;
        assert_int_equal(process_count(directory), 1 + children);
        const char *const says = lapmark_says("report", directory, NULL);
        unsigned count;
        const size_t starter = indent_of(says, starters[i], &count);
        assert_int_equal(count, 1);
        assert_int_equal(indent_of(says, "the child's work", &count), starter + 2);
        assert_int_equal(count, children);
        assert_true(strstr(says, starters[i]) < strstr(says, "the child's work"));
    }
}

/* ---- messages ------------------------------------------------------------------------------------------------------------ */

static int case_message(void)
{
    struct lap_call call;
    struct lap_serve serve;
    memset(&call, 0, sizeof call);
    if (lap_call_sent(&call) != -EINVAL)
        return 1;
    LAP_PROFILE("sender");
    lap_call_begin(&call, "tell");
    uint8_t request[LAP_TRAILER_BYTES];
    memcpy(request, call.request, sizeof request);
    if (lap_call_sent(&call) != 0 || lap_call_sent(&call) != -EINVAL || lap_call_end(&call, NULL, 0) != -EINVAL)
        return 2;
    if (call.split.flags != 0 || call.split.server_ns != 0)
        return 3;
    LAP_MARK("told");
    if (lap_serve_begin(&serve, request, sizeof request, 0, "hear") != 0)
        return 4;
    lap_end(serve.handle);
    lap_call_begin(&call, "tell"); /* the struct is used again: this one's reply is lost */
    return lap_call_end(&call, NULL, 0) == -ENOMSG ? 0 : 5;
}

static void test_message(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("message", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    assert_non_null(strstr(outcome.err, "  told: T, tot: T\n")); /* no reply was awaited */
    assert_int_equal(count_of(outcome.err, "silent"), 1);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    const struct lap_format_call *told = NULL;
    const struct lap_format_serve *heard = NULL;
    for (size_t i = 0; i < stored->count; i++) {
        if (strcmp(stored->events[i].kind, "call") == 0 && !told)
            told = (const void *)(stored->events[i].words + 1);
        if (strcmp(stored->events[i].name, "lapmark:serve") == 0)
            heard = (const void *)(stored->events[i].words + 1);
    }
    assert_true(told && heard && told->span_id == heard->span_id && told->flags == LAP_FORMAT_CALL_ONE_WAY);
    assert_true(told->received_ticks == 0 && told->replied_ticks == 0 && told->got_ticks >= told->sent_ticks);
    assert_true(heard->sent_ticks == told->sent_ticks && heard->received_ticks >= told->got_ticks);
    stored_free(stored);
    const char *const says = lapmark_says("calls --json", process, NULL);
    assert_int_equal(count_of(says, "\"one_way\": 1"), 2);
    assert_int_equal(count_of(says, "\"silent\": 1"), 2);
    assert_non_null(strstr(says, "\"outcome\": \"one_way\""));
    assert_non_null(strstr(lapmark_says("calls", process, NULL), "one way"));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_fan_in),  cmocka_unit_test(test_retry),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_race),    cmocka_unit_test(test_parent), cmocka_unit_test(test_spawn),
        cmocka_unit_test(test_message),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"fan_in", case_fan_in},   {"retry", case_retry}, {"names", case_names}, {"race", case_race},
        {"parent", case_parent},   {"child", case_child}, {"spawn", case_spawn}, {"spawn_three", case_spawn_three},
        {"message", case_message}, {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
