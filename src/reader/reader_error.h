/* SPDX-License-Identifier: MIT
 *
 * What is wrong with a recording: code, file, byte offset, static text. Never a crash, whatever the bytes are.
 */
#ifndef LAP_READER_ERROR_H
#define LAP_READER_ERROR_H

#include <stddef.h>
#include <stdint.h>

/* Codes of the reader's own; all others are negative errnos. One table makes the codes and their texts. */
#define LAP_READER_CODES(X)                                                                                              \
    X(LAP_READER_NO_RECORDING, -5001, "no recording in it")                                                              \
    X(LAP_READER_METADATA, -5002, "not metadata that Lapmark wrote")                                                     \
    X(LAP_READER_VERSION, -5003, "written in a format that this version does not read")                                  \
    X(LAP_READER_CONTROL, -5004, "damaged control page")                                                                 \
    X(LAP_READER_PATHS, -5005, "damaged table of paths")                                                                 \
    X(LAP_READER_STATISTICS, -5006, "damaged statistics")                                                                \
    X(LAP_READER_SEGMENT, -5007, "damaged segment header")                                                               \
    X(LAP_READER_EMPTY, -5008, "empty segment")                                                                          \
    X(LAP_READER_TORN, -5009, "segment is shorter than it says")                                                         \
    X(LAP_READER_EVENT, -5010, "damaged event")                                                                          \
    X(LAP_READER_CHANGED, -5011, "overwritten while it was read")                                                        \
    X(LAP_READER_LIMIT, -5012, "too large to be read")                                                                   \
    X(LAP_READER_SNAPSHOT, -5013, "snapshot that is left out")                                                           \
    X(LAP_READER_FOREIGN, -5014, "not a trace that can be read")

enum lap_reader_code {
#define LAP_READER_CODE(name, value, text) name = (value),
    LAP_READER_CODES(LAP_READER_CODE)
#undef LAP_READER_CODE
};

#define LAP_READER_FILE_BYTES 512u

/* `text` is static, lower case, without full stop; `offset` counts from the start of `file`, UINT64_MAX: of no place. */
struct lap_reader_error {
    int code;
    uint64_t offset;
    const char *text;
    char file[LAP_READER_FILE_BYTES];
};

/* Fills an error (NULL: nobody wants it) and returns its code. `text` NULL takes the code's own (strerror for an errno). */
int lap_reader_error_set(struct lap_reader_error *error, int code, const char *file, uint64_t offset, const char *text);

/* The text of a code or of a negative errno; never NULL. */
const char *lap_reader_error_text(int code);

#endif
