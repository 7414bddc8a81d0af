/* SPDX-License-Identifier: MIT
 *
 * Numbers as people read them. Each writes into the buffer that it is given and returns it.
 */
#ifndef LAP_UNITS_H
#define LAP_UNITS_H

#include <stdint.h>

#define LAP_UNITS_BYTES 64

/* "1,234,567" */
char *lap_units_count(char out[LAP_UNITS_BYTES], uint64_t count);
/* "1,234 events", "1 event" */
char *lap_units_counted(char out[LAP_UNITS_BYTES], uint64_t count, const char *singular);
/* "31.2 ns", "12.3 s", from ten minutes on "12 min 3 s" and "3 h 25 min"; "us" where the output takes no UTF-8. */
char *lap_units_duration(char out[LAP_UNITS_BYTES], double ns);
/* "12.3%", "<0.1%"; "" where there is no whole. */
char *lap_units_share(char out[LAP_UNITS_BYTES], double part, double whole);
/* "14:03:05.123456", local time */
char *lap_units_time(char out[LAP_UNITS_BYTES], uint64_t realtime_ns);
/* "2.10 GHz" */
char *lap_units_frequency(char out[LAP_UNITS_BYTES], double hz);
/* "12.3 k/s" */
char *lap_units_rate(char out[LAP_UNITS_BYTES], double a_second);
/* "64.0 MiB" */
char *lap_units_size(char out[LAP_UNITS_BYTES], double bytes);

#endif
