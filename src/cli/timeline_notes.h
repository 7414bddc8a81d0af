/* SPDX-License-Identifier: MIT
 *
 * What a reader of times must know where several clocks became one: on stderr, so that a program can read what is printed.
 */
#ifndef LAP_TIMELINE_NOTES_H
#define LAP_TIMELINE_NOTES_H

#include "timeline.h"

void lap_timeline_note(const struct lap_timeline *timeline);

#endif
