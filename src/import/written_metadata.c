/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "written_metadata.h"

#include "temporary_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 37u
#define PACKET_TEXT_BYTES (1u << 20) /* a packet is ended by the block that passes this */
#define IS_TEXT 16u                  /* in a URI: the name is no format */
#define FOUND 32u                    /* its arguments are numbers that were found in a text */
#define STORED 2u                    /* the event carries its label */

static void string_put(FILE *out, const char *text, size_t bytes)
{
    putc('"', out);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            fprintf(out, "\\%03o", byte);
        else
            putc(byte, out);
    }
    putc('"', out);
}

static void head_put(FILE *out, const struct lap_written_process *process, const struct lap_written_facts *facts)
{
    static const char widths[][3][10] = {{"8", "false", "uint8_t"},
                                         {"32", "false", "uint32_t"},
                                         {"64", "false", "uint64_t"},
                                         {"64", "true", "int64_t"},
                                         {"64", "false", "pointer_t"}};
    char uuid[40], *at = uuid;
    for (unsigned i = 0; i < 16; i++)
        at += snprintf(at, 4, i < 4 || i > 10 || i % 2 != 0 ? "%02x" : "-%02x", process->uuid[i]);
    fputs("/* CTF 1.8 */\n", out);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        fprintf(out, "typealias integer { size = %s; align = %s; signed = %s; } := %s;\n", widths[i][0], widths[i][0],
                widths[i][1], widths[i][2]);
    fprintf(
        out,
        "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 64; } := double_t;\n"
        "trace { major = 1; minor = 8; uuid = \"%s\"; byte_order = le; packet.header := struct { uint32_t magic; uint8_t "
        "uuid[16]; uint32_t stream_id; uint64_t stream_instance_id; }; };\n"
        "env { tracer_name = \"lapmark\"; tracer_major = 0; tracer_minor = 1; hostname = \"\"; program = ",
        uuid);
    string_put(out, facts->program, strlen(facts->program));
    fputs("; command = ", out);
    string_put(out, facts->command, strlen(facts->command));
    fprintf(out,
            "; pid = %" PRIu64 "; };\n"
            "clock { name = tsc; uuid = \"%s\"; description = \"of another tool\"; freq = 1000000000; offset_s = %" PRIu64
            "; offset = %" PRIu64 "; absolute = true; };\n",
            facts->pid, uuid, process->origin_realtime_ns / 1000000000u, process->origin_realtime_ns % 1000000000u);
    fputs(
        "stream { id = 0; event.header := struct { integer { size = 20; align = 1; signed = false; } id; integer { size "
        "= 44; "
        "align = 1; signed = false; map = clock.tsc.value; } timestamp; } align(64); packet.context := struct { uint64_t "
        "content_size; uint64_t packet_size; integer { size = 64; align = 64; signed = false; map = clock.tsc.value; } "
        "timestamp_begin; uint64_t packet_seq_num; uint64_t events_discarded; uint64_t paused_ticks; uint64_t thread_id; "
        "uint64_t thread_index; uint64_t clock_ticks; uint64_t clock_monotonic_ns; uint64_t clock_realtime_ns; integer { "
        "size = 8; align = 8; signed = false; encoding = UTF8; } thread_name[32]; }; };\n",
        out);
    fputs("event { name = \"lapmark:end\"; id = 1; stream_id = 0; model.emf.uri = \"lapmark:end\"; fields := struct { }; "
          "};\n"
          "event { name = \"lapmark:open\"; id = 4; stream_id = 0; model.emf.uri = \"lapmark:open\"; fields := struct { "
          "uint64_t "
          "size; uint64_t begin_ticks; uint64_t begin_paused; uint64_t last_ticks; uint64_t threshold_ns; int64_t n; "
          "uint32_t "
          "class_id; uint32_t depth; uint32_t marks; uint32_t flags; uint32_t path; uint32_t reserved; string message; "
          "uint64_t "
          "tail; }; };\n"
          "event { name = \"lapmark:handle_end\"; id = 5; stream_id = 0; model.emf.uri = \"lapmark:handle_end\"; fields "
          ":= struct "
          "{ uint64_t handle; uint64_t lap_ticks; uint64_t total_ticks; uint32_t path; uint32_t marks; }; };\n",
          out);
}

static void class_put(FILE *out, const struct lap_foreign_classes *classes, uint32_t id)
{
    static const char *const kinds[LAP_FOREIGN_USES] = {"begin_with", "handle_begin", "handle_mark"};
    static const char *const fields[LAP_FOREIGN_USES] = {
        "uint64_t threshold_ns; int64_t n; uint64_t parent; uint32_t path; uint32_t flags; ",
        "uint64_t handle; uint64_t threshold_ns; int64_t n; uint64_t parent; uint32_t path; uint32_t flags; ",
        "uint64_t handle; uint64_t lap_ticks; uint32_t path; uint32_t number; "};
    const struct lap_foreign_class *const class = lap_foreign_class_of(classes, id);
    const bool is_plain = class->use == LAP_FOREIGN_AS_SCOPE && !class->has_n;
    const bool is_text = class->form == LAP_FOREIGN_BY_TEXT;
    size_t bytes = 16;
    const char *const label = is_text ? "(run-time label)"
                              : class->form == LAP_FOREIGN_BY_FORMAT
                                  ? lap_foreign_texts_get(&classes->formats, class->text, &bytes)
                                  : lap_foreign_texts_get(&classes->trace->names, class->text, &bytes);
    fputs("event { name = ", out);
    string_put(out, label, bytes);
    fprintf(out,
            "; id = %" PRIu32
            "; stream_id = 0; model.emf.uri = \"lapmark:%s?flags=%u&types=%.*s&line=0&function=&file=\"; "
            "fields := struct { %s%s",
            id, is_plain ? "begin" : kinds[class->use],
            is_text                                ? STORED
            : class->form == LAP_FOREIGN_BY_FORMAT ? FOUND
                                                   : IS_TEXT,
            (int)class->numbers, "iiiiiiiiiiii", is_text ? "uint64_t size; " : "", is_plain ? "" : fields[class->use]);
    for (unsigned i = 0; i < class->numbers; i++)
        fprintf(out, "int64_t a%u; ", i);
    fputs(is_text ? "string text; uint64_t tail; }; };\n" : "}; };\n", out);
}

/* A packet's header around the text that stands behind `from`, where room was left for it. */
static void packet_end(char *bytes, size_t from, size_t to, const uint8_t *uuid)
{
    const uint32_t magic = LAP_FORMAT_METADATA_MAGIC, bits = (uint32_t)(to - from) * 8;
    memset(bytes + from, 0, HEADER_BYTES);
    memcpy(bytes + from, &magic, 4);
    memcpy(bytes + from + 4, uuid, 16);
    memcpy(bytes + from + 24, &bits, 4);
    memcpy(bytes + from + 28, &bits, 4);
    bytes[from + 35] = 1;
    bytes[from + 36] = 8;
}

static void packets_put(FILE *out, char **bytes, const struct lap_written_process *process,
                        const struct lap_written_facts *facts)
{
    const struct lap_foreign_classes *const classes = process->layout->classes;
    char room[HEADER_BYTES] = {0};
    size_t from = 0;
    fwrite(room, sizeof room, 1, out);
    head_put(out, process, facts);
    for (uint32_t i = 0; i < classes->count; i++) {
        class_put(out, classes, LAP_FORMAT_FIRST_SITE_CLASS + i);
        const size_t to = (size_t)ftell(out);
        if (to - from > PACKET_TEXT_BYTES && fflush(out) == 0) {
            packet_end(*bytes, from, to, process->uuid);
            from = to;
            fwrite(room, sizeof room, 1, out);
        }
    }
    const size_t to = (size_t)ftell(out);
    if (fflush(out) == 0)
        packet_end(*bytes, from, to, process->uuid);
}

int lap_written_metadata(const struct lap_written_process *process, const struct lap_written_facts *facts)
{
    char *bytes = NULL, *path;
    size_t count = 0;
    FILE *const out = open_memstream(&bytes, &count);
    if (!out)
        return -ENOMEM;
    packets_put(out, &bytes, process, facts);
    const bool is_whole = !ferror(out);
    int code = fclose(out) == 0 && is_whole ? 0 : -ENOMEM;
    if (code == 0 && asprintf(&path, "%s/metadata", process->directory) < 0)
        code = -ENOMEM;
    if (code == 0) {
        code = lap_temporary_file(path, bytes, count);
        free(path);
    }
    free(bytes);
    return code;
}
