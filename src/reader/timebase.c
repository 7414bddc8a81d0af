/* SPDX-License-Identifier: MIT */
#include "timebase.h"

#include <errno.h>

#define NS_PER_S 1e9
/* Below, a tick would be longer than the scale's 256 ns; above, no counter runs. */
#define HZ_MIN 4e6
#define HZ_MAX 1e12
/* How far a measured rate may be off, to be better than the nominal one. */
#define RATE_ERROR_MAX 1e-5
#define SEGMENT_SPAN_NS_MIN UINT64_C(1000000000)
/* A measured rate that is further from the nominal one is none: the counter jumped, or began anew. */
#define RATE_SHARE_MAX 0.01
/* As far as that from the nominal rate CLOCK_MONOTONIC is believed, since CLOCK_REALTIME may have been set. */
#define RATE_ERROR_SUSPENDED 5e-4

static double rate_of(const struct lap_format_clock_reading *from, const struct lap_format_clock_reading *to,
                      uint64_t elapsed_ns)
{
    if (to->ticks <= from->ticks || elapsed_ns == 0 || elapsed_ns > INT64_MAX)
        return 0;
    return (double)(to->ticks - from->ticks) / (double)elapsed_ns * NS_PER_S;
}

static double distance(double a, double b) { return a < b ? b - a : a - b; }

/* While a machine is suspended CLOCK_MONOTONIC stands still, and the counter may go on, as CLOCK_REALTIME does: the one of the two
 * clocks that went with the counter is the one whose rate is nearer to the nominal one. */
static double rate_between(const struct lap_format_clock_reading *from, const struct lap_format_clock_reading *to,
                           double nominal)
{
    const double monotonic = rate_of(from, to, to->monotonic_ns - from->monotonic_ns);
    const double realtime = rate_of(from, to, to->realtime_ns - from->realtime_ns);
    const double rate = distance(realtime, nominal) < distance(monotonic, nominal) &&
                                distance(monotonic, nominal) > nominal * RATE_ERROR_SUSPENDED
                            ? realtime
                            : monotonic;
    return distance(rate, nominal) <= nominal * RATE_SHARE_MAX ? rate : 0;
}

static int is_rate(double hz) { return hz >= HZ_MIN && hz <= HZ_MAX; }

int lap_timebase_init(struct lap_timebase *timebase, const struct lap_format_control *control,
                      const struct lap_format_clock_reading *newest)
{
    const struct lap_format_clock_reading *const start = &control->start, *const end = &control->end;
    double hz = (double)control->clock_hz;
    uint32_t from = LAP_TIMEBASE_NOMINAL;
    if (control->clock_source == LAP_FORMAT_CLOCK_MONOTONIC) {
        hz = NS_PER_S;
    } else if (end->ticks != 0) {
        const double measured = rate_between(start, end, hz);
        const double error = (double)(start->bracket_ticks + end->bracket_ticks) / (double)(end->ticks - start->ticks);
        if (is_rate(measured) && error <= RATE_ERROR_MAX) {
            hz = measured;
            from = LAP_TIMEBASE_END;
        }
    } else if (newest && newest->monotonic_ns > start->monotonic_ns + SEGMENT_SPAN_NS_MIN) {
        const double measured = rate_between(start, newest, hz);
        if (is_rate(measured)) {
            hz = measured;
            from = LAP_TIMEBASE_SEGMENT;
        }
    }
    const int is_sound = is_rate(hz);
    if (!is_sound)
        hz = NS_PER_S;
    *timebase = (struct lap_timebase){
        .hz = hz,
        .ns_per_tick = NS_PER_S / hz,
        .scale = (uint64_t)(NS_PER_S / hz * 0x1p56 + 0.5),
        .start_ticks = start->ticks,
        .start_monotonic_ns = start->monotonic_ns,
        .start_realtime_ns = start->realtime_ns,
        .source = control->clock_source,
        .rate_from = from,
        .resolution_ns = (double)control->clock_resolution_ticks * (NS_PER_S / hz),
    };
    return is_sound ? 0 : -EINVAL;
}

/* The last piece that is not behind `ticks`, but one in front of the last: with the next one it makes a line. */
static const struct lap_timebase_piece *piece_at(const struct lap_timebase *timebase, uint64_t ticks)
{
    size_t low = 0, high = timebase->piece_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (timebase->pieces[middle].ticks <= ticks)
            low = middle;
        else
            high = middle;
    }
    return &timebase->pieces[low + 1 < timebase->piece_count || low == 0 ? low : low - 1];
}

uint64_t lap_timebase_piece_ns(const struct lap_timebase *timebase, uint64_t ticks)
{
    const struct lap_timebase_piece *const piece = piece_at(timebase, ticks);
    double ns_per_tick = timebase->ns_per_tick;
    if (timebase->piece_count > 1)
        ns_per_tick =
            (double)(int64_t)(piece[1].realtime_ns - piece->realtime_ns) / (double)(piece[1].ticks - piece->ticks);
    return piece->realtime_ns + (uint64_t)(int64_t)((double)(int64_t)(ticks - piece->ticks) * ns_per_tick);
}

double lap_timebase_error_ns(const struct lap_timebase *timebase, uint64_t ticks)
{
    if (!timebase->pieces)
        return 0;
    const struct lap_timebase_piece *const piece = piece_at(timebase, ticks);
    return timebase->piece_count > 1 && piece[1].error_ns > piece->error_ns ? piece[1].error_ns : piece->error_ns;
}

const char *lap_timebase_source_text(uint32_t source)
{
    switch (source) {
    case LAP_FORMAT_CLOCK_TSC: return "tsc";
    case LAP_FORMAT_CLOCK_CNTVCT: return "cntvct";
    case LAP_FORMAT_CLOCK_MONOTONIC: return "monotonic";
    default: return "unknown";
    }
}
