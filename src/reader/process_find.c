/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process_find.h"

#include "lapmark/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL_PATH "/.lapmark/control"

/* In maps a newline in a path is \012; all else is as it is. */
static void unescape(char *path)
{
    char *out = path;
    for (const char *at = path; *at; at++) {
        const bool is_newline = strncmp(at, "\\012", 4) == 0;
        *out++ = is_newline ? '\n' : *at;
        at += is_newline ? 3 : 0;
    }
    *out = 0;
}

/* Is it the file that is mapped, and the process's own? A child that has been forked and stored nothing yet maps its
 * parent's. */
static bool is_its_own(const char *path, uint64_t pid, dev_t device, ino_t inode)
{
    struct lap_format_control control;
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return false;
    const bool is = fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode &&
                    pread(fd, &control, sizeof control, 0) == (ssize_t)sizeof control &&
                    control.magic == LAP_FORMAT_CONTROL_MAGIC && control.pid == pid;
    close(fd);
    return is;
}

int lap_process_find(uint64_t pid, char **ret_directory)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%llu/maps", (unsigned long long)pid);
    FILE *const maps = fopen(name, "re");
    if (!maps)
        return errno == ENOENT ? -ESRCH : errno == ENOMEM ? -ENOMEM : -EACCES;
    char *line = NULL;
    size_t room = 0;
    int error = -ENOPKG, lines = 0;
    while (error != 0 && getline(&line, &room, maps) > 0) {
        unsigned device_major, device_minor;
        unsigned long long inode;
        int start = 0;
        lines++;
        if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &device_major, &device_minor, &inode, &start) != 3 || start == 0)
            continue;
        char *const path = line + start;
        path[strcspn(path, "\n")] = 0;
        unescape(path);
        const size_t length = strlen(path), tail = strlen(CONTROL_PATH);
        if (strstr(path, "/liblapmark.so"))
            error = -ENOENT;
        if (length <= tail || strcmp(path + length - tail, CONTROL_PATH) != 0 ||
            !is_its_own(path, pid, makedev(device_major, device_minor), inode))
            continue;
        *ret_directory = strndup(path, length - tail);
        error = 0;
        if (!*ret_directory) {
            error = -ENOMEM;
            break;
        }
    }
    free(line);
    if (lines == 0) /* the kernel tells nothing of a process that ends, and of one that may not be looked into */
        error = ferror(maps) ? -EACCES : -ESRCH;
    fclose(maps);
    return error;
}
