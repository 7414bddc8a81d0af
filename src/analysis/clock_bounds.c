/* SPDX-License-Identifier: MIT
 *
 * Windows, and the steps between them. A call counts in the open window at once, so that a step is seen. But one that came
 * after a step that was not seen yet may have fitted the old window and made it too narrow. So the window is kept a second
 * time without the newest calls; when a step is seen, it is closed from there, with those of the newest that are before the
 * step wherever the step may have been. The new one begins with those that are behind it wherever it was.
 */
#include "clock_bounds.h"

#include "clock_lines.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT_CALLS = 256 };

/* A time that a call's answer or processing may not exceed, and a window's length: exact as a double. */
#define LENGTH_LIMIT (INT64_C(1) << 50)

/* What the hulls' rounding, and what they take for no gap, may come to. */
#define SLACK_NS 1e-3

/* Of a sum of doubles as large as these, generously. */
#define ROUNDING 0x1p-50

static double magnitude(double value) { return value < 0 ? -value : value; }
static int64_t rounded(double value) { return (int64_t)(value + (value < 0 ? -0.5 : 0.5)); }

struct call {
    int64_t t1, t4;       /* of a message: t4 = t1 */
    int64_t upper, lower; /* theta at t1, at t4 */
    bool is_message;
};

struct window {
    struct lap_clock_lines lines;
    bool is_broken;     /* no line fits it and the one before */
    int64_t from, to;   /* the first t1, the last t4 */
    int64_t begin, end; /* surely in the window: the first t4, the last t1. The first may be behind the last */
    uint64_t calls, messages;
    uint32_t steps; /* how many windows up to this one are broken */
};

struct lap_clock_bounds {
    double tolerance;
    int64_t window_ns;
    uint32_t room, hull_points;
    uint32_t closed_count;
    struct window *closed;                /* `room` ones */
    struct window open, settled, scratch; /* settled: without the recent calls. With hulls of hull_points + 1 or less */
    struct call recent[RECENT_CALLS];     /* as they came, from `oldest` */
    uint32_t recent_count, oldest;
    struct lap_clock_counts counts;
    size_t closed_bytes;
};

/* ---- one window -------------------------------------------------------------------------------------------------------- */

/* All but the number of steps, and the points that were dropped. */
static void window_clear(struct window *window)
{
    lap_clock_lines_clear(&window->lines);
    window->is_broken = false;
    window->from = window->begin = INT64_MAX;
    window->to = window->end = INT64_MIN;
    window->calls = window->messages = 0;
}

/* Takes over all but the memory of the hulls. */
static void window_copy(struct window *window, const struct window *from)
{
    const struct lap_clock_lines lines = window->lines;
    *window = *from;
    window->lines = lines;
    lap_clock_lines_copy(&window->lines, &from->lines);
}

static void window_extend(struct window *window, const struct window *other)
{
    window->from = other->from < window->from ? other->from : window->from;
    window->to = other->to > window->to ? other->to : window->to;
    window->begin = other->begin < window->begin ? other->begin : window->begin;
    window->end = other->end > window->end ? other->end : window->end;
    window->calls += other->calls;
    window->messages += other->messages;
}

/* False: no line is left. */
static bool window_add(struct window *window, const struct call *call, double tolerance)
{
    struct lap_clock_lines *const lines = &window->lines;
    lap_clock_lines_set_base(lines, call->t1,
                             call->is_message ? call->upper : call->lower + (call->upper - call->lower) / 2);
    if (!lap_clock_lines_add_upper(lines, (double)(call->t1 - lines->base_time_ns),
                                   (double)(call->upper - lines->base_offset_ns) + tolerance) ||
        (!call->is_message && !lap_clock_lines_add_lower(lines, (double)(call->t4 - lines->base_time_ns),
                                                         (double)(call->lower - lines->base_offset_ns) - tolerance)))
        return false;
    const struct window with = {.from = call->t1,
                                .to = call->t4,
                                .begin = call->is_message ? INT64_MAX : call->t4,
                                .end = call->t1,
                                .calls = !call->is_message,
                                .messages = call->is_message};
    window_extend(window, &with);
    return true;
}

/* Least and greatest theta, relative to an offset. */
struct range {
    double least, greatest;
};

static struct range range_widened(struct range range, double by)
{
    return (struct range){range.least - by, range.greatest + by};
}

/* Offsets are apart by less than 2^64; beyond 2^63 nobody asks for the difference, but it must not trap. */
static double offset_difference(int64_t left, int64_t right)
{
    return (double)(int64_t)((uint64_t)left - (uint64_t)right);
}

static struct range window_range(const struct window *window, int64_t time, int64_t offset, double tolerance)
{
    const struct lap_clock_lines *const lines = &window->lines;
    const int64_t inside = time < window->from ? window->from : time > window->to ? window->to : time;
    const double x = (double)(inside - lines->base_time_ns), y = offset_difference(lines->base_offset_ns, offset);
    const double outside = magnitude((double)(time - inside)) * LAP_CLOCK_RATE_LIMIT;
    const struct range range = {lap_clock_lines_lower(lines, x) + y, lap_clock_lines_upper(lines, x) + y};
    const double rounding = outside + magnitude(offset_difference(lines->base_offset_ns, offset));
    return range_widened(range, tolerance + outside + rounding * ROUNDING);
}

static bool range_is_bounded(struct range range) { return range.least > -INFINITY && range.greatest < INFINITY; }

/* ---- all windows ------------------------------------------------------------------------------------------------------- */

int lap_clock_bounds_make(struct lap_clock_bounds **ret_bounds, const struct lap_clock_bounds_options *options)
{
    const struct lap_clock_bounds_options none = {0}, *const given = options ? options : &none;
    const int64_t window_ns = given->window_ns ? given->window_ns : INT64_C(60000000000);
    const uint32_t hull_points = given->hull_points ? given->hull_points : 256;
    const uint32_t window_count = given->window_count ? given->window_count : 1024;
    if (given->tolerance_ns < 0 || given->tolerance_ns > LENGTH_LIMIT || window_ns < 0 || window_ns > LENGTH_LIMIT ||
        hull_points < 4 || hull_points > UINT32_MAX / 2 || window_count < 2)
        return -EINVAL;
    struct lap_clock_bounds *const bounds = calloc(1, sizeof *bounds);
    if (!bounds)
        return -ENOMEM;
    bounds->tolerance = given->tolerance_ns ? (double)given->tolerance_ns : 1;
    bounds->window_ns = window_ns;
    bounds->hull_points = hull_points;
    bounds->room = window_count - 1;
    bounds->closed = calloc(bounds->room, sizeof *bounds->closed);
    struct window *const windows[] = {&bounds->open, &bounds->settled, &bounds->scratch};
    bool has_all = bounds->closed != NULL;
    for (size_t i = 0; i < 3; i++) {
        struct lap_clock_hull *const hulls[] = {&windows[i]->lines.upper, &windows[i]->lines.lower};
        for (size_t j = 0; j < 2; j++) {
            hulls[j]->room = hull_points;
            hulls[j]->points = calloc(hull_points, sizeof *hulls[j]->points);
            has_all = has_all && hulls[j]->points;
        }
        window_clear(windows[i]);
    }
    if (!has_all) {
        lap_clock_bounds_free(bounds);
        return -ENOMEM;
    }
    *ret_bounds = bounds;
    return 0;
}

static void window_done(struct window *window)
{
    free(window->lines.upper.points);
    free(window->lines.lower.points);
}

void lap_clock_bounds_free(struct lap_clock_bounds *bounds)
{
    if (!bounds)
        return;
    for (uint32_t i = 0; i < bounds->closed_count; i++)
        window_done(&bounds->closed[i]);
    window_done(&bounds->open);
    window_done(&bounds->settled);
    window_done(&bounds->scratch);
    free(bounds->closed);
    free(bounds);
}

static size_t window_bytes(const struct window *window)
{
    return (window->lines.upper.room + window->lines.lower.room) * sizeof *window->lines.upper.points;
}

size_t lap_clock_bounds_bytes(const struct lap_clock_bounds *bounds)
{
    return sizeof *bounds + bounds->room * sizeof *bounds->closed + bounds->closed_bytes +
           3 * window_bytes(&bounds->open);
}

/* A copy with hulls of just the size. Returns 0 or -ENOMEM. */
static int window_store(struct window *stored, const struct window *window)
{
    const uint32_t upper_room = window->lines.upper.count, lower_room = window->lines.lower.count;
    struct lap_clock_point *const upper = malloc((upper_room + 1) * sizeof *upper);
    struct lap_clock_point *const lower = malloc((lower_room + 1) * sizeof *lower);
    if (!upper || !lower) {
        free(upper);
        free(lower);
        return -ENOMEM;
    }
    stored->lines.upper = (struct lap_clock_hull){.points = upper, .room = upper_room};
    stored->lines.lower = (struct lap_clock_hull){.points = lower, .room = lower_room};
    window_copy(stored, window);
    return 0;
}

static void closed_remove(struct lap_clock_bounds *bounds, uint32_t index)
{
    bounds->closed_bytes -= window_bytes(&bounds->closed[index]);
    window_done(&bounds->closed[index]);
    bounds->closed_count--;
    memmove(bounds->closed + index, bounds->closed + index + 1, (bounds->closed_count - index) * sizeof *bounds->closed);
}

/* Makes room: joins the two that are the shortest together, else drops the second, since theta goes on from the first. Where
 * there are no two that go on, the oldest is dropped. */
static void closed_reduce(struct lap_clock_bounds *bounds)
{
    uint32_t best = 0;
    int64_t best_length = INT64_MAX;
    for (uint32_t i = 1; i < bounds->closed_count; i++) {
        const int64_t length = bounds->closed[i].to - bounds->closed[i - 1].from;
        if (!bounds->closed[i].is_broken && length < best_length) {
            best_length = length;
            best = i;
        }
    }
    if (best == 0) {
        closed_remove(bounds, 0);
        return;
    }
    struct window *const first = &bounds->closed[best - 1], *const second = &bounds->closed[best];
    struct window joined = {0};
    window_copy(&bounds->scratch, first);
    if (best_length <= LENGTH_LIMIT && lap_clock_lines_add(&bounds->scratch.lines, &second->lines)) {
        window_extend(&bounds->scratch, second);
        if (window_store(&joined, &bounds->scratch) == 0) {
            bounds->closed_bytes += window_bytes(&joined);
            bounds->closed_bytes -= window_bytes(first);
            window_done(first);
            *first = joined;
        }
    }
    closed_remove(bounds, best);
    if (best_length <= LENGTH_LIMIT && best_length > bounds->window_ns)
        bounds->window_ns = best_length; /* the following ones need not be joined, then */
}

/* Puts a window behind the closed ones. Returns 0 or -ENOMEM. */
static int closed_add(struct lap_clock_bounds *bounds, const struct window *window)
{
    struct window stored = {0};
    const int code = window_store(&stored, window);
    if (code < 0)
        return code;
    if (bounds->closed_count == bounds->room)
        closed_reduce(bounds);
    bounds->closed[bounds->closed_count++] = stored;
    bounds->closed_bytes += window_bytes(&stored);
    return 0;
}

static bool window_is_empty(const struct window *window) { return window->calls + window->messages == 0; }

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

static int call_compare(const void *left, const void *right)
{
    const struct call *const a = left, *const b = right;
    if (a->t1 != b->t1)
        return a->t1 < b->t1 ? -1 : 1;
    return (a->t4 > b->t4) - (a->t4 < b->t4);
}

/* The window without a call that is not in `recent` either. */
static void open_restore(struct lap_clock_bounds *bounds)
{
    window_copy(&bounds->open, &bounds->settled);
    for (uint32_t i = 0; i < bounds->recent_count; i++)
        (void)window_add(&bounds->open, &bounds->recent[(bounds->oldest + i) % RECENT_CALLS], bounds->tolerance);
}

/* It may be from before a step or from behind it. */
static void call_leave_out(struct lap_clock_bounds *bounds, const struct call *call)
{
    bounds->counts.ambiguous++;
    *(call->is_message ? &bounds->counts.messages : &bounds->counts.calls) -= 1;
}

/* No line fits this call and the others. Those that are before the step however it is placed close the window, those that
 * are behind it open the next. Cold. */
static int open_break(struct lap_clock_bounds *bounds, const struct call *call)
{
    struct call calls[RECENT_CALLS + 1];
    const uint32_t count = bounds->recent_count + 1;
    for (uint32_t i = 0; i + 1 < count; i++)
        calls[i] = bounds->recent[(bounds->oldest + i) % RECENT_CALLS];
    calls[count - 1] = *call;
    qsort(calls, count, sizeof *calls, call_compare);

    uint32_t before = 0; /* how many fit the old window, from the first on */
    window_copy(&bounds->open, &bounds->settled);
    while (before < count && window_add(&bounds->open, &calls[before], bounds->tolerance))
        before++;
    uint32_t behind = count; /* from here to the last all fit a window */
    window_clear(&bounds->scratch);
    while (behind > 0 && window_add(&bounds->scratch, &calls[behind - 1], bounds->tolerance))
        behind--;
    if (behind > before || before == count) {
        bounds->counts.contradictory++; /* not one step, but this call alone */
        open_restore(bounds);
        return 0;
    }

    /* The last one before the step was sent before it. What was answered by then is before it, too; what was not may have been
     * received behind it. */
    window_copy(&bounds->open, &bounds->settled);
    for (uint32_t i = 0; i < behind; i++)
        if (calls[i].t4 <= calls[behind - 1].t1 || (i + 1 == behind && window_is_empty(&bounds->open)))
            (void)window_add(&bounds->open, &calls[i], bounds->tolerance);
        else
            call_leave_out(bounds, &calls[i]);
    for (uint32_t i = behind; i < before; i++)
        call_leave_out(bounds, &calls[i]);
    int code = 0;
    if (!window_is_empty(&bounds->open)) {
        if (behind > 0 && calls[behind - 1].t1 > bounds->open.end)
            bounds->open.end = calls[behind - 1].t1;
        code = closed_add(bounds, &bounds->open);
        bounds->counts.dropped_points += bounds->open.lines.dropped_points;
    }
    window_clear(&bounds->settled);
    bounds->settled.lines.dropped_points = 0;
    bounds->settled.is_broken = true;
    bounds->settled.steps++;
    bounds->oldest = 0;
    bounds->recent_count = count - before;
    memcpy(bounds->recent, calls + before, (count - before) * sizeof *calls);
    open_restore(bounds);
    return code;
}

/* The window has its length: the next begins with what is known of theta at its end. */
static int open_continue(struct lap_clock_bounds *bounds, const struct call *call)
{
    const struct range range = window_range(&bounds->open, bounds->open.to, call->upper, 2 * bounds->tolerance);
    const double x = (double)(bounds->open.to - call->t1);
    const int code = closed_add(bounds, &bounds->open);
    bounds->counts.dropped_points += bounds->open.lines.dropped_points;
    struct window *const windows[] = {&bounds->open, &bounds->settled};
    for (size_t i = 0; i < 2; i++) {
        window_clear(windows[i]);
        windows[i]->lines.dropped_points = 0;
        lap_clock_lines_set_base(&windows[i]->lines, call->t1, call->upper);
        if (code == 0 && range.greatest < INFINITY)
            (void)lap_clock_lines_add_upper(&windows[i]->lines, x, range.greatest);
        if (code == 0 && range.least > -INFINITY)
            (void)lap_clock_lines_add_lower(&windows[i]->lines, x, range.least);
    }
    bounds->recent_count = 0;
    return code;
}

/* A call that was under way while the first of a broken window were may be from before the step, though it was not the first to
 * be sent. If it fits the window before, nobody knows. */
static bool call_is_ambiguous(struct lap_clock_bounds *bounds, const struct call *call)
{
    if (!bounds->open.is_broken || call->t1 >= bounds->open.begin || bounds->closed_count == 0)
        return false;
    window_copy(&bounds->scratch, &bounds->closed[bounds->closed_count - 1]);
    return window_add(&bounds->scratch, call, bounds->tolerance);
}

static int bounds_add(struct lap_clock_bounds *bounds, const struct call *call)
{
    struct window *const open = &bounds->open;
    int code = 0;
    const double shortfall = call->is_message ? 0 : (double)call->lower - (double)call->upper;
    if (call->t4 - call->t1 > LENGTH_LIMIT ||
        shortfall > (double)(call->t4 - call->t1) * LAP_CLOCK_RATE_LIMIT + 2 * bounds->tolerance) {
        bounds->counts.contradictory++;
        return 0;
    }
    if (bounds->closed_count != 0 &&
        (call->t1 <= bounds->closed[bounds->closed_count - 1].from || (open->is_broken && call->t1 < open->from))) {
        bounds->counts.late++;
        return 0;
    }
    if (!window_is_empty(open)) {
        if (call->t1 - open->from > bounds->window_ns)
            code = open_continue(bounds, call);
        else if (open->to - call->t1 > LENGTH_LIMIT) {
            bounds->counts.late++;
            return 0;
        }
    }
    if (call_is_ambiguous(bounds, call)) {
        bounds->counts.ambiguous++;
        return code;
    }
    *(call->is_message ? &bounds->counts.messages : &bounds->counts.calls) += 1;
    if (!window_add(open, call, bounds->tolerance)) {
        const uint64_t contradictory = bounds->counts.contradictory;
        const int break_code = open_break(bounds, call);
        if (bounds->counts.contradictory != contradictory)
            *(call->is_message ? &bounds->counts.messages : &bounds->counts.calls) -= 1;
        return code < 0 ? code : break_code;
    }
    struct call *const place = &bounds->recent[(bounds->oldest + bounds->recent_count) % RECENT_CALLS];
    if (bounds->recent_count == RECENT_CALLS) {
        (void)window_add(&bounds->settled, place, bounds->tolerance);
        bounds->oldest = (bounds->oldest + 1) % RECENT_CALLS;
    } else {
        bounds->recent_count++;
    }
    *place = *call;
    return code;
}

static bool is_time(int64_t time) { return time >= 0 && time < LAP_CLOCK_TIME_LIMIT; }

int lap_clock_bounds_add_call(struct lap_clock_bounds *bounds, int64_t t1_ns, int64_t t2_ns, int64_t t3_ns, int64_t t4_ns)
{
    if (!is_time(t1_ns) || !is_time(t2_ns) || !is_time(t3_ns) || !is_time(t4_ns) || t4_ns < t1_ns || t3_ns < t2_ns)
        return -EINVAL;
    const struct call call = {.t1 = t1_ns, .t4 = t4_ns, .upper = t2_ns - t1_ns, .lower = t3_ns - t4_ns};
    return bounds_add(bounds, &call);
}

int lap_clock_bounds_add_message(struct lap_clock_bounds *bounds, int64_t t1_ns, int64_t t2_ns)
{
    if (!is_time(t1_ns) || !is_time(t2_ns))
        return -EINVAL;
    const struct call call = {.t1 = t1_ns, .t4 = t1_ns, .upper = t2_ns - t1_ns, .is_message = true};
    return bounds_add(bounds, &call);
}

void lap_clock_bounds_counts(const struct lap_clock_bounds *bounds, struct lap_clock_counts *ret_counts)
{
    *ret_counts = bounds->counts;
    ret_counts->dropped_points += bounds->open.lines.dropped_points;
}

/* ---- questions --------------------------------------------------------------------------------------------------------- */

size_t lap_clock_bounds_window_count(const struct lap_clock_bounds *bounds)
{
    return (size_t)bounds->closed_count + !window_is_empty(&bounds->open);
}

static const struct window *window_at(const struct lap_clock_bounds *bounds, size_t index)
{
    return index < bounds->closed_count ? &bounds->closed[index] : &bounds->open;
}

int lap_clock_bounds_span(const struct lap_clock_bounds *bounds, int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    const size_t count = lap_clock_bounds_window_count(bounds);
    if (count == 0)
        return -ENODATA;
    *ret_from_ns = window_at(bounds, 0)->from;
    *ret_to_ns = window_at(bounds, count - 1)->to;
    return 0;
}

/* The last window that began by then, or the first. */
static size_t window_find(const struct lap_clock_bounds *bounds, int64_t time)
{
    size_t low = 0, high = lap_clock_bounds_window_count(bounds);
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (window_at(bounds, middle)->from <= time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where a time lies between two windows that do not fit: the nearer one. */
static size_t window_near(const struct lap_clock_bounds *bounds, size_t index, int64_t time, bool *ret_is_near_step)
{
    const struct window *const window = window_at(bounds, index);
    *ret_is_near_step = true;
    if (window->is_broken && time < window->begin)
        return index > 0 && time - window_at(bounds, index - 1)->end < window->begin - time ? index - 1 : index;
    if (index + 1 < lap_clock_bounds_window_count(bounds)) {
        const struct window *const next = window_at(bounds, index + 1);
        if (next->is_broken && time > window->end)
            return time - window->end <= next->begin - time ? index : index + 1;
    }
    *ret_is_near_step = false;
    return index;
}

/* What both allow; the first where that is nothing. */
static struct range range_common(struct range range, struct range other)
{
    const struct range both = {other.least > range.least ? other.least : range.least,
                               other.greatest < range.greatest ? other.greatest : range.greatest};
    return both.least <= both.greatest ? both : range;
}

/* Theta at a time by a window, and by those that it goes on in behind, as long as they may know it better. Those before have
 * left what they knew of their end, which may be a little behind this one's begin. */
static struct range bounds_range(const struct lap_clock_bounds *bounds, size_t index, int64_t time, int64_t offset)
{
    const size_t count = lap_clock_bounds_window_count(bounds);
    const struct window *const window = window_at(bounds, index);
    struct range range = window_range(window, time, offset, bounds->tolerance);
    if (index > 0 && !window->is_broken)
        range = range_common(range, window_range(window_at(bounds, index - 1), time, offset, bounds->tolerance));
    for (size_t i = index + 1; i < count && !window_at(bounds, i)->is_broken; i++) {
        const struct window *const next = window_at(bounds, i);
        if ((double)(next->from - time) * 2 * LAP_CLOCK_RATE_LIMIT > range.greatest - range.least)
            break;
        range = range_common(range, window_range(next, time, offset, bounds->tolerance));
    }
    return range;
}

int lap_clock_bounds_at(const struct lap_clock_bounds *bounds, int64_t client_ns, struct lap_clock_offset *ret_offset)
{
    if (client_ns < -LAP_CLOCK_TIME_LIMIT || client_ns > LAP_CLOCK_TIME_LIMIT)
        return -EINVAL;
    if (lap_clock_bounds_window_count(bounds) == 0)
        return -ENODATA;
    struct lap_clock_offset result = {0};
    const size_t index = window_near(bounds, window_find(bounds, client_ns), client_ns, &result.is_near_step);
    const int64_t base = window_at(bounds, index)->lines.base_offset_ns;
    const struct range range = bounds_range(bounds, index, client_ns, base);
    double middle = range.least + (range.greatest - range.least) / 2;
    result.error_ns = INFINITY;
    if (range_is_bounded(range))
        result.error_ns = (range.greatest - range.least) / 2 + 0.5 + SLACK_NS +
                          (magnitude(range.greatest) + magnitude(range.least)) * ROUNDING;
    else
        middle = range.least > -INFINITY ? range.least : range.greatest;
    result.offset_ns = base + rounded(middle);
    result.steps = window_at(bounds, index)->steps;
    *ret_offset = result;
    return 0;
}

/* time + by * offset, as far as that has 64 bits. */
static int time_moved(int64_t time, const struct lap_clock_offset *offset, int by, double error,
                      struct lap_clock_time *ret_time)
{
    struct lap_clock_time result = {.error_ns = error, .steps = offset->steps, .is_near_step = offset->is_near_step};
    if (by < 0 ? __builtin_sub_overflow(time, offset->offset_ns, &result.time_ns)
               : __builtin_add_overflow(time, offset->offset_ns, &result.time_ns))
        return -ERANGE;
    *ret_time = result;
    return 0;
}

int lap_clock_bounds_to_server(const struct lap_clock_bounds *bounds, int64_t client_ns, struct lap_clock_time *ret_time)
{
    struct lap_clock_offset offset;
    const int code = lap_clock_bounds_at(bounds, client_ns, &offset);
    return code < 0 ? code : time_moved(client_ns, &offset, 1, offset.error_ns, ret_time);
}

/* A clock that was set back showed the same times twice: may it have shown time + offset_ns on both sides of this window's begin?
 * The last one before is by the old window at the end of the doubt, the first one behind by this one at its begin. */
static bool window_is_twice(const struct lap_clock_bounds *bounds, size_t index, int64_t time, int64_t offset)
{
    const struct window *const window = window_at(bounds, index), *const before = window_at(bounds, index - 1);
    if (!window->is_broken || window->begin == INT64_MAX)
        return false;
    const struct range old = window_range(before, window->begin, offset, bounds->tolerance);
    const struct range new = window_range(window, before->end, offset, bounds->tolerance);
    return (double)(time - before->end) >= new.least - 1 && (double)(time - window->begin) <= old.greatest + 1;
}

/* Looks for the time t with t + theta(t) = s. In a window each step comes nearer by a factor of 2000. */
int lap_clock_bounds_to_client(const struct lap_clock_bounds *bounds, int64_t server_ns, struct lap_clock_time *ret_time)
{
    enum { STEPS = 32 };
    int64_t from, to;
    int code = lap_clock_bounds_span(bounds, &from, &to);
    if (code < 0)
        return code;
    struct lap_clock_offset offset = {0};
    struct lap_clock_time time = {.time_ns = from + (to - from) / 2};
    int64_t before = 0;
    for (int i = 0; i < STEPS && (i < 2 || before != time.time_ns); i++) {
        before = time.time_ns;
        code = lap_clock_bounds_at(bounds, before, &offset);
        /* The estimate is off by its error at a time that is off by as much as that makes; and by what rounding makes. */
        if (code == 0)
            code = time_moved(server_ns, &offset, -1, offset.error_ns / (1 - LAP_CLOCK_RATE_LIMIT) + 1, &time);
        if (code < 0)
            return code == -EINVAL ? -ERANGE : code;
    }
    const int64_t left = time.time_ns > before ? time.time_ns - before : before - time.time_ns;
    time.is_near_step = time.is_near_step || left > 1;
    const size_t count = lap_clock_bounds_window_count(bounds);
    for (size_t i = 1; i < count && !time.is_near_step; i++)
        time.is_near_step = window_is_twice(bounds, i, time.time_ns, offset.offset_ns);
    *ret_time = time;
    return 0;
}

static int double_compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double lap_clock_bounds_median_error_ns(const struct lap_clock_bounds *bounds)
{
    enum { SAMPLES = 63 };
    double errors[SAMPLES];
    int64_t from, to;
    if (lap_clock_bounds_span(bounds, &from, &to) < 0)
        return INFINITY;
    for (int i = 0; i < SAMPLES; i++) {
        struct lap_clock_offset offset = {.error_ns = INFINITY};
        (void)lap_clock_bounds_at(bounds, from + (to - from) / (SAMPLES - 1) * i, &offset);
        errors[i] = offset.error_ns;
    }
    qsort(errors, SAMPLES, sizeof *errors, double_compare);
    return errors[SAMPLES / 2];
}

/* Between a chain's points theta's bound is on a line, so it is the tightest at one of them, or at an end of the window. */
static bool window_excludes_zero(const struct window *window, double tolerance)
{
    const struct lap_clock_lines *const lines = &window->lines;
    const double base = (double)lines->base_offset_ns;
    const double from = (double)(window->from - lines->base_time_ns), to = (double)(window->to - lines->base_time_ns);
    double greatest = lap_clock_lines_upper(lines, from), least = lap_clock_lines_lower(lines, from);
    const double upper = lap_clock_lines_upper(lines, to), lower = lap_clock_lines_lower(lines, to);
    greatest = upper < greatest ? upper : greatest;
    least = lower > least ? lower : least;
    for (uint32_t i = 0; i < lines->upper.count; i++)
        greatest = lines->upper.points[i].y < greatest ? lines->upper.points[i].y : greatest;
    for (uint32_t i = 0; i < lines->lower.count; i++)
        least = -lines->lower.points[i].y > least ? -lines->lower.points[i].y : least;
    const double margin = tolerance + SLACK_NS + magnitude(base) * ROUNDING;
    return base + greatest < -margin || base + least > margin;
}

bool lap_clock_bounds_contradicts_zero(const struct lap_clock_bounds *bounds, int64_t tolerance_ns)
{
    const size_t count = lap_clock_bounds_window_count(bounds);
    for (size_t i = 0; i < count; i++)
        if (window_excludes_zero(window_at(bounds, i), (double)tolerance_ns + bounds->tolerance))
            return true;
    return false;
}

/* How theta changed between a window and the one before, which do not fit together. Both are asked at the same time, and
 * what each allows there contains what a clock without a step would have. */
static void window_step(const struct lap_clock_bounds *bounds, size_t index, struct lap_clock_window *ret_window)
{
    const struct window *const window = window_at(bounds, index), *const before = window_at(bounds, index - 1);
    const int64_t from = before->end, to = window->begin == INT64_MAX ? window->from : window->begin;
    const int64_t time = from + (to - from) / 2, base = window->lines.base_offset_ns;
    const struct range old = window_range(before, time, base, bounds->tolerance);
    const struct range new = window_range(window, time, base, bounds->tolerance);
    ret_window->after_ns = from;
    ret_window->before_ns = to;
    ret_window->step_error_ns = INFINITY;
    if (range_is_bounded(old) && range_is_bounded(new)) {
        ret_window->step_ns = (new.least + new.greatest) / 2 - (old.least + old.greatest) / 2;
        ret_window->step_error_ns = (new.greatest - new.least) / 2 + (old.greatest - old.least) / 2 + SLACK_NS;
    }
    const bool is_step = new.least > old.greatest + SLACK_NS || old.least > new.greatest + SLACK_NS;
    ret_window->begin = is_step ? LAP_CLOCK_STEP : LAP_CLOCK_BEND;
}

void lap_clock_bounds_window(const struct lap_clock_bounds *bounds, size_t index, struct lap_clock_window *ret_window)
{
    const struct window *const window = window_at(bounds, index);
    const struct lap_clock_lines *const lines = &window->lines;
    struct lap_clock_window result = {.begin = index == 0 ? LAP_CLOCK_FIRST : LAP_CLOCK_CONTINUED,
                                      .from_ns = window->from,
                                      .to_ns = window->to,
                                      .calls = window->calls,
                                      .messages = window->messages,
                                      .reference_ns = lines->base_time_ns,
                                      .rate_least = lines->rate_least,
                                      .rate_greatest = lines->rate_greatest};
    double offset;
    result.margin_ns = lap_clock_lines_widest(lines, &offset, &result.rate);
    result.offset_ns = lines->base_offset_ns + rounded(offset);
    if (index > 0 && window->is_broken)
        window_step(bounds, index, &result);
    *ret_window = result;
}

size_t lap_clock_bounds_step_count(const struct lap_clock_bounds *bounds)
{
    const size_t count = lap_clock_bounds_window_count(bounds);
    size_t steps = 0;
    for (size_t i = 1; i < count; i++) {
        struct lap_clock_window window = {0};
        if (window_at(bounds, i)->is_broken)
            window_step(bounds, i, &window);
        steps += window.begin == LAP_CLOCK_STEP;
    }
    return steps;
}
