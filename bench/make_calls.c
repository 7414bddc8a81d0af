/* SPDX-License-Identifier: MIT
 *
 * Makes recordings of calls for others to read. usage: make_calls SERVERS CLIENTS CALLS AT_ONCE
 * Each server has CLIENTS clients, all of them processes; each client makes CALLS calls, 32 at a time and of two kinds in turn. AT_ONCE
 * servers run at once.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 32, CLIENTS_MAX = 64 };
typedef uint8_t trailers[BATCH][LAP_TRAILER_BYTES];

static int client(int fd, unsigned calls)
{
    static struct lap_call open[BATCH];
    trailers messages;
    LAP_PROFILE("client");
    for (unsigned done = 0; done < calls;) {
        const unsigned count = calls - done < BATCH ? calls - done : BATCH;
        const size_t bytes = count * sizeof *messages;
        for (unsigned i = 0; i < count; i++) {
            if (i % 2 == 0)
                lap_call_begin(&open[i], "get item");
            else
                lap_call_begin(&open[i], "put item");
            memcpy(messages[i], open[i].request, sizeof messages[i]);
        }
        if (send(fd, messages, bytes, MSG_NOSIGNAL) != (ssize_t)bytes || recv(fd, messages, bytes, 0) != (ssize_t)bytes)
            return 1;
        for (unsigned i = 0; i < count; i++)
            if (lap_call_end(&open[i], messages[i], sizeof messages[i]) != 0)
                return 1;
        LAP_MARK("got items");
        done += count;
    }
    return 0;
}

/* Answers what one client asks. False: it asks no more. */
static int serve(int fd)
{
    trailers messages;
    const ssize_t bytes = recv(fd, messages, sizeof messages, 0);
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof *messages; i++) {
        struct lap_serve serve;
        (void)lap_serve_begin(&serve, messages[i], sizeof messages[i], 0, "serve item");
        lap_serve_reply(&serve, messages[i]);
        lap_end(serve.handle);
    }
    return bytes > 0 && send(fd, messages, (size_t)bytes, MSG_NOSIGNAL) == bytes;
}

static int server(struct pollfd *inputs, unsigned clients)
{
    for (unsigned left = clients; left > 0;) {
        poll(inputs, clients, -1);
        for (unsigned i = 0; i < clients; i++)
            if (inputs[i].revents != 0 && !serve(inputs[i].fd)) {
                close(inputs[i].fd);
                inputs[i].fd = -1;
                left--;
            }
    }
    return 0;
}

static pid_t must_fork(void)
{
    const pid_t child = fork();
    if (child < 0)
        abort();
    return child;
}

static void group_start(unsigned clients, unsigned calls)
{
    struct pollfd inputs[CLIENTS_MAX];
    for (unsigned i = 0; i < clients; i++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
            abort();
        inputs[i] = (struct pollfd){.fd = ends[1], .events = POLLIN};
        if (must_fork() == 0) {
            for (unsigned k = 0; k <= i; k++)
                close(inputs[k].fd);
            exit(client(ends[0], calls));
        }
        close(ends[0]);
    }
    if (must_fork() == 0)
        exit(server(inputs, clients));
    for (unsigned i = 0; i < clients; i++)
        close(inputs[i].fd);
}

int main(int argc, char **argv)
{
    unsigned numbers[4] = {0};
    for (int i = 1; i < argc && i <= 4; i++)
        numbers[i - 1] = (unsigned)strtoul(argv[i], NULL, 10);
    const unsigned servers = numbers[0], clients = numbers[1], calls = numbers[2], at_once = numbers[3];
    if (argc != 5 || servers == 0 || clients == 0 || clients > CLIENTS_MAX || calls == 0 || at_once == 0)
        return fprintf(stderr, "usage: make_calls SERVERS CLIENTS CALLS AT_ONCE\n"), 2;
    const unsigned group = clients + 1; /* processes */
    unsigned started = 0, ended = 0, failed = 0;
    while (ended < servers * group) {
        for (; started < servers && started * group - ended < at_once * group; started++)
            group_start(clients, calls);
        int status;
        if (wait(&status) < 0)
            return 1;
        failed += status != 0;
        ended++;
    }
    return failed != 0;
}
