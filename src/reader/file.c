/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "recording_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int lap_file_open(int directory_fd, const char *name, uint64_t *ret_bytes)
{
    /* O_NONBLOCK: a pipe that somebody put there must not stop us. */
    const int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct stat status;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    if (error == 0 && !S_ISREG(status.st_mode))
        error = -EINVAL;
    if (error < 0) {
        close(fd);
        return error;
    }
    *ret_bytes = (uint64_t)status.st_size;
    return fd;
}

int64_t lap_file_read_at(int fd, void *memory, uint64_t bytes, uint64_t offset)
{
    uint64_t done = 0;
    while (done < bytes) {
        const ssize_t got = pread(fd, (char *)memory + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    return (int64_t)done;
}
