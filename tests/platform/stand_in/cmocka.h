/* SPDX-License-Identifier: MIT
 *
 * What the tests take of cmocka, for machines that there is no cmocka of here. TEST_ONLY and TEST_NOT are patterns of tests.
 */
#ifndef TEST_STAND_IN_CMOCKA_H
#define TEST_STAND_IN_CMOCKA_H

#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
    int (*setup)(void **state), (*teardown)(void **state);
};
#define cmocka_unit_test(function)                                                                                       \
    {                                                                                                                    \
#function, function, NULL, NULL                                                                                  \
    }
#define cmocka_unit_test_setup_teardown(function, setup, teardown)                                                       \
    {                                                                                                                    \
#function, function, setup, teardown                                                                             \
    }
#define cmocka_run_group_tests(tests, setup, teardown)                                                                   \
    stand_in_run(tests, sizeof(tests) / sizeof *(tests), setup, teardown)

/* One for each file: a failure anywhere else ends the program. */
static jmp_buf stand_in_out __attribute__((unused));
static int stand_in_is_inside __attribute__((unused));

static inline void __attribute__((noreturn)) stand_in_leave(int how)
{
    if (stand_in_is_inside)
        longjmp(stand_in_out, how);
    exit(100);
}

static inline int stand_in_run(const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
                               int (*teardown)(void **))
{
    void *volatile state = NULL;
    volatile int failed = 0;
    if (setup && setup((void **)&state) != 0)
        return 1;
    const char *const only = getenv("TEST_ONLY"), *const without = getenv("TEST_NOT");
    for (volatile size_t i = 0; i < count; i++) {
        void *own = state;
        if ((only && fnmatch(only, tests[i].name, 0) != 0) || (without && fnmatch(without, tests[i].name, 0) == 0))
            continue;
        stand_in_is_inside = 1;
        const int how = setjmp(stand_in_out);
        if (how == 0) {
            if (tests[i].setup && tests[i].setup(&own) != 0)
                stand_in_leave(1);
            tests[i].run(&own);
            if (tests[i].teardown && tests[i].teardown(&own) != 0)
                stand_in_leave(1);
        }
        stand_in_is_inside = 0;
        fprintf(stderr, "%s: %s\n", how == 0 ? "passed" : how == 2 ? "skipped" : "failed", tests[i].name);
        failed += how == 1;
    }
    return teardown && teardown((void **)&state) != 0 ? failed + 1 : failed;
}

#define cmocka_set_test_filter(pattern) ((void)(pattern)) /* it looks at the variables itself */
#define cmocka_set_skip_filter(pattern) ((void)(pattern))
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define skip() stand_in_leave(2)
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fprintf(stderr, "\n%s:%d\n", __FILE__, __LINE__), stand_in_leave(1))
#define assert_true(holds) ((holds) ? (void)0 : fail_msg("not so: %s", #holds))
#define assert_false(holds) assert_true(!(holds))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) assert_true((const void *)(a) != (const void *)(b))
static inline void stand_in_equal(uint64_t a, uint64_t b, int is_equal, const char *text, const char *file, int line)
{
    if ((a == b) == is_equal)
        return;
    fprintf(stderr, "%s: %#llx, %#llx\n%s:%d\n", text, (unsigned long long)a, (unsigned long long)b, file, line);
    stand_in_leave(1);
}
#define assert_int_equal(a, b) stand_in_equal((uint64_t)(a), (uint64_t)(b), 1, #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) stand_in_equal((uint64_t)(a), (uint64_t)(b), 0, #a " != " #b, __FILE__, __LINE__)
#define assert_in_range(value, least, most)                                                                              \
    assert_true((uint64_t)(value) >= (uint64_t)(least) && (uint64_t)(value) <= (uint64_t)(most))
#define assert_string_equal(a, b) (strcmp(a, b) == 0 ? (void)0 : fail_msg("'%s'\nis not\n'%s'", a, b))
#define assert_memory_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) == 0)
#define assert_memory_not_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) != 0)

#endif
