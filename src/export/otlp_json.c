/* SPDX-License-Identifier: MIT
 *
 * OTLP as JSON Lines: each line is a TracesData, and an ExportTraceServiceRequest. Ids are hexadecimal digits, enumerations are numbers and
 * numbers of 64 bits are texts: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and, of files,
 * https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/.
 */
#include "otlp.h"

#include <string.h>

static char *put(char *at, const char *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}
#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

/* Texts come without control characters. */
static char *text_put(char *at, const char *text, size_t bytes)
{
    *at++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"' || text[i] == '\\')
            *at++ = '\\';
        *at++ = text[i];
    }
    *at++ = '"';
    return at;
}

static char *unsigned_put(char *at, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *signed_put(char *at, int64_t value)
{
    if (value < 0)
        *at++ = '-';
    return unsigned_put(at, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static char *hexadecimal_put(char *at, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[value >> shift & 15];
    return at;
}

static char *ids_put(char *at, const struct lap_span_id *id)
{
    at = hexadecimal_put(hexadecimal_put(PUT(at, "{\"traceId\":\""), id->trace_high), id->trace_low);
    at = hexadecimal_put(PUT(at, "\",\"spanId\":\""), id->span);
    return PUT(at, "\"");
}

/* ---- attributes, each with a comma behind it ------------------------------------------------------------------------- */

static char *see_text(char *at, enum lap_otlp_place place, const char *key, const char *value, size_t bytes)
{
    (void)place;
    at = put(PUT(at, "{\"key\":\""), key, strlen(key));
    at = text_put(PUT(at, "\",\"value\":{\"stringValue\":"), value, bytes);
    return PUT(at, "}},");
}

static char *see_number(char *at, enum lap_otlp_place place, const char *key, int64_t value)
{
    (void)place;
    at = put(PUT(at, "{\"key\":\""), key, strlen(key));
    at = signed_put(PUT(at, "\",\"value\":{\"intValue\":\""), value);
    return PUT(at, "\"}},");
}

static char *see_truth(char *at, enum lap_otlp_place place, const char *key)
{
    (void)place;
    at = put(PUT(at, "{\"key\":\""), key, strlen(key));
    return PUT(at, "\",\"value\":{\"boolValue\":true}},");
}

/* Without the comma behind its last member. */
static char *list_close(char *at)
{
    at -= at[-1] == ',';
    return PUT(at, "]");
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static char *event_put(char *at, const struct lap_otlp_entry *entry)
{
    at = unsigned_put(PUT(at, "{\"timeUnixNano\":\""), entry->time_ns);
    at = text_put(PUT(at, "\",\"name\":"), lap_otlp_entry_name(entry), entry->name_bytes);
    at = PUT(at, ",\"attributes\":[");
    at = see_number(at, LAP_OTLP_OF_EVENT, entry->kind == LAP_OTLP_PAUSE ? "lapmark.pause_ns" : "lapmark.lap_ns",
                    (int64_t)entry->took_ns);
    if (entry->has_n)
        at = see_number(at, LAP_OTLP_OF_EVENT, "lapmark.n", entry->n);
    if (entry->message_bytes > 0)
        at = see_text(at, LAP_OTLP_OF_EVENT, "lapmark.message", lap_otlp_entry_message(entry), entry->message_bytes);
    if (entry->thread != 0)
        at = see_number(at, LAP_OTLP_OF_EVENT, "thread.id", (int64_t)entry->thread);
    return PUT(list_close(at), "},");
}

static char *link_put(char *at, const struct lap_otlp_entry *entry)
{
    const char *const relation = lap_otlp_relation(entry);
    at = PUT(ids_put(at, &entry->other), ",\"attributes\":[");
    at = see_text(at, LAP_OTLP_OF_LINK, "lapmark.relation", relation, strlen(relation));
    return PUT(list_close(at), "},");
}

static char *entries_put(char *at, const struct lap_otlp_kept *kept, bool are_links)
{
    const struct lap_otlp_entry *entry = lap_otlp_entry_at(kept, 0);
    for (; entry; entry = lap_otlp_entry_next(kept, entry))
        if (lap_otlp_is_link(entry) == are_links)
            at = are_links ? link_put(at, entry) : event_put(at, entry);
    return list_close(at);
}

static char *kept_put(char *at, const struct lap_otlp_kept *kept)
{
    if (kept->events > 0)
        at = entries_put(PUT(at, ",\"events\":["), kept, false);
    if (kept->dropped_events > 0)
        at = unsigned_put(PUT(at, ",\"droppedEventsCount\":"), kept->dropped_events);
    if (kept->links > 0)
        at = entries_put(PUT(at, ",\"links\":["), kept, true);
    if (kept->dropped_links > 0)
        at = unsigned_put(PUT(at, ",\"droppedLinksCount\":"), kept->dropped_links);
    return at;
}

static char *see_span(char *at, const struct lap_otlp_span *span)
{
    at = ids_put(at, &span->id);
    if (span->parent != 0)
        at = PUT(hexadecimal_put(PUT(at, ",\"parentSpanId\":\""), span->parent), "\"");
    at = unsigned_put(PUT(at, ",\"flags\":"), span->flags);
    at = text_put(PUT(at, ",\"name\":"), span->name.text, span->name.bytes);
    at = unsigned_put(PUT(at, ",\"kind\":"), span->kind);
    at = unsigned_put(PUT(at, ",\"startTimeUnixNano\":\""), span->begin_ns);
    at = unsigned_put(PUT(at, "\",\"endTimeUnixNano\":\""), span->end_ns);
    at = put(PUT(at, "\",\"attributes\":["), span->attributes.bytes, span->attributes.count);
    at = list_close(at);
    if (span->kept)
        at = kept_put(at, span->kept);
    return PUT(at, ",\"status\":{\"code\":0}},");
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

static void see_message(struct lap_out *out, struct lap_otlp_bytes resource, struct lap_otlp_bytes spans)
{
    lap_out_text(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    lap_out_write(out, resource.bytes, resource.count - 1);
    lap_out_text(out,
                 "]},\"scopeSpans\":[{\"scope\":{\"name\":\"lapmark\",\"version\":\"" LAPMARK_VERSION "\"},\"spans\":[");
    lap_out_write(out, spans.bytes, spans.count - 1);
    lap_out_text(out, "]}],\"schemaUrl\":\"" LAP_OTLP_SCHEMA "\"}]}\n");
}

const struct lap_otlp_encoding lap_otlp_json = {
    .text = see_text, .number = see_number, .truth = see_truth, .span = see_span, .message = see_message};
