/* SPDX-License-Identifier: MIT
 *
 * Traces of Perfetto: the TrackEvents in them, whose slices begin and end on tracks.
 */
#ifndef LAP_PERFETTO_TRACE_H
#define LAP_PERFETTO_TRACE_H

#include "foreign_file.h"
#include "foreign_trace.h"

/* Does a file that starts so look like one? */
bool lap_perfetto_trace_is(const char *bytes, size_t count);
/* As lap_chrome_trace_read(). */
int lap_perfetto_trace_read(struct lap_foreign_trace *trace, struct lap_foreign_file *file, uint64_t *ret_cut,
                            struct lap_reader_error *error);

#endif
