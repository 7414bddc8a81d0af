/* SPDX-License-Identifier: MIT
 *
 * Sleeps and busy loops of known lengths. Says of each lap, rest and total between which two lengths it must be, by
 * CLOCK_MONOTONIC read inside and outside of it: "WHAT LABEL INSIDE_NS OUTSIDE_NS", and of the whole
 * "realtime FROM_NS TO_NS".
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static void sleep_ms(unsigned ms)
{
    const uint64_t start_ns = now_ns();
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0)
        continue;
    if (now_ns() - start_ns < ms * UINT64_C(1000000))
        printf("error a sleep was too short\n");
}

static void spin_us(unsigned us)
{
    const uint64_t end_ns = now_ns() + us * UINT64_C(1000);
    while (now_ns() < end_ns)
        continue;
}

static void say(const char *what, const char *label, uint64_t inside_ns, uint64_t outside_ns)
{
    printf("%s %s %" PRIu64 " %" PRIu64 "\n", what, label, inside_ns, outside_ns);
}

/* Readings in front of an event and behind it. */
struct edge {
    uint64_t before, after;
};
static void say_between(const char *what, const char *label, struct edge from, struct edge to)
{
    say(what, label, to.before - from.after, to.after - from.before);
}

#define AT(name, event)                                                                                                  \
    struct edge name;                                                                                                    \
    name.before = now_ns();                                                                                              \
    event;                                                                                                               \
    name.after = now_ns()

static void scope(void)
{
    struct edge begin, end;
    {
        begin.before = now_ns();
        LAP_PROFILE("scope");
        begin.after = now_ns();
        sleep_ms(10);
        AT(slept, LAP_MARK("slept-10-ms"));
        spin_us(3000);
        AT(spun, LAP_MARK("spun-3-ms"));
        spin_us(50);
        AT(again, LAP_MARK("spun-50-us"));
        sleep_ms(2);
        end.before = now_ns();
        LAP_END();
        end.after = now_ns();
        say_between("lap", "slept-10-ms", begin, slept);
        say_between("lap", "spun-3-ms", slept, spun);
        say_between("lap", "spun-50-us", spun, again);
        say_between("rest", "scope", again, end);
        say_between("total", "scope", begin, end);
    }
}

static void nested(void)
{
    struct edge outer, inner, inner_end, outer_end;
    outer.before = now_ns();
    LAP_PROFILE("outer");
    outer.after = now_ns();
    sleep_ms(1);
    {
        inner.before = now_ns();
        LAP_PROFILE("inner");
        inner.after = now_ns();
        sleep_ms(5);
        inner_end.before = now_ns();
        LAP_END();
        inner_end.after = now_ns();
    }
    sleep_ms(1);
    AT(mark, LAP_MARK("around-the-inner"));
    outer_end.before = now_ns();
    LAP_END();
    outer_end.after = now_ns();
    say_between("total", "inner", inner, inner_end);
    say_between("lap", "around-the-inner", outer, mark);
    say_between("total", "outer", outer, outer_end);
}

static void *end_elsewhere(void *handle)
{
    sleep_ms(4);
    lap_end(*(lap_handle *)handle);
    return NULL;
}

static void handle(void)
{
    lap_handle it;
    uint64_t lap_ns;
    pthread_t id;
    AT(begin, it = lap_begin("handle"));
    sleep_ms(3);
    AT(mark, lap_ns = lap_mark(it, "handle-lap"));
    struct edge end;
    end.before = now_ns();
    pthread_create(&id, NULL, end_elsewhere, &it);
    pthread_join(id, NULL);
    end.after = now_ns();
    say_between("lap", "handle-lap", begin, mark);
    say_between("total", "handle", begin, end);
    say("lap", "handle-lap", lap_ns, lap_ns);
}

/* Thousands of short ones, whose sum is known. */
static void many(void)
{
    uint64_t inside_ns = 0;
    const uint64_t start_ns = now_ns();
    LAP_PROFILE("many");
    for (int i = 0; i < 3000; i++) {
        const uint64_t from_ns = now_ns();
        spin_us(5);
        inside_ns += now_ns() - from_ns;
        LAP_MARK("one-of-many");
    }
    LAP_END();
    say("lap", "one-of-many", inside_ns, now_ns() - start_ns);
}

int main(void)
{
    const uint64_t start_ns = clock_ns(CLOCK_REALTIME);
    scope();
    nested();
    handle();
    many();
    sleep_ms(100); /* makes the rate of the clock that is measured over all this a good one */
    say("realtime", "all", start_ns, clock_ns(CLOCK_REALTIME));
    return 0;
}
