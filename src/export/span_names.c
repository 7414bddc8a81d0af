/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "span_names.h"

#include "label.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lap_span_names_done(struct lap_span_names *names)
{
    for (uint32_t i = 0; names->texts && i < names->process->catalog.class_count; i++)
        free((char *)names->texts[i].text);
    free(names->texts);
    names->texts = NULL;
}

int lap_span_names_enter(struct lap_span_names *names, const struct lap_process *process)
{
    lap_span_names_done(names);
    names->process = process;
    names->texts = calloc((size_t)process->catalog.class_count + 1, sizeof *names->texts);
    return names->texts ? 0 : -ENOMEM;
}

static struct lap_span_text text_made(char *text, size_t bytes, uint32_t id)
{
    return (struct lap_span_text){.text = text, .bytes = (uint32_t)bytes, .id = id};
}

/* As `lapmark report` names it. */
static size_t site_name(char *out, size_t out_bytes, const struct lap_catalog *catalog, uint32_t class_id)
{
    char place[512];
    const struct lap_description *const description = lap_catalog_description(catalog, class_id);
    const char *name = lap_catalog_name(catalog, class_id);
    if (catalog->classes[class_id].flags & LAP_CLASS_NUMBERED) {
        const char *const slash = strrchr(description->file, '/');
        snprintf(place, sizeof place, "(checkpoint at %.256s:%u)", slash ? slash + 1 : description->file,
                 description->line);
        name = place;
    }
    return lap_label_escape(out, out_bytes, *name ? name : "(no label)", strlen(*name ? name : "(no label)"));
}

struct lap_span_text lap_span_names_make(struct lap_span_names *names, uint32_t class_id,
                                         const struct lap_class *event_class, const uint64_t *words)
{
    const struct lap_catalog *const catalog = &names->process->catalog;
    if (class_id >= catalog->class_count)
        return (struct lap_span_text){.text = "(unknown)", .bytes = sizeof "(unknown)" - 1};
    struct lap_span_text *const kept = &names->texts[class_id];
    if (kept->text)
        return *kept;
    const struct lap_class *const class = &catalog->classes[class_id];
    const struct lap_description *const description = lap_catalog_description(catalog, class_id);
    if ((class->flags & LAP_CLASS_TEXT) != 0 && words) {
        const size_t bytes =
            event_class == class ? lap_label_pattern(names->own, sizeof names->own, description, class, words)
                                 : lap_label_format(names->own, sizeof names->own, description, event_class, words, 0);
        return text_made(names->own, bytes, 0);
    }
    const size_t bytes = site_name(names->own, sizeof names->own, catalog, class_id);
    char *const text = strndup(names->own, bytes);
    if (text)
        *kept = text_made(text, bytes, class_id);
    return *kept;
}

const char *lap_span_names_message(struct lap_span_names *names, uint32_t class_id, const struct lap_class *event_class,
                                   const uint64_t *words, uint64_t number, struct lap_span_text name)
{
    if (!words || !lap_label_needs_event(event_class))
        return NULL;
    if ((event_class->flags & LAP_CLASS_TEXT) != 0 && name.id == 0)
        return NULL;
    const struct lap_description *const description = lap_catalog_description(&names->process->catalog, class_id);
    const size_t bytes = lap_label_format(names->message, sizeof names->message, description, event_class, words, number);
    const int is_name = bytes == name.bytes && memcmp(names->message, name.text, bytes) == 0;
    return bytes > 0 && !is_name ? names->message : NULL;
}

size_t lap_span_text_escape(char *out, size_t out_bytes, const char *text)
{
    return lap_label_escape(out, out_bytes, text, strlen(text));
}
