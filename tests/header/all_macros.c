/* SPDX-License-Identifier: MIT
 *
 * Everything that a C program may write, compiled by each compiler in each language version, on and disabled, with all
 * warnings. With profilers disabled nothing becomes unused.
 */
#define _POSIX_C_SOURCE 200809L
#include <lapmark.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

extern int external(int value);
extern double measure(void);

enum colour { RED, GREEN };
struct pair {
    int first;
    unsigned second : 3;
};

void scopes(const char *name, size_t count)
{
    LAP_PROFILE("plain");
    LAP_PROFILE("with arguments: %s, %zu", name, count);
    LAP_MARK();
    LAP_MARK("literal");
    LAP_MARK("percent %%");
    LAP_MARK("%s", name);
    LAP_MARK("12: %d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    LAP_MARK_N(count, "sized");
    LAP_MARK_N(-1, "sized with %s", name);
    LAP_MARK_N(count, );
    LAP_MARK_TEXT(name);
    LAP_MARK_TEXT_N(count, name);
    LAP_END();
}

void options(bool is_quiet, lap_handle parent)
{
    LAP_PROFILE_WITH(LAP_OPTS(), "none");
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 5, .disabled = is_quiet), "some of %d", 1);
    LAP_PROFILE_WITH(LAP_OPTS(.n = 12, .immediate = true, .parent = parent, .threshold_ms = 0.5), "in any order");
    const struct lap_options made = LAP_OPTS(.n = 3);
    LAP_PROFILE_WITH(made, "made before");
}

void texts(const char *message)
{
    LAP_PROFILE_TEXT(message);
    LAP_PROFILE_TEXT_WITH(LAP_OPTS(.n = 2), message);
}

uint64_t handles(const char *name)
{
    const lap_handle plain = lap_begin("handle");
    const lap_handle with = lap_begin_with(LAP_OPTS(.parent = plain), "child of %s", name);
    lap_handle text = lap_begin_text(LAP_OPTS(.n = 1), name);
    uint64_t sum = lap_mark(plain, "m");
    sum += lap_mark(with, "m %d of %s", 1, name);
    sum += lap_mark_n(with, 5, "sized");
    sum += lap_mark_text(text, name);
    lap_mark(text, "result not used");
    sum += lap_elapsed_ns(plain);
    sum += lap_end(plain) + lap_end(with);
    lap_end(text);
    return sum + LAP_ELAPSED_NS();
}

/* Arguments of every type, with a conversion that fits. */
void types(void)
{
    char c = 'c';
    signed char sc = -1;
    unsigned char uc = 1;
    short s = -2;
    unsigned short us = 2;
    int i = -3;
    unsigned u = 3;
    long l = -4;
    unsigned long ul = 4;
    long long ll = -5;
    unsigned long long ull = 5;
    float f = 0.5f;
    double d = 0.25;
    long double ld = 0.125L;
    bool b = true;
    enum colour e = GREEN;
    struct pair p = {1, 2};
    char array[4] = "abc";
    const char *string = "def";
    const volatile int cvi = 6;
    int *pointer = &i;
    void (*function)(void) = types;
    LAP_MARK("%c %hhd %hhu %hd %hu %d %u", c, sc, uc, s, us, i, u);
    LAP_MARK("%ld %lu %lld %llu %f %g %Lf", l, ul, ll, ull, (double)f, d, ld);
    LAP_MARK("%d %d %d %u %s %s %d %p", b, (int)e, p.first, p.second, array, string, cvi, (void *)pointer);
    LAP_MARK("%zu %td %jd %jx", sizeof array, pointer - &i, (intmax_t)1, (uintmax_t)2);
    LAP_MARK("%.*f %*d %-5s|%+d|% d|%#x|%05d", 2, d, 5, i, string, i, i, u, i);
    LAP_MARK("%p", *(void **)&function);
}

/* Where a statement may stand, and what is nested in an argument. */
int control_flow(int value)
{
    if (value > 0)
        LAP_MARK("then");
    else
        LAP_MARK("otherwise");
    for (int i = 0; i < value; i++)
        LAP_MARK_N(i, "body");
    do
        LAP_MARK_TEXT("body");
    while (external(value));
    switch (value) {
    case 1: {
        LAP_PROFILE("in a case");
        break;
    }
    default: LAP_MARK("default");
    }
    LAP_MARK("nested %llu", (unsigned long long)lap_mark(lap_begin("inner %d", external(1)), "of it %d", external(2)));
    LAP_MARK("comma %d", (external(1), 2));
    {
        LAP_PROFILE("two on a line");
        LAP_PROFILE("the second");
        LAP_MARK("a");
        LAP_MARK("b");
    }
    return value;
}

static inline int inlined(int value)
{
    LAP_PROFILE("static inline");
    LAP_MARK("in it");
    return value;
}

static void sink(const char *text, uint64_t length_bytes, void *user)
{
    memcpy(user, text, length_bytes < 10 ? length_bytes : 10);
}

int functions(void *user)
{
    int error = lap_set("glob:5,-other");
    error |= lap_record_start("directory");
    error |= lap_record_stop();
    error |= lap_snapshot("directory", 500);
    lap_flush();
    lap_thread_name("name");
    lap_sink_fd(2);
    lap_sink_function(sink, user);
    return error == 0 && strlen(lap_error_text(error)) != 0 ? inlined(1) : LAPMARK_VERSION_MAJOR + LAPMARK_VERSION_MINOR;
}

int contexts(char *const *environment)
{
    struct lap_context context;
    const char *tracestate;
    char text[LAP_TRACEPARENT_BYTES];
    uint8_t data[LAP_GRPC_TRACE_BIN_BYTES];
    if (lap_context_from_environment(&context, &tracestate) != 0)
        context = lap_context_new();
    const struct lap_context before = lap_context_set(lap_context_child(context));
    int error = lap_traceparent_read(&context, text, lap_traceparent_write(text, &before));
    error |= lap_grpc_trace_bin_read(&context, data, lap_grpc_trace_bin_write(data, &context));
    char **const made = lap_context_environment(environment, &context, tracestate);
    context = lap_context_current();
    return error | lap_context_is_valid(&context) | lap_tracestate_is_sound("a=b", 3) | (made != NULL);
}

int calls(const void *trailer, uint64_t bytes, lap_handle handle, const char *peer)
{
    struct lap_call plain, with;
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_share(LAP_SHARE_DOMAIN | LAP_SHARE_LAPS);
    lap_accept(LAP_ACCEPT_SLOW);
    int error = lap_serve_begin(&serve, trailer, bytes, lap_now(), "serve");
    error |= lap_serve_begin(&serve, NULL, 0, 0, "serve %s, %d", peer, error);
    error |= lap_serve_begin_with(&serve, LAP_OPTS(.threshold_ms = 5), trailer, bytes, 0, "serve %d", error);
    if (error)
        lap_call_begin(&plain, "call");
    else
        lap_call_begin_with(&plain, LAP_CALL_OPTS(), "call");
    lap_call_wish(&plain, LAP_WISH_ON, 1.5);
    lap_call_begin_with(&with, LAP_CALL_OPTS(.handle = handle, .parent = &serve.context), "call with");
    const struct lap_call_options made = LAP_CALL_OPTS(.parent = &plain.context, .follows = &with.context);
    lap_call_begin_with(&with, made, "made before");
    error |= lap_serve_reply(&serve, reply) != LAP_TRAILER_BYTES;
    (void)lap_serve_reply(&serve, reply);
    error |= lap_serve_reply_notes(&serve, reply, sizeof reply) < LAP_TRAILER_BYTES;
    error |= lap_call_end(&plain, reply, sizeof reply);
    (void)lap_call_end(&with, NULL, 0);
    error |= lap_call_part(&with, reply, sizeof reply);
    error |= lap_call_sent(&with) | lap_serve_parent(&serve, &plain.context);
    const struct lap_context own = lap_handle_context(handle);
    lap_link(handle, &own);
    lap_link(0, &serve.context);
    lap_mark(serve.handle, "replied");
    lap_end(serve.handle);
    const struct lap_split *const split = &plain.split;
    return error | (split->flags & LAP_SPLIT_SERVER && split->server_ns + split->between_ns > split->total_ns);
}

/* Variables that only profilers look at. */
void otherwise_unused(const char *only_here)
{
    const int computed = external(3);
    const double measured = measure();
    const lap_handle handle = lap_begin("handle");
    const struct lap_options given = LAP_OPTS(.n = computed);
    LAP_PROFILE_WITH(given, "%s", only_here);
    LAP_MARK("%d %f", computed, measured);
    (void)lap_mark(handle, "m");
}
