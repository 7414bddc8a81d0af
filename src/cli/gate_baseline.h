/* SPDX-License-Identifier: MIT
 *
 * A baseline: runs that are kept in a file which can be committed. Text; a line that begins with '#' says something.
 *
 *   lapmark baseline 1                                   the format
 *   machine <TAB> name <TAB> value                       what must be the same
 *   run <TAB> number <TAB> kind <TAB> count <TAB> mean_ns <TAB> p50_ns <TAB> p99_ns <TAB> label ...
 *
 * one of the last for each run and node, the labels from the root on. In them "\t", "\n", "\r" and "\\" are written so.
 */
#ifndef LAP_GATE_BASELINE_H
#define LAP_GATE_BASELINE_H

#include "gate_runs.h"

/* Both return 0, or 2 with the message written. */
int lap_gate_baseline_write(const struct lap_gate_runs *runs, enum lap_gate_side side, const char *file);
/* Also refuses one of another machine. */
int lap_gate_baseline_read(struct lap_gate_runs *runs, enum lap_gate_side side, const char *file);

#endif
