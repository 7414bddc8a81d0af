/* SPDX-License-Identifier: MIT
 *
 * What `lapmark scaling` prints.
 */
#ifndef LAP_SCALING_VIEW_H
#define LAP_SCALING_VIEW_H

#include "json.h"
#include "scaling.h"

#include <stdbool.h>

void lap_scaling_print_text(const struct lap_scaling *scaling);
json_t *lap_scaling_json(const struct lap_scaling *scaling);

#define LAP_SCALING_TEXT_BYTES 2048

/* Words of both. Each writes into the buffer that it is given and returns it; `plain`: "n^2", else "n²". */

/* "n", or where it is unclear "n or n log n"; "unclear" where nothing is known. */
char *lap_scaling_class_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_fit *fit, bool plain);
/* Where the sizes come from: "n", "argument 1 of the message 'for %d gaps'". */
char *lap_scaling_from_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling,
                            const struct lap_scaling_from *from);
/* A finding as a sentence, without a full stop. */
char *lap_scaling_finding_text(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling,
                               const struct lap_scaling_finding *finding, bool plain);
/* What there is to say first. */
char *lap_scaling_sentence(char out[LAP_SCALING_TEXT_BYTES], const struct lap_scaling *scaling, bool plain);

#endif
