/* SPDX-License-Identifier: MIT
 *
 * What `lapmark sql` asks: recordings as a database in a file that has no name, or a file that was exported. It answers questions
 * only: whatever the SQL says, no file is written, and no other opened.
 */
#ifndef LAP_SQL_DATABASE_H
#define LAP_SQL_DATABASE_H

#include "recording.h"
#include "timeline.h"

#include <sqlite3.h>
#include <stddef.h>

/* A question that is right can be asked of the recordings that are then filled in. Each returns 0, or 2 with the message written. */

/* Is `sql` one statement that this schema can answer? Costs nothing before anything is read. */
int lap_sql_check(const char *sql);

/* The recording's, for this question. */
int lap_sql_fill(sqlite3 **ret_database, struct lap_recording *recording, const struct lap_timeline *timeline,
                 const char *sql);
/* An exported file's. */
int lap_sql_open(sqlite3 **ret_database, const char *file);

/* `ret_statement` is to be finalized by the caller. */
int lap_sql_prepare(sqlite3_stmt **ret_statement, sqlite3 *database, const char *sql);
/* Says why the last step failed. Returns 2. */
int lap_sql_trouble(sqlite3 *database, const char *sql);

#endif
