/* SPDX-License-Identifier: MIT
 *
 * A point at which a program waits until the test has looked at its recording: says its name on standard output, and goes
 * on with the next line of standard input. At the end of that it goes on, too, so that a program may be run by hand.
 */
#ifndef ORACLE_POINT_H
#define ORACLE_POINT_H

#include <string.h>
#include <unistd.h>

static inline void oracle_point(const char *name)
{
    char answer;
    if (write(STDOUT_FILENO, name, strlen(name)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        return;
    while (read(STDIN_FILENO, &answer, 1) == 1 && answer != '\n')
        continue;
}

#endif
