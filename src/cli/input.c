/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "input.h"

#include "import.h"
#include "message.h"
#include "terminal.h"
#include "units.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WARNINGS_SHOWN = 10 };

bool lap_input_is_directory(const char *name)
{
    struct stat status;
    return stat(name, &status) == 0 && S_ISDIR(status.st_mode);
}

bool lap_input_is_recording(const char *name) { return lap_input_is_directory(name) || lap_import_knows(name); }

static bool is_newer(const struct timespec *left, const struct timespec *right)
{
    return left->tv_sec != right->tv_sec ? left->tv_sec > right->tv_sec : left->tv_nsec > right->tv_nsec;
}

char *lap_input_newest(void)
{
    glob_t found;
    char *newest = NULL;
    struct timespec time = {0};
    if (glob(LAP_INPUT_DEFAULT "*", GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct stat status;
            if (stat(found.gl_pathv[i], &status) != 0 || !S_ISDIR(status.st_mode))
                continue;
            if (!newest || is_newer(&status.st_mtim, &time)) {
                free(newest);
                newest = strdup(found.gl_pathv[i]);
                time = status.st_mtim;
            }
        }
        globfree(&found);
    }
    return newest;
}

static int complain(const struct lap_reader_error *error, const char *name, bool is_packed)
{
    const char *const file = error->file[0] ? error->file : name;
    if (error->offset != UINT64_MAX)
        return lap_message_trouble("cannot open '%s': %s, at byte %llu%s", file, error->text,
                                   (unsigned long long)error->offset, is_packed ? " of what is unpacked" : "");
    return lap_message_trouble("cannot open '%s': %s", file,
                               error->code > -4096 ? lap_message_reason(error->code) : error->text);
}

/* Reads a trace of another tool into a recording. *ret_path is that one's, for the caller to free. */
static int import(char **ret_path, const char *name)
{
    struct lap_import import;
    struct lap_reader_error error = {0};
    const int code = lap_import_read(&import, name, &error);
    int status = 0;
    if (code == 0 && import.cut_offset != UINT64_MAX)
        lap_message_warning("'%s': cut off, at byte %llu%s: what stands before that is read", name,
                            (unsigned long long)import.cut_offset, import.is_packed ? " of what is unpacked" : "");
    if (code == 0 && import.rest_offset != UINT64_MAX)
        lap_message_warning("'%s': the trace ends at byte %llu%s: what stands behind it is left out", name,
                            (unsigned long long)import.rest_offset, import.is_packed ? " of what is unpacked" : "");
    if (import.left_out)
        lap_message_note("'%s': left out, since nothing here stands for it: %s", name, import.left_out);
    if (code < 0)
        status = complain(&error, name, import.is_packed);
    else if (!(*ret_path = strdup(import.recording)))
        abort();
    lap_import_done(&import);
    return status;
}

/* The directory that is opened for a name: itself, or what it was read into. Caller frees. */
static int find_path(char **ret_path, const char *name)
{
    struct stat found;
    if (stat(name, &found) != 0)
        return lap_message_trouble("cannot open '%s': %s", name, lap_message_reason(errno));
    if (!S_ISDIR(found.st_mode))
        return import(ret_path, name);
    if (!(*ret_path = strdup(name)))
        abort();
    return 0;
}

int lap_input_open(struct lap_recording **ret_recording, char **names, int count)
{
    char *newest[2] = {NULL, NULL};
    if (count == 0) {
        newest[0] = lap_input_newest();
        if (!newest[0])
            return lap_message_trouble("no recording named, and no " LAP_INPUT_DEFAULT "* here; 'lapmark run' makes one");
        names = newest;
        count = 1;
    }
    char **const paths = calloc((size_t)count, sizeof *paths);
    if (!paths)
        abort();
    int status = 0;
    for (int i = 0; i < count && status == 0; i++)
        status = find_path(&paths[i], names[i]);
    struct lap_reader_error error;
    if (status == 0 && lap_recording_open(ret_recording, (const char *const *)paths, (size_t)count, &error) < 0)
        status = complain(&error, names[0], false);
    for (int i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
    free(newest[0]);
    return status;
}

void lap_input_close(struct lap_recording *recording)
{
    lap_recording_free(recording);
    lap_import_remove();
}

size_t lap_input_warn(const struct lap_recording *recording, size_t from)
{
    for (size_t i = from; i < recording->warning_count && i < WARNINGS_SHOWN; i++) {
        const struct lap_warning *const warning = &recording->warnings[i];
        if (warning->offset != UINT64_MAX)
            lap_message_warning("'%s': %s, at byte %llu", warning->file, warning->text,
                                (unsigned long long)warning->offset);
        else
            lap_message_warning("'%s': %s", warning->file, warning->text);
    }
    if (from <= WARNINGS_SHOWN && recording->warning_count > WARNINGS_SHOWN && recording->warning_count > from)
        lap_message_warning("there are more: see 'lapmark check'");
    return recording->warning_count;
}

double lap_input_span_ns(const struct lap_process *process)
{
    if (process->end_ticks <= process->clock.start_ticks)
        return 0;
    return (double)lap_timebase_ns(&process->clock, process->end_ticks - process->clock.start_ticks);
}

json_t *lap_input_thread_json(const struct lap_thread *thread)
{
    if (!thread)
        return json_null();
    json_t *const value = json_object();
    lap_json_set(value, "id", lap_json_count(thread->id));
    lap_json_set(value, "index", lap_json_count(thread->index));
    lap_json_set(value, "name", lap_json_text(thread->name));
    return value;
}

json_t *lap_input_losses_json(const struct lap_process *process)
{
    json_t *const losses = json_object();
    for (int i = 0; i < LAP_FORMAT_LOSSES; i++) {
        const char *const name = lap_loss_text((enum lap_format_loss)i);
        if (name && process->control.losses[i])
            lap_json_set(losses, name, lap_json_count(process->control.losses[i]));
    }
    return losses;
}

/* Was it left by the process itself, since a profiler took its threshold? */
static bool is_for_breach(const struct lap_process *process)
{
    const uint32_t class_id = process->control.snapshot_class;
    return class_id >= LAP_FORMAT_FIRST_SITE_CLASS && class_id < process->catalog.class_count;
}

char *lap_input_snapshot_text(char *out, size_t out_bytes, const struct lap_process *process)
{
    char time[LAP_UNITS_BYTES];
    const uint64_t taken_ns = lap_timebase_realtime_ns(&process->clock, process->control.snapshot.ticks);
    const int length = snprintf(out, out_bytes, "snapshot, taken at %s", lap_units_time(time, taken_ns));
    if (is_for_breach(process) && length > 0 && (size_t)length < out_bytes) {
        char *const name = lap_text_printable(lap_catalog_name(&process->catalog, process->control.snapshot_class));
        char total[LAP_UNITS_BYTES];
        lap_units_duration(total, (double)lap_timebase_ns(&process->clock, process->control.snapshot_total_ticks));
        snprintf(out + length, out_bytes - (size_t)length, " when '%s' took %s", name, total);
        free(name);
    }
    return out;
}

/* What a snapshot says of itself. */
static json_t *snapshot_json(const struct lap_process *process)
{
    const struct lap_format_control *const control = &process->control;
    const bool is_breach = is_for_breach(process);
    json_t *const value = json_object();
    lap_json_set(value, "time_ns", lap_json_count(lap_timebase_realtime_ns(&process->clock, control->snapshot.ticks)));
    lap_json_set(value, "last_ns", control->snapshot_last_ns ? lap_json_count(control->snapshot_last_ns) : json_null());
    lap_json_set(value, "profiler",
                 is_breach ? lap_json_text(lap_catalog_name(&process->catalog, control->snapshot_class)) : json_null());
    lap_json_set(value, "total_ns",
                 is_breach ? lap_json_count(lap_timebase_ns(&process->clock, control->snapshot_total_ticks))
                           : json_null());
    return value;
}

json_t *lap_input_process_json(const struct lap_process *process)
{
    json_t *const clock = json_object();
    lap_json_set(clock, "source", lap_json_text(lap_timebase_source_text(process->clock.source)));
    lap_json_set(clock, "hz", lap_json_ns(process->clock.hz));
    lap_json_set(clock, "resolution_ns", lap_json_ns(process->clock.resolution_ns));
    json_t *const value = json_object();
    lap_json_set(value, "name", lap_json_text(process->name));
    lap_json_set(value, "directory", lap_json_text(process->directory));
    lap_json_set(value, "pid", lap_json_count(process->pid));
    lap_json_set(value, "program", lap_json_text(process->program));
    lap_json_set(value, "host", lap_json_text(process->host));
    lap_json_set(value, "command", lap_json_text(process->command));
    lap_json_set(value, "state", lap_json_text(lap_process_state_text(process->state)));
    if (process->state == LAP_PROCESS_SNAPSHOT)
        lap_json_set(value, "snapshot", snapshot_json(process));
    lap_json_set(value, "mode", lap_json_text(process->control.full ? "full" : "flight"));
    lap_json_set(value, "clock", clock);
    lap_json_set(value, "start_time_ns", lap_json_count(process->clock.start_realtime_ns));
    lap_json_set(value, "duration_ns", lap_json_ns(lap_input_span_ns(process)));
    lap_json_set(value, "threads", lap_json_count(process->thread_count));
    lap_json_set(value, "lost", lap_json_count(process->lost));
    lap_json_set(value, "losses", lap_input_losses_json(process));
    return value;
}
