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

/* Those that are large enough and cannot be compared. */
static void print_left_out(const struct lap_gate_result *result)
{
    for (size_t i = 0; i < result->runs->path_count; i++)
        if (lap_gate_runs_choose(result->runs, result->compared, i) == LAP_GATE_NOT_ALWAYS) {
            char *const path = lap_gate_path_text(&result->runs->paths[i]);
            lap_head_line("not gated", "\"%s\": it is not in every run of both sides", path);
            free(path);
        }
}

void lap_gate_print_text(const struct lap_gate_result *result)
{
    char *const sentence = lap_gate_sentence(result), *const caution = lap_gate_caution(result);
    char elapsed[LAP_UNITS_BYTES];
    lap_head_sentence(sentence);
    putchar('\n');
    if (caution)
        lap_head_line("power", "%s", caution);
    if (!result->is_interleaved)
        lap_head_line(
            "runs",
            "not interleaved: what else changed between the two sides counts as well, and no error rate is promised");
    else
        lap_head_line("runs", "%zu pairs, interleaved, and %zu in a second round, in %s", result->gate->pairs,
                      result->gate->second_pairs, lap_units_duration(elapsed, result->elapsed_ns));
    print_left_out(result);
    putchar('\n');
    print_table(result);
    free(sentence);
    free(caution);
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

int lap_gate_write_markdown(const struct lap_gate_result *result, const char *file)
{
    FILE *const out = fopen(file, "w");
    if (!out)
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    char *const sentence = lap_gate_sentence(result), *const caution = lap_gate_caution(result);
    fputs("**lapmark gate** ", out);
    write_cell(out, sentence);
    if (caution)
        fprintf(out, "\n\n%s", caution);
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
    free(sentence);
    free(caution);
    if (ferror(out) | fclose(out))
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    return 0;
}
