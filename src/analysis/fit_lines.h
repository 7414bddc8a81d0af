/* SPDX-License-Identifier: MIT
 *
 * Lines through the costs of sizes, one a class: robust least squares on relative errors. See fit.h.
 */
#ifndef LAP_FIT_LINES_H
#define LAP_FIT_LINES_H

#include "fit.h"
#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Caches make what is constant look like log n, and what is n like n log n, but all the growth is in the upper part of the range.
 * So there are lines that bend there, too: their numbers are above those of the classes. */
#define LAP_FIT_BENDS 4u
#define LAP_FIT_LINES (LAP_FIT_CLASSES + LAP_FIT_BENDS)

/* The costs of one size, over all runs. */
struct lap_fit_point {
    double n, x; /* x: log n, from that of the geometric mean of the range */
    double f[LAP_FIT_LINES];
    double base[LAP_FIT_LINES]; /* what the offset is of: 1, but for bends of n */
    double cost;
    double count;
    double deviation; /* of the cost, relative */
    double weight;    /* how often it was drawn */
    double robust;    /* its weight in the last line */
};

struct lap_fit_lines {
    struct lap_fit_point *points;
    size_t point_count;
    struct lap_fit_place *places; /* sizes in runs */
    size_t place_count, run_count;
    double spread;  /* of one cost, relative, within a size; 0: not known */
    double between; /* of a size's cost beyond that */
    double *room;   /* for a number a point */
    struct lap_fit_line lines[LAP_FIT_LINES];
};

/* Makes points of the cells. Returns 0 or -ENOMEM. */
int lap_fit_lines_make(struct lap_fit_lines *lines, const struct lap_fit_cell *cells, size_t count);
void lap_fit_lines_done(struct lap_fit_lines *lines);
/* Has no run more than one size? `room` is for a number a run. */
bool lap_fit_lines_is_nested(const struct lap_fit_lines *lines, uint32_t *room);
/* So many times each run is taken anew, with replacement; `of_sizes`, which takes nested ones, of each size those that it has. */
void lap_fit_lines_draw(const struct lap_fit_lines *lines, bool of_sizes, struct lap_random *random, uint32_t *drawn);

/* The sizes' costs over the runs, each counted as often as it was drawn; NULL: once. */
void lap_fit_lines_cost(struct lap_fit_lines *lines, const uint32_t *drawn);
/* The lines of all classes, with the noise as the best of them has it: the points' deviations. */
void lap_fit_lines_find(struct lap_fit_lines *lines);
/* Gives each point its weight from a line: relative, and less the further off it is. `scale` is of the deviations. */
void lap_fit_lines_weigh(struct lap_fit_lines *lines, const struct lap_fit_line *line, unsigned class, double scale);

/* The class of a bend is the one that it has below it. */
enum lap_fit_class lap_fit_bend_of(unsigned bend);
double lap_fit_class_value(enum lap_fit_class class, double n);
/* Sets what depends on n alone. */
void lap_fit_point_set(struct lap_fit_point *point, double n, double n_min, double n_max);

/* Iteratively reweighted least squares. From `start`; NULL: from the costs themselves, where the large ones weigh little.
 * `scale` 0: found anew each time. */
struct lap_fit_line lap_fit_line_find(struct lap_fit_lines *lines, unsigned class, const struct lap_fit_line *start,
                                      double scale);
/* How far the points are off: near 0 the squares of their deviations. */
double lap_fit_line_loss(const struct lap_fit_lines *lines, const struct lap_fit_line *line, unsigned class);
/* Is it so far off that it counts nothing? */
bool lap_fit_point_is_far(const struct lap_fit_point *point, const struct lap_fit_line *line, unsigned class);
/* Of the classes but `without`; LAP_FIT_UNCLEAR: of all. */
enum lap_fit_class lap_fit_least(const double *loss, enum lap_fit_class without);

static inline double lap_fit_line_at(const struct lap_fit_line *line, const struct lap_fit_point *point, unsigned class)
{
    return line->offset * point->base[class] + line->factor * point->f[class];
}

static inline bool lap_fit_point_counts(const struct lap_fit_point *point)
{
    return point->weight > 0 && point->count > 0 && point->cost > 0;
}

#endif
