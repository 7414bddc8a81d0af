/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include "random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 10, ROUNDS = 8, TABLE = 64 };

/* Costs that are further off than so many standard deviations count nothing (Tukey's biweight). */
#define FAR 6.0
/* Below this, what sizes differ by is not noise but the machine: caches, branches, alignment. */
#define NOISE_MIN 0.005
/* Evidence from which one class is taken over another: the log of their likelihoods' ratio. Where the truth is one and the
 * classes are d standard errors apart, this has mean d^2 / 2 and deviation d, so that it misleads in one of 55 cases where d is
 * the worst, sqrt(2 * EVIDENCE), and in fewer elsewhere (Royall, On the probability of observing misleading statistical
 * evidence, 2000). */
#define EVIDENCE 2.2
/* What a positive offset has to be better by. */
#define OFFSET_PENALTY 1.0

/* Caches make what is constant look like log n, and what is n like n log n, but all the growth is in the upper part of the range.
 * Lines that bend there are fitted, too; where one of them is better, it is said to be unclear. */
enum { BENDS = 4, LINES = LAP_FIT_CLASSES + BENDS };
static const struct {
    enum lap_fit_class of;
    double place; /* in the range, logarithmic */
} bends[BENDS] = {{LAP_FIT_1, 0.5}, {LAP_FIT_1, 0.7}, {LAP_FIT_N, 0.5}, {LAP_FIT_N, 0.7}};
#define BENT 1.0
/* What grows by less over the whole range is constant. */
#define GROWTH_MIN 1.05

/* The costs of one size, over all runs. */
struct point {
    double n, x; /* x: log n, from that of the geometric mean of the range */
    double f[LINES];
    double cost;
    double count;
    double deviation; /* of the cost, relative */
    double weight;    /* how often it was drawn */
    double robust;    /* of the last line */
};

struct line {
    double offset, factor;
};

/* A size in one run. */
struct place {
    size_t point;
    uint32_t run, count;
    double cost;
};

struct fitting {
    struct point *points;
    size_t point_count;
    struct place *places;
    size_t place_count, run_count;
    double spread;  /* of one cost, relative, within a size; 0: not known */
    double between; /* of a size's cost beyond that */
    double *room;   /* for a number a point */
    struct line lines[LINES];
    double loss[LINES]; /* held out */
};

/* ---- classes ------------------------------------------------------------------------------------------------------- */

const char *lap_fit_class_text(enum lap_fit_class class)
{
    static const char *const texts[] = {"1", "log n", "n", "n log n", "n^2", "n^3", "unclear"};
    return texts[class];
}

/* So that no size has a logarithm of 0. */
static double logarithm(double n) { return log1p(n); }

static double class_value(enum lap_fit_class class, double n)
{
    switch (class) {
    case LAP_FIT_LOG: return logarithm(n);
    case LAP_FIT_N: return n;
    case LAP_FIT_N_LOG: return n * logarithm(n);
    case LAP_FIT_N2: return n * n;
    case LAP_FIT_N3: return n * n * n;
    default: return 0;
    }
}

static double class_exponent(enum lap_fit_class class, double n)
{
    const double of_log = n / (1 + n) / logarithm(n);
    switch (class) {
    case LAP_FIT_LOG: return of_log;
    case LAP_FIT_N: return 1;
    case LAP_FIT_N_LOG: return 1 + of_log;
    case LAP_FIT_N2: return 2;
    case LAP_FIT_N3: return 3;
    default: return 0;
    }
}

double lap_fit_at(const struct lap_fit *fit, double n) { return fit->offset + fit->factor * class_value(fit->likely, n); }

/* ---- robust parts -------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

static double median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double biweight(double u)
{
    const double part = u * u / (FAR * FAR);
    return part < 1 ? (1 - part) * (1 - part) : 0;
}

/* u * u near 0, bounded far off. */
static double biweight_loss(double u)
{
    const double part = u * u / (FAR * FAR);
    return FAR * FAR / 3 * (part < 1 ? 1 - (1 - part) * (1 - part) * (1 - part) : 1);
}

/* ---- the costs of a size ------------------------------------------------------------------------------------------- */

static double cell_median(const struct lap_fit_cell *cell, double *room)
{
    for (uint32_t i = 0; i < cell->cost_count; i++)
        room[i] = cell->costs[i];
    return median(room, cell->cost_count);
}

/* How costs of one size are spread: one number for all sizes, since few have enough of them. */
static double spread_of(const struct lap_fit_cell *cells, size_t count, double *room, double *distances)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].cost_count < 3)
            continue;
        const double middle = cell_median(&cells[i], room);
        const double unbiased = sqrt((double)cells[i].cost_count / (cells[i].cost_count - 1));
        for (uint32_t j = 0; middle > 0 && j < cells[i].cost_count; j++)
            distances[used++] = fabs(cells[i].costs[j] / middle - 1) * unbiased;
    }
    return 1.4826 * median(distances, used);
}

/* The mean of what is not far off. */
static double cell_cost(const struct lap_fit_cell *cell, double spread, double *room)
{
    double cost = cell_median(cell, room);
    for (int round = 0; round < 4 && cell->cost_count > 2 && spread > 0 && cost > 0; round++) {
        double sum = 0, weights = 0;
        for (uint32_t i = 0; i < cell->cost_count; i++) {
            const double weight = biweight((cell->costs[i] / cost - 1) / spread);
            sum += weight * cell->costs[i];
            weights += weight;
        }
        cost = weights > 0 ? sum / weights : cost;
    }
    return cost;
}

static int by_size(const void *a, const void *b)
{
    const struct lap_fit_cell *const p = a, *const q = b;
    return p->n != q->n ? (p->n > q->n) - (p->n < q->n) : (p->run > q->run) - (p->run < q->run);
}

static int cells_take(struct fitting *fitting, const struct lap_fit_cell *cells, size_t count)
{
    size_t most = 1, all = 1;
    for (size_t i = 0; i < count; i++) {
        most = cells[i].cost_count > most ? cells[i].cost_count : most;
        all += cells[i].cost_count;
    }
    double *const room = calloc(most, sizeof *room), *const distances = calloc(all, sizeof *distances);
    struct lap_fit_cell *const sorted = calloc(count + 1, sizeof *sorted);
    fitting->points = calloc(count + 1, sizeof *fitting->points);
    fitting->places = calloc(count + 1, sizeof *fitting->places);
    fitting->room = calloc(count + 1, sizeof *fitting->room);
    const bool has_memory = room && distances && sorted && fitting->points && fitting->places && fitting->room;
    if (has_memory) {
        if (count != 0)
            memcpy(sorted, cells, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_size);
        fitting->spread = spread_of(sorted, count, room, distances);
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || sorted[i].n != sorted[i - 1].n)
                fitting->points[fitting->point_count++].n = sorted[i].n;
            fitting->places[fitting->place_count++] =
                (struct place){fitting->point_count - 1, sorted[i].run, sorted[i].cost_count,
                               cell_cost(&sorted[i], fitting->spread, room)};
            if (sorted[i].run >= fitting->run_count)
                fitting->run_count = sorted[i].run + 1;
        }
    }
    free(room);
    free(distances);
    free(sorted);
    return has_memory ? 0 : -ENOMEM;
}

/* The sizes' costs over the runs, each counted as often as it was drawn; NULL: once. */
static void points_cost(struct fitting *fitting, const uint32_t *drawn)
{
    for (size_t i = 0; i < fitting->point_count; i++)
        fitting->points[i].cost = fitting->points[i].count = 0;
    for (size_t i = 0; i < fitting->place_count; i++) {
        const struct place *const place = &fitting->places[i];
        struct point *const point = &fitting->points[place->point];
        const double count = (drawn ? drawn[place->run] : 1) * (double)place->count;
        point->cost += count * place->cost;
        point->count += count;
    }
    for (size_t i = 0; i < fitting->point_count; i++)
        if (fitting->points[i].count > 0)
            fitting->points[i].cost /= fitting->points[i].count;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

/* What a line has where its factor is 0. */
static double base_of(const struct point *point, unsigned class)
{
    return class >= LAP_FIT_CLASSES && bends[class - LAP_FIT_CLASSES].of == LAP_FIT_N ? point->n : 1;
}

static double line_at(const struct line *line, const struct point *point, unsigned class)
{
    return line->offset * base_of(point, class) + line->factor * point->f[class];
}

/* The residual, relative to the line. */
static double residual(const struct line *line, const struct point *point, unsigned class)
{
    const double at = line_at(line, point, class);
    return at > 0 ? (point->cost - at) / at : 1e9;
}

/* Is the point in neither the part that is held out, nor undrawn? */
static bool takes_part(const struct point *point, size_t index, size_t held_out)
{
    return point->weight > 0 && point->count > 0 && point->cost > 0 &&
           (held_out == SIZE_MAX || index % FOLDS != held_out);
}

/* Weighted least squares with both parts at least 0. `weights` in point->robust. */
static struct line line_solve(const struct fitting *fitting, unsigned class, size_t held_out)
{
    double bb = 0, bf = 0, ff = 0, by = 0, fy = 0;
    for (size_t i = 0; i < fitting->point_count; i++) {
        const struct point *const point = &fitting->points[i];
        if (!takes_part(point, i, held_out))
            continue;
        const double base = base_of(point, class), f = point->f[class];
        bb += point->robust * base * base;
        bf += point->robust * base * f;
        ff += point->robust * f * f;
        by += point->robust * base * point->cost;
        fy += point->robust * f * point->cost;
    }
    const struct line constant = {bb > 0 ? by / bb : 0, 0};
    const double determinant = bb * ff - bf * bf;
    if (class == LAP_FIT_1 || !(determinant > 1e-12 * bb * ff))
        return constant;
    const struct line line = {(ff * by - bf * fy) / determinant, (bb * fy - bf * by) / determinant};
    return line.factor < 0 ? constant : line.offset < 0 ? (struct line){0, fy / ff} : line;
}

/* Gives each point its weight from the line: relative, and less the further off it is. `scale` is of the deviations. */
static void points_weigh(struct fitting *fitting, const struct line *line, unsigned class, double scale)
{
    for (size_t i = 0; i < fitting->point_count; i++) {
        struct point *const point = &fitting->points[i];
        const double at = line_at(line, point, class), deviation = scale * point->deviation;
        point->robust = at > 0 ? point->weight * biweight(residual(line, point, class) / deviation) /
                                     (at * at * deviation * deviation)
                               : 0;
    }
}

/* The median of what the residuals are in their deviations. */
static double scale_of(struct fitting *fitting, const struct line *line, unsigned class)
{
    size_t count = 0;
    for (size_t i = 0; i < fitting->point_count; i++)
        if (takes_part(&fitting->points[i], i, SIZE_MAX))
            fitting->room[count++] = fabs(residual(line, &fitting->points[i], class)) / fitting->points[i].deviation;
    return 1.4826 * median(fitting->room, count);
}

/* Iteratively reweighted least squares. From `start`; NULL: from the costs themselves, where the large ones weigh little. `scale`
 * 0: found anew each time. */
static struct line line_fit(struct fitting *fitting, unsigned class, size_t held_out, const struct line *start,
                            double scale)
{
    struct line line;
    if (start) {
        line = *start;
    } else {
        for (size_t i = 0; i < fitting->point_count; i++) {
            struct point *const point = &fitting->points[i];
            point->robust = point->cost > 0 ? point->weight / (point->cost * point->cost) : 0;
        }
        line = line_solve(fitting, class, held_out);
    }
    for (int round = 0; round < (start ? ROUNDS / 2 : ROUNDS); round++) {
        const double found = scale > 0 ? scale : scale_of(fitting, &line, class);
        points_weigh(fitting, &line, class, found > NOISE_MIN ? found : NOISE_MIN);
        const struct line next = line_solve(fitting, class, held_out);
        if (!(next.offset + next.factor > 0))
            break;
        line = next;
    }
    return line;
}

/* ---- noise --------------------------------------------------------------------------------------------------------- */

/* What sizes differ by beyond what their own costs' spread explains, so that the residuals of `class` have the deviations that
 * they should. Of half of the squares it is below 0.4549 (chi squared with 1 degree of freedom). */
static void noise_find(struct fitting *fitting, enum lap_fit_class class)
{
    const struct line *const line = &fitting->lines[class];
    const double count = (double)fitting->point_count, unbiased = count > 2 ? count / (count - 2) : 1;
    double low = NOISE_MIN, high = 10;
    for (int round = 0; round < 30; round++) {
        const double between = sqrt(low * high);
        size_t used = 0;
        for (size_t i = 0; i < fitting->point_count; i++) {
            const struct point *const point = &fitting->points[i];
            const double r = residual(line, point, class);
            if (takes_part(point, i, SIZE_MAX))
                fitting->room[used++] =
                    unbiased * r * r / (fitting->spread * fitting->spread / point->count + between * between);
        }
        if (median(fitting->room, used) > 0.4549)
            low = between;
        else
            high = between;
    }
    fitting->between = high;
    for (size_t i = 0; i < fitting->point_count; i++) {
        struct point *const point = &fitting->points[i];
        point->deviation = hypot(fitting->spread / sqrt(point->count), high);
    }
}

static double loss_of(const struct fitting *fitting, const struct line *line, unsigned class, size_t only_fold)
{
    double loss = 0;
    for (size_t i = 0; i < fitting->point_count; i++) {
        const struct point *const point = &fitting->points[i];
        if (takes_part(point, i, SIZE_MAX) && (only_fold == SIZE_MAX || i % FOLDS == only_fold))
            loss += point->weight * biweight_loss(residual(line, point, class) / point->deviation);
    }
    return loss;
}

static enum lap_fit_class least(const double *loss, enum lap_fit_class without)
{
    enum lap_fit_class best = without == LAP_FIT_1 ? LAP_FIT_LOG : LAP_FIT_1;
    for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++)
        if (class != (unsigned)without && loss[class] < loss[best])
            best = (enum lap_fit_class) class;
    return best;
}

/* The lines of all classes, with the noise as the best of them has it. */
static void lines_fit(struct fitting *fitting)
{
    for (size_t i = 0; i < fitting->point_count; i++)
        fitting->points[i].deviation = 1;
    double loss[LAP_FIT_CLASSES];
    for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++) {
        fitting->lines[class] = line_fit(fitting, class, SIZE_MAX, NULL, 0);
        loss[class] = scale_of(fitting, &fitting->lines[class], class);
    }
    for (int round = 0; round < 2; round++) {
        noise_find(fitting, least(loss, LAP_FIT_UNCLEAR));
        for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++) {
            fitting->lines[class] = line_fit(fitting, class, SIZE_MAX, &fitting->lines[class], 1);
            loss[class] = loss_of(fitting, &fitting->lines[class], class, SIZE_MAX);
        }
    }
}

/* ---- the choice ---------------------------------------------------------------------------------------------------- */

/* Each tenth of the sizes by the line of the others. */
static double loss_held_out(struct fitting *fitting, unsigned class)
{
    double loss = 0;
    for (size_t fold = 0; fold < FOLDS; fold++) {
        const struct line line = line_fit(fitting, class, fold, &fitting->lines[class], 1);
        loss += loss_of(fitting, &line, class, fold);
    }
    return loss;
}

/* For `class` and against `other`, with the noise unknown: the log of their likelihoods' ratio. */
static double evidence(const struct fitting *fitting, unsigned class, unsigned other)
{
    const double degrees = (double)fitting->point_count - 2;
    const double least_loss = 1e-9;
    const double penalty = OFFSET_PENALTY * ((fitting->lines[other].offset > 0 && other != LAP_FIT_1) -
                                             (fitting->lines[class].offset > 0 && class != LAP_FIT_1));
    return degrees / 2 * log((fitting->loss[other] + least_loss) / (fitting->loss[class] + least_loss)) + penalty;
}

/* Is a line that bends better than that of `class`? Then what is flatter is not excluded. */
static bool is_bent(struct fitting *fitting, enum lap_fit_class class)
{
    if (class != LAP_FIT_LOG && class != LAP_FIT_N_LOG)
        return false;
    for (unsigned bend = LAP_FIT_CLASSES; bend < LINES; bend++) {
        if (bends[bend - LAP_FIT_CLASSES].of + 1 != class)
            continue;
        fitting->lines[bend] = line_fit(fitting, bend, SIZE_MAX, NULL, 1);
        fitting->loss[bend] = loss_held_out(fitting, bend);
        if (evidence(fitting, bend, class) > BENT)
            return true;
    }
    return false;
}

/* The slope of the residuals along log n, in the middle of the range: by what the line's own exponent is wrong. A parabola is
 * fitted, so that what bends does not tilt. `ret_error` is its standard error, may be NULL. */
static double tilt(struct fitting *fitting, const struct line *line, enum lap_fit_class class, double *ret_error)
{
    const double offset = class == LAP_FIT_1 ? 0 : line->offset;
    points_weigh(fitting, line, class, 1);
    double s[5] = {0}, t[3] = {0};
    for (size_t i = 0; i < fitting->point_count; i++) {
        const struct point *const point = &fitting->points[i];
        if (!takes_part(point, i, SIZE_MAX))
            continue;
        const double grown = line_at(line, point, class) - offset, weight = point->robust * grown * grown;
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

/* Is even half the growth of log n without an offset excluded, with 99 %? */
static bool is_flat(struct fitting *fitting)
{
    double error = INFINITY;
    const double slope = tilt(fitting, &fitting->lines[LAP_FIT_1], LAP_FIT_1, &error);
    const double middle = sqrt(fitting->points[0].n * fitting->points[fitting->point_count - 1].n);
    return slope + 2.326 * error < class_exponent(LAP_FIT_LOG, middle) * 0.5;
}

static void choose(struct fitting *fitting, struct lap_fit *fit)
{
    const enum lap_fit_class best = least(fitting->loss, LAP_FIT_UNCLEAR);
    const enum lap_fit_class growing = least(fitting->loss, LAP_FIT_1);
    fit->doubt = LAP_FIT_TWO_WITHIN;
    const struct line *const line = &fitting->lines[growing];
    const double least_cost = line_at(line, &fitting->points[0], growing);
    const double most_cost = line_at(line, &fitting->points[fitting->point_count - 1], growing);
    /* The simplest, unless what grows is better. */
    if (evidence(fitting, growing, LAP_FIT_1) < EVIDENCE || most_cost < GROWTH_MIN * least_cost) {
        fit->likely = LAP_FIT_1;
        fit->rival = best == LAP_FIT_1 ? LAP_FIT_LOG : growing;
        if (is_flat(fitting))
            fit->doubt = LAP_FIT_SURE;
        return;
    }
    fit->likely = growing;
    double closest = INFINITY;
    for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++) {
        const double by = class == (unsigned)growing ? INFINITY : evidence(fitting, growing, class);
        if (by < closest) {
            closest = by;
            fit->rival = class;
        }
    }
    if (closest < EVIDENCE)
        return;
    fit->doubt = is_bent(fitting, growing) ? LAP_FIT_CACHES : LAP_FIT_SURE;
    if (fit->doubt == LAP_FIT_CACHES)
        fit->rival = growing - 1;
}

/* ---- the exponent -------------------------------------------------------------------------------------------------- */

/* Of the better one of two classes, by the points as they are drawn now. */
static double exponent_of(struct fitting *fitting, const struct lap_fit *fit, double middle)
{
    enum lap_fit_class best = fit->likely;
    double best_loss = INFINITY;
    struct line best_line = fitting->lines[best];
    for (int i = 0; i < (fit->doubt == LAP_FIT_SURE ? 1 : 2); i++) {
        const enum lap_fit_class class = i == 0 ? fit->likely : fit->rival;
        const struct line line = line_fit(fitting, class, SIZE_MAX, &fitting->lines[class], 1);
        const double loss = loss_of(fitting, &line, class, SIZE_MAX);
        if (loss < best_loss) {
            best_loss = loss;
            best_line = line;
            best = class;
        }
    }
    return class_exponent(best, middle) + tilt(fitting, &best_line, best, NULL);
}

/* One-sided 99.5 % of Student's t by that of the normal distribution: few sizes say less of their own noise (Cornish and Fisher's
 * expansion; Abramowitz and Stegun 26.7.5). */
static double widening(double degrees)
{
    const double z = 2.575829, z3 = z * z * z, z5 = z3 * z * z;
    return 1 + ((z3 + z) / (4 * degrees) + (5 * z5 + 16 * z3 + 3 * z) / (96 * degrees * degrees)) / z;
}

/* Runs and sizes are drawn anew with replacement, not single costs, since what disturbs is shared within them (Davison and
 * Hinkley, Bootstrap Methods and their Application, 1997, 3.8). */
static int exponent_resample(struct fitting *fitting, struct lap_fit *fit, unsigned resamples, double middle)
{
    double *const exponents = calloc(resamples, sizeof *exponents);
    uint32_t *const drawn = calloc(fitting->run_count, sizeof *drawn);
    if (!exponents || !drawn) {
        free(exponents);
        free(drawn);
        return -ENOMEM;
    }
    struct lap_random random;
    lap_random_seed(&random, 1);
    for (unsigned r = 0; r < resamples; r++) {
        memset(drawn, 0, fitting->run_count * sizeof *drawn);
        for (size_t i = 0; i < fitting->run_count; i++)
            drawn[lap_random_below(&random, fitting->run_count)]++;
        for (size_t i = 0; i < fitting->point_count; i++)
            fitting->points[i].weight = 0;
        for (size_t i = 0; i < fitting->point_count; i++)
            fitting->points[lap_random_below(&random, fitting->point_count)].weight++;
        if (fitting->run_count > 1)
            points_cost(fitting, drawn);
        exponents[r] = exponent_of(fitting, fit, middle);
    }
    qsort(exponents, resamples, sizeof *exponents, ascending);
    const double degrees = fitting->point_count > 5 ? (double)fitting->point_count - 3 : 2;
    const double wide = widening(degrees) * sqrt((double)fitting->point_count / degrees);
    const size_t cut = resamples / 200;
    fit->exponent_low = fit->exponent + wide * (exponents[cut] - fit->exponent);
    fit->exponent_high = fit->exponent + wide * (exponents[resamples - 1 - cut] - fit->exponent);
    free(exponents);
    free(drawn);
    return 0;
}

/* ---- the range that would tell ------------------------------------------------------------------------------------- */

/* How far `rival` stays from `likely` at best, over a range with as many sizes, in squares of the noise. */
static double distance_over(const struct fitting *fitting, const struct lap_fit *fit, double range)
{
    struct point points[TABLE];
    struct fitting table = {.points = points, .point_count = TABLE};
    const struct line *const line = &fitting->lines[fit->likely];
    for (size_t i = 0; i < TABLE; i++) {
        const double n = fit->n_min * pow(range, (double)i / (TABLE - 1));
        points[i] = (struct point){.n = n, .count = 1, .weight = 1, .deviation = 1};
        for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++)
            points[i].f[class] = class_value(class, n);
        points[i].cost = line_at(line, &points[i], fit->likely);
    }
    const struct line other = line_fit(&table, fit->rival, SIZE_MAX, NULL, 1);
    return loss_of(&table, &other, fit->rival, SIZE_MAX) / TABLE * (double)fitting->point_count /
           (fit->noise * fit->noise);
}

/* EVIDENCE comes in 95 % of cases where d^2 / 2 - 1.645 d is as much. */
static double range_needed(const struct fitting *fitting, const struct lap_fit *fit)
{
    const double enough = pow(1.645 + sqrt(1.645 * 1.645 + 2 * EVIDENCE), 2), range_max = 1e6;
    for (double range = 10; range <= range_max; range *= 10)
        if (range > fit->n_max / fit->n_min * 1.5 && distance_over(fitting, fit, range) >= enough)
            return range;
    return 0;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static int fit_points(struct fitting *fitting, struct lap_fit *fit, unsigned resamples)
{
    const double middle = sqrt(fit->n_min * fit->n_max);
    for (size_t i = 0; i < fitting->point_count; i++) {
        struct point *const point = &fitting->points[i];
        point->x = log(point->n / middle);
        point->weight = 1;
        for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++)
            point->f[class] = class_value(class, point->n);
        for (unsigned bend = 0; bend < BENDS; bend++) {
            const double behind = log(point->n / fit->n_min) - bends[bend].place * log(fit->n_max / fit->n_min);
            point->f[LAP_FIT_CLASSES + bend] = (bends[bend].of == LAP_FIT_N ? point->n : 1) * fmax(behind, 0);
        }
    }
    points_cost(fitting, NULL);
    lines_fit(fitting);
    for (unsigned class = 0; class < LAP_FIT_CLASSES; class ++)
        fitting->loss[class] = loss_held_out(fitting, class);
    choose(fitting, fit);
    fit->offset = fitting->lines[fit->likely].offset;
    fit->factor = fitting->lines[fit->likely].factor;
    for (size_t i = 0; i < fitting->point_count; i++)
        fitting->room[i] = fitting->points[i].deviation;
    fit->noise = median(fitting->room, fitting->point_count);
    fit->scatter = hypot(fitting->spread, fitting->between);
    if (fit->doubt == LAP_FIT_TWO_WITHIN)
        fit->range_needed = range_needed(fitting, fit);
    fit->class = fit->doubt == LAP_FIT_SURE ? fit->likely : LAP_FIT_UNCLEAR;
    if (resamples == 0)
        return 0;
    fit->exponent = exponent_of(fitting, fit, middle);
    return exponent_resample(fitting, fit, resamples, middle);
}

int lap_fit_make(struct lap_fit *ret_fit, const struct lap_fit_cell *cells, size_t count, unsigned resamples)
{
    struct fitting fitting = {0};
    int code = cells_take(&fitting, cells, count);
    struct lap_fit fit = {.class = LAP_FIT_UNCLEAR, .likely = LAP_FIT_UNCLEAR, .rival = LAP_FIT_UNCLEAR};
    if (code == 0 && fitting.point_count > 0) {
        fit.sizes = fitting.point_count;
        fit.runs = fitting.run_count;
        fit.n_min = fitting.points[0].n;
        fit.n_max = fitting.points[fitting.point_count - 1].n;
    }
    if (code == 0) {
        if (fit.sizes < LAP_FIT_SIZES_MIN)
            fit.doubt = LAP_FIT_FEW_SIZES;
        else if (fit.n_max < LAP_FIT_RANGE_MIN * fit.n_min)
            fit.doubt = LAP_FIT_NARROW;
        else
            code = fit_points(&fitting, &fit, resamples);
    }
    free(fitting.points);
    free(fitting.places);
    free(fitting.room);
    if (code == 0)
        *ret_fit = fit;
    return code;
}
