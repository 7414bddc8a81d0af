/* SPDX-License-Identifier: MIT
 *
 * JSON piece by piece: the next value of a file is found by its brackets and quotes, and given to jansson alone, so that memory
 * is for one value and not for the document.
 */
#ifndef LAP_JSON_VALUES_H
#define LAP_JSON_VALUES_H

#include "foreign_file.h"

#include <jansson.h>

enum lap_json_found {
    LAP_JSON_FOUND = 1,
    LAP_JSON_CUT = 0,  /* the file ends before it does */
    LAP_JSON_BAD = -1, /* it cannot be read: error tells */
};

/* A number as it stands in the text: a double does not hold the nanoseconds of a time since 1970. */
struct lap_json_number {
    const char *text; /* NULL: it is not there, or is no number */
    size_t bytes;
};

struct lap_json_value {
    json_t *json; /* caller releases */
    struct lap_json_number ts, dur;
};

/* Passes over blanks. The next byte, which is not passed, or -1: the file ends. */
int lap_json_peek(struct lap_foreign_file *file);
/* Reads the next value. The numbers' texts hold until the file is read again. */
enum lap_json_found lap_json_next(struct lap_foreign_file *file, struct lap_json_value *ret_value,
                                  struct lap_reader_error *error);
/* Passes over the next value without looking into it. */
enum lap_json_found lap_json_pass(struct lap_foreign_file *file, struct lap_reader_error *error);

#endif
