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

/* The next change that nothing in it explains, besides that of the sentence: `place`, at first 0, is how far in diff->order that
 * was looked for. Returns `out`, or NULL where there is no further one. */
char *lap_diff_further(char out[LAP_DIFF_SENTENCE_BYTES], const struct lap_diff *diff, size_t *place);

#endif
