/* SPDX-License-Identifier: MIT
 *
 * Numbers for the handles of a process: slots that are used one after another, each time with a greater generation. And the
 * events that they are stored as.
 */
#ifndef LAP_FOREIGN_HANDLES_H
#define LAP_FOREIGN_HANDLES_H

#include "foreign_layout.h"

/* Fills handles[].number and stored[]. Who finds no slot free is counted as left out. 0 or -ENOMEM. */
int lap_foreign_handles_number(struct lap_foreign_layout *layout);

#endif
