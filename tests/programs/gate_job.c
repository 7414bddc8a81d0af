/* SPDX-License-Identifier: MIT
 *
 * A short job for gates: five steps of 5 to 40 % of it. usage: gate_job [PERCENT], by which "parse" does more.
 */
#include <lapmark.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 60000, TEXT_BYTES = 1 << 19, SLOTS = 1 << 17, ROWS = 400 };

static uint32_t numbers[NUMBERS], slots[SLOTS];
static char text[TEXT_BYTES];
static uint64_t state = 1;
static volatile uint64_t sink;

static uint32_t draw_number(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static int compare(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* A sum of the decimal numbers in the first `bytes` of the text, round and round. */
static uint64_t parse(size_t bytes)
{
    uint64_t sum = 0, number = 0;
    for (size_t i = 0; i < bytes; i++) {
        const char byte = text[i % TEXT_BYTES];
        if (byte == ' ') {
            sum += number;
            number = 0;
        } else {
            number = number * 10 + (uint64_t)(byte - '0');
        }
    }
    return sum;
}

static void render(void)
{
    LAP_PROFILE("render");
    char row[256];
    for (int i = 0; i < ROWS; i++) {
        for (int column = 0; column < 24; column++)
            sink += (uint64_t)snprintf(row, sizeof row, "%u %g", numbers[(i * 24 + column) % NUMBERS], i * 0.5);
        LAP_MARK("row");
    }
}

int main(int argc, char **argv)
{
    const double percent = argc > 1 ? atof(argv[1]) : 0;
    LAP_PROFILE("job");
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = draw_number() % 6 ? (char)('0' + draw_number() % 10) : ' ';
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = draw_number();
    LAP_MARK("draw");
    sink += parse((size_t)(2.9 * TEXT_BYTES * (1 + percent / 100)));
    LAP_MARK("parse");
    qsort(numbers, NUMBERS, sizeof *numbers, compare);
    LAP_MARK("sort");
    for (int pass = 0; pass < 20; pass++)
        for (int i = 0; i < NUMBERS; i++)
            slots[numbers[i] * 2654435769u >> 15]++;
    LAP_MARK("count");
    render();
}
