/* SPDX-License-Identifier: MIT
 *
 * The fields of a message in the encoding of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/), one by one.
 * Every length is held against what is there.
 */
#ifndef LAP_PROTOBUF_READER_H
#define LAP_PROTOBUF_READER_H

#include <stddef.h>
#include <stdint.h>

enum lap_protobuf_type {
    LAP_PROTOBUF_VARINT = 0,
    LAP_PROTOBUF_FIXED64 = 1,
    LAP_PROTOBUF_BYTES = 2,
    LAP_PROTOBUF_FIXED32 = 5
};

struct lap_protobuf {
    const char *at, *end;
};

struct lap_protobuf_field {
    uint32_t number;
    enum lap_protobuf_type type;
    uint64_t value;            /* of a number */
    struct lap_protobuf bytes; /* of bytes: a text, or a message */
};

static inline struct lap_protobuf lap_protobuf_of(const char *bytes, size_t count)
{
    return (struct lap_protobuf){bytes, bytes + count};
}
static inline size_t lap_protobuf_left(const struct lap_protobuf *message)
{
    return (size_t)(message->end - message->at);
}

/* 1, or 0 at the end, or -1: what comes is no field. A field that is cut leaves message->at where it begins. */
int lap_protobuf_next(struct lap_protobuf *message, struct lap_protobuf_field *ret_field);
/* A number of up to 10 bytes: how many it has, 0: none, or it is cut. */
size_t lap_protobuf_varint(const char *at, const char *end, uint64_t *ret_value);

#endif
