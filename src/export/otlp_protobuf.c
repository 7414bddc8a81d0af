/* SPDX-License-Identifier: MIT
 *
 * OTLP as protocol buffers. The file is one TracesData, which on the wire is an ExportTraceServiceRequest, too: both have nothing but
 * resource_spans = 1, of which there is one for each batch. So a part of the file that begins and ends with those is a message as well.
 */
#include "otlp.h"
#include "protobuf.h"

enum { RESOURCE_SPANS = 1 };
enum { RESOURCE = 1, SCOPE_SPANS = 2, SCHEMA_URL = 3 };
enum { SCOPE = 1, SPANS = 2 };
enum {
    TRACE_ID = 1,
    SPAN_ID = 2,
    PARENT_SPAN_ID = 4,
    NAME = 5,
    KIND = 6,
    BEGIN_NS = 7,
    END_NS = 8,
    EVENTS = 11,
    DROPPED_EVENTS = 12,
    LINKS = 13,
    DROPPED_LINKS = 14,
    STATUS = 15,
    FLAGS = 16
};
enum { KEY = 1, VALUE = 2, TEXT = 1, TRUTH = 2, NUMBER = 3 };
enum { WIRE_FIXED32 = 5 };

static const uint8_t field_of_place[] = {
    [LAP_OTLP_OF_RESOURCE] = 1, [LAP_OTLP_OF_EVENT] = 3, [LAP_OTLP_OF_LINK] = 4, [LAP_OTLP_OF_SPAN] = 9};

/* Length bytes come before a message whose length is known behind it: three of them, as a span is below 2 MiB. */
static uint8_t *span_open(uint8_t *at, uint8_t **ret_length)
{
    at = lap_pb_tag(at, SPANS, LAP_PB_BYTES);
    *ret_length = at;
    return at + 3;
}
static uint8_t *span_close(uint8_t *at, uint8_t *length)
{
    const size_t bytes = (size_t)(at - length) - 3;
    length[0] = (uint8_t)(bytes | 128);
    length[1] = (uint8_t)(bytes >> 7 | 128);
    length[2] = (uint8_t)(bytes >> 14);
    return at;
}

/* ---- attributes ---------------------------------------------------------------------------------------------------- */

static inline uint8_t *attribute_open(uint8_t *at, enum lap_otlp_place place, const char *key, size_t key_bytes,
                                      uint8_t **ret_length)
{
    at = lap_pb_tag(at, field_of_place[place], LAP_PB_BYTES);
    *ret_length = at++;
    return lap_pb_bytes(at, KEY, key, key_bytes);
}

/* Keys are short: with a number one byte says how long both are. */
static inline uint8_t *number_put(uint8_t *at, enum lap_otlp_place place, const char *key, size_t key_bytes,
                                  uint32_t type, int64_t value)
{
    uint8_t *length;
    at = attribute_open(at, place, key, key_bytes, &length);
    uint8_t *const inner = lap_pb_tag(at, VALUE, LAP_PB_BYTES);
    at = lap_pb_int(inner + 1, type, value);
    *inner = (uint8_t)(at - inner - 1);
    *length = (uint8_t)(at - length - 1);
    return at;
}

static inline size_t varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    for (; value >= 128; value >>= 7)
        bytes++;
    return bytes;
}

static inline uint8_t *text_put(uint8_t *at, enum lap_otlp_place place, const char *key, size_t key_bytes,
                                const char *value, size_t bytes)
{
    const size_t inner = 1 + varint_bytes(bytes) + bytes;
    const size_t all = 2 + key_bytes + 1 + varint_bytes(inner) + inner;
    at = lap_pb_varint(lap_pb_tag(at, field_of_place[place], LAP_PB_BYTES), all);
    at = lap_pb_bytes(at, KEY, key, key_bytes);
    at = lap_pb_varint(lap_pb_tag(at, VALUE, LAP_PB_BYTES), inner);
    return lap_pb_bytes(at, TEXT, value, bytes);
}

static char *see_text(char *at, enum lap_otlp_place place, const char *key, const char *value, size_t bytes)
{
    return (char *)text_put((uint8_t *)at, place, key, strlen(key), value, bytes);
}

static char *see_number(char *at, enum lap_otlp_place place, const char *key, int64_t value)
{
    return (char *)number_put((uint8_t *)at, place, key, strlen(key), NUMBER, value);
}

static char *see_truth(char *at, enum lap_otlp_place place, const char *key)
{
    return (char *)number_put((uint8_t *)at, place, key, strlen(key), TRUTH, 1);
}

#define NUMBER_PUT(at, key, value) number_put(at, LAP_OTLP_OF_EVENT, key, sizeof(key) - 1, NUMBER, value)
#define TEXT_PUT(at, place, key, value, bytes) text_put(at, place, key, sizeof(key) - 1, value, bytes)

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static inline uint8_t *big_endian_put(uint8_t *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *id_put(uint8_t *at, uint32_t field, uint64_t span)
{
    at = lap_pb_tag(at, field, LAP_PB_BYTES);
    *at++ = 8;
    return big_endian_put(at, span);
}

static inline uint8_t *ids_put(uint8_t *at, const struct lap_span_id *id)
{
    at = lap_pb_tag(at, TRACE_ID, LAP_PB_BYTES);
    *at++ = 16;
    at = big_endian_put(big_endian_put(at, id->trace_high), id->trace_low);
    return id_put(at, SPAN_ID, id->span);
}

static uint8_t *event_put(uint8_t *at, const struct lap_otlp_entry *entry)
{
    uint8_t *event;
    at = lap_pb_open(at, EVENTS, &event);
    at = lap_pb_fixed64(at, 1, entry->time_ns);
    at = lap_pb_bytes(at, 2, lap_otlp_entry_name(entry), entry->name_bytes);
    if (entry->kind == LAP_OTLP_PAUSE)
        at = NUMBER_PUT(at, "lapmark.pause_ns", (int64_t)entry->took_ns);
    else
        at = NUMBER_PUT(at, "lapmark.lap_ns", (int64_t)entry->took_ns);
    if (entry->has_n)
        at = NUMBER_PUT(at, "lapmark.n", entry->n);
    if (entry->message_bytes > 0)
        at = TEXT_PUT(at, LAP_OTLP_OF_EVENT, "lapmark.message", lap_otlp_entry_message(entry), entry->message_bytes);
    if (entry->thread != 0)
        at = NUMBER_PUT(at, "thread.id", (int64_t)entry->thread);
    return lap_pb_close(at, event);
}

static uint8_t *link_put(uint8_t *at, const struct lap_otlp_entry *entry)
{
    const char *const relation = lap_otlp_relation(entry);
    uint8_t *link;
    at = ids_put(lap_pb_open(at, LINKS, &link), &entry->other);
    at = TEXT_PUT(at, LAP_OTLP_OF_LINK, "lapmark.relation", relation, strlen(relation));
    return lap_pb_close(at, link);
}

static uint8_t *kept_put(uint8_t *at, const struct lap_otlp_kept *kept)
{
    const struct lap_otlp_entry *entry = lap_otlp_entry_at(kept, 0);
    for (; entry; entry = lap_otlp_entry_next(kept, entry))
        at = lap_otlp_is_link(entry) ? link_put(at, entry) : event_put(at, entry);
    if (kept->dropped_events > 0)
        at = lap_pb_uint(at, DROPPED_EVENTS, kept->dropped_events);
    if (kept->dropped_links > 0)
        at = lap_pb_uint(at, DROPPED_LINKS, kept->dropped_links);
    return at;
}

static uint8_t *flags_put(uint8_t *at, uint32_t flags)
{
    at = lap_pb_varint(at, FLAGS << 3 | WIRE_FIXED32);
    memcpy(at, &flags, sizeof flags);
    return at + sizeof flags;
}

/* Its zero is written, as some receivers show what is there and take nothing as given. */
static const uint8_t status_unset[] = {3 << 3 | LAP_PB_VARINT, 0};

static char *see_span(char *to, const struct lap_otlp_span *span)
{
    uint8_t *length, *at = span_open((uint8_t *)to, &length);
    at = ids_put(at, &span->id);
    if (span->parent != 0)
        at = id_put(at, PARENT_SPAN_ID, span->parent);
    at = lap_pb_bytes(at, NAME, span->name.text, span->name.bytes);
    at = lap_pb_uint(at, KIND, span->kind);
    at = lap_pb_fixed64(lap_pb_fixed64(at, BEGIN_NS, span->begin_ns), END_NS, span->end_ns);
    memcpy(at, span->attributes.bytes, span->attributes.count);
    at += span->attributes.count;
    if (span->kept)
        at = kept_put(at, span->kept);
    at = lap_pb_bytes(at, STATUS, status_unset, sizeof status_unset);
    at = flags_put(at, span->flags);
    return (char *)span_close(at, length);
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

static void see_message(struct lap_out *out, struct lap_otlp_bytes resource, struct lap_otlp_bytes spans)
{
    static const char scope[] = "\x0a\x07lapmark\x12"; /* name = 1, version = 2 */
    uint8_t head[128], *at, tail[128];
    uint8_t of_scope[64];
    memcpy(of_scope, scope, sizeof scope - 1);
    at = of_scope + sizeof scope - 1;
    *at++ = sizeof LAPMARK_VERSION - 1;
    memcpy(at, LAPMARK_VERSION, sizeof LAPMARK_VERSION - 1);
    const size_t scope_bytes = (size_t)(at - of_scope) + sizeof LAPMARK_VERSION - 1;
    const size_t tail_bytes = (size_t)(lap_pb_text(tail, SCHEMA_URL, LAP_OTLP_SCHEMA) - tail);
    const size_t scope_spans = 2 + scope_bytes + spans.count;
    const size_t resource_spans =
        1 + varint_bytes(resource.count) + resource.count + 1 + varint_bytes(scope_spans) + scope_spans + tail_bytes;

    at = lap_pb_varint(lap_pb_tag(head, RESOURCE_SPANS, LAP_PB_BYTES), resource_spans);
    at = lap_pb_varint(lap_pb_tag(at, RESOURCE, LAP_PB_BYTES), resource.count);
    lap_out_write(out, head, (size_t)(at - head));
    lap_out_write(out, resource.bytes, resource.count);
    at = lap_pb_varint(lap_pb_tag(head, SCOPE_SPANS, LAP_PB_BYTES), scope_spans);
    at = lap_pb_bytes(at, SCOPE, of_scope, scope_bytes);
    lap_out_write(out, head, (size_t)(at - head));
    lap_out_write(out, spans.bytes, spans.count);
    lap_out_write(out, tail, tail_bytes);
}

const struct lap_otlp_encoding lap_otlp_protobuf = {
    .text = see_text, .number = see_number, .truth = see_truth, .span = see_span, .message = see_message};
