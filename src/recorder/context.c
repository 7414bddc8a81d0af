/* SPDX-License-Identifier: MIT
 *
 * Trace contexts: their ids, and the one of a thread.
 *
 * An id is its number, sent through a permutation of 64 bits that the process's key chooses (splitmix64, seeded by the key): no
 * two numbers of a process have one id. A thread takes its numbers from a range of its own, by one instruction, so that a signal
 * handler never takes the same. The key lies in memory that a fork wipes: a child goes on with its parent's numbers under a key
 * of its own.
 */
#define _GNU_SOURCE
#include "context_thread.h"
#include "guard.h"
#include "lapmark.h"
#include "process.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define RANGE_BITS 42u /* of a thread's block; another thread that has the block later goes on with it */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

struct context_thread {
    uint64_t next;   /* number of the next id; 0: no range yet */
    uint64_t change; /* grows with each set; its lowest bit says which of the two is the current context */
    struct lap_context contexts[2];
    uint32_t is_taken;          /* atomic */
} __attribute__((aligned(64))); /* no two threads' in one cache line */

struct context_page {
    struct context_page *next;
    struct context_thread threads[PAGE_BYTES / sizeof(struct context_thread) - 1];
};

static_assert(sizeof(struct lap_context) == 32, "frozen");
static_assert(sizeof(struct context_page) <= PAGE_BYTES, "one page");

static __thread struct context_thread *context_thread __attribute__((tls_model("initial-exec")));
static struct context_page *context_pages; /* grows at its head, and never shrinks */
static uint64_t context_ranges;
static uint64_t context_next; /* range 0, of all threads that have no block: there is no memory */

/* ---- a thread's block ---------------------------------------------------------------------------------------------- */

static struct context_thread *block_find(void)
{
    for (struct context_page *page = __atomic_load_n(&context_pages, __ATOMIC_ACQUIRE); page; page = page->next)
        for (unsigned i = 0; i < sizeof page->threads / sizeof *page->threads; i++)
            if (!__atomic_exchange_n(&page->threads[i].is_taken, 1, __ATOMIC_ACQUIRE))
                return &page->threads[i];
    struct context_page *const page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    page->threads[0].is_taken = 1;
    page->next = __atomic_load_n(&context_pages, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&context_pages, &page->next, page, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return &page->threads[0];
}

static LAP_I_COLD void block_take(void)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    struct context_thread *const thread = context_thread ? NULL : block_find(); /* a handler may have been before us */
    if (thread) {
        if (thread->next == 0)
            thread->next = __atomic_add_fetch(&context_ranges, 1, __ATOMIC_RELAXED) << RANGE_BITS;
        context_thread = thread;
        lap_process_watch_thread_too(thread);
    }
    lap_guard_leave(&guard);
}

void lap_context_thread_ends(void)
{
    struct context_thread *const thread = context_thread;
    if (!thread)
        return;
    context_thread = NULL;
    memset(thread->contexts, 0, sizeof thread->contexts);
    __atomic_store_n(&thread->is_taken, 0, __ATOMIC_RELEASE);
}

/* ---- ids ----------------------------------------------------------------------------------------------------------- */

static uint64_t permute(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Early in a system's start, or where the call is forbidden, what there is that others do not have. */
static void random_read(uint64_t *key)
{
    if (getrandom(key, LAP_PROCESS_KEY_WORDS * sizeof *key, GRND_NONBLOCK) == LAP_PROCESS_KEY_WORDS * sizeof *key)
        return;
    union {
        struct {
            struct timespec realtime, monotonic;
            uint64_t ticks, pid;
            const void *here; /* the kernel puts stacks anywhere */
        };
        uint64_t words[7];
    } sources = {.ticks = lap_impl_ticks(), .pid = (uint64_t)getpid(), .here = &sources};
    static_assert(sizeof sources == sizeof sources.words, "all of it is used");
    clock_gettime(CLOCK_REALTIME, &sources.realtime);
    clock_gettime(CLOCK_MONOTONIC, &sources.monotonic);
    uint64_t sum = 0;
    for (unsigned i = 0; i < sizeof sources.words / sizeof *sources.words; i++)
        sum = permute(sum + STEP + sources.words[i]);
    for (unsigned i = 0; i < LAP_PROCESS_KEY_WORDS; i++)
        key[i] = permute(sum += STEP);
}

/* The first word comes last: who sees it finds the others. Each is set once, whoever else is about it. */
static LAP_I_COLD void key_fill(uint64_t *key)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    uint64_t fresh[LAP_PROCESS_KEY_WORDS];
    random_read(fresh);
    for (unsigned i = LAP_PROCESS_KEY_WORDS; i-- > 0;) {
        uint64_t expected = 0;
        __atomic_compare_exchange_n(&key[i], &expected, fresh[i], 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    lap_guard_leave(&guard);
}

/* A thread's own is taken by one instruction, which locks nothing. */
static inline uint64_t number_take(void)
{
    struct context_thread *const thread = context_thread;
    if (!thread)
        return __atomic_fetch_add(&context_next, 1, __ATOMIC_RELAXED);
#if defined(__x86_64__)
    uint64_t number = 1;
    __asm__ volatile("xaddq %0, %1" : "+r"(number), "+m"(thread->next) : : "cc");
    return number;
#else
    return __atomic_fetch_add(&thread->next, 1, __ATOMIC_RELAXED);
#endif
}

/* Returns a new id, and 64 bits more that go with it. */
static uint64_t id_make(uint64_t *ret_more)
{
    uint64_t id, first;
    uint64_t own[LAP_PROCESS_KEY_WORDS] = {0}; /* for this id alone, where no memory is wiped by a fork */
    do {
        uint64_t *key = lap_process_key();
        if (!key)
            key = own;
        if (__atomic_load_n(&key[0], __ATOMIC_ACQUIRE) == 0)
            key_fill(key);
        first = __atomic_load_n(&key[0], __ATOMIC_ACQUIRE);
        const uint64_t number = number_take() * STEP;
        id = permute(number + first) ^ __atomic_load_n(&key[1], __ATOMIC_RELAXED);
        *ret_more =
            permute(number + __atomic_load_n(&key[2], __ATOMIC_RELAXED)) ^ __atomic_load_n(&key[3], __ATOMIC_RELAXED);
    } while (id == 0 || first == 0); /* the latter in the child of a handler that forked just then */
    return id;
}

struct lap_context lap_context_child(struct lap_context parent)
{
    struct lap_context made = {.flags = LAP_CONTEXT_RANDOM};
    uint64_t words[2];
    if (!context_thread)
        block_take();
    if (lap_context_is_valid(&parent)) {
        memcpy(made.trace_id, parent.trace_id, sizeof made.trace_id);
        made.flags = parent.flags;
    } else {
        words[1] = id_make(&words[0]);
        memcpy(made.trace_id, words, sizeof words);
    }
    words[0] = id_make(&words[1]);
    memcpy(made.span_id, words, sizeof made.span_id);
    return made;
}

struct lap_context lap_context_new(void) { return lap_context_child((struct lap_context){.flags = 0}); }

/* ---- the thread's context ------------------------------------------------------------------------------------------ */

struct lap_context lap_context_current(void)
{
    struct lap_context found = {.flags = 0};
    const struct context_thread *const thread = context_thread;
    uint64_t change;
    if (thread)
        do {
            change = __atomic_load_n(&thread->change, __ATOMIC_RELAXED);
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            found = thread->contexts[change & 1];
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
        } while (__atomic_load_n(&thread->change, __ATOMIC_RELAXED) != change);
    return found;
}

/* The new one is written beside the old one, and becomes the current one by one store: unless a handler was there meanwhile,
 * which has written there, too. */
struct lap_context lap_context_set(struct lap_context context)
{
    struct lap_context before = {.flags = 0};
    if (!context_thread)
        block_take();
    struct context_thread *const thread = context_thread;
    if (!thread)
        return before;
    uint64_t change = __atomic_load_n(&thread->change, __ATOMIC_RELAXED);
    do {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        before = thread->contexts[change & 1];
        thread->contexts[~change & 1] = context;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (
        !__atomic_compare_exchange_n(&thread->change, &change, (change + 2) ^ 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return before;
}
