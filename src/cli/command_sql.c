/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "message.h"

#ifdef LAPMARK_HAS_SQLITE

#include "input.h"
#include "sql_database.h"
#include "sql_output.h"
#include "sqlite_schema.h"
#include "timeline_notes.h"

#include <stdio.h>
#include <sys/stat.h>

static int schema_print(void)
{
    for (size_t i = 0; i < LAP_SQLITE_TABLES; i++)
        printf("%s;\n\n", lap_sqlite_tables[i].sql);
    for (size_t i = 0; i < lap_sqlite_indexes_count; i++)
        printf("%s;\n", lap_sqlite_indexes[i].sql);
    for (size_t i = 0; i < lap_sqlite_views_count; i++)
        printf("\n%s;\n", lap_sqlite_views[i].sql);
    return LAP_EXIT_FINE;
}

static int database_open(sqlite3 **ret_database, struct lap_recording **ret_recording,
                         const struct lap_arguments *arguments, const char *sql)
{
    struct stat status;
    struct lap_timeline *timeline = NULL;
    const int count = arguments->operand_count - 1;
    if (count == 1 && stat(arguments->operands[0], &status) == 0 && S_ISREG(status.st_mode) &&
        !lap_input_is_recording(arguments->operands[0]))
        return lap_sql_open(ret_database, arguments->operands[0]);
    int code = lap_input_open(ret_recording, arguments->operands, count);
    if (code != 0)
        return code;
    code = lap_timeline_join(&timeline, *ret_recording);
    if (code == 0)
        code = lap_sql_fill(ret_database, *ret_recording, timeline, sql);
    lap_timeline_free(timeline);
    return code;
}

static int question_ask(sqlite3 *database, const char *sql, bool as_json)
{
    sqlite3_stmt *statement = NULL;
    int status = lap_sql_prepare(&statement, database, sql);
    if (status != 0)
        return status;
    const int code = as_json ? lap_sql_print_json(statement) : lap_sql_print_table(statement);
    if (code != SQLITE_DONE)
        status = lap_sql_trouble(database, sql);
    sqlite3_finalize(statement);
    return status;
}

int lap_command_sql(const struct lap_arguments *arguments)
{
    if (arguments->given[LAP_OPTION_SCHEMA])
        return schema_print();
    if (arguments->operand_count == 0)
        return lap_message_trouble("'sql' needs a question; see 'lapmark help sql'");
    const char *const sql = arguments->operands[arguments->operand_count - 1];
    if (lap_input_is_directory(sql))
        return lap_message_trouble("'sql' needs a question behind '%s'; see 'lapmark help sql'", sql);
    int status = lap_sql_check(sql);
    if (status != 0)
        return status;
    struct lap_recording *recording = NULL;
    sqlite3 *database = NULL;
    status = database_open(&database, &recording, arguments, sql);
    if (recording)
        lap_input_warn(recording, 0);
    if (status == 0)
        status = question_ask(database, sql, arguments->given[LAP_OPTION_JSON]);
    sqlite3_close(database);
    lap_recording_free(recording);
    return status;
}

#else

int lap_command_sql(const struct lap_arguments *arguments)
{
    (void)arguments;
    return lap_message_trouble("this lapmark was built without SQLite");
}

#endif
