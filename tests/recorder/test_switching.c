/* SPDX-License-Identifier: MIT
 *
 * What is on: the LAPMARK variable and lap_set, LAP_LIBRARY, the prefix, where it prints.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- terms --------------------------------------------------------------------------------------------------------- */

static void parser(void)
{
    LAP_PROFILE("parse %d items", 3);
    LAP_MARK("p");
}

static void writer(void)
{
    LAP_PROFILE("write: all, of it -x");
    LAP_MARK("w");
    {
        LAP_PROFILE("write block");
        LAP_MARK("b");
    }
    parser();
}

static void optional(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "optional part");
    LAP_MARK("o");
    {
        LAP_PROFILE("inside the optional part");
    }
}

static void slow(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 10000), "slow one");
    LAP_MARK("s");
}

static int case_sites(void)
{
    for (int i = 0; i < 2; i++) { /* the second time they are known */
        parser();
        writer();
        optional();
        slow();
        lap_end(lap_begin("handle %d", i));
    }
    return 0;
}

/* One letter for each line of a report: which profilers and checkpoints were there. */
static void assert_seen(const char *terms, const char *wanted)
{
    static const struct {
        const char *text;
        char letter;
    } lines[] = {
        {"> Entering parse 3 items", 'P'},
        {"  p: ", 'p'},
        {"> Entering write: all, of it -x", 'W'},
        {"  w: ", 'w'},
        {"> Entering write block", 'B'},
        {"  b: ", 'b'},
        {"> Entering optional part", 'O'},
        {"  o: ", 'o'},
        {"> Entering inside the optional part", 'I'},
        {"> Entering slow one", 'S'},
        {"  s: ", 's'},
        {"> Entering handle", 'H'},
    };
    struct outcome outcome = run_case("sites", terms ? variable("LAPMARK", terms) : "LAPMARK_NOTHING=1", NULL);
    assert_ended_well(&outcome);
    char seen[64];
    size_t used = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const unsigned count = count_of(outcome.err, lines[i].text);
        assert_int_equal(count % 2, 0);
        if (count != 0)
            seen[used++] = lines[i].letter;
    }
    seen[used] = 0;
    if (strcmp(seen, wanted) != 0)
        print_error("LAPMARK='%s'\n%s", terms ? terms : "(none)", outcome.err);
    assert_string_equal(seen, wanted);
    outcome_free(&outcome);
}

static void test_terms(void **state)
{
    (void)state;
    assert_seen(NULL, "PpWwBbH");
    assert_seen("", "PpWwBbH");
    assert_seen("off", "");
    assert_seen("*", "PpWwBbOoIH");
    /* By message as written, by function, with patterns. */
    assert_seen("parse %d items", "Pp");
    assert_seen("parse*", "Pp");
    assert_seen("parser", "Pp");
    assert_seen("parse", "");
    assert_seen("p?rse*", "Pp");
    assert_seen("*block", "Bb");
    assert_seen("handle*", "H");
    /* Several; the last that matches decides. */
    assert_seen("parse*,write block", "PpBb");
    assert_seen("write*,-write block", "Ww");
    assert_seen("-write*,write block", "PpBbH");
    assert_seen("*,-*", "");
    assert_seen("off,parse*", "Pp");
    /* Negative alone: all others stay. */
    assert_seen("-parse*", "WwBbH");
    assert_seen("-parse*,-handle*", "WwBb");
    /* Escapes. */
    assert_seen("write\\: all\\, of it \\-x", "Ww");
    assert_seen("\\write*", "WwBb");
    assert_seen("parse\\*", "");
    assert_seen("-write\\: all\\, of it -x", "PpH"); /* what is inside goes with it */
    /* A disabled one yields to a term that names it. */
    assert_seen("optional part", "Oo");
    assert_seen("optional*", "OoI"); /* the function's name, too */
    assert_seen("optional*,inside*", "OoI");
    assert_seen("inside*", "I");
    assert_seen("-parse*,optional*", "WwBbOoIH");
    /* Thresholds: the term's goes over the code's. */
    assert_seen("slow*:0", "Ss");
    assert_seen("slow one", "");
    assert_seen("slow*:10s,parse*:1ns", "Pp");
    assert_seen("parse*:1000000000", "");
    assert_seen("*:0", "PpWwBbOoISsH");
    assert_seen("slow:0us,  parse*:0.5ns", "PpSs");
}

/* What cannot be read is said once, and nothing of it holds. */
static void test_bad_terms(void **state)
{
    (void)state;
    static const char *const bad[] = {"parse*:x",    "-parse*:5",  ":5",        "parse*,-",
                                      "parse*:5 ms", "parse*:nan", "parse*:-1", "a:1:2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct outcome outcome = run_case("sites", variable("LAPMARK", bad[i]), NULL);
        assert_ended_well(&outcome);
        if (count_of(outcome.err, "lapmark: cannot read LAPMARK") != 1)
            print_error("LAPMARK='%s'\n%s", bad[i], outcome.err);
        assert_int_equal(count_of(outcome.err, "lapmark: "), 1);
        assert_int_equal(count_of(outcome.err, "> Entering"), 10);
        outcome_free(&outcome);
    }
}

/* ---- lap_set ------------------------------------------------------------------------------------------------------- */

static int case_set(void)
{
    if (lap_set(NULL) != -EINVAL || lap_set("parse*:x") != -EINVAL || lap_set("a,,:") != -EINVAL)
        return 1;
    parser(); /* printed */
    if (lap_set("-parse*") != 0)
        return 2;
    parser();
    if (lap_set("parse*") != 0)
        return 3;
    parser(); /* printed */
    if (lap_set("slow*:0") != 0)
        return 4;
    slow(); /* printed */
    if (lap_set("slow*:5s") != 0)
        return 5;
    slow();
    if (lap_set("off") != 0)
        return 6;
    parser();
    /* As often as one likes. */
    for (int i = 0; i < 1000; i++)
        if (lap_set(i % 2 ? "parse*" : "-parse*") != 0)
            return 7;
    parser(); /* printed */
    return 0;
}

static void test_set(void **state)
{
    (void)state;
    struct outcome outcome = run_case("set", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "> Entering parse"), 3);
    assert_int_equal(count_of(outcome.err, "> Entering slow"), 1);
    outcome_free(&outcome);
}

/* A scope that is open when its site is switched ends as it began; one that is muted stays so. */
static int case_set_inside(void)
{
    for (int round = 0; round < 2; round++) {
        {
            LAP_PROFILE("switched off inside");
            LAP_MARK("before");
            lap_set("-switched off*");
            LAP_MARK("after");
        }
        {
            LAP_PROFILE("switched off inside");
            LAP_MARK("never");
            lap_set("switched off*");
            LAP_MARK("not yet");
        }
    }
    return LAP_ELAPSED_NS() != 0;
}

static void test_set_inside(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("set_inside", variable("LAPMARK_RECORD", directory), "LAPMARK=-nothing", "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "switched off inside"), 2);
    assert_int_equal(stored_named(stored, "lapmark:end"), 2);
    assert_int_equal(stored_named(stored, "before"), 2);
    assert_int_equal(stored_named(stored, "after"), 2);
    stored_free(stored);
}

/* Another thread's switch is seen, and no scope is left half. */
static int stop;
static uint64_t turns;
static void *run_scopes(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        LAP_PROFILE("outer");
        LAP_MARK("o");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e5), "inner");
            LAP_MARK("i");
        }
        LAP_MARK("p");
        __atomic_add_fetch(&turns, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void wait_for_turns(uint64_t count)
{
    const uint64_t until = __atomic_load_n(&turns, __ATOMIC_ACQUIRE) + count;
    while (__atomic_load_n(&turns, __ATOMIC_ACQUIRE) < until)
        sched_yield();
}

static int case_set_meanwhile(void)
{
    static const char *const terms[] = {"-outer", "outer", "-inner", "inner", "off", "*:1000000", "-*", "outer,inner"};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, run_scopes, NULL);
    for (unsigned i = 0; i < 400; i++) {
        if (lap_set(terms[i % 8]) != 0)
            return 1;
        wait_for_turns(5);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_set_meanwhile(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("set_meanwhile", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_RING=64M", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    /* In each ring every begin has its end, and so has what was open where it starts. */
    for (size_t i = 0; i < stored->count;) {
        const struct stored_event *const first = &stored->events[i];
        size_t begins = 0, opens = 0, ends = 0;
        for (; i < stored->count && stored->events[i].stream == first->stream; i++) {
            begins += strncmp(stored->events[i].kind, "begin", 5) == 0;
            opens += stored->events[i].class_id == LAP_FORMAT_OPEN && stored->events[i].sequence == first->sequence;
            ends += stored->events[i].class_id == LAP_FORMAT_END;
        }
        assert_int_equal(begins + opens, ends);
    }
    assert_int_equal(stored_named(stored, "lapmark:abandoned"), 0);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

/* Threads at full speed see a switch with the next checkpoint: whoever knows that it was made stores none, or all. */
enum { SWITCHES = 40, TOLD_EACH = 200, SPEEDING = 3 };
static pthread_barrier_t round_ends;
static unsigned told;

static void *speed(void *argument)
{
    for (unsigned i = 1; i <= SWITCHES; i++) {
        while (__atomic_load_n(&told, __ATOMIC_ACQUIRE) < i)
            LAP_MARK("not told");
        for (int k = 0; k < TOLD_EACH; k++) {
            if (i % 2 != 0)
                LAP_MARK("told that it is off");
            else
                LAP_MARK("told that it is on");
        }
        pthread_barrier_wait(&round_ends);
    }
    return argument;
}

static int case_set_is_seen(void)
{
    pthread_t threads[SPEEDING];
    pthread_barrier_init(&round_ends, NULL, SPEEDING + 1);
    for (int i = 0; i < SPEEDING; i++)
        pthread_create(&threads[i], NULL, speed, NULL);
    for (unsigned i = 1; i <= SWITCHES; i++) {
        if (lap_set(i % 2 != 0 ? "off" : "*") != 0)
            return 1;
        __atomic_store_n(&told, i, __ATOMIC_RELEASE);
        pthread_barrier_wait(&round_ends);
    }
    for (int i = 0; i < SPEEDING; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_set_is_seen(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("set_is_seen", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_MODE=full", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "told that it is off"), 0);
    assert_int_equal(stored_named(stored, "told that it is on"), SWITCHES / 2 * TOLD_EACH * SPEEDING);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

/* ---- a library's own ----------------------------------------------------------------------------------------------- */

#undef LAP_I_FLAGS
#define LAP_I_FLAGS LAP_IMPL_SITE_LIBRARY /* as in a file with LAP_LIBRARY before the include */
static int case_library(void)
{
    LAP_PROFILE("of a library");
    LAP_MARK("step");
    lap_end(lap_begin("handle of a library"));
    return 0;
}
#undef LAP_I_FLAGS
#define LAP_I_FLAGS 0

static void test_library(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("library", variable("LAPMARK_RECORD", directory), NULL);
    assert_printed(&outcome, "");
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "step"), 1); /* silent, and recorded */
    stored_free(stored);
    outcome = run_case("library", "LAPMARK=*library", NULL);
    assert_printed(&outcome, "> Entering handle of a library\n"
                             "< Exiting handle of a library, total time: T\n"
                             "> Entering of a library\n"
                             "  step: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting of a library, total time: T\n");
}

/* ---- where and how it prints --------------------------------------------------------------------------------------- */

static void *on_named_thread(void *argument)
{
    (void)argument;
    lap_thread_name("a worker with a name longer than 31 bytes");
    LAP_PROFILE("on a thread");
    LAP_MARK("m");
    char name[32];
    prctl(PR_GET_NAME, name);
    return strcmp(name, "kernel's") == 0 ? NULL : argument;
}

static int case_prefix(void)
{
    prctl(PR_SET_NAME, "kernel's");
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, on_named_thread, "");
    pthread_join(thread, &result);
    printf("%d %s\n", getpid(), program_invocation_short_name);
    LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "at once");
    LAP_MARK("i");
    return result != NULL;
}

static void test_prefix(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("prefix", "LAPMARK_PREFIX=on", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s[%ld/", strchr(outcome.out, ' ') + 1, strtol(outcome.out, NULL, 10));
    memmove(strchr(wanted, '\n'), strchr(wanted, '\n') + 1, strlen(strchr(wanted, '\n')));
    assert_int_equal(count_of(outcome.err, "\n"), 8);
    assert_int_equal(count_of(outcome.err, wanted), 8);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    size_t names = 0;
    for (size_t i = 0; i < stored->count; i++)
        if (strcmp(stored->events[i].name, "lapmark:thread") == 0)
            names += strcmp((const char *)(stored->events[i].words + 4), "a worker with a name longer tha") == 0;
    assert_int_equal(names, 1);
    stored_free(stored);
}

static int case_one(void)
{
    LAP_PROFILE("one");
    return 0;
}

static void test_print_variable(void **state)
{
    (void)state;
    struct outcome outcome = run_case("one", "LAPMARK_PRINT=off", NULL);
    assert_printed(&outcome, "");
    outcome = run_case("one", "LAPMARK_PRINT=stderr", NULL);
    assert_printed(&outcome, "> Entering one\n< Exiting one, total time: T\n");
    outcome = run_case("one", "LAPMARK_PRINT=stdout", NULL);
    assert_int_equal(count_of(outcome.out, "> Entering one\n"), 1);
    assert_printed(&outcome, "");
    outcome = run_case("one", "LAPMARK_PRINT=1", NULL);
    assert_int_equal(count_of(outcome.out, "> Entering one\n"), 1);
    assert_printed(&outcome, "");
}

static void test_bad_sizes(void **state)
{
    (void)state;
    static const char *const bad[] = {"x", "-1", "1X", "1MM", "99999999999999999999", "17179869184G"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const directory = temporary_directory();
        struct outcome outcome =
            run_case("one", variable("LAPMARK_RING", bad[i]), variable("LAPMARK_RECORD", directory), NULL);
        assert_ended_well(&outcome);
        assert_int_equal(count_of(outcome.err, "lapmark: cannot read LAPMARK_RING="), 1);
        assert_int_equal(count_of(outcome.err, "> Entering one\n"), 1);
        outcome_free(&outcome);
        babeltrace_agrees(process_directory(directory, 0));
    }
    /* As small and as large as can be said. */
    static const char *const odd[] = {"0", "1", "1K", "1000000000G"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct outcome outcome = run_case("one", variable("LAPMARK_RING", odd[i]), NULL);
        assert_printed(&outcome, "> Entering one\n< Exiting one, total time: T\n");
    }
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_terms),      cmocka_unit_test(test_bad_terms),     cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_inside), cmocka_unit_test(test_set_meanwhile), cmocka_unit_test(test_set_is_seen),
        cmocka_unit_test(test_library),    cmocka_unit_test(test_prefix),        cmocka_unit_test(test_print_variable),
        cmocka_unit_test(test_bad_sizes),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"sites", case_sites},
        {"set", case_set},
        {"set_inside", case_set_inside},
        {"set_meanwhile", case_set_meanwhile},
        {"set_is_seen", case_set_is_seen},
        {"library", case_library},
        {"prefix", case_prefix},
        {"one", case_one},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
