/* SPDX-License-Identifier: MIT */
#include "json_text.h"

const char lap_json_pairs[200] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
    "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
    "9899";

static char *escape_unit(char *at, unsigned unit)
{
    static const char digits[] = "0123456789abcdef";
    at = LAP_JSON_TEXT(at, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        *at++ = digits[unit >> shift & 15];
    return at;
}

char *lap_json_escape_rest(char *at, const char *text, size_t bytes)
{
    const unsigned char *byte = (const unsigned char *)text;
    const unsigned char *const end = byte + bytes;
    for (; byte < end; byte++) {
        if (*byte == '"' || *byte == '\\') {
            *at++ = '\\';
            *at++ = (char)*byte;
        } else if (*byte < 0x20) {
            at = escape_unit(at, *byte);
        } else if (*byte == 0xE2 && end - byte >= 3 && byte[1] == 0x80 && (byte[2] | 1) == 0xA9) {
            at = escape_unit(at, 0x2000u + (byte[2] & 0x3Fu));
            byte += 2;
        } else {
            *at++ = (char)*byte;
        }
    }
    return at;
}
