/* SPDX-License-Identifier: MIT
 *
 * What a question gives, as a table or as JSON, row by row: memory does not grow with their number.
 */
#ifndef LAP_SQL_OUTPUT_H
#define LAP_SQL_OUTPUT_H

#include <sqlite3.h>

/* Run the statement to its end; return SQLite's code, SQLITE_DONE where all is well. Write to stdout. */
int lap_sql_print_table(sqlite3_stmt *statement);
int lap_sql_print_json(sqlite3_stmt *statement);

#endif
