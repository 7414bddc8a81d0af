/* SPDX-License-Identifier: MIT
 *
 * Runs of a gate: a command that is run and recorded, or a recording that is there.
 */
#ifndef LAP_GATE_RECORD_H
#define LAP_GATE_RECORD_H

#include "gate_runs.h"

/* Makes a directory for recordings, which are removed one after another; done() removes it. Returns 0, or 2 with the message
 * written. */
int lap_gate_place_make(char **ret_place);
void lap_gate_place_done(char *place);

/* Runs a command by the shell and records it; what it prints on stdout goes nowhere. With `runs` its times are added to the side.
 * Returns 0, or 2 with the message written: also where it fails, records nothing, or is interrupted. */
int lap_gate_record(struct lap_gate_runs *runs, enum lap_gate_side side, const char *command, const char *place);

/* Adds a recording, of one run. Returns 0, or 2 with the message written. */
int lap_gate_read(struct lap_gate_runs *runs, enum lap_gate_side side, char *directory);

#endif
