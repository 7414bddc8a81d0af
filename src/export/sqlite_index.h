/* SPDX-License-Identifier: MIT
 *
 * The indexes of sqlite_schema.h, by SQLite.
 */
#ifndef LAP_SQLITE_INDEX_H
#define LAP_SQLITE_INDEX_H

#include <sqlite3.h>
#include <stdint.h>

#define LAP_SQLITE_CACHE_KIB 16384

/* Fit for a file that is not needed if this fails: no journal, bounded memory. */
int lap_sqlite_settle(sqlite3 *database);
/* Makes those whose bit is set, by their number in lap_sqlite_indexes. Returns SQLite's code. */
int lap_sqlite_index(sqlite3 *database, uint32_t wanted);

/* All, in a file. `progress` (may be NULL) is told steps, whose count is an estimate. Returns 0 or a negative errno. */
int lap_sqlite_index_file(const char *file, void (*progress)(void *user, uint64_t done, uint64_t total), void *user);

#endif
