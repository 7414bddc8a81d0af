/* SPDX-License-Identifier: MIT
 *
 * What a scaling means, in words.
 */
#define _GNU_SOURCE
#include "scaling_view.h"

#include "units.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_COLUMNS = 200 };

struct text {
    char *bytes;
    size_t length;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->bytes + text->length, LAP_SCALING_TEXT_BYTES - text->length, format, arguments);
    va_end(arguments);
    text->length += strlen(text->bytes + text->length);
}

/* ---- classes ------------------------------------------------------------------------------------------------------- */

/* n^power (log n)^logs */
struct growth {
    unsigned power, logs;
};

static struct growth growth_of(enum lap_fit_class class)
{
    static const struct growth growths[LAP_FIT_CLASSES] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {3, 0}};
    return class < LAP_FIT_UNCLEAR ? growths[class] : growths[0];
}

static void add_raised(struct text *text, const char *base, unsigned power, bool plain)
{
    static const char *const raised[] = {"", "", "\xc2\xb2", "\xc2\xb3", "\xe2\x81\xb4", "\xe2\x81\xb5", "\xe2\x81\xb6"};
    if (power < 2)
        add(text, "%s", base);
    else if (plain)
        add(text, "%s^%u", base, power);
    else
        add(text, "%s%s", base, raised[power]);
}

static void add_growth(struct text *text, struct growth growth, bool plain)
{
    if (growth.power == 0 && growth.logs == 0)
        add(text, "1");
    if (growth.power > 0)
        add_raised(text, "n", growth.power, plain);
    if (growth.logs > 0) {
        add(text, growth.power > 0 ? " " : "");
        add_raised(text, "log", growth.logs, plain);
        add(text, " n");
    }
}

static enum lap_fit_class steeper(const struct lap_fit *fit)
{
    return fit->rival > fit->likely ? fit->rival : fit->likely;
}

char *lap_scaling_class_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_fit *fit, bool plain)
{
    struct text text = {out, 0};
    out[0] = 0;
    if (fit->class == LAP_FIT_UNCLEAR && !lap_fit_is_pair(fit)) {
        add(&text, "unclear");
        return out;
    }
    add_growth(&text, growth_of(lap_fit_flatter(fit)), plain);
    if (lap_fit_is_pair(fit)) {
        add(&text, " or ");
        add_growth(&text, growth_of(steeper(fit)), plain);
    }
    return out;
}

/* "O(n)", "O(n) or O(n log n)" */
static void add_order(struct text *text, const struct lap_fit *fit, bool plain)
{
    add(text, "O(");
    add_growth(text, growth_of(lap_fit_flatter(fit)), plain);
    add(text, ")");
    if (lap_fit_is_pair(fit)) {
        add(text, " or O(");
        add_growth(text, growth_of(steeper(fit)), plain);
        add(text, ")");
    }
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

static const struct lap_summary_node *node_at(const struct lap_scaling *scaling, uint32_t node)
{
    return &scaling->group.nodes[node];
}

/* The function that a profiler stands in, or its message. */
static void add_place(struct text *text, const struct lap_summary_node *node)
{
    if (node->function[0] && node->function[0] != '<')
        add(text, "%.*s()", LABEL_COLUMNS, node->function);
    else
        add(text, "\"%.*s\"", LABEL_COLUMNS, node->label);
}

char *lap_scaling_from_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling,
                            const struct lap_scaling_from *from)
{
    static const char *const whose[] = {"", " of the profiler around it", " of the profiler around that",
                                        " of the one around that"};
    struct text text = {out, 0};
    const struct lap_summary_node *const node = node_at(scaling, from->node);
    out[0] = 0;
    if (from->size == LAP_SCALING_SIZE_N)
        add(&text, "n%s", whose[from->level]);
    else if (from->size == LAP_SCALING_SIZE_ARGUMENT)
        add(&text, "argument %u of the %s '%.*s'", from->argument + 1,
            node->kind == LAP_SUMMARY_PROFILER ? "message" : "label", LABEL_COLUMNS, node->label);
    else if (node->parent != LAP_SUMMARY_NONE)
        add(&text, "count of \"%.*s\" per \"%.*s\"", LABEL_COLUMNS, node->label, LABEL_COLUMNS,
            node_at(scaling, node->parent)->label);
    return out;
}

static void add_share(struct text *text, const struct lap_scaling *scaling, const struct lap_scaling_finding *finding,
                      const struct lap_scaling_from *from)
{
    char share[LAP_UNITS_BYTES], where[LAP_SCALING_TEXT_BYTES];
    add(text, " (%s of its time now; n: %s)", lap_units_share(share, finding->share, 1),
        lap_scaling_from_text(where, scaling, from));
}

/* ---- sentences ----------------------------------------------------------------------------------------------------- */

static void add_times(struct text *text, const struct lap_fit *fit, bool plain)
{
    add_growth(text, growth_of(fit->flattest), plain);
    add(text, " times");
}

static void add_loop(struct text *text, const struct lap_scaling *scaling, const struct lap_scaling_finding *finding,
                     bool plain)
{
    const struct lap_scaling_node *const node = &scaling->nodes[finding->node];
    const struct growth one = growth_of(node->loop.fit.flattest), often = growth_of(node->count.fit.flattest);
    add(text, "\"%.*s\" is ", LABEL_COLUMNS, node_at(scaling, finding->node)->label);
    add_order(text, &node->loop.fit, plain);
    add(text, " a call and is called ");
    add_times(text, &node->count.fit, plain);
    add(text, lap_fit_is_pair(&node->loop.fit) || lap_fit_is_pair(&node->count.fit) ? ": at least O(" : ": O(");
    add_growth(text, (struct growth){one.power + often.power, one.logs + often.logs}, plain);
    add(text, ") in ");
    add_place(text, node_at(scaling, node_at(scaling, finding->node)->parent));
    add_share(text, scaling, finding, &node->loop.from);
}

static void add_repeated(struct text *text, const struct lap_scaling *scaling, const struct lap_scaling_finding *finding,
                         bool plain)
{
    char times[LAP_UNITS_BYTES];
    const struct lap_scaling_node *const node = &scaling->nodes[finding->node];
    add(text, "\"%.*s\" is ", LABEL_COLUMNS, node_at(scaling, finding->node)->label);
    add_order(text, &node->cost.fit, plain);
    add(text, " a call and is called %s times in ", lap_units_count(times, (uint64_t)(finding->times + 0.5)));
    add_place(text, node_at(scaling, node_at(scaling, finding->node)->parent));
    add_share(text, scaling, finding, &node->cost.from);
}

static void add_odd_one(struct text *text, const struct lap_scaling *scaling, const struct lap_scaling_finding *finding,
                        bool plain)
{
    const struct lap_scaling_node *const node = &scaling->nodes[finding->node];
    add(text, "\"%.*s\" is ", LABEL_COLUMNS, node_at(scaling, finding->node)->label);
    add_order(text, &node->cost.fit, plain);
    add(text, " where the others of ");
    add_place(text, node_at(scaling, node_at(scaling, finding->node)->parent));
    add(text, finding->is_sure ? " are constant" : " do not grow, as far as can be told");
    add_share(text, scaling, finding, &node->cost.from);
}

static void add_often(struct text *text, const struct lap_scaling *scaling, const struct lap_scaling_finding *finding,
                      bool plain)
{
    const struct lap_scaling_node *const node = &scaling->nodes[finding->node];
    add(text, "\"%.*s\" is cheap today but is called ", LABEL_COLUMNS, node_at(scaling, finding->node)->label);
    add_times(text, &node->count.fit, plain);
    add(text, " in ");
    add_place(text, node_at(scaling, node_at(scaling, finding->node)->parent));
    add_share(text, scaling, finding, &node->count.from);
}

char *lap_scaling_finding_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling,
                               const struct lap_scaling_finding *finding, bool plain)
{
    struct text text = {out, 0};
    switch (finding->kind) {
    case LAP_SCALING_LOOP: add_loop(&text, scaling, finding, plain); break;
    case LAP_SCALING_REPEATED: add_repeated(&text, scaling, finding, plain); break;
    case LAP_SCALING_CONSTANT: add_odd_one(&text, scaling, finding, plain); break;
    case LAP_SCALING_OFTEN: add_often(&text, scaling, finding, plain); break;
    }
    return out;
}

/* Of those that grow the fastest, the one with the most time. */
static uint32_t fastest_growing(const struct lap_scaling *scaling)
{
    uint32_t fastest = LAP_SUMMARY_NONE;
    for (uint32_t i = 0; i < scaling->group.node_count; i++) {
        if (!lap_scaling_grows(&scaling->nodes[i].cost, LAP_FIT_LOG))
            continue;
        const enum lap_fit_class class = lap_fit_flatter(&scaling->nodes[i].cost.fit);
        if (fastest == LAP_SUMMARY_NONE || class > lap_fit_flatter(&scaling->nodes[fastest].cost.fit) ||
            (class == lap_fit_flatter(&scaling->nodes[fastest].cost.fit) &&
             node_at(scaling, i)->total_ns > node_at(scaling, fastest)->total_ns))
            fastest = i;
    }
    return fastest;
}

/* Of those that have sizes enough, the one with the most time. */
static uint32_t largest_fitted(const struct lap_scaling *scaling, bool sure)
{
    uint32_t largest = LAP_SUMMARY_NONE;
    for (uint32_t i = 0; i < scaling->group.node_count; i++) {
        const struct lap_scaling_curve *const cost = &scaling->nodes[i].cost;
        const bool is_one = cost->from.size != LAP_SCALING_SIZE_NONE &&
                            (sure ? cost->fit.doubt == LAP_FIT_SURE : lap_fit_is_pair(&cost->fit));
        if (is_one &&
            (largest == LAP_SUMMARY_NONE || node_at(scaling, i)->total_ns > node_at(scaling, largest)->total_ns))
            largest = i;
    }
    return largest;
}

static void add_no_finding(struct text *text, const struct lap_scaling *scaling, bool plain)
{
    char where[LAP_SCALING_TEXT_BYTES];
    size_t told = 0;
    const uint32_t fastest = fastest_growing(scaling), sure = largest_fitted(scaling, true),
                   unclear = largest_fitted(scaling, false);
    const bool is_most_sure =
        sure != LAP_SUMMARY_NONE &&
        (unclear == LAP_SUMMARY_NONE || node_at(scaling, unclear)->total_ns <= node_at(scaling, sure)->total_ns);
    for (size_t i = 0; i < scaling->group.node_count; i++)
        told +=
            scaling->nodes[i].cost.fit.doubt == LAP_FIT_SURE && scaling->nodes[i].cost.from.size != LAP_SCALING_SIZE_NONE;
    if (fastest != LAP_SUMMARY_NONE) {
        const struct lap_scaling_curve *const cost = &scaling->nodes[fastest].cost;
        add(text, "no hidden iteration found; \"%.*s\" grows fastest: ", LABEL_COLUMNS, node_at(scaling, fastest)->label);
        add_order(text, &cost->fit, plain);
        add(text, " (n: %s)", lap_scaling_from_text(where, scaling, &cost->from));
    } else if (!is_most_sure && unclear != LAP_SUMMARY_NONE) {
        const struct lap_scaling_curve *const cost = &scaling->nodes[unclear].cost;
        add(text, "how the cost of \"%.*s\" grows is not clear: ", LABEL_COLUMNS, node_at(scaling, unclear)->label);
        add_order(text, &cost->fit, plain);
        add(text, " (n: %s)", lap_scaling_from_text(where, scaling, &cost->from));
    } else if (told > 0) {
        add(text, "nothing grows with its size, as far as %zu of %zu can be told", told, scaling->group.node_count);
    } else {
        add(text,
            "how costs grow cannot be told: it takes %u different sizes, the greatest %.0f times the least, by "
            "LAP_MARK_N(), "
            "the n of a profiler, or a number in a message",
            LAP_FIT_SIZES_MIN, LAP_FIT_RANGE_MIN);
    }
}

char *lap_scaling_sentence(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling, bool plain)
{
    struct text text = {out, 0};
    if (scaling->finding_count > 0)
        return lap_scaling_finding_text(out, scaling, &scaling->findings[0], plain);
    add_no_finding(&text, scaling, plain);
    return out;
}
