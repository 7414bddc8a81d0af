/* SPDX-License-Identifier: MIT
 *
 * A recording's thread time, added up by stack, for formats that know no time of day: program, then profilers from the root, then a lap.
 * Merged over threads, and over processes of one program. A profiler with laps has no time of its own: its rest is one. The time of a
 * lap, and of a profiler without laps, is that outside the profilers and calls inside, which are beside it, below their profiler.
 *
 * What is no lap has a name in brackets below its profiler: "(unfinished)" and "(abandoned)", from the last checkpoint to where that is
 * known to end; "(cut)", of which the events are gone. They, and "(others)" for what is beyond the bounds, are laps here. The recorder's
 * own time is in none.
 */
#ifndef LAP_STACK_SUMS_H
#define LAP_STACK_SUMS_H

#include "export.h"
#include "interned.h"

#include <stdbool.h>
#include <stdint.h>

#define LAP_STACKS_MAX 65536u  /* and as many "(others)" */
#define LAP_STACKS_DEPTH 1024u /* profilers in each other */
#define LAP_STACKS_NONE UINT32_MAX

struct lap_stack {
    lap_uint128 self;     /* in nanoseconds times 2^56: exact whatever the count */
    uint64_t count;       /* of laps, of ends of profilers */
    uint32_t parent;      /* a smaller index; LAP_STACKS_NONE: a program */
    uint32_t text, frame; /* indices */
    uint16_t depth;       /* from 0 */
    bool is_lap, is_others;
};
static inline uint64_t lap_stack_self_ns(const struct lap_stack *stack) { return (uint64_t)(stack->self >> 56); }

/* The members of a frame's key. */
enum { LAP_FRAME_TEXT = 0, LAP_FRAME_FILE, LAP_FRAME_FUNCTION, LAP_FRAME_LINE };

struct lap_stacks {
    struct lap_texts texts; /* UTF-8 without control characters; 0 is "" */
    struct lap_keys keys;   /* of stacks[] */
    struct lap_keys frames; /* of the first site met of a stack */
    struct lap_stack *stacks;
    uint32_t stack_room;
};

/* Reads all events. Memory: bounded by the bounds above, at most 30 MiB. Returns 0 or a negative errno. */
int lap_stacks_make(struct lap_stacks **ret_stacks, const struct lap_export *export);
void lap_stacks_free(struct lap_stacks *stacks);

#endif
