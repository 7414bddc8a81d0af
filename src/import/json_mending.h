/* SPDX-License-Identifier: MIT
 *
 * JSON that other tools write, and jansson takes for none: one such place in one event's arguments is not to cost the trace.
 */
#ifndef LAP_JSON_MENDING_H
#define LAP_JSON_MENDING_H

#include <stddef.h>

/* A value nested deeper than that is left out; jansson reads 2,048. */
#define LAP_JSON_DEPTH 1000u

/* In place and without a change of length, so that offsets hold: numbers that are no finite double (NaN, Infinity, 1e999) and values that
 * are nested too deep become empty texts; half a surrogate pair, and the character 0, become U+FFFD. bytes[count] must be 0. */
void lap_json_mend(char *bytes, size_t count);

#endif
