/* SPDX-License-Identifier: MIT */
#include "head.h"

#include "terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1024, TITLE_COLUMNS = 12 };

/* The length of the next line of a text: up to a space, unless no word ends within the width. */
static size_t wrapped_length(const char *text, size_t columns)
{
    const size_t fit = lap_text_fit(text, columns);
    size_t length = fit;
    if (text[fit] == 0)
        return fit;
    while (length > 0 && text[length] != ' ')
        length--;
    return length > 0 ? length : fit > 0 ? fit : strlen(text);
}

/* The first line is behind `indent` columns already. */
static void print_wrapped(const char *text, size_t indent)
{
    char *const printable = lap_text_printable(text);
    const unsigned columns = lap_terminal_get()->columns;
    const size_t width = columns > 2 * TITLE_COLUMNS ? columns - indent : TITLE_COLUMNS;
    const char *rest = printable;
    for (;;) {
        const size_t length = wrapped_length(rest, width);
        printf("%.*s\n", (int)length, rest);
        rest += length + (rest[length] == ' ');
        if (*rest == 0)
            break;
        printf("%*s", (int)indent, "");
    }
    free(printable);
}

void lap_head_line(const char *title, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%s%-*s%s", lap_terminal_style(LAP_STYLE_BOLD), TITLE_COLUMNS, title, lap_terminal_style(LAP_STYLE_PLAIN));
    print_wrapped(text, TITLE_COLUMNS);
}

void lap_head_sentence(const char *text) { print_wrapped(text, 0); }
