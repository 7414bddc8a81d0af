/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "table.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2, FIRST_MIN = 24, FIRST_SHARE = 3 };

struct cell {
    char *text;
    size_t width;
    enum lap_style style;
};

struct note {
    struct cell cell;
    size_t row; /* below it */
};

struct lap_table {
    const struct lap_table_column *columns;
    size_t column_count;
    struct cell *cells; /* row by row, column_count each; row 0 is the head */
    size_t cell_count;
    size_t cell_capacity;
    enum lap_style style;
    bool keeps_ends;
    struct note *notes;
    size_t note_count;
};

static struct cell make_cell(const char *text, enum lap_style style)
{
    struct cell cell = {.text = lap_text_printable(text ? text : ""), .style = style};
    cell.width = lap_text_width(cell.text);
    return cell;
}

static void add(struct lap_table *table, struct cell cell)
{
    if (table->cell_count == table->cell_capacity) {
        table->cell_capacity = table->cell_capacity ? table->cell_capacity * 2 : 256;
        table->cells = realloc(table->cells, table->cell_capacity * sizeof *table->cells);
        if (!table->cells)
            abort();
    }
    table->cells[table->cell_count++] = cell;
}

struct lap_table *lap_table_make(const struct lap_table_column *columns, size_t count)
{
    struct lap_table *const table = calloc(1, sizeof *table);
    if (!table)
        abort();
    table->columns = columns;
    table->column_count = count;
    for (size_t i = 0; i < count; i++)
        add(table, make_cell(columns[i].title, LAP_STYLE_BOLD));
    return table;
}

void lap_table_free(struct lap_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i].text);
    for (size_t i = 0; i < table->note_count; i++)
        free(table->notes[i].cell.text);
    free(table->notes);
    free(table->cells);
    free(table);
}

void lap_table_keep_ends(struct lap_table *table) { table->keeps_ends = true; }

/* Empty cells to the end of the last row. */
static size_t whole(const struct lap_table *table)
{
    return (table->cell_count + table->column_count - 1) / table->column_count;
}

void lap_table_row(struct lap_table *table, enum lap_style style)
{
    while (table->cell_count % table->column_count != 0)
        add(table, make_cell(NULL, LAP_STYLE_PLAIN));
    table->style = style;
}

void lap_table_cell_styled(struct lap_table *table, enum lap_style style, const char *text)
{
    add(table, make_cell(text, style));
}

void lap_table_cell(struct lap_table *table, const char *text) { lap_table_cell_styled(table, table->style, text); }

void lap_table_note(struct lap_table *table, const char *text)
{
    table->notes = realloc(table->notes, (table->note_count + 1) * sizeof *table->notes);
    if (!table->notes)
        abort();
    table->notes[table->note_count++] = (struct note){make_cell(text, LAP_STYLE_PLAIN), whole(table) - 1};
}

static const struct cell *cell_at(const struct lap_table *table, size_t row, size_t column)
{
    static char nothing[1];
    static const struct cell empty = {.text = nothing};
    const size_t index = row * table->column_count + column;
    return index < table->cell_count ? &table->cells[index] : &empty;
}

static size_t total_width(const size_t *widths, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += widths[i] ? widths[i] + (i > 0 ? GAP : 0) : 0;
    return sum;
}

/* Widths that fit; 0 is a column that is not shown. */
static void layout(const struct lap_table *table, unsigned columns, size_t *widths)
{
    const size_t count = table->column_count;
    for (size_t c = 0; c < count; c++) {
        bool used = c == 0;
        widths[c] = 0;
        for (size_t r = 0; r < whole(table); r++) {
            const struct cell *const cell = cell_at(table, r, c);
            used |= r > 0 && cell->width > 0;
            if (cell->width > widths[c])
                widths[c] = cell->width;
        }
        if (!used)
            widths[c] = 0;
    }
    for (;;) {
        const size_t rest = total_width(widths, count) - widths[0];
        const size_t wanted = columns / FIRST_SHARE > FIRST_MIN ? columns / FIRST_SHARE : FIRST_MIN;
        const size_t first_min = widths[0] < wanted ? widths[0] : wanted;
        if (rest + first_min <= columns || rest == 0) {
            if (rest + widths[0] > columns)
                widths[0] = columns > rest ? columns - rest : 1;
            return;
        }
        size_t least = 0;
        for (size_t c = 1; c < count; c++)
            if (widths[c] && (least == 0 || table->columns[c].importance < table->columns[least].importance))
                least = c;
        widths[least] = 0;
    }
}

/* The end of a text that takes at most `columns`. */
static const char *end_of(const struct cell *cell, size_t columns)
{
    size_t skipped = 0;
    for (size_t without = cell->width - columns; lap_text_width(cell->text + skipped) > columns; without++)
        skipped = lap_text_fit(cell->text, without);
    return cell->text + skipped;
}

static const char *ellipsis(void) { return lap_terminal_get()->has_utf8 ? "\xe2\x80\xa6" : "~"; }

static void print_end(const struct cell *cell, size_t width, FILE *out)
{
    const bool styled = cell->style != LAP_STYLE_PLAIN;
    fprintf(out, "%s%s%s%s", styled ? lap_terminal_style(cell->style) : "", ellipsis(), end_of(cell, width - 1),
            styled ? lap_terminal_style(LAP_STYLE_PLAIN) : "");
}

static void print_cell(const struct cell *cell, size_t width, bool is_left, bool is_last, FILE *out)
{
    const bool is_cut = cell->width > width;
    const size_t bytes = is_cut ? lap_text_fit(cell->text, width - 1) : strlen(cell->text);
    const size_t pad = is_cut ? 0 : width - cell->width;
    const bool styled = cell->style != LAP_STYLE_PLAIN && bytes > 0;
    if (!is_left)
        fprintf(out, "%*s", (int)pad, "");
    fprintf(out, "%s%.*s%s%s", styled ? lap_terminal_style(cell->style) : "", (int)bytes, cell->text,
            is_cut ? ellipsis() : "", styled ? lap_terminal_style(LAP_STYLE_PLAIN) : "");
    if (is_left && !is_last)
        fprintf(out, "%*s", (int)pad, "");
}

void lap_table_print(const struct lap_table *table, FILE *out, unsigned columns)
{
    const size_t count = table->column_count;
    size_t *const widths = calloc(count, sizeof *widths);
    if (!widths)
        abort();
    layout(table, columns, widths);
    size_t note = 0;
    for (size_t r = 0; r < whole(table) && !ferror(out); r++) {
        size_t last = 0;
        for (size_t c = 0; c < count; c++)
            if (widths[c] && (cell_at(table, r, c)->width > 0 || c == 0))
                last = c;
        for (size_t c = 0; c <= last; c++) {
            if (widths[c] == 0)
                continue;
            if (c > 0)
                fprintf(out, "%*s", GAP, "");
            const struct cell *const cell = cell_at(table, r, c);
            if (table->keeps_ends && c == 0 && cell->width > widths[c])
                print_end(cell, widths[c], out);
            else
                print_cell(cell, widths[c], table->columns[c].is_left, c == last, out);
        }
        fputc('\n', out);
        for (; note < table->note_count && table->notes[note].row == r; note++) {
            const struct cell *const cell = &table->notes[note].cell;
            print_cell(cell, cell->width < columns ? cell->width : columns, true, true, out);
            fputc('\n', out);
        }
    }
    free(widths);
}
