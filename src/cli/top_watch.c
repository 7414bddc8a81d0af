/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_watch.h"

#include "input.h"
#include "message.h"
#include "process_find.h"
#include "top_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void text_set(char **text, const char *to)
{
    free(*text);
    *text = strdup(to);
    if (!*text)
        abort();
}

/* ---- one process ----------------------------------------------------------------------------------------------------- */

static void process_free(struct lap_top_process *process)
{
    lap_live_tree_done(&process->tree);
    free(process->directory);
    free(process->name);
    free(process->program);
    free(process->command);
    free(process);
}

static void process_describe(struct lap_top_process *process, const struct lap_process *from)
{
    text_set(&process->name, from->name);
    text_set(&process->program, from->program);
    text_set(&process->command, from->command);
    process->pid = from->pid;
    process->state = from->state;
    process->is_over = from->state != LAP_PROCESS_RUNNING && from->state != LAP_PROCESS_UNKNOWN;
    process->span_ns = lap_input_span_ns(from);
    process->start_time_ns = from->clock.start_realtime_ns;
    process->threads = from->thread_count;
    process->lost = from->lost;
    process->resolution_ns = from->clock.resolution_ns;
}

/* Returns 0, or a negative code: it cannot be read. */
static int process_read(struct lap_top_process *process, struct lap_reader_error *error)
{
    const char *const path = process->directory;
    struct lap_recording *recording;
    int code = lap_recording_open_newest(&recording, &path, 1, error);
    if (code < 0)
        return code;
    const struct lap_summary_options options = {.threads = 1};
    struct lap_summary *summary = NULL;
    code = lap_summary_make(&summary, recording, &options);
    if (code == 0)
        code = lap_live_tree_update(&process->tree, &summary->groups[0]);
    if (code == -ENOMEM)
        abort();
    process_describe(process, recording->processes[0]);
    lap_summary_free(summary);
    lap_recording_free(recording);
    return code;
}

/* A process whose recording is gone has ended, and what it was seen to do last stays. */
static void process_look(struct lap_top_process *process)
{
    if (process->is_over || process_read(process, NULL) < 0)
        lap_live_tree_rest(&process->tree);
    if (!process->is_over && access(process->directory, F_OK) < 0) {
        process->is_over = true;
        process->state = LAP_PROCESS_ENDED;
    }
}

/* ---- all of them ----------------------------------------------------------------------------------------------------- */

static bool is_known(const struct lap_top_watch *watch, const char *directory)
{
    for (size_t i = 0; i < watch->process_count; i++)
        if (strcmp(watch->processes[i]->directory, directory) == 0)
            return true;
    for (size_t i = 0; i < watch->passed_over_count; i++)
        if (strcmp(watch->passed_over[i], directory) == 0)
            return true;
    return false;
}

static void *one_more(void *array, size_t count, size_t bytes)
{
    void *const more = (count & (count - 1)) == 0 ? realloc(array, 2 * (count ? count : 1) * bytes) : array;
    if (!more)
        abort();
    return more;
}

/* A process's directory that was found: 1 if it is one to look at. */
static int add(struct lap_top_watch *watch, const char *directory, bool only_running)
{
    if (is_known(watch, directory))
        return 1;
    struct lap_top_process *const process = calloc(1, sizeof *process);
    if (!process)
        abort();
    process->tree = (struct lap_live_tree)LAP_LIVE_TREE_EMPTY;
    text_set(&process->directory, directory);
    const int code = process_read(process, NULL);
    const bool is_wanted = code == 0 && (!only_running || process->state == LAP_PROCESS_RUNNING);
    if (is_wanted) {
        lap_live_tree_rest(&process->tree); /* what it did before we looked */
        watch->processes = one_more(watch->processes, watch->process_count, sizeof(struct lap_top_process *));
        watch->processes[watch->process_count++] = process;
        return 1;
    }
    if (code == 0) { /* else it may just have been made: it is looked at again */
        watch->passed_over = one_more(watch->passed_over, watch->passed_over_count, sizeof(char *));
        watch->passed_over[watch->passed_over_count] = NULL;
        text_set(&watch->passed_over[watch->passed_over_count++], directory);
    }
    process_free(process);
    return 0;
}

static int add_running(void *user, const char *directory) { return add(user, directory, true); }
static int add_any(void *user, const char *directory) { return add(user, directory, false); }

/* A process number, 0 if the text is none. A directory of that name is told by a slash. */
static uint64_t pid_of(const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long pid = strtoull(text, &end, 10);
    return *text >= '1' && *text <= '9' && !*end && !errno ? pid : 0;
}

/* 1, 0 where it records nothing, or a negative errno. */
static int find_pid(struct lap_top_watch *watch, uint64_t pid)
{
    char *directory;
    const int error = lap_process_find(pid, &directory);
    if (error < 0)
        return error == -ENOENT || error == -ENOPKG ? 0 : error;
    const int found = add_running(watch, directory);
    free(directory);
    return found;
}

static int find_operand(struct lap_top_watch *watch, const char *operand, bool is_first)
{
    const uint64_t pid = pid_of(operand);
    const bool is_pid = pid != 0;
    const int found = is_pid ? find_pid(watch, pid) : lap_top_find_directory(operand, add_any, watch);
    if (!is_first || found > 0)
        return 0;
    if (is_pid && found == 0)
        return lap_message_trouble("process %s records nothing that can be looked at; it must run under 'lapmark run'",
                                   operand);
    if (is_pid)
        return lap_message_trouble("cannot look at process %s: %s", operand, lap_message_reason(found));
    if (found < 0)
        return lap_message_trouble("cannot open '%s': %s", operand, lap_message_reason(found));
    return lap_message_trouble("cannot open '%s': no recording of a process in it", operand);
}

static int find(struct lap_top_watch *watch, bool is_first)
{
    if (watch->arguments->operand_count == 0) {
        if (lap_top_find_all(add_running, watch) == 0 && watch->process_count == 0) {
            lap_message_trouble("no process of this user is being recorded; 'lapmark run -- PROGRAM' records one");
            return LAP_EXIT_NO;
        }
        return 0;
    }
    int status = 0;
    for (int i = 0; i < watch->arguments->operand_count && status == 0; i++)
        status = find_operand(watch, watch->arguments->operands[i], is_first);
    return status;
}

static void trees_fill(struct lap_top_watch *watch)
{
    lap_live_tree_clear(&watch->merged);
    lap_live_tree_clear(&watch->by_process);
    for (size_t i = 0; i < watch->process_count; i++) {
        const struct lap_top_process *const process = watch->processes[i];
        char root[320];
        snprintf(root, sizeof root, "%.256s %llu", process->program, (unsigned long long)process->pid);
        if ((watch->process_count > 1 && lap_live_tree_add(&watch->merged, &process->tree, NULL) < 0) ||
            lap_live_tree_add(&watch->by_process, &process->tree, root) < 0)
            abort();
    }
}

int lap_top_watch_begin(struct lap_top_watch *watch, const struct lap_arguments *arguments)
{
    *watch =
        (struct lap_top_watch){.arguments = arguments, .merged = LAP_LIVE_TREE_EMPTY, .by_process = LAP_LIVE_TREE_EMPTY};
    const int status = find(watch, true);
    watch->looked_ns = now_ns();
    if (status == 0)
        trees_fill(watch);
    return status;
}

int lap_top_watch_look(struct lap_top_watch *watch)
{
    const uint64_t now = now_ns();
    for (size_t i = 0; i < watch->process_count; i++)
        process_look(watch->processes[i]);
    const int status = find(watch, false);
    watch->recent_s = (double)(now - watch->looked_ns) / 1e9;
    watch->looked_ns = now;
    trees_fill(watch);
    return status;
}

void lap_top_watch_done(struct lap_top_watch *watch)
{
    for (size_t i = 0; i < watch->process_count; i++)
        process_free(watch->processes[i]);
    for (size_t i = 0; i < watch->passed_over_count; i++)
        free(watch->passed_over[i]);
    free(watch->processes);
    free(watch->passed_over);
    lap_live_tree_done(&watch->merged);
    lap_live_tree_done(&watch->by_process);
}

const struct lap_live_tree *lap_top_watch_tree(const struct lap_top_watch *watch, bool is_by_process)
{
    return is_by_process ? &watch->by_process : watch->process_count == 1 ? &watch->processes[0]->tree : &watch->merged;
}

double lap_top_watch_span_ns(const struct lap_top_watch *watch)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < watch->process_count; i++)
        if (watch->processes[i]->start_time_ns < first)
            first = watch->processes[i]->start_time_ns;
    double span = 0;
    for (size_t i = 0; i < watch->process_count; i++) {
        const double end = (double)(watch->processes[i]->start_time_ns - first) + watch->processes[i]->span_ns;
        span = end > span ? end : span;
    }
    return span;
}
