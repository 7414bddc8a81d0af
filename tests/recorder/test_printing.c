/* SPDX-License-Identifier: MIT
 *
 * Where reports go, their limits, and reports whose events are about to be overwritten.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- sinks --------------------------------------------------------------------------------------------------------- */

struct received {
    unsigned calls;
    size_t used;
    char text[200000];
    unsigned profilers; /* how many profilers the sink begins itself */
};

static void receive(const char *text, uint64_t length_bytes, void *user)
{
    struct received *const received = user;
    received->calls++;
    for (unsigned i = 0; i < received->profilers; i++) {
        LAP_PROFILE("inside the sink");
        LAP_MARK("inside the sink, too");
    }
    if (received->used + length_bytes < sizeof received->text) {
        memcpy(received->text + received->used, text, length_bytes);
        received->used += length_bytes;
    }
}

static void two_reports(void)
{
    for (int i = 0; i < 2; i++) {
        LAP_PROFILE("report %d", i);
        LAP_MARK("step");
        {
            LAP_PROFILE("nested");
        }
    }
}

static int case_function(void)
{
    static struct received received;
    lap_sink_function(receive, &received);
    two_reports();
    if (received.calls != 2 || strncmp(received.text, "> Entering report 0\n", 20) != 0)
        return 1;
    if (received.text[received.used - 1] != '\n')
        return 2;
    {
        LAP_PROFILE_WITH(LAP_OPTS(.immediate = 1), "line by line");
        LAP_MARK("step");
    }
    if (received.calls != 2 + 3)
        return 3;
    lap_end(lap_begin("handle"));
    if (received.calls != 6)
        return 4;
    lap_sink_function(NULL, NULL);
    two_reports();
    return received.calls == 6 ? 0 : 5;
}

static void test_function(void **state)
{
    (void)state;
    struct outcome outcome = run_case("function", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "\n"), 12);
    outcome_free(&outcome);
}

static int case_profiling_sink(void)
{
    static struct received received = {.profilers = 3};
    lap_sink_function(receive, &received);
    two_reports();
    for (int i = 0; i < 1500; i++) /* more than are printed a second: that is said at the end, to the sink as well */
        lap_end(lap_begin("handle"));
    const lap_handle handle = lap_begin_with(LAP_OPTS(.threshold_ms = 1e6), "not printed");
    return lap_end(handle) == 0 || memmem(received.text, received.used, "inside", 6) != NULL;
}

static void test_profiling_sink(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("profiling_sink", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored_named(stored, "inside the sink"), 0);
    assert_true(stored->control.losses[LAP_FORMAT_LOSS_SIGNAL] >= 6 * 3);
    stored_free(stored);
}

/* One write(2) a report: on a pipe that keeps them apart (O_DIRECT), each read gives one. */
static int case_one_write(void)
{
    int fds[2];
    if (pipe2(fds, O_DIRECT) < 0)
        return 77;
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    lap_sink_fd(fds[1]);
    two_reports();
    char text[8192];
    for (int i = 0; i < 2; i++) {
        const ssize_t got = read(fds[0], text, sizeof text - 1);
        if (got <= 0)
            return 1;
        text[got] = 0;
        if (count_of(text, "> Entering report") != 1 || count_of(text, "< Exiting report") != 1)
            return 2;
    }
    lap_sink_fd(-1);
    two_reports();
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return read(fds[0], text, sizeof text) < 0 ? 0 : 3;
}

static void test_one_write(void **state)
{
    (void)state;
    struct outcome outcome = run_case("one_write", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "> Entering report"), 2);
    outcome_free(&outcome);
}

/* Nobody reads: the host is not ended by a signal, and no handler of its own runs for it. */
static volatile sig_atomic_t pipe_signals;
static void on_pipe(int signal) { pipe_signals += signal == SIGPIPE; }

static int case_nobody_reads(void)
{
    int fds[2];
    if (pipe(fds) < 0)
        return 77;
    close(fds[0]);
    signal(SIGPIPE, SIG_DFL); /* it ends the process */
    lap_sink_fd(fds[1]);
    two_reports();
    signal(SIGPIPE, on_pipe);
    two_reports();
    if (pipe_signals != 0)
        return 1;
    (void)!write(fds[1], "x", 1); /* the host's own is not taken from it */
    if (pipe_signals != 1)
        return 2;
    lap_sink_fd(12345);
    errno = EXDEV;
    two_reports();
    return errno == EXDEV ? 0 : 3;
}

static void test_nobody_reads(void **state)
{
    (void)state;
    struct outcome outcome = run_case("nobody_reads", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
}

/* ---- limits -------------------------------------------------------------------------------------------------------- */

/* Every line counts here: 5,000 labels, none seen twice. */
static int case_many_lines(void)
{
    LAP_PROFILE("many lines");
    for (int i = 0; i < 5000; i++) {
        char label[32];
        snprintf(label, sizeof label, "line %d", i);
        LAP_MARK_TEXT(label);
    }
    return 0;
}

static void test_many_lines(void **state)
{
    (void)state;
    struct outcome outcome = run_case("many_lines", NULL);
    assert_ended_well(&outcome);
    assert_in_range(count_of(outcome.err, "\n"), 900, 1000);
    assert_true(outcome.err_bytes <= 64 << 10);
    const unsigned shown = count_of(outcome.err, "  line ");
    const char *const more = strstr(outcome.err, " more lines)");
    assert_non_null(more);
    const char *digits = more;
    while (digits[-1] != '(')
        digits--;
    /* What is not there is the rest of the lines and "(rest)". */
    assert_in_range(strtoul(digits, NULL, 10), 5000 - shown, 5001 - shown);
    assert_non_null(strstr(outcome.err, "< Exiting many lines, total time: "));
    outcome_free(&outcome);
}

static int case_many_bytes(void)
{
    char text[251];
    memset(text, 'x', sizeof text - 1);
    text[250] = 0;
    LAP_PROFILE("many bytes");
    for (int i = 0; i < 900; i++) {
        char label[256];
        snprintf(label, sizeof label, "%.200s %d", text, i);
        LAP_MARK_TEXT(label);
    }
    return 0;
}

static void test_many_bytes(void **state)
{
    (void)state;
    struct outcome outcome = run_case("many_bytes", NULL);
    assert_ended_well(&outcome);
    assert_in_range(outcome.err_bytes, 60 << 10, 64 << 10);
    assert_int_equal(count_of(outcome.err, " more lines)"), 1);
    assert_int_equal(count_of(outcome.err, "< Exiting many bytes"), 1);
    outcome_free(&outcome);
}

static int case_many_reports(void)
{
    for (int i = 0; i < 5000; i++) {
        LAP_PROFILE("one of many");
    }
    return 0;
}

static void test_many_reports(void **state)
{
    (void)state;
    struct outcome outcome = run_case("many_reports", NULL);
    assert_ended_well(&outcome);
    const unsigned printed = count_of(outcome.err, "> Entering one of many");
    assert_in_range(printed, 1000, 4999); /* so many a second; it may have taken longer than one */
    unsigned long counted = 0;
    for (const char *at = strstr(outcome.err, " reports not printed"); at; at = strstr(at + 1, " reports not printed")) {
        const char *digits = at;
        while (digits[-1] != '(')
            digits--;
        counted += strtoul(digits, NULL, 10);
    }
    assert_int_equal(printed + counted, 5000);
    outcome_free(&outcome);
}

/* ---- the ring is smaller than the report --------------------------------------------------------------------------- */

static void fill(int checkpoints)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "filler");
    for (int i = 0; i < checkpoints; i++)
        LAP_MARK("fills");
}

static int case_parent_open(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "parent below its threshold");
    {
        LAP_PROFILE("slow child %d", 1);
        LAP_MARK("in it");
    }
    fill(300000);
    {
        LAP_PROFILE("slow child %d", 2);
    }
    return 0;
}

static void test_parent_open(void **state)
{
    (void)state;
    struct outcome outcome = run_case("parent_open", "LAPMARK_RING=1M", NULL);
    assert_printed(&outcome, "> Entering slow child 1 (parent still open)\n"
                             "  in it: T, tot: T\n"
                             "  (rest): T\n"
                             "< Exiting slow child 1, total time: T\n"
                             "> Entering slow child 2\n"
                             "< Exiting slow child 2, total time: T\n");
}

/* A parent that is printed itself: counted exactly, and nothing is missing but what folds. */
static int case_parent_prints(void)
{
    LAP_PROFILE("parent %s", "with an argument");
    LAP_MARK("first");
    {
        LAP_PROFILE("early child");
        LAP_MARK("in it");
    }
    for (int i = 0; i < 1000000; i++) {
        LAP_MARK("fills");
        if (i % 100000 == 0) {
            LAP_PROFILE("now and then");
            LAP_MARK("in that");
        }
    }
    LAP_MARK("last");
    return 0;
}

static void test_parent_prints(void **state)
{
    (void)state;
    struct outcome outcome = run_case("parent_prints", "LAPMARK_RING=1M", NULL);
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    static const char *const lines[] = {"> Entering parent with an argument\n",
                                        "\n  first: T, tot: T\n",
                                        "early child",
                                        "\n  fills (x1000000): T, tot: T, mean T, max T\n",
                                        "now and then (x10)",
                                        "\n  last: T, tot: T\n",
                                        "\n< Exiting parent with an argument, total time: T\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!strstr(outcome.err, lines[i]))
            print_error("no '%s' in\n%s", lines[i], outcome.err);
        assert_non_null(strstr(outcome.err, lines[i]));
    }
    outcome_free(&outcome);
}

/* ---- flush --------------------------------------------------------------------------------------------------------- */

static int case_flush(void)
{
    lap_flush(); /* before there is anything */
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "parent");
    {
        LAP_PROFILE("child");
        LAP_MARK("m");
    }
    lap_flush();
    lap_flush();
    (void)!write(STDERR_FILENO, "flushed\n", 8);
    {
        LAP_PROFILE("child after it");
        LAP_MARK("n");
        lap_flush();
        LAP_MARK("o");
    }
    return 0;
}

static void test_flush(void **state)
{
    (void)state;
    const char *const wanted = "> Entering child (parent still open)\n"
                               "  m: T, tot: T\n"
                               "  (rest): T\n"
                               "< Exiting child, total time: T\n"
                               "flushed\n"
                               "> Entering child after it\n"
                               "  n: T, tot: T\n"
                               "  o: T, tot: T\n"
                               "  (rest): T\n"
                               "< Exiting child after it, total time: T\n";
    struct outcome outcome = run_case("flush", NULL);
    assert_printed(&outcome, wanted);
}

/* With only the slow kept, a flush inside a scope that is then taken back must not make later events unseen. */
static int case_flush_taken_back(void)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.01), "outer");
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "fast");
        LAP_MARK("a");
        LAP_MARK("b");
        LAP_MARK("c");
        lap_flush();
    }
    LAP_MARK("seen 1");
    LAP_MARK("seen 2");
    LAP_MARK("seen 3");
    LAP_MARK("seen 4");
    LAP_MARK("seen 5");
    spend_us(20);
    return 0;
}

static void test_flush_taken_back(void **state)
{
    (void)state;
    struct outcome outcome = run_case("flush_taken_back", "LAPMARK_KEEP=slow", NULL);
    assert_ended_well(&outcome);
    for (int i = 1; i <= 5; i++) {
        char line[16];
        snprintf(line, sizeof line, "\n  seen %d: ", i);
        assert_int_equal(count_of(outcome.err, line), 1);
    }
    assert_int_equal(count_of(outcome.err, "< Exiting outer"), 1);
    outcome_free(&outcome);
}

/* ---- ends of threads and of the process ---------------------------------------------------------------------------- */

static void *leave_open(void *argument)
{
    LAP_PROFILE("left by pthread_exit");
    LAP_MARK("before");
    pthread_exit(argument);
}

static int case_thread_exits(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, leave_open, NULL);
    pthread_join(thread, NULL);
    return 0;
}

static void test_thread_exits(void **state)
{
    (void)state;
    struct outcome outcome = run_case("thread_exits", NULL);
    assert_ended_well(&outcome);
    times_replace(outcome.err);
    assert_non_null(strstr(outcome.err, "> Entering left by pthread_exit\n  before: T, tot: T\n"));
    assert_non_null(strstr(outcome.err, "< Exiting left by pthread_exit, total time: T (abandoned)\n"));
    outcome_free(&outcome);
}

static int case_exit_inside(void)
{
    LAP_PROFILE("open at exit");
    LAP_MARK("before");
    LAP_PROFILE("inside it");
    exit(0);
}

static void test_exit_inside(void **state)
{
    (void)state;
    struct outcome outcome = run_case("exit_inside", NULL);
    assert_printed(&outcome, "> Entering open at exit\n"
                             "  before: T, tot: T\n"
                             "  > Entering inside it\n"
                             "  < Exiting inside it, total time: T (still open at exit)\n"
                             "  (rest): T\n"
                             "< Exiting open at exit, total time: T (still open at exit)\n");
}

static void at_exit(void)
{
    LAP_PROFILE("in an exit handler");
    LAP_MARK("there");
}

__attribute__((destructor)) static void very_late(void)
{
    if (getenv("TEST_LATE")) {
        LAP_PROFILE("in a destructor");
        LAP_MARK("there");
    }
}

__attribute__((constructor)) static void very_early(void)
{
    if (getenv("TEST_LATE")) {
        LAP_PROFILE("in a constructor");
        LAP_MARK("there");
    }
}

static int case_early_and_late(void)
{
    atexit(at_exit);
    LAP_PROFILE("in main");
    return 0;
}

static void test_early_and_late(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("early_and_late", "TEST_LATE=1", variable("LAPMARK_RECORD", directory), NULL);
    assert_printed(
        &outcome,
        "> Entering in a constructor\n  there: T, tot: T\n  (rest): T\n< Exiting in a constructor, total time: T\n"
        "> Entering in main\n< Exiting in main, total time: T\n"
        "> Entering in an exit handler\n  there: T, tot: T\n  (rest): T\n"
        "< Exiting in an exit handler, total time: T\n"
        "> Entering in a destructor\n  there: T, tot: T\n  (rest): T\n< Exiting in a destructor, total time: T\n");
    babeltrace_agrees(process_directory(directory, 0));
}

/* ---- many threads print at once: whole reports, none lost ------------------------------------------------------------ */

enum { PRINTING_THREADS = 4, PRINTED_EACH = 200 };

static void *print_many(void *argument)
{
    const int number = (int)(intptr_t)argument;
    for (int i = 0; i < PRINTED_EACH; i++) {
        LAP_PROFILE("thread %d report %d", number, i);
        LAP_MARK("step of %d", number);
        LAP_PROFILE("nested of %d", number);
    }
    return NULL;
}

static int case_print_together(void)
{
    pthread_t threads[PRINTING_THREADS];
    for (intptr_t i = 0; i < PRINTING_THREADS; i++)
        pthread_create(&threads[i], NULL, print_many, (void *)i);
    for (int i = 0; i < PRINTING_THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_print_together(void **state)
{
    (void)state;
    struct outcome outcome = run_case("print_together", NULL);
    assert_ended_well(&outcome);
    unsigned reports = 0;
    const char *line = outcome.err;
    while (*line) { /* each report is in one piece: six lines of one thread */
        int thread, report, other, last_thread, last_report;
        assert_int_equal(sscanf(line, "> Entering thread %d report %d\n", &thread, &report), 2);
        for (int i = 0; i < 5; i++) {
            line = strchr(line, '\n') + 1;
            const char *const of = strstr(line, " of ");
            if (i < 3) {
                assert_true(of && sscanf(of, " of %d", &other) == 1);
                assert_int_equal(other, thread);
            }
        }
        assert_int_equal(sscanf(line, "< Exiting thread %d report %d", &last_thread, &last_report), 2);
        assert_true(last_thread == thread && last_report == report);
        line = strchr(line, '\n') + 1;
        reports++;
    }
    assert_int_equal(reports, PRINTING_THREADS * PRINTED_EACH);
    outcome_free(&outcome);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_function),         cmocka_unit_test(test_profiling_sink),
        cmocka_unit_test(test_one_write),        cmocka_unit_test(test_nobody_reads),
        cmocka_unit_test(test_many_lines),       cmocka_unit_test(test_many_bytes),
        cmocka_unit_test(test_many_reports),     cmocka_unit_test(test_parent_open),
        cmocka_unit_test(test_parent_prints),    cmocka_unit_test(test_flush),
        cmocka_unit_test(test_flush_taken_back), cmocka_unit_test(test_thread_exits),
        cmocka_unit_test(test_exit_inside),      cmocka_unit_test(test_early_and_late),
        cmocka_unit_test(test_print_together),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"function", case_function},
        {"profiling_sink", case_profiling_sink},
        {"one_write", case_one_write},
        {"nobody_reads", case_nobody_reads},
        {"many_lines", case_many_lines},
        {"many_bytes", case_many_bytes},
        {"many_reports", case_many_reports},
        {"parent_open", case_parent_open},
        {"parent_prints", case_parent_prints},
        {"flush", case_flush},
        {"flush_taken_back", case_flush_taken_back},
        {"thread_exits", case_thread_exits},
        {"exit_inside", case_exit_inside},
        {"early_and_late", case_early_and_late},
        {"print_together", case_print_together},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
