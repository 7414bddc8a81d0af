/* SPDX-License-Identifier: MIT
 *
 * One look of `lapmark top` as JSON, in one line. The schema stands in lapmark-top(1). Cold.
 */
#ifndef LAP_TOP_JSON_H
#define LAP_TOP_JSON_H

#include "top_watch.h"

void lap_top_json_print(const struct lap_top_watch *watch);

#endif
