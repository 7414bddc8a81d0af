/* SPDX-License-Identifier: MIT
 *
 * The batch that brings statistics up to date, on events made up here, so that its instructions are the same each time.
 * usage: instructions_batch BLOCKS
 */
#include "statistics.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_WORDS (LAP_FORMAT_SEGMENT_HEADER_BYTES / 8)
#define EVENTS 480u /* of a block; what the script divides by */
#define MARK 16u
#define BEGIN 32u
#define CLASSES 64u

static uint64_t segment[HEADER_WORDS + EVENTS];
static struct lap_class classes[CLASSES];
static uint64_t now_ticks = 1000;
static unsigned used;

static void event(uint32_t class_id)
{
    static uint32_t random = 1;
    random = random * 1664525u + 1013904223u;
    now_ticks += 24 + (random >> 28 == 0) * (random >> 20 & 15);
    segment[HEADER_WORDS + used++] = now_ticks << LAP_FORMAT_CLOCK_SHIFT | class_id;
}

static void make_same(void)
{
    while (used < EVENTS)
        event(MARK);
}

static void make_pairs(void)
{
    while (used < EVENTS) {
        event(BEGIN);
        event(LAP_FORMAT_END);
    }
}

/* 13 labels on 3 levels. */
static void make_levels(void)
{
    static const uint32_t order[] = {BEGIN + 1, MARK + 1,       MARK + 2,  BEGIN + 2,     MARK + 3, MARK + 4,
                                     BEGIN + 3, MARK + 5,       MARK + 6,  MARK + 7,      MARK + 8, LAP_FORMAT_END,
                                     MARK + 9,  LAP_FORMAT_END, MARK + 10, LAP_FORMAT_END};
    while (used < EVENTS)
        for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
            event(order[i]);
}

static struct lap_statistics statistics;
static struct lap_decoder decoder;
static uint64_t sequence;

static __attribute__((noinline)) void run_block(void)
{
    lap_statistics_run(&statistics, &decoder, segment, 0, sequence++, LAP_FORMAT_SEGMENT_HEADER_BYTES,
                       LAP_FORMAT_SEGMENT_HEADER_BYTES + 8 * used);
    used = 0;
}

/* The call graph tells these apart; the comments keep the compiler from making one function of them. */
static __attribute__((noinline)) void count_batch_same(void)
{
    __asm__ volatile("# same");
    run_block();
}
static __attribute__((noinline)) void count_batch_pairs(void)
{
    __asm__ volatile("# pairs");
    run_block();
}
static __attribute__((noinline)) void count_batch_levels(void)
{
    __asm__ volatile("# levels");
    run_block();
}

int main(int argc, char **argv)
{
    const unsigned long blocks = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    lap_class_set_fixed(classes);
    for (unsigned i = 0; i < 16; i++) {
        classes[MARK + i] = (struct lap_class){.kind = LAP_CLASS_MARK, .words = 1};
        classes[BEGIN + i] = (struct lap_class){.kind = LAP_CLASS_BEGIN, .words = 1};
    }
    struct lap_paths paths;
    lap_paths_init(&paths, calloc(1, LAP_PATHS_BYTES), calloc(1, LAP_PATHS_BUCKETS_BYTES));
    statistics = (struct lap_statistics){.heap = calloc(LAP_FORMAT_UNITS, LAP_FORMAT_UNIT_BYTES),
                                         .units = LAP_FORMAT_UNITS,
                                         .paths = &paths,
                                         .cell_of_path = calloc(LAP_FORMAT_PATHS, sizeof *statistics.cell_of_path),
                                         .cache = calloc(LAP_STATISTICS_CACHE, sizeof *statistics.cache)};
    lap_statistics_init(&statistics);
    decoder.classes = classes;
    decoder.class_count = CLASSES;
    event(BEGIN + 15);
    run_block();
    for (unsigned long i = 0; i < blocks; i++) {
        make_same();
        count_batch_same();
        make_pairs();
        count_batch_pairs();
        make_levels();
        count_batch_levels();
    }
    return 0;
}
