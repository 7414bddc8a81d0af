/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "wishes.h"

#include "lapmark/call.h"
#include "process.h"

static uint32_t accepted = 0;   /* enum lap_accept; atomic */
static uint64_t granted_ns = 0; /* of the clock, until when what was granted is used up; atomic */

void lap_accept(uint32_t what) { __atomic_store_n(&accepted, what, __ATOMIC_RELAXED); }

uint32_t lap_impl_accepted(void) { return __atomic_load_n(&accepted, __ATOMIC_RELAXED) | lap_process.settings.accepts; }

int lap_wishes_are_accepted(uint32_t what) { return (lap_impl_accepted() & what) != 0; }

/* Each uses up its part of a second; as much as a second may lie ahead. (The generic cell rate algorithm, ITU-T I.371.) */
int lap_wish_grant(uint64_t now_ticks)
{
    const uint64_t second_ns = UINT64_C(1000000000), each_ns = second_ns / LAP_WISHES_A_SECOND;
    const uint64_t now_ns = (uint64_t)((double)now_ticks * lap_process.ns_per_tick);
    uint64_t until_ns = __atomic_load_n(&granted_ns, __ATOMIC_RELAXED), next_ns;
    do {
        if (until_ns > now_ns + 2 * second_ns) /* the clock went back */
            until_ns = now_ns;
        next_ns = (until_ns > now_ns ? until_ns : now_ns) + each_ns;
        if (next_ns > now_ns + second_ns) {
            lap_process_count_loss(LAP_FORMAT_LOSS_WISH, 1);
            return 0;
        }
    } while (!__atomic_compare_exchange_n(&granted_ns, &until_ns, next_ns, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return 1;
}

/* ---- thresholds ---------------------------------------------------------------------------------------------------------- */

uint16_t lap_wish_pack_threshold(double ms)
{
    double us = ms * 1e3;
    if (!(us > 0))
        return 0;
    unsigned whole = 0, part = 0;
    for (; us >= 2 && whole < 256; whole++)
        us /= 2;
    if (whole == 256)
        return UINT16_MAX;
    for (unsigned bit = 128; us >= 1 && bit != 0; bit /= 2) {
        us *= us;
        if (us >= 2) {
            us /= 2;
            part |= bit;
        }
    }
    return whole + part == 0 ? 1 : (uint16_t)(whole << 8 | part);
}

double lap_wish_unpack_threshold_ms(uint16_t packed)
{
    static const double roots[] = {1.4142135623730951, 1.1892071150027210, 1.0905077326652577, 1.0442737824274138,
                                   1.0218971486541166, 1.0108892860517005, 1.0054299011128027, 1.0027112750502025};
    double ms = 1e-3;
    for (unsigned i = 0; i < 8; i++)
        if (packed >> (7 - i) & 1)
            ms *= roots[i];
    for (unsigned whole = packed >> 8; whole > 0; whole--)
        ms *= 2;
    return packed == 0 ? 0 : ms;
}
