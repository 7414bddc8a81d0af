/* SPDX-License-Identifier: MIT */
#include "blocks.h"

#include "held.h"
#include "lines.h"
#include "stream.h"

#define BLOCKS_MAX 200u /* ended children that may have to be printed by themselves */

/* ---- writing ------------------------------------------------------------------------------------------------------- */

const struct profiler *lap_report_stream(const struct profiler *profiler)
{
    const struct profiler *at = profiler;
    while (at && !at->sink && !at->file)
        at = at->parent;
    return at ? at : profiler;
}

/* The lines with the prefix in front of each, in memory of their own; NULL: no memory. */
static char *lines_prefix(const char *lines, size_t bytes, const char *prefix, size_t prefix_bytes, size_t *ret_bytes)
{
    size_t count = 0, used = 0;
    for (size_t i = 0; i < bytes; i++)
        count += lines[i] == '\n';
    char *const out = PyMem_RawMalloc(bytes + count * prefix_bytes + 1);
    for (size_t at = 0; out && at < bytes;) {
        const char *const end = memchr(lines + at, '\n', bytes - at);
        const size_t line = end ? (size_t)(end - (lines + at)) + 1 : bytes - at;
        memcpy(out + used, prefix, prefix_bytes);
        memcpy(out + used + prefix_bytes, lines + at, line);
        used += prefix_bytes + line;
        at += line;
    }
    *ret_bytes = used;
    return out;
}

/* One report, with the prefix in front of each line. Whatever is called here may end and free all but the profiler itself. */
static void text_write(const struct profiler *profiler, const char *lines, size_t bytes)
{
    size_t prefix_bytes, used = 0;
    const char *const prefix = lap_stream_prefix(&prefix_bytes);
    const struct profiler *const stream = lap_report_stream(profiler);
    if (prefix_bytes == 0) {
        lap_stream_write(stream->sink, stream->file, lines, bytes);
        return;
    }
    char *const out = lines_prefix(lines, bytes, prefix, prefix_bytes, &used);
    if (out)
        lap_stream_write(stream->sink, stream->file, out, used);
    PyMem_RawFree(out);
}

char *lap_report_text(struct profiler *profiler, size_t *ret_bytes)
{
    struct text text = {.bytes = NULL};
    size_t prefix_bytes;
    lap_lines_put(&text, profiler, 0);
    const char *const prefix = lap_stream_prefix(&prefix_bytes);
    char *const out = text.bytes ? lines_prefix(text.bytes, text.used, prefix, prefix_bytes, ret_bytes) : NULL;
    lap_counts.failed += !out;
    PyMem_RawFree(text.bytes);
    return out;
}

/* Texts to be written, apart from the blocks that they are of: writing one may free those. */
struct output {
    struct output *next;
    size_t bytes;
    char text[];
};

/* A child's block by itself, with a note. NULL: no memory. */
static struct output *block_output(const struct block *block, const char *note)
{
    const char *const first_end = memchr(block->text, '\n', block->bytes);
    const size_t first = first_end ? (size_t)(first_end - block->text) : block->bytes;
    struct output *const output = PyMem_RawMalloc(sizeof *output + block->bytes + LAP_LINE_BYTES);
    if (!output) {
        lap_counts.failed++;
        return NULL;
    }
    size_t used = first;
    memcpy(output->text, block->text, first);
    if (note)
        used += (size_t)PyOS_snprintf(output->text + used, LAP_LINE_BYTES, " (%s)", note);
    memcpy(output->text + used, block->text + first, block->bytes - first);
    output->bytes = used + block->bytes - first;
    output->next = NULL;
    return output;
}

/* Makes a block one line that says that it was printed. */
static void block_shorten(struct block *block)
{
    char line[LAP_LINE_BYTES];
    const size_t bytes = lap_lines_shorten(line, block);
    block->bytes = bytes < block->bytes ? bytes : block->bytes;
    memcpy(block->text, line, block->bytes);
    block->qualifies = 0;
}

/* Puts the blocks that are to be seen by themselves behind *end. What their parent then has of them is one line each. Returns the
 * new end. */
static struct output **blocks_take(struct block *block, const char *note, struct output **end)
{
    for (; block; block = block->next) {
        if (!block->qualifies) {
            end = blocks_take(block->inside, note, end);
            continue;
        }
        *end = block_output(block, note);
        if (*end)
            end = &(*end)->next;
        block_shorten(block);
    }
    return end;
}

static void outputs_write(const struct profiler *profiler, struct output *output)
{
    while (output) {
        struct output *const next = output->next;
        text_write(profiler, output->text, output->bytes);
        PyMem_RawFree(output);
        output = next;
    }
}

static void blocks_write(const struct profiler *profiler, struct block *block, const char *note)
{
    struct output *output = NULL;
    blocks_take(block, note, &output);
    outputs_write(profiler, output);
}

void lap_report_flush(struct profiler *profiler) { blocks_write(profiler, profiler->blocks, "parent still open"); }

/* ---- what stays with the parent ------------------------------------------------------------------------------------ */

#define FOLDS_MAX 1000u /* sites inside one profiler: no more of them could be printed */

/* Where ended children of one site are counted; NULL: there is no room for another. `key` NULL is C code's, told by `hash`. */
static struct child_fold *fold_of(struct profiler *parent, const struct key *key, uint64_t hash)
{
    unsigned count = 0;
    for (struct child_fold *fold = parent->child_folds; fold; fold = fold->next, count++)
        if (fold->key == key && fold->hash == hash)
            return fold;
    struct child_fold *const fold = count < FOLDS_MAX ? PyMem_RawCalloc(1, sizeof *fold) : NULL;
    if (!fold)
        return NULL;
    *fold = (struct child_fold){.next = parent->child_folds, .key = key, .hash = hash};
    parent->child_folds = fold;
    return fold;
}

static void fold_add(struct child_fold *fold, uint64_t ticks, const int64_t *n)
{
    if (n && !fold->has_n)
        fold->n_least = fold->n_greatest = *n;
    fold->count++;
    fold->sum_ticks += ticks;
    fold->max_ticks = ticks > fold->max_ticks ? ticks : fold->max_ticks;
    fold->has_n |= n != NULL;
    fold->n_least = n && *n < fold->n_least ? *n : fold->n_least;
    fold->n_greatest = n && *n > fold->n_greatest ? *n : fold->n_greatest;
}

/* Is anything in these that may have to be printed by itself? */
static int any_qualifies(const struct block *block)
{
    while (block && !block->qualifies && !block->inside)
        block = block->next;
    return block != NULL;
}

static struct block *block_make(struct profiler *child, struct child_fold *fold, int qualifies)
{
    struct text text = {.bytes = NULL};
    lap_lines_put(&text, child, 0);
    struct block *const block = text.bytes ? PyMem_RawMalloc(sizeof *block + text.used) : NULL;
    if (block) {
        *block =
            (struct block){.fold = fold, .total_ticks = child->total_ticks, .bytes = text.used, .qualifies = qualifies};
        memcpy(block->text, text.bytes, text.used);
        if (!qualifies && any_qualifies(child->blocks)) { /* what qualified inside it may have to be printed by itself */
            block->inside = child->blocks;
            child->blocks = child->last_block = NULL;
            child->block_count = 0;
        }
    }
    PyMem_RawFree(text.bytes);
    return block;
}

/* Has the parent taken its threshold at a time? Then what is inside is shown with it. */
static int is_certain(const struct profiler *parent, uint64_t ticks)
{
    return lap_profiler_took_threshold(parent, ticks - parent->begin_ticks);
}

/* Is a child of this total not to be seen: neither by itself, nor as the slowest of its site? */
static int is_passed_over(const struct child_fold *fold, int must_stay, uint64_t ticks)
{
    return fold->appended >= LAP_FOLD_ABOVE && !must_stay && fold->slowest && fold->slowest->total_ticks >= ticks;
}

/* Puts a block where it belongs: in the row, or in the place of its site's slowest. */
static void block_keep(struct profiler *parent, struct block *block, uint64_t position, int must_stay)
{
    struct child_fold *const fold = block->fold;
    if (fold->appended >= LAP_FOLD_ABOVE && !must_stay) {
        lap_block_free(fold->slowest);
        fold->slowest = block;
        return;
    }
    block->position = position;
    fold->appended++;
    parent->block_count++;
    struct block **at = &parent->blocks;
    if (parent->last_block && parent->last_block->position <= position)
        at = &parent->last_block->next;
    while (*at && (*at)->position <= position)
        at = &(*at)->next;
    block->next = *at;
    *at = block;
    if (!block->next)
        parent->last_block = block;
}

/* `is_elsewhere`: it has a stream of its own, and reports there by itself, too. Writing comes last: the parent may be gone then. */
static void leave_with(struct profiler *parent, struct profiler *child, int qualifies, int is_elsewhere)
{
    struct child_fold *const fold = fold_of(parent, child->key, 0);
    const int must_stay = (qualifies || child->blocks) && !is_certain(parent, child->begin_ticks + child->total_ticks);
    if (fold)
        fold_add(fold, child->total_ticks, child->flags & PROFILER_HAS_N ? &child->n : NULL);
    if (!fold || (must_stay && parent->block_count >= BLOCKS_MAX && fold->appended >= LAP_FOLD_ABOVE)) {
        struct text text = {.bytes = NULL};
        parent->more_children += !fold;
        if (!must_stay && !is_elsewhere)
            return;
        lap_lines_put(&text, child, 0);
        if (qualifies)
            text_write(child, text.bytes, text.used);
        else
            blocks_write(child, child->blocks, "parent still open");
        PyMem_RawFree(text.bytes);
        return;
    }
    if (!is_elsewhere && is_passed_over(fold, must_stay, child->total_ticks))
        return;
    struct block *const block = block_make(child, fold, qualifies);
    if (!block)
        return;
    struct output *output = NULL;
    if (is_elsewhere) {
        blocks_take(block, NULL, &output);
        lap_block_free(block->inside);
        block->inside = NULL;
    }
    block_keep(parent, block, parent->marks, must_stay);
    outputs_write(child, output);
}

/* What a report says of its total, in ticks. */
static uint64_t total_of_text(const char *text, size_t bytes)
{
    static const char before[] = ", total time: ";
    const char *last = NULL;
    for (const char *at = text; (at = memchr(at, ',', bytes - (size_t)(at - text))) != NULL; at++)
        if (bytes - (size_t)(at - text) > sizeof before && memcmp(at, before, sizeof before - 1) == 0)
            last = at;
    char number[40];
    const size_t room = last ? bytes - (size_t)(last - text) - (sizeof before - 1) : 0;
    const size_t length = room < sizeof number ? room : sizeof number - 1;
    memcpy(number, last ? last + sizeof before - 1 : number, length);
    number[length] = 0;
    return lap_ms_to_ticks(strtod(number, NULL));
}

int lap_report_adopt(struct profiler *profiler, uint64_t ticks, const char *text, size_t bytes)
{
    const char *const end = memchr(text, '\n', bytes);
    if (!(profiler->flags & PROFILER_PRINTS) || profiler->flags & PROFILER_IMMEDIATE || !end)
        return 0;
    uint64_t hash = 1;
    for (const char *at = text; at < end; at++)
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001B3);
    const uint64_t total_ticks = total_of_text(text, bytes);
    struct child_fold *const fold = fold_of(profiler, NULL, hash);
    const int must_stay = !is_certain(profiler, ticks);
    if (!fold || (must_stay && profiler->block_count >= BLOCKS_MAX && fold->appended >= LAP_FOLD_ABOVE))
        return 0;
    fold_add(fold, total_ticks, NULL);
    if (is_passed_over(fold, must_stay, total_ticks))
        return 1;
    struct block *const block = PyMem_RawMalloc(sizeof *block + bytes);
    if (!block)
        return 0;
    *block = (struct block){.fold = fold, .total_ticks = total_ticks, .bytes = bytes, .qualifies = 1};
    memcpy(block->text, text, bytes);
    block_keep(profiler, block, lap_lines_marks_at(profiler, ticks), must_stay);
    return 1;
}

/* Spaces in front of an immediate profiler's lines. */
static uint32_t immediate_indent(const struct profiler *profiler)
{
    uint32_t indent = 0;
    for (const struct profiler *around = profiler->parent; around; around = around->parent)
        indent += around->flags & PROFILER_IMMEDIATE && around->flags & PROFILER_PRINTS ? LAP_LINE_INDENT : 0;
    return indent;
}

static void write_and_free(const struct profiler *profiler, struct text *text)
{
    if (text->bytes)
        text_write(profiler, text->bytes, text->used);
    PyMem_RawFree(text->bytes);
}

/* A method that is asked for twice is two objects, and equal. */
static int is_same_stream(const struct profiler *stream, const struct profiler *own)
{
    PyObject *const left = !stream        ? NULL
                           : stream->sink ? stream->sink
                                          : stream->file,
                    *const right = own->sink ? own->sink : own->file;
    if (!left || left == right)
        return left != NULL;
    Py_INCREF(left);
    Py_INCREF(right);
    const int same = PyObject_RichCompareBool(left, right, Py_EQ);
    if (same < 0)
        PyErr_Clear();
    Py_DECREF(left);
    Py_DECREF(right);
    return same > 0;
}

static struct profiler *printing_parent(const struct profiler *profiler)
{
    struct profiler *parent = profiler->parent;
    while (parent && !(parent->flags & PROFILER_PRINTS))
        parent = parent->parent;
    return parent;
}

void lap_report_end(struct profiler *profiler)
{
    struct text text = {.bytes = NULL};
    if (profiler->flags & PROFILER_IMMEDIATE && profiler->flags & PROFILER_PRINTS) {
        lap_lines_put_exit(&text, profiler, immediate_indent(profiler));
        write_and_free(profiler, &text);
        return;
    }
    const int qualifies =
        profiler->flags & PROFILER_PRINTS && lap_profiler_took_threshold(profiler, profiler->total_ticks);
    if (profiler->flags & PROFILER_PRINTS && !qualifies && profiler->steps && profiler->steps->served_span != 0)
        lap_held_put(profiler->steps->served_span, profiler);
    const int has_own = profiler->sink || profiler->file;
    struct profiler *parent = printing_parent(profiler);
    const int is_elsewhere = has_own && !is_same_stream(parent ? lap_report_stream(parent) : NULL, profiler);
    parent = printing_parent(profiler); /* the comparison may have ended it */
    if (!(profiler->flags & PROFILER_PRINTS)) {
        if (profiler->blocks && profiler->end != END_CANCELLED)
            blocks_write(profiler, profiler->blocks, NULL);
    } else if (parent && !(parent->flags & PROFILER_IMMEDIATE)) {
        leave_with(parent, profiler, qualifies, is_elsewhere);
    } else if (!qualifies) {
        blocks_write(profiler, profiler->blocks, NULL);
    } else {
        lap_lines_put(&text, profiler, 0);
        write_and_free(profiler, &text);
    }
}

void lap_report_entered(struct profiler *profiler)
{
    struct text text = {.bytes = NULL};
    lap_lines_put_enter(&text, profiler, immediate_indent(profiler));
    write_and_free(profiler, &text);
}

void lap_report_marked(struct profiler *profiler)
{
    struct text text = {.bytes = NULL};
    if (!(profiler->flags & PROFILER_PRINTS))
        return;
    lap_lines_put_last(&text, profiler, immediate_indent(profiler) + LAP_LINE_INDENT);
    write_and_free(profiler, &text);
}

void lap_report_free(struct profiler *profiler)
{
    lap_block_free(profiler->blocks);
    profiler->blocks = profiler->last_block = NULL;
    while (profiler->child_folds) {
        struct child_fold *const fold = profiler->child_folds;
        profiler->child_folds = fold->next;
        lap_block_free(fold->slowest);
        PyMem_RawFree(fold);
    }
}
