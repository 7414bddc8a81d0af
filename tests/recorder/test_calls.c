/* SPDX-License-Identifier: MIT
 *
 * Calls, from the side of the process that makes them: on whose lap they are told, what a recording holds of them, and what goes
 * wrong with them. Their peer is this process, too; test_call_peers.c has two.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a peer replies that works for so long, and has no profiler of its own. */
static uint64_t answer(const struct lap_call *call, void *reply, long work_us)
{
    struct lap_serve serve;
    const int error = lap_impl_serve_begin(&serve, 0, call->request, sizeof call->request, 0);
    if (error < 0 && error != -ENOMSG)
        return 99;
    spend_us(work_us);
    return lap_serve_reply(&serve, reply);
}

static int finish(struct lap_call *call, long work_us)
{
    uint8_t reply[LAP_TRAILER_BYTES];
    return lap_call_end(call, reply, answer(call, reply, work_us));
}

/* The figures of a split are sound, and the peer took at least this long. */
static int is_split(const struct lap_call *call, uint64_t server_ns)
{
    const struct lap_split *const split = &call->split;
    const uint64_t sum = split->server_ns + split->between_ns;
    return split->flags & LAP_SPLIT_SERVER && split->server_ns >= server_ns && split->server_ns <= split->total_ns &&
           sum <= split->total_ns && sum + 1 >= split->total_ns && split->queue_ns <= split->server_ns;
}

/* In a report, "61.2000" of what a note says becomes "N". */
static void notes_replace(char *text)
{
    char *out = text;
    for (const char *at = text; *at;) {
        const size_t digits = strspn(at, "0123456789.");
        if (digits > 2 && memchr(at, '.', digits) && at != text && at[-1] == ' ') {
            *out++ = 'N';
            at += digits;
        } else {
            *out++ = *at++;
        }
    }
    *out = 0;
}

static void assert_told(struct outcome *outcome, const char *text)
{
    assert_ended_well(outcome);
    times_replace(outcome->err);
    notes_replace(outcome->err);
    assert_string_equal(outcome->err, text);
    outcome_free(outcome);
}

/* ---- on whose lap --------------------------------------------------------------------------------------------------- */

static int case_nested(void)
{
    struct lap_call outer, inner, innermost;
    LAP_PROFILE("outer");
    lap_call_begin(&outer, "call");
    {
        LAP_PROFILE("inner");
        lap_call_begin(&inner, "call");
        if (finish(&inner, 10) != 0)
            return 1;
        LAP_MARK("inner's reply");
        {
            LAP_PROFILE("innermost");
            lap_call_begin(&innermost, "call");
            if (finish(&innermost, 10) != 0)
                return 2;
        }
        LAP_MARK("no reply");
    }
    if (finish(&outer, 10) != 0)
        return 3;
    LAP_MARK("outer's reply");
    LAP_MARK("no other");
    lap_call_begin(&outer, "call");
    return finish(&outer, 10) == 0 && is_split(&outer, 9500) ? 0 : 4;
}

static void test_nested(void **state)
{
    (void)state;
    struct outcome outcome = run_case("nested", NULL);
    assert_told(&outcome, "> Entering outer\n"
                          "  > Entering inner\n"
                          "    inner's reply: T, tot: T (server N; between N)\n"
                          "    > Entering innermost\n"
                          "    < Exiting innermost, total time: T (server N; between N)\n"
                          "    no reply: T, tot: T\n"
                          "    (rest): T\n"
                          "  < Exiting inner, total time: T\n"
                          "  outer's reply: T, tot: T (server N; between N)\n"
                          "  no other: T, tot: T\n"
                          "  (rest): T (server N; between N)\n"
                          "< Exiting outer, total time: T\n");
}

/* Several in a lap are one sum; who says nothing is counted. */
static int case_several(void)
{
    struct lap_call calls[3];
    LAP_PROFILE("client");
    for (int i = 0; i < 3; i++)
        lap_call_begin(&calls[i], "call");
    if (finish(&calls[1], 10) != 0 || lap_call_end(&calls[0], NULL, 0) != -ENOMSG || finish(&calls[2], 10) != 0)
        return 1;
    LAP_MARK("two of three");
    lap_call_begin(&calls[0], "call");
    if (lap_call_end(&calls[0], "", 0) != -ENOMSG || calls[0].split.total_ns == 0 || calls[0].split.server_ns != 0)
        return 2;
    LAP_MARK("none");
    return 0;
}

static void test_several(void **state)
{
    (void)state;
    struct outcome outcome = run_case("several", NULL);
    assert_told(&outcome, "> Entering client\n"
                          "  two of three: T, tot: T (3 calls, 1 silent: server N; between N)\n"
                          "  none: T, tot: T (peer silent)\n"
                          "  (rest): T\n"
                          "< Exiting client, total time: T\n");
}

/* With both clocks known to be one there and back are told apart. */
static int case_ways(void)
{
    struct lap_call call;
    lap_share(LAP_SHARE_DOMAIN);
    LAP_PROFILE("client");
    lap_call_begin(&call, "call");
    spend_us(300);
    uint8_t reply[LAP_TRAILER_BYTES];
    const uint64_t bytes = answer(&call, reply, 10);
    spend_us(200);
    if (lap_call_end(&call, reply, bytes) != 0 || !is_split(&call, 9500))
        return 1;
    LAP_MARK("both");
    const struct lap_split *const split = &call.split;
    const uint64_t ways = split->there_ns + split->back_ns;
    return split->flags & LAP_SPLIT_WAYS && split->there_ns >= 290000 && split->back_ns >= 190000 &&
                   ways <= split->between_ns && ways + 1 >= split->between_ns
               ? 0
               : 2;
}

static void test_ways(void **state)
{
    (void)state;
    struct outcome outcome = run_case("ways", NULL);
    assert_told(&outcome, "> Entering client\n"
                          "  both: T, tot: T (server N; between N: there N, back N)\n"
                          "  (rest): T\n"
                          "< Exiting client, total time: T\n");
}

/* 12 laps become one line: its sums are those of the calls. They go to stdout. */
static int case_folded(void)
{
    double server_ns = 0, between_ns = 0;
    LAP_PROFILE("client");
    for (int i = 0; i < 12; i++) {
        struct lap_call call;
        lap_call_begin(&call, "call");
        if (i % 6 == 3 ? lap_call_end(&call, NULL, 0) != -ENOMSG : finish(&call, 50) != 0)
            return 1;
        LAP_MARK("asked");
        server_ns += (double)call.split.server_ns;
        between_ns += (double)call.split.between_ns;
    }
    printf("%.4f %.4f\n", server_ns / 1e6, between_ns / 1e6);
    return 0;
}

static void test_folded(void **state)
{
    (void)state;
    struct outcome outcome = run_case("folded", NULL);
    assert_ended_well(&outcome);
    double server, between, told_server = 0, told_between = 0;
    assert_int_equal(sscanf(outcome.out, "%lf %lf", &server, &between), 2);
    const char *const note = strstr(outcome.err, "(12 calls");
    assert_non_null(note);
    assert_int_equal(sscanf(note, "(12 calls, 2 silent: server %lf; between %lf)\n", &told_server, &told_between), 2);
    assert_true(told_server > server - 0.001 && told_server < server + 0.001);
    assert_true(told_between > between - 0.001 && told_between < between + 0.001);
    assert_told(&outcome, "> Entering client\n"
                          "  asked (x12): T, tot: T, mean T, max T (12 calls, 2 silent: server N; between N)\n"
                          "  (rest): T\n"
                          "< Exiting client, total time: T\n");
}

/* ---- the laps of the server ------------------------------------------------------------------------------------------ */

/* What the server's checkpoints said, by label: the oracle of what its caller is told. */
static struct {
    const char *label;
    uint64_t ns;
} laps[8];

static void note_lap(const char *label, uint64_t ns)
{
    unsigned i = 0;
    while (laps[i].label && strcmp(laps[i].label, label) != 0)
        i++;
    laps[i].label = label;
    laps[i].ns += ns;
}

/* Says what the line of that name has to tell. */
static void say_laps(const char *line)
{
    printf("%s", line);
    for (unsigned i = 0; laps[i].label; i++)
        printf("|%s=%.6f", laps[i].label, (double)laps[i].ns / 1e6);
    printf("\n");
    memset(laps, 0, sizeof laps);
}

static void *mark_elsewhere(void *serve)
{
    spend_us(1000);
    note_lap("parse", lap_mark(((struct lap_serve *)serve)->handle, "parse"));
    return NULL;
}

/* A call of a server with three laps of two labels, one of them on a thread of its own, and one with this text. */
static int call_with_laps(struct lap_call *call, lap_handle handle, const char *text, uint64_t room)
{
    struct lap_serve serve;
    uint8_t reply[LAP_REPLY_BYTES_MAX];
    pthread_t thread;
    lap_call_begin_with(call, LAP_CALL_OPTS(.handle = handle), "call");
    if (lap_serve_begin_with(&serve, LAP_OPTS(.threshold_ms = 1e6), call->request, sizeof call->request, 0, "serve") != 0)
        return 90;
    spend_us(200);
    note_lap("array lookup #", lap_mark(serve.handle, "array lookup %d", 1));
    if (pthread_create(&thread, NULL, mark_elsewhere, &serve) != 0 || pthread_join(thread, NULL) != 0)
        return 91;
    spend_us(2000);
    note_lap("array lookup #", lap_mark(serve.handle, "array lookup %d", 2));
    spend_us(200);
    note_lap(text, lap_mark_text(serve.handle, text));
    spend_us(100); /* so that its laps are within what the server took, which begins a moment after the first one */
    const uint64_t bytes = lap_serve_reply_notes(&serve, reply, room);
    lap_mark(serve.handle, "behind its reply");
    lap_end(serve.handle);
    return bytes < LAP_TRAILER_BYTES || bytes > room ? 92 : lap_call_end(call, reply, bytes);
}

static int case_laps(void)
{
    struct lap_call call;
    LAP_PROFILE("client");
    if (call_with_laps(&call, 0, "send", LAP_REPLY_BYTES_MAX) != 0)
        return 1;
    LAP_MARK("nothing is shared");
    memset(laps, 0, sizeof laps);
    lap_share(LAP_SHARE_LAPS);
    if (call_with_laps(&call, 0, "send", LAP_REPLY_BYTES_MAX) != 0 || !is_split(&call, 3300000))
        return 2;
    LAP_MARK("all");
    say_laps("all");
    if (call_with_laps(&call, 0, "send", LAP_TRAILER_BYTES) != 0)
        return 3;
    LAP_MARK("no room");
    memset(laps, 0, sizeof laps);
    for (int i = 0; i < 2; i++)
        if (call_with_laps(&call, 0, "send", LAP_REPLY_BYTES_MAX) != 0)
            return 4;
    LAP_MARK("two calls");
    say_laps("two calls");
    for (int i = 0; i < 5; i++) {
        if (call_with_laps(&call, 0, "send", LAP_REPLY_BYTES_MAX) != 0)
            return 5;
        LAP_MARK("folded");
    }
    say_laps("folded");
    const lap_handle handle = lap_begin("handle");
    if (call_with_laps(&call, handle, "fifty bytes of which forty are sent as they come\x1b", LAP_REPLY_BYTES_MAX) != 0)
        return 6;
    laps[2].label = "fifty bytes of which forty are sent a…";
    lap_mark(handle, "its lap");
    say_laps("its lap");
    lap_end(handle);
    return 0;
}

/* The line of that name tells just the laps of `wanted`, "name|label=1.234000|...", the greatest first. */
static void assert_laps(const char *text, char *wanted)
{
    char start[64], *rest = NULL;
    snprintf(start, sizeof start, "  %s", strtok_r(wanted, "|", &rest));
    const char *const line = strstr(text, start);
    assert_non_null(line);
    const char *const open = strchr(line, '[');
    assert_true(open && open < strchr(line, '\n'));
    double last = 1e9;
    unsigned told = 0;
    for (const char *at = open + 1; *at != ']'; told++, at += strspn(at, ", ")) {
        while (strncmp(at, " ", 1) != 0 || strspn(at + 1, "0123456789.") < 6)
            at++;
        char *end;
        const double ms = strtod(at, &end);
        assert_true(ms <= last);
        last = ms;
        at = end;
    }
    for (char *one = strtok_r(NULL, "|", &rest); one; one = strtok_r(NULL, "|", &rest), told--) {
        *strchr(one, '=') = 0;
        const char *const found = strstr(open, one);
        assert_true(found && found < strchr(line, '\n') && found[strlen(one)] == ' ');
        const double ms = strtod(found + strlen(one), NULL), wanted_ms = strtod(one + strlen(one) + 1, NULL);
        assert_true(ms > wanted_ms - 0.001 && ms < wanted_ms + 0.001);
    }
    assert_int_equal(told, 0);
}

static void test_laps(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("laps", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    const char *const shown = lapmark_says("show", process, NULL);
    char *rest = NULL;
    unsigned lines = 0;
    for (char *line = strtok_r(outcome.out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        char *const copy = strdup(line);
        assert_laps(outcome.err, line);
        assert_laps(shown, copy);
        free(copy);
    }
    assert_int_equal(lines, 4);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_of_kind(stored, "call"), 11);
    assert_int_equal(stored_named(stored, "lapmark:peer_lap"), 3 * 9);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 0);
    /* Each stands behind its call, and says so. */
    const struct lap_format_call *call = NULL;
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        if (strcmp(event->kind, "call") == 0)
            call = (const void *)(event->words + 1);
        if (event->class_id != LAP_FORMAT_PEER_LAP)
            continue;
        const struct lap_format_peer_lap *const told = (const void *)(event->words + 1);
        assert_true(call && told->span_id == call->span_id && told->handle == call->handle &&
                    told->number == call->number);
        assert_true(told->count == (strcmp((const char *)(told + 1), "array lookup #") == 0 ? 2 : 1));
    }
    stored_free(stored);
    times_replace(outcome.err);
    notes_replace(outcome.err);
    assert_non_null(strstr(outcome.err, "  nothing is shared: T, tot: T (server N; between N)\n"));
    assert_non_null(strstr(outcome.err, "  no room: T, tot: T (server N; between N)\n"));
    assert_non_null(strstr(outcome.err, "  two calls: T, tot: T (2 calls: server N ["));
    assert_non_null(strstr(outcome.err, " N]; between N)\n"));
    assert_null(strstr(outcome.err, "behind its reply"));
    outcome_free(&outcome);
}

/* ---- threads and handles -------------------------------------------------------------------------------------------- */

static struct lap_call travelling;

static void *end_it(void *unused)
{
    (void)unused;
    static int result;
    LAP_PROFILE("thread that ends it");
    result = finish(&travelling, 10);
    LAP_MARK("got it");
    return &result;
}

static int end_on_thread(void)
{
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, end_it, NULL) != 0 || pthread_join(thread, &result) != 0)
        return -1;
    return *(int *)result;
}

static int case_threads(void)
{
    {
        LAP_PROFILE("thread that begins it");
        lap_call_begin(&travelling, "call");
        if (end_on_thread() != 0 || !is_split(&travelling, 9500))
            return 1;
        LAP_MARK("was not here");
    }
    const lap_handle handle = lap_begin("handle");
    lap_mark(handle, "before");
    lap_call_begin_with(&travelling, LAP_CALL_OPTS(.handle = handle), "call");
    if (end_on_thread() != 0)
        return 2;
    lap_mark(handle, "handle's");
    lap_mark(handle, "behind");
    lap_call_begin_with(&travelling, LAP_CALL_OPTS(.handle = handle), "call");
    if (finish(&travelling, 10) != 0)
        return 3;
    lap_end(handle);
    /* That has ended: the call counts, and is nobody's. */
    lap_call_begin_with(&travelling, LAP_CALL_OPTS(.handle = handle), "call");
    return finish(&travelling, 10);
}

static void test_threads(void **state)
{
    (void)state;
    struct outcome outcome = run_case("threads", NULL);
    assert_told(&outcome, "> Entering thread that ends it\n"
                          "  got it: T, tot: T (server N; between N)\n"
                          "  (rest): T\n"
                          "< Exiting thread that ends it, total time: T\n"
                          "> Entering thread that begins it\n"
                          "  was not here: T, tot: T\n"
                          "  (rest): T\n"
                          "< Exiting thread that begins it, total time: T\n"
                          "> Entering thread that ends it\n"
                          "  got it: T, tot: T\n"
                          "  (rest): T\n"
                          "< Exiting thread that ends it, total time: T\n"
                          "> Entering handle\n"
                          "  before: T, tot: T\n"
                          "  handle's: T, tot: T (server N; between N)\n"
                          "  behind: T, tot: T\n"
                          "  (rest): T (server N; between N)\n"
                          "< Exiting handle, total time: T\n");
}

/* A handle without checkpoints tells of its calls at its exit. */
static int case_unmarked(void)
{
    struct lap_call call;
    const lap_handle handle = lap_begin("handle");
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = handle), "call");
    if (finish(&call, 10) != 0)
        return 1;
    lap_end(handle);
    LAP_PROFILE("scope");
    lap_call_begin(&call, "call");
    return finish(&call, 10);
}

static void test_unmarked(void **state)
{
    (void)state;
    struct outcome outcome = run_case("unmarked", NULL);
    assert_told(&outcome, "> Entering handle\n"
                          "< Exiting handle, total time: T (server N; between N)\n"
                          "> Entering scope\n"
                          "< Exiting scope, total time: T (server N; between N)\n");
}

/* ---- contexts ------------------------------------------------------------------------------------------------------- */

static int case_contexts(void)
{
    struct lap_call first, second, third;
    struct lap_serve serve;
    LAP_PROFILE("client");
    const struct lap_context context = lap_context_new();
    lap_call_begin_with(&first, LAP_CALL_OPTS(.parent = &context), "call");
    lap_context_set(context);
    lap_call_begin(&second, "call"); /* a retry: its own span of the same trace */
    lap_context_set((struct lap_context){.flags = 0});
    lap_call_begin(&third, "call");
    if (memcmp(first.context.trace_id, context.trace_id, 16) != 0 ||
        memcmp(second.context.trace_id, context.trace_id, 16) != 0 ||
        memcmp(third.context.trace_id, context.trace_id, 16) == 0 ||
        memcmp(first.context.span_id, context.span_id, 8) == 0 ||
        memcmp(first.context.span_id, second.context.span_id, 8) == 0)
        return 1;
    if (lap_serve_begin(&serve, first.request, sizeof first.request, 0, "serve") != 0 ||
        memcmp(&serve.context, &first.context, sizeof serve.context) != 0)
        return 2;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_serve_reply(&serve, reply);
    lap_end(serve.handle);
    /* The reply to the first is not the retry's, and that has its own. */
    if (lap_call_end(&second, reply, sizeof reply) != -EPROTO || second.split.server_ns != 0 ||
        second.split.total_ns == 0)
        return 3;
    return lap_call_end(&first, reply, sizeof reply) == 0 && finish(&third, 1) == 0 ? 0 : 4;
}

static void test_contexts(void **state)
{
    (void)state;
    struct outcome outcome = run_case("contexts", "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

/* ---- what is off, and what goes wrong ------------------------------------------------------------------------------- */

static int is_off(struct lap_call *call)
{
    static const uint8_t zeros[LAP_TRAILER_BYTES];
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    memset(reply, 0xff, sizeof reply);
    if (memcmp(call->request, zeros, sizeof zeros) != 0 || lap_context_is_valid(&call->context))
        return 0;
    const int error = lap_serve_begin(&serve, call->request, sizeof call->request, 0, "serve");
    const uint64_t bytes = lap_serve_reply(&serve, reply);
    lap_end(serve.handle);
    return error == -ENOMSG && bytes == 0 && memcmp(reply, zeros, sizeof zeros) == 0 && serve.handle != 0 &&
           lap_call_end(call, reply, sizeof reply) == -EINVAL && call->split.total_ns == 0;
}

static int case_off(void)
{
    struct lap_call call;
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled");
        lap_call_begin(&call, "inside");
        if (call.is_open)
            return 1;
    }
    if (!is_off(&call))
        return 2;
    {
        LAP_PROFILE("off by its term");
        lap_call_begin(&call, "inside");
        if (call.is_open)
            return 3;
    }
    lap_call_begin(&call, "on");
    if (finish(&call, 1) != 0)
        return 4;
    lap_call_begin(&call, "on");
    if (lap_set("off") != 0 || finish(&call, 1) != 0) /* what has begun ends */
        return 5;
    lap_call_begin(&call, "on");
    return call.is_open ? 6 : 0;
}

static void test_off(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("off", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK=-off by its term", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_of_kind(stored, "call"), 2);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 0);
    stored_free(stored);
}

/* Ended twice, never ended, begun anew while it is open. */
static int case_wrong_use(void)
{
    struct lap_call call, lost;
    uint8_t first[LAP_TRAILER_BYTES], last[LAP_TRAILER_BYTES];
    LAP_PROFILE("client");
    memset(&call, 0, sizeof call);
    if (lap_call_end(&call, NULL, 0) != -EINVAL)
        return 1;
    lap_call_begin(&lost, "never ends");
    lap_call_begin(&call, "call");
    const uint64_t bytes = answer(&call, first, 1);
    if (answer(&call, last, 1) != bytes || lap_call_end(&call, first, bytes) != 0)
        return 2;
    const struct lap_split split = call.split;
    if (lap_call_end(&call, last, bytes) != -EINVAL || memcmp(&split, &call.split, sizeof split) != 0)
        return 3;
    lap_call_begin(&call, "call");
    lap_call_begin(&call, "call");
    /* The replies to what it was before are another call's. */
    return lap_call_end(&call, first, bytes) == -EPROTO ? 0 : 4;
}

static void test_wrong_use(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("wrong_use", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_of_kind(stored, "call"), 2);
    assert_int_equal(stored_named(stored, "never ends"), 0);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 1);
    stored_free(stored);
    check_finds_it_sound(process_directory(directory, 0));
}

/* A child has no part in its parent's calls: it neither ends them nor stores anything of them. What it serves it replies to. */
static int case_fork(void)
{
    struct lap_call call;
    struct lap_serve serve;
    LAP_PROFILE("client");
    for (int i = 0; i < 20; i++) { /* so that a path of the parent's is none of the child's */
        char label[16];
        snprintf(label, sizeof label, "label %d", i);
        LAP_MARK_TEXT(label);
    }
    lap_call_begin(&call, "call");
    lap_serve_begin(&serve, call.request, sizeof call.request, 0, "serve");
    int fds[2];
    if (pipe(fds) < 0)
        return 1;
    const pid_t child = fork();
    if (child == 0) {
        uint8_t reply[LAP_TRAILER_BYTES];
        LAP_PROFILE("child");
        if (lap_serve_reply(&serve, reply) != sizeof reply || write(fds[1], reply, sizeof reply) != sizeof reply)
            return 2;
        if (lap_call_end(&call, reply, sizeof reply) != -EINVAL || call.split.total_ns != 0)
            return 3;
        lap_call_begin(&call, "child's own");
        return finish(&call, 1);
    }
    uint8_t reply[LAP_TRAILER_BYTES];
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 4;
    if (read(fds[0], reply, sizeof reply) != sizeof reply || lap_call_end(&call, reply, sizeof reply) != 0)
        return 5;
    lap_end(serve.handle);
    return is_split(&call, 0) ? 0 : 6;
}

static void test_fork(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("fork", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    assert_int_equal(process_count(directory), 2);
    size_t own = 0;
    for (unsigned i = 0; i < 2; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored_of_kind(stored, "call"), 1);
        assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 0);
        own += stored_named(stored, "child's own");
        stored_free(stored);
    }
    assert_int_equal(own, 1);
}

/* ---- recordings ------------------------------------------------------------------------------------------------------ */

/* Of each call event, what its caller knows. */
static int case_stored(void)
{
    struct lap_call call;
    LAP_PROFILE("client");
    for (int i = 0; i < 8; i++) {
        struct lap_serve serve;
        uint8_t reply[LAP_TRAILER_BYTES];
        lap_call_begin(&call, "call");
        if (lap_serve_begin(&serve, call.request, sizeof call.request, 0, "serve %d", i) != 0)
            return 1;
        spend_us(20);
        lap_serve_reply(&serve, reply);
        lap_end(serve.handle);
        if (lap_call_end(&call, reply, i == 7 ? 20 : sizeof reply) != (i == 7 ? -EBADMSG : 0))
            return 2;
        LAP_MARK("reply");
        uint64_t span;
        memcpy(&span, call.context.span_id, sizeof span);
        printf("%llx %llu\n", (unsigned long long)__builtin_bswap64(span), (unsigned long long)call.split.server_ns);
    }
    return 0;
}

static const struct stored_event *with_span(const struct stored *stored, const char *name, unsigned word, uint64_t span)
{
    const struct stored_event *found = NULL;
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->events[i].name, name) == 0 && stored->events[i].words[word] == span) {
            assert_null(found);
            found = &stored->events[i];
        }
    assert_non_null(found);
    return found;
}

static void test_stored(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("stored", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_of_kind(stored, "call"), 8);
    assert_int_equal(stored_named(stored, "lapmark:serve"), 8);
    assert_int_equal(stored_named(stored, "lapmark:reply"), 8);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 1);
    assert_true(stored->control.clock_domain != 0);
    unsigned lines = 0;
    for (char *line = strtok(outcome.out, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        unsigned long long span, server_ns;
        assert_int_equal(sscanf(line, "%llx %llu", &span, &server_ns), 2);
        const struct stored_event *const event = with_span(stored, "call", 4, span);
        const struct lap_format_call *const call = (const void *)(event->words + 1);
        const struct lap_format_serve *const serve =
            (const void *)(with_span(stored, "lapmark:serve", 4, span)->words + 1);
        const struct lap_format_reply *const reply =
            (const void *)(with_span(stored, "lapmark:reply", 2, span)->words + 1);
        assert_true(call->trace_id_high == serve->trace_id_high && call->trace_id_low == serve->trace_id_low);
        assert_int_equal(serve->handle, reply->handle);
        assert_int_equal(serve->sent_ticks, call->sent_ticks);
        assert_int_equal(serve->peer_domain, 0);
        assert_true(call->sent_ticks <= serve->received_ticks && serve->received_ticks <= reply->replied_ticks &&
                    reply->replied_ticks <= call->got_ticks && call->got_ticks <= event->ticks);
        const int is_refused = lines == 7;
        assert_int_equal(call->flags, is_refused ? LAP_FORMAT_CALL_REFUSED : 0);
        assert_int_equal(call->received_ticks, is_refused ? 0 : serve->received_ticks);
        assert_int_equal(call->replied_ticks, is_refused ? 0 : reply->replied_ticks);
        const double took_ns =
            is_refused ? 0 : (double)(call->replied_ticks - call->received_ticks) * 1e6 / call->peer_khz;
        assert_true((double)server_ns > took_ns * 0.999 - 2 && (double)server_ns < took_ns * 1.001 + 2);
        assert_true(is_refused || took_ns > 19000);
    }
    assert_int_equal(lines, 8);
    stored_free(stored);

    /* The commands say the same. */
    int status;
    const char *says = lapmark_says("show --events --json", process, &status);
    assert_int_equal(status, 0);
    assert_int_equal(count_of(says, "\"kind\":\"call\""), 8);
    assert_int_equal(count_of(says, "\"kind\":\"serve\""), 8);
    assert_int_equal(count_of(says, "\"kind\":\"reply\""), 8);
    assert_int_equal(count_of(says, "\"name\":\"call\",\"kind\":\"call\",\"fields\":{\"handle\":0,\"trace_id_high\":"),
                     8);
    assert_non_null(strstr(lapmark_says("report --events", process, NULL), "events and stored statistics are equal"));
    assert_non_null(
        strstr(lapmark_says("check", process, NULL), "trailers of peers that were none, or another call's: 1"));
    char *const shown = strdup(lapmark_says("show", process, NULL));
    times_replace(shown);
    notes_replace(shown);
    times_replace(outcome.err);
    notes_replace(outcome.err);
    const char *const line = strstr(outcome.err, "  reply (x8)");
    assert_non_null(line);
    assert_memory_equal(line, "  reply (x8): T, tot: T, mean T, max T (8 calls, 1 silent: server N; between N)\n", 78);
    assert_non_null(strstr(shown, line));
    free(shown);
    outcome_free(&outcome);
}

/* A call is under the scope that is open when it begins, whatever was at its depth before. */
static int call_make(void)
{
    struct lap_call call;
    lap_call_begin(&call, "call");
    return finish(&call, 0);
}

static int case_paths(void)
{
    int error = 0;
    for (int i = 0; i < 100; i++) {
        {
            LAP_PROFILE("first");
            error |= call_make();
            {
                LAP_PROFILE("inner");
                error |= call_make();
            }
            error |= call_make();
        }
        LAP_PROFILE("second");
        error |= call_make() | call_make();
        LAP_PROFILE("third");
        error |= call_make();
    }
    return error | call_make();
}

/* How many samples the path has that ends like this. */
static unsigned long count_at(const char *says, const char *path)
{
    const char *const at = strstr(says, path);
    assert_non_null(at);
    return strtoul(strstr(at, "\"count\": ") + 9, NULL, 10);
}

static void test_paths(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("paths", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const says = lapmark_says("report --json", process_directory(directory, 0), NULL);
    assert_int_equal(count_of(says, "\"call\"\n"), 5);
    assert_int_equal(count_at(says, "[\n        \"first\",\n        \"call\"\n"), 200);
    assert_int_equal(count_at(says, "[\n        \"first\",\n        \"inner\",\n        \"call\"\n"), 100);
    assert_int_equal(count_at(says, "[\n        \"second\",\n        \"call\"\n"), 200);
    assert_int_equal(count_at(says, "[\n        \"second\",\n        \"third\",\n        \"call\"\n"), 100);
    assert_int_equal(count_at(says, "[\n        \"call\"\n"), 1);
}

/* A server that takes its threshold by its reply says so; one that takes it later, or has none, does not. */
static int is_told_slow(double threshold_ms, long work_us, long later_us)
{
    struct lap_call call;
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_call_begin(&call, "of a server with a threshold");
    (void)lap_serve_begin_with(&serve, LAP_OPTS(.threshold_ms = threshold_ms), call.request, sizeof call.request, 0,
                               "serves");
    spend_us(work_us);
    lap_serve_reply(&serve, reply);
    spend_us(later_us);
    lap_end(serve.handle);
    return lap_call_end(&call, reply, sizeof reply) == 0 ? (call.split.flags & LAP_SPLIT_SLOW) != 0 : -1;
}

static int case_told_slow(void)
{
    return is_told_slow(2, 2500, 0) != 1     ? 1
           : is_told_slow(1e6, 100, 0) != 0  ? 2
           : is_told_slow(0, 2500, 0) != 0   ? 3
           : is_told_slow(1e5, 0, 3000) != 0 ? 4
                                             : 0;
}

static void test_told_slow(void **state)
{
    (void)state;
    struct outcome outcome = run_case("told_slow", "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    /* By a term of its own, too. */
    outcome = run_case("told_slow", "LAPMARK_PRINT=off", "LAPMARK=serves:2", NULL);
    assert_int_equal(WEXITSTATUS(outcome.status), 3);
    outcome_free(&outcome);
}

/* Several replies to one call: the last gives the split, all are stored. */
static int case_parts(void)
{
    struct lap_call call, other;
    struct lap_serve serve;
    uint8_t replies[3][LAP_TRAILER_BYTES];
    LAP_PROFILE("client");
    lap_call_begin(&other, "another");
    lap_call_begin(&call, "call");
    if (lap_serve_begin_with(&serve, LAP_OPTS(.threshold_ms = 1e9), call.request, sizeof call.request, 0, "serve") != 0)
        return 1;
    for (int i = 0; i < 3; i++) {
        spend_us(100);
        lap_serve_reply(&serve, replies[i]);
    }
    lap_end(serve.handle);
    if (lap_call_part(&call, replies[0], sizeof replies[0]) != 0 ||
        lap_call_part(&call, replies[1], sizeof replies[1]) != 0 || call.split.flags != 0)
        return 2;
    if (lap_call_part(&other, replies[1], sizeof replies[1]) != -EPROTO || lap_call_part(&other, NULL, 0) != -ENOMSG)
        return 3;
    if (lap_call_end(&call, replies[2], sizeof replies[2]) != 0 || !is_split(&call, 290000))
        return 4;
    LAP_MARK("answered");
    return lap_call_part(&call, replies[2], sizeof replies[2]) == -EINVAL ? 0 : 5;
}

static void test_parts(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("parts", variable("LAPMARK_RECORD", directory), NULL);
    assert_told(&outcome, "> Entering client\n"
                          "  answered: T, tot: T (server N; between N)\n"
                          "  (rest): T\n"
                          "< Exiting client, total time: T\n");
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    uint64_t last_replied = 0;
    unsigned parts = 0, calls = 0;
    for (size_t i = 0; i < stored->count; i++) {
        if (strcmp(stored->events[i].name, "call") != 0)
            continue;
        const struct lap_format_call *const call =
            (const struct lap_format_call *)(const void *)(stored->events[i].words + 1);
        assert_true(call->replied_ticks > last_replied);
        last_replied = call->replied_ticks;
        parts += call->flags == LAP_FORMAT_CALL_PART;
        calls += call->flags == 0;
    }
    assert_int_equal(parts, 2);
    assert_int_equal(calls, 1);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], 1);
    stored_free(stored);
    assert_non_null(strstr(lapmark_says("calls --json", directory, NULL), "\"count\": 1,"));
}

/* A recording ends and another begins while a call is out. */
static int case_restarted(void)
{
    char directories[2][512];
    for (int i = 0; i < 2; i++)
        snprintf(directories[i], sizeof directories[i], "%s/%d", getenv("TEST_DIRECTORY"), i);
    struct lap_call first, second;
    {
        LAP_PROFILE("before");
        LAP_MARK("a path more");
    }
    if (lap_record_start(directories[0]) != 0)
        return 1;
    {
        LAP_PROFILE("client");
        lap_call_begin(&first, "begins in the first");
        if (lap_record_stop() != 0)
            return 2;
        lap_call_begin(&second, "begins between them");
        if (lap_record_start(directories[1]) != 0)
            return 3;
        if (finish(&first, 1) != 0 || finish(&second, 1) != 0)
            return 4;
        LAP_MARK("behind");
    }
    lap_call_begin(&first, "begins in the second");
    return lap_record_stop() != 0 || finish(&first, 1) != 0 ? 5 : 0;
}

static void test_restarted(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("restarted", variable("TEST_DIRECTORY", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    for (int i = 0; i < 2; i++) {
        char recording[512];
        snprintf(recording, sizeof recording, "%s/%d", directory, i);
        const char *const process = process_directory(recording, 0);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        struct stored *const stored = stored_load(process);
        assert_int_equal(stored_of_kind(stored, "call"), 2 * i);
        stored_free(stored);
    }
}

static int case_many(void)
{
    struct lap_call call;
    long before = 0;
    for (int i = 0; i < 100000; i++) {
        if (i == 10000)
            before = status_kib("VmRSS");
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "client");
        lap_call_begin(&call, "call");
        if (finish(&call, 0) != 0)
            return 1;
        LAP_MARK("reply");
    }
    return status_kib("VmRSS") - before < 1024 || is_sanitized() ? 0 : 2;
}

static void test_many(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("many", variable("LAPMARK_RECORD", directory), "LAPMARK_RING=1M", NULL);
    assert_told(&outcome, "");
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    const char *const says = lapmark_says("report --json", process, NULL);
    const char *const call = strstr(says, "\"call\"\n");
    assert_non_null(call);
    assert_int_equal(strncmp(strstr(call, "\"count\": "), "\"count\": 100000,", 16), 0);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_laps),      cmocka_unit_test(test_nested),
        cmocka_unit_test(test_several), cmocka_unit_test(test_ways),      cmocka_unit_test(test_folded),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_unmarked),  cmocka_unit_test(test_contexts),
        cmocka_unit_test(test_off),     cmocka_unit_test(test_wrong_use), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_stored),  cmocka_unit_test(test_told_slow), cmocka_unit_test(test_restarted),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"parts", case_parts},     {"laps", case_laps},           {"nested", case_nested},
        {"several", case_several}, {"ways", case_ways},           {"folded", case_folded},
        {"threads", case_threads}, {"unmarked", case_unmarked},   {"contexts", case_contexts},
        {"off", case_off},         {"wrong_use", case_wrong_use}, {"fork", case_fork},
        {"stored", case_stored},   {"told_slow", case_told_slow}, {"restarted", case_restarted},
        {"many", case_many},       {"paths", case_paths},         {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
