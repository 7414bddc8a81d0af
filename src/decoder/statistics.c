/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include "lapmark/abi.h"

#include <errno.h>
#include <string.h>

static void *unit_at(const struct lap_statistics *statistics, uint32_t unit)
{
    return (char *)statistics->heap + (size_t)unit * LAP_FORMAT_UNIT_BYTES;
}

/* Takes `count` units of zeros from the heap; 0 when there are none. The heap may move. */
static uint32_t units_take(struct lap_statistics *statistics, uint32_t count)
{
    const uint32_t first = statistics->heap->units;
    if (first + count > LAP_FORMAT_UNITS)
        return 0;
    if (first + count > statistics->units) {
        if (!statistics->grow || statistics->grow(statistics) < 0 || first + count > statistics->units)
            return 0;
    }
    statistics->heap->units = first + count;
    return first;
}

static uint32_t cell_make(struct lap_statistics *statistics, uint32_t path)
{
    if (statistics->before_cell)
        statistics->before_cell(statistics);
    const uint32_t unit = units_take(statistics, 2);
    if (unit == 0)
        return 0;
    struct lap_format_cell *const cell = unit_at(statistics, unit);
    cell->min_ticks = UINT64_MAX;
    cell->magic = LAP_FORMAT_CELL_MAGIC;
    cell->path = path + 1;
    statistics->cell_of_path[path] = (uint16_t)unit;
    return unit;
}

void lap_statistics_init(struct lap_statistics *statistics)
{
    struct lap_format_statistics *const heap = statistics->heap;
    if (heap->magic != LAP_FORMAT_STATISTICS_MAGIC) {
        heap->version = LAP_FORMAT_VERSION;
        heap->units = LAP_FORMAT_FIRST_UNIT;
        heap->magic = LAP_FORMAT_STATISTICS_MAGIC;
        return;
    }
    if (heap->units > statistics->units)
        heap->units = statistics->units;
    for (uint32_t unit = LAP_FORMAT_FIRST_UNIT; unit + 2 <= heap->units; unit++) {
        struct lap_format_cell *const cell = unit_at(statistics, unit);
        if (cell->magic == LAP_FORMAT_CELL_MAGIC && cell->path != 0 && cell->path <= LAP_FORMAT_PATHS &&
            statistics->cell_of_path[cell->path - 1] == 0) {
            statistics->cell_of_path[cell->path - 1] = (uint16_t)unit;
            cell->rest_unit = 0; /* found again when it is needed: a stored one is not trusted */
        }
    }
}

struct lap_format_cell *lap_statistics_cell(const struct lap_statistics *statistics, uint32_t path)
{
    const uint32_t unit = path < LAP_FORMAT_PATHS ? statistics->cell_of_path[path] : 0;
    return unit == 0 ? NULL : unit_at(statistics, unit);
}

/* The first value of an octave: its counters are made, those of octaves 0 and 1 together, for cell_count. The cell may move. */
static __attribute__((cold, noinline)) void cell_add_octave(struct lap_statistics *statistics, uint32_t path,
                                                            uint64_t ticks)
{
    const uint32_t bucket = lap_histogram_bucket(ticks);
    const uint32_t octave = LAP_HISTOGRAM_OCTAVE(bucket);
    const uint32_t unit = units_take(statistics, octave < 2 ? 2 : 1);
    struct lap_format_cell *const cell = lap_statistics_cell(statistics, path);
    if (unit == 0) {
        statistics->heap->laps_lost++;
        return;
    }
    if (octave < 2) {
        cell->chunks[0] = (uint16_t)unit;
        cell->chunks[1] = (uint16_t)(unit + 1);
    } else {
        cell->chunks[octave] = (uint16_t)unit;
    }
    ((uint64_t *)unit_at(statistics, cell->chunks[octave]))[LAP_HISTOGRAM_COUNTER(bucket)] = 1;
}

/* Counts a value in the histogram alone; `counters` is the heap. Returns 0 if the heap may have moved. About 10 instructions:
 * octave 1 lies behind octave 0, so that one formula does for both, (value >> shift) - 16 in octave shift + 1. */
static inline __attribute__((always_inline)) int cell_count(struct lap_statistics *statistics, uint64_t *counters,
                                                            struct lap_format_cell *cell, uint64_t ticks)
{
    const unsigned shift = lap_histogram_shift(ticks);
    const uint64_t unit = cell->chunks[shift + 1];
    if (__builtin_expect(unit == 0, 0)) {
        cell_add_octave(statistics, cell->path - 1, ticks);
        return 0;
    }
    counters[(unit << 4) + (ticks >> shift) - 16]++;
    return 1;
}

/* A new least or greatest value. */
static __attribute__((cold, noinline)) uint64_t cell_set_extremes(struct lap_format_cell *cell, uint64_t ticks)
{
    ticks = ticks > INT64_MAX ? INT64_MAX : ticks; /* from a damaged recording: such a value is above any greatest */
    if (ticks < cell->min_ticks)
        cell->min_ticks = ticks;
    if (ticks > cell->max_ticks)
        cell->max_ticks = ticks;
    return ticks;
}

static inline __attribute__((always_inline)) void cell_add(struct lap_statistics *statistics,
                                                           struct lap_format_cell *cell, uint64_t ticks)
{
    cell->count++; /* not beside the sum: gcc would make vectors of them, which costs 0.5 ns */
    if (__builtin_expect(ticks < cell->min_ticks || ticks > cell->max_ticks, 0))
        ticks = cell_set_extremes(cell, ticks);
    cell->sum_ticks += ticks;
    cell_count(statistics, (uint64_t *)(void *)statistics->heap, cell, ticks);
}

/* The part of a cache key that the parent makes. */
static inline uint64_t key_of_parent(uint32_t parent) { return (uint64_t)(parent + 1) << 32; }

static inline uint64_t cache_key(uint32_t parent, uint32_t class_id) { return key_of_parent(parent) | class_id; }

/* The cell of a class under a parent, by way of the path table; NULL: no memory. *ret_path is the path in any case. */
static __attribute__((cold, noinline)) struct lap_statistics_cached *
cache_fill(struct lap_statistics *statistics, uint32_t parent, uint32_t class_id, uint32_t index, uint32_t *ret_path)
{
    LAP_I_POINT("path not looked up");
    const uint32_t path = lap_paths_get(statistics->paths, parent, class_id);
    *ret_path = path;
    if (statistics->cell_of_path[path] == 0 && cell_make(statistics, path) == 0)
        return NULL;
    struct lap_statistics_cached *const cached = &statistics->cache[index & (LAP_STATISTICS_CACHE - 1)];
    *cached = (struct lap_statistics_cached){cache_key(parent, class_id), statistics->cell_of_path[path], 0};
    return cached;
}

int lap_statistics_add(struct lap_statistics *statistics, uint32_t path, uint64_t ticks)
{
    if (statistics->cell_of_path[path] == 0 && cell_make(statistics, path) == 0) {
        statistics->heap->laps_lost++;
        return -ENOMEM;
    }
    cell_add(statistics, lap_statistics_cell(statistics, path), ticks);
    return 0;
}

/* Adds to the path of `class_id` under `parent`, whose cell is looked for at `index` of the cache. */
static inline __attribute__((always_inline)) struct lap_statistics_cached *add_at(struct lap_statistics *statistics,
                                                                                  uint64_t key, uint32_t parent,
                                                                                  uint32_t class_id, uint32_t index,
                                                                                  uint64_t ticks)
{
    struct lap_statistics_cached *cached = &statistics->cache[index & (LAP_STATISTICS_CACHE - 1)];
    uint32_t path;
    if (__builtin_expect(cached->key != (key | class_id), 0)) {
        cached = cache_fill(statistics, parent, class_id, index, &path);
        if (cached)
            cached->key = key | class_id;
    }
    if (__builtin_expect(cached != NULL, 1))
        cell_add(statistics, unit_at(statistics, cached->unit), ticks);
    else
        statistics->heap->laps_lost++;
    return cached;
}

/* Adds to a profiler's rest; its cell says where. */
static void add_rest(struct lap_statistics *statistics, uint32_t profiler, uint64_t ticks)
{
    const uint32_t path = lap_paths_get(statistics->paths, profiler, LAP_FORMAT_REST);
    if (lap_statistics_add(statistics, path, ticks) == 0 && statistics->cell_of_path[profiler] != 0)
        lap_statistics_cell(statistics, profiler)->rest_unit = statistics->cell_of_path[path];
}

/* A checkpoint's key in the cache, and that of a begin with options: no class has these bits. */
#define MARK_KEY (UINT64_C(1) << 31)
#define WITH_KEY (UINT64_C(1) << 30)
/* A lap that is longer is a clock that went backward. */
#define LAP_TICKS_MAX (UINT64_C(1) << 43)

/* ---- the visitor: what each event adds --------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
on_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope, uint64_t lap)
{
    (void)decoder;
    struct lap_statistics_cached *const cached =
        add_at(user, scope->key | MARK_KEY, scope->path, event->class_id, event->class_id, lap);
    if (cached)
        cached->bytes = (uint16_t)(8u * event->class->words);
}

static void on_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct lap_statistics *const statistics = user;
    const struct lap_class *const class = event->class;
    if (class->kind != LAP_CLASS_OPEN) { /* a state dump has its path stored */
        const uint32_t parent = lap_decode_around(decoder, event, scope);
        struct lap_statistics_cached *const cached =
            cache_fill(statistics, parent, event->class_id, event->class_id, &scope->path);
        if (cached) {
            cached->bytes = 8u * class->words;
            cached->key |= class->kind == LAP_CLASS_BEGIN_WITH ? WITH_KEY : 0;
        }
    } else if (scope->path >= LAP_FORMAT_PATHS) {
        scope->path = LAP_PATHS_OTHER;
    }
    scope->key = key_of_parent(scope->path);
    scope->unit = statistics->cell_of_path[scope->path];
}

static inline __attribute__((always_inline)) void on_end(void *user, struct lap_decoder *decoder,
                                                         const struct lap_event *event, struct lap_open *scope,
                                                         uint64_t total, uint64_t rest)
{
    (void)event;
    (void)decoder;
    if (scope->marks != 0)
        add_rest(user, scope->path, rest);
    lap_statistics_add(user, scope->path, total);
}

/* What a run works on. */
struct running {
    struct lap_statistics *statistics;
    const struct lap_statistics_cached *cache;
    const struct lap_class *classes;
    uint32_t class_count;
    const char *at;
    const char *end;
    uint64_t applied; /* plus an address: what the heap's `applied` is to be */
    uint64_t last;    /* the last event's thread time */
    uint64_t paused;
};

/* A handle's checkpoint is found in the cache by its own path. */
#define HANDLE_KEY (UINT64_C(1) << 29)
static inline uint64_t key_of_handle(uint32_t path, uint32_t class_id)
{
    return (uint64_t)path << 32 | HANDLE_KEY | class_id;
}

/* A begin whose cell is known: what it opens. */
static inline __attribute__((always_inline)) void run_begin(const struct running *running,
                                                            const struct lap_statistics_cached *cached,
                                                            struct lap_open *scope, uint32_t class_id, uint64_t now)
{
    const struct lap_format_cell *const cell = unit_at(running->statistics, cached->unit);
    *scope = (struct lap_open){.begin = now,
                               .last = now,
                               .begin_ticks = now + running->paused,
                               .event = (const uint64_t *)(const void *)running->at,
                               .threshold_ns = LAP_FORMAT_NO_THRESHOLD,
                               .class_id = class_id,
                               .path = cell->path - 1,
                               .unit = cached->unit,
                               .key = key_of_parent(cell->path - 1)};
}

/* What follows reads runs of one class by the differences of their words, with the class turned to the top: not 0 above
 * these bits is another class, a longer lap, or a clock that went backward. A run begins in the first half of the clock's
 * range, and a segment's at most 2^21 events of such laps cannot leave it. */
#define RUN_LAP_BITS 20
static inline uint64_t run_lap(uint64_t from, uint64_t to)
{
    return (to - from) >> LAP_FORMAT_CLOCK_SHIFT | (to - from) << (64 - LAP_FORMAT_CLOCK_SHIFT);
}
static inline uint64_t run_word(const char *at)
{
    uint64_t word;
    __builtin_memcpy(&word, at, sizeof word);
    return word;
}

/* One cell's further samples: count and sum stay in registers, and are stored all the same, so that `applied` is true after
 * each. Returns 0 if the heap may have moved. */
struct run_cell {
    struct lap_format_cell *cell;
    uint64_t *counters;
    uint64_t *applied;
    uint64_t count;
    uint64_t sum;
};
static inline __attribute__((always_inline)) int run_cell_add(struct lap_statistics *statistics, struct run_cell *run,
                                                              uint64_t lap, uint64_t applied)
{
    if (__builtin_expect(lap < run->cell->min_ticks || lap > run->cell->max_ticks, 0))
        cell_set_extremes(run->cell, lap);
    run->cell->count = ++run->count;
    run->cell->sum_ticks = run->sum += lap;
    const int stays = cell_count(statistics, run->counters, run->cell, lap);
    __atomic_store_n(stays ? run->applied : &statistics->heap->applied, applied, __ATOMIC_RELEASE);
    return stays;
}
static inline __attribute__((always_inline)) struct run_cell run_cell_open(struct lap_statistics *statistics,
                                                                           uint32_t unit)
{
    struct lap_format_cell *const cell = unit_at(statistics, unit);
    return (struct run_cell){cell, (uint64_t *)(void *)statistics->heap, &statistics->heap->applied, cell->count,
                             cell->sum_ticks};
}

/* Further checkpoints of the class of `word`, which is in front of them. Returns how many. */
static inline __attribute__((always_inline)) uint64_t run_marks(struct running *running, uint32_t unit, uint64_t word,
                                                                uint64_t bytes)
{
    struct run_cell run = run_cell_open(running->statistics, unit);
    const uint64_t before = run.count;
    const char *at = running->at;
    const char *const last = running->end - bytes;
    const uint64_t applied = running->applied;
    while (at <= last) {
        const uint64_t next = run_word(at);
        const uint64_t lap = run_lap(word, next);
        if (lap >> RUN_LAP_BITS != 0)
            break;
        word = next;
        at += bytes;
        if (__builtin_expect(!run_cell_add(running->statistics, &run, lap, applied + (uint64_t)(uintptr_t)at), 0))
            break;
    }
    running->at = at;
    return run.count - before;
}

/* Further checkpoints of handles with the class of `word`, which is in front of them, and one path. Returns how many. */
static inline __attribute__((always_inline)) uint64_t run_handle_marks(struct running *running, uint32_t unit,
                                                                       uint64_t word, uint32_t path, uint64_t bytes)
{
    struct run_cell run = run_cell_open(running->statistics, unit);
    const uint64_t before = run.count;
    const char *at = running->at;
    const char *const last = running->end - bytes;
    const uint64_t applied = running->applied;
    while (at <= last) {
        const uint64_t next = run_word(at);
        const struct lap_format_handle_mark *const mark = (const void *)(at + 8);
        if (run_lap(word, next) >> RUN_LAP_BITS != 0 || mark->path != path)
            break;
        word = next;
        at += bytes;
        if (__builtin_expect(!run_cell_add(running->statistics, &run, mark->lap_ticks, applied + (uint64_t)(uintptr_t)at),
                             0))
            break;
    }
    running->at = at;
    return run.count - before;
}

/* Events of handles whose cells are known, in front of what makes them: what they say of path and times is their own. Returns how
 * many, with running->at behind them, 0 for one that is left to the functions above. Not inlined, for the sake of the loop that
 * calls it. */
static __attribute__((noinline)) uint64_t run_handles(struct running *running, const struct lap_statistics_cached *cached,
                                                      uint64_t word, int is_in_first_half)
{
    struct lap_statistics *const statistics = running->statistics;
    const uint32_t class_id = word & LAP_FORMAT_CLASS_MASK;
    const struct lap_class *const class = &running->classes[class_id < running->class_count ? class_id : 0];
    const uint32_t bytes = 8u * class->words;
    const void *const payload = running->at + 8;
    if (bytes - 1 >= (uint64_t)(running->end - running->at))
        return 0;
    if (class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = payload;
        const uint32_t path = mark->path;
        uint32_t unit = cached->unit;
        if (cached->key != key_of_handle(path, class_id)) {
            unit = path < LAP_FORMAT_PATHS ? statistics->cell_of_path[path] : 0;
            if (unit == 0)
                return 0;
            statistics->cache[class_id & (LAP_STATISTICS_CACHE - 1)] =
                (struct lap_statistics_cached){key_of_handle(path, class_id), unit, bytes};
        }
        cell_add(statistics, unit_at(statistics, unit), mark->lap_ticks);
        running->at += bytes;
        return 1 + (is_in_first_half ? run_handle_marks(running, unit, word, path, bytes) : 0);
    }
    if (class->kind == LAP_CLASS_HANDLE_END) {
        const struct lap_format_handle_end *const end = payload;
        const uint32_t unit = end->path < LAP_FORMAT_PATHS ? statistics->cell_of_path[end->path] : 0;
        const uint32_t rest_unit = unit == 0 ? 0 : ((const struct lap_format_cell *)unit_at(statistics, unit))->rest_unit;
        if (unit == 0 || (end->marks != 0 && rest_unit == 0))
            return 0;
        if (end->marks != 0)
            cell_add(statistics, unit_at(statistics, rest_unit), end->lap_ticks);
        cell_add(statistics, unit_at(statistics, unit), end->total_ticks);
    } else if (class->kind != LAP_CLASS_HANDLE_BEGIN) {
        return 0;
    }
    running->at += bytes;
    return 1;
}

/* Profilers of one class with nothing inside, the first of which starts at running->at. Returns how many. */
static inline __attribute__((always_inline)) uint64_t run_pairs(struct running *running, uint32_t unit, uint64_t class_id,
                                                                uint64_t bytes)
{
    struct run_cell run = run_cell_open(running->statistics, unit);
    const uint64_t before = run.count;
    const uint64_t to_begin = class_id - LAP_FORMAT_END;
    const char *at = running->at;
    const char *const last = running->end - bytes - 8;
    const uint64_t applied = running->applied;
    uint64_t previous = run_word(at);
    while (at <= last) {
        const uint64_t begin = run_word(at);
        const uint64_t end = run_word(at + bytes) + to_begin;
        const uint64_t lap = run_lap(begin, end);
        if ((lap | run_lap(previous, begin)) >> RUN_LAP_BITS != 0)
            break;
        previous = end;
        at += bytes + 8;
        if (__builtin_expect(!run_cell_add(running->statistics, &run, lap, applied + (uint64_t)(uintptr_t)at), 0))
            break;
    }
    running->at = at;
    return run.count - before;
}

/* Checkpoints, begins and ends whose cells are known, which is nearly all there is: what it needs of an event is in one
 * entry of the cache. Whatever else it meets, it leaves to the functions above, which then make it known. */
static inline __attribute__((always_inline)) uint32_t run_events(struct lap_statistics *statistics,
                                                                 struct lap_decoder *decoder, const struct lap_run *run)
{
    struct running running = {.statistics = statistics,
                              .cache = statistics->cache,
                              .classes = decoder->classes,
                              .class_count = decoder->class_count,
                              .at = run->segment + run->offset,
                              .end = run->segment + run->to,
                              .applied = statistics->sequence - (uint64_t)(uintptr_t)run->segment,
                              .last = decoder->last_ticks - decoder->paused,
                              .paused = decoder->paused};
    const uint64_t base = run->begin_ticks - running.paused;
    const uint64_t begin_word = run->begin_ticks << LAP_FORMAT_CLOCK_SHIFT;
    struct lap_open *const root = &decoder->root;
    struct lap_open *const deepest = root + LAP_DECODE_DEPTH;
    struct lap_open *scope = root + decoder->depth;
    uint64_t events = 0;
    root->key = key_of_parent(LAP_PATHS_ROOT);
    while (running.at < running.end) {
        uint64_t word;
        __builtin_memcpy(&word, running.at, sizeof word);
        const uint32_t class_id = word & LAP_FORMAT_CLASS_MASK;
        const uint64_t now = base + lap_event_elapsed(word, begin_word);
        if (__builtin_expect((int64_t)(now - running.last) < 0, 0))
            break;
        if (class_id == LAP_FORMAT_END) {
            if (__builtin_expect(scope == root || scope->unit == 0, 0))
                break;
            if (scope->marks != 0) {
                const uint32_t rest_unit = ((const struct lap_format_cell *)unit_at(statistics, scope->unit))->rest_unit;
                if (__builtin_expect(rest_unit == 0, 0))
                    break;
                cell_add(statistics, unit_at(statistics, rest_unit), now - scope->last);
            }
            cell_add(statistics, unit_at(statistics, scope->unit), now - scope->begin);
            scope--;
            running.at += 8;
        } else {
            const struct lap_statistics_cached *const cached = &running.cache[class_id & (LAP_STATISTICS_CACHE - 1)];
            const uint64_t key = scope->key | class_id;
            if (__builtin_expect(cached->key == (key | MARK_KEY), 1)) {
                uint64_t bytes = 8;
                if (__builtin_expect(cached->bytes != 8, 0)) {
                    bytes = cached->bytes;
                    if (bytes - 1 >= (uint64_t)(running.end - running.at))
                        break;
                    __asm__ volatile("" : "+r"(bytes)); /* keeps it a branch */
                }
                const uint64_t lap = now - scope->last;
                scope->last = now;
                scope->marks++;
                cell_add(statistics, unit_at(statistics, cached->unit), lap);
                events++;
                running.at += bytes;
                running.last = now;
                __atomic_store_n(&statistics->heap->applied, running.applied + (uint64_t)(uintptr_t)running.at,
                                 __ATOMIC_RELEASE);
                if (running.at < running.end && ((run_word(running.at) ^ word) & LAP_FORMAT_CLASS_MASK) == 0 &&
                    (word - begin_word) >> 63 == 0) {
                    const uint64_t marks = run_marks(&running, cached->unit, word, bytes);
                    const uint64_t more = (run_word(running.at - bytes) - word) >> LAP_FORMAT_CLOCK_SHIFT;
                    scope->marks += (uint32_t)marks;
                    scope->last += more;
                    running.last += more;
                    events += marks;
                }
                continue;
            }
            if (__builtin_expect(cached->key != key && cached->key != (key | WITH_KEY), 0)) {
                struct running copy = running; /* what another function sees is not in registers */
                const uint64_t handles = run_handles(&copy, cached, word, (word - begin_word) >> 63 == 0);
                if (handles == 0)
                    break;
                const uint64_t bytes = (uint64_t)(copy.at - running.at) / handles;
                running.at = copy.at;
                running.last = base + lap_event_elapsed(run_word(running.at - bytes), begin_word);
                events += handles;
                __atomic_store_n(&statistics->heap->applied, running.applied + (uint64_t)(uintptr_t)running.at,
                                 __ATOMIC_RELEASE);
                continue;
            }
            if (__builtin_expect(scope == deepest, 0))
                break;
            if (cached->key == key && running.end - running.at > (ptrdiff_t)cached->bytes && cached->bytes != 0 &&
                (run_word(running.at + cached->bytes) & LAP_FORMAT_CLASS_MASK) == LAP_FORMAT_END &&
                (word - begin_word) >> 63 == 0) {
                const uint64_t pairs = run_pairs(&running, cached->unit, class_id, cached->bytes);
                if (pairs > 0) {
                    running.last = base + lap_event_elapsed(run_word(running.at - 8), begin_word);
                    events += 2 * pairs;
                    continue;
                }
            }
            if (__builtin_expect(cached->key == key && cached->bytes == 8, 1)) {
                run_begin(&running, cached, ++scope, class_id, now);
                running.at += 8;
            } else {
                if (cached->bytes - 1u >= (uint64_t)(running.end - running.at))
                    break;
                if (cached->key == key) {
                    run_begin(&running, cached, ++scope, class_id, now);
                } else {
                    const struct lap_format_begin_with *const with = (const void *)(running.at + 8);
                    if (with->parent != 0)
                        break;
                    run_begin(&running, cached, ++scope, class_id, now);
                    scope->threshold_ns = with->threshold_ns;
                    scope->n = with->n;
                    scope->flags = with->flags;
                }
                running.at += cached->bytes;
            }
        }
        events++;
        running.last = now;
        __atomic_store_n(&statistics->heap->applied, running.applied + (uint64_t)(uintptr_t)running.at, __ATOMIC_RELEASE);
    }
    decoder->depth = (uint32_t)(scope - root);
    decoder->events += events;
    decoder->last_ticks = running.last + running.paused;
    return (uint32_t)(running.at - run->segment);
}

uint32_t lap_statistics_run_short(struct lap_statistics *statistics, struct lap_decoder *decoder, const void *segment,
                                  uint64_t begin_ticks, uint64_t sequence, uint32_t from, uint32_t to)
{
    const struct lap_run run = {segment, from, to, begin_ticks};
    statistics->sequence = sequence << LAP_FORMAT_APPLIED_SHIFT;
    return run_events(statistics, decoder, &run);
}

static uint32_t on_run(void *user, struct lap_decoder *decoder, struct lap_run *run)
{
    struct lap_statistics *const statistics = user;
    return lap_statistics_run_short(statistics, decoder, run->segment, run->begin_ticks,
                                    statistics->sequence >> LAP_FORMAT_APPLIED_SHIFT, run->offset, run->to);
}

static void on_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    (void)decoder;
    struct lap_statistics *const statistics = user;
    if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
        if (mark->path < LAP_FORMAT_PATHS)
            lap_statistics_add(statistics, mark->path, mark->lap_ticks);
    } else if (event->class->kind == LAP_CLASS_HANDLE_END) {
        const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
        if (end->path >= LAP_FORMAT_PATHS)
            return;
        if (end->marks != 0)
            add_rest(statistics, end->path, end->lap_ticks);
        lap_statistics_add(statistics, end->path, end->total_ticks);
    }
}

static void on_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    (void)decoder;
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    if (call->path < LAP_FORMAT_PATHS && !(call->flags & LAP_FORMAT_CALL_PART))
        lap_statistics_add(user, call->path, call->got_ticks - call->sent_ticks);
}

/* The commit of one event's samples: a kill before it makes a reader apply the event again, after it not. */
static inline __attribute__((always_inline)) void on_done(void *user, struct lap_decoder *decoder, uint32_t end)
{
    (void)decoder;
    struct lap_statistics *const statistics = user;
    __atomic_store_n(&statistics->heap->applied, statistics->sequence | end, __ATOMIC_RELEASE);
}

struct lap_decode_result lap_statistics_run(struct lap_statistics *statistics, struct lap_decoder *decoder,
                                            const void *segment, uint64_t begin_ticks, uint64_t sequence, uint32_t from,
                                            uint32_t to)
{
    static const struct lap_visitor visitor = {.run = on_run,
                                               .mark = on_mark,
                                               .begin = on_begin,
                                               .end = on_end,
                                               .handle = on_handle,
                                               .call = on_call,
                                               .done = on_done};
    const uint64_t events = decoder->events;
    statistics->sequence = sequence << LAP_FORMAT_APPLIED_SHIFT;
    const struct lap_decode_result result = lap_decode(decoder, segment, begin_ticks, from, to, &visitor, statistics);
    statistics->heap->events += decoder->events - events;
    return result;
}
