/* SPDX-License-Identifier: MIT */
#include "lines.h"

#include "blocks.h"

/* ---- text ---------------------------------------------------------------------------------------------------------- */

char *lap_text_room(struct text *text, size_t bytes)
{
    if (text->lines >= LAP_TEXT_LINES_MAX - LAP_LINES_OF_END * !text->is_ending ||
        text->used + bytes > LAP_TEXT_BYTES_MAX + LAP_LINES_OF_END * LAP_LINE_BYTES * text->is_ending) {
        text->more++;
        return NULL;
    }
    if (text->used + bytes > text->room) {
        const size_t room = (text->used + bytes) * 2;
        char *const grown = PyMem_RawRealloc(text->bytes, room);
        if (!grown) {
            lap_counts.failed++;
            return NULL;
        }
        text->bytes = grown;
        text->room = room;
    }
    return text->bytes + text->used;
}

static char *line_open(struct text *text) { return lap_text_room(text, LAP_LINE_BYTES); }
void lap_text_line(struct text *text, size_t bytes)
{
    text->used += bytes;
    text->lines++;
}

static struct lap_line_place place_at(uint32_t indent) { return (struct lap_line_place){NULL, 0, indent}; }

/* Puts lines in, each with an indent in front. */
static void text_add_lines(struct text *text, const char *lines, size_t bytes, uint32_t indent)
{
    while (bytes > 0) {
        const char *const end = memchr(lines, '\n', bytes);
        const size_t line = end ? (size_t)(end - lines) + 1 : bytes;
        char *const out = lap_text_room(text, indent + line);
        if (out) {
            memset(out, ' ', indent);
            memcpy(out + indent, lines, line);
            lap_text_line(text, indent + line);
        }
        lines += line;
        bytes -= line;
    }
}

/* ---- labels -------------------------------------------------------------------------------------------------------- */

static void label_of(char *out, PyObject *label)
{
    PyObject *owned;
    Py_ssize_t bytes;
    const char *const text = lap_text_of(label, "surrogatepass", &bytes, &owned);
    if (text)
        lap_label_escape(out, LAP_LABEL_BYTES, text, (size_t)bytes);
    else
        PyErr_Clear(), strcpy(out, "?");
    Py_XDECREF(owned);
}

static void label_of_key(char *out, const struct key *key)
{
    if (key->pattern_bytes == 0)
        strcpy(out, "(checkpoint)");
    else
        lap_label_escape(out, LAP_LABEL_BYTES, lap_key_pattern(key), key->pattern_bytes);
}

static void label_of_lap(char *out, const struct lap *lap, uint64_t number)
{
    const struct lap_more *const more = lap_more_of(lap);
    if (!more)
        label_of_key(out, lap_key_of(lap));
    else if (more->label)
        label_of(out, more->label);
    else
        PyOS_snprintf(out, LAP_LABEL_BYTES, "%llu", (unsigned long long)number);
}

static struct lap_line_sizes sizes_of(const struct profiler *profiler)
{
    return (struct lap_line_sizes){profiler->n, profiler->n, (profiler->flags & PROFILER_HAS_N) != 0};
}

/* ---- the laps of a profiler ---------------------------------------------------------------------------------------- */

/* Oldest first. */
struct laps {
    const struct profiler *profiler;
    uint32_t count, first;
};

static struct laps laps_of(const struct profiler *profiler)
{
    const uint32_t used = (uint32_t)(profiler->lap_next - profiler->laps);
    if (!profiler->folded_ticks)
        return (struct laps){profiler, used, 0};
    const uint32_t free = (uint32_t)(profiler->lap_end - profiler->lap_next);
    return (struct laps){profiler, profiler->lap_room - free, (used + free) % profiler->lap_room};
}

static const struct lap *laps_at(const struct laps *laps, uint32_t i)
{
    return &laps->profiler->laps[(laps->first + i) % laps->profiler->lap_room];
}

static uint64_t lap_ticks(const struct laps *laps, uint32_t i)
{
    const struct profiler *const profiler = laps->profiler;
    const uint64_t before = i > 0                    ? laps_at(laps, i - 1)->ticks
                            : profiler->folded_ticks ? profiler->folded_ticks
                                                     : profiler->begin_ticks;
    return laps_at(laps, i)->ticks - before;
}

/* A new lapmark.Lap. Takes the label over. */
static PyObject *lap_tuple(PyObject *label, uint64_t ticks, uint64_t tot_ticks, const int64_t *n, uint64_t count)
{
    static PyObject *class;
    if (!class) {
        PyObject *const module = PyImport_ImportModule("lapmark._lap");
        class = module ? PyObject_GetAttrString(module, "Lap") : NULL;
        Py_XDECREF(module);
    }
    PyObject *const size = n ? PyLong_FromLongLong(*n) : Py_NewRef(Py_None);
    PyObject *const tuple = class && label && size
                                ? PyObject_CallFunction(class, "OddOK", label, lap_ticks_to_ns(ticks) / 1e6,
                                                        lap_ticks_to_ns(tot_ticks) / 1e6, size, (unsigned long long)count)
                                : NULL;
    Py_XDECREF(label);
    Py_XDECREF(size);
    return tuple;
}

static PyObject *label_object(const struct laps *laps, uint32_t i)
{
    const struct lap *const lap = laps_at(laps, i);
    const struct lap_more *const more = lap_more_of(lap);
    if (!more)
        return PyUnicode_DecodeUTF8(lap_key_pattern(lap_key_of(lap)), lap_key_of(lap)->pattern_bytes, "replace");
    if (more->label)
        return Py_NewRef(more->label);
    return PyUnicode_FromFormat("%llu", (unsigned long long)(laps->profiler->marks - laps->count + i));
}

/* A checkpoint's values, apart from the profiler: making objects of them calls others. */
struct lap_values {
    PyObject *label;
    uint64_t ticks, tot_ticks, count;
    int64_t n;
    int has_n;
};

/* Room for LAPS_MAX + 1. Returns how many. */
static uint32_t laps_copy(const struct profiler *profiler, struct lap_values *out)
{
    const struct laps laps = laps_of(profiler);
    const uint32_t first = laps.count > LAPS_MAX ? laps.count - LAPS_MAX : 0;
    const uint64_t older = profiler->marks - laps.count + first;
    const uint64_t before =
        (first > 0 ? laps_at(&laps, first - 1)->ticks : profiler->folded_ticks) - profiler->begin_ticks;
    uint32_t count = 0;
    if (older > 0)
        out[count++] = (struct lap_values){PyUnicode_FromString("(older)"), before, before, older, 0, 0};
    for (uint32_t i = first; i < laps.count; i++) {
        const struct lap *const lap = laps_at(&laps, i);
        out[count++] = (struct lap_values){
            label_object(&laps, i), lap_ticks(&laps, i),          lap->ticks - profiler->begin_ticks, 1,
            lap_n_of(lap),          (int)lap_key_of(lap)->is_size};
    }
    return count;
}

PyObject *lap_report_laps(const struct profiler *profiler)
{
    struct lap_values *const values = PyMem_RawMalloc((LAPS_MAX + 1) * sizeof *values);
    PyObject *list = values ? PyList_New(0) : PyErr_NoMemory();
    const uint32_t count = list ? laps_copy(profiler, values) : 0;
    if (PyErr_Occurred()) /* no memory for a label */
        Py_CLEAR(list);
    for (uint32_t i = 0; i < count; i++) {
        const struct lap_values *const value = &values[i];
        PyObject *const tuple =
            list ? lap_tuple(value->label, value->ticks, value->tot_ticks, value->has_n ? &value->n : NULL, value->count)
                 : NULL;
        if (!list)
            Py_XDECREF(value->label);
        else if (!tuple || PyList_Append(list, tuple) < 0)
            Py_CLEAR(list);
        Py_XDECREF(tuple);
    }
    PyMem_RawFree(values);
    return list;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

/* Puts how it was spent behind a line. Returns the line's bytes. */
static size_t add_wait(char *line, size_t bytes, const struct wait *wait)
{
    if (!wait || wait->waiting_ns <= 0)
        return bytes;
    const int added = PyOS_snprintf(
        line + bytes - 1, LAP_LINE_BYTES - bytes, " (running %.1f, waiting %.1f, loop busy with others %.1f)\n",
        (double)wait->running_ns / 1e6, (double)wait->waiting_ns / 1e6, (double)wait->busy_ns / 1e6);
    return bytes + (size_t)added - 1;
}

/* The same for the calls to other processes that came back in it. */
static size_t add_sums(char *line, size_t bytes, const struct lap_line_calls *calls, const struct peer_laps *laps)
{
    struct peer_laps sorted = {.count = 0};
    if (laps)
        sorted = *laps;
    lap_peer_laps_sort(sorted.laps, sorted.count);
    return lap_line_add_calls(line, LAP_LINE_BYTES, bytes, calls, sorted.laps, sorted.count);
}

static size_t add_calls(char *line, size_t bytes, const struct lap_calls *calls)
{
    return calls ? add_sums(line, bytes, &calls->sum, calls->laps) : bytes;
}

/* Of a fold that is being printed: those of its older laps, and of what is held one by one. */
static struct peer_laps laps_of_fold(const struct profiler *profiler, uint32_t index)
{
    const struct laps laps = laps_of(profiler);
    struct peer_laps sum = {.count = 0};
    if (profiler->folds && profiler->folds[index].laps)
        sum = *profiler->folds[index].laps;
    for (uint32_t i = 0; i < laps.count; i++) {
        const struct lap *const lap = laps_at(&laps, i);
        const struct lap_more *const more = lap_more_of(lap);
        const struct peer_laps *const told =
            more && more->calls && lap_key_of(lap)->index == index ? more->calls->laps : NULL;
        for (uint32_t k = 0; told && k < told->count; k++)
            lap_peer_laps_add(sum.laps, &sum.count, LAP_PEER_LAPS_HELD, &told->laps[k]);
    }
    return sum;
}

static void put_fold(struct text *text, const struct profiler *profiler, const struct fold *fold, uint32_t indent)
{
    char label[LAP_LABEL_BYTES];
    char *const out = line_open(text);
    const struct lap_line_place place = place_at(indent);
    if (!out)
        return;
    label_of_key(label, fold->key);
    const struct lap_line_fold line = {fold->count, lap_ticks_to_ns(fold->sum_ticks), lap_ticks_to_ns(fold->max_ticks),
                                       lap_ticks_to_ns(fold->last_ticks - profiler->begin_ticks)};
    const struct lap_line_sizes sizes = {fold->n_least, fold->n_greatest, (int)fold->key->is_size};
    const size_t bytes = add_wait(out, lap_line_laps(out, LAP_LINE_BYTES, &place, label, &line, &sizes), &fold->wait);
    struct peer_laps laps = {.count = 0};
    if (fold->calls.count > 0)
        laps = laps_of_fold(profiler, fold->key->index);
    lap_text_line(text, add_sums(out, bytes, &fold->calls, &laps));
}

static void put_lap(struct text *text, const struct profiler *profiler, const struct lap *lap, uint64_t ticks,
                    uint64_t number, uint32_t indent)
{
    char label[LAP_LABEL_BYTES];
    char *const out = line_open(text);
    const struct lap_line_place place = place_at(indent);
    if (!out)
        return;
    label_of_lap(label, lap, number);
    const struct lap_line_sizes sizes = {lap_n_of(lap), lap_n_of(lap), (int)lap_key_of(lap)->is_size};
    const size_t bytes = lap_line_lap(out, LAP_LINE_BYTES, &place, label, lap_ticks_to_ns(ticks),
                                      lap_ticks_to_ns(lap->ticks - profiler->begin_ticks), &sizes);
    const struct lap_more *const more = lap_more_of(lap);
    lap_text_line(text, add_calls(out, add_wait(out, bytes, more ? &more->wait : NULL), more ? more->calls : NULL));
}

static void put_more(struct text *text, uint32_t indent)
{
    if (text->more == 0)
        return;
    const uint64_t more = text->more;
    char *const out = lap_text_room(text, LAP_LINE_BYTES);
    const struct lap_line_place place = place_at(indent);
    text->more = 0;
    if (out)
        lap_text_line(text, lap_line_more(out, LAP_LINE_BYTES, &place, more));
}

void lap_block_free(struct block *block)
{
    while (block) {
        struct block *const next = block->next;
        lap_block_free(block->inside);
        PyMem_RawFree(block);
        block = next;
    }
}

/* What stands behind "> Entering " in a block's first line. */
static void label_of_block(char *out, const struct block *block)
{
    const size_t enter = strlen("> Entering ");
    const char *const end = memchr(block->text, '\n', block->bytes);
    const size_t length = end && (size_t)(end - block->text) > enter ? (size_t)(end - block->text) - enter : 0;
    const size_t cut = length < LAP_LABEL_BYTES ? length : LAP_LABEL_BYTES - 1;
    memcpy(out, block->text + enter, cut);
    out[cut] = 0;
}

/* A child, or all of its like when it is the first of more than three. */
static void put_block(struct text *text, const struct block *block, uint32_t indent)
{
    struct child_fold *const fold = block->fold;
    if (fold->count <= LAP_FOLD_ABOVE) {
        text_add_lines(text, block->text, block->bytes, indent);
        return;
    }
    if (fold->is_shown)
        return;
    fold->is_shown = 1;
    char label[LAP_LABEL_BYTES];
    const struct block *slowest = fold->slowest;
    for (const struct block *other = block; other; other = other->next)
        if (other->fold == fold && (!slowest || other->total_ticks > slowest->total_ticks))
            slowest = other;
    char *const out = line_open(text);
    const struct lap_line_place place = place_at(indent);
    if (out) {
        if (fold->key)
            label_of_key(label, fold->key);
        else
            label_of_block(label, block);
        const struct lap_line_fold line = {fold->count, lap_ticks_to_ns(fold->sum_ticks),
                                           lap_ticks_to_ns(fold->max_ticks), 0};
        const struct lap_line_sizes sizes = {fold->n_least, fold->n_greatest, fold->has_n};
        lap_text_line(text, lap_line_nested(out, LAP_LINE_BYTES, &place, label, &line, &sizes, NULL));
    }
    const char *const first_end = memchr(slowest->text, '\n', slowest->bytes);
    char *const head = lap_text_room(text, LAP_LINE_BYTES + indent);
    if (!head || !first_end)
        return;
    const int length =
        PyOS_snprintf(head, LAP_LINE_BYTES + indent, "%*s%.*s (slowest)\n", (int)(indent + LAP_LINE_INDENT), "",
                      (int)(first_end - slowest->text), slowest->text);
    lap_text_line(text, (size_t)length < LAP_LINE_BYTES + indent ? (size_t)length : LAP_LINE_BYTES + indent - 1);
    const size_t used = (size_t)(first_end - slowest->text) + 1;
    text_add_lines(text, slowest->text + used, slowest->bytes - used, indent + LAP_LINE_INDENT);
}

static const struct block *put_blocks(struct text *text, const struct block *block, uint64_t before, uint32_t indent)
{
    for (; block && block->position <= before; block = block->next)
        put_block(text, block, indent);
    return block;
}

/* All laps by their keys. */
static void folds_make(const struct profiler *profiler, const struct laps *laps, struct fold folds[LAP_KEYS_EACH + 1])
{
    if (profiler->folds)
        memcpy(folds, profiler->folds, (LAP_KEYS_EACH + 1) * sizeof *folds);
    else
        memset(folds, 0, (LAP_KEYS_EACH + 1) * sizeof *folds);
    for (uint32_t i = 0; i < laps->count; i++)
        lap_fold_add(&folds[lap_key_of(laps_at(laps, i))->index], laps_at(laps, i), lap_ticks(laps, i));
}

uint32_t lap_lines_laps(const struct profiler *profiler, struct lap_peer_lap laps[LAP_PEER_LAPS])
{
    struct fold folds[LAP_KEYS_EACH + 1];
    struct lap_peer_lap sums[LAP_KEYS_EACH + 1];
    uint32_t count = 0;
    const struct laps all = laps_of(profiler);
    folds_make(profiler, &all, folds);
    for (unsigned k = 0; k <= LAP_KEYS_EACH; k++) {
        char label[LAP_LABEL_BYTES];
        if (folds[k].count == 0)
            continue;
        label_of_key(label, folds[k].key);
        sums[count] =
            (struct lap_peer_lap){.sum_ns = lap_ticks_to_ns(folds[k].sum_ticks), .count = (uint32_t)folds[k].count};
        lap_label_escape(sums[count++].label, sizeof sums->label, label, strlen(label));
    }
    lap_peer_laps_sort(sums, count);
    count = count < LAP_PEER_LAPS ? count : LAP_PEER_LAPS;
    memcpy(laps, sums, count * sizeof *laps);
    return count;
}

static void put_laps(struct text *text, struct profiler *profiler, uint32_t indent)
{
    struct fold folds[LAP_KEYS_EACH + 1];
    uint8_t is_put[LAP_KEYS_EACH + 1] = {0};
    const struct laps laps = laps_of(profiler);
    folds_make(profiler, &laps, folds);
    const uint64_t gone = profiler->marks - laps.count;
    for (struct child_fold *fold = profiler->child_folds; fold; fold = fold->next)
        fold->is_shown = 0;
    const struct block *block = put_blocks(text, profiler->blocks, 0, indent);
    for (unsigned k = 0; profiler->folds && k <= LAP_KEYS_EACH; k++)
        if (profiler->folds[k].count > 0) { /* met before what is held one by one */
            put_fold(text, profiler, &folds[k], indent);
            is_put[k] = 1;
        }
    for (uint32_t i = 0; i < laps.count; i++) {
        const struct lap *const lap = laps_at(&laps, i);
        const uint32_t index = lap_key_of(lap)->index;
        block = put_blocks(text, block, gone + i, indent);
        if (is_put[index])
            continue;
        if (folds[index].count > LAP_FOLD_ABOVE) {
            put_fold(text, profiler, &folds[index], indent);
            is_put[index] = 1;
        } else {
            put_lap(text, profiler, lap, lap_ticks(&laps, i), gone + i, indent);
        }
    }
    put_blocks(text, block, UINT64_MAX, indent);
}

void lap_lines_put_enter(struct text *text, const struct profiler *profiler, uint32_t indent)
{
    char label[LAP_LABEL_BYTES];
    char *const out = line_open(text);
    const struct lap_line_place place = place_at(indent);
    if (!out)
        return;
    label_of(label, profiler->message);
    lap_text_line(text, lap_line_enter(out, LAP_LINE_BYTES, &place, label, NULL));
}

static const char *exit_note(const struct profiler *profiler, char *out, size_t bytes)
{
    const double held_ns =
        profiler->end == END_LET_GO || profiler->end == END_EXIT ? lap_ticks_to_ns(profiler->rest_ticks) : 0;
    const char *const how = profiler->end == END_EXIT      ? "still open at exit"
                            : profiler->end == END_NOT_YET ? "still open"
                                                           : NULL;
    if (held_ns < 50e3) /* below what its one decimal shows it is not worth a note */
        return how;
    PyOS_snprintf(out, bytes, "%s%sheld %.1f ms", how ? how : "", how ? ") (" : "", held_ns / 1e6);
    return out;
}

/* The rest up to the end; what was held after the last checkpoint is no part of the total. */
void lap_lines_put_exit(struct text *text, const struct profiler *profiler, uint32_t indent)
{
    char label[LAP_LABEL_BYTES], note[LAP_LINE_NOTE_BYTES];
    const struct lap_line_place inside = place_at(indent + LAP_LINE_INDENT), place = place_at(indent);
    const int is_whole = profiler->end == END_CALLED || profiler->end == END_RETURNED || profiler->end == END_NOT_YET;
    char *out = is_whole && profiler->marks > 0 && profiler->rest_ticks > 0 ? line_open(text) : NULL;
    if (out)
        lap_text_line(text,
                      add_calls(out, lap_line_rest(out, LAP_LINE_BYTES, &inside, lap_ticks_to_ns(profiler->rest_ticks)),
                                profiler->calls));
    const struct lap_line_sizes sizes = sizes_of(profiler);
    label_of(label, profiler->message);
    out = line_open(text);
    if (out)
        lap_text_line(text, lap_line_exit(out, LAP_LINE_BYTES, &place, label, lap_ticks_to_ns(profiler->total_ticks),
                                          &sizes, exit_note(profiler, note, sizeof note)));
}

static void put_open_children(struct text *text, struct profiler *profiler, uint32_t indent);

void lap_lines_put(struct text *text, struct profiler *profiler, uint32_t indent)
{
    lap_lines_put_enter(text, profiler, indent);
    put_laps(text, profiler, indent + LAP_LINE_INDENT);
    put_open_children(text, profiler, indent + LAP_LINE_INDENT);
    text->more += profiler->more_children;
    const int was_ending = text->is_ending;
    if (indent == 0) { /* the outermost's last lines are always there */
        text->is_ending = 1;
        put_more(text, indent + LAP_LINE_INDENT);
    }
    lap_lines_put_exit(text, profiler, indent);
    text->is_ending = was_ending;
}

#define OPEN_LEVELS_MAX 100u /* each takes some 13 KiB of the stack */

/* Children that have not ended, as they are now; they report by themselves later. Oldest first. */
static void put_open_children(struct text *text, struct profiler *profiler, uint32_t indent)
{
    struct profiler *child = profiler->children;
    while (child && child->next_child)
        child = child->next_child;
    for (; child; child = child->last_child) {
        if (!(child->flags & PROFILER_PRINTS) || child->flags & PROFILER_ENDED || lap_profiler_makes_way(profiler, child))
            continue; /* one that has ended is being written just now */
        if (indent > OPEN_LEVELS_MAX * LAP_LINE_INDENT) {
            text->more++;
            continue;
        }
        const uint64_t now = profiler->begin_ticks + profiler->total_ticks +
                             (profiler->end == END_LET_GO || profiler->end == END_EXIT ? profiler->rest_ticks : 0);
        child->end = END_NOT_YET;
        child->total_ticks = now > child->begin_ticks ? now - child->begin_ticks : 0;
        child->rest_ticks = now > child->last_ticks ? now - child->last_ticks : 0;
        lap_lines_put(text, child, indent);
    }
}

size_t lap_lines_shorten(char *out, const struct block *block)
{
    char label[LAP_LABEL_BYTES];
    label_of_block(label, block);
    const struct lap_line_place place = place_at(0);
    const struct lap_line_fold fold = {1, lap_ticks_to_ns(block->total_ticks), 0, 0};
    const struct lap_line_sizes none = {0, 0, 0};
    return lap_line_nested(out, LAP_LINE_BYTES, &place, label, &fold, &none, "printed before");
}

void lap_lines_put_last(struct text *text, const struct profiler *profiler, uint32_t indent)
{
    const struct laps laps = laps_of(profiler);
    if (laps.count > 0)
        put_lap(text, profiler, laps_at(&laps, laps.count - 1), lap_ticks(&laps, laps.count - 1), profiler->marks - 1,
                indent);
}

uint64_t lap_lines_marks_at(const struct profiler *profiler, uint64_t ticks)
{
    const struct laps laps = laps_of(profiler);
    uint64_t marks = profiler->marks;
    for (uint32_t i = laps.count; i > 0 && laps_at(&laps, i - 1)->ticks > ticks; i--)
        marks--;
    return marks;
}
