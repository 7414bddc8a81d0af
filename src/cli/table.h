/* SPDX-License-Identifier: MIT
 *
 * A table that fits the terminal: where it is too wide, columns go, the least important first, then the first column is
 * shortened. Cold; one thread; out of memory ends the program.
 */
#ifndef LAP_TABLE_H
#define LAP_TABLE_H

#include "terminal.h"

#include <stddef.h>
#include <stdio.h>

struct lap_table_column {
    const char *title;
    unsigned importance; /* the least goes first; the first column never goes */
    bool is_left;        /* aligned; numbers are to the right */
};

struct lap_table;

/* `columns` must outlive the table. */
struct lap_table *lap_table_make(const struct lap_table_column *columns, size_t count);
void lap_table_free(struct lap_table *table);

/* Where the first column is shortened, its texts keep their ends, as paths should that begin alike. */
void lap_table_keep_ends(struct lap_table *table);

/* A row, whose cells are then set from left to right; copied. NULL is an empty cell. */
void lap_table_row(struct lap_table *table, enum lap_style style);
void lap_table_cell(struct lap_table *table, const char *text);
void lap_table_cell_styled(struct lap_table *table, enum lap_style style, const char *text);

/* A line below the last row, as wide as the table may be: its columns do not count it. Copied. */
void lap_table_note(struct lap_table *table, const char *text);

void lap_table_print(const struct lap_table *table, FILE *out, unsigned columns);

#endif
