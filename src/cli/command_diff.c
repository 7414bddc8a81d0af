/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "commands.h"
#include "diff_view.h"
#include "input.h"
#include "message.h"
#include "page.h"

#include <string.h>
#include <sys/stat.h>

/* One run given twice would look as if runs did not differ. */
static int check_each_once(char **names, int count)
{
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++) {
            struct stat one, other;
            if (stat(names[i], &one) == 0 && stat(names[j], &other) == 0 && one.st_dev == other.st_dev &&
                one.st_ino == other.st_ino)
                return lap_message_trouble("'%s' and '%s' are one run, which counts once; leave one out", names[j],
                                           names[i]);
        }
    return 0;
}

static int add_run(struct lap_run_tree *side, char *name)
{
    struct lap_progress progress = {.text = "reading"};
    const struct lap_summary_options options = {.progress = lap_progress_step, .user = &progress};
    struct lap_recording *recording;
    int status = lap_input_open(&recording, &name, 1);
    if (status != 0)
        return status;
    const int error = lap_run_tree_add(side, recording, &options);
    lap_progress_end(&progress);
    lap_input_warn(recording, 0);
    if (error < 0)
        status = lap_message_trouble("cannot read '%s': %s", name, lap_message_reason(error));
    else if (side->runs[side->run_count - 1].value_count == 0)
        status = lap_message_trouble("cannot compare '%s': no profiler has ended in it and no checkpoint was met", name);
    lap_input_close(recording);
    return status;
}

static int add_runs(struct lap_run_tree *side, char **names, int count)
{
    int status = 0;
    for (int i = 0; i < count && status == 0; i++)
        status = add_run(side, names[i]);
    return status;
}

static int print(const struct lap_arguments *arguments, struct lap_diff *diff)
{
    const int error = lap_diff_finish(diff);
    if (error < 0)
        return lap_message_trouble("cannot compare: %s", lap_message_reason(error));
    if (arguments->given[LAP_OPTION_JSON])
        lap_json_print(lap_diff_json(diff), stdout);
    else
        lap_diff_print_text(diff);
    return arguments->given[LAP_OPTION_HTML] ? lap_page_write(arguments, lap_diff_json(diff)) : LAP_EXIT_FINE;
}

int lap_command_diff(const struct lap_arguments *arguments)
{
    const bool is_a_pair = arguments->operand_count == 2 && arguments->operands_before == 2;
    const int base_count = is_a_pair ? 1 : arguments->operands_before, next_count = arguments->operand_count - base_count;
    if (next_count == 0)
        return lap_message_trouble("which of the %d recordings are the new ones? put '--' in front of them", base_count);
    if (base_count == 0)
        return lap_message_trouble("no recording to compare with; name one or more in front of '--'");
    char **const base = arguments->operands, **const next = base + base_count;
    if (lap_page_check(arguments) != 0 || check_each_once(base, base_count) != 0 ||
        check_each_once(next, next_count) != 0)
        return LAP_EXIT_TROUBLE;
    struct lap_diff diff = {.sides = {LAP_RUN_TREE_EMPTY, LAP_RUN_TREE_EMPTY}};
    int status = add_runs(&diff.sides[LAP_DIFF_BASE], base, base_count);
    if (status == 0)
        status = add_runs(&diff.sides[LAP_DIFF_NEXT], next, next_count);
    if (status == 0)
        status = print(arguments, &diff);
    lap_diff_done(&diff);
    return status;
}
