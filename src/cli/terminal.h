/* SPDX-License-Identifier: MIT
 *
 * What stdout can show: its width, colours, and whether it takes UTF-8. Found once; one thread. Cold.
 */
#ifndef LAP_TERMINAL_H
#define LAP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LAP_TERMINAL_UNBOUNDED 100000u

struct lap_terminal {
    unsigned columns; /* LAP_TERMINAL_UNBOUNDED for a file or a pipe, unless COLUMNS says otherwise */
    bool has_colour;  /* a terminal that is not dumb, and no NO_COLOR; or CLICOLOR_FORCE */
    bool has_utf8;
};

/* Takes the locale over, too. */
void lap_terminal_init(void);
const struct lap_terminal *lap_terminal_get(void);

enum lap_style {
    LAP_STYLE_PLAIN = 0,
    LAP_STYLE_BOLD,
    LAP_STYLE_DIM,
    LAP_STYLE_HOT,
    LAP_STYLE_WARM,
    LAP_STYLE_GOOD,
    LAP_STYLE_BAD
};

/* The sequence that starts a style, or the one that ends all; "" without colours. */
const char *lap_terminal_style(enum lap_style style);

/* Columns that a text takes. A byte that is no part of UTF-8 takes one. */
size_t lap_text_width(const char *text);
/* Bytes of the longest start of it that takes at most `columns`. */
size_t lap_text_fit(const char *text, size_t columns);
/* A copy with control characters and broken UTF-8 as \xHH, so that a label cannot command the terminal. Caller frees. */
char *lap_text_printable(const char *text);

#endif
