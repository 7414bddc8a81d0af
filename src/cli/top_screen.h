/* SPDX-License-Identifier: MIT
 *
 * The screen of `lapmark top`: its keys and its drawing, by ncurses. Where the command is built without it there is none.
 */
#ifndef LAP_TOP_SCREEN_H
#define LAP_TOP_SCREEN_H

#include "top_watch.h"

#include <stdint.h>

/* Shows it until the user quits, or for `count` intervals (0: any number). The terminal is as it was when it returns, or when
 * a signal ends the program. Returns the exit status. */
int lap_top_screen_run(struct lap_top_watch *watch, uint64_t interval_ns, uint64_t count);

#endif
