/* SPDX-License-Identifier: MIT
 *
 * The parts that read traces of other tools: fields of Protocol Buffers, values of JSON through a window, times, names with
 * numbers in them, begins and ends matched, slots of handles.
 */
#include "foreign_classes.h"
#include "foreign_file.h"
#include "foreign_handles.h"
#include "foreign_layout.h"
#include "foreign_slices.h"
#include "foreign_times.h"
#include "json_values.h"
#include "protobuf_reader.h"
#include "synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Protocol Buffers ---------------------------------------------------------------------------------------------- */

static void protobuf_fields(void **state)
{
    (void)state;
    static const char bytes[] = "\x08\x96\x01"                                  /* 1: 150 */
                                "\x12\x03"                                      /* 2: "abc" */
                                "abc"                                           /* */
                                "\x19\x01\x02\x03\x04\x05\x06\x07"              /* 3: fixed64 */
                                "\x08"                                          /* */
                                "\x25\x01\x02\x03\x04"                          /* 4: fixed32 */
                                "\xFA\x3E\x00"                                  /* 1007: "" */
                                "\x28\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"; /* 5: -1 */
    struct lap_protobuf message = lap_protobuf_of(bytes, sizeof bytes - 1);
    struct lap_protobuf_field field;
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 150);
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.number, 2);
    assert_int_equal(lap_protobuf_left(&field.bytes), 3);
    assert_memory_equal(field.bytes.at, "abc", 3);
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.value, UINT64_C(0x0807060504030201));
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.value, 0x04030201);
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.number, 1007);
    assert_int_equal(lap_protobuf_left(&field.bytes), 0);
    assert_int_equal(lap_protobuf_next(&message, &field), 1);
    assert_int_equal(field.value, UINT64_MAX);
    assert_int_equal(lap_protobuf_next(&message, &field), 0);
}

/* In memory of just that size, where a sanitizer sees what is read behind it. */
static int next_of(const char *bytes, size_t count)
{
    char *const copy = malloc(count ? count : 1);
    memcpy(copy, bytes, count);
    struct lap_protobuf message = lap_protobuf_of(copy, count);
    struct lap_protobuf_field field;
    const int code = lap_protobuf_next(&message, &field);
    if (code != 1)
        assert_ptr_equal(message.at, copy);
    free(copy);
    return code;
}

static void protobuf_damage(void **state)
{
    (void)state;
    static const char whole[] = "\x92\x01\x05"
                                "abcde";
    for (size_t count = 0; count < sizeof whole - 1; count++)
        assert_int_equal(next_of(whole, count), count == 0 ? 0 : -1);
    assert_int_equal(next_of(whole, sizeof whole - 1), 1);
    assert_int_equal(next_of("\x19\1\2\3\4\5\6\7", 8), -1);
    assert_int_equal(next_of("\x25\1\2\3", 4), -1);
    assert_int_equal(next_of("\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12), -1); /* longer than a number is */
    assert_int_equal(next_of("\x12\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11), -1);     /* a length of 2^64 - 1 */
    assert_int_equal(next_of("\x0B\x0C", 2), -1);                                          /* a group */
    assert_int_equal(next_of("\x0E\x00", 2), -1);
    assert_int_equal(next_of("\x00\x00", 2), -1); /* no number */
    assert_int_equal(next_of("\xF8\xFF\xFF\xFF\xFF\x01\x00", 7), -1);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static char *directory;

static void file_make(struct lap_foreign_file *file, char *path, size_t path_bytes, const char *text, size_t count)
{
    snprintf(path, path_bytes, "%s/file", directory);
    synthetic_write(path, text, count);
    assert_int_equal(lap_foreign_file_open(file, path, NULL), 0);
}

static void json_values(void **state)
{
    (void)state;
    static const char text[] =
        " {\"a\":\"}]\\\"\",\"ts\" : 12.5,\"x\":{\"ts\":7,\"dur\":8},\"dur\":-3e1,\"s\":\"ts\"}, [1,[2]] ,\"t\\\\\" 17 ]";
    struct lap_foreign_file file;
    struct lap_json_value value;
    struct lap_reader_error error = {0};
    char path[600];
    file_make(&file, path, sizeof path, text, sizeof text - 1);
    assert_int_equal(lap_json_peek(&file), '{');
    assert_int_equal(lap_json_next(&file, &value, &error), LAP_JSON_FOUND);
    assert_int_equal(json_object_size(value.json), 5);
    assert_int_equal(value.ts.bytes, 4);
    assert_memory_equal(value.ts.text, "12.5", 4);
    assert_int_equal(value.dur.bytes, 4);
    assert_memory_equal(value.dur.text, "-3e1", 4);
    json_decref(value.json);
    assert_int_equal(lap_json_peek(&file), ',');
    lap_foreign_file_pass(&file, 1);
    assert_int_equal(lap_json_peek(&file), '[');
    assert_int_equal(lap_json_pass(&file, &error), LAP_JSON_FOUND);
    assert_int_equal(lap_json_peek(&file), ',');
    lap_foreign_file_pass(&file, 1);
    assert_int_equal(lap_json_peek(&file), '"');
    assert_int_equal(lap_json_next(&file, &value, &error), LAP_JSON_FOUND);
    assert_string_equal(json_string_value(value.json), "t\\");
    json_decref(value.json);
    assert_int_equal(lap_json_peek(&file), '1');
    assert_int_equal(lap_json_next(&file, &value, &error), LAP_JSON_FOUND);
    assert_int_equal(json_integer_value(value.json), 17);
    json_decref(value.json);
    assert_int_equal(lap_json_peek(&file), ']');
    assert_int_equal(file.offset, sizeof text - 2);
    lap_foreign_file_done(&file);
}

/* Values that lie across the window's borders, and one that is larger than the window at first. */
static void json_window(void **state)
{
    (void)state;
    const size_t room = UINT64_C(3) << 20;
    char *const text = malloc(room + 64);
    size_t used = 0;
    for (int i = 0; used < room - 1200000; i++)
        used += (size_t)sprintf(text + used, "{\"i\":%d,\"t\":\"%*d\"}", i, i % 977, i);
    const size_t large = used;
    used += (size_t)sprintf(text + used, "{\"t\":\"%*d\"}", 1100000, 5);
    struct lap_foreign_file file;
    struct lap_json_value value;
    char path[600];
    file_make(&file, path, sizeof path, text, used);
    for (int i = 0; file.offset < large; i++) {
        assert_int_equal(lap_json_next(&file, &value, NULL), LAP_JSON_FOUND);
        assert_int_equal(json_integer_value(json_object_get(value.json, "i")), i);
        json_decref(value.json);
    }
    assert_int_equal(file.offset, large);
    assert_int_equal(lap_json_next(&file, &value, NULL), LAP_JSON_FOUND);
    assert_int_equal(json_string_length(json_object_get(value.json, "t")), 1100000);
    json_decref(value.json);
    assert_int_equal(lap_json_peek(&file), -1);
    assert_int_equal(lap_json_next(&file, &value, NULL), LAP_JSON_CUT);
    lap_foreign_file_done(&file);
    free(text);
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"5", 5000},
                {"5.1", 5100},
                {"5.123", 5123},
                {"5.1234", 5123},
                {"5.1235", 5124},
                {"5.12349999", 5123},
                {"-5.0005", -5001},
                {"1764403200123456.789", INT64_C(1764403200123456789)},
                {"4503599627370495", INT64_C(4503599627370495000)},
                {"0.9999", 1000}};
    int64_t ns = 77;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(lap_foreign_us_parse(good[i].text, strlen(good[i].text), &ns));
        assert_int_equal(ns, good[i].ns);
    }
    static const char *const bad[] = {"",   "-", "x", "5x", "1e5", "99999999999999999999", "9007199254740993000",
                                      "+5", ".5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(lap_foreign_us_parse(bad[i], strlen(bad[i]), &ns));
    assert_true(lap_foreign_us_round(1e300, &ns));
    assert_true(ns >= LAP_FOREIGN_NS_MAX && ns != LAP_FOREIGN_STILL_OPEN);
    assert_true(lap_foreign_us_round(-1e300, &ns));
    assert_true(ns <= LAP_FOREIGN_NS_MIN);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

static void names_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name, *format;
        unsigned count;
    } names[] = {{"step 12 of 3", "step %lld of %lld", 2},
                 {"x12", "x12", 0},
                 {"12", "%lld", 1},
                 {"1.5", "1.5", 0},
                 {"v1.2.3", "v1.2.3", 0},
                 {"a(5).", "a(%lld).", 1},
                 {"100%", "%lld%%", 1},
                 {"007", "007", 0},
                 {"-5", "-%lld", 1},
                 {"1234567890123456789", "1234567890123456789", 0},
                 {"\xC3\xA9"
                  "5",
                  "\xC3\xA9"
                  "5",
                  0}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct lap_foreign_parts parts;
        lap_foreign_take_apart(&parts, names[i].name, strlen(names[i].name));
        assert_int_equal(parts.count, names[i].count);
        assert_int_equal(parts.bytes, strlen(names[i].format));
        assert_memory_equal(parts.format, names[i].format, parts.bytes);
    }
    struct lap_foreign_parts parts;
    lap_foreign_take_apart(&parts, "1 2 3 4 5 6 7 8 9 10 11 12 13", 29); /* more than an event has arguments */
    assert_int_equal(parts.count, LAP_FOREIGN_NUMBERS);
    assert_int_equal(parts.numbers[11], 12);
}

/* ---- slices -------------------------------------------------------------------------------------------------------- */

static void put(struct lap_foreign_trace *trace, uint32_t track, uint32_t thread, uint32_t kind, int64_t ns,
                const char *name)
{
    const struct lap_foreign_event event = {.ns = ns,
                                            .name = name ? lap_foreign_name(trace, name, strlen(name)) : LAP_FOREIGN_NONE,
                                            .track = track,
                                            .thread = thread,
                                            .kind = kind};
    lap_foreign_add(trace, &event);
}

static void slices_matched(void **state)
{
    (void)state;
    struct lap_foreign_trace trace = {0};
    struct lap_foreign_slices slices;
    const uint32_t process = lap_foreign_process(&trace, 7), thread = lap_foreign_thread(&trace, process, 8);
    const uint32_t track = lap_foreign_thread_track(&trace, thread);
    assert_int_equal(lap_foreign_process(&trace, 7), process);
    assert_int_equal(lap_foreign_thread(&trace, process, 8), thread);
    put(&trace, track, thread, LAP_FOREIGN_BEGIN, 10, "a");
    put(&trace, track, thread, LAP_FOREIGN_BEGIN, 20, "b");
    put(&trace, track, thread, LAP_FOREIGN_BEGIN, 30, "a");
    put(&trace, track, thread, LAP_FOREIGN_END, 40, "b");
    put(&trace, track, thread, LAP_FOREIGN_END, 50, NULL);
    put(&trace, track, thread, LAP_FOREIGN_END, 60, "none");
    put(&trace, track, thread, LAP_FOREIGN_END, 70, "a");
    put(&trace, track, thread, LAP_FOREIGN_END, 80, NULL);
    assert_int_equal(lap_foreign_slices_make(&slices, &trace), 0);
    assert_int_equal(slices.count, 3);
    assert_int_equal(slices.slices[0].end_ns, 70);
    assert_int_equal(slices.slices[1].end_ns, 40);
    assert_int_equal(slices.slices[2].end_ns, 50);
    assert_int_equal(trace.left_out[LAP_FOREIGN_ORPHANS], 2);
    lap_foreign_slices_done(&slices);
    lap_foreign_done(&trace);
}

/* A slot is used again only by a handle that begins later than the one before it ended, and with a greater generation. */
static void slots_used_again(void **state)
{
    (void)state;
    enum { HANDLES = 50000 };
    struct lap_foreign_trace trace = {0};
    struct lap_foreign_slices slices;
    struct lap_foreign_classes classes;
    struct lap_foreign_layout layout;
    const uint32_t process = lap_foreign_process(&trace, 7), thread = lap_foreign_no_thread(&trace, process);
    for (int i = 0; i < HANDLES; i++) {
        char key[32];
        const uint32_t track = lap_foreign_track(&trace, key, (size_t)snprintf(key, sizeof key, "a%d", i));
        put(&trace, track, thread, LAP_FOREIGN_BEGIN, i, "r");
        put(&trace, track, thread, LAP_FOREIGN_END, i + i * 7919 % 1000, "r");
    }
    assert_int_equal(lap_foreign_slices_make(&slices, &trace), 0);
    assert_int_equal(lap_foreign_classes_make(&classes, &trace), 0);
    assert_int_equal(lap_foreign_layout_make(&layout, &trace, &slices, &classes), 0);
    assert_int_equal(lap_foreign_layout_process(&layout, process), 0);
    assert_int_equal(layout.handle_count, HANDLES);
    assert_int_equal(layout.stored_count, 2 * HANDLES);
    int64_t *const ended = calloc(2000, sizeof *ended);
    uint32_t *const generation = calloc(2000, sizeof *generation);
    for (size_t i = 0; i < layout.stored_count; i++) { /* one thread: by time */
        const struct lap_foreign_stored *const stored = &layout.stored[i];
        const uint64_t number = layout.handles[stored->handle].number;
        const uint32_t slot = (uint32_t)number;
        assert_in_range(slot, 1, 1002); /* no more than are open at once */
        if (stored->kind == LAP_FOREIGN_BEGIN) {
            assert_true(generation[slot] == 0 || stored->ns > ended[slot]);
            assert_true((uint32_t)(number >> 32) > generation[slot]);
            generation[slot] = (uint32_t)(number >> 32);
            ended[slot] = INT64_MAX;
        } else {
            assert_int_equal(generation[slot], number >> 32);
            ended[slot] = stored->ns;
        }
    }
    free(ended);
    free(generation);
    lap_foreign_layout_done(&layout);
    lap_foreign_classes_done(&classes);
    lap_foreign_slices_done(&slices);
    lap_foreign_done(&trace);
}

static int setup(void **state)
{
    (void)state;
    directory = synthetic_directory();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_remove(directory);
    free(directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_fields), cmocka_unit_test(protobuf_damage),
        cmocka_unit_test(json_values),     cmocka_unit_test(json_window),
        cmocka_unit_test(times),           cmocka_unit_test(names_apart),
        cmocka_unit_test(slices_matched),  cmocka_unit_test(slots_used_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
