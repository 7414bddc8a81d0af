/* SPDX-License-Identifier: MIT
 *
 * A recording's spans as rows of the tables of sqlite_schema.h, without their indexes: the format `sqlite`, and what `lapmark sql` asks.
 */
#ifndef LAP_SQLITE_FILL_H
#define LAP_SQLITE_FILL_H

#include "export.h"

#include <stdbool.h>

/* `fd`: of an empty file; not closed. Without `wants_messages` the column has none. Returns 0 or a negative errno. */
int lap_sqlite_fill(const struct lap_export *export, int fd, bool wants_messages);

#endif
