/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "recording_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *lap_process_state_text(enum lap_process_state state)
{
    switch (state) {
    case LAP_PROCESS_RUNNING: return "running";
    case LAP_PROCESS_ENDED: return "ended";
    case LAP_PROCESS_REPLACED: return "replaced";
    case LAP_PROCESS_DIED: return "died";
    case LAP_PROCESS_SNAPSHOT: return "snapshot";
    default: return "unknown";
    }
}

const char *lap_loss_text(enum lap_format_loss loss)
{
    static const char *const texts[LAP_FORMAT_LOSSES] = {
        [LAP_FORMAT_LOSS_SIGNAL] = "signal",   [LAP_FORMAT_LOSS_MEMORY] = "memory",
        [LAP_FORMAT_LOSS_DEPTH] = "depth",     [LAP_FORMAT_LOSS_HANDLE] = "handle",
        [LAP_FORMAT_LOSS_CLASS] = "class",     [LAP_FORMAT_LOSS_STATISTICS] = "statistics",
        [LAP_FORMAT_LOSS_DISK] = "disk",       [LAP_FORMAT_LOSS_CLOCK] = "clock",
        [LAP_FORMAT_LOSS_TRAILER] = "trailer", [LAP_FORMAT_LOSS_WISH] = "wish",
    };
    return (unsigned)loss < LAP_FORMAT_LOSSES ? texts[loss] : NULL;
}

bool lap_loss_is_event(enum lap_format_loss loss)
{
    switch (loss) {
    case LAP_FORMAT_LOSS_SIGNAL:
    case LAP_FORMAT_LOSS_MEMORY:
    case LAP_FORMAT_LOSS_DEPTH:
    case LAP_FORMAT_LOSS_CLASS:
    case LAP_FORMAT_LOSS_DISK: return true;
    default: return false;
    }
}

/* The running system's boot id, as 16 bytes. */
static bool boot_id_read(uint8_t boot_id[16])
{
    char text[64] = "";
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const int64_t got = lap_file_read_at(fd, text, sizeof text - 1, 0);
    close(fd);
    unsigned digits = 0;
    for (int64_t i = 0; i < got && digits < 32; i++) {
        const char c = text[i];
        const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0)
            continue;
        boot_id[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : boot_id[digits / 2] | value);
        digits++;
    }
    return digits == 32;
}

/* Field 22 of /proc/PID/stat: 0 for a process that there is not. */
static uint64_t start_time_read(uint64_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return 0;
    text[got] = 0;
    /* The second field, the program's name, may hold anything; the third is the state, of which Z and X are no life. */
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    at += 2;
    for (int field = 3; field < 22 && at; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

/* Does the process map the file? 1, 0, or -1: cannot be told. */
static int maps_file(uint64_t pid, const struct stat *file)
{
    char path[64], line[8192];
    snprintf(path, sizeof path, "/proc/%llu/maps", (unsigned long long)pid);
    FILE *const maps = fopen(path, "re");
    if (!maps)
        return -1;
    int found = 0, lines = 0;
    while (found == 0 && fgets(line, sizeof line, maps)) {
        unsigned device_major, device_minor;
        unsigned long long inode;
        lines++;
        if (sscanf(line, "%*s %*s %*s %x:%x %llu", &device_major, &device_minor, &inode) == 3 && inode == file->st_ino &&
            makedev(device_major, device_minor) == file->st_dev)
            found = 1;
    }
    fclose(maps);
    return found == 0 && lines == 0 ? -1 : found;
}

enum lap_process_state lap_process_find_state(const struct lap_process *process)
{
    const struct lap_format_control *const control = &process->control;
    if (!process->has_control)
        return LAP_PROCESS_UNKNOWN;
    if (control->snapshot.ticks != 0)
        return LAP_PROCESS_SNAPSHOT;
    if (control->state == LAP_FORMAT_ENDED)
        return LAP_PROCESS_ENDED;
    uint8_t boot_id[16];
    struct stat pid_namespace, file;
    if (control->pid == 0 || !boot_id_read(boot_id) || memcmp(boot_id, control->boot_id, sizeof boot_id) != 0 ||
        stat("/proc/self/ns/pid", &pid_namespace) < 0 || pid_namespace.st_ino != control->pid_namespace)
        return LAP_PROCESS_UNKNOWN;
    const uint64_t start_time = start_time_read(control->pid);
    if (start_time == 0 || start_time != control->start_time)
        return LAP_PROCESS_DIED;
    if (fstatat(process->directory_fd, ".lapmark/control", &file, 0) < 0)
        return LAP_PROCESS_UNKNOWN;
    return maps_file(control->pid, &file) == 0 ? LAP_PROCESS_REPLACED : LAP_PROCESS_RUNNING;
}
