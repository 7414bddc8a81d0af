/* SPDX-License-Identifier: MIT
 *
 * Microseconds as traces have them, with a fraction, as nanoseconds.
 */
#ifndef LAP_FOREIGN_TIMES_H
#define LAP_FOREIGN_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a decimal number without an exponent: rounded to the nearest nanosecond. False: it is none, or too large. */
bool lap_foreign_us_parse(const char *text, size_t bytes, int64_t *ret_ns);
/* Of a double. What is too large comes out as beyond LAP_FOREIGN_NS_MAX. */
bool lap_foreign_us_round(double us, int64_t *ret_ns);

#endif
