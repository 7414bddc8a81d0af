/* SPDX-License-Identifier: MIT */
#include "perfetto_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_OF_SEQUENCE = 64, LAST_OF_SEQUENCE = 127, KEY_BYTES = 64, SNAPSHOT_CLOCKS = 64 };

/* Clocks 64 to 127 are each sequence's own. */
static struct lap_perfetto_clock *clock_get(struct lap_perfetto *perfetto, uint32_t id)
{
    char key[KEY_BYTES];
    const bool is_own = id >= FIRST_OF_SEQUENCE && id <= LAST_OF_SEQUENCE;
    const int bytes = snprintf(key, sizeof key, "c%" PRIu64 ".%" PRIu32, is_own ? perfetto->sequence->id + 1 : 0, id);
    uint32_t *const value = lap_foreign_value(perfetto->trace, key, (size_t)bytes);
    if (!value)
        return NULL;
    if (*value != LAP_FOREIGN_NONE)
        return &perfetto->clocks[*value];
    if (!lap_foreign_reserve(&perfetto->clocks, perfetto->clock_count, &perfetto->clock_room, sizeof *perfetto->clocks)) {
        perfetto->trace->code = -ENOMEM;
        return NULL;
    }
    perfetto->clocks[perfetto->clock_count] = (struct lap_perfetto_clock){.unit_ns = 1};
    *value = perfetto->clock_count;
    return &perfetto->clocks[perfetto->clock_count++];
}

static int64_t in_ns(const struct lap_perfetto_clock *clock, uint64_t value)
{
    uint64_t ns;
    return __builtin_mul_overflow(value, clock->unit_ns, &ns) || ns > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)ns;
}

/* By the newest reading that is not behind it, else by the first. */
static bool by_trace_clock(const struct lap_perfetto_clock *clock, int64_t clock_ns, int64_t *ret_ns)
{
    if (clock->count == 0)
        return false;
    uint32_t at = clock->count - 1;
    while (at > 0 && clock->readings[at].clock_ns > clock_ns)
        at--;
    *ret_ns = clock->readings[at].trace_ns + (clock_ns - clock->readings[at].clock_ns);
    return true;
}

/* ---- snapshots ----------------------------------------------------------------------------------------------------- */

struct snapshot {
    uint32_t ids[SNAPSHOT_CLOCKS];
    uint64_t values[SNAPSHOT_CLOCKS];
    uint32_t count;
};

static bool clock_read(struct lap_perfetto *perfetto, struct snapshot *snapshot, struct lap_protobuf message)
{
    uint64_t id = 0, timestamp = 0, is_incremental = 0, unit_ns = 1;
    struct lap_protobuf_field field;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.type != LAP_PROTOBUF_VARINT)
            continue;
        if (field.number == 1)
            id = field.value;
        else if (field.number == 2)
            timestamp = field.value;
        else if (field.number == 3)
            is_incremental = field.value;
        else if (field.number == 4)
            unit_ns = field.value;
    }
    if (code < 0)
        return false;
    struct lap_perfetto_clock *const clock =
        id != 0 && id <= UINT32_MAX && snapshot->count < SNAPSHOT_CLOCKS ? clock_get(perfetto, (uint32_t)id) : NULL;
    if (!clock)
        return true;
    clock->is_incremental = is_incremental != 0;
    clock->unit_ns = unit_ns != 0 ? unit_ns : 1;
    clock->last = timestamp;
    snapshot->ids[snapshot->count] = (uint32_t)id;
    snapshot->values[snapshot->count++] = timestamp;
    return true;
}

/* The trace's clock at the moment of the snapshot: it is in it, or follows from one that is, or else is that of the first. */
static int64_t trace_time_of(struct lap_perfetto *perfetto, const struct snapshot *snapshot)
{
    int64_t ns = 0;
    for (uint32_t i = 0; i < snapshot->count; i++)
        if (snapshot->ids[i] == perfetto->trace_clock)
            return in_ns(clock_get(perfetto, snapshot->ids[i]), snapshot->values[i]);
    for (uint32_t i = 0; i < snapshot->count; i++) {
        const struct lap_perfetto_clock *const clock = clock_get(perfetto, snapshot->ids[i]);
        if (snapshot->ids[i] < FIRST_OF_SEQUENCE && by_trace_clock(clock, in_ns(clock, snapshot->values[i]), &ns))
            return ns;
    }
    return in_ns(clock_get(perfetto, snapshot->ids[0]), snapshot->values[0]);
}

static void reading_add(struct lap_perfetto *perfetto, uint32_t id, uint64_t value, int64_t trace_ns)
{
    struct lap_perfetto_clock *const clock = clock_get(perfetto, id);
    const int64_t clock_ns = in_ns(clock, value);
    if (!lap_foreign_reserve(&clock->readings, clock->count, &clock->room, sizeof *clock->readings)) {
        perfetto->trace->code = -ENOMEM;
        return;
    }
    clock->readings[clock->count++] = (struct lap_perfetto_reading){clock_ns, trace_ns};
    if (id == LAP_PERFETTO_REALTIME && !perfetto->has_realtime && trace_ns < LAP_FOREIGN_NS_MAX &&
        clock_ns < LAP_FOREIGN_NS_MAX) {
        perfetto->has_realtime = true;
        perfetto->trace->realtime_shift_ns = clock_ns - trace_ns;
    }
}

bool lap_perfetto_clocks_read(struct lap_perfetto *perfetto, struct lap_protobuf message)
{
    struct snapshot snapshot = {.count = 0};
    struct lap_protobuf_field field;
    int code;
    while ((code = lap_protobuf_next(&message, &field)) == 1) {
        if (field.number == 1 && field.type == LAP_PROTOBUF_BYTES && !clock_read(perfetto, &snapshot, field.bytes))
            return false;
        if (field.number == 2 && field.type == LAP_PROTOBUF_VARINT && perfetto->clock_count == 0)
            perfetto->trace_clock = (uint32_t)field.value;
    }
    if (snapshot.count == 0 || perfetto->trace->code < 0)
        return code == 0;
    const int64_t trace_ns = trace_time_of(perfetto, &snapshot);
    if (trace_ns <= LAP_FOREIGN_NS_MIN || trace_ns >= LAP_FOREIGN_NS_MAX)
        return code == 0; /* no time is believed that would be made of it; and so no sum of times passes what they hold */
    for (uint32_t i = 0; i < snapshot.count && perfetto->trace->code == 0; i++)
        reading_add(perfetto, snapshot.ids[i], snapshot.values[i], trace_ns);
    return code == 0;
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

int64_t lap_perfetto_builtin_time(struct lap_perfetto *perfetto, uint32_t id, int64_t ns)
{
    const struct lap_perfetto_clock *const clock = clock_get(perfetto, id);
    int64_t trace_ns;
    if (id == perfetto->trace_clock || !clock || ns > INT64_MAX / 2 || ns < 0 || !by_trace_clock(clock, ns, &trace_ns))
        return ns; /* nothing tells how far the two are apart */
    return trace_ns;
}

bool lap_perfetto_time(struct lap_perfetto *perfetto, int64_t *ret_ns)
{
    const uint32_t of_sequence = perfetto->sequence->default_clock;
    const uint32_t id = perfetto->timestamp_clock != 0 ? perfetto->timestamp_clock
                        : of_sequence != 0             ? of_sequence
                                                       : perfetto->trace_clock;
    struct lap_perfetto_clock *const clock = clock_get(perfetto, id);
    if (!perfetto->has_timestamp || !clock)
        return false;
    uint64_t value = perfetto->timestamp;
    if (clock->is_incremental)
        value = clock->last += value;
    const int64_t ns = in_ns(clock, value);
    perfetto->is_fine |= clock->unit_ns % 1000 != 0;
    if (id >= FIRST_OF_SEQUENCE)
        return by_trace_clock(clock, ns, ret_ns);
    *ret_ns = lap_perfetto_builtin_time(perfetto, id, ns);
    return true;
}
