/* SPDX-License-Identifier: MIT
 *
 * Where the recordings of running processes are. Cold; one thread; out of memory ends the program.
 */
#ifndef LAP_TOP_FIND_H
#define LAP_TOP_FIND_H

/* Called with each directory of a process that is found; what it returns is added up. */
typedef int lap_top_found(void *user, const char *directory);

/* The directory itself, or those in it. Returns the sum, or a negative errno. */
int lap_top_find_directory(const char *directory, lap_top_found *found, void *user);

/* All that lie in this user's places on tmpfs, of whatever state. Returns the sum. */
int lap_top_find_all(lap_top_found *found, void *user);

#endif
