/* SPDX-License-Identifier: MIT
 *
 * What peers send as trailers, to both sides of a call. Bytes: what is made right of it (enum right), then a trailer, of any length,
 * behind which there are notes. What of them is printed must be printable.
 */
#include "fuzz_place.h"

#include <lapmark.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So that bytes get past the first looks at them: nobody guesses an id of 64 bits. */
enum right {
    RIGHT_HEAD = 1,
    RIGHT_SPAN = 2,  /* of a request: it names the last one that was served */
    RIGHT_TIMES = 4, /* its times are differences to when the call was sent, of 24 bits */
    RIGHT_RATE = 8,
    RIGHT_DOMAIN = 16,
    IS_REQUEST = 32,
    SAYS_DOMAIN = 64,
    ACCEPTS = 128, /* what peers wish for */
    SAYS_LAPS = 8  /* of a request, which has no rate */
};
enum { REPLY_SPAN = 8, RECEIVED = 16, REPLIED = 24, DOMAIN = 32, KHZ = 44, LEVEL = 5, REQUEST_SPAN = 24 };
enum { WISH = 3, WISH_OFF = 1, NAMES_EARLIER = 128 };

static uint8_t good[LAP_TRAILER_BYTES]; /* a reply to the call */
static uint64_t last_served;
static int says_laps;

/* A call that is out, and that reply. */
static void call_out(struct lap_call *call)
{
    struct lap_serve serve;
    lap_call_begin(call, "call");
    fuzz_expect(call->is_open != 0, "a call that is off");
    fuzz_expect(lap_impl_serve_begin(&serve, 0, call->request, sizeof call->request, 0) == 0,
                "a request that is not served");
    fuzz_expect(lap_serve_reply(&serve, good) == sizeof good, "a request without a reply");
}

static void times_put(uint8_t *trailer, unsigned offset, uint64_t from)
{
    uint64_t ticks;
    memcpy(&ticks, trailer + offset, sizeof ticks);
    ticks = from + (ticks & 0xFFFFFF);
    memcpy(trailer + offset, &ticks, sizeof ticks);
}

static void make_right(uint8_t *trailer, unsigned right, const struct lap_call *call)
{
    const int is_request = (right & IS_REQUEST) != 0;
    if (right & RIGHT_HEAD)
        memcpy(trailer, is_request ? call->request : good, 4);
    if (is_request && right & RIGHT_SPAN) {
        trailer[LEVEL] |= NAMES_EARLIER;
        memcpy(trailer + DOMAIN, &last_served, sizeof last_served);
    }
    if (is_request)
        return;
    if (right & RIGHT_SPAN)
        memcpy(trailer + REPLY_SPAN, good + REPLY_SPAN, 8);
    if (right & RIGHT_TIMES) {
        times_put(trailer, RECEIVED, call->sent_ticks);
        times_put(trailer, REPLIED, call->sent_ticks);
    }
    if (right & RIGHT_DOMAIN)
        memcpy(trailer + DOMAIN, good + DOMAIN, 8);
    if (right & RIGHT_RATE)
        memcpy(trailer + KHZ, good + KHZ, 4);
}

/* Both parts of a whole, but for what is cut off each. */
static int is_sum(uint64_t whole, uint64_t one, uint64_t other)
{
    return one <= whole && other <= whole && one + other <= whole + 1 && one + other + 2 >= whole;
}

static void reply_check(struct lap_call *call, const uint8_t *trailer, size_t count)
{
    LAP_PROFILE("client");
    const int error = lap_call_end(call, trailer, count);
    LAP_MARK("reply");
    const struct lap_split *const split = &call->split;
    fuzz_expect(error == 0 || error == -ENOMSG || error == -EBADMSG || error == -EPROTO, "a code that is none of its");
    if (error != 0) {
        fuzz_expect((split->server_ns | split->queue_ns | split->between_ns | split->there_ns | split->back_ns |
                     split->flags) == 0,
                    "figures of a trailer that was refused");
    } else {
        fuzz_expect(split->flags & LAP_SPLIT_SERVER, "no figures of a trailer that was taken");
        fuzz_expect(is_sum(split->total_ns, split->server_ns, split->between_ns), "parts that are not the whole");
        fuzz_expect(split->queue_ns <= split->server_ns, "a queue that is longer than the server's time");
        if (split->flags & LAP_SPLIT_WAYS)
            fuzz_expect(is_sum(split->between_ns, split->there_ns, split->back_ns), "ways that are not what is between");
        else
            fuzz_expect((split->there_ns | split->back_ns) == 0, "ways that nobody knows");
    }
    fuzz_expect(lap_call_end(call, trailer, count) == -EINVAL, "a call that ends twice");
}

static void request_check(const uint8_t *trailer, size_t count, unsigned right)
{
    static const uint8_t zeros[LAP_TRAILER_BYTES];
    struct lap_serve serve;
    uint8_t out[LAP_REPLY_BYTES_MAX];
    char label[64] = "label of the server";
    const int error = lap_serve_begin(&serve, trailer, count, 0, "serve");
    memcpy(label, trailer, count < sizeof label - 1 ? count : sizeof label - 1);
    lap_mark(serve.handle, "plain %d", error);
    lap_mark_text(serve.handle, label);
    const uint64_t bytes = lap_serve_reply_notes(&serve, out, sizeof out);
    const int is_off = right & ACCEPTS && error == 0 && (trailer[LEVEL] & WISH) == WISH_OFF;
    fuzz_expect(is_off == (serve.handle == 0), "a profiler that is not as it should be");
    fuzz_expect(is_off || lap_end(serve.handle) != 0, "a request without a profiler");
    fuzz_expect(error == 0 || error == -ENOMSG || error == -EBADMSG, "a code that is none of its");
    if (error != 0) {
        fuzz_expect(bytes == 0 && memcmp(out, zeros, sizeof zeros) == 0 && !lap_context_is_valid(&serve.context),
                    "a reply to nothing");
        return;
    }
    const int has_laps = bytes > LAP_TRAILER_BYTES;
    fuzz_expect(count >= LAP_TRAILER_BYTES && bytes >= LAP_TRAILER_BYTES && bytes <= sizeof out &&
                    has_laps == (says_laps && !is_off) && lap_context_is_valid(&serve.context),
                "no reply");
    fuzz_expect(!has_laps || out[LAP_TRAILER_BYTES] == 2, "laps that are none");
    fuzz_expect(memcmp(out, good, 4) == 0 && memcmp(out + REPLY_SPAN, trailer + REQUEST_SPAN, 8) == 0 &&
                    memcmp(out + 5, zeros, 3) == 0,
                "a reply that is none");
    uint64_t received, replied;
    memcpy(&received, out + RECEIVED, sizeof received);
    memcpy(&replied, out + REPLIED, sizeof replied);
    fuzz_expect(received != 0 && received <= replied, "a reply before its request");
    memcpy(&last_served, trailer + REQUEST_SPAN, sizeof last_served);
    last_served = __builtin_bswap64(last_served);
}

/* Whatever peers have sent, a terminal is safe from it. */
static void print_nowhere(const char *text, uint64_t length_bytes, void *user)
{
    (void)user;
    for (uint64_t i = 0; i < length_bytes; i++)
        fuzz_expect((uint8_t)text[i] >= 0x20 ? text[i] != 0x7F : text[i] == '\n', "a report that is not printable");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    lap_sink_function(print_nowhere, NULL);
    const unsigned right = bytes[0];
    says_laps = (right & SAYS_LAPS) != 0;
    lap_share((right & SAYS_DOMAIN ? LAP_SHARE_DOMAIN : 0) | (says_laps ? LAP_SHARE_LAPS : 0));
    lap_accept(right & ACCEPTS ? LAP_ACCEPT_SLOW | LAP_ACCEPT_THRESHOLD : 0);
    struct lap_call call;
    call_out(&call);
    /* To the byte. */
    uint8_t *const trailer = malloc(count > 1 ? count - 1 : 1);
    if (!trailer)
        abort();
    memcpy(trailer, bytes + 1, count - 1);
    if (count > LAP_TRAILER_BYTES)
        make_right(trailer, right, &call);
    if (right & IS_REQUEST)
        request_check(trailer, count - 1, right);
    else
        reply_check(&call, trailer, count - 1);
    free(trailer);
    return 0;
}
