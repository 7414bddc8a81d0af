/* SPDX-License-Identifier: MIT
 *
 * Each way to use Lapmark, in a few lines.
 *
 * Usage: patterns [--list | NAME...]   (all of them unless told otherwise)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Stands for the work of a real program, so many microseconds of it. */
static void work(unsigned us)
{
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec < us * 1000L);
}

/* A function: reported when it is left, by whatever return. */
static int parse(const char *text)
{
    LAP_PROFILE("parse()");
    if (!*text)
        return -1;
    work(300);
    LAP_MARK("split");
    work(100);
    LAP_MARK("checked");
    return 0;
}

static void pattern_function(void)
{
    parse("a text");
    parse("");
}

/* Around a loop: one lap for all its turns. */
static void pattern_around(void)
{
    const int count = 1000;
    LAP_PROFILE("process %d items", count);
    work(50);
    LAP_MARK("opened");
    for (int i = 0; i < count; i++)
        work(1);
    LAP_MARK_N(count, "processed all items");
}

/* Inside a loop: one row with a count, a mean and a maximum. What a checkpoint costs, a tight loop bears. */
static void pattern_inside(void)
{
    LAP_PROFILE("process each item");
    for (unsigned i = 0; i < 1000; i++) {
        work(1);
        LAP_MARK("read");
        work(i == 500 ? 200 : 1);
        LAP_MARK("applied");
    }
}

/* By condition: a disabled profiler is silent with all its checkpoints, and none of them falls to its caller's. No `if`
 * around it, which would end the profiler with its braces. LAPMARK='reposition*' switches it on from outside. */
static void reposition(bool debug)
{
    LAP_PROFILE_WITH(LAP_OPTS(.disabled = !debug), "reposition()");
    work(100);
    LAP_MARK("moved");
    work(100);
    LAP_MARK("redrawn");
}

static void pattern_condition(void)
{
    reposition(false);
    reposition(true);
}

/* Teardown: the profiler is in a block of its own, since no goto may jump over a declaration that has a cleanup. */
static void pattern_teardown(void)
{
    char *const buffer = malloc(4096);
    FILE *const file = tmpfile();
    if (!buffer || !file)
        goto out;
    work(100);
out : {
    LAP_PROFILE("teardown");
    if (file)
        fclose(file);
    LAP_MARK("file closed");
    free(buffer);
    LAP_MARK("buffer freed");
}
}

/* Start-up: which step makes the program late? */
static void pattern_startup(void)
{
    LAP_PROFILE("start-up");
    work(200);
    LAP_MARK("configuration read");
    work(3000);
    LAP_MARK("broker connected");
    work(400);
    LAP_MARK("feeds started");
}

/* Batch work: the label keeps the values, and is made into text only when somebody reads it. */
static void pattern_batch(void)
{
    static const char *const names[] = {"bids", "asks", "trades"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const unsigned count = 100 * (unsigned)(i + 1);
        LAP_PROFILE("batch of %s", names[i]);
        work(count);
        LAP_MARK("collected %u items", count);
        work(count / 2);
        LAP_MARK("computed, mean %.1f of %u", (double)count / 3, count);
        work(20);
        LAP_MARK("table built");
    }
}

/* A helper's checkpoints belong to whoever called it: they go to the thread's innermost profiler. */
static void helper(void)
{
    work(100);
    LAP_MARK("helper: prepared");
    work(200);
    LAP_MARK("helper: done");
}

static void pattern_helper(void)
{
    LAP_PROFILE("caller of a helper");
    helper();
    work(50);
    LAP_MARK("own work");
}

/* Threshold: of twenty runs, only the slow one speaks. */
static void pattern_threshold(void)
{
    for (int i = 0; i < 20; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 5), "frame %d", i);
        work(50);
        LAP_MARK("laid out");
        work(i == 13 ? 12000 : 100);
        LAP_MARK("painted");
    }
}

/* Finer checkpoints: first one lap for the whole, then one for each part, then a profiler inside what counts. */
static void pattern_finer(void)
{
    LAP_PROFILE("big_function()");
    work(100);
    LAP_MARK("part a");
    {
        LAP_PROFILE("part b");
        work(100);
        LAP_MARK("rows");
        work(1500);
        LAP_MARK("columns");
    }
    LAP_MARK("part b");
    work(200);
    LAP_MARK("part c");
}

/* A lookup that looks harmless, and reads the whole array. With the size beside each lap a report can say that the cost
 * grows with it. */
static const int *row_at(const int *times, size_t count, int time)
{
    for (size_t i = 0; i < count; i++)
        if (times[i] == time)
            return &times[i];
    return NULL;
}

static void pattern_scan(void)
{
    static int times[64000];
    for (int i = 0; i < 64000; i++)
        times[i] = i;
    size_t found = 0;
    for (size_t count = 1000; count <= 64000; count *= 2) {
        LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)count), "find rows among %zu", count);
        for (int i = 1; i <= 20; i++) {
            found += row_at(times, count, (int)count - i) != NULL;
            LAP_MARK_N(count, "row found");
        }
    }
    if (found != 7 * 20)
        fputs("patterns: a row is missing\n", stderr);
}

static void serve(int fd)
{
    for (unsigned request; read(fd, &request, sizeof request) == sizeof request;) {
        LAP_PROFILE("serve a request for %u items", request);
        work(request);
        LAP_MARK("handled");
        if (write(fd, &request, sizeof request) != sizeof request)
            break;
        LAP_MARK("replied");
    }
}

/* The wire apart from the work: what is made before, what is on its way, what is made of the reply. The other process
 * reports its side for itself. */
static void pattern_wire(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        perror("patterns: cannot make a socket pair");
        return;
    }
    const pid_t peer = fork();
    if (peer == 0) {
        close(ends[0]);
        serve(ends[1]);
        /* _exit runs no destructor: where it records, this is what tells an end from a death */
        (void)lap_record_stop();
        _exit(0);
    }
    close(ends[1]);
    {
        LAP_PROFILE("ask the other process");
        unsigned message = 500;
        work(200);
        LAP_MARK("request prepared");
        const bool asked = write(ends[0], &message, sizeof message) == sizeof message &&
                           read(ends[0], &message, sizeof message) == sizeof message;
        LAP_MARK("call complete");
        work(asked ? 100 : 1);
        LAP_MARK("reply parsed");
    }
    close(ends[0]);
    if (peer > 0)
        waitpid(peer, NULL, 0);
}

/* A profiler that ends before its block does. */
static void pattern_end(void)
{
    LAP_PROFILE("the part that matters");
    work(100);
    LAP_MARK("done");
    LAP_END();
    work(5000);
}

/* The time so far, for the program itself: here it gives up on what takes too long. */
static void pattern_elapsed(void)
{
    LAP_PROFILE("search with a budget");
    int tried = 0;
    while (tried < 1000 && LAP_ELAPSED_NS() < 2000000) {
        work(100);
        tried++;
        LAP_MARK("tried");
    }
    LAP_MARK("tried %d", tried);
}

/* A label that is known only at run time is copied; a handful of different ones is what it is made for. */
static void pattern_text(void)
{
    LAP_PROFILE("run the plug-ins");
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "plug-in %c", 'a' + i);
        work(100 * (unsigned)(i + 1));
        LAP_MARK_TEXT(name);
    }
}

struct upload {
    lap_handle handle;
    unsigned bytes;
};

static void upload_on_block(struct upload *upload)
{
    work(upload->bytes / 10);
    lap_mark_n(upload->handle, upload->bytes, "block sent");
}

static void upload_on_done(struct upload *upload)
{
    lap_mark(upload->handle, "acknowledged");
    lap_end(upload->handle);
}

/* A handle, for what begins in one function and ends in another, on any thread. */
static void pattern_handle(void)
{
    struct upload upload = {.handle = lap_begin("upload"), .bytes = 1000};
    for (int i = 0; i < 5; i++)
        upload_on_block(&upload);
    upload_on_done(&upload);
}

static const struct pattern {
    const char *name;
    void (*run)(void);
    const char *what;
} patterns[] = {
    {"function", pattern_function, "entry and exit of a function"},
    {"around", pattern_around, "around a loop"},
    {"inside", pattern_inside, "inside a loop"},
    {"condition", pattern_condition, "only when it is asked for"},
    {"teardown", pattern_teardown, "cleaning up after a goto"},
    {"startup", pattern_startup, "the steps of a start"},
    {"batch", pattern_batch, "batches, with values in the labels"},
    {"helper", pattern_helper, "a helper that marks its caller's profiler"},
    {"threshold", pattern_threshold, "only slow runs speak"},
    {"finer", pattern_finer, "from one lap to many"},
    {"scan", pattern_scan, "a hidden scan, with sizes"},
    {"wire", pattern_wire, "the wire apart from the work"},
    {"end", pattern_end, "an end before the block's"},
    {"elapsed", pattern_elapsed, "the time so far"},
    {"text", pattern_text, "a label made at run time"},
    {"handle", pattern_handle, "begin here, end there"},
};
enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

static bool run_named(const char *name)
{
    for (size_t i = 0; i < PATTERNS; i++) {
        if (strcmp(patterns[i].name, name) == 0) {
            patterns[i].run();
            return true;
        }
    }
    fprintf(stderr, "patterns: no pattern '%s': try --list\n", name);
    return false;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < PATTERNS; i++)
            printf("%-10s %s\n", patterns[i].name, patterns[i].what);
        return 0;
    }
    for (size_t i = 0; argc == 1 && i < PATTERNS; i++)
        patterns[i].run();
    for (int i = 1; i < argc; i++)
        if (!run_named(argv[i]))
            return 2;
    return 0;
}
