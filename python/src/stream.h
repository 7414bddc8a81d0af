/* SPDX-License-Identifier: MIT
 *
 * Where reports go: a profiler's own sink or file, else where LAPMARK_PRINT says, else sys.stderr as it is at that moment. One
 * write a report. An exception in flight stays; what a stream raises is counted.
 */
#ifndef LAP_PY_STREAM_H
#define LAP_PY_STREAM_H

#include "profiler.h"

int lap_streams_start(void);
/* In a forked child: what waits is the parent's to write. */
void lap_streams_after_fork(void);
/* Is this thread writing a report? */
int lap_stream_is_writing(void);
void lap_stream_write(PyObject *sink, PyObject *file, const char *text, size_t bytes);
/* What stands before every line, "" where it is not asked for. Valid up to the next call. */
const char *lap_stream_prefix(size_t *ret_bytes);

#endif
