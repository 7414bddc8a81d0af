/* SPDX-License-Identifier: MIT
 *
 * The metadata of a process that is written from a trace, as doc/format.md has it.
 */
#ifndef LAP_WRITTEN_METADATA_H
#define LAP_WRITTEN_METADATA_H

#include "written_ring.h"

struct lap_written_facts {
    const char *program, *command;
    uint64_t pid;
};

/* 0 or a negative errno. */
int lap_written_metadata(const struct lap_written_process *process, const struct lap_written_facts *facts);

#endif
