/* SPDX-License-Identifier: MIT
 *
 * Where an export goes: a file that has its name only when it is whole, and none at all before where the file system can do that, so
 * that nothing stays of one that was interrupted; or, directly, what is no regular file (a pipe, a terminal, /dev/null) or is one that is
 * open already (standard output, /dev/fd/3). Where links lead, the file is made, with the rights of the one that it replaces. One that cannot be
 * replaced, but written, is overwritten when all is known. Buffered; an error is kept, and what comes after it is dropped. One thread.
 */
#ifndef LAP_OUT_H
#define LAP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LAP_OUT_BYTES (256u << 10)

struct lap_out {
    int fd;
    int error; /* 0 or a negative errno */
    char *buffer;
    size_t used;
    uint64_t written;         /* before what is in the buffer */
    char *target, *temporary; /* temporary NULL: directly, or without a name until it is whole */
    unsigned mode;            /* which the file is to have */
    bool is_unnamed;
    bool is_spare; /* it lies elsewhere, and is copied in the end */
    bool is_there; /* the file that is replaced */
};

/* `file` NULL: standard output. Returns 0 or a negative errno. */
int lap_out_open(struct lap_out *out, const char *file);
/* The same for whom the file needs a name meanwhile: `temporary`. */
int lap_out_open_named(struct lap_out *out, const char *file);
/* Gives the file its name, if `is_whole` and nothing failed; else it is gone. Returns 0 or a negative errno. Frees. */
int lap_out_close(struct lap_out *out, bool is_whole);

/* Writes out what the buffer holds. */
void lap_out_flush(struct lap_out *out);
void lap_out_write_large(struct lap_out *out, const void *bytes, size_t count);

/* Room for `count` bytes, at most LAP_OUT_BYTES; then say how many there were by lap_out_add(). */
static inline char *lap_out_room(struct lap_out *out, size_t count)
{
    if (__builtin_expect(LAP_OUT_BYTES - out->used < count, 0))
        lap_out_flush(out);
    return out->buffer + out->used;
}
static inline void lap_out_add(struct lap_out *out, size_t count) { out->used += count; }

static inline void lap_out_write(struct lap_out *out, const void *bytes, size_t count)
{
    if (__builtin_expect(count > LAP_OUT_BYTES / 4, 0)) {
        lap_out_write_large(out, bytes, count);
        return;
    }
    memcpy(lap_out_room(out, count), bytes, count);
    lap_out_add(out, count);
}
static inline void lap_out_text(struct lap_out *out, const char *text) { lap_out_write(out, text, strlen(text)); }
void lap_out_printf(struct lap_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
