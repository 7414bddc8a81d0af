/* SPDX-License-Identifier: MIT
 *
 * What `lapmark gate` says, in each of its forms.
 */
#ifndef LAP_GATE_VIEW_H
#define LAP_GATE_VIEW_H

#include "gate_decide.h"
#include "gate_runs.h"

struct lap_gate_result {
    const struct lap_gate *gate;
    const struct lap_gate_runs *runs;
    const size_t *paths; /* of the gate's nodes, in the runs */
    size_t compared;     /* runs a side, by which the steps were chosen */
    double elapsed_ns;
    bool is_interleaved;
};

/* The sentence that comes first. Caller frees. */
char *lap_gate_sentence(const struct lap_gate_result *result);
/* A second one, or NULL: why it is to be read with care. Caller frees. */
char *lap_gate_caution(const struct lap_gate_result *result);
/* How the runs were made, and what that means for the result. Caller frees. */
char *lap_gate_how(const struct lap_gate_result *result);
/* The path of the next step that is large enough and cannot be compared, or NULL. `*place` is 0 at first. Caller frees. */
char *lap_gate_left_out(const struct lap_gate_result *result, size_t *place);
#define LAP_GATE_LEFT_OUT "it is not in every run of both sides"
/* "job > parse". Caller frees. */
char *lap_gate_path_text(const struct lap_gate_path *path);
/* "fails", "passes", "unclear" */
const char *lap_gate_word(const struct lap_gate_node *node);
/* "8.1%", "-0.3%"; "24x" where it is more than 1000%. */
#define LAP_GATE_PERCENT_BYTES 32
char *lap_gate_percent(char out[LAP_GATE_PERCENT_BYTES], double slowdown);

void lap_gate_print_text(const struct lap_gate_result *result);
void lap_gate_print_json(const struct lap_gate_result *result);
/* Return 0, or 2 with the message written. */
int lap_gate_write_markdown(const struct lap_gate_result *result, const char *file);
int lap_gate_write_junit(const struct lap_gate_result *result, const char *file);

#endif
