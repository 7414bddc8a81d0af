/* SPDX-License-Identifier: MIT
 *
 * What goes to stderr: errors, warnings, notes, progress. One line each, "lapmark: ...", lower case, no full stop. What
 * a name in it holds of control characters is escaped.
 */
#ifndef LAP_MESSAGE_H
#define LAP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses. */
enum { LAP_EXIT_FINE = 0, LAP_EXIT_NO = 1, LAP_EXIT_TROUBLE = 2 };

/* Returns LAP_EXIT_TROUBLE, for the caller to return. */
int lap_message_trouble(const char *format, ...) __attribute__((format(printf, 1, 2)));
void lap_message_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void lap_message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* strerror() in lower case; accepts negative numbers. In a buffer that the next call overwrites. */
const char *lap_message_reason(int error);

/* A line that counts, from the second second on, where stderr is a terminal. All zero at first, but for the text. */
struct lap_progress {
    const char *text; /* "copying" */
    uint64_t begun_ns;
    uint64_t shown_ns;
};
/* Untyped, as the analyses hand it back to their `progress`. */
void lap_progress_step(void *progress, uint64_t done, uint64_t total);
/* Wipes the line. */
void lap_progress_end(struct lap_progress *progress);

/* Ends output: flushes stdout. Returns `status`, or LAP_EXIT_TROUBLE with a message if it could not be written; a reader
 * that went away is no trouble. */
int lap_message_finish(int status);

#endif
