/* SPDX-License-Identifier: MIT
 *
 * A program to look into while it runs: live_target THREADS. It takes lines from its standard input, answers each with
 * "done", and sleeps in between, so that what is recorded stands still when it has answered:
 *     rounds N     each thread does N rounds, which meet 201 sites: "work" with ten stages of 19 steps
 *     slow MS      the main thread waits so long in a profiler "slow", whose function is slow_one
 *     open         the main thread opens a handle "waiting" and ends it at the next "open"
 *     run          the threads go on by themselves: a round, a millisecond of sleep
 *     stop         they stop
 * and ends with its input.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 64

#define STEP(stage, step) LAP_MARK("step " #stage "." #step);
#define STAGE(stage)                                                                                                     \
    static __attribute__((noinline)) void stage_##stage(void)                                                            \
    {                                                                                                                    \
        LAP_PROFILE("stage " #stage);                                                                                    \
        STEP(stage, 1)                                                                                                   \
        STEP(stage, 2)                                                                                                   \
        STEP(stage, 3)                                                                                                   \
        STEP(stage, 4)                                                                                                   \
        STEP(stage, 5)                                                                                                   \
        STEP(stage, 6)                                                                                                   \
        STEP(stage, 7)                                                                                                   \
        STEP(stage, 8)                                                                                                   \
        STEP(stage, 9)                                                                                                   \
        STEP(stage, 10)                                                                                                  \
        STEP(stage, 11)                                                                                                  \
        STEP(stage, 12)                                                                                                  \
        STEP(stage, 13)                                                                                                  \
        STEP(stage, 14)                                                                                                  \
        STEP(stage, 15)                                                                                                  \
        STEP(stage, 16)                                                                                                  \
        STEP(stage, 17)                                                                                                  \
        STEP(stage, 18)                                                                                                  \
        STEP(stage, 19)                                                                                                  \
    }
STAGE(0)
STAGE(1)
STAGE(2)
STAGE(3)
STAGE(4)
STAGE(5)
STAGE(6)
STAGE(7)
STAGE(8)
STAGE(9)

static pthread_barrier_t begins, ends;
static atomic_long rounds; /* to do; -1: until told otherwise; -2: the end */
static atomic_bool stops;

static void wait_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void one_round(void)
{
    static void (*const stages[])(void) = {stage_0, stage_1, stage_2, stage_3, stage_4,
                                           stage_5, stage_6, stage_7, stage_8, stage_9};
    LAP_PROFILE("work");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        stages[i]();
}

static void *work(void *user)
{
    (void)user;
    for (;;) {
        pthread_barrier_wait(&begins);
        const long wanted = rounds;
        if (wanted == -2)
            return NULL;
        for (long i = 0; wanted == -1 ? !stops : i < wanted; i++) {
            one_round();
            if (wanted == -1)
                wait_ms(1);
        }
        pthread_barrier_wait(&ends);
    }
}

static void slow_one(long ms)
{
    LAP_PROFILE("slow");
    wait_ms(ms);
    LAP_MARK("waited");
}

static void begin(long what)
{
    rounds = what;
    pthread_barrier_wait(&begins);
}

int main(int argc, char **argv)
{
    const unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    if (count == 0 || count > THREADS_MAX)
        return 2;
    pthread_t threads[THREADS_MAX];
    pthread_barrier_init(&begins, NULL, count + 1);
    pthread_barrier_init(&ends, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 3;
    char line[64];
    bool runs = false;
    lap_handle waiting = 0;
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "rounds ", 7) == 0) {
            begin(atol(line + 7));
            pthread_barrier_wait(&ends);
        } else if (strncmp(line, "slow ", 5) == 0) {
            slow_one(atol(line + 5));
        } else if (strcmp(line, "open\n") == 0) {
            if (waiting != 0)
                lap_end(waiting);
            waiting = waiting != 0 ? 0 : lap_begin("waiting");
        } else if (strcmp(line, "run\n") == 0 && !runs) {
            stops = false;
            runs = true;
            begin(-1);
        } else if (strcmp(line, "stop\n") == 0 && runs) {
            stops = true;
            runs = false;
            pthread_barrier_wait(&ends);
        }
        puts("done");
        fflush(stdout);
    }
    if (runs) {
        stops = true;
        pthread_barrier_wait(&ends);
    }
    begin(-2);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
