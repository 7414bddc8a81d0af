/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sql_output.h"

#include "json.h"
#include "terminal.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Columns are as wide as the first rows need them. */
enum { ROWS_SEEN = 1000, GAP = 2, NARROW = 12, NUMBER_BYTES = 64 };

/* ---- as a table ---------------------------------------------------------------------------------------------------- */

struct column {
    size_t width;
    bool is_text;
};
struct sheet {
    sqlite3_stmt *statement;
    size_t column_count;
    struct column *columns;
    char **cells; /* titles, then the rows seen; NULL is NULL */
    size_t row_count;
};

static void *whole(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static char *real_text(double value)
{
    char text[NUMBER_BYTES];
    const double size = fabs(value);
    if (size < 0x1p53 && value == floor(value))
        snprintf(text, sizeof text, "%.0f", value);
    else
        snprintf(text, sizeof text, size >= 1e-3 && size < 1e15 ? "%.3f" : "%g", value);
    return whole(strdup(text));
}

static char *blob_text(const unsigned char *bytes, size_t count)
{
    char *const text = whole(malloc(2 * count + 4));
    char *at = text + sprintf(text, "x'");
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%02x", bytes[i]);
    memcpy(at, "'", 2);
    return text;
}

static char *cell_text(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: return NULL;
    case SQLITE_FLOAT: return real_text(sqlite3_column_double(statement, column));
    case SQLITE_BLOB:
        return blob_text(sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column));
    default: {
        const char *const text = (const char *)sqlite3_column_text(statement, column);
        return text ? lap_text_printable(text) : NULL;
    }
    }
}

static void column_widen(struct column *column, const char *cell)
{
    const size_t width = cell ? lap_text_width(cell) : 0;
    column->width = width > column->width ? width : column->width;
}

static int rows_see(struct sheet *sheet)
{
    int code = SQLITE_ROW;
    for (size_t c = 0; c < sheet->column_count; c++) {
        const char *const title = sqlite3_column_name(sheet->statement, (int)c);
        sheet->cells[c] = lap_text_printable(title ? title : "");
        column_widen(&sheet->columns[c], sheet->cells[c]);
    }
    for (sheet->row_count = 1; sheet->row_count <= ROWS_SEEN; sheet->row_count++) {
        if ((code = sqlite3_step(sheet->statement)) != SQLITE_ROW)
            break;
        for (size_t c = 0; c < sheet->column_count; c++) {
            const int type = sqlite3_column_type(sheet->statement, (int)c);
            char *const cell = cell_text(sheet->statement, (int)c);
            sheet->cells[sheet->row_count * sheet->column_count + c] = cell;
            sheet->columns[c].is_text |= type == SQLITE_TEXT || type == SQLITE_BLOB;
            column_widen(&sheet->columns[c], cell);
        }
    }
    return code;
}

/* On a terminal that is too narrow the widest text gives way, as long as there is one. */
static void columns_fit(struct sheet *sheet)
{
    for (;;) {
        size_t sum = 0;
        struct column *widest = NULL;
        for (size_t c = 0; c < sheet->column_count; c++) {
            struct column *const column = &sheet->columns[c];
            sum += column->width + (c > 0 ? GAP : 0);
            if (column->is_text && column->width > NARROW && (!widest || column->width > widest->width))
                widest = column;
        }
        if (sum <= lap_terminal_get()->columns || !widest)
            return;
        widest->width--;
    }
}

static void cell_print(const struct column *column, const char *text, bool is_last)
{
    const bool is_bounded = lap_terminal_get()->columns != LAP_TERMINAL_UNBOUNDED;
    const size_t width = lap_text_width(text);
    if (column->is_text && is_bounded && width > column->width) {
        printf("%.*s%s", (int)lap_text_fit(text, column->width - 1), text,
               lap_terminal_get()->has_utf8 ? "\xe2\x80\xa6" : "~");
        return;
    }
    const int pad = width < column->width ? (int)(column->width - width) : 0;
    if (column->is_text)
        printf("%s%*s", text, is_last ? 0 : pad, "");
    else
        printf("%*s%s", pad, "", text);
}

static void row_print(const struct sheet *sheet, char **cells)
{
    size_t last = sheet->column_count - 1;
    while (last > 0 && !cells[last])
        last--;
    for (size_t c = 0; c <= last; c++) {
        if (c > 0)
            printf("%*s", GAP, "");
        cell_print(&sheet->columns[c], cells[c] ? cells[c] : "", c == last);
    }
    putchar('\n');
}

static void cells_free(char **cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
}

int lap_sql_print_table(sqlite3_stmt *statement)
{
    struct sheet sheet = {.statement = statement, .column_count = (size_t)sqlite3_column_count(statement)};
    sheet.columns = whole(calloc(sheet.column_count + 1, sizeof *sheet.columns));
    sheet.cells = whole(calloc((ROWS_SEEN + 1) * sheet.column_count + 1, sizeof *sheet.cells));
    int code = rows_see(&sheet);
    const bool is_shown = sheet.column_count > 0 && (code == SQLITE_DONE || code == SQLITE_ROW);
    if (is_shown) {
        columns_fit(&sheet);
        fputs(lap_terminal_style(LAP_STYLE_BOLD), stdout);
        row_print(&sheet, sheet.cells);
        fputs(lap_terminal_style(LAP_STYLE_PLAIN), stdout);
    }
    for (size_t r = 1; r < sheet.row_count && is_shown; r++)
        row_print(&sheet, sheet.cells + r * sheet.column_count);
    cells_free(sheet.cells, sheet.row_count * sheet.column_count);
    while (code == SQLITE_ROW && !ferror(stdout) && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (size_t c = 0; c < sheet.column_count; c++)
            sheet.cells[c] = cell_text(statement, (int)c);
        row_print(&sheet, sheet.cells);
        cells_free(sheet.cells, sheet.column_count);
    }
    free(sheet.cells);
    free(sheet.columns);
    return ferror(stdout) ? SQLITE_DONE : code;
}

/* ---- as JSON ------------------------------------------------------------------------------------------------------- */

static void value_print(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: fputs("null", stdout); break;
    case SQLITE_INTEGER: printf("%" PRId64, (int64_t)sqlite3_column_int64(statement, column)); break;
    case SQLITE_FLOAT: lap_json_write_double(stdout, sqlite3_column_double(statement, column)); break;
    case SQLITE_BLOB: {
        char *const text =
            blob_text(sqlite3_column_blob(statement, column), (size_t)sqlite3_column_bytes(statement, column));
        lap_json_write_text(stdout, text);
        free(text);
        break;
    }
    default: lap_json_write_text(stdout, (const char *)sqlite3_column_text(statement, column)); break;
    }
}

int lap_sql_print_json(sqlite3_stmt *statement)
{
    const int columns = sqlite3_column_count(statement);
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return code;
    putchar('[');
    for (bool is_first = true; code == SQLITE_ROW && !ferror(stdout); is_first = false) {
        fputs(is_first ? "\n{" : ",\n{", stdout);
        for (int c = 0; c < columns; c++) {
            const char *const name = sqlite3_column_name(statement, c);
            if (c > 0)
                putchar(',');
            lap_json_write_text(stdout, name ? name : "");
            putchar(':');
            value_print(statement, c);
        }
        putchar('}');
        code = sqlite3_step(statement);
    }
    puts("\n]");
    return ferror(stdout) ? SQLITE_DONE : code;
}
