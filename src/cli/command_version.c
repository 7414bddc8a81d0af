/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "message.h"

int lap_command_version(const struct lap_arguments *arguments)
{
    (void)arguments;
    puts("lapmark " LAPMARK_VERSION);
    return LAP_EXIT_FINE;
}
