/* SPDX-License-Identifier: MIT
 *
 * call_chain MODE: three processes for test_calls_joined.py. `chain`: the first calls the second, which calls the third for each.
 * `mixed`: the first calls the second from two places. `many`: from ten.
 */
#include <lapmark.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 10 };
static const char *mode;

/* One call, with its request's context, through a socket. */
static void ask(int fd, struct lap_call *call)
{
    char trailer[LAP_TRAILER_BYTES];
    if (write(fd, call->request, sizeof call->request) == (ssize_t)sizeof call->request && read(fd, trailer, sizeof trailer) > 0)
        (void)lap_call_end(call, trailer, sizeof trailer);
}

static void answer(int fd, struct lap_serve *serve)
{
    char trailer[LAP_TRAILER_BYTES];
    lap_serve_reply(serve, trailer);
    if (write(fd, trailer, sizeof trailer) != (ssize_t)sizeof trailer)
        _exit(1);
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
        if (strcmp(mode, "chain") == 0) {
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
        if (strcmp(mode, "mixed") == 0 && i % 2 == 0)
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
    if (strcmp(mode, "many") == 0)
        first_many(upper[0]);
    else
        first(upper[0]);
    close(upper[0]);
    while (wait(NULL) > 0)
        continue;
    return 0;
}
