/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "top_find.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL "/.lapmark/control"

static int has(const char *directory, const char *file)
{
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s%s", directory, file);
    return length > 0 && length < (int)sizeof path && access(path, F_OK) == 0;
}

static int is_process(const char *directory) { return has(directory, "/metadata") || has(directory, CONTROL); }

int lap_top_find_directory(const char *directory, lap_top_found *found, void *user)
{
    if (is_process(directory))
        return found(user, directory);
    struct dirent **names;
    const int count = scandir(directory, &names, NULL, alphasort);
    int sum = 0;
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        char path[4096];
        const int length = snprintf(path, sizeof path, "%s/%s", directory, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && length < (int)sizeof path && is_process(path))
            sum += found(user, path);
        free(names[i]);
    }
    free(names);
    return sum;
}

int lap_top_find_all(lap_top_found *found, void *user)
{
    static const char *const places[] = {"/dev/shm/lapmark-%u", "/run/user/%u/lapmark", "/tmp/lapmark-%u"};
    int sum = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[64];
        struct stat status;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof path, places[i], geteuid());
#pragma GCC diagnostic pop
        /* As the recorder does: what is another user's is not ours. */
        if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid())
            continue;
        const int each = lap_top_find_directory(path, found, user);
        sum += each > 0 ? each : 0;
    }
    return sum;
}
