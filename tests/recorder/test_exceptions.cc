/* SPDX-License-Identifier: MIT
 *
 * C++: the class with its chained options, exceptions through profilers of C and C++, forced unwinding.
 */
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <pthread.h>
#include <stdexcept>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <thread>

namespace
{

/* ---- the class --------------------------------------------------------------------------------------------------------- */

int case_class()
{
    const std::string name = "a string";
    lapmark::profiler outer(LAP_LABEL("outer of %s", name.c_str()), lapmark::options().n(12));
    outer.mark(LAP_LABEL("first %d", 1));
    LAP_MARK("by the macro");
    {
        lapmark::profiler inner(LAP_LABEL("inner"));
        inner.mark(LAP_LABEL_N(7, "sized %s", "x"));
        inner.mark(LAP_LABEL_TEXT(name.c_str()));
        if (inner.elapsed_ns() > 1000000000)
            return 1;
    }
    {
        lapmark::profiler off(LAP_LABEL("off"), lapmark::options().disabled());
        off.mark(LAP_LABEL("of the one that is off"));
        LAP_PROFILE("inside the one that is off");
    }
    {
        lapmark::profiler quiet(LAP_LABEL("quiet"), lapmark::options().threshold_ms(1e6).disabled(false));
        quiet.mark(LAP_LABEL("in it"));
        quiet.end();
        quiet.end();
        LAP_MARK("behind its end");
    }
    lapmark::profiler text(LAP_LABEL_TEXT(name.c_str()));
    return 0;
}

void test_class(void **)
{
    struct outcome outcome = run_case("class", static_cast<char *>(nullptr));
    assert_printed(&outcome, "> Entering outer of a string\n"
                             "  first 1: T, tot: T\n"
                             "  by the macro: T, tot: T\n"
                             "  > Entering inner\n"
                             "    sized x: T, tot: T, n=7\n"
                             "    a string: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting inner, total time: T\n"
                             "  > Entering quiet\n"
                             "    in it: T, tot: T\n"
                             "    (rest): T\n"
                             "  < Exiting quiet, total time: T\n"
                             "  behind its end: T, tot: T\n"
                             "  > Entering a string\n"
                             "  < Exiting a string, total time: T\n"
                             "  (rest): T\n"
                             "< Exiting outer of a string, total time: T, n=12\n");
}

int case_class_immediate()
{
    lapmark::profiler outer(LAP_LABEL("at once"), lapmark::options().immediate());
    outer.mark(LAP_LABEL("m"));
    const lap_handle handle = lap_begin_with(lapmark::options().threshold_ms(0).get(), "handle of %s", "C++");
    lap_mark(handle, "n");
    lapmark::profiler child(LAP_LABEL("child"), lapmark::options().parent(handle));
    return lap_end(handle) == 0;
}

void test_class_immediate(void **)
{
    struct outcome outcome = run_case("class_immediate", static_cast<char *>(nullptr));
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    assert_int_equal(strncmp(outcome.err, "> Entering at once\n  m: T, tot: T\n", 34), 0);
    assert_non_null(strstr(outcome.err, "> Entering handle of C++\n  n: T, tot: T\n"));
    assert_non_null(strstr(outcome.err, "< Exiting at once, total time: T\n"));
    outcome_free(&outcome);
}

/* ---- arguments -------------------------------------------------------------------------------------------------------- */

enum plain { plain_value = 3 };
enum class typed : unsigned char { value = 200 };

int case_types()
{
    const char array[] = "an array";
    const volatile int changing = -4;
    const bool yes = true;
    LAP_PROFILE("%s %d %d %d %p", array, changing, yes, plain_value, static_cast<void *>(nullptr));
    LAP_MARK("%hhu %c %hd %lld %g", static_cast<unsigned char>(typed::value), 'x', static_cast<short>(-7), -8LL, 0.25);
    LAP_MARK("%Lg %lu %s", 0.5L, 9UL, static_cast<const char *>(nullptr));
    return 0;
}

void test_types(void **)
{
    struct outcome outcome = run_case("types", static_cast<char *>(nullptr));
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    assert_non_null(strstr(outcome.err, "> Entering an array -4 1 3 "));
    assert_non_null(strstr(outcome.err, "\n  200 x -7 -8 0.25: T, tot: T\n"));
    assert_non_null(strstr(outcome.err, "\n  0.5 9 (null): T, tot: T\n"));
    outcome_free(&outcome);
}

/* ---- exceptions ------------------------------------------------------------------------------------------------------- */

[[gnu::noinline]] void throw_from(int depth)
{
    LAP_PROFILE("macro at %d", depth);
    lapmark::profiler object(LAP_LABEL("object at %d", depth));
    LAP_MARK("m");
    if (depth == 0)
        throw std::runtime_error("thrown");
    throw_from(depth - 1);
    LAP_MARK("never");
}

int case_exceptions()
{
    LAP_PROFILE_WITH(lapmark::options().threshold_ms(1e6).get(), "outer");
    for (int i = 0; i < 2000; i++) {
        try {
            throw_from(i % 9);
        } catch (const std::exception &) {
            LAP_MARK("caught");
        }
    }
    return 0;
}

void test_exceptions(void **)
{
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("exceptions", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", static_cast<char *>(nullptr));
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "lapmark:abandoned"), 0);
    assert_int_equal(stored_named(stored, "caught"), 2000);
    assert_int_equal(stored_named(stored, "never"), 0);
    const size_t begun = stored_of_kind(stored, "begin") + stored_of_kind(stored, "begin_with");
    assert_int_equal(stored_named(stored, "lapmark:end"), begun);
    stored_free(stored);
}

/* One that leaves main ends the process; what was stored is there. */
int case_uncaught()
{
    LAP_PROFILE("outer");
    LAP_MARK("m");
    throw_from(1);
    return 0;
}

void test_uncaught(void **)
{
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("uncaught", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off",
                                      "ASAN_OPTIONS=handle_abort=0", static_cast<char *>(nullptr));
    assert_int_not_equal(outcome.status, 0);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "m"), 3);
    stored_free(stored);
}

/* pthread_exit and cancellation unwind C++ frames: the profilers there end. */
void *leave(void *)
{
    lapmark::profiler object(LAP_LABEL("object left by pthread_exit"));
    LAP_PROFILE("macro left by pthread_exit");
    LAP_MARK("m");
    pthread_exit(nullptr);
}

int case_forced()
{
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        pthread_create(&thread, nullptr, leave, nullptr);
        pthread_join(thread, nullptr);
    }
    return 0;
}

void test_forced(void **)
{
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("forced", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", static_cast<char *>(nullptr));
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    struct stored *const stored = stored_load(process_directory(directory, 0));
    assert_int_equal(stored_named(stored, "lapmark:end"), 100);
    assert_int_equal(stored_named(stored, "lapmark:abandoned"), 0);
    stored_free(stored);
}

/* ---- statics and lambdas -------------------------------------------------------------------------------------------------- */

struct early_and_late {
    early_and_late()
    {
        if (getenv("TEST_STATICS")) {
            LAP_PROFILE("in a static's constructor");
            LAP_MARK("m");
        }
    }
    ~early_and_late()
    {
        if (getenv("TEST_STATICS")) {
            LAP_PROFILE("in a static's destructor");
            LAP_MARK("m");
        }
    }
} early_and_late;

template <class T> T twice(T value)
{
    LAP_PROFILE("in a template");
    LAP_MARK("for %d", static_cast<int>(value));
    return value + value;
}

int case_statics()
{
    const auto lambda = [](int i) {
        LAP_PROFILE("in a lambda");
        LAP_MARK("for %d", i);
        return i;
    };
    lambda(1);
    std::thread([] { LAP_PROFILE("on a std::thread"); }).join();
    return twice(2) + static_cast<int>(twice(2.5)) == 9 ? 0 : 1;
}

void test_statics(void **)
{
    struct outcome outcome = run_case("statics", "TEST_STATICS=1", static_cast<char *>(nullptr));
    assert_ended_well(&outcome);
    static const char *const seen[] = {"in a static's constructor", "in a lambda", "on a std::thread",
                                       "in a static's destructor"};
    for (const char *name : seen)
        assert_int_equal(count_of(outcome.err, (std::string("> Entering ") + name + "\n").c_str()), 1);
    assert_int_equal(count_of(outcome.err, "> Entering in a template\n  for 2: "), 2);
    outcome_free(&outcome);
}

int tests()
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_class),      cmocka_unit_test(test_class_immediate), cmocka_unit_test(test_types),
        cmocka_unit_test(test_exceptions), cmocka_unit_test(test_uncaught),        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_statics),
    };
    return cmocka_run_group_tests(all, nullptr, nullptr);
}

} // namespace

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"class", case_class},       {"class_immediate", case_class_immediate},
        {"types", case_types},       {"exceptions", case_exceptions},
        {"uncaught", case_uncaught}, {"forced", case_forced},
        {"statics", case_statics},   {nullptr, nullptr},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
