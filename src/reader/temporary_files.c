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

/* It stays the handler until all is removed: a second signal, be it to another thread, must not end the program before. */
static void on_end(int number)
{
    static atomic_flag is_ending = ATOMIC_FLAG_INIT;
    const int error = errno;
    if (!atomic_flag_test_and_set(&is_ending)) {
        for (const struct made *made = getpid() == owner ? last : NULL; made; made = made->before)
            remove_one(made);
        signal(number, SIG_DFL);
        raise(number); /* once this returns */
    }
    errno = error;
}

static sigset_t ends_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaddset(&set, ends[i]);
    return set;
}

/* No signal comes between what is done with a file and with the list. */
static sigset_t hold(void)
{
    const sigset_t set = ends_set();
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    return before;
}

void lap_temporary_remove(void)
{
    const sigset_t before = hold();
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
        const struct sigaction action = {.sa_handler = on_end, .sa_mask = ends_set(), .sa_flags = SA_RESTART};
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

static void forget(const char *path)
{
    struct made *later = NULL;
    for (struct made *made = last; made; later = made, made = made->before)
        if (strcmp(made->path, path) == 0) {
            if (later)
                later->before = made->before;
            else
                last = made->before;
            free(made);
            return;
        }
}

int lap_temporary_place(char **ret_path)
{
    const char *const parent = getenv("TMPDIR");
    char *path;
    begin();
    if (asprintf(&path, "%s/lapmark-import-XXXXXX", parent && *parent ? parent : "/tmp") < 0)
        return -ENOMEM;
    *ret_path = path;
    const sigset_t before = hold();
    const int code = mkdtemp(path) ? note(path, true) : -errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
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

int lap_temporary_make(char *path)
{
    begin();
    const sigset_t before = hold();
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        fd = -errno;
    } else if (note(path, false) < 0) {
        unlink(path);
        close(fd);
        fd = -ENOMEM;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fd;
}

int lap_temporary_rename(const char *path, const char *to)
{
    const sigset_t before = hold();
    const int code = rename(path, to) == 0 ? 0 : -errno;
    if (code == 0)
        forget(path);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

void lap_temporary_unlink(const char *path)
{
    const sigset_t before = hold();
    unlink(path);
    forget(path);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
