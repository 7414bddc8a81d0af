/* SPDX-License-Identifier: MIT
 *
 * Thousands of classes, with long names that metadata must escape: its text needs several packets. A point behind every 1024.
 */
#include <lapmark.h>

#include "oracle_point.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_EACH = 64, LABEL_BYTES = 255, BETWEEN_POINTS = 1024 };

static unsigned classes;

/* Every other byte takes four in the metadata. */
static const char *label_of(const char *site, unsigned number)
{
    static char label[LABEL_BYTES + 1];
    memset(label, '\x02', LABEL_BYTES);
    const int length = snprintf(label, sizeof label, "site %s, label %u ", site, number);
    for (unsigned i = (unsigned)length; i < LABEL_BYTES; i += 2)
        label[i] = (char)('a' + (i + number) % 26);
    return label;
}

static void count(void)
{
    if (++classes % BETWEEN_POINTS == 0) {
        char name[32];
        snprintf(name, sizeof name, "%u classes", classes);
        oracle_point(name);
    }
}

/* Sites on one line of one function would be one site. */
#define SITE(number)                                                                                                     \
    static void site_##number(void)                                                                                      \
    {                                                                                                                    \
        for (unsigned i = 0; i < LABELS_EACH; i++) {                                                                     \
            LAP_MARK_TEXT(label_of(#number, i));                                                                         \
            count();                                                                                                     \
        }                                                                                                                \
        LAP_MARK("end of the site " #number " %d", 0);                                                                   \
    }
#define VISIT(number) site_##number();
#define EACH_8(what, number)                                                                                             \
    what(number##0) what(number##1) what(number##2) what(number##3) what(number##4) what(number##5) what(number##6)      \
        what(number##7)
#define EACH_48(what) EACH_8(what, 1) EACH_8(what, 2) EACH_8(what, 3) EACH_8(what, 4) EACH_8(what, 5) EACH_8(what, 6)

/* clang-format off */
EACH_48(SITE)

int main(void)
{
    LAP_PROFILE("classes");
    EACH_48(VISIT)
    return 0;
}
