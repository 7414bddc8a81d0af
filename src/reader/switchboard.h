/* SPDX-License-Identifier: MIT
 *
 * Switches the sites of a running process from outside: the one thing here that writes into a recording. What it does, and
 * in which order, is in doc/format.md, "Switches from outside"; the recorder's side is in recorder/sites.c.
 */
#ifndef LAP_SWITCHBOARD_H
#define LAP_SWITCHBOARD_H

#include "recording.h"
#include "switches.h"

#include <stdbool.h>

/* What is asked for; 0: that stays as it is. */
struct lap_switch_order {
    struct lap_switches terms; /* made by lap_switches_add() without a default */
    enum lap_format_choice prints;
    enum lap_format_choice keeps_slow;
};

/* One site as it is now. Texts are the catalog's. */
struct lap_switch_site {
    uint32_t class_id;
    const char *label, *function, *file; /* label: as the catalog names it */
    uint32_t line;
    const struct lap_class *class;
    uint8_t state;         /* enum lap_impl_state */
    uint64_t threshold_ns; /* LAP_FORMAT_NO_THRESHOLD: the code's own */
};

struct lap_switchboard;

/* Opens the switches of a process that runs; to write, waits for others that do. 0 or a negative code: -EACCES another
 * user's, -ESRCH it does not run, -EIO its recording has failed, so that all is off, -ENOTSUP it takes no orders,
 * LAP_READER_CONTROL. The process must outlive it. */
int lap_switchboard_open(struct lap_switchboard **ret_board, const struct lap_process *process, bool writes);
void lap_switchboard_close(struct lap_switchboard *board);

/* Carries an order out: at once for all threads and the sites that were met, and for those that are met from now on. Returns 0
 * with how many sites the terms name, or -ENOSPC: more terms than the process has room for; then nothing is changed. */
int lap_switchboard_order(struct lap_switchboard *board, const struct lap_switch_order *order, size_t *ret_named);

/* The sites that were met, in that order; those only that the catalog knows. Caller frees the array. 0 or -ENOMEM. */
int lap_switchboard_list(const struct lap_switchboard *board, struct lap_switch_site **ret_sites, size_t *ret_count);

/* As the process has it. */
bool lap_switchboard_prints(const struct lap_switchboard *board);
bool lap_switchboard_keeps_slow(const struct lap_switchboard *board);

#endif
