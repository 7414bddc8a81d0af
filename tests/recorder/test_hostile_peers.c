/* SPDX-License-Identifier: MIT
 *
 * Peers that send anything: a trailer is refused and counted, or its figures are sound. What is read ends at a page that is not there.
 */
#define _GNU_SOURCE
#include "run_case.h"
#include "stored_events.h"

#include <lapmark.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where the parts of a trailer lie. */
enum { VERSION = 2, LENGTH = 3, REPLY_SPAN = 8, RECEIVED = 16, REPLIED = 24, DOMAIN = 32, QUEUE_US = 40, KHZ = 44 };
enum { REQUEST_TRACE = 8, REQUEST_SPAN = 24 };
enum { REPLY_MAX = 16 * 1024 };

static uint8_t *page_end;
static size_t page_bytes;
static unsigned refused;

static int pages_make(void)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = (REPLY_MAX + page_bytes - 1) / page_bytes * page_bytes;
    uint8_t *const pages = mmap(NULL, bytes + page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + bytes, page_bytes, PROT_NONE) < 0)
        return -1;
    page_end = pages + bytes;
    return 0;
}

/* A copy that ends where the memory does. */
static uint8_t *at_end(const uint8_t *trailer, size_t bytes)
{
    memset(page_end - 512, 0x5a, 512);
    memcpy(page_end - bytes, trailer, bytes < LAP_TRAILER_BYTES ? bytes : LAP_TRAILER_BYTES);
    return page_end - bytes;
}

static void put(uint8_t *trailer, unsigned offset, uint64_t value, size_t bytes)
{
    memcpy(trailer + offset, &value, bytes);
}

static uint64_t take(const uint8_t *trailer, unsigned offset)
{
    uint64_t value;
    memcpy(&value, trailer + offset, sizeof value);
    return value;
}

/* ---- a hostile server ------------------------------------------------------------------------------------------------ */

/* A call that is out, and a good reply to it. */
static void call_out(struct lap_call *call, uint8_t *reply)
{
    struct lap_serve serve;
    lap_call_begin(call, "call");
    lap_impl_serve_begin(&serve, 0, call->request, sizeof call->request, 0);
    spend_us(5);
    if (lap_serve_reply(&serve, reply) != LAP_TRAILER_BYTES)
        abort();
}

/* Figures add up; with an error there is none but the total. */
static int is_sound(const struct lap_call *call, int error)
{
    const struct lap_split *const split = &call->split;
    const uint64_t sum = split->server_ns + split->between_ns, ways = split->there_ns + split->back_ns;
    if (split->total_ns == 0 || split->reserved != 0)
        return 0;
    if (error < 0)
        return sum == 0 && ways == 0 && split->queue_ns == 0 && split->flags == 0;
    if (!(split->flags & LAP_SPLIT_SERVER) || sum > split->total_ns || sum + 1 < split->total_ns ||
        split->queue_ns > split->server_ns)
        return 0;
    return split->flags & LAP_SPLIT_WAYS ? ways <= split->between_ns + 1 && ways + 2 >= split->between_ns : ways == 0;
}

/* Ends the call with that. Aborts where what comes of it is not sound. */
static int end_with(struct lap_call *call, const uint8_t *reply, size_t bytes)
{
    const int error = lap_call_end(call, at_end(reply, bytes), bytes);
    if (!is_sound(call, error) || (error != 0 && error != -ENOMSG && error != -EBADMSG && error != -EPROTO)) {
        printf("error %d, flags %u, total %llu\n", error, call->split.flags, (unsigned long long)call->split.total_ns);
        fflush(stdout);
        abort();
    }
    refused += error != 0 && error != -ENOMSG;
    return error;
}

/* Behind a good reply, such notes. Aborts unless that is counted once, or is right. */
static int with_notes(const uint8_t *notes, size_t bytes, int is_bad)
{
    struct lap_call call;
    uint8_t reply[LAP_TRAILER_BYTES];
    call_out(&call, reply);
    uint8_t *const at = at_end(reply, sizeof reply + bytes);
    memcpy(at + sizeof reply, notes, bytes);
    const int error = lap_call_end(&call, at, sizeof reply + bytes);
    if (error != 0 || !is_sound(&call, error))
        abort();
    refused += is_bad != 0;
    return 0;
}

/* A lap among notes; returns its bytes. */
static size_t lap_put(uint8_t *out, uint64_t sum_ns, uint32_t count, const char *label, size_t label_bytes)
{
    out[0] = 2;
    out[1] = (uint8_t)(12 + label_bytes);
    memcpy(out + 2, &sum_ns, 8);
    memcpy(out + 10, &count, 4);
    memcpy(out + 14, label, label_bytes);
    return 14 + label_bytes;
}

static int replies_with_notes(void)
{
    static uint8_t notes[REPLY_MAX];
    const char terminal[] = "\x1b]0;title\a\x1b[2J\r\n", turned[] = "\u202Edesrever\u2066\u200F\u061C";
    const char none[] = "\xff\xfe\xc3\x28\xed\xa0\x80";
    size_t used = lap_put(notes, 1000, 1, terminal, sizeof terminal - 1);
    used += lap_put(notes + used, 1000, 1, turned, sizeof turned - 1);
    used += lap_put(notes + used, 1000, 1, none, sizeof none - 1);
    with_notes(notes, used, 0);
    LAP_MARK("labels");
    /* Sums that cannot be: each, or all together. */
    with_notes(notes, lap_put(notes, UINT64_MAX, 1, "for ever", 8), 1);
    with_notes(notes, lap_put(notes, UINT64_C(1) << 50, 1, "long", 4), 1);
    with_notes(notes, lap_put(notes, 1000, 0, "none", 4), 1);
    LAP_MARK("sums");
    /* A thousand laps; a label as long as a length can say; notes that end past the notes. */
    for (used = 0; used < 1000 * 15;)
        used += lap_put(notes + used, 1, 1, "x", 1);
    with_notes(notes, used, 1);
    memset(notes, 'x', sizeof notes);
    notes[0] = 2, notes[1] = 255;
    with_notes(notes, 257, 1);
    with_notes(notes, 200, 1);
    notes[1] = 198; /* to the last byte */
    with_notes(notes, 200, 1);
    notes[0] = 77; /* which nobody knows */
    with_notes(notes, 200, 0);
    with_notes(notes, 199, 1);
    notes[0] = 0;
    with_notes(notes, 200, 0);
    LAP_MARK("lengths");
    return 0;
}

/* The result with a good reply of which one part is another. */
static int with_part(unsigned offset, uint64_t value, size_t bytes)
{
    struct lap_call call;
    uint8_t reply[LAP_TRAILER_BYTES];
    call_out(&call, reply);
    put(reply, offset, value, bytes);
    return end_with(&call, reply, sizeof reply);
}

static int replies_flipped(void)
{
    for (unsigned i = 0; i < LAP_TRAILER_BYTES; i++)
        for (unsigned bit = 0; bit <= 8; bit++) {
            struct lap_call call;
            uint8_t reply[LAP_TRAILER_BYTES];
            call_out(&call, reply);
            reply[i] ^= bit == 8 ? 0xffu : (uint8_t)(1u << bit);
            const int error = end_with(&call, reply, sizeof reply);
            if (i < 4 && error != -EBADMSG)
                return 1;
            if (i >= REPLY_SPAN && i < REPLY_SPAN + 8 && error != -EPROTO)
                return 2;
            /* Times that are off by 2^40 ticks and more. */
            if (((i >= RECEIVED + 5 && i < RECEIVED + 8) || (i >= REPLIED + 5 && i < REPLIED + 8)) && error != -EBADMSG)
                return 3;
        }
    return 0;
}

static int replies_cut(void)
{
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        struct lap_call call;
        uint8_t reply[LAP_TRAILER_BYTES];
        call_out(&call, reply);
        const int wanted = bytes == 0 ? -ENOMSG : bytes < LAP_TRAILER_BYTES ? -EBADMSG : 0;
        if (end_with(&call, reply, bytes) != wanted)
            return 1;
        refused += bytes > LAP_TRAILER_BYTES; /* what is behind it is no notes */
    }
    return 0;
}

static int replies_wrong(void)
{
    struct lap_call call, other;
    uint8_t reply[LAP_TRAILER_BYTES], bytes[LAP_TRAILER_BYTES];
    if (with_part(VERSION, 99, 1) != -EBADMSG || with_part(LENGTH, 64, 1) != -EBADMSG ||
        with_part(VERSION, 0, 1) != -EBADMSG)
        return 1;
    if (with_part(RECEIVED, 0, 8) != -EBADMSG || with_part(REPLIED, 0, 8) != -EBADMSG ||
        with_part(REPLIED, UINT64_MAX, 8) != -EBADMSG)
        return 2;
    if (with_part(KHZ, 0, 4) != -EBADMSG || with_part(KHZ, UINT32_MAX, 4) != -EBADMSG || with_part(KHZ, 1, 4) != -EBADMSG)
        return 3;
    if (with_part(QUEUE_US, UINT32_MAX, 4) != -EBADMSG || with_part(QUEUE_US, 1000000, 4) != -EBADMSG)
        return 4;
    /* Replied before it was received, also where the difference wraps; longer than the whole call. */
    call_out(&call, reply);
    put(reply, REPLIED, take(reply, RECEIVED) - 1, 8);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG)
        return 5;
    call_out(&call, reply);
    put(reply, RECEIVED, UINT64_MAX - 10, 8);
    put(reply, REPLIED, 5, 8);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG)
        return 6;
    call_out(&call, reply);
    put(reply, REPLIED, take(reply, REPLIED) + (UINT64_C(1) << 40), 8);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG)
        return 7;
    /* Another call's; a request; nothing but ones, and zeros: those are a peer that says nothing. */
    call_out(&other, bytes);
    call_out(&call, reply);
    if (end_with(&call, bytes, sizeof bytes) != -EPROTO || end_with(&other, reply, sizeof reply) != -EPROTO)
        return 8;
    call_out(&call, reply);
    if (end_with(&call, call.request, sizeof call.request) != -EBADMSG)
        return 9;
    call_out(&call, reply);
    memset(reply, 0xff, sizeof reply);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG)
        return 10;
    call_out(&call, reply);
    memset(reply, 0, sizeof reply);
    return end_with(&call, reply, sizeof reply) == -ENOMSG ? 0 : 11;
}

/* A peer that says that its clock is ours, with times that are not of it. */
static int replies_of_our_clock(void)
{
    struct lap_call call;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_share(LAP_SHARE_DOMAIN);
    call_out(&call, reply);
    if (end_with(&call, reply, sizeof reply) != 0 || !(call.split.flags & LAP_SPLIT_WAYS))
        return 1;
    /* Of another time altogether: there are no ways, and what it took is right all the same. */
    const uint64_t moves[] = {UINT64_C(1) << 50, 0 - (UINT64_C(1) << 20)};
    for (unsigned i = 0; i < 2; i++) {
        call_out(&call, reply);
        put(reply, RECEIVED, take(reply, RECEIVED) + moves[i], 8);
        put(reply, REPLIED, take(reply, REPLIED) + moves[i], 8);
        if (end_with(&call, reply, sizeof reply) != 0 || call.split.flags & LAP_SPLIT_WAYS || call.split.server_ns < 4500)
            return 2;
    }
    /* Its rate is ours, whatever it says of it: it cannot have worked for longer than we have waited. */
    call_out(&call, reply);
    put(reply, REPLIED, take(reply, RECEIVED) + (UINT64_C(1) << 28), 8); /* 3 ms by the rate that it says */
    put(reply, KHZ, 100000000, 4);
    spend_us(4000);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG && call.split.total_ns < 20000000)
        return 3;
    lap_share(0);
    return 0;
}

static int replies_random(void)
{
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct lap_call call;
        uint8_t reply[LAP_TRAILER_BYTES];
        call_out(&call, reply);
        for (int changes = rand_r(&seed) % 6; changes >= 0; changes--) {
            const unsigned at = (unsigned)rand_r(&seed) % LAP_TRAILER_BYTES;
            if (at >= 4 && (at < REPLY_SPAN || at >= REPLY_SPAN + 8))
                reply[at] = (uint8_t)(rand_r(&seed) % 3 == 0 ? 0xff * (rand_r(&seed) % 2) : rand_r(&seed));
        }
        end_with(&call, reply, sizeof reply);
    }
    return 0;
}

static int case_replies(void)
{
    int (*const parts[])(void) = {replies_flipped, replies_cut, replies_wrong, replies_of_our_clock, replies_random};
    if (pages_make() < 0)
        return 1;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        LAP_PROFILE("client");
        const int result = parts[i]();
        if (result != 0)
            return (int)(i + 1) * 20 + result;
        LAP_MARK("replies");
    }
    printf("%u\n", refused);
    return 0;
}

static int case_notes(void)
{
    LAP_PROFILE("client");
    const int result = pages_make() < 0 ? 1 : replies_with_notes();
    printf("%u\n", refused);
    return result;
}

/* Any bytes behind a good trailer. */
static int case_notes_random(void)
{
    if (pages_make() < 0)
        return 1;
    LAP_PROFILE("client");
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct lap_call call;
        uint8_t reply[LAP_TRAILER_BYTES];
        const size_t bytes = (size_t)rand_r(&seed) % 220;
        call_out(&call, reply);
        uint8_t *const at = at_end(reply, sizeof reply + bytes);
        for (size_t k = 0; k < bytes; k++)
            at[sizeof reply + k] = (uint8_t)(rand_r(&seed) % 3 ? rand_r(&seed) % 24 : rand_r(&seed));
        if (lap_call_end(&call, at, sizeof reply + bytes) != 0)
            return 1;
    }
    return 0;
}

/* ---- a hostile client ------------------------------------------------------------------------------------------------ */

/* Serves it. What has no sound trailer is served like any other, and gets a reply of zeros. */
static int serve(const uint8_t *request, size_t bytes, uint64_t arrived)
{
    struct lap_serve serve;
    uint8_t reply[LAP_TRAILER_BYTES];
    static const uint8_t zeros[LAP_TRAILER_BYTES];
    const int error = lap_serve_begin(&serve, at_end(request, bytes), bytes, arrived, "serve");
    const uint64_t replied = lap_serve_reply(&serve, reply);
    if (serve.handle == 0)
        abort();
    lap_end(serve.handle);
    if (error < 0 && (replied != 0 || memcmp(reply, zeros, sizeof zeros) != 0 || lap_context_is_valid(&serve.context)))
        abort();
    if (error == 0 && (replied != sizeof reply || memcmp(reply + REPLY_SPAN, request + REQUEST_SPAN, 8) != 0 ||
                       !lap_context_is_valid(&serve.context)))
        abort();
    if (error != 0 && error != -ENOMSG && error != -EBADMSG)
        abort();
    refused += error == -EBADMSG;
    return error;
}

static int case_requests(void)
{
    struct lap_call call;
    uint8_t request[LAP_TRAILER_BYTES], reply[LAP_TRAILER_BYTES];
    if (pages_make() < 0)
        return 1;
    lap_call_begin(&call, "call");
    for (unsigned i = 0; i < LAP_TRAILER_BYTES; i++)
        for (unsigned bit = 0; bit <= 8; bit++) {
            memcpy(request, call.request, sizeof request);
            request[i] ^= bit == 8 ? 0xffu : (uint8_t)(1u << bit);
            if (serve(request, sizeof request, 0) != (i < 4 ? -EBADMSG : 0))
                return 2;
        }
    for (size_t bytes = 0; bytes <= 64; bytes++)
        if (serve(call.request, bytes, 0) != (bytes == 0 ? -ENOMSG : bytes < LAP_TRAILER_BYTES ? -EBADMSG : 0))
            return 3;
    memset(request, 0xff, sizeof request);
    if (serve(request, sizeof request, 0) != -EBADMSG)
        return 4;
    memset(request, 0, sizeof request);
    if (serve(request, sizeof request, 0) != -ENOMSG)
        return 5;
    /* Ids that are none. */
    memcpy(request, call.request, sizeof request);
    memset(request + REQUEST_TRACE, 0, 16);
    if (serve(request, sizeof request, 0) != -EBADMSG)
        return 6;
    memcpy(request, call.request, sizeof request);
    memset(request + REQUEST_SPAN, 0, 8);
    if (serve(request, sizeof request, 0) != -EBADMSG)
        return 7;
    call_out(&call, reply);
    if (serve(reply, sizeof reply, 0) != -EBADMSG)
        return 8;
    /* Arrivals that cannot be: in the future it is the begin; long ago is what the client refuses. */
    struct lap_serve served;
    lap_serve_begin(&served, call.request, sizeof call.request, UINT64_MAX, "serve");
    lap_serve_reply(&served, reply);
    lap_end(served.handle);
    if (served.received_ticks != served.begin_ticks || end_with(&call, reply, sizeof reply) != 0 ||
        call.split.queue_ns != 0)
        return 9;
    lap_call_begin(&call, "call");
    lap_serve_begin(&served, call.request, sizeof call.request, 1, "serve");
    lap_serve_reply(&served, reply);
    lap_end(served.handle);
    if (end_with(&call, reply, sizeof reply) != -EBADMSG)
        return 10;
    unsigned seed = 1;
    for (int i = 0; i < 2000; i++) {
        memcpy(request, call.request, sizeof request);
        for (int changes = rand_r(&seed) % 20; changes >= 0; changes--)
            request[4 + rand_r(&seed) % (LAP_TRAILER_BYTES - 4)] = (uint8_t)rand_r(&seed);
        serve(request, sizeof request, (uint64_t)rand_r(&seed) << 20);
    }
    printf("%u\n", refused);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------------------------ */

static void check_case(const char *name)
{
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case(name, variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    const unsigned long counted = strtoul(outcome.out, NULL, 10);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_true(counted > 50);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], counted);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

static void test_replies(void **state)
{
    (void)state;
    check_case("replies");
}

/* Of a label that would write elsewhere on a terminal nothing but its escapes comes out, printed or stored. */
static void test_notes(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("notes", variable("LAPMARK_RECORD", directory), NULL);
    assert_ended_well(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    const char *const labels = "\\x1b]0;title\\x07\\x1b[2J\\r\\n 0.00100";
    assert_non_null(strstr(outcome.err, labels));
    assert_non_null(strstr(outcome.err, "\\xe2\\x80\\xaedesrever\\xe2\\x81\\xa6\\xe2\\x80\\x8f\\xd8\\x9c 0.00100"));
    assert_non_null(strstr(outcome.err, "\\xff\\xfe\\xc3(\\xed\\xa0\\x80 0.00100"));
    for (const char *at = outcome.err; *at; at++)
        assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
    assert_non_null(strstr(lapmark_says("show", process, NULL), labels));
    struct stored *const stored = stored_load(process);
    assert_int_equal(stored->control.losses[LAP_FORMAT_LOSS_TRAILER], strtoul(outcome.out, NULL, 10));
    assert_int_equal(stored_named(stored, "lapmark:peer_lap"), 3 + 1); /* of a thousand of one label, the first four */
    for (size_t i = 0; i < stored->count; i++) {
        const struct lap_format_peer_lap *const told = (const void *)(stored->events[i].words + 1);
        for (const char *at = (const char *)(told + 1); stored->events[i].class_id == LAP_FORMAT_PEER_LAP && *at; at++)
            assert_in_range(*at, 0x20, 0x7E);
    }
    stored_free(stored);
    outcome_free(&outcome);
}

static void test_notes_random(void **state)
{
    (void)state;
    const char *const directory = temporary_directory();
    struct outcome outcome = run_case("notes_random", variable("LAPMARK_RECORD", directory), "LAPMARK_PRINT=off", NULL);
    assert_ended_well(&outcome);
    outcome_free(&outcome);
    const char *const process = process_directory(directory, 0);
    babeltrace_agrees(process);
    check_finds_it_sound(process);
    struct stored *const stored = stored_load(process);
    assert_true(stored->control.losses[LAP_FORMAT_LOSS_TRAILER] > 10000);
    assert_int_equal(stored_lost(stored), 0);
    stored_free(stored);
}

static void test_requests(void **state)
{
    (void)state;
    check_case("requests");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(test_replies), cmocka_unit_test(test_notes),
                                     cmocka_unit_test(test_notes_random), cmocka_unit_test(test_requests)};
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {{"replies", case_replies},
                                             {"notes", case_notes},
                                             {"notes_random", case_notes_random},
                                             {"requests", case_requests},
                                             {NULL, NULL}};
    return run_cases_or_tests(argc, argv, cases, tests);
}
