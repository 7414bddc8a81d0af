/* SPDX-License-Identifier: MIT
 *
 * Labels that mean something to HTML, to a script or to a font: awkward_labels; or so many nodes that no page shows them at once:
 * awkward_labels many.
 */
#include <lapmark.h>

#include <stdio.h>
#include <string.h>

enum { TURNS = 5, LONG_BYTES = 64 * 1024, MANY = 64 };

static const char *const labels[] = {
    "</script><script>document.title = 'owned'</script>",
    "<!-- <b onclick=alert(1)> &amp; <img src=x onerror=alert(1)>",
    "\"double\", 'single', `back`, \\ and ${code}",
    "\xf0\x9f\x90\x8c slow, \xe2\x80\xa8line\xe2\x80\xa9 separators\tand\ttabs",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xe2\x80\xae turned around",
    "invalid \xff\xfe\xc3 UTF-8",
};

static void step(const char *label)
{
    for (int turn = 0; turn < TURNS; turn++) {
        LAP_PROFILE_TEXT(label);
        LAP_MARK_TEXT(label);
    }
}

static void many(void)
{
    for (int outer = 0; outer < MANY; outer++) {
        char label[32];
        snprintf(label, sizeof label, "outer %d", outer);
        LAP_PROFILE_TEXT(label);
        for (int inner = 0; inner < MANY; inner++) {
            snprintf(label, sizeof label, "inner %d", inner);
            LAP_MARK_TEXT(label);
        }
    }
}

int main(int argc, char **argv)
{
    static char long_label[LONG_BYTES + 1];
    if (argc > 1 && strcmp(argv[1], "many") == 0) {
        many();
        return 0;
    }
    memset(long_label, 'w', LONG_BYTES);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        step(labels[i]);
    step(long_label);
    return 0;
}
