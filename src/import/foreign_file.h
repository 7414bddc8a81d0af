/* SPDX-License-Identifier: MIT
 *
 * The bytes of a trace's file, from its start to its end through a window, unpacked where they are packed with gzip. So it may be
 * a pipe, and memory need not hold it.
 */
#ifndef LAP_FOREIGN_FILE_H
#define LAP_FOREIGN_FILE_H

#include "reader_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lap_foreign_file {
    const char *name;
    void *gz; /* NULL: built without zlib */
    int fd;   /* -1: gz has it */
    char *bytes;
    size_t room;
    size_t begin, end; /* what of `bytes` is there, and not passed yet */
    uint64_t offset;   /* of bytes[begin], in what is unpacked */
    bool is_packed;
    bool is_at_end; /* nothing comes behind bytes[end] */
    bool is_cut;    /* since the packed data end too early */
    int code;       /* negative: why it cannot be read any further */
    const char *problem;
};
/* One value or packet may have so many bytes. */
#define LAP_FOREIGN_WINDOW_MAX (UINT64_C(1) << 28)

int lap_foreign_file_open(struct lap_foreign_file *file, const char *name, struct lap_reader_error *error);
/* Sees to it that `count` bytes are there, if the file has them. Returns how many are, at file->bytes + file->begin. */
size_t lap_foreign_file_fill(struct lap_foreign_file *file, size_t count);
/* Passes over bytes that are there. */
void lap_foreign_file_pass(struct lap_foreign_file *file, size_t count);
void lap_foreign_file_done(struct lap_foreign_file *file);

#endif
