/* SPDX-License-Identifier: MIT */
#include "served.h"

#include <string.h>

#define TRIES 10000u

static struct {
    uint32_t lock;
    uint32_t next;
    struct lap_served all[LAP_SERVED_HELD];
} held;

/* A handler may leave by siglongjmp with it: then all of them are as if they had come too late. */
static int held_lock(void)
{
    for (unsigned tries = 0; __atomic_exchange_n(&held.lock, 1, __ATOMIC_ACQUIRE); tries++)
        if (tries == TRIES)
            return 0;
    return 1;
}

static void held_unlock(void) { __atomic_store_n(&held.lock, 0, __ATOMIC_RELEASE); }

void lap_served_drop_all(void) { memset(&held, 0, sizeof held); }

void lap_served_put(const struct lap_served *served)
{
    if (!held_lock())
        return;
    held.all[held.next] = *served;
    held.next = (held.next + 1) % LAP_SERVED_HELD;
    held_unlock();
}

int lap_served_take(struct lap_served *ret_served, uint64_t span_id)
{
    int is_found = 0;
    if (span_id == 0 || !held_lock())
        return 0;
    for (unsigned i = 0; i < LAP_SERVED_HELD && !is_found; i++) {
        if (held.all[i].span_id != span_id)
            continue;
        *ret_served = held.all[i];
        held.all[i].span_id = 0;
        is_found = 1;
    }
    held_unlock();
    return is_found;
}
