/* SPDX-License-Identifier: MIT
 *
 * A scaling as text: a sentence that names the worst, the other findings, the tree with the class of each.
 */
#define _GNU_SOURCE
#include "scaling_view.h"

#include "head.h"
#include "table.h"
#include "units.h"

#include <string.h>

enum { INDENT = 2, INDENT_MAX = 60, FINDINGS_SHOWN = 20 };

static const struct lap_table_column columns[] = {
    {"", 0, true},         {"count", 60, false}, {"total", 80, false}, {"cost", 100, true},   {"exponent", 70, true},
    {"in each", 90, true}, {"sizes", 75, false}, {"from", 85, true},   {"to tell", 65, true},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool is_plain(void) { return !lap_terminal_get()->has_utf8; }

static bool is_fitted(const struct lap_scaling_curve *curve)
{
    return curve->from.size != LAP_SCALING_SIZE_NONE && curve->fit.doubt != LAP_FIT_FEW_SIZES &&
           curve->fit.doubt != LAP_FIT_NARROW;
}

static void add_class(struct lap_table *table, const struct lap_scaling_curve *curve)
{
    char class[LAP_SCALING_TEXT_BYTES], text[LAP_SCALING_TEXT_BYTES + 16];
    if (curve->from.size == LAP_SCALING_SIZE_NONE) {
        lap_table_cell(table, NULL);
        return;
    }
    lap_scaling_class_text(class, &curve->fit, is_plain());
    snprintf(text, sizeof text, lap_fit_is_pair(&curve->fit) ? "unclear (%s)" : "%s", class);
    const bool is_steep = curve->fit.class >= LAP_FIT_N2 && curve->fit.class < LAP_FIT_UNCLEAR;
    lap_table_cell_styled(table, is_steep ? LAP_STYLE_HOT : LAP_STYLE_PLAIN, text);
}

static void add_exponent(struct lap_table *table, const struct lap_scaling_curve *curve)
{
    char text[LAP_UNITS_BYTES];
    snprintf(text, sizeof text, "%.2f (%.2f to %.2f)", curve->fit.exponent, curve->fit.exponent_low,
             curve->fit.exponent_high);
    lap_table_cell(table, is_fitted(curve) ? text : NULL);
}

static void add_range(struct lap_table *table, const struct lap_scaling_curve *curve)
{
    char low[LAP_UNITS_BYTES], high[LAP_UNITS_BYTES], text[2 * LAP_UNITS_BYTES + 8];
    if (curve->from.size == LAP_SCALING_SIZE_NONE || curve->fit.sizes == 0) {
        lap_table_cell(table, NULL);
        return;
    }
    lap_units_count(low, (uint64_t)(curve->fit.n_min + 0.5));
    lap_units_count(high, (uint64_t)(curve->fit.n_max + 0.5));
    snprintf(text, sizeof text, strcmp(low, high) == 0 ? "%s" : "%s to %s", low, high);
    lap_table_cell(table, text);
}

/* What would make it clear. */
static void add_needed(struct lap_table *table, const struct lap_scaling_curve *curve)
{
    char text[LAP_SCALING_TEXT_BYTES] = "", count[LAP_UNITS_BYTES];
    const struct lap_fit *const fit = &curve->fit;
    if (curve->from.size != LAP_SCALING_SIZE_NONE && fit->doubt == LAP_FIT_FEW_SIZES)
        snprintf(text, sizeof text, "%u sizes, not %zu", LAP_FIT_SIZES_MIN, fit->sizes);
    else if (curve->from.size != LAP_SCALING_SIZE_NONE && fit->doubt == LAP_FIT_NARROW)
        snprintf(text, sizeof text, "sizes over a factor of %.0f, not %.1f", LAP_FIT_RANGE_MIN, fit->n_max / fit->n_min);
    else if (fit->doubt == LAP_FIT_CACHES)
        snprintf(text, sizeof text, "it may be the caches that grow it");
    else if (fit->doubt == LAP_FIT_FEW_TIMINGS)
        snprintf(text, sizeof text, "each size timed more often");
    else if (fit->doubt == LAP_FIT_TWO_WITHIN && fit->range_needed > 0)
        snprintf(text, sizeof text, "sizes over a factor of %s", lap_units_count(count, (uint64_t)fit->range_needed));
    else if (fit->doubt == LAP_FIT_TWO_WITHIN)
        snprintf(text, sizeof text, "less noise, or more sizes");
    lap_table_cell(table, text);
}

static void add_node(struct lap_table *table, const struct lap_scaling *scaling, uint32_t place)
{
    char label[LAP_SCALING_TEXT_BYTES], text[LAP_SCALING_TEXT_BYTES];
    const struct lap_summary_node *const summary = &scaling->group.nodes[place];
    const struct lap_scaling_node *const node = &scaling->nodes[place];
    const bool is_profiler = summary->kind == LAP_SUMMARY_PROFILER;
    const unsigned indent = summary->depth * INDENT;
    snprintf(label, sizeof label, "%*s%s%s", (int)(indent < INDENT_MAX ? indent : INDENT_MAX), "",
             is_profiler  ? ""
             : is_plain() ? "- "
                          : "\xc2\xb7 ",
             summary->label);
    lap_table_row(table, LAP_STYLE_PLAIN);
    lap_table_cell_styled(table, is_profiler ? LAP_STYLE_BOLD : LAP_STYLE_PLAIN, label);
    lap_table_cell(table, lap_units_count(text, summary->count));
    lap_table_cell(table, lap_units_duration(text, summary->total_ns));
    add_class(table, &node->cost);
    add_exponent(table, &node->cost);
    add_class(table, &node->count);
    add_range(table, &node->cost);
    lap_table_cell(table, node->cost.from.size == LAP_SCALING_SIZE_NONE
                              ? NULL
                              : lap_scaling_from_text(text, scaling, &node->cost.from));
    add_needed(table, &node->cost);
}

static void print_findings(const struct lap_scaling *scaling)
{
    char text[LAP_SCALING_TEXT_BYTES];
    for (size_t i = 1; i < scaling->finding_count && i < FINDINGS_SHOWN; i++)
        lap_head_line(i == 1 ? "also" : "", "%s",
                      lap_scaling_finding_text(text, scaling, &scaling->findings[i], is_plain()));
    if (scaling->finding_count > FINDINGS_SHOWN)
        lap_head_line("", "and %zu more; --json has them all", scaling->finding_count - FINDINGS_SHOWN);
    if (scaling->is_incomplete)
        lap_head_line("missing",
                      "the oldest events were overwritten, and what they say of sizes with them: record with --full");
}

void lap_scaling_print_text(const struct lap_scaling *scaling)
{
    char text[LAP_SCALING_TEXT_BYTES];
    if (scaling->group.node_count == 0) {
        puts("no profiler has ended and no checkpoint was met");
        return;
    }
    lap_head_sentence(lap_scaling_sentence(text, scaling, is_plain()));
    putchar('\n');
    print_findings(scaling);
    if (scaling->finding_count > 1 || scaling->is_incomplete)
        putchar('\n');
    struct lap_table *const table = lap_table_make(columns, COLUMNS);
    for (uint32_t i = 0; i < scaling->group.node_count; i++)
        add_node(table, scaling, i);
    lap_table_print(table, stdout, lap_terminal_get()->columns);
    lap_table_free(table);
}
