/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "recording_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- warnings ---------------------------------------------------------------------------------------------------- */

void lap_recording_warn(struct lap_recording *recording, const struct lap_process *process, int code, const char *file,
                        uint64_t offset, const char *text)
{
    struct lap_recording_shared *const shared = recording->internal;
    pthread_mutex_lock(&shared->lock);
    for (size_t i = 0; i < recording->warning_count; i++) { /* a second pass over the events says nothing new */
        const struct lap_warning *const known = &recording->warnings[i];
        if (known->code == code && known->offset == offset && known->process == process && strcmp(known->file, file) == 0)
            goto end;
    }
    struct lap_warning *const warnings =
        recording->warning_count < LAP_RECORDING_WARNINGS
            ? realloc(recording->warnings, (recording->warning_count + 1) * sizeof *warnings)
            : NULL;
    char *const copy = warnings ? strdup(file) : NULL;
    if (warnings)
        recording->warnings = warnings;
    if (copy)
        warnings[recording->warning_count++] =
            (struct lap_warning){process, code, offset, text ? text : lap_reader_error_text(code), copy};
    else
        recording->warnings_left_out++;
end:
    pthread_mutex_unlock(&shared->lock);
}

/* Warnings about a process that is not part of the recording after all. */
void lap_recording_forget(struct lap_recording *recording, const struct lap_process *process)
{
    for (size_t i = 0; i < recording->warning_count; i++)
        if (recording->warnings[i].process == process)
            recording->warnings[i].process = NULL;
}

void lap_process_warn(const struct lap_process *process, int code, const char *file, uint64_t offset, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", process->directory, file);
    lap_recording_warn(process->recording, process, code, path, offset, text);
}

void lap_process_warn_segment(const struct lap_process *process, int code, const char *file)
{
    const struct lap_process_shared *const shared = process->internal;
    if (code == -ENOENT && shared->may_change && process->control.full)
        lap_recording_warn(process->recording, process, LAP_READER_CHANGED, process->directory, UINT64_MAX,
                           "segments were removed while they were read");
    else
        lap_process_warn(process, code, file, UINT64_MAX, NULL);
}

/* ---- finding process directories --------------------------------------------------------------------------------- */

struct opening {
    struct lap_recording *recording;
    struct lap_reader_error first; /* of a process that could not be read; code 0: none */
    size_t found;                  /* process directories, readable or not */
};

static bool is_process_directory(int fd)
{
    return faccessat(fd, "metadata", F_OK, 0) == 0 || faccessat(fd, ".lapmark/control", F_OK, 0) == 0;
}

static bool is_known(const struct lap_recording *recording, const struct stat *status)
{
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_process_shared *const shared = recording->processes[i]->internal;
        if (shared->device == status->st_dev && shared->inode == status->st_ino)
            return true;
    }
    return false;
}

static const struct lap_process *same_uuid(const struct lap_recording *recording, const struct lap_process *process)
{
    for (size_t i = 0; i < recording->process_count; i++)
        if (memcmp(recording->processes[i]->catalog.uuid, process->catalog.uuid, sizeof process->catalog.uuid) == 0)
            return recording->processes[i];
    return NULL;
}

/* Opens one process directory and adds it. 0 (also if it is only a warning) or -ENOMEM. Takes over fd. */
static int process_add(struct opening *opening, int fd, const char *directory)
{
    struct lap_recording *const recording = opening->recording;
    struct stat status;
    opening->found++;
    if (fstat(fd, &status) == 0 && is_known(recording, &status)) {
        close(fd);
        return 0;
    }
    struct lap_process **const processes =
        realloc(recording->processes, (recording->process_count + 1) * sizeof *processes);
    if (!processes) {
        close(fd);
        return -ENOMEM;
    }
    recording->processes = processes;
    struct lap_reader_error error = {0};
    struct lap_process *process;
    const int code = lap_process_open(&process, recording, fd, directory, &error);
    if (code == -ENOMEM)
        return code;
    if (code < 0) {
        if (opening->first.code == 0)
            opening->first = error;
        lap_recording_warn(recording, NULL, error.code, error.file, error.offset, error.text);
        return 0;
    }
    if (same_uuid(recording, process)) {
        lap_recording_warn(recording, NULL, LAP_READER_CHANGED, directory, UINT64_MAX,
                           "second copy of a process, left out");
        lap_recording_forget(recording, process);
        lap_process_free(process);
        return 0;
    }
    processes[recording->process_count++] = process;
    return 0;
}

/* Does `other` hold all that snapshot `process` counts? The process's own recording does, and a later snapshot of it. */
static bool is_counted_by(const struct lap_process *process, const struct lap_process *other)
{
    const uint8_t *const of = process->control.snapshot_of;
    if (process->state != LAP_PROCESS_SNAPSHOT || process == other)
        return false;
    if (other->state != LAP_PROCESS_SNAPSHOT)
        return memcmp(other->catalog.uuid, of, sizeof process->control.snapshot_of) == 0;
    return memcmp(other->control.snapshot_of, of, sizeof process->control.snapshot_of) == 0 &&
           other->control.snapshot.ticks > process->control.snapshot.ticks;
}

/* No process is counted twice because of its snapshots. */
static void snapshots_leave_out(struct lap_recording *recording)
{
    for (size_t i = 0; i < recording->process_count; i++) {
        struct lap_process *const process = recording->processes[i];
        const struct lap_process *other = NULL;
        for (size_t j = 0; j < recording->process_count && !other; j++)
            if (is_counted_by(process, recording->processes[j]))
                other = recording->processes[j];
        if (!other)
            continue;
        lap_recording_warn(recording, NULL, LAP_READER_SNAPSHOT, process->directory, UINT64_MAX,
                           other->state == LAP_PROCESS_SNAPSHOT
                               ? "left out, for a later snapshot of the process is here: name it alone to see it"
                               : "left out, for the process itself is here: name the snapshot alone to see it");
        lap_recording_forget(recording, process);
        lap_process_free(process);
        recording->processes[i--] = recording->processes[--recording->process_count];
    }
}

static int names_compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names in a directory that do not start with a dot, sorted. Returns 0 or a negative errno. */
static int names_read(int directory_fd, char ***ret_names, size_t *ret_count)
{
    const int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        const int error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    char **names = NULL;
    size_t count = 0, room = 0;
    int error = 0;
    for (const struct dirent *entry; error == 0 && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        if (count == room) {
            room = room ? 2 * room : 64;
            char **const more = realloc(names, room * sizeof *more);
            if (!more) {
                error = -ENOMEM;
                break;
            }
            names = more;
        }
        names[count] = strdup(entry->d_name);
        error = names[count] ? 0 : -ENOMEM;
        count += names[count] != NULL;
    }
    closedir(directory);
    if (count > 0)
        qsort(names, count, sizeof *names, names_compare);
    *ret_names = names;
    *ret_count = count;
    return error;
}

static int children_add(struct opening *opening, int directory_fd, const char *directory)
{
    char **names = NULL;
    size_t count = 0;
    int error = names_read(directory_fd, &names, &count);
    for (size_t i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        struct stat status;
        const int fd = error == 0 ? openat(directory_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd >= 0 && is_process_directory(fd))
            error = process_add(opening, fd, path);
        else if (fd >= 0)
            close(fd);
        else if (error == 0 && errno == ENOENT && fstatat(directory_fd, names[i], &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISLNK(status.st_mode))
            lap_recording_warn(opening->recording, NULL, -ENOENT, path, UINT64_MAX, "link to a recording that is gone");
        free(names[i]);
    }
    free(names);
    return error;
}

static int path_add(struct opening *opening, const char *path, struct lap_reader_error *error)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return lap_reader_error_set(error, -errno, path, UINT64_MAX, NULL);
    if (is_process_directory(fd)) {
        const int code = process_add(opening, fd, path);
        return code < 0 ? lap_reader_error_set(error, code, path, UINT64_MAX, NULL) : 0;
    }
    const size_t found = opening->found;
    const int code = children_add(opening, fd, path);
    close(fd);
    if (code < 0)
        return lap_reader_error_set(error, code, path, UINT64_MAX, NULL);
    if (opening->found == found)
        return lap_reader_error_set(error, LAP_READER_NO_RECORDING, path, UINT64_MAX, NULL);
    return 0;
}

static int processes_compare(const void *a, const void *b)
{
    const struct lap_process *const p = *(struct lap_process *const *)a, *const q = *(struct lap_process *const *)b;
    const uint64_t p_ns = p->first_ticks ? lap_timebase_realtime_ns(&p->clock, p->first_ticks) : UINT64_MAX;
    const uint64_t q_ns = q->first_ticks ? lap_timebase_realtime_ns(&q->clock, q->first_ticks) : UINT64_MAX;
    if (p_ns != q_ns)
        return p_ns < q_ns ? -1 : 1;
    return strcmp(p->directory, q->directory);
}

static int recording_open(struct lap_recording **ret_recording, const char *const *paths, size_t count, bool is_newest,
                          struct lap_reader_error *error)
{
    struct lap_recording *const recording = calloc(1, sizeof *recording);
    struct lap_recording_shared *const shared = calloc(1, sizeof *shared);
    if (!recording || !shared) {
        free(recording);
        free(shared);
        return lap_reader_error_set(error, -ENOMEM, "", UINT64_MAX, NULL);
    }
    pthread_mutex_init(&shared->lock, NULL);
    shared->is_newest = is_newest;
    recording->internal = shared;
    struct opening opening = {.recording = recording};
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++)
        code = path_add(&opening, paths[i], error);
    if (code == 0 && recording->process_count == 0) {
        code = opening.first.code != 0 ? opening.first.code : LAP_READER_NO_RECORDING;
        if (opening.first.code != 0 && error)
            *error = opening.first;
        else if (opening.first.code == 0)
            lap_reader_error_set(error, code, count > 0 ? paths[0] : "", UINT64_MAX, NULL);
    }
    if (code < 0) {
        lap_recording_free(recording);
        return code;
    }
    snapshots_leave_out(recording);
    qsort(recording->processes, recording->process_count, sizeof *recording->processes, processes_compare);
    for (size_t i = 0; i < recording->process_count; i++)
        recording->processes[i]->index = i;
    *ret_recording = recording;
    return 0;
}

int lap_recording_open(struct lap_recording **ret_recording, const char *const *paths, size_t count,
                       struct lap_reader_error *error)
{
    return recording_open(ret_recording, paths, count, false, error);
}

int lap_recording_open_newest(struct lap_recording **ret_recording, const char *const *paths, size_t count,
                              struct lap_reader_error *error)
{
    return recording_open(ret_recording, paths, count, true, error);
}

void lap_recording_free(struct lap_recording *recording)
{
    if (!recording)
        return;
    for (size_t i = 0; i < recording->process_count; i++)
        lap_process_free(recording->processes[i]);
    for (size_t i = 0; i < recording->warning_count; i++)
        free((char *)(uintptr_t)recording->warnings[i].file);
    struct lap_recording_shared *const shared = recording->internal;
    pthread_mutex_destroy(&shared->lock);
    free(shared);
    free(recording->warnings);
    free(recording->processes);
    free(recording);
}

bool lap_recording_is_incomplete(const struct lap_recording *recording)
{
    for (size_t i = 0; i < recording->process_count; i++)
        for (size_t r = 0; r < recording->processes[i]->ring_count; r++) {
            const struct lap_ring *const ring = &recording->processes[i]->rings[r];
            if (ring->missing_segments > 0 || (ring->segment_count > 0 && ring->segments[0].header.sequence > 0))
                return true;
        }
    return false;
}
