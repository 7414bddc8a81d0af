/* SPDX-License-Identifier: MIT */
#include "export.h"

#include <string.h>

const struct lap_export_format lap_export_formats[] = {
    {.name = "perfetto", .about = "ui.perfetto.dev, trace_processor", .write = lap_export_perfetto},
#ifdef LAPMARK_HAS_SQLITE
    {.name = "sqlite", .about = "SQLite, and lapmark sql", .write_file = lap_export_sqlite},
#else
    {.name = "sqlite", .about = "SQLite; not in this build", .missing = "SQLite"},
#endif
};
const size_t lap_export_formats_count = sizeof lap_export_formats / sizeof *lap_export_formats;

const struct lap_export_format *lap_export_find(const char *name)
{
    for (size_t i = 0; i < lap_export_formats_count; i++)
        if (strcmp(lap_export_formats[i].name, name) == 0)
            return &lap_export_formats[i];
    return NULL;
}
