/* SPDX-License-Identifier: MIT
 *
 * Snapshots of threads at full speed, from outside by `lapmark snapshot` and from inside by lap_snapshot(): all that a thread
 * had stored is there, without a hole; and what is left when one cannot be written, is killed, or forks.
 * ctest: serial, since beside other tests its busy threads take ten times as long.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, SNAPSHOTS_MAX = 64, MARKS_EACH = 500, STEPS_OF_LAP = (1 << 20) / 24 / 2 /* half a ring */ };

/* What the threads say: how many steps they have stored. In memory that test and case share. */
struct counts {
    uint64_t steps[THREADS];
    uint64_t before[SNAPSHOTS_MAX][THREADS]; /* a snapshot was begun */
    uint64_t after[SNAPSHOTS_MAX][THREADS];
    uint32_t taken;
    uint32_t must_stop;
};
static struct counts *counts;

static void counts_look(uint64_t *out)
{
    for (int i = 0; i < THREADS; i++)
        out[i] = __atomic_load_n(&counts->steps[i], __ATOMIC_ACQUIRE);
}

static int must_stop(void) { return (int)__atomic_load_n(&counts->must_stop, __ATOMIC_RELAXED); }

/* ---- the cases ----------------------------------------------------------------------------------------------------- */

/* With all kept, threads at full speed make and remove thousands of files a second: the file system would be what is tested. */
static void pause_if_all_is_kept(void)
{
    const char *const mode = getenv("LAPMARK_MODE");
    if (mode != NULL && strcmp(mode, "full") == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *count(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    for (int64_t step = 0; !must_stop();) {
        LAP_PROFILE("round %d", thread);
        for (int i = 0; i < MARKS_EACH && !must_stop(); i++) {
            LAP_MARK_N(step, "step %d", thread);
            __atomic_store_n(&counts->steps[thread], (uint64_t)++step, __ATOMIC_RELEASE);
        }
        pause_if_all_is_kept();
    }
    return NULL;
}

/* Taken back at once, all the time: what lies behind the newest event is never the same for long. */
static void *take_back(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    for (uint64_t i = 0; !must_stop(); i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = i % 64 ? 1e9 : 1e-6), "kept, or not, %s",
                         i % 3 ? "of this length" : "or that");
        LAP_MARK("a");
        LAP_MARK("b %d %d", 1, 2);
        __atomic_store_n(&counts->steps[thread], i + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static pthread_t threads[THREADS];

static void threads_start(void *(*function)(void *), uint64_t least)
{
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, function, (void *)i);
    for (int i = 0; i < THREADS; i++)
        while (__atomic_load_n(&counts->steps[i], __ATOMIC_ACQUIRE) < least)
            sched_yield();
}

static void threads_stop(void)
{
    __atomic_store_n(&counts->must_stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static int is_taking_back(void) { return getenv("LAPMARK_KEEP") != NULL; }

static void *(*work_of_case(void))(void *) { return is_taking_back() ? take_back : count; }

/* Goes on until it is told to stop. */
static int case_busy(void)
{
    counts = shared_map(getenv("TEST_COUNTS"), sizeof *counts);
    threads_start(work_of_case(), 2 * MARKS_EACH);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
    return 0;
}

static int case_inside(void)
{
    counts = shared_map(getenv("TEST_COUNTS"), sizeof *counts);
    const unsigned snapshots = (unsigned)atoi(getenv("TEST_SNAPSHOTS"));
    threads_start(work_of_case(), 2 * MARKS_EACH);
    for (unsigned i = 0; i < snapshots; i++) {
        LAP_PROFILE("taking");
        counts_look(counts->before[i]);
        const int error = lap_snapshot(getenv("TEST_DIRECTORY"), i % 2 ? 10 : 0);
        if (error != 0)
            return 1;
        counts_look(counts->after[i]);
        counts->taken++;
        LAP_MARK("taken");
        for (int k = 0; k < THREADS; k++) /* each has gone on */
            while (__atomic_load_n(&counts->steps[k], __ATOMIC_ACQUIRE) < counts->after[i][k] + MARKS_EACH)
                sched_yield();
    }
    threads_stop();
    return 0;
}

static void spend(long us)
{
    LAP_MARK("before");
    spend_us(us);
    LAP_MARK("spent");
}

/* A snapshot on each breach, but not so soon after another; none of the time that it takes is in a lap or breaks a threshold. */
static int case_breach(void)
{
    for (int i = 0; i < 3; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 500), "around");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 2), "slow %d", i);
            spend(i == 0 ? 1 : 3000);
        }
        LAP_MARK("behind");
    }
    spend_us(1000000);
    lap_end(lap_begin_with(LAP_OPTS(.threshold_ms = 100), "quick"));
    const lap_handle handle = lap_begin_with(LAP_OPTS(.threshold_ms = 1), "waited for");
    spend_us(2000);
    lap_end(handle);
    return 0;
}

/* Whatever goes wrong: a number, nothing left behind, and the program goes on. */
static int case_errors(void)
{
    const char *const directory = getenv("TEST_DIRECTORY");
    char path[4096];
    LAP_PROFILE("some");
    for (int i = 0; i < 10000; i++)
        LAP_MARK("mark");
    if (lap_snapshot(NULL, 0) != -EINVAL || lap_snapshot("", 0) != -EINVAL || lap_snapshot(directory, -1) != -EINVAL ||
        lap_snapshot(directory, 0.0 / 0.0) != -EINVAL)
        return 1;
    if (lap_snapshot("/proc/self/nothing", 0) != -ENOENT || lap_snapshot("/dev/null/here", 0) != -ENOTDIR)
        return 2;
    snprintf(path, sizeof path, "%s/%04000d", directory, 0);
    if (lap_snapshot(path, 0) != -ENAMETOOLONG)
        return 3;
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    for (rlim_t bytes = 0; bytes < 64 << 10; bytes += 5000) {
        setrlimit(RLIMIT_FSIZE, &(const struct rlimit){bytes, before.rlim_max});
        if (lap_snapshot(directory, 0) != -EFBIG)
            return 4;
    }
    setrlimit(RLIMIT_FSIZE, &before);
    return lap_snapshot(directory, 0) == 0 ? 0 : 5;
}

static void *take_all_the_time(void *argument)
{
    (void)argument;
    while (!must_stop())
        lap_snapshot(getenv("TEST_DIRECTORY"), 1);
    return NULL;
}

/* One thread takes snapshots all the time; children are forked in the middle of that, and take their own. */
static int case_forks(void)
{
    counts = shared_map(getenv("TEST_COUNTS"), sizeof *counts);
    pthread_t taker;
    threads_start(count, 1);
    pthread_create(&taker, NULL, take_all_the_time, NULL);
    for (int i = 0; i < 8; i++) {
        const pid_t child = fork();
        if (child == 0) {
            LAP_PROFILE("child");
            _exit(lap_snapshot(getenv("TEST_DIRECTORY_2"), 0) == 0 ? 0 : 1);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    if (getenv("TEST_GOES_ON"))
        kill(getpid(), SIGKILL);
    __atomic_store_n(&counts->must_stop, 1, __ATOMIC_RELAXED);
    pthread_join(taker, NULL);
    threads_stop();
    return 0;
}

/* ---- what a snapshot must hold --------------------------------------------------------------------------------------- */

static void snapshot_check(const char *snapshot, const uint64_t *before, const uint64_t *after)
{
    struct stored *const stored = stored_load(snapshot);
    int64_t last[THREADS];
    memset(last, -1, sizeof last);
    assert_true(stored->control.snapshot.ticks != 0);
    assert_int_equal(stored->control.state, LAP_FORMAT_RUNNING);
    assert_int_equal(stored_lost(stored), 0);
    for (size_t i = 0; i < stored->count; i++) {
        const struct stored_event *const event = &stored->events[i];
        assert_true(event->ticks <= stored->control.snapshot.ticks);
        if (strcmp(event->name, "step %d") != 0)
            continue;
        const int64_t thread = (int64_t)event->values[1];
        assert_in_range(thread, 0, THREADS - 1);
        if (last[thread] >= 0 && event->n != last[thread] + 1)
            fail_msg("%s: step %lld of thread %d comes behind %lld", snapshot, (long long)event->n, (int)thread,
                     (long long)last[thread]);
        last[thread] = event->n;
    }
    for (int i = 0; before && i < THREADS; i++) {
        /* Its newest segment has none yet, and it did not get to run for so long, or was at those before once more already. */
        if (last[i] < 0 && (stored->control.snapshot_last_ns != 0 || after[i] - before[i] > STEPS_OF_LAP))
            continue;
        if (last[i] + 1 < (int64_t)before[i])
            fail_msg("%s ends at step %lld of thread %d, which had stored %llu", snapshot, (long long)last[i], i,
                     (unsigned long long)before[i]);
        assert_true(last[i] <= (int64_t)after[i]);
    }
    stored_free(stored);
    babeltrace_agrees(snapshot);
    check_finds_it_sound(snapshot);
}

static const char *counts_path(const char *directory)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/counts", directory);
    counts = shared_map(path, sizeof *counts);
    return path;
}

static pid_t busy_start(const char *directory, const char *place, const char *mode, const char *keep, int *ret_pipe)
{
    char line[16];
    const pid_t pid =
        start_case("busy", ret_pipe, variable("TEST_COUNTS", counts_path(place)), variable("LAPMARK_RECORD", directory),
                   "LAPMARK_PRINT=off", "LAPMARK_RING=1M", "LAPMARK_DISK=6M", mode, keep, NULL);
    assert_int_equal(read(*ret_pipe, line, sizeof line), 6);
    return pid;
}

static void busy_stop(pid_t pid, int pipe_fd)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(pipe_fd);
    munmap(counts, sizeof *counts);
}

static void outside(const char *mode, const char *keep, unsigned snapshots)
{
    const char *const directory = temporary_directory(), *const place = temporary_directory(),
                      *const into = temporary_directory();
    int pipe_fd;
    const pid_t pid = busy_start(directory, place, mode, keep, &pipe_fd);
    char number[16], arguments[4096];
    snprintf(number, sizeof number, "%d", (int)pid);
    snprintf(arguments, sizeof arguments, "snapshot -o '%s'", into);
    static uint64_t before[SNAPSHOTS_MAX][THREADS], after[SNAPSHOTS_MAX][THREADS];
    for (unsigned i = 0; i < snapshots; i++) {
        counts_look(before[i]);
        lapmark_says(arguments, i % 2 ? directory : number, NULL);
        counts_look(after[i]);
    }
    busy_stop(pid, pipe_fd);
    assert_int_equal(process_count(into), snapshots);
    char path[4096];
    const char *const name = strrchr(process_directory(directory, 0), '/');
    for (unsigned i = 0; i < snapshots; i++) {
        snprintf(path, sizeof path, "%s%s-snapshot-%u", into, name, i + 1);
        snapshot_check(path, *keep == 'T' ? before[i] : NULL, after[i]);
    }
}

static void test_outside(void **state)
{
    (void)state;
    outside("LAPMARK_MODE=flight", "TEST_KEEP=all", times(3));
}

/* Kept files go all the time, for the bound on the disk. */
static void test_outside_full_and_bounded(void **state)
{
    (void)state;
    outside("LAPMARK_MODE=full", "TEST_KEEP=all", times(1));
}

static void test_outside_taken_back(void **state)
{
    (void)state;
    outside("LAPMARK_MODE=flight", "LAPMARK_KEEP=slow", times(1));
}

static void inside(const char *record, const char *mode, const char *keep, unsigned snapshots)
{
    const char *const place = temporary_directory(), *const into = temporary_directory();
    char number[32];
    snprintf(number, sizeof number, "TEST_SNAPSHOTS=%u", snapshots);
    struct outcome outcome =
        run_case("inside", variable("TEST_COUNTS", counts_path(place)), variable("TEST_DIRECTORY", into), number,
                 "LAPMARK_PRINT=off", "LAPMARK_RING=1M", "LAPMARK_DISK=6M", mode, keep, record, NULL);
    assert_ended_well(&outcome);
    assert_string_equal(outcome.err, "");
    outcome_free(&outcome);
    assert_int_equal(process_count(into), snapshots);
    for (unsigned i = 0; i < snapshots; i++) {
        char path[4096];
        strcpy(path, process_directory(into, 0));
        snprintf(strrchr(path, '-'), 16, "-%u", i + 1);
        snapshot_check(path, *keep == 'T' ? counts->before[i] : NULL, counts->after[i]);
    }
    munmap(counts, sizeof *counts);
}

static void test_inside(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    inside(variable("LAPMARK_RECORD", directory), "LAPMARK_MODE=flight", "TEST_KEEP=all", times(2));
    inside(variable("LAPMARK_RECORD", temporary_directory()), "LAPMARK_MODE=full", "TEST_KEEP=all", times(2));
    /* The process counts once, whatever snapshots lie beside it. */
    const char *const process = process_directory(directory, 0);
    check_finds_it_sound(process);
}

static void test_inside_unrecorded(void **state)
{
    (void)state;
    inside("TEST_NOTHING=", "LAPMARK_MODE=flight", "TEST_KEEP=all", times(2));
}

static void test_inside_taken_back(void **state)
{
    (void)state;
    inside(variable("LAPMARK_RECORD", temporary_directory()), "LAPMARK_MODE=flight", "LAPMARK_KEEP=slow", times(2));
}

static unsigned hidden_count(const char *directory)
{
    unsigned hidden = 0;
    DIR *const listing = opendir(directory);
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing));)
        hidden += entry->d_name[0] == '.' && entry->d_name[1] != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(listing);
    return hidden;
}

static void test_breach(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome =
        run_case("breach", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_SNAPSHOT=500ms", NULL);
    assert_ended_well(&outcome);
    assert_string_equal(outcome.err, "");
    outcome_free(&outcome);
    char snapshots[4096];
    snprintf(snapshots, sizeof snapshots, "%s/snapshots", directory);
    assert_int_equal(process_count(snapshots), 2);
    static const char *const said[] = {"when 'slow %d' took ", "when 'waited for' took "};
    for (unsigned i = 0; i < 2; i++) {
        const char *const snapshot = process_directory(snapshots, i);
        snapshot_check(snapshot, NULL, NULL);
        assert_non_null(strstr(lapmark_says("check", snapshot, NULL), said[i]));
    }
    struct stored *const stored = stored_load(process_directory(directory, 1)); /* behind "snapshots" */
    assert_int_equal(stored->control.breach_snapshots, 2);
    assert_true(stored->control.breach_snapshots_spared >= 1); /* the third round's, so soon after the second's */
    assert_int_equal(stored->control.breach_last_ns, 500000000);
    /* What it took is a pause, so that no lap contains it. */
    uint64_t slow_end = 0, paused = 0, behind = 0;
    for (size_t i = 0; i < stored->count && behind == 0; i++) {
        const struct stored_event *const event = &stored->events[i];
        if (event->class_id == LAP_FORMAT_PAUSE && slow_end != 0)
            paused += event->words[1];
        else if (event->class_id == LAP_FORMAT_END)
            slow_end = event->ticks;
        else if (slow_end != 0 && paused != 0 && strcmp(event->name, "behind") == 0)
            behind = event->ticks;
    }
    assert_true(paused != 0 && behind - slow_end >= paused);
    stored_free(stored);
    check_finds_it_sound(directory);
}

static void test_errors(void **state)
{
    (void)state;
    const char *const into = temporary_directory();
    struct outcome outcome = run_case("errors", variable("TEST_DIRECTORY", into), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    assert_string_equal(outcome.err, "");
    outcome_free(&outcome);
    assert_int_equal(process_count(into), 1);
    assert_int_equal(hidden_count(into), 0);
    struct stored *const stored = stored_load(process_directory(into, 0));
    assert_int_equal(stored_named(stored, "mark"), 10000);
    stored_free(stored);
    /* On a breach it is said once, and the recording goes on. */
    const char *const directory = temporary_directory();
    char path[4096];
    snprintf(path, sizeof path, "%s/snapshots", directory);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    outcome =
        run_case("breach", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", "LAPMARK_SNAPSHOT=500ms", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(count_of(outcome.err, "lapmark: cannot write a snapshot into '"), 1);
    assert_non_null(strstr(outcome.err, "not a directory; no more are left"));
    outcome_free(&outcome);
    unlink(path);
    check_finds_it_sound(process_directory(directory, 0));
}

/* Forked, and killed, in the middle of it: what has its name is whole. */
static void forks(const char *goes_on)
{
    const char *const place = temporary_directory(), *const into = temporary_directory(),
                      *const of_children = temporary_directory();
    struct outcome outcome =
        run_case("forks", variable("TEST_COUNTS", counts_path(place)), variable("TEST_DIRECTORY", into),
                 variable("TEST_DIRECTORY_2", of_children), "LAPMARK_PRINT=off", "LAPMARK_RING=1M", goes_on, NULL);
    if (*goes_on == 'L')
        assert_ended_well(&outcome);
    else
        assert_true(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGKILL);
    outcome_free(&outcome);
    munmap(counts, sizeof *counts);
    const unsigned count = process_count(into);
    assert_true(count > 0);
    for (unsigned i = 0; i < count && i < 3; i++)
        snapshot_check(process_directory(into, count - 1 - i), NULL, NULL);
    assert_int_equal(process_count(of_children), 8);
    for (unsigned i = 0; i < 8; i++)
        check_finds_it_sound(process_directory(of_children, i));
    assert_int_equal(hidden_count(of_children), 0);
    assert_true(hidden_count(into) <= (*goes_on == 'L' ? 0u : 1u));
}

static void test_forks_and_kill(void **state)
{
    (void)state;
    forks("LAPMARK_MODE=flight");
    for (unsigned i = 0; i < times(2); i++)
        forks("TEST_GOES_ON=1");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_outside_full_and_bounded),
        cmocka_unit_test(test_outside_taken_back),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_inside_unrecorded),
        cmocka_unit_test(test_inside_taken_back),
        cmocka_unit_test(test_breach),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_forks_and_kill),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"busy", case_busy},     {"inside", case_inside}, {"breach", case_breach},
                                             {"errors", case_errors}, {"forks", case_forks},   {NULL, NULL}};
    return run_cases_or_tests(argc, argv, cases, tests);
}
