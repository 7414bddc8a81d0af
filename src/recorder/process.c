/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process.h"

#include "context_thread.h"
#include "guard.h"
#include "handle_table.h"
#include "lapmark.h"
#include "printer.h"
#include "ring.h"
#include "served.h"
#include "slow_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIPED_BYTES (256u << 10)
#define KEPT_MAX 65536u
#define CONTROL_BYTES (LAP_FORMAT_CONTROL_HEADER_BYTES + LAP_FORMAT_SWITCHES * sizeof(struct lap_format_switch))
#define PATHS_BYTES ((LAP_PATHS_BYTES + 4095) & ~(size_t)4095)

struct lap_process lap_process; /* all zero, so that its 45 KiB are no part of the file; process_start fills it */
struct lap_impl_thread lap_impl_no_thread;
__thread struct lap_impl_local lap_impl_local __attribute__((tls_model("initial-exec"))) = {&lap_impl_no_thread, 0};
const uint8_t lap_impl_unregistered = LAP_IMPL_UNREGISTERED;

static_assert(sizeof(struct lap_impl_local) <= 64, "thread-local storage");
static_assert(sizeof(struct lap_impl_thread) == 8192, "two pages");
static_assert(LAP_IMPL_FRAMES == LAP_DECODE_DEPTH, "depth");

enum { STATE_NONE = 0, STATE_STARTING = 1, STATE_READY = 2, STATE_FAILED = 3 };
static uint32_t *process_state; /* in a page that a fork wipes; 8 bytes, and the key */
static int has_tables;          /* the tables are there: what a forked child finds is its parent's */
static pthread_key_t thread_key;
static int has_thread_key;
static uint64_t memory_used;
static struct {
    char *next;
    uint64_t left_bytes;
} wiped;
static struct kept {
    uint32_t ring;
    uint32_t bytes;
    uint64_t sequence;
} * kept_circle; /* a circle of KEPT_MAX */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t kept_first, kept_count;
static uint64_t kept_bytes;

/* ---- memory -------------------------------------------------------------------------------------------------------- */

int lap_process_reserve(uint64_t bytes)
{
    uint64_t used = lap_process_memory_used();
    do
        if (used + bytes > lap_process.settings.memory_bytes)
            return -ENOMEM;
    while (!__atomic_compare_exchange_n(&memory_used, &used, used + bytes, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (lap_process.control)
        __atomic_store_n(&lap_process.control->memory_bytes, lap_process_memory_used(), __ATOMIC_RELAXED);
    return 0;
}

void lap_process_release(uint64_t bytes)
{
    __atomic_sub_fetch(&memory_used, bytes, __ATOMIC_RELAXED);
    if (lap_process.control)
        __atomic_store_n(&lap_process.control->memory_bytes, lap_process_memory_used(), __ATOMIC_RELAXED);
}

uint64_t lap_process_memory_used(void) { return __atomic_load_n(&memory_used, __ATOMIC_RELAXED); }

static void *map_wiped(size_t bytes)
{
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (madvise(memory, bytes, MADV_WIPEONFORK) < 0) {
        munmap(memory, bytes);
        return NULL;
    }
    return memory;
}

void *lap_process_map_wiped(uint64_t bytes)
{
    if (bytes > wiped.left_bytes) {
        wiped.next = map_wiped(WIPED_BYTES);
        wiped.left_bytes = wiped.next ? WIPED_BYTES : 0;
        if (!wiped.next)
            return NULL;
    }
    void *const memory = wiped.next;
    wiped.next += bytes;
    wiped.left_bytes -= bytes;
    return memory;
}

/* ---- loss and failure ---------------------------------------------------------------------------------------------- */

void lap_process_count_loss(enum lap_format_loss kind, uint64_t events)
{
    if (lap_process.control)
        __atomic_add_fetch(&lap_process.control->losses[kind], events, __ATOMIC_RELAXED);
}

void lap_process_say(const char *what, const char *name, int error, const char *result)
{
    char line[LAP_STORAGE_PATH_BYTES + 256];
    snprintf(line, sizeof line, "lapmark: %s '%s': %s%s\n", what, name, lap_error_text(error), result);
    lap_printer_say(line);
}

void lap_process_fail(const char *what, const char *name, int error)
{
    if (__atomic_exchange_n(&lap_process.failed, 1, __ATOMIC_SEQ_CST))
        return;
    lap_process_count_loss(LAP_FORMAT_LOSS_DISK, 1);
    for (uint32_t i = 0; i < LAP_FORMAT_SWITCHES; i++)
        if (__atomic_load_n(&lap_process.switches[i].state, __ATOMIC_SEQ_CST) != LAP_IMPL_OFF)
            __atomic_store_n(&lap_process.switches[i].state, LAP_IMPL_OFF, __ATOMIC_RELAXED);
    lap_process_say(what, name, error, "; recording stopped");
}

/* ---- what is kept on disk ------------------------------------------------------------------------------------------ */

static void kept_remove_oldest(void)
{
    char name[LAP_STORAGE_NAME_BYTES];
    const struct kept *const oldest = &kept_circle[kept_first];
    snprintf(name, sizeof name, "stream-%04u-%08llu", oldest->ring, (unsigned long long)oldest->sequence);
    unlinkat(lap_process.storage.disk_fd, name, 0);
    kept_bytes -= oldest->bytes;
    kept_first = (kept_first + 1) % KEPT_MAX;
    kept_count--;
    lap_process.control->removed_segments++;
}

void lap_process_kept(uint32_t ring, uint64_t sequence, uint64_t bytes)
{
    if (lap_process.settings.disk_bytes == 0)
        return;
    pthread_mutex_lock(&kept_lock);
    if (!kept_circle) {
        void *const memory =
            mmap(NULL, KEPT_MAX * sizeof *kept_circle, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        kept_circle = memory == MAP_FAILED ? NULL : memory;
    }
    if (kept_circle) {
        if (kept_count == KEPT_MAX)
            kept_remove_oldest();
        kept_circle[(kept_first + kept_count) % KEPT_MAX] = (struct kept){ring, (uint32_t)bytes, sequence};
        kept_count++;
        kept_bytes += bytes;
        while (kept_bytes > lap_process.settings.disk_bytes && kept_count > 1)
            kept_remove_oldest();
    }
    pthread_mutex_unlock(&kept_lock);
}

/* ---- facts of the process ------------------------------------------------------------------------------------------ */

static uint64_t start_time(void)
{
    char stat[1024];
    lap_storage_read_text("/proc/self/stat", stat, sizeof stat);
    const char *field = strrchr(stat, ')');
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    return field ? strtoull(field, NULL, 10) : 0;
}

static uint64_t namespace_inode(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static void boot_id_read(uint8_t *out)
{
    char text[64];
    lap_storage_read_text("/proc/sys/kernel/random/boot_id", text, sizeof text);
    unsigned digits = 0;
    for (const char *at = text; *at && digits < 32; at++) {
        const int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
        if (digit < 0)
            continue;
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : out[digits / 2] | digit);
        digits++;
    }
}

/* The least that storing an event costs, in thousandths of a tick. */
static uint64_t event_cost(void)
{
    static uint64_t scratch[64];
    volatile uint64_t *const ring = scratch;
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        const uint64_t before = lap_impl_ticks();
        for (unsigned i = 0; i < 64; i++)
            ring[i] = lap_impl_ticks() << LAP_IMPL_CLASS_BITS;
        const uint64_t took = lap_impl_ticks() - before;
        if (took < least)
            least = took;
    }
    return least * 1000 / 64;
}

int lap_process_make_uuid(uint8_t *uuid)
{
    if (getrandom(uuid, 16, 0) != 16)
        return -EIO;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

uint64_t lap_process_clock_domain(void)
{
    uint64_t domain = __atomic_load_n(&lap_process.clock_domain, __ATOMIC_RELAXED);
    if (domain != 0)
        return domain;
    struct {
        uint8_t boot_id[16];
        uint64_t time_namespace, source;
    } of = {.time_namespace = namespace_inode("/proc/self/ns/time"), .source = lap_process.clock.source};
    boot_id_read(of.boot_id);
#if defined(LAPMARK_TEST_CLOCK)
    of.time_namespace ^= lapmark_test_domain();
#endif
    domain = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < sizeof of; i++)
        domain = (domain ^ ((const uint8_t *)&of)[i]) * UINT64_C(0x100000001b3);
    domain |= 1; /* 0 says nothing */
    __atomic_store_n(&lap_process.clock_domain, domain, __ATOMIC_RELAXED);
    return domain;
}

static int control_describe(struct lap_format_control *control)
{
    const struct lap_settings *const settings = &lap_process.settings;
    if (lap_process_make_uuid(control->uuid) < 0)
        return -EIO;
    control->version = LAP_FORMAT_VERSION;
    control->header_bytes = LAP_FORMAT_CONTROL_HEADER_BYTES;
    boot_id_read(control->boot_id);
    control->pid = (uint64_t)getpid();
    control->start_time = start_time();
    control->pid_namespace = namespace_inode("/proc/self/ns/pid");
    control->time_namespace = namespace_inode("/proc/self/ns/time");
    control->clock_source = lap_process.clock.source;
    control->clock_domain = lap_process_clock_domain();
    control->clock_hz = lap_process.clock.hz;
    control->clock_resolution_ticks = lap_process.clock.resolution_ticks;
    control->start = lap_clock_read_as(&lap_process.clock);
    memset(&control->end, 0, sizeof control->end);
    control->breach_snapshots = 0;
    control->breach_snapshots_spared = 0;
    control->breach_last_ns = settings->breach_last_ns;
    control->segment_bytes = settings->segment_bytes;
    control->segments_each = LAP_RING_SEGMENTS;
    control->memory_limit_bytes = settings->memory_bytes;
    control->event_ticks_x1000 = event_cost();
    control->full = (uint64_t)settings->is_full;
    control->removed_segments = 0;
    snprintf((char *)control->program, sizeof control->program, "%s", program_invocation_short_name);
    gethostname((char *)control->host, sizeof control->host - 1);
    const size_t length = lap_storage_read_text("/proc/self/cmdline", (char *)control->command, sizeof control->command);
    for (size_t i = 0; i + 1 < length; i++)
        if (control->command[i] == 0)
            control->command[i] = ' ';
    lap_sites_tell();
    control->state = LAP_FORMAT_RUNNING;
    control->magic = LAP_FORMAT_CONTROL_MAGIC;
    return 0;
}

int lap_process_describe(struct lap_metadata *metadata, const struct lap_storage *storage,
                         const struct lap_format_control *control)
{
    struct lap_clock clock = lap_process.clock;
    clock.start = control->start;
    const struct lap_metadata_trace trace = {control->uuid,
                                             &clock,
                                             (const char *)control->host,
                                             (const char *)control->program,
                                             (const char *)control->command,
                                             control->pid};
    const int error = lap_metadata_open(metadata, storage, &trace);
    return error < 0 ? error : lap_sites_describe_all(metadata);
}

/* ---- recording ----------------------------------------------------------------------------------------------------- */

static void make_name(char *name, size_t bytes)
{
    uint32_t nonce = 0;
    if (getrandom(&nonce, sizeof nonce, 0) < 0)
        nonce = (uint32_t)lap_impl_ticks();
    char program[40];
    snprintf(program, sizeof program, "%s", program_invocation_short_name);
    for (char *at = program; *at; at++)
        if (*at == '/' || *at == '\n' || *at == ' ')
            *at = '_';
    if (program[0] == '.')
        program[0] = '_';
    snprintf(name, bytes, "%s-%d-%08x", program, getpid(), nonce);
}

void lap_process_describe_unrecorded(void)
{
    struct lap_format_control *const control = lap_process.control;
    if (lap_process.storage.kind != LAP_STORAGE_MEMORY || control->state == LAP_FORMAT_RUNNING)
        return;
    pthread_rwlock_wrlock(&lap_process.storage_lock); /* nobody begins a segment, which has the UUID, too */
    make_name(lap_process.storage.name, sizeof lap_process.storage.name);
    control_describe(control);
    control->start = lap_process.clock.start; /* the rings began then, not now */
    pthread_rwlock_unlock(&lap_process.storage_lock);
}

/* Threads add paths whenever they like: none gets lost between the copy and its taking the table's place. */
static int paths_move(const struct lap_storage *storage, int *ret_error)
{
    pthread_mutex_lock(&lap_process.paths.lock);
    const void *const memory =
        lap_storage_map(storage, ".lapmark/paths", PATHS_BYTES, lap_process.paths.header, 1, ret_error);
    pthread_mutex_unlock(&lap_process.paths.lock);
    return memory ? 0 : -1;
}

/* The storage is open: moves the process's tables into it and describes the process. */
static int recording_fill(void)
{
    const struct lap_storage *const storage = &lap_process.storage;
    int error = 0;
    if (!lap_storage_map(storage, ".lapmark/control", CONTROL_BYTES, lap_process.control, 1, &error) ||
        paths_move(storage, &error) < 0)
        return error;
    for (unsigned kind = 0; kind < LAP_FORMAT_LOSSES; kind++) /* others count meanwhile */
        __atomic_store_n(&lap_process.control->losses[kind], 0, __ATOMIC_RELAXED);
    error = control_describe(lap_process.control);
    return error < 0 ? error : lap_process_describe(&lap_process.metadata, storage, lap_process.control);
}

/* Back to memory that nobody else sees. */
static void tables_to_memory(void)
{
    lap_storage_to_memory(lap_process.control, CONTROL_BYTES);
    pthread_mutex_lock(&lap_process.paths.lock); /* as in paths_move */
    lap_storage_to_memory(lap_process.paths.header, PATHS_BYTES);
    pthread_mutex_unlock(&lap_process.paths.lock);
}

/* Under the lock. */
static int recording_start(const char *directory)
{
    char name[LAP_STORAGE_NAME_BYTES];
    make_name(name, sizeof name);
    pthread_rwlock_wrlock(&lap_process.storage_lock);
    kept_first = kept_count = 0; /* of the recording before */
    kept_bytes = 0;
    int error = lap_storage_open(&lap_process.storage, directory, name,
                                 lap_process.settings.is_full ? LAP_STORAGE_FULL : LAP_STORAGE_FLIGHT);
    if (error == 0) {
        error = recording_fill();
        if (error < 0) {
            lap_metadata_done(&lap_process.metadata);
            tables_to_memory();
            lap_storage_discard(&lap_process.storage);
        }
    }
    LAP_I_POINT("recording filled");
    if (error == 0)
        __atomic_add_fetch(&lap_process.recording, 1, __ATOMIC_SEQ_CST);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    LAP_I_POINT("recording begun");
    if (error == 0)
        lap_ring_interrupt_all();
    return error;
}

static void recording_mark_end(uint32_t recording)
{
    struct lap_format_control *const control = lap_process.control;
    lap_ring_finish_all(recording);
    LAP_I_POINT("rings finished");
    control->end = lap_clock_read_as(&lap_process.clock);
    __atomic_store_n(&control->state, LAP_FORMAT_ENDED, __ATOMIC_RELEASE);
    if (lap_process.storage.kind == LAP_STORAGE_DISK) {
        lap_storage_write(&lap_process.storage, ".lapmark/control", control, CONTROL_BYTES);
        lap_storage_write(&lap_process.storage, ".lapmark/paths", lap_process.paths.header, LAP_PATHS_BYTES);
    }
}

/* From the first line on, threads find their rings stale with the next event, and wait for the locks: what they store then is not
 * the recording's. So it comes first: nothing that is written here lacks an event that the statistics have, or a class or path of
 * an event. Under both locks. */
static void recording_stop(void)
{
    const uint32_t recording = __atomic_fetch_add(&lap_process.recording, 1, __ATOMIC_SEQ_CST);
    lap_ring_interrupt_all();
    LAP_I_POINT("recording over");
    recording_mark_end(recording);
    LAP_I_POINT("end marked");
    lap_metadata_done(&lap_process.metadata);
    tables_to_memory();
    LAP_I_POINT("tables back");
    lap_storage_done(&lap_process.storage);
    lap_process.settings.directory[0] = 0;
}

int lap_process_start_recording(const char *directory)
{
    if (lap_process_ensure() < 0)
        return -ENOMEM;
    char path[LAP_STORAGE_PATH_BYTES];
    int error = lap_storage_absolute(path, directory);
    if (error < 0)
        return error;
    pthread_mutex_lock(&lap_process.lock);
    error = lap_process.storage.kind != LAP_STORAGE_MEMORY ? -EALREADY : recording_start(path);
    if (error == 0)
        memcpy(lap_process.settings.directory, path, sizeof path);
    pthread_mutex_unlock(&lap_process.lock);
    return error;
}

int lap_process_stop_recording(void)
{
    if (lap_process_ensure() < 0)
        return -ESRCH;
    pthread_mutex_lock(&lap_process.lock);
    if (lap_process.storage.kind == LAP_STORAGE_MEMORY) {
        pthread_mutex_unlock(&lap_process.lock);
        return -ESRCH;
    }
    pthread_rwlock_wrlock(&lap_process.storage_lock);
    recording_stop();
    pthread_rwlock_unlock(&lap_process.storage_lock);
    pthread_mutex_unlock(&lap_process.lock);
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void thread_ends(void *ring)
{
    /* In a forked child it is the parent's, and may be gone. */
    if (lap_impl_local.thread->reserved_words[0] == (uint64_t)(uintptr_t)ring)
        lap_ring_leave(ring);
    lap_context_thread_ends();
}

void lap_process_watch_thread(struct lap_ring *ring)
{
    if (has_thread_key)
        pthread_setspecific(thread_key, ring);
}

void lap_process_watch_thread_too(const void *other)
{
    if (has_thread_key && lap_impl_local.thread->reserved_words[0] == 0) /* no ring, which is watched */
        pthread_setspecific(thread_key, other);
}

static int tables_make(void)
{
    void *const control = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const paths = mmap(NULL, PATHS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const buckets = mmap(NULL, LAP_PATHS_BUCKETS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (control == MAP_FAILED || paths == MAP_FAILED || buckets == MAP_FAILED)
        return -ENOMEM;
    lap_process.control = control;
    lap_process.switches = (struct lap_format_switch *)(void *)((char *)control + LAP_FORMAT_CONTROL_HEADER_BYTES);
    lap_paths_init(&lap_process.paths, paths, buckets);
    return 0;
}

/* What a forked child has inherited and must not share. */
static void forget_parent(void)
{
    pthread_mutex_init(&lap_process.paths.lock, NULL);
    if (lap_process.metadata.fd >= 0)
        close(lap_process.metadata.fd);
    lap_process.metadata.fd = -1;
    lap_ring_drop_all();
    lap_handles_drop_all();
    lap_served_drop_all();
    lap_slow_calls_drop_all();
    tables_to_memory();
    lap_storage_done(&lap_process.storage);
    wiped.left_bytes = 0; /* the parent's pages stay: this thread's block is one of them */
    pthread_mutex_init(&kept_lock, NULL);
    memory_used = 0;
    lap_process.thread_count = 0;
    lap_process.control->rings = 0;
    lap_process.control->state = 0;
    memset(&lap_process.snapshots, 0, sizeof lap_process.snapshots);
    lap_process.failed = 0;
    lap_process.recording = 0;
    /* The parent shared its tables with us since the fork, and wrote into them. */
    madvise(lap_process.paths.buckets, LAP_PATHS_BUCKETS_BYTES, MADV_DONTNEED);
    lap_process.paths.header->count = 0;
    lap_paths_init(&lap_process.paths, lap_process.paths.header, lap_process.paths.buckets);
    lap_sites_after_fork();
}

/* Threads at full speed that write their segments to a disk are nearly always its readers: who starts or stops a recording, or
 * exits, would wait for their end. No thread takes it twice. */
static void storage_lock_init(void)
{
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&lap_process.storage_lock, &attributes);
}

static int process_start(void)
{
    const int is_child = has_tables;
    lap_process.life++;
    pthread_mutex_init(&lap_process.lock, NULL);
    storage_lock_init();
    lap_printer_start();
    if (is_child) {
        forget_parent();
    } else {
        lap_process.metadata.fd = -1;
        lap_process.storage.directory_fd = lap_process.storage.disk_fd = -1;
        lap_settings_read(&lap_process.settings);
        lap_clock_init(&lap_process.clock);
        lap_process.ns_per_tick = 1e9 / (double)lap_process.clock.hz;
        lap_process.ticks_per_ms = (double)lap_process.clock.hz / 1e3;
        if (tables_make() < 0 || lap_sites_init(&lap_process.sites) < 0)
            return -ENOMEM;
        has_tables = 1;
    }
    if (lap_process.settings.directory[0] != 0) {
        const int error = recording_start(lap_process.settings.directory);
        if (error < 0)
            lap_process_fail("cannot record into", lap_process.settings.directory, error);
    }
    return 0;
}

/* The process's wiped page, which is made at first use; NULL: none. */
static uint32_t *state_page(void)
{
    uint32_t *state = __atomic_load_n(&process_state, __ATOMIC_ACQUIRE);
    if (!state) {
        const int error = errno;
        uint32_t *const made = map_wiped((size_t)sysconf(_SC_PAGESIZE));
        errno = error;
        if (!made)
            return NULL;
        if (__atomic_compare_exchange_n(&process_state, &state, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            state = made;
        else
            munmap(made, (size_t)sysconf(_SC_PAGESIZE));
    }
    return state;
}

uint64_t *lap_process_key(void)
{
    uint32_t *const state = state_page();
    return state ? (uint64_t *)(void *)(state + 2) : NULL;
}

int lap_process_ensure(void)
{
    static __thread volatile int is_starting
        __attribute__((tls_model("initial-exec"))); /* a handler must not wait for us */
    uint32_t *const state = state_page();
    if (!state)
        return -ENOMEM;
    uint32_t expected = STATE_NONE;
    if (__atomic_compare_exchange_n(state, &expected, STATE_STARTING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        struct lap_guard guard;
        lap_guard_enter(&guard);
        is_starting = 1;
        __atomic_store_n(state, process_start() == 0 ? STATE_READY : STATE_FAILED, __ATOMIC_RELEASE);
        is_starting = 0;
        lap_guard_leave(&guard);
    }
    while (__atomic_load_n(state, __ATOMIC_ACQUIRE) == STATE_STARTING && !is_starting)
        sched_yield();
    return __atomic_load_n(state, __ATOMIC_ACQUIRE) == STATE_READY ? 0 : -ENOMEM;
}

/* In a child of fork(). The kernel has wiped what this would wipe, but for emulators and kernels that accept the advice
 * and do nothing (qemu-user): there a child would go on in its parent's rings. */
static void child_wipe(void)
{
    uint32_t *const state = __atomic_load_n(&process_state, __ATOMIC_ACQUIRE);
    if (!state)
        return;
    memset(state + 2, 0, LAP_PROCESS_KEY_WORDS * 8);
    if (*state == STATE_NONE)
        return;
    for (uint32_t i = 0; i < lap_process.ring_count; i++)
        if (lap_process.rings[i] && lap_process.rings[i]->thread)
            memset(lap_process.rings[i]->thread, 0, sizeof *lap_process.rings[i]->thread);
    *state = STATE_NONE;
}

/* A process that is told to record is seen from its start, even if it never meets a checkpoint. The key is made before
 * others have made many: then setting it allocates nothing, which a signal handler could not. */
__attribute__((constructor)) static void process_enter(void)
{
    has_thread_key = pthread_key_create(&thread_key, thread_ends) == 0;
    pthread_atfork(NULL, NULL, child_wipe);
    if (secure_getenv("LAPMARK_RECORD"))
        lap_process_ensure();
}

__attribute__((destructor)) static void process_leave(void)
{
    /* The static library in a module that is unloaded: threads that end later must not be sent into it. */
    if (has_thread_key)
        pthread_key_delete(thread_key);
    has_thread_key = 0;
    const uint32_t *const state = __atomic_load_n(&process_state, __ATOMIC_ACQUIRE);
    if (!state || __atomic_load_n(state, __ATOMIC_ACQUIRE) != STATE_READY)
        return;
    uint64_t position = 0;
    struct lap_ring *const ring = lap_ring_settle(&position);
    lap_printer_process_ends(ring, position);
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_mutex_lock(&lap_process.lock);
    pthread_rwlock_wrlock(&lap_process.storage_lock); /* no other thread is changing segments */
    if (lap_process.storage.kind != LAP_STORAGE_MEMORY && lap_process.storage.is_full)
        recording_stop(); /* the last segments are written: what others go on storing is in none */
    else if (lap_process.storage.kind != LAP_STORAGE_MEMORY)
        recording_mark_end(lap_process.recording);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    pthread_mutex_unlock(&lap_process.lock);
    lap_guard_leave(&guard);
    if (ring)
        lap_impl_give(ring->thread, position);
}
