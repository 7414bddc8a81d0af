/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "collect.h"

#include "input.h"
#include "message.h"
#include "process_copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_NAMES_MAX = 100000, GRACE_TRIES = 10, GRACE_NS = 20000000, NAMED_MAX = 5 };

static char *join(const char *directory, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        abort();
    return path;
}

/* ---- the names in it ---- */

static int by_name(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

/* Those that are not hidden, sorted. Returns 0 or a negative errno. */
static int list(const char *directory, char ***ret_names, size_t *ret_count)
{
    DIR *const stream = opendir(directory);
    if (!stream)
        return -errno;
    char **names = NULL;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        if ((count & (count + 1)) == 0)
            names = realloc(names, (2 * count + 2) * sizeof *names);
        if (!names || !(names[count++] = strdup(entry->d_name)))
            abort();
    }
    closedir(stream);
    if (count > 0)
        qsort(names, count, sizeof *names, by_name);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Is it where a process's files lie on tmpfs: .../lapmark/NAME or .../lapmark-<uid>/NAME? */
static bool is_place(char *target, const char *name)
{
    char *const last = strrchr(target, '/');
    if (!last || strcmp(last + 1, name) != 0)
        return false;
    *last = 0;
    const char *const parent = strrchr(target, '/');
    return parent && strncmp(parent, "/lapmark", strlen("/lapmark")) == 0;
}

/* A process's directory, or a link to one on tmpfs, even if that is gone. */
static bool is_process(const char *directory, const char *name)
{
    char *const path = join(directory, name);
    char *const metadata = join(path, "metadata");
    char target[4096];
    const ssize_t length = readlink(path, target, sizeof target - 1);
    target[length > 0 ? length : 0] = 0;
    const bool is = access(metadata, F_OK) == 0 || is_place(target, name);
    free(metadata);
    free(path);
    return is;
}

/* ---- before ---- */

static int make_default(struct lap_collect *collect, const char *base)
{
    for (int i = 1; i <= DEFAULT_NAMES_MAX; i++) {
        char name[64];
        if (i == 1)
            snprintf(name, sizeof name, "%s", base);
        else
            snprintf(name, sizeof name, "%s-%d", base, i);
        if (mkdir(name, 0700) == 0) {
            collect->directory = strdup(name);
            collect->was_made = true;
            return 0;
        }
        if (errno != EEXIST)
            return lap_message_trouble("cannot make '%s': %s", name, lap_message_reason(errno));
    }
    return lap_message_trouble("cannot make '%s': there are too many", base);
}

static int take_named(struct lap_collect *collect, const char *name)
{
    collect->directory = strdup(name);
    if (mkdir(name, 0700) == 0) {
        collect->was_made = true;
        return 0;
    }
    const int reason = errno;
    if (reason != EEXIST)
        return lap_message_trouble("cannot make '%s': %s", name, lap_message_reason(reason));
    if (!lap_input_is_directory(name))
        return lap_message_trouble("cannot record into '%s': it is no directory", name);
    const int error = list(name, &collect->before, &collect->before_count);
    if (error < 0)
        return lap_message_trouble("cannot open '%s': %s", name, lap_message_reason(error));
    char *const metadata = join(name, "metadata");
    const bool is_one_process = access(metadata, F_OK) == 0;
    free(metadata);
    if (is_one_process)
        return lap_message_trouble("cannot record into '%s': it is one process of a recording", name);
    bool holds_recording = collect->before_count == 0;
    for (size_t i = 0; i < collect->before_count && !holds_recording; i++)
        holds_recording = is_process(name, collect->before[i]);
    if (!holds_recording)
        return lap_message_trouble("cannot record into '%s': it holds something else than recordings", name);
    return 0;
}

int lap_collect_begin(struct lap_collect *collect, const char *name, const char *base)
{
    *collect = (struct lap_collect){0};
    const int status = name ? take_named(collect, name) : make_default(collect, base);
    if (status != 0)
        return status;
    collect->absolute = realpath(collect->directory, NULL);
    if (!collect->absolute)
        return lap_message_trouble("cannot open '%s': %s", collect->directory, lap_message_reason(errno));
    return 0;
}

/* ---- after ---- */

static void look(struct lap_collect_process *process, const char *directory)
{
    char *const path = join(directory, process->name);
    struct lap_recording *recording = NULL;
    process->is_readable = lap_recording_open(&recording, (const char *const *)&path, 1, NULL) >= 0;
    if (process->is_readable) {
        process->state = recording->processes[0]->state;
        process->pid = recording->processes[0]->pid;
        process->breach_snapshots = recording->processes[0]->control.breach_snapshots;
        process->breach_snapshots_spared = recording->processes[0]->control.breach_snapshots_spared;
        lap_recording_free(recording);
    }
    free(path);
}

static bool has_ended(const struct lap_collect_process *process)
{
    return process->state == LAP_PROCESS_ENDED || process->state == LAP_PROCESS_DIED ||
           process->state == LAP_PROCESS_REPLACED;
}

/* A program's children often end a moment after it. */
static void look_with_grace(struct lap_collect *collect, struct lap_collect_process *process, int *tries)
{
    look(process, collect->absolute);
    while (process->is_new && process->state == LAP_PROCESS_RUNNING && *tries > 0) {
        nanosleep(&(struct timespec){.tv_nsec = GRACE_NS}, NULL);
        (*tries)--;
        look(process, collect->absolute);
    }
}

static void say_running(const struct lap_collect *collect, const struct lap_process_copy *copy,
                        const struct lap_collect_process *process)
{
    if (process->state == LAP_PROCESS_RUNNING)
        lap_message_note(
            "process %llu still runs: '%s/%s' stays in '%s', until a later 'lapmark record -o %s' finds that it "
            "has ended",
            process->pid, collect->directory, process->name, copy->place, collect->directory);
    else
        lap_message_note("process %llu cannot be looked for from here: '%s/%s' stays in '%s'", process->pid,
                         collect->directory, process->name, copy->place);
}

static void bring(struct lap_collect *collect, struct lap_collect_process *process, int *tries, unsigned *left)
{
    struct lap_process_copy copy;
    if (lap_process_copy_find(&copy, collect->absolute, process->name) < 0)
        return;
    look_with_grace(collect, process, tries);
    if (!copy.place) {
        process->is_copied = true;
    } else if (!process->is_readable) {
        if (process->is_new)
            lap_message_warning("'%s/%s' cannot be read: see 'lapmark check'", collect->directory, process->name);
    } else if (!has_ended(process)) {
        if (process->is_new && ++*left <= NAMED_MAX)
            say_running(collect, &copy, process);
    } else {
        const int error = lap_process_copy_run(&copy, collect->absolute, process->name);
        process->is_copied = error == 0;
        if (error < 0)
            lap_message_warning("cannot copy '%s/%s': %s; it stays in '%s'", collect->directory, process->name,
                                lap_message_reason(error), copy.place);
    }
    free(copy.place);
}

void lap_collect_end(struct lap_collect *collect)
{
    char **names = NULL;
    size_t count = 0;
    if (list(collect->absolute, &names, &count) < 0)
        return;
    collect->processes = calloc(count + 1, sizeof *collect->processes);
    if (!collect->processes)
        abort();
    struct lap_progress progress = {.text = "copying"};
    int tries = GRACE_TRIES;
    unsigned left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_process(collect->absolute, names[i])) {
            free(names[i]);
            continue;
        }
        char *const *const before = collect->before_count > 0 ? bsearch(&names[i], collect->before, collect->before_count,
                                                                        sizeof *collect->before, by_name)
                                                              : NULL;
        struct lap_collect_process *const process = &collect->processes[collect->process_count++];
        *process = (struct lap_collect_process){.name = names[i], .is_new = !before};
        collect->new_count += process->is_new;
        bring(collect, process, &tries, &left);
        lap_progress_step(&progress, i + 1, count);
    }
    lap_progress_end(&progress);
    if (left > NAMED_MAX)
        lap_message_note("and %u more still run", left - NAMED_MAX);
    free(names);
    if (collect->process_count == 0 && collect->was_made)
        rmdir(collect->absolute);
}

char **lap_collect_new_paths(const struct lap_collect *collect)
{
    char **const paths = calloc(collect->new_count + 1, sizeof *paths);
    if (!paths)
        abort();
    size_t count = 0;
    for (size_t i = 0; i < collect->process_count; i++)
        if (collect->processes[i].is_new)
            paths[count++] = join(collect->directory, collect->processes[i].name);
    return paths;
}

void lap_collect_done(struct lap_collect *collect)
{
    for (size_t i = 0; i < collect->process_count; i++)
        free(collect->processes[i].name);
    free(collect->processes);
    free_names(collect->before, collect->before_count);
    free(collect->directory);
    free(collect->absolute);
}
