/* SPDX-License-Identifier: MIT */
#include "class.h"

#include "lapmark/format.h"

unsigned lap_class_fixed_words(enum lap_class_kind kind)
{
    switch (kind) {
    case LAP_CLASS_BEGIN_WITH: return 1 + sizeof(struct lap_format_begin_with) / 8;
    case LAP_CLASS_ABANDONED: return 1 + sizeof(struct lap_format_abandoned) / 8;
    case LAP_CLASS_PAUSE: return 1 + sizeof(struct lap_format_pause) / 8;
    case LAP_CLASS_HANDLE_BEGIN: return 1 + sizeof(struct lap_format_handle_begin) / 8;
    case LAP_CLASS_HANDLE_MARK: return 1 + sizeof(struct lap_format_handle_mark) / 8;
    case LAP_CLASS_HANDLE_END: return 1 + sizeof(struct lap_format_handle_end) / 8;
    case LAP_CLASS_CALL: return 1 + sizeof(struct lap_format_call) / 8;
    case LAP_CLASS_PEER_LAP: /* without its size, as of classes with strings */
        return sizeof(struct lap_format_peer_lap) / 8;
    case LAP_CLASS_SERVE: return 1 + sizeof(struct lap_format_serve) / 8;
    case LAP_CLASS_REPLY: return 1 + sizeof(struct lap_format_reply) / 8;
    case LAP_CLASS_LINK: return 1 + sizeof(struct lap_format_link) / 8;
    default: return 1;
    }
}

void lap_class_set_fixed(struct lap_class *classes)
{
    static const struct {
        uint8_t id, kind, is_sized;
    } fixed[] = {
        {LAP_FORMAT_END, LAP_CLASS_END, 0},       {LAP_FORMAT_ABANDONED, LAP_CLASS_ABANDONED, 0},
        {LAP_FORMAT_PAUSE, LAP_CLASS_PAUSE, 0},   {LAP_FORMAT_OPEN, LAP_CLASS_OPEN, 1},
        {LAP_FORMAT_THREAD, LAP_CLASS_THREAD, 1}, {LAP_FORMAT_HANDLE_END, LAP_CLASS_HANDLE_END, 0},
        {LAP_FORMAT_SERVE, LAP_CLASS_SERVE, 0},   {LAP_FORMAT_REPLY, LAP_CLASS_REPLY, 0},
        {LAP_FORMAT_LINK, LAP_CLASS_LINK, 0},     {LAP_FORMAT_PEER_LAP, LAP_CLASS_PEER_LAP, 1},
    };
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct lap_class *const class = &classes[fixed[i].id];
        class->kind = fixed[i].kind;
        class->words = fixed[i].is_sized ? 0 : (uint8_t)lap_class_fixed_words(fixed[i].kind);
    }
}
