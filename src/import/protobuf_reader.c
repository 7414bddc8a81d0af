/* SPDX-License-Identifier: MIT */
#include "protobuf_reader.h"

#include <string.h>

size_t lap_protobuf_varint(const char *at, const char *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 10 && at + i < end; i++) {
        value |= (uint64_t)((unsigned char)at[i] & 127) << (7 * i);
        if (!((unsigned char)at[i] & 128)) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

static int fixed(struct lap_protobuf_field *field, const char **at, const char *end, size_t count)
{
    if ((size_t)(end - *at) < count)
        return -1;
    field->value = 0;
    memcpy(&field->value, *at, count);
    *at += count;
    return 1;
}

int lap_protobuf_next(struct lap_protobuf *message, struct lap_protobuf_field *ret_field)
{
    const char *at = message->at, *const end = message->end;
    uint64_t tag, bytes;
    if (at == end)
        return 0;
    size_t used = lap_protobuf_varint(at, end, &tag);
    if (used == 0 || tag >> 3 == 0 || tag >> 32 != 0)
        return -1;
    at += used;
    int code = 1;
    *ret_field = (struct lap_protobuf_field){.number = (uint32_t)(tag >> 3), .type = (enum lap_protobuf_type)(tag & 7)};
    switch (ret_field->type) {
    case LAP_PROTOBUF_VARINT:
        used = lap_protobuf_varint(at, end, &ret_field->value);
        at += used;
        code = used > 0 ? 1 : -1;
        break;
    case LAP_PROTOBUF_BYTES:
        used = lap_protobuf_varint(at, end, &bytes);
        at += used;
        if (used == 0 || bytes > (size_t)(end - at))
            return -1;
        ret_field->bytes = lap_protobuf_of(at, bytes);
        at += bytes;
        break;
    case LAP_PROTOBUF_FIXED64: code = fixed(ret_field, &at, end, 8); break;
    case LAP_PROTOBUF_FIXED32: code = fixed(ret_field, &at, end, 4); break;
    default: code = -1; /* groups, which no trace has */
    }
    if (code == 1)
        message->at = at;
    return code;
}
