/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "catalog.h"

#include "label.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"
#include "tsdl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_HEADER_BYTES 37u
#define URI_SCHEME "lapmark:"
#define FLAG_IS_TEXT 16u /* in the URI, beside enum lap_class_flags */

struct packet_header {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t checksum, content_bits, packet_bits;
    uint8_t compression, encryption, checksum_scheme, major, minor;
};

static struct packet_header packet_header_read(const unsigned char *bytes)
{
    struct packet_header header;
    memcpy(&header.magic, bytes, 4);
    memcpy(header.uuid, bytes + 4, 16);
    memcpy(&header.checksum, bytes + 20, 4);
    memcpy(&header.content_bits, bytes + 24, 4);
    memcpy(&header.packet_bits, bytes + 28, 4);
    header.compression = bytes[32];
    header.encryption = bytes[33];
    header.checksum_scheme = bytes[34];
    header.major = bytes[35];
    header.minor = bytes[36];
    return header;
}

struct parser {
    struct lap_catalog *catalog;
    struct lap_tsdl tsdl;
    uint32_t class_room, description_room;
    bool is_ours;      /* env says who wrote it */
    bool is_no_memory; /* is the problem */
};

/* ---- classes ----------------------------------------------------------------------------------------------------- */

struct class_line {
    bool has_id, has_uri, has_name;
    uint64_t id, stream;
    char *name, *uri;
    size_t offset, uri_offset;
};

static const struct {
    const char *uri; /* the fixed ones are also called so */
    uint8_t kind;
    uint8_t id; /* fixed, or 0 */
} kinds[] = {
    {URI_SCHEME "mark", LAP_CLASS_MARK, 0},
    {URI_SCHEME "begin", LAP_CLASS_BEGIN, 0},
    {URI_SCHEME "begin_with", LAP_CLASS_BEGIN_WITH, 0},
    {URI_SCHEME "handle_begin", LAP_CLASS_HANDLE_BEGIN, 0},
    {URI_SCHEME "handle_mark", LAP_CLASS_HANDLE_MARK, 0},
    {URI_SCHEME "call", LAP_CLASS_CALL, 0},
    {URI_SCHEME "end", LAP_CLASS_END, LAP_FORMAT_END},
    {URI_SCHEME "abandoned", LAP_CLASS_ABANDONED, LAP_FORMAT_ABANDONED},
    {URI_SCHEME "pause", LAP_CLASS_PAUSE, LAP_FORMAT_PAUSE},
    {URI_SCHEME "open", LAP_CLASS_OPEN, LAP_FORMAT_OPEN},
    {URI_SCHEME "handle_end", LAP_CLASS_HANDLE_END, LAP_FORMAT_HANDLE_END},
    {URI_SCHEME "thread", LAP_CLASS_THREAD, LAP_FORMAT_THREAD},
    {URI_SCHEME "serve", LAP_CLASS_SERVE, LAP_FORMAT_SERVE},
    {URI_SCHEME "reply", LAP_CLASS_REPLY, LAP_FORMAT_REPLY},
    {URI_SCHEME "link", LAP_CLASS_LINK, LAP_FORMAT_LINK},
    {URI_SCHEME "peer_lap", LAP_CLASS_PEER_LAP, LAP_FORMAT_PEER_LAP},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int kind_find(const char *uri)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].uri, uri) == 0)
            return (int)i;
    return -1;
}

/* Decodes %XX in place; false if there is one that is none. */
static bool percent_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        int c = (unsigned char)*from;
        if (c == '%') {
            if (lap_tsdl_hex_value(from[1]) < 0 || lap_tsdl_hex_value(from[2]) < 0)
                return false;
            c = lap_tsdl_hex_value(from[1]) * 16 + lap_tsdl_hex_value(from[2]);
            from += 2;
            if (c == 0)
                return false;
        }
        *to++ = (char)c;
    }
    *to = 0;
    return true;
}

static bool decimal_read(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++) {
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *ret_value = value;
    return *text == 0;
}

static bool types_read(const char *letters, uint64_t *ret_types, uint8_t *ret_args, bool *ret_has_strings)
{
    static const char known[] = "iufsp";
    static const uint8_t types[] = {LAP_IMPL_TYPE_I64, LAP_IMPL_TYPE_U64, LAP_IMPL_TYPE_F64, LAP_IMPL_TYPE_STRING,
                                    LAP_IMPL_TYPE_POINTER};
    *ret_types = 0;
    *ret_has_strings = false;
    size_t count = 0;
    for (; letters[count] != 0; count++) {
        const char *const found = strchr(known, letters[count]);
        if (!found || count >= LAP_IMPL_ARGS_MAX)
            return false;
        *ret_types |= (uint64_t)types[found - known] << (4 * count);
        *ret_has_strings |= *found == 's';
    }
    *ret_args = (uint8_t)count;
    return true;
}

/* Reads "lapmark:mark?flags=0&types=iu&line=12&function=main&file=src/x.c" into a class and a description. NULL or the problem. */
static const char *uri_read(char *uri, struct lap_class *class, struct lap_description *description, int *ret_kind)
{
    char *const question = strchr(uri, '?');
    if (question)
        *question = 0;
    *ret_kind = kind_find(uri);
    if (*ret_kind < 0)
        return "event of a kind that is not known";
    uint64_t flags = 0, line = 0;
    const char *types = "";
    for (char *part = question ? question + 1 : NULL, *next; part; part = next) {
        next = strchr(part, '&');
        if (next)
            *next++ = 0;
        char *const value = strchr(part, '=');
        if (!value)
            return "event with a damaged uri";
        *value = 0;
        if (!percent_decode(value + 1))
            return "event with a damaged uri";
        if (strcmp(part, "flags") == 0) {
            if (!decimal_read(value + 1, 255, &flags))
                return "event with damaged flags";
        } else if (strcmp(part, "line") == 0) {
            if (!decimal_read(value + 1, UINT32_MAX, &line))
                return "event with a damaged line number";
        } else if (strcmp(part, "types") == 0) {
            types = value + 1;
        } else if (strcmp(part, "function") == 0) {
            description->function = value + 1;
        } else if (strcmp(part, "file") == 0) {
            description->file = value + 1;
        } /* others are of later versions */
    }
    bool has_strings;
    if (!types_read(types, &description->types, &class->args, &has_strings))
        return "event with damaged argument types";
    class->kind = kinds[*ret_kind].kind;
    class->flags = (uint8_t)(flags & (15u | LAP_CLASS_FOUND));
    description->line = (uint32_t)line;
    description->is_text = (flags & FLAG_IS_TEXT) != 0;
    if (!has_strings && !(class->flags & LAP_CLASS_TEXT))
        class->words = (uint8_t)(lap_class_fixed_words((enum lap_class_kind) class->kind) +
                                 ((class->flags & LAP_CLASS_N) != 0) + class->args);
    return NULL;
}

static bool classes_reserve(struct parser *parser, uint32_t id)
{
    struct lap_catalog *const catalog = parser->catalog;
    if (id >= parser->class_room) {
        uint32_t room = parser->class_room;
        while (room <= id)
            room *= 2;
        struct lap_class *const classes = realloc(catalog->classes, room * sizeof *classes);
        if (!classes)
            return false;
        memset(classes + parser->class_room, 0, (room - parser->class_room) * sizeof *classes);
        catalog->classes = classes;
        parser->class_room = room;
    }
    if (catalog->description_count >= parser->description_room) {
        const uint32_t room = parser->description_room * 2;
        struct lap_description *const descriptions = realloc(catalog->descriptions, room * sizeof *descriptions);
        if (!descriptions)
            return false;
        catalog->descriptions = descriptions;
        parser->description_room = room;
    }
    return true;
}

/* What a label is called whose numbers were found in a text. Without memory it is called by its format. */
static void pattern_add(struct lap_catalog *catalog, const struct lap_class *class)
{
    if (class->description >= catalog->pattern_count) {
        const uint32_t count = class->description * 2 + 64;
        char **const patterns = realloc(catalog->patterns, count * sizeof *patterns);
        if (!patterns)
            return;
        memset(patterns + catalog->pattern_count, 0, (count - catalog->pattern_count) * sizeof *patterns);
        catalog->patterns = patterns;
        catalog->pattern_count = count;
    }
    char label[LAP_LABEL_BYTES];
    lap_label_pattern(label, sizeof label, &catalog->descriptions[class->description], class, NULL);
    catalog->patterns[class->description] = strdup(label);
}

static void class_add(struct parser *parser, struct class_line *line)
{
    struct lap_catalog *const catalog = parser->catalog;
    const char *const where = catalog->text + line->offset;
    if (!line->has_id || !line->has_name || line->stream != 0 || line->id >= LAP_FORMAT_CLASSES || line->id == 0) {
        lap_tsdl_fail(&parser->tsdl, "event without a name, or with an id that cannot be", where);
        return;
    }
    const size_t scheme = sizeof URI_SCHEME - 1;
    if (!line->has_uri || strncmp(line->uri, URI_SCHEME, scheme) != 0) {
        lap_tsdl_fail(&parser->tsdl, "event that Lapmark did not write", where);
        return;
    }
    struct lap_class class = {0};
    struct lap_description description = {.label = line->name, .file = "", .function = ""};
    int kind;
    const char *const problem = uri_read(line->uri, &class, &description, &kind);
    const uint32_t id = (uint32_t)line->id;
    if (problem) {
        lap_tsdl_fail(&parser->tsdl, problem, catalog->text + line->uri_offset);
        return;
    }
    if (kinds[kind].id != 0 || id < LAP_FORMAT_FIRST_SITE_CLASS) {
        /* Their sizes are fixed; those that a later version adds below the sites' would have a kind that is not known. */
        if (kinds[kind].id != id)
            lap_tsdl_fail(&parser->tsdl, "event whose id is not that of its kind", where);
        return;
    }
    if (id < catalog->class_count && catalog->classes[id].kind != LAP_CLASS_NONE) {
        lap_tsdl_fail(&parser->tsdl, "event with an id that another has", where);
        return;
    }
    if (!classes_reserve(parser, id)) {
        lap_tsdl_fail(&parser->tsdl, "no memory", where);
        parser->is_no_memory = true;
        return;
    }
    if (class.flags & LAP_CLASS_NUMBERED)
        description.label = "";
    class.description = catalog->description_count;
    catalog->descriptions[catalog->description_count++] = description;
    catalog->classes[id] = class;
    if (class.flags & LAP_CLASS_FOUND)
        pattern_add(catalog, &class);
    if (id >= catalog->class_count)
        catalog->class_count = id + 1;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static void event_read(struct parser *parser, size_t offset)
{
    struct class_line line = {.offset = offset};
    while (!parser->tsdl.problem && !lap_tsdl_is(&parser->tsdl, "}")) {
        const struct lap_token key = parser->tsdl.token;
        lap_tsdl_next(&parser->tsdl);
        if (lap_tsdl_is(&parser->tsdl, ":") || key.kind != LAP_TOKEN_WORD) {
            lap_tsdl_skip_statement(&parser->tsdl); /* fields := struct ... */
            continue;
        }
        if (!lap_tsdl_expect(&parser->tsdl, "=", "event without a value"))
            return;
        const struct lap_token value = parser->tsdl.token;
        lap_tsdl_next(&parser->tsdl);
        if (parser->tsdl.problem)
            return;
        if (key.length == 2 && memcmp(key.text, "id", 2) == 0 && value.kind == LAP_TOKEN_NUMBER) {
            line.has_id = true;
            line.id = value.number;
        } else if (key.length == 9 && memcmp(key.text, "stream_id", 9) == 0 && value.kind == LAP_TOKEN_NUMBER) {
            line.stream = value.number;
        } else if (key.length == 4 && memcmp(key.text, "name", 4) == 0 && value.kind == LAP_TOKEN_STRING) {
            line.has_name = true;
            line.name = value.text;
        } else if (key.length == 13 && memcmp(key.text, "model.emf.uri", 13) == 0 && value.kind == LAP_TOKEN_STRING) {
            line.has_uri = true;
            line.uri = value.text;
            line.uri_offset = value.offset;
        }
        lap_tsdl_skip_statement(&parser->tsdl);
    }
    if (!parser->tsdl.problem)
        class_add(parser, &line);
}

static void env_set(struct parser *parser, const struct lap_token *key, const struct lap_token *value)
{
    struct lap_catalog *const catalog = parser->catalog;
    const struct {
        const char *name;
        const char **text;
    } texts[] = {{"hostname", &catalog->host},
                 {"program", &catalog->program},
                 {"command", &catalog->command},
                 {"clock_source", &catalog->clock_source}};
    if (value->kind == LAP_TOKEN_NUMBER && key->length == 3 && memcmp(key->text, "pid", 3) == 0)
        catalog->pid = value->number;
    if (value->kind != LAP_TOKEN_STRING)
        return;
    if (key->length == 11 && memcmp(key->text, "tracer_name", 11) == 0)
        parser->is_ours = strcmp(value->text, "lapmark") == 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (key->length == strlen(texts[i].name) && memcmp(key->text, texts[i].name, key->length) == 0)
            *texts[i].text = value->text;
}

static void clock_set(struct parser *parser, const struct lap_token *key, const struct lap_token *value)
{
    struct lap_catalog *const catalog = parser->catalog;
    if (value->kind != LAP_TOKEN_NUMBER)
        return;
    if (key->length == 4 && memcmp(key->text, "freq", 4) == 0)
        catalog->clock_hz = value->number;
    else if (key->length == 8 && memcmp(key->text, "offset_s", 8) == 0)
        catalog->clock_offset_s = value->number;
    else if (key->length == 6 && memcmp(key->text, "offset", 6) == 0)
        catalog->clock_offset_ticks = value->number;
}

/* key = value; ... up to the closing brace. */
static void assignments_read(struct parser *parser,
                             void (*set)(struct parser *, const struct lap_token *, const struct lap_token *))
{
    while (!parser->tsdl.problem && !lap_tsdl_is(&parser->tsdl, "}")) {
        const struct lap_token key = parser->tsdl.token;
        lap_tsdl_next(&parser->tsdl);
        if (key.kind == LAP_TOKEN_WORD && lap_tsdl_is(&parser->tsdl, "=")) {
            lap_tsdl_next(&parser->tsdl);
            const struct lap_token value = parser->tsdl.token;
            if (!parser->tsdl.problem)
                set(parser, &key, &value);
        }
        lap_tsdl_skip_statement(&parser->tsdl);
    }
}

static void top_read(struct parser *parser)
{
    const struct lap_token word = parser->tsdl.token;
    if (word.kind != LAP_TOKEN_WORD) {
        lap_tsdl_fail(&parser->tsdl, lap_reader_error_text(LAP_READER_METADATA), parser->catalog->text + word.offset);
        return;
    }
    const bool is_event = lap_tsdl_is(&parser->tsdl, "event"), is_env = lap_tsdl_is(&parser->tsdl, "env"),
               is_clock = lap_tsdl_is(&parser->tsdl, "clock");
    if (!is_event && !is_env && !is_clock) {
        lap_tsdl_skip_statement(&parser->tsdl); /* trace, stream, typealias: a segment's header is fixed by format.h */
        return;
    }
    if (is_event && !parser->is_ours) {
        lap_tsdl_fail(&parser->tsdl, "written by another tracer", parser->catalog->text + word.offset);
        return;
    }
    lap_tsdl_next(&parser->tsdl);
    if (!lap_tsdl_expect(&parser->tsdl, "{", "block without a brace"))
        return;
    if (is_event)
        event_read(parser, word.offset);
    else
        assignments_read(parser, is_env ? env_set : clock_set);
    if (lap_tsdl_expect(&parser->tsdl, "}", "block without an end"))
        lap_tsdl_expect(&parser->tsdl, ";", "block without a semicolon");
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* Copies the packets' texts one behind the other. Returns 0 or a code; a damaged packet behind the first ends it. */
static int packets_join(struct lap_catalog *catalog, const unsigned char *bytes, size_t size, size_t *ret_length,
                        const char *file, struct lap_reader_error *error)
{
    size_t length = 0, at = 0;
    catalog->text = malloc(size + 1);
    if (!catalog->text)
        return lap_reader_error_set(error, -ENOMEM, file, UINT64_MAX, NULL);
    while (size - at >= PACKET_HEADER_BYTES) {
        const struct packet_header header = packet_header_read(bytes + at);
        const size_t content = header.content_bits / 8, packet = header.packet_bits / 8;
        const char *problem = NULL;
        int code = LAP_READER_METADATA;
        if (header.magic != LAP_FORMAT_METADATA_MAGIC)
            problem = lap_reader_error_text(code);
        else if (header.major != 1 || header.minor != 8 ||
                 (header.compression | header.encryption | header.checksum_scheme) != 0)
            problem = lap_reader_error_text(code = LAP_READER_VERSION);
        else if (content < PACKET_HEADER_BYTES || content > packet || content > size - at)
            problem = "metadata packet with a damaged size";
        else if (at != 0 && memcmp(header.uuid, catalog->uuid, sizeof header.uuid) != 0)
            problem = "metadata packet of another recording";
        if (problem && at == 0)
            return lap_reader_error_set(error, code, file, at, problem);
        if (problem)
            break;
        memcpy(catalog->uuid, header.uuid, sizeof header.uuid);
        memcpy(catalog->text + length, bytes + at + PACKET_HEADER_BYTES, content - PACKET_HEADER_BYTES);
        length += content - PACKET_HEADER_BYTES;
        at += packet < size - at ? packet : size - at;
    }
    if (at == 0)
        return lap_reader_error_set(error, LAP_READER_METADATA, file, 0, NULL);
    catalog->text[length] = 0;
    *ret_length = length;
    return 0;
}

/* The place in the file of an offset in the joined text. */
static uint64_t file_offset(const unsigned char *bytes, size_t size, size_t text_offset)
{
    size_t at = 0;
    while (size - at >= PACKET_HEADER_BYTES) {
        const struct packet_header header = packet_header_read(bytes + at);
        const size_t text = header.content_bits / 8 - PACKET_HEADER_BYTES, packet = header.packet_bits / 8;
        if (text_offset <= text || packet >= size - at)
            break;
        text_offset -= text;
        at += packet;
    }
    return at + PACKET_HEADER_BYTES + text_offset;
}

int lap_catalog_parse(struct lap_catalog *catalog, const void *bytes, size_t size, const char *file, int *ret_partial,
                      struct lap_reader_error *error)
{
    struct lap_catalog result = {.host = "", .program = "", .command = "", .clock_source = ""};
    size_t length = 0;
    *ret_partial = 0;
    if (size > LAP_CATALOG_BYTES_MAX)
        return lap_reader_error_set(error, LAP_READER_LIMIT, file, UINT64_MAX, NULL);
    const int code = packets_join(&result, bytes, size, &length, file, error);
    if (code < 0) {
        lap_catalog_done(&result);
        return code;
    }
    struct parser parser = {.catalog = &result,
                            .tsdl = {.text = result.text, .at = result.text, .end = result.text + length},
                            .class_room = 64,
                            .description_room = 64};
    result.classes = calloc(parser.class_room, sizeof *result.classes);
    result.descriptions = calloc(parser.description_room, sizeof *result.descriptions);
    if (!result.classes || !result.descriptions) {
        lap_catalog_done(&result);
        return lap_reader_error_set(error, -ENOMEM, file, UINT64_MAX, NULL);
    }
    result.class_count = LAP_FORMAT_FIRST_SITE_CLASS;
    result.descriptions[0] = (struct lap_description){.label = "", .file = "", .function = ""};
    result.description_count = 1;
    lap_class_set_fixed(result.classes);

    lap_tsdl_next(&parser.tsdl);
    while (!parser.tsdl.problem && parser.tsdl.token.kind != LAP_TOKEN_END)
        top_read(&parser);
    if (!parser.tsdl.problem && !parser.is_ours)
        lap_tsdl_fail(&parser.tsdl, "written by another tracer", result.text);
    if (parser.tsdl.problem) {
        const int failure = parser.is_no_memory ? -ENOMEM : LAP_READER_METADATA;
        lap_reader_error_set(error, failure, file, file_offset(bytes, size, parser.tsdl.problem_offset),
                             parser.tsdl.problem);
        if (!parser.is_ours || parser.is_no_memory) {
            lap_catalog_done(&result);
            return failure;
        }
        *ret_partial = 1;
    }
    *catalog = result;
    return 0;
}

void lap_catalog_done(struct lap_catalog *catalog)
{
    if (!catalog)
        return;
    free(catalog->classes);
    free(catalog->descriptions);
    free(catalog->text);
    for (uint32_t i = 0; i < catalog->pattern_count; i++)
        free(catalog->patterns[i]);
    free(catalog->patterns);
    *catalog = (struct lap_catalog){0};
}

const struct lap_description *lap_catalog_description(const struct lap_catalog *catalog, uint32_t class_id)
{
    static const struct lap_description empty = {.label = "", .file = "", .function = ""};
    if (class_id >= catalog->class_count)
        return &empty;
    return &catalog->descriptions[catalog->classes[class_id].description];
}

const char *lap_catalog_name(const struct lap_catalog *catalog, uint32_t class_id)
{
    if (class_id == LAP_FORMAT_REST)
        return "(rest)";
    if (class_id >= catalog->class_count || catalog->classes[class_id].kind == LAP_CLASS_NONE)
        return "(unknown)";
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].id == class_id)
            return kinds[i].uri;
    const struct lap_class *const class = &catalog->classes[class_id];
    if (class->flags & LAP_CLASS_FOUND && class->description < catalog->pattern_count &&
        catalog->patterns[class->description])
        return catalog->patterns[class->description];
    return class->flags & LAP_CLASS_NUMBERED ? "(checkpoint)" : catalog->descriptions[class->description].label;
}
