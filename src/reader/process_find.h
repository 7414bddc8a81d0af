/* SPDX-License-Identifier: MIT
 *
 * From the number of a running process to its recording.
 */
#ifndef LAP_PROCESS_FIND_H
#define LAP_PROCESS_FIND_H

#include <stdint.h>

/* The directory on tmpfs of the recording that a process is writing, by what it has mapped. Returns 0 with it (caller
 * frees), or a negative errno: -ESRCH there is no such process, -EACCES it is another user's or may not be looked into,
 * -ENOENT it records nothing, -ENOPKG neither and liblapmark is not in it, -ENOMEM. Reads /proc/PID/maps: cold. */
int lap_process_find(uint64_t pid, char **ret_directory);

#endif
