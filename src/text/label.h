/* SPDX-License-Identifier: MIT
 *
 * Labels as text: a class's printf format filled with the typed arguments that an event stores. Nothing that an event
 * or a label contains breaks a report or a terminal: control characters, U+2028, U+2029, bidirectional controls and
 * bytes that are no UTF-8 come out as escapes (\n, \x1b). Results end with 0, and where they are too long, on a UTF-8
 * border with "…". No byte of the event behind its size is read, and no size, type or conversion in it is trusted.
 *
 * Threads: any, no state. No allocation, no lock. Warm: up to a microsecond.
 */
#ifndef LAP_LABEL_H
#define LAP_LABEL_H

#include "class.h"

#include <stddef.h>
#include <stdint.h>

/* Room for every label in a report, its 0 included; longer ones are cut. */
#define LAP_LABEL_BYTES 512

/* The label of an event. `class` is the event's own (of a state dump, LAP_CLASS_OPEN: gives the stored message); `words`
 * may be NULL where the class has no arguments and no stored text. `number` is that of an unlabelled checkpoint, from 0,
 * shown from 1. A conversion without an argument stays as the source has it, as do %n and %m; an argument of another type
 * than its conversion is shown as what it is. Returns the bytes written, without the 0. */
size_t lap_label_format(char *out, size_t out_bytes, const struct lap_description *description,
                        const struct lap_class *class, const uint64_t *words, uint64_t number);

/* The same with # in the place of each argument: the label of many events of one class. `words` is only looked at for a
 * label that is stored with the event. */
size_t lap_label_pattern(char *out, size_t out_bytes, const struct lap_description *description,
                         const struct lap_class *class, const uint64_t *words);

/* The two above for a text that is no format, such as a thread's name. */
size_t lap_label_escape(char *out, size_t out_bytes, const char *text, size_t text_bytes);

/* What two events with the same label (arguments aside) have in common: the class, and for a label that is stored with
 * the event a hash of it above the class's 20 bits. Hot: returns at once for the others. */
uint64_t lap_label_text_key(const struct lap_description *description, const struct lap_class *class, uint32_t class_id,
                            const uint64_t *words);
static inline uint64_t lap_label_key(const struct lap_description *description, const struct lap_class *class,
                                     uint32_t class_id, const uint64_t *words)
{
    return __builtin_expect((class->flags & LAP_CLASS_TEXT) != 0, 0)
               ? lap_label_text_key(description, class, class_id, words)
               : class_id;
}

/* Has the label arguments or a text that only the event knows? */
static inline int lap_label_needs_event(const struct lap_class *class)
{
    return class->args != 0 || (class->flags & LAP_CLASS_TEXT) != 0 || class->kind == LAP_CLASS_OPEN;
}

#endif
