/* SPDX-License-Identifier: MIT
 *
 * Makes events for others to read. usage: events checkpoints|profilers|mixed COUNT
 * mixed: 13 labels on 3 levels, 16 events a turn, with some work between them.
 */
#include <lapmark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void checkpoints(uint64_t count)
{
    LAP_PROFILE("checkpoints");
    for (uint64_t i = 2; i < count; i++)
        LAP_MARK("a checkpoint");
}

static void profilers(uint64_t count)
{
    for (uint64_t i = 0; i < count / 2; i++) {
        LAP_PROFILE("a profiler");
    }
}

/* Takes from nothing to some hundred cycles, never the same for long. */
static void work(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    for (volatile uint32_t i = state >> 26; i > 0; i--)
        ;
}

static void third_level(void)
{
    LAP_PROFILE("third level");
    LAP_MARK("third, one");
    work();
    LAP_MARK("third, two");
    LAP_MARK("third, three");
    LAP_MARK("third, four");
}
static void second_level(void)
{
    LAP_PROFILE("second level");
    LAP_MARK("second, one");
    work();
    LAP_MARK("second, two");
    third_level();
    LAP_MARK("second, three");
}
static void mixed(uint64_t count)
{
    for (uint64_t i = 0; i < count / 16; i++) {
        LAP_PROFILE("first level");
        LAP_MARK("first, one");
        work();
        LAP_MARK("first, two");
        second_level();
        LAP_MARK("first, three");
    }
}

int main(int argc, char **argv)
{
    const uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (count > 0 && strcmp(argv[1], "checkpoints") == 0) {
        checkpoints(count);
    } else if (count > 0 && strcmp(argv[1], "profilers") == 0) {
        profilers(count);
    } else if (count > 0 && strcmp(argv[1], "mixed") == 0) {
        mixed(count);
    } else {
        fputs("usage: events checkpoints|profilers|mixed COUNT\n", stderr);
        return 2;
    }
    return 0;
}
