/* SPDX-License-Identifier: MIT */
#include "json_mending.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE_BYTES = 6 }; /* \uD83D */

static void empty_text_put(char *bytes, size_t count)
{
    memset(bytes, ' ', count);
    bytes[0] = bytes[1] = '"';
}

/* The unit of the escape at `at`; -1: there is none. */
static long unit_at(const char *at)
{
    char digits[5] = {0};
    if (at[0] != '\\' || at[1] != 'u')
        return -1;
    strncpy(digits, at + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

static bool is_high(long unit) { return unit >= 0xD800 && unit < 0xDC00; }
static bool is_low(long unit) { return unit >= 0xDC00 && unit < 0xE000; }

/* Returns where the text that begins at `at` has ended. */
static char *text_mend(char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at != '\\')
            continue;
        const long unit = unit_at(at);
        if (is_high(unit) && is_low(unit_at(at + ESCAPE_BYTES)))
            at += 2 * ESCAPE_BYTES - 1;
        else if (unit == 0 || is_high(unit) || is_low(unit))
            memcpy(at, "\\uFFFD", ESCAPE_BYTES);
        else
            at++;
    }
    return at < end ? at + 1 : at;
}

static char *bare_mend(char *at)
{
    const size_t bytes = strcspn(at, " \t\r\n,:]}[{\"");
    char *number_end;
    if (bytes > 2 && !isfinite(strtod(at, &number_end)) && number_end == at + bytes)
        empty_text_put(at, bytes);
    return at + bytes;
}

void lap_json_mend(char *bytes, size_t count)
{
    char *const end = bytes + count, *deep = bytes;
    size_t depth = 0;
    for (char *at = bytes; at < end;) {
        if (*at == '"') {
            at = text_mend(at, end);
        } else if (*at == '{' || *at == '[') {
            if (++depth == LAP_JSON_DEPTH + 1)
                deep = at;
            at++;
        } else if (*at == '}' || *at == ']') {
            at++;
            if (depth == LAP_JSON_DEPTH + 1)
                empty_text_put(deep, (size_t)(at - deep));
            depth -= depth > 0;
        } else {
            const char *const before = at;
            at = bare_mend(at);
            at += at == before;
        }
    }
}
