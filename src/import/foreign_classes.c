/* SPDX-License-Identifier: MIT */
#include "foreign_classes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As many as a site of Lapmark's own has classes for labels that come at run time. */
enum { ALIKE_MAX = 64, DIGITS_MAX = 18 };

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

static bool is_word(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (unsigned char)byte >= 0x80;
}

/* Digits of the stand-alone number at `at`: no word and no point touches it. 0: there is none. */
static size_t digits_at(const char *name, size_t at, size_t bytes)
{
    size_t end = at;
    if (at > 0 && (is_word(name[at - 1]) || name[at - 1] == '.'))
        return 0;
    while (end < bytes && is_digit(name[end]))
        end++;
    const bool is_alone =
        end >= bytes || (!is_word(name[end]) && (name[end] != '.' || end + 1 >= bytes || !is_digit(name[end + 1])));
    return is_alone && end - at <= DIGITS_MAX ? end - at : 0;
}

void lap_foreign_take_apart(struct lap_foreign_parts *parts, const char *name, size_t bytes)
{
    parts->bytes = parts->count = 0;
    for (size_t i = 0; i < bytes && parts->bytes + 8 < sizeof parts->format;) {
        const size_t digits = parts->count < LAP_FOREIGN_NUMBERS ? digits_at(name, i, bytes) : 0;
        const bool is_canonical = digits == 1 || (digits > 0 && name[i] != '0'); /* comes out of the format as it was */
        if (!is_canonical) {
            if (name[i] == '%')
                parts->format[parts->bytes++] = '%';
            parts->format[parts->bytes++] = name[i++];
            continue;
        }
        int64_t number = 0;
        for (const size_t end = i + digits; i < end; i++)
            number = number * 10 + (name[i] - '0');
        parts->numbers[parts->count++] = number;
        memcpy(parts->format + parts->bytes, "%lld", 4);
        parts->bytes += 4;
    }
}

/* ---- which names are alike ----------------------------------------------------------------------------------------- */

static int formats_find(struct lap_foreign_classes *classes, uint32_t **ret_alike)
{
    const struct lap_foreign_trace *const trace = classes->trace;
    uint32_t *const alike = calloc(trace->names.count + UINT64_C(1), sizeof *alike);
    if (!alike)
        return -ENOMEM;
    *ret_alike = alike;
    for (uint32_t name = 0; name < trace->names.count; name++) {
        struct lap_foreign_parts parts;
        size_t bytes;
        const char *const text = lap_foreign_texts_get(&trace->names, name, &bytes);
        lap_foreign_take_apart(&parts, text, bytes);
        classes->format_of_name[name] = LAP_FOREIGN_NONE;
        if (parts.count == 0)
            continue;
        const uint32_t format = lap_foreign_texts_put(&classes->formats, parts.format, parts.bytes);
        if (format == LAP_FOREIGN_NONE)
            return -ENOMEM;
        classes->numbers_of_format[format] = (uint8_t)parts.count;
        classes->format_of_name[name] = format;
        alike[format]++;
    }
    return 0;
}

int lap_foreign_classes_make(struct lap_foreign_classes *classes, const struct lap_foreign_trace *trace)
{
    const size_t names = trace->names.count + (size_t)1;
    uint32_t *alike = NULL;
    *classes = (struct lap_foreign_classes){.trace = trace};
    classes->format_of_name = calloc(names, sizeof *classes->format_of_name);
    classes->numbers_of_format = calloc(names, sizeof *classes->numbers_of_format);
    bool is_memory = classes->format_of_name && classes->numbers_of_format;
    for (int use = 0; use < LAP_FOREIGN_USES; use++)
        is_memory &= (classes->known[use] = calloc(2 * names, sizeof *classes->known[use])) != NULL;
    const int code = is_memory ? formats_find(classes, &alike) : -ENOMEM;
    for (uint32_t name = 0; code == 0 && name < trace->names.count; name++)
        if (classes->format_of_name[name] != LAP_FOREIGN_NONE && alike[classes->format_of_name[name]] <= ALIKE_MAX)
            classes->format_of_name[name] = LAP_FOREIGN_NONE;
    free(alike);
    return code;
}

/* ---- of a process -------------------------------------------------------------------------------------------------- */

static uint32_t *known_of(const struct lap_foreign_classes *classes, const struct lap_foreign_class *class)
{
    if (class->form == LAP_FOREIGN_BY_TEXT)
        return NULL;
    const size_t names = class->form == LAP_FOREIGN_BY_FORMAT ? classes->trace->names.count : 0;
    return &classes->known[class->use][names + class->text];
}

void lap_foreign_classes_clear(struct lap_foreign_classes *classes)
{
    for (uint32_t i = 0; i < classes->count; i++) {
        uint32_t *const known = known_of(classes, &classes->classes[i]);
        if (known)
            *known = 0;
    }
    memset(classes->by_text, 0, sizeof classes->by_text);
    classes->count = 0;
}

static uint32_t class_add(struct lap_foreign_classes *classes, const struct lap_foreign_class *class)
{
    if (classes->count == classes->room) {
        const uint32_t room = classes->room ? 2 * classes->room : 64;
        struct lap_foreign_class *const more = realloc(classes->classes, room * sizeof *more);
        if (!more)
            return 0;
        classes->classes = more;
        classes->room = room;
    }
    classes->classes[classes->count] = *class;
    return LAP_FORMAT_FIRST_SITE_CLASS + classes->count++;
}

uint32_t lap_foreign_class_get(struct lap_foreign_classes *classes, uint32_t name, enum lap_foreign_use use, bool has_n)
{
    const uint32_t format = classes->format_of_name[name];
    struct lap_foreign_class class = {.text = format != LAP_FOREIGN_NONE ? format : name,
                                      .use = (uint8_t)use,
                                      .form = format != LAP_FOREIGN_NONE ? LAP_FOREIGN_BY_FORMAT : LAP_FOREIGN_BY_NAME};
    if (format != LAP_FOREIGN_NONE)
        class.numbers = classes->numbers_of_format[format];
    uint32_t *known = known_of(classes, &class);
    if (*known == 0 && classes->count + LAP_FOREIGN_USES >= LAP_FOREIGN_CLASSES_MAX) {
        class = (struct lap_foreign_class){.use = (uint8_t)use, .form = LAP_FOREIGN_BY_TEXT};
        known = &classes->by_text[use];
    }
    if (*known == 0)
        *known = class_add(classes, &class);
    if (*known != 0)
        classes->classes[*known - LAP_FORMAT_FIRST_SITE_CLASS].has_n |= has_n;
    return *known;
}

void lap_foreign_classes_done(struct lap_foreign_classes *classes)
{
    lap_foreign_texts_done(&classes->formats);
    free(classes->format_of_name);
    free(classes->numbers_of_format);
    for (int use = 0; use < LAP_FOREIGN_USES; use++)
        free(classes->known[use]);
    free(classes->classes);
    *classes = (struct lap_foreign_classes){0};
}
