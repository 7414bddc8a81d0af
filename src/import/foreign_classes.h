/* SPDX-License-Identifier: MIT
 *
 * The names of slices as labels of classes. A name is a class of its own; but of names that differ by nothing but their
 * stand-alone numbers, and are many, one class is made, whose arguments these numbers are.
 */
#ifndef LAP_FOREIGN_CLASSES_H
#define LAP_FOREIGN_CLASSES_H

#include "foreign_trace.h"
#include "lapmark/format.h"

#define LAP_FOREIGN_NUMBERS 12u
#define LAP_FOREIGN_FORMAT_BYTES (2 * LAP_FOREIGN_NAME_BYTES + 8)

/* A name taken apart: a printf format, and what it was filled with. */
struct lap_foreign_parts {
    char format[LAP_FOREIGN_FORMAT_BYTES];
    size_t bytes;
    int64_t numbers[LAP_FOREIGN_NUMBERS];
    unsigned count;
};
void lap_foreign_take_apart(struct lap_foreign_parts *parts, const char *name, size_t bytes);

enum lap_foreign_use { LAP_FOREIGN_AS_SCOPE, LAP_FOREIGN_AS_HANDLE, LAP_FOREIGN_AS_MOMENT, LAP_FOREIGN_USES };
enum lap_foreign_form {
    LAP_FOREIGN_BY_NAME,
    LAP_FOREIGN_BY_FORMAT,
    LAP_FOREIGN_BY_TEXT /* the event carries its name: there are more names than classes */
};

struct lap_foreign_class {
    uint32_t text; /* of trace->names, or of classes->formats */
    uint8_t use, form;
    uint8_t numbers; /* of a format */
    bool has_n;
};

struct lap_foreign_classes {
    const struct lap_foreign_trace *trace;
    struct lap_foreign_texts formats;
    uint32_t *format_of_name; /* LAP_FOREIGN_NONE: the name stands for itself */
    uint8_t *numbers_of_format;
    uint32_t *known[LAP_FOREIGN_USES]; /* by name, then by format: the class's id, 0: none yet */
    /* Of one process. */
    struct lap_foreign_class *classes; /* from id LAP_FORMAT_FIRST_SITE_CLASS on */
    uint32_t count, room;
    uint32_t by_text[LAP_FOREIGN_USES];
};
#define LAP_FOREIGN_CLASSES_MAX (131072u - LAP_FORMAT_FIRST_SITE_CLASS)

/* 0 or -ENOMEM; lap_foreign_classes_done() either way. */
int lap_foreign_classes_make(struct lap_foreign_classes *classes, const struct lap_foreign_trace *trace);
/* Those of the next process: none yet. */
void lap_foreign_classes_clear(struct lap_foreign_classes *classes);
/* A class's id; 0: no memory. */
uint32_t lap_foreign_class_get(struct lap_foreign_classes *classes, uint32_t name, enum lap_foreign_use use, bool has_n);
void lap_foreign_classes_done(struct lap_foreign_classes *classes);

static inline const struct lap_foreign_class *lap_foreign_class_of(const struct lap_foreign_classes *classes, uint32_t id)
{
    return &classes->classes[id - LAP_FORMAT_FIRST_SITE_CLASS];
}

#endif
