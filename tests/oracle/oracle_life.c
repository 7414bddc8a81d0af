/* SPDX-License-Identifier: MIT
 *
 * What happens in a process's life: threads that come and go, handles that cross them, scopes left by longjmp and by a
 * thread's end, forked children, an exec, recordings begun and ended by the program.
 *
 * usage: oracle_life PART [ARGUMENT]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include "oracle_point.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, HANDLES = 20 };

static const char *argument;
static lap_handle handles[HANDLES];
static pthread_barrier_t barrier;

static void meet(const char *point)
{
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        oracle_point(point);
    pthread_barrier_wait(&barrier);
}

/* ---- threads and handles ------------------------------------------------------------------------------------------- */

static void *handles_run(void *user)
{
    const long number = (long)user;
    char name[32];
    snprintf(name, sizeof name, "worker %ld", number);
    lap_thread_name(name);
    LAP_PROFILE("worker %ld", number);
    for (int i = 0; i < HANDLES; i++)
        lap_mark(handles[i], "seen by %ld", number);
    meet("handles marked");
    LAP_MARK("met");
    for (int i = (int)number; i < HANDLES; i += THREADS) {
        lap_mark_n(handles[i], i, "last");
        lap_end(handles[i]);
    }
    meet("handles ended");
    return NULL;
}

static void part_handles(void)
{
    pthread_t ids[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    LAP_PROFILE("handles");
    for (int i = 0; i < HANDLES; i++)
        handles[i] =
            i % 2 ? lap_begin_with(LAP_OPTS(.parent = handles[i - 1]), "child %d", i) : lap_begin("handle %d", i);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&ids[i], NULL, handles_run, (void *)i);
    for (long i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    oracle_point("joined");
    lap_begin("never ended");
}

static void *short_run(void *user)
{
    LAP_PROFILE("short thread %ld", (long)user);
    LAP_MARK("did something");
    lap_thread_name("renamed");
    LAP_MARK("did more");
    return NULL;
}

/* One after another they take over one ring; some leave with a scope open. */
static void *leaving_run(void *user)
{
    LAP_PROFILE("left open");
    LAP_MARK("before it left");
    if ((long)user % 3 == 0)
        pthread_exit(NULL);
    return NULL;
}

static void part_threads(void)
{
    for (long i = 0; i < 300; i++) {
        pthread_t id;
        pthread_create(&id, NULL, i % 2 ? leaving_run : short_run, (void *)i);
        pthread_join(id, NULL);
        if (i % 100 == 50)
            oracle_point("fifty more");
    }
}

/* ---- scopes that are left ---------------------------------------------------------------------------------------------- */

static jmp_buf target;

static void jump_from(int depth)
{
    LAP_PROFILE("jumps from %d", depth);
    LAP_MARK("on its way");
    if (depth > 0)
        jump_from(depth - 1);
    if (depth >= 0)
        longjmp(target, 1);
}

static void part_jumps(void)
{
    LAP_PROFILE("jumps");
    for (volatile int i = 0; i < 30; i++) {
        if (setjmp(target) == 0)
            jump_from(i % 5);
        LAP_MARK("landed");
        {
            LAP_PROFILE("after the jump");
            LAP_MARK("in it");
        }
    }
    oracle_point("jumped");
    LAP_END();
    LAP_MARK("behind the end");
    {
        LAP_PROFILE("next");
    }
}

/* ---- processes ----------------------------------------------------------------------------------------------------------- */

static void child_run(int generation)
{
    {
        LAP_PROFILE("child of generation %d", generation);
        LAP_MARK("works");
        for (int i = 0; i < 100; i++) {
            char label[64];
            snprintf(label, sizeof label, "only of generation %d, %d", generation, i % 70);
            LAP_MARK_TEXT(label);
        }
        if (generation < 3) {
            const pid_t pid = fork();
            if (pid == 0) {
                child_run(generation + 1);
                exit(0);
            }
            waitpid(pid, NULL, 0);
        }
    }
}

static void part_forks(void)
{
    LAP_PROFILE("parent");
    LAP_MARK("before the forks");
    const lap_handle handle = lap_begin("handle of the parent");
    for (int i = 0; i < 2; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            lap_mark(handle, "of a parent's handle");
            child_run(1);
            _exit(0);
        }
        LAP_MARK("forked");
        waitpid(pid, NULL, 0);
    }
    oracle_point("children are gone");
    lap_end(handle);
}

static void part_exec(void)
{
    LAP_PROFILE("before the exec");
    LAP_MARK("about to");
    execl("/proc/self/exe", "oracle_life", "threads", (char *)NULL);
}

/* Stays alive without a word: for a test that looks at what exec left behind. */
static void part_replaced(void)
{
    {
        LAP_PROFILE("before the exec");
        LAP_MARK("about to");
    }
    execlp("cat", "cat", (char *)NULL);
}

/* ---- recordings by the program ------------------------------------------------------------------------------------------ */

static void part_recordings(void)
{
    LAP_PROFILE("open before the recording %s", "with a string");
    LAP_MARK("not recorded");
    for (int i = 0; i < 3; i++) {
        char directory[4096];
        snprintf(directory, sizeof directory, "%s/%d", argument, i);
        lap_record_start(directory);
        LAP_PROFILE("recorded %d", i);
        LAP_MARK("in it");
        oracle_point(directory);
        lap_record_stop();
        LAP_MARK("between");
    }
}

static void part_killed(void)
{
    LAP_PROFILE("outer %d", 1);
    LAP_MARK("lap of the outer");
    {
        LAP_PROFILE("inner");
        LAP_MARK("lap of the inner");
        lap_begin("handle");
        oracle_point("open");
    }
}

/* ---- keeping the slow only ------------------------------------------------------------------------------------------------ */

static void part_slow(void)
{
    for (int i = 0; i < 5000; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = i % 1000 == 500 ? 0 : 1000), "slow %d", i);
        LAP_MARK("step");
        {
            LAP_PROFILE("inside");
            LAP_MARK("of the inside");
        }
        if (i == 3333)
            oracle_point("in a profiler that will be taken back");
    }
    oracle_point("taken back");
}

/* ---- more paths than there may be ------------------------------------------------------------------------------------- */

static void branch(int depth)
{
    if (depth == 0)
        return;
    {
        LAP_PROFILE("left");
        branch(depth - 1);
        LAP_MARK("lap");
    }
    {
        LAP_PROFILE("right");
        branch(depth - 1);
    }
}

static void part_paths(void)
{
    branch(12);
    branch(12);
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"handles", part_handles}, {"threads", part_threads},   {"jumps", part_jumps},           {"forks", part_forks},
    {"exec", part_exec},       {"replaced", part_replaced}, {"recordings", part_recordings}, {"killed", part_killed},
    {"slow", part_slow},       {"paths", part_paths},
};

int main(int argc, char **argv)
{
    argument = argc > 2 ? argv[2] : "";
    for (size_t i = 0; argc > 1 && i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(argv[1], parts[i].name) == 0) {
            parts[i].run();
            return 0;
        }
    }
    return 2;
}
