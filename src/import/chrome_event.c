/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "chrome_event.h"

#include "foreign_times.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chrome_event {
    struct lap_foreign_trace *trace;
    const struct lap_json_value *value;
    const json_t *json, *arguments;
    uint32_t process, thread;
};

static const char *text_of(const json_t *object, const char *key, size_t *ret_bytes)
{
    const json_t *const value = json_object_get(object, key);
    *ret_bytes = json_string_length(value);
    return json_string_value(value);
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

/* Microseconds as nanoseconds. False: it is not there, or no time. */
static bool time_read(const json_t *value, const struct lap_json_number *number, int64_t *ret_ns)
{
    if (number->text && lap_foreign_us_parse(number->text, number->bytes, ret_ns))
        return true;
    if (json_is_string(value))
        return lap_foreign_us_parse(json_string_value(value), json_string_length(value), ret_ns);
    return json_is_number(value) && lap_foreign_us_round(json_number_value(value), ret_ns);
}

/* ---- who ----------------------------------------------------------------------------------------------------------- */

/* A number for a process or thread; one that is called by a text gets one that is made of it. */
static uint64_t number_of(const json_t *value, const char **ret_text, uint64_t otherwise)
{
    *ret_text = NULL;
    if (json_is_integer(value))
        return (uint64_t)json_integer_value(value);
    if (json_is_real(value) && json_real_value(value) > -0x1p63 && json_real_value(value) < 0x1p63)
        return (uint64_t)(int64_t)json_real_value(value);
    const char *const text = json_string_value(value);
    if (!text || !*text)
        return otherwise;
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 0);
    if (*end == 0 && errno == 0)
        return (uint64_t)number;
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001B3);
    *ret_text = text;
    return (hash ^ hash >> 32) & 0x3FFFFFFF;
}

static void who_read(struct chrome_event *event)
{
    struct lap_foreign_trace *const trace = event->trace;
    const char *text;
    const uint64_t pid = number_of(json_object_get(event->json, "pid"), &text, 0);
    event->process = lap_foreign_process(trace, pid);
    if (text && trace->code == 0 && trace->processes[event->process].name == LAP_FOREIGN_NONE)
        trace->processes[event->process].name = lap_foreign_name(trace, text, strlen(text));
    const uint64_t tid = number_of(json_object_get(event->json, "tid"), &text, pid);
    event->thread = lap_foreign_thread(trace, event->process, tid);
    if (text && trace->code == 0 && trace->threads[event->thread].name == LAP_FOREIGN_NONE)
        trace->threads[event->thread].name = lap_foreign_name(trace, text, strlen(text));
}

static void metadata_add(struct chrome_event *event)
{
    size_t bytes, name_bytes;
    const char *const what = text_of(event->json, "name", &bytes);
    const char *const name = text_of(event->arguments, "name", &name_bytes);
    if (!what || !name)
        return;
    const bool is_process = strcmp(what, "process_name") == 0;
    if (!is_process && strcmp(what, "thread_name") != 0)
        return;
    who_read(event);
    if (event->trace->code != 0)
        return;
    const uint32_t number = lap_foreign_name(event->trace, name, name_bytes);
    if (is_process)
        event->trace->processes[event->process].name = number;
    else
        event->trace->threads[event->thread].name = number;
}

/* ---- slices -------------------------------------------------------------------------------------------------------- */

static uint32_t name_read(const struct chrome_event *event, enum lap_foreign_kind kind)
{
    size_t bytes;
    const char *const name = text_of(event->json, "name", &bytes);
    if (name && bytes > 0)
        return lap_foreign_name(event->trace, name, bytes);
    return kind == LAP_FOREIGN_END ? LAP_FOREIGN_NONE : lap_foreign_name(event->trace, "(unnamed)", 9);
}

/* The argument n, else the only one if that is a whole number. 0: there is none that is positive. */
static int64_t problem_size_read(const struct chrome_event *event, size_t *ret_used)
{
    json_t *const arguments = (json_t *)(uintptr_t)event->arguments;
    const json_t *n = json_object_get(arguments, "n");
    if (!n && json_object_size(arguments) == 1)
        n = json_object_iter_value(json_object_iter(arguments));
    int64_t size = json_is_integer(n) ? json_integer_value(n) : 0;
    if (json_is_real(n) && n == json_object_get(arguments, "n") && json_real_value(n) >= 1 && json_real_value(n) < 0x1p62)
        size = (int64_t)json_real_value(n);
    *ret_used = size > 0;
    return size > 0 ? size : 0;
}

/* Slices with one category and id are on one track: of all processes, but for an id2's "local". */
static uint32_t async_track(const struct chrome_event *event)
{
    const json_t *const id2 = json_object_get(event->json, "id2"), *const local = json_object_get(id2, "local");
    const json_t *const global = json_object_get(id2, "global");
    const json_t *const id = local ? local : global ? global : json_object_get(event->json, "id");
    size_t bytes;
    const char *const category = text_of(event->json, "cat", &bytes), *const scope =
                                                                          text_of(event->json, "scope", &bytes);
    char number[32] = "";
    if (json_is_integer(id))
        snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(id));
    else if (json_is_real(id))
        snprintf(number, sizeof number, "%.17g", json_real_value(id));
    char *key;
    const int length =
        asprintf(&key, "a%c%" PRIu32 "%s\n%s\n%s", local ? 'l' : 'g', local ? event->process : 0,
                 category ? category : "", scope ? scope : "", json_is_string(id) ? json_string_value(id) : number);
    if (length < 0) {
        event->trace->code = -ENOMEM;
        return 0;
    }
    const uint32_t track = lap_foreign_track(event->trace, key, (size_t)length);
    free(key);
    return track;
}

static void slice_add(struct chrome_event *event, enum lap_foreign_kind kind, bool is_async)
{
    struct lap_foreign_trace *const trace = event->trace;
    struct lap_foreign_event made = {.kind = kind, .duration_ns = kind == LAP_FOREIGN_WHOLE ? LAP_FOREIGN_STILL_OPEN : 0};
    const json_t *const duration = json_object_get(event->json, "dur");
    if (!time_read(json_object_get(event->json, "ts"), &event->value->ts, &made.ns) ||
        (kind == LAP_FOREIGN_WHOLE && duration && !time_read(duration, &event->value->dur, &made.duration_ns))) {
        trace->left_out[LAP_FOREIGN_UNTIMED]++;
        return;
    }
    who_read(event);
    size_t used;
    made.n = problem_size_read(event, &used);
    trace->left_out[LAP_FOREIGN_ARGUMENTS] += kind != LAP_FOREIGN_MARK && json_object_size(event->arguments) > used;
    made.name = name_read(event, kind);
    made.thread = is_async ? lap_foreign_no_thread(trace, event->process) : event->thread;
    made.track = is_async ? async_track(event) : lap_foreign_thread_track(trace, event->thread);
    if (trace->code == 0)
        lap_foreign_add(trace, &made);
}

static enum lap_foreign_left_out left_out_as(char phase)
{
    switch (phase) {
    case 'i':
    case 'I':
    case 'R': return LAP_FOREIGN_INSTANTS;
    case 'C': return LAP_FOREIGN_COUNTERS;
    case 's':
    case 't':
    case 'f': return LAP_FOREIGN_FLOWS;
    case 'N':
    case 'O':
    case 'D': return LAP_FOREIGN_OBJECTS;
    case 'P': return LAP_FOREIGN_SAMPLES;
    case 'v':
    case 'V': return LAP_FOREIGN_DUMPS;
    case 'T':
    case 'p': return LAP_FOREIGN_STEPS;
    default: return LAP_FOREIGN_OTHERS;
    }
}

void lap_chrome_event_add(struct lap_foreign_trace *trace, const struct lap_json_value *value)
{
    struct chrome_event event = {
        .trace = trace, .value = value, .json = value->json, .arguments = json_object_get(value->json, "args")};
    size_t bytes;
    const char *const phase = text_of(event.json, "ph", &bytes);
    const char kind = (char)(phase && bytes == 1 ? *phase : 0);
    switch (kind) {
    case 'B': slice_add(&event, LAP_FOREIGN_BEGIN, false); break;
    case 'E': slice_add(&event, LAP_FOREIGN_END, false); break;
    case 'X': slice_add(&event, LAP_FOREIGN_WHOLE, false); break;
    case 'b':
    case 'S': slice_add(&event, LAP_FOREIGN_BEGIN, true); break;
    case 'e':
    case 'F': slice_add(&event, LAP_FOREIGN_END, true); break;
    case 'n': slice_add(&event, LAP_FOREIGN_MARK, true); break;
    case 'M': metadata_add(&event); break;
    default: trace->left_out[left_out_as(kind)]++;
    }
}
