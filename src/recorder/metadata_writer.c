/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "metadata_writer.h"

#include "lapmark/abi.h"
#include "lapmark/format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PACKET_BYTES (1u << 20)
#define NAME_BYTES_MAX 1024u

struct __attribute__((packed)) packet_header {
    uint32_t magic;
    uint8_t uuid[16];
    uint32_t checksum;
    uint32_t content_bits;
    uint32_t packet_bits;
    uint8_t compression, encryption, checksum_scheme, major, minor;
};
static_assert(sizeof(struct packet_header) == 37, "metadata packet header");

struct text {
    char bytes[16384];
    size_t used;
};

static __attribute__((format(printf, 2, 3))) void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text->bytes + text->used, sizeof text->bytes - text->used, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof text->bytes - text->used)
        text->used += (size_t)length;
}

/* Fields, where U stands for uint64_t, W for uint32_t and X for what is shown in hexadecimal: there are many. */
static void text_add_types(struct text *text, const char *fields)
{
    for (; *fields; fields++)
        text_add(text,
                 *fields == 'U'   ? "uint64_t"
                 : *fields == 'W' ? "uint32_t"
                 : *fields == 'X' ? "pointer_t"
                                  : "%c",
                 *fields);
}

/* A TSDL string literal. Bytes that are no text become \xHH, so that no label breaks the metadata. */
static void text_add_string(struct text *text, const char *string)
{
    text_add(text, "\"");
    for (size_t i = 0; string[i] != 0 && i < NAME_BYTES_MAX; i++) {
        const unsigned char byte = (unsigned char)string[i];
        if (byte == '"' || byte == '\\')
            text_add(text, "\\%c", byte);
        else if (byte == '\n')
            text_add(text, "\\n");
        else if (byte == '\t')
            text_add(text, "\\t");
        else if (byte < 0x20 || byte == 0x7f)
            text_add(text, "\\%03o", byte); /* octal ends by itself, \x does not */
        else
            text_add(text, "%c", byte);
    }
    text_add(text, "\"");
}

static void text_add_percent(struct text *text, const char *string)
{
    for (size_t i = 0; string[i] != 0 && i < NAME_BYTES_MAX; i++) {
        const unsigned char byte = (unsigned char)string[i];
        const int is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                             (byte >= '0' && byte <= '9') || strchr("._/~+-", byte) != NULL;
        text_add(text, is_plain ? "%c" : "%%%02X", byte);
    }
}

static int packet_open(struct lap_metadata *metadata)
{
    struct packet_header header = {.magic = LAP_FORMAT_METADATA_MAGIC,
                                   .content_bits = sizeof header * 8,
                                   .packet_bits = PACKET_BYTES * 8,
                                   .major = 1,
                                   .minor = 8};
    memcpy(header.uuid, metadata->uuid, sizeof header.uuid);
    /* In this order: a packet that is longer than its file is read, one without a header is not. */
    const ssize_t written = pwrite(metadata->fd, &header, sizeof header, (off_t)metadata->packet_offset);
    if (written != (ssize_t)sizeof header)
        return written < 0 ? lap_storage_refusal() : -ENOSPC;
    LAP_I_POINT("metadata packet short");
    if (ftruncate(metadata->fd, (off_t)(metadata->packet_offset + PACKET_BYTES)) < 0)
        return lap_storage_refusal();
    metadata->used = sizeof header;
    return 0;
}

static int metadata_append(struct lap_metadata *metadata, const struct text *text)
{
    if (metadata->used + text->used > PACKET_BYTES) {
        const uint64_t previous = metadata->packet_offset;
        metadata->packet_offset += PACKET_BYTES;
        const int error = packet_open(metadata);
        if (error < 0) {
            metadata->packet_offset = previous;
            return error;
        }
    }
    const off_t offset = (off_t)(metadata->packet_offset + metadata->used);
    const ssize_t written = pwrite(metadata->fd, text->bytes, text->used, offset);
    if (written != (ssize_t)text->used)
        return written < 0 ? lap_storage_refusal() : -ENOSPC;
    LAP_I_POINT("metadata without size");
    const uint32_t content_bits = (metadata->used + (uint32_t)text->used) * 8;
    const off_t size_offset = (off_t)(metadata->packet_offset + offsetof(struct packet_header, content_bits));
    if (pwrite(metadata->fd, &content_bits, sizeof content_bits, size_offset) != (ssize_t)sizeof content_bits)
        return -EIO;
    metadata->used += (uint32_t)text->used;
    return 0;
}

static void text_add_trace(struct text *text, const struct lap_metadata_trace *trace)
{
    char uuid[40], *at = uuid;
    for (unsigned i = 0; i < 16; i++)
        at += snprintf(at, 4, i < 4 || i > 10 || i % 2 != 0 ? "%02x" : "-%02x", trace->uuid[i]);
    static const struct {
        uint8_t bits, is_signed, is_hex;
        char name[10];
    } integers[] = {{8, 0, 0, "uint8_t"},
                    {32, 0, 0, "uint32_t"},
                    {64, 0, 0, "uint64_t"},
                    {64, 1, 0, "int64_t"},
                    {64, 0, 1, "pointer_t"}};
    text_add(text, "/* CTF 1.8 */\n");
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        text_add(text, "typealias integer { size = %u; align = %u; signed = %s;%s } := %s;\n", integers[i].bits,
                 integers[i].bits, integers[i].is_signed ? "true" : "false", integers[i].is_hex ? " base = hex;" : "",
                 integers[i].name);
    text_add(text,
             "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 64; } := double_t;\n"
             "trace {\n"
             "\tmajor = 1;\n\tminor = 8;\n\tuuid = \"%s\";\n\tbyte_order = le;\n"
             "\tpacket.header := struct {\n"
             "\t\tuint32_t magic;\n\t\tuint8_t uuid[16];\n\t\tuint32_t stream_id;\n\t\tuint64_t stream_instance_id;\n"
             "\t};\n};\n",
             uuid);
    text_add(text, "env {\n\ttracer_name = \"lapmark\";\n\ttracer_major = %d;\n\ttracer_minor = %d;\n\thostname = ", 0,
             1);
    text_add_string(text, trace->host);
    text_add(text, ";\n\tprogram = ");
    text_add_string(text, trace->program);
    text_add(text, ";\n\tcommand = ");
    text_add_string(text, trace->command);
    text_add(text, ";\n\tpid = %llu;\n};\n", (unsigned long long)trace->pid);

    /* The offset makes the wall clock right at the start; the blanks leave room for a better rate. Without "absolute",
     * readers refuse to merge the clocks of two processes. */
    const struct lap_clock *const clock = trace->clock;
    const uint64_t seconds_of_ticks = clock->start.ticks / clock->hz;
    const uint64_t rest_ns = (uint64_t)((double)(clock->start.ticks % clock->hz) * 1e9 / (double)clock->hz);
    const uint64_t origin_ns = clock->start.realtime_ns - seconds_of_ticks * UINT64_C(1000000000) - rest_ns;
    text_add(text,
             "clock {\n\tname = tsc;\n\tuuid = \"%s\";\n\tdescription = \"%s\";\n\tfreq = %-20llu;\n\toffset_s = %llu;\n"
             "\toffset = %llu;\n\tabsolute = true;\n};\n",
             uuid, clock->source == LAP_FORMAT_CLOCK_MONOTONIC ? "CLOCK_MONOTONIC" : "processor counter",
             (unsigned long long)clock->hz, (unsigned long long)(origin_ns / UINT64_C(1000000000)),
             (unsigned long long)((double)(origin_ns % UINT64_C(1000000000)) * (double)clock->hz / 1e9));
    text_add(text, "stream {\n\tid = 0;\n"
                   "\tevent.header := struct { integer { size = 20; align = 1; signed = false; } id; integer { size = "
                   "44; align = 1; "
                   "signed = false; map = clock.tsc.value; } timestamp; } align(64);\n"
                   "\tpacket.context := struct {\n");
    text_add_types(text,
                   "\t\tU content_size;\n\t\tU packet_size;\n"
                   "\t\tinteger { size = 64; align = 64; signed = false; map = clock.tsc.value; } timestamp_begin;\n"
                   "\t\tU packet_seq_num;\n\t\tU events_discarded;\n\t\tU paused_ticks;\n"
                   "\t\tU thread_id;\n\t\tU thread_index;\n"
                   "\t\tU clock_ticks;\n\t\tU clock_monotonic_ns;\n\t\tU clock_realtime_ns;\n");
    text_add(text,
             "\t\tinteger { size = 8; align = 8; signed = false; encoding = UTF8; } thread_name[%u];\n"
             "\t};\n};\n",
             LAP_FORMAT_THREAD_NAME_BYTES);
}

static void text_add_fixed_classes(struct text *text)
{
    static const uint8_t ids[] = {LAP_FORMAT_END,        LAP_FORMAT_ABANDONED, LAP_FORMAT_PAUSE, LAP_FORMAT_OPEN,
                                  LAP_FORMAT_HANDLE_END, LAP_FORMAT_THREAD,    LAP_FORMAT_SERVE, LAP_FORMAT_REPLY,
                                  LAP_FORMAT_LINK,       LAP_FORMAT_PEER_LAP};
    /* Of each its name and its fields. */
    static const char fixed[] =
        "end\0\0"
        "abandoned\0U count; \0"
        "pause\0U ticks; \0"
        "open\0"
        "U size; U begin_ticks; U begin_paused; U last_ticks; U threshold_ns; int64_t n; "
        "W class_id; W depth; W marks; W flags; W path; W reserved; string message; "
        "U tail; \0"
        "handle_end\0U handle; U lap_ticks; U total_ticks; W path; W marks; \0"
        "thread\0U size; U thread_id; U thread_index; string name; U tail; \0"
        "serve\0U handle; X trace_id_high; X trace_id_low; X span_id; U sent_ticks; U received_ticks; X peer_domain; \0"
        "reply\0U handle; X span_id; U replied_ticks; \0"
        "link\0U handle; X own_span_id; X trace_id_high; X trace_id_low; X span_id; W relation; W path; \0"
        "peer_lap\0U size; U handle; X span_id; U sum_ns; W count; W number; string label; U tail; ";
    const char *name = fixed;
    for (size_t i = 0; i < sizeof ids; i++) {
        const char *const fields = name + strlen(name) + 1;
        text_add(
            text,
            "event { name = \"lapmark:%s\"; id = %u; stream_id = 0; model.emf.uri = \"lapmark:%s\"; fields := struct { ",
            name, ids[i], name);
        text_add_types(text, fields);
        text_add(text, "}; };\n");
        name = fields + strlen(fields) + 1;
    }
}

int lap_metadata_open(struct lap_metadata *metadata, const struct lap_storage *storage,
                      const struct lap_metadata_trace *trace)
{
    metadata->fd = lap_storage_create(storage, ".metadata", 0);
    if (metadata->fd < 0)
        return metadata->fd;
    metadata->packet_offset = 0;
    memcpy(metadata->uuid, trace->uuid, sizeof metadata->uuid);
    struct text text = {.used = 0};
    text_add_trace(&text, trace);
    text_add_fixed_classes(&text);
    int error = packet_open(metadata);
    if (error == 0)
        error = metadata_append(metadata, &text);
    LAP_I_POINT("metadata without name");
    if (error == 0)
        error = lap_storage_rename(storage, ".metadata", "metadata"); /* whoever sees the name can read the file */
    if (error == 0)
        lap_storage_link(storage, "metadata", "metadata");
    else
        lap_metadata_done(metadata);
    return error;
}

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case LAP_CLASS_MARK: return "mark";
    case LAP_CLASS_BEGIN: return "begin";
    case LAP_CLASS_BEGIN_WITH: return "begin_with";
    case LAP_CLASS_HANDLE_BEGIN: return "handle_begin";
    case LAP_CLASS_CALL: return "call";
    default: return "handle_mark";
    }
}

static void text_add_fields(struct text *text, const struct lap_class *class, const struct lap_description *description)
{
    static const char type_names[16][10] = {[LAP_IMPL_TYPE_I64] = "int64_t",
                                            [LAP_IMPL_TYPE_U64] = "uint64_t",
                                            [LAP_IMPL_TYPE_F64] = "double_t",
                                            [LAP_IMPL_TYPE_POINTER] = "pointer_t"};
    if (class->words == 0)
        text_add(text, "uint64_t size; ");
    if (class->kind == LAP_CLASS_BEGIN_WITH)
        text_add_types(text, "U threshold_ns; int64_t n; U parent; W path; W flags; ");
    else if (class->kind == LAP_CLASS_HANDLE_BEGIN)
        text_add_types(text, "U handle; U threshold_ns; int64_t n; U parent; W path; W flags; ");
    else if (class->kind == LAP_CLASS_HANDLE_MARK)
        text_add_types(text, "U handle; U lap_ticks; W path; W number; ");
    else if (class->kind == LAP_CLASS_CALL)
        text_add_types(
            text,
            "U handle; X trace_id_high; X trace_id_low; X span_id; U sent_ticks; U received_ticks; U replied_ticks; "
            "U got_ticks; X peer_domain; W peer_khz; W queue_us; W path; W number; W flags; W reserved; ");
    if (class->flags & LAP_CLASS_N) /* two fields of one name would make readers refuse all of it */
        text_add(text, lap_class_has_n((enum lap_class_kind) class->kind) ? "int64_t label_n; " : "int64_t n; ");
    for (unsigned i = 0; i < class->args; i++) {
        const char *const name = type_names[description->types >> (4 * i) & 15];
        if (*name)
            text_add(text, "%s a%u; ", name, i);
    }
    for (unsigned i = 0; i < class->args; i++)
        if ((description->types >> (4 * i) & 15) == LAP_IMPL_TYPE_STRING)
            text_add(text, "string a%u; ", i);
    if (class->flags & LAP_CLASS_TEXT)
        text_add(text, "string text; ");
    if (class->words == 0)
        text_add(text, "uint64_t tail; ");
}

int lap_metadata_add(struct lap_metadata *metadata, uint32_t id, const struct lap_class *class,
                     const struct lap_description *description)
{
    struct text text = {.used = 0};
    text_add(&text, "event { name = ");
    if (class->flags & LAP_CLASS_NUMBERED)
        text_add_string(&text, "(checkpoint)");
    else
        text_add_string(&text, class->flags & LAP_CLASS_TEXT ? "(run-time label)" : description->label);
    text_add(&text, "; id = %u; stream_id = 0; model.emf.uri = \"lapmark:%s?flags=%u&types=", id, kind_name(class->kind),
             class->flags | (description->is_text ? 16u : 0u));
    for (unsigned i = 0; i < class->args; i++)
        text_add(&text, "%c", "?iufp???s???????"[description->types >> (4 * i) & 15]);
    text_add(&text, "&line=%u&function=", description->line);
    text_add_percent(&text, description->function);
    text_add(&text, "&file=");
    text_add_percent(&text, description->file);
    text_add(&text, "\"; fields := struct { ");
    text_add_fields(&text, class, description);
    text_add(&text, "}; };\n");
    return metadata_append(metadata, &text);
}

void lap_metadata_done(struct lap_metadata *metadata)
{
    if (metadata->fd >= 0)
        close(metadata->fd);
    metadata->fd = -1;
}
