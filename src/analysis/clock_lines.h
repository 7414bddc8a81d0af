/* SPDX-License-Identifier: MIT
 *
 * All straight lines that lie between upper and lower bounds: what clock_bounds.h keeps of a stretch of time. For methods
 * and sources see there.
 */
#ifndef LAP_CLOCK_LINES_H
#define LAP_CLOCK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* x: client time since the window's base_time_ns; y: theta since its base_offset_ns. ns. */
struct lap_clock_point {
    double x, y;
};

/* A convex chain of upper bounds, by x. All of its slopes are between the least and the greatest rate: behind its last point
 * it goes on with the greatest, before its first with the least. */
struct lap_clock_hull {
    struct lap_clock_point *points; /* not owned */
    uint32_t count, room;
};

struct lap_clock_lines {
    int64_t base_time_ns, base_offset_ns; /* set by the first bound */
    bool has_base;
    double rate_least, rate_greatest;
    struct lap_clock_hull upper;
    struct lap_clock_hull lower; /* with y negated: upper bounds of -theta */
    uint64_t dropped_points;
};

/* Empties it; the hulls' memory stays. */
void lap_clock_lines_clear(struct lap_clock_lines *lines);
/* What a base may be set to before the first bound. */
void lap_clock_lines_set_base(struct lap_clock_lines *lines, int64_t time_ns, int64_t offset_ns);
/* Copies into the hulls of `lines`, which must have the room. */
void lap_clock_lines_copy(struct lap_clock_lines *lines, const struct lap_clock_lines *from);

/* Theta at base_time_ns + x is at most, or at least, base_offset_ns + y. False: no line is left, and `lines` is good for
 * nothing but to be cleared. Warm: a search in the hull, and nothing else where the bound says nothing new. */
bool lap_clock_lines_add_upper(struct lap_clock_lines *lines, double x, double y);
bool lap_clock_lines_add_lower(struct lap_clock_lines *lines, double x, double y);
/* Likewise, all that the other's lines keep to. */
bool lap_clock_lines_add(struct lap_clock_lines *lines, const struct lap_clock_lines *other);

/* The greatest and the least that any line has at x; INFINITY, -INFINITY where nothing bounds it. */
double lap_clock_lines_upper(const struct lap_clock_lines *lines, double x);
double lap_clock_lines_lower(const struct lap_clock_lines *lines, double x);

/* The line with the greatest vertical distance to both hulls, the middle one where several have it: y at x = 0 and rate.
 * Returns the distance; INFINITY where a side is unbounded: then the line lies on the other. There must be a bound. */
double lap_clock_lines_widest(const struct lap_clock_lines *lines, double *ret_y, double *ret_rate);

#endif
