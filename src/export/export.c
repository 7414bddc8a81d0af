/* SPDX-License-Identifier: MIT */
#include "export.h"

#include <string.h>

const struct lap_export_format lap_export_formats[] = {
    {.name = "perfetto", .write = lap_export_perfetto},
    {.name = "folded", .is_text = true, .write = lap_export_folded},
    {.name = "pprof", .write = lap_export_pprof},
    {.name = "otlp", .write = lap_export_otlp},
    {.name = "otlp-json", .is_text = true, .write = lap_export_otlp_json},
    {.name = "chrome", .is_text = true, .write = lap_export_chrome},
    {.name = "speedscope", .is_text = true, .write = lap_export_speedscope},
#ifdef LAPMARK_HAS_SQLITE
    {.name = "sqlite", .write_file = lap_export_sqlite},
#else
    {.name = "sqlite", .missing = "SQLite"},
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
