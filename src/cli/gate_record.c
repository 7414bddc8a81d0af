/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "gate_record.h"

#include "collect.h"
#include "input.h"
#include "launch.h"
#include "message.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 16 };

int lap_gate_place_make(char **ret_place)
{
    const char *const parent = getenv("TMPDIR");
    char *place;
    if (asprintf(&place, "%s/lapmark-gate-XXXXXX", parent && *parent ? parent : "/tmp") < 0)
        abort();
    if (!mkdtemp(place)) {
        const int status =
            lap_message_trouble("cannot make '%s': %s; TMPDIR says where else", place, lap_message_reason(errno));
        free(place);
        return status;
    }
    *ret_place = place;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    remove(path);
    return 0;
}

static void remove_all(const char *path) { nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS); }

void lap_gate_place_done(char *place)
{
    if (place)
        remove_all(place);
    free(place);
}

static int read_recording(struct lap_gate_runs *runs, enum lap_gate_side side, char **names, int count)
{
    struct lap_recording *recording;
    struct lap_summary *summary;
    const struct lap_summary_options options = {.threads = 1};
    int status = lap_input_open(&recording, names, count);
    if (status != 0)
        return status;
    int error = lap_summary_make(&summary, recording, &options);
    if (error == 0) {
        error = lap_gate_runs_add_summary(runs, side, summary);
        lap_summary_free(summary);
    }
    if (error < 0)
        status = lap_message_trouble("cannot read '%s': %s", names[0], lap_message_reason(error));
    lap_input_close(recording);
    return status;
}

int lap_gate_read(struct lap_gate_runs *runs, enum lap_gate_side side, char *directory)
{
    char *names[] = {directory, NULL};
    return read_recording(runs, side, names, 1);
}

/* Did the program itself do what it should? */
static int check_launch(const struct lap_launch *launch, const char *command, size_t recorded)
{
    if (lap_launch_ending())
        return lap_message_trouble("ended by SIG%s: nothing can be said", sigabbrev_np(lap_launch_ending()));
    if (launch->signal)
        return lap_message_trouble("'%s' was ended by SIG%s: a gate needs runs that go well", command,
                                   sigabbrev_np(launch->signal));
    if (launch->status != 0)
        return lap_message_trouble("'%s' ended with status %d: a gate needs runs that go well", command, launch->status);
    if (recorded == 0)
        return lap_message_trouble("nothing was recorded: '%s' met no profiler that is on, or is not linked with lapmark",
                                   command);
    return 0;
}

static int launch(struct lap_launch *ret_launch, const char *command, const char *directory)
{
    const struct lap_launch_variable variables[] = {{"LAPMARK_RECORD", directory}, {"LAPMARK_PRINT", "off"}};
    char *line;
    if (asprintf(&line, "exec >/dev/null\n%s", command) < 0)
        abort();
    char *arguments[] = {"sh", "-c", line, NULL};
    const int status = lap_launch_run(ret_launch, arguments, variables, sizeof variables / sizeof *variables);
    free(line);
    return status;
}

int lap_gate_record(struct lap_gate_runs *runs, enum lap_gate_side side, const char *command, const char *place)
{
    char *directory;
    if (asprintf(&directory, "%s/run", place) < 0)
        abort();
    struct lap_collect collect;
    struct lap_launch launched;
    int status = lap_collect_begin(&collect, directory, NULL);
    if (status == 0) {
        status = launch(&launched, command, collect.absolute);
        if (status == 0) {
            lap_collect_end(&collect);
            status = check_launch(&launched, command, collect.new_count);
        }
        if (status == 0 && runs) {
            char **const paths = lap_collect_new_paths(&collect);
            status = read_recording(runs, side, paths, (int)collect.new_count);
            for (size_t i = 0; paths[i]; i++)
                free(paths[i]);
            free(paths);
        }
        remove_all(directory);
        lap_collect_done(&collect);
    }
    free(directory);
    return status;
}
