/* SPDX-License-Identifier: MIT
 *
 * A full recording whose N-th segment meets an accident while it is being written to the disk.
 *
 * usage: oracle_write kill|half|full N     killed before it is written, in the middle, or there is no space
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SEGMENT_AT_LEAST = 50000 };

static const char *accident;
static unsigned left;

/* In the place of libc's, for the library too. */
__attribute__((visibility("default"))) ssize_t write(int fd, const void *bytes, size_t count)
{
    if (count >= SEGMENT_AT_LEAST && accident && left > 0 && --left == 0) {
        if (strcmp(accident, "full") == 0) {
            errno = ENOSPC;
            return -1;
        }
        if (strcmp(accident, "half") == 0)
            syscall(SYS_write, fd, bytes, count / 2);
        raise(SIGKILL);
    }
    return syscall(SYS_write, fd, bytes, count);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    left = (unsigned)strtoul(argv[2], NULL, 10);
    accident = argv[1];
    LAP_PROFILE("outer");
    for (long i = 0; i < 20000; i++) {
        LAP_PROFILE_WITH(LAP_OPTS(.n = i), "turn");
        LAP_MARK("lap");
    }
    return 0;
}
