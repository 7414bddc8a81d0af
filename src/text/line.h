/* SPDX-License-Identifier: MIT
 *
 * The lines of a report, one function a kind, so that a report, an immediate profiler's lines and `lapmark show` cannot
 * differ. Each writes one line with its newline, cut to `out_bytes` (the newline stays; there is no 0 behind it), and
 * returns its bytes. Labels come from label.h. Threads: any. No allocation. Warm.
 */
#ifndef LAP_LINE_H
#define LAP_LINE_H

#include "peer_laps.h"

#include <stddef.h>
#include <stdint.h>

/* Where a line stands: bytes put before it, and spaces behind those. A nested profiler has LAP_LINE_INDENT more, and so
 * have a profiler's own laps. */
struct lap_line_place {
    const char *prefix; /* may be NULL where prefix_bytes is 0 */
    size_t prefix_bytes;
    uint32_t indent;
};
#define LAP_LINE_INDENT 2u
/* A line needs at most this besides its prefix, indent and label. */
#define LAP_LINE_ROOM 640u
#define LAP_LINE_NOTE_BYTES 64u /* longer notes are cut */

/* The smallest and greatest problem size of what a line shows; `is_set` 0: it has none. */
struct lap_line_sizes {
    int64_t least;
    int64_t greatest;
    int is_set;
};

/* Several of one label in one line. */
struct lap_line_fold {
    uint64_t count;
    double sum_ns;
    double max_ns;
    double tot_ns; /* from the profiler's begin to the last of them */
};

/* `> Entering label`; `note` may be NULL or follows in parentheses, as in all. */
size_t lap_line_enter(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                      const char *note);
/* `label: 0.4120 ms, tot: 0.4120 ms, n=12` */
size_t lap_line_lap(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label, double lap_ns,
                    double tot_ns, const struct lap_line_sizes *sizes);
/* `label (x12): 0.0310 ms, tot: 1.6460 ms, mean 0.00258 ms, max 0.0101 ms` */
size_t lap_line_laps(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                     const struct lap_line_fold *fold, const struct lap_line_sizes *sizes);
/* `> label (x12): total 0.0310 ms, mean 0.00258 ms, max 0.0101 ms`, or for one `> label: total 0.0310 ms` */
size_t lap_line_nested(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                       const struct lap_line_fold *fold, const struct lap_line_sizes *sizes, const char *note);
/* `(rest): 0.0040 ms` */
size_t lap_line_rest(char *out, size_t out_bytes, const struct lap_line_place *place, double rest_ns);
/* `< Exiting label, total time: 99.9600 ms, n=12 (note)` */
size_t lap_line_exit(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label, double total_ns,
                     const struct lap_line_sizes *sizes, const char *note);
/* Calls to other processes that came back in a lap. Sums; `answered` of `count` said what they took, `ways` of those both ways. */
struct lap_line_calls {
    uint64_t count;
    uint64_t answered;
    uint64_t ways;
    double server_ns;
    double queue_ns; /* of server_ns */
    double between_ns;
    double there_ns; /* of between_ns */
    double back_ns;
};
/* Adds further ones. */
static inline void lap_line_calls_join(struct lap_line_calls *to, const struct lap_line_calls *more)
{
    to->count += more->count;
    to->answered += more->answered;
    to->ways += more->ways;
    to->server_ns += more->server_ns;
    to->queue_ns += more->queue_ns;
    to->between_ns += more->between_ns;
    to->there_ns += more->there_ns;
    to->back_ns += more->back_ns;
}
/* Adds to a line that is written, in front of its newline: ` (server 61.2000: handle 57.9000, queue 3.3000; between 37.1100)`, in
 * milliseconds; ` (2 calls, 1 silent: server ...)`. Of their servers' laps, sorted, the first LAP_PEER_LAPS for which there is
 * room stand behind what they are parts of: `handle 57.9000 [array lookup 50.1000, parse 7.8000]`. Returns the line's bytes, at
 * most `out_bytes`. */
size_t lap_line_add_calls(char *out, size_t out_bytes, size_t bytes, const struct lap_line_calls *calls,
                          const struct lap_peer_lap *laps, uint32_t lap_count);
/* `(12 more lines)` */
size_t lap_line_more(char *out, size_t out_bytes, const struct lap_line_place *place, uint64_t lines);
/* `(12 events no longer held)`; `what` is a singular, "event" or "checkpoint". */
size_t lap_line_missed(char *out, size_t out_bytes, const struct lap_line_place *place, uint64_t count, const char *what);

#endif
