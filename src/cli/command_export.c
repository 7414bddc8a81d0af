/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "export.h"
#include "input.h"
#include "input_guard.h"
#include "message.h"
#include "out_place.h"
#include "timeline_notes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_direct(const char *file)
{
    struct lap_out_place place;
    if (lap_out_place_find(&place, file) < 0)
        return false;
    free(place.name);
    return lap_out_place_is_direct(&place);
}

static int file_write(const struct lap_export_format *format, const struct lap_export *export, const char *file)
{
    struct lap_out out;
    if (format->write_file)
        return format->write_file(export, file);
    int code = lap_out_open(&out, file);
    if (code < 0)
        return code;
    code = format->write(export, &out);
    const int closed = lap_out_close(&out, code == 0);
    return code < 0 ? code : closed;
}

static int recording_write(const struct lap_export_format *format, struct lap_recording *recording, const char *file)
{
    struct lap_progress progress = {.text = "exporting"};
    struct lap_timeline *timeline = NULL;
    int code = lap_timeline_join(&timeline, recording);
    if (code != 0)
        return code;
    const struct lap_export export = {.recording = recording,
                                      .timeline = timeline,
                                      .options = {.progress = lap_progress_step, .progress_user = &progress}};
    code = file_write(format, &export, file);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    lap_timeline_free(timeline);
    if (code == -EPIPE && !file)
        return LAP_EXIT_FINE; /* whoever read it has enough */
    if (code < 0)
        return lap_message_trouble("cannot write '%s': %s", file ? file : "standard output", lap_message_reason(code));
    if (file)
        lap_message_note("wrote '%s'", file);
    return LAP_EXIT_FINE;
}

int lap_command_export(const struct lap_arguments *arguments)
{
    int index = -1;
    if (lap_arguments_word(arguments, LAP_OPTION_FORMAT, &index) != 0)
        return LAP_EXIT_TROUBLE;
    if (index < 0)
        return lap_message_trouble("'export' needs --format; see 'lapmark help export'");
    const struct lap_export_format *const format = lap_export_find(arguments->values[LAP_OPTION_FORMAT]);
    const char *const file = arguments->values[LAP_OPTION_OUTPUT];
    if (format->missing)
        return lap_message_trouble("this lapmark was built without %s", format->missing);
    if (format->write_file && (!file || is_direct(file)))
        return lap_message_trouble("'%s' goes into a file, not into a pipe: name one by --output", format->name);
    if (!file && !format->is_text && isatty(STDOUT_FILENO))
        return lap_message_trouble("'%s' is not for a terminal: name a file by --output, or a pipe", format->name);
    struct lap_recording *recording;
    int status = file ? lap_input_guard(file, arguments->operands, arguments->operand_count) : 0;
    if (status == 0)
        status = lap_input_open(&recording, arguments->operands, arguments->operand_count);
    if (status != 0)
        return status;
    status = recording_write(format, recording, file);
    lap_recording_free(recording);
    return status;
}
