/* SPDX-License-Identifier: MIT
 *
 * A profiler as lines: its own, in the form of text/line.h, and those of what ended inside. What an ended child, or C code, has to
 * say is kept with its parent as a block of text, indented when it is printed; more than three of one site are one line with the
 * slowest in full, as in the library's own reports.
 */
#ifndef LAP_PY_LINES_H
#define LAP_PY_LINES_H

#include "label.h"
#include "line.h"
#include "profiler.h"

#define LAP_FOLD_ABOVE 3u        /* of one label or site are one line */
#define LAP_TEXT_LINES_MAX 1000u /* of a report; the rest is counted */
#define LAP_TEXT_BYTES_MAX (64u << 10)
#define LAP_LINES_OF_END 4u /* count, rest, exit: they have their room */
#define LAP_LINE_BYTES (LAP_LABEL_BYTES + LAP_LINE_ROOM + 100u)

/* A text that grows. Out of memory: what comes is left out. */
struct text {
    char *bytes;
    size_t used, room;
    uint64_t lines, more;
    int is_ending; /* what comes now is always there */
};

/* An ended child's report, as lines that are indented when they are printed. */
struct block {
    struct block *next;
    struct child_fold *fold;
    struct block *inside; /* of one that did not qualify: what did inside it */
    uint64_t position;    /* checkpoints that the parent had */
    uint64_t total_ticks;
    size_t bytes;
    int qualifies; /* took its threshold, and was not printed by itself */
    char text[];
};

/* Ended children of one site and message. */
struct child_fold {
    struct child_fold *next;
    const struct key *key; /* NULL: C code's, of one label */
    uint64_t hash;
    uint64_t count, sum_ticks, max_ticks;
    uint64_t appended; /* that have a block in the list */
    int64_t n_least, n_greatest;
    int has_n, is_shown;
    struct block *slowest; /* of those that have none */
};

/* Room for bytes, NULL where the text is full or there is no memory; and a line of it, with its bytes. */
char *lap_text_room(struct text *text, size_t bytes);
void lap_text_line(struct text *text, size_t bytes);
/* A whole profiler; the line of its begin, of its last checkpoint, and of its end. */
void lap_lines_put(struct text *text, struct profiler *profiler, uint32_t indent);
void lap_lines_put_enter(struct text *text, const struct profiler *profiler, uint32_t indent);
void lap_lines_put_last(struct text *text, const struct profiler *profiler, uint32_t indent);
void lap_lines_put_exit(struct text *text, const struct profiler *profiler, uint32_t indent);
/* `> label: total 1.2 ms (printed before)` into `out`, for which a block's own text has the room. Returns the bytes. */
size_t lap_lines_shorten(char *out, const struct block *block);
void lap_block_free(struct block *block);
/* An open profiler's laps by label, the greatest sum first. Returns how many. */
uint32_t lap_lines_laps(const struct profiler *profiler, struct lap_peer_lap laps[LAP_PEER_LAPS]);
/* How many checkpoints it had at some ticks. */
uint64_t lap_lines_marks_at(const struct profiler *profiler, uint64_t ticks);

#endif
