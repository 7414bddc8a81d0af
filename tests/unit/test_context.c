/* SPDX-License-Identifier: MIT
 *
 * Trace contexts: their ids, in threads, handlers and forked children; their forms; the environment. Each text that is read ends
 * right before a page that nobody may read.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define IDS "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
#define BEHIND_BYTES 8192u

static const uint8_t example_trace[16] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                                          0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};
static const uint8_t example_span[8] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
static char *page_end; /* BEHIND_BYTES before it may be read, nothing from it on */
static int has_no_randomness;

/* The library's, too: the test is linked statically. */
ssize_t getrandom(void *buffer, size_t bytes, unsigned flags)
{
    return has_no_randomness ? (errno = EAGAIN, -1) : syscall(SYS_getrandom, buffer, bytes, flags);
}

static const char *at_page_end(const void *text, size_t bytes)
{
    assert_true(bytes <= BEHIND_BYTES);
    return bytes == 0 ? page_end : memcpy(page_end - bytes, text, bytes);
}

static int traceparent_read(struct lap_context *context, const char *text, size_t bytes)
{
    struct lap_context untouched;
    memset(&untouched, 0xa5, sizeof untouched);
    *context = untouched;
    const int error = lap_traceparent_read(context, at_page_end(text, bytes), bytes);
    assert_true(error == 0 || error == -EINVAL);
    assert_int_equal(memcmp(context, &untouched, sizeof untouched) == 0, error != 0);
    return error;
}

/* ---- traceparent ---------------------------------------------------------------------------------------------------- */

static void test_traceparent_examples(void **state)
{
    (void)state;
    struct lap_context context;
    char text[LAP_TRACEPARENT_BYTES];
    assert_int_equal(traceparent_read(&context, EXAMPLE, 55), 0);
    const struct lap_context known = context;
    assert_memory_equal(context.trace_id, example_trace, 16);
    assert_memory_equal(context.span_id, example_span, 8);
    assert_int_equal(context.flags, LAP_CONTEXT_SAMPLED);
    for (unsigned i = 0; i < sizeof context.reserved; i++)
        assert_int_equal(context.reserved[i], 0);
    assert_int_equal(lap_traceparent_write(text, &context), 55);
    assert_string_equal(text, EXAMPLE);
    /* Not sampled; level 2's flag. */
    static const char *const same[] = {"00-" IDS "-00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                       "00-" IDS "-02", "00-" IDS "-03"};
    for (unsigned i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(traceparent_read(&context, same[i], 55), 0);
        assert_int_equal(lap_traceparent_write(text, &context), 55);
        assert_string_equal(text, same[i]);
    }
    /* Flags that are not known are seen, and not sent. */
    assert_int_equal(traceparent_read(&context, "00-" IDS "-fd", 55), 0);
    assert_int_equal(context.flags, 0xfd);
    assert_int_equal(lap_traceparent_write(text, &context), 55);
    assert_string_equal(text, EXAMPLE);
    /* Later versions: the known flags, sent as version 00. */
    static const char *const later[] = {"cc-" IDS "-01", "cc-" IDS "-01-what-the-future-will-be-like", "01-" IDS "-fd",
                                        "fe-" IDS "-09-", "0f-" IDS "-01-\n"};
    for (unsigned i = 0; i < sizeof later / sizeof *later; i++) {
        assert_int_equal(traceparent_read(&context, later[i], strlen(later[i])), 0);
        assert_memory_equal(&context, &known, sizeof known);
    }
    char longest[BEHIND_BYTES];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "01-" IDS "-01-", 56);
    assert_int_equal(traceparent_read(&context, longest, sizeof longest), 0);
    assert_memory_equal(&context, &known, sizeof known);
    memcpy(longest, EXAMPLE "-", 56);
    assert_int_equal(traceparent_read(&context, longest, sizeof longest), -EINVAL);
}

static void test_traceparent_malformed(void **state)
{
    (void)state;
    static const char *const malformed[] = {"",
                                            "0",
                                            "00",
                                            "00-",
                                            "-",
                                            EXAMPLE " ",
                                            " " EXAMPLE,
                                            EXAMPLE "-",
                                            EXAMPLE "-x",
                                            EXAMPLE "\n",
                                            "ff-" IDS "-01",
                                            "ff-" IDS "-01-x",
                                            "FF-" IDS "-01",
                                            "0F-" IDS "-01",
                                            "cc-" IDS "-01.what",
                                            "cc-" IDS "-012",
                                            "cc-" IDS "-1",
                                            "cc" IDS "-01-",
                                            "00_" IDS "-01",
                                            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
                                            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                            "00-00000000000000000000000000000000-0000000000000000-01",
                                            "cc-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",
                                            "00-4bf92f3577b34da6a3ce929d0e0e47366-00f067aa0ba902b-01",
                                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-001",
                                            "000-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
                                            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
                                            "00-0x4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01"};
    struct lap_context context;
    for (unsigned i = 0; i < sizeof malformed / sizeof *malformed; i++)
        if (traceparent_read(&context, malformed[i], strlen(malformed[i])) == 0)
            fail_msg("'%s' is read", malformed[i]);
    for (size_t bytes = 0; bytes < 55; bytes++)
        assert_int_equal(traceparent_read(&context, EXAMPLE, bytes), -EINVAL);
    assert_int_equal(traceparent_read(&context, EXAMPLE, 56), -EINVAL); /* with its 0 */
    assert_int_equal(lap_traceparent_read(&context, NULL, 0), -EINVAL);
    /* Each byte in each place. */
    for (unsigned place = 0; place < 55; place++)
        for (int byte = 0; byte < 256; byte++) {
            char text[55];
            memcpy(text, EXAMPLE, 55);
            text[place] = (char)byte;
            const int is_sound = place == 2 || place == 35 || place == 52
                                     ? byte == '-'
                                     : (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
            assert_int_equal(traceparent_read(&context, text, 55) == 0, is_sound);
        }
}

static void test_traceparent_invalid_is_not_written(void **state)
{
    (void)state;
    char text[LAP_TRACEPARENT_BYTES] = "x";
    uint8_t data[LAP_GRPC_TRACE_BIN_BYTES] = {0xee};
    struct lap_context context = {.flags = 1};
    assert_int_equal(lap_traceparent_write(text, &context), 0);
    assert_string_equal(text, "");
    assert_int_equal(lap_grpc_trace_bin_write(data, &context), 0);
    assert_int_equal(data[0], 0xee);
    assert_int_equal(lap_traceparent_write(text, NULL), 0);
    assert_false(lap_context_is_valid(NULL));
    context.trace_id[15] = 1;
    assert_false(lap_context_is_valid(&context));
    assert_int_equal(lap_traceparent_write(text, &context), 0);
    context.span_id[7] = 1;
    assert_true(lap_context_is_valid(&context));
    assert_int_equal(lap_traceparent_write(text, &context), 55);
    assert_string_equal(text, "00-00000000000000000000000000000001-0000000000000001-01");
    context.trace_id[15] = 0;
    assert_false(lap_context_is_valid(&context));
    context.trace_id[0] = 0x80;
    assert_true(lap_context_is_valid(&context));
}

static void test_round_trips(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct lap_context made = lap_context_new(), found;
        made.flags = (uint8_t)(i & 3);
        char text[LAP_TRACEPARENT_BYTES];
        uint8_t data[LAP_GRPC_TRACE_BIN_BYTES];
        assert_int_equal(lap_traceparent_write(text, &made), 55);
        assert_int_equal(traceparent_read(&found, text, 55), 0);
        assert_memory_equal(&found, &made, sizeof made);
        assert_int_equal(lap_grpc_trace_bin_write(data, &made), 29);
        memset(&found, 0, sizeof found);
        assert_int_equal(lap_grpc_trace_bin_read(&found, at_page_end(data, 29), 29), 0);
        assert_memory_equal(&found, &made, sizeof made);
    }
}

/* ---- grpc-trace-bin ------------------------------------------------------------------------------------------------- */

static void test_grpc_trace_bin(void **state)
{
    (void)state;
    /* The specification's example. */
    static const uint8_t example[29] = {0,  0,  75, 249, 47, 53,  119, 179, 77, 166, 163, 206, 146, 157, 0,
                                        14, 71, 54, 1,   52, 240, 103, 170, 11, 169, 2,   183, 2,   1};
    struct lap_context context, untouched;
    char text[LAP_TRACEPARENT_BYTES];
    assert_int_equal(lap_grpc_trace_bin_read(&context, at_page_end(example, 29), 29), 0);
    assert_int_equal(lap_traceparent_write(text, &context), 55);
    assert_string_equal(text, "00-4bf92f3577b34da6a3ce929d000e4736-34f067aa0ba902b7-01");
    uint8_t data[30];
    memset(data, 0xee, sizeof data);
    assert_int_equal(lap_grpc_trace_bin_write(data, &context), 29);
    assert_memory_equal(data, example, 29);
    assert_int_equal(data[29], 0xee);
    context.flags = 0xff;
    lap_grpc_trace_bin_write(data, &context);
    assert_int_equal(data[28], LAP_CONTEXT_SAMPLED | LAP_CONTEXT_RANDOM);

    memset(&untouched, 0xa5, sizeof untouched);
    context = untouched;
    memcpy(data, example, 29);
    for (size_t bytes = 0; bytes <= 30; bytes++)
        if (bytes != 29)
            assert_int_equal(lap_grpc_trace_bin_read(&context, at_page_end(data, bytes), bytes), -EINVAL);
    assert_int_equal(lap_grpc_trace_bin_read(&context, NULL, 0), -EINVAL);
    static const uint8_t fixed[] = {0, 1, 18, 27};
    for (unsigned i = 0; i < sizeof fixed; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(data, example, 29);
            data[fixed[i]] = (uint8_t)byte;
            if (byte != example[fixed[i]])
                assert_int_equal(lap_grpc_trace_bin_read(&context, at_page_end(data, 29), 29), -EINVAL);
        }
    memcpy(data, example, 29);
    memset(data + 2, 0, 16);
    assert_int_equal(lap_grpc_trace_bin_read(&context, at_page_end(data, 29), 29), -EINVAL);
    memcpy(data, example, 29);
    memset(data + 19, 0, 8);
    assert_int_equal(lap_grpc_trace_bin_read(&context, at_page_end(data, 29), 29), -EINVAL);
    assert_memory_equal(&context, &untouched, sizeof context);
}

/* ---- tracestate ----------------------------------------------------------------------------------------------------- */

static int is_sound(const char *text, size_t bytes) { return lap_tracestate_is_sound(at_page_end(text, bytes), bytes); }

/* `count` members of two letters each: aa=1,ab=1... */
static size_t make_members(char *out, unsigned count)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += (size_t)sprintf(out + bytes, "%s%c%c=1", i ? "," : "", 'a' + (int)i / 26, 'a' + (int)i % 26);
    return bytes;
}

static void test_tracestate(void **state)
{
    (void)state;
    static const char *const sound[] = {"",
                                        " ",
                                        ",",
                                        " , ,\t",
                                        "congo=t61rcWkgMzE",
                                        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                                        "vendorname1=opaqueValue1,vendorname2=opaqueValue2",
                                        "a=1",
                                        "0=1",
                                        "1a-_*/@z=1",
                                        "fw529a3039@dt=FfAb~!#$%&'()*+-./:;<>?@[]^_`{|}",
                                        "a= 1",
                                        "a=1 ",
                                        " a=1",
                                        "\ta=1 \t,\t b=2\t",
                                        "a=1,,b=2",
                                        "a=1,",
                                        ",a=1",
                                        "a=x y",
                                        "a=a,b=a",
                                        "ab=1,a=1",
                                        "a=1,ab=1",
                                        "a=1;b",
                                        "a=\"\\\""};
    static const char *const unsound[] = {
        "a",     "=",     "a=",      "a= ",     "=1",          "a=,b=1",     "A=1",        "aB=1",  "_a=1",
        "-a=1",  "@a=1",  "a =1",    "a b=1",   "a.b=1",       "aB1",        "a+1",        "a b",   "a+=1",
        "a=1=2", "a==",   "a=\x7f",  "a=\x1f",  "a=\xc3\xa4",  "\xc3\xa4=1", "a=1\tx",     "a=1\n", "a=1\r\n",
        "\na=1", "a=1,b", "a=1,a=1", "a=1,a=2", "a=1,b=1,a=2", "a=1, a=2",   "a=1,b=2,=3", "a=b=c"};
    for (unsigned i = 0; i < sizeof sound / sizeof *sound; i++)
        if (is_sound(sound[i], strlen(sound[i])) != 1)
            fail_msg("'%s' is refused", sound[i]);
    for (unsigned i = 0; i < sizeof unsound / sizeof *unsound; i++)
        if (is_sound(unsound[i], strlen(unsound[i])) != 0)
            fail_msg("'%s' is taken", unsound[i]);
    assert_int_equal(lap_tracestate_is_sound(NULL, 0), 1);
    assert_int_equal(is_sound("a=1\0", 4), 0);
    assert_int_equal(is_sound("\0=1", 3), 0);
    assert_int_equal(is_sound("a\0=1", 4), 0);
    assert_int_equal(is_sound("a=1,b=\0", 7), 0);

    char text[1024];
    assert_int_equal(is_sound(text, make_members(text, 32)), 1);
    assert_int_equal(is_sound(text, make_members(text, 33)), 0);
    memset(text, ',', 31); /* 32 empty ones */
    assert_int_equal(is_sound(text, 31), 1);
    text[31] = ',';
    assert_int_equal(is_sound(text, 32), 0);
    memset(text, 'k', 256);
    memcpy(text + 256, "=v", 2);
    assert_int_equal(is_sound(text, 258), 1);
    memset(text, 'k', 257);
    memcpy(text + 257, "=v", 2);
    assert_int_equal(is_sound(text, 259), 0);
    memcpy(text, "k=", 2);
    memset(text + 2, 'v', 300);
    assert_int_equal(is_sound(text, 258), 1);
    assert_int_equal(is_sound(text, 259), 0);
    memset(text, ' ', sizeof text);
    assert_int_equal(is_sound(text, 512), 1);
    assert_int_equal(is_sound(text, 513), 0);
    assert_int_equal(lap_tracestate_is_sound(page_end, UINT64_MAX), 0);
    assert_int_equal(lap_tracestate_is_sound(page_end, (UINT64_C(1) << 32) + 1), 0);
}

/* ---- environment ---------------------------------------------------------------------------------------------------- */

static void expect_environment(char *const *environment, const struct lap_context *context, const char *tracestate,
                               const char *const *expected)
{
    char **const made = lap_context_environment(environment, context, tracestate);
    assert_non_null(made);
    unsigned i = 0;
    for (; expected[i]; i++) {
        assert_non_null(made[i]);
        assert_string_equal(made[i], expected[i]);
    }
    assert_null(made[i]);
    free(made);
}
#define EXPECT_ENVIRONMENT(environment, context, tracestate, ...)                                                        \
    expect_environment(environment, context, tracestate, (const char *const[]){__VA_ARGS__})

static void test_environment_for_a_child(void **state)
{
    (void)state;
    struct lap_context context, none = {.flags = 0};
    assert_int_equal(lap_traceparent_read(&context, EXAMPLE, 55), 0);
    char a[] = "A=1", b[] = "B=", c[] = "TRACEPARENTS=x", d[] = "no equals sign", empty[] = "";
    char parent[] = "TRACEPARENT=old", states[] = "TRACESTATE=old", again[] = "TRACEPARENT=again", bare[] = "TRACEPARENT";
    const char *const ours = "TRACEPARENT=" EXAMPLE;
    EXPECT_ENVIRONMENT(NULL, &context, NULL, ours, NULL);
    EXPECT_ENVIRONMENT(NULL, &context, "a=b,c=d", ours, "TRACESTATE=a=b,c=d", NULL);
    EXPECT_ENVIRONMENT(NULL, &none, "a=b", NULL);
    EXPECT_ENVIRONMENT(NULL, NULL, NULL, NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, b, c, d, empty, bare, NULL}), &context, "a=b", a, b, c, d, empty, bare, ours,
                       "TRACESTATE=a=b", NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, parent, b, states, c, NULL}), &context, "a=b", a, ours, b, "TRACESTATE=a=b", c,
                       NULL);
    EXPECT_ENVIRONMENT(((char *[]){states, a, parent, NULL}), &context, "a=b", "TRACESTATE=a=b", a, ours, NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, parent, b, states, c, NULL}), &context, NULL, a, ours, b, c, NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, parent, b, states, c, NULL}), &context, "", a, ours, b, c, NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, parent, b, states, c, NULL}), &none, "a=b", a, b, c, NULL);
    EXPECT_ENVIRONMENT(((char *[]){a, parent, b, again, states, states, NULL}), &context, "a=b", a, ours, b,
                       "TRACESTATE=a=b", NULL);
    char long_state[5000];
    memset(long_state, 'x', sizeof long_state - 1);
    long_state[sizeof long_state - 1] = 0;
    char **const made = lap_context_environment((char *[]){a, NULL}, &context, long_state);
    assert_string_equal(made[2] + 11, long_state);
    assert_null(made[3]);
    a[2] = '2'; /* it is a copy */
    assert_string_equal(made[0], "A=1");
    free(made);
}

static void test_environment(void **state)
{
    (void)state;
    struct lap_context context, untouched;
    const char *tracestate = "untouched";
    memset(&untouched, 0xa5, sizeof untouched);
    context = untouched;
    unsetenv("TRACEPARENT");
    setenv("TRACESTATE", "a=b", 1);
    assert_int_equal(lap_context_from_environment(&context, &tracestate), -ENOENT);
    setenv("TRACEPARENT", "", 1);
    assert_int_equal(lap_context_from_environment(&context, &tracestate), -EINVAL);
    setenv("TRACEPARENT", EXAMPLE "x", 1);
    assert_int_equal(lap_context_from_environment(&context, &tracestate), -EINVAL);
    assert_memory_equal(&context, &untouched, sizeof context);
    assert_string_equal(tracestate, "untouched");
    setenv("TRACEPARENT", EXAMPLE, 1);
    assert_int_equal(lap_context_from_environment(&context, &tracestate), 0);
    assert_memory_equal(context.trace_id, example_trace, 16);
    assert_string_equal(tracestate, "a=b");
    assert_ptr_equal(tracestate, getenv("TRACESTATE"));
    unsetenv("TRACESTATE");
    assert_int_equal(lap_context_from_environment(&context, &tracestate), 0);
    assert_null(tracestate);
    assert_int_equal(lap_context_from_environment(&context, NULL), 0);

    /* A child gets another one; ours stays as it is. */
    setenv("TRACESTATE", "ours", 1);
    char **const before = environ;
    const struct lap_context child = lap_context_child(context);
    char **const made = lap_context_environment(environ, &child, "b=c");
    assert_ptr_equal(environ, before);
    assert_string_equal(getenv("TRACEPARENT"), EXAMPLE);
    assert_string_equal(getenv("TRACESTATE"), "ours");
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], 1);
        execve(
            "/bin/sh",
            (char *[]){(char[]){"sh"}, (char[]){"-c"}, (char[]){"printf '%s %s' \"$TRACEPARENT\" \"$TRACESTATE\""}, NULL},
            made);
        _exit(127);
    }
    free(made);
    close(pipe_fds[1]);
    char text[128] = "", expected[128], traceparent[LAP_TRACEPARENT_BYTES];
    assert_true(read(pipe_fds[0], text, sizeof text - 1) > 0);
    close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    lap_traceparent_write(traceparent, &child);
    snprintf(expected, sizeof expected, "%s b=c", traceparent);
    assert_string_equal(text, expected);
    assert_memory_equal(text + 3, &EXAMPLE[3], 32);
    assert_memory_not_equal(text + 36, &EXAMPLE[36], 16);
}

/* ---- ids ------------------------------------------------------------------------------------------------------------ */

static int compare_spans(const void *one, const void *other)
{
    return memcmp(((const struct lap_context *)one)->span_id, ((const struct lap_context *)other)->span_id, 8);
}

static int compare_traces(const void *one, const void *other)
{
    return memcmp(((const struct lap_context *)one)->trace_id, ((const struct lap_context *)other)->trace_id, 16);
}

/* Each is valid, and no two have one id. Sorts them. */
static void expect_distinct(struct lap_context *contexts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(lap_context_is_valid(&contexts[i]));
    qsort(contexts, count, sizeof *contexts, compare_traces);
    for (size_t i = 1; i < count; i++)
        assert_int_not_equal(compare_traces(&contexts[i - 1], &contexts[i]), 0);
    qsort(contexts, count, sizeof *contexts, compare_spans);
    for (size_t i = 1; i < count; i++)
        assert_int_not_equal(compare_spans(&contexts[i - 1], &contexts[i]), 0);
}

static void test_new_and_child(void **state)
{
    (void)state;
    struct lap_context parent = lap_context_new();
    static const uint8_t zeros[7];
    assert_true(lap_context_is_valid(&parent));
    assert_int_equal(parent.flags, LAP_CONTEXT_RANDOM);
    assert_memory_equal(parent.reserved, zeros, 7);
    parent.flags = LAP_CONTEXT_SAMPLED;
    const struct lap_context child = lap_context_child(parent);
    assert_memory_equal(child.trace_id, parent.trace_id, 16);
    assert_memory_not_equal(child.span_id, parent.span_id, 8);
    assert_int_equal(child.flags, LAP_CONTEXT_SAMPLED);
    assert_memory_equal(child.reserved, zeros, 7);
    assert_memory_not_equal(parent.span_id, parent.trace_id, 8);
    assert_memory_not_equal(parent.span_id, parent.trace_id + 8, 8);
    struct lap_context children[1000];
    for (unsigned i = 0; i < 1000; i++)
        children[i] = lap_context_child(parent);
    qsort(children, 1000, sizeof *children, compare_spans);
    for (unsigned i = 1; i < 1000; i++)
        assert_true(compare_spans(&children[i - 1], &children[i]) < 0);
    struct lap_context orphans[3] = {child, {.flags = 1}, {.span_id = {1}}};
    memset(orphans[0].span_id, 0, 8);
    for (unsigned i = 0; i < 3; i++) {
        const struct lap_context made = lap_context_child(orphans[i]);
        assert_true(lap_context_is_valid(&made));
        assert_int_equal(made.flags, LAP_CONTEXT_RANDOM);
        assert_memory_not_equal(made.trace_id, parent.trace_id, 16);
    }
}

#define EACH 25000u

static void *make_each(void *contexts)
{
    for (unsigned i = 0; i < EACH; i++)
        ((struct lap_context *)contexts)[i] = lap_context_new();
    return NULL;
}

static void test_distinct_and_random(void **state)
{
    (void)state;
    struct lap_context *const contexts = calloc(5 * EACH, sizeof *contexts);
    assert_non_null(contexts);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_each, contexts + i * EACH), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(pthread_create(&threads[0], NULL, make_each, contexts + 4 * EACH),
                     0); /* has the block of one before */
    pthread_join(threads[0], NULL);
    /* Each bit is set in half of them, within 6 standard deviations, and unlike its neighbour's in half of them. */
    for (unsigned bit = 0; bit < 192; bit++) {
        unsigned set = 0, unlike = 0;
        for (unsigned i = 0; i < 5 * EACH; i++) {
            const uint8_t *const bytes = contexts[i].trace_id;
            const unsigned one = bytes[bit / 8] >> bit % 8 & 1,
                           other = bytes[(bit + 1) % 192 / 8] >> (bit + 1) % 192 % 8 & 1;
            set += one;
            unlike += one ^ other;
        }
        assert_in_range(set, 62500 - 1061, 62500 + 1061);
        assert_in_range(unlike, 62500 - 1061, 62500 + 1061);
    }
    expect_distinct(contexts, 5 * EACH);
    free(contexts);
}

static pid_t fork_raw(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

#define FORKED 64u

/* Fills [0] with the thread's context and the rest with new ones, as a child does. */
static void child_fill(struct lap_context *contexts)
{
    contexts[0] = lap_context_current();
    errno = EDOM;
    for (unsigned i = 1; i <= FORKED; i++)
        contexts[i] = lap_context_new();
    if (errno != EDOM)
        _exit(2);
}

static void expect_exit(pid_t pid)
{
    int status;
    assert_true(waitpid(pid, &status, 0) > 0);
    assert_int_equal(status, 0);
}

/* Contexts of a process, before and behind its forks, of two children that began with the same, and of a grandchild are all
 * different; the children have the thread's context. */
static void expect_other_ids(pid_t (*fork_somehow)(void))
{
    enum { PARTS = 5, PART = FORKED + 1 };
    const size_t bytes = PARTS * PART * sizeof(struct lap_context);
    struct lap_context *const contexts = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(contexts, MAP_FAILED);
    const struct lap_context ours = lap_context_new();
    lap_context_set(ours);
    child_fill(contexts);
    for (unsigned child = 1; child <= 2; child++) {
        const pid_t pid = fork_somehow();
        if (pid == 0) {
            child_fill(contexts + child * PART);
            if (child == 1)
                _exit(0);
            const pid_t grandchild = fork_somehow();
            if (grandchild == 0) {
                child_fill(contexts + 3 * PART);
                _exit(0);
            }
            int status;
            _exit(waitpid(grandchild, &status, 0) != grandchild || status != 0);
        }
        expect_exit(pid);
    }
    child_fill(contexts + 4 * PART);
    lap_context_set((struct lap_context){.flags = 0});
    for (unsigned part = 0; part < PARTS; part++) {
        assert_memory_equal(&contexts[part * PART], &ours, sizeof ours);
        if (part != 0)
            contexts[part * PART] = lap_context_new();
    }
    expect_distinct(contexts, PARTS * PART);
    munmap(contexts, bytes);
}

static void test_forked(void **state)
{
    (void)state;
    expect_other_ids(fork);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    expect_other_ids(_Fork);
#endif
    expect_other_ids(fork_raw);
}

static void test_without_randomness(void **state)
{
    (void)state;
    has_no_randomness = 1;
    expect_other_ids(fork);
    expect_other_ids(fork_raw);
    has_no_randomness = 0;
}

static volatile int is_forked;

static void handle_fork(int number)
{
    (void)number;
    is_forked = fork_raw() == 0;
}

/* The child of a handler that forked returns into the middle of the making of an id. Only that one may be its parent's, too. */
static void test_forked_in_a_handler(void **state)
{
    (void)state;
    enum { CHILDREN = 200, AFTER = 4 };
    const size_t bytes = 2 * CHILDREN * AFTER * sizeof(struct lap_context);
    struct lap_context *const contexts = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(contexts, MAP_FAILED);
    const struct sigaction action = {.sa_handler = handle_fork};
    struct sigaction old;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    const struct itimerval soon = {{0, 0}, {0, 30}};
    for (unsigned child = 0; child < CHILDREN; child++) {
        is_forked = -1;
        struct lap_context made;
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        do
            made = lap_context_new();
        while (is_forked == -1);
        struct lap_context *const own = contexts + (2 * child + (unsigned)is_forked) * AFTER;
        for (unsigned i = 0; i < AFTER; i++)
            own[i] = lap_context_new();
        if (is_forked)
            _exit(!lap_context_is_valid(&made));
        expect_exit(-1);
    }
    sigaction(SIGALRM, &old, NULL);
    expect_distinct(contexts, 2 * CHILDREN * AFTER);
    munmap(contexts, bytes);
}

/* ---- the thread's context ------------------------------------------------------------------------------------------- */

static void *look_and_set(void *argument)
{
    const struct lap_context found = lap_context_current(), before = lap_context_set(lap_context_new()),
                             now = lap_context_current();
    *(int *)argument = lap_context_is_valid(&found) + lap_context_is_valid(&before) + !lap_context_is_valid(&now);
    return NULL;
}

static void test_current(void **state)
{
    (void)state;
    const struct lap_context none = {.flags = 0}, one = lap_context_new(), two = lap_context_child(one);
    struct lap_context found = lap_context_current();
    assert_memory_equal(&found, &none, sizeof found);
    found = lap_context_set(one);
    assert_memory_equal(&found, &none, sizeof found);
    found = lap_context_set(two);
    assert_memory_equal(&found, &one, sizeof found);
    /* Neither is another thread's, nor that of one which has ended. */
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        int wrong = 1;
        assert_int_equal(pthread_create(&thread, NULL, look_and_set, &wrong), 0);
        pthread_join(thread, NULL);
        assert_int_equal(wrong, 0);
    }
    found = lap_context_current();
    assert_memory_equal(&found, &two, sizeof found);
    found = lap_context_set(none);
    assert_memory_equal(&found, &two, sizeof found);
    found = lap_context_current();
    assert_memory_equal(&found, &none, sizeof found);
}

static unsigned long mapped_pages(void)
{
    unsigned long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages;
}

/* What a thread has goes to a later one: 31 of them share a page. */
static void test_threads_come_and_go(void **state)
{
    (void)state;
    const char *const sanitizers = getenv("SANITIZE");
    if (sanitizers && *sanitizers)
        skip(); /* their runtime maps memory for threads, too */
    unsigned long pages = 0;
    for (unsigned i = 0; i < 5000; i++) {
        if (i == 500)
            pages = mapped_pages();
        pthread_t thread;
        int wrong;
        assert_int_equal(pthread_create(&thread, NULL, look_and_set, &wrong), 0);
        pthread_join(thread, NULL);
    }
    assert_true(mapped_pages() < pages + 70);
}

#define HANDLED_MAX 20000u
static struct lap_context handled[HANDLED_MAX];
static volatile unsigned handled_count;
static volatile int handled_wrong;

/* All bytes of what the test sets are the same: a torn one is seen. */
static void handle(int number)
{
    (void)number;
    const struct lap_context found = lap_context_current();
    for (unsigned i = 1; i < sizeof found; i++)
        handled_wrong |= ((const uint8_t *)&found)[i] != found.trace_id[0];
    if (handled_count == HANDLED_MAX)
        return;
    handled[handled_count] = lap_context_new();
    const struct lap_context before = lap_context_set(handled[handled_count++]);
    handled_wrong |= memcmp(&before, &found, sizeof found) != 0;
    lap_context_set(before);
}

static void test_handlers(void **state)
{
    (void)state;
    enum { MADE = 1000000 };
    struct lap_context *const contexts = calloc(MADE + HANDLED_MAX, sizeof *contexts);
    assert_non_null(contexts);
    const struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct sigaction old;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    const struct itimerval often = {{0, 20}, {0, 20}}, never = {{0, 0}, {0, 0}};
    lap_context_set((struct lap_context){.flags = 0});
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    unsigned wrong = 0, made = 0;
    for (; made < MADE && (handled_count < 2000 || made < 100000); made++) {
        struct lap_context set, found;
        memset(&set, (int)(made & 255), sizeof set);
        lap_context_set(set);
        found = lap_context_current();
        wrong += memcmp(&found, &set, sizeof set) != 0;
        contexts[made] = lap_context_new();
        found = lap_context_set(set);
        wrong += memcmp(&found, &set, sizeof set) != 0;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    lap_context_set((struct lap_context){.flags = 0});
    print_message("%u signals, %u contexts\n", handled_count, made);
    assert_int_equal(wrong, 0);
    assert_false(handled_wrong);
    assert_true(handled_count > 10);
    memcpy(contexts + made, handled, handled_count * sizeof *handled);
    expect_distinct(contexts, made + handled_count);
    free(contexts);
}

int main(void)
{
    char *const pages = mmap(NULL, BEHIND_BYTES + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + BEHIND_BYTES, 65536, PROT_NONE) < 0)
        return 1;
    page_end = pages + BEHIND_BYTES;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent_examples),
        cmocka_unit_test(test_traceparent_malformed),
        cmocka_unit_test(test_traceparent_invalid_is_not_written),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_grpc_trace_bin),
        cmocka_unit_test(test_tracestate),
        cmocka_unit_test(test_environment_for_a_child),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_new_and_child),
        cmocka_unit_test(test_distinct_and_random),
        cmocka_unit_test(test_forked),
        cmocka_unit_test(test_without_randomness),
        cmocka_unit_test(test_forked_in_a_handler),
        cmocka_unit_test(test_current),
        cmocka_unit_test(test_threads_come_and_go),
        cmocka_unit_test(test_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
