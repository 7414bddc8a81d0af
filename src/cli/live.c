/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "live.h"

#include "input.h"
#include "message.h"
#include "process_find.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *pid, int error)
{
    static const char how[] = "start it under 'lapmark record', or with LAPMARK_RECORD=DIR";
    switch (-error) {
    case ESRCH: return lap_message_trouble("there is no process %s", pid);
    case EACCES: return lap_message_trouble("process %s may not be looked into: only its user and root may", pid);
    case ENOENT: return lap_message_trouble("process %s records nothing that can be reached: %s", pid, how);
    case ENOPKG:
        return lap_message_trouble("process %s records nothing, and has no liblapmark in it: link it, and %s", pid, how);
    default: return lap_message_trouble("cannot look into process %s: %s", pid, lap_message_reason(error));
    }
}

static bool is_number(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 10 && text[digits] == 0;
}

/* Says what the processes are that do not run. */
static int complain_of_state(const struct lap_recording *recording, const char *operand)
{
    if (recording->process_count > 1)
        return lap_message_trouble("of the %zu processes in '%s' none is running", recording->process_count, operand);
    const struct lap_process *const process = recording->processes[0];
    const unsigned long long pid = process->pid;
    switch (process->state) {
    case LAP_PROCESS_ENDED: return lap_message_trouble("process %llu of '%s' has ended", pid, operand);
    case LAP_PROCESS_DIED: return lap_message_trouble("process %llu of '%s' has died", pid, operand);
    case LAP_PROCESS_REPLACED:
        return lap_message_trouble("process %llu of '%s' has become another program", pid, operand);
    case LAP_PROCESS_SNAPSHOT: return lap_message_trouble("'%s' is a snapshot of process %llu", operand, pid);
    default:
        return lap_message_trouble(
            "process %llu of '%s' cannot be looked for from here: it is of another machine, boot or "
            "container",
            pid, operand);
    }
}

/* Where `directory`/.lapmark really is: of a full recording that is elsewhere than its kept files. */
static char *place_of(const char *directory)
{
    char *path = NULL;
    if (asprintf(&path, "%s/.lapmark", directory) < 0)
        abort();
    char *const place = realpath(path, NULL);
    free(path);
    if (place && strrchr(place, '/') > place)
        *strrchr(place, '/') = 0;
    return place;
}

int lap_live_places(char ***ret_places, const char *operand)
{
    struct lap_recording *recording = NULL;
    char *found = NULL;
    size_t count = 0;
    if (is_number(operand)) {
        const int error = lap_process_find(strtoull(operand, NULL, 10), &found);
        if (error < 0)
            return complain(operand, error);
    } else {
        const int status = lap_live_open(&recording, operand);
        if (status != 0)
            return status;
    }
    char **const places = calloc((recording ? recording->process_count : 1) + 1, sizeof *places);
    if (!places)
        abort();
    if (found)
        places[count++] = found;
    for (size_t i = 0; recording && i < recording->process_count; i++)
        if (recording->processes[i]->state == LAP_PROCESS_RUNNING &&
            (places[count] = place_of(recording->processes[i]->directory)) != NULL)
            count++;
    lap_recording_free(recording);
    *ret_places = places;
    return 0;
}

int lap_live_open(struct lap_recording **ret_recording, const char *operand)
{
    char *found = NULL;
    if (is_number(operand)) {
        const int error = lap_process_find(strtoull(operand, NULL, 10), &found);
        if (error < 0)
            return complain(operand, error);
    }
    char *name = found ? found : strdup(operand);
    if (!name)
        abort();
    struct lap_recording *recording = NULL;
    int status = lap_input_open(&recording, &name, 1);
    if (status == 0) {
        size_t running = 0;
        for (size_t i = 0; i < recording->process_count; i++)
            running += recording->processes[i]->state == LAP_PROCESS_RUNNING;
        if (running == 0) {
            status = complain_of_state(recording, operand);
            lap_recording_free(recording);
        } else {
            *ret_recording = recording;
        }
    }
    free(name);
    return status;
}
