/* SPDX-License-Identifier: MIT
 *
 * Every kind of site, for test_usdt.py to look at and to attach to; C, and as C++ with its class. A label is in one line alone.
 */
#include <lapmark.h>
#include <setjmp.h>
#include <stdio.h>

#ifdef __cplusplus
#define SIZED(size) lapmark::options().n(size).get()
#else
#define SIZED(size) LAP_OPTS(.n = (size))
#endif

extern int in_library(int number);

/* One place in the source that is in two in the program. */
static inline __attribute__((always_inline)) int inlined(int number)
{
    LAP_MARK("inlined");
    return number + 1;
}

static __attribute__((noinline)) int blocks(int number, const char *text)
{
    LAP_PROFILE("block of %d", number);
    LAP_MARK("plain");
    LAP_MARK("values %d %s", number + 1, text);
    LAP_MARK_N(number + 2, "sized %d", number + 3);
    LAP_MARK_TEXT(text);
    number = inlined(number);
    if (number == 0)
        return number;
    return inlined(number);
}

static __attribute__((noinline)) void options(const char *text)
{
    LAP_PROFILE_WITH(SIZED(7), "with options");
    LAP_PROFILE_TEXT(text);
    LAP_PROFILE_WITH(LAP_OPTS(.disabled = 1), "disabled");
    LAP_MARK("in a disabled one");
}

static __attribute__((noinline)) void handles(void)
{
    const lap_handle handle = lap_begin_with(SIZED(8), "handle of %d", 9);
    lap_mark(handle, "of a handle");
    lap_mark_n(handle, 10, "of a handle, sized");
    lap_end(handle);
    static volatile lap_handle none;
    lap_mark(none, "of none");
    lap_end(none);
}

static __attribute__((noinline)) void ends_early(void)
{
    LAP_PROFILE("ends early");
    LAP_END();
    LAP_MARK("behind its end");
}

static __attribute__((noinline)) void switched_off(void)
{
    LAP_PROFILE("off");
    LAP_MARK("off, too");
}

static __attribute__((noinline)) void jumps(jmp_buf *place)
{
    LAP_PROFILE("left by longjmp");
    longjmp(*place, 1);
}

#ifdef __cplusplus
struct object {
    int work(int number)
    {
        lapmark::profiler profiler(LAP_LABEL("object"), lapmark::options().n(11));
        profiler.mark(LAP_LABEL_N(number, "of an object"));
        profiler.end();
        return number;
    }
};

template <class T> __attribute__((noinline)) T templated(T value)
{
    LAP_MARK("templated");
    return value;
}

static __attribute__((noinline)) void throws(void)
{
    LAP_PROFILE("left by an exception");
    throw 1;
}
#endif

int main(int argc, char **argv)
{
    /* Met and switched off before anybody looks. */
    if (lap_set("-off,-off?*") != 0)
        return 1;
    switched_off();
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < (argc > 1 ? 2 : 1); i++) {
        blocks(i, argc > 1 ? argv[1] : "a text");
        options("a message");
        handles();
        ends_early();
        switched_off();
        jmp_buf place;
        if (setjmp(place) == 0)
            jumps(&place);
        in_library(i);
#ifdef __cplusplus
        struct object object;
        templated(object.work(12));
        templated(0.5);
        try {
            throws();
        } catch (int) {
            LAP_MARK("caught");
        }
#endif
    }
    return 0;
}
