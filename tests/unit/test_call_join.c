/* SPDX-License-Identifier: MIT
 *
 * Who serves whose calls, in every order of the two sides, and what is served more than once.
 */
#include "call_join.h"
#include "synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GET = 16, WORK = 17, WORKS = 40 };
enum { CLIENT = 0, SERVERS = 2, SEGMENT_BYTES = 1 << 16 };

/* A client, and servers with so many paths each. */
static struct {
    char *directory;
    struct synthetic processes[1 + SERVERS];
    struct synthetic_ring rings[1 + SERVERS];
    uint32_t paths[1 + SERVERS][WORK + WORKS]; /* by class */
    uint64_t now;
} all;

static void process_open(int which)
{
    static const char *const names[] = {"a-client", "b-server", "c-server"};
    struct synthetic *const process = &all.processes[which];
    synthetic_open(process, all.directory, names[which], (uint8_t)(which + 1));
    process->control.links = 1;
    synthetic_class(process, GET, "call", "get", 0, "");
    for (uint32_t i = 0; i < WORKS; i++) {
        const char label[] = {'w', (char)('0' + i / 10), (char)('0' + i % 10), 0};
        synthetic_class(process, WORK + i, "handle_begin", label, 0, "");
    }
    for (uint32_t id = GET; id < WORK + WORKS; id++)
        all.paths[which][id] = lap_paths_get(&process->paths, LAP_PATHS_ROOT, id);
    synthetic_ring_open(&all.rings[which], process, 0, SEGMENT_BYTES, 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&all, 0, sizeof all);
    all.directory = synthetic_directory();
    all.now = SYNTHETIC_START + 1000;
    for (int which = 0; which <= SERVERS; which++)
        process_open(which);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_remove(all.directory);
    free(all.directory);
    return 0;
}

/* Behind all that was stored before, in whatever process. */
static void store(int which, uint32_t class_id, const void *payload, size_t bytes)
{
    struct synthetic_ring *const ring = &all.rings[which];
    uint64_t words[sizeof(struct lap_format_call) / 8];
    memcpy(words, payload, bytes);
    all.now += 1000;
    synthetic_event(ring, all.now - ring->clock, class_id, words, bytes / 8);
}

static void call(uint64_t span_id, uint32_t flags)
{
    store(CLIENT, GET,
          &(struct lap_format_call){.span_id = span_id,
                                    .sent_ticks = all.now,
                                    .got_ticks = all.now + 1000,
                                    .path = all.paths[CLIENT][GET],
                                    .flags = flags},
          sizeof(struct lap_format_call));
}

/* By a traceparent, which needs no more events. */
static void serve(uint64_t span_id, int server, uint32_t work)
{
    store(
        server, LAP_FORMAT_LINK,
        &(struct lap_format_link){
            .handle = 1, .span_id = span_id, .relation = LAP_FORMAT_LINK_PARENT, .path = all.paths[server][WORK + work]},
        sizeof(struct lap_format_link));
}

/* How often a path of a server served the client's calls, as the join has it. */
static uint64_t served(const struct lap_call_join *join, int server, uint32_t work)
{
    const struct lap_call_caller *callers;
    const size_t count = lap_call_join_callers(join, &callers);
    uint64_t calls = 0;
    for (size_t i = 0; i < count; i++) {
        if (callers[i].server != (uint32_t)server || callers[i].path != all.paths[server][WORK + work])
            continue;
        assert_true(callers[i].client == CLIENT && callers[i].call_path == all.paths[CLIENT][GET]);
        calls += callers[i].calls;
    }
    return calls;
}

static struct lap_call_join *joined(struct lap_recording **ret_recording)
{
    struct lap_call_join *join = NULL;
    const char *const path = all.directory;
    for (int which = 0; which <= SERVERS; which++) {
        synthetic_apply(&all.rings[which]);
        synthetic_ring_close(&all.rings[which]);
        synthetic_close(&all.processes[which]);
    }
    assert_int_equal(lap_recording_open(ret_recording, &path, 1, NULL), 0);
    assert_int_equal((*ret_recording)->process_count, 1 + SERVERS);
    assert_int_equal(lap_call_join_make(&join, *ret_recording), 0);
    assert_non_null(join);
    return join;
}

static void freed(struct lap_call_join *join, struct lap_recording *recording)
{
    lap_call_join_free(join);
    lap_recording_free(recording);
}

/* Two servers of each call, of which the client's event comes before both, between them, and behind both. */
static void test_orders(void **state)
{
    (void)state;
    struct lap_recording *recording;
    for (uint64_t span_id = 1; span_id <= 300; span_id++) {
        for (uint64_t at = 0; at < 3; at++) {
            if (at == span_id % 3)
                call(span_id, 0);
            if (at < SERVERS)
                serve(span_id, 1 + (int)at, 0);
        }
    }
    struct lap_call_join *const join = joined(&recording);
    assert_int_equal(served(join, 1, 0), 300);
    assert_int_equal(served(join, 2, 0), 300);
    freed(join, recording);
}

/* One that is served again and again by the same code, before it is seen and behind; its parts are no calls of their own. */
static void test_again(void **state)
{
    (void)state;
    struct lap_recording *recording;
    for (int i = 0; i < 20; i++)
        serve(7, 1, 0);
    call(7, LAP_FORMAT_CALL_PART);
    serve(7, 1, 1);
    call(7, 0);
    for (int i = 0; i < 3; i++)
        serve(7, 1, 0);
    call(7, 0);     /* a name that comes twice */
    serve(8, 2, 0); /* whom nobody calls */
    struct lap_call_join *const join = joined(&recording);
    assert_int_equal(served(join, 1, 0), 23);
    assert_int_equal(served(join, 1, 1), 1);
    assert_int_equal(served(join, 2, 0), 0);
    freed(join, recording);
}

/* Before it is seen, a call waits with 16 that serve it at most; those beyond are not joined, and all others are. */
static void test_many(void **state)
{
    (void)state;
    enum { HELD = 16 };
    struct lap_recording *recording;
    for (uint32_t work = 0; work < WORKS; work++) {
        serve(7, 1, work);
        serve(1000 + work, 2, work);
    }
    call(7, 0);
    for (uint32_t work = 0; work < WORKS; work++)
        call(1000 + work, 0);
    struct lap_call_join *const join = joined(&recording);
    for (uint32_t work = 0; work < WORKS; work++) {
        assert_int_equal(served(join, 1, work), work < HELD);
        assert_int_equal(served(join, 2, work), 1);
    }
    freed(join, recording);
}

/* More calls than are held: the oldest are forgotten. */
static void test_forgotten(void **state)
{
    (void)state;
    enum { HELD = 1 << 18, MORE = 100 };
    struct lap_recording *recording;
    for (uint64_t span_id = 1; span_id <= HELD + MORE; span_id++)
        call(span_id, 0);
    for (uint64_t span_id = MORE + 1; span_id <= 2 * MORE; span_id++)
        serve(span_id, 1, 0);
    for (uint64_t span_id = 1; span_id <= MORE; span_id++)
        serve(span_id, 2, 0);
    struct lap_call_join *const join = joined(&recording);
    assert_int_equal(served(join, 1, 0), MORE);
    assert_int_equal(served(join, 2, 0), 0);
    freed(join, recording);
}

/* One that was served is held for less long. */
static void test_served_again(void **state)
{
    (void)state;
    enum { HELD = 1 << 12 };
    struct lap_recording *recording;
    for (uint64_t span_id = 1; span_id <= HELD + 1; span_id++) {
        call(span_id, 0);
        serve(span_id, 1, 0);
    }
    serve(1, 2, 0);
    for (uint64_t span_id = 2; span_id <= HELD + 1; span_id++)
        serve(span_id, 2, 1);
    struct lap_call_join *const join = joined(&recording);
    assert_int_equal(served(join, 1, 0), HELD + 1);
    assert_int_equal(served(join, 2, 0), 0);
    assert_int_equal(served(join, 2, 1), HELD);
    freed(join, recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_served_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
