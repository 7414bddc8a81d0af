/* SPDX-License-Identifier: MIT
 *
 * Calls whose times are known to the nanosecond: the offset of two clocks, one of them recorded, with drift and a step; and
 * calls of which nothing can be true.
 */
#include "calls.h"
#include "synthetic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GET = 16, PUT = 17, CALLS = 1000, STEP_AT = 600, CLIENT = 0x11, SERVER = 0x22, SEGMENT_BYTES = 1 << 20 };
#define DRIFT 20e-6
#define AHEAD_NS 3e9
#define STEP_NS 0.25e9
#define SPACING_NS 8000000

static char *directory;

static int setup(void **state)
{
    (void)state;
    directory = synthetic_directory();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_remove(directory);
    free(directory);
    return 0;
}

static struct lap_calls *make(struct lap_recording **ret_recording, enum lap_summary_by by)
{
    const char *const path = directory;
    struct lap_calls *calls = NULL;
    const struct lap_calls_options options = {.by = by, .slowest = 3};
    assert_int_equal(lap_recording_open(ret_recording, &path, 1, NULL), 0);
    assert_int_equal(lap_calls_make(&calls, *ret_recording, &options), 0);
    return calls;
}

static void client_open(struct synthetic *process, struct synthetic_ring *ring)
{
    synthetic_open(process, directory, "client", 1);
    process->control.clock_domain = CLIENT;
    synthetic_class(process, GET, "call", "get", 0, "");
    synthetic_class(process, PUT, "call", "put", 0, "");
    synthetic_ring_open(ring, process, 0, SEGMENT_BYTES, 0);
}

static void client_close(struct synthetic *process, struct synthetic_ring *ring)
{
    synthetic_apply(ring);
    synthetic_ring_close(ring);
    synthetic_close(process);
}

static void call_store(struct synthetic_ring *ring, uint32_t class_id, const struct lap_format_call *call)
{
    uint64_t words[sizeof *call / 8];
    memcpy(words, call, sizeof words);
    synthetic_event(ring, call->got_ticks > ring->clock ? call->got_ticks - ring->clock : 0, class_id, words,
                    sizeof words / 8);
}

/* A server whose clock makes two ticks a nanosecond. */
static void server_write(void)
{
    struct synthetic process;
    struct synthetic_ring ring;
    synthetic_open(&process, directory, "server", 2);
    process.control.clock_domain = SERVER;
    process.control.clock_hz = 2000000000;
    process.control.end.ticks = SYNTHETIC_START + UINT64_C(20000000000);
    synthetic_ring_open(&ring, &process, 0, 4096, 0);
    synthetic_ring_close(&ring);
    synthetic_close(&process);
}

static double theta_ns(double client_ns, int number)
{
    return AHEAD_NS + DRIFT * (client_ns - (double)SYNTHETIC_START) + (number >= STEP_AT ? STEP_NS : 0);
}

static uint64_t server_ticks(uint64_t client_ns, int number)
{
    return 2 * (client_ns + (uint64_t)llround(theta_ns((double)client_ns, number)));
}

static uint64_t sent_ns(int number) { return SYNTHETIC_START + 100000 + (uint64_t)number * SPACING_NS; }

static void test_two_clocks(void **state)
{
    (void)state;
    struct synthetic client;
    struct synthetic_ring ring;
    uint64_t end_ns = 0;
    server_write();
    client_open(&client, &ring);
    for (int i = 0; i < CALLS; i++) {
        const uint64_t there = 20000 + (uint64_t)(i * 7919 % 30000), back = 20000 + (uint64_t)(i * 104729 % 30000);
        const uint64_t t1 = sent_ns(i), t2 = t1 + there, t3 = t2 + 1000000, t4 = t3 + back;
        call_store(&ring, GET,
                   &(struct lap_format_call){.sent_ticks = t1,
                                             .received_ticks = server_ticks(t2, i),
                                             .replied_ticks = server_ticks(t3, i),
                                             .got_ticks = t4,
                                             .peer_domain = SERVER,
                                             .peer_khz = 1999999}); /* what the recording says is better */
        end_ns = t4;
    }
    client_close(&client, &ring);
    struct lap_recording *recording;
    struct lap_calls *const calls = make(&recording, LAP_SUMMARY_BY_ALL);
    assert_int_equal(calls->answered, CALLS);
    assert_int_equal(calls->clock_count, 1);
    const struct lap_calls_clock *const clock = &calls->clocks[0];
    assert_true(clock->client == CLIENT && clock->server == SERVER && clock->calls == CALLS);
    assert_in_range(clock->left_out, 0, 2); /* those that may be on either side of the step */
    assert_true(clock->has_offset && clock->is_server_read && !clock->is_same && !clock->is_contradicted);
    assert_true(fabs(clock->client_hz - 1e9) < 1 && fabs(clock->server_hz - 2e9) < 1);
    const double end_theta_ns = theta_ns((double)end_ns, CALLS);
    assert_true(fabs((double)clock->theta_ns - end_theta_ns) <= clock->error_ns + 1 && clock->error_ns < 30000);
    assert_true(fabs(clock->drift_ppm - DRIFT * 1e6) <= clock->drift_error_ppm && clock->drift_error_ppm < 30);
    assert_true(clock->end_time_ns == SYNTHETIC_REALTIME + end_ns - SYNTHETIC_START);
    assert_int_equal(clock->step_count, 1);
    assert_true(fabs(clock->steps[0].step_ns - STEP_NS) <= clock->steps[0].error_ns && clock->steps[0].error_ns < 100000);
    const uint64_t step_time_ns = SYNTHETIC_REALTIME + sent_ns(STEP_AT) - SYNTHETIC_START;
    assert_true(clock->steps[0].after_time_ns < step_time_ns && step_time_ns <= clock->steps[0].before_time_ns);
    assert_true(step_time_ns - clock->steps[0].after_time_ns <= SPACING_NS);
    assert_int_equal(calls->kinds[0].ways, 0);
    lap_calls_free(calls);
    lap_recording_free(recording);
}

/* Two threads' calls over several windows of the bounds: none comes too late. */
/* Messages to which no reply comes, and what the server stored of their arrival, in a recording of its own: the quickest of them
 * bounds how far its clock is ahead, from above. */
static void serve_store(struct synthetic_ring *ring, uint64_t span_id, uint64_t received_ticks)
{
    const struct lap_format_serve serve = {.handle = 1, .span_id = span_id, .received_ticks = received_ticks};
    uint64_t words[sizeof serve / 8];
    memcpy(words, &serve, sizeof words);
    synthetic_event(ring, received_ticks - ring->clock, LAP_FORMAT_SERVE, words, sizeof words / 8);
}

enum { MESSAGES = 500, AHEAD_ONE_WAY_NS = 70000000, LEAST_NS = 20000 };

static uint64_t way_ns(uint64_t number) { return LEAST_NS + number * 7919 % 30000; }

/* What all of them leave open at the end: a clock may have gained 500 ppm since a message came. */
static double most_ns(void)
{
    double most = HUGE_VAL;
    for (uint64_t i = 1; i <= MESSAGES; i++)
        most = fmin(most, (double)way_ns(i) + 500e-6 * (double)(MESSAGES - i) * SPACING_NS);
    return most;
}

/* One of the two processes: `ahead_ns`, its clock is; its messages have odd span ids or even ones. */
static void one_way_write(const char *name, uint64_t domain, uint64_t seed, int64_t ahead_ns, bool has_sent,
                          bool has_received)
{
    struct synthetic process;
    struct synthetic_ring ring;
    synthetic_open(&process, directory, name, (uint8_t)seed);
    process.control.clock_domain = domain;
    synthetic_class(&process, PUT, "call", "put", 0, "");
    synthetic_ring_open(&ring, &process, 0, SEGMENT_BYTES, 0);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        const uint64_t t1 = sent_ns((int)i) + (uint64_t)ahead_ns;
        if (has_sent)
            call_store(&ring, PUT,
                       &(struct lap_format_call){.span_id = 2 * i + seed % 2,
                                                 .sent_ticks = t1,
                                                 .got_ticks = t1 + 500,
                                                 .flags = LAP_FORMAT_CALL_ONE_WAY});
        if (has_received)
            serve_store(&ring, 2 * i + (seed + 1) % 2, t1 + way_ns(i));
    }
    client_close(&process, &ring);
}

static void one_way_check(bool is_both)
{
    struct lap_recording *recording;
    one_way_write("client", CLIENT, 1, 0, true, is_both);
    one_way_write("server", SERVER, 2, AHEAD_ONE_WAY_NS, is_both, true);
    struct lap_calls *const calls = make(&recording, LAP_SUMMARY_BY_ALL);
    assert_int_equal(calls->one_way, MESSAGES * (1 + is_both));
    assert_true(calls->count == calls->one_way && calls->silent == 0 && calls->answered == 0);
    assert_true(calls->kinds[0].one_way == calls->one_way && calls->kinds[0].times[LAP_CALLS_ANSWERED].count == 0);
    assert_int_equal(calls->clock_count, 1 + is_both);
    for (size_t i = 0; i < calls->clock_count; i++) {
        const struct lap_calls_clock *const clock = &calls->clocks[i];
        const int64_t theta_ns = clock->client == CLIENT ? AHEAD_ONE_WAY_NS : -AHEAD_ONE_WAY_NS;
        assert_true(clock->calls == MESSAGES && clock->left_out == 0 && clock->has_offset && !clock->is_same);
        assert_true(isinf(clock->error_ns)); /* it is not bounded from below: what is told is the bound */
        assert_true(fabs((double)(clock->theta_ns - theta_ns) - most_ns()) < 10);
    }
    lap_calls_free(calls);
    lap_recording_free(recording);
}

static void test_one_way(void **state)
{
    (void)state;
    one_way_check(false);
}

static void test_both_ways(void **state)
{
    (void)state;
    one_way_check(true);
}

static void test_order(void **state)
{
    (void)state;
    enum { SECONDS = 300 };
    struct synthetic client;
    struct synthetic_ring rings[2];
    client_open(&client, &rings[0]);
    client.control.end = (struct lap_format_clock_reading){SYNTHETIC_START + SECONDS * UINT64_C(1000000000),
                                                           4000000000 + SECONDS * UINT64_C(1000000000),
                                                           SYNTHETIC_REALTIME + SECONDS * UINT64_C(1000000000), 50};
    synthetic_ring_open(&rings[1], &client, 1, SEGMENT_BYTES, 0);
    for (int i = 0; i < SECONDS - 1; i++) {
        const uint64_t sent = SYNTHETIC_START + 2000 + (uint64_t)i * 1000000000;
        call_store(&rings[i % 2], GET,
                   &(struct lap_format_call){.sent_ticks = sent,
                                             .received_ticks = sent + 5000,
                                             .replied_ticks = sent + 6000,
                                             .got_ticks = sent + 9000,
                                             .peer_domain = SERVER,
                                             .peer_khz = 1000000});
    }
    synthetic_apply(&rings[1]);
    synthetic_ring_close(&rings[1]);
    client_close(&client, &rings[0]);
    struct lap_recording *recording;
    struct lap_calls *const calls = make(&recording, LAP_SUMMARY_BY_THREAD);
    assert_int_equal(calls->kind_count, 2);
    assert_int_equal(calls->kinds[0].count, SECONDS / 2);
    assert_int_equal(calls->clock_count, 1);
    assert_int_equal(calls->clocks[0].calls, SECONDS - 1);
    assert_int_equal(calls->clocks[0].left_out, 0);
    assert_true(calls->clocks[0].windows > 3 && calls->clocks[0].step_count == 0);
    lap_calls_free(calls);
    lap_recording_free(recording);
}

/* Whatever the events hold, the counts are right, no time is negative, and the parts add up. */
static void test_anything(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,          1,          SYNTHETIC_START,   SYNTHETIC_START + 5000,
                                      1u << 31,   UINT64_MAX, UINT64_C(1) << 63, SYNTHETIC_START + UINT64_C(9000000000),
                                      UINT32_MAX, CLIENT};
    enum { COUNT = 20000, VALUES = sizeof values / sizeof *values };
    struct synthetic client;
    struct synthetic_ring ring;
    client_open(&client, &ring);
    uint64_t seed = 1;
    for (int i = 0; i < COUNT; i++) {
        uint64_t words[sizeof(struct lap_format_call) / 8];
        for (size_t word = 0; word < sizeof words / 8; word++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            words[word] = values[(seed >> 40) % VALUES];
        }
        words[offsetof(struct lap_format_call, flags) / 8] &= ~(uint64_t)LAP_FORMAT_CALL_PART; /* which is no call */
        synthetic_event(&ring, 10, i % 2 ? GET : PUT, words, sizeof words / 8);
    }
    client_close(&client, &ring);
    struct lap_recording *recording;
    struct lap_calls *const calls = make(&recording, LAP_SUMMARY_BY_THREAD);
    assert_int_equal(calls->count, COUNT);
    assert_int_equal(calls->kind_count, 2);
    assert_int_equal(calls->slowest_count, 3);
    assert_true(calls->answered > 100 && calls->answered + calls->silent + calls->refused + calls->one_way == COUNT);
    for (size_t i = 0; i < calls->kind_count; i++) {
        const struct lap_calls_kind *const kind = &calls->kinds[i];
        assert_true(kind->count == COUNT / 2 &&
                    kind->answered + kind->silent + kind->refused + kind->one_way == kind->count);
        assert_true(kind->thread && kind->process == kind->thread->process);
        for (int part = 0; part < LAP_CALLS_PARTS; part++)
            assert_true(kind->times[part].sum_ns >= 0 && kind->times[part].p50_ns <= kind->times[part].max_ns);
        assert_true(fabs(kind->times[LAP_CALLS_SERVER].sum_ns + kind->times[LAP_CALLS_BETWEEN].sum_ns -
                         kind->times[LAP_CALLS_ANSWERED].sum_ns) <= 1e-9 * kind->times[LAP_CALLS_ANSWERED].sum_ns);
    }
    lap_calls_free(calls);
    lap_recording_free(recording);
}

/* As many clocks as a peer likes to name: what they take has a bound. */
static void test_many_clocks(void **state)
{
    (void)state;
    enum { CLOCKS = LAP_CALLS_PAIRS + 44, EACH = 3 };
    struct synthetic client;
    struct synthetic_ring ring;
    client_open(&client, &ring);
    for (int i = 0; i < CLOCKS * EACH; i++)
        call_store(&ring, PUT,
                   &(struct lap_format_call){.sent_ticks = sent_ns(i),
                                             .received_ticks = sent_ns(i) + 1000,
                                             .replied_ticks = sent_ns(i) + 2000,
                                             .got_ticks = sent_ns(i) + 3000,
                                             .peer_domain = 1000u + (uint64_t)i % CLOCKS,
                                             .peer_khz = 1000000});
    client_close(&client, &ring);
    struct lap_recording *recording;
    struct lap_calls *const calls = make(&recording, LAP_SUMMARY_BY_ALL);
    assert_int_equal(calls->answered, CLOCKS * EACH);
    assert_int_equal(calls->clock_count, LAP_CALLS_PAIRS);
    assert_int_equal(calls->pairs_left_out, (CLOCKS - LAP_CALLS_PAIRS) * EACH);
    for (size_t i = 0; i < calls->clock_count; i++)
        assert_true(calls->clocks[i].calls == EACH &&
                    (double)llabs(calls->clocks[i].theta_ns) <= calls->clocks[i].error_ns + 1);
    lap_calls_free(calls);
    lap_recording_free(recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_clocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_clocks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
