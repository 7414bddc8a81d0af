/* SPDX-License-Identifier: MIT */
#include <lapmark.h>

int main(void)
{
    LAP_PROFILE("consumer of %d parts", 3);
    for (int part = 0; part < 3; part++)
        LAP_MARK("part %d", part);
    return 0;
}
