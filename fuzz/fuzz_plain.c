/* SPDX-License-Identifier: MIT
 *
 * The fuzzers without libFuzzer: each file that is named, and each in a directory that is, once. What the commands print
 * goes nowhere.
 */
#define _GNU_SOURCE
#include "fuzz_place.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int out; /* the descriptor that stdout was */
static size_t inputs;

static void file_run(const char *path)
{
    FILE *const file = fopen(path, "re");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0) {
        perror(path);
        exit(2);
    }
    /* To the byte, so that a sanitizer sees what is read behind it. */
    uint8_t *const bytes = malloc(status.st_size ? (size_t)status.st_size : 1);
    if (!bytes || fread(bytes, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    dprintf(out, "%s\n", path); /* before: the last line names the one that ended the program */
    LLVMFuzzerTestOneInput(bytes, (size_t)status.st_size);
    inputs++;
    free(bytes);
}

static void path_run(const char *path)
{
    struct dirent **entries;
    const int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        file_run(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        if (entries[i]->d_name[0] != '.' && asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0)
            file_run(name);
        free(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int count, char **paths)
{
    /* The commands' own output away, ours stays; a sanitizer and abort() tell theirs on stderr. */
    out = dup(STDOUT_FILENO);
    if (out < 0 || !freopen("/dev/null", "w", stdout))
        return 2;
    for (int i = 1; i < count; i++)
        path_run(paths[i]);
    dprintf(out, "%zu inputs\n", inputs);
    return inputs > 0 ? 0 : 2;
}
