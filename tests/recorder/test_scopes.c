/* SPDX-License-Identifier: MIT
 *
 * Scopes and their checkpoints as a user writes them, by what they print.
 */
#define _GNU_SOURCE
#include "run_case.h"

#include <lapmark.h>

#include <string.h>
#include <unistd.h>

/* ---- what a report looks like -------------------------------------------------------------------------------------- */

static int case_report(void)
{
    const size_t gaps = 12;
    LAP_PROFILE("markup_gaps() for %zu gaps", gaps);
    LAP_MARK("initial redraw");
    LAP_MARK("built %zu annotation specs", gaps);
    for (size_t i = 0; i < gaps; i++)
        LAP_MARK("applied");
    LAP_MARK_N(gaps, "array lookup");
    return 0;
}

static void test_report(void **state)
{
    (void)state;
    struct outcome outcome = run_case("report", NULL);
    assert_printed(&outcome, "> Entering markup_gaps() for 12 gaps\n"
                             "  initial redraw: T, tot: T\n"
                             "  built 12 annotation specs: T, tot: T\n"
                             "  applied (x12): T, tot: T, mean T, max T\n"
                             "  array lookup: T, tot: T, n=12\n"
                             "  (rest): T\n"
                             "< Exiting markup_gaps() for 12 gaps, total time: T\n");
}

static int case_nested(void)
{
    LAP_PROFILE("outer");
    LAP_MARK("before");
    {
        LAP_PROFILE("inner %d", 1);
        {
            LAP_PROFILE("innermost");
        }
        LAP_MARK("inside");
    }
    LAP_MARK("between");
    for (int i = 0; i < 5; i++) {
        LAP_PROFILE("repeated");
        LAP_MARK("step");
    }
    LAP_MARK("after");
    return 0;
}

static void test_nested(void **state)
{
    (void)state;
    struct outcome outcome = run_case("nested", NULL);
    assert_printed(&outcome, "> Entering outer\n"
                             "  before: T, tot: T\n"
                             "  > Entering inner 1\n"
                             "    > Entering innermost\n"
                             "    < Exiting innermost, total time: T\n"
                             "    inside: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting inner 1, total time: T\n"
                             "  between: T, tot: T\n"
                             "  > repeated (x5): total T, mean T, max T\n"
                             "    > Entering repeated (slowest)\n"
                             "      step: T, tot: T\n"
                             "      (rest): T\n"
                             "    < Exiting repeated, total time: T\n"
                             "  after: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting outer, total time: T\n");
}

/* Three of a label are three lines; the fourth folds them, adjacent or not. */
static int case_folding(void)
{
    {
        LAP_PROFILE("three");
        for (int i = 0; i < 3; i++) {
            LAP_MARK("a %d", i);
            LAP_MARK_N(i, "b");
        }
    }
    LAP_PROFILE("four");
    for (int i = 0; i < 4; i++) {
        LAP_MARK("a %d", i);
        LAP_MARK_N(i, "b");
    }
    return 0;
}

static void test_folding(void **state)
{
    (void)state;
    struct outcome outcome = run_case("folding", NULL);
    assert_printed(&outcome, "> Entering three\n"
                             "  a 0: T, tot: T\n"
                             "  b: T, tot: T, n=0\n"
                             "  a 1: T, tot: T\n"
                             "  b: T, tot: T, n=1\n"
                             "  a 2: T, tot: T\n"
                             "  b: T, tot: T, n=2\n"
                             "  (rest): T\n"
                             "< Exiting three, total time: T\n"
                             "> Entering four\n"
                             "  a # (x4): T, tot: T, mean T, max T\n"
                             "  b (x4): T, tot: T, mean T, max T, n=0..3\n"
                             "  (rest): T\n"
                             "< Exiting four, total time: T\n");
}

static int case_numbered(void)
{
    LAP_PROFILE("numbered");
    LAP_MARK();
    LAP_MARK("named");
    LAP_MARK();
    LAP_MARK_N(7, );
    return 0;
}

static void test_numbered(void **state)
{
    (void)state;
    struct outcome outcome = run_case("numbered", NULL);
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    const char *const lines[] = {"> Entering numbered\n", "  named: T, tot: T\n", "n=7\n",
                                 "< Exiting numbered, total time: T\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_non_null(strstr(outcome.err, lines[i]));
    assert_int_equal(count_of(outcome.err, "\n"), 7);
    /* Each has a number of its own. */
    char *const one = strstr(outcome.err, "Entering numbered\n") + strlen("Entering numbered\n");
    char *const three = strstr(outcome.err, "named: T, tot: T\n") + strlen("named: T, tot: T\n");
    assert_memory_not_equal(one, three, strcspn(one, ":"));
    outcome_free(&outcome);
}

static int case_arguments(void)
{
    LAP_PROFILE("%s has %d, %u, %lld, %.2f, %c, %p", "a name", -5, 4000000000u, -9000000000000LL, 2.5, 'x',
                (void *)0x1234);
    LAP_MARK("%5d|%-5d|%05.1f|%x|%%", 42, 42, 3.25, 255u);
    LAP_MARK("%.*s|%*d|%s", 3, "abcdef", 6, 77, (const char *)NULL);
    LAP_MARK("%hhd %hd %zd %jd", (signed char)-1, (short)-2, (ptrdiff_t)-3, (intmax_t)-4);
    LAP_MARK("%lu %i %g %s", 18446744073709551615UL, 1, 0.5f, "");
    LAP_MARK("%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    return 0;
}

static void test_arguments(void **state)
{
    (void)state;
    struct outcome outcome = run_case("arguments", NULL);
    assert_printed(&outcome, "> Entering a name has -5, 4000000000, -9000000000000, 2.50, x, 0x1234\n"
                             "     42|42   |003.2|ff|%: T, tot: T\n"
                             "  abc|    77|(null): T, tot: T\n"
                             "  -1 -2 -3 -4: T, tot: T\n"
                             "  18446744073709551615 1 0.5 : T, tot: T\n"
                             "  123456789101112: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting a name has -5, 4000000000, -9000000000000, 2.50, x, 0x1234, total time: T\n");
}

/* A string is stored up to 255 bytes, whatever its length. */
static int case_long_string(void)
{
    static char text[100000];
    memset(text, 'y', sizeof text - 1);
    LAP_PROFILE("[%s]", text);
    LAP_MARK("<%s|%s>", text, text);
    LAP_MARK_TEXT(text);
    return 0;
}

static void test_long_string(void **state)
{
    (void)state;
    struct outcome outcome = run_case("long_string", NULL);
    assert_ended_well(&outcome);
    char wanted[300] = "[";
    memset(wanted + 1, 'y', 255);
    wanted[256] = ']';
    assert_non_null(strstr(outcome.err, wanted));
    assert_true(outcome.err_bytes < 4096);
    outcome_free(&outcome);
}

/* ---- options ------------------------------------------------------------------------------------------------------- */

static int evaluated;
static int counted(int value)
{
    evaluated++;
    return value;
}

static int case_disabled(void)
{
    LAP_PROFILE("outer");
    LAP_MARK("before");
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled %d", counted(1));
        LAP_MARK("of the disabled one");
        {
            LAP_PROFILE("nested in it");
            LAP_MARK("of the nested one");
            LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled in it");
            LAP_MARK("of the disabled nested one");
            LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "immediate in it");
            LAP_MARK("of the immediate nested one");
        }
        LAP_MARK("of the disabled one again");
        if (LAP_ELAPSED_NS() != 0)
            return 1;
    }
    LAP_MARK("after");
    return 0;
}

static void test_disabled(void **state)
{
    (void)state;
    /* The first pass meets the sites, whose states are not known then; the second goes the short way. */
    struct outcome outcome = run_case("disabled", NULL);
    assert_printed(&outcome, "> Entering outer\n"
                             "  before: T, tot: T\n"
                             "  after: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting outer, total time: T\n");
}

static int case_disabled_again(void)
{
    for (int i = 0; i < 3; i++)
        case_disabled();
    return evaluated <= 1 ? 0 : 1; /* a site that was not met yet is evaluated: it may be named by a term */
}

static void test_disabled_again(void **state)
{
    (void)state;
    struct outcome outcome = run_case("disabled_again", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "\n"), 15);
    assert_int_equal(count_of(outcome.err, "nested"), 0);
    assert_int_equal(count_of(outcome.err, "disabled"), 0);
    outcome_free(&outcome);
}

static int case_thresholds(void)
{
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "fast, threshold high");
        LAP_MARK("unseen");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.5), "slow, threshold low");
        spend_us(600);
        LAP_MARK("seen");
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "inside, below its own");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "silent parent");
        LAP_MARK("of the silent parent");
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.5), "slow child");
        spend_us(600);
        LAP_MARK("of the slow child");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0), "no threshold");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1.0 / 0.0), "threshold infinite");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = -1), "threshold negative");
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.0 / 0.0), "threshold no number");
    }
    return 0;
}

static void test_thresholds(void **state)
{
    (void)state;
    struct outcome outcome = run_case("thresholds", NULL);
    assert_printed(&outcome, "> Entering slow, threshold low\n"
                             "  seen: T, tot: T\n"
                             "  > Entering inside, below its own\n"
                             "  < Exiting inside, below its own, total time: T\n"
                             "  (rest): T\n"
                             "< Exiting slow, threshold low, total time: T\n"
                             "> Entering slow child\n"
                             "  of the slow child: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting slow child, total time: T\n"
                             "> Entering no threshold\n"
                             "< Exiting no threshold, total time: T\n"
                             "> Entering threshold negative\n"
                             "< Exiting threshold negative, total time: T\n"
                             "> Entering threshold no number\n"
                             "< Exiting threshold no number, total time: T\n");
}

static int case_immediate(void)
{
    const int fd = STDERR_FILENO;
    LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1, .threshold_ms = 10000, .n = 3), "immediate %d", 5);
    (void)!write(fd, "1\n", 2);
    LAP_MARK("first");
    (void)!write(fd, "2\n", 2);
    {
        LAP_PROFILE("nested");
        (void)!write(fd, "3\n", 2);
        LAP_MARK_N(9, "inside");
        (void)!write(fd, "4\n", 2);
    }
    {
        LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled");
        LAP_MARK("unseen");
    }
    LAP_MARK("second");
    (void)!write(fd, "5\n", 2);
    return 0;
}

static void test_immediate(void **state)
{
    (void)state;
    struct outcome outcome = run_case("immediate", NULL);
    assert_printed(&outcome, "> Entering immediate 5\n"
                             "1\n"
                             "  first: T, tot: T\n"
                             "2\n"
                             "  > Entering nested\n"
                             "3\n"
                             "    inside: T, tot: T, n=9\n"
                             "4\n"
                             "    (rest): T\n"
                             "  < Exiting nested, total time: T\n"
                             "  second: T, tot: T\n"
                             "5\n"
                             "  (rest): T\n"
                             "< Exiting immediate 5, total time: T, n=3\n");
}

static int case_size(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = -1234567890123), "sized");
    LAP_MARK_N(INT64_MAX, "greatest");
    LAP_MARK_N(INT64_MIN, "least");
    LAP_MARK_N(5u, "%s", "with a string");
    LAP_MARK_TEXT_N(6, "made");
    return 0;
}

static void test_size(void **state)
{
    (void)state;
    struct outcome outcome = run_case("size", NULL);
    assert_printed(&outcome, "> Entering sized\n"
                             "  greatest: T, tot: T, n=9223372036854775807\n"
                             "  least: T, tot: T, n=-9223372036854775808\n"
                             "  with a string: T, tot: T, n=5\n"
                             "  made: T, tot: T, n=6\n"
                             "  (rest): T\n"
                             "< Exiting sized, total time: T, n=-1234567890123\n");
}

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

static void helper(void) { LAP_MARK("by a helper"); }

static int case_end_early(void)
{
    LAP_PROFILE("outer");
    {
        LAP_PROFILE("ended before its block");
        LAP_MARK("in it");
        LAP_END();
        LAP_MARK("of the outer one");
        helper();
        LAP_PROFILE("begun in the block of the ended one");
    }
    LAP_END();
    LAP_END();
    LAP_MARK("of nobody");
    return LAP_ELAPSED_NS() == 0 ? 0 : 1;
}

static void test_end_early(void **state)
{
    (void)state;
    struct outcome outcome = run_case("end_early", NULL);
    assert_printed(&outcome, "> Entering outer\n"
                             "  > Entering ended before its block\n"
                             "    in it: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting ended before its block, total time: T\n"
                             "  of the outer one: T, tot: T\n"
                             "  by a helper: T, tot: T\n"
                             "  > Entering begun in the block of the ended one\n"
                             "  < Exiting begun in the block of the ended one, total time: T\n"
                             "  (rest): T\n"
                             "< Exiting outer, total time: T\n");
}

static int case_elapsed(void)
{
    if (LAP_ELAPSED_NS() != 0)
        return 1;
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "outer");
    spend_us(500);
    if (LAP_ELAPSED_NS() < 490000)
        return 2;
    {
        LAP_PROFILE("inner");
        const uint64_t inner = LAP_ELAPSED_NS();
        spend_us(200);
        if (LAP_ELAPSED_NS() < inner + 195000)
            return 3;
        LAP_MARK("does not start it anew");
        if (LAP_ELAPSED_NS() < inner + 195000)
            return 4;
        LAP_END();
        if (LAP_ELAPSED_NS() < 690000)
            return 5;
    }
    return 0;
}

static void test_elapsed(void **state)
{
    (void)state;
    struct outcome outcome = run_case("elapsed", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

/* Every way out of a block ends it: return, break, continue, goto. */
static int leave(int how)
{
    LAP_PROFILE("leave");
    for (int i = 0; i < 2; i++) {
        LAP_PROFILE("loop");
        LAP_MARK("step");
        if (how == 0)
            return 0;
        if (how == 1)
            break;
        if (how == 2)
            continue;
        goto out;
    }
    LAP_MARK("behind the loop");
out:
    LAP_MARK("out");
    return 1;
}

static int case_ways_out(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "all");
    for (int how = 0; how < 4; how++)
        leave(how);
    if (LAP_ELAPSED_NS() == 0)
        return 1;
    LAP_END();
    return LAP_ELAPSED_NS() == 0 ? 0 : 2;
}

static void test_ways_out(void **state)
{
    (void)state;
    struct outcome outcome = run_case("ways_out", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "> Entering leave"), 4);
    assert_int_equal(count_of(outcome.err, "< Exiting leave"), 4);
    assert_int_equal(count_of(outcome.err, "> Entering loop"), 5);
    assert_int_equal(count_of(outcome.err, "< Exiting loop"), 5);
    assert_int_equal(count_of(outcome.err, "  behind the loop"), 2);
    assert_int_equal(count_of(outcome.err, "  out"), 3);
    assert_int_equal(count_of(outcome.err, "abandoned"), 0);
    outcome_free(&outcome);
}

static void recurse(int depth)
{
    LAP_PROFILE("depth");
    LAP_MARK("at %d", depth);
    if (depth > 1)
        recurse(depth - 1);
    LAP_MARK("back");
}

/* 507 nest; deeper ones are counted and silent, and all is well behind them. */
static int case_deep(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "top");
    recurse(700);
    recurse(3);
    if (LAP_ELAPSED_NS() == 0)
        return 1;
    LAP_END();
    return LAP_ELAPSED_NS() != 0;
}

static void test_deep(void **state)
{
    (void)state;
    struct outcome outcome = run_case("deep", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "abandoned"), 0);
    outcome_free(&outcome);
}

/* ---- labels from run time ------------------------------------------------------------------------------------------ */

static int case_text_labels(void)
{
    char label[64] = "first";
    LAP_PROFILE_TEXT(label);
    strcpy(label, "changed");
    for (int i = 0; i < 6; i++) {
        snprintf(label, sizeof label, "label %d", i % 2);
        LAP_MARK_TEXT(label);
    }
    LAP_MARK_TEXT("100% %d %s");
    LAP_MARK_TEXT((const char *)NULL);
    LAP_MARK_TEXT("");
    {
        LAP_PROFILE_TEXT_WITH(LAP_OPTS(.n = 4), label);
        strcpy(label, "changed again");
    }
    return 0;
}

static void test_text_labels(void **state)
{
    (void)state;
    struct outcome outcome = run_case("text_labels", NULL);
    assert_printed(&outcome, "> Entering first\n"
                             "  label 0: T, tot: T\n"
                             "  label 1: T, tot: T\n"
                             "  label 0: T, tot: T\n"
                             "  label 1: T, tot: T\n"
                             "  label 0: T, tot: T\n"
                             "  label 1: T, tot: T\n"
                             "  100% %d %s: T, tot: T\n"
                             "  (null): T, tot: T\n"
                             "  : T, tot: T\n"
                             "  > Entering label 1\n"
                             "  < Exiting label 1, total time: T, n=4\n"
                             "  (rest): T\n"
                             "< Exiting first, total time: T\n");
}

/* ---- a million labels: bounded ------------------------------------------------------------------------------------- */

static int case_many_labels(void)
{
    long before = 0;
    {
        LAP_PROFILE("many");
        for (int i = 0; i < 1000000; i++) {
            char label[32];
            snprintf(label, sizeof label, "label number %d", i);
            LAP_MARK_TEXT(label);
            if (i == 10000)
                before = status_kib("VmRSS");
        }
    }
    const long grown = status_kib("VmRSS") - before;
    fprintf(stderr, "grown %ld\n", grown);
    return grown < 6144 || is_sanitized() ? 0 : 1; /* the ring's own 4 MiB may have had room left */
}

static void test_many_labels(void **state)
{
    (void)state;
    struct outcome outcome = run_case("many_labels", NULL);
    assert_ended_well(&outcome);
    assert_true(outcome.err_bytes < (64 << 10) + 100);
    assert_int_equal(count_of(outcome.err, "> Entering many\n"), 1);
    assert_int_equal(count_of(outcome.err, "< Exiting many, total"), 1);
    outcome_free(&outcome);
}

/* The exact count in one line, whatever the ring still holds. */
static int case_ten_million(void)
{
    LAP_PROFILE("long");
    for (int i = 0; i < 10000000; i++)
        LAP_MARK("step");
    LAP_MARK("last");
    return 0;
}

static void test_ten_million(void **state)
{
    (void)state;
    struct outcome outcome = run_case("ten_million", "LAPMARK_RING=1M", NULL);
    assert_printed(&outcome, "> Entering long\n"
                             "  step (x10000000): T, tot: T, mean T, max T\n"
                             "  last: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting long, total time: T\n");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_report),      cmocka_unit_test(test_nested),         cmocka_unit_test(test_folding),
        cmocka_unit_test(test_numbered),    cmocka_unit_test(test_arguments),      cmocka_unit_test(test_long_string),
        cmocka_unit_test(test_disabled),    cmocka_unit_test(test_disabled_again), cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_immediate),   cmocka_unit_test(test_size),           cmocka_unit_test(test_end_early),
        cmocka_unit_test(test_elapsed),     cmocka_unit_test(test_ways_out),       cmocka_unit_test(test_deep),
        cmocka_unit_test(test_text_labels), cmocka_unit_test(test_many_labels),    cmocka_unit_test(test_ten_million),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"report", case_report},
        {"nested", case_nested},
        {"folding", case_folding},
        {"numbered", case_numbered},
        {"arguments", case_arguments},
        {"long_string", case_long_string},
        {"disabled", case_disabled},
        {"disabled_again", case_disabled_again},
        {"thresholds", case_thresholds},
        {"immediate", case_immediate},
        {"size", case_size},
        {"end_early", case_end_early},
        {"elapsed", case_elapsed},
        {"ways_out", case_ways_out},
        {"deep", case_deep},
        {"text_labels", case_text_labels},
        {"many_labels", case_many_labels},
        {"ten_million", case_ten_million},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
