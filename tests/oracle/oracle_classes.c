/* SPDX-License-Identifier: MIT
 *
 * Thousands of classes, with long names that metadata must escape: its text needs several packets. A point behind every 512.
 */
#include <lapmark.h>

#include "oracle_point.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_EACH = 64, LABEL_BYTES = 255, BETWEEN_POINTS = 512 };

static unsigned classes;

/* Every other byte takes four in the metadata. */
static const char *label_of(unsigned site, unsigned number)
{
    static char label[LABEL_BYTES + 1];
    memset(label, '\x02', LABEL_BYTES);
    const int length = snprintf(label, sizeof label, "site %u, label %u ", site, number);
    label[length] = 'x';
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

#define SITE(number)                                                                                                     \
    for (unsigned i = 0; i < LABELS_EACH; i++) {                                                                         \
        LAP_MARK_TEXT(label_of(number, i));                                                                              \
        count();                                                                                                         \
    }
#define SITES_4(number) SITE(number) SITE(number + 1) SITE(number + 2) SITE(number + 3)
#define SITES_16(number) SITES_4(number) SITES_4(number + 4) SITES_4(number + 8) SITES_4(number + 12)
#define LITERAL(number) LAP_MARK("literal " #number " %d", number);
#define LITERALS_4(number) LITERAL(number##0) LITERAL(number##1) LITERAL(number##2) LITERAL(number##3)
#define LITERALS_16(number) LITERALS_4(1##number##0) LITERALS_4(1##number##1) LITERALS_4(1##number##2) LITERALS_4(1##number##3)
#define LITERALS_64(number) LITERALS_16(number##0) LITERALS_16(number##1) LITERALS_16(number##2) LITERALS_16(number##3)

int main(void)
{
    LAP_PROFILE("classes");
    SITES_16(0)
    LITERALS_64(1) LITERALS_64(2) LITERALS_64(3) LITERALS_64(4)
    SITES_16(16)
    SITES_16(32)
    return 0;
}
