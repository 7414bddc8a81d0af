/* SPDX-License-Identifier: MIT */
#include "sqlite_index.h"

#include "sqlite_schema.h"

#include <errno.h>
#include <stdio.h>

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

int lap_sqlite_index_file(const char *file)
{
    sqlite3 *database = NULL;
    int code = sqlite3_open_v2(file, &database, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = lap_sqlite_settle(database);
    if (code == SQLITE_OK)
        code = lap_sqlite_index(database, UINT32_MAX);
    const int closed = sqlite3_close(database);
    return reason(code != SQLITE_OK ? code : closed);
}
