/* SPDX-License-Identifier: MIT
 *
 * Files that are gone when the program has ended, be it by a signal. One list for the program. Threads: one at a time.
 */
#ifndef LAP_TEMPORARY_FILES_H
#define LAP_TEMPORARY_FILES_H

#include <stddef.h>

/* A new directory under TMPDIR or /tmp. 0 or a negative errno; caller frees *ret_path, which is where it failed, too. */
int lap_temporary_place(char **ret_path);
int lap_temporary_directory(const char *path);
int lap_temporary_file(const char *path, const void *bytes, size_t count);
/* A new one at `path`, which ends in XXXXXX, for reading and writing. Returns a descriptor or a negative errno. It is ended by one of
 * the two below: as one that stays, or gone. */
int lap_temporary_make(char *path);
int lap_temporary_rename(const char *path, const char *to); /* 0 or a negative errno: it is one still */
void lap_temporary_unlink(const char *path);
/* Removes all that there are. */
void lap_temporary_remove(void);

#endif
