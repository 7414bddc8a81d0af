/* SPDX-License-Identifier: MIT
 *
 * JSON, written piece by piece at a place that has room for it: numbers and strings without a format to parse, several times as fast.
 */
#ifndef LAP_JSON_TEXT_H
#define LAP_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LAP_JSON_NUMBER 24u                         /* room for any number */
#define LAP_JSON_STRING(bytes) (6u * (bytes) + 16u) /* room for a string of so many bytes */

/* A literal, its end known when it is compiled. */
#define LAP_JSON_TEXT(at, literal) ((char *)memcpy(at, literal, sizeof(literal) - 1) + sizeof(literal) - 1)

/* 00 to 99. */
extern const char lap_json_pairs[200];

static inline unsigned lap_json_digits(uint64_t value)
{
    unsigned digits = 1;
    for (; value >= 10000; value /= 10000)
        digits += 4;
    return digits + (value >= 10) + (value >= 100) + (value >= 1000);
}

static inline char *lap_json_uint(char *at, uint64_t value)
{
    char *const end = at + lap_json_digits(value);
    for (at = end; value >= 100; value /= 100)
        memcpy(at -= 2, lap_json_pairs + 2 * (value % 100), 2);
    if (value >= 10)
        memcpy(at - 2, lap_json_pairs + 2 * value, 2);
    else
        at[-1] = (char)('0' + value);
    return end;
}

static inline char *lap_json_int(char *at, int64_t value)
{
    if (value < 0)
        *at++ = '-';
    return lap_json_uint(at, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

/* Nanoseconds as microseconds with three decimals. */
static inline char *lap_json_us(char *at, uint64_t value_ns)
{
    at = lap_json_uint(at, value_ns / 1000);
    *at++ = '.';
    const uint32_t rest = (uint32_t)(value_ns % 1000);
    *at++ = (char)('0' + rest / 100);
    memcpy(at, lap_json_pairs + 2 * (rest % 100), 2);
    return at + 2;
}

char *lap_json_escape_rest(char *at, const char *text, size_t bytes);

/* Is one of the eight bytes a control character, a quote, a backslash, or the first of a U+2028? */
static inline int lap_json_is_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
#define LAP_JSON_HAS_ZERO(x) (((x)-ones) & ~(x))
    const uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\'), line = word ^ (ones * 0xE2);
    const uint64_t control = (word - ones * 0x20) & ~word;
    return ((LAP_JSON_HAS_ZERO(quote) | LAP_JSON_HAS_ZERO(backslash) | LAP_JSON_HAS_ZERO(line) | control) & tops) != 0;
#undef LAP_JSON_HAS_ZERO
}

/* UTF-8 as what stands between the quotes of a string. There must be room for LAP_JSON_STRING(bytes). Escaped are also U+2028 and U+2029,
 * which no string of older JavaScript may hold. */
static inline char *lap_json_escape(char *at, const char *text, size_t bytes)
{
    uint64_t word;
    if (bytes < sizeof word)
        return lap_json_escape_rest(at, text, bytes);
    for (size_t done = 0;;) {
        memcpy(&word, text + done, sizeof word);
        if (__builtin_expect(lap_json_is_special(word), 0))
            return lap_json_escape_rest(at + done, text + done, bytes - done);
        memcpy(at + done, &word, sizeof word);
        if (done == bytes - sizeof word)
            return at + bytes;
        done += sizeof word;
        if (done > bytes - sizeof word)
            done = bytes - sizeof word; /* the last ones, some of them once more */
    }
}

static inline char *lap_json_string(char *at, const char *text, size_t bytes)
{
    *at++ = '"';
    at = lap_json_escape(at, text, bytes);
    *at++ = '"';
    return at;
}

#endif
