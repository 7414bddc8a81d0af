/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "printer.h"

#include "guard.h"
#include "lapmark.h"
#include "process.h"
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REPORTS_A_SECOND 1000u

static struct {
    pthread_mutex_t lock;
    int fd;
    lap_sink *function;
    void *user;
    int is_writing;                 /* a sink that is called from itself has printed by the side */
    struct lap_impl_thread *writer; /* who has the lock */
    uint64_t second;                /* of the clock, for the limit */
    uint32_t in_second;
    uint64_t suppressed;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO};

int lap_printer_configure(const char *value)
{
    sink.fd = STDERR_FILENO;
    if (!value || !*value || strcmp(value, "stderr") == 0 || strcmp(value, "off") == 0 || strcmp(value, "on") == 0)
        return 0;
    if (strcmp(value, "stdout") == 0) {
        sink.fd = STDOUT_FILENO;
        return 0;
    }
    char *end;
    const long fd = strtol(value, &end, 10);
    if (*end != 0 || end == value || fd < 0 || fd >= 1 << 20)
        return -EINVAL;
    sink.fd = (int)fd;
    return 0;
}

int lap_printer_fd(void) { return sink.function ? -1 : sink.fd; }

void lap_printer_start(void)
{
    /* A sink may set another. */
#if defined(PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP)
    static const pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    sink.lock = recursive;
#else
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&sink.lock, &attributes);
#endif
}

void lap_sink_fd(int fd)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    lap_process_ensure(); /* the environment's choice comes first */
    pthread_mutex_lock(&sink.lock);
    sink.fd = fd < 0 ? STDERR_FILENO : fd;
    sink.function = NULL;
    pthread_mutex_unlock(&sink.lock);
    lap_guard_leave(&guard);
}

void lap_sink_function(lap_sink *function, void *user)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    lap_process_ensure();
    pthread_mutex_lock(&sink.lock);
    sink.function = function;
    sink.user = user;
    if (!function)
        sink.fd = STDERR_FILENO;
    pthread_mutex_unlock(&sink.lock);
    lap_guard_leave(&guard);
}

/* A reader that is gone, or a file at the process's limit, ends the host as little as a full disk does: the signal that we
 * cause is taken back. */
static void fd_write(int fd, const char *text, size_t text_bytes)
{
    sigset_t caused, waiting, before;
    sigemptyset(&caused);
    sigpending(&waiting);
    if (!sigismember(&waiting, SIGPIPE)) /* else it is the host's */
        sigaddset(&caused, SIGPIPE);
    if (!sigismember(&waiting, SIGXFSZ))
        sigaddset(&caused, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &caused, &before);
    while (text_bytes > 0) {
        const ssize_t written = write(fd, text, text_bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            sigtimedwait(&caused, NULL, &(const struct timespec){0, 0});
            break;
        }
        text += written;
        text_bytes -= (size_t)written;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void lap_printer_say(const char *text)
{
    const int saved_errno = errno;
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    fd_write(STDERR_FILENO, text, strlen(text));
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
}

static void sink_write(const char *text, size_t text_bytes)
{
    if (!sink.function) {
        fd_write(sink.fd, text, text_bytes);
        return;
    }
    sink.is_writing = 1;
    sink.function(text, text_bytes, sink.user);
    sink.is_writing = 0;
}

static void sink_say_suppressed(void)
{
    char line[128];
    const int length = snprintf(line, sizeof line, "(%llu reports not printed: more than %u a second)\n",
                                (unsigned long long)sink.suppressed, REPORTS_A_SECOND);
    sink.suppressed = 0;
    sink_write(line, (size_t)length);
}

void lap_printer_write(const char *text, size_t text_bytes)
{
    const int saved_errno = errno;
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE,
                           &cancel_state); /* write may be where a thread is cancelled: not with the lock */
    pthread_mutex_lock(&sink.lock);
    struct lap_impl_thread *const before = sink.writer;
    sink.writer = lap_impl_local.thread;
    const uint64_t second = (uint64_t)((double)lap_clock_ticks(&lap_process.clock) * lap_process.ns_per_tick / 1e9);
    if (second != sink.second && !sink.is_writing) {
        sink.second = second;
        sink.in_second = 0;
        if (sink.suppressed != 0)
            sink_say_suppressed();
    }
    if (sink.in_second < REPORTS_A_SECOND && !sink.is_writing) {
        sink.in_second++;
        sink_write(text, text_bytes);
    } else {
        sink.suppressed++;
    }
    sink.writer = before;
    pthread_mutex_unlock(&sink.lock);
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
}

static void write_report(void *user, const char *text, size_t text_bytes)
{
    const struct lap_ring *const ring = user;
    if (ring->adopted_by == 0 || lap_process.settings.has_prefix ||
        !lap_process.adopter->take(ring->adopted_by, text, text_bytes))
        lap_printer_write(text, text_bytes);
}

uint64_t lap_printer_threshold_ns(uint32_t class_id, uint64_t code_threshold_ns)
{
    const uint64_t switched = __atomic_load_n(
        &lap_process.switches[lap_process.sites.switch_of_class[class_id]].threshold_ns, __ATOMIC_RELAXED);
    if (switched != LAP_FORMAT_NO_THRESHOLD)
        return switched;
    return code_threshold_ns == LAP_FORMAT_NO_THRESHOLD ? 0 : code_threshold_ns;
}

/* What prints was decided when it began, and its state says so for as long as it is not switched. */
static int decide(void *user, const struct lap_open *open, const struct lap_class *class, uint64_t *ret_threshold_ns)
{
    (void)user;
    if (class->kind == LAP_CLASS_HANDLE_BEGIN) { /* its end has decided */
        *ret_threshold_ns = 0;
        return 1;
    }
    *ret_threshold_ns = lap_printer_threshold_ns(open->class_id, open->threshold_ns);
    if (open->flags & LAP_FORMAT_FLAG_IMMEDIATE)
        return 0; /* it has printed line by line */
    if (class->kind == LAP_CLASS_BEGIN)
        return __atomic_load_n(&lap_process.switches[lap_process.sites.switch_of_class[open->class_id]].state,
                               __ATOMIC_RELAXED) &
               LAP_IMPL_PRINT;
    return (open->flags & LAP_FORMAT_FLAG_PRINT) != 0;
}

size_t lap_printer_prefix(char *out, size_t out_bytes)
{
    out[0] = 0;
    if (!lap_process.settings.has_prefix)
        return 0;
    const int length =
        snprintf(out, out_bytes, "%.40s[%d/%ld] ", program_invocation_short_name, getpid(), syscall(SYS_gettid));
    return length < 0 ? 0 : (size_t)length < out_bytes ? (size_t)length : out_bytes - 1;
}

struct lap_report *lap_printer_report(struct lap_ring *ring)
{
    struct lap_report_settings settings = {.classes = lap_process.sites.classes,
                                           .descriptions = lap_process.sites.descriptions,
                                           .decide = decide,
                                           .write = write_report,
                                           .user = ring};
    if (!ring->report) {
        const size_t bytes = lap_report_bytes() + sizeof *ring->report_decoder;
        if (lap_process_reserve(64u << 10) < 0)
            return NULL;
        char *const memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            lap_process_release(64u << 10);
            return NULL;
        }
        ring->report = lap_report_init(memory, &settings);
        ring->report_decoder = (struct lap_decoder *)(void *)(memory + lap_report_bytes());
    }
    struct lap_report_settings *const now = lap_report_settings(ring->report);
    *now = settings;
    now->class_count = now->description_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
    now->ns_per_tick = lap_clock_ns_per_tick(&lap_process.clock);
    now->clock_domain = lap_process_clock_domain();
    now->prefix_bytes = lap_printer_prefix(ring->prefix, sizeof ring->prefix);
    now->prefix = ring->prefix;
    return ring->report;
}

void lap_printer_drop(struct lap_ring *ring)
{
    if (ring->report)
        munmap(ring->report, lap_report_bytes() + sizeof *ring->report_decoder);
    ring->report = NULL;
}

void lap_printer_heal(struct lap_ring *ring)
{
    if (__atomic_load_n(&sink.writer, __ATOMIC_RELAXED) == ring->thread) {
        sink.writer = NULL;
        sink.is_writing = 0;
        while (pthread_mutex_unlock(&sink.lock) == 0) /* as often as it was taken: it knows its owner */
            continue;
    }
    lap_printer_forget(ring);
}

void lap_printer_forget(struct lap_ring *ring)
{
    if (ring->report)
        lap_report_reset(ring->report);
    ring->printing = 0;
    ring->is_fed = 0;
}

void lap_printer_scope_begins(struct lap_ring *ring, struct lap_ring_place place, uint32_t depth)
{
    if (ring->printing++ != 0)
        return;
    ring->print_place = place;
    ring->base_depth = depth;
    ring->is_breached = 0;
    ring->is_fed = 0;
}

/* Feeds the report from where it is to `to`. The scopes around the outermost that prints are taken from the ring's own
 * decoder, which is brought up to date by the caller: they are still open. */
static void feed(struct lap_ring *ring, struct lap_ring_place to)
{
    struct lap_report *const report = lap_printer_report(ring);
    if (!report)
        return;
    struct lap_decoder *const decoder = ring->report_decoder;
    if (!ring->is_fed) {
        lap_report_reset(report);
        memset(decoder, 0, offsetof(struct lap_decoder, open));
        decoder->depth = ring->base_depth < ring->decoder.depth ? ring->base_depth : ring->decoder.depth;
        memcpy(decoder->open, ring->decoder.open, decoder->depth * sizeof *decoder->open);
        for (uint32_t i = 0; i < decoder->depth; i++)
            decoder->open[i].event = NULL;
        decoder->classes = lap_process.sites.classes;
        ring->is_fed = 1;
    }
    ring->at_work++;
    decoder->class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
    while (ring->print_place.sequence <= to.sequence) {
        const struct lap_segment *const segment = lap_ring_segment(ring, ring->print_place.sequence);
        const int is_last = ring->print_place.sequence == to.sequence;
        if (segment) {
            const uint32_t end = is_last ? to.offset : (uint32_t)(segment->header->content_bits / 8);
            lap_report_run(report, decoder, segment->header, segment->header->begin_ticks, ring->print_place.offset, end);
        }
        if (is_last) {
            ring->print_place.offset = to.offset;
            break;
        }
        ring->print_place = (struct lap_ring_place){ring->print_place.sequence + 1, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    }
    ring->at_work--;
}

static struct lap_ring_place place_of(const struct lap_ring *ring, uint64_t position)
{
    return (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
}

void lap_printer_scope_ends(struct lap_ring *ring, uint64_t position, int is_breach)
{
    ring->is_breached |= (uint32_t)is_breach;
    if (ring->printing == 0 || --ring->printing != 0)
        return;
    if (ring->is_breached) {
        lap_ring_apply(ring, position);
        feed(ring, place_of(ring, position));
    }
    ring->is_fed = 0;
}

void lap_printer_before_overwrite(struct lap_ring *ring, uint64_t sequence)
{
    if (ring->printing == 0 || ring->print_place.sequence > sequence)
        return;
    const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
    if (!segment)
        return;
    feed(ring, (struct lap_ring_place){sequence, (uint32_t)(segment->header->content_bits / 8)});
    ring->print_place = (struct lap_ring_place){sequence + 1, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    if (ring->report)
        lap_report_flush(ring->report, ring->report_decoder, NULL);
}

void lap_printer_before_restart(struct lap_ring *ring)
{
    if (ring->printing == 0)
        return;
    feed(ring, (struct lap_ring_place){ring->sequence, ring->applied});
    ring->print_place = (struct lap_ring_place){0, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    if (!ring->report) {
        ring->printing = 0;
        return;
    }
    for (uint32_t i = 0; i < ring->report_decoder->depth; i++)
        ring->report_decoder->open[i].event = NULL;
}

void lap_printer_flush(struct lap_ring *ring)
{
    if (ring->printing == 0)
        return;
    const struct lap_ring_place place = place_of(ring, ring->thread->position & ~LAP_IMPL_BUSY);
    feed(ring, place);
    ring->floor = place; /* what the report has seen is not taken back from under it */
    if (ring->report)
        lap_report_flush(ring->report, ring->report_decoder, NULL);
}

/* The thread has stored what it abandons: a report that waited for them is due now. */
void lap_printer_thread_ends(struct lap_ring *ring)
{
    if (ring->printing != 0)
        feed(ring, (struct lap_ring_place){ring->sequence, ring->applied});
    lap_printer_forget(ring);
}

void lap_printer_process_ends(struct lap_ring *ring, uint64_t position)
{
    if (ring && ring->printing != 0) {
        feed(ring, place_of(ring, position));
        if (ring->report)
            lap_report_open(ring->report, ring->report_decoder, lap_clock_ticks(&lap_process.clock), NULL);
        ring->printing = 0;
    }
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    if (pthread_mutex_trylock(&sink.lock) == 0) { /* another thread may wait for a reader: the end does not */
        if (sink.suppressed != 0)
            sink_say_suppressed();
        pthread_mutex_unlock(&sink.lock);
    }
    pthread_setcancelstate(cancel_state, NULL);
}
