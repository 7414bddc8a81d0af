/* SPDX-License-Identifier: MIT
 *
 * What `lapmark top` shows, as lines of text that fit a width: for the screen, and for who wants text. Cold; one thread.
 */
#ifndef LAP_TOP_FRAME_H
#define LAP_TOP_FRAME_H

#include "terminal.h"
#include "top_rows.h"
#include "top_watch.h"

#include <stddef.h>
#include <stdint.h>

struct lap_top_line {
    char *text;
    enum lap_style style;
};

struct lap_top_lines {
    struct lap_top_line *lines;
    size_t count;
};

/* The processes and what is chosen. `columns` bounds each line. */
void lap_top_frame_head(struct lap_top_lines *lines, const struct lap_top_watch *watch, const struct lap_top_view *view,
                        size_t columns, double interval_s, bool is_paused);
/* A line of titles, then one for each row. */
void lap_top_frame_table(struct lap_top_lines *lines, const struct lap_live_tree *tree, const struct lap_top_view *view,
                         const struct lap_top_row *rows, size_t count, size_t columns);
/* The durations of a row: a line that says whose they are, then at most `height` - 1 of a histogram. */
void lap_top_frame_histogram(struct lap_top_lines *lines, const struct lap_live_tree *tree, const struct lap_top_row *row,
                             size_t columns, size_t height);

void lap_top_lines_add(struct lap_top_lines *lines, enum lap_style style, size_t columns, const char *text);
void lap_top_lines_done(struct lap_top_lines *lines);

/* The titles' letters, by which the screen sorts. */
extern const char lap_top_letters[LAP_TOP_COLUMNS];

#endif
