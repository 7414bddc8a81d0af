/* SPDX-License-Identifier: MIT
 *
 * The trees of a report, as tables.
 */
#define _GNU_SOURCE
#include "view.h"

#include "table.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

enum { BAR_CELLS = 10, INDENT = 2, INDENT_MAX = 60, LABEL_BYTES = 2048 };
#define HOT_SHARE 0.25
#define WARM_SHARE 0.05

static const struct lap_table_column columns[] = {
    {"", 0, true},      {"", 97, true},           {"count", 90, false}, {"total", 100, false}, {"of all", 95, false},
    {"", 60, true},     {"of parent", 50, false}, {"self", 75, false},  {"mean", 80, false},   {"p50", 55, false},
    {"p90", 45, false}, {"p99", 70, false},       {"max", 65, false},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* A bar of eighths of a cell, or of whole ones where there is no UTF-8. */
static void make_bar(char out[BAR_CELLS * 3 + 1], double share)
{
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89",
                                          "\xe2\x96\x88"};
    const int all = (int)((share < 1 ? share : 1) * BAR_CELLS * 8 + 0.5);
    if (!lap_terminal_get()->has_utf8) {
        const int whole = (all + 4) / 8;
        memset(out, '#', (size_t)whole);
        out[whole] = 0;
        return;
    }
    size_t length = 0;
    for (int i = 0; i <= all / 8; i++) {
        const char *const cell = eighths[i < all / 8 ? 8 : all % 8];
        memcpy(out + length, cell, strlen(cell) + 1);
        length += strlen(cell);
    }
}

static void make_label(char out[LABEL_BYTES], const struct lap_summary_node *node)
{
    const char *const mark = node->kind == LAP_SUMMARY_PROFILER ? "" : lap_terminal_get()->has_utf8 ? "\xc2\xb7 " : "- ";
    const unsigned indent = node->depth * INDENT;
    snprintf(out, LABEL_BYTES, "%*s%s%s", (int)(indent < INDENT_MAX ? indent : INDENT_MAX), "", mark, node->label);
}

static double parent_total(const struct lap_summary_group *group, const struct lap_summary_node *node)
{
    return node->parent == LAP_SUMMARY_NONE ? group->total_ns : group->nodes[node->parent].total_ns;
}

static void add_duration(struct lap_table *table, double ns)
{
    char text[LAP_UNITS_BYTES];
    lap_table_cell(table, lap_units_duration(text, ns));
}

static void add_node(struct lap_table *table, const struct lap_view_content *content,
                     const struct lap_summary_group *group, const struct lap_summary_node *node)
{
    char label[LABEL_BYTES], text[LAP_UNITS_BYTES], bar[BAR_CELLS * 3 + 1];
    const double share = group->total_ns > 0 ? node->total_ns / group->total_ns : 0;
    const enum lap_style heat = share >= HOT_SHARE    ? LAP_STYLE_HOT
                                : share >= WARM_SHARE ? LAP_STYLE_WARM
                                                      : LAP_STYLE_PLAIN;
    make_label(label, node);
    make_bar(bar, share);
    lap_table_row(table, LAP_STYLE_PLAIN);
    lap_table_cell_styled(table, node->kind == LAP_SUMMARY_PROFILER ? LAP_STYLE_BOLD : LAP_STYLE_PLAIN, label);
    lap_table_cell(table, lap_view_is_near_resolution(content->summary, node) ? "~" : "");
    lap_table_cell(table, lap_units_count(text, node->count));
    add_duration(table, node->total_ns);
    lap_table_cell_styled(table, heat, lap_units_share(text, node->total_ns, group->total_ns));
    lap_table_cell_styled(table, heat, bar);
    lap_table_cell(table, lap_units_share(text, node->total_ns, parent_total(group, node)));
    if (node->kind == LAP_SUMMARY_PROFILER)
        add_duration(table, node->self_ns);
    else
        lap_table_cell(table, NULL);
    add_duration(table, node->mean_ns);
    add_duration(table, node->p50_ns);
    add_duration(table, node->p90_ns);
    add_duration(table, node->p99_ns);
    add_duration(table, node->max_ns);
}

static void write_path(FILE *out, const struct lap_summary_group *group, const struct lap_summary_node *node)
{
    if (node->parent != LAP_SUMMARY_NONE) {
        write_path(out, group, &group->nodes[node->parent]);
        fputs(" > ", out);
    }
    fputs(node->label, out);
}

/* Times cannot be split by caller, so a profiler with several stands below none of them. */
static void add_callers(struct lap_table *table, const struct lap_summary_group *group,
                        const struct lap_summary_node *node)
{
    char count[LAP_UNITS_BYTES], *text = NULL;
    size_t bytes;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        abort();
    const unsigned indent = (node->depth + 1) * INDENT;
    fprintf(out, "%*scalled from: ", (int)(indent < INDENT_MAX ? indent : INDENT_MAX), "");
    for (size_t i = 0; i < node->caller_count && i < LAP_VIEW_CALLERS; i++) {
        fputs(i > 0 ? ", " : "", out);
        write_path(out, group, &group->nodes[node->callers[i].node]);
        fprintf(out, " (%s)", lap_units_count(count, node->callers[i].calls));
    }
    if (node->caller_count > LAP_VIEW_CALLERS)
        fprintf(out, " and %s more", lap_units_count(count, node->caller_count - LAP_VIEW_CALLERS));
    if (fclose(out) != 0)
        abort();
    lap_table_note(table, text);
    free(text);
}

static void print_title(const struct lap_summary_group *group)
{
    char name[256] = "";
    if (!group->process)
        return;
    if (group->threads > 1)
        snprintf(name, sizeof name, "%llu threads, one after another, of ", (unsigned long long)group->threads);
    else if (group->thread && group->thread->name[0])
        snprintf(name, sizeof name, "thread %s (%llu) of ", group->thread->name, (unsigned long long)group->thread->id);
    else if (group->thread)
        snprintf(name, sizeof name, "thread %llu of ", (unsigned long long)group->thread->id);
    char *const printable = lap_text_printable(name);
    char *const program = lap_text_printable(group->process->program);
    printf("%s%s%s %llu%s\n", lap_terminal_style(LAP_STYLE_BOLD), printable, program,
           (unsigned long long)group->process->pid, lap_terminal_style(LAP_STYLE_PLAIN));
    free(program);
    free(printable);
}

void lap_view_print_trees(const struct lap_view_content *content)
{
    const struct lap_summary *const summary = content->summary;
    bool is_any_near = false;
    bool is_any = false;
    for (size_t i = 0; i < summary->group_count; i++) {
        const struct lap_summary_group *const group = &summary->groups[i];
        if (group->node_count == 0)
            continue;
        is_any = true;
        putchar('\n');
        print_title(group);
        struct lap_table *const table = lap_table_make(columns, COLUMNS);
        for (size_t j = 0; j < group->node_count; j++) {
            add_node(table, content, group, &group->nodes[j]);
            if (group->nodes[j].caller_count > 0)
                add_callers(table, group, &group->nodes[j]);
            is_any_near |= lap_view_is_near_resolution(summary, &group->nodes[j]);
        }
        lap_table_print(table, stdout, lap_terminal_get()->columns);
        lap_table_free(table);
    }
    char resolution[LAP_UNITS_BYTES];
    if (is_any_near)
        printf("\n~ near the clock's resolution (%s): the sum of many is sound, a single time is rough\n",
               lap_units_duration(resolution, summary->resolution_ns));
    if (!is_any)
        puts("\nno profiler has ended and no checkpoint was met");
}
