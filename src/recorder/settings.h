/* SPDX-License-Identifier: MIT
 *
 * What the environment says, read once at the first use (a setuid program's is ignored).
 */
#ifndef LAP_SETTINGS_H
#define LAP_SETTINGS_H

#include "storage.h"
#include "switches.h"

#include <stdint.h>

struct lap_settings {
    int prints;             /* profilers print by default */
    int keeps_slow;         /* what is below its threshold is taken back */
    int is_full;            /* every segment is kept */
    uint32_t mail;          /* the word of the last mail that was taken: doc/format.md, "Switches from outside" */
    uint32_t shares;        /* enum lap_share: what peers are told */
    uint32_t accepts;       /* enum lap_accept: what peers may wish for */
    int has_prefix;         /* program, pid and thread on each line */
    uint64_t segment_bytes; /* of a ring */
    uint64_t memory_bytes;
    uint64_t breach_last_ns;                /* how far back a snapshot on a breach reaches; 0: there are none */
    uint64_t disk_bytes;                    /* of full recording; 0: no bound */
    char directory[LAP_STORAGE_PATH_BYTES]; /* where to record; "" for not */
    struct lap_switches switches;
};

/* Reads the LAPMARK variables. What cannot be read is said on stderr and ignored. */
void lap_settings_read(struct lap_settings *settings);

#endif
