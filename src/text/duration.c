/* SPDX-License-Identifier: MIT */
#include "duration.h"

#include <stdint.h>
#include <string.h>

#define DECIMALS_MAX 12u

static double duration_clamp(double ns) { return ns > 0 ? (ns < 1e21 ? ns : 1e21) : 0; }

/* `scaled` is the number times 10^decimals. Not by snprintf, whose decimal point depends on the host's locale. */
static size_t duration_write(char *out, size_t out_bytes, uint64_t scaled, unsigned decimals, const char *unit)
{
    char text[LAP_DURATION_BYTES];
    char *const end = text + sizeof text;
    char *at = end;
    for (unsigned digit = 0; scaled != 0 || digit <= decimals; digit++) {
        if (digit == decimals && decimals != 0)
            *--at = '.';
        *--at = (char)('0' + scaled % 10);
        scaled /= 10;
    }
    if (out_bytes == 0)
        return 0;
    const size_t digits = (size_t)(end - at);
    size_t bytes = digits < out_bytes ? digits : out_bytes - 1;
    memcpy(out, at, bytes);
    const size_t unit_bytes = strlen(unit);
    if (bytes + unit_bytes < out_bytes) {
        memcpy(out + bytes, unit, unit_bytes);
        bytes += unit_bytes;
    }
    out[bytes] = 0;
    return bytes;
}

size_t lap_duration_ms(char *out, size_t out_bytes, double ns)
{
    unsigned decimals = 4;
    double factor = 1e-2; /* 10^decimals ms in a ns */
    const double value = duration_clamp(ns);
    while (value * factor + 0.5 < 100 && value > 0 && decimals < DECIMALS_MAX) {
        decimals++;
        factor = decimals == 5 ? 1e-1 : decimals == 6 ? 1 : factor * 10;
    }
    return duration_write(out, out_bytes, (uint64_t)(value * factor + 0.5), decimals, " ms");
}

size_t lap_duration_human(char *out, size_t out_bytes, double ns)
{
    static const struct {
        double ns;
        char text[8];
    } units[] = {{1, " ns"}, {1e3, " µs"}, {1e6, " ms"}, {1e9, " s"}};
    const double value = duration_clamp(ns);
    unsigned unit = 0;
    while (unit < 3 && value / units[unit].ns >= 999.5)
        unit++;
    const double shown = value / units[unit].ns;
    if (value <= 0)
        return duration_write(out, out_bytes, 0, 0, " ns");
    if (shown < 9.995)
        return duration_write(out, out_bytes, (uint64_t)(shown * 100 + 0.5), 2, units[unit].text);
    if (shown < 99.95)
        return duration_write(out, out_bytes, (uint64_t)(shown * 10 + 0.5), 1, units[unit].text);
    return duration_write(out, out_bytes, (uint64_t)(shown + 0.5), 0, units[unit].text);
}
