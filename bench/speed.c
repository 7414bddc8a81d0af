/* SPDX-License-Identifier: MIT
 *
 * What an event costs, against the floor; and a site that is switched off, against an empty loop.
 * usage: speed on|kept|term|off|muted|call ROUNDS. Lines as lap_bench_compare() prints them. How it records is up to the environment.
 */
#include "harness.h"

#include <lapmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two segments of the ring, so that each round pays for their change as well. */
#define EVENTS (UINT64_C(1) << 16)
#define ORDER 4096u

static __attribute__((noinline)) void checkpoint(uint64_t iterations)
{
    LAP_PROFILE("checkpoints");
    for (uint64_t i = 0; i < iterations; i++)
        LAP_MARK("a checkpoint");
}

static __attribute__((noinline)) void profiler(uint64_t iterations)
{
    LAP_PROFILE("profilers");
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler");
    }
}

static __attribute__((noinline)) void integer(uint64_t iterations)
{
    LAP_PROFILE("integers");
    for (uint64_t i = 0; i < iterations; i++)
        LAP_MARK("a checkpoint with %lu", i);
}

/* 13 labels on 3 levels: 3 profilers and 10 checkpoints are 16 events. */
static __attribute__((noinline)) void third_level(void)
{
    LAP_PROFILE("third level");
    LAP_MARK("third, one");
    LAP_MARK("third, two");
    LAP_MARK("third, three");
    LAP_MARK("third, four");
}
static __attribute__((noinline)) void second_level(void)
{
    LAP_PROFILE("second level");
    LAP_MARK("second, one");
    LAP_MARK("second, two");
    third_level();
    LAP_MARK("second, three");
}
static __attribute__((noinline)) void levels(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("first level");
        LAP_MARK("first, one");
        LAP_MARK("first, two");
        second_level();
        LAP_MARK("first, three");
    }
}

/* The label is taken by its index, not by a switch, whose mispredicted jumps would be the program's and not Lapmark's. */
#define SITE(label)                                                                                                      \
    {                                                                                                                    \
        &lap_impl_unregistered, 0, __LINE__, label, __FILE__, "at_random", 0, LAP_IMPL_KIND_MARK, 0, 0, {0}, 0           \
    }
static struct lap_impl_site sites[16] = {SITE("label 0"),  SITE("label 1"),  SITE("label 2"),  SITE("label 3"),
                                         SITE("label 4"),  SITE("label 5"),  SITE("label 6"),  SITE("label 7"),
                                         SITE("label 8"),  SITE("label 9"),  SITE("label 10"), SITE("label 11"),
                                         SITE("label 12"), SITE("label 13"), SITE("label 14"), SITE("label 15")};
static uint8_t order[ORDER];

static __attribute__((noinline)) void at_random(uint64_t iterations)
{
    LAP_PROFILE("labels at random");
    for (uint64_t i = 0; i < iterations; i++) {
        struct lap_impl_site *const site = &sites[order[i % ORDER]];
        const unsigned state = *site->state;
        if (state)
            lap_impl_mark(site, state, 0, NULL, 0);
    }
}

/* Below its threshold: taken back from the ring where only the slow are kept. */
static __attribute__((noinline)) void quick(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1000), "quick");
        LAP_MARK("quick, one");
        LAP_MARK("quick, two");
    }
}
/* The same, its threshold from the environment. */
static __attribute__((noinline)) void quick_by_term(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("quick by term");
        LAP_MARK("quick by term, one");
        LAP_MARK("quick by term, two");
    }
}

/* Both are met first, and then switched off; the loop is that of lap_bench_empty_loop(). */
static __attribute__((noinline)) void off_checkpoint(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_MARK("a checkpoint that is off");
        LAP_BENCH_KEEP();
    }
}
static __attribute__((noinline)) void off_profiler(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler that is off");
        LAP_BENCH_KEEP();
    }
}

/* A checkpoint that is itself on, in a profiler that is off. */
static __attribute__((noinline)) void muted(uint64_t iterations)
{
    LAP_PROFILE("muting");
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_MARK("a muted checkpoint");
        LAP_BENCH_KEEP();
    }
}

/* The client's side of a call, with both of its codecs: a traceparent and the request's trailer go out, a reply's comes in. The reply
 * is that of a server which works for no time: only its span and times change. */
static uint8_t reply[LAP_TRAILER_BYTES];
static __attribute__((noinline)) void call(uint64_t iterations)
{
    LAP_PROFILE("calls");
    char traceparent[LAP_TRACEPARENT_BYTES];
    for (uint64_t i = 0; i < iterations; i++) {
        struct lap_call call;
        lap_call_begin(&call, "a call");
        lap_traceparent_write(traceparent, &call.context);
        LAP_BENCH_KEEP();
        memcpy(reply + 8, call.context.span_id, 8);
        memcpy(reply + 16, &call.sent_ticks, 8);
        memcpy(reply + 24, &call.sent_ticks, 8);
        if (lap_call_end(&call, reply, sizeof reply) != 0)
            exit(1);
    }
}
static int reply_make(void)
{
    struct lap_call call;
    struct lap_serve serve;
    lap_call_begin(&call, "a call");
    return lap_impl_serve_begin(&serve, 0, call.request, sizeof call.request, 0) == 0 &&
           lap_serve_reply(&serve, reply) == sizeof reply;
}

static const struct lap_bench_case floor_case = {"floor", lap_bench_floor, 1};
static const struct lap_bench_case empty_case = {"empty loop", lap_bench_empty_loop, 1};
static const struct lap_bench_case on_cases[] = {{"checkpoint", checkpoint, 1},
                                                 {"profiler", profiler, 2},
                                                 {"integer", integer, 1},
                                                 {"levels", levels, 16},
                                                 {"random", at_random, 1}};
static const struct lap_bench_case profiler_case = {"profiler", profiler, 1}; /* it is the unit here */
static const struct lap_bench_case call_cases[] = {{"call", call, 2}};
static const struct lap_bench_case kept_cases[] = {{"quick", quick, 4}};
static const struct lap_bench_case term_cases[] = {{"quick_by_term", quick_by_term, 4}};
static const struct lap_bench_case off_cases[] = {
    {"off_checkpoint", off_checkpoint, 1}, {"off_profiler", off_profiler, 1}, {"muted", muted, 1}};

int main(int argc, char **argv)
{
    const unsigned rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    uint32_t random = 1;
    for (unsigned i = 0; i < ORDER; i++) {
        random = random * 1664525u + 1013904223u;
        order[i] = (uint8_t)(random >> 28);
    }
    if (rounds > 0 && strcmp(argv[1], "on") == 0) {
        lap_bench_compare(&floor_case, on_cases, 5, rounds, EVENTS);
    } else if (rounds > 0 && strcmp(argv[1], "kept") == 0) {
        lap_bench_compare(&floor_case, kept_cases, 1, rounds, EVENTS);
    } else if (rounds > 0 && strcmp(argv[1], "term") == 0) {
        lap_bench_compare(&floor_case, term_cases, 1, rounds, EVENTS);
    } else if (rounds > 0 && strcmp(argv[1], "off") == 0) {
        off_checkpoint(1);
        off_profiler(1);
        if (lap_set("off") != 0)
            return 2;
        lap_bench_compare(&empty_case, off_cases, 2, rounds, EVENTS);
    } else if (rounds > 0 && strcmp(argv[1], "muted") == 0) {
        if (lap_set("-muting") != 0)
            return 2;
        lap_bench_compare(&empty_case, &off_cases[2], 1, rounds, EVENTS);
    } else if (rounds > 0 && strcmp(argv[1], "call") == 0) {
        if (!reply_make())
            return 2;
        lap_bench_compare(&profiler_case, call_cases, 1, rounds, EVENTS / 4);
    } else {
        fputs("usage: speed on|kept|term|off|muted|call ROUNDS\n", stderr);
        return 2;
    }
    return 0;
}
