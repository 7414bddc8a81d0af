/* SPDX-License-Identifier: MIT
 *
 * Stacks that a sum by stack must bound, or tell apart: stacks wide|deep|alike COUNT.
 */
#include <lapmark.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many labels as turns: each makes two stacks. */
static void wide(int count)
{
    LAP_PROFILE("around all");
    for (int i = 0; i < count; i++) {
        char label[32];
        snprintf(label, sizeof label, "item %d", i);
        LAP_PROFILE_TEXT(label);
        LAP_MARK("found");
    }
    LAP_MARK("all found");
}

/* Handles in each other, all of one site, as scopes do not go so deep. */
static void deep(int count)
{
    lap_handle *const handles = calloc((size_t)count + 1, sizeof *handles);
    for (int i = 0; i < count; i++)
        handles[i + 1] = lap_begin_with(LAP_OPTS(.parent = handles[i]), "level");
    for (int i = count; i > 0; i--)
        lap_end(handles[i]);
    free(handles);
}

/* A lap, and a profiler that has laps or none, of one name; a number at the end of it, and what is a separator. */
static void alike(int count)
{
    for (int i = 0; i < count; i++) {
        LAP_PROFILE("phase 2");
        {
            LAP_PROFILE("step 1.5");
        }
        LAP_MARK("step 1.5");
        {
            LAP_PROFILE("a;b");
            LAP_MARK("a:b");
            LAP_MARK("a;b");
        }
    }
}

int main(int argc, char **argv)
{
    const int count = argc > 2 ? atoi(argv[2]) : 1;
    if (argc > 1 && strcmp(argv[1], "wide") == 0)
        wide(count);
    else if (argc > 1 && strcmp(argv[1], "deep") == 0)
        deep(count);
    else if (argc > 1 && strcmp(argv[1], "alike") == 0)
        alike(count);
    else
        return 2;
    return 0;
}
