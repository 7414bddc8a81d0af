/* SPDX-License-Identifier: MIT
 *
 * The text report, from segments that are made here: one tick is one nanosecond.
 */
#include "decode.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"
#include "line.h"
#include "report.h"
#include "report_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLASSES_MAX 6000u
#define SEGMENT_WORDS (4u << 20)
#define BASE UINT64_C(1000000)

static struct lap_class classes[CLASSES_MAX];
static struct lap_description descriptions[CLASSES_MAX];
static uint64_t thresholds[CLASSES_MAX];
static uint8_t is_silent[CLASSES_MAX];
static uint32_t class_count;

static uint64_t *segment;
static uint32_t words; /* written */
static uint32_t fed;   /* bytes */
static uint64_t now;

static struct lap_report *report;
static struct lap_decoder *decoder;
static char *text; /* all reports, each behind a line "---" */
static size_t text_bytes;
static size_t text_room;
static unsigned reports;
static size_t largest;

/* ---- making events ----------------------------------------------------------------------------------------------- */

static uint32_t class_add(uint8_t kind, uint8_t flags, uint8_t args, uint64_t types, const char *label)
{
    const uint32_t id = class_count++;
    assert_true(id < CLASSES_MAX);
    classes[id] = (struct lap_class){.kind = kind, .flags = flags, .args = args, .description = id};
    if (!(types & LAP_IMPL_TYPES_STRING) && !(flags & LAP_CLASS_TEXT))
        classes[id].words = (uint8_t)(lap_class_fixed_words(kind) + args + (flags & LAP_CLASS_N));
    descriptions[id] = (struct lap_description){.label = label, .types = types};
    return id;
}

static uint32_t mark_class(const char *label) { return class_add(LAP_CLASS_MARK, 0, 0, 0, label); }

static uint32_t profiler_class(const char *label) { return class_add(LAP_CLASS_BEGIN, 0, 0, 0, label); }

static uint32_t with_integer(uint8_t kind, const char *label) { return class_add(kind, 0, 1, LAP_IMPL_TYPE_I64, label); }

static void word(uint64_t value)
{
    assert_true(words < SEGMENT_WORDS);
    segment[words++] = value;
}

static void event(uint32_t class_id, uint64_t after_ns)
{
    now += after_ns;
    word(now << LAP_FORMAT_CLOCK_SHIFT | class_id);
}

static void event_n(uint32_t class_id, uint64_t after_ns, int64_t n)
{
    event(class_id, after_ns);
    word((uint64_t)n);
}

static void event_text(uint32_t class_id, uint64_t after_ns, const char *string)
{
    event(class_id, after_ns);
    const size_t bytes = strlen(string) + 1;
    const uint32_t count = (uint32_t)(2 + (bytes + 7) / 8 + 1);
    word(8u * count);
    for (uint32_t i = 2; i < count; i++)
        word(0);
    memcpy(segment + words - count + 2, string, bytes);
}

static void end(uint64_t after_ns) { event(LAP_FORMAT_END, after_ns); }

static void abandoned(uint64_t after_ns, uint64_t count)
{
    event(LAP_FORMAT_ABANDONED, after_ns);
    word(count);
}

static void feed(void)
{
    const struct lap_decode_result result = lap_report_run(report, decoder, segment, BASE, fed, 8 * words);
    assert_int_equal(result.error, LAP_DECODE_OK);
    fed = 8 * words;
}

/* Starts the segment again: a test may make more events than it has room for. */
static void rewind_segment(void)
{
    words = LAP_FORMAT_SEGMENT_HEADER_BYTES / 8;
    fed = LAP_FORMAT_SEGMENT_HEADER_BYTES;
}

/* ---- the two callbacks ------------------------------------------------------------------------------------------- */

static int decide(void *user, const struct lap_open *open, const struct lap_class *class, uint64_t *ret_threshold_ns)
{
    (void)class;
    assert_ptr_equal(user, &classes);
    *ret_threshold_ns = open->threshold_ns != LAP_FORMAT_NO_THRESHOLD ? open->threshold_ns : thresholds[open->class_id];
    return !is_silent[open->class_id];
}

static void write_text(void *user, const char *from, size_t bytes)
{
    (void)user;
    reports++;
    largest = bytes > largest ? bytes : largest;
    assert_true(bytes > 0 && from[bytes - 1] == '\n');
    while (text_room < text_bytes + bytes + 5) {
        text_room *= 2;
        text = realloc(text, text_room);
        assert_non_null(text);
    }
    memcpy(text + text_bytes, "---\n", 4);
    memcpy(text + text_bytes + 4, from, bytes);
    text_bytes += bytes + 4;
    text[text_bytes] = 0;
}

static int setup(void **state)
{
    (void)state;
    memset(classes, 0, sizeof classes);
    memset(thresholds, 0, sizeof thresholds);
    memset(is_silent, 0, sizeof is_silent);
    lap_class_set_fixed(classes);
    class_count = LAP_FORMAT_FIRST_SITE_CLASS;
    segment = malloc(SEGMENT_WORDS * sizeof *segment);
    rewind_segment();
    now = BASE;
    decoder = calloc(1, sizeof *decoder);
    decoder->classes = classes;
    decoder->class_count = CLASSES_MAX;
    const struct lap_report_settings settings = {.ns_per_tick = 1,
                                                 .classes = classes,
                                                 .descriptions = descriptions,
                                                 .class_count = CLASSES_MAX,
                                                 .description_count = CLASSES_MAX,
                                                 .decide = decide,
                                                 .write = write_text,
                                                 .user = &classes};
    void *const memory = malloc(lap_report_bytes());
    memset(memory, 0xA5, lap_report_bytes());
    report = lap_report_init(memory, &settings);
    text_room = 1 << 20;
    text = calloc(1, text_room);
    text_bytes = 0;
    reports = 0;
    largest = 0;
    return 0;
}

/* Whatever a test left open, in the end every unit is free again. */
static int teardown(void **state)
{
    (void)state;
    lap_report_open(report, decoder, 0, NULL);
    const int is_leaking = report->tree.free_count != LAP_TREE_UNITS - 1;
    free(segment);
    free(decoder);
    free(report);
    free(text);
    return is_leaking;
}

static void text_clear(void)
{
    text_bytes = 0;
    text[0] = 0;
    reports = 0;
}

static unsigned lines_of(const char *string)
{
    unsigned lines = 0;
    for (; *string != 0; string++)
        lines += *string == '\n';
    return lines;
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static void test_memory_is_bounded(void **state)
{
    (void)state;
    assert_true(lap_report_bytes() <= 512u << 10);
    assert_int_equal(lap_report_bytes() % 8, 0);
}

static void test_example(void **state)
{
    (void)state;
    const uint32_t gaps = class_add(LAP_CLASS_BEGIN, 0, 1, LAP_IMPL_TYPE_U64, "markup_gaps() for %zu gaps");
    const uint32_t redraw = mark_class("initial redraw");
    const uint32_t built = class_add(LAP_CLASS_MARK, 0, 1, LAP_IMPL_TYPE_U64, "built %zu annotation specs");
    const uint32_t applied = mark_class("applied");
    const uint32_t lookup = class_add(LAP_CLASS_MARK, LAP_CLASS_N, 0, 0, "array lookup");
    event_n(gaps, 0, 12);
    event(redraw, 412000);
    event_n(built, 1203000, 12);
    event(applied, 10100);
    for (int i = 0; i < 11; i++)
        event(applied, 1900);
    event_n(lookup, 98310000, 12);
    end(4000);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering markup_gaps() for 12 gaps\n"
                              "  initial redraw: 0.4120 ms, tot: 0.4120 ms\n"
                              "  built 12 annotation specs: 1.2030 ms, tot: 1.6150 ms\n"
                              "  applied (x12): 0.0310 ms, tot: 1.6460 ms, mean 0.00258 ms, max 0.0101 ms\n"
                              "  array lookup: 98.3100 ms, tot: 99.9560 ms, n=12\n"
                              "  (rest): 0.00400 ms\n"
                              "< Exiting markup_gaps() for 12 gaps, total time: 99.9600 ms\n");
}

static void test_nothing_inside(void **state)
{
    (void)state;
    const uint32_t empty = profiler_class("empty");
    event(empty, 0);
    end(31);
    feed();
    assert_string_equal(text, "---\n> Entering empty\n< Exiting empty, total time: 0.0000310 ms\n");
}

static void test_nested_fed_in_pieces(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = with_integer(LAP_CLASS_BEGIN, "inner %d"),
                   step = mark_class("step");
    event(outer, 0);
    feed();
    event(step, 1000000);
    feed();
    event_n(inner, 1000000, 7);
    feed();
    event(step, 2000000);
    feed();
    end(0);
    feed();
    assert_int_equal(reports, 0);
    event(step, 0);
    end(1000000);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  > Entering inner 7\n"
                              "    step: 2.0000 ms, tot: 2.0000 ms\n"
                              "    (rest): 0.0000 ms\n"
                              "  < Exiting inner 7, total time: 2.0000 ms\n"
                              "  step: 3.0000 ms, tot: 4.0000 ms\n"
                              "  (rest): 1.0000 ms\n"
                              "< Exiting outer, total time: 5.0000 ms\n");
    assert_int_equal(reports, 1);
}

static void test_fold_keeps_three(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), a = with_integer(LAP_CLASS_MARK, "a%d"), b = mark_class("b");
    event(outer, 0);
    for (int i = 0; i < 3; i++) {
        event_n(a, 1000000, i);
        event(b, 1000000);
    }
    event(b, 4000000);
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  a0: 1.0000 ms, tot: 1.0000 ms\n"
                              "  b (x4): 7.0000 ms, tot: 10.0000 ms, mean 1.7500 ms, max 4.0000 ms\n"
                              "  a1: 1.0000 ms, tot: 3.0000 ms\n"
                              "  a2: 1.0000 ms, tot: 5.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 10.0000 ms\n");
    text_clear();
    event(outer, 0);
    for (int i = 0; i < 4; i++)
        event_n(a, 1000000, i);
    end(0);
    feed();
    assert_non_null(strstr(text, "\n  a# (x4): 4.0000 ms, tot: 4.0000 ms, mean 1.0000 ms, max 1.0000 ms\n"));
}

static void test_fold_nested(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = with_integer(LAP_CLASS_BEGIN, "inner %d"),
                   step = mark_class("step");
    event(outer, 0);
    for (int i = 1; i <= 6; i++) {
        event_n(inner, 0, i);
        event(step, i == 5 ? 9000000 : 1000000);
        end(1000000);
        event(step, 1000000);
    }
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  > inner # (x6): total 20.0000 ms, mean 3.3333 ms, max 10.0000 ms\n"
                              "    > Entering inner 5 (slowest)\n"
                              "      step: 9.0000 ms, tot: 9.0000 ms\n"
                              "      (rest): 1.0000 ms\n"
                              "    < Exiting inner 5, total time: 10.0000 ms\n"
                              "  step (x6): 26.0000 ms, tot: 26.0000 ms, mean 4.3333 ms, max 11.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 26.0000 ms\n");
}

static void test_sizes(void **state)
{
    (void)state;
    const uint32_t outer = class_add(LAP_CLASS_BEGIN_WITH, 0, 0, 0, "outer");
    const uint32_t step = class_add(LAP_CLASS_MARK, LAP_CLASS_N, 0, 0, "step");
    event(outer, 0);
    word(0);
    word((uint64_t)INT64_C(-4));
    word(0);
    word(0);
    for (int i = 0; i < 4; i++)
        event_n(step, 1000000, 10 - i);
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  step (x4): 4.0000 ms, tot: 4.0000 ms, mean 1.0000 ms, max 1.0000 ms, n=7..10\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 4.0000 ms, n=-4\n");
}

static void test_numbered(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = mark_class("step");
    const uint32_t nameless = class_add(LAP_CLASS_MARK, LAP_CLASS_NUMBERED, 0, 0, "");
    const uint32_t other = class_add(LAP_CLASS_MARK, LAP_CLASS_NUMBERED, 0, 0, "");
    event(outer, 0);
    event(nameless, 1000000);
    event(step, 1000000);
    event(other, 1000000);
    end(0);
    event(outer, 0);
    for (int i = 0; i < 4; i++)
        event(nameless, 1000000);
    end(0);
    feed();
    assert_non_null(strstr(text, "\n  (checkpoint 1): 1.0000 ms, tot: 1.0000 ms\n  step"));
    assert_non_null(strstr(text, "\n  (checkpoint 3): 1.0000 ms, tot: 3.0000 ms\n"));
    assert_non_null(strstr(text, "\n  (checkpoint #) (x4): 4.0000 ms, "));
}

static void test_run_time_labels(void **state)
{
    (void)state;
    const uint32_t outer = class_add(LAP_CLASS_BEGIN, LAP_CLASS_TEXT, 0, 0, "");
    const uint32_t step = class_add(LAP_CLASS_MARK, LAP_CLASS_TEXT, 0, 0, "");
    event_text(outer, 0, "request %s\n");
    for (int i = 0; i < 5; i++)
        event_text(step, 1000000, "GET /");
    event_text(step, 1000000, "GET /a label that is longer than one unit has room for, and then somewhat longer");
    end(0);
    feed();
    assert_string_equal(
        text,
        "---\n"
        "> Entering request %s\\n\n"
        "  GET / (x5): 5.0000 ms, tot: 5.0000 ms, mean 1.0000 ms, max 1.0000 ms\n"
        "  GET /a label that is longer than one unit has room for, and then somewhat longer: 1.0000 ms, tot: 6.0000 ms\n"
        "  (rest): 0.0000 ms\n"
        "< Exiting request %s\\n, total time: 6.0000 ms\n");
}

static void test_prefix_and_indent(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = mark_class("step");
    struct lap_report_settings *const settings = lap_report_settings(report);
    settings->prefix = "[42] ";
    settings->prefix_bytes = 5;
    settings->indent = 4;
    settings->ns_per_tick = 2;
    event(outer, 0);
    event(step, 1000000);
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "[42]     > Entering outer\n"
                              "[42]       step: 2.0000 ms, tot: 2.0000 ms\n"
                              "[42]       (rest): 0.0000 ms\n"
                              "[42]     < Exiting outer, total time: 2.0000 ms\n");
}

/* ---- what prints ------------------------------------------------------------------------------------------------- */

static void test_thresholds(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = profiler_class("inner");
    thresholds[outer] = 5000000;
    thresholds[inner] = 2000000;
    event(outer, 0);
    event(inner, 0);
    end(1000000); /* below its own, but inside one that prints */
    end(4000000);
    feed();
    assert_string_equal(text, "---\n> Entering outer\n  > Entering inner\n  < Exiting inner, total time: 1.0000 ms\n"
                              "< Exiting outer, total time: 5.0000 ms\n");
    text_clear();
    event(outer, 0);
    event(inner, 0);
    end(2000000); /* exactly */
    event(inner, 0);
    end(1999999);
    end(0);
    feed();
    assert_string_equal(text, "---\n> Entering inner\n< Exiting inner, total time: 2.0000 ms\n");
    text_clear();
    event(outer, 0);
    event(inner, 0);
    end(1999999);
    end(0);
    feed();
    assert_int_equal(reports, 0);
}

static void test_silent_sites(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), middle = profiler_class("middle"), inner = profiler_class("inner"),
                   step = mark_class("step");
    is_silent[outer] = 1;
    is_silent[inner] = 1;
    event(outer, 0);
    event(step, 1000000);
    for (int i = 0; i < 2; i++) {
        event(middle, 0);
        event(inner, 0);
        event(step, 1000000);
        end(0);
        end(0);
        event(step, 0);
        feed();
        assert_int_equal(reports, i + 1); /* nothing waits for a silent one */
    }
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering middle\n"
                              "  > Entering inner\n"
                              "    step: 1.0000 ms, tot: 1.0000 ms\n"
                              "    (rest): 0.0000 ms\n"
                              "  < Exiting inner, total time: 1.0000 ms\n"
                              "< Exiting middle, total time: 1.0000 ms\n"
                              "---\n"
                              "> Entering middle\n"
                              "  > Entering inner\n"
                              "    step: 1.0000 ms, tot: 1.0000 ms\n"
                              "    (rest): 0.0000 ms\n"
                              "  < Exiting inner, total time: 1.0000 ms\n"
                              "< Exiting middle, total time: 1.0000 ms\n");
}

/* More than three that would print by themselves, and it's not known yet whether their parent does. */
static void many_children(uint64_t parent_ns)
{
    const uint32_t outer = profiler_class("outer"), middle = profiler_class("middle"),
                   inner = with_integer(LAP_CLASS_BEGIN, "inner %d");
    thresholds[outer] = 1000000000;
    thresholds[middle] = 1000000000;
    thresholds[inner] = 2000000;
    event(outer, 0);
    for (int i = 0; i < 10; i++) {
        event(middle, 0);
        event_n(inner, 0, i);
        end(i % 3 == 0 ? 1000000 : i == 4 ? 9000000 : 2000000);
        end(0);
    }
    event(middle, 0);
    event_n(inner, 0, 10);
    end(2000000);
    end(0);
    end(parent_ns);
    feed();
}

static void test_children_of_a_parent_below_its_threshold(void **state)
{
    (void)state;
    many_children(0);
    assert_int_equal(reports, 7);
    const char *at = text;
    static const int printed[] = {1, 2, 4, 5, 7, 8, 10};
    for (unsigned i = 0; i < 7; i++) {
        char line[128];
        snprintf(line, sizeof line, "---\n> Entering inner %d\n< Exiting inner %d, total time: %d.0000 ms\n", printed[i],
                 printed[i], printed[i] == 4 ? 9 : 2);
        assert_memory_equal(at, line, strlen(line));
        at += strlen(line);
    }
    assert_int_equal(*at, 0);
}

static void test_the_same_of_one_above_it(void **state)
{
    (void)state;
    many_children(1000000000);
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  > middle (x11): total 25.0000 ms, mean 2.2727 ms, max 9.0000 ms\n"
                              "    > Entering middle (slowest)\n"
                              "      > Entering inner 4\n"
                              "      < Exiting inner 4, total time: 9.0000 ms\n"
                              "    < Exiting middle, total time: 9.0000 ms\n"
                              "< Exiting outer, total time: 1025.0000 ms\n");
}

static void test_abandoned(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = profiler_class("inner"), step = mark_class("step");
    event(outer, 0);
    event(inner, 1000000);
    event(step, 1000000);
    event(inner, 1000000);
    event(step, 1000000);
    abandoned(5000000, 2); /* noticed late */
    event(step, 0);
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  > Entering inner\n"
                              "    step: 1.0000 ms, tot: 1.0000 ms\n"
                              "    > Entering inner\n"
                              "      step: 1.0000 ms, tot: 1.0000 ms\n"
                              "    < Exiting inner, total time: 1.0000 ms (abandoned)\n"
                              "    (rest): 2.0000 ms\n"
                              "  < Exiting inner, total time: 3.0000 ms (abandoned)\n"
                              "  step: 9.0000 ms, tot: 9.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 9.0000 ms\n");
    text_clear();
    event(outer, 0);
    event(inner, 1000000);
    abandoned(1000000, 9); /* thread exit, with more than there are */
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  > Entering inner\n"
                              "  < Exiting inner, total time: 0.0000 ms (abandoned)\n"
                              "< Exiting outer, total time: 1.0000 ms (abandoned)\n");
}

/* ---- before the end ---------------------------------------------------------------------------------------------- */

static void test_flush(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), quiet = profiler_class("quiet"),
                   inner = with_integer(LAP_CLASS_BEGIN, "inner %d");
    const uint32_t step = mark_class("step");
    is_silent[quiet] = 1;
    event(outer, 0);
    event(step, 1000000);
    event_n(inner, 0, 1);
    event(step, 1000000);
    end(0);
    event(quiet, 0);
    event_n(inner, 0, 2);
    end(2000000);
    end(0);
    feed();
    assert_true(lap_report_is_waiting(report));
    assert_int_equal(lap_report_flush(report, decoder, NULL), 2);
    assert_false(lap_report_is_waiting(report));
    assert_string_equal(text, "---\n"
                              "> Entering inner 1 (parent still open)\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting inner 1, total time: 1.0000 ms\n"
                              "---\n"
                              "> Entering inner 2 (parent still open)\n"
                              "< Exiting inner 2, total time: 2.0000 ms\n");
    assert_int_equal(lap_report_flush(report, decoder, NULL), 0);
    text_clear();
    end(1000000);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  > inner 1: total 1.0000 ms (printed before)\n"
                              "  > Entering quiet\n"
                              "    > inner 2: total 2.0000 ms (printed before)\n"
                              "  < Exiting quiet, total time: 2.0000 ms\n"
                              "  (rest): 4.0000 ms\n"
                              "< Exiting outer, total time: 5.0000 ms\n");
}

static void test_flush_then_fold(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = with_integer(LAP_CLASS_BEGIN, "inner %d");
    event(outer, 0);
    for (int i = 0; i < 8; i++) {
        event_n(inner, 0, i);
        end(i == 2 ? 7000000 : 1000000);
        feed();
        lap_report_flush(report, decoder, "for the test");
    }
    assert_int_equal(reports, 3); /* from then on they fold; the fourth is faster than the slowest */
    assert_non_null(strstr(text, "> Entering inner 2 (for the test)\n"));
    text_clear();
    end(0);
    feed();
    assert_string_equal(text,
                        "---\n"
                        "> Entering outer\n"
                        "  > inner # (x8): total 14.0000 ms, mean 1.7500 ms, max 7.0000 ms (slowest printed before)\n"
                        "< Exiting outer, total time: 14.0000 ms\n");
}

static void test_still_open(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = profiler_class("inner"), step = mark_class("step");
    event(outer, 0);
    event(inner, 1000000);
    event(step, 1000000);
    feed();
    lap_report_open(report, decoder, now + 3000000, NULL);
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  > Entering inner\n"
                              "    step: 1.0000 ms, tot: 1.0000 ms\n"
                              "    (rest): 3.0000 ms\n"
                              "  < Exiting inner, total time: 4.0000 ms (still open at exit)\n"
                              "< Exiting outer, total time: 5.0000 ms (still open at exit)\n");
    text_clear();
    event(step, 0);
    event(outer, 0); /* a destructor's */
    end(1000000);
    end(0);
    end(0);
    feed();
    assert_string_equal(text, "---\n> Entering outer\n< Exiting outer, total time: 1.0000 ms\n");
    lap_report_open(report, decoder, 0, NULL);
    assert_int_equal(reports, 1);
}

static void test_missed(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = mark_class("step");
    lap_report_missed(report, 1000);
    lap_report_missed(report, 234);
    for (int i = 0; i < 2; i++) {
        event(outer, 0);
        event(step, 1000000);
        end(0);
    }
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  (1234 events no longer held)\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 1.0000 ms\n"
                              "---\n"
                              "> Entering outer\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 1.0000 ms\n");
}

/* The first segment that is left of a ring begins with what was open. */
static void test_state_dump(void **state)
{
    (void)state;
    const uint32_t outer = with_integer(LAP_CLASS_BEGIN, "outer %d"), step = mark_class("step");
    struct lap_format_open open = {.begin_ticks = now, .last_ticks = now + 4000000, .class_id = outer, .marks = 17};
    static const char message[16] = "outer 42";
    now += 5000000;
    event(LAP_FORMAT_OPEN, 0);
    open.size = 8 + sizeof open + sizeof message + 8;
    memcpy(segment + words, &open, sizeof open);
    words += sizeof open / 8;
    memcpy(segment + words, message, sizeof message);
    words += sizeof message / 8;
    word(0);
    event(step, 0);
    end(1000000);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer 42\n"
                              "  (17 checkpoints no longer held)\n"
                              "  step: 1.0000 ms, tot: 5.0000 ms\n"
                              "  (rest): 1.0000 ms\n"
                              "< Exiting outer 42, total time: 6.0000 ms\n");
}

static void test_decoder_that_was_reset(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = profiler_class("inner"), step = mark_class("step");
    event(outer, 0);
    event(step, 1000000);
    event(inner, 0);
    end(1000000);
    feed();
    decoder->depth = 0; /* the end of outer is lost */
    event(inner, 0);
    end(1000000);
    feed();
    assert_string_equal(text,
                        "---\n> Entering inner\n< Exiting inner, total time: 1.0000 ms\n"
                        "---\n> Entering inner\n  (1 event no longer held)\n< Exiting inner, total time: 1.0000 ms\n");
    text_clear();
    /* A decoder that knows of one around: what is fed prints by itself. */
    decoder->depth = 1;
    decoder->open[0] = (struct lap_open){.begin = now, .last = now, .class_id = outer};
    event(inner, 0);
    end(1000000);
    end(0);
    feed();
    assert_string_equal(text, "---\n> Entering inner\n< Exiting inner, total time: 1.0000 ms\n");
    text_clear();
    event(outer, 0);
    feed();
    lap_report_reset(report);
    end(0);
    feed();
    assert_int_equal(reports, 0);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static void test_line_limit(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer");
    static char labels[1000][16];
    uint32_t ids[1000];
    for (int i = 0; i < 1000; i++) {
        snprintf(labels[i], sizeof labels[i], "m%d", i);
        ids[i] = mark_class(labels[i]);
    }
    /* 997 laps, enter, rest, exit: a full report */
    event(outer, 0);
    for (int i = 0; i < 997; i++)
        event(ids[i], 1000000);
    end(0);
    feed();
    assert_int_equal(lines_of(text), 1 + 1000);
    assert_null(strstr(text, "more line"));
    text_clear();
    event(outer, 0);
    for (int i = 0; i < 998; i++)
        event(ids[i], 1000000);
    end(0);
    feed();
    assert_int_equal(lines_of(text), 1 + 1000);
    assert_non_null(strstr(
        text, "\n  m996: 1.0000 ms, tot: 997.0000 ms\n  (2 more lines)\n< Exiting outer, total time: 998.0000 ms\n"));
    text_clear();
    lap_report_settings(report)->max_lines = 10;
    event(outer, 0);
    for (int i = 0; i < 20; i++)
        event(ids[i], 1000000);
    end(0);
    feed();
    assert_int_equal(lines_of(text), 1 + 10);
    assert_non_null(
        strstr(text, "\n  m6: 1.0000 ms, tot: 7.0000 ms\n  (14 more lines)\n< Exiting outer, total time: 20.0000 ms\n"));
}

static void test_byte_limit(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = class_add(LAP_CLASS_MARK, LAP_CLASS_TEXT, 0, 0, "");
    char label[256];
    event(outer, 0);
    for (int i = 0; i < 400; i++) {
        memset(label, '\n', 255);
        snprintf(label, sizeof label, "%d", i);
        label[strlen(label)] = ' ';
        label[255] = 0;
        event_text(step, 1000, label);
    }
    end(0);
    feed();
    assert_int_equal(reports, 1);
    assert_true(largest <= LAP_REPORT_BYTES_MAX && largest > LAP_REPORT_BYTES_MAX - 4096);
    const char *const more = strstr(text, " more lines)\n< Exiting outer, total time: 0.4000 ms\n");
    assert_non_null(more);
    /* Nothing is lost: what is shown and what is counted is all. */
    assert_int_equal(lines_of(text) - 1 - 1 + strtoul(strrchr(text, '(') + 1, NULL, 10), 400 + 3);
}

static void test_deep_nesting(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = mark_class("step");
    for (int i = 0; i < LAP_DECODE_DEPTH; i++)
        event(outer, 1000);
    event(step, 1000);
    for (int i = 0; i < LAP_DECODE_DEPTH; i++)
        end(1000);
    feed();
    assert_int_equal(reports, 1);
    assert_true(largest <= LAP_REPORT_BYTES_MAX);
    /* 508 enters and exits, a lap and a rest */
    assert_int_equal(lines_of(text) - 1 - 1 + strtoul(strrchr(text, '(') + 1, NULL, 10), 2 * LAP_DECODE_DEPTH + 2);
}

static void test_many_labels(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = profiler_class("inner"),
                   step = class_add(LAP_CLASS_MARK, LAP_CLASS_TEXT, 0, 0, "");
    char label[64];
    event(outer, 0);
    for (int round = 0; round < 8; round++) {
        event(inner, 0);
        for (int i = 0; i < 2000; i++) {
            snprintf(label, sizeof label, "label %d", i);
            event_text(step, 1000, label);
        }
        end(0);
        feed();
    }
    end(0);
    feed();
    assert_int_equal(reports, 1);
    assert_true(lines_of(text) <= 1 + 1000);
    assert_non_null(strstr(text, "> inner (x8): total 16.0000 ms, mean 2.0000 ms, max 2.0000 ms\n"));
    assert_non_null(strstr(text, " more lines)\n< Exiting outer, total time: 16.0000 ms\n"));
    text_clear();
    event(outer, 0);
    event(step, 0);
    words--;
    event(inner, 0);
    end(5);
    end(0);
    feed();
    assert_string_equal(text, "---\n> Entering outer\n  > Entering inner\n  < Exiting inner, total time: 0.00000500 ms\n"
                              "< Exiting outer, total time: 0.00000500 ms\n");
}

/* Profilers nested in each other, each with many labels: more than there is room for. */
static void test_pool_exhaustion(void **state)
{
    (void)state;
    enum { LEVELS = 40, LABELS = 300 };
    uint32_t levels[LEVELS], steps[LABELS];
    static char labels[LEVELS + LABELS][24];
    for (int i = 0; i < LEVELS; i++) {
        snprintf(labels[i], sizeof labels[i], "level %d", i);
        levels[i] = profiler_class(labels[i]);
    }
    for (int i = 0; i < LABELS; i++) {
        snprintf(labels[LEVELS + i], sizeof labels[i], "step %d", i);
        steps[i] = mark_class(labels[LEVELS + i]);
    }
    unsigned long expected = 0;
    for (int i = 0; i < LEVELS; i++) {
        event(levels[i], 0);
        for (int j = 0; j < LABELS; j++)
            event(steps[j], 1000);
        expected += LABELS + 3;
    }
    for (int i = 0; i < LEVELS; i++)
        end(0);
    feed();
    assert_int_equal(reports, 1);
    assert_int_equal(lines_of(text), 1 + 1000);
    assert_non_null(strstr(text, "\n< Exiting level 0, total time: 12.0000 ms\n"));
    const unsigned long more = strtoul(strrchr(text, '(') + 1, NULL, 10);
    assert_int_equal(999 + more, expected);

    /* The same as a long list of nested ones that have ended: the oldest lose their inside. */
    text_clear();
    event(levels[0], 0);
    for (int i = 1; i < LEVELS; i++) {
        event(levels[i], 0);
        for (int j = 0; j < LABELS; j++)
            event(steps[j], 1000);
        end(0);
    }
    end(0);
    feed();
    assert_int_equal(reports, 1);
    assert_non_null(strstr(text, "\n  > Entering level 1\n    (300 more lines)\n    (rest): 0.0000 ms\n  < Exiting level "
                                 "1, total time: 0.3000 ms\n"));
    assert_null(strstr(text, "\n  > Entering level 39\n    (300 more lines)\n"));
}

/* What waits for a parent whose threshold isn't reached is printed when there is no more room for it. */
static void test_waiting_ones_make_room(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = with_integer(LAP_CLASS_BEGIN, "inner %d"),
                   step = mark_class("step");
    thresholds[outer] = 1000000000;
    event(outer, 0);
    for (int i = 0; i < 20000; i++) {
        event_n(inner, 0, i);
        event(step, 1000);
        end(0);
    }
    feed();
    assert_true(reports > 15000);
    end(0);
    feed();
    assert_int_equal(reports, 20000);
    assert_non_null(strstr(text, "---\n> Entering inner 0 (parent still open)\n"));
    assert_non_null(strstr(text, "---\n> Entering inner 19999\n"));
}

/* More labels than a report has lines, each of a profiler that prints if its parent doesn't: those past the bound don't
 * wait. */
static void test_more_waiting_ones_than_lines(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), inner = class_add(LAP_CLASS_BEGIN, LAP_CLASS_TEXT, 0, 0, "");
    const uint32_t quiet = class_add(LAP_CLASS_BEGIN, LAP_CLASS_TEXT, 0, 0, "");
    char label[32];
    thresholds[outer] = 1000000000;
    is_silent[quiet] = 1;
    event(outer, 0);
    for (int i = 0; i < 1500; i++) {
        snprintf(label, sizeof label, "inner %d", i);
        event_text(i % 2 ? inner : quiet, 0, label);
        event_text(inner, 0, label);
        end(1000);
        end(0);
    }
    feed();
    assert_true(reports >= 500);
    end(0);
    feed();
    assert_int_equal(reports, 1500);
}

static void test_many_checkpoints(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), a = mark_class("a"), b = with_integer(LAP_CLASS_MARK, "b%d");
    event(outer, 0);
    feed();
    for (int round = 0; round < 100; round++) {
        rewind_segment();
        for (int i = 0; i < 50000; i++) {
            event(a, 10);
            event_n(b, 10, i);
        }
        feed();
    }
    rewind_segment();
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering outer\n"
                              "  a (x5000000): 50.0000 ms, tot: 100.0000 ms, mean 0.0000100 ms, max 0.0000100 ms\n"
                              "  b# (x5000000): 50.0000 ms, tot: 100.0000 ms, mean 0.0000100 ms, max 0.0000100 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 100.0000 ms\n");
}

/* Events at random, thresholds at random: sanitizers watch, and every report is whole. */
static void test_random(void **state)
{
    (void)state;
    uint32_t profilers[12], steps[40];
    const char *const from = getenv("SEED");
    uint64_t seed = from ? strtoull(from, NULL, 10) : 1;
    for (unsigned i = 0; i < 12; i++) {
        profilers[i] = i % 3 == 0 ? class_add(LAP_CLASS_BEGIN, LAP_CLASS_TEXT, 0, 0, "") : profiler_class("profiler");
        thresholds[profilers[i]] = i % 4 * 3000000;
        is_silent[profilers[i]] = i % 5 == 4;
    }
    for (unsigned i = 0; i < 40; i++)
        steps[i] =
            i % 4 == 0 ? class_add(LAP_CLASS_MARK, LAP_CLASS_TEXT | LAP_CLASS_N * 0, 0, 0, "") : mark_class("step");
    for (int round = 0; round < 100; round++) {
        rewind_segment();
        for (int i = 0; i < 3000; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            const uint32_t draw = (uint32_t)(seed >> 33);
            char label[300];
            memset(label, 'x', sizeof label);
            snprintf(label, sizeof label, "%u", draw % 5000);
            label[strlen(label)] = 'y';
            label[draw / 7 % 299] = 0;
            label[299] = 0;
            const uint32_t bias = round % 3 == 0 ? 30 : 22;
            if (draw % 100 < bias && decoder->depth + (uint32_t)i < 4000) {
                const uint32_t id = profilers[draw / 100 % 12];
                if (classes[id].flags & LAP_CLASS_TEXT)
                    event_text(id, draw % 1000, label);
                else
                    event(id, draw % 1000);
            } else if (draw % 100 < 50) {
                end(draw % 100000);
            } else if (draw % 1000 == 999) {
                abandoned(draw % 1000, draw / 1000 % 4);
            } else {
                const uint32_t id = steps[draw / 100 % 40];
                if (classes[id].flags & LAP_CLASS_TEXT)
                    event_text(id, draw % 1000, label);
                else
                    event(id, draw % 1000);
            }
        }
        lap_report_run(report, decoder, segment, BASE, fed, 8 * words);
        if (round % 7 == 0)
            lap_report_flush(report, decoder, NULL);
        if (round % 50 == 49)
            lap_report_open(report, decoder, 0, NULL);
        if (round % 60 == 59)
            decoder->depth /= 2;
    }
    assert_true(reports > 10);
    assert_true(largest <= LAP_REPORT_BYTES_MAX);
    /* As many exits as enters. */
    unsigned enters = 0, exits = 0;
    for (const char *at = text; (at = strstr(at, "\n> Entering ")) != NULL; at++)
        enters++;
    for (const char *at = text; (at = strstr(at, "\n< Exiting ")) != NULL; at++)
        exits++;
    assert_int_equal(enters, reports);
    assert_int_equal(exits, reports);
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

#define HANDLE UINT64_C(0x100000002)

static uint32_t begin_class, step_class;

static const uint64_t *handle_begin(uint64_t after_ns, uint64_t threshold_ns, int64_t n, uint64_t argument)
{
    event(begin_class, after_ns);
    const uint64_t *const start = segment + words - 1;
    word(HANDLE);
    word(threshold_ns);
    word((uint64_t)n);
    word(0);
    word(7);
    word(argument);
    return start;
}

static const uint64_t *handle_mark(uint64_t lap_ns, uint32_t number)
{
    event(step_class, lap_ns);
    const uint64_t *const start = segment + words - 1;
    word(HANDLE);
    word(lap_ns);
    word(7 | (uint64_t)number << 32);
    return start;
}

static const uint64_t *handle_end(uint64_t lap_ns, uint64_t total_ns, uint32_t marks)
{
    event(LAP_FORMAT_HANDLE_END, lap_ns);
    const uint64_t *const start = segment + words - 1;
    word(HANDLE);
    word(lap_ns);
    word(total_ns);
    word(7 | (uint64_t)marks << 32);
    return start;
}

static void test_handles(void **state)
{
    (void)state;
    begin_class = with_integer(LAP_CLASS_HANDLE_BEGIN, "request %d");
    step_class = class_add(LAP_CLASS_HANDLE_MARK, 0, 0, 0, "step");
    const uint64_t *events[8];
    events[0] = handle_begin(0, 3000000, 5, 42);
    events[1] = handle_mark(1000000, 0);
    events[2] = handle_mark(1000000, 1);
    events[3] = handle_end(1000000, 3000000, 2);
    assert_int_equal(lap_report_handle(report, events, 4), 1);
    assert_string_equal(text, "---\n"
                              "> Entering request 42\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  step: 1.0000 ms, tot: 2.0000 ms\n"
                              "  (rest): 1.0000 ms\n"
                              "< Exiting request 42, total time: 3.0000 ms, n=5\n");
    text_clear();
    events[0] = handle_begin(0, 3000001, 0, 42); /* below its threshold */
    assert_int_equal(lap_report_handle(report, events, 4), 0);
    assert_int_equal(reports, 0);
    assert_int_equal(lap_report_handle(report, events, 3), 0);

    /* Events that are gone: in the middle, at the end, the begin. */
    lap_report_handle_begin(report, handle_begin(0, 0, 0, 1), 0);
    lap_report_handle_mark(report, handle_mark(1000000, 0));
    lap_report_handle_mark(report, handle_mark(1000000, 4));
    assert_int_equal(lap_report_handle_end(report, handle_end(0, 2000000, 10), 0, NULL), 1);
    assert_string_equal(text, "---\n"
                              "> Entering request 1\n"
                              "  (8 checkpoints no longer held)\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  step: 1.0000 ms, tot: 2.0000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting request 1, total time: 2.0000 ms\n");
    text_clear();
    lap_report_handle_begin(report, NULL, begin_class);
    lap_report_handle_end(report, NULL, 4000000, NULL);
    assert_string_equal(text,
                        "---\n> Entering request #\n< Exiting request #, total time: 4.0000 ms (still open at exit)\n");
    assert_int_equal(lap_report_handle_end(report, NULL, 0, NULL), 0);
}

static void test_handle_inside_an_open_scope(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), step = mark_class("step");
    begin_class = with_integer(LAP_CLASS_HANDLE_BEGIN, "request %d");
    step_class = class_add(LAP_CLASS_HANDLE_MARK, 0, 0, 0, "step");
    event(outer, 0);
    event(step, 1000000);
    feed();
    lap_report_handle_begin(report, handle_begin(0, 0, 0, 1), 0);
    for (uint32_t i = 0; i < 100; i++)
        lap_report_handle_mark(report, handle_mark(1000, i));
    lap_report_handle_end(report, handle_end(0, 100000, 100), 0, NULL);
    event(step, 0);
    end(0);
    feed();
    assert_string_equal(text, "---\n"
                              "> Entering request 1\n"
                              "  step (x100): 0.1000 ms, tot: 0.1000 ms, mean 0.00100 ms, max 0.00100 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting request 1, total time: 0.1000 ms\n"
                              "---\n"
                              "> Entering outer\n"
                              "  step: 1.0000 ms, tot: 1.0000 ms\n"
                              "  step: 0.1000 ms, tot: 1.1000 ms\n"
                              "  (rest): 0.0000 ms\n"
                              "< Exiting outer, total time: 1.1000 ms\n");
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* A call that ends now; `server_ns` 0: its peer is silent. */
static void call(uint32_t class_id, uint64_t total_ns, uint64_t server_ns, uint32_t queue_us)
{
    event(class_id, total_ns);
    const uint64_t received = server_ns != 0 ? 1 : 0, khz = 1000000;
    const uint64_t payload[] = {
        0, 1, 2, 3, now - total_ns, received, received + server_ns, now, 0, khz | (uint64_t)queue_us << 32, 0, 0};
    static_assert(sizeof payload == sizeof(struct lap_format_call), "payload");
    for (size_t i = 0; i < sizeof payload / sizeof *payload; i++)
        word(payload[i]);
}

static void test_calls(void **state)
{
    (void)state;
    const uint32_t batch = profiler_class("batch"), inner = profiler_class("inner"),
                   get = class_add(LAP_CLASS_CALL, 0, 0, 0, "get"), step = mark_class("step"),
                   complete = mark_class("complete"), silent = mark_class("silent"), many = mark_class("many");
    event(batch, 0);
    event(step, 1000000);
    call(get, 98310000, 61200000, 3300);
    event(complete, 0);
    call(get, 1000000, 0, 0);
    event(silent, 0);
    for (int i = 0; i < 5; i++) {
        call(get, 2000000, i == 3 ? 0 : 500000, i == 0 ? 100 : 0);
        call(get, 2000000, 500000, 0);
        event(many, 0);
    }
    event(inner, 0);
    call(get, 2000000, 500000, 0);
    end(0);
    event(inner, 0);
    call(get, 2000000, 500000, 0);
    abandoned(0, 1);
    call(get, 2000000, 700000, 0);
    call(get, 2000000, 800000, 0);
    end(0);
    feed();
    assert_string_equal(
        text, "---\n"
              "> Entering batch\n"
              "  step: 1.0000 ms, tot: 1.0000 ms\n"
              "  complete: 98.3100 ms, tot: 99.3100 ms (server 61.2000: handle 57.9000, queue 3.3000; between 37.1100)\n"
              "  silent: 1.0000 ms, tot: 100.3100 ms (peer silent)\n"
              "  many (x5): 20.0000 ms, tot: 120.3100 ms, mean 4.0000 ms, max 4.0000 ms"
              " (10 calls, 1 silent: server 4.5000: handle 4.4000, queue 0.1000; between 13.5000)\n"
              "  > Entering inner\n"
              "  < Exiting inner, total time: 2.0000 ms (server 0.5000; between 1.5000)\n"
              "  > Entering inner\n"
              "  < Exiting inner, total time: 2.0000 ms (abandoned) (server 0.5000; between 1.5000)\n"
              "  (rest): 8.0000 ms (2 calls: server 1.5000; between 2.5000)\n"
              "< Exiting batch, total time: 128.3100 ms\n");
}

/* A lap of the call's server, right behind it. */
static void peer_lap(uint64_t sum_ns, const char *label)
{
    const size_t label_words = strlen(label) / 8 + 1;
    uint64_t text_words[16] = {0};
    event(LAP_FORMAT_PEER_LAP, 0);
    const uint64_t payload[] = {8 * (1 + 5 + label_words + 1), 0, 3, sum_ns, 1};
    static_assert(sizeof payload == sizeof(struct lap_format_peer_lap), "payload");
    for (size_t i = 0; i < sizeof payload / sizeof *payload; i++)
        word(payload[i]);
    memcpy(text_words, label, strlen(label));
    for (size_t i = 0; i < label_words + 1; i++)
        word(text_words[i]);
}

static void test_peer_laps(void **state)
{
    (void)state;
    const uint32_t batch = profiler_class("batch"), get = class_add(LAP_CLASS_CALL, 0, 0, 0, "get"),
                   complete = mark_class("complete"), folded = mark_class("folded");
    event(batch, 0);
    peer_lap(1000000, "of no call");
    call(get, 98310000, 61200000, 3300);
    peer_lap(50100000, "array lookup");
    peer_lap(7800000, "parse");
    event(complete, 0);
    for (int i = 0; i < 10; i++) { /* by label, of the first eight the greatest four */
        char label[16];
        snprintf(label, sizeof label, "label %d", i);
        call(get, 2000000, 1500000, 0);
        peer_lap(100000 * (unsigned)(i + 1), label);
        peer_lap(100000, "in all\x1b");
        event(folded, 0);
    }
    call(get, 2000000, 1000000, 0);
    peer_lap(500000, "of the rest");
    end(0);
    feed();
    assert_string_equal(
        text, "---\n"
              "> Entering batch\n"
              "  complete: 98.3100 ms, tot: 98.3100 ms (server 61.2000: handle 57.9000 [array lookup 50.1000,"
              " parse 7.8000], queue 3.3000; between 37.1100)\n"
              "  folded (x10): 20.0000 ms, tot: 118.3100 ms, mean 2.0000 ms, max 2.0000 ms (10 calls: server 15.0000"
              " [in all\\x1b 1.0000, label 6 0.7000, label 5 0.6000, label 4 0.5000]; between 5.0000)\n"
              "  (rest): 2.0000 ms (server 1.0000 [of the rest 0.5000]; between 1.0000)\n"
              "< Exiting batch, total time: 120.3100 ms\n");
}

/* Whatever calls are in, their sums go with it: the teardown sees that none is left. */
static void test_calls_random(void **state)
{
    (void)state;
    uint32_t profilers[8], steps[20];
    const uint32_t get = class_add(LAP_CLASS_CALL, 0, 0, 0, "get");
    for (int i = 0; i < 8; i++)
        profilers[i] = profiler_class("profiler");
    for (int i = 0; i < 20; i++)
        steps[i] = mark_class("step");
    srand(1);
    for (int round = 0; round < 100; round++) {
        rewind_segment();
        int depth = 0;
        for (int i = 0; i < 1000; i++) {
            const int action = rand() % 10;
            thresholds[profilers[rand() % 8]] = rand() % 3 == 0 ? 1000000 : 0;
            if (action < 4) {
                static const char *const labels[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
                call(get, (unsigned)rand() % 1000, rand() % 2 ? 100 : 0, 0);
                for (int laps = rand() % 5; laps > 0; laps--)
                    peer_lap(10, labels[rand() % 12]);
            } else if (action < 6)
                event(steps[rand() % 20], 10);
            else if (action < 8 && depth < 30)
                event(profilers[rand() % 8], (depth++, 10));
            else if (action == 8 && depth > 0)
                end((depth--, 10));
            else if (depth > 0)
                abandoned(10, (depth--, 1));
            if (rand() % 50 == 0)
                feed();
        }
        feed();
        if (round % 3 == 0)
            lap_report_flush(report, decoder, NULL);
        if (round % 7 == 0)
            decoder->depth = 0; /* a gap */
        abandoned(0, decoder->depth);
        feed();
    }
}

/* More labels than a report has lines, each with a call: what finds no line goes. */
static void test_calls_of_many_labels(void **state)
{
    (void)state;
    const uint32_t outer = profiler_class("outer"), get = class_add(LAP_CLASS_CALL, 0, 0, 0, "get");
    event(outer, 0);
    for (unsigned i = 0; i < LAP_REPORT_LINES_MAX + 100; i++) {
        const uint32_t step = mark_class("step");
        call(get, 1000, 500, 0);
        event(step, 0);
    }
    end(0);
    feed();
    assert_int_equal(reports, 1);
}

/* ---- single lines ------------------------------------------------------------------------------------------------ */

static void test_lines_are_cut_whole(void **state)
{
    (void)state;
    char out[64];
    const struct lap_line_place place = {"p ", 2, 4};
    for (size_t room = 0; room < sizeof out; room++) {
        memset(out, '?', sizeof out);
        const size_t bytes = lap_line_lap(out, room, &place, "label", 1e6, 1e6, NULL);
        assert_true(bytes <= room && (room == 0 || out[bytes - 1] == '\n') && out[room] == '?');
    }
    assert_int_equal(lap_line_rest(out, sizeof out, &(struct lap_line_place){NULL, 0, 2}, 31.2), 23);
    assert_memory_equal(out, "  (rest): 0.0000312 ms\n", 23);
    const struct lap_line_calls calls = {2, 1, 1, 5e6, 1e6, 3e6, 2e6, 1e6};
    for (size_t room = 24; room < sizeof out; room++) {
        memset(out, '?', sizeof out);
        const size_t bytes = lap_line_rest(out, room, &(struct lap_line_place){NULL, 0, 2}, 31.2);
        const size_t all = lap_line_add_calls(out, room, bytes, &calls, NULL, 0);
        assert_true(all <= room && out[all - 1] == '\n' && out[room] == '?');
    }
    char whole[256];
    const size_t all =
        lap_line_add_calls(whole, sizeof whole, lap_line_rest(whole, sizeof whole, &place, 31.2), &calls, NULL, 0);
    whole[all] = 0;
    assert_string_equal(whole,
                        "p     (rest): 0.0000312 ms (2 calls, 1 silent: server 5.0000: handle 4.0000, queue 1.0000; "
                        "between 3.0000: there 2.0000, back 1.0000)\n");
    assert_int_equal(lap_line_add_calls(whole, sizeof whole, all, &(struct lap_line_calls){.count = 0}, NULL, 0), all);
    assert_int_equal(lap_line_add_calls(whole, sizeof whole, 0, &calls, NULL, 0), 0);
    /* Laps stand behind what they are parts of, and where there is little room, as many as leave enough for what comes behind. */
    const struct lap_peer_lap laps[] = {{2e6, 1, "array lookup"}, {1e6, 3, "parse"}};
    char wide[640];
    for (size_t room = 24; room < sizeof wide; room++) {
        memset(wide, '?', sizeof wide);
        const size_t bytes = lap_line_rest(wide, room, &place, 31.2);
        const size_t with = lap_line_add_calls(wide, room, bytes, &calls, laps, 2);
        assert_true(with <= room && wide[with - 1] == '\n' && wide[room] == '?');
        assert_true(room < 300 || wide[with - 2] == ')');
    }
    wide[lap_line_add_calls(wide, sizeof wide, lap_line_rest(wide, sizeof wide, &place, 31.2), &calls, laps, 2)] = 0;
    assert_string_equal(
        wide, "p     (rest): 0.0000312 ms (2 calls, 1 silent: server 5.0000: handle 4.0000 [array lookup 2.0000, "
              "parse 1.0000], queue 1.0000; between 3.0000: there 2.0000, back 1.0000)\n");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_memory_is_bounded),
        TEST(test_example),
        TEST(test_nothing_inside),
        TEST(test_nested_fed_in_pieces),
        TEST(test_fold_keeps_three),
        TEST(test_fold_nested),
        TEST(test_sizes),
        TEST(test_numbered),
        TEST(test_run_time_labels),
        TEST(test_prefix_and_indent),
        TEST(test_thresholds),
        TEST(test_silent_sites),
        TEST(test_children_of_a_parent_below_its_threshold),
        TEST(test_the_same_of_one_above_it),
        TEST(test_abandoned),
        TEST(test_flush),
        TEST(test_flush_then_fold),
        TEST(test_still_open),
        TEST(test_missed),
        TEST(test_state_dump),
        TEST(test_decoder_that_was_reset),
        TEST(test_line_limit),
        TEST(test_byte_limit),
        TEST(test_deep_nesting),
        TEST(test_many_labels),
        TEST(test_pool_exhaustion),
        TEST(test_waiting_ones_make_room),
        TEST(test_more_waiting_ones_than_lines),
        TEST(test_many_checkpoints),
        TEST(test_random),
        TEST(test_handles),
        TEST(test_handle_inside_an_open_scope),
        TEST(test_calls),
        TEST(test_peer_laps),
        TEST(test_calls_random),
        TEST(test_calls_of_many_labels),
        TEST(test_lines_are_cut_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
