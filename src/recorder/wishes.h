/* SPDX-License-Identifier: MIT
 *
 * What peers wish of this process: by opt-in, and only so many a second, whatever they send.
 */
#ifndef LAP_WISHES_H
#define LAP_WISHES_H

#include <stdint.h>

#define LAP_WISHES_A_SECOND 10u /* and as many at once */

/* Is this (enum lap_accept) something that peers may wish for? */
int lap_wishes_are_accepted(uint32_t what);
/* One more is granted: 1, or 0, counted: there were too many. Any thread; no lock. */
int lap_wish_grant(uint64_t now_ticks);

/* A threshold as requests have it: log2 of microseconds, 8 bits before the point and 8 behind it; 0: none. */
uint16_t lap_wish_pack_threshold(double ms);
double lap_wish_unpack_threshold_ms(uint16_t packed);

#endif
