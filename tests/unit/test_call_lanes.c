/* SPDX-License-Identifier: MIT
 *
 * Tracks of calls: each call on the first on which it overlaps none, as by trying all.
 */
#include "call_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CALLS = 3000 };

static uint64_t ends[CALLS];

static uint32_t first_free(uint32_t count, uint64_t begin)
{
    uint32_t lane = 0;
    while (lane < count && ends[lane] > begin)
        lane++;
    return lane;
}

static void check_calls(struct lap_call_lanes *lanes, uint32_t seed, uint64_t longest)
{
    uint32_t count = 0;
    srand(seed);
    for (uint64_t call = 0; call < CALLS; call++) {
        const uint64_t end = 10 * call + 100000, begin = end - (uint64_t)rand() % (longest + 1);
        const uint32_t wanted = first_free(count, begin);
        uint32_t lane;
        bool is_new;
        assert_int_equal(lap_call_lanes_take(lanes, begin, end, &lane, &is_new), 0);
        assert_int_equal(lane, wanted);
        assert_int_equal(is_new, wanted == count);
        count += is_new;
        ends[lane] = end;
    }
    assert_int_equal(lanes->count, count);
}

static void the_first_that_is_free(void **state)
{
    static const uint64_t longest[] = {0, 1, 9, 10, 11, 100, 1000, 30000, 100000};
    (void)state;
    for (uint32_t i = 0; i < sizeof longest / sizeof *longest; i++) {
        struct lap_call_lanes lanes = {.ends_ns = NULL};
        check_calls(&lanes, i, longest[i]);
        lap_call_lanes_clear(&lanes);
        check_calls(&lanes, i + 100, longest[i]);
        lap_call_lanes_done(&lanes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_that_is_free)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
