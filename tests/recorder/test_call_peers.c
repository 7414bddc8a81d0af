/* SPDX-License-Identifier: MIT
 *
 * Calls between two processes, over a socketpair and over TCP with epoll, with a relay between them. Both sides measure what they do
 * by a clock of their own, and what a call says is held against that: as least and as most, never against a time of the wall.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 5 };
enum kind { SERVE, SERVE_THREE_TIMES, SERVE_NOT, SERVE_SILENTLY, SERVE_BATCH };

struct message {
    uint32_t kind, count; /* of requests that the server is to read before it begins with the first */
    uint32_t work_us, is_last;
    uint64_t worked_ns, waited_ns; /* a reply's: as the server has measured it */
    uint8_t trailers[BATCH][LAP_TRAILER_BYTES];
};

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Not less by two clocks, whose rates may differ by what adjusts them, and that are not read at once. */
static int is_at_least(uint64_t ns, uint64_t least_ns) { return (double)ns >= (double)least_ns * 0.995 - 2000; }

/* ---- messages ------------------------------------------------------------------------------------------------------- */

static int message_send(int fd, const struct message *message)
{
    return send(fd, message, sizeof *message, MSG_NOSIGNAL) == sizeof *message ? 0 : -1;
}

static int message_read(int fd, struct message *message)
{
    return recv(fd, message, sizeof *message, MSG_WAITALL) == sizeof *message ? 0 : -1;
}

/* Two connected sockets. */
static int connect_both(int *fds, int is_tcp)
{
    if (!is_tcp)
        return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    const int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof address) < 0 || listen(listening, 1) < 0 ||
        getsockname(listening, (struct sockaddr *)&address, &bytes) < 0 ||
        connect(fds[0], (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    fds[1] = accept(listening, NULL, NULL);
    close(listening);
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fds[1];
}

/* ---- the server ------------------------------------------------------------------------------------------------------ */

struct request {
    struct message message;
    uint64_t arrived_ticks, arrived_ns;
};

static int request_reply(int fd, struct request *request, struct lap_serve *serves, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (lap_serve_reply(&serves[i], request->message.trailers[i]) != LAP_TRAILER_BYTES)
            return -1;
    return message_send(fd, &request->message);
}

static int request_serve(int fd, struct request *request)
{
    struct lap_serve serves[BATCH];
    const unsigned count = request->message.kind == SERVE_BATCH ? BATCH : 1;
    const uint64_t waited_ns = now_ns() - request->arrived_ns;
    for (unsigned i = 0; i < count; i++)
        if (lap_serve_begin(&serves[i], request->message.trailers[i], LAP_TRAILER_BYTES, request->arrived_ticks,
                            "serve") != 0)
            return -1;
    const uint64_t begin_ns = now_ns();
    const unsigned times = request->message.kind == SERVE_THREE_TIMES ? 3 : 1;
    int error = 0;
    for (unsigned i = 0; i < times && error == 0; i++) {
        if (request->message.work_us != 0)
            spend_us((long)request->message.work_us);
        request->message.worked_ns = now_ns() - begin_ns;
        request->message.waited_ns = waited_ns;
        request->message.is_last = i + 1 == times;
        if (request->message.kind != SERVE_SILENTLY)
            error = request_reply(fd, request, serves, count);
    }
    for (unsigned i = 0; i < count; i++) {
        lap_mark(serves[i].handle, "replied");
        lap_end(serves[i].handle);
    }
    return error;
}

/* Reads what is there into its own queue, as many as the first says, and serves the newest first where that is asked for. */
static int serve_all(int fd, int newest_first)
{
    static struct request requests[16];
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        return 1;
    for (;;) {
        uint32_t count = 0;
        do {
            if (epoll_wait(poller, &event, 1, -1) != 1)
                return errno == EINTR ? 0 : 2;
            if (message_read(fd, &requests[count].message) < 0)
                return count == 0 ? 0 : 3;
            requests[count].arrived_ticks = lap_now();
            requests[count].arrived_ns = now_ns();
            count++;
        } while (count < requests[0].message.count);
        for (uint32_t i = 0; i < count; i++) {
            struct request *const request = &requests[newest_first ? count - 1 - i : i];
            if (request->message.kind != SERVE_NOT && request_serve(fd, request) < 0)
                return 4;
        }
    }
}

static pid_t server;

/* Starts one in a process of its own; returns the client's socket. */
static int server_start(int is_tcp, int newest_first)
{
    int fds[2];
    if (connect_both(fds, is_tcp) < 0)
        return -1;
    server = fork();
    if (server == 0) {
        close(fds[0]);
        exit(serve_all(fds[1], newest_first));
    }
    close(fds[1]);
    return fds[0];
}

static int server_ends(int fd)
{
    int status = 0;
    close(fd);
    return waitpid(server, &status, 0) == server && status == 0;
}

/* ---- the client ------------------------------------------------------------------------------------------------------ */

static int call_send(int fd, struct lap_call *call, enum kind kind, uint32_t work_us, uint32_t count)
{
    struct message message = {.kind = kind, .work_us = work_us, .count = count};
    lap_call_begin(call, "call");
    memcpy(message.trailers[0], call->request, sizeof call->request);
    return message_send(fd, &message);
}

/* What the server measured is in the call, and the call is in what was measured around it. */
static int is_between(const struct lap_call *call, const struct message *reply, uint64_t around_ns)
{
    const struct lap_split *const split = &call->split;
    return split->flags == LAP_SPLIT_SERVER && is_at_least(split->server_ns, reply->worked_ns + reply->waited_ns) &&
           is_at_least(split->queue_ns, reply->waited_ns) && split->queue_ns <= split->server_ns &&
           split->server_ns <= split->total_ns && split->server_ns + split->between_ns <= split->total_ns &&
           split->server_ns + split->between_ns + 1 >= split->total_ns && is_at_least(around_ns, split->total_ns);
}

static int ask(int fd)
{
    LAP_PROFILE("client");
    for (uint32_t i = 0; i < 40; i++) {
        struct lap_call call;
        struct message reply;
        const uint64_t begin_ns = now_ns();
        if (call_send(fd, &call, SERVE, i % 4 * 100, 1) < 0 || message_read(fd, &reply) < 0 ||
            lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != 0)
            return 2;
        const uint64_t around_ns = now_ns() - begin_ns;
        LAP_MARK("reply");
        if (!is_between(&call, &reply, around_ns) || reply.worked_ns < i % 4 * 100000)
            return 3;
    }
    return 0;
}

static int ask_server(int is_tcp)
{
    const int fd = server_start(is_tcp, 0);
    const int result = fd < 0 ? 1 : ask(fd);
    return server_ends(fd) ? result : 4;
}

static int case_pair(void) { return ask_server(0); }
static int case_tcp(void) { return ask_server(1); }

/* Someone between them holds each message for a while, both ways, and measures that. */
static struct {
    int client, server;
    uint64_t held_ns;
} relay;

static void *relay_run(void *unused)
{
    (void)unused;
    struct message message;
    for (int turn = 0; message_read(turn ? relay.server : relay.client, &message) == 0; turn = !turn) {
        const uint64_t begin_ns = now_ns();
        spend_us(200);
        __atomic_add_fetch(&relay.held_ns, now_ns() - begin_ns, __ATOMIC_SEQ_CST);
        message_send(turn ? relay.client : relay.server, &message);
    }
    close(relay.server);
    return NULL;
}

static int case_relay(void)
{
    int fds[2];
    pthread_t thread;
    relay.server = server_start(1, 0);
    if (relay.server < 0 || connect_both(fds, 0) < 0)
        return 1;
    relay.client = fds[1];
    if (pthread_create(&thread, NULL, relay_run, NULL) != 0)
        return 2;
    for (int i = 0; i < 20; i++) {
        struct lap_call call;
        struct message reply;
        relay.held_ns = 0;
        const uint64_t begin_ns = now_ns();
        if (call_send(fds[0], &call, SERVE, 100, 1) < 0 || message_read(fds[0], &reply) < 0 ||
            lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != 0)
            return 3;
        if (!is_between(&call, &reply, now_ns() - begin_ns))
            return 4;
        const uint64_t held_ns = __atomic_load_n(&relay.held_ns, __ATOMIC_SEQ_CST);
        if (held_ns < 400000 || !is_at_least(call.split.between_ns, held_ns))
            return 5;
    }
    shutdown(fds[0], SHUT_RDWR);
    pthread_join(thread, NULL);
    int status;
    return waitpid(server, &status, 0) == server && status == 0 ? 0 : 6;
}

/* A server with one thread that reads ahead: what waits in its own queue is told from the wire. */
static int case_queue(void)
{
    const int fd = server_start(1, 0);
    for (int turn = 0; turn < 5; turn++) {
        struct lap_call calls[3];
        struct message reply;
        const uint64_t begin_ns = now_ns();
        for (int i = 0; i < 3; i++)
            if (call_send(fd, &calls[i], SERVE, 300, 3) < 0)
                return 1;
        for (int i = 0; i < 3; i++) {
            if (message_read(fd, &reply) < 0 || lap_call_end(&calls[i], reply.trailers[0], LAP_TRAILER_BYTES) != 0)
                return 2;
            if (!is_between(&calls[i], &reply, now_ns() - begin_ns))
                return 3;
            if (reply.waited_ns < (uint64_t)i * 290000 || calls[i].split.queue_ns < (uint64_t)i * 290000)
                return 4;
        }
    }
    return server_ends(fd) ? 0 : 5;
}

/* Several in flight, answered in another order: a reply's span id says whose it is. */
static struct lap_call *whose(struct lap_call *calls, int count, const uint8_t *trailer)
{
    for (int i = 0; i < count; i++)
        if (calls[i].is_open && memcmp(calls[i].context.span_id, trailer + 8, sizeof calls[i].context.span_id) == 0)
            return &calls[i];
    return NULL;
}

static int case_in_flight(void)
{
    enum { COUNT = 8 };
    const int fd = server_start(0, 1);
    for (int turn = 0; turn < 5; turn++) {
        struct lap_call calls[COUNT];
        const uint64_t begin_ns = now_ns();
        for (int i = 0; i < COUNT; i++)
            if (call_send(fd, &calls[i], SERVE, 20 * (uint32_t)i, COUNT) < 0)
                return 1;
        for (int i = COUNT; i-- > 0;) {
            struct message reply;
            if (message_read(fd, &reply) < 0)
                return 2;
            struct lap_call *const call = whose(calls, COUNT, reply.trailers[0]);
            if (call != &calls[i] || lap_call_end(call, reply.trailers[0], LAP_TRAILER_BYTES) != 0)
                return 3;
            if (!is_between(call, &reply, now_ns() - begin_ns) || reply.worked_ns < 20000 * (uint64_t)i)
                return 4;
        }
    }
    return server_ends(fd) ? 0 : 5;
}

/* Several calls in one message: a trailer for each, and all of them took what the message did. */
static int case_batch(void)
{
    const int fd = server_start(0, 0);
    struct lap_call calls[BATCH];
    struct message message = {.kind = SERVE_BATCH, .work_us = 300, .count = 1}, reply;
    const uint64_t begin_ns = now_ns();
    LAP_PROFILE("client");
    for (int i = 0; i < BATCH; i++) {
        lap_call_begin(&calls[i], "call");
        memcpy(message.trailers[i], calls[i].request, LAP_TRAILER_BYTES);
    }
    if (message_send(fd, &message) < 0 || message_read(fd, &reply) < 0)
        return 1;
    for (int i = 0; i < BATCH; i++)
        if (lap_call_end(&calls[i], reply.trailers[i], LAP_TRAILER_BYTES) != 0 ||
            !is_between(&calls[i], &reply, now_ns() - begin_ns))
            return 2;
    LAP_MARK("replies");
    return server_ends(fd) ? 0 : 3;
}

/* Several replies to one call: the last one counts, and the call ends with that. */
static int case_several(void)
{
    const int fd = server_start(0, 0);
    struct lap_call call;
    struct message reply = {.is_last = 0};
    const uint64_t begin_ns = now_ns();
    if (call_send(fd, &call, SERVE_THREE_TIMES, 200, 1) < 0)
        return 1;
    while (!reply.is_last)
        if (message_read(fd, &reply) < 0)
            return 2;
    if (lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != 0 ||
        !is_between(&call, &reply, now_ns() - begin_ns) || call.split.server_ns < 590000)
        return 3;
    if (lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != -EINVAL)
        return 4;
    /* Who ends it with the first has that one's time; the others find it ended. */
    if (call_send(fd, &call, SERVE_THREE_TIMES, 200, 1) < 0 || message_read(fd, &reply) < 0 ||
        lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != 0 ||
        !is_at_least(call.split.server_ns, reply.worked_ns))
        return 5;
    while (!reply.is_last)
        if (message_read(fd, &reply) < 0 || lap_call_end(&call, reply.trailers[0], LAP_TRAILER_BYTES) != -EINVAL)
            return 6;
    return server_ends(fd) ? 0 : 7;
}

/* The first request gets lost, the second is answered; and a message that wants no reply. */
static int case_lost(void)
{
    const int fd = server_start(1, 0);
    struct lap_call lost, again, one_way;
    struct message reply;
    LAP_PROFILE("client");
    if (call_send(fd, &lost, SERVE_NOT, 0, 1) < 0)
        return 1;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, 20) != 0 || lap_call_end(&lost, NULL, 0) != -ENOMSG || lost.split.total_ns < 15000000 ||
        lost.split.flags != 0)
        return 2;
    if (call_send(fd, &again, SERVE, 50, 1) < 0 || message_read(fd, &reply) < 0 ||
        memcmp(again.context.span_id, lost.context.span_id, sizeof lost.context.span_id) == 0 ||
        lap_call_end(&again, reply.trailers[0], LAP_TRAILER_BYTES) != 0)
        return 3;
    LAP_MARK("got it");
    if (call_send(fd, &one_way, SERVE_SILENTLY, 0, 1) < 0)
        return 4;
    uint64_t span;
    memcpy(&span, one_way.context.span_id, sizeof span);
    printf("%llu %llu\n", (unsigned long long)__builtin_bswap64(span), (unsigned long long)one_way.sent_ticks);
    return server_ends(fd) ? 0 : 5;
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

/* Runs a case, each side recorded. In the recordings, every call that was answered is one that was served. */
static void check_case(const char *name, size_t calls, size_t serves, size_t replies,
                       void (*look)(struct stored *, const char *))
{
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case(name, variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    assert_int_equal(process_count(directory), 2);
    struct stored *both[2];
    for (unsigned i = 0; i < 2; i++) {
        const char *const process = process_directory(directory, i);
        babeltrace_agrees(process);
        check_finds_it_sound(process);
        both[i] = stored_load(process);
        assert_int_equal(both[i]->control.losses[LAP_FORMAT_LOSS_TRAILER], 0);
    }
    assert_true(both[0]->control.clock_domain == both[1]->control.clock_domain);
    const unsigned client = stored_of_kind(both[0], "call") != 0 ? 0 : 1;
    struct stored *const served = both[1 - client];
    assert_int_equal(stored_of_kind(both[client], "call"), calls);
    assert_int_equal(stored_named(served, "lapmark:serve"), serves);
    assert_int_equal(stored_named(served, "lapmark:reply"), replies);
    for (size_t i = 0; i < both[client]->count; i++) {
        if (strcmp(both[client]->events[i].kind, "call") != 0)
            continue;
        const struct lap_format_call *const call = (const void *)(both[client]->events[i].words + 1);
        unsigned found = 0;
        for (size_t j = 0; j < served->count; j++) {
            const struct lap_format_reply *const reply = (const void *)(served->events[j].words + 1);
            found += strcmp(served->events[j].name, "lapmark:reply") == 0 && reply->span_id == call->span_id &&
                     reply->replied_ticks == call->replied_ticks;
        }
        assert_int_equal(found, call->received_ticks != 0);
    }
    if (look)
        look(served, outcome.out);
    for (unsigned i = 0; i < 2; i++)
        stored_free(both[i]);
    outcome_free(&outcome);
}

/* What was sent one way has its serve event, with t1, and no reply. */
static void look_at_one_way(struct stored *served, const char *out)
{
    unsigned long long span, sent_ticks;
    unsigned found = 0;
    assert_int_equal(sscanf(out, "%llu %llu", &span, &sent_ticks), 2);
    for (size_t i = 0; i < served->count; i++) {
        const struct lap_format_serve *const serve = (const void *)(served->events[i].words + 1);
        const struct lap_format_reply *const reply = (const void *)(served->events[i].words + 1);
        if (strcmp(served->events[i].name, "lapmark:serve") == 0 && serve->span_id == span) {
            found++;
            assert_int_equal(serve->sent_ticks, sent_ticks);
            assert_true(serve->received_ticks > sent_ticks);
        }
        assert_false(strcmp(served->events[i].name, "lapmark:reply") == 0 && reply->span_id == span);
    }
    assert_int_equal(found, 1);
}

static void test_pair(void **state)
{
    (void)state;
    check_case("pair", 40, 40, 40, NULL);
}
static void test_tcp(void **state)
{
    (void)state;
    check_case("tcp", 40, 40, 40, NULL);
}
static void test_relay(void **state)
{
    (void)state;
    check_case("relay", 20, 20, 20, NULL);
}
static void test_queue(void **state)
{
    (void)state;
    check_case("queue", 15, 15, 15, NULL);
}
static void test_in_flight(void **state)
{
    (void)state;
    check_case("in_flight", 40, 40, 40, NULL);
}
static void test_batch(void **state)
{
    (void)state;
    check_case("batch", BATCH, BATCH, BATCH, NULL);
}
static void test_several(void **state)
{
    (void)state;
    check_case("several", 2, 2, 6, NULL);
}
static void test_lost(void **state)
{
    (void)state;
    check_case("lost", 2, 2, 1, look_at_one_way);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_pair),    cmocka_unit_test(test_tcp),       cmocka_unit_test(test_relay),
        cmocka_unit_test(test_queue),   cmocka_unit_test(test_in_flight), cmocka_unit_test(test_batch),
        cmocka_unit_test(test_several), cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"pair", case_pair},
        {"tcp", case_tcp},
        {"relay", case_relay},
        {"queue", case_queue},
        {"in_flight", case_in_flight},
        {"batch", case_batch},
        {"several", case_several},
        {"lost", case_lost},
        {NULL, NULL},
    };
    return run_cases_or_tests(argc, argv, cases, tests);
}
