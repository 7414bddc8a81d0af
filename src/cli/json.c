/* SPDX-License-Identifier: MIT */
#include "json.h"

#include "out.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS JSON_REAL_PRECISION(15)

static json_t *checked(json_t *value)
{
    if (!value)
        abort();
    return value;
}

/* Bytes of the UTF-8 character at `text` (Unicode 15, table 3-7), 0 if it is none. */
static size_t character_bytes(const unsigned char *text)
{
    if (text[0] < 0x80)
        return 1;
    const size_t bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    unsigned least = 0x80;
    unsigned greatest = 0xbf;
    if (text[0] == 0xe0)
        least = 0xa0;
    else if (text[0] == 0xed)
        greatest = 0x9f;
    else if (text[0] == 0xf0)
        least = 0x90;
    else if (text[0] == 0xf4)
        greatest = 0x8f;
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] < least || text[i] > greatest)
            return 0;
        least = 0x80;
        greatest = 0xbf;
    }
    return bytes;
}

json_t *lap_json_text(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    if (!text)
        return checked(json_null());
    json_t *const plain = json_string(text);
    if (plain)
        return plain;
    char *const copy = malloc(strlen(text) * 3 + 1);
    if (!copy)
        abort();
    size_t length = 0;
    while (*text) {
        const size_t bytes = character_bytes((const unsigned char *)text);
        memcpy(copy + length, bytes ? text : replacement, bytes ? bytes : 3);
        length += bytes ? bytes : 3;
        text += bytes ? bytes : 1;
    }
    json_t *const value = checked(json_stringn(copy, length));
    free(copy);
    return value;
}

json_t *lap_json_ns(double ns)
{
    if (!isfinite(ns))
        return checked(json_null());
    if (ns == floor(ns) && fabs(ns) < 0x1p53)
        return checked(json_integer((json_int_t)ns));
    return checked(json_real(fabs(ns) < 1e12 ? round(ns * 1e3) / 1e3 : ns));
}

json_t *lap_json_count(uint64_t count)
{
    return checked(json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count));
}

json_t *lap_json_percentiles(const struct lap_percentiles *percentiles, double count)
{
    json_t *const pairs = checked(json_array());
    for (size_t i = 0; i < LAP_PERCENTILES && count > 0; i++) {
        if (!lap_percentiles_tells(i, count))
            continue;
        json_t *const pair = checked(json_array());
        lap_json_append(pair, json_real(lap_percentiles_at(i)));
        lap_json_append(pair, lap_json_ns(percentiles->ns[i]));
        lap_json_append(pairs, pair);
    }
    return pairs;
}

void lap_json_set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, checked(value)) != 0)
        abort();
}

void lap_json_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, checked(value)) != 0)
        abort();
}

static void print(json_t *value, FILE *out, size_t flags)
{
    json_dumpf(value, out, flags | DIGITS);
    fputc('\n', out);
    json_decref(value);
}

void lap_json_print(json_t *value, FILE *out) { print(value, out, JSON_INDENT(2)); }

void lap_json_print_line(json_t *value, FILE *out) { print(value, out, JSON_COMPACT); }

/* "<" is in texts alone, and can be escaped there. */
static int write_without_tags(const char *text, size_t length, void *user)
{
    struct lap_out *const out = user;
    const char *const end = text + length;
    for (const char *tag; (tag = memchr(text, '<', (size_t)(end - text))) != NULL; text = tag + 1) {
        lap_out_write(out, text, (size_t)(tag - text));
        lap_out_text(out, "\\u003c");
    }
    lap_out_write(out, text, (size_t)(end - text));
    return 0;
}

void lap_json_print_html(json_t *value, struct lap_out *out)
{
    json_dump_callback(value, write_without_tags, out, JSON_COMPACT | JSON_ENSURE_ASCII | DIGITS);
    json_decref(value);
}

void lap_json_write_text(FILE *out, const char *text)
{
    bool is_plain = true;
    for (const char *at = text; *at && is_plain; at++)
        is_plain = *at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\';
    if (is_plain) {
        fprintf(out, "\"%s\"", text);
        return;
    }
    json_t *const value = lap_json_text(text);
    json_dumpf(value, out, JSON_ENCODE_ANY);
    json_decref(value);
}

void lap_json_write_double(FILE *out, double value)
{
    if (isnan(value))
        fputs("\"nan\"", out);
    else if (isinf(value))
        fputs(value > 0 ? "\"inf\"" : "\"-inf\"", out);
    else
        fprintf(out, "%.17g", value);
}
