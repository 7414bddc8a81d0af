/* SPDX-License-Identifier: MIT
 *
 * Trace contexts as others write them: traceparent, grpc-trace-bin; and what a tracestate may be.
 */
#include "lapmark.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TRACEPARENT_CHARACTERS (LAP_TRACEPARENT_BYTES - 1)
#define KNOWN_FLAGS (LAP_CONTEXT_SAMPLED | LAP_CONTEXT_RANDOM)
#define MEMBERS_MAX 32u
#define CHARACTERS_MAX 512u
#define PART_MAX 256u /* characters of a key, and of a value */

/* ---- traceparent: 00-<32 digits>-<16 digits>-<2 digits> ------------------------------------------------------------ */

static int hex_digit(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int hex_read(uint8_t *out, const char *text, unsigned bytes)
{
    int all = 0;
    for (unsigned i = 0; i < bytes; i++) {
        const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        all |= high | low;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return all; /* negative, if one was */
}

/* The 8 digits of 4 bytes, all at once. */
static inline void hex_write_4(char *out, const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t digits = word; /* each byte in 16 bits, then in each 8 bits one of its halves, the higher one first */
    digits = (digits | digits << 16) & UINT64_C(0x0000FFFF0000FFFF);
    digits = (digits | digits << 8) & UINT64_C(0x00FF00FF00FF00FF);
    digits = (digits >> 4 & UINT64_C(0x000F000F000F000F)) | (digits & UINT64_C(0x000F000F000F000F)) << 8;
    const uint64_t is_letter = (digits + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    digits += UINT64_C(0x3030303030303030) + is_letter * ('a' - '0' - 10);
    memcpy(out, &digits, sizeof digits);
}

static inline char *hex_write(char *out, const uint8_t *bytes, unsigned count, char end)
{
    for (unsigned i = 0; i < count; i += 4, out += 8)
        hex_write_4(out, bytes + i);
    *out = end;
    return out + 1;
}

int lap_traceparent_read(struct lap_context *ret_context, const char *text, uint64_t bytes)
{
    struct lap_context made = {.flags = 0};
    uint8_t version;
    if (bytes < TRACEPARENT_CHARACTERS || hex_read(&version, text, 1) < 0 || version == 0xff || text[2] != '-' ||
        hex_read(made.trace_id, text + 3, 16) < 0 || text[35] != '-' || hex_read(made.span_id, text + 36, 8) < 0 ||
        text[52] != '-' || hex_read(&made.flags, text + 53, 1) < 0 || !lap_context_is_valid(&made))
        return -EINVAL;
    if (bytes > TRACEPARENT_CHARACTERS && (version == 0 || text[TRACEPARENT_CHARACTERS] != '-'))
        return -EINVAL;
    if (version != 0)
        made.flags &= KNOWN_FLAGS;
    *ret_context = made;
    return 0;
}

uint64_t lap_traceparent_write(char out[LAP_TRACEPARENT_BYTES], const struct lap_context *context)
{
    out[0] = 0;
    if (!lap_context_is_valid(context))
        return 0;
    static_assert(KNOWN_FLAGS < 10, "one digit");
    memcpy(out, "00-", 3);
    out = hex_write(out + 3, context->trace_id, 16, '-');
    out = hex_write(out, context->span_id, 8, '-');
    out[0] = '0';
    out[1] = (char)('0' + (context->flags & KNOWN_FLAGS));
    out[2] = 0;
    return TRACEPARENT_CHARACTERS;
}

/* ---- grpc-trace-bin: {0} {0, trace} {1, span} {2, flags} ----------------------------------------------------------- */

int lap_grpc_trace_bin_read(struct lap_context *ret_context, const void *data, uint64_t bytes)
{
    const uint8_t *const from = data;
    struct lap_context made = {.flags = 0};
    if (bytes != LAP_GRPC_TRACE_BIN_BYTES || from[0] != 0 || from[1] != 0 || from[18] != 1 || from[27] != 2)
        return -EINVAL;
    memcpy(made.trace_id, from + 2, 16);
    memcpy(made.span_id, from + 19, 8);
    made.flags = from[28];
    if (!lap_context_is_valid(&made))
        return -EINVAL;
    *ret_context = made;
    return 0;
}

uint64_t lap_grpc_trace_bin_write(uint8_t out[LAP_GRPC_TRACE_BIN_BYTES], const struct lap_context *context)
{
    if (!lap_context_is_valid(context))
        return 0;
    out[0] = out[1] = 0;
    memcpy(out + 2, context->trace_id, 16);
    out[18] = 1;
    memcpy(out + 19, context->span_id, 8);
    out[27] = 2;
    out[28] = context->flags & KNOWN_FLAGS;
    return LAP_GRPC_TRACE_BIN_BYTES;
}

/* ---- tracestate: key=value,key=value ------------------------------------------------------------------------------- */

static int is_lower_or_digit(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
}

static int is_white(char character) { return character == ' ' || character == '\t'; }

/* A key at the begin of `text`: its length, 0: none. */
static unsigned key_length(const char *text, unsigned bytes)
{
    unsigned length = 0;
    if (bytes > 0 && is_lower_or_digit(text[0]))
        while (length < bytes &&
               (is_lower_or_digit(text[length]) || (text[length] != 0 && strchr("_-*/@", text[length]))))
            length++;
    return length <= PART_MAX ? length : 0;
}

/* Of a member without white space around it: so no value ends with a blank. */
static int value_is_sound(const char *text, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '=')
            return 0;
    return bytes > 0 && bytes <= PART_MAX;
}

int lap_tracestate_is_sound(const char *text, uint64_t bytes)
{
    struct {
        const char *text;
        unsigned length;
    } keys[MEMBERS_MAX];
    unsigned key_count = 0, members = 0;
    if (bytes > CHARACTERS_MAX)
        return 0;
    for (unsigned begin = 0, end; begin <= bytes; begin = end + 1) {
        for (end = begin; end < bytes && text[end] != ',';)
            end++;
        if (members++ == MEMBERS_MAX)
            return 0;
        unsigned first = begin, last = end;
        while (first < last && is_white(text[first]))
            first++;
        while (first < last && is_white(text[last - 1]))
            last--;
        if (first == last)
            continue; /* an empty one is allowed */
        const char *const key = text + first;
        const unsigned length = key_length(key, last - first);
        if (length == 0 || first + length == last || key[length] != '=' ||
            !value_is_sound(key + length + 1, last - first - length - 1))
            return 0;
        for (unsigned i = 0; i < key_count; i++)
            if (keys[i].length == length && memcmp(keys[i].text, key, length) == 0)
                return 0;
        keys[key_count].text = key;
        keys[key_count++].length = length;
    }
    return 1;
}
