/* SPDX-License-Identifier: MIT
 *
 * A second, small reader of recordings, written from doc/format.md and not from src/reader: what it finds is compared
 * with what the programs say that they stored, and its count with babeltrace2's.
 */
#ifndef TEST_STORED_EVENTS_H
#define TEST_STORED_EVENTS_H

#include "lapmark/format.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One event. Static for as long as its recording is loaded. */
struct stored_event {
    const char *name; /* of its class */
    const char *kind; /* "mark", "begin", "begin_with", "handle_begin", "handle_mark", "call"; "" for the fixed classes */
    const uint64_t *words;
    uint64_t ticks;
    uint64_t stream;
    uint64_t sequence;
    uint64_t thread_id;
    uint64_t thread_index;
    uint32_t class_id;
    int has_n;
    int64_t n;
    const uint64_t *values; /* n, then numeric arguments */
};

struct stored {
    struct lap_format_control control;
    struct stored_event *events; /* of each ring in order, one ring behind the other */
    size_t count;
    unsigned segments;
    uint64_t bytes; /* of segments' content */
    void *owned;
};

/* Reads DIR/<process>; fails the test where anything is not as the format says. */
struct stored *stored_load(const char *process_directory);
void stored_free(struct stored *stored);

/* How many events have this name; NULL: all. And how many of a kind. */
size_t stored_named(const struct stored *stored, const char *name);
size_t stored_of_kind(const struct stored *stored, const char *kind);
/* Losses that are lost events. */
uint64_t stored_lost(const struct stored *stored);

/* The events that babeltrace2 finds in a directory; fails the test where it does not read all of it. */
size_t babeltrace_count(const char *directory);
/* The same, and compared with stored_load. Returns the count. */
size_t babeltrace_agrees(const char *process_directory);
/* `lapmark check` finds nothing wrong: the statistics, too, are those of the events, where none was overwritten. */
void check_finds_it_sound(const char *process_directory);

#ifdef __cplusplus
}
#endif

#endif
