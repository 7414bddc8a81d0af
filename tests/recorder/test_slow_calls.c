/* SPDX-License-Identifier: MIT
 *
 * Calls that one side finds slow: the other keeps and prints its own part, where it accepts that, and not more often than it likes.
 * Both sides are this process, the server a thread of its own for each request.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEVER_MS 1e9
enum { HELD = 64, A_SECOND = 10, MANY = 40 };

struct served {
    struct lap_call *call;
    double threshold_ms;
    long work_us;
    uint8_t reply[LAP_TRAILER_BYTES];
};

static void *serve(void *argument)
{
    struct served *const served = argument;
    struct lap_serve serving;
    lap_serve_begin_with(&serving, LAP_OPTS(.threshold_ms = served->threshold_ms), served->call->request,
                         sizeof served->call->request, 0, "serving %ld", served->work_us);
    spend_us(served->work_us);
    lap_mark(serving.handle, "worked");
    lap_serve_reply(&serving, served->reply);
    lap_end(serving.handle);
    return NULL;
}

/* One call; the server has this threshold. */
static void one_call(struct lap_call *call, double threshold_ms, long work_us)
{
    struct served served = {.call = call, .threshold_ms = threshold_ms, .work_us = work_us};
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, &served) != 0 || pthread_join(thread, NULL) != 0)
        exit(99);
    lap_call_end(call, served.reply, sizeof served.reply);
}

static long options(void)
{
    lap_accept(getenv("TEST_ACCEPT") ? (uint32_t)atoi(getenv("TEST_ACCEPT")) : 0);
    return getenv("TEST_COUNT") ? atol(getenv("TEST_COUNT")) : 1;
}

/* ---- slow for the server ------------------------------------------------------------------------------------------------- */

static int case_server_slow(void)
{
    const long count = options();
    unsigned kept = 0;
    for (long i = 0; i < count; i++) {
        struct lap_call call;
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = NEVER_MS), "scope client");
        lap_call_begin(&call, "call");
        one_call(&call, 0.5, 600);
        kept += (call.split.flags & LAP_SPLIT_KEPT) != 0;
        if (!(call.split.flags & LAP_SPLIT_SLOW))
            return 1;
        LAP_MARK("answered");
    }
    struct lap_call call;
    const lap_handle handle = lap_begin_with(LAP_OPTS(.threshold_ms = NEVER_MS), "handle client");
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = handle), "call of a handle");
    one_call(&call, 0.5, 600);
    lap_mark(handle, "answered");
    lap_end(handle);
    printf("%u\n", kept + ((call.split.flags & LAP_SPLIT_KEPT) != 0));
    return 0;
}

static void test_server_slow(void **state)
{
    (void)state;
    struct outcome outcome = run_case("server_slow", "LAPMARK_ACCEPT=slow", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(atoi(outcome.out), 2);
    assert_int_equal(count_of(outcome.err, "> Entering scope client\n  answered: "), 1);
    assert_int_equal(count_of(outcome.err, "> Entering handle client\n  answered: "), 1);
    assert_int_equal(count_of(outcome.err, "(server "), 2);
    outcome_free(&outcome);
    outcome = run_case("server_slow", "TEST_ACCEPT=1", NULL);
    assert_int_equal(count_of(outcome.err, "client\n"), 2);
    outcome_free(&outcome);
    outcome = run_case("server_slow", "LAPMARK_ACCEPT=threshold", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(atoi(outcome.out), 0);
    assert_int_equal(count_of(outcome.err, "client\n"), 0);
    assert_int_equal(count_of(outcome.err, "> Entering serving 600\n"), 2);
    outcome_free(&outcome);
}

/* It says so for all; what is printed is bounded, and the rest counted. */
static void test_server_slow_too_often(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("server_slow", "LAPMARK_ACCEPT=slow", "TEST_COUNT=40", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const unsigned kept = (unsigned)atoi(outcome.out);
    assert_in_range(kept, A_SECOND, MANY);
    assert_int_equal(count_of(outcome.err, "client\n  answered: "), kept);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_WISH], MANY + 1 - kept);
    stored_free(stored);
    assert_int_equal(babeltrace_agrees(process_directory(directory, 0)) > 0, 1);
    outcome_free(&outcome);
    temporary_directories_remove();
}

/* What a threshold would have taken back stays where its server was slow; `show` prints it as the process did. */
static void test_server_slow_is_kept(void **state)
{
    (void)state;
    for (int accepts = 0; accepts < 2; accepts++) {
        const char *const directory = temporary_directory();
        struct outcome outcome = run_case("server_slow", accepts ? "LAPMARK_ACCEPT=slow" : "LAPMARK_ACCEPT=nothing",
                                          "LAPMARK_KEEP=slow", variable("LAPMARK_RECORD", directory), NULL);
        assert_ended_well(&outcome);
        assert_int_equal(outcome.err_bytes == 0, 0);
        struct stored *const stored = stored_load(process_directory(directory, 0));
        assert_int_equal(stored_named(stored, "scope client"), accepts);
        assert_int_equal(stored_named(stored, "call"), accepts);
        assert_int_equal(stored_named(stored, "call of a handle"), 1);
        stored_free(stored);
        const char *const shown = lapmark_says("show", directory, NULL);
        assert_int_equal(count_of(shown, "> Entering scope client\n"), accepts);
        assert_int_equal(count_of(shown, "> Entering handle client\n"), accepts);
        check_finds_it_sound(process_directory(directory, 0));
        outcome_free(&outcome);
        temporary_directories_remove();
    }
}

/* ---- slow for the caller ------------------------------------------------------------------------------------------------- */

/* One place in the code: the same kind of request. */
static uint64_t call_of_interest(lap_handle handle, long work_us)
{
    struct lap_call call;
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = handle), "call");
    one_call(&call, NEVER_MS, work_us);
    return call.split.total_ns;
}

/* Three; says which took longest, which need not be the one that worked most. */
static void calls_of_interest(lap_handle handle)
{
    long slowest_us = 0;
    uint64_t slowest_ns = 0;
    for (long work_us = 1; work_us <= 3; work_us++) {
        const long us = work_us == 2 ? 20000 : work_us;
        const uint64_t took_ns = call_of_interest(handle, us);
        slowest_us = took_ns > slowest_ns ? us : slowest_us;
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
    }
    printf("%ld\n", slowest_us);
}

static void others(long count)
{
    for (long i = 0; i < count; i++) {
        struct lap_call call;
        lap_call_begin(&call, "another call");
        one_call(&call, NEVER_MS, 0);
    }
}

/* The caller takes its threshold, the server not: the next request of that kind says so. */
static int case_caller_slow(void)
{
    const long between = options();
    if (getenv("TEST_HANDLE")) {
        const lap_handle handle = lap_begin_with(LAP_OPTS(.threshold_ms = 0.5), "handle client");
        calls_of_interest(handle);
        lap_end(handle);
    } else {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.5), "scope client");
        calls_of_interest(0);
    }
    if (write(STDERR_FILENO, "said\n", 5) != 5)
        return 1;
    others(between);
    call_of_interest(0, 0);
    if (write(STDERR_FILENO, "again\n", 6) != 6)
        return 1;
    call_of_interest(0, 0); /* once */
    return 0;
}

static uint64_t wishes_lost(const char *directory)
{
    struct stored *const stored = stored_load(process_directory(directory, 0));
    const uint64_t lost = stored->control.losses[LAP_FORMAT_LOSS_WISH];
    stored_free(stored);
    return lost;
}

static void caller_is_slow(const char *accept, long between, const char *other, unsigned printed, unsigned lost)
{
    const char *const directory = temporary_directory();
    char count[32];
    snprintf(count, sizeof count, "TEST_COUNT=%ld", between);
    struct outcome outcome = run_case("caller_slow", accept, count, other, variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const char *const said = strstr(outcome.err, "said\n"), *const again = strstr(outcome.err, "again\n");
    assert_non_null(said);
    assert_non_null(again);
    assert_int_equal(count_of(outcome.err, " client\n"), 1); /* its own report */
    char wanted[64];
    snprintf(wanted, sizeof wanted, "> Entering serving %ld\n  worked: ", atol(outcome.out));
    assert_int_equal(count_of(outcome.err, "> Entering serving "), printed);
    assert_int_equal(count_of(said, wanted), printed);
    assert_int_equal(count_of(again, "serving"), 0);
    assert_int_equal(wishes_lost(directory), lost);
    check_finds_it_sound(process_directory(directory, 0));
    outcome_free(&outcome);
    temporary_directories_remove();
}

static void test_caller_slow(void **state)
{
    (void)state;
    caller_is_slow("LAPMARK_ACCEPT=slow", 0, "X=", 1, 0);
    caller_is_slow("LAPMARK_ACCEPT=threshold,slow", 0, "TEST_HANDLE=1", 1, 0);
    caller_is_slow("LAPMARK_ACCEPT=", 0, "X=", 0, 0);
}

/* The last 64 are held. Which of the caller's three was slowest is known to nobody before: so far for all, and no more for any. */
static void test_caller_slow_too_late(void **state)
{
    (void)state;
    caller_is_slow("LAPMARK_ACCEPT=slow", HELD - 3, "X=", 1, 0);
    caller_is_slow("LAPMARK_ACCEPT=slow", HELD, "X=", 0, 1);
}

/* ---- wishes -------------------------------------------------------------------------------------------------------------- */

static void wish_one(enum lap_wish wish, double wished_ms, double threshold_ms, unsigned char disabled)
{
    struct lap_call call;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_call_begin(&call, "call");
    lap_call_wish(&call, wish, wished_ms);
    struct lap_serve serving;
    lap_serve_begin_with(&serving, LAP_OPTS(.threshold_ms = threshold_ms, .disabled = disabled), call.request,
                         sizeof call.request, 0, "wish %d for %g: %g %d", wish, wished_ms, threshold_ms, disabled);
    spend_us(50);
    lap_serve_reply(&serving, reply);
    lap_end(serving.handle);
    if (lap_call_end(&call, reply, sizeof reply) != 0 || !(call.split.flags & LAP_SPLIT_SERVER))
        exit(1);
}

static int case_wishes(void)
{
    const long count = options();
    for (long i = 0; i < count; i++)
        wish_one(LAP_WISH_AS_IT_IS, 0.001, NEVER_MS, 0);
    if (count > 1)
        return 0;
    wish_one(LAP_WISH_AS_IT_IS, 0, NEVER_MS, 0);
    wish_one(LAP_WISH_AS_IT_IS, 0, 0, 0);
    wish_one(LAP_WISH_AS_IT_IS, NEVER_MS, 0, 0);
    wish_one(LAP_WISH_OFF, 0, 0, 0);
    wish_one(LAP_WISH_ON, 0, 0, 1);
    wish_one(LAP_WISH_AS_IT_IS, 0, 0, 1);
    struct lap_call off = {.is_open = 0};
    lap_call_wish(&off, LAP_WISH_ON, 1);
    return off.request[5] != 0 || off.request[6] != 0;
}

static void wishes_print(const char *accept, const char *terms, const char *const *wanted, unsigned count)
{
    struct outcome outcome = run_case("wishes", accept, terms, NULL);
    assert_ended_well(&outcome);
    for (unsigned i = 0; i < count; i++)
        if (count_of(outcome.err, wanted[i]) != 1)
            fail_msg("%s is not there once:\n%s", wanted[i], outcome.err);
    assert_int_equal(count_of(outcome.err, "> Entering "), count);
    outcome_free(&outcome);
}

static void test_wishes(void **state)
{
    (void)state;
    static const char *const accepted[] = {"> Entering wish 0 for 0.001: 1e+09 0\n", "> Entering wish 0 for 0: 0 0\n",
                                           "> Entering wish 2 for 0: 0 1\n"};
    static const char *const refused[] = {"> Entering wish 0 for 0: 0 0\n", "> Entering wish 0 for 1e+09: 0 0\n",
                                          "> Entering wish 1 for 0: 0 0\n"};
    wishes_print("LAPMARK_ACCEPT=threshold", "X=", accepted, 3);
    wishes_print("LAPMARK_ACCEPT=slow", "X=", refused, 3);
    wishes_print("LAPMARK_ACCEPT=threshold", "LAPMARK=*:3600000", NULL, 0); /* who runs it goes before who asks */
}

static void test_wishes_too_often(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("wishes", "LAPMARK_ACCEPT=threshold", "TEST_COUNT=40", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const unsigned printed = count_of(outcome.err, "> Entering ");
    assert_in_range(printed, A_SECOND, MANY - 1);
    assert_int_equal(wishes_lost(directory), MANY - printed);
    outcome_free(&outcome);
    temporary_directories_remove();
}

/* What a threshold becomes on its way: within 0.3 %, as the server's own switch for it shows. */
static int case_threshold(void)
{
    lap_accept(LAP_ACCEPT_THRESHOLD);
    for (double ms = 1e-3; ms < 1e10; ms *= 1.37) {
        struct lap_call call;
        lap_call_begin(&call, "call");
        lap_call_wish(&call, LAP_WISH_AS_IT_IS, ms);
        struct lap_options got = LAP_OPTS();
        lap_impl_serve_options(&got, call.request, sizeof call.request);
        const double ratio = got.threshold_ms / ms;
        if (!(ratio > 0.997 && ratio < 1.003)) {
            printf("%g became %g\n", ms, got.threshold_ms);
            return 1;
        }
        lap_call_end(&call, NULL, 0);
    }
    return 0;
}

static void test_threshold(void **state)
{
    (void)state;
    struct outcome outcome = run_case("threshold", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

/* ---- taken back ---------------------------------------------------------------------------------------------------------- */

/* A scope below its threshold goes with its calls, but for those that bound the clocks. */
/* Prints which was the tightest of all, and so of its second. */
static int case_taken_back(void)
{
    const long count = options();
    uint64_t least_ns = UINT64_MAX;
    struct lap_call tightest = {.is_open = 0};
    for (long i = 0; i < count; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = NEVER_MS), "scope client");
        struct lap_call call;
        lap_call_begin(&call, "call");
        spend_us(i == count / 2 ? 0 : 30);
        one_call(&call, NEVER_MS, 0);
        if (call.split.between_ns < least_ns) {
            least_ns = call.split.between_ns;
            tightest = call;
        }
    }
    for (size_t i = 0; i < sizeof tightest.context.span_id; i++)
        printf("%02x", tightest.context.span_id[i]);
    return 0;
}

static size_t stored_of_span(const struct stored *stored, uint64_t span_id)
{
    size_t count = 0;
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->events[i].kind, "call") == 0)
            count += ((const struct lap_format_call *)(const void *)(stored->events[i].words + 1))->span_id == span_id;
    return count;
}

static void test_taken_back(void **state)
{
    (void)state;
    for (int shares = 0; shares < 2; shares++) {
        const char *const directory = temporary_directory();
        struct outcome outcome =
            run_case("taken_back", "LAPMARK_KEEP=slow", "LAPMARK_PRINT=off", "TEST_COUNT=1000",
                     shares ? "LAPMARK_SHARE=domain" : "X=", variable("LAPMARK_RECORD", directory), NULL);
        assert_ended_well(&outcome);
        struct stored *const stored = stored_load(process_directory(directory, 0));
        const size_t calls = stored_named(stored, "call");
        assert_int_equal(stored_named(stored, "scope client"), calls);
        assert_in_range(calls, shares, shares ? 100 : 0);
        assert_int_equal(stored_of_span(stored, strtoull(outcome.out, NULL, 16)), shares);
        stored_free(stored);
        check_finds_it_sound(process_directory(directory, 0));
        const char *const report = lapmark_says("report", directory, NULL);
        assert_non_null(strstr(report, "1,000")); /* the statistics have them all */
        const char *const said = lapmark_says("calls", directory, NULL);
        assert_non_null(
            strstr(said, shares ? "taken back, and calls with it" : "was below its threshold was taken back"));
        outcome_free(&outcome);
        temporary_directories_remove();
    }
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_server_slow),          cmocka_unit_test(test_server_slow_too_often),
        cmocka_unit_test(test_server_slow_is_kept),  cmocka_unit_test(test_caller_slow),
        cmocka_unit_test(test_caller_slow_too_late), cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_wishes_too_often),     cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_taken_back),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"server_slow", case_server_slow}, {"caller_slow", case_caller_slow},
                                             {"wishes", case_wishes},           {"threshold", case_threshold},
                                             {"taken_back", case_taken_back},   {NULL, NULL}};
    return run_cases_or_tests(argc, argv, cases, tests);
}
