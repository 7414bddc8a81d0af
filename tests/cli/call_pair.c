/* SPDX-License-Identifier: MIT
 *
 * A client and a server with known delays, for test_calls.py. The server's clock is what the test wants it to be: the client
 * changes what stands in the reply's trailer.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THERE_MS = 2, QUEUE_MS = 3, BUSY_MS = 12, PARSE_MS = 2, BACK_MS = 4 };
enum { RECEIVED = 16, REPLIED = 24, DOMAIN = 32, KHZ = 44 }; /* places in a reply's trailer */

static const char *mode;

static void wait_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void serve(int fd)
{
    uint8_t request[LAP_TRAILER_BYTES], reply[LAP_REPLY_BYTES_MAX];
    while (read(fd, request, sizeof request) == (ssize_t)sizeof request) {
        struct lap_serve serve;
        const uint64_t arrived = lap_now();
        wait_ms(QUEUE_MS);
        lap_serve_begin(&serve, request, sizeof request, arrived, "serve");
        for (const double end = now_ms() + BUSY_MS - PARSE_MS; now_ms() < end;)
            continue;
        lap_mark(serve.handle, "look up %d", 1);
        for (const double end = now_ms() + PARSE_MS; now_ms() < end;)
            continue;
        lap_mark(serve.handle, "parse");
        const size_t bytes = lap_serve_reply_notes(&serve, reply, sizeof reply);
        wait_ms(BACK_MS);
        if (write(fd, reply, bytes) != (ssize_t)bytes)
            break;
        lap_end(serve.handle);
    }
}

static void add_to(uint8_t *place, uint64_t ticks)
{
    uint64_t value;
    memcpy(&value, place, sizeof value);
    value += ticks;
    memcpy(place, &value, sizeof value);
}

static void tamper(uint8_t reply[LAP_TRAILER_BYTES], int number, int count)
{
    uint32_t khz;
    memcpy(&khz, reply + KHZ, sizeof khz);
    uint64_t ahead_s = 0;
    if (strcmp(mode, "refused") == 0 && number % 4 == 0)
        reply[8] ^= 1; /* another call's */
    if (strcmp(mode, "refused") == 0 && number % 4 == 1)
        reply[0] ^= 1; /* none */
    if (strcmp(mode, "ahead") == 0 || strcmp(mode, "contradicted") == 0)
        ahead_s = 1;
    if (strcmp(mode, "step") == 0)
        ahead_s = number < count / 2 ? 1 : 4;
    if (strcmp(mode, "ahead") == 0 || strcmp(mode, "step") == 0)
        reply[DOMAIN] ^= 2;
    add_to(reply + RECEIVED, ahead_s * khz * 1000);
    add_to(reply + REPLIED, ahead_s * khz * 1000);
}

static void call_one(int fd, int number, int count)
{
    struct lap_call call;
    uint8_t reply[LAP_REPLY_BYTES_MAX];
    if (strcmp(mode, "kinds") == 0 && number % 2 == 1)
        lap_call_begin(&call, "put item");
    else
        lap_call_begin(&call, "get items");
    wait_ms(strcmp(mode, "slow_wire") == 0 ? 20 * THERE_MS : THERE_MS);
    const ssize_t bytes = write(fd, call.request, sizeof call.request) < 0 ? -1 : read(fd, reply, sizeof reply);
    if (bytes < LAP_TRAILER_BYTES)
        exit(3);
    tamper(reply, number, count);
    const int is_silent = strcmp(mode, "silent") == 0 ? number % 4 == 0 : strcmp(mode, "all_silent") == 0;
    lap_call_end(&call, is_silent ? NULL : reply, (uint64_t)bytes);
    LAP_MARK("got the reply");
}

/* All under way before the first reply is taken: of the replies one is another call's, one is left unread; and one call gets none. */
static void call_at_once(int fd, int count)
{
    enum { MOST = 16, REFUSED = 2, SILENT = 3 };
    struct lap_call calls[MOST], told;
    uint8_t reply[LAP_REPLY_BYTES_MAX];
    for (int i = 0; i < count && i < MOST; i++) {
        if (i % 2 == 1)
            lap_call_begin(&calls[i], "put item");
        else
            lap_call_begin(&calls[i], "get items");
        if (write(fd, calls[i].request, sizeof calls[i].request) < 0)
            exit(3);
    }
    lap_call_begin(&told, "tell \"café\"");
    lap_call_sent(&told);
    for (int i = 0; i < count && i < MOST; i++) {
        const ssize_t bytes = read(fd, reply, sizeof reply);
        if (bytes < LAP_TRAILER_BYTES)
            exit(3);
        reply[8] ^= i == REFUSED;
        lap_call_end(&calls[i], i == SILENT ? NULL : reply, (uint64_t)bytes);
        LAP_MARK("got the reply");
    }
}

/* Calls that nobody gets, as fast as it goes. */
static void call_nobody(int count)
{
    LAP_PROFILE("client");
    for (int i = 0; i < count; i++) {
        struct lap_call call;
        lap_call_begin(&call, "get items");
        lap_call_end(&call, NULL, 0);
    }
}

/* call_pair MODE COUNT; with SERVER_RECORD set the server records there. */
int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        serve(atoi(argv[2]));
        return 0;
    }
    if (argc != 3)
        return 2;
    mode = argv[1];
    const int count = atoi(argv[2]);
    if (strcmp(mode, "nobody") == 0) {
        call_nobody(count);
        return 0;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
        return 3;
    const pid_t child = fork();
    if (child == 0) {
        char number[16];
        close(pair[0]);
        snprintf(number, sizeof number, "%d", pair[1]);
        if (getenv("SERVER_RECORD"))
            setenv("LAPMARK_RECORD", getenv("SERVER_RECORD"), 1);
        if (strcmp(mode, "untold") == 0)
            unsetenv("LAPMARK_SHARE");
        execl("/proc/self/exe", argv[0], "serve", number, (char *)NULL);
        _exit(3);
    }
    close(pair[1]);
    {
        LAP_PROFILE("client");
        if (strcmp(mode, "at_once") == 0)
            call_at_once(pair[0], count);
        for (int i = 0; i < count && strcmp(mode, "at_once") != 0; i++)
            call_one(pair[0], i, count);
    }
    close(pair[0]);
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 3;
}
