/* SPDX-License-Identifier: MIT
 *
 * A comparison as text: a sentence that says what changed and why, what else is to be known, and the nodes.
 */
#define _GNU_SOURCE
#include "diff_view.h"

#include "head.h"
#include "table.h"
#include "terminal.h"
#include "units.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_BYTES = 512, NUMBER_BYTES = 32, ALSO_SHOWN = 5, RENAMED_SHOWN = 10, ROWS_SHOWN = 25, FEW_RUNS = 5 };
#define SHOWN_SHARE 1e-3 /* what adds less of the time is not shown */
#define RATIO_MAX 1e6
#define DETECTABLE_MAX 10.0 /* what is not seen below that is not seen */
#define SAME_COST 0.01      /* a change of cost that is not worth a word beside one of the count, as a logarithm */
#define SAME_OFTEN 0.02     /* how far two changes of counts may be apart to be one, as logarithms */

struct text {
    char *bytes; /* LAP_DIFF_SENTENCE_BYTES */
    size_t length;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->bytes + text->length, LAP_DIFF_SENTENCE_BYTES - text->length, format, arguments);
    va_end(arguments);
    text->length += strlen(text->bytes + text->length);
}

static const char *arrow(void) { return lap_terminal_get()->has_utf8 ? "\xe2\x86\x92" : "->"; }
static const char *plus_minus(void) { return lap_terminal_get()->has_utf8 ? "\xc2\xb1" : "+-"; }

/* "2.9x", "12x". */
static char *times_text(char out[NUMBER_BYTES], double log_ratio)
{
    const double ratio = exp(fabs(log_ratio));
    snprintf(out, NUMBER_BYTES, ratio < 1.995 ? "%.2fx" : ratio < 9.95 ? "%.1fx" : "%.0fx", ratio);
    return out;
}

/* "2.9x slower", "4.1 % faster". */
static char *change_text(char out[NUMBER_BYTES], double log_ratio, const char *more, const char *less)
{
    char times[NUMBER_BYTES];
    if (fabs(log_ratio) < log(1.1))
        snprintf(out, NUMBER_BYTES, "%.2g %% %s", 100 * fabs(expm1(log_ratio)), log_ratio >= 0 ? more : less);
    else
        snprintf(out, NUMBER_BYTES, "%.15s %.15s", times_text(times, log_ratio), log_ratio >= 0 ? more : less);
    return out;
}

/* A count a run: whole where it is. */
static char *count_text(char out[LAP_UNITS_BYTES], double count)
{
    if (count == floor(count) && count < 0x1p53)
        return lap_units_count(out, (uint64_t)count);
    snprintf(out, LAP_UNITS_BYTES, "%.*f", count < 100 ? 1 : 0, count);
    return out;
}

/* A function's name as it is, else in quotes. */
static char *label_text(char out[LABEL_BYTES], const char *label)
{
    const size_t length = strlen(label);
    const bool is_function = length > 2 && strcmp(label + length - 2, "()") == 0 && !strchr(label, ' ');
    snprintf(out, LABEL_BYTES, is_function ? "%.500s" : "\"%.500s\"", label);
    return out;
}

static char *node_text(char out[LABEL_BYTES], const struct lap_diff *diff, uint32_t node)
{
    return label_text(out, lap_diff_label(diff, &diff->nodes[node])->label);
}

/* ---- what changed -------------------------------------------------------------------------------------------------- */

/* The p50 changed, and no less than the mean: it is each instance, not a few of them. */
static bool is_typical(const struct lap_diff_node *node)
{
    return node->has_changed_p50 && (!node->has_changed_mean || node->p50.log_ratio / node->mean.log_ratio > 0.5);
}

static bool has_changed_cost(const struct lap_diff_node *node) { return node->has_changed_mean || node->has_changed_p50; }

static const struct lap_ratio *cost_ratio(const struct lap_diff_node *node)
{
    return is_typical(node) ? &node->p50 : &node->mean;
}

static char *cost_text(char out[NUMBER_BYTES], const struct lap_diff_node *node)
{
    return change_text(out, cost_ratio(node)->log_ratio, "slower", "faster");
}

static void add_times(struct text *text, const struct lap_diff_node *node)
{
    char before[LAP_UNITS_BYTES], after[LAP_UNITS_BYTES], half[LAP_UNITS_BYTES];
    const struct lap_diff_side *const base = &node->sides[LAP_DIFF_BASE], *const next = &node->sides[LAP_DIFF_NEXT];
    const bool is_p50 = is_typical(node);
    const double half_ns = is_p50 ? next->p50_half_ns : next->mean_half_ns;
    add(text, " (%s %s %s %s", is_p50 ? "p50" : "mean", lap_units_duration(before, is_p50 ? base->p50_ns : base->mean_ns),
        arrow(), lap_units_duration(after, is_p50 ? next->p50_ns : next->mean_ns));
    if (isfinite(half_ns))
        add(text, " %s %s", plus_minus(), lap_units_duration(half, half_ns));
    add(text, ")");
}

static void add_often(struct text *text, const struct lap_diff_node *node, bool is_profiler)
{
    char change[NUMBER_BYTES], before[LAP_UNITS_BYTES], after[LAP_UNITS_BYTES];
    add(text, "%s %s (%s %s %s a run)", is_profiler ? "is called" : "comes",
        change_text(change, node->count.log_ratio, fabs(node->count.log_ratio) < log(1.1) ? "more often" : "as often",
                    "less often"),
        count_text(before, node->sides[LAP_DIFF_BASE].count), arrow(),
        count_text(after, node->sides[LAP_DIFF_NEXT].count));
}

static void add_cost(struct text *text, const struct lap_diff_node *node)
{
    char change[NUMBER_BYTES];
    if (has_changed_cost(node) && fabs(cost_ratio(node)->log_ratio) >= SAME_COST)
        add(text, " and is %s each time", cost_text(change, node));
    else if (isfinite(node->mean.log_error))
        add(text, ", at the same cost each time");
}

static bool is_by_count(const struct lap_diff_node *node)
{
    return node->has_changed_count && fabs(node->by_count_ns) > fabs(node->shift_ns - node->by_count_ns);
}

/* What a node itself did. */
static void add_change(struct text *text, const struct lap_diff *diff, uint32_t index)
{
    char label[LABEL_BYTES], change[NUMBER_BYTES], added[LAP_UNITS_BYTES];
    const struct lap_diff_node *const node = &diff->nodes[index];
    const bool is_profiler = lap_diff_label(diff, node)->kind == LAP_SUMMARY_PROFILER;
    lap_units_duration(added, fabs(node->shift_ns));
    add(text, "%s ", node_text(label, diff, index));
    if (!is_profiler && node->parent != LAP_LIVE_NONE)
        add(text, "in %s ", node_text(label, diff, node->parent));
    if (isnan(node->mean.log_ratio)) {
        add(text, "is %s %s a run", node->shift_ns > 0 ? "new and adds" : "gone, which saves", added);
    } else if (is_by_count(node)) {
        add_often(text, node, is_profiler);
        add_cost(text, node);
        add(text, ", which %s %s a run", node->shift_ns > 0 ? "adds" : "saves", added);
    } else {
        add(text, "is %s", cost_text(change, node));
        add_times(text, node);
    }
}

static void add_reason(struct text *text, const struct lap_diff *diff)
{
    char label[LABEL_BYTES], share[NUMBER_BYTES] = "all";
    const struct lap_diff_node *const changed = &diff->nodes[diff->changed], *const cause = &diff->nodes[diff->cause];
    const double part = lap_diff_share(diff, diff->cause, diff->changed);
    if (part < 0.995)
        snprintf(share, sizeof share, "%.0f %%", 100 * part);
    add(text, ": %s of it in %s, ", share, node_text(label, diff, diff->cause));
    if (isnan(cause->mean.log_ratio)) {
        add(text, "which is %s", cause->shift_ns > 0 ? "new" : "gone");
    } else if (!cause->has_changed_count) {
        add(text, "whose count did not change");
    } else if (is_by_count(changed) && fabs(cause->count.log_ratio - changed->count.log_ratio) < SAME_OFTEN) {
        add(text, "which comes with it");
    } else {
        add(text, "which ");
        add_often(text, cause, lap_diff_label(diff, cause)->kind == LAP_SUMMARY_PROFILER);
        add_cost(text, cause);
    }
}

/* ---- nothing changed ----------------------------------------------------------------------------------------------- */

/* Of how many nodes that were tested the interval does not hold 1x, though among so many that is no wonder. */
static size_t count_outside(const struct lap_diff *diff)
{
    size_t count = 0;
    for (size_t i = 0; i < diff->node_count; i++)
        count += diff->nodes[i].is_tested && (diff->nodes[i].mean.log_low > 0 || diff->nodes[i].mean.log_high < 0);
    return count;
}

static void add_no_difference(struct text *text, const struct lap_diff *diff)
{
    char label[LABEL_BYTES], change[NUMBER_BYTES];
    if (diff->surest == LAP_LIVE_NONE) {
        add(text, "whether anything changed cannot be told: nothing came more than once, and one instance does not say "
                  "how much "
                  "it varies; record several runs a side");
        return;
    }
    const size_t outside = count_outside(diff);
    if (outside == 0)
        add(text, "no difference: every node's interval holds 1x");
    else
        add(text,
            "no difference that is more than chance: %zu nodes' intervals do not hold 1x, but none by enough for %zu "
            "tests",
            outside, diff->tests);
    if (diff->detectable < log(DETECTABLE_MAX))
        add(text, "; %s would have been seen if it were %s or more", node_text(label, diff, diff->surest),
            change_text(change, diff->detectable, "slower", "faster"));
    else
        add(text, "; but nothing below %.0fx would have been seen, so record more", DETECTABLE_MAX);
}

static bool has_common(const struct lap_diff *diff)
{
    for (size_t i = 0; i < diff->node_count; i++)
        if (diff->nodes[i].match != LAP_DIFF_ALONE)
            return true;
    return false;
}

char *lap_diff_sentence(char out[LAP_DIFF_SENTENCE_BYTES], const struct lap_diff *diff)
{
    struct text text = {.bytes = out};
    *out = 0;
    if (!has_common(diff)) {
        add(&text,
            "nothing to compare: no profiler or lap of one side is on the other, so they are hardly of one program");
        return out;
    }
    if (diff->changed == LAP_LIVE_NONE) {
        add_no_difference(&text, diff);
        return out;
    }
    add_change(&text, diff, diff->changed);
    if (diff->cause != diff->changed)
        add_reason(&text, diff);
    return out;
}

/* ---- what else is to be known -------------------------------------------------------------------------------------- */

static void print_runs(const struct lap_diff *diff)
{
    char before[LAP_UNITS_BYTES], after[LAP_UNITS_BYTES], count[LAP_UNITS_BYTES];
    const size_t base = diff->sides[LAP_DIFF_BASE].run_count, next = diff->sides[LAP_DIFF_NEXT].run_count;
    lap_head_line("runs", "%zu before, %zu after; %s %s %s each in the mean", base, next,
                  lap_units_duration(before, diff->total_ns[LAP_DIFF_BASE]), arrow(),
                  lap_units_duration(after, diff->total_ns[LAP_DIFF_NEXT]));
    if (base == 1 && next == 1)
        lap_head_line("intervals",
                      "95 %%, for the noise inside a run only: what differs from one run to the next they cannot know; "
                      "record several runs a side");
    else
        lap_head_line("intervals", "95 %%, for the noise between runs%s",
                      base < FEW_RUNS || next < FEW_RUNS ? "; with so few they are wide" : "");
    if (diff->untold > 0)
        lap_head_line("untold", "%s, of which it is not known how much they vary",
                      lap_units_counted(count, diff->untold, "node"));
}

static double least_shown_ns(const struct lap_diff *diff)
{
    return SHOWN_SHARE * fmax(diff->total_ns[LAP_DIFF_BASE], diff->total_ns[LAP_DIFF_NEXT]);
}

static bool is_alone_with_parent(const struct lap_diff *diff, const struct lap_diff_node *node)
{
    return node->match == LAP_DIFF_ALONE && node->parent != LAP_LIVE_NONE &&
           diff->nodes[node->parent].match == LAP_DIFF_ALONE;
}

char *lap_diff_further(char out[LAP_DIFF_SENTENCE_BYTES], const struct lap_diff *diff, size_t *place)
{
    const double least_ns = least_shown_ns(diff);
    while (*place < diff->node_count) {
        const uint32_t index = diff->order[(*place)++];
        const struct lap_diff_node *const node = &diff->nodes[index];
        if (fabs(node->shift_ns) <= least_ns || index == diff->changed || index == diff->cause ||
            lap_diff_cause_in(diff, index) != LAP_LIVE_NONE || is_alone_with_parent(diff, node))
            continue;
        struct text text = {.bytes = out};
        add_change(&text, diff, index);
        return out;
    }
    return NULL;
}

static void print_others(const struct lap_diff *diff)
{
    char text[LAP_DIFF_SENTENCE_BYTES];
    size_t place = 0;
    for (size_t shown = 0; shown < ALSO_SHOWN && lap_diff_further(text, diff, &place); shown++)
        lap_head_line(shown == 0 ? "also" : "", "%s", text);
}

static const char *parent_label(const struct lap_live_tree *tree, uint32_t node)
{
    const uint32_t parent = tree->nodes[node].parent;
    return parent == LAP_LIVE_NONE ? "(outermost)" : tree->nodes[parent].label;
}

static void print_matches(const struct lap_diff *diff)
{
    const struct lap_live_tree *const base = &diff->sides[LAP_DIFF_BASE].tree, *const next =
                                                                                   &diff->sides[LAP_DIFF_NEXT].tree;
    size_t found = 0;
    for (size_t i = 0; i < diff->node_count; i++) {
        const struct lap_diff_node *const node = &diff->nodes[i];
        if (node->match != LAP_DIFF_RENAMED && node->match != LAP_DIFF_MOVED)
            continue;
        if (found++ >= RENAMED_SHOWN)
            continue;
        if (node->match == LAP_DIFF_RENAMED)
            lap_head_line("renamed", "\"%s\" -> \"%s\", by their neighbours and count", base->nodes[node->base].label,
                          next->nodes[node->next].label);
        else
            lap_head_line("moved", "\"%s\" from \"%s\" to \"%s\"", next->nodes[node->next].label,
                          parent_label(base, node->base), parent_label(next, node->next));
    }
    if (found > RENAMED_SHOWN)
        lap_head_line("", "and %zu more; --json has them all", found - RENAMED_SHOWN);
}

/* ---- the nodes ----------------------------------------------------------------------------------------------------- */

static const struct lap_table_column columns[] = {
    {"", 0, true},          {"adds", 100, false}, {"", 97, true},
    {"count", 90, false},   {"mean", 85, false},  {"mean ratio", 95, false},
    {"95 %", 92, false},    {"p50", 75, false},   {"p50 ratio", 82, false},
    {"95 %", 80, false},    {"p99", 65, false},   {"by count", 45, false},
    {"by cost", 46, false}, {"self", 40, false},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void add_added(struct lap_table *table, double ns)
{
    char text[LAP_UNITS_BYTES], signed_text[LAP_UNITS_BYTES + 1];
    if (fabs(ns) < 0.5) {
        lap_table_cell(table, "0");
        return;
    }
    snprintf(signed_text, sizeof signed_text, "%s%s", ns < 0 ? "-" : "+", lap_units_duration(text, fabs(ns)));
    lap_table_cell(table, signed_text);
}

static void add_pair(struct lap_table *table, const char *before, const char *after)
{
    char text[2 * LAP_UNITS_BYTES + 8];
    snprintf(text, sizeof text, "%s %s %s", *before ? before : "-", arrow(), *after ? after : "-");
    lap_table_cell(table, strcmp(before, after) == 0 ? before : text);
}

static void add_durations(struct lap_table *table, const struct lap_diff_node *node, double before_ns, double after_ns)
{
    char before[LAP_UNITS_BYTES] = "", after[LAP_UNITS_BYTES] = "";
    if (node->sides[LAP_DIFF_BASE].count > 0)
        lap_units_duration(before, before_ns);
    if (node->sides[LAP_DIFF_NEXT].count > 0)
        lap_units_duration(after, after_ns);
    add_pair(table, before, after);
}

/* "0.00040", "0.953", "12.1" */
static char *factor_text(char out[NUMBER_BYTES], double factor)
{
    if (factor < 0.0995)
        snprintf(out, NUMBER_BYTES, "%#.2g", factor);
    else
        snprintf(out, NUMBER_BYTES, "%.*f", factor < 10 ? 3 : 1, factor);
    return out;
}

static void add_ratio(struct lap_table *table, const struct lap_ratio *ratio)
{
    char text[LAP_UNITS_BYTES];
    if (isnan(ratio->log_ratio)) {
        lap_table_cell(table, NULL);
        lap_table_cell(table, NULL);
        return;
    }
    const double low = exp(ratio->log_low), high = exp(ratio->log_high);
    char number[NUMBER_BYTES], other[NUMBER_BYTES];
    snprintf(text, sizeof text, "%.16sx", factor_text(number, exp(ratio->log_ratio)));
    lap_table_cell(table, text);
    snprintf(text, sizeof text, "%.16s to %.16s", factor_text(number, low), factor_text(other, high));
    lap_table_cell(table, isfinite(ratio->log_low) && isfinite(ratio->log_high) && high < RATIO_MAX ? text : "?");
}

/* "markup_gaps() > array lookup": the last two of its path. */
static void row_label(char out[2 * LABEL_BYTES], const struct lap_diff *diff, const struct lap_diff_node *node)
{
    const char *const label = lap_diff_label(diff, node)->label;
    if (node->parent == LAP_LIVE_NONE)
        snprintf(out, 2 * LABEL_BYTES, "%.500s", label);
    else
        snprintf(out, 2 * LABEL_BYTES, "%.500s %s %.500s", lap_diff_label(diff, &diff->nodes[node->parent])->label,
                 lap_terminal_get()->has_utf8 ? "\xe2\x80\xba" : ">", label);
}

static void add_row(struct lap_table *table, const struct lap_diff *diff, const struct lap_diff_node *node)
{
    const struct lap_diff_side *const base = &node->sides[LAP_DIFF_BASE], *const next = &node->sides[LAP_DIFF_NEXT];
    const bool has_changed = node->shift_ns != 0;
    char label[2 * LABEL_BYTES], before[LAP_UNITS_BYTES], after[LAP_UNITS_BYTES];
    row_label(label, diff, node);
    lap_table_row(table, !has_changed ? LAP_STYLE_DIM : node->added_ns > 0 ? LAP_STYLE_BAD : LAP_STYLE_GOOD);
    lap_table_cell(table, label);
    add_added(table, node->added_ns);
    lap_table_cell(table, has_changed ? "*" : "");
    add_pair(table, count_text(before, base->count), count_text(after, next->count));
    add_durations(table, node, base->mean_ns, next->mean_ns);
    add_ratio(table, &node->mean);
    add_durations(table, node, base->p50_ns, next->p50_ns);
    add_ratio(table, &node->p50);
    add_durations(table, node, base->p99_ns, next->p99_ns);
    add_added(table, node->by_count_ns);
    add_added(table, node->by_cost_ns);
    add_added(table, node->self_added_ns);
}

static void print_table(const struct lap_diff *diff)
{
    const double least_ns = least_shown_ns(diff);
    struct lap_table *const table = lap_table_make(columns, COLUMNS);
    size_t shown = 0;
    for (; shown < diff->node_count && shown < ROWS_SHOWN; shown++) {
        const struct lap_diff_node *const node = &diff->nodes[diff->order[shown]];
        if (shown > 0 && fabs(node->added_ns) < least_ns && node->shift_ns == 0)
            break;
        add_row(table, diff, node);
    }
    putchar('\n');
    lap_table_print(table, stdout, lap_terminal_get()->columns);
    lap_table_free(table);
    if (shown < diff->node_count)
        printf("\nand %zu more, which add or save less; --json has them all\n", diff->node_count - shown);
    if (diff->changed != LAP_LIVE_NONE)
        puts("\n* more than noise, at 5 % for all nodes together");
}

void lap_diff_print_text(const struct lap_diff *diff)
{
    char sentence[LAP_DIFF_SENTENCE_BYTES];
    lap_head_sentence(lap_diff_sentence(sentence, diff));
    putchar('\n');
    print_runs(diff);
    print_others(diff);
    print_matches(diff);
    print_table(diff);
}
