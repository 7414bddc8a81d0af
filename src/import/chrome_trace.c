/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "chrome_trace.h"

#include "chrome_event.h"
#include "json_values.h"

#include <errno.h>
#include <string.h>

struct reading {
    struct lap_foreign_trace *trace;
    struct lap_foreign_file *file;
    struct lap_reader_error *error;
    bool has_events, is_cut;
    uint64_t cut_offset;
};

/* The file ends here, and should not, or cannot be read any further. */
static int cut(struct reading *reading)
{
    struct lap_foreign_file *const file = reading->file;
    if (file->code < 0)
        return lap_reader_error_set(reading->error, file->code, file->name, file->offset, file->problem);
    reading->is_cut = true;
    reading->cut_offset = file->offset;
    return 0;
}

static int fail(const struct reading *reading, const char *text)
{
    return lap_reader_error_set(reading->error, LAP_READER_FOREIGN, reading->file->name, reading->file->offset, text);
}

static int code_of(struct reading *reading, enum lap_json_found found)
{
    return found == LAP_JSON_BAD ? reading->error->code : found == LAP_JSON_CUT ? cut(reading) : 0;
}

/* What stands behind the value that is all of a sound file is not read. */
static int rest_read(struct reading *reading, uint64_t *ret_rest)
{
    struct lap_foreign_file *const file = reading->file;
    if (lap_json_peek(file) >= 0)
        *ret_rest = file->offset;
    else if (file->code < 0 || file->is_cut)
        return cut(reading);
    return 0;
}

/* `may_lack_end`: Chrome leaves out the bracket at the end of an array that is all of the file. */
static int events_read(struct reading *reading, bool may_lack_end)
{
    reading->has_events = true;
    lap_foreign_file_pass(reading->file, 1);
    for (;;) {
        const int byte = lap_json_peek(reading->file);
        if (byte < 0)
            return may_lack_end && reading->file->code == 0 && !reading->file->is_cut ? 0 : cut(reading);
        if (byte == ']' || byte == ',') {
            lap_foreign_file_pass(reading->file, 1);
            if (byte == ']')
                return 0;
            continue;
        }
        struct lap_json_value value;
        const enum lap_json_found found = lap_json_next(reading->file, &value, reading->error);
        if (found != LAP_JSON_FOUND)
            return code_of(reading, found);
        lap_chrome_event_add(reading->trace, &value);
        json_decref(value.json);
        if (reading->trace->code < 0)
            return lap_reader_error_set(reading->error, reading->trace->code, reading->file->name, UINT64_MAX, NULL);
    }
}

/* What clang's -ftime-trace says of its times: they are since then, in microseconds since 1970. */
static int origin_read(struct reading *reading)
{
    struct lap_json_value value;
    const enum lap_json_found found = lap_json_next(reading->file, &value, reading->error);
    if (found == LAP_JSON_FOUND && json_is_integer(value.json)) {
        const json_int_t us = json_integer_value(value.json);
        if (us > 0 && us < LAP_FOREIGN_NS_MAX / 1000)
            reading->trace->realtime_shift_ns = us * 1000;
    }
    json_decref(value.json);
    return code_of(reading, found);
}

static int member_read(struct reading *reading)
{
    struct lap_json_value key;
    const enum lap_json_found found = lap_json_next(reading->file, &key, reading->error);
    if (found != LAP_JSON_FOUND)
        return code_of(reading, found);
    const char *const name = json_string_value(key.json);
    const bool are_events = name && strcmp(name, "traceEvents") == 0;
    const bool is_origin = name && strcmp(name, "beginningOfTime") == 0;
    json_decref(key.json);
    const int colon = lap_json_peek(reading->file);
    if (colon != ':')
        return colon < 0 ? cut(reading) : fail(reading, "not JSON");
    lap_foreign_file_pass(reading->file, 1);
    const int first = lap_json_peek(reading->file);
    if (first < 0)
        return cut(reading);
    if (are_events && first == '[')
        return events_read(reading, false);
    return is_origin ? origin_read(reading) : code_of(reading, lap_json_pass(reading->file, reading->error));
}

static int object_read(struct reading *reading)
{
    int code = 0;
    lap_foreign_file_pass(reading->file, 1);
    while (code == 0 && !reading->is_cut) {
        const int byte = lap_json_peek(reading->file);
        if (byte < 0)
            return cut(reading);
        if (byte == '"') {
            code = member_read(reading);
        } else if (byte == ',' || byte == '}') {
            lap_foreign_file_pass(reading->file, 1);
            if (byte == '}')
                break;
        } else {
            return fail(reading, "not JSON");
        }
    }
    return code;
}

int lap_chrome_trace_read(struct lap_foreign_trace *trace, struct lap_foreign_file *file, uint64_t *ret_cut,
                          uint64_t *ret_rest, struct lap_reader_error *error)
{
    struct lap_reader_error unwanted;
    struct reading reading = {.trace = trace, .file = file, .error = error ? error : &unwanted};
    trace->format = "Chrome JSON";
    int code = lap_json_peek(file) == '[' ? events_read(&reading, true) : object_read(&reading);
    if (code == 0 && !reading.is_cut && reading.has_events)
        code = rest_read(&reading, ret_rest);
    if (code < 0)
        return code;
    *ret_cut = reading.is_cut ? reading.cut_offset : UINT64_MAX;
    if (!reading.has_events)
        return lap_reader_error_set(error, LAP_READER_FOREIGN, file->name, UINT64_MAX,
                                    "JSON without 'traceEvents' in it");
    return 0;
}
