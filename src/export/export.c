/* SPDX-License-Identifier: MIT */
#include "export.h"

#include <string.h>

const struct lap_export_format lap_export_formats[] = {
    {.name = "perfetto", .about = "ui.perfetto.dev, trace_processor", .write = lap_export_perfetto},
    {.name = "folded", .about = "flamegraph.pl, speedscope", .is_text = true, .write = lap_export_folded},
    {.name = "pprof", .about = "pprof", .write = lap_export_pprof},
    {.name = "otlp", .about = "OpenTelemetry, protobuf", .write = lap_export_otlp},
    {.name = "otlp-json", .about = "OpenTelemetry, JSON Lines", .is_text = true, .write = lap_export_otlp_json},
    {.name = "chrome", .about = "chrome://tracing, ui.perfetto.dev, others", .is_text = true, .write = lap_export_chrome},
    {.name = "speedscope", .about = "speedscope.app", .is_text = true, .write = lap_export_speedscope},
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
