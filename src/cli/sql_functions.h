/* SPDX-License-Identifier: MIT
 *
 * Functions that SQLite lacks, for `lapmark sql`: percentile(x, p) with p from 0 to 100, median(x), p50(x), p90(x), p95(x), p99(x),
 * p999(x). Exact, between two numbers in proportion; NULL is left out. Memory: 8 bytes for each number of a group.
 */
#ifndef LAP_SQL_FUNCTIONS_H
#define LAP_SQL_FUNCTIONS_H

#include <sqlite3.h>

/* Returns SQLite's code. */
int lap_sql_functions_add(sqlite3 *database);

#endif
