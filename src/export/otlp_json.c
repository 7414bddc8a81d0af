/* SPDX-License-Identifier: MIT
 *
 * OTLP as JSON Lines: each line is a TracesData, and an ExportTraceServiceRequest. Ids are hexadecimal digits, enumerations are numbers and
 * numbers of 64 bits are texts: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and, of files,
 * https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/.
 */
#include "json_text.h"
#include "otlp.h"

#include <string.h>

static char *put(char *at, const char *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

static char *hexadecimal_put(char *at, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[value >> shift & 15];
    return at;
}

static char *ids_put(char *at, const struct lap_span_id *id)
{
    at = hexadecimal_put(hexadecimal_put(LAP_JSON_TEXT(at, "{\"traceId\":\""), id->trace_high), id->trace_low);
    at = hexadecimal_put(LAP_JSON_TEXT(at, "\",\"spanId\":\""), id->span);
    return LAP_JSON_TEXT(at, "\"");
}

/* ---- attributes, each with a comma behind it ------------------------------------------------------------------------- */

static char *see_text(char *at, enum lap_otlp_place place, const char *key, const char *value, size_t bytes)
{
    (void)place;
    at = put(LAP_JSON_TEXT(at, "{\"key\":\""), key, strlen(key));
    at = lap_json_string(LAP_JSON_TEXT(at, "\",\"value\":{\"stringValue\":"), value, bytes);
    return LAP_JSON_TEXT(at, "}},");
}

static char *see_number(char *at, enum lap_otlp_place place, const char *key, int64_t value)
{
    (void)place;
    at = put(LAP_JSON_TEXT(at, "{\"key\":\""), key, strlen(key));
    at = lap_json_int(LAP_JSON_TEXT(at, "\",\"value\":{\"intValue\":\""), value);
    return LAP_JSON_TEXT(at, "\"}},");
}

static char *see_truth(char *at, enum lap_otlp_place place, const char *key)
{
    (void)place;
    at = put(LAP_JSON_TEXT(at, "{\"key\":\""), key, strlen(key));
    return LAP_JSON_TEXT(at, "\",\"value\":{\"boolValue\":true}},");
}

/* Without the comma behind its last member. */
static char *list_close(char *at)
{
    at -= at[-1] == ',';
    return LAP_JSON_TEXT(at, "]");
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static char *event_put(char *at, const struct lap_otlp_entry *entry)
{
    at = lap_json_uint(LAP_JSON_TEXT(at, "{\"timeUnixNano\":\""), entry->time_ns);
    at = lap_json_string(LAP_JSON_TEXT(at, "\",\"name\":"), lap_otlp_entry_name(entry), entry->name_bytes);
    at = LAP_JSON_TEXT(at, ",\"attributes\":[");
    at = see_number(at, LAP_OTLP_OF_EVENT, entry->kind == LAP_OTLP_PAUSE ? "lapmark.pause_ns" : "lapmark.lap_ns",
                    (int64_t)entry->took_ns);
    if (entry->has_n)
        at = see_number(at, LAP_OTLP_OF_EVENT, "lapmark.n", entry->n);
    if (entry->message_bytes > 0)
        at = see_text(at, LAP_OTLP_OF_EVENT, "lapmark.message", lap_otlp_entry_message(entry), entry->message_bytes);
    if (entry->thread != 0)
        at = see_number(at, LAP_OTLP_OF_EVENT, "thread.id", (int64_t)entry->thread);
    return LAP_JSON_TEXT(list_close(at), "},");
}

static char *link_put(char *at, const struct lap_otlp_entry *entry)
{
    const char *const relation = lap_otlp_relation(entry);
    at = LAP_JSON_TEXT(ids_put(at, &entry->other), ",\"attributes\":[");
    at = see_text(at, LAP_OTLP_OF_LINK, "lapmark.relation", relation, strlen(relation));
    return LAP_JSON_TEXT(list_close(at), "},");
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
        at = entries_put(LAP_JSON_TEXT(at, ",\"events\":["), kept, false);
    if (kept->dropped_events > 0)
        at = lap_json_uint(LAP_JSON_TEXT(at, ",\"droppedEventsCount\":"), kept->dropped_events);
    if (kept->links > 0)
        at = entries_put(LAP_JSON_TEXT(at, ",\"links\":["), kept, true);
    if (kept->dropped_links > 0)
        at = lap_json_uint(LAP_JSON_TEXT(at, ",\"droppedLinksCount\":"), kept->dropped_links);
    return at;
}

static char *see_span(char *at, const struct lap_otlp_span *span)
{
    at = ids_put(at, &span->id);
    if (span->parent != 0)
        at = LAP_JSON_TEXT(hexadecimal_put(LAP_JSON_TEXT(at, ",\"parentSpanId\":\""), span->parent), "\"");
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"flags\":"), span->flags);
    at = lap_json_string(LAP_JSON_TEXT(at, ",\"name\":"), span->name.text, span->name.bytes);
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"kind\":"), span->kind);
    at = lap_json_uint(LAP_JSON_TEXT(at, ",\"startTimeUnixNano\":\""), span->begin_ns);
    at = lap_json_uint(LAP_JSON_TEXT(at, "\",\"endTimeUnixNano\":\""), span->end_ns);
    at = put(LAP_JSON_TEXT(at, "\",\"attributes\":["), span->attributes.bytes, span->attributes.count);
    at = list_close(at);
    if (span->kept)
        at = kept_put(at, span->kept);
    return LAP_JSON_TEXT(at, ",\"status\":{\"code\":0}},");
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
