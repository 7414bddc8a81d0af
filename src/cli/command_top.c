/* SPDX-License-Identifier: MIT
 *
 * `lapmark top`: on a terminal its screen, else a frame of text or JSON for each look.
 */
#define _GNU_SOURCE
#include "commands.h"
#include "message.h"
#include "top_frame.h"
#include "top_json.h"
#include "top_screen.h"
#include "top_watch.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS_MIN UINT64_C(10000000)
#define INTERVAL_NS_MAX UINT64_C(3600000000000)
#define KEPT_BYTES (64 << 20)

static void print_lines(const struct lap_top_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++) {
        const enum lap_style style = lines->lines[i].style;
        const bool is_styled = style != LAP_STYLE_PLAIN && lines->lines[i].text[0];
        printf("%s%s%s\n", is_styled ? lap_terminal_style(style) : "", lines->lines[i].text,
               is_styled ? lap_terminal_style(LAP_STYLE_PLAIN) : "");
    }
}

static void print_frame(const struct lap_top_watch *watch, bool is_recent, double interval_s)
{
    const struct lap_top_view view = {.is_recent = is_recent, .sort = LAP_TOP_TOTAL, .focus = LAP_LIVE_NONE};
    const struct lap_live_tree *const tree = lap_top_watch_tree(watch, false);
    const size_t columns = lap_terminal_get()->columns;
    struct lap_top_lines lines = {0};
    size_t count;
    struct lap_top_row *const rows =
        lap_top_rows_make(tree, &view, is_recent ? watch->recent_s : lap_top_watch_span_ns(watch) / 1e9, &count);
    lap_top_frame_head(&lines, watch, &view, columns, interval_s, false);
    lap_top_frame_table(&lines, tree, &view, rows, count, columns);
    print_lines(&lines);
    lap_top_lines_done(&lines);
    free(rows);
}

static bool is_any_left(const struct lap_top_watch *watch)
{
    for (size_t i = 0; i < watch->process_count; i++)
        if (!watch->processes[i]->is_over)
            return true;
    return false;
}

/* Once, or `count` times (0: any number) after an interval each, as long as a process runs. */
static int print_frames(struct lap_top_watch *watch, const struct lap_arguments *arguments, uint64_t interval_ns,
                        uint64_t count)
{
    const bool is_json = arguments->given[LAP_OPTION_JSON];
    if (arguments->given[LAP_OPTION_ONCE]) {
        if (is_json)
            lap_top_json_print(watch);
        else
            print_frame(watch, false, 0);
        return LAP_EXIT_FINE;
    }
    int status = 0;
    uint64_t due_ns = watch->looked_ns;
    for (uint64_t i = 0; status == 0 && !ferror(stdout); i++) {
        due_ns += interval_ns;
        const struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000), .tv_nsec = (long)(due_ns % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
            continue;
        status = lap_top_watch_look(watch);
        if (status == 0 && is_json)
            lap_top_json_print(watch);
        else if (status == 0)
            print_frame(watch, true, (double)interval_ns / 1e9);
        const bool is_last = i + 1 == count || !is_any_left(watch);
        if (!is_json && !is_last)
            putchar('\n');
        fflush(stdout);
        if (is_last)
            break;
    }
    return status;
}

static int show(struct lap_top_watch *watch, const struct lap_arguments *arguments, uint64_t interval_ns, uint64_t count)
{
    if (arguments->given[LAP_OPTION_ONCE] || arguments->given[LAP_OPTION_JSON] || !isatty(STDOUT_FILENO) ||
        !isatty(STDIN_FILENO))
        return print_frames(watch, arguments, interval_ns, count);
#ifdef LAPMARK_HAS_NCURSES
    return lap_top_screen_run(watch, interval_ns, count);
#else
    return lap_message_trouble(
        "this lapmark was built without ncurses and has no screen; --once prints what it would show");
#endif
}

int lap_command_top(const struct lap_arguments *arguments)
{
    uint64_t interval_ns = 1000000000, count = 0;
    if (lap_arguments_duration(arguments, LAP_OPTION_INTERVAL, &interval_ns) != 0 ||
        lap_arguments_count(arguments, LAP_OPTION_COUNT, &count) != 0)
        return LAP_EXIT_TROUBLE;
    if (interval_ns < INTERVAL_NS_MIN || interval_ns > INTERVAL_NS_MAX)
        return lap_message_trouble("--interval: '%s' is not between 10ms and 1h", arguments->values[LAP_OPTION_INTERVAL]);
    if (arguments->given[LAP_OPTION_ONCE] && arguments->given[LAP_OPTION_COUNT])
        return lap_message_trouble("--once and --count do not go together");
    /* Each look takes the same memory again: giving it back in between costs more than the look. */
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES / 2);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);

    struct lap_top_watch watch;
    int status = lap_top_watch_begin(&watch, arguments);
    if (status == 0)
        status = show(&watch, arguments, interval_ns, count);
    lap_top_watch_done(&watch);
    return status;
}
