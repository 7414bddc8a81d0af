/* SPDX-License-Identifier: MIT
 *
 * The stored events one by one, fixed classes included, as any reader of the Common Trace Format would list them.
 */
#ifndef LAP_EVENTS_H
#define LAP_EVENTS_H

#include "cursor.h"
#include "recording.h"

#include <stddef.h>
#include <stdint.h>

enum lap_field_type {
    LAP_FIELD_U64 = 0,
    LAP_FIELD_I64 = 1,
    LAP_FIELD_F64 = 2,
    LAP_FIELD_STRING = 3,
    LAP_FIELD_POINTER = 4
};

/* A field of the payload, named as in the metadata. */
struct lap_field {
    const char *name;
    enum lap_field_type type;
    uint32_t length_bytes; /* of a string, which is ended by 0 too */
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
        const char *string; /* any bytes but 0 */
    } value;
};
#define LAP_EVENT_FIELDS 32u

struct lap_event_item {
    const struct lap_process *process;
    const struct lap_ring *ring;
    const struct lap_thread *thread; /* as of this event; NULL if unknown */
    const char *name;                /* as in the metadata: the label, "(checkpoint)", "end", "pause" ... */
    const struct lap_class *class;
    const struct lap_description *description;
    const uint64_t *words; /* the event itself */
    uint32_t class_id;
    uint32_t depth; /* open scopes of the thread behind this event */
    uint64_t ticks;
    uint64_t realtime_ns;
    uint64_t sequence; /* of its segment */
    uint32_t offset;   /* in it, in bytes */
    uint32_t field_count;
    struct lap_field fields[LAP_EVENT_FIELDS];
};

struct lap_events;

/* In ring order or by time; `wanted` as for lap_merge_make(). */
int lap_events_make(struct lap_events **ret_events, struct lap_recording *recording, enum lap_merge_order order,
                    bool (*wanted)(void *user, const struct lap_ring *ring), void *user);
/* The next event: 1, or 0 at the end, or a negative errno. The item's pointers live until the next call. */
int lap_events_next(struct lap_events *events, struct lap_event_item *ret_item);
void lap_events_free(struct lap_events *events);

/* The fields of any event whose size has been checked (as in a visitor). Returns how many. */
uint32_t lap_event_fields(const uint64_t *words, const struct lap_class *class, const struct lap_description *description,
                          struct lap_field fields[LAP_EVENT_FIELDS]);

#endif
