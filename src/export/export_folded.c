/* SPDX-License-Identifier: MIT
 *
 * Collapsed stacks, as flamegraph.pl reads them: a line for each stack that has time of its own, its frames joined by ";", a space, and
 * nanoseconds. The format has no escapes, so what it would take for its own is shown as something else: a semicolon as a colon; and the
 * space before a number at the end of a name, which would be a second column of values, as one that does not break.
 */
#define _GNU_SOURCE
#include "export.h"
#include "stack_sums.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NO_BREAK_SPACE "\xc2\xa0"

struct folded {
    const struct lap_stacks *stacks;
    struct lap_out *out;
    uint32_t *order; /* of stacks: below one another, by name */
    uint32_t *first; /* of a stack: of those below it the first in `order` */
    char *line;      /* the frames of a stack */
    size_t room;
};

/* ---- frames -------------------------------------------------------------------------------------------------------- */

/* The space before a number at the end; NULL: there is none. */
static const char *number_space(const char *text)
{
    const char *at = text + strlen(text);
    while (at > text && ((at[-1] >= '0' && at[-1] <= '9') || at[-1] == '.'))
        at--;
    return *at && at > text && at[-1] == ' ' ? at - 1 : NULL;
}

/* Behind `used` bytes of the line. Returns the bytes that there are then; 0: there is no memory. */
static size_t frame_put(struct folded *to, size_t used, const char *text)
{
    const size_t most = used + strlen(text) + sizeof ";" NO_BREAK_SPACE;
    if (most > to->room) {
        char *const more = realloc(to->line, 2 * most);
        if (!more)
            return 0;
        to->line = more;
        to->room = 2 * most;
    }
    const char *const space = number_space(text);
    if (used > 0)
        to->line[used++] = ';';
    for (; *text; text++) {
        if (text == space) {
            memcpy(to->line + used, NO_BREAK_SPACE, sizeof NO_BREAK_SPACE - 1);
            used += sizeof NO_BREAK_SPACE - 1;
        } else {
            to->line[used++] = *text == ';' ? ':' : *text;
        }
    }
    return used;
}

/* ---- stacks -------------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct lap_stacks *stacks, uint32_t stack)
{
    return lap_texts_text(&stacks->texts, stacks->stacks[stack].text);
}

/* By what is around them, then by name; of one name a lap comes first. */
static int by_name(const void *one, const void *other, void *user)
{
    const struct lap_stacks *const stacks = user;
    const struct lap_stack *const a = &stacks->stacks[*(const uint32_t *)one];
    const struct lap_stack *const b = &stacks->stacks[*(const uint32_t *)other];
    if (a->parent != b->parent)
        return a->parent + 1 < b->parent + 1 ? -1 : 1; /* programs first */
    if (a->text != b->text)
        return strcmp(lap_texts_text(&stacks->texts, a->text), lap_texts_text(&stacks->texts, b->text));
    return b->is_lap - a->is_lap;
}

static int order_make(struct folded *to)
{
    const uint32_t count = to->stacks->keys.index.count;
    to->order = malloc((count + 1) * sizeof *to->order);
    to->first = calloc(count + 1, sizeof *to->first);
    if (!to->order || !to->first)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        to->order[i] = i;
    qsort_r(to->order, count, sizeof *to->order, by_name, (void *)(uintptr_t)to->stacks);
    for (uint32_t i = count; i-- > 0;) {
        const uint32_t parent = to->stacks->stacks[to->order[i]].parent;
        if (parent != LAP_STACKS_NONE)
            to->first[parent] = i;
    }
    return 0;
}

/* The place in `order` of the next one below the same; count: none. */
static uint32_t sibling_of(const struct folded *to, uint32_t place)
{
    const struct lap_stack *const stacks = to->stacks->stacks;
    const uint32_t count = to->stacks->keys.index.count;
    return place + 1 < count && stacks[to->order[place]].parent == stacks[to->order[place + 1]].parent ? place + 1
                                                                                                       : count;
}

/* A lap and a profiler of one name are one line. What has no time has one if nothing below it says that it was there. */
static void stack_write(struct folded *to, uint32_t place, size_t bytes)
{
    const struct lap_stacks *const stacks = to->stacks;
    const struct lap_stack *const stack = &stacks->stacks[to->order[place]];
    lap_uint128 self = stack->self;
    const uint32_t next = sibling_of(to, place);
    if (next < stacks->keys.index.count && stacks->stacks[to->order[next]].text == stack->text)
        return;
    if (place > 0) {
        const struct lap_stack *const before = &stacks->stacks[to->order[place - 1]];
        if (before->parent == stack->parent && before->text == stack->text)
            self += before->self;
    }
    const uint64_t self_ns = (uint64_t)(self >> 56);
    if (self_ns == 0 && (stack->count == 0 || to->first[to->order[place]] > 0))
        return;
    lap_out_write(to->out, to->line, bytes);
    lap_out_printf(to->out, " %" PRIu64 "\n", self_ns);
}

/* Depth first. */
static int stacks_write(struct folded *to)
{
    const uint32_t count = to->stacks->keys.index.count;
    uint32_t places[LAP_STACKS_DEPTH + 1];
    size_t used[LAP_STACKS_DEPTH + 2] = {0};
    int depth = 0;
    places[0] = 0;
    while (depth >= 0 && to->out->error == 0) {
        if (places[depth] >= count) {
            depth--;
            if (depth >= 0)
                places[depth] = sibling_of(to, places[depth]);
            continue;
        }
        const uint32_t stack = to->order[places[depth]];
        used[depth + 1] = frame_put(to, used[depth], name_of(to->stacks, stack));
        if (used[depth + 1] == 0)
            return -ENOMEM;
        stack_write(to, places[depth], used[depth + 1]);
        if (to->first[stack] > 0)
            places[++depth] = to->first[stack];
        else
            places[depth] = sibling_of(to, places[depth]);
    }
    return to->out->error;
}

int lap_export_folded(const struct lap_export *export, struct lap_out *out)
{
    struct lap_stacks *stacks;
    int code = lap_stacks_make(&stacks, export);
    if (code < 0)
        return code;
    struct folded to = {.stacks = stacks, .out = out};
    code = order_make(&to);
    if (code == 0)
        code = stacks_write(&to);
    free(to.order);
    free(to.first);
    free(to.line);
    lap_stacks_free(stacks);
    return code;
}
