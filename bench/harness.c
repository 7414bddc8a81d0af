/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FLOOR_WORDS (UINT64_C(1) << 17)

static uint64_t start_ticks;
static struct timespec start_time;

__attribute__((constructor)) static void harness_start(void)
{
    clock_gettime(CLOCK_MONOTONIC, &start_time);
    start_ticks = lap_bench_ticks();
}

uint64_t lap_bench_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
#error "no clock for this machine yet"
#endif
}

double lap_bench_ns_a_tick(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t ticks = lap_bench_ticks() - start_ticks;
    const double ns = (double)(now.tv_sec - start_time.tv_sec) * 1e9 + (double)(now.tv_nsec - start_time.tv_nsec);
    return ns / (double)ticks;
}

__attribute__((noinline)) void lap_bench_floor(uint64_t iterations)
{
    static uint64_t ring[FLOOR_WORDS];
    static uint64_t position;
    uint64_t at = position;
    for (uint64_t i = 0; i < iterations; i++)
        ((volatile uint64_t *)ring)[at++ & (FLOOR_WORDS - 1)] = lap_bench_ticks();
    position = at;
}

__attribute__((noinline)) void lap_bench_empty_loop(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++)
        LAP_BENCH_KEEP();
}

static uint64_t ticks_of(const struct lap_bench_case *what, uint64_t events)
{
    const uint64_t iterations = events / what->events;
    const uint64_t start = lap_bench_ticks();
    what->run(iterations);
    return lap_bench_ticks() - start;
}

static double processor_time_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

void lap_bench_compare(const struct lap_bench_case *base, const struct lap_bench_case *cases, unsigned count,
                       unsigned rounds, uint64_t events)
{
    double least_base = 1e300;
    double least[LAP_BENCH_CASES];
    double processor_ns[LAP_BENCH_CASES] = {0};
    double *const ratios = calloc((size_t)count * rounds, sizeof *ratios);
    double *const differences = calloc((size_t)count * rounds, sizeof *differences);
    if (!ratios || !differences || count > LAP_BENCH_CASES)
        abort();

    for (unsigned i = 0; i < count; i++)
        least[i] = 1e300;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < count; i++) {
            const double an_event = (double)(events / cases[i].events * cases[i].events);
            const double floor = (double)ticks_of(base, events) / (double)(events / base->events * base->events);
            const double processor = processor_time_ns();
            const double ticks = (double)ticks_of(&cases[i], events) / an_event;
            processor_ns[i] += (processor_time_ns() - processor) / an_event;
            if (floor < least_base)
                least_base = floor;
            if (ticks < least[i])
                least[i] = ticks;
            ratios[i * rounds + round] = ticks / floor;
            differences[i * rounds + round] = ticks - floor;
        }
    }

    const double ns = lap_bench_ns_a_tick();
    for (unsigned i = 0; i < count; i++) {
        const double scale = ns * cases[i].events;
        printf("%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\n", cases[i].name, least[i] * scale, least_base * scale,
               median(&ratios[i * rounds], rounds), median(&differences[i * rounds], rounds) * scale,
               processor_ns[i] / rounds * cases[i].events);
    }
    free(ratios);
    free(differences);
}
