/* SPDX-License-Identifier: MIT
 *
 * Opening recordings that are whole, torn, empty, wrapped, damaged in every byte, somebody else's, or still written to;
 * and passes over their events.
 */
#define _GNU_SOURCE
#include "check.h"
#include "cursor.h"
#include "events.h"
#include "recording.h"
#include "slowest.h"
#include "summary.h"
#include "synthetic.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEGMENT_BYTES 2048u /* small, for damage everywhere; the recorder's have 64 KiB and more */

static char *directory;

static int setup(void **state)
{
    (void)state;
    directory = synthetic_directory();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_remove(directory);
    free(directory);
    return 0;
}

static struct lap_recording *open_good(const char *path)
{
    struct lap_recording *recording = NULL;
    struct lap_reader_error error = {0};
    const int code = lap_recording_open(&recording, &path, 1, &error);
    if (code != 0)
        print_error("%s: %s (%s)\n", path, error.text, error.file);
    assert_int_equal(code, 0);
    return recording;
}

static bool has_warning(const struct lap_recording *recording, int code)
{
    for (size_t i = 0; i < recording->warning_count; i++)
        if (recording->warnings[i].code == code)
            return true;
    return false;
}

static uint64_t count_events(struct lap_recording *recording, enum lap_merge_order order)
{
    struct lap_events *events;
    struct lap_event_item item;
    uint64_t count = 0, last_ns = 0;
    assert_int_equal(lap_events_make(&events, recording, order, NULL, NULL), 0);
    while (lap_events_next(events, &item) == 1) {
        if (order == LAP_MERGE_BY_TIME)
            assert_true(item.realtime_ns >= last_ns);
        last_ns = item.realtime_ns;
        count++;
    }
    lap_events_free(events);
    return count;
}

/* Everything that reads events, for recordings of which nothing is expected but that they do no harm. */
static void use_all(struct lap_recording *recording)
{
    for (int source = LAP_SUMMARY_STORED; source <= LAP_SUMMARY_EVENTS; source++) {
        const struct lap_summary_options options = {.source = (enum lap_summary_source)source,
                                                    .by = LAP_SUMMARY_BY_THREAD};
        struct lap_summary *summary;
        if (lap_summary_make(&summary, recording, &options) == 0)
            lap_summary_free(summary);
    }
    struct lap_check *check;
    if (lap_check_make(&check, recording) == 0)
        lap_check_free(check);
    const char *const names[] = {NULL, "*"};
    for (size_t i = 0; i < 2; i++) {
        const struct lap_slowest_options options = {.count = 3, .name = names[i]};
        struct lap_slowest *slowest;
        if (lap_slowest_make(&slowest, recording, &options) == 0)
            lap_slowest_free(slowest);
    }
    count_events(recording, LAP_MERGE_BY_TIME);
}

static void use_path(const char *path)
{
    struct lap_recording *recording;
    if (lap_recording_open(&recording, &path, 1, NULL) == 0) {
        use_all(recording);
        lap_recording_free(recording);
    }
}

/* ---- good ones ----------------------------------------------------------------------------------------------------- */

static void test_opens_process_and_set(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    synthetic_example(directory, "b-2-y", 2, 65536, 4, 4);
    char one[600];
    snprintf(one, sizeof one, "%s/a-1-x/", directory);
    struct lap_recording *recording = open_good(one);
    assert_int_equal(recording->process_count, 1);
    const struct lap_process *const process = recording->processes[0];
    assert_string_equal(process->name, "a-1-x");
    assert_string_equal(process->program, "prog\"ram");
    assert_string_equal(process->host, "testhost");
    assert_string_equal(process->command, "./program -x");
    assert_int_equal(process->pid, 1001);
    assert_int_equal(process->state, LAP_PROCESS_ENDED);
    assert_int_equal(process->ring_count, 1);
    assert_int_equal(process->rings[0].segment_count, 1);
    assert_int_equal(process->thread_count, 1);
    assert_string_equal(process->threads[0]->name, "thread0");
    assert_int_equal(process->threads[0]->id, 5000);
    assert_int_equal(recording->warning_count, 0);
    assert_true(process->clock.hz > 999999999 && process->clock.hz < 1000000001);
    assert_int_equal(process->clock.rate_from, LAP_TIMEBASE_END);
    assert_int_equal(lap_timebase_realtime_ns(&process->clock, SYNTHETIC_START + 5), SYNTHETIC_REALTIME + 5);
    assert_int_equal(lap_timebase_realtime_ns(&process->clock, SYNTHETIC_START - 5), SYNTHETIC_REALTIME - 5);
    lap_recording_free(recording);

    /* A set, with a link to one of it and with it named twice: two processes. */
    char linked[600];
    snprintf(linked, sizeof linked, "%s/link", directory);
    assert_int_equal(symlink(one, linked), 0);
    const char *const paths[] = {directory, one, linked};
    assert_int_equal(lap_recording_open(&recording, paths, 3, NULL), 0);
    assert_int_equal(recording->process_count, 2);
    assert_int_equal(recording->warning_count, 0);
    lap_recording_free(recording);
}

/* As many events as babeltrace2 finds, in both orders. */
static void test_events_are_babeltraces(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 30);
    synthetic_example(directory, "b-2-y", 2, 4096, 0, 50); /* kept: many segments */
    const long expected = synthetic_babeltrace(directory);
    if (expected == -1)
        skip();
    struct lap_recording *const recording = open_good(directory);
    assert_int_equal(count_events(recording, LAP_MERGE_BY_TIME), expected);
    assert_int_equal(count_events(recording, LAP_MERGE_BY_RING), expected);
    assert_int_equal(recording->warning_count, 0);
    lap_recording_free(recording);
}

static void test_event_fields(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 2);
    struct lap_recording *const recording = open_good(directory);
    struct lap_events *events;
    struct lap_event_item item;
    lap_events_make(&events, recording, LAP_MERGE_BY_RING, NULL, NULL);
    assert_int_equal(lap_events_next(events, &item), 1);
    assert_string_equal(item.name, "outer(%d)");
    assert_int_equal(item.field_count, 6);
    assert_string_equal(item.fields[0].name, "threshold_ns");
    assert_int_equal(item.fields[0].value.u64, UINT64_MAX);
    assert_string_equal(item.fields[5].name, "a0");
    assert_int_equal(item.fields[5].type, LAP_FIELD_I64);
    assert_int_equal(item.realtime_ns, SYNTHETIC_REALTIME + 1010);
    assert_int_equal(item.depth, 1);
    assert_string_equal(item.thread->name, "thread0");
    for (int i = 0; i < 18; i++)
        assert_int_equal(lap_events_next(events, &item), 1);
    assert_string_equal(item.name, "text %s %lld");
    static const char *const names[] = {"size", "n", "a1", "a0", "tail"};
    assert_int_equal(item.field_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(item.fields[i].name, names[i]);
    assert_int_equal(item.fields[1].value.i64, 3);
    assert_int_equal(item.fields[2].value.i64, 1);
    assert_string_equal(item.fields[3].value.string, "odd");
    assert_int_equal(item.fields[3].length_bytes, 3);
    while (strcmp(item.name, "lapmark:thread") != 0)
        assert_int_equal(lap_events_next(events, &item), 1);
    assert_string_equal(item.thread->name, "second");
    assert_int_equal(item.thread->id, 6000);
    assert_string_equal(item.fields[3].value.string, "second");
    lap_events_free(events);
    lap_recording_free(recording);
}

static void test_open_profilers(void **state)
{
    (void)state;
    for (int kept = 0; kept <= 1; kept++) { /* in one segment, and with the begin in one that is gone from memory */
        char name[32];
        snprintf(name, sizeof name, "a-%d-x", kept);
        synthetic_example(directory, name, (uint8_t)(1 + kept), kept ? 1024 : 65536, kept ? 0 : 4, 3);
    }
    struct lap_recording *const recording = open_good(directory);
    for (size_t p = 0; p < 2; p++) {
        struct lap_open_profiler *open;
        size_t count;
        assert_int_equal(lap_process_open_profilers(recording->processes[p], &open, &count), 0);
        assert_int_equal(count, 2);
        assert_string_equal(open[0].message, "outer(99)");
        assert_int_equal(open[0].marks, 1);
        assert_int_equal(open[0].last_ticks - open[0].begin_ticks, 7);
        assert_string_equal(open[0].thread->name, "second");
        assert_string_equal(open[1].message, "request");
        assert_int_equal(open[1].handle, UINT64_C(7) << 32 | 6);
        assert_int_equal(open[1].begin_ticks, open[0].begin_ticks + 17);
        assert_int_equal(recording->processes[p]->thread_count, 2);
        lap_open_profilers_free(open, count);
    }
    lap_recording_free(recording);
}

/* A flight recorder whose oldest segments are gone: what is left starts from the `open` events, and the statistics are
 * whole all the same. */
static void test_wrapped_ring(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 1024, 4, 100);
    assert_true(synthetic_babeltrace(directory) != -2);
    struct lap_recording *const recording = open_good(directory);
    const struct lap_ring *const ring = &recording->processes[0]->rings[0];
    assert_int_equal(ring->segment_count, 4);
    assert_true(ring->segments[0].header.sequence > 10);
    assert_int_equal(ring->missing_segments, 0);
    struct lap_summary *summary;
    assert_int_equal(lap_summary_make(&summary, recording, NULL), 0);
    assert_int_equal(summary->events, 100 * 12 + 4);
    assert_int_equal(summary->overwritten, summary->events - summary->events_decoded);
    assert_int_equal(summary->orphans, 0);
    assert_int_equal(recording->warning_count, 0);
    for (size_t i = 0; i < summary->groups[0].node_count; i++)
        if (strcmp(summary->groups[0].nodes[i].label, "inner") == 0) {
            assert_int_equal(summary->groups[0].nodes[i].count, 100);
            assert_true(summary->groups[0].nodes[i].total_ns > 29999 && summary->groups[0].nodes[i].total_ns < 30001);
        }
    lap_summary_free(summary);
    lap_recording_free(recording);
}

static void test_gap(void **state)
{
    (void)state;
    char path[600];
    synthetic_example(directory, "a-1-x", 1, 1024, 0, 30);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-00000003", directory);
    assert_int_equal(unlink(path), 0);
    struct lap_recording *const recording = open_good(directory);
    assert_int_equal(recording->processes[0]->rings[0].missing_segments, 1);
    struct lap_check *check;
    assert_int_equal(lap_check_make(&check, recording), 0);
    assert_int_equal(check->worst, LAP_CHECK_WARNING);
    bool is_missing = false;
    for (size_t i = 0; i < check->finding_count; i++) {
        is_missing |= check->findings[i].what == LAP_CHECK_MISSING && check->findings[i].count == 1;
        assert_int_not_equal(check->findings[i].what, LAP_CHECK_DIFFERENT);
        assert_int_not_equal(check->findings[i].what, LAP_CHECK_ORPHANS);
    }
    assert_true(is_missing);
    lap_check_free(check);
    lap_recording_free(recording);
}

/* ---- states -------------------------------------------------------------------------------------------------------- */

static void make_with_control(const char *name, void (*change)(struct lap_format_control *, void *), void *user)
{
    char path[700];
    size_t bytes;
    synthetic_example(directory, name, (uint8_t)name[0], 65536, 4, 2);
    snprintf(path, sizeof path, "%s/%s/.lapmark/control", directory, name);
    char *const page = synthetic_read(path, &bytes);
    change((struct lap_format_control *)(void *)page, user);
    synthetic_write(path, page, bytes);
    free(page);
}

static uint64_t own_start_time(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    char *at = strrchr(text, ')') + 2;
    for (int i = 3; i < 22; i++)
        at = strchr(at, ' ') + 1;
    return strtoull(at, NULL, 10);
}

static void set_alive(struct lap_format_control *control, void *user)
{
    const pid_t pid = *(pid_t *)user;
    struct stat status;
    char text[64] = "";
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    for (int i = 0, digits = 0; digits < 32; i++)
        if (text[i] != '-') {
            unsigned value;
            const char digit[2] = {text[i], 0};
            sscanf(digit, "%x", &value);
            control->boot_id[digits / 2] = (uint8_t)((unsigned)control->boot_id[digits / 2] << 4 | value);
            digits++;
        }
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    control->pid_namespace = status.st_ino;
    control->pid = (uint64_t)pid;
    control->start_time = own_start_time(pid);
    control->state = LAP_FORMAT_RUNNING;
    memset(&control->end, 0, sizeof control->end);
}

static void set_other_boot(struct lap_format_control *control, void *user)
{
    set_alive(control, user);
    control->boot_id[3] ^= 1;
}

static void test_states(void **state)
{
    (void)state;
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    make_with_control("running", set_alive, &self);
    make_with_control("gone", set_alive, &child);
    make_with_control("exec", set_alive, &self);
    make_with_control("unknown", set_other_boot, &self);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);

    char path[600];
    snprintf(path, sizeof path, "%s/running/.lapmark/control", directory);
    const int fd = open(path, O_RDONLY);
    void *const mapping = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(mapping, MAP_FAILED);
    close(fd);
    struct lap_recording *const recording = open_good(directory);
    assert_int_equal(recording->process_count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct lap_process *const process = recording->processes[i];
        const enum lap_process_state expected = strcmp(process->name, "running") == 0 ? LAP_PROCESS_RUNNING
                                                : strcmp(process->name, "gone") == 0  ? LAP_PROCESS_DIED
                                                : strcmp(process->name, "exec") == 0  ? LAP_PROCESS_REPLACED
                                                                                      : LAP_PROCESS_UNKNOWN;
        assert_int_equal(process->state, expected);
        const bool is_copied = expected == LAP_PROCESS_RUNNING || expected == LAP_PROCESS_UNKNOWN;
        assert_true((process->rings[0].segments[0].copy != NULL) == is_copied);
        /* No end was stored: the last event it is. */
        assert_true(process->end_ticks > SYNTHETIC_START + 3000 && process->end_ticks < SYNTHETIC_START + 10000);
    }
    lap_recording_free(recording);
    munmap(mapping, 4096);
}

/* A process that stores without pause while it is read: nothing that is read is damaged. */
static void test_live(void **state)
{
    (void)state;
    pid_t self = getpid();
    make_with_control("live", set_alive, &self);
    char path[600];
    snprintf(path, sizeof path, "%s/live/.lapmark/control", directory);
    int fd = open(path, O_RDONLY);
    void *const control = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    snprintf(path, sizeof path, "%s/live/stream-0000-00", directory);
    fd = open(path, O_RDWR);
    struct lap_format_segment *const header = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(header, MAP_FAILED);
    close(fd);
    uint64_t *const words = (uint64_t *)(void *)header;

    int stop[2];
    assert_int_equal(pipe2(stop, O_NONBLOCK), 0);
    const pid_t writer = fork();
    if (writer == 0) { /* one segment, used again and again: checkpoints only */
        char byte;
        for (uint64_t clock = header->begin_ticks; read(stop[0], &byte, 1) < 0;) {
            __atomic_store_n(&header->content_bits, LAP_FORMAT_SEGMENT_HEADER_BYTES * 8, __ATOMIC_SEQ_CST);
            __atomic_store_n(&header->sequence, header->sequence + 1, __ATOMIC_SEQ_CST);
            __atomic_store_n(&header->begin_ticks, clock, __ATOMIC_SEQ_CST);
            for (size_t at = LAP_FORMAT_SEGMENT_HEADER_BYTES / 8; at < 65536 / 8; at++) {
                clock += 1 + (header->sequence & 7);
                words[at] = clock << LAP_FORMAT_CLOCK_SHIFT | SYNTHETIC_STEP;
                __atomic_store_n(&header->content_bits, (at + 1) * 64, __ATOMIC_RELEASE);
            }
        }
        _exit(0);
    }
    for (int i = 0; i < 300; i++) {
        struct lap_recording *const recording = open_good(directory);
        const struct lap_ring *const ring = &recording->processes[0]->rings[0];
        uint64_t last = 0, first = 0;
        for (size_t s = 0; s < ring->segment_count; s++) {
            const struct lap_segment *const segment = &ring->segments[s];
            const uint64_t *const copy = segment->copy;
            for (uint64_t at = LAP_FORMAT_SEGMENT_HEADER_BYTES / 8; at < segment->content_bytes / 8; at++) {
                if (segment->header.sequence == 0)
                    break; /* the example's own events */
                assert_int_equal(copy[at] & LAP_FORMAT_CLASS_MASK, SYNTHETIC_STEP);
                const uint64_t clock = copy[at] >> LAP_FORMAT_CLOCK_SHIFT;
                first = first ? first : clock;
                if (last != 0)
                    assert_int_equal(clock - last, 1 + (segment->header.sequence & 7));
                last = clock;
            }
        }
        lap_recording_free(recording);
    }
    assert_int_equal(write(stop[1], "x", 1), 1);
    waitpid(writer, NULL, 0);
    close(stop[0]);
    close(stop[1]);
    munmap(header, 65536);
    munmap(control, 4096);
}

/* ---- bad ones ------------------------------------------------------------------------------------------------------ */

static void test_no_recording(void **state)
{
    (void)state;
    struct lap_recording *recording;
    struct lap_reader_error error = {0};
    const char *path = directory;
    assert_int_equal(lap_recording_open(&recording, &path, 1, &error), LAP_READER_NO_RECORDING);
    assert_string_equal(error.file, directory);
    assert_string_equal(error.text, "no recording in it");
    path = "/nowhere/at/all";
    assert_int_equal(lap_recording_open(&recording, &path, 1, &error), -ENOENT);
    path = "/etc/passwd";
    assert_int_equal(lap_recording_open(&recording, &path, 1, &error), -ENOTDIR);
    assert_int_equal(lap_recording_open(&recording, &path, 0, &error), LAP_READER_NO_RECORDING);
}

static void test_foreign_metadata(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s/metadata", directory);
    synthetic_write(path, "/* CTF 1.8 */ trace { major = 1; };", 35);
    struct lap_recording *recording;
    struct lap_reader_error error = {0};
    const char *const name = directory;
    assert_int_equal(lap_recording_open(&recording, &name, 1, &error), LAP_READER_METADATA);
    assert_string_equal(error.file, path);
    assert_int_equal(error.offset, 0);

    /* Beside a good one it is a warning. */
    synthetic_remove(path);
    char parent[600];
    snprintf(parent, sizeof parent, "%s/foreign", directory);
    assert_int_equal(mkdir(parent, 0700), 0);
    snprintf(path, sizeof path, "%s/foreign/metadata", directory);
    synthetic_write(path, "/* CTF 1.8 */ trace { major = 1; };", 35);
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    recording = open_good(directory);
    assert_int_equal(recording->process_count, 1);
    assert_true(has_warning(recording, LAP_READER_METADATA));
    use_all(recording);
    lap_recording_free(recording);
}

static void test_newer_version(void **state)
{
    (void)state;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    static const size_t places[] = {offsetof(struct lap_format_control, version),
                                    offsetof(struct lap_format_control, features)};
    char path[600];
    snprintf(path, sizeof path, "%s/a-1-x/.lapmark/control", directory);
    for (size_t i = 0; i < 2; i++) {
        size_t bytes;
        char *const page = synthetic_read(path, &bytes);
        page[places[i]] += 2;
        synthetic_write(path, page, bytes);
        page[places[i]] -= 2;
        struct lap_recording *recording;
        struct lap_reader_error error = {0};
        const char *const name = directory;
        assert_int_equal(lap_recording_open(&recording, &name, 1, &error), LAP_READER_VERSION);
        assert_int_equal(error.offset, places[i]);
        synthetic_write(path, page, bytes);
        free(page);
    }
}

static void set_random(struct lap_format_control *control, void *user)
{
    uint64_t random = UINT64_C(0x9E3779B97F4A7C15) * *(const uint64_t *)user;
    for (size_t at = offsetof(struct lap_format_control, pid); at < sizeof *control; at += 8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        memcpy((char *)control + at, &random, 8);
    }
}

/* Of a process that took 10 seconds. */
static void set_lost(struct lap_format_control *control, void *user)
{
    control->losses[LAP_FORMAT_LOSS_SIGNAL] = *(const uint64_t *)user;
}

/* Counts that cannot be are no one's: told as damage with their place, and counted as 0. */
static void test_counts_that_cannot_be(void **state)
{
    (void)state;
    char name[32], path[600];
    for (uint64_t seed = 1; seed <= 64; seed++) {
        snprintf(name, sizeof name, "%c-%d-x", 'A' + (int)(seed & 31), (int)seed);
        make_with_control(name, set_random, &seed);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        struct lap_recording *const recording = open_good(path);
        assert_true(has_warning(recording, LAP_READER_CONTROL));
        assert_true(recording->processes[0]->lost <= LAP_LOSS_MAX * LAP_FORMAT_LOSSES);
        use_all(recording);
        lap_recording_free(recording);
    }
    static const uint64_t losses[] = {UINT64_C(40960000004096), UINT64_C(40960000004097)};
    for (uint64_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%c-x", 'a' + (int)i);
        make_with_control(name, set_lost, (void *)(uintptr_t)&losses[i]);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        struct lap_recording *const recording = open_good(path);
        assert_int_equal(has_warning(recording, LAP_READER_CONTROL), i == 1);
        assert_int_equal(recording->processes[0]->lost, i == 1 ? 0 : losses[i]);
        if (i == 1)
            assert_int_equal(recording->warnings[0].offset, offsetof(struct lap_format_control, losses));
        lap_recording_free(recording);
    }
}

/* Side files that are not there: the events are still read. */
static void test_missing_side_files(void **state)
{
    (void)state;
    static const char *const files[] = {"control", "paths", "statistics-0000"};
    for (size_t i = 0; i < 3; i++) {
        char name[32], path[600];
        snprintf(name, sizeof name, "p-%zu-x", i);
        synthetic_example(directory, name, (uint8_t)(1 + i), 65536, 4, 3);
        snprintf(path, sizeof path, "%s/%s/.lapmark/%s", directory, name, files[i]);
        assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        struct lap_recording *const recording = open_good(path);
        assert_int_equal(count_events(recording, LAP_MERGE_BY_TIME), 3 * 12 + 7);
        assert_true(has_warning(recording, -ENOENT));
        struct lap_summary *summary;
        assert_int_equal(lap_summary_make(&summary, recording, NULL), 0);
        assert_int_equal(summary->events, 3 * 12 + 4);
        lap_summary_free(summary);
        /* Without a control page the wall clock comes from the metadata. */
        const struct lap_process *const process = recording->processes[0];
        assert_int_equal(lap_timebase_realtime_ns(&process->clock, SYNTHETIC_START + 100), SYNTHETIC_REALTIME + 100);
        use_all(recording);
        lap_recording_free(recording);
    }
}

/* Statistics that were just being made when the process died, before or after their file got its size. */
static void test_unmade_statistics(void **state)
{
    (void)state;
    static const char zeros[LAP_FORMAT_STATISTICS_HEADER_BYTES];
    char path[600];
    size_t bytes;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    snprintf(path, sizeof path, "%s/a-1-x/.lapmark/control", directory);
    char *const control = synthetic_read(path, &bytes);
    for (uint32_t process_state = LAP_FORMAT_RUNNING; process_state <= LAP_FORMAT_ENDED; process_state++) {
        memcpy(control + offsetof(struct lap_format_control, state), &process_state, sizeof process_state);
        synthetic_write(path, control, bytes);
        for (size_t size = 0; size <= sizeof zeros; size += sizeof zeros) {
            char statistics[600];
            snprintf(statistics, sizeof statistics, "%s/a-1-x/.lapmark/statistics-0000", directory);
            synthetic_write(statistics, zeros, size);
            struct lap_recording *const recording = open_good(directory);
            assert_int_equal(count_events(recording, LAP_MERGE_BY_TIME), 3 * 12 + 7);
            assert_int_equal(has_warning(recording, LAP_READER_STATISTICS), process_state == LAP_FORMAT_ENDED);
            use_all(recording);
            lap_recording_free(recording);
        }
    }
    free(control);
}

static void test_odd_files(void **state)
{
    (void)state;
    char path[600];
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-01", directory);
    synthetic_write(path, "", 0); /* empty */
    snprintf(path, sizeof path, "%s/a-1-x/stream-0001-00", directory);
    synthetic_write(path, "short", 5);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0002-00", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0003-00", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0004-00", directory);
    assert_int_equal(symlink("/nowhere", path), 0);
    snprintf(path, sizeof path, "%s/a-1-x/stream-what", directory);
    synthetic_write(path, "x", 1);
    snprintf(path, sizeof path, "%s/a-1-x/.stream-0000-02", directory);
    synthetic_write(path, "being built", 11);
    snprintf(path, sizeof path, "%s/dangling", directory);
    assert_int_equal(symlink("/nowhere", path), 0);
    snprintf(path, sizeof path, "%s/file", directory);
    synthetic_write(path, "x", 1);
    struct lap_recording *const recording = open_good(directory);
    assert_int_equal(count_events(recording, LAP_MERGE_BY_TIME), 3 * 12 + 7);
    assert_true(has_warning(recording, LAP_READER_EMPTY));
    assert_true(has_warning(recording, LAP_READER_TORN));
    assert_true(has_warning(recording, -EINVAL));
    assert_true(has_warning(recording, -ENOENT));
    assert_true(has_warning(recording, LAP_READER_SEGMENT));
    assert_int_equal(recording->warning_count, 7);
    use_all(recording);
    lap_recording_free(recording);
}

/* The segment cut at every length: the whole events before the cut are there. */
static void test_torn_anywhere(void **state)
{
    (void)state;
    char path[600];
    size_t bytes;
    synthetic_example(directory, "a-1-x", 1, SEGMENT_BYTES, 4, 3);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-00", directory);
    char *const segment = synthetic_read(path, &bytes);
    uint64_t content_bits, last = 0;
    memcpy(&content_bits, segment + 32, 8);
    for (size_t length = 0; length <= content_bits / 8; length++) {
        synthetic_write(path, segment, length);
        struct lap_recording *const recording = open_good(directory);
        const uint64_t events = count_events(recording, LAP_MERGE_BY_RING);
        assert_true(events >= last && events <= 3 * 12 + 7);
        assert_true(recording->warning_count > 0);
        if (length < LAP_FORMAT_SEGMENT_HEADER_BYTES)
            assert_int_equal(events, 0);
        last = events;
        if (length % 16 == 0)
            use_all(recording);
        lap_recording_free(recording);
    }
    assert_int_equal(last, 3 * 12 + 7);

    /* The commit at every size, as a kill leaves it: nothing to warn of, but for a size within an event. */
    for (uint64_t content = LAP_FORMAT_SEGMENT_HEADER_BYTES; content <= content_bits / 8; content += 8) {
        const uint64_t bits = content * 8;
        memcpy(segment + 32, &bits, 8);
        synthetic_write(path, segment, bytes);
        use_path(directory);
    }
    free(segment);
}

/* Every byte of every file, changed in several ways; with a sanitizer, under which that takes ten times as long, every third. */
static void test_any_byte(void **state)
{
    (void)state;
    static const char *const files[] = {"stream-0000-00", ".lapmark/control", ".lapmark/paths",
                                        ".lapmark/statistics-0000"};
    synthetic_example(directory, "a-1-x", 1, SEGMENT_BYTES, 4, 2);
    const char *const sanitizers = getenv("SANITIZE");
    const size_t step = sanitizers && *sanitizers ? 3 : 1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[600];
        size_t bytes;
        snprintf(path, sizeof path, "%s/a-1-x/%s", directory, files[i]);
        char *const whole = synthetic_read(path, &bytes);
        const int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        static const unsigned char changes[] = {0xff, 0x01};
        for (size_t at = 0; at < bytes; at += step) {
            if (whole[at] == 0 && at % 8 != 0)
                continue; /* there are many zeros */
            for (size_t change = 0; change < sizeof changes; change++) {
                const char byte = (char)(whole[at] ^ changes[change]);
                assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
                use_path(directory);
            }
            assert_int_equal(pwrite(fd, whole + at, 1, (off_t)at), 1);
        }
        close(fd);
        free(whole);
    }
}

/* Damage behind the header costs the rest of that segment and is told with its place; the next segment is read again. */
static void test_damage_costs_one_segment(void **state)
{
    (void)state;
    char path[600];
    size_t bytes;
    synthetic_example(directory, "a-1-x", 1, 1024, 0, 20);
    struct lap_recording *recording = open_good(directory);
    const uint64_t all = count_events(recording, LAP_MERGE_BY_RING);
    lap_recording_free(recording);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-00000002", directory);
    char *const segment = synthetic_read(path, &bytes);
    const uint64_t word = 200; /* no such class */
    memcpy(segment + LAP_FORMAT_SEGMENT_HEADER_BYTES, &word, 8);
    synthetic_write(path, segment, bytes);
    free(segment);
    recording = open_good(directory);
    const uint64_t left = count_events(recording, LAP_MERGE_BY_RING);
    assert_true(left < all && left > all - 110); /* what fits into one */
    assert_true(has_warning(recording, LAP_READER_EVENT));
    assert_string_equal(recording->warnings[0].file, path);
    assert_int_equal(recording->warnings[0].offset, LAP_FORMAT_SEGMENT_HEADER_BYTES);
    lap_recording_free(recording);
}

/* Segments of another process in the directory are not decoded with our classes. */
static void test_segment_of_another(void **state)
{
    (void)state;
    char path[600];
    size_t bytes;
    synthetic_example(directory, "a-1-x", 1, 65536, 4, 3);
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-00", directory);
    char *const segment = synthetic_read(path, &bytes);
    segment[5] ^= 1;
    segment[64] = 1; /* its sequence */
    snprintf(path, sizeof path, "%s/a-1-x/stream-0000-01", directory);
    synthetic_write(path, segment, bytes);
    free(segment);
    struct lap_recording *recording = open_good(directory);
    assert_int_equal(recording->processes[0]->rings[0].segment_count, 1);
    assert_true(has_warning(recording, LAP_READER_SEGMENT));
    lap_recording_free(recording);

    snprintf(path, sizeof path, "%s/a-1-x/.lapmark/control", directory);
    assert_int_equal(unlink(path), 0);
    recording = open_good(directory);
    assert_int_equal(recording->processes[0]->rings[0].segment_count, 1);
    lap_recording_free(recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens_process_and_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_are_babeltraces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_event_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_profilers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrapped_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_recording, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts_that_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_side_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unmade_statistics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_costs_one_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_segment_of_another, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
