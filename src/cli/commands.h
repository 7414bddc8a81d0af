/* SPDX-License-Identifier: MIT
 *
 * The commands, one file each. A command writes to stdout, its errors by lap_message_trouble(), and returns the exit status.
 */
#ifndef LAP_COMMANDS_H
#define LAP_COMMANDS_H

#include "options.h"

int lap_command_run(const struct lap_arguments *arguments);
int lap_command_record(const struct lap_arguments *arguments);
int lap_command_report(const struct lap_arguments *arguments);
int lap_command_show(const struct lap_arguments *arguments);
int lap_command_slowest(const struct lap_arguments *arguments);
int lap_command_calls(const struct lap_arguments *arguments);
int lap_command_diff(const struct lap_arguments *arguments);
int lap_command_gate(const struct lap_arguments *arguments);
int lap_command_scaling(const struct lap_arguments *arguments);
int lap_command_export(const struct lap_arguments *arguments);
int lap_command_sql(const struct lap_arguments *arguments);
int lap_command_check(const struct lap_arguments *arguments);
int lap_command_ctl(const struct lap_arguments *arguments);
int lap_command_top(const struct lap_arguments *arguments);
int lap_command_snapshot(const struct lap_arguments *arguments);
int lap_command_completion(const struct lap_arguments *arguments);
int lap_command_version(const struct lap_arguments *arguments);
int lap_command_help(const struct lap_arguments *arguments);

#endif
