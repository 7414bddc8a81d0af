/* SPDX-License-Identifier: MIT
 *
 * Is a recording sound; what is lost, what was open, and since when: a list of findings.
 */
#ifndef LAP_CHECK_H
#define LAP_CHECK_H

#include "recording.h"

#include <stddef.h>
#include <stdint.h>

enum lap_check_severity {
    LAP_CHECK_NOTE = 0,    /* as it should be, worth knowing */
    LAP_CHECK_WARNING = 1, /* something is missing; what is there is sound */
    LAP_CHECK_DAMAGE = 2   /* bytes are not what they should be */
};

enum lap_check_what {
    LAP_CHECK_FILE,        /* a warning of the reader: file, offset, text */
    LAP_CHECK_STATE,       /* the process runs, died, was replaced, cannot be told */
    LAP_CHECK_LOST,        /* events lost, `count`, for the reason in text */
    LAP_CHECK_COUNTED,     /* something else that was counted (stale handles, clocks backward) */
    LAP_CHECK_OVERWRITTEN, /* events that a flight recorder's ring no longer holds */
    LAP_CHECK_OPEN,        /* a profiler was open: see open */
    LAP_CHECK_UNAPPLIED,   /* events that the stored statistics do not have yet, replayed */
    LAP_CHECK_ORPHANS,     /* checkpoints and ends without a begin */
    LAP_CHECK_ABANDONED,   /* profilers left without an end */
    LAP_CHECK_MISSING,     /* segments that are missing between others, or could not be read */
    LAP_CHECK_DIFFERENT    /* stored statistics are not those of the events, though nothing was overwritten */
};

struct lap_check_finding {
    enum lap_check_severity severity;
    enum lap_check_what what;
    const struct lap_process *process;    /* NULL: of none */
    const char *text;                     /* static, or lives as long as the check */
    uint64_t count;                       /* 0 where nothing is counted */
    const char *file;                     /* "" for none */
    uint64_t offset;                      /* UINT64_MAX for none */
    const struct lap_open_profiler *open; /* LAP_CHECK_OPEN only, else NULL */
};

struct lap_check {
    struct lap_check_finding *findings; /* process by process, then by severity, worst first */
    size_t finding_count;
    enum lap_check_severity worst; /* LAP_CHECK_NOTE: sound */
    uint64_t events;               /* read */
    uint64_t segments, rings;
    uint64_t lost, overwritten;
    void *internal;
};

/* Reads everything. Returns 0 or a negative errno. */
int lap_check_make(struct lap_check **ret_check, struct lap_recording *recording);
void lap_check_free(struct lap_check *check);

const char *lap_check_severity_text(enum lap_check_severity severity); /* "note", "warning", "damage" */
const char *lap_check_what_text(enum lap_check_what what);             /* "file", "state", "lost", ... */

#endif
