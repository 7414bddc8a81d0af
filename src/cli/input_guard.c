/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "input_guard.h"

#include "input.h"
#include "message.h"
#include "out_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool is_same(const struct stat *left, const struct stat *right)
{
    return left->st_dev == right->st_dev && left->st_ino == right->st_ino;
}

/* Is `above` the directory, or one that it is in? */
static bool is_around(const struct stat *above, const char *directory)
{
    char *const path = strdup(directory);
    bool is = false;
    for (char *slash = path; slash && !is;) {
        struct stat status;
        is = stat(path, &status) == 0 && is_same(&status, above);
        slash = strrchr(path, '/');
        if (slash)
            *slash = 0;
    }
    free(path);
    return is;
}

/* A recording's processes may be links to where their files are. */
static bool is_in_recording(const char *name, const struct stat *recording, const char *directory)
{
    bool is = is_around(recording, directory);
    DIR *const stream = is ? NULL : opendir(name);
    for (struct dirent *entry; stream && !is && (entry = readdir(stream)) != NULL;) {
        struct stat process;
        is = entry->d_name[0] != '.' && fstatat(dirfd(stream), entry->d_name, &process, 0) == 0 &&
             S_ISDIR(process.st_mode) && is_around(&process, directory);
    }
    if (stream)
        closedir(stream);
    return is;
}

static int guard(const char *file, const struct lap_out_place *place, const char *directory, const char *name)
{
    struct stat input;
    if (stat(name, &input) != 0)
        return 0;
    if (S_ISREG(input.st_mode) && place->is_there && is_same(&place->status, &input))
        return lap_message_trouble("cannot write '%s': it is what is read; name another file", file);
    if (S_ISDIR(input.st_mode) && directory && is_in_recording(name, &input, directory))
        return lap_message_trouble("cannot write '%s': it is in '%s', which is read; name a file elsewhere", file, name);
    return 0;
}

int lap_input_guard(const char *file, char **names, int count)
{
    struct lap_out_place place;
    if (lap_out_place_find(&place, file) < 0)
        return 0; /* who opens it says why */
    char *const directory = lap_out_place_directory(place.name);
    char *newest = count == 0 ? lap_input_newest() : NULL;
    if (newest) {
        names = &newest;
        count = 1;
    }
    int status = 0;
    for (int i = 0; i < count && status == 0; i++)
        status = guard(file, &place, directory, names[i]);
    free(newest);
    free(directory);
    free(place.name);
    return status;
}
