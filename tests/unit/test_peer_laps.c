/* SPDX-License-Identifier: MIT
 *
 * The notes behind a reply's trailer: what is written is read, and of what no server would send nothing is believed.
 */
#define _GNU_SOURCE
#include "peer_laps.h"

#include "lapmark/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

/* Notes as a peer might send them. */
struct notes {
    uint8_t bytes[512];
    uint64_t count;
};

static void note_put(struct notes *notes, uint8_t type, uint8_t length, const void *bytes, size_t count)
{
    notes->bytes[notes->count] = type;
    notes->bytes[notes->count + 1] = length;
    memcpy(notes->bytes + notes->count + 2, bytes, count);
    notes->count += 2 + count;
}

static void lap_put(struct notes *notes, uint64_t sum_ns, uint32_t count, const char *label, size_t label_bytes)
{
    uint8_t lap[300];
    memcpy(lap, &sum_ns, 8);
    memcpy(lap + 8, &count, 4);
    memcpy(lap + 12, label, label_bytes);
    note_put(notes, 2, (uint8_t)(12 + label_bytes), lap, 12 + label_bytes);
}

/* Reads them where the memory behind is not theirs. Returns the laps as text, with "!" behind where something was left out. */
static const char *read_text(const struct notes *notes, uint64_t server_ns)
{
    static char text[1024];
    struct lap_peer_lap laps[LAP_PEER_LAPS];
    uint8_t *const copy = malloc(notes->count + 1);
    int is_bad = -1;
    assert_non_null(copy);
    memcpy(copy, notes->bytes, notes->count);
    copy[notes->count] = 2;
    const uint32_t count = lap_peer_laps_read(laps, copy, notes->count, (double)server_ns, &is_bad);
    free(copy);
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s x%u %.1f", i > 0 ? ", " : "", laps[i].label,
                                 laps[i].count, laps[i].sum_ns / 1e6);
    snprintf(text + used, sizeof text - used, "%s", is_bad == 1 ? "!" : is_bad == 0 ? "" : "?");
    return text;
}

static void test_written_is_read(void **state)
{
    (void)state;
    const struct lap_peer_lap laps[] = {
        {50.1e6, 3, "array lookup"}, {7.8e6, 1, "parse"}, {1e6, 1, "größer"}, {5e5, 9, "(rest)"}, {4e5, 1, "a fifth"}};
    struct notes notes;
    notes.count = lap_peer_laps_write(notes.bytes, sizeof notes.bytes, laps, 5, 60e6);
    assert_int_equal(notes.count, 4 * 14 + 12 + 5 + 8 + 6 + 1);
    assert_string_equal(read_text(&notes, 60 * MS), "array lookup x3 50.1, parse x1 7.8, größer x1 1.0, (rest) x9 0.5");
    /* Into less room go those that fit; no byte behind it is written. */
    for (uint64_t room = 0; room <= notes.count; room++) {
        struct notes less;
        memset(less.bytes, 0xEE, sizeof less.bytes);
        less.count = lap_peer_laps_write(less.bytes, room, laps, 5, 60e6);
        assert_true(less.count <= room && less.bytes[room] == 0xEE);
        assert_null(strchr(read_text(&less, 60 * MS), '!'));
    }
    /* Not more than the server took: its clock is read later than its laps' begin. */
    notes.count = lap_peer_laps_write(notes.bytes, sizeof notes.bytes, laps, 2, 52e6);
    assert_string_equal(read_text(&notes, 52 * MS), "array lookup x3 50.1, parse x1 1.9");
    /* A long label goes as its first bytes, cut at a character. */
    struct lap_peer_lap longest = {1e6, 1, "äääääääääääääääääääääääää"};
    notes.count = lap_peer_laps_write(notes.bytes, sizeof notes.bytes, &longest, 1, 1e6);
    assert_string_equal(read_text(&notes, MS), "ääääääääääääääääää… x1 1.0");
    notes.count = lap_peer_laps_write(notes.bytes, sizeof notes.bytes, laps, 0, 1e6);
    assert_int_equal(notes.count, 0);
}

static void test_sorted_and_joined(void **state)
{
    (void)state;
    struct notes notes = {.count = 0};
    lap_put(&notes, MS, 1, "small", 5);
    note_put(&notes, 1, 8, "span id.", 8);
    lap_put(&notes, 2 * MS, 1, "great", 5);
    note_put(&notes, 77, 0, "", 0);
    lap_put(&notes, 3 * MS, UINT32_MAX, "small", 5);
    note_put(&notes, 0, 255, "behind the end there may be anything", 36);
    assert_string_equal(read_text(&notes, 10 * MS), "small x4294967295 4.0, great x1 2.0");
}

/* What is wrong is left out, and what is right stays. */
static void test_malformed(void **state)
{
    (void)state;
    char long_label[256];
    memset(long_label, 'x', sizeof long_label);
    struct notes notes = {.count = 0};
    assert_string_equal(read_text(&notes, MS), "");
#define CASE(wanted, ...)                                                                                                \
    do {                                                                                                                 \
        notes.count = 0;                                                                                                 \
        lap_put(&notes, MS, 1, "good", 4);                                                                               \
        __VA_ARGS__;                                                                                                     \
        assert_string_equal(read_text(&notes, 10 * MS), "good x1 1.0" wanted);                                           \
    } while (0)
    CASE("", (void)0);
    CASE("!", note_put(&notes, 2, 0, "", 0));              /* nothing in it */
    CASE("!", note_put(&notes, 2, 11, "12345678901", 11)); /* no count */
    CASE("!", lap_put(&notes, MS, 1, "", 0));              /* no label */
    CASE("!", lap_put(&notes, MS, 0, "none", 4));          /* of no checkpoint */
    CASE("!", lap_put(&notes, 10 * MS, 1, "together", 8)); /* more than the server took */
    CASE("!", lap_put(&notes, UINT64_MAX, 1, "for ever", 8));
    CASE("!", lap_put(&notes, MS, 1, long_label, 41));    /* a longer label than is sent */
    CASE("!", note_put(&notes, 2, 255, long_label, 255)); /* longer than all notes */
    CASE("!", notes.bytes[notes.count++] = 2);            /* cut behind the type, the length, in the label */
    CASE("!", (lap_put(&notes, MS, 1, "cut", 3), notes.count -= 15));
    CASE("!", (lap_put(&notes, MS, 1, "cut", 3), notes.count--));
    CASE("!", (note_put(&notes, 9, 50, long_label, 10))); /* also of one that is not known */
    CASE("", (note_put(&notes, 0, 0, "", 0), lap_put(&notes, MS, 0, "behind the end", 14)));
    CASE(", \\x1b[2J x1 1.0", lap_put(&notes, MS, 1, "\x1b[2J", 4));
    CASE(", a\\xe2\\x80\\xaeb x1 1.0", lap_put(&notes, MS, 1, "a\u202Eb", 5));
    CASE(", \\xe2\\x80\\x8e\\xd8\\x9c\\xe2\\x81\\xa9 x1 1.0", lap_put(&notes, MS, 1, "\u200E\u061C\u2069", 8));
    CASE(", \\xff\\xc3 x1 1.0", lap_put(&notes, MS, 1, "\xff\xc3", 2)); /* no UTF-8, and a character that is cut */
    CASE(", a\\x00b\\n x1 1.0", lap_put(&notes, MS, 1, "a\0b\n", 4));
    /* So many escapes that they do not fit. */
    CASE(", \\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01\\x01… x1 1.0",
         lap_put(&notes, MS, 1, "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 20));
    /* More laps than a server tells, and notes behind their end. */
    CASE(", a x1 1.0, b x1 1.0, c x1 1.0!", (lap_put(&notes, MS, 1, "a", 1), lap_put(&notes, MS, 1, "b", 1),
                                             lap_put(&notes, MS, 1, "c", 1), lap_put(&notes, MS, 1, "d", 1)));
    CASE("!", (note_put(&notes, 3, 176, long_label, 176), lap_put(&notes, MS, 1, "past the end", 12)));
}

/* Any bytes: no lap is above the server's time, no label holds what moves a cursor, and all of it ends. */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 50000; round++) {
        struct notes notes = {.count = (unsigned)rand() % 260};
        for (uint64_t i = 0; i < notes.count; i++)
            notes.bytes[i] = (uint8_t)(rand() % 4 ? rand() % 30 : rand());
        struct lap_peer_lap laps[LAP_PEER_LAPS];
        double sum_ns = 0;
        int is_bad;
        const uint32_t count = lap_peer_laps_read(laps, notes.bytes, notes.count, 1e18, &is_bad);
        assert_true(count <= LAP_PEER_LAPS);
        for (uint32_t i = 0; i < count; i++) {
            sum_ns += laps[i].sum_ns;
            assert_true(i == 0 || laps[i].sum_ns <= laps[i - 1].sum_ns);
            assert_in_range(strnlen(laps[i].label, sizeof laps[i].label), 1, sizeof laps[i].label - 1);
            for (const char *at = laps[i].label; *at; at++)
                assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
        }
        assert_true(sum_ns <= 1.0011e18);
    }
}

/* Of a sum of several calls the first labels are held; the rest is left out. */
static void test_sums(void **state)
{
    (void)state;
    struct lap_peer_lap sums[LAP_PEER_LAPS_HELD];
    uint32_t count = 0;
    for (unsigned i = 0; i < 3 * LAP_PEER_LAPS_HELD; i++) {
        struct lap_peer_lap lap = {i, 1, ""};
        snprintf(lap.label, sizeof lap.label, "label %u", i % (2 * LAP_PEER_LAPS_HELD));
        lap_peer_laps_add(sums, &count, LAP_PEER_LAPS_HELD, &lap);
    }
    assert_int_equal(count, LAP_PEER_LAPS_HELD);
    lap_peer_laps_sort(sums, count);
    for (unsigned i = 0; i < count; i++) {
        char label[16];
        snprintf(label, sizeof label, "label %u", LAP_PEER_LAPS_HELD - 1 - i);
        assert_string_equal(sums[i].label, label);
        assert_int_equal(sums[i].count, 2);
        assert_true(sums[i].sum_ns == 2.0 * (LAP_PEER_LAPS_HELD - 1 - i) + 2 * LAP_PEER_LAPS_HELD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_sorted_and_joined),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
