/* SPDX-License-Identifier: MIT
 *
 * All that threads of a process share, in few steps, for a machine that is a hundred times slower: new labels, handles that go
 * from thread to thread, switches, recordings that start and stop, threads that come and go, reports.
 *
 * usage: races DIRECTORY ROUNDS
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 3, STEPS = 700 };

static pthread_barrier_t barrier;
static lap_handle shared;

static void *work(void *argument)
{
    const int number = (int)(intptr_t)argument;
    pthread_barrier_wait(&barrier);
    LAP_PROFILE("work of %d", number);
    for (int i = 0; i < STEPS; i++) {
        LAP_MARK_N(i, "step");
        char label[32];
        snprintf(label, sizeof label, "label %d", i % 60);
        if (i % 7 == 0)
            LAP_MARK_TEXT(label);
        if (i % 50 == 0)
            lap_mark(shared, "of all, %s", label);
        if (i % 90 == 0) {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e3), "inner");
            LAP_MARK("in it");
            lap_end(lap_begin("own"));
        }
    }
    return NULL;
}

static void *switch_it(void *directory)
{
    static const char *const terms[] = {"-inner", "inner:0", "*", "*:5"};
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 8; i++) {
        if (lap_set(terms[i % 4]) != 0)
            return directory;
        if ((i % 2 == 0 ? lap_record_start(directory) : lap_record_stop()) != 0)
            return directory;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    void *failed = NULL;
    for (int round = 0; round < atoi(argv[2]) && !failed; round++) {
        pthread_t threads[THREADS + 1];
        pthread_barrier_init(&barrier, NULL, THREADS + 1);
        shared = lap_begin("shared");
        pthread_create(&threads[THREADS], NULL, switch_it, argv[1]);
        for (intptr_t i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, work, (void *)i);
        for (int i = 0; i <= THREADS; i++) {
            void *result;
            pthread_join(threads[i], &result);
            failed = result ? result : failed;
        }
        lap_end(shared);
        pthread_barrier_destroy(&barrier);
    }
    return failed != NULL;
}
