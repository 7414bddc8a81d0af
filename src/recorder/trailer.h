/* SPDX-License-Identifier: MIT
 *
 * The trailers of requests and replies, for both ends of a call: little-endian, of any alignment.
 */
#ifndef LAP_TRAILER_H
#define LAP_TRAILER_H

#include "lapmark/call.h"
#include "process.h"

#include <errno.h>
#include <string.h>

enum { LAP_MAGIC_REQUEST = 0x514C, LAP_MAGIC_REPLY = 0x524C, LAP_TRAILER_VERSION = 1 }; /* "LQ", "LR" */
enum { LAP_REPLY_SLOW = 1 };
enum {
    LAP_LEVEL_WISH = 3,
    LAP_LEVEL_EARLIER = 128
}; /* enum lap_wish; in the domain's place is the span of an earlier call */

struct __attribute__((packed, may_alias)) lap_request_trailer {
    uint16_t magic;
    uint8_t version, length, flags, level; /* LAP_LEVEL_* */
    uint16_t threshold;                    /* see wishes.h */
    uint8_t trace_id[16], span_id[8];
    uint64_t domain, sent_ticks;
};
struct __attribute__((packed)) lap_reply_trailer {
    uint16_t magic;
    uint8_t version, length, flags, reserved[3];
    uint8_t span_id[8];
    uint64_t received_ticks, replied_ticks, domain;
    uint32_t queue_us, khz;
};
static_assert(sizeof(struct lap_request_trailer) == LAP_TRAILER_BYTES &&
                  sizeof(struct lap_reply_trailer) == LAP_TRAILER_BYTES,
              "trailers");

/* Reads one of them into `out`; 0, -ENOMSG: there is none, -EBADMSG. */
static inline int lap_trailer_read(void *out, const void *from, uint64_t bytes, uint16_t magic)
{
    if (!from || bytes == 0)
        return -ENOMSG;
    if (bytes < LAP_TRAILER_BYTES)
        return -EBADMSG;
    memcpy(out, from, LAP_TRAILER_BYTES); /* once: it may lie where the peer can still write */
    uint32_t head;
    memcpy(&head, out, sizeof head);
    if (head == 0)
        return -ENOMSG;
    return head == (magic | LAP_TRAILER_VERSION << 16 | (uint32_t)LAP_TRAILER_BYTES << 24) ? 0 : -EBADMSG;
}

extern uint32_t lap_shared; /* enum lap_share; atomic */

static inline uint32_t lap_shares(void)
{
    return __atomic_load_n(&lap_shared, __ATOMIC_RELAXED) | lap_process.settings.shares;
}

static inline uint64_t lap_domain_told(void) { return lap_shares() & LAP_SHARE_DOMAIN ? lap_process_clock_domain() : 0; }

/* Of a process that is there. */
static inline uint64_t lap_call_ticks(void)
{
    if (__builtin_expect(lap_process.clock.source == LAP_FORMAT_CLOCK_MONOTONIC, 0))
        return lap_clock_ticks(&lap_process.clock);
    return lap_impl_ticks();
}

/* A thread that has a ring is one of a process that is there: a fork takes it away. */
static inline int lap_is_there(void) { return lap_impl_local.thread->segment != 0 || lap_process_ensure() == 0; }

#endif
