/* SPDX-License-Identifier: MIT
 *
 * A gate's result as text, and as Markdown, which is the same table.
 */
#define _GNU_SOURCE
#include "gate_view.h"

#include "head.h"
#include "message.h"
#include "table.h"
#include "units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 8 };
static const struct lap_table_column columns[COLUMNS] = {
    {"", 9, true},        {"of all", 3, false},       {"base", 5, false},       {"new", 6, false},
    {"slower", 8, false}, {"95% interval", 4, false}, {"detectable", 7, false}, {"", 9, true},
};

struct row {
    char *path;
    char share[LAP_UNITS_BYTES], base[LAP_UNITS_BYTES], new[LAP_UNITS_BYTES];
    char slower[LAP_GATE_PERCENT_BYTES], interval[3 * LAP_GATE_PERCENT_BYTES], detectable[LAP_GATE_PERCENT_BYTES];
    const char *word;
};

static void make_row(struct row *row, const struct lap_gate_result *result, size_t at)
{
    const struct lap_gate_node *const node = &result->gate->nodes[at];
    char low[LAP_GATE_PERCENT_BYTES], high[LAP_GATE_PERCENT_BYTES];
    row->path = lap_gate_path_text(&result->runs->paths[result->paths[at]]);
    row->word = lap_gate_word(node);
    lap_units_share(row->share, lap_gate_runs_share(result->runs, result->compared, result->paths[at]), 1);
    lap_units_duration(row->base, node->base_median_ns);
    lap_units_duration(row->new, node->new_median_ns);
    lap_gate_percent(row->slower, node->ratio - 1);
    lap_gate_percent(row->detectable, node->detectable);
    snprintf(row->interval, sizeof row->interval, "%s to %s", lap_gate_percent(low, node->ratio_low - 1),
             lap_gate_percent(high, node->ratio_high - 1));
}

static void print_table(const struct lap_gate_result *result)
{
    struct lap_table *const table = lap_table_make(columns, COLUMNS);
    lap_table_keep_ends(table);
    for (size_t i = 0; i < result->gate->node_count; i++) {
        struct row row;
        const bool has_failed = result->gate->nodes[i].state == LAP_GATE_FAILED;
        make_row(&row, result, i);
        lap_table_row(table, has_failed ? LAP_STYLE_BAD : LAP_STYLE_PLAIN);
        const char *const cells[COLUMNS] = {row.path,   row.share,    row.base,       row.new,
                                            row.slower, row.interval, row.detectable, row.word};
        for (int column = 0; column < COLUMNS; column++)
            lap_table_cell(table, cells[column]);
        free(row.path);
    }
    lap_table_print(table, stdout, lap_terminal_get()->columns);
    lap_table_free(table);
}

void lap_gate_print_text(const struct lap_gate_result *result)
{
    char *const sentence = lap_gate_sentence(result), *const caution = lap_gate_caution(result),
                *const how = lap_gate_how(result), *left_out;
    size_t place = 0;
    lap_head_sentence(sentence);
    putchar('\n');
    if (caution)
        lap_head_line("power", "%s", caution);
    lap_head_line("runs", "%s", how);
    while ((left_out = lap_gate_left_out(result, &place))) {
        lap_head_line("not gated", "\"%s\": " LAP_GATE_LEFT_OUT, left_out);
        free(left_out);
    }
    putchar('\n');
    print_table(result);
    free(sentence);
    free(caution);
    free(how);
}

/* What would end a cell, or start something in it. */
static void write_cell(FILE *out, const char *text)
{
    char *const printable = lap_text_printable(text);
    for (const char *at = printable; *at; at++) {
        if (strchr("|\\`*_<[&", *at))
            fputc('\\', out);
        fputc(*at, out);
    }
    free(printable);
}

/* What the text says above its table, each a paragraph. */
static void write_head(FILE *out, const struct lap_gate_result *result)
{
    char *const sentence = lap_gate_sentence(result), *const caution = lap_gate_caution(result),
                *const how = lap_gate_how(result), *left_out;
    size_t place = 0;
    fputs("**lapmark gate** ", out);
    write_cell(out, sentence);
    if (caution)
        fprintf(out, "\n\n**power** %s", caution);
    fprintf(out, "\n\n**runs** %s", how);
    while ((left_out = lap_gate_left_out(result, &place))) {
        fputs("\n\n**not gated** ", out);
        write_cell(out, left_out);
        fputs(": " LAP_GATE_LEFT_OUT, out);
        free(left_out);
    }
    free(sentence);
    free(caution);
    free(how);
}

int lap_gate_write_markdown(const struct lap_gate_result *result, const char *file)
{
    FILE *const out = fopen(file, "w");
    if (!out)
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    write_head(out, result);
    fputs("\n\n| step | of all | base | new | slower | 95% interval | detectable | |\n"
          "|:--|--:|--:|--:|--:|--:|--:|:--|\n",
          out);
    for (size_t i = 0; i < result->gate->node_count; i++) {
        struct row row;
        make_row(&row, result, i);
        const char *const cells[COLUMNS] = {row.path,   row.share,    row.base,       row.new,
                                            row.slower, row.interval, row.detectable, row.word};
        for (int column = 0; column < COLUMNS; column++) {
            fputs("| ", out);
            write_cell(out, cells[column]);
            fputc(' ', out);
        }
        fputs("|\n", out);
        free(row.path);
    }
    if (ferror(out) | fclose(out))
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    return 0;
}
