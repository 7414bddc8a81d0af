/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "terminal.h"

#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static struct lap_terminal terminal = {.columns = LAP_TERMINAL_UNBOUNDED};

static bool is_set(const char *name)
{
    const char *const value = getenv(name);
    return value && *value;
}

void lap_terminal_init(void)
{
    setlocale(LC_CTYPE, "");
    terminal.has_utf8 = strcasecmp(nl_langinfo(CODESET), "UTF-8") == 0;
    /* Labels are UTF-8 whatever the user's locale; wcwidth() must know them. */
    if (!terminal.has_utf8)
        setlocale(LC_CTYPE, "C.UTF-8");

    const bool is_terminal = isatty(STDOUT_FILENO);
    struct winsize size;
    const char *const columns = getenv("COLUMNS");
    if (columns && atoi(columns) > 0)
        terminal.columns = (unsigned)atoi(columns);
    else if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal.columns = size.ws_col;
    else if (is_terminal)
        terminal.columns = 80;

    const char *const name = getenv("TERM");
    const char *const forced = getenv("CLICOLOR_FORCE");
    terminal.has_colour = is_terminal && name && strcmp(name, "dumb") != 0;
    if (forced && *forced && strcmp(forced, "0") != 0)
        terminal.has_colour = true;
    if (is_set("NO_COLOR"))
        terminal.has_colour = false;
}

const struct lap_terminal *lap_terminal_get(void) { return &terminal; }

const char *lap_terminal_style(enum lap_style style)
{
    static const char *const sequences[] = {
        [LAP_STYLE_PLAIN] = "\033[0m", [LAP_STYLE_BOLD] = "\033[1m",  [LAP_STYLE_DIM] = "\033[2m",
        [LAP_STYLE_HOT] = "\033[31m",  [LAP_STYLE_WARM] = "\033[33m", [LAP_STYLE_GOOD] = "\033[32m",
        [LAP_STYLE_BAD] = "\033[31m"};
    return terminal.has_colour ? sequences[style] : "";
}

/* The next character: its bytes, and its columns (-1: not to be shown as it is). */
static size_t next(const char *text, int *ret_columns)
{
    wchar_t character;
    mbstate_t state = {0};
    const size_t bytes = mbrtowc(&character, text, MB_LEN_MAX, &state);
    if (bytes == (size_t)-1 || bytes == (size_t)-2) {
        *ret_columns = -1;
        return 1;
    }
    const bool turns = character == 0x61C || character == 0x200E || character == 0x200F ||
                       (character >= 0x2028 && character <= 0x202E) || (character >= 0x2066 && character <= 0x2069);
    *ret_columns = turns ? -1 : wcwidth(character); /* a new line, or the direction of what follows */
    return bytes;
}

size_t lap_text_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        int columns;
        text += next(text, &columns);
        width += columns < 0 ? 1 : (size_t)columns;
    }
    return width;
}

size_t lap_text_fit(const char *text, size_t columns)
{
    size_t width = 0;
    const char *at = text;
    while (*at) {
        int each;
        const size_t bytes = next(at, &each);
        width += each < 0 ? 1 : (size_t)each;
        if (width > columns)
            break;
        at += bytes;
    }
    return (size_t)(at - text);
}

/* As reports escape it. */
static char *escape(char *out, unsigned char byte)
{
    const char *const letter = byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : byte == '\r' ? "\\r" : NULL;
    return out + (letter ? sprintf(out, "%s", letter) : sprintf(out, "\\x%02x", byte));
}

char *lap_text_printable(const char *text)
{
    char *const copy = malloc(strlen(text) * 4 + 1);
    if (!copy)
        abort();
    char *out = copy;
    while (*text) {
        int columns;
        const size_t bytes = next(text, &columns);
        if (columns >= 0) {
            memcpy(out, text, bytes);
            out += bytes;
        } else {
            for (size_t i = 0; i < bytes; i++)
                out = escape(out, (unsigned char)text[i]);
        }
        text += bytes;
    }
    *out = 0;
    return copy;
}
