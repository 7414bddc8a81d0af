/* SPDX-License-Identifier: MIT
 *
 * JSON by jansson, with what all of our output has in common: text that may be no UTF-8, times, one number format. Out of
 * memory ends the program. Cold, but for the two line functions.
 */
#ifndef LAP_JSON_H
#define LAP_JSON_H

#include "percentiles.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct lap_out;

#define LAP_JSON_VERSION 1 /* of every schema; rises when a member changes or goes, not when one is added */

/* Bytes that are no UTF-8 become U+FFFD. NULL is null. */
json_t *lap_json_text(const char *text);
/* Nanoseconds with at most three decimals. */
json_t *lap_json_ns(double ns);
json_t *lap_json_count(uint64_t count);

/* The pairs of a percentile and its nanoseconds that so many instances tell apart. */
json_t *lap_json_percentiles(const struct lap_percentiles *percentiles, double count);

/* Take `value` over. */
void lap_json_set(json_t *object, const char *key, json_t *value);
void lap_json_append(json_t *array, json_t *value);

/* Writes it with a newline and frees it: over several lines, or in one. */
void lap_json_print(json_t *value, FILE *out);
void lap_json_print_line(json_t *value, FILE *out);
/* The same value in one line that may stand in an HTML script element, whatever its texts are: ASCII, and no "<". */
void lap_json_print_html(json_t *value, struct lap_out *out);

/* A string with its quotes, as jansson would write it; for lines that are written piece by piece. Warm. */
void lap_json_write_text(FILE *out, const char *text);
/* A double that reads back the same; what JSON has no number for is "nan", "inf" or "-inf". */
void lap_json_write_double(FILE *out, double value);

#endif
