/* SPDX-License-Identifier: MIT */
#include "interned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 100000 };

/* Each is the beginning of those before it, so that which meet in the table are told apart by all of their bytes. */
static void test_texts_are_kept_once(void **state)
{
    enum { LONGEST = 2000 };
    struct lap_texts texts = {.bytes_max = LONGEST * LONGEST};
    char text[LONGEST];
    (void)state;
    memset(text, 'x', sizeof text);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < LONGEST; i++)
            assert_int_equal(lap_texts_get(&texts, text, LONGEST - i), i);
    for (uint32_t i = 0; i < LONGEST; i++)
        assert_int_equal(strlen(lap_texts_text(&texts, i)), LONGEST - i);
    assert_int_equal(lap_texts_get(&texts, "", 0), LONGEST);
    assert_int_equal(texts.index.count, LONGEST + 1);
    lap_texts_done(&texts);
}

static void test_texts_are_bounded(void **state)
{
    struct lap_texts texts = {.bytes_max = 1000};
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(lap_texts_get(&texts, text, 500), 0);
    assert_int_equal(lap_texts_get(&texts, text, 1500), LAP_INTERNED_NONE);
    assert_int_equal(lap_texts_get(&texts, text, 501), LAP_INTERNED_NONE);
    assert_int_equal(lap_texts_get(&texts, text, 400), 1);
    assert_int_equal(lap_texts_get(&texts, text, 500), 0); /* it is known still */
    lap_texts_done(&texts);
}

static void test_keys_are_kept_once_and_bounded(void **state)
{
    struct lap_keys keys = {0};
    (void)state;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < MANY; i++)
            assert_int_equal(lap_keys_get(&keys, (uint32_t[4]){i % 7, 0, i / 3, i % 3}, MANY), i);
    const uint32_t one_more[4] = {1, 1, 0, 0};
    assert_int_equal(lap_keys_get(&keys, one_more, MANY), LAP_INTERNED_NONE);
    assert_int_equal(lap_keys_get(&keys, one_more, MANY + 1), MANY);
    assert_memory_equal(keys.keys[MANY], one_more, sizeof one_more);
    lap_keys_done(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_are_kept_once),
        cmocka_unit_test(test_texts_are_bounded),
        cmocka_unit_test(test_keys_are_kept_once_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
