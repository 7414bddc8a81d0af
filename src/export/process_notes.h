/* SPDX-License-Identifier: MIT
 *
 * What a reader should know of a process beside its name, in a few words: where it ran, how it ended, what is lost, how well its times
 * are known.
 */
#ifndef LAP_PROCESS_NOTES_H
#define LAP_PROCESS_NOTES_H

#include "export.h"

#define LAP_PROCESS_NOTES_BYTES 512u

/* "" where there is nothing to say; else parts with ", " between them, escaped as spans' texts are. Returns the bytes. */
size_t lap_process_notes(char out[LAP_PROCESS_NOTES_BYTES], const struct lap_export *export,
                         const struct lap_process *process);

/* When the first of its processes began, or a scope that was open then: of formats whose times are relative. Reads the begin of each
 * ring. */
uint64_t lap_recording_start_ns(const struct lap_recording *recording);

#endif
