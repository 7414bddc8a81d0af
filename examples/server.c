/* SPDX-License-Identifier: MIT
 *
 * A server on handles. A connection is a handle and its requests are its children: each begins on the thread that reads
 * it, is marked by the worker that takes it from the queue, and ends in a callback on a third thread. Only slow requests
 * print. The clients are threads of the same process, so the example runs alone and ends by itself.
 *
 * Usage: server [REQUESTS]   (of each client; 50 unless told otherwise)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 4, WORKERS = 3, SLOW_MS = 10, FETCH_MS = 20, SLOW_EVERY = 25 };

struct request {
    uint32_t number;
    uint32_t bytes;
};
struct reply {
    uint32_t number;
    uint32_t checksum;
};

struct connection {
    int fd;
    lap_handle handle;
    atomic_uint users; /* the accept loop and every job; the last one ends the handle, on whatever thread */
};

struct job {
    struct job *next;
    struct connection *connection;
    struct request request;
    uint32_t checksum;
    lap_handle handle;
    void (*on_done)(struct job *job);
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first;
    struct job **end;
    bool closed;
};

static struct queue work = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = &work.first};
static struct queue done = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = &done.first};
static struct sockaddr_in address = {.sin_family = AF_INET};
static uint32_t requests_per_client = 50;
static atomic_uint slow_requests;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void queue_push(struct queue *queue, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&queue->lock);
    *queue->end = job;
    queue->end = &job->next;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* Waits for a job; NULL when the queue is closed and empty. */
static struct job *queue_pop(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    struct job *const job = queue->first;
    if (job) {
        queue->first = job->next;
        if (!queue->first)
            queue->end = &queue->first;
    }
    pthread_mutex_unlock(&queue->lock);
    return job;
}

static void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* False at the end of the stream, before the first byte. */
static bool receive(int fd, void *message, size_t bytes)
{
    const ssize_t got = recv(fd, message, bytes, MSG_WAITALL);
    if (got == 0)
        return false;
    if (got != (ssize_t)bytes)
        fail("cannot receive");
    return true;
}

static void transmit(int fd, const void *message, size_t bytes)
{
    if (send(fd, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        fail("cannot send");
}

static void connection_release(struct connection *connection)
{
    if (atomic_fetch_sub(&connection->users, 1) != 1)
        return;
    lap_end(connection->handle);
    close(connection->fd);
    free(connection);
}

static uint32_t checksum_of(uint32_t number, uint32_t bytes)
{
    uint32_t sum = 2166136261u ^ number;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (sum ^ (i & 0xff)) * 16777619u;
    return sum;
}

/* Some things are not in the cache: those requests are the slow ones. */
static void fetch(uint32_t number)
{
    if (number % SLOW_EVERY == SLOW_EVERY / 2)
        nanosleep(&(struct timespec){.tv_nsec = FETCH_MS * 1000000L}, NULL);
}

static void *run_worker(void *name)
{
    lap_thread_name(name);
    for (struct job *job; (job = queue_pop(&work));) {
        lap_mark(job->handle, "waited for a worker");
        {
            LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = SLOW_MS, .parent = job->handle), "work on request %u",
                             job->request.number);
            fetch(job->request.number);
            LAP_MARK("fetched");
            job->checksum = checksum_of(job->request.number, job->request.bytes);
            LAP_MARK_N(job->request.bytes, "summed");
        }
        lap_mark_n(job->handle, job->request.bytes, "worked");
        queue_push(&done, job);
    }
    return NULL;
}

static void send_reply(struct job *job)
{
    const struct reply reply = {job->request.number, job->checksum};
    transmit(job->connection->fd, &reply, sizeof reply);
    lap_mark(job->handle, "replied");
    if (lap_end(job->handle) >= SLOW_MS * UINT64_C(1000000))
        slow_requests++;
    connection_release(job->connection);
    free(job);
}

static void *run_callbacks(void *name)
{
    lap_thread_name(name);
    for (struct job *job; (job = queue_pop(&done));) {
        lap_mark(job->handle, "waited for its callback");
        job->on_done(job);
    }
    return NULL;
}

static void accept_connection(int poll_fd, int listen_fd, unsigned number)
{
    struct connection *const connection = calloc(1, sizeof *connection);
    if (!connection)
        fail("no memory for a connection");
    connection->fd = accept(listen_fd, NULL, NULL);
    if (connection->fd < 0)
        fail("cannot accept");
    /* a connection lives long and is no news: in the recording it is, a report it never prints */
    connection->handle = lap_begin_with(LAP_OPTS(.threshold_ms = 1e9), "connection %u", number);
    connection->users = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        fail("cannot watch a connection");
}

/* One request, or the end of the connection: then false. */
static bool read_request(int poll_fd, struct connection *connection)
{
    struct job *const job = calloc(1, sizeof *job);
    if (!job)
        fail("no memory for a job");
    if (!receive(connection->fd, &job->request, sizeof job->request)) {
        free(job);
        /* a job whose reply is just out may keep it open for a moment longer: its end is not to be seen twice */
        epoll_ctl(poll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
        connection_release(connection);
        return false;
    }
    job->handle = lap_begin_with(LAP_OPTS(.threshold_ms = SLOW_MS, .parent = connection->handle), "request %u",
                                 job->request.number);
    lap_mark(connection->handle, "request");
    job->connection = connection;
    job->on_done = send_reply;
    connection->users++;
    queue_push(&work, job);
    return true;
}

static void *run_accept_loop(void *argument)
{
    const int listen_fd = *(int *)argument;
    lap_thread_name("accept loop");
    const int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (poll_fd < 0 || epoll_ctl(poll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0)
        fail("cannot poll");
    unsigned accepted = 0;
    unsigned closed = 0;
    while (closed < CLIENTS) {
        struct epoll_event events[CLIENTS + 1];
        const int ready = epoll_wait(poll_fd, events, CLIENTS + 1, -1);
        if (ready < 0 && errno != EINTR)
            fail("cannot poll");
        for (int i = 0; i < ready; i++) {
            if (!events[i].data.ptr)
                accept_connection(poll_fd, listen_fd, accepted++);
            else if (!read_request(poll_fd, events[i].data.ptr))
                closed++;
        }
    }
    close(poll_fd);
    return NULL;
}

static void *run_client(void *argument)
{
    const uint32_t client = *(uint32_t *)argument;
    char name[16];
    snprintf(name, sizeof name, "client %u", client);
    lap_thread_name(name);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect");
    for (uint32_t i = 0; i < requests_per_client; i++) {
        const uint32_t number = client * requests_per_client + i;
        const struct request request = {number, 1u << (12 + number % 5)};
        struct reply reply = {0};
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e9), "ask");
        transmit(fd, &request, sizeof request);
        LAP_MARK("sent");
        const bool answered = receive(fd, &reply, sizeof reply);
        LAP_MARK_N(request.bytes, "answered");
        errno = EPROTO;
        if (!answered || reply.number != number || reply.checksum != checksum_of(number, request.bytes))
            fail("wrong reply");
        LAP_MARK_N(request.bytes, "checked");
    }
    close(fd);
    return NULL;
}

static int listen_on_loopback(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, length) != 0 || listen(fd, CLIENTS) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        fail("cannot listen on 127.0.0.1");
    return fd;
}

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, run, argument);
    if (errno)
        fail("cannot start a thread");
    return thread;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const unsigned long wanted = argc > 1 ? strtoul(argv[1], &end, 10) : requests_per_client;
    if (argc > 2 || (argc > 1 && (*end || end == argv[1])) || wanted < 1 || wanted > 1000000) {
        fputs("usage: server [REQUESTS], from 1 to 1000000 for each client\n", stderr);
        return 2;
    }
    requests_per_client = (uint32_t)wanted;

    static char *const worker_names[WORKERS] = {"worker 0", "worker 1", "worker 2"};
    static char callbacks_name[] = "callbacks";
    pthread_t workers[WORKERS];
    pthread_t clients[CLIENTS];
    uint32_t client_numbers[CLIENTS];
    int listen_fd = listen_on_loopback();
    const pthread_t accept_loop = start(run_accept_loop, &listen_fd);
    const pthread_t callbacks = start(run_callbacks, callbacks_name);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i] = start(run_worker, worker_names[i]);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_numbers[i] = i;
        clients[i] = start(run_client, &client_numbers[i]);
    }

    /* downstream last, so that every job comes through */
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    pthread_join(accept_loop, NULL);
    queue_close(&work);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    queue_close(&done);
    pthread_join(callbacks, NULL);
    close(listen_fd);
    printf("%u requests served, %u of them took %d ms or more\n", CLIENTS * requests_per_client, slow_requests, SLOW_MS);
    return 0;
}
