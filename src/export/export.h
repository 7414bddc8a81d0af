/* SPDX-License-Identifier: MIT
 *
 * A recording in another format: one table of formats, each of them one file export_*.c, all written from the same spans (spans.h).
 */
#ifndef LAP_EXPORT_H
#define LAP_EXPORT_H

#include "out.h"
#include "spans.h"
#include "timeline.h"

#include <stdbool.h>
#include <stddef.h>

/* Of all formats, as the help shows them. */
#define LAP_EXPORT_NAMES "perfetto chrome speedscope folded pprof otlp otlp-json sqlite"

struct lap_export {
    struct lap_recording *recording;
    const struct lap_timeline *timeline; /* NULL: all processes read one clock */
    struct lap_spans_options options;
};

struct lap_export_format {
    const char *name;
    bool is_text;        /* may be written to a terminal */
    const char *missing; /* the library that it needs and this build has not, else NULL */
    /* Writes all of it. Returns 0 or a negative errno. One of the two. */
    int (*write)(const struct lap_export *export, struct lap_out *out);
    int (*write_file)(const struct lap_export *export, const char *file); /* that is new */
};

extern const struct lap_export_format lap_export_formats[];
extern const size_t lap_export_formats_count;

/* NULL: there is none of that name. */
const struct lap_export_format *lap_export_find(const char *name);

int lap_export_perfetto(const struct lap_export *export, struct lap_out *out);
int lap_export_folded(const struct lap_export *export, struct lap_out *out);
int lap_export_pprof(const struct lap_export *export, struct lap_out *out);
int lap_export_otlp(const struct lap_export *export, struct lap_out *out);
int lap_export_otlp_json(const struct lap_export *export, struct lap_out *out);
int lap_export_chrome(const struct lap_export *export, struct lap_out *out);
int lap_export_speedscope(const struct lap_export *export, struct lap_out *out);
int lap_export_sqlite(const struct lap_export *export, const char *file);

#endif
