/* SPDX-License-Identifier: MIT
 *
 * A trace as a recording: a directory for each of its processes that has slices, as doc/format.md has it, full.
 */
#ifndef LAP_WRITTEN_RECORDING_H
#define LAP_WRITTEN_RECORDING_H

#include "foreign_slices.h"

struct lap_written_source {
    const char *file;  /* the trace's, as given */
    uint64_t seed;     /* what tells this file from others: the processes' UUIDs are made of it */
    const char *place; /* the directory that gets the processes' */
};

/* *ret_processes: how many were written. 0 or a negative errno. */
int lap_written_recording(struct lap_foreign_trace *trace, struct lap_foreign_slices *slices,
                          const struct lap_written_source *source, size_t *ret_processes);

#endif
