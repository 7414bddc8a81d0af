/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stack_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX (8u << 20)
#define TEXT_BYTES 4096u /* of a file's or function's name */
#define CACHE 4096u
#define OTHERS "(others)"
enum { TEXT_EMPTY = 0, TEXT_OTHERS }; /* the first two */

/* What a span's user[] holds. */
enum { SPAN_STACK = 0, SPAN_TOLD_TICKS, SPAN_CALLS_NS, SPAN_LAPS };

struct cached {
    uint64_t key; /* 0: empty */
    uint32_t stack;
};

struct sums {
    struct lap_stacks *stacks;
    const struct lap_process *process;
    uint32_t program; /* its stack */
    int error;
    struct cached cache[CACHE]; /* by parent and class */
};

/* ---- stacks -------------------------------------------------------------------------------------------------------- */

static uint32_t text_of(struct lap_stacks *stacks, const char *text)
{
    char escaped[TEXT_BYTES];
    const size_t bytes = lap_span_text_escape(escaped, sizeof escaped, text);
    const uint32_t found = lap_texts_get(&stacks->texts, escaped, bytes);
    return found != LAP_INTERNED_NONE ? found : TEXT_EMPTY;
}

/* `site` NULL: it is none. */
static uint32_t frame_of(struct lap_stacks *stacks, uint32_t text, const struct lap_description *site)
{
    uint32_t key[4] = {[LAP_FRAME_TEXT] = text};
    if (site) {
        key[LAP_FRAME_FILE] = text_of(stacks, site->file);
        key[LAP_FRAME_FUNCTION] = text_of(stacks, site->function);
        key[LAP_FRAME_LINE] = site->line;
    }
    return lap_keys_get(&stacks->frames, key, UINT32_MAX - 1);
}

static bool stacks_reserve(struct lap_stacks *stacks)
{
    if (stacks->keys.index.count < stacks->stack_room || stacks->keys.index.count == 2 * LAP_STACKS_MAX)
        return true;
    const uint32_t room = stacks->stack_room ? 2 * stacks->stack_room : 256;
    struct lap_stack *const more = realloc(stacks->stacks, room * sizeof *more);
    if (!more)
        return false;
    stacks->stacks = more;
    stacks->stack_room = room;
    return true;
}

/* LAP_STACKS_NONE: it would be beyond the bound, or there is no memory. */
static uint32_t stack_get(struct lap_stacks *stacks, uint32_t parent, uint32_t text, bool is_lap, uint32_t most,
                          const struct lap_description *site)
{
    const uint32_t key[4] = {parent, text, is_lap, 0};
    const uint32_t count = stacks->keys.index.count;
    const uint32_t depth = parent == LAP_STACKS_NONE ? 0 : stacks->stacks[parent].depth + 1u;
    if (text == LAP_INTERNED_NONE || depth > LAP_STACKS_DEPTH || !stacks_reserve(stacks))
        return LAP_STACKS_NONE;
    const uint32_t stack = lap_keys_get(&stacks->keys, key, most);
    if (stack != count) /* known, or none */
        return stack;
    const uint32_t frame = frame_of(stacks, text, site);
    stacks->stacks[stack] =
        (struct lap_stack){.parent = parent, .text = text, .frame = frame, .depth = (uint16_t)depth, .is_lap = is_lap};
    return frame == LAP_INTERNED_NONE ? LAP_STACKS_NONE : stack;
}

/* Where all is that has no stack of its own below this one. */
static uint32_t others_get(struct sums *sums, uint32_t parent)
{
    struct lap_stacks *const stacks = sums->stacks;
    if (parent != LAP_STACKS_NONE && stacks->stacks[parent].depth >= LAP_STACKS_DEPTH)
        parent = stacks->stacks[parent].parent;
    const uint32_t stack = stack_get(stacks, parent, TEXT_OTHERS, true, 2 * LAP_STACKS_MAX, NULL);
    if (stack == LAP_STACKS_NONE) {
        sums->error = -ENOMEM;
        return 0;
    }
    stacks->stacks[stack].is_others = true;
    return stack;
}

static uint32_t child_get(struct sums *sums, uint32_t parent, const char *text, size_t bytes, bool is_lap,
                          const struct lap_description *site)
{
    struct lap_stacks *const stacks = sums->stacks;
    if (parent != LAP_STACKS_NONE && stacks->stacks[parent].is_others)
        return parent;
    const uint32_t stack =
        stack_get(stacks, parent, lap_texts_get(&stacks->texts, text, bytes), is_lap, LAP_STACKS_MAX, site);
    return stack != LAP_STACKS_NONE ? stack : others_get(sums, parent);
}

/* The stack of a site's, or of the rest. */
static uint32_t site_get(struct sums *sums, uint32_t parent, struct lap_span_text name, uint32_t class_id, bool is_lap)
{
    const bool has_id = name.id != 0 || class_id == LAP_FORMAT_REST;
    const uint64_t key = (uint64_t)(parent + 1) << 32 | (uint64_t)name.id << 1 | is_lap;
    struct cached *const cached = &sums->cache[key * UINT64_C(0x9E3779B97F4A7C15) >> 52];
    if (has_id && cached->key == key)
        return cached->stack;
    const struct lap_description *const site = lap_catalog_description(&sums->process->catalog, class_id);
    const uint32_t stack = child_get(sums, parent, name.text, name.bytes, is_lap, site);
    if (has_id)
        *cached = (struct cached){.key = key, .stack = stack};
    return stack;
}

/* ---- times --------------------------------------------------------------------------------------------------------- */

static lap_uint128 less(lap_uint128 from, lap_uint128 what) { return from > what ? from - what : 0; }
static lap_uint128 of_ns(uint64_t ns) { return (lap_uint128)ns << 56; }

static void stack_add(struct sums *sums, uint32_t stack, lap_uint128 self)
{
    sums->stacks->stacks[stack].self += self;
    sums->stacks->stacks[stack].count++;
}

/* What is no lap of a profiler. */
static void mark_add(struct sums *sums, const struct lap_span *span, const char *name, lap_uint128 self)
{
    const uint32_t stack = child_get(sums, (uint32_t)span->user[SPAN_STACK], name, strlen(name), true, NULL);
    stack_add(sums, stack, self);
}

/* Of so many ticks of a span, those that nothing inside takes; what there was inside is thereby used up. */
static lap_uint128 own_time(const struct sums *sums, struct lap_span *span, uint64_t ticks, uint64_t inner_ticks)
{
    const lap_uint128 own = (lap_uint128)(ticks > inner_ticks ? ticks - inner_ticks : 0) * sums->process->clock.scale;
    const lap_uint128 calls = of_ns(span->user[SPAN_CALLS_NS]);
    span->user[SPAN_CALLS_NS] = 0;
    return less(own, calls);
}

/* ---- the stream ---------------------------------------------------------------------------------------------------- */

static void see_process(void *user, const struct lap_process *process)
{
    struct sums *const sums = user;
    char name[512];
    sums->process = process;
    memset(sums->cache, 0, sizeof sums->cache);
    if (lap_span_text_escape(name, sizeof name, process->program) == 0)
        strcpy(name, "(unknown)");
    sums->program = child_get(sums, LAP_STACKS_NONE, name, strlen(name), false, NULL);
}

static void see_begin(void *user, struct lap_span *span)
{
    struct sums *const sums = user;
    const uint32_t parent = span->parent ? (uint32_t)span->parent->user[SPAN_STACK] : sums->program;
    span->user[SPAN_STACK] = site_get(sums, parent, span->name, span->class_id, false);
    if (span->last_ns > span->begin_ns) { /* its laps up to here are gone */
        const uint64_t cut_ns = span->last_ns - span->begin_ns;
        span->user[SPAN_TOLD_TICKS] = lap_span_ticks(sums->process, cut_ns);
        mark_add(sums, span, "(cut)", of_ns(cut_ns));
    }
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct sums *const sums = user;
    const uint32_t stack = site_get(sums, (uint32_t)span->user[SPAN_STACK], lap->name, lap->class_id, true);
    stack_add(sums, stack, own_time(sums, span, lap->lap_ticks, lap->inner_ticks));
    span->user[SPAN_TOLD_TICKS] += lap->lap_ticks;
    span->user[SPAN_LAPS]++;
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    struct sums *const sums = user;
    const uint64_t told = span->user[SPAN_TOLD_TICKS];
    const uint64_t left = span->total_ticks > told ? span->total_ticks - told : 0;
    const lap_uint128 own = own_time(sums, span, left, span->inner_ticks);
    (void)end_ns;
    (void)total_ns;
    if (how != LAP_SPAN_ENDED) {
        mark_add(sums, span, how == LAP_SPAN_ABANDONED ? "(abandoned)" : "(unfinished)", own);
        return;
    }
    stack_add(sums, (uint32_t)span->user[SPAN_STACK], span->user[SPAN_LAPS] == 0 && !span->is_cut ? own : 0);
    if (span->is_cut && own > 0)
        mark_add(sums, span, "(cut)", own);
}

static void see_call(void *user, const struct lap_span_call *call)
{
    struct sums *const sums = user;
    const uint32_t parent = call->span ? (uint32_t)call->span->user[SPAN_STACK] : sums->program;
    const uint32_t stack = site_get(sums, parent, call->name, call->class_id, false);
    const uint64_t took_ns = call->end_ns - call->begin_ns;
    stack_add(sums, stack, of_ns(took_ns));
    if (call->span)
        call->span->user[SPAN_CALLS_NS] += took_ns;
}

static bool has_failed(void *user) { return ((struct sums *)user)->error != 0; }

/* ---- all ----------------------------------------------------------------------------------------------------------- */

int lap_stacks_make(struct lap_stacks **ret_stacks, const struct lap_export *export)
{
    static const struct lap_span_writer writer = {
        .process = see_process, .begin = see_begin, .lap = see_lap, .end = see_end, .call = see_call};
    struct lap_spans_options options = export->options;
    struct lap_stacks *const stacks = calloc(1, sizeof *stacks);
    struct sums *const sums = calloc(1, sizeof *sums);
    int code = -ENOMEM;
    if (stacks && sums) {
        sums->stacks = stacks;
        stacks->texts.bytes_max = TEXT_BYTES_MAX;
        options.failed = has_failed;
        if (lap_texts_get(&stacks->texts, "", 0) == TEXT_EMPTY &&
            lap_texts_get(&stacks->texts, OTHERS, sizeof OTHERS - 1) == TEXT_OTHERS)
            code = lap_spans_run(export->recording, &writer, sums, &options);
        code = sums->error < 0 ? sums->error : code;
    }
    free(sums);
    if (code < 0)
        lap_stacks_free(stacks);
    else
        *ret_stacks = stacks;
    return code;
}

void lap_stacks_free(struct lap_stacks *stacks)
{
    if (!stacks)
        return;
    lap_texts_done(&stacks->texts);
    lap_keys_done(&stacks->keys);
    lap_keys_done(&stacks->frames);
    free(stacks->stacks);
    free(stacks);
}
