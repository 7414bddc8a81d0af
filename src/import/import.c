/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "import.h"

#include "chrome_trace.h"
#include "foreign_file.h"
#include "perfetto_trace.h"
#include "temporary_files.h"
#include "written_recording.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum format { UNKNOWN, CHROME_JSON, PERFETTO };
enum { SNIFFED_BYTES = 4096 };

static bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

static enum format format_of(struct lap_foreign_file *file)
{
    const size_t there = lap_foreign_file_fill(file, SNIFFED_BYTES);
    const char *const bytes = file->bytes + file->begin;
    if (lap_perfetto_trace_is(bytes, there))
        return PERFETTO;
    size_t at = there >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < there && is_blank(bytes[at]))
        at++;
    if (at == there || (bytes[at] != '{' && bytes[at] != '['))
        return UNKNOWN;
    lap_foreign_file_pass(file, at);
    return CHROME_JSON;
}

bool lap_import_knows(const char *name)
{
    struct stat status;
    struct lap_foreign_file file;
    if (stat(name, &status) != 0 || !S_ISREG(status.st_mode) || lap_foreign_file_open(&file, name, NULL) < 0)
        return false;
    const enum format format = format_of(&file);
    lap_foreign_file_done(&file);
    return format != UNKNOWN;
}

static int trace_read(struct lap_foreign_trace *trace, const char *name, struct lap_import *import,
                      struct lap_reader_error *error)
{
    struct lap_foreign_file file;
    int code = lap_foreign_file_open(&file, name, error);
    if (code < 0)
        return code;
    import->is_packed = file.is_packed;
    const enum format format = format_of(&file);
    if (format == CHROME_JSON)
        code = lap_chrome_trace_read(trace, &file, &import->cut_offset, &import->rest_offset, error);
    else if (format == PERFETTO)
        code = lap_perfetto_trace_read(trace, &file, &import->cut_offset, error);
    else if (file.code < 0)
        code = lap_reader_error_set(error, file.code, name, UINT64_MAX, file.problem);
    else
        code = lap_reader_error_set(
            error, LAP_READER_FOREIGN, name, UINT64_MAX,
            "neither a recording, which is a directory, nor a trace in Chrome's JSON or of Perfetto");
    lap_foreign_file_done(&file);
    return code;
}

/* What tells a file from others, so that one that is named twice is seen to be the same. */
static uint64_t seed_of(const char *name)
{
    struct stat status = {0};
    if (stat(name, &status) != 0)
        return 0;
    uint64_t seed = UINT64_C(0xCBF29CE484222325); /* FNV-1a, by words */
    const uint64_t words[] = {(uint64_t)status.st_dev, (uint64_t)status.st_ino, (uint64_t)status.st_size,
                              (uint64_t)status.st_mtim.tv_sec, (uint64_t)status.st_mtim.tv_nsec};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        seed = (seed ^ words[i]) * UINT64_C(0x100000001B3);
    return seed;
}

static int trace_write(struct lap_foreign_trace *trace, const char *name, struct lap_import *import,
                       struct lap_reader_error *error)
{
    struct lap_foreign_slices slices;
    size_t processes = 0;
    int code = lap_foreign_slices_make(&slices, trace);
    if (code == 0 && slices.count > 0) {
        code = lap_temporary_place(&import->recording);
        const struct lap_written_source source = {name, seed_of(name), import->recording};
        if (code == 0)
            code = lap_written_recording(trace, &slices, &source, &processes);
    }
    lap_foreign_slices_done(&slices);
    if (code < 0)
        return lap_reader_error_set(error, code, import->recording ? import->recording : name, UINT64_MAX, NULL);
    if (processes == 0)
        return lap_reader_error_set(error, LAP_READER_FOREIGN, name, UINT64_MAX, "a trace without a slice");
    return 0;
}

int lap_import_read(struct lap_import *import, const char *file, struct lap_reader_error *error)
{
    struct lap_foreign_trace trace = {0};
    *import = (struct lap_import){.cut_offset = UINT64_MAX, .rest_offset = UINT64_MAX};
    int code = trace_read(&trace, file, import, error);
    if (code == 0)
        code = trace_write(&trace, file, import, error);
    import->left_out = lap_foreign_left_out_text(&trace);
    lap_foreign_done(&trace);
    return code;
}

void lap_import_done(struct lap_import *import)
{
    free(import->recording);
    free(import->left_out);
    *import = (struct lap_import){0};
}

void lap_import_remove(void) { lap_temporary_remove(); }
