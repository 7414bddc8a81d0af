/* SPDX-License-Identifier: MIT */
#include "view.h"

#include "input.h"
#include "message.h"
#include "page.h"

#include <stdlib.h>

enum { BY_THREAD = 0, BY_PROCESS = 1, RESOLUTION_STEPS = 3 };

bool lap_view_is_near_resolution(const struct lap_summary *summary, const struct lap_summary_node *node)
{
    return node->count > 0 && node->p50_ns < RESOLUTION_STEPS * summary->resolution_ns;
}

static int find_open(struct lap_view_content *content)
{
    const size_t count = content->recording->process_count;
    content->open = calloc(count + 1, sizeof *content->open);
    if (!content->open)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct lap_open_profilers *const open = &content->open[i];
        open->process = content->recording->processes[i];
        const int error = lap_process_open_profilers(content->recording->processes[i], &open->open, &open->count);
        if (error < 0)
            return error;
    }
    return 0;
}

static int make(struct lap_view_content *content, const struct lap_summary_options *options)
{
    int error = lap_summary_make(&content->summary, content->recording, options);
    if (error == 0)
        error = find_open(content);
    if (error == 0 && options->compares) {
        content->has_comparison = true;
        content->difference = content->summary->difference;
        content->comparison = content->summary->comparison == 1 && content->difference.rings_compared == 0
                                  ? -1
                                  : content->summary->comparison;
    }
    return error;
}

static void done(struct lap_view_content *content)
{
    for (size_t i = 0; content->open && i < content->recording->process_count; i++)
        lap_open_profilers_free(content->open[i].open, content->open[i].count);
    free(content->open);
    lap_summary_free(content->summary);
}

int lap_view_print(struct lap_recording *recording, const struct lap_arguments *arguments)
{
    struct lap_view_content content = {.recording = recording};
    struct lap_progress progress = {.text = "reading"};
    struct lap_summary_options options = {.progress = lap_progress_step, .user = &progress};
    int by = -1;
    if (lap_arguments_word(arguments, LAP_OPTION_BY, &by) != 0)
        return LAP_EXIT_TROUBLE;
    options.by = by == BY_THREAD ? LAP_SUMMARY_BY_THREAD : by == BY_PROCESS ? LAP_SUMMARY_BY_PROCESS : LAP_SUMMARY_BY_ALL;
    options.source = arguments->given[LAP_OPTION_EVENTS] ? LAP_SUMMARY_EVENTS : LAP_SUMMARY_STORED;

    options.compares = options.source == LAP_SUMMARY_EVENTS;

    const int error = make(&content, &options);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    int status = LAP_EXIT_FINE;
    if (error < 0) {
        status = lap_message_trouble("cannot read the recording: %s", lap_message_reason(error));
    } else if (arguments->given[LAP_OPTION_JSON]) {
        lap_json_print(lap_view_json(&content), stdout);
    } else {
        lap_view_print_head(&content);
        lap_view_print_trees(&content);
    }
    if (error == 0 && arguments->given[LAP_OPTION_HTML])
        status = lap_page_write(arguments, lap_view_json(&content));
    if (status == LAP_EXIT_FINE && content.has_comparison && content.comparison == 0)
        status = LAP_EXIT_NO;
    done(&content);
    return status;
}
