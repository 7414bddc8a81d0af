/* SPDX-License-Identifier: MIT
 *
 * JSON's numbers as printf() has them, and its strings as their standard has them: of every character, at every place in a text.
 */
#define _GNU_SOURCE
#include "json_text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_number(uint64_t value)
{
    char got[LAP_JSON_NUMBER], wanted[LAP_JSON_NUMBER];
    *lap_json_uint(got, value) = 0;
    snprintf(wanted, sizeof wanted, "%" PRIu64, value);
    assert_string_equal(got, wanted);
    *lap_json_int(got, (int64_t)value) = 0;
    snprintf(wanted, sizeof wanted, "%" PRId64, (int64_t)value);
    assert_string_equal(got, wanted);
    *lap_json_us(got, value) = 0;
    snprintf(wanted, sizeof wanted, "%" PRIu64 ".%03u", value / 1000, (unsigned)(value % 1000));
    assert_string_equal(got, wanted);
}

static void numbers(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 100000; value++)
        check_number(value);
    for (uint64_t power = 1;; power *= 10) {
        check_number(power - 1);
        check_number(power);
        check_number(power * 7 + 5);
        check_number(-power);
        if (power > UINT64_MAX / 10)
            break;
    }
    check_number(UINT64_MAX);
    check_number(UINT64_C(1) << 63);
}

/* What a string's characters mean, by the standard alone; `out` has room. */
static size_t unescape(char *out, const char *text, size_t bytes)
{
    char *at = out;
    for (const char *end = text + bytes; text < end; text++) {
        assert_true((unsigned char)*text >= 0x20 && *text != '"');
        if (*text != '\\') {
            *at++ = *text;
        } else if (*++text != 'u') {
            assert_non_null(strchr("\"\\", *text));
            *at++ = *text;
        } else {
            char digits[5] = {0};
            memcpy(digits, text + 1, 4);
            const unsigned unit = (unsigned)strtoul(digits, NULL, 16);
            if (unit < 0x80) {
                *at++ = (char)unit;
            } else {
                *at++ = (char)(0xE0 | unit >> 12);
                *at++ = (char)(0x80 | (unit >> 6 & 0x3F));
                *at++ = (char)(0x80 | (unit & 0x3F));
            }
            text += 4;
        }
    }
    return (size_t)(at - out);
}

static void check_string(const char *text, size_t bytes)
{
    char got[512], back[512], *const end = lap_json_string(got, text, bytes);
    assert_true(got[0] == '"' && end[-1] == '"' && (size_t)(end - got) <= LAP_JSON_STRING(bytes));
    assert_int_equal(unescape(back, got + 1, (size_t)(end - got) - 2), bytes);
    assert_memory_equal(back, text, bytes);
    assert_null(memmem(got, (size_t)(end - got), "\xe2\x80\xa8", 3));
    assert_null(memmem(got, (size_t)(end - got), "\xe2\x80\xa9", 3));
}

static void strings(void **state)
{
    static const char *const special[] = {"\"",
                                          "\\",
                                          "\x01",
                                          "\n",
                                          "\x1f",
                                          "\xe2\x80\xa8",
                                          "\xe2\x80\xa9",
                                          "\xe2\x80\xa7",
                                          "\xe2",
                                          "\xe2\x80",
                                          "\xf0\x9f\x90\x8c",
                                          "\x7f",
                                          "/",
                                          "\xc3\xbc"};
    (void)state;
    for (size_t bytes = 0; bytes <= 40; bytes++)
        for (size_t at = 0; at <= bytes; at++)
            for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
                char text[64];
                const size_t special_bytes = strlen(special[i]);
                memset(text, 'a', sizeof text);
                memcpy(text + at, special[i], special_bytes);
                check_string(text, bytes > at + special_bytes ? bytes : at + special_bytes);
            }
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            const char text[] = {'1', '2', '3', (char)first, (char)second, '6', '7', '8', '9'};
            check_string(text, sizeof text);
            check_string(text, 5);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(strings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
