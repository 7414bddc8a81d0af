/* SPDX-License-Identifier: MIT
 *
 * What users write to choose: the terms of LAPMARK (which profilers are on, from which threshold they print), globs, sizes.
 */
#ifndef LAP_SWITCHES_H
#define LAP_SWITCHES_H

#include "class.h"
#include "lapmark/format.h"

#include <stdint.h>

#define LAP_SWITCHES_TERMS LAP_FORMAT_TERMS
#define LAP_SWITCHES_GLOB_BYTES 128

struct lap_term {
    char glob[LAP_SWITCHES_GLOB_BYTES]; /* escapes still in it */
    int is_negative;
    uint64_t threshold_ns; /* LAP_FORMAT_NO_THRESHOLD: none given */
};

/* Terms in order: the last that matches decides. What no term matches is on, unless the list begins with a positive term. */
struct lap_switches {
    struct lap_term terms[LAP_SWITCHES_TERMS];
    unsigned count;
    int is_off_by_default;
};

/* Is the whole text as the glob says? `*` is any run of bytes, `?` any byte, `\` takes the next byte as it is. */
int lap_glob_matches(const char *glob, const char *text);

/* Adds the terms of a text "glob[:threshold],-glob,off". A threshold is a number of milliseconds, or one with ns, us, ms or
 * s. With `sets_default` a list that begins with a positive term switches off what no term matches. Returns 0, or -EINVAL
 * with *ret_where set to the first byte that it cannot read and nothing added. */
int lap_switches_add(struct lap_switches *switches, const char *text, int sets_default, const char **ret_where);

/* The term that decides for a label or function, NULL if none does. */
const struct lap_term *lap_switches_find(const struct lap_switches *switches, const char *label, const char *function);

/* The same for a site: by its label as the source has it or with # for each argument, or by its function, of which the part
 * behind the last point will do (Python's `Class.method`). */
const struct lap_term *lap_switches_find_site(const struct lap_switches *switches, const struct lap_class *class,
                                              const struct lap_description *description);

/* Are they "off" and nothing else? A checkpoint goes with its profiler; only that spares its few cycles, too. */
int lap_switches_are_off(const struct lap_switches *switches);

static inline int lap_switch_is_mark(const struct lap_class *class)
{
    return class->kind == LAP_CLASS_MARK || class->kind == LAP_CLASS_HANDLE_MARK || class->kind == LAP_CLASS_CALL;
}

/* What all sites of a process have in common. */
struct lap_switching {
    int prints;
    int keeps_slow;
    uint32_t clock_source; /* enum lap_format_clock */
    int leaves_snapshots;  /* a breach of a threshold does */
};

/* The state byte of a site that is on, or not; `is_named`: by a term, whose threshold it is (LAP_FORMAT_NO_THRESHOLD: none). */
uint8_t lap_switch_state(const struct lap_switching *how, const struct lap_class *class, int is_on, int is_named,
                         uint64_t threshold_ns);

/* A threshold as it is stored: none for what is no number or negative, a finite one for what is infinite. */
uint64_t lap_threshold_ns(double ns);

/* A duration as thresholds have it, alone. 0 or -EINVAL. */
int lap_switches_parse_duration(const char *text, uint64_t *ret_ns);

/* A size with an optional K, M or G. 0 or -EINVAL. */
int lap_switches_parse_size(const char *text, uint64_t *ret_bytes);

#endif
