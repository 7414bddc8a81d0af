/* SPDX-License-Identifier: MIT
 *
 * --html FILE: what --json prints as a page for a browser, in one file that loads nothing. The page itself is in src/page/.
 */
#ifndef LAP_PAGE_H
#define LAP_PAGE_H

#include "json.h"
#include "options.h"

/* Returns 0, or 2 with the message written: a page is asked for, and this command was built without, or it would take the place of what is
 * read. */
int lap_page_check(const struct lap_arguments *arguments);

/* Writes it under its name when it is complete, and says so. Takes `value` over. Returns 0, or 2 with the message written. */
int lap_page_write(const struct lap_arguments *arguments, json_t *value);

#endif
