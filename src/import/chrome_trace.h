/* SPDX-License-Identifier: MIT
 *
 * Traces in Chrome's JSON: an object with "traceEvents", or the array alone, of which the end may be missing.
 */
#ifndef LAP_CHROME_TRACE_H
#define LAP_CHROME_TRACE_H

#include "foreign_file.h"
#include "foreign_trace.h"

/* Adds what is in the file to the trace. Where the file ends too early, *ret_cut is where (UINT64_MAX: it does not), and all before
 * that was added. Where something stands behind the trace, *ret_rest is where. Returns 0 or a negative code with the error. */
int lap_chrome_trace_read(struct lap_foreign_trace *trace, struct lap_foreign_file *file, uint64_t *ret_cut,
                          uint64_t *ret_rest, struct lap_reader_error *error);

#endif
