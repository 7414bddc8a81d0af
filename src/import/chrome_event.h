/* SPDX-License-Identifier: MIT
 *
 * One event of Chrome's JSON.
 */
#ifndef LAP_CHROME_EVENT_H
#define LAP_CHROME_EVENT_H

#include "foreign_trace.h"
#include "json_values.h"

void lap_chrome_event_add(struct lap_foreign_trace *trace, const struct lap_json_value *value);

#endif
