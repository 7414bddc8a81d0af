/* SPDX-License-Identifier: MIT
 *
 * The metadata of a process: its event classes and what describes the process. Reads the one form that the recorder
 * writes; other tools' metadata is an error with its place, never a guess.
 */
#ifndef LAP_CATALOG_H
#define LAP_CATALOG_H

#include "class.h"
#include "reader_error.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_CATALOG_BYTES_MAX (256u << 20)

struct lap_catalog {
    struct lap_class *classes; /* class_count, by id; kind LAP_CLASS_NONE where there is none */
    uint32_t class_count;
    uint32_t description_count;
    struct lap_description *descriptions; /* classes[id].description is the index; 0 is an empty one */
    uint8_t uuid[16];
    uint64_t clock_hz;
    uint64_t clock_offset_s;
    uint64_t clock_offset_ticks;
    uint64_t pid;
    const char *host, *program, *command, *clock_source; /* "" where there is none */
    char *text;                                          /* the bytes that the strings lie in */
    char **patterns;                                     /* by description, of those with LAP_CLASS_FOUND; else NULL */
    uint32_t pattern_count;
};

/* Reads the packets of a metadata file of `size` bytes that lie at `bytes` (not kept). The classes before a damaged line
 * are kept: the result is usable if *ret_partial, with the error that ended it. Returns 0 or a negative code with
 * nothing to free. Cold; memory at most 3 times the file's text plus 8 MiB. */
int lap_catalog_parse(struct lap_catalog *catalog, const void *bytes, size_t size, const char *file, int *ret_partial,
                      struct lap_reader_error *error);
void lap_catalog_done(struct lap_catalog *catalog);

/* A class's description, an empty one where it has none. Never NULL. */
const struct lap_description *lap_catalog_description(const struct lap_catalog *catalog, uint32_t class_id);

/* How the metadata calls a class: by its label ("(checkpoint)" if numbered), or "lapmark:end", "lapmark:pause" and so on;
 * "(rest)" for 0. Never NULL. */
const char *lap_catalog_name(const struct lap_catalog *catalog, uint32_t class_id);

#endif
