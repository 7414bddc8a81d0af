/* SPDX-License-Identifier: MIT
 *
 * A shared library with sites of its own, for usdt_sites.c.
 */
#include <lapmark.h>

int in_library(int number);

int in_library(int number)
{
    LAP_PROFILE("in a library");
    LAP_MARK("of a library");
    return number;
}
