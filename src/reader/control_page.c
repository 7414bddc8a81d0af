/* SPDX-License-Identifier: MIT
 *
 * A process's control page. Its counts have nothing to be checked against but what can be at all; what cannot is told as
 * damage and taken as 0, so that no one is shown it as a fact.
 */
#include "recording_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_FILE ".lapmark/control"
#define RINGS_MAX 65536u
#define PID_MAX (1u << 30)                /* Linux: 2^22 so far */
#define EVENT_TICKS_X1000_MAX 1000000000u /* a million ticks for an event: no machine */
#define RESOLUTION_TICKS_MAX (UINT64_C(1) << 40)
#define MEMORY_BYTES_MAX (UINT64_C(1) << 48)
#define REALTIME_NS_MAX (UINT64_C(1) << 62) /* the year 2116 */
#define LOST_EACH_TICK_MAX 4096u            /* as many as there can be rings */

#define FIELD(name, max)                                                                                                 \
    {                                                                                                                    \
        offsetof(struct lap_format_control, name), sizeof(((struct lap_format_control *)0)->name), (max)                 \
    }

static const struct {
    size_t offset, bytes;
    uint64_t max;
} fields[] = {
    FIELD(header_bytes, LAP_FORMAT_CONTROL_HEADER_BYTES),
    FIELD(pid, PID_MAX),
    FIELD(state, LAP_FORMAT_ENDED),
    FIELD(clock_source, LAP_FORMAT_CLOCK_MONOTONIC),
    FIELD(clock_resolution_ticks, RESOLUTION_TICKS_MAX),
    FIELD(start.realtime_ns, REALTIME_NS_MAX),
    FIELD(end.realtime_ns, REALTIME_NS_MAX),
    FIELD(snapshot.realtime_ns, REALTIME_NS_MAX),
    FIELD(segment_bytes, LAP_FORMAT_SEGMENT_BYTES_MAX),
    FIELD(memory_bytes, MEMORY_BYTES_MAX),
    FIELD(event_ticks_x1000, EVENT_TICKS_X1000_MAX),
    FIELD(switches, LAP_FORMAT_SWITCHES),
    FIELD(rings, RINGS_MAX),
    FIELD(full, 1),
    FIELD(removed_segments, LAP_LOSS_MAX),
};

static void damage_tell(const struct lap_process *process, size_t offset)
{
    lap_process_warn(process, LAP_READER_CONTROL, CONTROL_FILE, offset, "number that cannot be");
}

static void fields_check(struct lap_process *process)
{
    struct lap_format_control *const control = &process->control;
    char *const page = (char *)control;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t value = 0;
        memcpy(&value, page + fields[i].offset, fields[i].bytes);
        if (value <= fields[i].max)
            continue;
        damage_tell(process, fields[i].offset);
        memset(page + fields[i].offset, 0, fields[i].bytes);
    }
}

/* Of a process that ended its duration is known: no ring loses more than an event each tick. */
static uint64_t loss_max(const struct lap_format_control *control)
{
    if (control->end.ticks <=
        control->start.ticks) /* it runs; or the counter was set back, as some machines' sleep does */
        return LAP_LOSS_MAX;
    const uint64_t ticks = control->end.ticks - control->start.ticks;
    return ticks < LAP_LOSS_MAX / LOST_EACH_TICK_MAX ? (ticks + 1) * LOST_EACH_TICK_MAX : LAP_LOSS_MAX;
}

static void losses_check(struct lap_process *process)
{
    struct lap_format_control *const control = &process->control;
    const uint64_t max = loss_max(control);
    for (size_t loss = 0; loss < LAP_FORMAT_LOSSES; loss++)
        if (control->losses[loss] > max) {
            damage_tell(process, offsetof(struct lap_format_control, losses) + loss * sizeof *control->losses);
            control->losses[loss] = 0;
        }
}

int lap_process_read_control(struct lap_process *process, struct lap_reader_error *error)
{
    uint64_t bytes = 0;
    const int fd = lap_file_open(process->directory_fd, CONTROL_FILE, &bytes);
    if (fd < 0) {
        lap_process_warn(process, fd, CONTROL_FILE, UINT64_MAX, NULL);
        return 0;
    }
    struct lap_format_control *const control = &process->control;
    const int64_t got = lap_file_read_at(fd, control, sizeof *control, 0);
    close(fd);
    if (got < (int64_t)sizeof *control || control->magic != LAP_FORMAT_CONTROL_MAGIC) {
        lap_process_warn(process, LAP_READER_CONTROL, CONTROL_FILE, 0, NULL);
        memset(control, 0, sizeof *control);
        return 0;
    }
    if (control->version != LAP_FORMAT_VERSION || control->features != 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", process->directory, CONTROL_FILE);
        return lap_reader_error_set(error, LAP_READER_VERSION, path,
                                    control->version != LAP_FORMAT_VERSION
                                        ? offsetof(struct lap_format_control, version)
                                        : offsetof(struct lap_format_control, features),
                                    NULL);
    }
    fields_check(process);
    losses_check(process);
    control->program[sizeof control->program - 1] = 0;
    control->host[sizeof control->host - 1] = 0;
    control->command[sizeof control->command - 1] = 0;
    process->has_control = true;
    for (int loss = 0; loss < LAP_FORMAT_LOSSES; loss++)
        if (lap_loss_is_event((enum lap_format_loss)loss))
            process->lost += control->losses[loss];
    return 0;
}
