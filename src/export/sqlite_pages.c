/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_pages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE LAP_SQLITE_PAGE_BYTES
#define HEADER_BYTES 100u /* before the first page's own */
#define LEAF_START 8u
#define INNER_START 12u
#define INNER_CELL_MAX 13u /* a page's number, an id */
enum { INNER_TABLE = 5, LEAF_TABLE = 13 };
/* SQLite locks files at this offset, and leaves the page there out. */
#define LOCK_PAGE ((1u << 30) / PAGE + 1)

static_assert(LAP_SQLITE_ROW_BYTES + 128 + 18 + 2 + LEAF_START <= PAGE - 35, "a row fits in a page");

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}
static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

void lap_sqlite_begin(struct lap_sqlite_file *file, int fd) { *file = (struct lap_sqlite_file){.fd = fd, .pages = 1}; }

static uint32_t page_take(struct lap_sqlite_file *file)
{
    if (file->pages == UINT32_MAX - 2)
        file->error = -EFBIG;
    if (++file->pages == LOCK_PAGE)
        ++file->pages;
    return file->pages;
}

static void bytes_put(struct lap_sqlite_file *file, uint64_t offset, const uint8_t *bytes, size_t count)
{
    while (count > 0 && file->error == 0) {
        const ssize_t put = pwrite(file->fd, bytes, count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            file->error = -errno;
            return;
        }
        bytes += put;
        offset += (uint64_t)put;
        count -= (size_t)put;
    }
}

static void page_put(struct lap_sqlite_file *file, uint32_t page, const uint8_t *bytes)
{
    bytes_put(file, (uint64_t)(page - 1) * PAGE, bytes, PAGE);
}

/* ---- pages above leaves -------------------------------------------------------------------------------------------- */

static void level_begin(struct lap_sqlite_file *file, struct lap_sqlite_level *level)
{
    memset(level->bytes, 0, PAGE);
    level->bytes[0] = INNER_TABLE;
    level->page = page_take(file);
    level->cells = 0;
    level->content = PAGE;
}

/* The page is whole, its last child being `child`. */
static void level_put(struct lap_sqlite_file *file, struct lap_sqlite_level *level, uint32_t child)
{
    put16(level->bytes + 3, level->cells);
    put16(level->bytes + 5, level->content);
    put32(level->bytes + 8, child);
    page_put(file, level->page, level->bytes);
}

static void cell_add(struct lap_sqlite_level *level)
{
    uint8_t cell[INNER_CELL_MAX];
    put32(cell, level->child);
    const uint32_t bytes = (uint32_t)(lap_sqlite_varint(cell + 4, (uint64_t)level->key) - cell);
    level->content -= bytes;
    memcpy(level->bytes + level->content, cell, bytes);
    put16(level->bytes + INNER_START + 2 * level->cells++, level->content);
}

static bool is_full(const struct lap_sqlite_level *level)
{
    return INNER_START + 2 * (level->cells + 1) + INNER_CELL_MAX > level->content;
}

/* A page ends with a child without a key; the one that is begun has the next, so that no page comes to have a single child. */
static void child_add(struct lap_sqlite_table *table, unsigned above, uint32_t child, int64_t key)
{
    struct lap_sqlite_level *const level = &table->levels[above];
    if (!level->bytes) {
        if (!(level->bytes = malloc(PAGE))) {
            table->file->error = -ENOMEM;
            return;
        }
        level_begin(table->file, level);
    } else if (is_full(level) && above + 1 < LAP_SQLITE_LEVELS) {
        const uint8_t *const last = level->bytes + level->content;
        const uint32_t last_child = (uint32_t)last[0] << 24 | (uint32_t)last[1] << 16 | (uint32_t)last[2] << 8 | last[3];
        int64_t last_key = 0;
        const uint8_t *at = last + 4;
        do /* ids have less than 56 bits */
            last_key = last_key << 7 | (*at & 0x7F);
        while (*at++ & 0x80);
        level->cells--;
        level->content += (uint32_t)(at - last);
        level_put(table->file, level, last_child);
        child_add(table, above + 1, level->page, last_key);
        level_begin(table->file, level);
        cell_add(level);
    } else {
        cell_add(level);
    }
    level->child = child;
    level->key = key;
}

/* ---- leaves -------------------------------------------------------------------------------------------------------- */

static void leaf_begin(struct lap_sqlite_leaf *leaf, uint32_t page, uint32_t start)
{
    memset(leaf->bytes, 0, PAGE);
    leaf->bytes[start] = LEAF_TABLE;
    leaf->page = page;
    leaf->rows = 0;
    leaf->pointers_end = start + LEAF_START;
    leaf->content = PAGE;
}

static void leaf_head(struct lap_sqlite_leaf *leaf, uint32_t start)
{
    put16(leaf->bytes + start + 3, leaf->rows);
    put16(leaf->bytes + start + 5, leaf->content);
}

static void leaf_put(struct lap_sqlite_file *file, struct lap_sqlite_leaf *leaf)
{
    leaf_head(leaf, 0);
    page_put(file, leaf->page, leaf->bytes);
}

/* Returns the offset of the row's body; 0: no room. */
static inline uint32_t leaf_add(struct lap_sqlite_leaf *leaf, int64_t id, struct lap_sqlite_row *row)
{
    uint8_t head[18];
    uint8_t *at = lap_sqlite_varint(head, row->header_bytes + row->body_bytes);
    at = lap_sqlite_varint(at, (uint64_t)id);
    const uint32_t head_bytes = (uint32_t)(at - head), bytes = head_bytes + row->header_bytes + row->body_bytes;
    if (leaf->pointers_end + 2 + bytes > leaf->content)
        return 0;
    leaf->content -= bytes;
    put16(leaf->bytes + leaf->pointers_end, leaf->content);
    leaf->pointers_end += 2;
    leaf->rows++;
    row->header[0] = (uint8_t)row->header_bytes;
    uint8_t *const to = leaf->bytes + leaf->content;
    memcpy(to, head, head_bytes);
    memcpy(to + head_bytes, row->header, row->header_bytes);
    memcpy(to + head_bytes + row->header_bytes, row->body, row->body_bytes);
    return leaf->content + head_bytes + row->header_bytes;
}

static struct lap_sqlite_leaf *leaf_next(struct lap_sqlite_table *table)
{
    if (table->leaves > 0)
        child_add(table, 0, table->leaf[(table->leaves - 1) % LAP_SQLITE_LEAVES]->page, table->last_id);
    struct lap_sqlite_leaf **const slot = &table->leaf[table->leaves % LAP_SQLITE_LEAVES];
    if (*slot)
        leaf_put(table->file, *slot);
    else if (!(*slot = malloc(sizeof **slot))) {
        table->file->error = -ENOMEM;
        return NULL;
    }
    leaf_begin(*slot, page_take(table->file), 0);
    table->leaves++;
    return *slot;
}

struct lap_sqlite_place lap_sqlite_append(struct lap_sqlite_table *table, int64_t id, struct lap_sqlite_row *row)
{
    struct lap_sqlite_leaf *leaf = table->leaves > 0 ? table->leaf[(table->leaves - 1) % LAP_SQLITE_LEAVES] : NULL;
    if (__builtin_expect(table->file->error != 0, 0))
        return (struct lap_sqlite_place){0};
    uint32_t offset = leaf ? leaf_add(leaf, id, row) : 0;
    if (offset == 0) {
        if (!(leaf = leaf_next(table)))
            return (struct lap_sqlite_place){0};
        offset = leaf_add(leaf, id, row);
    }
    table->last_id = id;
    return (struct lap_sqlite_place){.leaf = table->leaves - 1, .page = leaf->page, .offset = offset};
}

void lap_sqlite_change(struct lap_sqlite_table *table, struct lap_sqlite_place place, uint32_t at, const void *bytes,
                       uint32_t count)
{
    if (place.page == 0)
        return;
    if (table->leaves - place.leaf <= LAP_SQLITE_LEAVES)
        memcpy(table->leaf[place.leaf % LAP_SQLITE_LEAVES]->bytes + place.offset + at, bytes, count);
    else
        bytes_put(table->file, (uint64_t)(place.page - 1) * PAGE + place.offset + at, bytes, count);
}

uint32_t lap_sqlite_table_end(struct lap_sqlite_table *table)
{
    struct lap_sqlite_file *const file = table->file;
    if (table->leaves == 0 && file->error == 0)
        leaf_next(table);
    if (file->error != 0)
        return 0;
    for (unsigned i = 0; i < LAP_SQLITE_LEAVES; i++)
        if (table->leaf[i])
            leaf_put(file, table->leaf[i]);
    uint32_t page = table->leaf[(table->leaves - 1) % LAP_SQLITE_LEAVES]->page;
    int64_t key = table->last_id;
    for (unsigned above = 0; above < LAP_SQLITE_LEVELS && table->levels[above].bytes && file->error == 0; above++) {
        struct lap_sqlite_level *const level = &table->levels[above];
        child_add(table, above, page, key);
        level_put(file, level, level->child);
        page = level->page;
        key = level->key;
    }
    return page;
}

void lap_sqlite_table_done(struct lap_sqlite_table *table)
{
    for (unsigned i = 0; i < LAP_SQLITE_LEAVES; i++)
        free(table->leaf[i]);
    for (unsigned i = 0; i < LAP_SQLITE_LEVELS; i++)
        free(table->levels[i].bytes);
}

/* ---- the first page ------------------------------------------------------------------------------------------------ */

static void header_make(uint8_t *at, uint32_t pages, uint32_t application, uint32_t version)
{
    memcpy(at, "SQLite format 3", 16);
    put16(at + 16, PAGE);
    at[18] = at[19] = 1; /* no write-ahead log */
    at[21] = 64;         /* fixed shares of pages */
    at[22] = at[23] = 32;
    put32(at + 24, 1); /* counts changes */
    put32(at + 28, pages);
    put32(at + 40, 1); /* counts changes of the schema */
    put32(at + 44, 4); /* its format */
    put32(at + 56, 1); /* UTF-8 */
    put32(at + 60, version);
    put32(at + 68, application);
    put32(at + 92, 1);       /* the count of changes at which the next one was right */
    put32(at + 96, 3040001); /* of SQLite, which it is written as if by */
}

int lap_sqlite_end(struct lap_sqlite_file *file, const struct lap_sqlite_item *items, size_t count, uint32_t application,
                   uint32_t version)
{
    struct lap_sqlite_row *const row = malloc(sizeof *row);
    struct lap_sqlite_leaf *const leaf = malloc(sizeof *leaf);
    if (!row || !leaf)
        file->error = file->error ? file->error : -ENOMEM;
    if (file->error == 0)
        leaf_begin(leaf, 1, HEADER_BYTES);
    for (size_t i = 0; i < count && file->error == 0; i++) {
        lap_row_begin(row);
        lap_row_string(row, items[i].type);
        lap_row_string(row, items[i].name);
        lap_row_string(row, items[i].name);
        lap_row_int(row, items[i].page);
        lap_row_string(row, items[i].sql);
        if (leaf_add(leaf, (int64_t)i + 1, row) == 0)
            file->error = -E2BIG;
    }
    if (file->error == 0) {
        leaf_head(leaf, HEADER_BYTES);
        header_make(leaf->bytes, file->pages, application, version);
        page_put(file, 1, leaf->bytes);
    }
    free(row);
    free(leaf);
    return file->error;
}
