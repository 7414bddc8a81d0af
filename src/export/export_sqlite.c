/* SPDX-License-Identifier: MIT */
#include "export.h"
#include "sqlite_fill.h"
#include "sqlite_index.h"

#include <errno.h>

/* Shares of the time, about: labels with arguments make the first one longer. */
enum { READING = 2, INDEXING = 3, ALL = READING + INDEXING };

static void see_reading(void *user, uint64_t done, uint64_t total)
{
    const struct lap_spans_options *const options = user;
    options->progress(options->progress_user, READING * done, ALL * total);
}

static void see_indexing(void *user, uint64_t done, uint64_t total)
{
    const struct lap_spans_options *const options = user;
    options->progress(options->progress_user, READING * total + INDEXING * done, ALL * total);
}

int lap_export_sqlite(const struct lap_export *export, const char *file)
{
    struct lap_spans_options options = export->options;
    struct lap_export reading = *export;
    if (options.progress) {
        reading.options.progress = see_reading;
        reading.options.progress_user = &options;
    }
    struct lap_out out;
    int code = lap_out_open_named(&out, file);
    if (code < 0)
        return code;
    if (!out.temporary) /* a pipe, a terminal */
        code = -ESPIPE;
    if (code == 0)
        code = lap_sqlite_fill(&reading, out.fd, true);
    if (code == 0)
        code = lap_sqlite_index_file(out.temporary, options.progress ? see_indexing : NULL, &options);
    const int closed = lap_out_close(&out, code == 0);
    return code < 0 ? code : closed;
}
