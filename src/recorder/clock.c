/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "clock.h"

#include "lapmark/abi.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* Not everybody's C library comes with the kernel's headers. */
#if !defined(__aarch64__) && __has_include(<linux/perf_event.h>)
#include <linux/perf_event.h>
#endif

#define NS_PER_S UINT64_C(1000000000)
#define RESOLUTION_READINGS 33
#define STEPS 8u
#define STEP_READINGS_MAX 10000u

__extension__ typedef unsigned __int128 wide;

static uint64_t clock_ns(clockid_t id)
{
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

struct lap_format_clock_reading lap_clock_read(void)
{
    struct lap_format_clock_reading best = {.bracket_ticks = UINT64_MAX};
    for (int i = 0; i < 4; i++) {
        const uint64_t before = lap_impl_ticks();
        const uint64_t monotonic = clock_ns(CLOCK_MONOTONIC);
        const uint64_t after = lap_impl_ticks();
        const uint64_t realtime = clock_ns(CLOCK_REALTIME);
        if (after - before < best.bracket_ticks)
            best = (struct lap_format_clock_reading){before + (after - before) / 2, monotonic, realtime, after - before};
    }
    return best;
}

struct lap_format_clock_reading lap_clock_read_as(const struct lap_clock *clock)
{
    struct lap_format_clock_reading reading = lap_clock_read();
    if (clock->source == LAP_FORMAT_CLOCK_MONOTONIC)
        reading.ticks = reading.monotonic_ns;
    return reading;
}

#if !defined(__aarch64__)
/* The kernel publishes multiplier and shift of its own TSC clock in the page of any perf event. */
static uint64_t hz_of_kernel(void)
{
    uint64_t hz = 0;
#if defined(PERF_FLAG_FD_CLOEXEC)
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_DUMMY,
                                         .exclude_kernel = 1,
                                         .exclude_hv = 1,
                                         .disabled = 1};
    const int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return 0;
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const struct perf_event_mmap_page *const page = mmap(NULL, page_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) {
        if (page->cap_user_time && page->time_mult != 0)
            hz = (uint64_t)((((wide)NS_PER_S << page->time_shift) + page->time_mult / 2) / page->time_mult);
        munmap((void *)(uintptr_t)page, page_bytes);
    }
    close(fd);
#endif
    return hz;
}

static uint64_t hz_measured(const struct lap_format_clock_reading *start)
{
    struct lap_format_clock_reading now;
    do
        now = lap_clock_read();
    while (now.monotonic_ns - start->monotonic_ns < 2000000);
    return (uint64_t)((wide)(now.ticks - start->ticks) * NS_PER_S / (now.monotonic_ns - start->monotonic_ns));
}
#endif

static uint64_t hz_of_counter(const struct lap_format_clock_reading *start)
{
#if defined(__aarch64__)
    uint64_t hz;
    (void)start;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz;
#else
    const uint64_t hz = hz_of_kernel();
    return hz != 0 ? hz : hz_measured(start);
#endif
}

#if !defined(__aarch64__)
/* Is the counter one that keeps its rate and is the same on all cores? The kernel says so by keeping time with it, or, under
 * a hypervisor's clock, by the processor's flags. */
static int counter_is_trusted(void)
{
#if defined(LAPMARK_TEST_CLOCK)
    return lapmark_test_is_trusted();
#else
    char name[32] = "";
    const int fd =
        openat(AT_FDCWD, "/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t bytes = read(fd, name, sizeof name - 1);
        close(fd);
        if (bytes > 0 && strncmp(name, "tsc", 3) == 0)
            return 1;
    }
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) && d & 1u << 8;
#endif
}
#endif

uint64_t lap_clock_ticks(const struct lap_clock *clock)
{
    return clock->source == LAP_FORMAT_CLOCK_MONOTONIC ? clock_ns(CLOCK_MONOTONIC) : lap_impl_ticks();
}

/* What two readings in a row are apart, the middle of many: a lap of that length may be nothing. */
static uint32_t resolution(const struct lap_clock *clock)
{
    uint64_t apart[RESOLUTION_READINGS];
    for (int i = 0; i < RESOLUTION_READINGS; i++) {
        const uint64_t before = lap_clock_ticks(clock);
        const uint64_t value = lap_clock_ticks(clock) - before;
        int k = i;
        for (; k > 0 && apart[k - 1] > value; k--)
            apart[k] = apart[k - 1];
        apart[k] = value;
    }
    if (apart[RESOLUTION_READINGS / 2] != 0)
        return (uint32_t)apart[RESOLUTION_READINGS / 2];
    /* A counter that is slower than its reading: its step, the least of several. */
    uint64_t step = UINT32_MAX, edge = lap_clock_ticks(clock);
    for (unsigned edges = 0, readings = 0; edges < STEPS && readings < STEP_READINGS_MAX; readings++) {
        const uint64_t now = lap_clock_ticks(clock);
        if (now == edge)
            continue;
        if (edges++ != 0 && now - edge < step)
            step = now - edge;
        edge = now;
    }
    return step == UINT32_MAX ? 1 : (uint32_t)step;
}

void lap_clock_init(struct lap_clock *clock)
{
    clock->start = lap_clock_read();
    clock->hz = hz_of_counter(&clock->start);
#if defined(__aarch64__)
    clock->source = LAP_FORMAT_CLOCK_CNTVCT;
#else
    clock->source = LAP_FORMAT_CLOCK_TSC;
    if (!counter_is_trusted()) {
        clock->source = LAP_FORMAT_CLOCK_MONOTONIC;
        clock->hz = NS_PER_S;
        clock->start.ticks = clock->start.monotonic_ns;
    }
#endif
    clock->resolution_ticks = resolution(clock);
}

double lap_clock_ns_per_tick(const struct lap_clock *clock)
{
    if (clock->source == LAP_FORMAT_CLOCK_MONOTONIC)
        return 1;
    const double nominal = (double)NS_PER_S / (double)clock->hz;
    const struct lap_format_clock_reading now = lap_clock_read();
    const uint64_t elapsed_ns = now.monotonic_ns - clock->start.monotonic_ns;
    /* Over a suspend CLOCK_MONOTONIC stands still, and the counter goes on or begins anew. */
    const double share = (double)elapsed_ns / (double)(now.ticks - clock->start.ticks) / nominal;
    return elapsed_ns < NS_PER_S / 10 || share < 0.99 || share > 1.01 ? nominal : nominal * share;
}
