/* SPDX-License-Identifier: MIT
 *
 * The directory that a run records into: its making, and what is in it afterwards. Cold; one thread.
 */
#ifndef LAP_COLLECT_H
#define LAP_COLLECT_H

#include "recording.h"

#include <stdbool.h>
#include <stddef.h>

struct lap_collect_process {
    char *name;
    enum lap_process_state state;
    unsigned long long pid;
    uint64_t breach_snapshots, breach_snapshots_spared;
    bool is_new;    /* of this run */
    bool is_copied; /* lies in the directory, whole */
    bool is_readable;
};

struct lap_collect {
    char *directory; /* as it was asked for */
    char *absolute;
    bool was_made;
    char **before; /* names that were there */
    size_t before_count;
    struct lap_collect_process *processes; /* by name */
    size_t process_count;
    size_t new_count;
};

/* Makes the directory: `name`, or NULL for the first of `base`, `base`-2, ... that is free. One that
 * holds something but no recording is refused. Returns 0, or 2 with the message written. */
int lap_collect_begin(struct lap_collect *collect, const char *name, const char *base);

/* After the program has ended: brings the recordings of all processes that have ended into the directory, and says on
 * stderr which have not. Removes a directory that it made and nobody recorded into. */
void lap_collect_end(struct lap_collect *collect);

/* Paths of this run's processes. Caller frees each and the array. */
char **lap_collect_new_paths(const struct lap_collect *collect);

void lap_collect_done(struct lap_collect *collect);

#endif
