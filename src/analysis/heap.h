/* SPDX-License-Identifier: MIT
 *
 * A statistics heap in private memory that there is always room in: made empty or from a stored one, added up, and cut to
 * size when it is done.
 */
#ifndef LAP_HEAP_H
#define LAP_HEAP_H

#include "statistics.h"

#include <stdint.h>

/* An empty heap, or a copy of `stored` (its first `units` units, references checked); `paths` is not owned. What damage could
 * have put into a stored heap, cells that lie in one another or counters that lie in cells, is not copied, so that adding to
 * the copy is safe. Returns 0 or -ENOMEM. */
int lap_heap_init(struct lap_statistics *statistics, const struct lap_format_statistics *stored, uint32_t units,
                  struct lap_paths *paths);
/* Adds the cells and the counts of another heap that lap_heap_finish() gave. */
void lap_heap_add(struct lap_statistics *statistics, const struct lap_format_statistics *other);
/* Frees it, but for a copy of what is used: NULL where there was no memory. Freed with free(). */
struct lap_format_statistics *lap_heap_finish(struct lap_statistics *statistics);
void lap_heap_done(struct lap_statistics *statistics);

/* The first cell at or behind *unit (0: from the start), which becomes the unit behind it; NULL at the end. */
const struct lap_format_cell *lap_heap_next(const struct lap_format_statistics *heap, uint32_t *unit);

/* A cell's 16 counters of an octave; zeros where it has none. */
const uint64_t *lap_heap_counters(const struct lap_format_statistics *heap, const struct lap_format_cell *cell,
                                  uint32_t octave);

#endif
