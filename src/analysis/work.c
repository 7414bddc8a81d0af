/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "work.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 64u
#define BYTES_A_THREAD (UINT64_C(1) << 20) /* less is not worth one */

static __thread int may_report;

size_t lap_work_rings(const struct lap_recording *recording)
{
    size_t rings = 0;
    for (size_t p = 0; p < recording->process_count; p++)
        rings += recording->processes[p]->ring_count;
    return rings;
}

static void *work_thread(void *user)
{
    struct lap_work *const work = user;
    size_t place;
    while (__atomic_load_n(&work->error, __ATOMIC_RELAXED) == 0 &&
           (place = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->ring_count) {
        size_t process = 0, ring = place;
        while (ring >= work->recording->processes[process]->ring_count)
            ring -= work->recording->processes[process++]->ring_count;
        const int code = work->run(work, &work->recording->processes[process]->rings[ring], process, place);
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
    work->ring_count = lap_work_rings(work->recording);
    work->total_bytes = 0;
    for (size_t p = 0; p < work->recording->process_count; p++)
        work->total_bytes += work->recording->processes[p]->content_bytes;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t wanted = work->threads != 0 ? work->threads : processors > 0 ? (uint64_t)processors : 1;
    if (wanted > work->total_bytes / BYTES_A_THREAD)
        wanted = work->total_bytes / BYTES_A_THREAD;
    if (wanted > work->ring_count)
        wanted = work->ring_count;
    if (wanted > THREADS_MAX)
        wanted = THREADS_MAX;
    unsigned started = 0; /* beside this one */
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, work_thread, work) == 0)
        started++;
    const int reported = may_report;
    may_report = 1;
    work_thread(work);
    may_report = reported;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return work->error;
}
