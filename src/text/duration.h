/* SPDX-License-Identifier: MIT
 *
 * Durations as text, the same in every locale. `out` should have LAP_DURATION_BYTES; results end with 0 and are cut where
 * it has less. Both return the bytes written. Threads: any. No allocation. Warm.
 */
#ifndef LAP_DURATION_H
#define LAP_DURATION_H

#include <stddef.h>

#define LAP_DURATION_BYTES 40

/* Milliseconds with four decimals, more where that would be fewer than three significant digits, never an exponent:
 * "98.3100 ms", "0.0000312 ms". What is not finite or negative is 0. */
size_t lap_duration_ms(char *out, size_t out_bytes, double ns);

/* Three significant digits in the unit that suits: "31.2 ns", "4.10 µs", "99.9 ms", "12.3 s", "4210 s". */
size_t lap_duration_human(char *out, size_t out_bytes, double ns);

#endif
