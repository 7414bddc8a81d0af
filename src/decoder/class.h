/* SPDX-License-Identifier: MIT
 *
 * What a decoder must know of an event class: 8 bytes, so that a table of them stays in the cache.
 */
#ifndef LAP_CLASS_H
#define LAP_CLASS_H

#include <stdint.h>

enum lap_class_kind {
    LAP_CLASS_NONE = 0,
    LAP_CLASS_MARK,
    LAP_CLASS_END,
    LAP_CLASS_BEGIN,
    LAP_CLASS_BEGIN_WITH,
    LAP_CLASS_ABANDONED,
    LAP_CLASS_PAUSE,
    LAP_CLASS_OPEN,
    LAP_CLASS_THREAD,
    LAP_CLASS_HANDLE_BEGIN,
    LAP_CLASS_HANDLE_MARK,
    LAP_CLASS_HANDLE_END,
    LAP_CLASS_CALL,
    LAP_CLASS_PEER_LAP,
    LAP_CLASS_SERVE,
    LAP_CLASS_REPLY,
    LAP_CLASS_LINK
};

enum lap_class_flags {
    LAP_CLASS_N = 1,        /* carries a problem size before its arguments */
    LAP_CLASS_TEXT = 2,     /* its label is the stored string: more labels than a site may have */
    LAP_CLASS_NUMBERED = 4, /* has no label */
    LAP_CLASS_LIBRARY = 8,  /* of a library: does not print by default */
    LAP_CLASS_FOUND = 32    /* its arguments are numbers that were found in a text */
};

struct lap_class {
    uint8_t kind;
    uint8_t words; /* the event's size in 8-byte words, its first included; 0: the second word says, in bytes */
    uint8_t flags;
    uint8_t args;
    uint32_t description; /* index of its struct lap_description, in the table of the owner */
};

/* A class's texts, as the source has them. Ownership: whoever owns the table of classes. */
struct lap_description {
    const char *label; /* a printf format; "" for a numbered checkpoint; the text itself where it came at run time */
    const char *file;
    const char *function;
    uint64_t types; /* enum lap_impl_type, 4 bits an argument, the first lowest */
    uint32_t line;
    uint32_t is_text; /* the label is no format: made at run time */
};

/* Fills the entries of the classes with a fixed meaning; `classes` has room for LAP_FORMAT_FIRST_SITE_CLASS. */
void lap_class_set_fixed(struct lap_class *classes);

/* Has the fixed payload an `n` of its own? Then that of a label is called label_n. */
static inline int lap_class_has_n(enum lap_class_kind kind)
{
    return kind == LAP_CLASS_BEGIN_WITH || kind == LAP_CLASS_HANDLE_BEGIN || kind == LAP_CLASS_OPEN;
}

/* The words of an event of this kind before its size and arguments: its first word and the fixed payload. */
unsigned lap_class_fixed_words(enum lap_class_kind kind);

#endif
