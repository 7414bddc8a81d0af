/* SPDX-License-Identifier: MIT
 *
 * `lapmark show`: what it shows, and the two forms of it.
 */
#ifndef LAP_SHOW_H
#define LAP_SHOW_H

#include "recording.h"

#include <stdbool.h>
#include <stdint.h>

struct lap_show_filter {
    const char *name;      /* a glob for labels and functions; NULL: all */
    const char *thread;    /* name, kernel id or number; NULL: all */
    uint64_t since_ns;     /* realtime; 0: from the start */
    uint64_t until_ns;     /* UINT64_MAX: to the end */
    bool has_min_duration; /* in the place of the profilers' own thresholds */
    uint64_t min_duration_ns;
    bool is_json;
};

bool lap_show_matches_thread(const struct lap_show_filter *filter, const struct lap_thread *thread);
bool lap_show_matches_name(const struct lap_show_filter *filter, const struct lap_description *description,
                           const char *name);

/* Return 1, 0 if there was nothing to show, or a negative errno. */
int lap_show_reports(struct lap_recording *recording, const struct lap_show_filter *filter);
int lap_show_events(struct lap_recording *recording, const struct lap_show_filter *filter);

#endif
