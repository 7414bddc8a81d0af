/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "work.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS_MAX 64u

static __thread int may_report;

unsigned lap_work_threads(unsigned wanted)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned threads = wanted != 0 ? wanted : processors > 0 ? (unsigned)processors : 1;
    return threads < THREADS_MAX ? threads : THREADS_MAX;
}

static void *work_thread(void *user)
{
    struct lap_work *const work = user;
    size_t piece;
    while (__atomic_load_n(&work->error, __ATOMIC_RELAXED) == 0 &&
           (piece = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->count) {
        const int code = work->run(work, piece);
        if (code < 0)
            __atomic_store_n(&work->error, code, __ATOMIC_RELAXED);
    }
    return NULL;
}

void lap_work_step(void *user)
{
    struct lap_work *const work = user;
    if (may_report && work->progress)
        work->progress(work->progress_user, __atomic_load_n(&work->done_bytes, __ATOMIC_RELAXED), work->total_bytes);
}

int lap_work_run(struct lap_work *work)
{
    pthread_t threads[THREADS_MAX];
    const unsigned wanted = lap_work_threads(work->threads);
    unsigned started = 0; /* beside this one */
    while (started + 1 < wanted && started + 1 < work->count &&
           pthread_create(&threads[started], NULL, work_thread, work) == 0)
        started++;
    const int reported = may_report;
    may_report = 1;
    work_thread(work);
    may_report = reported;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return work->error;
}
