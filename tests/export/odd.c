/* SPDX-License-Identifier: MIT
 *
 * A thread that gets its name late, and a profiler that is older than its recording: odd renamed | opened DIRECTORY.
 */
#include <lapmark.h>

#include <string.h>
#include <time.h>

static void spend_ms(long ms)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < ms * 1000000);
}

static int renamed(void)
{
    {
        LAP_PROFILE("before");
    }
    lap_thread_name("renamed");
    for (int i = 0; i < 2000; i++) {
        LAP_PROFILE("after");
    }
    return 0;
}

static int opened(const char *directory)
{
    int result;
    {
        LAP_PROFILE("older");
        spend_ms(50);
        result = lap_record_start(directory);
        spend_ms(10);
        LAP_MARK("a lap");
    }
    {
        LAP_PROFILE("younger");
    }
    lap_record_stop();
    return result;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "renamed") == 0)
        return renamed();
    return argc == 3 && strcmp(argv[1], "opened") == 0 ? opened(argv[2]) : 2;
}
