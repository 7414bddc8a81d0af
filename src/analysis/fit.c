/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include "fit_lines.h"
#include "order.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE = 64 };

/* Evidence from which one class is taken over another: the log of their likelihoods' ratio. Where the truth is one and the
 * classes are d standard errors apart, this has mean d^2 / 2 and deviation d, so that it misleads in one of 50 cases where d is
 * the worst, sqrt(2 * EVIDENCE), and in fewer elsewhere (Royall, On the probability of observing misleading statistical
 * evidence, 2000). */
#define EVIDENCE 2.1
/* However far they are apart, it takes so much, as what disturbs is not all independent. */
#define EVIDENCE_LEAST 1.0
/* And this much more, over the number of timings: of few, what disturbed the long ones is not told from growth. */
#define EVIDENCE_FEW 100.0
/* But not against what is constant or nearly so, where costs grow from third to third of the sizes by this, and in all by that: nothing
 * disturbs so much in the order of the sizes. */
#define PLAIN_THIRD 2.0
#define PLAIN_ALL 8.0
/* What a positive offset has to be better by, and what grows than what is constant. */
#define OFFSET_PENALTY 1.0
#define GROWTH_PENALTY 0.5
/* Of the loss that is bounded far off, a difference says so much more than one of squares, over the noise by the same loss: the mean
 * slope of its derivative over the mean square of that, for normal noise (Hampel et al., Robust Statistics, 1986, 7.2). */
#define BOUNDED 1.06

/* What a line that bends has to be better by, to say that the caches may be why it grows. */
#define BENT EVIDENCE
/* If so many of the sizes count nothing for a line, it is not what describes them. */
#define FAR_SHARE 0.2
/* Where sizes differ by more that their own costs do not explain, as on a machine that has too much to do, no class is clear. */
#define BETWEEN_MAX 0.25
/* What grows by less over the whole range is constant. */
#define GROWTH_MIN 1.05

/* What is constant but for the memory that it touches gets slower by no more, as that comes from further caches: one that touches a
 * little, and one that is longer. */
#define MEMORY_NS 300.0
#define MEMORY_GROWTH 4.0
/* One access takes so much longer if it reaches no cache. */
#define ACCESS_NS 100.0
/* Nothing looks at each of n in less; so what grows by less is not an iteration, but memory that is further away, a dozen times. */
#define EACH_NS 0.02
#define FURTHER_NS 1000.0
/* So many times what sizes are off the line is what a count has to grow by. */
#define COUNT_CLEAR 10.0

struct fitting {
    struct lap_fit_lines all;
    double loss[LAP_FIT_LINES];
    double evidence;      /* from which one class is taken over another */
    double evidence_flat; /* over one that grows by log n, or not */
    double evidence_few;  /* so much of the first is for want of timings */
    bool is_plain;        /* costs grow as nothing does that disturbs */
};

/* ---- classes ------------------------------------------------------------------------------------------------------- */

const char *lap_fit_class_text(enum lap_fit_class class)
{
    static const char *const texts[] = {"1", "log n", "n", "n log n", "n^2", "n^3", "unclear"};
    return texts[class];
}

double lap_fit_class_exponent(enum lap_fit_class class, double n)
{
    const double of_log = n / (1 + n) / log1p(n);
    switch (class) {
    case LAP_FIT_LOG: return of_log;
    case LAP_FIT_N: return 1;
    case LAP_FIT_N_LOG: return 1 + of_log;
    case LAP_FIT_N2: return 2;
    case LAP_FIT_N3: return 3;
    default: return 0;
    }
}

double lap_fit_at(const struct lap_fit *fit, double n)
{
    const struct lap_fit_line *const line = &fit->lines[fit->likely];
    return line->offset + line->factor * lap_fit_class_value(fit->likely, n);
}

/* ---- the choice ---------------------------------------------------------------------------------------------------- */

static double penalty(const struct fitting *fitting, unsigned class)
{
    return class == LAP_FIT_1 ? 0 : GROWTH_PENALTY + (fitting->all.lines[class].offset > 0 ? OFFSET_PENALTY : 0);
}

/* For `class` and against `other`, with the noise unknown: the log of their likelihoods' ratio. */
static double evidence(const struct fitting *fitting, unsigned class, unsigned other)
{
    const double degrees = (double)fitting->all.point_count - 2;
    const double least_loss = 1e-9;
    return BOUNDED * degrees / 2 * log((fitting->loss[other] + least_loss) / (fitting->loss[class] + least_loss)) +
           penalty(fitting, other) - penalty(fitting, class);
}

/* The median cost of sizes, from one on. */
static double median_cost(const struct lap_fit_lines *all, size_t from, size_t until)
{
    for (size_t i = from; i < until; i++)
        all->room[i - from] = all->points[i].cost;
    return lap_order_median(all->room, until - from);
}

static bool grows_plainly(const struct lap_fit_lines *all)
{
    const size_t third = all->point_count / 3;
    const double low = median_cost(all, 0, third), middle = median_cost(all, third, all->point_count - third),
                 high = median_cost(all, all->point_count - third, all->point_count);
    return middle >= PLAIN_THIRD * low && high >= PLAIN_THIRD * middle && high >= PLAIN_ALL * low;
}

/* Noise that is known from few sizes takes more, as Student's t does (Abramowitz and Stegun 26.7.5): that which sizes share, not what
 * their own costs tell. */
static void evidence_find(struct fitting *fitting)
{
    const struct lap_fit_lines *const all = &fitting->all;
    double timings = 0, shared = 0;
    for (size_t i = 0; i < all->point_count; i++) {
        timings += all->points[i].count;
        shared += pow(all->between / all->points[i].deviation, 2) / (double)all->point_count;
    }
    const double degrees = (double)(all->point_count - 2) / (shared * shared);
    const double enough = EVIDENCE * (1 + (2 * EVIDENCE + 1) / (2 * degrees)), few = EVIDENCE_FEW / fmax(timings, 1);
    fitting->evidence = enough + few;
    fitting->evidence_few = few;
    fitting->is_plain = grows_plainly(all);
    fitting->evidence_flat = enough + (fitting->is_plain ? 0 : few);
}

static double evidence_against(const struct fitting *fitting, unsigned class)
{
    return class <= LAP_FIT_LOG ? fitting->evidence_flat : fitting->evidence;
}

/* How far the line of `other` is from the nearest one of `class`, in standard errors. That one's offset may be below 0: how near to 0
 * the offset is of what was timed is not known so well. */
static double apart(const struct lap_fit_lines *all, enum lap_fit_class class, enum lap_fit_class other)
{
    double bb = 0, bf = 0, ff = 0, by = 0, fy = 0, yy = 0;
    for (size_t i = 0; i < all->point_count; i++) {
        const struct lap_fit_point *const point = &all->points[i];
        const double y = 1 / point->deviation, at = lap_fit_line_at(&all->lines[other], point, other);
        const double base = at > 0 ? y / at : 0, f = base * point->f[class];
        bb += base * base;
        bf += base * f;
        ff += f * f;
        by += base * y;
        fy += f * y;
        yy += at > 0 ? y * y : 0;
    }
    const double determinant = bb * ff - bf * bf;
    if (!(determinant > 1e-12 * bb * ff))
        return 0;
    return sqrt(fmax(0, yy - (by * (ff * by - bf * fy) + fy * (bb * fy - bf * by)) / determinant));
}

/* What is further apart than the worst distance takes less evidence to mislead as seldom: z d - d^2 / 2, with z^2 / 2 = evidence. */
static double evidence_spared(const struct fitting *fitting, enum lap_fit_class class, enum lap_fit_class other)
{
    const double enough = evidence_against(fitting, other);
    const double z = sqrt(2 * enough), d = apart(&fitting->all, class, other);
    return d > z ? enough - fmax(EVIDENCE_LEAST, z * d - d * d / 2) : 0;
}

/* Is a line that bends better than that of `class`? Then what is flatter is not excluded. */
static bool is_bent(struct fitting *fitting, enum lap_fit_class class)
{
    if (class != LAP_FIT_LOG && class != LAP_FIT_N_LOG)
        return false;
    for (unsigned bend = LAP_FIT_CLASSES; bend < LAP_FIT_LINES; bend++) {
        if (lap_fit_bend_of(bend) + 1 != class)
            continue;
        fitting->all.lines[bend] = lap_fit_line_find(&fitting->all, bend, NULL, 1);
        fitting->loss[bend] = lap_fit_line_loss(&fitting->all, &fitting->all.lines[bend], bend);
        if (evidence(fitting, bend, class) > BENT)
            return true;
    }
    return false;
}

/* The slope of the residuals along log n, in the middle of the range: by what the line's own exponent is wrong. A parabola is
 * fitted, so that what bends does not tilt. `ret_error` is its standard error, may be NULL. */
static double tilt(struct fitting *fitting, const struct lap_fit_line *line, enum lap_fit_class class, double *ret_error)
{
    const double offset = class == LAP_FIT_1 ? 0 : line->offset;
    lap_fit_lines_weigh(&fitting->all, line, class, 1);
    double s[5] = {0}, t[3] = {0};
    for (size_t i = 0; i < fitting->all.point_count; i++) {
        const struct lap_fit_point *const point = &fitting->all.points[i];
        if (!lap_fit_point_counts(point))
            continue;
        const double grown = lap_fit_line_at(line, point, class) - offset, weight = point->robust * grown * grown;
        const double e = grown > 0 ? (point->cost - offset - grown) / grown : 0;
        double power = weight;
        for (int k = 0; k < 5; k++) {
            s[k] += power;
            if (k < 3)
                t[k] += power * e;
            power *= point->x;
        }
    }
    /* Cramer's rule for the middle one of three. */
    const double determinant =
        s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[2] * s[3]) + s[2] * (s[1] * s[3] - s[2] * s[2]);
    const double minor = s[0] * s[4] - s[2] * s[2];
    if (!(fabs(determinant) > 0))
        return 0;
    if (ret_error)
        *ret_error = sqrt(minor / determinant);
    return (s[0] * (t[1] * s[4] - t[2] * s[3]) - t[0] * (s[1] * s[4] - s[2] * s[3]) +
            s[2] * (s[1] * t[2] - s[2] * t[1])) /
           determinant;
}

static bool does_grow(const struct lap_fit_lines *all, const struct lap_fit_line *line, enum lap_fit_class class)
{
    const struct lap_fit_point *const last = &all->points[all->point_count - 1];
    return lap_fit_line_at(line, last, class) >= GROWTH_MIN * lap_fit_line_at(line, &all->points[0], class);
}

/* Is even half the growth of log n without an offset excluded, with 99 %? */
static bool is_flat(struct fitting *fitting)
{
    double error = INFINITY;
    const double slope = tilt(fitting, &fitting->all.lines[LAP_FIT_1], LAP_FIT_1, &error);
    const double middle = sqrt(fitting->all.points[0].n * fitting->all.points[fitting->all.point_count - 1].n);
    return slope + 2.326 * error < lap_fit_class_exponent(LAP_FIT_LOG, middle) * 0.5;
}

/* Do too many of the sizes count nothing for the line, or the two largest? Those are what it would be used for. */
static bool is_misfit(const struct lap_fit_lines *all, enum lap_fit_class class)
{
    size_t far = 0, last = 0; /* of the largest ones */
    for (size_t i = 0; i < all->point_count; i++) {
        const bool is_far = lap_fit_point_is_far(&all->points[i], &all->lines[class], class);
        far += is_far;
        last = is_far ? last + 1 : 0;
    }
    return last >= 2 || (double)far >= FAR_SHARE * (double)all->point_count;
}

/* The simplest, unless what grows is better. */
static bool is_constant(const struct fitting *fitting, enum lap_fit_class growing)
{
    return evidence(fitting, growing, LAP_FIT_1) < fitting->evidence_flat ||
           !does_grow(&fitting->all, &fitting->all.lines[growing], growing);
}

/* Against `growing`: finds the closest of the others, none that is excluded plainly, and the flattest that is not excluded. Returns by
 * how much more evidence than enough it is clear. */
static double rivals_find(const struct fitting *fitting, struct lap_fit *fit, enum lap_fit_class growing)
{
    double closest = INFINITY;
    for (unsigned other = 0; other < LAP_FIT_CLASSES; other++) {
        if (other == (unsigned)growing)
            continue;
        const double by = evidence(fitting, growing, other) + evidence_spared(fitting, growing, other) -
                          evidence_against(fitting, other);
        if (by < closest && !(fitting->is_plain && other <= LAP_FIT_LOG && by >= 0)) {
            closest = by;
            fit->rival = other;
        }
        if (by < 0 && other < (unsigned)fit->flattest)
            fit->flattest = other;
    }
    return closest;
}

static void choose(struct fitting *fitting, struct lap_fit *fit)
{
    const struct lap_fit_lines *const all = &fitting->all;
    const enum lap_fit_class best = lap_fit_least(fitting->loss, LAP_FIT_UNCLEAR);
    const enum lap_fit_class growing = lap_fit_least(fitting->loss, LAP_FIT_1);
    fit->doubt = LAP_FIT_TWO_WITHIN;
    if (is_constant(fitting, growing)) {
        fit->likely = fit->flattest = LAP_FIT_1;
        fit->rival = best == LAP_FIT_1 ? LAP_FIT_LOG : growing;
        if (is_flat(fitting) && !is_misfit(all, LAP_FIT_1) && all->between <= BETWEEN_MAX)
            fit->doubt = LAP_FIT_SURE;
        return;
    }
    fit->likely = fit->flattest = growing;
    const double clear = rivals_find(fitting, fit, growing);
    if (clear < 0 && clear + fitting->evidence_few >= 0 && fit->rival > LAP_FIT_LOG)
        fit->doubt = LAP_FIT_FEW_TIMINGS;
    if (clear >= 0 && !is_misfit(all, growing) && all->between <= BETWEEN_MAX) {
        fit->doubt = is_bent(fitting, growing) ? LAP_FIT_CACHES : LAP_FIT_SURE;
        if (fit->doubt == LAP_FIT_CACHES)
            fit->rival = fit->flattest = growing - 1;
    }
}

static bool is_of_memory(double least_ns, double most_ns)
{
    return most_ns - least_ns <= MEMORY_NS && most_ns <= MEMORY_GROWTH * least_ns;
}

/* By so little for each of n that it is no iteration over them. */
static bool is_of_none(const struct lap_fit *fit, double grown_ns)
{
    return grown_ns <= FURTHER_NS && grown_ns <= EACH_NS * (fit->n_max - fit->n_min);
}

static void doubt_make(struct lap_fit *fit, enum lap_fit_doubt doubt, enum lap_fit_class rival)
{
    fit->class = LAP_FIT_UNCLEAR;
    fit->doubt = doubt;
    fit->rival = rival;
    fit->flattest = rival < fit->flattest ? rival : fit->flattest;
    fit->range_needed = 0;
}

/* Is each of n dearer the more of them there are, by no more than memory? One access of each is enough. */
static bool is_each_of_memory(const struct lap_fit *fit, double least_ns, double most_ns)
{
    const double offset = fit->lines[fit->likely].offset;
    const double each_least_ns = (least_ns - offset) / fit->n_min, each_most_ns = (most_ns - offset) / fit->n_max;
    return each_most_ns - each_least_ns <= ACCESS_NS || is_of_memory(each_least_ns, each_most_ns);
}

/* What is unclear between two that grow is no more sure to grow than what is clear. */
void lap_fit_doubt_memory(struct lap_fit *fit)
{
    if (fit->likely == LAP_FIT_UNCLEAR || lap_fit_flatter(fit) == LAP_FIT_1)
        return;
    const double least_ns = lap_fit_at(fit, fit->n_min), most_ns = lap_fit_at(fit, fit->n_max);
    const bool is_log_of_memory = lap_fit_flatter(fit) == LAP_FIT_LOG && most_ns <= MEMORY_GROWTH * least_ns;
    if (is_of_memory(least_ns, most_ns) || is_of_none(fit, most_ns - least_ns) || is_log_of_memory)
        doubt_make(fit, LAP_FIT_CACHES, LAP_FIT_1);
    else if (fit->class == LAP_FIT_N_LOG && is_each_of_memory(fit, least_ns, most_ns))
        doubt_make(fit, LAP_FIT_CACHES, LAP_FIT_N);
}

/* If not, they go by something else, that n has to do with. */
void lap_fit_doubt_count(struct lap_fit *fit)
{
    if (fit->likely == LAP_FIT_UNCLEAR || lap_fit_flatter(fit) == LAP_FIT_1)
        return;
    if (log(lap_fit_at(fit, fit->n_max) / lap_fit_at(fit, fit->n_min)) < COUNT_CLEAR * fit->noise)
        doubt_make(fit, LAP_FIT_TWO_WITHIN, LAP_FIT_1);
}

/* ---- the exponent -------------------------------------------------------------------------------------------------- */

/* Of the better one of two classes, by the points as they are drawn now. */
static double exponent_of(struct fitting *fitting, const struct lap_fit *fit, double middle)
{
    enum lap_fit_class best = fit->likely;
    double best_loss = INFINITY;
    struct lap_fit_line best_line = fitting->all.lines[best];
    for (int i = 0; i < (fit->doubt == LAP_FIT_SURE ? 1 : 2); i++) {
        const enum lap_fit_class class = i == 0 ? fit->likely : fit->rival;
        const struct lap_fit_line line = lap_fit_line_find(&fitting->all, class, &fitting->all.lines[class], 1);
        const double loss = lap_fit_line_loss(&fitting->all, &line, class);
        if (loss < best_loss) {
            best_loss = loss;
            best_line = line;
            best = class;
        }
    }
    if (!does_grow(&fitting->all, &best_line, best)) { /* what is above the offset is next to nothing */
        best = LAP_FIT_1;
        best_line = lap_fit_line_find(&fitting->all, best, &fitting->all.lines[best], 1);
    }
    return lap_fit_class_exponent(best, middle) + fmax(-1, fmin(1, tilt(fitting, &best_line, best, NULL)));
}

/* One-sided 99.5 % of Student's t by that of the normal distribution: few sizes say less of their own noise (Cornish and Fisher's
 * expansion; Abramowitz and Stegun 26.7.5). */
static double widening(double degrees)
{
    const double z = 2.575829, z3 = z * z * z, z5 = z3 * z * z;
    return 1 + ((z3 + z) / (4 * degrees) + (5 * z5 + 16 * z3 + 3 * z) / (96 * degrees * degrees)) / z;
}

/* Runs and sizes are drawn anew with replacement, not single costs, since what disturbs is shared within them (Davison and
 * Hinkley, Bootstrap Methods and their Application, 1997, 3.8). Runs of one size each say nothing of what disturbed them all; where
 * costs grow plainly, that is not needed. */
static int exponent_resample(struct fitting *fitting, struct lap_fit *fit, unsigned resamples, double middle)
{
    double *const exponents = calloc(resamples, sizeof *exponents);
    uint32_t *const drawn = calloc(fitting->all.run_count, sizeof *drawn);
    if (!exponents || !drawn) {
        free(exponents);
        free(drawn);
        return -ENOMEM;
    }
    struct lap_random random;
    lap_random_seed(&random, 1);
    const bool of_sizes = fitting->is_plain && lap_fit_lines_is_nested(&fitting->all, drawn);
    for (unsigned r = 0; r < resamples; r++) {
        lap_fit_lines_draw(&fitting->all, of_sizes, &random, drawn);
        for (size_t i = 0; i < fitting->all.point_count; i++)
            fitting->all.points[i].weight = 0;
        for (size_t i = 0; i < fitting->all.point_count; i++)
            fitting->all.points[lap_random_below(&random, fitting->all.point_count)].weight++;
        if (fitting->all.run_count > 1)
            lap_fit_lines_cost(&fitting->all, drawn);
        exponents[r] = exponent_of(fitting, fit, middle);
    }
    lap_order_sort(exponents, resamples);
    const double degrees = fitting->all.point_count > 5 ? (double)fitting->all.point_count - 3 : 2;
    const double wide = widening(degrees) * sqrt((double)fitting->all.point_count / degrees);
    const size_t cut = resamples / 200;
    fit->exponent_low = fit->exponent + fmin(0, wide * (exponents[cut] - fit->exponent));
    fit->exponent_high = fit->exponent + fmax(0, wide * (exponents[resamples - 1 - cut] - fit->exponent));
    free(exponents);
    free(drawn);
    return 0;
}

/* ---- the range that would tell ------------------------------------------------------------------------------------- */

/* How far `rival` stays from `likely` at best, over a range with as many sizes, in squares of the noise. */
static double distance_over(const struct fitting *fitting, const struct lap_fit *fit, double range)
{
    struct lap_fit_point points[TABLE];
    struct lap_fit_lines table = {.points = points, .point_count = TABLE};
    const struct lap_fit_line *const line = &fitting->all.lines[fit->likely];
    for (size_t i = 0; i < TABLE; i++) {
        points[i] = (struct lap_fit_point){.count = 1, .deviation = 1};
        lap_fit_point_set(&points[i], fit->n_min * pow(range, (double)i / (TABLE - 1)), fit->n_min, fit->n_min * range);
        points[i].cost = lap_fit_line_at(line, &points[i], fit->likely);
    }
    const struct lap_fit_line other = lap_fit_line_find(&table, fit->rival, NULL, 1);
    return lap_fit_line_loss(&table, &other, fit->rival) / TABLE * (double)fitting->all.point_count /
           (fit->noise * fit->noise);
}

/* Enough evidence comes in 95 % of cases where d^2 / 2 - 1.645 d is as much. */
static double range_needed(const struct fitting *fitting, const struct lap_fit *fit)
{
    static const double ranges[] = {10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000};
    const double enough = pow(1.645 + sqrt(1.645 * 1.645 + 2 * fitting->evidence), 2);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i] > fit->n_max / fit->n_min * 1.5 && distance_over(fitting, fit, ranges[i]) >= enough)
            return ranges[i];
    return 0;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

/* The interval is another witness, which sees what runs and single sizes do: a class that is a whole power away from one end of it is
 * not clear. */
static void doubt_by_exponent(struct lap_fit *fit, double middle, bool is_plain)
{
    const double of_class = lap_fit_class_exponent(fit->likely, middle);
    if (fit->doubt != LAP_FIT_SURE || (fit->exponent_low > of_class - 1 && fit->exponent_high < of_class + 1))
        return;
    const bool is_flatter = fit->likely != LAP_FIT_1 && fit->exponent_low <= of_class - 1;
    const bool is_other = fit->rival > fit->likely || (is_plain && fit->rival <= LAP_FIT_LOG);
    doubt_make(fit, LAP_FIT_TWO_WITHIN, is_flatter && is_other ? fit->likely - 1 : fit->rival);
}

static int fit_lines(struct fitting *fitting, struct lap_fit *fit, unsigned resamples)
{
    struct lap_fit_lines *const all = &fitting->all;
    const double middle = sqrt(fit->n_min * fit->n_max);
    lap_fit_lines_find(all);
    for (unsigned i = 0; i < LAP_FIT_CLASSES; i++)
        fitting->loss[i] = lap_fit_line_loss(all, &all->lines[i], i);
    evidence_find(fitting);
    choose(fitting, fit);
    fit->class = fit->doubt == LAP_FIT_SURE ? fit->likely : LAP_FIT_UNCLEAR;
    memcpy(fit->lines, all->lines, sizeof fit->lines);
    for (size_t i = 0; i < all->point_count; i++)
        all->room[i] = all->points[i].deviation;
    fit->noise = lap_order_median(all->room, all->point_count);
    fit->scatter = hypot(all->spread, all->between);
    if (fit->doubt == LAP_FIT_TWO_WITHIN)
        fit->range_needed = range_needed(fitting, fit);
    if (resamples == 0)
        return 0;
    fit->exponent = exponent_of(fitting, fit, middle);
    const int code = exponent_resample(fitting, fit, resamples, middle);
    doubt_by_exponent(fit, middle, fitting->is_plain);
    return code;
}

int lap_fit_make(struct lap_fit *ret_fit, const struct lap_fit_cell *cells, size_t count, unsigned resamples)
{
    struct fitting fitting;
    int code = lap_fit_lines_make(&fitting.all, cells, count);
    if (code < 0)
        return code;
    const size_t sizes = fitting.all.point_count;
    struct lap_fit fit = {.class = LAP_FIT_UNCLEAR,
                          .likely = LAP_FIT_UNCLEAR,
                          .rival = LAP_FIT_UNCLEAR,
                          .flattest = LAP_FIT_UNCLEAR,
                          .sizes = sizes,
                          .runs = fitting.all.run_count,
                          .n_min = sizes ? fitting.all.points[0].n : 0,
                          .n_max = sizes ? fitting.all.points[sizes - 1].n : 0};
    if (sizes < LAP_FIT_SIZES_MIN)
        fit.doubt = LAP_FIT_FEW_SIZES;
    else if (fit.n_max < LAP_FIT_RANGE_MIN * fit.n_min)
        fit.doubt = LAP_FIT_NARROW;
    else
        code = fit_lines(&fitting, &fit, resamples);
    lap_fit_lines_done(&fitting.all);
    if (code == 0)
        *ret_fit = fit;
    return code;
}
