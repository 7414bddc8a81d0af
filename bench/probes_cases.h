/* SPDX-License-Identifier: MIT */
#ifndef LAP_BENCH_PROBES_CASES_H
#define LAP_BENCH_PROBES_CASES_H

#include <stdint.h>

void checkpoint(uint64_t iterations);
void checkpoint_with_probes(uint64_t iterations);
void profiler(uint64_t iterations);
void profiler_with_probes(uint64_t iterations);

#endif
