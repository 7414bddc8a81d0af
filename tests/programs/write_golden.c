/* SPDX-License-Identifier: MIT
 *
 * What the golden recordings were made of: write_golden CASE, under `lapmark record`. It stores the same each time, times
 * aside, and says what on stdout: for each label a line of kind (begin, mark, end, lost), label and count, with tabs
 * between. tests/golden/make_golden.py runs it.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what was stored ----------------------------------------------------------------------------------------------- */

static struct told {
    char kind[8], label[64];
    unsigned long count;
} told[128];
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;

static void tell(const char *kind, const char *label, unsigned long count)
{
    pthread_mutex_lock(&told_lock);
    struct told *at = told;
    while (at->count != 0 && (strcmp(at->kind, kind) != 0 || strcmp(at->label, label) != 0))
        at++;
    if (at >= told + sizeof told / sizeof *told - 1)
        abort();
    snprintf(at->kind, sizeof at->kind, "%s", kind);
    snprintf(at->label, sizeof at->label, "%s", label);
    at->count += count;
    pthread_mutex_unlock(&told_lock);
}

static void say(void)
{
    for (const struct told *at = told; at->count != 0; at++)
        printf("%s\t%s\t%lu\n", at->kind, at->label, at->count);
    fflush(stdout);
}

#define MARK(label)                                                                                                      \
    do {                                                                                                                 \
        LAP_MARK(label);                                                                                                 \
        tell("mark", label, 1);                                                                                          \
    } while (0)

/* ---- the parts ------------------------------------------------------------------------------------------------------ */

static void parse(int number)
{
    LAP_PROFILE("parse %d of %s", number, number % 2 ? "odd.c" : "even.c");
    tell("begin", "parse %d of %s", 1);
    MARK("opened");
    for (int i = 0; i < number; i++)
        MARK("token");
    {
        LAP_PROFILE_WITH(LAP_OPTS(.n = number, .threshold_ms = 1), "resolve");
        tell("begin", "resolve", 1);
        LAP_MARK_N(number, "names");
        tell("mark", "names", 1);
    }
    tell("end", "resolve", 1);
    LAP_MARK();
    tell("mark", "(checkpoint)", 1);
    LAP_MARK("%c %u %f %p %s", 'x', 4000000000u, -0.5, (void *)0x1000, "caf\xc3\xa9");
    tell("mark", "%c %u %f %p %s", 1);
}

static void *worker(void *argument)
{
    const int number = (int)(intptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "worker-%d", number);
    lap_thread_name(name);
    LAP_PROFILE("work");
    tell("begin", "work", 1);
    for (int i = 1; i <= 4; i++) {
        parse(i + number);
        tell("end", "parse %d of %s", 1);
        MARK("file");
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[3];
    for (intptr_t i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, worker, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    tell("end", "work", 3);
}

static void texts(void)
{
    {
        LAP_PROFILE("texts");
        tell("begin", "texts", 1);
        for (int i = 0; i < 70; i++) { /* more than a site has classes for */
            char text[32];
            snprintf(text, sizeof text, "text %d", i);
            LAP_MARK_TEXT(text);
            tell("mark", i < 64 ? text : "(run-time label)", 1);
        }
    }
    tell("end", "texts", 1);
}

static void *answer(void *handle)
{
    lap_mark(*(const lap_handle *)handle, "answered");
    lap_end(*(const lap_handle *)handle);
    return NULL;
}

static void handles(void)
{
    for (int i = 0; i < 3; i++) {
        const lap_handle handle = lap_begin("request %d", i);
        lap_mark(handle, "received");
        pthread_t thread;
        pthread_create(&thread, NULL, answer, (void *)(uintptr_t)&handle);
        pthread_join(thread, NULL);
    }
    tell("begin", "request %d", 3);
    tell("mark", "received", 3);
    tell("mark", "answered", 3);
    tell("end", "request %d", 3);
}

/* ---- the cases ------------------------------------------------------------------------------------------------------ */

static void good(void)
{
    threads();
    handles();
}

/* With 256 KiB of memory: more than the ring holds, handles that are not open, and threads that get no ring. The statistics
 * have all but those. */
static void lossy(void)
{
    const lap_handle stale = lap_begin("stale");
    lap_end(stale);
    for (int i = 0; i < 5; i++)
        lap_mark(stale, "never");
    tell("begin", "stale", 1);
    tell("end", "stale", 1);
    tell("lost", "handle", 5);
    {
        LAP_PROFILE("wrapped");
        tell("begin", "wrapped", 1);
        for (int i = 0; i < 195700; i++)
            LAP_MARK("turn");
        tell("mark", "turn", 195700);
    }
    tell("end", "wrapped", 1);
    handles();
    tell("lost", "memory", 6); /* what other threads did with the handles */
}

/* With 256 KiB of memory, kept whole: more than one segment. */
static void full(void)
{
    const lap_handle handle = lap_begin("request %d", 1);
    tell("begin", "request %d", 1);
    {
        LAP_PROFILE("filled");
        tell("begin", "filled", 1);
        for (int i = 0; i < 8200; i++)
            LAP_MARK("turn");
        tell("mark", "turn", 8200);
    }
    tell("end", "filled", 1);
    lap_mark(handle, "received");
    tell("mark", "received", 1);
    lap_end(handle);
    tell("end", "request %d", 1);
}

/* Dies with two profilers and a handle open. */
static void killed(void)
{
    const lap_handle handle = lap_begin("request %d", 1);
    lap_mark(handle, "received");
    tell("begin", "request %d", 1);
    tell("mark", "received", 1);
    parse(3);
    tell("end", "parse %d of %s", 1);
    LAP_PROFILE("outer");
    LAP_MARK("before");
    LAP_PROFILE("inner");
    for (int i = 0; i < 5; i++)
        LAP_MARK("step");
    tell("begin", "outer", 1);
    tell("mark", "before", 1);
    tell("begin", "inner", 1);
    tell("mark", "step", 5);
    say();
    kill(getpid(), SIGKILL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"good", good}, {"texts", texts}, {"lossy", lossy}, {"full", full}, {"killed", killed}};
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            say();
            return 0;
        }
    return 2;
}
