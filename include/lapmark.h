/* SPDX-License-Identifier: MIT
 *
 * Lapmark: a checkpoint profiler. Put a profiler around a stretch of code, a checkpoint after each step, and see where the
 * time went: printed when the stretch is left, or recorded and read with the lapmark command.
 *
 *     void markup_gaps(const struct gaps *gaps)
 *     {
 *         LAP_PROFILE("markup_gaps() for %zu gaps", gaps->n);
 *         redraw();
 *         LAP_MARK("initial redraw");
 *         ...
 *     }
 *
 * C11 and later, C++17 and later, gcc and clang, 64-bit little-endian Linux. Link with -llapmark.
 *
 * All of it: any thread, any time from the first constructor to the last destructor, in signal handlers (there a
 * checkpoint that interrupts one of its own thread is counted as lost), in a forked child (which starts its own recording).
 * Nothing here waits for a reader, prints (reports aside) or fails: what cannot be stored is counted. A label is a string
 * literal with printf conversions; arguments are stored with their type and formatted when somebody reads them. They are
 * not evaluated while the site is switched off (they are when it is first met, and a checkpoint's are inside a profiler
 * that is off). At most 12 arguments; strings are copied, up to 255 bytes each. After a longjmp, checkpoints go to the
 * profiler that it left until the next begin or end.
 *
 * A process that leaves by _exit is shown as died: nothing tells it from one that was killed. lap_record_stop() before
 * it makes its recording one that ended.
 *
 * With LAPMARK_DISABLE defined before the include, everything compiles to nothing and no argument is evaluated.
 * With LAPMARK_USDT defined before the include, begins, marks and ends are USDT probes, too: lapmark/usdt.h.
 * With LAP_LIBRARY defined before the include, this file's profilers print only if a LAPMARK term names them.
 */
#ifndef LAPMARK_H
#define LAPMARK_H

#include "lapmark/abi.h"
#include "lapmark/context.h"
#include "lapmark/call.h"

#define LAPMARK_VERSION_MAJOR 0
#define LAPMARK_VERSION_MINOR 1

#ifdef __cplusplus
extern "C" {
#endif

/* A profiler that is not bound to a block: {generation, slot}. 0 is no profiler: every call accepts it and does nothing. */
typedef uint64_t lap_handle;

/* Options of a profiler; use LAP_OPTS, which sets the size. New members come at the end. */
struct lap_options {
#ifdef __cplusplus
#define LAP_I_DEFAULT(value) = value
#else
#define LAP_I_DEFAULT(value)
#endif
    /* of this structure, for the library to know which members there are */
    uint32_t size LAP_I_DEFAULT(40);
    uint32_t reserved LAP_I_DEFAULT(0);
    /* prints if it took this or more; 0 prints always */
    double threshold_ms LAP_I_DEFAULT(0);
    /* true: silent with all its checkpoints, unless a LAPMARK term names it */
    uint8_t disabled LAP_I_DEFAULT(0);
    /* true: each line is printed at once, and the threshold is ignored */
    uint8_t immediate LAP_I_DEFAULT(0);
    uint8_t reserved_bytes[6] LAP_I_DEFAULT({});
    /* a problem size; 0 is none */
    int64_t n LAP_I_DEFAULT(0);
    /* a handle; 0 takes the thread's innermost profiler */
    lap_handle parent LAP_I_DEFAULT(0);
};

/* C: LAP_OPTS(.threshold_ms = 5, .disabled = !debug), in any order; C++20: in the order above; C++17: see lapmark::options. */
#ifdef __cplusplus
#define LAP_OPTS(...) (lap_options{__VA_ARGS__})
#else
#define LAP_OPTS(...) ((struct lap_options){.size = sizeof(struct lap_options), __VA_ARGS__})
#endif

/* What a sink is given: one whole report, or one line of an immediate profiler, not terminated by 0. Called with no lock
 * of the host's; profilers inside it are counted as lost. */
typedef void lap_sink(const char *text, uint64_t length_bytes, void *user);

/* Ends a profiler that lap_begin began, on any thread, prints its report if it is one that prints, and returns its total
 * in nanoseconds. 0, ended twice, stale: counted, returns 0. Warm. */
LAP_I_API uint64_t lap_end(lap_handle handle);
/* Nanoseconds since lap_begin; 0 for a handle that is not open. Warm. */
LAP_I_API uint64_t lap_elapsed_ns(lap_handle handle);

/* Switches by the terms of the LAPMARK variable ("glob[:threshold]", "-glob", "off", comma-separated), on top of what
 * is in force: what they do not name stays as it is. Returns 0, or -EINVAL with nothing changed. Takes effect on all
 * threads at once. Cold. */
LAP_I_API int lap_set(const char *terms);
/* Starts to record into a sub-directory of `directory`, which is made where it is missing. Returns 0 or a negative errno
 * (-EALREADY: it records already). What the threads' rings hold already is not part of it. Cold. */
LAP_I_API int lap_record_start(const char *directory);
/* Ends the recording: its files are whole when this returns 0. -ESRCH: none was running. Cold. */
LAP_I_API int lap_record_stop(void);
/* Writes what the rings of all threads hold, of the last `last_ms` (0: all), as a recording of its own into a new
 * sub-directory of `directory`, which is made where it is missing: a snapshot. The other threads go on; what it takes is no
 * part of the calling thread's laps. Whether the process records or not; any thread. Returns 0 or a negative errno with
 * nothing left behind (-EBUSY: another thread is writing one). Cold: some milliseconds. */
LAP_I_API int lap_snapshot(const char *directory, double last_ms);
/* Brings this thread's statistics up to date and prints what of its reports is waiting for an open parent. Warm. */
LAP_I_API void lap_flush(void);
/* Names this thread in reports; copied, up to 31 bytes. The kernel's name for it is not changed. Cold. */
LAP_I_API void lap_thread_name(const char *name);
/* Reports go to `fd` (not owned), or to a function; -1 and NULL bring back stderr. Cold. */
LAP_I_API void lap_sink_fd(int fd);
LAP_I_API void lap_sink_function(lap_sink *function, void *user);
/* The text of a negative errno or of a code of Lapmark's own; static, never NULL. Since 0.1. */
LAP_I_API const char *lap_error_text(int error);

#ifdef __cplusplus
}
#endif

/* ---- from arguments to words ------------------------------------------------------------------------------------- */

#ifdef __cplusplus

template <class T, bool is_enum = __is_enum(T)> struct lap_impl_number_of { typedef T type; };
template <class T> struct lap_impl_number_of<T, true> { typedef __underlying_type(T) type; };
template <class T> struct lap_impl_is_signed { static constexpr bool value = T(-1) < T(0); };
template <> struct lap_impl_is_signed<bool> { static constexpr bool value = false; };
template <class T> struct lap_impl_type_of {
    static constexpr uint64_t value = lap_impl_is_signed<typename lap_impl_number_of<T>::type>::value
                                          ? LAP_IMPL_TYPE_I64 : LAP_IMPL_TYPE_U64;
};
template <> struct lap_impl_type_of<bool> { static constexpr uint64_t value = LAP_IMPL_TYPE_U64; };
template <> struct lap_impl_type_of<float> { static constexpr uint64_t value = LAP_IMPL_TYPE_F64; };
template <> struct lap_impl_type_of<double> { static constexpr uint64_t value = LAP_IMPL_TYPE_F64; };
template <> struct lap_impl_type_of<long double> { static constexpr uint64_t value = LAP_IMPL_TYPE_F64; };
template <class T> struct lap_impl_type_of<T *> { static constexpr uint64_t value = LAP_IMPL_TYPE_POINTER; };
template <> struct lap_impl_type_of<char *> { static constexpr uint64_t value = LAP_IMPL_TYPE_STRING; };
template <> struct lap_impl_type_of<const char *> { static constexpr uint64_t value = LAP_IMPL_TYPE_STRING; };
template <> struct lap_impl_type_of<decltype(nullptr)> { static constexpr uint64_t value = LAP_IMPL_TYPE_POINTER; };

template <class T> struct lap_impl_plain { typedef T type; };
template <class T> struct lap_impl_plain<T &> { typedef typename lap_impl_plain<T>::type type; };
template <class T> struct lap_impl_plain<T &&> { typedef typename lap_impl_plain<T>::type type; };
template <class T> struct lap_impl_plain<const T> { typedef typename lap_impl_plain<T>::type type; };
template <class T> struct lap_impl_plain<volatile T> { typedef typename lap_impl_plain<T>::type type; };
template <class T> struct lap_impl_plain<const volatile T> { typedef typename lap_impl_plain<T>::type type; };
template <class T> struct lap_impl_plain<T[]> { typedef T *type; };
template <class T, decltype(sizeof(0)) N> struct lap_impl_plain<T[N]> { typedef T *type; };
template <class T, decltype(sizeof(0)) N> struct lap_impl_plain<const T[N]> { typedef const T *type; };

LAP_I_INLINE uint64_t lap_impl_word(double value)
{
    uint64_t word;
    __builtin_memcpy(&word, &value, sizeof word);
    return word;
}
LAP_I_INLINE uint64_t lap_impl_word(float value) { return lap_impl_word(static_cast<double>(value)); }
LAP_I_INLINE uint64_t lap_impl_word(long double value) { return lap_impl_word(static_cast<double>(value)); }
LAP_I_INLINE uint64_t lap_impl_word(const volatile void *value) { return reinterpret_cast<uintptr_t>(value); }
LAP_I_INLINE uint64_t lap_impl_word(decltype(nullptr)) { return 0; }
template <class T> LAP_I_INLINE uint64_t lap_impl_word(T value) { return static_cast<uint64_t>(value); }
template <class T> LAP_I_INLINE uint64_t lap_impl_word(T *value) { return reinterpret_cast<uintptr_t>(value); }

#define LAP_I_TYPE(a) (lap_impl_type_of<typename lap_impl_plain<decltype(a)>::type>::value)
#define LAP_I_WORD(a) lap_impl_word(a)

#else

LAP_I_INLINE uint64_t lap_impl_word_i(long long value) { return (uint64_t)value; }
LAP_I_INLINE uint64_t lap_impl_word_u(unsigned long long value) { return value; }
LAP_I_INLINE uint64_t lap_impl_word_f(double value)
{
    uint64_t word;
    __builtin_memcpy(&word, &value, sizeof word);
    return word;
}
LAP_I_INLINE uint64_t lap_impl_word_l(long double value) { return lap_impl_word_f((double)value); }
LAP_I_INLINE uint64_t lap_impl_word_p(const volatile void *value) { return (uint64_t)(uintptr_t)value; }

/* The conditional is what a bit-field is promoted by. */
#define LAP_I_SELECT(a, i, u, f, l, s, p)                                                                                \
    _Generic(1 ? (a) : (a), _Bool: u, char: i, signed char: i, short: i, int: i, long: i, long long: i, unsigned char: u,          \
             unsigned short: u, unsigned int: u, unsigned long: u, unsigned long long: u, float: f, double: f,           \
             long double: l, char *: s, const char *: s, default: p)
#define LAP_I_TYPE(a)                                                                                                    \
    LAP_I_SELECT(a, (uint64_t)LAP_IMPL_TYPE_I64, (uint64_t)LAP_IMPL_TYPE_U64, (uint64_t)LAP_IMPL_TYPE_F64,               \
                 (uint64_t)LAP_IMPL_TYPE_F64, (uint64_t)LAP_IMPL_TYPE_STRING, (uint64_t)LAP_IMPL_TYPE_POINTER)
#define LAP_I_WORD(a)                                                                                                    \
    LAP_I_SELECT(a, lap_impl_word_i, lap_impl_word_u, lap_impl_word_f, lap_impl_word_l, lap_impl_word_p, lap_impl_word_p)(a)

#endif

#define LAP_I_JOIN_(a, b) a##b
#define LAP_I_JOIN(a, b) LAP_I_JOIN_(a, b)
#define LAP_I_FIRST_(first, ...) first
#define LAP_I_FIRST(...) LAP_I_FIRST_(__VA_ARGS__, 0)
/* Number of arguments behind the label: 0 to 12. More than that end in a name that says so, in the compiler's message. */
#define LAP_I_COUNT_(l, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define LAP_I_COUNT(...)                                                                                                 \
    LAP_I_COUNT_(__VA_ARGS__, more_than_12_arguments, more_than_12_arguments, more_than_12_arguments,                    \
                 more_than_12_arguments, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0)
#define LAP_I_TYPES_0(l) UINT64_C(0)
#define LAP_I_TYPES_1(l, a) LAP_I_TYPE(a)
#define LAP_I_TYPES_2(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_1(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_3(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_2(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_4(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_3(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_5(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_4(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_6(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_5(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_7(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_6(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_8(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_7(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_9(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_8(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_10(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_9(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_11(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_10(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES_12(l, a, ...) (LAP_I_TYPE(a) | LAP_I_TYPES_11(l, __VA_ARGS__) << 4)
#define LAP_I_TYPES(...) LAP_I_JOIN(LAP_I_TYPES_, LAP_I_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define LAP_I_WORDS_0(l)
#define LAP_I_WORDS_1(l, a) LAP_I_WORD(a),
#define LAP_I_WORDS_2(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_1(l, __VA_ARGS__)
#define LAP_I_WORDS_3(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_2(l, __VA_ARGS__)
#define LAP_I_WORDS_4(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_3(l, __VA_ARGS__)
#define LAP_I_WORDS_5(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_4(l, __VA_ARGS__)
#define LAP_I_WORDS_6(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_5(l, __VA_ARGS__)
#define LAP_I_WORDS_7(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_6(l, __VA_ARGS__)
#define LAP_I_WORDS_8(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_7(l, __VA_ARGS__)
#define LAP_I_WORDS_9(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_8(l, __VA_ARGS__)
#define LAP_I_WORDS_10(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_9(l, __VA_ARGS__)
#define LAP_I_WORDS_11(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_10(l, __VA_ARGS__)
#define LAP_I_WORDS_12(l, a, ...) LAP_I_WORD(a), LAP_I_WORDS_11(l, __VA_ARGS__)
#define LAP_I_WORDS(...) LAP_I_JOIN(LAP_I_WORDS_, LAP_I_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* ---- sites ------------------------------------------------------------------------------------------------------- */

#ifdef LAP_LIBRARY
#define LAP_I_FLAGS LAP_IMPL_SITE_LIBRARY
#else
#define LAP_I_FLAGS 0
#endif

/* A string anywhere among the types sends the event to the library, which copies it. */
LAP_I_INLINE unsigned lap_impl_string_flag(uint64_t types)
{
    return types & LAP_IMPL_TYPES_STRING ? LAP_IMPL_SITE_STRINGS : 0;
}

#define LAP_I_SITE(name, kind, flags, ...)                                                                               \
    static struct lap_impl_site name = {&lap_impl_unregistered, 0, __LINE__, LAP_I_FIRST(__VA_ARGS__), __FILE__,         \
                                        __func__, LAP_I_TYPES(__VA_ARGS__), kind, (flags) | LAP_I_FLAGS,                 \
                                        LAP_I_COUNT(__VA_ARGS__), {0, 0, 0, 0, 0}, 0}
/* Lets the compiler compare the label with its arguments; never called. The space keeps an empty label from its warning. */
#define LAP_I_CHECK(...)                                                                                                 \
    do {                                                                                                                 \
        if (0)                                                                                                           \
            lap_impl_check_format(" " __VA_ARGS__);                                                                      \
    } while (0)

/* What USDT probes put around sites; nothing without them. */
#if defined(LAPMARK_USDT) && !defined(LAPMARK_DISABLE) && !defined(LAPMARK_BUILDING_LIBRARY)
#include "lapmark/usdt.h"
#else
#define LAP_I_END lap_impl_end
#define LAP_I_SCOPE_BEGIN(c, scope, site, state, flags, words, count) lap_impl_begin(scope, site, state, flags, words, count)
#define LAP_I_SCOPE_BEGIN_WITH(c, scope, site, options, words) lap_impl_begin_with(scope, site, options, words)
#define LAP_I_MARK_PROBE(c, site, words) ((void)0)
#define LAP_I_HANDLE_BEGIN_PROBE(c, site, words, n, handle) ((void)0)
#define LAP_I_HANDLE_MARK_PROBE(c, site, words, handle) ((void)0)
#define LAP_I_OBJECT_BEGIN(scope, label, n) ((void)0)
#define LAP_I_OBJECT_MARK(label) ((void)0)
#define LAP_I_OBJECT_END(scope) ((void)0)
#define LAP_I_METHOD
#endif

#ifndef LAPMARK_DISABLE

/* ---- scopes: bound to a block ------------------------------------------------------------------------------------ */

#define LAP_I_SCOPE(name) __attribute__((cleanup(LAP_I_END))) struct lap_impl_scope name

#define LAP_I_PROFILE(c, flags, text, ...)                                                                               \
    LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_BEGIN, flags, __VA_ARGS__);                                     \
    LAP_I_SCOPE(LAP_I_JOIN(lap_i_scope_, c));                                                                            \
    do {                                                                                                                 \
        const unsigned LAP_I_JOIN(lap_i_state_, c) = lap_impl_state(&LAP_I_JOIN(lap_i_site_, c));                        \
        if (LAP_I_JOIN(lap_i_state_, c)) {                                                                               \
            const uint64_t LAP_I_JOIN(lap_i_words_, c)[] = {LAP_I_WORDS(__VA_ARGS__) text};                              \
            LAP_I_SCOPE_BEGIN(c, &LAP_I_JOIN(lap_i_scope_, c), &LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_state_, c), \
                              (flags) | lap_impl_string_flag(LAP_I_TYPES(__VA_ARGS__)), LAP_I_JOIN(lap_i_words_, c),     \
                              LAP_I_COUNT(__VA_ARGS__));                                                                 \
        } else {                                                                                                         \
            lap_impl_mute(&LAP_I_JOIN(lap_i_scope_, c));                                                                 \
        }                                                                                                                \
    } while (0)

#define LAP_I_PROFILE_WITH(c, flags, text, opts, ...)                                                                    \
    LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_BEGIN_WITH, flags, __VA_ARGS__);                                \
    LAP_I_SCOPE(LAP_I_JOIN(lap_i_scope_, c));                                                                            \
    do {                                                                                                                 \
        const unsigned LAP_I_JOIN(lap_i_state_, c) = lap_impl_state(&LAP_I_JOIN(lap_i_site_, c));                        \
        if (LAP_I_JOIN(lap_i_state_, c)) {                                                                               \
            const struct lap_options LAP_I_JOIN(lap_i_options_, c) = opts;                                               \
            if (!LAP_I_JOIN(lap_i_options_, c).disabled || LAP_I_JOIN(lap_i_state_, c) & (LAP_IMPL_FORCED | LAP_IMPL_UNREGISTERED)) {\
                const uint64_t LAP_I_JOIN(lap_i_words_, c)[] = {LAP_I_WORDS(__VA_ARGS__) text};                          \
                LAP_I_JOIN(lap_i_scope_, c).mode = LAP_IMPL_SCOPE_NONE;                                                  \
                LAP_I_SCOPE_BEGIN_WITH(c, &LAP_I_JOIN(lap_i_scope_, c), &LAP_I_JOIN(lap_i_site_, c),                     \
                                       &LAP_I_JOIN(lap_i_options_, c), LAP_I_JOIN(lap_i_words_, c));                     \
            } else {                                                                                                     \
                lap_impl_mute(&LAP_I_JOIN(lap_i_scope_, c));                                                             \
            }                                                                                                            \
        } else {                                                                                                         \
            lap_impl_mute(&LAP_I_JOIN(lap_i_scope_, c));                                                                 \
        }                                                                                                                \
    } while (0)

/* A profiler from here to the end of the block, whatever way it is left. The label is a literal. Hot: two floors (an
 * rdtsc and a store each) for begin and end. Declares variables: not the body of an `if` without braces, not in a C99
 * inline function that is not static, and neither `goto` nor `case` may jump over it into its block. */
#define LAP_PROFILE(...)                                                                                                 \
    LAP_I_PROFILE_C(__COUNTER__, 0, 0, "" __VA_ARGS__);                                                                  \
    LAP_I_CHECK(__VA_ARGS__)
#define LAP_I_PROFILE_C(c, ...) LAP_I_PROFILE(c, __VA_ARGS__)
/* The same with options, which are evaluated first: LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 5), "label"). */
#define LAP_PROFILE_WITH(opts, ...)                                                                                      \
    LAP_I_PROFILE_WITH_C(__COUNTER__, 0, 0, opts, "" __VA_ARGS__);                                                       \
    LAP_I_CHECK(__VA_ARGS__)
#define LAP_I_PROFILE_WITH_C(c, ...) LAP_I_PROFILE_WITH(c, __VA_ARGS__)
/* The same with a message made at run time (const char *, copied). A site keeps 64 different ones apart; the text of
 * further ones is stored with the event. Warm: 50-100 ns. */
#define LAP_PROFILE_TEXT(message) LAP_I_PROFILE_C(__COUNTER__, LAP_IMPL_SITE_TEXT, (uint64_t)(uintptr_t)(message), "")
#define LAP_PROFILE_TEXT_WITH(opts, message)                                                                             \
    LAP_I_PROFILE_WITH_C(__COUNTER__, LAP_IMPL_SITE_TEXT, (uint64_t)(uintptr_t)(message), opts, "")

/* Ends the thread's innermost scope before its block does. None open: nothing. */
#define LAP_END() lap_impl_end_innermost()
/* Nanoseconds since the thread's innermost scope began; 0 with none. */
#define LAP_ELAPSED_NS() lap_impl_elapsed_ns()

/* ---- checkpoints of the thread's innermost scope ----------------------------------------------------------------- */

#define LAP_I_MARK(c, flags, count, first, text, ...)                                                                    \
    do {                                                                                                                 \
        LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_MARK, flags, __VA_ARGS__);                                  \
        const unsigned LAP_I_JOIN(lap_i_state_, c) = lap_impl_state(&LAP_I_JOIN(lap_i_site_, c));                        \
        if (LAP_I_JOIN(lap_i_state_, c)) {                                                                               \
            const uint64_t LAP_I_JOIN(lap_i_words_, c)[] = {LAP_I_UNWRAP first LAP_I_WORDS(__VA_ARGS__) text};           \
            LAP_I_MARK_PROBE(c, &LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_words_, c));                               \
            lap_impl_mark(&LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_state_, c),                                      \
                          (flags) | lap_impl_string_flag(LAP_I_TYPES(__VA_ARGS__)), LAP_I_JOIN(lap_i_words_, c),         \
                          (count) + LAP_I_COUNT(__VA_ARGS__));                                                           \
        }                                                                                                                \
    } while (0)
/* __COUNTER__ is read once and passed on, so that nested calls have names of their own. */
#define LAP_I_MARK_C(c, ...) LAP_I_MARK(c, __VA_ARGS__)
/* Words in front of the arguments, in parentheses that keep their comma on its way through the macros. */
#define LAP_I_NOTHING ()
#define LAP_I_SIZE(n) ((uint64_t)(int64_t)(n),)
#define LAP_I_UNWRAP(...) __VA_ARGS__

/* A checkpoint: closes the lap since the one before. LAP_MARK() alone is numbered. Hot: one floor. */
#define LAP_MARK(...)                                                                                                    \
    do {                                                                                                                 \
        LAP_I_CHECK(__VA_ARGS__);                                                                                        \
        LAP_I_MARK_C(__COUNTER__, 0, 0, LAP_I_NOTHING, 0, "" __VA_ARGS__);                                               \
    } while (0)
/* The same with a problem size, an integer that the lap's cost may depend on. */
#define LAP_MARK_N(n, ...)                                                                                               \
    do {                                                                                                                 \
        LAP_I_CHECK(__VA_ARGS__);                                                                                        \
        LAP_I_MARK_C(__COUNTER__, LAP_IMPL_SITE_N, 1, LAP_I_SIZE(n), 0, "" __VA_ARGS__);                                 \
    } while (0)
/* The same with a label made at run time (const char *, copied); as LAP_PROFILE_TEXT. */
#define LAP_MARK_TEXT(label)                                                                                             \
    LAP_I_MARK_C(__COUNTER__, LAP_IMPL_SITE_TEXT, 0, LAP_I_NOTHING, (uint64_t)(uintptr_t)(label), "")
#define LAP_MARK_TEXT_N(n, label)                                                                                        \
    LAP_I_MARK_C(__COUNTER__, LAP_IMPL_SITE_TEXT | LAP_IMPL_SITE_N, 1, LAP_I_SIZE(n), (uint64_t)(uintptr_t)(label), "")

/* ---- handles: profilers that are not bound to a block ------------------------------------------------------------ */

#define LAP_I_BEGIN(c, flags, text, opts, ...)                                                                           \
    __extension__({                                                                                                      \
        LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_HANDLE_BEGIN, flags, __VA_ARGS__);                          \
        lap_handle LAP_I_JOIN(lap_i_handle_, c) = 0;                                                                     \
        if (lap_impl_state(&LAP_I_JOIN(lap_i_site_, c))) {                                                               \
            const struct lap_options LAP_I_JOIN(lap_i_options_, c) = opts;                                               \
            const uint64_t LAP_I_JOIN(lap_i_words_, c)[] = {LAP_I_WORDS(__VA_ARGS__) text};                              \
            LAP_I_JOIN(lap_i_handle_, c) = lap_impl_handle_begin(                                                        \
                &LAP_I_JOIN(lap_i_site_, c), &LAP_I_JOIN(lap_i_options_, c), LAP_I_JOIN(lap_i_words_, c));               \
            LAP_I_HANDLE_BEGIN_PROBE(c, &LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_words_, c),                        \
                                     LAP_I_JOIN(lap_i_options_, c).n, LAP_I_JOIN(lap_i_handle_, c));                     \
        }                                                                                                                \
        LAP_I_JOIN(lap_i_handle_, c);                                                                                    \
    })
#define LAP_I_HANDLE_MARK(c, handle, flags, first, text, ...)                                                            \
    __extension__({                                                                                                      \
        LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_HANDLE_MARK, flags, __VA_ARGS__);                           \
        uint64_t LAP_I_JOIN(lap_i_lap_ns_, c) = 0;                                                                       \
        if (lap_impl_state(&LAP_I_JOIN(lap_i_site_, c))) {                                                               \
            const uint64_t LAP_I_JOIN(lap_i_words_, c)[] = {LAP_I_UNWRAP first LAP_I_WORDS(__VA_ARGS__) text};           \
            const uint64_t LAP_I_JOIN(lap_i_handle_, c) = (handle);                                                      \
            LAP_I_HANDLE_MARK_PROBE(c, &LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_words_, c),                         \
                                    LAP_I_JOIN(lap_i_handle_, c));                                                       \
            LAP_I_JOIN(lap_i_lap_ns_, c) =                                                                               \
                lap_impl_handle_mark(LAP_I_JOIN(lap_i_handle_, c), &LAP_I_JOIN(lap_i_site_, c), LAP_I_JOIN(lap_i_words_, c));\
        }                                                                                                                \
        LAP_I_JOIN(lap_i_lap_ns_, c);                                                                                    \
    })
#define LAP_I_BEGIN_C(c, ...) LAP_I_BEGIN(c, __VA_ARGS__)
#define LAP_I_HANDLE_MARK_C(c, ...) LAP_I_HANDLE_MARK(c, __VA_ARGS__)
#define LAP_I_CHECKED(check, value) __extension__({ check; value; })

/* lap_handle lap_begin("label", ...): begins a profiler that any thread may mark and end; it is nobody's innermost. 0 if
 * the site is off, if the thread's innermost profiler is and no parent is given, or if 16,384 are open (counted). Warm. */
#define lap_begin(...)                                                                                                   \
    LAP_I_CHECKED(LAP_I_CHECK(__VA_ARGS__), LAP_I_BEGIN_C(__COUNTER__, 0, 0, LAP_OPTS(), "" __VA_ARGS__))
#define lap_begin_with(opts, ...)                                                                                        \
    LAP_I_CHECKED(LAP_I_CHECK(__VA_ARGS__), LAP_I_BEGIN_C(__COUNTER__, 0, 0, opts, "" __VA_ARGS__))
#define lap_begin_text(opts, message) LAP_I_BEGIN_C(__COUNTER__, LAP_IMPL_SITE_TEXT, (uint64_t)(uintptr_t)(message), opts, "")
/* uint64_t lap_mark(handle, "label", ...): a checkpoint, numbered if the label is ""; returns its lap in nanoseconds, 0 if
 * the handle is not open (counted). Warm. */
#define lap_mark(handle, ...)                                                                                            \
    LAP_I_CHECKED(LAP_I_CHECK(__VA_ARGS__), LAP_I_HANDLE_MARK_C(__COUNTER__, handle, 0, LAP_I_NOTHING, 0, "" __VA_ARGS__))
#define lap_mark_n(handle, n, ...)                                                                                       \
    LAP_I_CHECKED(LAP_I_CHECK(__VA_ARGS__),                                                                              \
                  LAP_I_HANDLE_MARK_C(__COUNTER__, handle, LAP_IMPL_SITE_N, LAP_I_SIZE(n), 0, "" __VA_ARGS__))
#define lap_mark_text(handle, label)                                                                                     \
    LAP_I_HANDLE_MARK_C(__COUNTER__, handle, LAP_IMPL_SITE_TEXT, LAP_I_NOTHING, (uint64_t)(uintptr_t)(label), "")

/* ---- calls: see lapmark/call.h ----------------------------------------------------------------------------------- */

#define LAP_I_CALL_BEGIN(c, call, opts, ...)                                                                             \
    do {                                                                                                                 \
        LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_CALL, 0, __VA_ARGS__);                                      \
        lap_impl_call_begin((call), &LAP_I_JOIN(lap_i_site_, c), opts);                                                  \
    } while (0)
#define LAP_I_CALL_BEGIN_C(c, ...) LAP_I_CALL_BEGIN(c, __VA_ARGS__)
/* lap_call_begin(struct lap_call *, "label"): a call begins (t1); send call->request with it, and end it by lap_call_end(). The label
 * is a literal without conversions: the kind of call that `lapmark calls` counts. Warm: about 60 ns. */
#define lap_call_begin(call, label) LAP_I_CALL_BEGIN_C(__COUNTER__, call, 0, "" label)
/* The same with options: LAP_CALL_OPTS(.handle = h, .parent = &serve.context, .follows = &earlier.context). */
#define lap_call_begin_with(call, opts, label)                                                                           \
    do {                                                                                                                 \
        const struct lap_call_options lap_i_call_options = opts;                                                         \
        LAP_I_CALL_BEGIN_C(__COUNTER__, call, &lap_i_call_options, "" label);                                            \
    } while (0)
/* int lap_serve_begin(struct lap_serve *, trailer, bytes, arrived, "label", ...): begins a profiler, as lap_begin() does, for a request
 * with this trailer (NULL or 0 bytes: it had none) that arrived at `arrived`, of lap_now(), 0 where that is not known. Returns 0, or
 * -ENOMSG: no trailer, -EBADMSG: none of these; the profiler has begun all the same. Warm. */
#define lap_serve_begin(serve, trailer, bytes, arrived, ...)                                                             \
    lap_serve_begin_with(serve, LAP_OPTS(), trailer, bytes, arrived, __VA_ARGS__)
/* The same with the profiler's options. If it has taken its threshold when it replies, the caller is told: LAP_SPLIT_SLOW. */
#define lap_serve_begin_with(serve, opts, trailer, bytes, arrived, ...)                                                  \
    __extension__({                                                                                                      \
        const void *const lap_i_trailer = (trailer);                                                                     \
        const uint64_t lap_i_bytes = (bytes);                                                                            \
        struct lap_options lap_i_options = opts;                                                                         \
        lap_impl_serve_options(&lap_i_options, lap_i_trailer, lap_i_bytes);                                              \
        const lap_handle lap_i_handle = lap_begin_with(lap_i_options, __VA_ARGS__);                                      \
        lap_impl_serve_begin((serve), lap_i_handle, lap_i_trailer, lap_i_bytes, (arrived));                              \
    })

#else /* LAPMARK_DISABLE: the same names, no code; arguments are looked at by the compiler and never evaluated */

#define LAP_I_UNUSED(x) ((void)sizeof(x))
#define LAP_PROFILE(...) LAP_I_CHECK(__VA_ARGS__)
#define LAP_PROFILE_WITH(opts, ...)                                                                                      \
    do {                                                                                                                 \
        if (0) {                                                                                                         \
            const struct lap_options lap_i_options = opts;                                                               \
            (void)lap_i_options;                                                                                         \
            lap_impl_check_format(" " __VA_ARGS__);                                                                      \
        }                                                                                                                \
    } while (0)
#define LAP_PROFILE_TEXT(message) LAP_I_UNUSED(message)
#define LAP_PROFILE_TEXT_WITH(opts, message)                                                                             \
    do {                                                                                                                 \
        LAP_PROFILE_WITH(opts, );                                                                                        \
        LAP_I_UNUSED(message);                                                                                           \
    } while (0)
#define LAP_END() ((void)0)
#define LAP_ELAPSED_NS() UINT64_C(0)
#define LAP_MARK(...) LAP_I_CHECK(__VA_ARGS__)
#define LAP_MARK_N(n, ...)                                                                                               \
    do {                                                                                                                 \
        LAP_I_UNUSED(n);                                                                                                 \
        LAP_I_CHECK(__VA_ARGS__);                                                                                        \
    } while (0)
#define LAP_MARK_TEXT(label) LAP_I_UNUSED(label)
#define LAP_MARK_TEXT_N(n, label) (LAP_I_UNUSED(n), LAP_I_UNUSED(label))
#define LAP_I_NO_VALUE(check, x) __extension__({ check; LAP_I_UNUSED(x); UINT64_C(0); })
#define lap_begin(...) LAP_I_NO_VALUE(LAP_I_CHECK(__VA_ARGS__), 0)
#define lap_begin_with(opts, ...) LAP_I_NO_VALUE(LAP_PROFILE_WITH(opts, __VA_ARGS__), 0)
#define lap_begin_text(opts, message) LAP_I_NO_VALUE(LAP_PROFILE_TEXT_WITH(opts, message), 0)
#define lap_mark(handle, ...) LAP_I_NO_VALUE(LAP_I_CHECK(__VA_ARGS__), handle)
#define lap_mark_n(handle, n, ...) LAP_I_NO_VALUE(LAP_MARK_N(n, __VA_ARGS__), handle)
#define lap_mark_text(handle, label) LAP_I_NO_VALUE(LAP_I_UNUSED(label), handle)
#define lap_end(handle) LAP_I_NO_VALUE((void)0, handle)
#define lap_elapsed_ns(handle) LAP_I_NO_VALUE((void)0, handle)
LAP_I_INLINE int lap_impl_nothing(uint64_t size)
{
    return (void)size, 0;
}
LAP_I_INLINE int lap_impl_no_sink(lap_sink *function, void *user)
{
    return (void)function, (void)user, 0;
}
LAP_I_INLINE const char *lap_impl_no_text(uint64_t size)
{
    return (void)size, "";
}
LAP_I_INLINE int lap_impl_no_call(void *memory, uint64_t bytes)
{
    __builtin_memset(memory, 0, bytes);
    return -42; /* -ENOMSG */
}
#define lap_call_begin(call, label) ((void)lap_impl_no_call((call), sizeof *(call)), LAP_I_UNUSED(label))
#define lap_call_begin_with(call, opts, label)                                                                           \
    do {                                                                                                                 \
        if (0) {                                                                                                         \
            const struct lap_call_options lap_i_call_options = opts;                                                     \
            (void)lap_i_call_options;                                                                                    \
        }                                                                                                                \
        lap_call_begin(call, label);                                                                                     \
    } while (0)
#define lap_call_end(call, reply, bytes) (LAP_I_UNUSED(reply), LAP_I_UNUSED(bytes), lap_impl_no_call((call), sizeof *(call)))
#define lap_call_part(call, reply, bytes) lap_call_end(call, reply, bytes)
#define lap_call_sent(call) lap_impl_no_call((call), sizeof *(call))
#define lap_serve_begin(serve, trailer, bytes, arrived, ...)                                                             \
    __extension__({                                                                                                      \
        LAP_I_CHECK(__VA_ARGS__);                                                                                        \
        LAP_I_UNUSED(trailer), LAP_I_UNUSED(bytes), LAP_I_UNUSED(arrived), lap_impl_no_call((serve), sizeof *(serve));   \
    })
#define lap_serve_begin_with(serve, opts, trailer, bytes, arrived, ...)                                                  \
    __extension__({                                                                                                      \
        LAP_PROFILE_WITH(opts, __VA_ARGS__);                                                                             \
        LAP_I_UNUSED(trailer), LAP_I_UNUSED(bytes), LAP_I_UNUSED(arrived), lap_impl_no_call((serve), sizeof *(serve));   \
    })
#define lap_serve_reply(serve, out) (LAP_I_UNUSED(serve), (void)lap_impl_no_call((out), LAP_TRAILER_BYTES), UINT64_C(0))
#define lap_serve_parent(serve, context) (LAP_I_UNUSED(context), (void)lap_impl_no_call((serve), sizeof *(serve)), 0)
#define lap_handle_context(handle) (LAP_I_UNUSED(handle), lap_impl_no_context())
#define lap_link(handle, other) (LAP_I_UNUSED(handle), LAP_I_UNUSED(other))
#define lap_serve_reply_notes(serve, out, room) (LAP_I_UNUSED(room), lap_serve_reply(serve, out))
#define lap_share(what) LAP_I_UNUSED(what)
#define lap_accept(what) LAP_I_UNUSED(what)
#define lap_call_wish(call, wish, threshold_ms) (LAP_I_UNUSED(call), LAP_I_UNUSED(wish), LAP_I_UNUSED(threshold_ms))
#define lap_now() UINT64_C(0)
#define lap_set(terms) lap_impl_nothing(sizeof(terms))
#define lap_record_start(directory) lap_impl_nothing(sizeof(directory))
#define lap_record_stop() lap_impl_nothing(0)
#define lap_snapshot(directory, last_ms) lap_impl_nothing(sizeof(directory) + sizeof(last_ms))
#define lap_flush() ((void)0)
#define lap_thread_name(name) LAP_I_UNUSED(name)
#define lap_sink_fd(fd) LAP_I_UNUSED(fd)
#define lap_sink_function(function, user) ((void)(0 ? lap_impl_no_sink((function), (user)) : 0))
#define lap_error_text(error) lap_impl_no_text(sizeof(error))
#ifdef __cplusplus
#define LAP_LABEL(...) __extension__({ LAP_I_CHECK(__VA_ARGS__); lapmark::label{0, {0}}; })
#define LAP_LABEL_N(n, ...) __extension__({ LAP_MARK_N(n, __VA_ARGS__); lapmark::label{0, {0}}; })
#define LAP_LABEL_TEXT(string) __extension__({ LAP_I_UNUSED(string); lapmark::label{0, {0}}; })
#endif

#endif

/* ---- C++17: the same as a class ---------------------------------------------------------------------------------- */

#ifdef __cplusplus
namespace lapmark {

/* LAP_LABEL("built %zu specs", n): a label with its site and arguments, for a profiler or for a checkpoint. Lives to the end
 * of the full expression. LAP_LABEL_N, with a size, is for checkpoints. Not in default member initializers. */
struct label {
    struct lap_impl_site *site;
    uint64_t words[LAP_IMPL_ARGS_MAX + 1];
};

/* Options by chained setters: lapmark::options().threshold_ms(5).disabled(!debug). */
class options {
  public:
    options &disabled(bool value = true) { return value_.disabled = value, *this; }
    options &immediate(bool value = true) { return value_.immediate = value, *this; }
    options &threshold_ms(double value) { return value_.threshold_ms = value, *this; }
    options &n(int64_t value) { return value_.n = value, *this; }
    options &parent(lap_handle value) { return value_.parent = value, *this; }
    const lap_options &get() const { return value_; }

  private:
    lap_options value_;
};

/* A scope as an object: ends when it dies, on the thread that made it, innermost first. Not copied, not moved. */
class profiler {
  public:
    LAP_I_METHOD explicit profiler(const label &text, const options &opts = options())
    {
#ifndef LAPMARK_DISABLE
        const unsigned state = lap_impl_state(text.site);
        if (state && (!opts.get().disabled || state & (LAP_IMPL_FORCED | LAP_IMPL_UNREGISTERED))) {
            LAP_I_OBJECT_BEGIN(&scope_, text, opts.get().n);
            lap_impl_begin_with(&scope_, text.site, &opts.get(), text.words);
        } else {
            lap_impl_mute(&scope_);
        }
#else
        (void)text;
        (void)opts;
#endif
    }
    LAP_I_METHOD ~profiler() { end(); }
    profiler(const profiler &) = delete;
    profiler &operator=(const profiler &) = delete;

    /* A checkpoint of the thread's innermost scope. */
    LAP_I_METHOD void mark(const label &text)
    {
#ifndef LAPMARK_DISABLE
        const unsigned state = lap_impl_state(text.site);
        if (state & LAP_IMPL_UNREGISTERED) /* a label is what its first use makes it */
            __atomic_store_n(&text.site->kind, static_cast<uint8_t>(LAP_IMPL_KIND_MARK), __ATOMIC_RELAXED);
        if (state) {
            LAP_I_OBJECT_MARK(text);
            lap_impl_mark_cold(text.site, 0, text.words);
        }
#else
        (void)text;
#endif
    }
    /* Ends it before its block does. */
    LAP_I_METHOD void end()
    {
#ifndef LAPMARK_DISABLE
        lap_impl_end(&scope_);
        scope_.mode = LAP_IMPL_SCOPE_NONE;
        LAP_I_OBJECT_END(&scope_);
#endif
    }
    uint64_t elapsed_ns() const
    {
#ifndef LAPMARK_DISABLE
        return lap_impl_elapsed_ns();
#else
        return 0;
#endif
    }

  private:
    [[maybe_unused]] struct lap_impl_scope scope_ = {0, 0, 0, 0};
};

} // namespace lapmark

#ifndef LAPMARK_DISABLE
#define LAP_I_LABEL(c, flags, first, text, ...)                                                                          \
    __extension__({                                                                                                      \
        LAP_I_CHECK(__VA_ARGS__);                                                                                        \
        LAP_I_SITE(LAP_I_JOIN(lap_i_site_, c), LAP_IMPL_KIND_BEGIN_WITH, flags, __VA_ARGS__);                            \
        lapmark::label{&LAP_I_JOIN(lap_i_site_, c), {LAP_I_UNWRAP first LAP_I_WORDS(__VA_ARGS__) text}};                 \
    })
#define LAP_I_LABEL_C(c, ...) LAP_I_LABEL(c, __VA_ARGS__)
#define LAP_LABEL(...) LAP_I_LABEL_C(__COUNTER__, 0, LAP_I_NOTHING, 0, "" __VA_ARGS__)
#define LAP_LABEL_N(n, ...) LAP_I_LABEL_C(__COUNTER__, LAP_IMPL_SITE_N, LAP_I_SIZE(n), 0, "" __VA_ARGS__)
#define LAP_LABEL_TEXT(string)                                                                                           \
    LAP_I_LABEL_C(__COUNTER__, LAP_IMPL_SITE_TEXT, LAP_I_NOTHING, (uint64_t)(uintptr_t)(string), "")
#endif
#endif
#endif
