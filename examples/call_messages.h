/* SPDX-License-Identifier: MIT
 *
 * What call_client, call_server and call_relay have in common: messages of one size over Unix sockets or TCP.
 */
#ifndef EXAMPLE_CALLS_H
#define EXAMPLE_CALLS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* This protocol has a field for a trailer in both directions. */
struct message {
    uint64_t item;
    uint8_t trailer[48];
};

static inline void must(int is_good, const char *what)
{
    if (is_good)
        return;
    perror(what);
    exit(1);
}

/* A Unix socket's path, or ADDRESS:PORT for TCP, in numbers. */
struct where {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in internet;
    } address;
    socklen_t bytes;
};

static inline struct where where_is(const char *text)
{
    struct where where = {.address.local = {.sun_family = AF_UNIX}, .bytes = sizeof where.address.local};
    const char *const colon = strrchr(text, ':');
    if (!colon) {
        must(strlen(text) < sizeof where.address.local.sun_path, text);
        strcpy(where.address.local.sun_path, text);
        return where;
    }
    char host[64] = "";
    memcpy(host, text, (size_t)(colon - text) < sizeof host ? (size_t)(colon - text) : sizeof host - 1);
    where.address.internet = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    must(inet_pton(AF_INET, host, &where.address.internet.sin_addr) == 1, text);
    where.bytes = sizeof where.address.internet;
    return where;
}

static inline int without_delay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* another kind of socket refuses it */
    return fd;
}

static inline int connect_to(const char *text)
{
    const struct where where = where_is(text);
    const int fd = socket(where.address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, &where.address.any, where.bytes) == 0, text);
    return without_delay(fd);
}

/* Says that it listens, and waits for the one that connects. */
static inline int accept_at(const char *text)
{
    const struct where where = where_is(text);
    const int fd = socket(where.address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (where.address.any.sa_family == AF_UNIX)
        unlink(text);
    must(bind(fd, &where.address.any, where.bytes) == 0 && listen(fd, 1) == 0, text);
    puts("listening");
    fflush(stdout);
    const int connected = accept(fd, NULL, NULL);
    must(connected >= 0, text);
    close(fd);
    return without_delay(connected);
}

/* 1, or 0 at the end of the stream. */
static inline int message_read(int fd, struct message *message)
{
    return recv(fd, message, sizeof *message, MSG_WAITALL) == (ssize_t)sizeof *message;
}

static inline int message_write(int fd, const struct message *message)
{
    return send(fd, message, sizeof *message, MSG_NOSIGNAL) == (ssize_t)sizeof *message;
}

#endif
