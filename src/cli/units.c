/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "units.h"

#include "duration.h"
#include "terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *lap_units_count(char out[LAP_UNITS_BYTES], uint64_t count)
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *at = out;
    for (int i = 0; i < length; i++) {
        *at++ = digits[i];
        if ((length - i) % 3 == 1 && i + 1 < length)
            *at++ = ',';
    }
    *at = 0;
    return out;
}

char *lap_units_counted(char out[LAP_UNITS_BYTES], uint64_t count, const char *singular)
{
    char number[LAP_UNITS_BYTES];
    const size_t length = strlen(singular);
    const char *const plural = count == 1 ? "" : singular[length - 1] == 's' ? "es" : "s";
    snprintf(out, LAP_UNITS_BYTES, "%.30s %.28s%s", lap_units_count(number, count), singular, plural);
    return out;
}

char *lap_units_duration(char out[LAP_UNITS_BYTES], double ns)
{
    const double minute_ns = 60e9;
    if (ns >= 10 * minute_ns && ns < 1e18) {
        const uint64_t seconds = (uint64_t)(ns / 1e9 + 0.5);
        if (seconds < 3600)
            snprintf(out, LAP_UNITS_BYTES, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
        else
            snprintf(out, LAP_UNITS_BYTES, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds % 3600 / 60);
        return out;
    }
    lap_duration_human(out, LAP_UNITS_BYTES, ns);
    char *const micro = strstr(out, "\xc2\xb5");
    if (micro && !lap_terminal_get()->has_utf8)
        memcpy(micro, "us", sizeof "us");
    return out;
}

char *lap_units_share(char out[LAP_UNITS_BYTES], double part, double whole)
{
    *out = 0;
    if (whole > 0 && part > 0 && part / whole < 0.0005)
        memcpy(out, "<0.1%", sizeof "<0.1%");
    else if (whole > 0)
        snprintf(out, LAP_UNITS_BYTES, "%.1f%%", 100 * part / whole);
    return out;
}

char *lap_units_time(char out[LAP_UNITS_BYTES], uint64_t realtime_ns)
{
    const time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    const size_t length = strftime(out, LAP_UNITS_BYTES, "%H:%M:%S", &tm);
    snprintf(out + length, LAP_UNITS_BYTES - length, ".%06" PRIu64, realtime_ns % 1000000000 / 1000);
    return out;
}

static char *scaled(char out[LAP_UNITS_BYTES], double value, double step, const char *const *units)
{
    while (value >= step && units[1]) {
        value /= step;
        units++;
    }
    snprintf(out, LAP_UNITS_BYTES, value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, *units);
    return out;
}

char *lap_units_frequency(char out[LAP_UNITS_BYTES], double hz)
{
    static const char *const units[] = {"Hz", "kHz", "MHz", "GHz", NULL};
    return scaled(out, hz, 1000, units);
}

char *lap_units_rate(char out[LAP_UNITS_BYTES], double a_second)
{
    static const char *const units[] = {"/s", "k/s", "M/s", "G/s", NULL};
    return scaled(out, a_second, 1000, units);
}

char *lap_units_size(char out[LAP_UNITS_BYTES], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", NULL};
    return scaled(out, bytes, 1024, units);
}
