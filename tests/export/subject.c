/* SPDX-License-Identifier: MIT
 *
 * What the tests of exports record: subject threads|handles|awkward|open|many COUNT. Each CASE stores the same each time, times aside.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG_BYTES = 64 * 1024, THREADS = 3 };

static int count = 20;

/* ---- scopes of several threads ---- */

static jmp_buf out;

static void inner(int turn)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = turn + 1), "inner of %d", turn);
    for (int i = 0; i < 3; i++)
        LAP_MARK_N(turn * 10 + i, "array lookup");
    LAP_MARK("formatted %d as %s", turn, turn % 2 ? "odd" : "even");
    LAP_MARK();
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.25), "innermost");
    }
}

static void left_behind(void)
{
    LAP_PROFILE("left by longjmp");
    LAP_MARK("before the jump");
    longjmp(out, 1);
}

static void *work(void *argument)
{
    char name[16];
    snprintf(name, sizeof name, "worker-%d", (int)(intptr_t)argument);
    lap_thread_name(name);
    for (int turn = 0; turn < count; turn++) {
        LAP_PROFILE("outer");
        LAP_MARK("first");
        inner(turn);
        LAP_MARK("second");
        inner(turn);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t ids[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&ids[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    LAP_PROFILE("main");
    if (setjmp(out) == 0)
        left_behind();
    LAP_MARK("after the jump");
}

/* ---- handles: over threads, in each other, beside each other ---- */

static lap_handle shared[4];

static void *other_thread(void *argument)
{
    (void)argument;
    lap_mark(shared[0], "on the other thread");
    lap_mark_n(shared[1], 7, "counted");
    lap_end(shared[0]);
    return NULL;
}

static void handles(void)
{
    for (int turn = 0; turn < count; turn++) {
        pthread_t id;
        LAP_PROFILE("around the handles");
        shared[0] = lap_begin("request %d", turn);
        lap_mark(shared[0], "parsed");
        shared[1] = lap_begin_with(LAP_OPTS(.parent = shared[0]), "query");
        pthread_create(&id, NULL, other_thread, NULL);
        pthread_join(id, NULL);
        lap_mark(shared[1], "fetched");
        lap_end(shared[1]);
        shared[2] = lap_begin_with(LAP_OPTS(.threshold_ms = 2), "without checkpoints");
        lap_end(shared[2]);
    }
}

/* ---- names ---- */

static const char *const labels[] = {
    "</script><script>document.title = 'owned'</script>",
    "<!-- <b onclick=alert(1)> &amp; <img src=x onerror=alert(1)>",
    "\"double\", 'single', `back`, \\ and ${code}; 'DROP TABLE span;--",
    "100 % of %d %s %n",
    "a;b;c stack",
    "two\nlines\r\nand a\ttab",
    "\xf0\x9f\x90\x8c slow, \xe2\x80\xa8line\xe2\x80\xa9 separators",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xae turned around",
    "invalid \xff\xfe\xc3 UTF-8",
    "control \x01\x02\x1b[31m red",
    " ",
};

static void step(const char *label)
{
    for (int turn = 0; turn < 3; turn++) {
        LAP_PROFILE_TEXT(label);
        LAP_MARK_TEXT(label);
        LAP_MARK("%s argument", label);
    }
}

static void awkward(void)
{
    static char long_label[LONG_BYTES + 1];
    memset(long_label, 'w', LONG_BYTES);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        step(labels[i]);
    step(long_label);
    for (int i = 0; i < 100; i++) { /* more than a site has classes for */
        char label[32];
        snprintf(label, sizeof label, "run-time label %d", i);
        LAP_PROFILE_TEXT(label);
        LAP_MARK_TEXT(label);
    }
}

/* ---- the end ---- */

static void open_one(void)
{
    LAP_PROFILE("open for ever");
    kill(getpid(), SIGKILL);
}

static void many(void)
{
    LAP_PROFILE("around all");
    for (int turn = 0; turn < count; turn++) {
        LAP_PROFILE("one of many");
        LAP_MARK("a step");
        LAP_MARK("another step");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"threads", threads}, {"handles", handles}, {"awkward", awkward}, {"open", open_one}, {"many", many}};
    if (argc > 2)
        count = atoi(argv[2]);
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    fprintf(stderr, "usage: subject threads|handles|awkward|open|many [COUNT]\n");
    return 2;
}
