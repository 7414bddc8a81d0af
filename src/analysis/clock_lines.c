/* SPDX-License-Identifier: MIT
 *
 * Every point is a bound by itself, and so is each end of the chain with a rate's limit. So whatever rounding makes of
 * comparisons, and whichever points are missing, the answers are never too narrow.
 */
#include "clock_lines.h"

#include "clock_bounds.h"

#include <math.h>
#include <string.h>

/* A gap is closed only if it is by this many ns: far above what rounding makes of it, far below a clock's granularity. */
#define SLACK_NS 1e-3

/* Twice what a sum or quotient of doubles is rounded by. */
#define ROUNDING 0x1p-52

static double magnitude(double value) { return value < 0 ? -value : value; }

void lap_clock_lines_clear(struct lap_clock_lines *lines)
{
    lines->has_base = false;
    lines->rate_least = -LAP_CLOCK_RATE_LIMIT;
    lines->rate_greatest = LAP_CLOCK_RATE_LIMIT;
    lines->upper.count = lines->lower.count = 0;
}

void lap_clock_lines_set_base(struct lap_clock_lines *lines, int64_t time_ns, int64_t offset_ns)
{
    if (lines->has_base)
        return;
    lines->base_time_ns = time_ns;
    lines->base_offset_ns = offset_ns;
    lines->has_base = true;
}

static void hull_copy(struct lap_clock_hull *hull, const struct lap_clock_hull *from)
{
    hull->count = from->count;
    memcpy(hull->points, from->points, from->count * sizeof *from->points);
}

void lap_clock_lines_copy(struct lap_clock_lines *lines, const struct lap_clock_lines *from)
{
    const struct lap_clock_hull upper = lines->upper, lower = lines->lower;
    *lines = *from;
    lines->upper = upper;
    lines->lower = lower;
    hull_copy(&lines->upper, &from->upper);
    hull_copy(&lines->lower, &from->lower);
}

/* How many points lie at or before x. Calls come nearly in order, so it is looked for from the end first. */
static uint32_t hull_find(const struct lap_clock_hull *hull, double x)
{
    if (hull->count == 0 || hull->points[hull->count - 1].x <= x)
        return hull->count;
    uint32_t low = 0, high = hull->count - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (hull->points[middle].x <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The chain at x, of which `behind` points are not after. */
static double hull_value(const struct lap_clock_hull *hull, uint32_t behind, double x, double least, double greatest)
{
    if (hull->count == 0)
        return INFINITY;
    const struct lap_clock_point *const points = hull->points;
    if (behind == 0)
        return points[0].y + least * (x - points[0].x);
    if (behind == hull->count)
        return points[behind - 1].y + greatest * (x - points[behind - 1].x);
    const struct lap_clock_point from = points[behind - 1], to = points[behind];
    return from.y + (to.y - from.y) * ((x - from.x) / (to.x - from.x));
}

static void hull_remove(struct lap_clock_hull *hull, uint32_t first, uint32_t count)
{
    if (count == 0)
        return;
    memmove(hull->points + first, hull->points + first + count, (hull->count - first - count) * sizeof *hull->points);
    hull->count -= count;
}

/* Is b on or above the line from a to c, x in this order? */
static bool is_above(struct lap_clock_point a, struct lap_clock_point b, struct lap_clock_point c)
{
    return (b.y - a.y) * (c.x - a.x) >= (c.y - a.y) * (b.x - a.x);
}

/* Makes room by the point whose neighbours' line is the least below it. */
static void hull_drop(struct lap_clock_hull *hull)
{
    const struct lap_clock_point *const points = hull->points;
    uint32_t least = 1;
    double least_loss = INFINITY;
    for (uint32_t i = 1; i + 1 < hull->count; i++) {
        const struct lap_clock_point a = points[i - 1], b = points[i], c = points[i + 1];
        const double loss = a.y + (c.y - a.y) * ((b.x - a.x) / (c.x - a.x)) - b.y;
        if (loss < least_loss) {
            least_loss = loss;
            least = i;
        }
    }
    hull_remove(hull, least, 1);
}

/* False: the point says nothing new. */
static bool hull_add(struct lap_clock_hull *hull, struct lap_clock_point point, double least, double greatest,
                     uint64_t *dropped)
{
    uint32_t place = hull_find(hull, point.x);
    if (point.y >= hull_value(hull, place, point.x, least, greatest))
        return false;
    struct lap_clock_point *points = hull->points;

    uint32_t end = place; /* of those behind that are not needed any more */
    while (end < hull->count && (end + 1 < hull->count ? is_above(point, points[end], points[end + 1])
                                                       : points[end].y >= point.y + greatest * (points[end].x - point.x)))
        end++;
    uint32_t begin = place; /* and before */
    while (begin > 0 && (begin > 1 ? is_above(points[begin - 2], points[begin - 1], point)
                                   : points[0].y >= point.y + least * (points[0].x - point.x)))
        begin--;
    if (begin < end) {
        points[begin] = point;
        hull_remove(hull, begin + 1, end - begin - 1);
        return true;
    }
    if (hull->count == hull->room) {
        hull_drop(hull);
        ++*dropped;
        place = hull_find(hull, point.x);
    }
    memmove(points + place + 1, points + place, (hull->count - place) * sizeof *points);
    points[place] = point;
    hull->count++;
    return true;
}

/* Leaves out the ends that rates within the limits do not come to. */
static void hull_cut(struct lap_clock_hull *hull, double least, double greatest)
{
    const struct lap_clock_point *const points = hull->points;
    while (hull->count > 1) {
        const struct lap_clock_point a = points[hull->count - 2], b = points[hull->count - 1];
        if (b.y - a.y < greatest * (b.x - a.x))
            break;
        hull->count--;
    }
    uint32_t first = 0;
    while (first + 1 < hull->count &&
           points[first + 1].y - points[first].y <= least * (points[first + 1].x - points[first].x))
        first++;
    hull_remove(hull, 0, first);
}

/* The rate of a line through the upper point and the lower one (y negated), and how far it may be from it. */
static double rate_of(struct lap_clock_point upper, struct lap_clock_point lower, double *ret_rounding)
{
    const double distance = upper.x - lower.x, rate = (upper.y + lower.y) / distance;
    *ret_rounding =
        (magnitude(upper.y) + magnitude(lower.y)) / magnitude(distance) * ROUNDING + magnitude(rate) * ROUNDING;
    return rate;
}

/* Brings the limits of the rate to what fits between the hulls: Newton's method on the gap between them as a function of the
 * rate, which is concave; each step is a limit that holds. With the ends cut, the points that a line of the greatest rate
 * touches are the last upper and the first lower one; of the least rate the others. */
static bool lines_narrow(struct lap_clock_lines *lines)
{
    if (lines->upper.count == 0 || lines->lower.count == 0)
        return true;
    for (bool is_least = false;; is_least = true) {
        for (;;) {
            hull_cut(&lines->upper, lines->rate_least, lines->rate_greatest);
            hull_cut(&lines->lower, -lines->rate_greatest, -lines->rate_least);
            const struct lap_clock_point upper = lines->upper.points[is_least ? 0 : lines->upper.count - 1];
            const struct lap_clock_point lower = lines->lower.points[is_least ? lines->lower.count - 1 : 0];
            const double rate = is_least ? lines->rate_least : lines->rate_greatest, distance = upper.x - lower.x;
            if (upper.y + lower.y - rate * distance >= -SLACK_NS)
                break;
            if (is_least ? distance >= 0 : distance <= 0)
                return false; /* all other rates fit even less */
            double rounding;
            const double limit = rate_of(upper, lower, &rounding);
            if (is_least ? limit - rounding <= rate : limit + rounding >= rate)
                break;
            if (is_least)
                lines->rate_least = limit - rounding;
            else
                lines->rate_greatest = limit + rounding;
            if (lines->rate_least > lines->rate_greatest)
                return false;
        }
        if (is_least)
            return true;
    }
}

bool lap_clock_lines_add_upper(struct lap_clock_lines *lines, double x, double y)
{
    const struct lap_clock_point point = {x, y};
    return !hull_add(&lines->upper, point, lines->rate_least, lines->rate_greatest, &lines->dropped_points) ||
           lines_narrow(lines);
}

bool lap_clock_lines_add_lower(struct lap_clock_lines *lines, double x, double y)
{
    const struct lap_clock_point point = {x, -y};
    return !hull_add(&lines->lower, point, -lines->rate_greatest, -lines->rate_least, &lines->dropped_points) ||
           lines_narrow(lines);
}

bool lap_clock_lines_add(struct lap_clock_lines *lines, const struct lap_clock_lines *other)
{
    const double x = (double)(other->base_time_ns - lines->base_time_ns);
    const double y = (double)(other->base_offset_ns - lines->base_offset_ns);
    if (other->rate_least > lines->rate_least)
        lines->rate_least = other->rate_least;
    if (other->rate_greatest < lines->rate_greatest)
        lines->rate_greatest = other->rate_greatest;
    if (lines->rate_least > lines->rate_greatest)
        return false;
    hull_cut(&lines->upper, lines->rate_least, lines->rate_greatest);
    hull_cut(&lines->lower, -lines->rate_greatest, -lines->rate_least);
    for (uint32_t i = 0; i < other->upper.count; i++)
        if (!lap_clock_lines_add_upper(lines, other->upper.points[i].x + x, other->upper.points[i].y + y))
            return false;
    for (uint32_t i = 0; i < other->lower.count; i++)
        if (!lap_clock_lines_add_lower(lines, other->lower.points[i].x + x, y - other->lower.points[i].y))
            return false;
    return lines_narrow(lines);
}

double lap_clock_lines_upper(const struct lap_clock_lines *lines, double x)
{
    return hull_value(&lines->upper, hull_find(&lines->upper, x), x, lines->rate_least, lines->rate_greatest);
}

double lap_clock_lines_lower(const struct lap_clock_lines *lines, double x)
{
    return -hull_value(&lines->lower, hull_find(&lines->lower, x), x, -lines->rate_greatest, -lines->rate_least);
}

/* Where a line of that rate which touches the hull from below is at x = 0. */
static double hull_least(const struct lap_clock_hull *hull, double rate)
{
    double least = INFINITY;
    for (uint32_t i = 0; i < hull->count; i++) {
        const double y = hull->points[i].y - rate * hull->points[i].x;
        least = y < least ? y : least;
    }
    return least;
}

/* From the least rate to the greatest, the line that touches the upper hull goes from its first point to its last, that of the
 * lower one from its last to its first, with an edge's slope as the rate of each change. The gap between the two grows with the
 * rate as long as the lower point is behind the upper one. */
double lap_clock_lines_widest(const struct lap_clock_lines *lines, double *ret_y, double *ret_rate)
{
    const struct lap_clock_hull *const upper = &lines->upper, *const lower = &lines->lower;
    if (upper->count == 0 || lower->count == 0) {
        const struct lap_clock_point point = upper->count != 0 ? upper->points[0] : lower->points[0];
        *ret_rate = (lines->rate_least + lines->rate_greatest) / 2;
        *ret_y = (upper->count != 0 ? point.y : -point.y) - *ret_rate * point.x;
        return INFINITY;
    }
    uint32_t above = 0, below = lower->count - 1;
    double rate = lines->rate_least, from = rate;
    for (;;) {
        const struct lap_clock_point *const u = &upper->points[above], *const l = &lower->points[below];
        double next = lines->rate_greatest;
        bool moves_above = false, moves_below = false;
        if (above + 1 < upper->count && (u[1].y - u->y) / (u[1].x - u->x) <= next) {
            next = (u[1].y - u->y) / (u[1].x - u->x);
            moves_above = true;
        }
        if (below > 0 && (l[-1].y - l->y) / (l->x - l[-1].x) < next) {
            next = (l[-1].y - l->y) / (l->x - l[-1].x);
            moves_above = false;
            moves_below = true;
        }
        if (l->x < u->x)
            break; /* from here on the gap shrinks */
        rate = next;
        if (l->x > u->x)
            from = next;
        if (!moves_above && !moves_below)
            break;
        above += moves_above;
        below -= moves_below;
    }
    *ret_rate = from + (rate - from) / 2;
    const double top = hull_least(upper, *ret_rate), bottom = -hull_least(lower, -*ret_rate);
    *ret_y = bottom + (top - bottom) / 2;
    return (top - bottom) / 2;
}
