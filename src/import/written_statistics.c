/* SPDX-License-Identifier: MIT */
#include "written_statistics.h"

#include "temporary_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lap_written_statistics_make(struct lap_written_statistics *statistics, const struct lap_class *classes,
                                uint32_t class_count, struct lap_paths *paths)
{
    struct lap_statistics *const made = &statistics->statistics;
    memset(statistics, 0, sizeof *statistics);
    statistics->decoder.classes = classes;
    statistics->decoder.class_count = class_count;
    made->heap = calloc(LAP_FORMAT_UNITS, LAP_FORMAT_UNIT_BYTES);
    made->units = LAP_FORMAT_UNITS;
    made->paths = paths;
    made->cell_of_path = calloc(LAP_FORMAT_PATHS, sizeof *made->cell_of_path);
    made->cache = calloc(LAP_STATISTICS_CACHE, sizeof *made->cache);
    if (!made->heap || !made->cell_of_path || !made->cache)
        return -ENOMEM;
    lap_statistics_init(made);
    made->heap->threads = 1;
    return 0;
}

void lap_written_statistics_add(struct lap_written_statistics *statistics, const void *segment)
{
    const struct lap_format_segment *const header = segment;
    lap_statistics_run(&statistics->statistics, &statistics->decoder, segment, header->begin_ticks, header->sequence,
                       sizeof *header, (uint32_t)(header->content_bits / 8));
    for (uint32_t depth = 0; depth < statistics->decoder.depth; depth++)
        statistics->decoder.open[depth].event = NULL; /* the segment's memory is used again */
}

int lap_written_statistics_write(const struct lap_written_statistics *statistics, const char *path)
{
    const struct lap_format_statistics *const heap = statistics->statistics.heap;
    return lap_temporary_file(path, heap, (size_t)heap->units * LAP_FORMAT_UNIT_BYTES);
}

void lap_written_statistics_done(struct lap_written_statistics *statistics)
{
    free(statistics->statistics.heap);
    free(statistics->statistics.cell_of_path);
    free(statistics->statistics.cache);
}
