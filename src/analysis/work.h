/* SPDX-License-Identifier: MIT
 *
 * The same piece of work for each ring of a recording, on several threads.
 */
#ifndef LAP_WORK_H
#define LAP_WORK_H

#include "recording.h"

#include <stddef.h>
#include <stdint.h>

struct lap_work {
    struct lap_recording *recording;
    unsigned threads; /* 0: as many as there are processors */
    void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes); /* called by the caller's thread; may be NULL */
    void *progress_user;
    /* Works on one ring: `place` counts the recording's rings. Adds to *done_bytes as it goes, atomically, and calls
     * lap_work_step(). Returns 0 or a negative errno, which ends the work. */
    int (*run)(struct lap_work *work, struct lap_ring *ring, size_t process, size_t place);
    void *user;

    /* The work's own. */
    uint64_t done_bytes, total_bytes;
    size_t next, ring_count;
    int error;
};

/* How many rings a recording has. */
size_t lap_work_rings(const struct lap_recording *recording);
/* Returns 0 or the first error. */
int lap_work_run(struct lap_work *work);
/* Reports progress, if the caller is the thread that may. */
void lap_work_step(void *work);

#endif
