/* SPDX-License-Identifier: MIT
 *
 * The statistics of a ring that is written from a trace: made from its segments by the code that the recorder makes its own with.
 */
#ifndef LAP_WRITTEN_STATISTICS_H
#define LAP_WRITTEN_STATISTICS_H

#include "statistics.h"

struct lap_written_statistics {
    struct lap_statistics statistics;
    struct lap_decoder decoder;
};

/* 0 or -ENOMEM; lap_written_statistics_done() either way. */
int lap_written_statistics_make(struct lap_written_statistics *statistics, const struct lap_class *classes,
                                uint32_t class_count, struct lap_paths *paths);
/* Adds the events of a segment, in the order of the segments. */
void lap_written_statistics_add(struct lap_written_statistics *statistics, const void *segment);
int lap_written_statistics_write(const struct lap_written_statistics *statistics, const char *path);
void lap_written_statistics_done(struct lap_written_statistics *statistics);

#endif
