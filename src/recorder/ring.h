/* SPDX-License-Identifier: MIT
 *
 * A thread's ring: the only store of its events. A ring is a row of segments, each a file and a CTF packet; the oldest is
 * used again, or in full recording written out first. When a thread ends, the next one takes its ring over.
 *
 * All functions but lap_ring_adopt and _interrupt_all are for the thread that has the ring, with its position busy.
 */
#ifndef LAP_RING_H
#define LAP_RING_H

#include "decode.h"
#include "lapmark/abi.h"
#include "slow_calls.h"
#include "statistics.h"
#include "storage.h"

#include <stdint.h>

#define LAP_RING_SEGMENTS 16u
#define LAP_RING_OPEN_TEXT_BYTES 96u
#define LAP_RING_BLOCK_BYTES 4096u /* statistics are brought up to date each time one is full */
#define LAP_RING_SLACK_BYTES 144u  /* room behind the limit for an event without strings: options and 12 arguments */

/* A place in a ring's stream of events. */
struct lap_ring_place {
    uint64_t sequence;
    uint32_t offset;
};

struct lap_segment {
    struct lap_format_segment *header; /* and its events */
    uint32_t file;                     /* the number in its name */
};

/* What the library keeps of a scope that it began itself; told from another at the same depth by its begin. */
struct lap_slow_scope {
    uint64_t address;
    uint64_t begin_ticks;
    uint64_t threshold_ticks;
    uint64_t saved_divert;
    struct lap_ring_place place; /* of the begin */
    uint32_t flags;              /* LAP_SLOW_* */
    uint32_t id;
    uint64_t reserved; /* makes it 64 bytes */
};
enum lap_slow_flags {
    LAP_SLOW_PRINTS = 1,
    LAP_SLOW_TAKES_BACK = 2,
    LAP_SLOW_IMMEDIATE = 4,
    LAP_SLOW_RESTORES = 8, /* puts saved_divert back */
    LAP_SLOW_SNAPSHOTS = 16,
    LAP_SLOW_KEPT = 32 /* a handle: it prints whatever it took, as a call's server was slow */
};

#define LAP_RING_PEERS 4u

/* The least time between of a second's calls to a peer's clock. */
struct lap_tightest {
    uint64_t domain, second, between_ns;
};

struct lap_report;

struct lap_ring {
    struct lap_impl_thread *thread; /* its hot part, in memory that a fork wipes */
    uint32_t number;
    uint32_t recording; /* of the process, when its segments were made */
    uint32_t is_used;   /* atomic: a thread has it */
    uint32_t segment_count;
    uint32_t current;
    uint32_t applied;  /* offset up to which the statistics are, in the current segment */
    uint32_t refusals; /* events that found no segment */
    uint32_t at_work;  /* the decoder or the report is half done: what a handler's siglongjmp leaves so is dropped */
    uint64_t segment_bytes;
    uint64_t sequence; /* of the current segment */
    uint64_t lost_events;
    uint64_t thread_id;
    uint64_t thread_index;
    uint64_t statistics_bytes;
    char thread_name[LAP_FORMAT_THREAD_NAME_BYTES];
    struct lap_segment segments[LAP_RING_SEGMENTS];
    struct lap_statistics statistics;

    /* What prints. */
    uint32_t printing;       /* open scopes that print */
    uint32_t is_breached;    /* one of them took its threshold */
    uint32_t is_fed;         /* the report has seen what lies before `print_place` */
    uint32_t immediate;      /* open immediate scopes */
    uint32_t base_immediate; /* depth of the outermost */
    uint64_t immediate_last; /* thread time of the checkpoint before */
    uint32_t base_depth;     /* of the outermost that prints */
    struct lap_ring_place print_place;
    struct lap_ring_place floor;       /* nothing before it is taken back */
    struct lap_slow_call slowest_call; /* of the scopes that are open */
    struct lap_tightest tightest[LAP_RING_PEERS];
    uint64_t adopted_by; /* the handle around its outermost scope, as a binding says; 0 */
    struct lap_report *report;
    struct lap_decoder *report_decoder;
    char prefix[128]; /* of its lines */

    struct lap_slow_scope slow[LAP_IMPL_FRAMES];
    char open_text[LAP_DECODE_DEPTH][LAP_RING_OPEN_TEXT_BYTES]; /* messages of scopes whose begin may be overwritten */
    struct lap_decoder decoder;
};

/* Gives the calling thread a ring: one that ended threads left, or a new one. NULL: no memory, too many, or called from
 * itself (a signal handler). Takes the process's lock. */
struct lap_ring *lap_ring_adopt(void);
/* The thread ends: what is open is abandoned, the ring is free for the next. */
void lap_ring_leave(struct lap_ring *ring);

/* Makes room for an event of `bytes` at `position` (in the segment, or in the next), after bringing the statistics up to
 * date. Returns the event's address, 0 where there is none (the recording failed). What it took is stored as a pause. */
uint64_t lap_ring_make_room(struct lap_ring *ring, uint64_t position, uint32_t bytes);
/* Is there room for `bytes` at `position` without that? */
static inline int lap_ring_has_room(const struct lap_ring *ring, uint64_t position, uint32_t bytes, uint64_t ticks)
{
    return !lap_impl_is_full(ring->thread, position, ticks) &&
           position + bytes <= ring->thread->segment + ring->segment_bytes;
}

/* It has none after trouble; then the statistics may be missing, too. */
static inline int lap_ring_has_segment(const struct lap_ring *ring)
{
    return ring->segment_count != 0 && ring->statistics.heap;
}

/* Brings the statistics and the decoder up to `position`. */
void lap_ring_apply(struct lap_ring *ring, uint64_t position);
/* The calling thread's ring with its position taken and all of it applied; NULL where it has none, or is in the middle of
 * an event. */
struct lap_ring *lap_ring_settle(uint64_t *ret_position);

/* Stores an event of the library's own; returns the position behind it. */
uint64_t lap_ring_store_thread(struct lap_ring *ring, uint64_t position);
uint64_t lap_ring_store_abandoned(struct lap_ring *ring, uint64_t position, uint64_t count);
uint64_t lap_ring_store_pause(struct lap_ring *ring, uint64_t position, uint64_t ticks);
/* Says at the start of a segment what is open, so that the segments before it may go. */
uint64_t lap_ring_store_open(struct lap_ring *ring, uint64_t position);
/* Writes the messages of open scopes down while their begins are still there. */
void lap_ring_keep_messages(struct lap_ring *ring);

/* The segment of a sequence number if the ring still holds it, else NULL. */
const struct lap_segment *lap_ring_segment(const struct lap_ring *ring, uint64_t sequence);
static inline uint32_t lap_ring_offset(const struct lap_ring *ring, uint64_t position)
{
    return (uint32_t)(position - ring->thread->segment);
}

/* Stores an event of a fixed class and size at `position`, where there is room; nothing before it is taken back any more. Returns
 * the position behind. */
static inline uint64_t lap_ring_store_fixed(struct lap_ring *ring, uint64_t position, uint64_t ticks, uint32_t class_id,
                                            const void *payload, uint32_t bytes)
{
    const uint64_t end = position + 8 + bytes;
    __builtin_memcpy((void *)(uintptr_t)(position + 8), payload, bytes);
    *(uint64_t *)(uintptr_t)position = ticks << LAP_FORMAT_CLOCK_SHIFT | class_id;
    ring->floor = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, end)};
    lap_impl_commit(ring->thread, end);
    return end;
}

/* Sends every thread's next event to the library, so that it sees a change of the process's. Any thread. */
void lap_ring_interrupt_all(void);
/* Copies the statistics as of one event, or says in them that they were in motion; their thread may be at them. Under
 * storage_lock; `room` has LAP_RING_ROOM_BYTES. */
void lap_ring_copy_statistics(const struct lap_ring *ring, void *room);
#define LAP_RING_ROOM_BYTES (16u << 20) /* statistics, or a segment */
/* Writes such a copy as a file. 0 or a negative errno. */
int lap_ring_write_statistics(const struct lap_ring *ring, const struct lap_storage *storage,
                              const struct lap_format_statistics *copy);
void lap_ring_statistics_name(char *name, const struct lap_ring *ring);
/* Copies words that another thread may be writing: what came of it is for the caller to look at. With `compares` it stops at the
 * first that is not there already. Returns the bytes that it went over. */
uint32_t lap_ring_copy_words(void *to, const void *from, uint64_t bytes, int compares);
/* At the end of a recording: writes and cuts what of its rings is not on tmpfs. Under the locks. */
void lap_ring_finish_all(uint32_t recording);
/* Forgets rings that a forked child has inherited. */
void lap_ring_drop_all(void);

#endif
