/* SPDX-License-Identifier: MIT
 *
 * Threads that fill their rings, so that segments are used again while scopes are open.
 *
 * usage: oracle_rings ROUNDS [THREADS [DEPTH]]     ROUNDS 0: until it is killed
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include "oracle_point.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long rounds;
static unsigned long depth;
static pthread_barrier_t barrier;

static void turn(unsigned long i)
{
    LAP_PROFILE("turn");
    LAP_MARK("first");
    LAP_MARK_N((long)i, "second");
    if (i % 7 == 0) {
        LAP_PROFILE_WITH(LAP_OPTS(.n = (long)i), "seventh %lu", i);
        LAP_MARK("of it %s", i % 2 ? "odd" : "even");
    }
    if (i % 100 == 0) {
        const lap_handle handle = lap_begin("hundredth");
        lap_mark(handle, "marked %lu", i);
        lap_end(handle);
    }
}

static void turn_all(void)
{
    for (unsigned long i = 0; rounds == 0 || i < rounds; i++) {
        turn(i);
        if (rounds != 0 && i == rounds / 2) {
            if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
                oracle_point("half");
            pthread_barrier_wait(&barrier);
        }
    }
}

/* Scopes that stay open all the time: each segment begins with what is known of them. */
static void nest(unsigned long left)
{
    if (left == 0) {
        turn_all();
        return;
    }
    LAP_PROFILE_WITH(LAP_OPTS(.n = (long)left), "level %lu of %s", left, "a nest");
    LAP_MARK("went in");
    nest(left - 1);
    LAP_MARK("came out");
}

static void *run(void *name)
{
    lap_thread_name(name);
    LAP_PROFILE("thread of %lu rounds", rounds);
    nest(depth);
    return NULL;
}

int main(int argc, char **argv)
{
    rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    const unsigned long threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    depth = argc > 3 ? strtoul(argv[3], NULL, 10) : 3;
    pthread_t ids[64];
    char names[64][16];
    if (threads == 0 || threads > 64)
        return 2;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (unsigned long i = 0; i < threads; i++) {
        snprintf(names[i], sizeof names[i], "filler %lu", i);
        pthread_create(&ids[i], NULL, run, names[i]);
    }
    if (rounds == 0)
        oracle_point("running");
    for (unsigned long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    oracle_point("joined");
    return 0;
}
