/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "foreign_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef LAPMARK_HAS_ZLIB
#include <zlib.h>
#endif

#define READ_BYTES (UINT64_C(1) << 18)

static int begin_reading(struct lap_foreign_file *file)
{
#ifdef LAPMARK_HAS_ZLIB
    gzFile gz = gzdopen(file->fd, "r");
    if (!gz)
        return -ENOMEM;
    gzbuffer(gz, READ_BYTES);
    file->gz = gz;
    file->fd = -1;
#endif
    return (file->bytes = malloc(file->room = 2 * READ_BYTES)) ? 0 : -ENOMEM;
}

int lap_foreign_file_open(struct lap_foreign_file *file, const char *name, struct lap_reader_error *error)
{
    *file = (struct lap_foreign_file){.name = name, .fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (file->fd < 0)
        return lap_reader_error_set(error, -errno, name, UINT64_MAX, NULL);
    const int code = begin_reading(file);
    if (code < 0) {
        lap_foreign_file_done(file);
        return lap_reader_error_set(error, code, name, UINT64_MAX, NULL);
    }
    lap_foreign_file_fill(file, 2);
#ifdef LAPMARK_HAS_ZLIB
    file->is_packed = !gzdirect(file->gz);
#endif
    return 0;
}

static void fail(struct lap_foreign_file *file, int code, const char *problem)
{
    file->code = code;
    file->problem = problem;
    file->is_at_end = true;
}

/* Bytes read, 0 at the end or where there is a problem. */
static size_t read_more(struct lap_foreign_file *file)
{
    const unsigned bytes = (unsigned)(file->room - file->end < READ_BYTES ? file->room - file->end : READ_BYTES);
#ifdef LAPMARK_HAS_ZLIB
    const int got = gzread(file->gz, file->bytes + file->end, bytes);
    int state = Z_OK;
    gzerror(file->gz, &state);
    if (state == Z_BUF_ERROR)
        file->is_cut = true;
    else if (got < 0)
        fail(file, state == Z_ERRNO ? -errno : LAP_READER_FOREIGN, state == Z_ERRNO ? NULL : "damaged gzip data");
#else
    ssize_t got;
    do
        got = read(file->fd, file->bytes + file->end, bytes);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        fail(file, -errno, NULL);
#endif
    file->is_at_end |= got <= 0;
    return got > 0 ? (size_t)got : 0;
}

size_t lap_foreign_file_fill(struct lap_foreign_file *file, size_t count)
{
    while (file->end - file->begin < count && !file->is_at_end) {
        if (file->begin > 0 && file->room - file->end < READ_BYTES) {
            memmove(file->bytes, file->bytes + file->begin, file->end - file->begin);
            file->end -= file->begin;
            file->begin = 0;
        }
        if (file->room - file->end < READ_BYTES) {
            char *const more = file->room < 2 * LAP_FOREIGN_WINDOW_MAX ? realloc(file->bytes, 2 * file->room) : NULL;
            if (!more) {
                fail(file, file->room < 2 * LAP_FOREIGN_WINDOW_MAX ? -ENOMEM : LAP_READER_LIMIT, NULL);
                break;
            }
            file->bytes = more;
            file->room *= 2;
        }
        file->end += read_more(file);
    }
    return file->end - file->begin;
}

void lap_foreign_file_pass(struct lap_foreign_file *file, size_t count)
{
    file->begin += count;
    file->offset += count;
}

void lap_foreign_file_done(struct lap_foreign_file *file)
{
#ifdef LAPMARK_HAS_ZLIB
    if (file->gz)
        gzclose(file->gz);
#endif
    if (file->fd >= 0)
        close(file->fd);
    free(file->bytes);
    file->bytes = NULL;
    file->gz = NULL;
    file->fd = -1;
}
