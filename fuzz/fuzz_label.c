/* SPDX-License-Identifier: MIT
 *
 * Labels: a format, and an event that need not fit it. Bytes: kind, flags, number of arguments, their types (6 bytes), room
 * for the result (2 bytes), then the format up to a 0, then the event behind its first word and its size.
 */
#define _GNU_SOURCE
#include "decode.h"
#include "fuzz_place.h"
#include "label.h"
#include "lapmark/abi.h"
#include "lapmark/format.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 11 };

/* Nothing in it moves a cursor or starts a line, and it is whole UTF-8. */
static void text_check(const char *text, size_t length, size_t room)
{
    fuzz_expect(length < room && strlen(text) == length, "a text that is longer than its room, or not ended");
    const unsigned char *at = (const unsigned char *)text;
    for (; *at; at++) {
        fuzz_expect(*at >= 0x20 && *at != 0x7F, "a control character");
        if (*at < 0x80)
            continue;
        const int more = *at >= 0xF0 ? 3 : *at >= 0xE0 ? 2 : 1;
        fuzz_expect(*at >= 0xC2 && *at <= 0xF4, "no UTF-8");
        for (int i = 0; i < more; i++)
            fuzz_expect((*++at & 0xC0) == 0x80, "half a character");
    }
}

/* The class as the metadata could give it, and an event of the size that it needs. */
static uint64_t *event_make(struct lap_class *class, uint64_t types, const uint8_t *bytes, size_t count)
{
    const int is_sized = class->kind == LAP_CLASS_OPEN || class->kind == LAP_CLASS_THREAD ||
                         class->flags & LAP_CLASS_TEXT || (types & LAP_IMPL_TYPES_STRING) != 0;
    const size_t least = 8u * (lap_class_fixed_words((enum lap_class_kind) class->kind) +
                               ((class->flags & LAP_CLASS_N) != 0) + class->args);
    const size_t open = 8 + sizeof(struct lap_format_open) + 16;
    size_t size = is_sized ? (16 + count + 7) / 8 * 8 : least;
    if (is_sized && size < 8u * (lap_class_fixed_words((enum lap_class_kind) class->kind) + 3))
        size = 8u * (lap_class_fixed_words((enum lap_class_kind) class->kind) + 3);
    if (class->kind == LAP_CLASS_OPEN && size < open)
        size = open;
    if (is_sized && size > LAP_FORMAT_EVENT_BYTES_MAX)
        size = LAP_FORMAT_EVENT_BYTES_MAX;
    class->words = is_sized ? 0 : (uint8_t)(size / 8);
    uint64_t *const words = calloc(1, size);
    if (!words)
        abort();
    const size_t head = is_sized ? 16 : 8;
    memcpy((char *)words + head, bytes, count < size - head ? count : size - head);
    if (is_sized)
        words[1] = size;
    return words;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const uint8_t kinds[] = {LAP_CLASS_MARK,        LAP_CLASS_BEGIN, LAP_CLASS_BEGIN_WITH, LAP_CLASS_HANDLE_BEGIN,
                                    LAP_CLASS_HANDLE_MARK, LAP_CLASS_OPEN,  LAP_CLASS_CALL};
    static const uint8_t letters[] = {LAP_IMPL_TYPE_I64, LAP_IMPL_TYPE_U64, LAP_IMPL_TYPE_F64, LAP_IMPL_TYPE_POINTER,
                                      LAP_IMPL_TYPE_STRING};
    if (count < HEAD_BYTES)
        return 0;
    struct lap_class class = {
        .kind = kinds[bytes[0] % sizeof kinds], .flags = bytes[1] & 15u, .args = bytes[2] % (LAP_IMPL_ARGS_MAX + 1)};
    uint64_t types = 0;
    for (unsigned i = 0; i < class.args; i++)
        types |= (uint64_t)letters[(bytes[3 + i / 2] >> 4 * (i % 2) & 15u) % sizeof letters] << 4 * i;
    if (class.kind == LAP_CLASS_OPEN) {
        class.flags = class.args = 0;
        types = 0;
    }
    const size_t room = (size_t)(bytes[9] | (bytes[10] & 7u) << 8);
    const size_t rest = count - HEAD_BYTES, length = strnlen((const char *)bytes + HEAD_BYTES, rest);
    char *const label = calloc(1, length + 1);
    char *const out = malloc(room ? room : 1);
    if (!label || !out)
        abort();
    memcpy(label, bytes + HEAD_BYTES, length);
    const size_t behind = HEAD_BYTES + length + (length < rest);
    uint64_t *const words = event_make(&class, types, bytes + behind, count - behind);
    const struct lap_description description = {
        .label = label, .file = "", .function = "", .types = types, .is_text = bytes[1] >> 4 & 1u};
    size_t made = lap_label_format(out, room, &description, &class, words, bytes[9]);
    if (room != 0)
        text_check(out, made, room);
    made = lap_label_pattern(out, room, &description, &class, words);
    if (room != 0)
        text_check(out, made, room);
    made = lap_label_escape(out, room, label, length);
    if (room != 0)
        text_check(out, made, room);
    lap_label_key(&description, &class, LAP_FORMAT_FIRST_SITE_CLASS, words);
    free(words);
    free(out);
    free(label);
    return 0;
}
