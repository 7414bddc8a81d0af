/* SPDX-License-Identifier: MIT
 *
 * Pieces of work, on several threads.
 */
#ifndef LAP_WORK_H
#define LAP_WORK_H

#include <stddef.h>
#include <stdint.h>

struct lap_work {
    size_t count;     /* of pieces */
    unsigned threads; /* at most; 0: as many as there are processors */
    /* Works on one piece. Adds to done_bytes as it goes, atomically, and calls lap_work_step(). Returns 0 or a negative
     * errno, which ends the work. */
    int (*run)(struct lap_work *work, size_t piece);
    void *user;
    void (*progress)(void *user, uint64_t done_bytes,
                     uint64_t total_bytes); /* called by the caller's thread; may be NULL */
    void *progress_user;
    uint64_t done_bytes, total_bytes;

    /* The work's own. */
    size_t next;
    int error;
};

/* How many threads there may be. */
unsigned lap_work_threads(unsigned wanted);
/* Returns 0 or the first error. */
int lap_work_run(struct lap_work *work);
/* Reports progress, if it is the caller's thread that calls. */
void lap_work_step(void *work);

#endif
