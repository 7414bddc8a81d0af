/* SPDX-License-Identifier: MIT */
#include "sql_functions.h"

#include "order.h"

#include <math.h>
#include <stdlib.h>

struct percentile {
    double *values;
    size_t count, room;
    double percent;
    int has_percent;
};

static void value_add(sqlite3_context *context, struct percentile *state, double value)
{
    if (state->count == state->room) {
        const size_t room = state->room ? 2 * state->room : 64;
        double *const values = realloc(state->values, room * sizeof *values);
        if (!values) {
            sqlite3_result_error_nomem(context);
            return;
        }
        state->values = values;
        state->room = room;
    }
    state->values[state->count++] = value;
}

/* Those of a fixed percentile have it as the function's data. */
static void percentile_step(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct percentile *const state = sqlite3_aggregate_context(context, sizeof *state);
    const double *const fixed = sqlite3_user_data(context);
    if (!state) {
        sqlite3_result_error_nomem(context);
        return;
    }
    if (count == 2 && sqlite3_value_numeric_type(values[1]) != SQLITE_INTEGER &&
        sqlite3_value_numeric_type(values[1]) != SQLITE_FLOAT) {
        sqlite3_result_error(context, "percentile() needs a number from 0 to 100", -1);
        return;
    }
    const double percent = count == 2 ? sqlite3_value_double(values[1]) : *fixed;
    if (!(percent >= 0 && percent <= 100) || (state->has_percent && percent != state->percent)) {
        sqlite3_result_error(context, "percentile() needs a number from 0 to 100, the same for all rows", -1);
        return;
    }
    state->percent = percent;
    state->has_percent = 1;
    switch (sqlite3_value_numeric_type(values[0])) {
    case SQLITE_NULL: break;
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: value_add(context, state, sqlite3_value_double(values[0])); break;
    default: sqlite3_result_error(context, "a percentile is of numbers", -1); break;
    }
}

static void percentile_final(sqlite3_context *context)
{
    struct percentile *const state = sqlite3_aggregate_context(context, 0);
    if (!state || state->count == 0) {
        if (state)
            free(state->values);
        sqlite3_result_null(context);
        return;
    }
    const double place = state->percent / 100 * (double)(state->count - 1);
    const size_t rank = (size_t)floor(place);
    const double lower = lap_order_nth(state->values, state->count, rank);
    double upper = rank + 1 < state->count ? state->values[rank + 1] : lower;
    for (size_t i = rank + 1; i < state->count; i++)
        upper = state->values[i] < upper ? state->values[i] : upper;
    free(state->values);
    sqlite3_result_double(context, lower + (upper - lower) * (place - (double)rank));
}

int lap_sql_functions_add(sqlite3 *database)
{
    static const struct {
        const char *name;
        int arguments;
        double percent;
    } functions[] = {{"percentile", 2, 0}, {"median", 1, 50}, {"p50", 1, 50},   {"p90", 1, 90},
                     {"p95", 1, 95},       {"p99", 1, 99},    {"p999", 1, 99.9}};
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && code == SQLITE_OK; i++)
        code = sqlite3_create_function_v2(database, functions[i].name, functions[i].arguments,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                          (void *)&functions[i].percent, NULL, percentile_step, percentile_final, NULL);
    return code;
}
