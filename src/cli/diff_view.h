/* SPDX-License-Identifier: MIT
 *
 * What `lapmark diff` prints.
 */
#ifndef LAP_DIFF_VIEW_H
#define LAP_DIFF_VIEW_H

#include "diff.h"
#include "json.h"

#define LAP_DIFF_SENTENCE_BYTES 2048

void lap_diff_print_text(const struct lap_diff *diff);
json_t *lap_diff_json(const struct lap_diff *diff);

/* What changed, and why, in one sentence. Returns `out`. */
char *lap_diff_sentence(char out[LAP_DIFF_SENTENCE_BYTES], const struct lap_diff *diff);

#endif
