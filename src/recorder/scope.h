/* SPDX-License-Identifier: MIT
 *
 * What scope.c and handle_table.c share: how the library gets hold of the calling thread's ring and stores an event.
 */
#ifndef LAP_SCOPE_H
#define LAP_SCOPE_H

#include "ring.h"

#include <stdint.h>

/* Takes the calling thread's position (`taken` is what the inline path took, 0 if nothing), gives it a ring where it has
 * none. NULL: the event is lost, and counted. */
struct lap_ring *lap_ring_take(uint64_t taken, uint64_t *ret_position);
/* The position with room for `bytes`, and the clock to store there. 0: the ring has none, the event is lost and counted, and
 * the position is given back. */
uint64_t lap_ring_room(struct lap_ring *ring, uint64_t position, uint32_t bytes, uint64_t *ret_ticks);
/* The same, where the clock has just been read: it is read again only if there was no room. */
uint64_t lap_ring_room_at(struct lap_ring *ring, uint64_t position, uint32_t bytes, uint64_t *ticks);
/* Gives the position back. */
static inline void lap_ring_give(struct lap_ring *ring, uint64_t position) { lap_impl_give(ring->thread, position); }

struct lap_options;

/* The general ways of a begin with options and of an end: the scope at `address`, if it is open, ends with all inside. */
void lap_scope_begin_with(struct lap_impl_scope *scope, struct lap_impl_site *site, const struct lap_options *options,
                          const uint64_t *words, uint64_t taken, uint64_t frame);
void lap_scope_end(uint64_t address, uint64_t taken);

/* Is the thread inside a profiler that is off? */
int lap_is_muted(void);

/* A site's state, after making it known where it was not met yet. The position must be taken. */
unsigned lap_site_state(struct lap_impl_site *site);

/* An event of a site. */
struct lap_event_parts {
    const struct lap_impl_site *site;
    const uint64_t *words; /* as the macros make them: [n] arguments [text] */
    const void *fixed;     /* the fixed payload of its kind, or NULL */
    uint32_t fixed_words;
    uint8_t lengths[LAP_IMPL_ARGS_MAX + 1]; /* of its strings; this and what follows is filled by lap_event_measure */
    uint32_t id;
    uint32_t bytes;
};
/* Works out class and size. */
void lap_event_measure(struct lap_event_parts *parts);
/* Stores it at `position`, where there is room; returns the position behind. Not committed. */
uint64_t lap_event_store(const struct lap_event_parts *parts, uint64_t position, uint64_t ticks);

#endif
