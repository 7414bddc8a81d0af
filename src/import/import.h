/* SPDX-License-Identifier: MIT
 *
 * Traces of other tools, brought into a recording that is there as long as the program runs: Chrome's JSON, and Perfetto's
 * TrackEvents, each also packed with gzip.
 */
#ifndef LAP_IMPORT_H
#define LAP_IMPORT_H

#include "reader_error.h"

#include <stdbool.h>
#include <stdint.h>

/* What there is to say of a trace that was read. */
struct lap_import {
    char *recording;      /* the directory; NULL: none was made */
    char *left_out;       /* "12 counters, 3 flow events"; NULL: nothing was left out */
    uint64_t cut_offset;  /* the file ends too early, here; all before that was read. UINT64_MAX: it does not */
    uint64_t rest_offset; /* something stands behind the trace, here, and was not read. UINT64_MAX: nothing does */
    bool is_packed;       /* offsets are in what is unpacked */
};

/* Does it look like one? A directory never does. Cost: reads its first bytes. */
bool lap_import_knows(const char *file);
/* Reads it. 0 or a negative code with the error; lap_import_done() either way. */
int lap_import_read(struct lap_import *import, const char *file, struct lap_reader_error *error);
/* The recording stays until lap_import_remove(), or the program's end. */
void lap_import_done(struct lap_import *import);
/* Removes all recordings that were made. */
void lap_import_remove(void);

#endif
