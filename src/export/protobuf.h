/* SPDX-License-Identifier: MIT
 *
 * Protocol buffers, written by hand: a message is built in memory from its fields, and goes into another one as bytes. Five to ten times
 * as fast as a library that builds a tree of structures first; protoc's decoder is what checks it. Wire format:
 * https://protobuf.dev/programming-guides/encoding/
 */
#ifndef LAP_PROTOBUF_H
#define LAP_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where the next byte goes. There must be room: LAP_PB_FIELD for a number, LAP_PB_FIELD + its length for bytes. */
#define LAP_PB_FIELD 15u /* tag of up to 5 bytes, varint of up to 10 */

static inline uint8_t *lap_pb_varint(uint8_t *at, uint64_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Of a value that needs nine bytes, as nanoseconds since 1970 do: without a branch a byte. From 2^56 to 2^63 - 1. */
static inline uint8_t *lap_pb_varint_of_9(uint8_t *at, uint64_t value)
{
    uint64_t low = value & UINT64_C(0x00ffffffffffffff);
    low = (low & UINT64_C(0x000000000fffffff)) | (low & UINT64_C(0x00fffffff0000000)) << 4;
    low = (low & UINT64_C(0x00003fff00003fff)) | (low & UINT64_C(0x0fffc0000fffc000)) << 2;
    low = (low & UINT64_C(0x007f007f007f007f)) | (low & UINT64_C(0x3f803f803f803f80)) << 1;
    low |= UINT64_C(0x8080808080808080);
    memcpy(at, &low, sizeof low);
    at[8] = (uint8_t)(value >> 56);
    return at + 9;
}
static inline uint8_t *lap_pb_time(uint8_t *at, uint64_t time_ns)
{
    return time_ns - (UINT64_C(1) << 56) < UINT64_C(127) << 56 ? lap_pb_varint_of_9(at, time_ns)
                                                               : lap_pb_varint(at, time_ns);
}

enum lap_pb_wire { LAP_PB_VARINT = 0, LAP_PB_FIXED64 = 1, LAP_PB_BYTES = 2 };

static inline uint8_t *lap_pb_tag(uint8_t *at, uint32_t field, enum lap_pb_wire wire)
{
    return lap_pb_varint(at, field << 3 | (uint32_t)wire);
}

static inline uint8_t *lap_pb_uint(uint8_t *at, uint32_t field, uint64_t value)
{
    return lap_pb_varint(lap_pb_tag(at, field, LAP_PB_VARINT), value);
}

static inline uint8_t *lap_pb_int(uint8_t *at, uint32_t field, int64_t value)
{
    return lap_pb_uint(at, field, (uint64_t)value);
}

static inline uint8_t *lap_pb_fixed64(uint8_t *at, uint32_t field, uint64_t value)
{
    at = lap_pb_tag(at, field, LAP_PB_FIXED64);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline uint8_t *lap_pb_bytes(uint8_t *at, uint32_t field, const void *bytes, size_t count)
{
    at = lap_pb_varint(lap_pb_tag(at, field, LAP_PB_BYTES), count);
    memcpy(at, bytes, count);
    return at + count;
}

static inline uint8_t *lap_pb_text(uint8_t *at, uint32_t field, const char *text)
{
    return lap_pb_bytes(at, field, text, strlen(text));
}

/* A message within: its fields are written behind lap_pb_open(), then closed. Of up to 16,383 bytes. */
static inline uint8_t *lap_pb_open(uint8_t *at, uint32_t field, uint8_t **ret_length)
{
    at = lap_pb_tag(at, field, LAP_PB_BYTES);
    *ret_length = at;
    return at + 2;
}
static inline uint8_t *lap_pb_close(uint8_t *at, uint8_t *length)
{
    const size_t bytes = (size_t)(at - length) - 2;
    length[0] = (uint8_t)(bytes | 128);
    length[1] = (uint8_t)(bytes >> 7);
    return at;
}

#endif
