/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "out_place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *lap_out_place_directory(const char *name)
{
    const char *const slash = strrchr(name, '/');
    char *const start = slash ? strndup(name, (size_t)(slash + 1 - name)) : strdup(".");
    char *const directory = start ? realpath(start, NULL) : NULL;
    free(start);
    return directory;
}

/* A name in /proc is a link to an open file, whose own name is not to be followed: what is there belongs to who opened it. */
static void proc_look(struct lap_out_place *place)
{
    char *const directory = lap_out_place_directory(place->name), *const own = realpath("/proc/self/fd", NULL);
    place->is_open_file = place->is_there && directory && strncmp(directory, "/proc/", strlen("/proc/")) == 0;
    if (place->is_open_file && own && strcmp(directory, own) == 0)
        place->own_fd = atoi(strrchr(place->name, '/') + 1);
    free(directory);
    free(own);
}

/* Follows one link. Returns 1, 0 where there is none, or a negative errno. */
static int link_follow(char **name)
{
    char target[PATH_MAX], *next;
    const ssize_t bytes = readlink(*name, target, sizeof target);
    if (bytes < 0)
        return 0;
    const char *const slash = target[0] == '/' ? NULL : strrchr(*name, '/');
    const int before = slash ? (int)(slash + 1 - *name) : 0;
    if (asprintf(&next, "%.*s%.*s", before, *name, (int)bytes, target) < 0)
        return -ENOMEM;
    free(*name);
    *name = next;
    return 1;
}

int lap_out_place_find(struct lap_out_place *place, const char *file)
{
    enum { LINKS_MAX = 40 };
    struct stat status;
    *place = (struct lap_out_place){.name = strdup(file), .own_fd = -1};
    int code = place->name ? 1 : -ENOMEM;
    place->is_there = stat(file, &place->status) == 0;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO && place->is_there; fd++)
        if (place->own_fd < 0 && fstat(fd, &status) == 0 && status.st_dev == place->status.st_dev &&
            status.st_ino == place->status.st_ino)
            place->own_fd = fd;
    for (int links = 0; code > 0; links++) {
        if (place->own_fd < 0)
            proc_look(place);
        code = place->is_open_file ? 0 : links < LINKS_MAX ? link_follow(&place->name) : -ELOOP;
    }
    if (code < 0)
        free(place->name);
    return code;
}

bool lap_out_place_is_direct(const struct lap_out_place *place)
{
    return place->own_fd >= 0 || place->is_open_file || (place->is_there && !S_ISREG(place->status.st_mode));
}
