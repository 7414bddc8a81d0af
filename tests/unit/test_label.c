/* SPDX-License-Identifier: MIT
 *
 * Labels and durations as text.
 */
#include "decode.h"
#include "duration.h"
#include "label.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- an event with arguments ------------------------------------------------------------------------------------- */

static struct lap_class class;
static struct lap_description description;
static uint64_t words[LAP_FORMAT_EVENT_BYTES_MAX / 8];
static char out[2048];

/* `types` has a letter an argument: i u f p s; the values follow as what the letter says. */
static void event_make(uint8_t flags, const char *label, const char *types, va_list list)
{
    char strings[2048];
    size_t string_bytes = 0, count = 1;
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .flags = flags, .args = (uint8_t)strlen(types)};
    description = (struct lap_description){.label = label};
    const size_t has_strings = strchr(types, 's') != NULL || flags & LAP_CLASS_TEXT;
    memset(words, 0, sizeof words);
    count += has_strings;
    if (flags & LAP_CLASS_N)
        words[count++] = 4711;
    for (unsigned i = 0; types[i] != 0; i++) {
        uint64_t type = LAP_IMPL_TYPE_NONE;
        const char *text;
        double number;
        switch (types[i]) {
        case 'i':
            type = LAP_IMPL_TYPE_I64;
            words[count++] = (uint64_t)va_arg(list, int64_t);
            break;
        case 'u':
            type = LAP_IMPL_TYPE_U64;
            words[count++] = va_arg(list, uint64_t);
            break;
        case 'p':
            type = LAP_IMPL_TYPE_POINTER;
            words[count++] = va_arg(list, uint64_t);
            break;
        case 'f':
            type = LAP_IMPL_TYPE_F64;
            number = va_arg(list, double);
            memcpy(&words[count++], &number, 8);
            break;
        default:
            type = LAP_IMPL_TYPE_STRING;
            text = va_arg(list, const char *);
            memcpy(strings + string_bytes, text, strlen(text) + 1);
            string_bytes += strlen(text) + 1;
        }
        description.types |= type << 4 * i;
    }
    if (flags & LAP_CLASS_TEXT) {
        const char *const text = va_arg(list, const char *);
        memcpy(strings + string_bytes, text, strlen(text) + 1);
        string_bytes += strlen(text) + 1;
    }
    words[0] = 16;
    if (has_strings) {
        memcpy(words + count, strings, string_bytes);
        count += (string_bytes + 7) / 8 + 1;
        words[1] = count * 8;
    } else {
        class.words = (uint8_t)count;
    }
}

static const char *format(const char *label, const char *types, ...)
{
    va_list list;
    va_start(list, types);
    event_make(0, label, types, list);
    va_end(list);
    /* On the heap, to its very size: a sanitizer sees what is read behind it. */
    const size_t bytes = lap_event_size_bytes(words, &class);
    uint64_t *const copy = malloc(bytes);
    memcpy(copy, words, bytes);
    memset(out, '?', sizeof out);
    const size_t length = lap_label_format(out, sizeof out, &description, &class, copy, 0);
    free(copy);
    assert_int_equal(length, strlen(out));
    return out;
}

#define I(x) ((int64_t)(x))
#define U(x) ((uint64_t)(x))

static void test_integers(void **state)
{
    (void)state;
    assert_string_equal(format("plain", ""), "plain");
    assert_string_equal(format("%d", "i", I(-5)), "-5");
    assert_string_equal(format("%i of %u", "iu", I(-5), U(7)), "-5 of 7");
    assert_string_equal(format("%5d|%-5d|%05d|%+d|% d", "iiiii", I(42), I(42), I(42), I(42), I(42)),
                        "   42|42   |00042|+42| 42");
    assert_string_equal(format("%.5d|%8.5d|%-8.5d|", "iii", I(42), I(42), I(42)), "00042|   00042|00042   |");
    assert_string_equal(format("%x %X %#x %o %#o", "uuuuu", U(255), U(255), U(255), U(8), U(8)), "ff FF 0xff 10 010");
    assert_string_equal(format("%zu %zd %ju %jd %td", "uiuii", U(UINT64_MAX), I(-1), U(1), I(-2), I(-3)),
                        "18446744073709551615 -1 1 -2 -3");
    assert_string_equal(format("%lld %llu %ld %lu", "iuiu", I(INT64_MIN), U(UINT64_MAX), I(-1), U(UINT64_MAX)),
                        "-9223372036854775808 18446744073709551615 -1 18446744073709551615");
    assert_string_equal(format("%'d", "i", I(1234567)), "1234567");
}

static void test_length_modifiers_cut(void **state)
{
    (void)state;
    assert_string_equal(format("%hhd %hhu %hhx", "iuu", I(0x1FF), U(0x1FF), U(0x1FF)), "-1 255 ff");
    assert_string_equal(format("%hd %hu", "iu", I(0x18000), U(0x18000)), "-32768 32768");
    assert_string_equal(format("%d %u %x", "iii", I(-1), I(-1), I(-1)), "-1 4294967295 ffffffff");
    assert_string_equal(format("%ld", "i", I(0x1FFFFFFFF)), "8589934591");
    assert_string_equal(format("%d %d %u %d", "iiui", I(INT32_MIN), I(0), U(UINT32_MAX), I(INT32_MAX)),
                        "-2147483648 0 4294967295 2147483647");
}

static void test_star(void **state)
{
    (void)state;
    assert_string_equal(format("[%*d]", "ii", I(5), I(42)), "[   42]");
    assert_string_equal(format("[%*d]", "ii", I(-5), I(42)), "[42   ]");
    assert_string_equal(format("[%.*f]", "if", I(2), 3.14159), "[3.14]");
    assert_string_equal(format("[%.*f]", "if", I(-1), 0.5), "[0.500000]");
    assert_string_equal(format("[%*.*s]", "iis", I(5), I(2), "abc"), "[   ab]");
    assert_string_equal(format("[%2$d %1$d]", "ii", I(1), I(2)), "[2 1]");
    assert_string_equal(format("[%2$*1$d]", "ii", I(4), I(2)), "[   2]");
    assert_int_equal(strlen(format("%*d", "ii", I(INT64_MAX), I(1))), 600);
}

static void test_floats(void **state)
{
    (void)state;
    assert_string_equal(format("%f %.1f %8.3f", "fff", 1.5, 2.25, 3.14159), "1.500000 2.2    3.142");
    assert_string_equal(format("%e %g %G %a %Lf", "fffff", 12345.678, 1e-10, 1e20, 1.0, 2.0),
                        "1.234568e+04 1e-10 1E+20 0x1p+0 2.000000");
    assert_string_equal(format("%f %F", "ff", HUGE_VAL, -HUGE_VAL), "inf -INF");
    const size_t length = strlen(format("%.600f", "f", 1e308));
    assert_int_equal(length, 309 + 1 + 600);
}

static void test_strings(void **state)
{
    (void)state;
    assert_string_equal(format("%s and %s", "ss", "one", "two"), "one and two");
    assert_string_equal(format("%d %s %d %s", "isis", I(1), "a", I(2), ""), "1 a 2 ");
    assert_string_equal(format("[%5s|%-5s|%.2s]", "sss", "abc", "abc", "abc"), "[  abc|abc  |ab]");
    assert_string_equal(format("[%.2s]", "s", "a\xc3\xa9z"), "[a]"); /* not through a character */
    assert_string_equal(format("[%.10s]", "s", "0123456789abc"), "[0123456789]");
    assert_string_equal(format("%c%c%c", "iii", I('a'), I('%'), I('z')), "a%z");
    assert_string_equal(format("[%3c|%-3c]", "ii", I('a'), I('b')), "[  a|b  ]");
    assert_string_equal(format("%lc", "i", I(0x20AC)), "\xe2\x82\xac");
}

static void test_pointers_and_the_rest(void **state)
{
    (void)state;
    assert_string_equal(format("%p %p", "pp", U(0xdeadbeef), U(0)), "0xdeadbeef (nil)");
    assert_string_equal(format("100%% of %d%%", "i", I(50)), "100% of 50%");
    assert_string_equal(format("%n %m", "p", U(1)), "%n %m");
    assert_string_equal(format("a %", ""), "a %");
    assert_string_equal(format("a %-08.", ""), "a %-08.");
    assert_string_equal(format("a %y %d", "i", I(3)), "a %y 3");
    assert_string_equal(format("%ls", "p", U(0x10)), "0x10");
}

static void test_mismatch_is_shown_as_it_is(void **state)
{
    (void)state;
    assert_string_equal(format("%s", "i", I(-7)), "-7");
    assert_string_equal(format("%s", "u", U(UINT64_MAX)), "18446744073709551615");
    assert_string_equal(format("%d", "s", "text"), "text");
    assert_string_equal(format("%d", "f", 2.5), "2.5");
    assert_string_equal(format("%f", "i", I(-3)), "-3.000000");
    assert_string_equal(format("%f", "s", "text"), "text");
    assert_string_equal(format("%c", "s", "text"), "text");
    assert_string_equal(format("%p", "i", I(255)), "0xff");
    assert_string_equal(format("%x", "p", U(0x1FFFFFFFF)), "1ffffffff");
    assert_string_equal(format("%s", "p", U(0x10)), "0x10");
    assert_string_equal(format("%d %d", "i", I(1)), "1 %d"); /* no argument */
    assert_string_equal(format("%5$d", "i", I(1)), "%5$d");
    assert_string_equal(format("none", "i", I(1)), "none");
}

static void test_control_characters(void **state)
{
    (void)state;
    assert_string_equal(format("a\nb\tc\x1b[31m\x7f", ""), "a\\nb\\tc\\x1b[31m\\x7f");
    assert_string_equal(format("%s", "s", "line\r\n\x01"), "line\\r\\n\\x01");
    assert_string_equal(format("%s", "s", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
                        "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(format("%s", "s", "\xff \xc3 \xc0\x80 \xed\xa0\x80"), "\\xff \\xc3 \\xc0\\x80 \\xed\\xa0\\x80");
    assert_string_equal(format("%s", "s", "\xc2\x9b[1m \xe2\x80\xa8 \xe2\x80\xae"),
                        "\\xc2\\x9b[1m \\xe2\\x80\\xa8 \\xe2\\x80\\xae");
    assert_string_equal(format("%s", "s", "\xe2\x80\x8e \xe2\x80\x8f \xd8\x9c \xe2\x80\x8d"),
                        "\\xe2\\x80\\x8e \\xe2\\x80\\x8f \\xd8\\x9c \xe2\x80\x8d");
    assert_string_equal(format("%c", "i", I(0)), "\\x00");
    assert_string_equal(format("%c", "i", I(-1)), "\\xff");
}

static void test_cut_at_a_border(void **state)
{
    (void)state;
    char small[16];
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 1};
    description = (struct lap_description){.label = "0123456789abcde"};
    assert_int_equal(lap_label_format(small, sizeof small, &description, &class, NULL, 0), 15);
    assert_string_equal(small, "0123456789abcde");
    description.label = "0123456789abcdef";
    assert_int_equal(lap_label_format(small, sizeof small, &description, &class, NULL, 0), 15);
    assert_string_equal(small, "0123456789ab\xe2\x80\xa6");
    description.label = "0123456789a\xe2\x82\xac\xe2\x82\xac";
    lap_label_format(small, sizeof small, &description, &class, NULL, 0);
    assert_string_equal(small, "0123456789a\xe2\x80\xa6");
    description.label = "0123456789\n\n\n\n";
    lap_label_format(small, sizeof small, &description, &class, NULL, 0);
    assert_string_equal(small, "0123456789\\n\xe2\x80\xa6");
    for (size_t room = 0; room < sizeof small; room++) {
        memset(small, '?', sizeof small);
        const size_t bytes = lap_label_format(small, room, &description, &class, NULL, 0);
        assert_true(room == 0 ? bytes == 0 : bytes < room && small[bytes] == 0);
        assert_true(small[room] == '?');
    }
}

/* Wherever in it something else stands, or its end. */
static void test_plain_text_at_once(void **state)
{
    (void)state;
    char text[40], wanted[64], small[40];
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 1};
    description = (struct lap_description){.label = text};
    for (size_t bytes = 1; bytes < sizeof text; bytes++)
        for (size_t at = 0; at < bytes; at++) {
            memset(text, '~', bytes);
            text[bytes] = 0;
            text[at] = at % 2 ? '\x1f' : '\x7f';
            snprintf(wanted, sizeof wanted, "%.*s\\x%s%s", (int)at, text, at % 2 ? "1f" : "7f", text + at + 1);
            lap_label_format(out, sizeof out, &description, &class, NULL, 0);
            assert_string_equal(out, wanted);
        }
    for (size_t bytes = 1; bytes < sizeof text; bytes++)
        for (size_t room = 4; room < sizeof small; room++) {
            memset(text, ' ', bytes);
            text[bytes] = 0;
            snprintf(wanted, sizeof wanted, bytes < room ? "%.*s" : "%.*s\xe2\x80\xa6",
                     (int)(bytes < room ? bytes : room - 4), text);
            lap_label_format(small, room, &description, &class, NULL, 0);
            assert_string_equal(small, wanted);
        }
}

static void test_pattern(void **state)
{
    (void)state;
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 3, .args = 2};
    description = (struct lap_description){.label = "built %zu of %-*d specs, 100%% %n"};
    lap_label_pattern(out, sizeof out, &description, &class, NULL);
    assert_string_equal(out, "built # of # specs, 100% %n");
    description.is_text = 1;
    lap_label_pattern(out, sizeof out, &description, &class, NULL);
    assert_string_equal(out, "built %zu of %-*d specs, 100%% %n");
    lap_label_format(out, sizeof out, &description, &class, NULL, 0);
    assert_string_equal(out, "built %zu of %-*d specs, 100%% %n");
}

static void test_numbered(void **state)
{
    (void)state;
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 1, .flags = LAP_CLASS_NUMBERED};
    description = (struct lap_description){.label = ""};
    lap_label_format(out, sizeof out, &description, &class, NULL, 0);
    assert_string_equal(out, "(checkpoint 1)");
    lap_label_format(out, sizeof out, &description, &class, NULL, 41);
    assert_string_equal(out, "(checkpoint 42)");
    lap_label_pattern(out, sizeof out, &description, &class, NULL);
    assert_string_equal(out, "(checkpoint #)");
    lap_label_format(out, sizeof out, NULL, &(struct lap_class){.kind = LAP_CLASS_MARK, .words = 1}, NULL, 0);
    assert_string_equal(out, "(no label)");
}

static void text_event(const char *types, ...)
{
    va_list list;
    va_start(list, types);
    event_make(LAP_CLASS_TEXT | LAP_CLASS_N, "", types, list);
    va_end(list);
}

static void test_stored_text(void **state)
{
    (void)state;
    text_event("", "GET /index%d.html");
    lap_label_format(out, sizeof out, &description, &class, words, 0);
    assert_string_equal(out, "GET /index%d.html");
    lap_label_pattern(out, sizeof out, &description, &class, words);
    assert_string_equal(out, "GET /index%d.html");
    const uint64_t key = lap_label_key(&description, &class, 99, words);
    assert_int_equal(key & LAP_FORMAT_CLASS_MASK, 99);
    text_event("", "GET /index%d.htm");
    assert_int_not_equal(key, lap_label_key(&description, &class, 99, words));
    text_event("isi", I(1), "first", I(2), "GET /index%d.html");
    lap_label_format(out, sizeof out, &description, &class, words, 0);
    assert_string_equal(out, "GET /index%d.html");
    assert_int_equal(key, lap_label_key(&description, &class, 99, words));
    lap_label_format(out, sizeof out, &description, &class, NULL, 0);
    assert_string_equal(out, "(run-time label)");
}

static void test_damaged_event(void **state)
{
    (void)state;
    /* Sizes and types that the event doesn't have; a string without its 0. */
    uint64_t *const event = malloc(32);
    event[0] = 16;
    event[1] = 32;
    memset(event + 2, 'x', 16);
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 0, .args = 12};
    description = (struct lap_description){.label = "%s %d %s", .types = 0x111111111000 | 0x111 * LAP_IMPL_TYPE_STRING};
    lap_label_format(out, sizeof out, &description, &class, event, 0);
    assert_string_equal(out, "%s %d %s");
    class.kind = LAP_CLASS_BEGIN_WITH;
    class.flags = LAP_CLASS_N;
    lap_label_format(out, sizeof out, &description, &class, event, 0);
    class = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 4, .args = 255};
    description.types = UINT64_MAX;
    lap_label_format(out, sizeof out, &description, &class, event, 0);
    description.types = 0x222222222222;
    lap_label_format(out, sizeof out, &description, &class, event, 0);
    free(event);
}

/* ---- durations --------------------------------------------------------------------------------------------------- */

static const char *ms(double ns)
{
    const size_t bytes = lap_duration_ms(out, LAP_DURATION_BYTES, ns);
    assert_int_equal(bytes, strlen(out));
    return out;
}

static const char *human(double ns)
{
    const size_t bytes = lap_duration_human(out, LAP_DURATION_BYTES, ns);
    assert_int_equal(bytes, strlen(out));
    return out;
}

static void test_milliseconds(void **state)
{
    (void)state;
    assert_string_equal(ms(412000), "0.4120 ms");
    assert_string_equal(ms(98310000), "98.3100 ms");
    assert_string_equal(ms(99956000), "99.9560 ms");
    assert_string_equal(ms(31.2), "0.0000312 ms");
    assert_string_equal(ms(31), "0.0000310 ms");
    assert_string_equal(ms(31000), "0.0310 ms");
    assert_string_equal(ms(10100), "0.0101 ms");
    assert_string_equal(ms(2583.3), "0.00258 ms");
    assert_string_equal(ms(4000), "0.00400 ms");
    assert_string_equal(ms(9999.6), "0.0100 ms");
    assert_string_equal(ms(0.3), "0.000000300 ms");
    assert_string_equal(ms(1), "0.00000100 ms");
    assert_string_equal(ms(0), "0.0000 ms");
    assert_string_equal(ms(-1), "0.0000 ms");
    assert_string_equal(ms((double)NAN), "0.0000 ms");
    assert_string_equal(ms(3.6e12), "3600000.0000 ms");
    assert_string_equal(ms(1e30), "1000000000000000.0000 ms");
    assert_string_equal(ms(1e-30), "0.000000000000 ms");
    char small[4];
    assert_int_equal(lap_duration_ms(small, sizeof small, 1e6), 3);
    assert_string_equal(small, "1.0");
}

static void test_human(void **state)
{
    (void)state;
    assert_string_equal(human(31.2), "31.2 ns");
    assert_string_equal(human(0), "0 ns");
    assert_string_equal(human(0.31), "0.31 ns");
    assert_string_equal(human(9.996), "10.0 ns");
    assert_string_equal(human(99.96), "100 ns");
    assert_string_equal(human(999.4), "999 ns");
    assert_string_equal(human(999.6), "1.00 \xc2\xb5s");
    assert_string_equal(human(4100), "4.10 \xc2\xb5s");
    assert_string_equal(human(99.9e6), "99.9 ms");
    assert_string_equal(human(12.3e9), "12.3 s");
    assert_string_equal(human(4210e9), "4210 s");
}

static void test_locale_does_not_matter(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        skip();
    assert_string_equal(ms(412000), "0.4120 ms");
    assert_string_equal(format("%.2f %e %g", "fff", 1.5, 1.5, 1.5), "1.50 1.500000e+00 1.5");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_length_modifiers_cut),
        cmocka_unit_test(test_star),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_pointers_and_the_rest),
        cmocka_unit_test(test_mismatch_is_shown_as_it_is),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_cut_at_a_border),
        cmocka_unit_test(test_plain_text_at_once),
        cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_numbered),
        cmocka_unit_test(test_stored_text),
        cmocka_unit_test(test_damaged_event),
        cmocka_unit_test(test_milliseconds),
        cmocka_unit_test(test_human),
        cmocka_unit_test(test_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
