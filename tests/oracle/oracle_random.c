/* SPDX-License-Identifier: MIT
 *
 * Threads that do what dice tell them with all that there is, and count it: "LABEL COUNT" for each label in the end.
 *
 * usage: oracle_random SEED STEPS
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, TEXTS = 80, SHARED = 16, DEPTH_MAX = 40, LONGEST = 400 };
enum {
    PLAIN,
    STRINGS,
    SIZED,
    NUMBERED,
    TEXT,
    SCOPE,
    SCOPE_WITH,
    SCOPE_TEXT,
    SCOPE_SLOW,
    HANDLE,
    HANDLE_LAP,
    PART,
    COUNTERS
};
static const char *const labels[COUNTERS] = {"plain",
                                             "strings %s %s",
                                             "sized %d %f",
                                             "numbered",
                                             "text",
                                             "scope %u",
                                             "scope with options",
                                             "text of a scope",
                                             "scope to take back",
                                             "handle %u",
                                             "lap of a handle %s",
                                             "part of a handle"};

static atomic_ulong counts[COUNTERS];
static _Atomic(lap_handle) shared[SHARED];
static pthread_mutex_t ends = PTHREAD_MUTEX_INITIALIZER;
static unsigned long steps;

struct dice {
    uint64_t state;
    unsigned long left;
    unsigned depth;
};

static unsigned roll(struct dice *dice, unsigned sides)
{
    dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice->state >> 33) % sides;
}

static const char *text_of(struct dice *dice, char *out)
{
    const unsigned length = roll(dice, roll(dice, 10) == 0 ? LONGEST : 20);
    for (unsigned i = 0; i < length; i++)
        out[i] = (char)(1 + roll(dice, 255));
    out[length] = 0;
    return out;
}

static void some(struct dice *dice);

static void scopes(struct dice *dice, unsigned kind)
{
    char text[32];
    dice->depth++;
    if (kind == 0) {
        LAP_PROFILE("scope %u", dice->depth);
        some(dice);
        counts[SCOPE]++;
    } else if (kind == 1) {
        LAP_PROFILE_WITH(LAP_OPTS(.n = (long)dice->left), "scope with options");
        some(dice);
        counts[SCOPE_WITH]++;
    } else if (kind == 2) {
        snprintf(text, sizeof text, "text %u", roll(dice, TEXTS));
        LAP_PROFILE_TEXT(text);
        some(dice);
        counts[SCOPE_TEXT]++;
    } else if (kind == 3) {
        LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1000), "scope to take back");
        some(dice);
        counts[SCOPE_SLOW]++;
    } else {
        const lap_handle handle = shared[roll(dice, SHARED)];
        LAP_PROFILE_WITH(LAP_OPTS(.parent = handle), "part of a handle");
        some(dice);
        counts[PART]++;
    }
    dice->depth--;
}

/* Of a handle that another thread may be ending at the same time: what is counted is what it returns. */
static void handles(struct dice *dice, unsigned kind)
{
    char text[LONGEST];
    _Atomic(lap_handle) *const place = &shared[roll(dice, SHARED)];
    pthread_mutex_lock(&ends);
    if (kind == 0) {
        const lap_handle parent = shared[roll(dice, SHARED)];
        if (*place) {
            lap_end(*place);
            counts[HANDLE]++;
        }
        *place =
            lap_begin_with(LAP_OPTS(.parent = roll(dice, 2) && parent != *place ? parent : 0), "handle %u", dice->depth);
    } else if (*place) {
        lap_mark(*place, "lap of a handle %s", text_of(dice, text));
        counts[HANDLE_LAP]++;
    }
    pthread_mutex_unlock(&ends);
}

static void marks(struct dice *dice, unsigned kind)
{
    char one[LONGEST], two[LONGEST];
    if (kind == 0) {
        LAP_MARK("plain");
        counts[PLAIN]++;
    } else if (kind == 1) {
        text_of(dice, one);
        text_of(dice, two);
        LAP_MARK("strings %s %s", one, two);
        counts[STRINGS]++;
    } else if (kind == 2) {
        LAP_MARK_N(roll(dice, 1000), "sized %d %f", -(int)roll(dice, 1000), 1.0 / (1 + roll(dice, 1000)));
        counts[SIZED]++;
    } else if (kind == 3) {
        LAP_MARK();
        counts[NUMBERED]++;
    } else {
        snprintf(one, sizeof one, "mark %u", roll(dice, TEXTS));
        LAP_MARK_TEXT(one);
        counts[TEXT]++;
    }
}

static void some(struct dice *dice)
{
    const unsigned count = roll(dice, 8);
    for (unsigned i = 0; i < count && dice->left > 0; i++) {
        dice->left--;
        const unsigned what = roll(dice, 12);
        if (what < 5)
            marks(dice, what);
        else if (what < 10 && dice->depth < DEPTH_MAX)
            scopes(dice, what - 5);
        else if (what >= 10)
            handles(dice, what - 10);
        if (roll(dice, 500) == 0)
            lap_flush();
        if (roll(dice, 500) == 0)
            lap_thread_name(roll(dice, 2) ? "one name" : "another name");
    }
}

static void *run(void *seed)
{
    struct dice dice = {.state = (uintptr_t)seed, .left = steps};
    LAP_PROFILE("thread");
    while (dice.left > 0)
        some(&dice);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t ids[THREADS];
    const unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    steps = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&ids[i], NULL, run, (void *)(uintptr_t)(seed * THREADS + i));
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    for (unsigned i = 0; i < COUNTERS; i++)
        printf("%lu %s\n", counts[i], labels[i]);
    return 0;
}
