/* SPDX-License-Identifier: MIT */
#include "slow_calls.h"

#include "lapmark/call.h"

#include <string.h>

enum { TOLD = 16 };

static struct {
    uint32_t lock;
    uint32_t count; /* atomic: read without the lock */
    struct {
        uint64_t span_id; /* 0: none */
        uint32_t class_id;
    } spans[TOLD]; /* by class */
} told;

/* Nobody waits: what finds it taken is told later, or not. */
static int told_lock(void) { return !__atomic_exchange_n(&told.lock, 1, __ATOMIC_ACQUIRE); }

static void told_unlock(void) { __atomic_store_n(&told.lock, 0, __ATOMIC_RELEASE); }

void lap_slow_calls_drop_all(void) { memset(&told, 0, sizeof told); }

void lap_slow_call_tell(struct lap_slow_call *slowest, uint64_t since_ticks)
{
    if (slowest->span_id == 0 || slowest->sent_ticks < since_ticks || !told_lock())
        return;
    const unsigned at = slowest->class_id % TOLD;
    __atomic_store_n(&told.count, told.count + (told.spans[at].span_id == 0), __ATOMIC_RELAXED);
    told.spans[at].span_id = slowest->span_id;
    told.spans[at].class_id = slowest->class_id;
    told_unlock();
    slowest->span_id = 0;
}

void lap_impl_call_slow(uint64_t span_id, uint32_t class_id)
{
    struct lap_slow_call slow = {.span_id = span_id, .class_id = class_id};
    lap_slow_call_tell(&slow, 0);
}

uint64_t lap_slow_call_told(uint32_t class_id)
{
    uint64_t span_id = 0;
    const unsigned at = class_id % TOLD;
    if (__builtin_expect(__atomic_load_n(&told.count, __ATOMIC_RELAXED) == 0, 1) || !told_lock())
        return 0;
    if (told.spans[at].class_id == class_id && told.spans[at].span_id != 0) {
        span_id = told.spans[at].span_id;
        told.spans[at].span_id = 0;
        __atomic_store_n(&told.count, told.count - 1, __ATOMIC_RELAXED);
    }
    told_unlock();
    return span_id;
}
