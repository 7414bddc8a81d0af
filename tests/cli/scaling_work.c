/* SPDX-License-Identifier: MIT
 *
 * Work whose growth is in the textbooks, at 14 sizes over a range of 64, each timed several times in no order: scaling_work CASE.
 */
#define _GNU_SOURCE
#include <lapmark.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SIZES = 14, ROUNDS = 6, LOOKUPS = 500 };

static uint64_t state = 88172645463325252ull;

static uint64_t draw(void) /* xorshift64, Marsaglia 2003 */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static volatile uint64_t sink;

static int compare(const void *a, const void *b)
{
    const uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;
    return (p > q) - (p < q);
}

static uint64_t *numbers_make(size_t n)
{
    uint64_t *const numbers = malloc(n * sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = draw();
    return numbers;
}

static void sort(size_t n)
{
    uint64_t *const numbers = numbers_make(n);
    LAP_MARK("drawn");
    qsort(numbers, n, sizeof *numbers, compare);
    LAP_MARK_N(n, "sorted");
    free(numbers);
}

/* Open addressing, half full. */
static void hash(size_t n)
{
    size_t room = 1;
    while (room < 2 * n)
        room *= 2;
    uint64_t *const keys = numbers_make(n), *const table = calloc(room, sizeof *table);
    for (size_t i = 0; i < n; i++) {
        size_t at = keys[i] & (room - 1);
        while (table[at])
            at = (at + 1) & (room - 1);
        table[at] = keys[i];
    }
    LAP_MARK("filled");
    for (int i = 0; i < LOOKUPS; i++) {
        const uint64_t key = keys[draw() % n];
        size_t at = key & (room - 1);
        while (table[at] != key)
            at = (at + 1) & (room - 1);
        sink += at;
    }
    LAP_MARK_N(n, "hash lookups");
    free(keys);
    free(table);
}

static void tree(size_t n)
{
    uint64_t *const keys = numbers_make(n);
    qsort(keys, n, sizeof *keys, compare);
    LAP_MARK("planted");
    for (int i = 0; i < LOOKUPS; i++) {
        const uint64_t key = keys[draw() % n];
        size_t from = 0, to = n;
        while (from < to) {
            const size_t middle = from + (to - from) / 2;
            if (keys[middle] < key)
                from = middle + 1;
            else
                to = middle;
        }
        sink += from;
    }
    LAP_MARK_N(n, "tree lookups");
    free(keys);
}

struct item {
    struct item *next;
    uint64_t value;
};

static void list(size_t n)
{
    struct item *const items = calloc(n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct item){i + 1 < n ? &items[i + 1] : NULL, draw()};
    LAP_MARK("linked");
    for (int i = 0; i < 20; i++)
        for (const struct item *item = items; item; item = item->next)
            sink += item->value == 1;
    LAP_MARK_N(n, "list scanned");
    free(items);
}

static void strings(size_t n)
{
    char *text = malloc(8), *copied = calloc(1, 1);
    size_t length = 0, room = 8;
    for (size_t i = 0; i < n; i++) {
        if (length + 1 >= room)
            text = realloc(text, room *= 2);
        text[length++] = (char)('a' + i % 26);
        text[length] = 0;
        sink += (unsigned char)text[length / 2];
    }
    LAP_MARK_N(n, "appended at its end");
    for (size_t i = 0; i < n; i++) { /* each time a new one of the right size */
        char *const more = malloc(i + 2);
        memcpy(more, copied, i);
        for (size_t k = 0; k < i; k++)
            sink += (unsigned char)more[k] == 1;
        more[i] = 'a';
        more[i + 1] = 0;
        free(copied);
        copied = more;
    }
    LAP_MARK_N(n, "copied for each byte");
    free(text);
    free(copied);
}

static void matrix(size_t n)
{
    double *const a = malloc(n * n * sizeof *a), *const b = malloc(n * n * sizeof *b),
                  *const c = calloc(n * n, sizeof *c);
    for (size_t i = 0; i < n * n; i++)
        a[i] = b[i] = (double)i;
    LAP_MARK("matrices filled");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
    sink += (uint64_t)c[n * n - 1];
    LAP_MARK_N(n, "multiplied");
    free(a);
    free(b);
    free(c);
}

/* What gets slower unseen: the size is in the message alone. */
static __attribute__((noinline)) void markup_gaps(size_t n)
{
    uint64_t *const times = malloc(n * sizeof *times);
    for (size_t i = 0; i < n; i++)
        times[i] = i;
    LAP_PROFILE("for %zu gaps", n);
    for (size_t gap = 0; gap < n; gap++) {
        LAP_MARK("next gap");
        for (size_t i = 0; i < n; i++)
            sink += times[i] == gap;
        LAP_MARK("array lookup");
        sink += times[gap];
        LAP_MARK("gap drawn");
    }
    free(times);
}

/* A family of constant steps, and one that is not; and a step that is cheap today, but comes n times. */
static __attribute__((noinline)) void open_window(size_t n)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)n), "open window");
    for (int i = 0; i < 40000; i++)
        sink += (uint64_t)i;
    LAP_MARK("frame");
    for (int i = 0; i < 60000; i++)
        sink += (uint64_t)i;
    LAP_MARK("menu");
    for (size_t i = 0; i < n * 20; i++)
        sink += i;
    LAP_MARK("title");
    for (int i = 0; i < 30000; i++)
        sink += (uint64_t)i;
    LAP_MARK("icons");
}

static __attribute__((noinline)) void save(size_t n)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)n), "save");
    for (int i = 0; i < 400000; i++)
        sink += (uint64_t)i;
    LAP_MARK("packed");
    for (size_t i = 0; i < n; i++)
        LAP_MARK("name checked");
}

static void spin_ns(double ns)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((double)(now.tv_sec - begin.tv_sec) * 1e9 + (double)(now.tv_nsec - begin.tv_nsec) < ns);
}

/* Laps whose times are known: 4 us, 3 us + 400 ns an n, and 2 ns an n squared. */
static void spin(size_t n)
{
    LAP_MARK("drawn");
    spin_ns(4000);
    LAP_MARK_N(n, "constant");
    spin_ns(3000 + 400 * (double)n);
    LAP_MARK_N(n, "linear");
    spin_ns(2000 + 2 * (double)(n * n));
    LAP_MARK_N(n, "quadratic");
}

/* As many lookups each time, of which each is a scan. */
static __attribute__((noinline)) void resolve(size_t n)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)n), "resolve");
    for (int i = 0; i < 20; i++) {
        spin_ns(200 + 30 * (double)n);
        LAP_MARK("looked up");
    }
}

/* Sizes further out: of a scope, and of a handle. */
static void nested(size_t n)
{
    LAP_PROFILE("of %s and %zu parts", "one", n);
    {
        LAP_PROFILE("inside");
        spin_ns(1000 + 100 * (double)n);
        LAP_MARK("deep");
    }
    const lap_handle handle = lap_begin_with(LAP_OPTS(.n = (int64_t)n), "request");
    spin_ns(500 + 100 * (double)n);
    lap_mark(handle, "answered");
    lap_end(handle);
}

/* No number anywhere: how often the loop runs is all there is. */
static __attribute__((noinline)) void visit(size_t n)
{
    LAP_PROFILE("visit");
    for (size_t i = 0; i < n; i++) {
        spin_ns(300 + 20 * (double)n);
        LAP_MARK("neighbour");
    }
}

/* A profiler in a loop, and a lap behind each, in which it is. */
static __attribute__((noinline)) void handle_one(size_t n)
{
    LAP_PROFILE("one of a batch");
    spin_ns(300 + 20 * (double)n);
}

static void batch(size_t n)
{
    LAP_PROFILE("batch of %zu", n);
    for (size_t i = 0; i < n; i++) {
        handle_one(n);
        LAP_MARK("one handled");
    }
}

/* Once a run. */
static void square(size_t n)
{
    LAP_PROFILE_WITH(LAP_OPTS(.n = (int64_t)n), "square");
    spin_ns(2000 + 10 * (double)n * (double)n);
    LAP_MARK("pairs compared");
}

/* Four sizes, and 12 that are nearly the same. */
static void little(size_t n)
{
    const uint64_t narrow = 20 + draw() % 12;
    LAP_MARK("drawn");
    spin_ns(1000 * (double)(n % 4 + 1));
    LAP_MARK_N(n % 4 + 1, "few");
    spin_ns(100 * (double)narrow);
    LAP_MARK_N(narrow, "narrow");
}

static const struct {
    const char *name;
    void (*run)(size_t n);
    double least;
} cases[] = {
    {"sort", sort, 200},      {"hash", hash, 64},     {"tree", tree, 64},        {"list", list, 100},
    {"strings", strings, 40}, {"matrix", matrix, 4},  {"gaps", markup_gaps, 16}, {"window", open_window, 40},
    {"save", save, 4},        {"spin", spin, 4},      {"resolve", resolve, 8},   {"nested", nested, 8},
    {"visit", visit, 4},      {"little", little, 20}, {"batch", batch, 4},       {"square", square, 30},
};

int main(int count, char **arguments)
{
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        if (count > 1 && strcmp(arguments[1], cases[c].name) != 0)
            continue;
        if (count > 2) {
            cases[c].run(strtoul(arguments[2], NULL, 10));
            continue;
        }
        LAP_PROFILE_TEXT(cases[c].name);
        for (int i = 0; i < SIZES * ROUNDS; i++) {
            double size = cases[c].least;
            for (uint64_t k = draw() % SIZES; k > 0; k--)
                size *= 1.377; /* 64 in 13 steps */
            cases[c].run((size_t)(size + 0.5));
        }
    }
    return 0;
}
