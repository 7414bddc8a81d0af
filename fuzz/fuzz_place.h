/* SPDX-License-Identifier: MIT
 *
 * What the fuzzers share: a process directory in memory that is written anew for each input, and the commands that read it.
 * One thread. Every function ends the program if the system refuses it: that is no finding about the input.
 */
#ifndef LAP_FUZZ_PLACE_H
#define LAP_FUZZ_PLACE_H

#include <stddef.h>
#include <stdint.h>

/* What libFuzzer and the plain program call: one input. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* The directory: below TMPDIR or /dev/shm, made at the first call, removed at exit. */
const char *fuzz_place(void);

/* Writes a file of it in two parts, the second at `rest_offset`: zeros between them. */
void fuzz_place_write(const char *name, const void *bytes, size_t count, const void *rest, size_t rest_count,
                      size_t rest_offset);
/* Writes the control page: a whole page, where there are its first 752 bytes, so that inputs may leave out the rest. */
void fuzz_place_write_control(const void *bytes, size_t count);
void fuzz_place_remove(const char *name);

/* Writes `metadata`: one packet with this uuid (16 bytes) around an env block of ours and `text`. */
void fuzz_place_write_metadata(const uint8_t *uuid, const void *text, size_t count);

/* Runs the commands of these bits on the directory, and one of the exports, by their number. Their exit status must be one of those that the manual tells. */
enum fuzz_command {
    FUZZ_REPORT = 1,
    FUZZ_CHECK = 2,
    FUZZ_CHECK_JSON = 4,
    FUZZ_REPORT_EVENTS = 8,
    FUZZ_SHOW = 16,
    FUZZ_SHOW_EVENTS = 32,
    FUZZ_SLOWEST = 64,
    FUZZ_REPORT_JSON = 128
};
void fuzz_place_read(unsigned commands);

/* Ends the program, as a sanitizer does, if `is_true` is 0. */
void fuzz_expect(int is_true, const char *what);

#endif
