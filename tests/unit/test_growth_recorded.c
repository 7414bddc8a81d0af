/* SPDX-License-Identifier: MIT
 *
 * What is said to grow, by costs and counts that real recordings had: of constants that were once blamed, as caches, a busy machine
 * and chance made them grow, and of scans on the same machine. recorded_growth.csv says what they are and where from.
 */
#include "scaling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LINE_BYTES = 4096, RESAMPLES = 400 };

struct recorded {
    char name[64];
    char class[8]; /* in the textbook */
    bool is_count;
    struct lap_sized_costs costs;
};

static struct lap_scaling_curve curve_of(const struct recorded *recorded)
{
    struct lap_scaling_curve curve = {.from = {.size = LAP_SCALING_SIZE_N}};
    assert_int_equal(lap_sized_costs_fit(&curve.fit, &recorded->costs, RESAMPLES), 0);
    if (recorded->is_count)
        lap_fit_doubt_count(&curve.fit);
    else
        lap_fit_doubt_memory(&curve.fit);
    return curve;
}

static void judge(struct recorded *recorded)
{
    const struct lap_scaling_curve curve = curve_of(recorded);
    const struct lap_fit *const fit = &curve.fit;
    const bool should = strcmp(recorded->class, "1") != 0;
    const bool grows = lap_scaling_grows(&curve, should ? LAP_FIT_N : LAP_FIT_LOG);
    printf("%-28s %s (%s, %s), exponent %.2f to %.2f%s\n", recorded->name, lap_fit_class_text(fit->class),
           lap_fit_class_text(fit->likely), lap_fit_class_text(fit->rival), fit->exponent_low, fit->exponent_high,
           grows ? ": grows" : "");
    assert_int_equal(grows, should);
    if (fit->class != LAP_FIT_UNCLEAR)
        assert_string_equal(lap_fit_class_text(fit->class), recorded->class);
    lap_sized_costs_done(&recorded->costs);
    recorded->name[0] = 0;
}

/* "NAME,cost or count,CLASS,N,RUN,VALUE VALUE..." */
static void cell_add(struct recorded *recorded, char *line)
{
    char name[64], kind[8], class[8];
    int at = 0;
    long long n;
    unsigned run;
    assert_int_equal(sscanf(line, "%63[^,],%7[^,],%7[^,],%lld,%u,%n", name, kind, class, &n, &run, &at), 5);
    if (strcmp(name, recorded->name) != 0) {
        if (recorded->name[0])
            judge(recorded);
        strcpy(recorded->name, name);
        recorded->is_count = strcmp(kind, "count") == 0;
        strcpy(recorded->class, class);
    }
    for (char *value = strtok(line + at, " \n"); value; value = strtok(NULL, " \n"))
        assert_int_equal(lap_sized_costs_add(&recorded->costs, run, n, atof(value)), 0);
}

static void test_recorded(void **state)
{
    char path[LINE_BYTES], line[LINE_BYTES];
    const char *const source = getenv("SOURCE_DIR");
    (void)state;
    snprintf(path, sizeof path, "%s/tests/unit/recorded_growth.csv", source ? source : ".");
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    struct recorded recorded = {0};
    while (fgets(line, sizeof line, file))
        if (line[0] != '#')
            cell_add(&recorded, line);
    fclose(file);
    assert_true(recorded.name[0]);
    judge(&recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
