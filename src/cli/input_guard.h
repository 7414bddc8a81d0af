/* SPDX-License-Identifier: MIT
 *
 * What is read is not to be lost by what is written.
 */
#ifndef LAP_INPUT_GUARD_H
#define LAP_INPUT_GUARD_H

/* Is the file to be written one of the inputs, or in one? Without inputs it is the recording that lap_input_open() takes. Returns 0, or 2
 * with the message written. */
int lap_input_guard(const char *file, char **names, int count);

#endif
