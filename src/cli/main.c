/* SPDX-License-Identifier: MIT
 *
 * The lapmark command: finds the subcommand in the table and runs it.
 */
#include "commands.h"
#include "launch.h"
#include "message.h"
#include "terminal.h"

#include <string.h>

static int unknown(const char *word)
{
    if (word[0] == '-')
        return lap_option_complain(NULL, word);
    const char *const nearest = lap_command_nearest(word);
    if (nearest)
        return lap_message_trouble("unknown command '%s'; did you mean '%s'?", word, nearest);
    return lap_message_trouble("unknown command '%s'; see 'lapmark help'", word);
}

int main(int argc, char **argv)
{
    lap_launch_ignore();
    lap_terminal_init();
    if (argc < 2) {
        lap_help_print(stderr, NULL);
        return LAP_EXIT_TROUBLE;
    }
    const struct lap_command *command = lap_command_find(argv[1]);
    if (strcmp(argv[1], "--version") == 0) {
        command = lap_command_find("version");
    } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        lap_help_print(stdout, NULL);
        return lap_message_finish(LAP_EXIT_FINE);
    }
    if (!command)
        return unknown(argv[1]);

    struct lap_arguments arguments;
    if (lap_arguments_parse(&arguments, command, argc - 1, argv + 1) != 0)
        return LAP_EXIT_TROUBLE;
    if (arguments.given[LAP_OPTION_HELP]) {
        lap_help_print(stdout, command);
        return lap_message_finish(LAP_EXIT_FINE);
    }
    return lap_message_finish(command->run(&arguments));
}
