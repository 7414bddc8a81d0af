/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_frame.h"

#include "units.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSES_SHOWN = 4, INDENT_MAX = 40, LABEL_MIN = 24, TEXT_BYTES = 4096, HISTOGRAM_BAR = 40 };
#define HOT_SHARE 0.25
#define WARM_SHARE 0.05

struct column {
    const char *title;
    size_t width;
    unsigned importance; /* where there is no room, the least goes first */
};
static const struct column columns_of[LAP_TOP_COLUMNS] = {
    [LAP_TOP_LABEL] = {"", 0, 0},       [LAP_TOP_RATE] = {"rate", 10, 85},  [LAP_TOP_COUNT] = {"count", 13, 90},
    [LAP_TOP_TOTAL] = {"total", 9, 95}, [LAP_TOP_SHARE] = {"share", 7, 97}, [LAP_TOP_MEAN] = {"mean", 9, 80},
    [LAP_TOP_P50] = {"p50", 9, 55},     [LAP_TOP_P99] = {"p99", 9, 70},     [LAP_TOP_MAX] = {"max", 9, 65}};
const char lap_top_letters[LAP_TOP_COLUMNS] = {
    [LAP_TOP_LABEL] = 'l', [LAP_TOP_RATE] = 'e', [LAP_TOP_COUNT] = 'c', [LAP_TOP_TOTAL] = 't', [LAP_TOP_SHARE] = 's',
    [LAP_TOP_MEAN] = 'm',  [LAP_TOP_P50] = '5',  [LAP_TOP_P99] = '9',   [LAP_TOP_MAX] = 'x'};

/* ---- lines ----------------------------------------------------------------------------------------------------------- */

/* A terminal without UTF-8 gets nothing else than ASCII: it would not know how wide it is. */
static char *shown_text(const char *text)
{
    char *const shown = lap_text_printable(text);
    if (lap_terminal_get()->has_utf8)
        return shown;
    char *out = shown;
    for (const char *in = shown; *in; in++)
        if ((unsigned char)*in < 0x80)
            *out++ = *in;
        else if (((unsigned char)*in & 0xC0) != 0x80) /* a character's further bytes go */
            memcpy(out++, "?", 1);
    *out = 0;
    return shown;
}

void lap_top_lines_add(struct lap_top_lines *lines, enum lap_style style, size_t columns, const char *text)
{
    if ((lines->count & (lines->count - 1)) == 0) {
        lines->lines = realloc(lines->lines, 2 * (lines->count ? lines->count : 1) * sizeof *lines->lines);
        if (!lines->lines)
            abort();
    }
    char *const copy = shown_text(text);
    copy[lap_text_fit(copy, columns)] = 0;
    for (size_t length = strlen(copy); length > 0 && copy[length - 1] == ' ';)
        copy[--length] = 0;
    lines->lines[lines->count++] = (struct lap_top_line){copy, style};
}

static __attribute__((format(printf, 4, 5))) void add(struct lap_top_lines *lines, enum lap_style style, size_t columns,
                                                      const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lap_top_lines_add(lines, style, columns, text);
}

void lap_top_lines_done(struct lap_top_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->lines[i].text);
    free(lines->lines);
    *lines = (struct lap_top_lines){0};
}

/* ---- head ------------------------------------------------------------------------------------------------------------ */

static void add_process(struct lap_top_lines *lines, const struct lap_top_process *process, size_t columns)
{
    char span[LAP_UNITS_BYTES], threads[LAP_UNITS_BYTES], lost[LAP_UNITS_BYTES];
    const bool is_running = process->state == LAP_PROCESS_RUNNING;
    add(lines, is_running ? LAP_STYLE_PLAIN : LAP_STYLE_DIM, columns, "%s %llu  %s, %s, %s, %s lost: %s",
        process->program, (unsigned long long)process->pid, lap_process_state_text(process->state),
        lap_units_duration(span, process->span_ns), lap_units_counted(threads, process->threads, "thread"),
        process->lost ? lap_units_count(lost, process->lost) : "nothing", process->command);
}

/* Those that run come first: they are what one looks at. */
static void add_processes(struct lap_top_lines *lines, const struct lap_top_watch *watch, size_t columns)
{
    size_t shown = 0;
    for (int turn = 0; turn < 2; turn++)
        for (size_t i = 0; i < watch->process_count; i++) {
            const bool is_running = watch->processes[i]->state == LAP_PROCESS_RUNNING;
            if (is_running == (turn == 0) && shown < PROCESSES_SHOWN) {
                add_process(lines, watch->processes[i], columns);
                shown++;
            }
        }
    if (watch->process_count > shown)
        add(lines, LAP_STYLE_DIM, columns, "and %zu more", watch->process_count - shown);
}

void lap_top_frame_head(struct lap_top_lines *lines, const struct lap_top_watch *watch, const struct lap_top_view *view,
                        size_t columns, double interval_s, bool is_paused)
{
    char span[LAP_UNITS_BYTES], processes[LAP_UNITS_BYTES];
    size_t running = 0;
    for (size_t i = 0; i < watch->process_count; i++)
        running += watch->processes[i]->state == LAP_PROCESS_RUNNING;
    lap_units_duration(span, view->is_recent ? (watch->recent_s > 0 ? watch->recent_s : interval_s) * 1e9
                                             : lap_top_watch_span_ns(watch));
    add(lines, LAP_STYLE_BOLD, columns, "lapmark top: %s, %zu running; %s %s%s%s%s%s",
        lap_units_counted(processes, watch->process_count, "process"), running,
        view->is_recent ? "the last" : "since the start,", span, view->filter[0] ? "; only " : "", view->filter,
        view->is_flat ? "; flat" : "", is_paused ? "; PAUSED" : "");
    add_processes(lines, watch, columns);
    lap_top_lines_add(lines, LAP_STYLE_PLAIN, columns, "");
}

/* ---- table ----------------------------------------------------------------------------------------------------------- */

/* "work > stage 3 > step 3.1", from behind the focus on; the rightmost labels where it is too long. */
static void path_text(char *out, size_t bytes, const struct lap_live_tree *tree, uint32_t node, uint32_t focus)
{
    const char *labels[32];
    size_t count = 0, used = 0;
    for (uint32_t at = node; at != LAP_LIVE_NONE && count < sizeof labels / sizeof *labels; at = tree->nodes[at].parent) {
        labels[count++] = tree->nodes[at].label;
        if (at == focus)
            break;
    }
    *out = 0;
    while (count-- > 0 && used < bytes) {
        const int length = snprintf(out + used, bytes - used, "%s%s", labels[count], count > 0 ? " > " : "");
        used += (size_t)length;
    }
}

static void label_text(char out[TEXT_BYTES], const struct lap_live_tree *tree, const struct lap_top_view *view,
                       const struct lap_top_row *row)
{
    const struct lap_live_node *const node = &tree->nodes[row->node];
    const char *const mark = node->kind == LAP_SUMMARY_PROFILER ? "" : lap_terminal_get()->has_utf8 ? "\xc2\xb7 " : "- ";
    if (view->is_flat) {
        path_text(out, TEXT_BYTES, tree, row->node, view->focus);
        return;
    }
    const unsigned indent = 2 * row->depth;
    snprintf(out, TEXT_BYTES, "%*s%s%s", (int)(indent < INDENT_MAX ? indent : INDENT_MAX), "", mark, node->label);
}

static const char *value_text(char out[LAP_UNITS_BYTES], const struct lap_top_row *row, enum lap_top_column column)
{
    *out = 0;
    if (column == LAP_TOP_SHARE)
        return row->share > 0 ? lap_units_share(out, row->share, 1) : "";
    if (column == LAP_TOP_COUNT)
        return lap_units_count(out, row->count);
    if (row->count == 0)
        return "";
    switch (column) {
    case LAP_TOP_RATE: return lap_units_rate(out, row->rate);
    case LAP_TOP_TOTAL: return lap_units_duration(out, row->total_ns);
    case LAP_TOP_MEAN: return lap_units_duration(out, row->mean_ns);
    case LAP_TOP_P50: return lap_units_duration(out, row->p50_ns);
    case LAP_TOP_P99: return lap_units_duration(out, row->p99_ns);
    case LAP_TOP_MAX: return lap_units_duration(out, row->max_ns);
    default: return "";
    }
}

/* Which columns there is room for, and how wide the label's is. Widths do not depend on the values: what moves cannot be
 * read. */
static size_t layout(bool is_shown[LAP_TOP_COLUMNS], size_t columns, size_t label_width)
{
    size_t taken = 0;
    for (int c = 1; c < LAP_TOP_COLUMNS; c++) {
        is_shown[c] = true;
        taken += columns_of[c].width + 1;
    }
    const size_t least = label_width < LABEL_MIN ? label_width : LABEL_MIN;
    while (taken > 0 && taken + least > columns) {
        int out = 0;
        for (int c = 1; c < LAP_TOP_COLUMNS; c++)
            if (is_shown[c] && (out == 0 || columns_of[c].importance < columns_of[out].importance))
                out = c;
        is_shown[out] = false;
        taken -= columns_of[out].width + 1;
    }
    const size_t rest = columns > taken ? columns - taken : 1;
    return columns >= LAP_TERMINAL_UNBOUNDED ? (label_width > LABEL_MIN ? label_width : LABEL_MIN) : rest;
}

/* Appends a text, padded to a width, to the right where it is a number. Returns how many bytes are used now. */
static size_t cell_add(char *out, size_t used, const char *text, size_t width, bool is_left)
{
    char *const shown = shown_text(text);
    const size_t wide = lap_text_width(shown);
    const bool is_cut = wide > width;
    const size_t bytes = is_cut ? lap_text_fit(shown, width > 0 ? width - 1 : 0) : strlen(shown);
    const int pad = is_cut ? 0 : (int)(width - wide);
    used += (size_t)snprintf(out + used, TEXT_BYTES - used, "%*s%.*s%s%*s", is_left ? 0 : pad, "", (int)bytes, shown,
                             is_cut && width > 0 ? lap_terminal_get()->has_utf8 ? "\xe2\x80\xa6" : "~" : "",
                             is_left ? pad : 0, "");
    free(shown);
    return used < TEXT_BYTES ? used : TEXT_BYTES - 1;
}

static void add_titles(struct lap_top_lines *lines, const struct lap_top_view *view, const bool *is_shown,
                       size_t label_width, size_t columns)
{
    const bool has_utf8 = lap_terminal_get()->has_utf8;
    const char *const arrow = view->is_reversed ? (has_utf8 ? "\xe2\x96\xb4" : "^") : has_utf8 ? "\xe2\x96\xbe" : "v";
    char text[TEXT_BYTES] = "", title[32];
    size_t used = cell_add(text, 0, view->sort == LAP_TOP_LABEL ? arrow : "", label_width, true);
    for (int c = 1; c < LAP_TOP_COLUMNS; c++) {
        if (!is_shown[c])
            continue;
        snprintf(title, sizeof title, " %s%s", view->sort == (enum lap_top_column)c ? arrow : "", columns_of[c].title);
        used = cell_add(text, used, title, columns_of[c].width + 1, false);
    }
    lap_top_lines_add(lines, LAP_STYLE_BOLD, columns, text);
}

void lap_top_frame_table(struct lap_top_lines *lines, const struct lap_live_tree *tree, const struct lap_top_view *view,
                         const struct lap_top_row *rows, size_t count, size_t columns)
{
    bool is_shown[LAP_TOP_COLUMNS] = {true};
    char label[TEXT_BYTES], text[TEXT_BYTES], value[LAP_UNITS_BYTES];
    size_t widest = 0;
    for (size_t i = 0; i < count; i++) {
        label_text(label, tree, view, &rows[i]);
        char *const shown = shown_text(label);
        const size_t width = lap_text_width(shown);
        widest = width > widest ? width : widest;
        free(shown);
    }
    widest = widest < TEXT_BYTES / 4 ? widest : TEXT_BYTES / 4;
    const size_t label_width = layout(is_shown, columns, widest);
    add_titles(lines, view, is_shown, label_width, columns);
    for (size_t i = 0; i < count; i++) {
        label_text(label, tree, view, &rows[i]);
        size_t used = cell_add(text, 0, label, label_width, true);
        for (int c = 1; c < LAP_TOP_COLUMNS; c++)
            if (is_shown[c]) {
                used = cell_add(text, used, "", 1, true);
                used =
                    cell_add(text, used, value_text(value, &rows[i], (enum lap_top_column)c), columns_of[c].width, false);
            }
        const enum lap_style style = rows[i].share >= HOT_SHARE    ? LAP_STYLE_HOT
                                     : rows[i].share >= WARM_SHARE ? LAP_STYLE_WARM
                                                                   : LAP_STYLE_PLAIN;
        lap_top_lines_add(lines, style, columns, text);
    }
}

/* ---- histogram ------------------------------------------------------------------------------------------------------- */

struct band {
    double least_ns, end_ns;
    uint64_t samples;
};

/* The octaves that have samples, so many joined that `height` bands are enough. */
static size_t bands_make(struct band *bands, const struct lap_distribution *distribution, size_t height)
{
    struct band octaves[LAP_FORMAT_OCTAVES];
    size_t first = LAP_FORMAT_OCTAVES, last = 0, count = 0;
    for (uint32_t i = 0; i < LAP_FORMAT_OCTAVES; i++) {
        octaves[i].samples = lap_distribution_octave(distribution, i, &octaves[i].least_ns, &octaves[i].end_ns);
        if (octaves[i].samples == 0)
            continue;
        first = i < first ? i : first;
        last = i;
    }
    if (first == LAP_FORMAT_OCTAVES || height == 0)
        return 0;
    const size_t joined = (last - first + height) / height;
    for (size_t i = first; i <= last; i++) {
        struct band *const band = &bands[(i - first) / joined];
        if ((i - first) % joined == 0) {
            *band = (struct band){.least_ns = octaves[i].least_ns};
            count++;
        }
        band->end_ns = octaves[i].end_ns;
        band->samples += octaves[i].samples;
    }
    return count;
}

void lap_top_frame_histogram(struct lap_top_lines *lines, const struct lap_live_tree *tree, const struct lap_top_row *row,
                             size_t columns, size_t height)
{
    struct band bands[LAP_FORMAT_OCTAVES];
    char path[1024], least[LAP_UNITS_BYTES], end[LAP_UNITS_BYTES], samples[LAP_UNITS_BYTES];
    const struct lap_live_node *const node = &tree->nodes[row->node];
    const char *const slash = strrchr(node->file, '/');
    path_text(path, sizeof path, tree, row->node, LAP_LIVE_NONE);
    if (node->file[0])
        add(lines, LAP_STYLE_BOLD, columns, "%s  (%s, %s:%u)", path, node->function, slash ? slash + 1 : node->file,
            node->line);
    else
        add(lines, LAP_STYLE_BOLD, columns, "%s", path);
    const size_t count = bands_make(bands, row->distribution, height > 1 ? height - 1 : 0);
    uint64_t most = 1;
    for (size_t i = 0; i < count; i++)
        most = bands[i].samples > most ? bands[i].samples : most;
    if (count == 0)
        add(lines, LAP_STYLE_DIM, columns, "  no sample");
    for (size_t i = 0; i < count; i++) {
        const int cells = (int)((double)bands[i].samples / (double)most * HISTOGRAM_BAR + 0.5);
        const char *const cell = lap_terminal_get()->has_utf8 ? "\xe2\x96\x88" : "#";
        char bar[3 * HISTOGRAM_BAR + 1] = "";
        for (size_t used = 0, c = 0; c < (size_t)cells; c++, used += strlen(cell))
            memcpy(bar + used, cell, strlen(cell) + 1);
        lap_units_duration(least, bands[i].least_ns);
        lap_units_duration(end, bands[i].end_ns);
        char text[TEXT_BYTES];
        size_t used = cell_add(text, 0, least, 9, false);
        used = cell_add(text, used, " to ", 4, true);
        used = cell_add(text, used, end, 9, false);
        cell_add(text, used, "", 2, true);
        add(lines, LAP_STYLE_PLAIN, columns, "%s%s%s%s", text, bar, cells > 0 ? " " : "",
            lap_units_count(samples, bands[i].samples));
    }
}
