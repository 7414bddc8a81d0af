/* SPDX-License-Identifier: MIT
 *
 * The recordings that a command reads, and what of a process every command prints.
 */
#ifndef LAP_INPUT_H
#define LAP_INPUT_H

#include "json.h"
#include "recording.h"

#include <stdbool.h>
#include <stddef.h>

#define LAP_INPUT_DEFAULT "lapmark-recording"

/* Opens the recordings named, or with none the newest lapmark-recording* of the current directory. A file is a trace of another
 * tool: it is read into a recording first, which is there as long as the command runs, and on stderr is what of it has no
 * counterpart. Returns 0, or 2 with the message written. */
int lap_input_open(struct lap_recording **ret_recording, char **names, int count);
/* That recording of the current directory. Caller frees; NULL: there is none. */
char *lap_input_newest(void);
/* For who opens one after another: nothing of what was read into a recording is left. */
void lap_input_close(struct lap_recording *recording);
/* The reader's warnings that came since `from`, on stderr, the first few of them. Returns how many there are now. */
size_t lap_input_warn(const struct lap_recording *recording, size_t from);

/* Is it a directory that could be a recording? */
bool lap_input_is_directory(const char *name);
/* Or else a trace of another tool? */
bool lap_input_is_recording(const char *name);

/* Members "name", "pid", "program", "host", "command", "state", "clock", "start_time_ns", "duration_ns", "losses". */
json_t *lap_input_process_json(const struct lap_process *process);
#define LAP_INPUT_SNAPSHOT_BYTES 512
/* "snapshot, taken at 14:03:05.250000", and what for. Returns `out`. */
char *lap_input_snapshot_text(char *out, size_t out_bytes, const struct lap_process *process);
/* Its time from start to end. */
double lap_input_span_ns(const struct lap_process *process);
/* Members "id", "index", "name"; null for NULL. */
json_t *lap_input_thread_json(const struct lap_thread *thread);
/* {"signal": 3, ...}: those that are not 0. */
json_t *lap_input_losses_json(const struct lap_process *process);

#endif
