/* SPDX-License-Identifier: MIT
 *
 * A gate's result as JUnit's XML, a test case for each step, as CI servers read it (the schema of the Jenkins plugin xunit).
 */
#define _GNU_SOURCE
#include "gate_view.h"

#include "message.h"
#include "terminal.h"

#include <errno.h>
#include <stdlib.h>

/* XML has no way to write most control characters: what is printable in a terminal is so here. */
static void write_text(FILE *out, const char *text)
{
    char *const printable = lap_text_printable(text);
    for (const char *at = printable; *at; at++)
        switch (*at) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        default: fputc(*at, out);
        }
    free(printable);
}

static void write_case(FILE *out, const struct lap_gate_result *result, size_t at)
{
    const struct lap_gate_node *const node = &result->gate->nodes[at];
    char slower[LAP_GATE_PERCENT_BYTES], low[LAP_GATE_PERCENT_BYTES], high[LAP_GATE_PERCENT_BYTES],
        seen[LAP_GATE_PERCENT_BYTES];
    char *const path = lap_gate_path_text(&result->runs->paths[result->paths[at]]);
    fputs("  <testcase classname=\"lapmark.gate\" name=\"", out);
    write_text(out, path);
    fputs("\">\n", out);
    if (node->state == LAP_GATE_FAILED)
        fprintf(out, "    <failure type=\"slower\" message=\"%s slower (%s to %s)\"></failure>\n",
                lap_gate_percent(slower, node->ratio - 1), lap_gate_percent(low, node->ratio_low - 1),
                lap_gate_percent(high, node->ratio_high - 1));
    fprintf(out, "    <system-out>%s: %s slower (%s to %s), detectable %s</system-out>\n  </testcase>\n",
            lap_gate_word(node), lap_gate_percent(slower, node->ratio - 1), lap_gate_percent(low, node->ratio_low - 1),
            lap_gate_percent(high, node->ratio_high - 1), lap_gate_percent(seen, node->detectable));
    free(path);
}

/* Steps that cannot be compared, as cases that were skipped; returns how many. Counts only, without a file. */
static size_t write_left_out(FILE *out, const struct lap_gate_result *result)
{
    size_t place = 0, count = 0;
    for (char *path; (path = lap_gate_left_out(result, &place)); count++) {
        if (out) {
            fputs("  <testcase classname=\"lapmark.gate\" name=\"", out);
            write_text(out, path);
            fputs("\">\n    <skipped message=\"not gated: " LAP_GATE_LEFT_OUT "\"></skipped>\n  </testcase>\n", out);
        }
        free(path);
    }
    return count;
}

/* The head of the text, as the suite's output. */
static void write_words(FILE *out, const struct lap_gate_result *result)
{
    char *const sentence = lap_gate_sentence(result), *const caution = lap_gate_caution(result),
                *const how = lap_gate_how(result);
    fputs("  <system-out>", out);
    write_text(out, sentence);
    if (caution) {
        fputs("\npower: ", out);
        write_text(out, caution);
    }
    fputs("\nruns: ", out);
    write_text(out, how);
    fputs("</system-out>\n", out);
    free(sentence);
    free(caution);
    free(how);
}

int lap_gate_write_junit(const struct lap_gate_result *result, const char *file)
{
    FILE *const out = fopen(file, "w");
    if (!out)
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    const size_t skipped = write_left_out(NULL, result);
    size_t failures = 0;
    for (size_t i = 0; i < result->gate->node_count; i++)
        failures += result->gate->nodes[i].state == LAP_GATE_FAILED;
    fprintf(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuite name=\"lapmark gate\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.3f\">\n",
        result->gate->node_count + skipped, failures, skipped, result->elapsed_ns / 1e9);
    for (size_t i = 0; i < result->gate->node_count; i++)
        write_case(out, result, i);
    write_left_out(out, result);
    write_words(out, result);
    fputs("</testsuite>\n", out);
    if (ferror(out) | fclose(out))
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    return 0;
}
