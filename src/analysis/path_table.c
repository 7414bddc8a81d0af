/* SPDX-License-Identifier: MIT */
#include "path_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lap_path_table_init(struct lap_path_table *table, const struct lap_process *process)
{
    table->memory = calloc(1, LAP_PATHS_BYTES);
    table->buckets = calloc(1, LAP_PATHS_BUCKETS_BYTES);
    if (!table->memory || !table->buckets) {
        free(table->memory);
        free(table->buckets);
        return -ENOMEM;
    }
    struct lap_format_paths *const header = table->memory;
    *header = (struct lap_format_paths){LAP_FORMAT_PATHS_MAGIC, LAP_FORMAT_VERSION, process->path_count};
    memcpy(header + 1, process->path_entries, process->path_count * sizeof *process->path_entries);
    lap_paths_init(&table->paths, table->memory, table->buckets);
    return 0;
}

void lap_path_table_done(struct lap_path_table *table)
{
    if (!table->memory)
        return;
    pthread_mutex_destroy(&table->paths.lock);
    free(table->memory);
    free(table->buckets);
    table->memory = NULL;
}
