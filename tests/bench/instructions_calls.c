/* SPDX-License-Identifier: MIT
 *
 * Both sides of a call, in functions whose instructions valgrind counts with all that they call. usage: instructions_calls ITERATIONS
 */
#include <lapmark.h>
#include <stdlib.h>
#include <string.h>

static uint8_t reply[LAP_TRAILER_BYTES];

/* The reply of a server that works for no time: only its span and times change. */
static __attribute__((noinline)) void count_call(unsigned long iterations)
{
    char traceparent[LAP_TRACEPARENT_BYTES];
    for (unsigned long i = 0; i < iterations; i++) {
        struct lap_call call;
        lap_call_begin(&call, "a call");
        lap_traceparent_write(traceparent, &call.context);
        memcpy(reply + 8, call.context.span_id, 8);
        memcpy(reply + 16, &call.sent_ticks, 8);
        memcpy(reply + 24, &call.sent_ticks, 8);
        if (lap_call_end(&call, reply, sizeof reply) != 0)
            abort();
    }
}

static __attribute__((noinline)) void count_serve(unsigned long iterations, const uint8_t *request)
{
    for (unsigned long i = 0; i < iterations; i++) {
        struct lap_serve serve;
        if (lap_serve_begin(&serve, request, LAP_TRAILER_BYTES, 0, "a request") != 0 ||
            lap_serve_reply(&serve, reply) != LAP_TRAILER_BYTES)
            abort();
        lap_end(serve.handle);
    }
}

int main(int argc, char **argv)
{
    const unsigned long iterations = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    struct lap_call call;
    LAP_PROFILE("all");
    lap_call_begin(&call, "the request");
    for (unsigned i = 0; i < 2; i++) {
        const unsigned long count = i == 0 ? 1 : iterations;
        count_serve(count, call.request);
        count_call(count);
    }
    return 0;
}
