/* SPDX-License-Identifier: MIT
 *
 * The tables, views and indexes of the format `sqlite`, which `lapmark sql` answers over. doc/man/lapmark-export.1.scd describes them.
 */
#ifndef LAP_SQLITE_SCHEMA_H
#define LAP_SQLITE_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#define LAP_SQLITE_APPLICATION UINT32_C(0x4C61706D) /* "Lapm", in the file's header */
#define LAP_SQLITE_VERSION 1u                       /* likewise; rises when a column changes or goes */

enum lap_sqlite_table_id {
    LAP_SQLITE_PROCESS,
    LAP_SQLITE_THREAD,
    LAP_SQLITE_SITE,
    LAP_SQLITE_SPAN,
    LAP_SQLITE_CALL,
    LAP_SQLITE_SERVE,
    LAP_SQLITE_LINK,
    LAP_SQLITE_PAUSE,
    LAP_SQLITE_LOSS,
    LAP_SQLITE_CLOCK,
    LAP_SQLITE_TABLES
};

struct lap_sqlite_statement {
    const char *name;
    const char *sql;
};
extern const struct lap_sqlite_statement lap_sqlite_tables[LAP_SQLITE_TABLES];
extern const struct lap_sqlite_statement lap_sqlite_views[];
extern const size_t lap_sqlite_views_count;
extern const struct lap_sqlite_statement lap_sqlite_indexes[];
extern const size_t lap_sqlite_indexes_count;

#endif
