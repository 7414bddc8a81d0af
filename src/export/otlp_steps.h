/* SPDX-License-Identifier: MIT
 *
 * Ids of a process's spans. Those that others know a handle by are in `link` events, which may come long after those inside it were
 * written: a first pass gathers them. All other ids are a hash of the process's UUID and the span's number in it, so that a recording
 * gives the same ones each time.
 */
#ifndef LAP_OTLP_STEPS_H
#define LAP_OTLP_STEPS_H

#include "spans.h"

#define LAP_OTLP_STEPS (1u << 18) /* of a process: 12 MiB */

/* What a handle's links say of it. */
struct lap_otlp_step {
    uint64_t handle;
    struct lap_span_id id; /* span 0: of its trace alone */
    uint64_t parent;       /* a span of that trace; 0: none is told */
};

struct lap_otlp_steps {
    uint64_t of_process; /* what the ids are made from, with a number */
    struct lap_otlp_step *steps;
    uint32_t *buckets; /* 1 + index of a step, 0: free */
    uint32_t count, room;
    uint64_t left_out; /* links for whose handle there was no room */
    int error;
};

/* Reads the process's events, if there are links among them. Returns 0 or a negative errno. */
int lap_otlp_steps_read(struct lap_otlp_steps *steps, struct lap_process *process);
void lap_otlp_steps_done(struct lap_otlp_steps *steps);

/* NULL: nothing is said of that handle. */
const struct lap_otlp_step *lap_otlp_step_find(const struct lap_otlp_steps *steps, uint64_t handle);

/* The finalizer of splitmix64: each bit of the number reaches each of the result, and no two numbers have one result. */
static inline uint64_t lap_otlp_mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* Of a span without one, by its number in the process; of a trace that begins with it. No part is 0. */
static inline uint64_t lap_otlp_id_make(const struct lap_otlp_steps *steps, uint64_t number)
{
    const uint64_t id = lap_otlp_mix(steps->of_process + number);
    return id != 0 ? id : 1;
}
static inline struct lap_span_id lap_otlp_trace_make(const struct lap_otlp_steps *steps, uint64_t span)
{
    const uint64_t high = lap_otlp_mix(span ^ steps->of_process), low = lap_otlp_mix(span + UINT64_C(0x9e3779b97f4a7c15));
    return (struct lap_span_id){.span = span, .trace_high = high != 0 ? high : 1, .trace_low = low};
}

static inline bool lap_otlp_is_same_trace(const struct lap_span_id *a, const struct lap_span_id *b)
{
    return a->trace_high == b->trace_high && a->trace_low == b->trace_low;
}

#endif
