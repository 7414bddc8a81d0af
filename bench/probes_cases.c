/* SPDX-License-Identifier: MIT
 *
 * Checkpoints and profilers, compiled with LAPMARK_USDT and without.
 */
#include "probes_cases.h"

#include <lapmark.h>

#ifdef LAPMARK_USDT
#define NAME(name) name##_with_probes
#else
#define NAME(name) name
#endif

void NAME(checkpoint)(uint64_t iterations)
{
    LAP_PROFILE("checkpoints");
    for (uint64_t i = 0; i < iterations; i++)
        LAP_MARK("a checkpoint");
}

void NAME(profiler)(uint64_t iterations)
{
    LAP_PROFILE("profilers");
    for (uint64_t i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler");
    }
}
