/* SPDX-License-Identifier: MIT
 *
 * Writes a new SQLite database (sqlite.org/fileformat2.html): rows are appended to tables in the order of their ids, each to its
 * table's last page, several tables in turn; what SQLite itself would do anew for each row (a statement, a search, a change of
 * a page) is left out, which is ten times as fast. Indexes are SQLite's own work, afterwards. Memory: a megabyte for each table. One thread.
 */
#ifndef LAP_SQLITE_PAGES_H
#define LAP_SQLITE_PAGES_H

#include "sqlite_row.h"

#include <stdint.h>

#define LAP_SQLITE_PAGE_BYTES 16384u
#define LAP_SQLITE_LEVELS 6  /* of pages above the leaves; 2^32 pages are fewer */
#define LAP_SQLITE_LEAVES 64 /* of a table, whose rows can be changed in memory */

struct lap_sqlite_file {
    int fd;
    int error;      /* 0 or a negative errno: what comes after it is dropped */
    uint32_t pages; /* taken */
};

struct lap_sqlite_leaf {
    uint32_t page;
    uint32_t rows;
    uint32_t pointers_end; /* offsets of rows grow from the page's start, rows from its end */
    uint32_t content;
    uint8_t bytes[LAP_SQLITE_PAGE_BYTES];
};

/* Of the pages above leaves, the newest one of a level; its last child has no cell yet. */
struct lap_sqlite_level {
    uint8_t *bytes;
    uint32_t page;
    uint32_t cells, content;
    uint32_t child;
    int64_t key; /* the child's greatest id */
};

struct lap_sqlite_table {
    struct lap_sqlite_file *file;
    uint64_t leaves; /* begun */
    struct lap_sqlite_leaf *leaf[LAP_SQLITE_LEAVES];
    int64_t last_id;
    struct lap_sqlite_level levels[LAP_SQLITE_LEVELS];
};

/* Where a row's values are, until lap_sqlite_table_end(). */
struct lap_sqlite_place {
    uint64_t leaf;
    uint32_t page, offset;
};

/* `fd`: of an empty file, not taken over. */
void lap_sqlite_begin(struct lap_sqlite_file *file, int fd);

/* `id` is greater than those before. The row is not longer than LAP_SQLITE_ROW_BYTES. */
struct lap_sqlite_place lap_sqlite_append(struct lap_sqlite_table *table, int64_t id, struct lap_sqlite_row *row);
/* Writes over a part of a row's body. */
void lap_sqlite_change(struct lap_sqlite_table *table, struct lap_sqlite_place place, uint32_t at, const void *bytes,
                       uint32_t count);
/* Returns the page that its CREATE statement is stored with. */
uint32_t lap_sqlite_table_end(struct lap_sqlite_table *table);
/* Frees what a table holds, ended or not. */
void lap_sqlite_table_done(struct lap_sqlite_table *table);

/* What the first page lists. */
struct lap_sqlite_item {
    const char *type; /* "table", "view" */
    const char *name;
    const char *sql;
    uint32_t page; /* of a table */
};
/* The last of all. Returns 0 or a negative errno; -E2BIG: the statements are longer than a page. */
int lap_sqlite_end(struct lap_sqlite_file *file, const struct lap_sqlite_item *items, size_t count, uint32_t application,
                   uint32_t version);

#endif
