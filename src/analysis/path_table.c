/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "path_table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES (LAP_PATHS_BYTES + LAP_PATHS_BUCKETS_BYTES)

int lap_path_table_init(struct lap_path_table *table, const struct lap_process *process)
{
    /* Its own pages, of which only those that are touched are taken: most processes have few paths. */
    void *const memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    table->memory = memory;
    struct lap_format_paths *const header = table->memory;
    *header = (struct lap_format_paths){LAP_FORMAT_PATHS_MAGIC, LAP_FORMAT_VERSION, process->path_count};
    memcpy(header + 1, process->path_entries, process->path_count * sizeof *process->path_entries);
    lap_paths_init(&table->paths, table->memory, (uint32_t *)(void *)((char *)memory + LAP_PATHS_BYTES));
    return 0;
}

void lap_path_table_done(struct lap_path_table *table)
{
    if (!table->memory)
        return;
    pthread_mutex_destroy(&table->paths.lock);
    munmap(table->memory, BYTES);
    table->memory = NULL;
}
