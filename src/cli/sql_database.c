/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sql_database.h"

#include "export.h"
#include "message.h"
#include "sql_functions.h"
#include "sqlite_fill.h"
#include "sqlite_index.h"
#include "sqlite_schema.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VALUE_BYTES_MAX (4 << 20) /* so that memory has a bound, whatever a question makes */

/* ---- what may be asked --------------------------------------------------------------------------------------------- */

static bool is_question(const char *pragma)
{
    static const char *const names[] = {"table_info", "table_xinfo", "table_list",    "index_list",
                                        "index_info", "index_xinfo", "function_list", "compile_options"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(pragma, names[i]) == 0)
            return true;
    return false;
}

static int guard(void *user, int action, const char *first, const char *second, const char *database, const char *trigger)
{
    (void)user, (void)database, (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_FUNCTION: return strcasecmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA: return is_question(first) ? SQLITE_OK : SQLITE_DENY;
    /* What SQLite checks where it declares json_each() and its like; it refuses it itself where it is asked for. */
    case SQLITE_UPDATE: return strcmp(first, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    default: return SQLITE_DENY;
    }
}

static void guard_set(sqlite3 *database)
{
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    sqlite3_exec(database, "PRAGMA query_only=ON", NULL, NULL, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_set_authorizer(database, guard, NULL);
}

/* From 1, in characters, as one counts them; 0: SQLite does not say. */
static size_t error_place(sqlite3 *database, const char *sql)
{
#if SQLITE_VERSION_NUMBER >= 3038000
    const int bytes = sqlite3_error_offset(database);
    size_t characters = 1;
    for (int i = 0; i < bytes; i++)
        characters += ((unsigned char)sql[i] & 0xC0) != 0x80;
    return bytes < 0 ? 0 : characters;
#else
    (void)database, (void)sql;
    return 0;
#endif
}

int lap_sql_trouble(sqlite3 *database, const char *sql)
{
    const int code = sqlite3_errcode(database);
    const char *const text = sqlite3_errmsg(database);
    const size_t place = code == SQLITE_ERROR ? error_place(database, sql) : 0;
    const char *const hint = strncmp(text, "no such ", 8) == 0 ? "; see 'lapmark sql --schema'" : "";
    if (code == SQLITE_AUTH)
        return lap_message_trouble("cannot run the SQL: only what reads is allowed: SELECT, WITH, EXPLAIN");
    if (code == SQLITE_TOOBIG)
        return lap_message_trouble(
            "cannot run the SQL: a value, or a row, of more than %d MiB; ask for less at once, or use "
            "'lapmark export --format sqlite'",
            VALUE_BYTES_MAX >> 20);
    if (place != 0)
        return lap_message_trouble("cannot run the SQL: %s, at character %zu%s", text, place, hint);
    return lap_message_trouble("cannot run the SQL: %s%s", text, hint);
}

/* Is there more than space, semicolons and comments? */
static bool is_statement(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    const bool is_empty = sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK && !statement;
    sqlite3_finalize(statement);
    return !is_empty;
}

int lap_sql_prepare(sqlite3_stmt **ret_statement, sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    const char *rest = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, &rest) != SQLITE_OK)
        return lap_sql_trouble(database, sql);
    if (!statement)
        return lap_message_trouble("cannot run the SQL: there is no statement in it");
    if (is_statement(database, rest)) {
        sqlite3_finalize(statement);
        return lap_message_trouble("cannot run the SQL: there is more than one statement in it");
    }
    *ret_statement = statement;
    return 0;
}

/* ---- the schema without rows --------------------------------------------------------------------------------------- */

static int schema_open(sqlite3 **ret_database)
{
    sqlite3 *database = NULL;
    int code = sqlite3_open_v2(":memory:", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    for (size_t i = 0; i < LAP_SQLITE_TABLES && code == SQLITE_OK; i++)
        code = sqlite3_exec(database, lap_sqlite_tables[i].sql, NULL, NULL, NULL);
    for (size_t i = 0; i < lap_sqlite_views_count && code == SQLITE_OK; i++)
        code = sqlite3_exec(database, lap_sqlite_views[i].sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = lap_sqlite_index(database, UINT32_MAX);
    if (code == SQLITE_OK)
        code = lap_sql_functions_add(database);
    if (code != SQLITE_OK) {
        const int status = lap_sql_trouble(database, "");
        sqlite3_close(database);
        return status;
    }
    guard_set(database);
    *ret_database = database;
    return 0;
}

int lap_sql_check(const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    int status = schema_open(&database);
    if (status != 0)
        return status;
    status = lap_sql_prepare(&statement, database, sql);
    if (status == 0)
        sqlite3_finalize(statement);
    sqlite3_close(database);
    return status;
}

/* Those that the plan of this question uses, a bit each; all where there is no plan. */
static uint32_t indexes_of(const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    uint32_t wanted = 0;
    if (schema_open(&database) != 0)
        return UINT32_MAX;
    char *const question = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    if (!question || sqlite3_prepare_v2(database, question, -1, &statement, NULL) != SQLITE_OK)
        wanted = UINT32_MAX;
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        const char *const step = (const char *)sqlite3_column_text(statement, 3);
        for (size_t i = 0; i < lap_sqlite_indexes_count; i++)
            if (step && strstr(step, lap_sqlite_indexes[i].name))
                wanted |= 1u << i;
    }
    sqlite3_finalize(statement);
    sqlite3_free(question);
    sqlite3_close(database);
    return wanted;
}

/* Could the question read a message? A column is read by its name or by a star. */
static bool reads_messages(const char *sql)
{
    if (strcasestr(sql, "message") || strcasestr(sql, "natural"))
        return true;
    for (const char *star = sql; (star = strchr(star, '*')) != NULL; star++) {
        const char *before = star, *after = star + 1;
        while (before > sql && isspace((unsigned char)before[-1]))
            before--;
        while (isspace((unsigned char)*after))
            after++;
        if (before == sql || before[-1] != '(' || *after != ')') /* not count(*) */
            return true;
    }
    return false;
}

/* ---- with rows ----------------------------------------------------------------------------------------------------- */

static void signals_hold(sigset_t *ret_before)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, ret_before);
}

/* Opened by SQLite, too, before it loses its name. */
static int named_open(sqlite3 **ret_database, int *ret_fd, char *name)
{
    *ret_fd = mkostemp(name, O_CLOEXEC);
    if (*ret_fd < 0)
        return lap_message_trouble("cannot make '%s': %s", name, lap_message_reason(errno));
    int status = 0;
    if (sqlite3_open_v2(name, ret_database, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        status = lap_message_trouble("cannot open '%s': %s", name, sqlite3_errmsg(*ret_database));
        sqlite3_close(*ret_database);
        close(*ret_fd);
    }
    unlink(name);
    return status;
}

/* Nothing stays behind, however this ends. */
static int nameless_open(sqlite3 **ret_database, int *ret_fd)
{
    const char *directory = getenv("TMPDIR");
    char *name = NULL;
    sigset_t before;
    if (!directory || !*directory)
        directory = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    if (asprintf(&name, "%s/lapmark-sql-XXXXXX", directory) < 0)
        return lap_message_trouble("cannot make a file: %s", lap_message_reason(ENOMEM));
    signals_hold(&before);
    const int status = named_open(ret_database, ret_fd, name);
    sigprocmask(SIG_SETMASK, &before, NULL);
    free(name);
    return status;
}

int lap_sql_fill(sqlite3 **ret_database, struct lap_recording *recording, const struct lap_timeline *timeline,
                 const char *sql)
{
    sqlite3 *database = NULL;
    int fd = -1;
    int status = nameless_open(&database, &fd);
    if (status != 0)
        return status;
    struct lap_progress progress = {.text = "reading"};
    const struct lap_export export = {.recording = recording,
                                      .timeline = timeline,
                                      .options = {.progress = lap_progress_step, .progress_user = &progress}};
    const int code = lap_sqlite_fill(&export, fd, reads_messages(sql));
    lap_progress_end(&progress);
    if (code < 0)
        status = lap_message_trouble("cannot make the database: %s", lap_message_reason(code));
    else if (lap_sqlite_settle(database) != SQLITE_OK || lap_sqlite_index(database, indexes_of(sql)) != SQLITE_OK ||
             lap_sql_functions_add(database) != SQLITE_OK)
        status = lap_message_trouble("cannot make the database: %s", sqlite3_errmsg(database));
    close(fd);
    if (status != 0) {
        sqlite3_close(database);
        return status;
    }
    guard_set(database);
    *ret_database = database;
    return 0;
}

/* Of our schema, by the file's header. */
static bool is_exported(sqlite3 *database)
{
    static const char *const questions[] = {"PRAGMA application_id", "PRAGMA user_version"};
    const int64_t wanted[] = {LAP_SQLITE_APPLICATION, LAP_SQLITE_VERSION};
    bool is_ours = true;
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *statement = NULL;
        is_ours &= sqlite3_prepare_v2(database, questions[i], -1, &statement, NULL) == SQLITE_OK &&
                   sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int64(statement, 0) == wanted[i];
        sqlite3_finalize(statement);
    }
    return is_ours;
}

int lap_sql_open(sqlite3 **ret_database, const char *file)
{
    sqlite3 *database = NULL;
    int status = 0;
    if (sqlite3_open_v2(file, &database, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        status = lap_message_trouble("cannot open '%s': %s", file, sqlite3_errmsg(database));
    else if (!is_exported(database))
        status =
            lap_message_trouble("cannot open '%s': it is neither a recording nor what 'lapmark export --format sqlite' "
                                "writes",
                                file);
    else if (lap_sql_functions_add(database) != SQLITE_OK)
        status = lap_sql_trouble(database, "");
    if (status != 0) {
        sqlite3_close(database);
        return status;
    }
    guard_set(database);
    *ret_database = database;
    return 0;
}
