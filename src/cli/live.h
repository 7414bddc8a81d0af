/* SPDX-License-Identifier: MIT
 *
 * The running processes that a command is about: one by its number, or those of a recording.
 */
#ifndef LAP_LIVE_H
#define LAP_LIVE_H

#include "recording.h"

/* Opens the recording of process `operand` (a number), or the one in directory `operand`, of which at least one process
 * must be running. Returns 0, or 2 with the message written. Reads what all of it holds: up to 0.1 s; the processes are
 * neither stopped nor told. */
int lap_live_open(struct lap_recording **ret_recording, const char *operand);

/* The same processes by the directories of their mapped files, whose names end with a NULL: caller frees both. Of a process's
 * number nothing is read. */
int lap_live_places(char ***ret_places, const char *operand);

#endif
