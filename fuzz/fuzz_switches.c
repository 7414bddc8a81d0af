/* SPDX-License-Identifier: MIT
 *
 * LAPMARK's terms and the globs in them. Lines: the terms of the variable, further terms, a label, a function, a size.
 */
#include "fuzz_place.h"
#include "lapmark/format.h"
#include "switches.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 5, GLOB_CHECKED_BYTES = 512 };

/* What a glob says, by the book: reach[i] is whether the glob up to here can have matched i bytes. */
static bool glob_matches_slowly(const char *glob, const char *text)
{
    static bool reach[GLOB_CHECKED_BYTES + 1];
    const size_t length = strlen(text);
    memset(reach, 0, sizeof reach);
    reach[0] = true;
    for (; *glob; glob++) {
        const bool is_star = *glob == '*', is_any = *glob == '?';
        if (*glob == '\\' && glob[1])
            glob++;
        if (is_star) {
            for (size_t i = 1; i <= length; i++)
                reach[i] = reach[i] || reach[i - 1];
            continue;
        }
        for (size_t i = length; i > 0; i--)
            reach[i] = reach[i - 1] && (is_any || text[i - 1] == *glob);
        reach[0] = false;
    }
    return reach[length];
}

static void glob_check(const char *glob, const char *text)
{
    const int matches = lap_glob_matches(glob, text);
    if (strlen(text) <= GLOB_CHECKED_BYTES)
        fuzz_expect((matches != 0) == glob_matches_slowly(glob, text), "a glob that matches otherwise");
}

static void terms_add(struct lap_switches *switches, const char *text, int sets_default)
{
    const struct lap_switches before = *switches;
    const char *where = NULL;
    if (lap_switches_add(switches, text, sets_default, &where) < 0) {
        fuzz_expect(where >= text && where <= text + strlen(text), "an error that is not in the text");
        fuzz_expect(memcmp(&before, switches, sizeof before) == 0, "terms that were added all the same");
    }
    fuzz_expect(switches->count <= LAP_SWITCHES_TERMS, "too many terms");
    for (unsigned i = 0; i < switches->count; i++) {
        const struct lap_term *const term = &switches->terms[i];
        fuzz_expect(memchr(term->glob, 0, sizeof term->glob) && term->glob[0], "a glob without an end, or empty");
        fuzz_expect(term->threshold_ns == LAP_FORMAT_NO_THRESHOLD || term->threshold_ns <= UINT64_C(1) << 60,
                    "a threshold that cannot be");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct lap_switches switches;
    memset(&switches, 0, sizeof switches);
    char *const copy = malloc(count + 1);
    if (!copy)
        return 0;
    memcpy(copy, bytes, count);
    copy[count] = 0;
    /* Each line has memory of its own, so that a byte too far is seen. */
    char *lines[LINES];
    char *at = copy;
    for (int i = 0; i < LINES; i++) {
        const size_t length = strcspn(at, "\n");
        lines[i] = calloc(1, length + 1);
        if (!lines[i])
            abort();
        memcpy(lines[i], at, length);
        at += length + (at[length] == '\n');
    }
    terms_add(&switches, lines[0], 1);
    terms_add(&switches, lines[1], 0);
    const struct lap_term *const found = lap_switches_find(&switches, lines[2], lines[3]);
    fuzz_expect(!found || (found >= switches.terms && found < switches.terms + switches.count), "no term of the list");
    for (unsigned i = 0; i < switches.count; i++) {
        glob_check(switches.terms[i].glob, lines[2]);
        glob_check(switches.terms[i].glob, lines[3]);
    }
    glob_check(lines[0], lines[2]);
    glob_check(lines[2], lines[3]);
    uint64_t size = 0;
    const int code = lap_switches_parse_size(lines[4], &size);
    fuzz_expect(code == 0 || size == 0, "a size that was set all the same");
    for (int i = 0; i < LINES; i++)
        free(lines[i]);
    free(copy);
    return 0;
}
