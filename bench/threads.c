/* SPDX-License-Identifier: MIT
 *
 * What an event costs with one thread and with two, each on a core of its own. usage: threads ROUNDS
 * Prints a line for each core: "core", the least ns a checkpoint with one thread, and with two. A round of two counts only
 * where both ran at the same time for nearly all of it.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <lapmark.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS (UINT64_C(1) << 16)
#define OVERLAP_LEAST 0.9

struct worker {
    pthread_t thread;
    unsigned index;
    int core;
    uint64_t start, end;    /* of the round just made */
    double alone, together; /* least ticks a checkpoint */
};

static struct worker workers[2];
static pthread_barrier_t barrier;
static unsigned rounds;
static unsigned overlapping;

static __attribute__((noinline)) void checkpoints(struct worker *worker)
{
    LAP_PROFILE("checkpoints");
    worker->start = lap_bench_ticks();
    for (uint64_t i = 0; i < EVENTS; i++)
        LAP_MARK("a checkpoint");
    worker->end = lap_bench_ticks();
}

static double ticks_each(const struct worker *worker) { return (double)(worker->end - worker->start) / (double)EVENTS; }

static void keep_least(double *least, double value)
{
    if (*least == 0 || value < *least)
        *least = value;
}

/* Both rounds' times are there: was it one of two? */
static void judge_together(void)
{
    const struct worker *const a = &workers[0], *const b = &workers[1];
    const uint64_t start = a->start > b->start ? a->start : b->start;
    const uint64_t end = a->end < b->end ? a->end : b->end;
    const uint64_t shorter = a->end - a->start < b->end - b->start ? a->end - a->start : b->end - b->start;
    if (end <= start || (double)(end - start) < OVERLAP_LEAST * (double)shorter)
        return;
    overlapping++;
    for (unsigned i = 0; i < 2; i++)
        keep_least(&workers[i].together, ticks_each(&workers[i]));
}

static void *work(void *user)
{
    struct worker *const worker = user;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)worker->core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned turn = 0; turn < 2; turn++) {
            pthread_barrier_wait(&barrier);
            if (turn == worker->index) {
                checkpoints(worker);
                keep_least(&worker->alone, ticks_each(worker));
            }
        }
        pthread_barrier_wait(&barrier);
        checkpoints(worker);
        pthread_barrier_wait(&barrier);
        if (worker->index == 0)
            judge_together();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (rounds == 0) {
        fputs("usage: threads ROUNDS\n", stderr);
        return 2;
    }
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) < 0 || CPU_COUNT(&cores) < 2)
        return 3; /* one core only */
    pthread_barrier_init(&barrier, NULL, 2);
    int core = 0;
    for (unsigned i = 0; i < 2; i++, core++) {
        while (!CPU_ISSET((size_t)core, &cores))
            core++;
        workers[i] = (struct worker){.index = i, .core = core};
    }
    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            return 2;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(workers[i].thread, NULL);
    if (overlapping == 0)
        return 3;
    const double ns = lap_bench_ns_a_tick();
    for (unsigned i = 0; i < 2; i++)
        printf("core\t%.4f\t%.4f\n", workers[i].alone * ns, workers[i].together * ns);
    return 0;
}
