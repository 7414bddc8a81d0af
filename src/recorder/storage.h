/* SPDX-License-Identifier: MIT
 *
 * Where a recording's bytes lie: files of a directory on tmpfs that are mapped, or anonymous memory where nothing is
 * recorded or no tmpfs can be had. A disk file is only ever written, never mapped: its pages would be write-protected at
 * each write-back, and a full disk would turn a store into SIGBUS. For the same reason every byte of a mapped file is
 * reserved before it is touched.
 */
#ifndef LAP_STORAGE_H
#define LAP_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#define LAP_STORAGE_PATH_BYTES 1024
#define LAP_STORAGE_NAME_BYTES 80

enum lap_storage_kind {
    LAP_STORAGE_MEMORY = 0, /* nothing is recorded */
    LAP_STORAGE_TMPFS,      /* mapped files; survives any death of the process */
    LAP_STORAGE_DISK        /* anonymous memory, written out at the end: no tmpfs could be had */
};

struct lap_storage {
    enum lap_storage_kind kind;
    int is_full;      /* every segment is kept, in the disk directory */
    int directory_fd; /* of the mapped files; -1 */
    int disk_fd;      /* of the kept files; -1 */
    char name[LAP_STORAGE_NAME_BYTES];
    char directory[LAP_STORAGE_PATH_BYTES]; /* of the mapped files */
    char disk[LAP_STORAGE_PATH_BYTES];      /* DIR/<process> */
};

enum lap_storage_use {
    LAP_STORAGE_FLIGHT = 0,
    LAP_STORAGE_FULL,
    LAP_STORAGE_SNAPSHOT /* files that are written at once: no tmpfs is looked for */
};
/* Makes DIR and the process's place in it. Returns 0 or a negative errno, with nothing left behind. Cold, not
 * signal-safe. */
int lap_storage_open(struct lap_storage *storage, const char *directory, const char *name, enum lap_storage_use use);
/* Closes what is open; the files stay. */
void lap_storage_done(struct lap_storage *storage);
/* The same, and takes away what a recording that could not be begun has made. */
void lap_storage_discard(struct lap_storage *storage);
/* `path` from the root on: `out` has LAP_STORAGE_PATH_BYTES. 0, or a negative errno with "" in it. */
int lap_storage_absolute(char *out, const char *path);

/* Maps `bytes` zero bytes: of a new file, reserved, or anonymous. At `address` where that is not NULL, in place of what
 * is mapped there; `keep` then says that its content stays. NULL on failure, *ret_error set. The file's name is relative
 * to the directory. */
void *lap_storage_map(const struct lap_storage *storage, const char *name, size_t bytes, void *address, int keep,
                      int *ret_error);
/* What is mapped at `address` becomes memory that nobody else sees, with the same bytes. 0, or a negative errno. */
int lap_storage_to_memory(void *address, size_t bytes);
/* Makes a mapping longer; it may move. NULL on failure. */
void *lap_storage_extend(const struct lap_storage *storage, const char *name, void *old, size_t old_bytes, size_t bytes);
/* Gives a finished file its name. */
int lap_storage_publish(const struct lap_storage *storage, const char *from, const char *to);
/* Full recording: makes a mapped file visible in the disk directory as `link`, until a kept file takes its place. */
void lap_storage_link(const struct lap_storage *storage, const char *name, const char *link);
/* Writes a kept file into the disk directory under `name`, whole or not at all, in place of the link. */
int lap_storage_write(const struct lap_storage *storage, const char *name, const void *bytes, size_t count);
/* The same with a head of its own in the place of the first bytes, which others may be reading as they are. */
int lap_storage_write_headed(const struct lap_storage *storage, const char *name, const void *head, size_t head_bytes,
                             const void *bytes, size_t count);
/* Reads the beginning of a file as text, "" where it cannot be read. Returns its bytes. */
size_t lap_storage_read_text(const char *path, char *out, size_t bytes);
/* The negative of errno, after a call that makes a file longer: where it was the process's limit, its SIGXFSZ, which the guard
 * holds back, is taken back, too. */
int lap_storage_refusal(void);
/* Opens a file for write(2): metadata. A descriptor or a negative errno. */
int lap_storage_create(const struct lap_storage *storage, const char *name, size_t bytes);
/* Gives such a file another name. */
int lap_storage_rename(const struct lap_storage *storage, const char *from, const char *to);
void lap_storage_cut(const struct lap_storage *storage, const char *name, size_t bytes);
void lap_storage_remove(const struct lap_storage *storage, const char *name);

#endif
