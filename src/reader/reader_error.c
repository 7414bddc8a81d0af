/* SPDX-License-Identifier: MIT */
#include "reader_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *lap_reader_error_text(int code)
{
    switch (code) {
#define LAP_READER_CODE(name, value, text)                                                                               \
    case value: return text;
        LAP_READER_CODES(LAP_READER_CODE)
#undef LAP_READER_CODE
    /* Lower case, as all texts; what a recording's files may well meet. */
    case -ENOENT: return "no such file or directory";
    case -EACCES: return "permission denied";
    case -EISDIR: return "is a directory";
    case -ENOTDIR: return "not a directory";
    case -ELOOP: return "too many levels of symbolic links";
    case -EIO: return "input/output error";
    case -EMFILE: return "too many open files";
    default: return strerror(code < 0 ? -code : code);
    }
}

int lap_reader_error_set(struct lap_reader_error *error, int code, const char *file, uint64_t offset, const char *text)
{
    if (!error)
        return code;
    error->code = code;
    error->offset = offset;
    error->text = text ? text : lap_reader_error_text(code);
    /* The end of a name says more than its start. */
    const size_t length = strlen(file);
    if (length < sizeof error->file)
        memcpy(error->file, file, length + 1);
    else
        snprintf(error->file, sizeof error->file, "...%s", file + length - (sizeof error->file - 4));
    return code;
}
