/* SPDX-License-Identifier: MIT
 *
 * Resident memory, shared pages included, as more and more is recorded. usage: memory checkpoints|threads|labels FEW MANY
 * Prints the bytes after FEW and after MANY.
 */
#define _GNU_SOURCE
#include <lapmark.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t resident_bytes(void)
{
    FILE *const file = fopen("/proc/self/statm", "r");
    unsigned long total, resident = 0;
    if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2)
        abort();
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void checkpoints(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        LAP_MARK("a checkpoint");
        if (i % 64 == 0) {
            LAP_PROFILE("a profiler");
            LAP_MARK_N(i & 1023, "with a size");
            LAP_MARK("with a value %lu", i);
        }
    }
}

static void *one_thread(void *user)
{
    (void)user;
    LAP_PROFILE("a thread");
    for (int i = 0; i < 100; i++)
        LAP_MARK("in a thread");
    return NULL;
}

/* In turn: each ends before the next begins. */
static void threads(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, one_thread, NULL) != 0)
            abort();
        pthread_join(thread, NULL);
    }
}

static void labels(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        char label[32];
        snprintf(label, sizeof label, "label %lu", (unsigned long)i);
        LAP_MARK_TEXT(label);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(uint64_t from, uint64_t to);
    } kinds[] = {{"checkpoints", checkpoints}, {"threads", threads}, {"labels", labels}};
    for (size_t i = 0; argc == 4 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(argv[1], kinds[i].name) != 0)
            continue;
        const uint64_t few = strtoull(argv[2], NULL, 10);
        const uint64_t many = strtoull(argv[3], NULL, 10);
        LAP_PROFILE("all");
        kinds[i].run(0, few);
        const uint64_t before = resident_bytes();
        kinds[i].run(few, many);
        printf("%llu\t%llu\n", (unsigned long long)before, (unsigned long long)resident_bytes());
        return 0;
    }
    fputs("usage: memory checkpoints|threads|labels FEW MANY\n", stderr);
    return 2;
}
