/* SPDX-License-Identifier: MIT
 *
 * Prints reports from the rings: when the outermost profiler of a thread that prints ends, before events that an open one
 * needs are overwritten, and at the end of the thread or process.
 */
#ifndef LAP_PRINTER_H
#define LAP_PRINTER_H

#include "ring.h"

#include <stddef.h>
#include <stdint.h>

/* Where reports go by the LAPMARK_PRINT variable: "off", "on", "stderr", "stdout", a descriptor; NULL: stderr. Returns 0,
 * or -EINVAL for another value: stderr. */
int lap_printer_configure(const char *value);
/* The descriptor; -1: a function takes them. */
int lap_printer_fd(void);
/* At the process's start, and in a forked child: nobody has the lock. */
void lap_printer_start(void);

/* A scope that prints has begun at `place`, or ended: at `position` the events of it are complete. The thread's position
 * is busy. */
void lap_printer_scope_begins(struct lap_ring *ring, struct lap_ring_place place, uint32_t depth);
void lap_printer_scope_ends(struct lap_ring *ring, uint64_t position, int is_breach);

/* The segment with this sequence is about to be used again: what it holds is fed to the open report. */
void lap_printer_before_overwrite(struct lap_ring *ring, uint64_t sequence);

/* All segments are about to go: so is what they hold. */
void lap_printer_before_restart(struct lap_ring *ring);

/* What waits is printed; what is open prints as abandoned or still open. */
void lap_printer_flush(struct lap_ring *ring);
void lap_printer_thread_ends(struct lap_ring *ring);
void lap_printer_process_ends(struct lap_ring *ring, uint64_t position); /* ring may be NULL: nothing is open */

/* Drops an unfinished report (its events are gone), and the memory. */
void lap_printer_forget(struct lap_ring *ring);
/* The same after a handler has left by siglongjmp what it interrupted here. */
void lap_printer_heal(struct lap_ring *ring);
void lap_printer_drop(struct lap_ring *ring);

/* The ring's report object, for a handle's report. NULL: no memory. */
struct lap_report *lap_printer_report(struct lap_ring *ring);

/* Writes one finished text to the sink: one write(2), or one call. */
void lap_printer_write(const char *text, size_t text_bytes);
/* Writes the library's own trouble to stderr. */
void lap_printer_say(const char *text);

/* The effective threshold of a profiler: the switch's, else the code's. */
uint64_t lap_printer_threshold_ns(uint32_t class_id, uint64_t code_threshold_ns);

/* What stands before every line: "" or program, pid and tid. Returns its length. */
size_t lap_printer_prefix(char *out, size_t out_bytes);

#endif
