/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "temporary_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct made {
    struct made *before;
    bool is_directory;
    char path[];
};

static struct made *_Atomic last; /* what was made later stands before what it is in */
static pid_t owner;
static const int ends[] = {SIGHUP, SIGINT, SIGTERM};

static void remove_one(const struct made *made)
{
    if (made->is_directory)
        rmdir(made->path);
    else
        unlink(made->path);
}

static void on_end(int number)
{
    for (const struct made *made = getpid() == owner ? last : NULL; made; made = made->before)
        remove_one(made);
    raise(number); /* by its default, once this returns */
}

void lap_temporary_remove(void)
{
    sigset_t set, before;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaddset(&set, ends[i]);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    while (last && getpid() == owner) {
        struct made *const made = last;
        remove_one(made);
        last = made->before;
        free(made);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void begin(void)
{
    if (owner == getpid())
        return;
    owner = getpid();
    atexit(lap_temporary_remove);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const struct sigaction action = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND};
        struct sigaction old;
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(ends[i], &action, NULL);
    }
}

/* Before it is made, so that no signal comes between. */
static int note(const char *path, bool is_directory)
{
    const size_t bytes = strlen(path) + 1;
    struct made *const made = malloc(sizeof *made + bytes);
    if (!made)
        return -ENOMEM;
    made->before = last;
    made->is_directory = is_directory;
    memcpy(made->path, path, bytes);
    last = made;
    return 0;
}

int lap_temporary_place(char **ret_path)
{
    const char *const parent = getenv("TMPDIR");
    char *path;
    begin();
    if (asprintf(&path, "%s/lapmark-import-XXXXXX", parent && *parent ? parent : "/tmp") < 0)
        return -ENOMEM;
    *ret_path = path;
    if (!mkdtemp(path))
        return -errno;
    return note(path, true);
}

int lap_temporary_directory(const char *path)
{
    const int code = note(path, true);
    return code < 0 || mkdir(path, 0700) == 0 ? code : -errno;
}

int lap_temporary_file(const char *path, const void *bytes, size_t count)
{
    int code = note(path, false);
    if (code < 0)
        return code;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    for (const char *at = bytes; count > 0 && code == 0;) {
        const ssize_t written = write(fd, at, count);
        if (written < 0 && errno != EINTR)
            code = -errno;
        at += written > 0 ? written : 0;
        count -= written > 0 ? (size_t)written : 0;
    }
    return close(fd) < 0 && code == 0 ? -errno : code;
}
