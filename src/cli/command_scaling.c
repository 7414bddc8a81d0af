/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "input.h"
#include "message.h"
#include "page.h"
#include "scaling_view.h"

int lap_command_scaling(const struct lap_arguments *arguments)
{
    struct lap_progress progress = {.text = "reading"};
    const struct lap_scaling_options options = {.progress = lap_progress_step, .user = &progress};
    struct lap_recording *recording;
    int status = lap_page_check(arguments);
    if (status == 0)
        status = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (status != 0)
        return status;
    struct lap_scaling *scaling;
    const int error = lap_scaling_make(&scaling, recording, &options);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    if (error < 0) {
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    } else {
        if (arguments->given[LAP_OPTION_JSON])
            lap_json_print(lap_scaling_json(scaling), stdout);
        else
            lap_scaling_print_text(scaling);
        if (arguments->given[LAP_OPTION_HTML])
            status = lap_page_write(arguments, lap_scaling_json(scaling));
        lap_scaling_free(scaling);
    }
    lap_recording_free(recording);
    return status;
}
