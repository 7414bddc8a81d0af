/* SPDX-License-Identifier: MIT
 *
 * Brings the recording of a process that has ended from shared memory to the disk. DIR/<process> is a link to a directory
 * on tmpfs, or, of a full recording, a directory with links into one: copies take the place of the links, and the
 * directory on tmpfs goes. Segments and metadata are cut to what they hold; pages of zeros become holes.
 *
 * At each moment DIR/<process> is a whole recording. Cold; one thread.
 */
#ifndef LAP_PROCESS_COPY_H
#define LAP_PROCESS_COPY_H

#include <stddef.h>
#include <stdint.h>

struct lap_process_copy {
    char *place;    /* the directory on tmpfs; NULL: DIR/<process> is already whole. Caller frees */
    uint64_t bytes; /* written */
};

/* Where the process's mapped files are. Returns 0 or a negative errno. */
int lap_process_copy_find(struct lap_process_copy *copy, const char *directory, const char *name);

/* Copies. The process must have ended. Returns 0, or a negative errno with everything as it was (of a full recording, some
 * links may be copies already). */
int lap_process_copy_run(struct lap_process_copy *copy, const char *directory, const char *name);

/* What it does it with. Each returns 0 or a negative errno; a file that is shorter is -EIO. */
int lap_file_write_at(int fd, const void *memory, size_t count, uint64_t offset);
int lap_file_read_exactly(int fd, void *buffer, size_t count, uint64_t offset);
/* Removes a directory with files and directories in it, if it is there. */
int lap_directory_remove(int parent, const char *name);

#endif
