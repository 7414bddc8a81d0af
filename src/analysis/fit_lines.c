/* SPDX-License-Identifier: MIT */
#include "fit_lines.h"

#include "order.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 8 };

/* Costs that are further off than so many standard deviations count nothing (Tukey's biweight). */
#define FAR 6.0
/* Below this, what sizes differ by is not noise but the machine: caches, branches, alignment. */
#define NOISE_MIN 0.005

/* A size in one run. */
struct lap_fit_place {
    size_t point;
    uint32_t run, count;
    double cost;
};

/* ---- classes ------------------------------------------------------------------------------------------------------- */

static const struct {
    enum lap_fit_class of;
    double place; /* in the range, logarithmic */
} bends[LAP_FIT_BENDS] = {{LAP_FIT_1, 0.5}, {LAP_FIT_1, 0.7}, {LAP_FIT_N, 0.5}, {LAP_FIT_N, 0.7}};

enum lap_fit_class lap_fit_bend_of(unsigned bend) { return bends[bend - LAP_FIT_CLASSES].of; }

double lap_fit_class_value(enum lap_fit_class class, double n)
{
    const double log_n = log1p(n); /* so that no size has 0 */
    switch (class) {
    case LAP_FIT_LOG: return log_n;
    case LAP_FIT_N: return n;
    case LAP_FIT_N_LOG: return n * log_n;
    case LAP_FIT_N2: return n * n;
    case LAP_FIT_N3: return n * n * n;
    default: return 0;
    }
}

void lap_fit_point_set(struct lap_fit_point *point, double n, double n_min, double n_max)
{
    point->n = n;
    point->x = log(n / sqrt(n_min * n_max));
    point->weight = 1;
    for (unsigned i = 0; i < LAP_FIT_CLASSES; i++) {
        point->f[i] = lap_fit_class_value(i, n);
        point->base[i] = 1;
    }
    for (unsigned bend = 0; bend < LAP_FIT_BENDS; bend++) {
        const double behind = log(n / n_min) - bends[bend].place * log(n_max / n_min);
        const double base = bends[bend].of == LAP_FIT_N ? n : 1;
        point->f[LAP_FIT_CLASSES + bend] = base * fmax(behind, 0);
        point->base[LAP_FIT_CLASSES + bend] = base;
    }
}

/* ---- robust parts -------------------------------------------------------------------------------------------------- */

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
    return lap_order_median(room, cell->cost_count);
}

/* How costs of one size are spread: one number for all sizes, since few have enough of them. From differences, which need no
 * middle: of few costs that is too near to them. */
static double spread_of(const struct lap_fit_cell *cells, size_t count, double *room, double *distances)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (cells[i].cost_count < 3)
            continue;
        const double middle = cell_median(&cells[i], room);
        const uint32_t half = cells[i].cost_count / 2;
        for (uint32_t j = 0; middle > 0 && j < cells[i].cost_count; j++)
            distances[used++] = fabs(cells[i].costs[j] - cells[i].costs[(j + half) % cells[i].cost_count]) / middle;
    }
    return 1.4826 / sqrt(2) * lap_order_median(distances, used);
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

static int cells_take(struct lap_fit_lines *lines, const struct lap_fit_cell *cells, size_t count)
{
    size_t most = 1, all = 1;
    for (size_t i = 0; i < count; i++) {
        most = cells[i].cost_count > most ? cells[i].cost_count : most;
        all += cells[i].cost_count;
    }
    double *const room = calloc(most, sizeof *room), *const distances = calloc(all, sizeof *distances);
    struct lap_fit_cell *const sorted = calloc(count + 1, sizeof *sorted);
    lines->points = calloc(count + 1, sizeof *lines->points);
    lines->places = calloc(count + 1, sizeof *lines->places);
    lines->room = calloc(count + 1, sizeof *lines->room);
    const bool has_memory = room && distances && sorted && lines->points && lines->places && lines->room;
    if (has_memory) {
        if (count != 0)
            memcpy(sorted, cells, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_size);
        lines->spread = spread_of(sorted, count, room, distances);
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || sorted[i].n != sorted[i - 1].n)
                lines->points[lines->point_count++].n = sorted[i].n;
            lines->places[lines->place_count++] = (struct lap_fit_place){
                lines->point_count - 1, sorted[i].run, sorted[i].cost_count, cell_cost(&sorted[i], lines->spread, room)};
            if (sorted[i].run >= lines->run_count)
                lines->run_count = sorted[i].run + 1;
        }
    }
    free(room);
    free(distances);
    free(sorted);
    return has_memory ? 0 : -ENOMEM;
}

bool lap_fit_lines_is_nested(const struct lap_fit_lines *lines, uint32_t *room)
{
    memset(room, 0, lines->run_count * sizeof *room);
    for (size_t i = 0; i < lines->place_count; i++)
        if (room[lines->places[i].run]++ != 0)
            return false;
    return true;
}

void lap_fit_lines_draw(const struct lap_fit_lines *lines, bool of_sizes, struct lap_random *random, uint32_t *drawn)
{
    memset(drawn, 0, lines->run_count * sizeof *drawn);
    for (size_t i = 0; !of_sizes && i < lines->run_count; i++)
        drawn[lap_random_below(random, lines->run_count)]++;
    for (size_t i = 0, until; of_sizes && i < lines->place_count; i = until) { /* they are in the order of the sizes */
        for (until = i; until < lines->place_count && lines->places[until].point == lines->places[i].point;)
            until++;
        for (size_t k = i; k < until; k++)
            drawn[lines->places[i + lap_random_below(random, until - i)].run]++;
    }
}

void lap_fit_lines_cost(struct lap_fit_lines *lines, const uint32_t *drawn)
{
    for (size_t i = 0; i < lines->point_count; i++)
        lines->points[i].cost = lines->points[i].count = 0;
    for (size_t i = 0; i < lines->place_count; i++) {
        const struct lap_fit_place *const place = &lines->places[i];
        struct lap_fit_point *const point = &lines->points[place->point];
        const double count = (drawn ? drawn[place->run] : 1) * (double)place->count;
        point->cost += count * place->cost;
        point->count += count;
    }
    for (size_t i = 0; i < lines->point_count; i++)
        if (lines->points[i].count > 0)
            lines->points[i].cost /= lines->points[i].count;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

/* The residual, relative to the line. */
static double residual(const struct lap_fit_line *line, const struct lap_fit_point *point, unsigned class)
{
    const double at = lap_fit_line_at(line, point, class);
    return at > 0 ? (point->cost - at) / at : 1e9;
}

/* Least squares with both parts at least 0, weighted by what the points have as `robust`. */
static struct lap_fit_line line_solve(const struct lap_fit_lines *lines, unsigned class)
{
    double bb = 0, bf = 0, ff = 0, by = 0, fy = 0;
    for (size_t i = 0; i < lines->point_count; i++) {
        const struct lap_fit_point *const point = &lines->points[i];
        if (!lap_fit_point_counts(point))
            continue;
        const double base = point->base[class], f = point->f[class];
        bb += point->robust * base * base;
        bf += point->robust * base * f;
        ff += point->robust * f * f;
        by += point->robust * base * point->cost;
        fy += point->robust * f * point->cost;
    }
    const struct lap_fit_line constant = {bb > 0 ? by / bb : 0, 0};
    const double determinant = bb * ff - bf * bf;
    if (class == LAP_FIT_1 || !(determinant > 1e-12 * bb * ff))
        return constant;
    const struct lap_fit_line line = {(ff * by - bf * fy) / determinant, (bb * fy - bf * by) / determinant};
    return line.factor < 0 ? constant : line.offset < 0 ? (struct lap_fit_line){0, fy / ff} : line;
}

void lap_fit_lines_weigh(struct lap_fit_lines *lines, const struct lap_fit_line *line, unsigned class, double scale)
{
    for (size_t i = 0; i < lines->point_count; i++) {
        struct lap_fit_point *const point = &lines->points[i];
        const double at = lap_fit_line_at(line, point, class), deviation = scale * point->deviation;
        point->robust = at > 0 ? point->weight * biweight(residual(line, point, class) / deviation) /
                                     (at * at * deviation * deviation)
                               : 0;
    }
}

/* The median of what the residuals are in their deviations. */
static double scale_of(struct lap_fit_lines *lines, const struct lap_fit_line *line, unsigned class)
{
    size_t count = 0;
    for (size_t i = 0; i < lines->point_count; i++)
        if (lap_fit_point_counts(&lines->points[i]))
            lines->room[count++] = fabs(residual(line, &lines->points[i], class)) / lines->points[i].deviation;
    return 1.4826 * lap_order_median(lines->room, count);
}

struct lap_fit_line lap_fit_line_find(struct lap_fit_lines *lines, unsigned class, const struct lap_fit_line *start,
                                      double scale)
{
    struct lap_fit_line line;
    if (start) {
        line = *start;
    } else {
        for (size_t i = 0; i < lines->point_count; i++) {
            struct lap_fit_point *const point = &lines->points[i];
            point->robust = point->cost > 0 ? point->weight / (point->cost * point->cost) : 0;
        }
        line = line_solve(lines, class);
    }
    for (int round = 0; round < (start ? ROUNDS / 2 : ROUNDS); round++) {
        const double found = scale > 0 ? scale : scale_of(lines, &line, class);
        lap_fit_lines_weigh(lines, &line, class, found > NOISE_MIN ? found : NOISE_MIN);
        const struct lap_fit_line next = line_solve(lines, class);
        if (!(next.offset + next.factor > 0))
            break;
        line = next;
    }
    return line;
}

/* ---- noise --------------------------------------------------------------------------------------------------------- */

/* What sizes differ by beyond what their own costs' spread explains, so that the residuals of `class` have the deviations that
 * they should. Of half of the squares it is below 0.4549 (chi squared with 1 degree of freedom). */
static void noise_find(struct lap_fit_lines *lines, enum lap_fit_class class)
{
    const struct lap_fit_line *const line = &lines->lines[class];
    const double count = (double)lines->point_count, unbiased = count > 2 ? count / (count - 2) : 1;
    double low = NOISE_MIN, high = 10;
    for (int round = 0; round < 30; round++) {
        const double between = sqrt(low * high);
        size_t used = 0;
        for (size_t i = 0; i < lines->point_count; i++) {
            const struct lap_fit_point *const point = &lines->points[i];
            const double r = residual(line, point, class);
            if (lap_fit_point_counts(point))
                lines->room[used++] =
                    unbiased * r * r / (lines->spread * lines->spread / point->count + between * between);
        }
        if (lap_order_median(lines->room, used) > 0.4549)
            low = between;
        else
            high = between;
    }
    lines->between = high;
    for (size_t i = 0; i < lines->point_count; i++) {
        struct lap_fit_point *const point = &lines->points[i];
        point->deviation = hypot(lines->spread / sqrt(point->count), high);
    }
}

/* The root of what a residual adds to the deviance where the variance goes with the square of the mean, as it does in weighing: near 0
 * it is the residual. The squares themselves would be less for a line that is too high (McCullagh and Nelder, Generalized Linear
 * Models, 1989, 9.2). */
static double rooted(double residual)
{
    return residual > -1 ? copysign(sqrt(2 * fmax(0, residual - log1p(residual))), residual) : -1e9;
}

double lap_fit_line_loss(const struct lap_fit_lines *lines, const struct lap_fit_line *line, unsigned class)
{
    double loss = 0;
    for (size_t i = 0; i < lines->point_count; i++) {
        const struct lap_fit_point *const point = &lines->points[i];
        if (lap_fit_point_counts(point))
            loss += point->weight * biweight_loss(rooted(residual(line, point, class)) / point->deviation);
    }
    return loss;
}

bool lap_fit_point_is_far(const struct lap_fit_point *point, const struct lap_fit_line *line, unsigned class)
{
    return fabs(rooted(residual(line, point, class))) >= FAR * point->deviation;
}

enum lap_fit_class lap_fit_least(const double *loss, enum lap_fit_class without)
{
    enum lap_fit_class best = without == LAP_FIT_1 ? LAP_FIT_LOG : LAP_FIT_1;
    for (unsigned i = 0; i < LAP_FIT_CLASSES; i++)
        if (i != (unsigned)without && loss[i] < loss[best])
            best = (enum lap_fit_class)i;
    return best;
}

void lap_fit_lines_find(struct lap_fit_lines *lines)
{
    for (size_t i = 0; i < lines->point_count; i++)
        lines->points[i].deviation = 1;
    double loss[LAP_FIT_CLASSES];
    for (unsigned i = 0; i < LAP_FIT_CLASSES; i++) {
        lines->lines[i] = lap_fit_line_find(lines, i, NULL, 0);
        loss[i] = scale_of(lines, &lines->lines[i], i);
    }
    for (int round = 0; round < 2; round++) {
        noise_find(lines, lap_fit_least(loss, LAP_FIT_UNCLEAR));
        for (unsigned i = 0; i < LAP_FIT_CLASSES; i++) {
            lines->lines[i] = lap_fit_line_find(lines, i, &lines->lines[i], 1);
            loss[i] = lap_fit_line_loss(lines, &lines->lines[i], i);
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

int lap_fit_lines_make(struct lap_fit_lines *lines, const struct lap_fit_cell *cells, size_t count)
{
    *lines = (struct lap_fit_lines){0};
    if (cells_take(lines, cells, count) < 0) {
        lap_fit_lines_done(lines);
        return -ENOMEM;
    }
    for (size_t i = 0; i < lines->point_count; i++)
        lap_fit_point_set(&lines->points[i], lines->points[i].n, lines->points[0].n,
                          lines->points[lines->point_count - 1].n);
    lap_fit_lines_cost(lines, NULL);
    return 0;
}

void lap_fit_lines_done(struct lap_fit_lines *lines)
{
    free(lines->points);
    free(lines->places);
    free(lines->room);
    *lines = (struct lap_fit_lines){0};
}
