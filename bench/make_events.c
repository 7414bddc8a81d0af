/* SPDX-License-Identifier: MIT
 *
 * Makes events for others to read. usage: make_events checkpoints|profilers|mixed|arguments|texts|handles COUNT [THREADS]
 * mixed: 13 labels on 3 levels, 16 events a turn, with some work between them. arguments, texts, handles: 16 events a turn, of which
 * 14 are checkpoints with an integer and a word, with a run-time label of its own, and of a handle. COUNT is of each thread.
 */
#include <lapmark.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void checkpoints(uint64_t events)
{
    LAP_PROFILE("checkpoints");
    for (uint64_t i = 2; i < events; i++)
        LAP_MARK("a checkpoint");
}

static void profilers(uint64_t events)
{
    for (uint64_t i = 0; i < events / 2; i++) {
        LAP_PROFILE("a profiler");
    }
}

/* Takes from nothing to some hundred cycles, never the same for long. */
static void work(void)
{
    static _Thread_local uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    for (volatile uint32_t i = state >> 26; i > 0; i--)
        ;
}

static void third_level(void)
{
    LAP_PROFILE("third level");
    LAP_MARK("third, one");
    work();
    LAP_MARK("third, two");
    LAP_MARK("third, three");
    LAP_MARK("third, four");
}
static void second_level(void)
{
    LAP_PROFILE("second level");
    LAP_MARK("second, one");
    work();
    LAP_MARK("second, two");
    third_level();
    LAP_MARK("second, three");
}
static void mixed(uint64_t events)
{
    for (uint64_t i = 0; i < events / 16; i++) {
        LAP_PROFILE("first level");
        LAP_MARK("first, one");
        work();
        LAP_MARK("first, two");
        second_level();
        LAP_MARK("first, three");
    }
}

static const char *const words[14] = {"alpha", "beta", "gamma", "delta",  "epsilon", "zeta", "eta",
                                      "theta", "iota", "kappa", "lambda", "my",      "ny",   "xi"};

static void with_arguments(uint64_t events)
{
    for (uint64_t i = 0; i < events / 16; i++) {
        LAP_PROFILE("arguments");
        for (unsigned word = 0; word < 14; word++)
            LAP_MARK("item %d of %s", (int)i, words[word]);
    }
}

static void with_texts(uint64_t events)
{
    for (uint64_t i = 0; i < events / 16; i++) {
        LAP_PROFILE("texts");
        for (unsigned word = 0; word < 14; word++) {
            char text[48];
            snprintf(text, sizeof text, "%s of batch %u", words[word], (unsigned)i);
            LAP_MARK_TEXT(text);
        }
    }
}

static void with_handles(uint64_t events)
{
    for (uint64_t i = 0; i < events / 16; i++) {
        const lap_handle handle = lap_begin("handle");
        for (unsigned mark = 0; mark < 14; mark++)
            lap_mark(handle, "a checkpoint of a handle");
        lap_end(handle);
    }
}

static const struct kind {
    const char *name;
    void (*make)(uint64_t events);
} kinds[] = {{"checkpoints", checkpoints},  {"profilers", profilers}, {"mixed", mixed},
             {"arguments", with_arguments}, {"texts", with_texts},    {"handles", with_handles}};
static const struct kind *kind;
static uint64_t count;

static void *run(void *user)
{
    kind->make(count);
    return user;
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc >= 3 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    count = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0;
    const unsigned long threads = argc == 4 ? strtoul(argv[3], NULL, 10) : 1;
    if (!kind || count == 0 || threads == 0 || threads > 64) {
        fputs("usage: make_events checkpoints|profilers|mixed|arguments|texts|handles COUNT [THREADS]\n", stderr);
        return 2;
    }
    pthread_t others[64];
    for (unsigned long i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, NULL) != 0)
            return 2;
    run(NULL);
    for (unsigned long i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    return 0;
}
