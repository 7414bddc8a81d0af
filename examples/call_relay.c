/* SPDX-License-Identifier: MIT
 *
 * call_relay ADDRESS SERVER_ADDRESS DELAY_MS [DELAY_BACK_MS]: passes messages on, each a while later, in both directions: a network. At
 * the end it says how long it held them, by its own clock.
 */
#define _GNU_SOURCE
#include "call_messages.h"

#include <poll.h>
#include <time.h>

enum { ROOM = 1024, TIMES = 100000 };

struct way {
    int from, to;
    unsigned first, count, has_ended;
    double times_ms[TIMES]; /* how long each was held */
    unsigned times;
    struct {
        struct message message;
        double came_ms;
    } held[ROOM];
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Takes what came, gives what is due. Returns how long until the next is. */
static double way_run(struct way *way, int has_input, double delay_ms)
{
    if (has_input && way->count < ROOM) {
        const unsigned place = (way->first + way->count) % ROOM;
        if (message_read(way->from, &way->held[place].message))
            way->held[place].came_ms = now_ms(), way->count++;
        else
            way->has_ended = 1;
    }
    while (way->count > 0) {
        const double now = now_ms(), left = way->held[way->first].came_ms + delay_ms - now;
        if (left > 0)
            return left;
        message_write(way->to, &way->held[way->first].message);
        if (way->times < TIMES)
            way->times_ms[way->times++] = now - way->held[way->first].came_ms;
        way->first = (way->first + 1) % ROOM;
        way->count--;
    }
    if (way->has_ended)
        shutdown(way->to, SHUT_WR);
    return 1e3;
}

static int by_time(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static void way_tell(const char *name, struct way *way)
{
    double sum_ms = 0;
    qsort(way->times_ms, way->times, sizeof *way->times_ms, by_time);
    for (unsigned i = 0; i < way->times; i++)
        sum_ms += way->times_ms[i];
    if (way->times > 0)
        printf("the relay held %u messages on their way %s for %.3f ms in the mean, median %.3f ms, least %.3f ms\n",
               way->times, name, sum_ms / way->times, way->times_ms[way->times / 2], way->times_ms[0]);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5)
        return fprintf(stderr, "usage: call_relay ADDRESS SERVER_ADDRESS DELAY_MS [DELAY_BACK_MS]\n"), 2;
    const int server = connect_to(argv[2]), client = accept_at(argv[1]);
    const double there_ms = atof(argv[3]), back_ms = atof(argv[argc - 1]);
    static struct way there, back;
    there.from = back.to = client;
    there.to = back.from = server;
    double wait_ms = 0;
    while (!back.has_ended || back.count > 0) {
        struct pollfd inputs[2] = {{.fd = there.has_ended ? -1 : client, .events = POLLIN},
                                   {.fd = back.has_ended ? -1 : server, .events = POLLIN}};
        const struct timespec timeout = {(time_t)(wait_ms / 1e3), (long)(wait_ms * 1e6) % 1000000000};
        ppoll(inputs, 2, &timeout, NULL);
        const double wait_there_ms = way_run(&there, inputs[0].revents != 0, there_ms);
        const double wait_back_ms = way_run(&back, inputs[1].revents != 0, back_ms);
        wait_ms = wait_there_ms < wait_back_ms ? wait_there_ms : wait_back_ms;
    }
    way_tell("there", &there);
    way_tell("back", &back);
    return 0;
}
