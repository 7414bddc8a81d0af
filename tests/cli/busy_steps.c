/* SPDX-License-Identifier: MIT
 *
 * Steps whose times are known by the clock: busy_steps TURNS PARSE_US LOOKUPS NAME. Each turn parses for PARSE_US, looks up
 * LOOKUPS times for 40 us, resolves for 60 us in a function of its own, and stores for 50 us, which is called "store" or,
 * by NAME, "write".
 */
#include <lapmark.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOKUP_US = 40, RESOLVE_US = 60, STORE_US = 50 };

static long long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void work_us(long us)
{
    for (const long long end = now_ns() + us * 1000; now_ns() < end;)
        continue;
}

static void resolve(void)
{
    LAP_PROFILE("resolve()");
    work_us(RESOLVE_US);
    LAP_MARK("walk");
}

static void turn(long parse_us, long lookups, int is_renamed)
{
    LAP_PROFILE("turn()");
    work_us(parse_us);
    LAP_MARK("parse");
    for (long i = 0; i < lookups; i++) {
        work_us(LOOKUP_US);
        LAP_MARK("lookup");
    }
    resolve();
    LAP_MARK("resolved");
    work_us(STORE_US);
    if (is_renamed)
        LAP_MARK("write");
    else
        LAP_MARK("store");
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 3;
    LAP_PROFILE("job");
    for (long i = strtol(argv[1], NULL, 10); i > 0; i--)
        turn(strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10), strcmp(argv[4], "write") == 0);
    return 0;
}
