/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "input.h"
#include "message.h"
#include "page.h"
#include "view.h"

int lap_command_report(const struct lap_arguments *arguments)
{
    int by;
    if (lap_arguments_word(arguments, LAP_OPTION_BY, &by) != 0 || lap_page_check(arguments) != 0)
        return LAP_EXIT_TROUBLE;
    struct lap_recording *recording;
    const int error = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (error != 0)
        return error;
    const int status = lap_view_print(recording, arguments);
    lap_recording_free(recording);
    return status;
}
