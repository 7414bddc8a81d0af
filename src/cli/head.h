/* SPDX-License-Identifier: MIT
 *
 * The lines above a report's tables, wrapped at the terminal's width. What they say may hold anything: it is made printable.
 */
#ifndef LAP_HEAD_H
#define LAP_HEAD_H

/* A line behind its title, "" for a further one under the same. */
void lap_head_line(const char *title, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A sentence from the first column on. */
void lap_head_sentence(const char *text);

#endif
