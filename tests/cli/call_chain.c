/* SPDX-License-Identifier: MIT
 *
 * call_chain MODE: three processes for test_calls_joined.py. `chain`: the first calls the second, which calls the third for each.
 * `mixed`: the first calls the second from two places. `many`: from ten. `relayed`: the second serves each request of the first, and
 * passes it on to the third, which does, too: there are two replies. `again`: each request is sent twice, and served twice.
 */
#include <lapmark.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 10 };
static const char *mode;

static int is_mode(const char *name) { return strcmp(mode, name) == 0; }

static void must(int is_good)
{
    if (!is_good)
        _exit(1);
}

/* One call, with its request's context, through a socket. */
static void ask(int fd, struct lap_call *call)
{
    char trailer[LAP_TRAILER_BYTES];
    for (int copies = is_mode("again") ? 2 : 1; copies > 0; copies--)
        must(write(fd, call->request, sizeof call->request) == (ssize_t)sizeof call->request);
    for (int parts = is_mode("again") || is_mode("relayed"); parts > 0; parts--)
        must(read(fd, trailer, sizeof trailer) == (ssize_t)sizeof trailer &&
             lap_call_part(call, trailer, sizeof trailer) == 0);
    must(read(fd, trailer, sizeof trailer) == (ssize_t)sizeof trailer &&
         lap_call_end(call, trailer, sizeof trailer) == 0);
}

/* Passes a request on as it is, and its reply back. */
static void relay(int above, int below, const char *request)
{
    char trailer[LAP_TRAILER_BYTES];
    must(write(below, request, LAP_TRAILER_BYTES) == LAP_TRAILER_BYTES &&
         read(below, trailer, sizeof trailer) == LAP_TRAILER_BYTES);
    must(write(above, trailer, sizeof trailer) == LAP_TRAILER_BYTES);
}

static void answer(int fd, struct lap_serve *serve)
{
    char trailer[LAP_TRAILER_BYTES];
    lap_serve_reply(serve, trailer);
    must(write(fd, trailer, sizeof trailer) == (ssize_t)sizeof trailer);
}

static int third(int above)
{
    char request[LAP_TRAILER_BYTES];
    while (read(above, request, sizeof request) == (ssize_t)sizeof request) {
        struct lap_serve serve;
        (void)lap_serve_begin(&serve, request, sizeof request, 0, "third's work");
        lap_mark(serve.handle, "done");
        answer(above, &serve);
        lap_end(serve.handle);
    }
    return 0;
}

static int second(int above, int below)
{
    char request[LAP_TRAILER_BYTES];
    while (read(above, request, sizeof request) == (ssize_t)sizeof request) {
        struct lap_serve serve;
        (void)lap_serve_begin(&serve, request, sizeof request, 0, "second's work");
        if (is_mode("relayed"))
            relay(above, below, request);
        if (is_mode("chain")) {
            struct lap_call call;
            lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = serve.handle, .parent = &serve.context), "ask the third");
            ask(below, &call);
            lap_mark(serve.handle, "the third has answered");
        }
        answer(above, &serve);
        lap_end(serve.handle);
    }
    return 0;
}

static void first_many(int below)
{
    for (int i = 0; i < CALLS; i++) {
        const char place[] = {(char)('a' + i), 0};
        struct lap_call call;
        LAP_PROFILE_TEXT(place);
        lap_call_begin(&call, "ask the second");
        ask(below, &call);
    }
}

static void first(int below)
{
    LAP_PROFILE("first");
    for (int i = 0; i < CALLS; i++) {
        struct lap_call call;
        if (is_mode("mixed") && i % 2 == 0)
            lap_call_begin(&call, "ask in another way");
        else
            lap_call_begin(&call, "ask the second");
        ask(below, &call);
        LAP_MARK("answered");
    }
}

int main(int argc, char **argv)
{
    int upper[2], lower[2];
    if (argc != 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, upper) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, lower) < 0)
        return 2;
    mode = argv[1];
    if (fork() == 0) {
        close(upper[0]);
        close(upper[1]);
        close(lower[0]);
        return third(lower[1]);
    }
    if (fork() == 0) {
        close(upper[0]);
        close(lower[1]);
        return second(upper[1], lower[0]);
    }
    close(upper[1]);
    close(lower[0]);
    close(lower[1]);
    if (is_mode("many"))
        first_many(upper[0]);
    else
        first(upper[0]);
    close(upper[0]);
    while (wait(NULL) > 0)
        continue;
    return 0;
}
