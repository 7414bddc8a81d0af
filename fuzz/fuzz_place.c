/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "fuzz_place.h"

#include "commands.h"
#include "lapmark/format.h"
#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define METADATA_HEADER_BYTES 37u

static char *place;
static int place_fd = -1;

void fuzz_expect(int is_true, const char *what)
{
    if (is_true)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static void refused(const char *what)
{
    fprintf(stderr, "fuzz: cannot make '%s': %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the directory ------------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void place_remove(void)
{
    nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    close(place_fd);
    free(place);
}

const char *fuzz_place(void)
{
    if (place)
        return place;
    const char *const given = getenv("TMPDIR");
    const char *const parent = given ? given : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    if (asprintf(&place, "%s/lapmark-fuzz-XXXXXX", parent) < 0 || !mkdtemp(place) ||
        (place_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || mkdirat(place_fd, ".lapmark", 0700) < 0)
        refused(place);
    atexit(place_remove);
    return place;
}

static void put(int fd, const void *bytes, size_t count, size_t offset)
{
    if (count != 0 && pwrite(fd, bytes, count, (off_t)offset) != (ssize_t)count)
        refused("file");
}

void fuzz_place_write(const char *name, const void *bytes, size_t count, const void *rest, size_t rest_count,
                      size_t rest_offset)
{
    fuzz_place();
    const int fd = openat(place_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        refused(name);
    put(fd, bytes, count, 0);
    put(fd, rest, rest_count, rest_offset);
    close(fd);
}

void fuzz_place_write_control(const void *bytes, size_t count)
{
    const int is_page = count >= 752 && count < LAP_FORMAT_CONTROL_HEADER_BYTES;
    fuzz_place_write(".lapmark/control", bytes, count, "", (size_t)is_page, LAP_FORMAT_CONTROL_HEADER_BYTES - 1);
}

void fuzz_place_remove(const char *name)
{
    fuzz_place();
    unlinkat(place_fd, name, 0);
}

void fuzz_place_write_metadata(const uint8_t *uuid, const void *text, size_t count)
{
    static const char env[] = "env { tracer_name = \"lapmark\"; }; ";
    const uint32_t magic = LAP_FORMAT_METADATA_MAGIC,
                   bits = (uint32_t)(METADATA_HEADER_BYTES + sizeof env - 1 + count) * 8;
    char head[METADATA_HEADER_BYTES + sizeof env] = {0};
    memcpy(head, &magic, 4);
    memcpy(head + 4, uuid, 16);
    memcpy(head + 24, &bits, 4);
    memcpy(head + 28, &bits, 4);
    head[35] = 1;
    head[36] = 8;
    memcpy(head + METADATA_HEADER_BYTES, env, sizeof env);
    fuzz_place_write("metadata", head, sizeof head - 1, text, count, sizeof head - 1);
}

/* ---- the commands -------------------------------------------------------------------------------------------------- */

static void run(char **words, int count)
{
    struct lap_arguments arguments;
    const struct lap_command *const command = lap_command_find(words[0]);
    fuzz_expect(command && lap_arguments_parse(&arguments, command, count, words) == 0, "a command is not there");
    const int status = command->run(&arguments);
    fuzz_expect(status == LAP_EXIT_FINE || status == LAP_EXIT_NO || status == LAP_EXIT_TROUBLE, "no such exit status");
}

/* A command over the place, which stands where "" does. */
static void line_run(const char *const *line)
{
    char *words[8], *made[8];
    int count = 0;
    for (; line[count]; count++)
        made[count] = strdup(*line[count] ? line[count] : fuzz_place());
    memcpy(words, made, sizeof made); /* getopt changes their order */
    words[count] = NULL;
    run(words, count);
    for (int word = 0; word < count; word++)
        free(made[word]);
}

void fuzz_place_read(unsigned commands)
{
    static const char *const lines[8][6] = {{"report", ""},
                                            {"check", ""},
                                            {"check", "--json", ""},
                                            {"report", "--events", "--by=thread", ""},
                                            {"show", ""},
                                            {"show", "--events", "--json", ""},
                                            {"slowest", "--count=3", ""},
                                            {"report", "--json", "--by=process", ""}};
    static const char *const exports[8][5] = {{"export", "--format=perfetto", "--output=/dev/null", ""},
                                              {"export", "--format=chrome", "--output=/dev/null", ""},
                                              {"export", "--format=speedscope", "--output=/dev/null", ""},
                                              {"export", "--format=folded", "--output=/dev/null", ""},
                                              {"export", "--format=pprof", "--output=/dev/null", ""},
                                              {"export", "--format=otlp", "--output=/dev/null", ""},
                                              {"export", "--format=otlp-json", "--output=/dev/null", ""},
                                              {"sql", "", "SELECT count(*), sum(duration_ns) FROM span"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (commands >> i & 1u)
            line_run(lines[i]);
    line_run(exports[commands % 8]);
}
