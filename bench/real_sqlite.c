/* SPDX-License-Identifier: MIT
 *
 * A step on a database in memory: looks rows up, sums a range, updates a row.
 */
#include "real_jobs.h"

#include <lapmark.h>
#include <sqlite3.h>

#include <stdlib.h>

enum { ROWS = 20000, LOOKUPS = 32, RANGE = 500 };

struct job {
    sqlite3 *database;
    sqlite3_stmt *look_up, *sum, *update;
};

#if defined(LAPMARK_DISABLE)
#define STEP sqlite_step_without
#else
#define STEP sqlite_step

void *sqlite_open(void)
{
    struct job *const job = calloc(1, sizeof *job);
    if (!job || sqlite3_open(":memory:", &job->database) != SQLITE_OK)
        return NULL;
    static const char *const texts[] = {"CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, value INTEGER)", "BEGIN"};
    for (int i = 0; i < 2; i++)
        sqlite3_exec(job->database, texts[i], NULL, NULL, NULL);
    for (int i = 0; i < ROWS; i++) {
        char text[96];
        sqlite3_snprintf(sizeof text, text, "INSERT INTO item VALUES (%d, 'item number %d', %d)", i, i, i * 7 % 1000);
        sqlite3_exec(job->database, text, NULL, NULL, NULL);
    }
    sqlite3_exec(job->database, "COMMIT", NULL, NULL, NULL);
    sqlite3_prepare_v2(job->database, "SELECT name, value FROM item WHERE id = ?1", -1, &job->look_up, NULL);
    sqlite3_prepare_v2(job->database, "SELECT sum(value) FROM item WHERE id BETWEEN ?1 AND ?2", -1, &job->sum, NULL);
    sqlite3_prepare_v2(job->database, "UPDATE item SET value = ?2 WHERE id = ?1", -1, &job->update, NULL);
    return job->look_up && job->sum && job->update ? job : NULL;
}
#endif

void STEP(void *state, unsigned number)
{
    struct job *const job = state;
    const int id = (int)(number * 7919u % (ROWS - RANGE));
    LAP_PROFILE("query %d", id);
    for (int i = 0; i < LOOKUPS; i++) {
        sqlite3_bind_int(job->look_up, 1, id + i);
        sqlite3_step(job->look_up);
        sqlite3_reset(job->look_up);
    }
    LAP_MARK("looked up");
    sqlite3_bind_int(job->sum, 1, id);
    sqlite3_bind_int(job->sum, 2, id + RANGE);
    sqlite3_step(job->sum);
    const int sum = sqlite3_column_int(job->sum, 0);
    sqlite3_reset(job->sum);
    LAP_MARK_N(RANGE, "summed");
    sqlite3_bind_int(job->update, 1, id);
    sqlite3_bind_int(job->update, 2, sum % 1000);
    sqlite3_step(job->update);
    sqlite3_reset(job->update);
    LAP_MARK("updated");
}
