/* SPDX-License-Identifier: MIT
 *
 * What has to do with traces, for test_export_otlp.py: calls and who serves them, names that are asked for late, requests with but a
 * traceparent, messages, retries, batches. Prints "NAME TRACEPARENT" of what it was given a name for.
 * usage: steps traces | many COUNT
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char given[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static void say(const char *name, const struct lap_context *context)
{
    char text[LAP_TRACEPARENT_BYTES];
    lap_traceparent_write(text, context);
    printf("%s %s\n", name, text);
}

static void serve(struct lap_call *call, const char *by, void *reply)
{
    struct lap_serve serve;
    if (reply)
        lap_serve_begin(&serve, call->request, sizeof call->request, 0, "serve a call");
    else
        lap_serve_begin(&serve, call->request, sizeof call->request, 0, "take a message");
    lap_mark(serve.handle, "by %s", by);
    if (reply)
        lap_serve_reply(&serve, reply);
    lap_end(serve.handle);
}

/* A call without a parent has a trace of its own. */
static void calls(void)
{
    LAP_PROFILE("caller");
    struct lap_call call, message;
    uint8_t reply[LAP_TRAILER_BYTES];
    lap_call_begin(&call, "call");
    serve(&call, "a server", reply);
    lap_call_end(&call, reply, sizeof reply);
    say("call", &call.context);
    lap_call_begin(&message, "message");
    lap_call_sent(&message);
    serve(&message, "a receiver", NULL);
    say("message", &message.context);
    LAP_MARK("called");
}

/* Those inside are over, and written, before somebody asks what the one around them is called. */
static void late_name(void)
{
    struct lap_call call;
    const lap_handle named = lap_begin("named late");
    lap_end(lap_begin_with(LAP_OPTS(.parent = named), "inside the named"));
    const struct lap_context own = lap_handle_context(named);
    say("named", &own);
    lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = named, .parent = &own), "call of the named");
    lap_call_end(&call, NULL, 0);
    lap_end(named);
}

static void by_traceparent(void)
{
    struct lap_serve serve;
    struct lap_context context;
    lap_traceparent_read(&context, given, sizeof given - 1);
    lap_serve_begin(&serve, NULL, 0, 0, "serve a traceparent");
    lap_serve_parent(&serve, &context);
    lap_end(lap_begin_with(LAP_OPTS(.parent = serve.handle), "inside the served"));
    const struct lap_context own = lap_handle_context(serve.handle);
    say("served", &own);
    lap_end(serve.handle);
}

static void retry_and_batch(void)
{
    struct lap_call first, second;
    const lap_handle handle = lap_begin("client of both");
    lap_call_begin_with(&first, LAP_CALL_OPTS(.handle = handle), "attempt");
    lap_call_end(&first, NULL, 0);
    say("first", &first.context);
    lap_call_begin_with(&second, LAP_CALL_OPTS(.handle = handle, .follows = &first.context), "attempt");
    lap_call_end(&second, NULL, 0);
    say("second", &second.context);
    lap_end(handle);
    const lap_handle batch = lap_begin("batch");
    lap_link(batch, &first.context);
    lap_link(batch, &second.context);
    lap_end(batch);
}

static void many(int count)
{
    const lap_handle around = lap_begin("around many");
    for (int i = 0; i < count; i++) {
        struct lap_call call;
        lap_call_begin_with(&call, LAP_CALL_OPTS(.handle = around), "one of many calls");
        lap_call_end(&call, NULL, 0);
        lap_mark(around, "one of many checkpoints");
    }
    lap_end(around);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "many") == 0) {
        many(atoi(argv[2]));
        return 0;
    }
    calls();
    late_name();
    by_traceparent();
    retry_and_batch();
    return 0;
}
