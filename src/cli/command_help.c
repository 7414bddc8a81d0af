/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "message.h"

int lap_command_help(const struct lap_arguments *arguments)
{
    if (arguments->operand_count == 0) {
        lap_help_print(stdout, NULL);
        return LAP_EXIT_FINE;
    }
    const struct lap_command *const command = lap_command_find(arguments->operands[0]);
    if (command) {
        lap_help_print(stdout, command);
        return LAP_EXIT_FINE;
    }
    const char *const nearest = lap_command_nearest(arguments->operands[0]);
    if (nearest)
        return lap_message_trouble("unknown command '%s'; did you mean '%s'?", arguments->operands[0], nearest);
    return lap_message_trouble("unknown command '%s'", arguments->operands[0]);
}
