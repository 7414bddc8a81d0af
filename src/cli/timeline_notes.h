/* SPDX-License-Identifier: MIT
 *
 * What a reader of times must know where several clocks became one: on stderr, so that a program can read what is printed.
 */
#ifndef LAP_TIMELINE_NOTES_H
#define LAP_TIMELINE_NOTES_H

#include "timeline.h"

void lap_timeline_note(const struct lap_timeline *timeline);

/* Makes the timeline of a recording whose processes read several clocks, and tells of it; else *ret_timeline is NULL. Returns 0, or 2
 * with the message written. */
int lap_timeline_join(struct lap_timeline **ret_timeline, struct lap_recording *recording);

#endif
