/* SPDX-License-Identifier: MIT
 *
 * The clocks of another host, for programs that are built with this: the counter and what goes with it are ahead, go at another rate,
 * and may be set while the program runs. Exact in ticks, so that what a reader finds can be compared:
 *
 *     ticks here = ticks + TEST_OFFSET_TICKS + (ticks - TEST_BASE_TICKS) * TEST_PPM / 10^6
 *
 * and TEST_STEP_TICKS more, once the processor's counter is at TEST_STEP_AT_TICKS. TEST_HOST is a number for its clock domain.
 */
#define _GNU_SOURCE
#include "lapmark/abi.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t number(const char *name)
{
    const char *const text = getenv(name);
    return text ? strtoll(text, NULL, 10) : 0;
}

static struct {
    int64_t offset, base, ppm, step, step_at;
    double hz;
} host;

/* Before all that reads a clock. */
__attribute__((constructor(101))) static void host_read(void)
{
    host.offset = number("TEST_OFFSET_TICKS");
    host.base = number("TEST_BASE_TICKS");
    host.ppm = number("TEST_PPM");
    host.step = number("TEST_STEP_TICKS");
    host.step_at = number("TEST_STEP_AT_TICKS");
    host.hz = (double)number("TEST_HZ");
}

static uint64_t processor_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#endif
}

static int64_t ahead(int64_t ticks)
{
    return host.offset + (ticks - host.base) * host.ppm / 1000000 +
           (host.step != 0 && ticks >= host.step_at ? host.step : 0);
}

uint64_t lapmark_test_ticks(void)
{
    const uint64_t ticks = processor_ticks();
    return ticks + (uint64_t)ahead((int64_t)ticks);
}

int lapmark_test_is_trusted(void) { return 1; }

uint64_t lapmark_test_domain(void) { return (uint64_t)number("TEST_HOST"); }

/* In the place of the C library's: the same host's. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    const int result = (int)syscall(SYS_clock_gettime, id, ret_time);
    if (host.hz > 0 && (id == CLOCK_REALTIME || id == CLOCK_MONOTONIC)) {
        const int64_t ns = ret_time->tv_sec * INT64_C(1000000000) + ret_time->tv_nsec +
                           (int64_t)((double)ahead((int64_t)processor_ticks()) * 1e9 / host.hz);
        *ret_time = (struct timespec){ns / INT64_C(1000000000), ns % INT64_C(1000000000)};
    }
    return result;
}
