/* SPDX-License-Identifier: MIT
 *
 * What `lapmark calls` prints.
 */
#ifndef LAP_CALLS_VIEW_H
#define LAP_CALLS_VIEW_H

#include "calls.h"

void lap_calls_print_text(const struct lap_calls *calls);
/* `by`: whose kinds they are is a member of each. */
void lap_calls_print_json(const struct lap_calls *calls, enum lap_summary_by by);

/* What the sign of an offset means. */
#define LAP_CALLS_SIGN "server's clock - client's clock: above 0 the server's is ahead"

#endif
