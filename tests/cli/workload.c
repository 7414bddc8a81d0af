/* SPDX-License-Identifier: MIT
 *
 * A program for the tests of the command, with known events: workload CASE [ARGUMENT...].
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* 12 instances of "job %d", each with a lap "load", three of "step", an inner profiler "inner" and a rest; the last is
 * the slowest. 1 + 12 * (2 + 1 + 3 + 1 + 2) + 1 events are 110. */
static void jobs(void)
{
    LAP_PROFILE("jobs");
    for (int i = 0; i < 12; i++) {
        LAP_PROFILE("job %d", i);
        if (i == 11)
            wait_ms(20);
        LAP_MARK("load");
        for (int j = 0; j < 3; j++)
            LAP_MARK("step");
        {
            LAP_PROFILE("inner");
        }
        LAP_MARK_N(i, "sized");
    }
}

static void labels(void)
{
    LAP_PROFILE("caf\xc3\xa9 \"quoted\" back\\slash");
    LAP_MARK("tab\tnew\nline escape \033[31m red");
    LAP_MARK("%s and %d, %u, %f, %p", "text \xc3\xa4", -5, 4000000000u, 0.1, (void *)0xdeadbeefUL);
    LAP_MARK("%llu", 18446744073709551615ULL);
    LAP_MARK_TEXT("made at run time");
    LAP_MARK();
}

static void *worker(void *argument)
{
    char name[32];
    snprintf(name, sizeof name, "worker-%d", (int)(long)argument);
    lap_thread_name(name);
    LAP_PROFILE("work");
    for (int i = 0; i < 5; i++)
        LAP_MARK("item");
    return NULL;
}

static void threads(void)
{
    pthread_t thread[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, worker, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

static void *queue(void *request)
{
    lap_mark(*(const lap_handle *)request, "queued");
    return NULL;
}

static void handles(void)
{
    lap_handle first = lap_begin("request %d", 1);
    const lap_handle second = lap_begin("request %d", 2);
    pthread_t thread;
    pthread_create(&thread, NULL, queue, &first);
    pthread_join(thread, NULL);
    lap_mark(first, "parsed");
    wait_ms(5);
    lap_mark(second, "parsed");
    lap_mark(first, "answered");
    lap_end(first);
    lap_end(second);
}

static void wrap(const char *count)
{
    LAP_PROFILE("wrap");
    for (long i = strtol(count, NULL, 10); i > 0; i--)
        LAP_MARK("turn");
}

/* Dies with a profiler open and 3 checkpoints behind it. */
static void killed(const char *signal_number)
{
    LAP_PROFILE("doomed");
    for (int i = 0; i < 3; i++)
        LAP_MARK("before");
    raise(atoi(signal_number));
}

/* Leaves a child behind that runs until its standard input ends. */
static void leaves(void)
{
    int begun[2];
    char byte = 0;
    if (pipe(begun) != 0)
        exit(1);
    if (fork() == 0) {
        {
            LAP_PROFILE("left behind");
            LAP_MARK("started");
        }
        setsid();
        LAP_PROFILE("waits");
        (void)!write(begun[1], &byte, 1);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(1);
        while (read(STDIN_FILENO, &byte, 1) > 0)
            continue;
        exit(0);
    }
    (void)!read(begun[0], &byte, 1);
    LAP_PROFILE("parent");
}

static void forks(void)
{
    LAP_PROFILE("parent");
    for (int i = 0; i < 2; i++) {
        const pid_t child = fork();
        if (child == 0) {
            {
                LAP_PROFILE("child");
                LAP_MARK("step");
            }
            exit(0);
        }
        waitpid(child, NULL, 0);
        LAP_MARK("waited");
    }
}

static void thresholds(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1000), "patient");
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 3), "round %d", i);
        if (i == 1)
            wait_ms(6);
        LAP_MARK("done");
    }
}

int main(int argc, char **argv)
{
    const char *const name = argc > 1 ? argv[1] : "";
    const char *const argument = argc > 2 ? argv[2] : "0";
    if (strcmp(name, "jobs") == 0)
        jobs();
    else if (strcmp(name, "labels") == 0)
        labels();
    else if (strcmp(name, "threads") == 0)
        threads();
    else if (strcmp(name, "handles") == 0)
        handles();
    else if (strcmp(name, "wrap") == 0)
        wrap(argument);
    else if (strcmp(name, "killed") == 0)
        killed(argument);
    else if (strcmp(name, "leaves") == 0)
        leaves();
    else if (strcmp(name, "forks") == 0)
        forks();
    else if (strcmp(name, "thresholds") == 0)
        thresholds();
    else
        return 3;
    return argc > 3 ? atoi(argv[3]) : 0;
}
