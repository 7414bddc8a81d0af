/* SPDX-License-Identifier: MIT
 *
 * Tables that are written page by page, read by SQLite: every kind of value, every count of rows at which a page more is needed, levels
 * of pages, changes behind the window, the page that SQLite leaves out.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef LAPMARK_HAS_SQLITE

#include "sqlite_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char name[] = "/var/tmp/lapmark-test-XXXXXX";
static struct lap_sqlite_file file;
static struct lap_sqlite_table table;
static struct lap_sqlite_row row;

static void begin(void)
{
    memcpy(name + strlen(name) - 6, "XXXXXX", 6);
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    lap_sqlite_begin(&file, fd);
    table = (struct lap_sqlite_table){.file = &file};
}

static sqlite3 *end(const char *sql)
{
    sqlite3 *database;
    const struct lap_sqlite_item item = {"table", "t", sql, lap_sqlite_table_end(&table)};
    lap_sqlite_table_done(&table);
    assert_int_equal(lap_sqlite_end(&file, &item, 1, 1, 1), 0);
    close(file.fd);
    assert_int_equal(sqlite3_open(name, &database), SQLITE_OK);
    return database;
}

static void finish(sqlite3 *database)
{
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
    unlink(name);
}

/* Of the first row; to be freed by sqlite3_free(). */
static char *ask(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(database));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *const text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

static void expect(sqlite3 *database, const char *sql, const char *wanted)
{
    char *const got = ask(database, sql);
    assert_string_equal(got, wanted);
    sqlite3_free(got);
}

static void expect_count(sqlite3 *database, const char *sql, int64_t wanted)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, wanted);
    expect(database, sql, text);
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    (void)state;
    int64_t numbers[400];
    size_t count = 0;
    for (int bit = 0; bit < 63; bit++)
        for (int64_t by = -1; by <= 1; by++) {
            numbers[count++] = (INT64_C(1) << bit) + by;
            numbers[count++] = -(INT64_C(1) << bit) + by;
        }
    numbers[count++] = INT64_MAX;
    numbers[count++] = INT64_MIN;
    begin();
    for (size_t i = 0; i < count; i++) {
        lap_row_begin(&row);
        lap_row_null(&row);
        lap_row_int(&row, numbers[i]);
        lap_row_int64(&row, numbers[i]);
        lap_sqlite_append(&table, (int64_t)i + 1, &row);
    }
    sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)");
    expect(database, "PRAGMA integrity_check", "ok");
    expect_count(database, "SELECT count(*) FROM t WHERE a = b AND typeof(a) = 'integer'", (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT a FROM t WHERE id = %zu", i + 1);
        expect_count(database, sql, numbers[i]);
    }
    finish(database);
}

/* Ids of all lengths that a varint has below 2^56, and texts around those of its type's. */
static void test_ids_and_texts(void **state)
{
    (void)state;
    static char text[LAP_SQLITE_TEXT_BYTES + 10];
    memset(text, 'x', sizeof text);
    memcpy(text + LAP_SQLITE_TEXT_BYTES - 1, "\xc3\xa9", 2); /* a cut would be within it */
    begin();
    static const size_t lengths[] = {0, 1, 56, 57, 58, 59, 127, 128, 4096, LAP_SQLITE_TEXT_BYTES - 1, sizeof text};
    int64_t id = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        id = (INT64_C(1) << (5 * i)) + (int64_t)i;
        lap_row_begin(&row);
        lap_row_null(&row);
        lap_row_text(&row, text, lengths[i]);
        lap_row_real(&row, 0.25);
        lap_row_string(&row, i % 2 ? "odd" : NULL);
        lap_sqlite_append(&table, id, &row);
    }
    sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL, c TEXT)");
    expect(database, "PRAGMA integrity_check", "ok");
    expect(database, "SELECT group_concat(length(a)) FROM t", "0,1,56,57,58,59,127,128,4096,4999,4999");
    expect_count(database, "SELECT max(id) FROM t", id);
    expect(database, "SELECT count(c) || ' ' || sum(b) FROM t", "5 2.75");
    finish(database);
}

/* ---- pages --------------------------------------------------------------------------------------------------------- */

/* Rows that are wide, so that few are enough. */
static void rows_add(int64_t from, int64_t count, size_t text_bytes)
{
    static const char text[LAP_SQLITE_TEXT_BYTES];
    for (int64_t id = from; id < from + count; id++) {
        lap_row_begin(&row);
        lap_row_null(&row);
        lap_row_int64(&row, 3 * id);
        lap_row_text(&row, text, text_bytes);
        lap_sqlite_append(&table, id, &row);
    }
}

static void test_every_count(void **state)
{
    (void)state;
    for (int64_t count = 0; count < 40; count++) {
        begin();
        rows_add(1, count, 4000); /* four a page */
        sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)");
        expect(database, "PRAGMA integrity_check", "ok");
        expect_count(database, "SELECT count(*) FROM t WHERE a = 3 * id", count);
        finish(database);
    }
}

static void leaf_fill(int64_t leaf) { rows_add(leaf << 20, 3, LAP_SQLITE_TEXT_BYTES); }

/* Around the count of leaves at which the page above them is full. */
static void test_levels(void **state)
{
    (void)state;
    int64_t full = 0;
    begin();
    while (!table.levels[1].bytes)
        leaf_fill(++full);
    finish(end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)"));
    for (int64_t leaves = full - 3; leaves < full + 4; leaves++) {
        begin();
        for (int64_t leaf = 1; leaf <= leaves; leaf++)
            leaf_fill(leaf);
        sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)");
        expect(database, "PRAGMA integrity_check", "ok");
        expect_count(database, "SELECT count(*) FROM t WHERE a = 3 * id", 3 * leaves);
        for (int64_t leaf = 1; leaf <= leaves; leaf += 97) {
            char sql[100];
            snprintf(sql, sizeof sql, "SELECT a FROM t WHERE id = %" PRId64, leaf << 20);
            expect_count(database, sql, 3 * (leaf << 20));
        }
        finish(database);
    }
}

static void test_changes(void **state)
{
    (void)state;
    struct lap_sqlite_place places[5000];
    begin();
    for (int64_t id = 0; id < 5000; id++) {
        lap_row_begin(&row);
        lap_row_null(&row);
        lap_row_int64(&row, 0);
        lap_row_text(&row, (char[1000]){0}, 1000);
        places[id] = lap_sqlite_append(&table, id + 1, &row);
    }
    for (int64_t id = 0; id < 5000; id++) {
        const uint64_t value = lap_row_swapped((uint64_t)id);
        lap_sqlite_change(&table, places[id], 0, &value, sizeof value);
    }
    sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)");
    expect(database, "PRAGMA integrity_check", "ok");
    expect_count(database, "SELECT count(*) FROM t WHERE a = id - 1", 5000);
    finish(database);
}

/* The page at 2^30 is SQLite's own. The file has a hole before it. */
static void test_page_left_out(void **state)
{
    (void)state;
    begin();
    file.pages = (1u << 30) / LAP_SQLITE_PAGE_BYTES - 5;
    rows_add(1, 100, 4000);
    sqlite3 *const database = end("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)");
    expect_count(database, "SELECT count(*) FROM t WHERE a = 3 * id AND length(CAST(b AS BLOB)) = 4000", 100);
    char *const check = ask(database, "PRAGMA integrity_check(1000000)");
    assert_null(strstr(check, "65537"));
    sqlite3_free(check);
    finish(database);
}

static void test_errors_are_kept(void **state)
{
    (void)state;
    begin();
    const int fd = file.fd;
    file.fd = open(name, O_RDONLY);
    rows_add(1, 1000, 4000);
    lap_sqlite_table_end(&table);
    lap_sqlite_table_done(&table);
    assert_int_equal(lap_sqlite_end(&file, NULL, 0, 1, 1), -EBADF);
    close(file.fd);
    close(fd);
    unlink(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_ids_and_texts),
        cmocka_unit_test(test_every_count),     cmocka_unit_test(test_levels),
        cmocka_unit_test(test_changes),         cmocka_unit_test(test_page_left_out),
        cmocka_unit_test(test_errors_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) { return 77; }

#endif
