/* SPDX-License-Identifier: MIT */
#include <lapmark.h>

int main()
{
    lapmark::profiler profiler(LAP_LABEL("consumer of %d parts", 3));
    for (int part = 0; part < 3; part++)
        profiler.mark(LAP_LABEL("part %d", part));
    return 0;
}
