/* SPDX-License-Identifier: MIT */
#include "calls_view.h"
#include "commands.h"
#include "input.h"
#include "message.h"

enum { SLOWEST_DEFAULT = 5, BY_THREAD = 0, BY_PROCESS = 1 };

int lap_command_calls(const struct lap_arguments *arguments)
{
    uint64_t slowest = SLOWEST_DEFAULT;
    int by = -1;
    if (lap_arguments_count(arguments, LAP_OPTION_SLOWEST, &slowest) != 0 ||
        lap_arguments_word(arguments, LAP_OPTION_BY, &by) != 0)
        return LAP_EXIT_TROUBLE;
    if (slowest > LAP_CALLS_SLOWEST_MAX)
        return lap_message_trouble("--slowest: '%s' is more than %u", arguments->values[LAP_OPTION_SLOWEST],
                                   LAP_CALLS_SLOWEST_MAX);
    struct lap_progress progress = {.text = "reading"};
    const struct lap_calls_options options = {.by = by == BY_THREAD    ? LAP_SUMMARY_BY_THREAD
                                                    : by == BY_PROCESS ? LAP_SUMMARY_BY_PROCESS
                                                                       : LAP_SUMMARY_BY_ALL,
                                              .slowest = (size_t)slowest,
                                              .progress = lap_progress_step,
                                              .user = &progress};
    struct lap_recording *recording;
    int status = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (status != 0)
        return status;
    struct lap_calls *calls;
    const int error = lap_calls_make(&calls, recording, &options);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    if (error < 0) {
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    } else {
        if (arguments->given[LAP_OPTION_JSON])
            lap_calls_print_json(calls, options.by);
        else
            lap_calls_print_text(calls);
        lap_calls_free(calls);
    }
    lap_recording_free(recording);
    return status;
}
