/* SPDX-License-Identifier: MIT
 *
 * Random numbers for resampling: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64. The same seed gives the same
 * numbers, so that an analysis says the same each time.
 */
#ifndef LAP_RANDOM_H
#define LAP_RANDOM_H

#include <stdint.h>

struct lap_random {
    uint64_t state[4];
};

static inline void lap_random_seed(struct lap_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t mixed = seed += UINT64_C(0x9e3779b97f4a7c15);
        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = mixed ^ mixed >> 31;
    }
}

static inline uint64_t lap_random_next(struct lap_random *random)
{
    uint64_t *const state = random->state;
    const uint64_t five = state[1] * 5, result = (five << 7 | five >> 57) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3] << 45 | state[3] >> 19;
    return result;
}

/* From 0 to below `count`; the bias is below count / 2^64 (Lemire, 2019). */
static inline uint64_t lap_random_below(struct lap_random *random, uint64_t count)
{
    return (uint64_t)(__extension__(unsigned __int128) lap_random_next(random) * count >> 64);
}

/* From 0 to below 1. */
static inline double lap_random_unit(struct lap_random *random)
{
    return (double)(lap_random_next(random) >> 11) * 0x1p-53;
}

#endif
