/* SPDX-License-Identifier: MIT */
#include "json_values.h"

#include "json_mending.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

int lap_json_peek(struct lap_foreign_file *file)
{
    while (lap_foreign_file_fill(file, 1) > 0) {
        const char byte = file->bytes[file->begin];
        if (!is_blank(byte))
            return (unsigned char)byte;
        lap_foreign_file_pass(file, 1);
    }
    return -1;
}

/* Where in a value one is, byte by byte. */
struct scan {
    size_t at; /* from the value's start */
    unsigned depth;
    bool is_text, is_escaped;
    size_t text_begin, text_end; /* of the last text */
    size_t *number;              /* where the value that begins next is to be noted */
    size_t ts, dur;              /* 0: there is none */
};

static bool is_key(const char *bytes, const struct scan *scan, const char *key)
{
    const size_t length = strlen(key);
    return scan->text_end - scan->text_begin == length && memcmp(bytes + scan->text_begin, key, length) == 0;
}

/* Of the outermost object alone: of what key is the value that begins here? */
static void note(struct scan *scan, const char *bytes, char byte)
{
    if (byte == ':') {
        scan->number = is_key(bytes, scan, "ts") ? &scan->ts : is_key(bytes, scan, "dur") ? &scan->dur : NULL;
    } else if (!is_blank(byte)) {
        if (scan->number && (byte == '-' || (byte >= '0' && byte <= '9')))
            *scan->number = scan->at;
        scan->number = NULL;
    }
}

/* One byte. True: the value ends in front of it (of a bare one), or with it. */
static bool step(struct scan *scan, const char *bytes)
{
    const char byte = bytes[scan->at];
    if (scan->is_text) {
        if (!scan->is_escaped && byte == '"') {
            scan->is_text = false;
            scan->text_end = scan->at;
        }
        scan->is_escaped = !scan->is_escaped && byte == '\\';
        scan->at++;
        return !scan->is_text && scan->depth == 0;
    }
    const bool is_end = byte == '}' || byte == ']';
    if (scan->depth == 0 && (is_end || byte == ',' || is_blank(byte)))
        return true;
    if (scan->depth == 1)
        note(scan, bytes, byte);
    if (byte == '"') {
        scan->is_text = true;
        scan->text_begin = scan->at + 1;
    }
    scan->depth += byte == '{' || byte == '[';
    scan->depth -= is_end;
    scan->at++;
    return is_end && scan->depth == 0;
}

/* Finds where the next value ends. */
static enum lap_json_found find_end(struct lap_foreign_file *file, struct scan *scan, struct lap_reader_error *error)
{
    for (;;) {
        const size_t there = lap_foreign_file_fill(file, scan->at + 1);
        if (there <= scan->at)
            break;
        const char *const bytes = file->bytes + file->begin;
        while (scan->at < there)
            if (step(scan, bytes))
                return LAP_JSON_FOUND;
    }
    if (file->code < 0) {
        lap_reader_error_set(error, file->code, file->name, file->offset, file->problem);
        return LAP_JSON_BAD;
    }
    /* A bare value may well be whole, but who cuts files cuts numbers, too. */
    return LAP_JSON_CUT;
}

static struct lap_json_number number_at(const char *bytes, size_t at)
{
    if (at == 0)
        return (struct lap_json_number){NULL, 0};
    return (struct lap_json_number){bytes + at, strspn(bytes + at, "+-.0123456789eE")};
}

static json_t *load(const char *bytes, size_t count, json_error_t *ret_problem)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *const json = json_loadb(bytes, count, flags, ret_problem);
    if (json) /* else whole numbers that are too large for jansson's */
        return json;
    return json_loadb(bytes, count, flags | JSON_DECODE_INT_AS_REAL, ret_problem);
}

static json_t *mend_and_load(const char *bytes, size_t count, json_error_t *ret_problem)
{
    char *const copy = malloc(count + 1);
    if (!copy)
        return NULL;
    memcpy(copy, bytes, count);
    copy[count] = 0;
    lap_json_mend(copy, count);
    json_t *const json = load(copy, count, ret_problem);
    free(copy);
    return json;
}

enum lap_json_found lap_json_next(struct lap_foreign_file *file, struct lap_json_value *ret_value,
                                  struct lap_reader_error *error)
{
    struct scan scan = {0};
    *ret_value = (struct lap_json_value){0};
    const enum lap_json_found found = find_end(file, &scan, error);
    if (found != LAP_JSON_FOUND)
        return found;
    const char *const bytes = file->bytes + file->begin;
    json_error_t problem = {.position = 0};
    ret_value->json = load(bytes, scan.at, &problem);
    if (!ret_value->json)
        ret_value->json = mend_and_load(bytes, scan.at, &problem);
    if (!ret_value->json) {
        const uint64_t at = problem.position > 0 ? (uint64_t)problem.position - 1 : 0;
        lap_reader_error_set(error, LAP_READER_FOREIGN, file->name, file->offset + at, "not JSON");
        return LAP_JSON_BAD;
    }
    ret_value->ts = number_at(bytes, scan.ts);
    ret_value->dur = number_at(bytes, scan.dur);
    lap_foreign_file_pass(file, scan.at);
    return LAP_JSON_FOUND;
}

enum lap_json_found lap_json_pass(struct lap_foreign_file *file, struct lap_reader_error *error)
{
    struct scan scan = {0};
    const enum lap_json_found found = find_end(file, &scan, error);
    if (found == LAP_JSON_FOUND)
        lap_foreign_file_pass(file, scan.at);
    return found;
}
