/* SPDX-License-Identifier: MIT
 * ctest: long
 *
 * Races that are forced, not hoped for: at each moment between two stores that others can see (LAP_I_POINT) the thread is held,
 * and there the process is read, killed, forked, interrupted by a signal, and its recording stopped and started anew.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include "lapmark/abi.h"

#include <lapmark.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS = 12000, STEPS_AGAIN = 6000, CHILD_STEPS = 300, TAKEN_BACK_EACH = 50, LABELS = 40 };
enum { POINTS = 64, HITS_MAX = 6, HANDLED = 3 };
enum { RECORDED = 10, NOT_RECORDED = 11 };

/* What the process says of itself, in memory that outlives it. */
struct done {
    uint64_t steps; /* that have returned */
    uint32_t is_hit;
    uint32_t is_restarted; /* while the thread was held: no step was outside of a recording */
    uint32_t is_stopping;  /* the recording: what comes now is held back, or stored where none is any more */
    uint32_t came_in_stop; /* the handler did */
    int32_t child_pid, child_status;
};

static struct done *done;

/* ---- what is done at a point ----------------------------------------------------------------------------------------- */

static struct {
    const char *name;
    uint64_t count;
} points[POINTS];
static __thread int is_watched;
static const char *hit_name;
static uint64_t hits_left;
static void (*hit_do)(void);

void lapmark_test_point(const char *name)
{
    if (!is_watched)
        return;
    for (unsigned i = 0; !hit_name && i < POINTS; i++) {
        if (points[i].name && strcmp(points[i].name, name) != 0)
            continue;
        points[i].name = name;
        points[i].count++;
        return;
    }
    if (!hit_name || strcmp(hit_name, name) != 0 || --hits_left != 0)
        return;
    is_watched = 0;
    done->is_hit = 1;
    hit_do();
}

static void stop_here(void) { raise(SIGSTOP); }

static void in_handler(void)
{
    done->came_in_stop = done->is_stopping;
    LAP_PROFILE("of the handler");
    LAP_MARK("in the handler");
    lap_end(lap_begin("handle of the handler"));
}

static void handle(int signal_number)
{
    (void)signal_number;
    in_handler();
}

static void handle_at_new_sites(int signal_number)
{
    (void)signal_number;
    done->came_in_stop = done->is_stopping;
    LAP_PROFILE("of the new handler");
    LAP_MARK("in the new handler");
    lap_end(lap_begin("handle of the new handler"));
}

static void interrupt_here(void) { raise(SIGUSR1); /* where the library holds signals back, it comes a little later */ }

static void *child_thread(void *argument)
{
    LAP_PROFILE("thread of the child");
    return argument;
}

/* All that needs a lock, a table or a file of the recording. */
static void be_child(int makes_threads)
{
    LAP_PROFILE("the child");
    for (int i = 0; i < CHILD_STEPS; i++) {
        char label[32];
        snprintf(label, sizeof label, "child's %d", i % LABELS);
        LAP_MARK_TEXT(label);
        LAP_MARK("child's step");
    }
    if (lap_set("-nothing,*") != 0)
        _exit(1);
    pthread_t thread;
    if (makes_threads && (pthread_create(&thread, NULL, child_thread, NULL) != 0 || pthread_join(thread, NULL) != 0))
        _exit(2);
    lap_end(lap_begin("child's handle"));
    const int error = lap_record_stop();
    _exit(error == 0 ? RECORDED : error == -ESRCH ? NOT_RECORDED : 3);
}

static void fork_here(pid_t (*by)(void), int makes_threads)
{
    const pid_t pid = by();
    if (pid == 0)
        be_child(makes_threads);
    done->child_pid = pid;
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    done->child_status = status;
}

static void fork_in_handler(int signal_number)
{
    (void)signal_number;
    fork_here(fork, 0);
}

/* What another thread does while this one is held. It may have to wait for a lock of ours: then we go on. */
static sem_t is_held;
static int has_begun, has_ended;
static pid_t other_id;
static void (*other_do)(void);

static void *other_thread(void *argument)
{
    other_id = (pid_t)syscall(SYS_gettid);
    sem_post(argument);
    while (sem_wait(&is_held) < 0)
        continue;
    __atomic_store_n(&has_begun, 1, __ATOMIC_SEQ_CST);
    if (done->is_hit)
        other_do();
    __atomic_store_n(&has_ended, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int other_sleeps(void)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", other_id);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    if (fd >= 0)
        close(fd);
    const char *const state = strrchr(text, ')');
    return state && state[1] != 0 && state[2] == 'S';
}

static void held_for_fork(void)
{
    sem_post(&is_held);
    while (!__atomic_load_n(&has_ended, __ATOMIC_SEQ_CST))
        sched_yield();
}

static void held_for_restart(void)
{
    sem_post(&is_held);
    for (int asleep = 0; asleep < 20 && !__atomic_load_n(&has_ended, __ATOMIC_SEQ_CST); sched_yield())
        asleep = __atomic_load_n(&has_begun, __ATOMIC_SEQ_CST) && other_sleeps() ? asleep + 1 : 0;
    done->is_restarted = __atomic_load_n(&has_ended, __ATOMIC_SEQ_CST) != 0;
}

static void fork_other(void) { fork_here(fork, 1); }

static void fork_other_unheard(void) /* of which pthread_atfork tells nobody */ { fork_here(_Fork, 0); }

static void restart(void)
{
    lap_record_stop();
    lap_end(lap_begin("between recordings")); /* a path that neither of them has where it has its own */
    lap_record_start(getenv("TEST_DIRECTORY"));
}

/* ---- the program ------------------------------------------------------------------------------------------------------ */

static void *short_life(void *argument)
{
    is_watched = argument != NULL;
    LAP_PROFILE("short-lived");
    return argument;
}

static void steps(uint64_t until)
{
    LAP_PROFILE("steps to %lu", (unsigned long)until);
    for (uint64_t i = done->steps; i < until; i++) {
        LAP_MARK_N((long)i, "step");
        __atomic_store_n(&done->steps, i + 1, __ATOMIC_RELAXED);
        if (i % TAKEN_BACK_EACH != 0)
            continue;
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "taken back");
            LAP_MARK("inside of it");
        }
        char label[32];
        snprintf(label, sizeof label, "label %d", (int)(i / TAKEN_BACK_EACH % LABELS));
        LAP_MARK_TEXT(label);
        const lap_handle handle_of_step = lap_begin("handle");
        lap_mark(handle_of_step, "marked %s", "with a string");
        lap_end(handle_of_step);
        if (i % 4000 == 0) { /* one that is watched instead of us, for its ring is made and left */
            pthread_t thread;
            void *const token = is_watched ? done : NULL;
            is_watched = 0;
            pthread_create(&thread, NULL, short_life, token);
            pthread_join(thread, NULL);
            is_watched = token != NULL && !done->is_hit;
        }
    }
}

static int record_stop(void)
{
    done->is_stopping = 1;
    const int error = lap_record_stop();
    done->is_stopping = 0;
    return error;
}

static int case_work(void)
{
    static const struct {
        const char *name;
        void (*here)(void), (*other)(void), (*handler)(int);
    } actions[] = {
        {"survey", NULL, NULL, NULL},
        {"stop", stop_here, NULL, NULL},
        {"signal", interrupt_here, NULL, handle},
        {"signal at new sites", interrupt_here, NULL, handle_at_new_sites},
        {"handler forks", interrupt_here, NULL, fork_in_handler},
        {"fork", held_for_fork, fork_other, NULL},
        {"_Fork", held_for_fork, fork_other_unheard, NULL},
        {"restart", held_for_restart, restart, NULL},
    };
    unsigned action = 0;
    while (strcmp(actions[action].name, getenv("TEST_DO")) != 0)
        action++;
    const char *const directory = getenv("TEST_DIRECTORY");
    done = shared_map(getenv("TEST_DONE"), sizeof(struct done));
    hit_name = getenv("TEST_POINT");
    hits_left = hit_name ? strtoul(getenv("TEST_HIT"), NULL, 10) : 0;
    hit_do = actions[action].here;
    other_do = actions[action].other;
    pthread_t other;
    sem_t has_started;
    sem_init(&has_started, 0, 0);
    sem_init(&is_held, 0, 0);
    if (other_do) {
        pthread_create(&other, NULL, other_thread, &has_started);
        sem_wait(&has_started);
    }
    in_handler(); /* its sites are known when it comes */
    if (actions[action].handler)
        signal(SIGUSR1, actions[action].handler);
    alarm(120); /* one that waits for itself is killed, and fails */
    int error = 0;
    is_watched = 1;
    error |= lap_record_start(directory);
    steps(STEPS);
    error |= record_stop();
    error |= lap_record_start(directory);
    steps(STEPS + STEPS_AGAIN);
    error |= record_stop();
    is_watched = 0;
    if (other_do) {
        sem_post(&is_held); /* where the point was never reached */
        pthread_join(other, NULL);
    }
    for (unsigned i = 0; !hit_name && i < POINTS && points[i].name; i++)
        printf("%s\t%llu\n", points[i].name, (unsigned long long)points[i].count);
    return error != 0 && other_do != restart;
}

/* ---- what must be there ------------------------------------------------------------------------------------------------ */

struct found {
    uint64_t steps; /* in all recordings of the process */
    uint64_t least, last;
    uint64_t handled, lost; /* events of the handler, but for ends; losses of all kinds of events */
    uint64_t events;
    unsigned recordings, of_child, all;
};

static int exists(const char *directory, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

/* Its steps have no gap and are nobody else's. A recording that is only being made is no recording yet. */
static void look(struct found *found, const char *process, pid_t child)
{
    if (!exists(process, "metadata")) {
        assert_false(exists(process, "stream-0000-00"));
        return;
    }
    struct stored *const stored = stored_load(process);
    found->events += stored->count;
    found->all++;
    if ((pid_t)stored->control.pid == child) {
        assert_int_equal(stored_named(stored, "child's step"), CHILD_STEPS);
        assert_int_equal(stored_named(stored, "child's handle"), 1);
        assert_int_equal(stored_lost(stored), 0);
        found->of_child++;
    } else {
        assert_int_equal(stored_named(stored, "child's step"), 0);
        int64_t next = -1;
        for (size_t i = 0; i < stored->count; i++) {
            const struct stored_event *const event = &stored->events[i];
            found->handled += strstr(event->name, "handler") != NULL;
            if (strcmp(event->name, "step") != 0)
                continue;
            if (next >= 0)
                assert_int_equal(event->n, next);
            next = event->n + 1;
            found->steps++;
            if ((uint64_t)event->n < found->least)
                found->least = (uint64_t)event->n;
            if ((uint64_t)event->n > found->last)
                found->last = (uint64_t)event->n;
        }
        found->lost += stored_lost(stored);
        found->recordings++;
    }
    stored_free(stored);
}

static struct found look_at_all(const char *directory, pid_t child)
{
    struct found found = {.least = UINT64_MAX};
    const unsigned count = process_count(directory);
    for (unsigned i = 0; i < count; i++)
        look(&found, process_directory(directory, i), child);
    if (found.all != 0)
        assert_int_equal(babeltrace_count(directory), found.events);
    return found;
}

/* How often a run comes to each point, by what it keeps and how. */
struct variant {
    const char *mode, *keep;
    unsigned point_count;
    struct {
        char name[64];
        uint64_t count;
    } known[POINTS];
};
static struct variant full = {.mode = "LAPMARK_MODE=full", .keep = "LAPMARK_KEEP=slow"},
                      flight = {.mode = "LAPMARK_MODE=flight", .keep = "LAPMARK_KEEP=slow"},
                      all_kept = {.mode = "LAPMARK_MODE=full", .keep = "LAPMARK_KEEP=all"};

static pid_t start(const struct variant *variant, const char *what, const char *point, uint64_t hit,
                   const char *directory, const struct done **ret_done)
{
    char path[512], number[32];
    snprintf(path, sizeof path, "%s/.done", directory);
    snprintf(number, sizeof number, "TEST_HIT=%llu", (unsigned long long)hit);
    *ret_done = shared_map(path, sizeof(struct done));
    char name[128];
    snprintf(name, sizeof name, "TEST_POINT=%s", point);
    int pipe;
    const pid_t pid = start_case("work", &pipe, variable("TEST_DIRECTORY", directory), variable("TEST_DONE", path),
                                 "LAPMARK_PRINT=off", "LAPMARK_RING=64K", "LAPMARK_MEMORY=512K", variant->keep,
                                 variant->mode, name, number, variable("TEST_DO", what), NULL);
    close(pipe);
    return pid;
}

static void check_says(const char *directory, int is_dead)
{
    if (process_count(directory) == 0 || !exists(process_directory(directory, 0), "metadata"))
        return;
    const char *const text = lapmark_says("check", directory, NULL);
    if (is_dead)
        assert_int_equal(count_of(text, ": died\n"), 1);
}

/* Held there by SIGSTOP: it is read as it lies; then it is killed, or goes on. */
static void stopped_at(const struct variant *variant, const char *point, uint64_t hit, int is_killed)
{
    const char *const directory = temporary_directory();
    const struct done *of;
    const int is_full = variant != &flight;
    const pid_t pid = start(variant, "stop", point, hit, directory, &of);
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    for (int i = 0; i < 1 + is_killed; i++) {
        const struct found found = look_at_all(directory, -1);
        if (found.steps != 0) {
            assert_in_range(found.last + 1, of->steps, of->steps + 1);
            assert_true(!is_full || (found.least == 0 && found.steps == found.last + 1));
        } else {
            assert_in_range(of->steps, 0, 1);
        }
        assert_int_equal(found.lost, 0);
        check_says(directory, 0);
        if (i < is_killed) {
            kill(pid, SIGKILL);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
    }
    if (!is_killed) {
        kill(pid, SIGCONT);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        const struct found found = look_at_all(directory, -1);
        assert_int_equal(found.recordings, 2);
        assert_int_equal(found.last + 1, STEPS + STEPS_AGAIN);
        assert_true(!is_full || found.steps == STEPS + STEPS_AGAIN);
        check_says(directory, 0);
    }
    temporary_directories_remove();
}

static void done_at(const struct variant *variant, const char *what, const char *point, uint64_t hit)
{
    const char *const directory = temporary_directory();
    const struct done *of;
    const pid_t pid = start(variant, what, point, hit, directory, &of);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(of->is_hit, 1);
    const struct found found = look_at_all(directory, of->child_pid == 0 ? -1 : of->child_pid);
    if (of->child_pid != 0) {
        assert_true(WIFEXITED(of->child_status));
        assert_in_range(WEXITSTATUS(of->child_status), RECORDED, NOT_RECORDED);
        assert_int_equal(found.of_child, WEXITSTATUS(of->child_status) == RECORDED);
    }
    const int is_restart = strcmp(what, "restart") == 0;
    if (!is_restart) {
        assert_int_equal(found.recordings, 2);
        assert_int_equal(found.steps, STEPS + STEPS_AGAIN);
    } else if (of->is_restarted) { /* the one that was held may count as between the two */
        assert_in_range(found.steps, STEPS + STEPS_AGAIN - 1, STEPS + STEPS_AGAIN);
    }
    /* The handler's begin, checkpoint and handle are stored or counted as lost; unless no recording was there to do either. */
    if (strncmp(what, "signal", 6) == 0 && (found.handled + found.lost != 0 || !of->came_in_stop))
        assert_int_equal(found.handled + found.lost, HANDLED);
    else
        assert_int_equal(found.lost, 0);
    check_says(directory, 0);
    temporary_directories_remove();
}

/* ---- the tests ------------------------------------------------------------------------------------------------------------ */

static void survey_one(struct variant *variant)
{
    const char *const directory = temporary_directory();
    char path[512];
    snprintf(path, sizeof path, "%s/.done", directory);
    struct outcome outcome =
        run_case("work", variable("TEST_DIRECTORY", directory), variable("TEST_DONE", path), "LAPMARK_PRINT=off",
                 "LAPMARK_RING=64K", "LAPMARK_MEMORY=512K", variant->keep, variant->mode, "TEST_DO=survey", NULL);
    assert_ended_well(&outcome);
    char *rest = outcome.out;
    for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n")) {
        const unsigned point = variant->point_count++;
        assert_true(point < POINTS);
        assert_int_equal(sscanf(line, "%63[^\t]\t%lu", variant->known[point].name, &variant->known[point].count), 2);
    }
    outcome_free(&outcome);
    if (variant != &flight)
        assert_int_equal(look_at_all(directory, -1).steps, STEPS + STEPS_AGAIN);
    temporary_directories_remove();
}

static int survey(void **state)
{
    (void)state;
    survey_one(&full);
    survey_one(&flight);
    survey_one(&all_kept);
    return 0;
}

/* The first time, one in the middle, the last; in a long run more of them. */
static unsigned hits_of(uint64_t count, int is_thorough, uint64_t *hits)
{
    const uint64_t wanted[] = {count / 2 + 1, 1, count, 2, count / 3 + 1, count - 1};
    const unsigned most = times(1) > 1 ? HITS_MAX : is_thorough ? 2 : 1;
    unsigned used = 0;
    for (unsigned i = 0; i < most; i++) {
        int is_new = wanted[i] >= 1 && wanted[i] <= count;
        for (unsigned k = 0; k < used; k++)
            is_new = is_new && hits[k] != wanted[i];
        if (is_new)
            hits[used++] = wanted[i];
    }
    return used;
}

static unsigned long forced;

static void at_each_point(const char *what, const struct variant *variant)
{
    for (unsigned point = 0; point < variant->point_count; point++) {
        const char *const name = variant->known[point].name;
        const uint64_t met = variant->known[point].count;
        uint64_t hits[HITS_MAX];
        const unsigned count = hits_of(met, variant == &full && strcmp(what, "stop") == 0, hits);
        for (unsigned i = 0; i < count; i++) {
            print_message("%s at '%s', %lu of %lu\n", what, name, hits[i], met);
            if (strcmp(what, "stop") == 0)
                stopped_at(variant, name, hits[i], (i + (variant == &flight)) % 2 == 0);
            else
                done_at(variant, what, name, hits[i]);
            forced++;
        }
    }
}

static void test_stop_and_kill(void **state)
{
    (void)state;
    at_each_point("stop", &full);
}
static void test_stop_of_a_ring(void **state)
{
    (void)state;
    at_each_point("stop", &flight);
}
static void test_signal(void **state)
{
    (void)state;
    at_each_point("signal", &full);
}
static void test_signal_at_new_sites(void **state)
{
    (void)state;
    at_each_point("signal at new sites", &full);
}
static void test_handler_forks(void **state)
{
    (void)state;
    at_each_point("handler forks", &full);
}
static void test_fork(void **state)
{
    (void)state;
    at_each_point("fork", &full);
}
static void test_fork_unheard(void **state)
{
    (void)state;
    at_each_point("_Fork", &full);
}
static void test_restart(void **state)
{
    (void)state;
    at_each_point("restart", &all_kept);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_stop_and_kill), cmocka_unit_test(test_stop_of_a_ring),
        cmocka_unit_test(test_signal),        cmocka_unit_test(test_signal_at_new_sites),
        cmocka_unit_test(test_handler_forks), cmocka_unit_test(test_fork_unheard),
        cmocka_unit_test(test_fork),          cmocka_unit_test(test_restart),
    };
    const int failed = cmocka_run_group_tests(all, survey, NULL);
    print_message("counted: %lu times at one of %u points between two stores\n", forced, full.point_count);
    return failed;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"work", case_work}, {NULL, NULL}};
    return run_cases_or_tests(argc, argv, cases, tests);
}
