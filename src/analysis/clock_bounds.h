/* SPDX-License-Identifier: MIT
 *
 * The offset between the clocks of two processes, bounded by the calls from one (the client) to the other (the server). A call
 * is sent at t1 and answered at t4 by the client's clock, received at t2 and replied to at t3 by the server's. With
 * theta(t) = server's clock - client's clock, at client time t:
 *
 *     theta(t1) <= t2 - t1        theta(t4) >= t3 - t4
 *
 * whatever the network did. In a window of time both clocks run evenly: theta is a straight line whose slope, the rate, is
 * at most 500 ppm. All lines that all bounds allow are kept: the lower hull of the upper bounds, the upper hull of the lower
 * bounds, and the least and greatest rate that fit between. The estimate at t is the middle of what they allow at t, and its
 * error is half of that, so a theta that fits the model is never outside of it, and no other estimate has a smaller one.
 *
 * Sources: A. Duda, G. Harrus, Y. Haddad, G. Bernard, "Estimating global time in distributed systems", ICDCS 1987 (bounds and
 * hulls); B. Poirier, R. Roy, M. Dagenais, "Accurate offline synchronization of distributed traces using kernel-level
 * events", ACM SIGOPS Operating Systems Review 44(3), 2010 (the guaranteed error, online).
 *
 * What is left out (by the bound on memory, at a step, because it came too late) only widens the error.
 *
 * Where no line is left, the clocks were set, or their rates changed: the window is closed, and another one begins. A window
 * also ends after a while: memory would not need that, but no clock runs evenly for long; there theta is taken to go on
 * without a step.
 *
 * What is not guaranteed: a step that stays within what the calls leave open (about the least round trip, or one that is seen
 * only more than 256 calls later) makes a window too narrow by up to its size. A step of the client's clock back is not told:
 * its time alone does not say which of two moments is meant.
 *
 * Times are in ns, from 0 to below 2^62. Inside they are doubles relative to a window's first call, exact up to 2^53 ns; every
 * rounding widens, by less than 0.001 ns in windows below an hour, and the offset's rounding to 1 ns adds 0.5 ns to its error.
 */
#ifndef LAP_CLOCK_BOUNDS_H
#define LAP_CLOCK_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAP_CLOCK_RATE_LIMIT 500e-6 /* as that of adjtimex(2) */
#define LAP_CLOCK_TIME_LIMIT (INT64_C(1) << 62)

/* 0 in a member stands for its default. */
struct lap_clock_bounds_options {
    /* how far theta may be from a line in a window, by granularity and wander; default 1. Every bound is widened by it, and
     * so is the answer */
    int64_t tolerance_ns;
    int64_t window_ns;    /* a window's length, default 60 s, at most 2^50 */
    uint32_t hull_points; /* at most, of each of a window's hulls; default 256, at least 4 */
    /* at most; default 1024, at least 2. Beyond it the shortest are joined, else the oldest dropped */
    uint32_t window_count;
};

/* Any number of calls of one client and one server. One thread. */
struct lap_clock_bounds;

/* `options` may be NULL. Returns 0, -EINVAL or -ENOMEM. */
int lap_clock_bounds_make(struct lap_clock_bounds **ret_bounds, const struct lap_clock_bounds_options *options);
void lap_clock_bounds_free(struct lap_clock_bounds *bounds);

/* A call, nearly in the order of t1; it counts as of t1. Warm: no allocation, save where a window ends. Returns 0, also where the
 * call is left out (see lap_clock_counts); -EINVAL: times out of range, or t4 before t1, or t3 before t2; -ENOMEM: a window
 * that ended was lost. */
int lap_clock_bounds_add_call(struct lap_clock_bounds *bounds, int64_t t1_ns, int64_t t2_ns, int64_t t3_ns,
                              int64_t t4_ns);
/* A message without an answer: the upper bound alone. */
int lap_clock_bounds_add_message(struct lap_clock_bounds *bounds, int64_t t1_ns, int64_t t2_ns);

struct lap_clock_offset {
    int64_t offset_ns; /* server's - client's clock; the bound itself where one side has none */
    double error_ns;   /* theta is within offset +- error; INFINITY: one side is unbounded */
    uint32_t steps;    /* windows up to this one that began with a step or bend */
    /* between two windows that no line fits both: the nearer one's answer, and nothing is guaranteed */
    bool is_near_step;
};

/* At any client time. Outside of the calls the error grows by 500 ppm. Of any call that counts, with no step between, it is
 * never above
 *
 *     (rtt + 500 ppm * (|t - t1| + |t - t4|)) / 2 + 2 * tolerance + 1 ns,    rtt = (t4 - t1) - (t3 - t2),
 *
 * and 2 more tolerances for each window that ended between (and full hulls may widen it). Returns 0; -ENODATA before the first
 * bound; -EINVAL: a time beyond +-2^62. */
int lap_clock_bounds_at(const struct lap_clock_bounds *bounds, int64_t client_ns, struct lap_clock_offset *ret_offset);

struct lap_clock_time {
    int64_t time_ns;
    double error_ns;   /* INFINITY: unbounded */
    uint32_t steps;    /* as above */
    bool is_near_step; /* as above; also if no time, or more than one, is converted to this one */
};

/* One's time as the other's. Returns 0, -ENODATA, or -ERANGE (the result has no 64 bits). */
int lap_clock_bounds_to_server(const struct lap_clock_bounds *bounds, int64_t client_ns, struct lap_clock_time *ret_time);
int lap_clock_bounds_to_client(const struct lap_clock_bounds *bounds, int64_t server_ns, struct lap_clock_time *ret_time);

/* The middle one of the errors at 63 times spread evenly over all calls; INFINITY with no calls. */
double lap_clock_bounds_median_error_ns(const struct lap_clock_bounds *bounds);

/* Both sides claim to have one clock: do the bounds exclude that theta is within 0 +- tolerance_ns at any time? */
bool lap_clock_bounds_contradicts_zero(const struct lap_clock_bounds *bounds, int64_t tolerance_ns);

enum lap_clock_begin {
    LAP_CLOCK_FIRST = 0,
    LAP_CLOCK_CONTINUED = 1, /* theta goes on from the window before */
    LAP_CLOCK_BEND = 2,      /* no line fits both, but a change of rate may explain it, or a step too small to tell */
    LAP_CLOCK_STEP = 3       /* nothing within 500 ppm leads from the one to the other */
};

struct lap_clock_window {
    enum lap_clock_begin begin;
    int64_t from_ns, to_ns; /* client time: of its first t1, and of its last t4 */
    uint64_t calls, messages;
    /* The line that keeps the greatest distance to all bounds: offset_ns + rate * (t - reference_ns). */
    int64_t reference_ns;
    int64_t offset_ns;
    double rate;
    double margin_ns; /* that distance; INFINITY where one side is unbounded */
    double rate_least, rate_greatest;
    /* Of a bend or step only: it came between these client times; by how much theta changed, and how exact that is. */
    int64_t after_ns, before_ns;
    double step_ns, step_error_ns;
};

size_t lap_clock_bounds_window_count(const struct lap_clock_bounds *bounds);
/* Cold: goes through the window's hulls. `index` must be below the count. */
void lap_clock_bounds_window(const struct lap_clock_bounds *bounds, size_t index, struct lap_clock_window *ret_window);
/* How many windows begin with a step, bends not counted. */
size_t lap_clock_bounds_step_count(const struct lap_clock_bounds *bounds);

struct lap_clock_counts {
    uint64_t calls, messages; /* that count */
    uint64_t contradictory;   /* left out: no line fits the call, or all but that call fit one */
    uint64_t late;            /* left out: they came after their window had been closed */
    uint64_t ambiguous;       /* left out: before a step or behind it, nobody knows */
    uint64_t dropped_points;  /* of full hulls */
};
void lap_clock_bounds_counts(const struct lap_clock_bounds *bounds, struct lap_clock_counts *ret_counts);

/* The memory that the object takes, itself included. */
size_t lap_clock_bounds_bytes(const struct lap_clock_bounds *bounds);

/* The first t1 and the last t4 of all. Returns 0 or -ENODATA. */
int lap_clock_bounds_span(const struct lap_clock_bounds *bounds, int64_t *ret_from_ns, int64_t *ret_to_ns);

#endif
