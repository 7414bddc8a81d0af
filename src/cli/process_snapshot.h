/* SPDX-License-Identifier: MIT
 *
 * Writes what the reader has copied of a running process as a recording of its own: a snapshot. It has a UUID of its own,
 * since of two traces with one UUID readers of CTF show one.
 *
 * It is sound for what the reader sees to (ring_files.c): of each ring the statistics go up to a place in one of its
 * segments, those follow one another without a gap, and all but the last were full when they were read; what events and
 * statistics name, paths and classes, was read behind them. Cold; one thread.
 */
#ifndef LAP_PROCESS_SNAPSHOT_H
#define LAP_PROCESS_SNAPSHOT_H

#include "recording.h"

#include <stdint.h>

struct lap_process_snapshot {
    char *path;        /* its directory; caller frees */
    uint64_t taken_ns; /* since 1970 */
    uint64_t whole_ns; /* likewise: since when all that all threads stored is in it */
    uint64_t bytes;    /* written */
    uint64_t segments, rings;
};

/* The clocks now, for a process of this machine: to be read before the recording is opened. */
struct lap_format_clock_reading lap_process_snapshot_clock(void);

/* Writes a running process, as it was opened, into a new directory in `directory`: the segments that hold what it stored in
 * the last `last_ns` before `begun` (0: all). Returns 0, or a negative errno with nothing of it left behind. */
int lap_process_snapshot_write(struct lap_process_snapshot *ret_snapshot, const struct lap_process *process,
                               const char *directory, const struct lap_format_clock_reading *begun, uint64_t last_ns);

#endif
