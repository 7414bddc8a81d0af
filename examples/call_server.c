/* SPDX-License-Identifier: MIT
 *
 * call_server ADDRESS WORK_MS [NEXT_ADDRESS]: serves one client. A thread reads ahead and notes when each request arrived; one
 * works, so requests wait in a queue, which the caller is told. With NEXT_ADDRESS it asks another server for each item.
 */
#define _GNU_SOURCE
#include "call_messages.h"

#include <lapmark.h>

#include <pthread.h>
#include <time.h>

enum { ROOM = 64 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct {
        struct message message;
        uint64_t arrived;
    } waiting[ROOM];
    unsigned first, count, has_ended;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *read_ahead(void *argument)
{
    const int fd = *(const int *)argument;
    struct message message;
    while (message_read(fd, &message)) {
        const uint64_t arrived = lap_now();
        pthread_mutex_lock(&queue.lock);
        while (queue.count == ROOM)
            pthread_cond_wait(&queue.changed, &queue.lock);
        const unsigned place = (queue.first + queue.count++) % ROOM;
        queue.waiting[place].message = message;
        queue.waiting[place].arrived = arrived;
        pthread_cond_broadcast(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
    }
    pthread_mutex_lock(&queue.lock);
    queue.has_ended = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

static int take(struct message *message, uint64_t *arrived)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && !queue.has_ended)
        pthread_cond_wait(&queue.changed, &queue.lock);
    const int is_one = queue.count > 0;
    if (is_one) {
        *message = queue.waiting[queue.first].message;
        *arrived = queue.waiting[queue.first].arrived;
        queue.first = (queue.first + 1) % ROOM;
        queue.count--;
        pthread_cond_broadcast(&queue.changed);
    }
    pthread_mutex_unlock(&queue.lock);
    return is_one;
}

static void work(double ms)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((double)(now.tv_sec - start.tv_sec) * 1e3 + (double)(now.tv_nsec - start.tv_nsec) / 1e6 < ms);
}

/* A call on behalf of the one that is served: of its trace, and on the lap of its profiler. */
static void ask_next(int next, const struct lap_serve *serve, uint64_t item)
{
    struct lap_call call;
    struct message message = {.item = item};
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = serve->handle, .parent = &serve->context), "ask the next");
    memcpy(message.trailer, call.request, sizeof message.trailer);
    must(message_write(next, &message) && message_read(next, &message), "the next server");
    (void)lap_call_end(&call, message.trailer, sizeof message.trailer);
    lap_mark(serve->handle, "the next has answered");
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return fprintf(stderr, "usage: call_server ADDRESS WORK_MS [NEXT_ADDRESS]\n"), 2;
    const int next = argc == 4 ? connect_to(argv[3]) : -1;
    int fd = accept_at(argv[1]);
    pthread_t reader;
    pthread_create(&reader, NULL, read_ahead, &fd);
    struct message message;
    uint64_t arrived;
    while (take(&message, &arrived)) {
        struct lap_serve serve;
        (void)lap_serve_begin(&serve, message.trailer, sizeof message.trailer, arrived, "serve an item");
        work(atof(argv[2]));
        lap_mark(serve.handle, "worked");
        if (next >= 0)
            ask_next(next, &serve, message.item);
        lap_serve_reply(&serve, message.trailer);
        message_write(fd, &message);
        lap_mark(serve.handle, "result sent");
        lap_end(serve.handle);
    }
    pthread_join(reader, NULL);
    return 0;
}
