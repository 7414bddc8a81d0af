/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "label.h"
#include "line.h"
#include "stream.h"

#define FOLD_ABOVE 3u   /* of one label or site are one line */
#define BLOCKS_MAX 200u /* ended children that may have to be printed by themselves */
#define LINES_MAX 1000u /* of a report; the rest is counted */
#define TEXT_BYTES_MAX (64u << 10)

/* A text that grows. Out of memory: what comes is left out. */
struct text {
    char *bytes;
    size_t used, room;
    uint64_t lines, more;
};

/* An ended child's report, as lines that are indented when they are printed. */
struct block {
    struct block *next;
    struct child_fold *fold;
    struct block *inside; /* of one that did not qualify: what did inside it */
    uint64_t position;    /* checkpoints that the parent had */
    uint64_t total_ticks;
    uint64_t lines;
    size_t bytes;
    int qualifies; /* took its threshold, and was not printed by itself */
    char text[];
};

/* Ended children of one site and message. */
struct child_fold {
    struct child_fold *next;
    const struct key *key;
    uint64_t count, sum_ticks, max_ticks;
    uint64_t appended; /* that have a block in the list */
    int64_t n_least, n_greatest;
    int has_n, is_shown;
    struct block *slowest; /* of those that have none */
};

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static char *text_room(struct text *text, size_t bytes)
{
    if (text->lines >= LINES_MAX || text->used + bytes > TEXT_BYTES_MAX) {
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

#define LINE_BYTES (LAP_LABEL_BYTES + LAP_LINE_ROOM + 100u)
static char *line_open(struct text *text) { return text_room(text, LINE_BYTES); }
static void line_close(struct text *text, size_t bytes)
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
        char *const out = text_room(text, indent + line);
        if (out) {
            memset(out, ' ', indent);
            memcpy(out + indent, lines, line);
            line_close(text, indent + line);
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

PyObject *lap_report_laps(const struct profiler *profiler)
{
    PyObject *const list = PyList_New(0);
    const struct laps laps = laps_of(profiler);
    const uint32_t first = laps.count > LAPS_MAX ? laps.count - LAPS_MAX : 0;
    const uint64_t older = profiler->marks - laps.count + first;
    const uint64_t before = first > 0 ? laps_at(&laps, first - 1)->ticks : profiler->folded_ticks;
    for (uint32_t i = first; list && i < laps.count + (older > 0); i++) {
        const uint32_t at = i - (older > 0);
        const struct lap *const lap = i == first && older > 0 ? NULL : laps_at(&laps, at);
        const int64_t n = lap ? lap_n_of(lap) : 0;
        PyObject *const tuple =
            lap ? lap_tuple(label_object(&laps, at), lap_ticks(&laps, at), lap->ticks - profiler->begin_ticks,
                            lap_key_of(lap)->is_size ? &n : NULL, 1)
                : lap_tuple(PyUnicode_FromString("(older)"), before - profiler->begin_ticks,
                            before - profiler->begin_ticks, NULL, older);
        const int error = tuple ? PyList_Append(list, tuple) : -1;
        Py_XDECREF(tuple);
        if (error < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

/* Puts how it was spent behind a line. Returns the line's bytes. */
static size_t add_wait(char *line, size_t bytes, const struct wait *wait)
{
    if (!wait || wait->waiting_ns <= 0)
        return bytes;
    const int added =
        PyOS_snprintf(line + bytes - 1, LINE_BYTES - bytes, " (running %.1f, waiting %.1f, loop busy with others %.1f)\n",
                      (double)wait->running_ns / 1e6, (double)wait->waiting_ns / 1e6, (double)wait->busy_ns / 1e6);
    return bytes + (size_t)added - 1;
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
    line_close(text, add_wait(out, lap_line_laps(out, LINE_BYTES, &place, label, &line, &sizes), &fold->wait));
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
    const size_t bytes = lap_line_lap(out, LINE_BYTES, &place, label, lap_ticks_to_ns(ticks),
                                      lap_ticks_to_ns(lap->ticks - profiler->begin_ticks), &sizes);
    line_close(text, add_wait(out, bytes, lap_more_of(lap) ? &lap_more_of(lap)->wait : NULL));
}

static void put_more(struct text *text, uint32_t indent)
{
    if (text->more == 0)
        return;
    const uint64_t more = text->more, lines = text->lines;
    text->lines = 0; /* there is room for this one */
    char *const out = text_room(text, LINE_BYTES);
    const struct lap_line_place place = place_at(indent);
    text->lines = lines;
    text->more = 0;
    if (out)
        line_close(text, lap_line_more(out, LINE_BYTES, &place, more));
}

static void block_free(struct block *block)
{
    while (block) {
        struct block *const next = block->next;
        block_free(block->inside);
        PyMem_RawFree(block);
        block = next;
    }
}

/* A child, or all of its like when it is the first of more than three. */
static void put_block(struct text *text, const struct block *block, uint32_t indent)
{
    struct child_fold *const fold = block->fold;
    if (fold->count <= FOLD_ABOVE) {
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
        label_of_key(label, fold->key);
        const struct lap_line_fold line = {fold->count, lap_ticks_to_ns(fold->sum_ticks),
                                           lap_ticks_to_ns(fold->max_ticks), 0};
        const struct lap_line_sizes sizes = {fold->n_least, fold->n_greatest, fold->has_n};
        line_close(text, lap_line_nested(out, LINE_BYTES, &place, label, &line, &sizes, NULL));
    }
    const char *const first_end = memchr(slowest->text, '\n', slowest->bytes);
    char *const head = text_room(text, LINE_BYTES + indent);
    if (!head || !first_end)
        return;
    const int length = PyOS_snprintf(head, LINE_BYTES + indent, "%*s%.*s (slowest)\n", (int)(indent + LAP_LINE_INDENT),
                                     "", (int)(first_end - slowest->text), slowest->text);
    line_close(text, (size_t)length < LINE_BYTES + indent ? (size_t)length : LINE_BYTES + indent - 1);
    const size_t used = (size_t)(first_end - slowest->text) + 1;
    text_add_lines(text, slowest->text + used, slowest->bytes - used, indent + LAP_LINE_INDENT);
}

static const struct block *put_blocks(struct text *text, const struct block *block, uint64_t before, uint32_t indent)
{
    for (; block && block->position <= before; block = block->next)
        put_block(text, block, indent);
    return block;
}

static void put_laps(struct text *text, struct profiler *profiler, uint32_t indent)
{
    struct fold folds[LAP_KEYS_EACH + 1];
    uint8_t is_put[LAP_KEYS_EACH + 1] = {0};
    const struct laps laps = laps_of(profiler);
    if (profiler->folds)
        memcpy(folds, profiler->folds, sizeof folds);
    else
        memset(folds, 0, sizeof folds);
    for (uint32_t i = 0; i < laps.count; i++)
        lap_fold_add(&folds[lap_key_of(laps_at(&laps, i))->index], laps_at(&laps, i), lap_ticks(&laps, i));
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
        if (folds[index].count > FOLD_ABOVE) {
            put_fold(text, profiler, &folds[index], indent);
            is_put[index] = 1;
        } else {
            put_lap(text, profiler, lap, lap_ticks(&laps, i), gone + i, indent);
        }
    }
    put_blocks(text, block, UINT64_MAX, indent);
}

static void put_enter(struct text *text, const struct profiler *profiler, uint32_t indent)
{
    char label[LAP_LABEL_BYTES];
    char *const out = line_open(text);
    const struct lap_line_place place = place_at(indent);
    if (!out)
        return;
    label_of(label, profiler->message);
    line_close(text, lap_line_enter(out, LINE_BYTES, &place, label, NULL));
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
static void put_exit(struct text *text, const struct profiler *profiler, uint32_t indent)
{
    char label[LAP_LABEL_BYTES], note[LAP_LINE_NOTE_BYTES];
    const struct lap_line_place inside = place_at(indent + LAP_LINE_INDENT), place = place_at(indent);
    const int is_whole = profiler->end == END_CALLED || profiler->end == END_RETURNED || profiler->end == END_NOT_YET;
    text->lines = text->lines > LINES_MAX - 4 ? LINES_MAX - 4 : text->lines; /* the end is always there */
    char *out = is_whole && profiler->marks > 0 && profiler->rest_ticks > 0 ? line_open(text) : NULL;
    if (out)
        line_close(text, lap_line_rest(out, LINE_BYTES, &inside, lap_ticks_to_ns(profiler->rest_ticks)));
    const struct lap_line_sizes sizes = sizes_of(profiler);
    label_of(label, profiler->message);
    out = line_open(text);
    if (out)
        line_close(text, lap_line_exit(out, LINE_BYTES, &place, label, lap_ticks_to_ns(profiler->total_ticks), &sizes,
                                       exit_note(profiler, note, sizeof note)));
}

static void put_open_children(struct text *text, struct profiler *profiler, uint32_t indent);

static void put_profiler(struct text *text, struct profiler *profiler, uint32_t indent)
{
    put_enter(text, profiler, indent);
    put_laps(text, profiler, indent + LAP_LINE_INDENT);
    put_open_children(text, profiler, indent + LAP_LINE_INDENT);
    put_more(text, indent + LAP_LINE_INDENT);
    put_exit(text, profiler, indent);
}

/* Children that have not ended, as they are now; they report by themselves later. Oldest first. */
static void put_open_children(struct text *text, struct profiler *profiler, uint32_t indent)
{
    struct profiler *child = profiler->children;
    while (child && child->next_child)
        child = child->next_child;
    for (; child; child = child->last_child) {
        if (!(child->flags & PROFILER_PRINTS) || lap_profiler_makes_way(profiler, child))
            continue;
        const uint64_t now = profiler->begin_ticks + profiler->total_ticks +
                             (profiler->end == END_LET_GO || profiler->end == END_EXIT ? profiler->rest_ticks : 0);
        child->end = END_NOT_YET;
        child->total_ticks = now > child->begin_ticks ? now - child->begin_ticks : 0;
        child->rest_ticks = now > child->last_ticks ? now - child->last_ticks : 0;
        put_profiler(text, child, indent);
    }
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* Whose stream a profiler's report goes to: its own, or that of the nearest around it that has one. */
static const struct profiler *stream_of(const struct profiler *profiler)
{
    const struct profiler *at = profiler;
    while (at && !at->sink && !at->file)
        at = at->parent;
    return at ? at : profiler;
}

/* One report, with the prefix in front of each line. */
static void text_write(const struct profiler *profiler, const char *lines, size_t bytes)
{
    profiler = stream_of(profiler);
    size_t prefix_bytes;
    const char *const prefix = lap_stream_prefix(&prefix_bytes);
    if (prefix_bytes == 0) {
        lap_stream_write(profiler, lines, bytes);
        return;
    }
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
    if (out)
        lap_stream_write(profiler, out, used);
    PyMem_RawFree(out);
}

/* Prints a child's block by itself, with a note; what its parent then has of it is one line. */
static void block_write(const struct profiler *profiler, struct block *block, const char *note)
{
    const char *const first_end = memchr(block->text, '\n', block->bytes);
    const size_t first = first_end ? (size_t)(first_end - block->text) : block->bytes;
    struct text text = {NULL, 0, 0, 0, 0};
    char *const out = text_room(&text, block->bytes + LINE_BYTES);
    if (!out)
        return;
    size_t used = first;
    memcpy(out, block->text, first);
    if (note)
        used += (size_t)PyOS_snprintf(out + used, LINE_BYTES, " (%s)", note);
    memcpy(out + used, block->text + first, block->bytes - first);
    text_write(profiler, out, used + block->bytes - first);
    PyMem_RawFree(text.bytes);
}

/* Makes a block one line that says that it was printed. */
static void block_shorten(struct block *block)
{
    const size_t enter = strlen("> Entering ");
    const char *const first_end = memchr(block->text, '\n', block->bytes);
    char label[LAP_LABEL_BYTES], line[LINE_BYTES];
    const size_t length =
        first_end && (size_t)(first_end - block->text) > enter ? (size_t)(first_end - block->text) - enter : 0;
    const size_t cut = length < sizeof label ? length : sizeof label - 1;
    memcpy(label, block->text + enter, cut);
    label[cut] = 0;
    const struct lap_line_place place = place_at(0);
    const struct lap_line_fold fold = {1, lap_ticks_to_ns(block->total_ticks), 0, 0};
    const struct lap_line_sizes none = {0, 0, 0};
    const size_t bytes = lap_line_nested(line, sizeof line, &place, label, &fold, &none, "printed before");
    block->bytes = bytes < block->bytes ? bytes : block->bytes;
    memcpy(block->text, line, block->bytes);
    block->qualifies = 0;
}

static void blocks_write(const struct profiler *profiler, struct block *block, const char *note)
{
    for (; block; block = block->next) {
        if (block->qualifies) {
            block_write(profiler, block, note);
            block_shorten(block);
        } else {
            blocks_write(profiler, block->inside, note);
        }
    }
}

void lap_report_flush(struct profiler *profiler) { blocks_write(profiler, profiler->blocks, "parent still open"); }

/* ---- what stays with the parent ------------------------------------------------------------------------------------ */

static struct child_fold *fold_of(struct profiler *parent, const struct profiler *child)
{
    struct child_fold *fold = parent->child_folds;
    while (fold && fold->key != child->key)
        fold = fold->next;
    if (fold)
        return fold;
    fold = PyMem_RawCalloc(1, sizeof *fold);
    if (!fold)
        return NULL;
    *fold =
        (struct child_fold){.next = parent->child_folds, .key = child->key, .n_least = child->n, .n_greatest = child->n};
    parent->child_folds = fold;
    return fold;
}

static struct block *block_make(struct profiler *child, struct child_fold *fold, int qualifies)
{
    struct text text = {NULL, 0, 0, 0, 0};
    put_profiler(&text, child, 0);
    struct block *const block = text.bytes ? PyMem_RawMalloc(sizeof *block + text.used) : NULL;
    if (block) {
        *block = (struct block){.fold = fold,
                                .total_ticks = child->total_ticks,
                                .lines = text.lines,
                                .bytes = text.used,
                                .qualifies = qualifies};
        memcpy(block->text, text.bytes, text.used);
        if (!qualifies) { /* what qualified inside it may have to be printed by itself */
            block->inside = child->blocks;
            child->blocks = child->last_block = NULL;
            child->block_count = 0;
        }
    }
    PyMem_RawFree(text.bytes);
    return block;
}

/* Has the parent taken its threshold already? Then what is inside is shown with it. */
static int is_certain(const struct profiler *parent, const struct profiler *child)
{
    return lap_ticks_to_ns(child->begin_ticks + child->total_ticks - parent->begin_ticks) >= parent->threshold_ns;
}

/* `is_elsewhere`: it has a stream of its own, and reports there by itself, too. */
static void leave_with(struct profiler *parent, struct profiler *child, int qualifies, int is_elsewhere)
{
    struct child_fold *const fold = fold_of(parent, child);
    if (!fold) {
        lap_counts.failed++;
        return;
    }
    fold->count++;
    fold->sum_ticks += child->total_ticks;
    fold->max_ticks = child->total_ticks > fold->max_ticks ? child->total_ticks : fold->max_ticks;
    fold->has_n |= (child->flags & PROFILER_HAS_N) != 0;
    fold->n_least = child->n < fold->n_least ? child->n : fold->n_least;
    fold->n_greatest = child->n > fold->n_greatest ? child->n : fold->n_greatest;
    const int must_stay = (qualifies || child->blocks) && !is_certain(parent, child);
    if (must_stay && parent->block_count >= BLOCKS_MAX && fold->appended >= FOLD_ABOVE) {
        struct text text = {NULL, 0, 0, 0, 0};
        put_profiler(&text, child, 0);
        if (qualifies)
            text_write(child, text.bytes, text.used);
        else
            blocks_write(child, child->blocks, "parent still open");
        PyMem_RawFree(text.bytes);
        return;
    }
    if (fold->appended >= FOLD_ABOVE && !must_stay && !is_elsewhere && fold->slowest &&
        fold->slowest->total_ticks >= child->total_ticks)
        return;
    struct block *const block = block_make(child, fold, qualifies);
    if (!block)
        return;
    if (is_elsewhere) {
        blocks_write(child, block, NULL);
        if (!qualifies)
            block->inside = NULL;
    }
    if (fold->appended >= FOLD_ABOVE && !must_stay) {
        block_free(fold->slowest);
        fold->slowest = block;
        return;
    }
    block->position = parent->marks;
    fold->appended++;
    parent->block_count++;
    if (parent->last_block)
        parent->last_block->next = block;
    else
        parent->blocks = block;
    parent->last_block = block;
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
    const int same = !left ? 0 : left == right ? 1 : PyObject_RichCompareBool(left, right, Py_EQ);
    if (same < 0)
        PyErr_Clear();
    return same > 0;
}

void lap_report_end(struct profiler *profiler)
{
    struct text text = {NULL, 0, 0, 0, 0};
    struct profiler *parent = profiler->parent;
    while (parent && !(parent->flags & PROFILER_PRINTS))
        parent = parent->parent;
    if (profiler->flags & PROFILER_IMMEDIATE && profiler->flags & PROFILER_PRINTS) {
        put_exit(&text, profiler, immediate_indent(profiler));
        write_and_free(profiler, &text);
        return;
    }
    const int qualifies =
        profiler->flags & PROFILER_PRINTS && lap_ticks_to_ns(profiler->total_ticks) >= profiler->threshold_ns;
    const int has_own = profiler->sink || profiler->file;
    const struct profiler *const stream = parent ? stream_of(parent) : NULL;
    const int is_elsewhere = has_own && !is_same_stream(stream, profiler);
    if (!(profiler->flags & PROFILER_PRINTS)) {
        if (profiler->blocks && profiler->end != END_CANCELLED)
            blocks_write(profiler, profiler->blocks, NULL);
    } else if (parent && !(parent->flags & PROFILER_IMMEDIATE)) {
        leave_with(parent, profiler, qualifies, is_elsewhere);
    } else if (!qualifies) {
        blocks_write(profiler, profiler->blocks, NULL);
    } else {
        put_profiler(&text, profiler, 0);
        write_and_free(profiler, &text);
    }
}

void lap_report_entered(struct profiler *profiler)
{
    struct text text = {NULL, 0, 0, 0, 0};
    put_enter(&text, profiler, immediate_indent(profiler));
    write_and_free(profiler, &text);
}

void lap_report_marked(struct profiler *profiler)
{
    struct text text = {NULL, 0, 0, 0, 0};
    const struct laps laps = laps_of(profiler);
    if (!(profiler->flags & PROFILER_PRINTS) || laps.count == 0)
        return;
    put_lap(&text, profiler, laps_at(&laps, laps.count - 1), lap_ticks(&laps, laps.count - 1), profiler->marks - 1,
            immediate_indent(profiler) + LAP_LINE_INDENT);
    write_and_free(profiler, &text);
}

void lap_report_free(struct profiler *profiler)
{
    block_free(profiler->blocks);
    profiler->blocks = profiler->last_block = NULL;
    while (profiler->child_folds) {
        struct child_fold *const fold = profiler->child_folds;
        profiler->child_folds = fold->next;
        block_free(fold->slowest);
        PyMem_RawFree(fold);
    }
}
