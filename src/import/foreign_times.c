/* SPDX-License-Identifier: MIT */
#include "foreign_times.h"

#include <math.h>

#define US_MAX (INT64_C(1) << 52)

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool lap_foreign_us_parse(const char *text, size_t bytes, int64_t *ret_ns)
{
    const bool is_negative = bytes > 0 && *text == '-';
    size_t at = is_negative;
    int64_t ns = 0;
    for (; at < bytes && is_digit(text[at]) && ns < US_MAX; at++)
        ns = ns * 10 + (text[at] - '0');
    if (at == (size_t)is_negative || ns >= INT64_MAX / 1000)
        return false;
    ns *= 1000;
    if (at < bytes && text[at] == '.') {
        int64_t each = 100;
        for (at++; at < bytes && is_digit(text[at]); at++, each /= 10) {
            ns += each * (text[at] - '0');
            if (each == 0)
                continue;
            if (each == 1 && at + 1 < bytes && text[at + 1] >= '5' && is_digit(text[at + 1]))
                ns++;
        }
    }
    if (at != bytes)
        return false;
    *ret_ns = is_negative ? -ns : ns;
    return true;
}

bool lap_foreign_us_round(double us, int64_t *ret_ns)
{
    if (isnan(us))
        return false;
    const double ns = us * 1000;
    *ret_ns = ns >= 0x1p62 ? INT64_MAX - 1 : ns <= -0x1p62 ? INT64_MIN : (int64_t)llround(ns);
    return true;
}
