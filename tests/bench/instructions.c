/* SPDX-License-Identifier: MIT
 *
 * The inline hot path, in functions of its own whose instructions valgrind counts. usage: instructions ITERATIONS
 * So few iterations that no block of the ring gets full: then the library is not called.
 */
#include <lapmark.h>
#include <stdlib.h>

#define KEEP() __asm__ volatile("" : : : "memory")

static __attribute__((noinline)) void count_empty_loop(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++)
        KEEP();
}

static __attribute__((noinline)) void count_checkpoint(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++) {
        LAP_MARK("a checkpoint");
        KEEP();
    }
}

static __attribute__((noinline)) void count_integer(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++) {
        LAP_MARK("a checkpoint with %lu", i);
        KEEP();
    }
}

static __attribute__((noinline)) void count_profiler(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler");
        KEEP();
    }
}

static __attribute__((noinline)) void count_off_checkpoint(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++) {
        LAP_MARK("a checkpoint that is off");
        KEEP();
    }
}

static __attribute__((noinline)) void count_off_profiler(unsigned long iterations)
{
    for (unsigned long i = 0; i < iterations; i++) {
        LAP_PROFILE("a profiler that is off");
        KEEP();
    }
}

int main(int argc, char **argv)
{
    const unsigned long iterations = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    /* Once each to be met, then to be counted. */
    for (unsigned i = 0; i < 2; i++) {
        LAP_PROFILE("all");
        const unsigned long count = i == 0 ? 1 : iterations;
        count_empty_loop(count);
        count_checkpoint(count);
        count_integer(count);
        count_profiler(count);
    }
    count_off_checkpoint(1);
    count_off_profiler(1);
    if (lap_set("off") != 0)
        return 1;
    count_off_checkpoint(iterations);
    count_off_profiler(iterations);
    return 0;
}
