/* SPDX-License-Identifier: MIT
 *
 * A process's paths, with room for those that a pass meets beyond the stored ones. Threads: shared by all passes over its
 * rings.
 */
#ifndef LAP_PATH_TABLE_H
#define LAP_PATH_TABLE_H

#include "paths.h"
#include "recording.h"

struct lap_path_table {
    struct lap_paths paths;
    void *memory;
};

/* Copies the stored ones. Returns 0 or -ENOMEM. */
int lap_path_table_init(struct lap_path_table *table, const struct lap_process *process);
void lap_path_table_done(struct lap_path_table *table);

#endif
