/* SPDX-License-Identifier: MIT */
#include "switches.h"

#include "label.h"
#include "lapmark/abi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define THRESHOLD_NS_MAX (UINT64_C(1) << 60) /* 36 years: never */

/* Linear in practice: one star is remembered. */
int lap_glob_matches(const char *glob, const char *text)
{
    const char *star = NULL, *retry = NULL;
    while (*text) {
        if (*glob == '*') {
            star = ++glob;
            retry = text;
            continue;
        }
        const char *const literal = *glob == '\\' && glob[1] ? glob + 1 : glob;
        if (*glob && ((*glob == '?' && literal == glob) || *literal == *text)) {
            glob = literal + 1;
            text++;
        } else if (star) {
            glob = star;
            text = ++retry;
        } else {
            return 0;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == 0;
}

uint64_t lap_threshold_ns(double ns)
{
    return !(ns > 0) ? 0 : ns < (double)THRESHOLD_NS_MAX ? (uint64_t)ns : THRESHOLD_NS_MAX;
}

static int threshold_parse(const char *text, const char **ret_end, uint64_t *ret_ns)
{
    const char *end = text;
    double value = 0, place = 1,
           unit_ns = 1e6; /* not strtod, which reads "0.5" or "0,5" as the program's locale has it */
    unsigned digits = 0;
    for (; *end >= '0' && *end <= '9'; end++, digits++)
        value = value * 10 + (*end - '0');
    if (*end == '.')
        for (end++; *end >= '0' && *end <= '9'; end++, digits++)
            value += (*end - '0') * (place /= 10);
    if (digits == 0 || value > 1e12)
        return -EINVAL;
    static const struct {
        char name[8];
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t length = strlen(units[i].name);
        if (strncmp(end, units[i].name, length) == 0) {
            unit_ns = units[i].ns;
            end += length;
            break;
        }
    }
    *ret_ns = lap_threshold_ns(value * unit_ns);
    *ret_end = end;
    return 0;
}

/* Reads one term up to a comma or the end. */
static int term_parse(const char *text, const char **ret_end, struct lap_term *term)
{
    *term = (struct lap_term){.threshold_ns = LAP_FORMAT_NO_THRESHOLD};
    size_t used = 0;
    if (*text == '-') {
        term->is_negative = 1;
        text++;
    }
    while (*text && *text != ',' && *text != ':') {
        const size_t length = *text == '\\' && text[1] ? 2 : 1;
        if (used + length >= sizeof term->glob) {
            *ret_end = text;
            return -EINVAL;
        }
        memcpy(term->glob + used, text, length);
        used += length;
        text += length;
    }
    *ret_end = text;
    if (used == 0 || (*text == ':' && term->is_negative))
        return -EINVAL;
    if (!term->is_negative && strcmp(term->glob, "off") == 0) {
        term->is_negative = 1;
        strcpy(term->glob, "*");
    }
    if (*text == ':' && threshold_parse(text + 1, ret_end, &term->threshold_ns) < 0)
        return -EINVAL;
    return **ret_end == 0 || **ret_end == ',' ? 0 : -EINVAL;
}

/* Takes off what a later term hides for good: the same glob, or anything before "*". One may switch for ever. */
static void hidden_remove(struct lap_switches *switches, const char *glob)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < switches->count; i++)
        if (strcmp(glob, "*") != 0 && strcmp(switches->terms[i].glob, glob) != 0)
            switches->terms[kept++] = switches->terms[i];
    switches->count = kept;
}

int lap_switches_add(struct lap_switches *switches, const char *text, int sets_default, const char **ret_where)
{
    struct lap_switches added = *switches;
    for (;;) {
        while (*text == ',' || *text == ' ')
            text++;
        if (*text == 0)
            break;
        struct lap_term term;
        if (term_parse(text, ret_where, &term) < 0)
            return -EINVAL;
        if (added.count == 0 && sets_default)
            added.is_off_by_default = !term.is_negative;
        hidden_remove(&added, term.glob);
        if (added.count == LAP_SWITCHES_TERMS) {
            *ret_where = text;
            return -EINVAL;
        }
        added.terms[added.count++] = term;
        text = *ret_where;
    }
    *switches = added;
    return 0;
}

const struct lap_term *lap_switches_find(const struct lap_switches *switches, const char *label, const char *function)
{
    for (unsigned i = switches->count; i-- > 0;)
        if (lap_glob_matches(switches->terms[i].glob, label) || lap_glob_matches(switches->terms[i].glob, function))
            return &switches->terms[i];
    return NULL;
}

const struct lap_term *lap_switches_find_site(const struct lap_switches *switches, const struct lap_class *class,
                                              const struct lap_description *description)
{
    const char *const label = class->flags & LAP_CLASS_TEXT ? "" : description->label;
    const char *const point = strrchr(description->function, '.');
    char pattern[LAP_LABEL_BYTES] = "";
    if (class->args != 0 && !(class->flags & LAP_CLASS_TEXT))
        lap_label_pattern(pattern, sizeof pattern, description, class, NULL);
    for (unsigned i = switches->count; i-- > 0;) {
        const char *const glob = switches->terms[i].glob;
        if (lap_glob_matches(glob, label) || lap_glob_matches(glob, description->function) ||
            (*pattern && lap_glob_matches(glob, pattern)) || (point && lap_glob_matches(glob, point + 1)))
            return &switches->terms[i];
    }
    return NULL;
}

int lap_switches_are_off(const struct lap_switches *switches)
{
    return switches->count == 1 && switches->terms[0].is_negative && strcmp(switches->terms[0].glob, "*") == 0;
}

uint8_t lap_switch_state(const struct lap_switching *how, const struct lap_class *class, int is_on, int is_named,
                         uint64_t threshold_ns)
{
    if (!is_on)
        return LAP_IMPL_OFF;
    unsigned state = LAP_IMPL_ON;
    if (how->clock_source == LAP_FORMAT_CLOCK_MONOTONIC)
        state |= LAP_IMPL_OTHER_CLOCK;
    if (lap_switch_is_mark(class))
        return (uint8_t)state;
    if (how->prints && (is_named || !(class->flags & LAP_CLASS_LIBRARY)))
        state |= LAP_IMPL_PRINT;
    /* What can have no threshold is not taken back by itself: it goes, or stays, with what is around it. */
    if (how->keeps_slow && (class->kind != LAP_CLASS_BEGIN || threshold_ns != LAP_FORMAT_NO_THRESHOLD))
        state |= LAP_IMPL_TAKE_BACK;
    if (how->leaves_snapshots && (class->kind != LAP_CLASS_BEGIN || threshold_ns != LAP_FORMAT_NO_THRESHOLD))
        state |= LAP_IMPL_SNAPSHOT;
    if (is_named)
        state |= LAP_IMPL_FORCED; /* heard inside one that is off, too */
    return (uint8_t)state;
}

int lap_switches_parse_duration(const char *text, uint64_t *ret_ns)
{
    uint64_t ns;
    const char *end;
    if (threshold_parse(text, &end, &ns) < 0 || *end != 0)
        return -EINVAL;
    *ret_ns = ns;
    return 0;
}

int lap_switches_parse_size(const char *text, uint64_t *ret_bytes)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    const char *const suffixes = "KMG";
    unsigned shift = 0;
    if (end == text || errno != 0 || *text == '-')
        return -EINVAL;
    if (*end) {
        const char *const suffix = strchr(suffixes, *end & ~0x20);
        if (!suffix || end[1])
            return -EINVAL;
        shift = 10u * (unsigned)(suffix - suffixes + 1);
    }
    if (value > UINT64_MAX >> shift)
        return -EINVAL;
    *ret_bytes = (uint64_t)value << shift;
    return 0;
}
