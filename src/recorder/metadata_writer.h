/* SPDX-License-Identifier: MIT
 *
 * Writes the CTF 1.8 metadata of a recording: text in packets of 1 MiB whose content size is stored after the text, so
 * that a reader, and whoever looks after a kill, finds whole classes only. Written with write(2), never mapped.
 */
#ifndef LAP_METADATA_WRITER_H
#define LAP_METADATA_WRITER_H

#include "class.h"
#include "clock.h"
#include "storage.h"

#include <stdint.h>

struct lap_metadata {
    int fd;                 /* -1: none */
    uint32_t used;          /* bytes of the current packet, its header included */
    uint64_t packet_offset; /* of the current packet in the file */
    uint8_t uuid[16];
};

struct lap_metadata_trace {
    const uint8_t *uuid;
    const struct lap_clock *clock;
    const char *host;
    const char *program;
    const char *command;
    uint64_t pid;
};

/* Creates the file with the trace's description and the fixed classes. 0 or a negative errno. Cold. */
int lap_metadata_open(struct lap_metadata *metadata, const struct lap_storage *storage,
                      const struct lap_metadata_trace *trace);
/* Appends one event class. 0 or a negative errno: then its events must not be stored. Cold, under the process's lock. */
int lap_metadata_add(struct lap_metadata *metadata, uint32_t id, const struct lap_class *class,
                     const struct lap_description *description);
void lap_metadata_done(struct lap_metadata *metadata);

#endif
