/* SPDX-License-Identifier: MIT
 *
 * The text of a profiler that has ended, in the lines of text/line.h: its own and those of profilers that ended inside. What an
 * ended child has to say is kept with its parent as a block of text, indented when it is printed; more than three of one site
 * are one line with the slowest in full, as in the library's own reports.
 */
#ifndef LAP_PY_BLOCKS_H
#define LAP_PY_BLOCKS_H

#include "profiler.h"

/* It has ended: prints its report, or leaves it with the parent that is still open, or forgets it. Never raises. */
void lap_report_end(struct profiler *profiler);
/* Of an immediate profiler: one line at once. */
void lap_report_entered(struct profiler *profiler);
void lap_report_marked(struct profiler *profiler);
/* The report of a C scope inside it, as of some ticks: 1, or 0 where it has no place for it. */
int lap_report_adopt(struct profiler *profiler, uint64_t ticks, const char *text, size_t bytes);
/* Prints by themselves the ended ones that wait for it. */
void lap_report_flush(struct profiler *profiler);
void lap_report_free(struct profiler *profiler);
/* Its report as it is written, to be freed by PyMem_RawFree; NULL: no memory, counted. And whose stream that goes to: its own, or that
 * of the nearest around it that has one. */
char *lap_report_text(struct profiler *profiler, size_t *ret_bytes);
const struct profiler *lap_report_stream(const struct profiler *profiler);

/* [(label, ms), ...], as `.laps` has it. New reference. */
PyObject *lap_report_laps(const struct profiler *profiler);

#endif
