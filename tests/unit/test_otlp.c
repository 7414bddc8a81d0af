/* SPDX-License-Identifier: MIT
 *
 * Spans of OTLP at their bounds: what is kept, what is counted, and that both encodings have room for it. Ids.
 */
#include "otlp.h"
#include "otlp_steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char quotes[4096]; /* two characters each in JSON */

static void keep_laps(struct lap_otlp_store *store, struct lap_otlp_kept **kept, uint32_t count, uint32_t name_id,
                      uint32_t name_bytes, const char *message)
{
    const struct lap_span span = {.handle = 1};
    const struct lap_thread thread = {.id = UINT64_MAX >> 1};
    const struct lap_span_lap lap = {.thread = &thread,
                                     .end_ns = UINT64_MAX,
                                     .lap_ns = UINT64_MAX >> 1,
                                     .name = {quotes, name_bytes, name_id},
                                     .message = message,
                                     .n = INT64_MIN,
                                     .has_n = true,
                                     .class_id = 100};
    for (uint32_t i = 0; i < count; i++)
        lap_otlp_keep_lap(store, kept, &span, &lap);
}

/* Bytes of the greatest span with what is kept. */
static size_t encoded_bytes(const struct lap_otlp_encoding *encoding, const struct lap_otlp_kept *kept)
{
    char *const room = malloc(2 * LAP_OTLP_SPAN_BYTES), *const attributes = calloc(1, LAP_OTLP_ATTRIBUTES);
    const struct lap_otlp_span span = {.id = {UINT64_MAX, UINT64_MAX, UINT64_MAX},
                                       .parent = UINT64_MAX,
                                       .flags = UINT32_MAX,
                                       .kind = LAP_OTLP_SERVER,
                                       .name = {quotes, sizeof quotes - 1, 1},
                                       .begin_ns = UINT64_MAX,
                                       .end_ns = UINT64_MAX,
                                       .attributes = {attributes, LAP_OTLP_ATTRIBUTES},
                                       .kept = kept};
    assert_non_null(room);
    assert_non_null(attributes);
    const size_t bytes = (size_t)(encoding->span(room, &span) - room);
    free(attributes);
    free(room);
    return bytes;
}

static void check_room(uint32_t name_id, uint32_t name_bytes, const char *message)
{
    const struct lap_span_id other = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct lap_otlp_store store = {.bytes = 0};
    struct lap_otlp_kept *kept = NULL;
    for (uint32_t i = 0; i < 200; i++)
        lap_otlp_keep_link(&store, &kept, LAP_OTLP_LINK_FOLLOWS, &other);
    lap_otlp_keep_link(&store, &kept, LAP_OTLP_LINK_PARENT, &other);
    lap_otlp_keep_link(&store, &kept, LAP_OTLP_LINK_INSIDE, &other);
    assert_int_equal(kept->links, LAP_OTLP_LINKS);
    assert_int_equal(kept->dropped_links, 202 - LAP_OTLP_LINKS);
    keep_laps(&store, &kept, 2000, name_id, name_bytes, message);
    assert_int_equal(kept->events + kept->dropped_events, 2000);
    assert_true(kept->events > 25 && kept->events <= LAP_OTLP_EVENTS);
    assert_true(encoded_bytes(&lap_otlp_protobuf, kept) <= LAP_OTLP_SPAN_BYTES);
    assert_true(encoded_bytes(&lap_otlp_json, kept) <= LAP_OTLP_SPAN_BYTES);
    lap_otlp_kept_free(&store, kept);
    assert_int_equal(store.bytes, 0);
    lap_otlp_store_done(&store);
}

static void test_a_span_has_room(void **state)
{
    (void)state;
    memset(quotes, '"', sizeof quotes - 1);
    check_room(1, 10, NULL);
    check_room(1, 10, quotes + sizeof quotes - 150);
    check_room(0, 200, quotes + sizeof quotes - 50);
    check_room(1, sizeof quotes - 1, NULL);
    check_room(0, sizeof quotes - 1, quotes);
}

static void test_all_are_bounded(void **state)
{
    enum { SPANS = 1000 };
    static struct lap_otlp_kept *kept[SPANS];
    struct lap_otlp_store store = {.bytes = 0};
    (void)state;
    for (uint32_t i = 0; i < SPANS; i++)
        keep_laps(&store, &kept[i], 1000, 1, 10, NULL);
    assert_true(store.bytes <= LAP_OTLP_ALL_BYTES + SPANS * 400); /* each may keep a few, come what may */
    assert_int_equal(kept[0]->events, 1000);
    assert_true(kept[SPANS - 1]->dropped_events > 0);
    for (uint32_t i = 0; i < SPANS; i++) {
        assert_int_equal(kept[i]->events + kept[i]->dropped_events, 1000);
        lap_otlp_kept_free(&store, kept[i]);
    }
    assert_int_equal(store.bytes, 0);
    lap_otlp_store_done(&store);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_ids_are_all_different(void **state)
{
    enum { COUNT = 100000 };
    static uint64_t ids[2 * COUNT];
    const struct lap_otlp_steps one = {.of_process = 1}, other = {.of_process = UINT64_MAX / 3};
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        ids[2 * i] = lap_otlp_id_make(&one, i);
        ids[2 * i + 1] = lap_otlp_id_make(&other, i);
        const struct lap_span_id trace = lap_otlp_trace_make(&one, ids[2 * i]);
        assert_true(trace.span == ids[2 * i] && trace.trace_high != 0);
    }
    qsort(ids, 2 * COUNT, sizeof *ids, compare);
    assert_true(ids[0] != 0);
    for (uint32_t i = 1; i < 2 * COUNT; i++)
        assert_true(ids[i] != ids[i - 1]);
    assert_int_equal(lap_otlp_id_make(&(struct lap_otlp_steps){.of_process = 0}, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_span_has_room), cmocka_unit_test(test_all_are_bounded),
                                       cmocka_unit_test(test_ids_are_all_different)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
