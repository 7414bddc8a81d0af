/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "foreign_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 48, HASH_BYTES = 19 };

bool lap_foreign_reserve(void *array, uint32_t count, uint32_t *room, size_t each)
{
    if (count < *room)
        return true;
    const uint32_t more = *room ? 2 * *room : 16;
    void *old;
    memcpy(&old, array, sizeof old);
    void *const result = more > *room ? realloc(old, more * each) : NULL;
    if (!result)
        return false;
    memcpy(array, &result, sizeof result);
    *room = more;
    return true;
}

uint32_t *lap_foreign_value(struct lap_foreign_trace *trace, const char *key, size_t bytes)
{
    const uint32_t before = trace->keys.count;
    const uint32_t number = trace->code == 0 ? lap_foreign_texts_put(&trace->keys, key, bytes) : LAP_FOREIGN_NONE;
    if (number == LAP_FOREIGN_NONE ||
        !lap_foreign_reserve(&trace->key_values, number, &trace->key_room, sizeof *trace->key_values)) {
        trace->code = -ENOMEM;
        return NULL;
    }
    if (number == before)
        trace->key_values[number] = LAP_FOREIGN_NONE;
    return &trace->key_values[number];
}

uint32_t lap_foreign_process(struct lap_foreign_trace *trace, uint64_t pid)
{
    char key[KEY_BYTES];
    uint32_t *const value = lap_foreign_value(trace, key, (size_t)snprintf(key, sizeof key, "p%" PRIu64, pid));
    if (!value || *value != LAP_FOREIGN_NONE)
        return value ? *value : 0;
    if (!lap_foreign_reserve(&trace->processes, trace->process_count, &trace->process_room, sizeof *trace->processes)) {
        trace->code = -ENOMEM;
        return 0;
    }
    trace->processes[trace->process_count] = (struct lap_foreign_process){.pid = pid, .name = LAP_FOREIGN_NONE};
    return *value = trace->process_count++;
}

static uint32_t thread_find(struct lap_foreign_trace *trace, char kind, uint32_t process, uint64_t tid)
{
    char key[KEY_BYTES];
    uint32_t *const value =
        lap_foreign_value(trace, key, (size_t)snprintf(key, sizeof key, "%c%" PRIu32 ".%" PRIu64, kind, process, tid));
    if (!value || *value != LAP_FOREIGN_NONE)
        return value ? *value : 0;
    if (!lap_foreign_reserve(&trace->threads, trace->thread_count, &trace->thread_room, sizeof *trace->threads)) {
        trace->code = -ENOMEM;
        return 0;
    }
    trace->threads[trace->thread_count] =
        (struct lap_foreign_thread){.process = process, .tid = tid, .name = LAP_FOREIGN_NONE, .track = LAP_FOREIGN_NONE};
    return *value = trace->thread_count++;
}

uint32_t lap_foreign_thread(struct lap_foreign_trace *trace, uint32_t process, uint64_t tid)
{
    return thread_find(trace, 't', process, tid);
}

uint32_t lap_foreign_no_thread(struct lap_foreign_trace *trace, uint32_t process)
{
    const uint32_t thread = thread_find(trace, 'n', process, 0);
    if (trace->code == 0 && trace->threads[thread].name == LAP_FOREIGN_NONE)
        trace->threads[thread].name = lap_foreign_name(trace, "(no thread)", 11);
    return thread;
}

static uint32_t track_add(struct lap_foreign_trace *trace, uint32_t thread)
{
    if (trace->code != 0 ||
        !lap_foreign_reserve(&trace->tracks, trace->track_count, &trace->track_room, sizeof *trace->tracks)) {
        trace->code = -ENOMEM;
        return 0;
    }
    trace->tracks[trace->track_count] = (struct lap_foreign_track){thread};
    return trace->track_count++;
}

uint32_t lap_foreign_thread_track(struct lap_foreign_trace *trace, uint32_t thread)
{
    if (trace->code != 0)
        return 0;
    if (trace->threads[thread].track == LAP_FOREIGN_NONE)
        trace->threads[thread].track = track_add(trace, thread);
    return trace->threads[thread].track;
}

uint32_t lap_foreign_track(struct lap_foreign_trace *trace, const char *key, size_t key_bytes)
{
    uint32_t *const value = lap_foreign_value(trace, key, key_bytes);
    if (value && *value == LAP_FOREIGN_NONE)
        *value = track_add(trace, LAP_FOREIGN_NONE);
    return value ? *value : 0;
}

/* No digit of it is a number that stands alone, of which names differ: it follows a letter that is none of ASCII's. */
static void hash_print(char *hash, const char *text, size_t bytes)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        value = (value ^ (unsigned char)text[i]) * UINT64_C(0x100000001B3);
    snprintf(hash, HASH_BYTES + 1,
             "\xE2\x80\xA6"
             "%016" PRIx64,
             value);
}

uint32_t lap_foreign_name(struct lap_foreign_trace *trace, const char *text, size_t bytes)
{
    char clean[LAP_FOREIGN_NAME_BYTES + 1], hash[HASH_BYTES + 1];
    const bool is_cut = bytes > LAP_FOREIGN_NAME_BYTES;
    const uint32_t before = trace->names.count;
    if (is_cut) {
        hash_print(hash, text, bytes);
        bytes = LAP_FOREIGN_NAME_BYTES - HASH_BYTES;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xC0) == 0x80)
            bytes--;
    }
    for (size_t i = 0; i < bytes; i++)
        clean[i] = (char)(text[i] != 0 ? text[i] : ' ');
    if (is_cut) {
        memcpy(clean + bytes, hash, HASH_BYTES);
        bytes += HASH_BYTES;
    }
    const uint32_t number = lap_foreign_texts_put(&trace->names, clean, bytes);
    if (number == LAP_FOREIGN_NONE)
        trace->code = -ENOMEM;
    trace->left_out[LAP_FOREIGN_NAME_ENDS] += is_cut && trace->names.count > before;
    return number;
}

void lap_foreign_add(struct lap_foreign_trace *trace, const struct lap_foreign_event *event)
{
    const bool is_open = event->duration_ns == LAP_FOREIGN_STILL_OPEN;
    const bool is_time = event->ns > LAP_FOREIGN_NS_MIN && event->ns < LAP_FOREIGN_NS_MAX;
    if (is_time && event->duration_ns < 0) {
        trace->left_out[LAP_FOREIGN_NEGATIVE]++;
        return;
    }
    if (!is_time || (!is_open && event->duration_ns >= LAP_FOREIGN_NS_MAX - event->ns)) {
        trace->left_out[LAP_FOREIGN_UNTIMED]++;
        return;
    }
    const int64_t end_ns = is_open ? event->ns : event->ns + event->duration_ns;
    if (trace->event_count == trace->event_room) {
        const size_t room = trace->event_room ? trace->event_room + trace->event_room / 2 : 1024;
        struct lap_foreign_event *const events =
            trace->code == 0 && room <= UINT32_MAX / 2 ? realloc(trace->events, room * sizeof *events) : NULL;
        if (!events) {
            trace->code = trace->code ? trace->code : -ENOMEM;
            return;
        }
        trace->events = events;
        trace->event_room = room;
    }
    if (trace->event_count == 0 || event->ns < trace->first_ns)
        trace->first_ns = event->ns;
    trace->is_fine |= event->ns % 1000 != 0 || end_ns % 1000 != 0;
    trace->events[trace->event_count++] = *event;
}

char *lap_foreign_left_out_text(const struct lap_foreign_trace *trace)
{
    static const char *const words[LAP_FOREIGN_LEFT_OUT][2] = {
        [LAP_FOREIGN_INSTANTS] = {"instant", "instants"},
        [LAP_FOREIGN_COUNTERS] = {"value of a counter", "values of counters"},
        [LAP_FOREIGN_FLOWS] = {"flow event", "flow events"},
        [LAP_FOREIGN_OBJECTS] = {"event of an object", "events of objects"},
        [LAP_FOREIGN_SAMPLES] = {"sample of a stack", "samples of stacks"},
        [LAP_FOREIGN_DUMPS] = {"dump of memory", "dumps of memory"},
        [LAP_FOREIGN_STEPS] = {"step of an asynchronous slice", "steps of asynchronous slices"},
        [LAP_FOREIGN_ARGUMENTS] = {"slice's arguments", "slices' arguments"},
        [LAP_FOREIGN_NAME_ENDS] = {"end of a long name", "ends of long names"},
        [LAP_FOREIGN_SCHEDULING] = {"bundle of kernel events", "bundles of kernel events"},
        [LAP_FOREIGN_COMPRESSED] = {"compressed packet", "compressed packets"},
        [LAP_FOREIGN_OTHERS] = {"event of another kind", "events of other kinds"},
        [LAP_FOREIGN_UNTIMED] = {"event without a sound time", "events without a sound time"},
        [LAP_FOREIGN_NEGATIVE] = {"slice that ends before it begins", "slices that end before they begin"},
        [LAP_FOREIGN_ORPHANS] = {"end without a begin", "ends without a begin"},
        [LAP_FOREIGN_UNNAMED] = {"slice whose name was lost", "slices whose names were lost"},
        [LAP_FOREIGN_INCOMPLETE] = {"packet that needs what was lost", "packets that need what was lost"},
        [LAP_FOREIGN_TOO_DEEP] = {"slice that is nested too deep", "slices that are nested too deep"},
        [LAP_FOREIGN_TOO_MANY] = {"slice beyond what a recording holds", "slices beyond what a recording holds"},
    };
    char *text = NULL;
    size_t bytes = 0;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    for (size_t i = 0; i < LAP_FOREIGN_LEFT_OUT; i++)
        if (trace->left_out[i] > 0)
            fprintf(out, "%s%" PRIu64 " %s", ftell(out) > 0 ? ", " : "", trace->left_out[i],
                    words[i][trace->left_out[i] != 1]);
    if (fclose(out) == 0 && bytes > 0)
        return text;
    free(text);
    return NULL;
}

void lap_foreign_done(struct lap_foreign_trace *trace)
{
    lap_foreign_texts_done(&trace->names);
    lap_foreign_texts_done(&trace->keys);
    free(trace->key_values);
    free(trace->processes);
    free(trace->threads);
    free(trace->tracks);
    free(trace->events);
}
