/* SPDX-License-Identifier: MIT
 *
 * What the two encodings of OTLP are written from, so that they cannot say different things. A batch of spans of one process is a message
 * that a receiver takes by itself. Of the protocol: https://opentelemetry.io/docs/specs/otlp/ and the .proto files of
 * https://github.com/open-telemetry/opentelemetry-proto (1.3 and later, for `flags`).
 */
#ifndef LAP_OTLP_H
#define LAP_OTLP_H

#include "export.h"
#include "otlp_kept.h"

/* Names of attributes are those of this version, or begin with "lapmark.". */
#define LAP_OTLP_SCHEMA "https://opentelemetry.io/schemas/1.33.0"

enum lap_otlp_kind {
    LAP_OTLP_INTERNAL = 1,
    LAP_OTLP_SERVER = 2,
    LAP_OTLP_CLIENT = 3,
    LAP_OTLP_PRODUCER = 4,
    LAP_OTLP_CONSUMER = 5
};

/* Where an attribute stands. */
enum lap_otlp_place { LAP_OTLP_OF_RESOURCE, LAP_OTLP_OF_EVENT, LAP_OTLP_OF_LINK, LAP_OTLP_OF_SPAN };

enum lap_otlp_flags { LAP_OTLP_SAMPLED = 1, LAP_OTLP_KNOWS_REMOTE = 0x100, LAP_OTLP_IS_REMOTE = 0x200 };

struct lap_otlp_bytes {
    const char *bytes;
    size_t count;
};

struct lap_otlp_span {
    struct lap_span_id id;
    uint64_t parent; /* 0: none */
    uint32_t flags;  /* enum lap_otlp_flags: of the parent */
    enum lap_otlp_kind kind;
    struct lap_span_text name;
    uint64_t begin_ns, end_ns;
    struct lap_otlp_bytes attributes; /* in this encoding */
    const struct lap_otlp_kept *kept; /* NULL: neither events nor links */
};

/* A span, with what it keeps and attributes of LAP_OTLP_ATTRIBUTES, is at most so long. */
#define LAP_OTLP_SPAN_BYTES (1u << 20)
#define LAP_OTLP_ATTRIBUTES (48u << 10)
#define LAP_OTLP_VALUE_BYTES 4096u /* of a text in an attribute */

/* All write at `at`, where there is room, and return where the next byte goes. */
struct lap_otlp_encoding {
    char *(*text)(char *at, enum lap_otlp_place place, const char *key, const char *value, size_t bytes);
    char *(*number)(char *at, enum lap_otlp_place place, const char *key, int64_t value);
    char *(*truth)(char *at, enum lap_otlp_place place, const char *key); /* that is true */
    char *(*span)(char *at, const struct lap_otlp_span *span);
    void (*message)(struct lap_out *out, struct lap_otlp_bytes resource, struct lap_otlp_bytes spans);
};
extern const struct lap_otlp_encoding lap_otlp_protobuf, lap_otlp_json;

#endif
