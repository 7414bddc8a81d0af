/* SPDX-License-Identifier: MIT
 *
 * Arguments, labels and options of every kind, with values at their borders. What is stored is known to test_values.py.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include "oracle_point.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Labels that are no format for their arguments are part of the test. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

static void integers(void)
{
    LAP_PROFILE("integers");
    LAP_MARK("int %d %d %d", INT_MIN, -1, INT_MAX);
    LAP_MARK("long long %lld %lld", LLONG_MIN, LLONG_MAX);
    LAP_MARK("unsigned %u %llu", UINT_MAX, ULLONG_MAX);
    LAP_MARK("small %d %d %u %u %d", (signed char)-128, (short)-32768, (unsigned char)255, (unsigned short)65535, 'x');
    LAP_MARK("bool %d %d", (bool)0, (bool)1);
    LAP_MARK("size %zu %ld", (size_t)-1, (long)-1);
    LAP_MARK("char %c", (char)-1);
}

static void reals(void)
{
    LAP_PROFILE("reals %f", 1.5f);
    LAP_MARK("zeros %f %f", 0.0, -0.0);
    LAP_MARK("borders %g %g %g %g", DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN);
    LAP_MARK("no numbers %f %f %f", (double)INFINITY, (double)-INFINITY, (double)NAN);
    LAP_MARK("third %f %f %Lf", 1.0 / 3, (double)(1.0f / 3), 1.0L / 4);
    LAP_MARK("whole %f", 3.0);
}

static void pointers(void)
{
    LAP_PROFILE("pointers %p", (void *)0);
    LAP_MARK("pointer %p %p", (const void *)(uintptr_t)0x1234, (void *)UINTPTR_MAX);
    LAP_MARK("great %p", (void *)(uintptr_t)0xdeadbeef);
}

static char *filled(char *text, size_t length, char with)
{
    memset(text, with, length);
    text[length] = 0;
    return text;
}

static void strings(void)
{
    static char at_254[300], at_255[300], at_256[300], kilobyte[1025], cut[300];
    LAP_PROFILE("strings %s", "and one of the profiler's");
    LAP_MARK("empty '%s'", "");
    LAP_MARK("null '%s'", (const char *)0);
    for (size_t length = 1; length <= 9; length++) {
        char text[16];
        LAP_MARK("up to nine '%s'", filled(text, length, 'a'));
    }
    LAP_MARK("three %s %s %s", "one", "", "three");
    LAP_MARK("%s and %d and %s", "mixed", -7, "up");
    LAP_MARK("254 %s", filled(at_254, 254, 'b'));
    LAP_MARK("255 %s", filled(at_255, 255, 'c'));
    LAP_MARK("256 %s", filled(at_256, 256, 'd'));
    LAP_MARK("1024 %s", filled(kilobyte, 1024, 'e'));
    filled(cut, 254, 'f');
    strcat(cut, "é!"); /* byte 255 is the first of two */
    LAP_MARK("cut in a character %s", cut);
    LAP_MARK("utf-8 %s", "é € 😀 ü");
    LAP_MARK("no utf-8 %s", "\xff\xfe \xc3( \xe2\x82 \xf0\x9f\x98 \x80");
    LAP_MARK("signs %s", "\" ' \\ / % %s %n { } ; /* */ // \\n");
    LAP_MARK("controls %s", "\n\t\r\x01\x02\x1b[31m\x7f");
    LAP_MARK("most %s%s%s%s%s%s%s%s%s%s%s%s", at_255, at_255, at_255, at_255, at_255, at_255, at_255, at_255, at_255,
             at_255, at_255, at_255);
}

static void many(void)
{
    LAP_PROFILE("many %d %u %f %s %p %d %u %f %s %p %d %u", -1, 2u, 3.5, "four", (void *)5, -6, 7u, 8.5, "nine",
                (void *)10, -11, 12u);
    LAP_MARK("twelve %d %d %d %d %d %d %d %d %d %d %d %d", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    LAP_MARK_N(-5, "with a size %s and %d", "n", 1);
    LAP_MARK_N(LLONG_MAX, "with a great size");
}

static void labels(void)
{
    LAP_PROFILE("");
    LAP_MARK();
    LAP_MARK();
    LAP_MARK_N(3, "");
    LAP_MARK("");
    LAP_MARK("100%% of it, %%d %%s %%");
    LAP_MARK("a \"label\" of \\ 'signs' /* */ // ; { } = := <> ?&=");
    LAP_MARK("line\nand\ttab and \x01\x02\x1b[31m and \x7f");
    LAP_MARK("octal \1"
             "23 and \x1"
             "1");
    LAP_MARK("é € 😀");
    LAP_MARK("\xff no \xc3( utf-8 \xe2\x82");
    LAP_MARK("?"
             "?= trigraphs ?"
             "?/ \\x41 \\101 \\");
    LAP_MARK("arguments missing %d %s %f %n");
    LAP_MARK("two labels");
    LAP_MARK("two labels"); /* another site: another class of the same name */
#define L64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define L1024 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64 L64
    LAP_MARK(L1024 "cut off");
}

static void options(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = -9), "options %d %s", 1, "s");
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 2.5, .n = 77), "threshold");
        LAP_MARK("inside");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled");
        LAP_MARK("silent");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "immediate %d", 5);
        LAP_MARK("printed at once %s", "if at all");
    }
}

static void handles(void)
{
    const lap_handle parent = lap_begin("parent %d %s", -3, "args");
    const lap_handle child = lap_begin_with(LAP_OPTS(.parent = parent, .n = 12, .threshold_ms = 1), "child");
    lap_mark(child, "marked %f %s", 0.25, "here");
    lap_mark_n(child, 1000, "sized");
    lap_mark(child, "");
    {
        LAP_PROFILE_WITH(LAP_OPTS(.parent = child), "part of a child");
        LAP_MARK("a lap of the part");
    }
    lap_end(child);
    lap_end(child);
    lap_mark(child, "stale");
    lap_mark(0, "none");
    lap_end(parent);
    {
        LAP_PROFILE("around a handle");
        LAP_MARK("before");
        lap_end(lap_begin("under its scope"));
    }
}

/* More labels than a site keeps apart: of marks, scopes and handles, with sizes and without. */
static void texts(void)
{
    LAP_PROFILE_TEXT("texts");
    for (int i = 0; i < 100; i++) {
        char label[300];
        snprintf(label, sizeof label, "label %d %% \"\\\n é", i);
        LAP_MARK_TEXT(label);
        LAP_MARK_TEXT_N(i, label);
        {
            LAP_PROFILE_TEXT(label);
            LAP_MARK("in it");
        }
        {
            LAP_PROFILE_TEXT_WITH(LAP_OPTS(.n = i), label);
        }
        const lap_handle handle = lap_begin_text(LAP_OPTS(.n = i), label);
        lap_mark_text(handle, label);
        lap_end(handle);
    }
    static char text[600];
    LAP_MARK_TEXT(filled(text, 500, 'g'));
    LAP_MARK_TEXT("");
    LAP_MARK_TEXT((const char *)0);
    for (int i = 0; i < 100; i++) { /* the same again: no further classes */
        char label[300];
        snprintf(label, sizeof label, "label %d", i % 10);
        LAP_MARK_TEXT(label);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"integers", integers}, {"reals", reals},     {"pointers", pointers}, {"strings", strings}, {"many", many},
    {"labels", labels},     {"options", options}, {"handles", handles},   {"texts", texts},
};

int main(int argc, char **argv)
{
    lap_thread_name("a \"name\" of é");
    LAP_MARK("outside of any profiler");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (argc > 1 && strcmp(argv[1], parts[i].name) != 0)
            continue;
        parts[i].run();
        oracle_point(parts[i].name);
    }
    return 0;
}
