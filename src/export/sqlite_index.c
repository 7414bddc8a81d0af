/* SPDX-License-Identifier: MIT */
#include "sqlite_index.h"

#include "sqlite_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int lap_sqlite_settle(sqlite3 *database)
{
    char statements[200];
    snprintf(statements, sizeof statements,
             "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-%d",
             LAP_SQLITE_CACHE_KIB);
    return sqlite3_exec(database, statements, NULL, NULL, NULL);
}

int lap_sqlite_index(sqlite3 *database, uint32_t wanted)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < lap_sqlite_indexes_count && code == SQLITE_OK; i++)
        if (wanted & 1u << i)
            code = sqlite3_exec(database, lap_sqlite_indexes[i].sql, NULL, NULL, NULL);
    return code;
}

/* ---- how far it is --------------------------------------------------------------------------------------------- */

#define STEPS_OF_ROW 10 /* of SQLite's machine, when an index is made */
#define STEPS_EACH 100000

struct counting {
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    uint64_t done, total;
};

static int see_steps(void *user)
{
    struct counting *const counting = user;
    const uint64_t left = counting->total - counting->done;
    counting->done += left < STEPS_EACH ? left : STEPS_EACH;
    if (counting->total > 0)
        counting->progress(counting->user, counting->done, counting->total);
    return 0;
}

static int see_rows(void *user, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    ((struct counting *)user)->total += STEPS_OF_ROW * (values[0] ? strtoull(values[0], NULL, 10) : 0);
    return 0;
}

/* Ids count rows. */
static int steps_count(sqlite3 *database, struct counting *counting)
{
    const int code = sqlite3_exec(database,
                                  "SELECT max(id) FROM span; SELECT max(id) FROM call; SELECT max(id) FROM serve; "
                                  "SELECT max(id) FROM link",
                                  see_rows, counting, NULL);
    sqlite3_progress_handler(database, STEPS_EACH, see_steps, counting);
    return code;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static int reason(int code)
{
    switch (code) {
    case SQLITE_OK: return 0;
    case SQLITE_NOMEM: return -ENOMEM;
    case SQLITE_FULL: return -ENOSPC;
    case SQLITE_CANTOPEN: return -EACCES;
    default: return -EIO;
    }
}

int lap_sqlite_index_file(const char *file, void (*progress)(void *user, uint64_t done, uint64_t total), void *user)
{
    struct counting counting = {.progress = progress, .user = user};
    sqlite3 *database = NULL;
    int code = sqlite3_open_v2(file, &database, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = lap_sqlite_settle(database);
    if (code == SQLITE_OK && progress)
        code = steps_count(database, &counting);
    if (code == SQLITE_OK)
        code = lap_sqlite_index(database, UINT32_MAX);
    const int closed = sqlite3_close(database);
    return reason(code != SQLITE_OK ? code : closed);
}
