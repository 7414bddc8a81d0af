/* SPDX-License-Identifier: MIT
 *
 * The frozen layer under lapmark.h: the structures that inline code touches and the functions that it calls.
 * Programs include lapmark.h and use its macros; what is here changes only by addition (see ARCHITECTURE.md, "ABI").
 */
#ifndef LAPMARK_ABI_H
#define LAPMARK_ABI_H

#include <stdint.h>

#if !defined(__linux__) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lapmark needs 64-bit little-endian Linux"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(LAPMARK_BUILDING_LIBRARY)
#define LAP_I_API __attribute__((visibility("default")))
#else
#define LAP_I_API
#endif
#define LAP_I_INLINE static inline __attribute__((always_inline))
#define LAP_I_COLD __attribute__((cold, noinline))
#define LAP_I_LIKELY(x) __builtin_expect(!!(x), 1)
#define LAP_I_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Added to a position while an event is being stored: an address plus this is past every limit, so that a signal
 * handler that interrupts the store sees it in the one comparison that it makes anyway. */
#define LAP_IMPL_BUSY (UINT64_C(1) << 62)

/* An event's first word: {20-bit class, 44-bit clock}. */
#define LAP_IMPL_CLASS_BITS 20
#define LAP_IMPL_CLOCK_BITS 44
#define LAP_IMPL_END_CLASS 1u /* class of a scope's end, the same for every site */

/* Byte offset of content_size in a segment (doc/format.md, "Segment"). */
#define LAP_IMPL_CONTENT_SIZE_OFFSET 32

/* Frames of one thread: entry 0 is a sentinel, so LAP_IMPL_FRAMES - 1 scopes nest; deeper ones are counted and muted. */
#define LAP_IMPL_FRAMES 508

/* Switch byte of a site. Exactly LAP_IMPL_ON takes the inline path; any other non-zero value calls the library. */
enum lap_impl_state {
    LAP_IMPL_OFF = 0,
    LAP_IMPL_ON = 1,
    LAP_IMPL_PRINT = 2,         /* an end may print */
    LAP_IMPL_TAKE_BACK = 4,     /* below its threshold it is taken back from the ring */
    LAP_IMPL_FORCED = 8,        /* named by a LAPMARK term: goes over .disabled */
    LAP_IMPL_UNREGISTERED = 16, /* not met yet */
    LAP_IMPL_SNAPSHOT = 64,     /* when it takes its threshold or longer, a snapshot is left */
    LAP_IMPL_OTHER_CLOCK = 32   /* the counter cannot be used: the library reads the clock */
};

enum lap_impl_scope_mode {
    LAP_IMPL_SCOPE_NONE = 0,   /* nothing to undo */
    LAP_IMPL_SCOPE_FAST = 1,   /* begun inline */
    LAP_IMPL_SCOPE_MUTE = 2,   /* off, and the one that muted the thread */
    LAP_IMPL_SCOPE_SLOW = 3,   /* begun by the library: prints, takes back, is immediate or has options */
    LAP_IMPL_SCOPE_RESTORE = 4 /* off inside an immediate one: puts the divert word back */
};

enum lap_impl_kind {
    LAP_IMPL_KIND_MARK = 1,
    LAP_IMPL_KIND_BEGIN = 2,
    LAP_IMPL_KIND_BEGIN_WITH = 3,
    LAP_IMPL_KIND_HANDLE_BEGIN = 4,
    LAP_IMPL_KIND_HANDLE_MARK = 5,
    LAP_IMPL_KIND_CALL = 6
};

enum lap_impl_site_flags {
    LAP_IMPL_SITE_N = 1,       /* the first word is a problem size */
    LAP_IMPL_SITE_TEXT = 2,    /* the label comes at run time: the last word is a const char * */
    LAP_IMPL_SITE_LIBRARY = 4, /* LAP_LIBRARY: does not print unless told */
    LAP_IMPL_SITE_STRINGS = 8, /* an argument is a string: stored by the library */
    /* the arguments are numbers that a binding found in a text: the label is shown with # for each */
    LAP_IMPL_SITE_FOUND = 16
};

/* Argument types, 4 bits each in lap_impl_site.types, first argument lowest. */
enum lap_impl_type {
    LAP_IMPL_TYPE_NONE = 0,
    LAP_IMPL_TYPE_I64 = 1,
    LAP_IMPL_TYPE_U64 = 2,
    LAP_IMPL_TYPE_F64 = 3,
    LAP_IMPL_TYPE_POINTER = 4,
    LAP_IMPL_TYPE_STRING = 8
};
#define LAP_IMPL_TYPES_STRING UINT64_C(0x888888888888) /* set where an argument is a string */
#define LAP_IMPL_ARGS_MAX 12

/* One place in the source, static in its caller, 64 bytes. The library writes state and id once, when the site is first
 * met, copies the texts, and never touches it again (its module may be unloaded). */
struct lap_impl_site {
    const volatile uint8_t *state;
    uint32_t id;
    uint32_t line;
    const char *label;
    const char *file;
    const char *function;
    uint64_t types;
    uint8_t kind;
    uint8_t flags;
    uint8_t args; /* number of argument words, without the size */
    uint8_t reserved[5];
    uint64_t reserved_word;
};

struct lap_impl_frame {
    uint64_t address; /* of the open scope at this depth */
    uint64_t begin_ticks;
};

/* What a thread's inline code works on. Lies in a page that a fork wipes: all zero is a thread that the library has not
 * met, whose limit sends every event to the library. */
struct lap_impl_thread {
    uint64_t position;    /* address of the next event, plus LAP_IMPL_BUSY while one is being stored */
    uint64_t limit;       /* an event whose position is at or past this goes to the library */
    uint64_t begin_ticks; /* of the open segment: events lie within 2^44 ticks of it */
    uint64_t segment;     /* address of the open segment */
    uint32_t depth;       /* open scopes */
    uint32_t reserved;
    uint64_t reserved_words[2]; /* the library's */
    /* position behind the last event of a handle that inline code stored: nothing before it is taken back */
    uint64_t kept;
    struct lap_impl_frame frames[LAP_IMPL_FRAMES]; /* makes it two pages */
};

/* The thread-local block: 16 bytes, initial-exec. */
struct lap_impl_local {
    struct lap_impl_thread *thread;
    uint64_t divert; /* not 0: checkpoints and begins go to the library (muted, or an immediate profiler is open) */
};
extern LAP_I_API __thread struct lap_impl_local lap_impl_local __attribute__((tls_model("initial-exec")));
extern LAP_I_API const uint8_t lap_impl_unregistered;

struct lap_impl_scope {
    uint32_t mode;
    uint32_t id;
    uint64_t threshold_ticks; /* not used by the library: see usdt.h */
    uint64_t saved;           /* the divert word to put back, or the event's position */
};

struct lap_options;

/* Out-of-line paths. `position` is what the exchange-add gave, 0 if it was not made. All: any thread, signal-safe,
 * return nothing; what cannot be stored is counted. */
LAP_I_API LAP_I_COLD void lap_impl_mark_cold(struct lap_impl_site *site, uint64_t position, const uint64_t *words);
LAP_I_API LAP_I_COLD void lap_impl_begin_cold(struct lap_impl_scope *scope, struct lap_impl_site *site, uint64_t position,
                                              const uint64_t *words);
LAP_I_API void lap_impl_begin_with(struct lap_impl_scope *scope, struct lap_impl_site *site,
                                   const struct lap_options *options, const uint64_t *words);
LAP_I_API void lap_impl_end_cold(struct lap_impl_scope *scope, uint64_t position);
LAP_I_API LAP_I_COLD void lap_impl_mute_cold(struct lap_impl_scope *scope);
LAP_I_API void lap_impl_end_innermost(void);
LAP_I_API uint64_t lap_impl_elapsed_ns(void);
LAP_I_API uint64_t lap_impl_handle_begin(struct lap_impl_site *site, const struct lap_options *options,
                                         const uint64_t *words);
LAP_I_API uint64_t lap_impl_handle_mark(uint64_t handle, struct lap_impl_site *site, const uint64_t *words);
LAP_I_API __attribute__((format(printf, 1, 2))) void lap_impl_check_format(const char *format, ...);

/* ---- for bindings of other languages ------------------------------------------------------------------------------
 * A binding keeps the state of its profilers in objects of its own, and stores their events as those of handles (see
 * doc/format.md, "Handles") by lap_impl_keep_open() and _close() below. Like the rest of this file it is frozen. All since 0.1. */

/* What a binding must know of the process. Valid until it ends, in a forked child, too; the rate is known better later. */
struct lap_impl_facts {
    double ns_per_tick;
    uint32_t prints; /* 0: LAPMARK_PRINT is off, or it records without printing */
    int32_t fd;      /* that LAPMARK_PRINT names; -1: none, so it is stderr */
    uint32_t has_prefix;
    uint32_t reads_clock; /* 1: the counter cannot be used, and ticks are nanoseconds of CLOCK_MONOTONIC */
};
LAP_I_API void lap_impl_facts_read(struct lap_impl_facts *ret_facts);
/* A site's state after making it known; 0 is off. Warm, cold the first time. */
LAP_I_API unsigned lap_impl_site_state(struct lap_impl_site *site);
/* Is a site off because a term names it, so that what is inside it is to be silent, too? Cold: takes the process's lock. */
LAP_I_API int lap_impl_is_silenced(const struct lap_impl_site *site);
/* The threshold in force: that of a LAPMARK term or of `lapmark ctl`, else the code's. Warm. */
LAP_I_API uint64_t lap_impl_threshold_ns(const struct lap_impl_site *site, uint64_t code_threshold_ns);
/* The path of a site under another one (0: the root). Never fails. Warm. */
LAP_I_API uint32_t lap_impl_path(uint32_t parent, const struct lap_impl_site *site);
/* A number for a profiler, and its end: as those of lap_begin(), of which 16,384 are open at most. 0: there is none, counted. A
 * binding may use it for one profiler after another: each next number is 2^33 higher, and the last is given back. */
LAP_I_API uint64_t lap_impl_handle_take(void);
LAP_I_API void lap_impl_handle_give(uint64_t handle);
/* The thread's innermost scope: 1 and its path and begin, or 0. Warm. */
LAP_I_API int lap_impl_innermost(uint32_t *ret_path, uint64_t *ret_begin_ticks);
/* Room for an event of `bytes`, at most 120: its address with the position taken and the clock for it, or 0: it is lost, and
 * counted. `taken` as in the other out-of-line paths; the clock is set in any case. */
LAP_I_API uint64_t lap_impl_room(uint64_t taken, uint32_t bytes, uint64_t *ret_ticks);

/* Who is around a thread's outermost scopes, as far as the binding knows. Both are called with the thread's position taken: what
 * they store is lost. */
struct lap_impl_adopter {
    int (*find)(uint64_t *ret_handle, uint32_t *ret_path); /* 1, or 0: nobody */
    int (*take)(uint64_t handle, const char *text,
                uint64_t bytes); /* the report of a scope inside: 1, or 0: it is printed as usual */
};
/* From now on the calling thread's outermost scopes ask for who is around them, by the library's way of a begin; NULL: no more. The
 * adopter stays the caller's, and is one for the process. Warm. */
LAP_I_API void lap_impl_adopt(const struct lap_impl_adopter *adopter);

/* ---- the hot path ------------------------------------------------------------------------------------------------ */

#if defined(LAPMARK_TEST_CLOCK) /* this project's tests build all with a clock of theirs */
uint64_t lapmark_test_ticks(void);
int lapmark_test_is_trusted(void);
uint64_t lapmark_test_domain(void);
#endif

/* A moment between two stores that others can see. This project's tests build all with such points, and stop, kill, fork and
 * interrupt at each (tests/points); what is shipped has none. */
#if defined(LAPMARK_TEST_POINTS)
void lapmark_test_point(const char *name);
#define LAP_I_POINT(name) lapmark_test_point(name)
#else
#define LAP_I_POINT(name) ((void)0)
#endif

LAP_I_INLINE uint64_t lap_impl_ticks(void)
{
#if defined(LAPMARK_TEST_CLOCK)
    return lapmark_test_ticks();
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
#error "lapmark has no clock for this machine yet (ARCHITECTURE.md, \"Add a platform\")"
#endif
}

/* No live scope lies below it; what a leaf function may use below its stack pointer is taken off. */
LAP_I_INLINE uint64_t lap_impl_stack_pointer(void)
{
    uint64_t pointer;
#if defined(__x86_64__)
    __asm__("movq %%rsp, %0" : "=r"(pointer));
#else
    __asm__("mov %0, sp" : "=r"(pointer));
#endif
    return pointer - 128;
}

/* A site's switch: 0 is off. The pointer is read before the byte and before the site's class, which were written before it. */
LAP_I_INLINE unsigned lap_impl_state(const struct lap_impl_site *site)
{
    return __atomic_load_n(__atomic_load_n(&site->state, __ATOMIC_ACQUIRE), __ATOMIC_RELAXED);
}

/* Takes the position and leaves it busy, in one instruction, so that a signal handler finds either none of it or all. */
LAP_I_INLINE uint64_t lap_impl_take(struct lap_impl_thread *thread)
{
#if defined(__x86_64__)
    uint64_t position = LAP_IMPL_BUSY;
    __asm__ volatile("xaddq %0, %1" : "+r"(position), "+m"(thread->position) : : "cc", "memory");
#else
    const uint64_t position = __atomic_fetch_add(&thread->position, LAP_IMPL_BUSY, __ATOMIC_RELAXED);
#endif
    LAP_I_POINT("position taken");
    return position;
}

/* Another thread may set it to 0. A plain load sees that as well and is part of the comparison; ThreadSanitizer is told. */
#if defined(__SANITIZE_THREAD__)
#define LAP_I_LIMIT(thread) __atomic_load_n(&(thread)->limit, __ATOMIC_RELAXED)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LAP_I_LIMIT(thread) __atomic_load_n(&(thread)->limit, __ATOMIC_RELAXED)
#endif
#endif
#if !defined(LAP_I_LIMIT)
#define LAP_I_LIMIT(thread) (thread)->limit
#endif

/* Is there no room at this position, or is the clock too far from the segment's begin? */
LAP_I_INLINE int lap_impl_is_full(const struct lap_impl_thread *thread, uint64_t position, uint64_t ticks)
{
    return position >= LAP_I_LIMIT(thread) || (ticks - thread->begin_ticks) >> LAP_IMPL_CLOCK_BITS != 0;
}

/* Makes the event that ends at `end` part of the packet. The store is the commit: a reader, and whoever looks after a
 * kill, sees the event's words before this size. x86 keeps stores in order; aarch64 is told to. */
LAP_I_INLINE void lap_impl_commit(const struct lap_impl_thread *thread, uint64_t end)
{
    uint64_t *const content_size = (uint64_t *)(uintptr_t)(thread->segment + LAP_IMPL_CONTENT_SIZE_OFFSET);
    LAP_I_POINT("event stored");
    __atomic_store_n(content_size, (end - thread->segment) << 3, __ATOMIC_RELEASE);
    LAP_I_POINT("event committed");
}

/* Gives the position back: after the commit and everything else that a handler must not see half done. */
LAP_I_INLINE void lap_impl_give(struct lap_impl_thread *thread, uint64_t end)
{
    LAP_I_POINT("position held");
    __atomic_store_n(&thread->position, end, __ATOMIC_RELEASE);
}

LAP_I_INLINE void lap_impl_store(uint64_t address, uint64_t ticks, uint32_t id, const uint64_t *words, unsigned count)
{
    uint64_t *const event = (uint64_t *)(uintptr_t)address;
    event[0] = ticks << LAP_IMPL_CLASS_BITS | id;
    for (unsigned i = 0; i < count; i++)
        event[1 + i] = words[i];
}

/* Budget of a checkpoint: about 35 instructions, 4 branches, none taken. An rdtsc hides 64 of them and more, so that a
 * checkpoint takes no longer than one bare rdtsc and store; a test counts them. */
LAP_I_INLINE void lap_impl_mark(struct lap_impl_site *site, unsigned state, unsigned flags, const uint64_t *words,
                                unsigned count)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    if (LAP_I_UNLIKELY((state ^ LAP_IMPL_ON) | lap_impl_local.divert) ||
        flags & (LAP_IMPL_SITE_TEXT | LAP_IMPL_SITE_STRINGS)) {
        lap_impl_mark_cold(site, 0, words);
        return;
    }
    const uint64_t position = lap_impl_take(thread);
    const uint64_t ticks = lap_impl_ticks();
    if (LAP_I_UNLIKELY(lap_impl_is_full(thread, position, ticks))) {
        lap_impl_mark_cold(site, position, words);
        return;
    }
    const uint64_t end = position + 8 + 8 * count;
    lap_impl_store(position, ticks, site->id, words, count);
    lap_impl_commit(thread, end);
    lap_impl_give(thread, end);
}

LAP_I_INLINE void lap_impl_begin(struct lap_impl_scope *scope, struct lap_impl_site *site, unsigned state, unsigned flags,
                                 const uint64_t *words, unsigned count)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint32_t depth = thread->depth;
    const uint64_t innermost = thread->frames[depth].address;
    /* An open scope at our own address, or where no frame is any more, was left by longjmp: the library looks. A thread
     * that the library has not met goes the same way, as its sentinel is 0. */
    if (LAP_I_UNLIKELY((state ^ LAP_IMPL_ON) | lap_impl_local.divert) ||
        flags & (LAP_IMPL_SITE_TEXT | LAP_IMPL_SITE_STRINGS) ||
        LAP_I_UNLIKELY(innermost < lap_impl_stack_pointer() || innermost == (uintptr_t)scope ||
                       depth >= LAP_IMPL_FRAMES - 1)) {
        scope->mode = LAP_IMPL_SCOPE_NONE;
        lap_impl_begin_cold(scope, site, 0, words);
        return;
    }
    const uint64_t position = lap_impl_take(thread);
    const uint64_t ticks = lap_impl_ticks();
    if (LAP_I_UNLIKELY(lap_impl_is_full(thread, position, ticks))) {
        scope->mode = LAP_IMPL_SCOPE_NONE;
        lap_impl_begin_cold(scope, site, position, words);
        return;
    }
    const uint64_t end = position + 8 + 8 * count;
    lap_impl_store(position, ticks, site->id, words, count);
    lap_impl_commit(thread, end);
    thread->frames[depth + 1].address = (uintptr_t)scope;
    thread->frames[depth + 1].begin_ticks = ticks;
    thread->depth = depth + 1;
    scope->mode = LAP_IMPL_SCOPE_FAST;
    lap_impl_give(thread, end);
}

/* The cleanup of a scope's variable. */
LAP_I_INLINE void lap_impl_end(struct lap_impl_scope *scope)
{
    if (LAP_I_LIKELY(scope->mode == LAP_IMPL_SCOPE_FAST)) {
        struct lap_impl_thread *const thread = lap_impl_local.thread;
        const uint32_t depth = thread->depth;
        if (LAP_I_UNLIKELY(thread->frames[depth].address != (uintptr_t)scope)) {
            lap_impl_end_cold(scope, 0);
            return;
        }
        const uint64_t position = lap_impl_take(thread);
        const uint64_t ticks = lap_impl_ticks();
        if (LAP_I_UNLIKELY(lap_impl_is_full(thread, position, ticks))) {
            lap_impl_end_cold(scope, position);
            return;
        }
        lap_impl_store(position, ticks, LAP_IMPL_END_CLASS, 0, 0);
        lap_impl_commit(thread, position + 8);
        thread->depth = depth - 1;
        lap_impl_give(thread, position + 8);
    } else if (LAP_I_LIKELY(scope->mode == LAP_IMPL_SCOPE_MUTE)) {
        lap_impl_local.divert = 0;
    } else if (scope->mode != LAP_IMPL_SCOPE_NONE) {
        lap_impl_end_cold(scope, 0);
    }
}

/* A profiler that is off silences its checkpoints and all inside it: the thread's events are diverted to the library,
 * which drops them. The outermost one that is off does it; no load feeds a store, so a loop of them has no chain. */
LAP_I_INLINE void lap_impl_mute(struct lap_impl_scope *scope)
{
    if (LAP_I_LIKELY(lap_impl_local.divert == 0)) {
        lap_impl_local.divert = (uintptr_t)scope;
        scope->mode = LAP_IMPL_SCOPE_MUTE;
    } else {
        scope->mode = LAP_IMPL_SCOPE_NONE;
        lap_impl_mute_cold(scope);
    }
}

/* Storing an event of a binding's: the position for `bytes` with the clock for it, or 0, where only the clock is given, and then
 * the end of what was stored. `state` is the site's, not off. */
LAP_I_INLINE uint64_t lap_impl_keep_open(unsigned state, uint32_t bytes, uint64_t *ret_ticks)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint64_t position = lap_impl_take(thread);
    *ret_ticks = lap_impl_ticks();
    if (LAP_I_UNLIKELY(lap_impl_is_full(thread, position, *ret_ticks) || state & LAP_IMPL_OTHER_CLOCK))
        return lap_impl_room(position, bytes, ret_ticks);
    return position;
}
LAP_I_INLINE void lap_impl_keep_close(uint64_t end)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    lap_impl_commit(thread, end);
    thread->kept = end;
    lap_impl_give(thread, end);
}

#ifdef __cplusplus
}
#endif
#endif
