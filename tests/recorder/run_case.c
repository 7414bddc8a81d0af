/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run_case.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VARIABLES_MAX 16
#define DIRECTORIES_MAX 64

/* The tables of a recording take the place of others while threads read them: the same bytes, by one system call. A handle's
 * report looks into rings that other threads write, and drops what was overwritten meanwhile. Where there is no tmpfs, statistics
 * are copied until nobody was at them, and the newest segment as far as it goes. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:lap_storage_map\nrace:lap_storage_to_memory\nrace:gather_ring\nrace:statistics_write_out\nrace:segment_"
           "write\n";
}

int is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return 1;
#elif defined(__SANITIZE_THREAD__)
    return 2;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 1;
#elif __has_feature(thread_sanitizer)
    return 2;
#endif
#endif
    return 0;
}

static char directories[DIRECTORIES_MAX][64];
static unsigned directory_count;
static pid_t directory_owner;

/* ---- processes ----------------------------------------------------------------------------------------------------- */

int run_cases_or_tests(int argc, char **argv, const struct test_case *cases, int (*tests)(void))
{
    if (argc < 2) {
        cmocka_set_test_filter(getenv("TEST_ONLY"));
        cmocka_set_skip_filter(getenv("TEST_NOT"));
        return tests();
    }
    for (; cases->name; cases++)
        if (strcmp(cases->name, argv[1]) == 0)
            return cases->run();
    fprintf(stderr, "there is no case '%s'\n", argv[1]);
    return 99;
}

static int write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return written < 0 ? -1 : 0;
}

static char group_path[128];
static pid_t group_owner;

static void group_remove(void)
{
    if (getpid() == group_owner)
        rmdir(group_path);
}

const char *memory_group(unsigned long bytes)
{
    static const struct {
        const char *parent, *limit;
    } kinds[] = {{"/sys/fs/cgroup", "memory.max"}, {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}};
    char text[32];
    snprintf(text, sizeof text, "%lu", bytes);
    for (int i = 0; i < 2; i++) {
        snprintf(group_path, sizeof group_path, "%s/lapmark-test-%d", kinds[i].parent, getpid());
        if (mkdir(group_path, 0700) == 0 && write_text(group_path, kinds[i].limit, text) == 0) {
            group_owner = getpid();
            atexit(group_remove);
            return group_path;
        }
        rmdir(group_path);
    }
    return NULL;
}

static const char *lapmark_command(void)
{
    const char *const command = getenv("LAPMARK_BIN");
    static char built[4096]; /* BUILD/lapmark, seen from BUILD/tests/recorder/test_* */
    if (command || readlink("/proc/self/exe", built, sizeof built - 16) < 0)
        return command;
    for (int i = 0; i < 3; i++)
        *strrchr(built, '/') = 0;
    return strcat(built, "/lapmark");
}

const char *lapmark_says(const char *arguments, const char *recording, int *ret_status)
{
    static char all[1 << 17];
    char line[4096];
    snprintf(line, sizeof line, "'%s' %s '%s' 2>&1", lapmark_command(), arguments, recording);
    FILE *const pipe = popen(line, "re");
    assert_non_null(pipe);
    all[fread(all, 1, sizeof all - 1, pipe)] = 0;
    const int status = pclose(pipe);
    if (ret_status)
        *ret_status = status;
    else if (status != 0)
        fail_msg("%s: status 0x%x\n%s", line, (unsigned)status, all);
    return all;
}

unsigned times(unsigned count)
{
    const char *const factor = getenv("TEST_TIMES");
    if (is_sanitized())
        count = (count + 2) / 3;
    return factor ? count * (unsigned)strtoul(factor, NULL, 10) : count;
}

static void become(const char *name, char *const *variables, unsigned count, const int *fds)
{
    extern char **environ;
    char **kept = environ;
    char own[4096] = "";
    const char *const command = lapmark_command();
    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0)
        _exit(97);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* where a case hangs, the one who gives up waiting ends us */
    for (char **at = environ; *at; at++)
        if (strncmp(*at, "LAPMARK", 7) != 0)
            *kept++ = *at;
    *kept = NULL;
    for (unsigned i = 0; i < count; i++)
        putenv(variables[i]);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            dup2(fds[i], STDOUT_FILENO + i);
    const char *const group = getenv("TEST_GROUP");
    if (group && write_text(group, "cgroup.procs", "0") < 0)
        _exit(96);
    const char *const supervised = getenv("TEST_SUPERVISED"), *const emulator = getenv("TEST_EMULATOR");
    if (emulator)
        execlp(emulator, emulator, own, name, (char *)NULL);
    else if (supervised)
        execl(command, "lapmark", "record", "-o", supervised, "--ring", "1M", "--", own, name, (char *)NULL);
    else
        execl(own, "test", name, (char *)NULL);
    _exit(98);
}

static unsigned collect(char **variables, va_list arguments)
{
    unsigned count = 0;
    for (char *variable = va_arg(arguments, char *); variable; variable = va_arg(arguments, char *)) {
        assert_true(count < VARIABLES_MAX);
        variables[count++] = variable;
    }
    return count;
}

static char *read_all(int fds[2], char *texts[2], size_t *bytes)
{
    struct pollfd polled[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    size_t room[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        texts[i] = calloc(1, 1);
        bytes[i] = 0;
    }
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        if (poll(polled, 2, -1) < 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (polled[i].fd < 0 || !polled[i].revents)
                continue;
            if (bytes[i] + 65536 > room[i]) {
                room[i] = room[i] * 2 + 65537;
                texts[i] = realloc(texts[i], room[i]);
            }
            const ssize_t got = read(polled[i].fd, texts[i] + bytes[i], 65536);
            bytes[i] += got > 0 ? (size_t)got : 0;
            texts[i][bytes[i]] = 0;
            if (got == 0)
                polled[i].fd = -1;
        }
    }
    return texts[0];
}

/* What a sanitizer's helper says of files that it cannot read is not the program's. Returns the bytes removed. */
static size_t symbolizer_lines_remove(char *text)
{
    size_t removed = 0;
    for (char *line = strstr(text, "LLVMSymbolizer: "); line; line = strstr(text, "LLVMSymbolizer: ")) {
        char *const end = strchrnul(line, '\n');
        const size_t bytes = (size_t)(end - line) + (*end != 0);
        memmove(line, line + bytes, strlen(line + bytes) + 1);
        removed += bytes;
    }
    return removed;
}

struct outcome run_case(const char *name, ...)
{
    char *variables[VARIABLES_MAX];
    va_list arguments;
    va_start(arguments, name);
    const unsigned count = collect(variables, arguments);
    va_end(arguments);
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become(name, variables, count, (const int[]){out[1], err[1]});
    close(out[1]);
    close(err[1]);
    struct outcome outcome;
    char *texts[2];
    size_t bytes[2];
    read_all((int[]){out[0], err[0]}, texts, bytes);
    close(out[0]);
    close(err[0]);
    while (waitpid(pid, &outcome.status, 0) < 0)
        continue;
    outcome.out = texts[0];
    outcome.err = texts[1];
    outcome.err_bytes = bytes[1] - symbolizer_lines_remove(texts[1]);
    return outcome;
}

pid_t start_case(const char *name, int *ret_pipe, ...)
{
    char *variables[VARIABLES_MAX];
    va_list arguments;
    va_start(arguments, ret_pipe);
    const unsigned count = collect(variables, arguments);
    va_end(arguments);
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* One that is stopped stays so: a group of ours that the exit of somebody's shell leaves orphaned is sent SIGCONT. */
        setpgid(0, 0);
        become(name, variables, count, (const int[]){out[1], -1});
    }
    close(out[1]);
    *ret_pipe = out[0];
    return pid;
}

void outcome_free(struct outcome *outcome)
{
    free(outcome->err);
    free(outcome->out);
}

void assert_ended_well(const struct outcome *outcome)
{
    if (outcome->status != 0)
        print_error("status %#x, stdout:\n%s\nstderr:\n%s\n", (unsigned)outcome->status, outcome->out, outcome->err);
    assert_int_equal(outcome->status, 0);
}

/* ---- what it printed ----------------------------------------------------------------------------------------------- */

void times_replace(char *text)
{
    char *out = text;
    for (const char *at = text; *at;) {
        const size_t digits = strspn(at, "0123456789.");
        if (digits != 0 && strncmp(at + digits, " ms", 3) == 0 && (at == text || at[-1] == ' ')) {
            *out++ = 'T';
            at += digits + 3;
        } else {
            *out++ = *at++;
        }
    }
    *out = 0;
}

void assert_printed(struct outcome *outcome, const char *text)
{
    assert_ended_well(outcome);
    times_replace(outcome->err);
    assert_string_equal(outcome->err, text);
    outcome_free(outcome);
}

unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* ---- directories --------------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* The recorder's files on shared memory go with the links to them. */
static int remove_target(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    char target[4096];
    const ssize_t length = type == FTW_SL || type == FTW_SLN ? readlink(path, target, sizeof target - 1) : -1;
    if (length <= 0)
        return 0;
    target[length] = 0;
    char *const side = strstr(target, "/.lapmark");
    if (side)
        *side = 0;
    if (strncmp(target, "/dev/shm/lapmark-", 17) == 0)
        nftw(target, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

void temporary_directories_remove(void)
{
    if (getpid() != directory_owner)
        return;
    for (unsigned i = 0; i < directory_count; i++) {
        nftw(directories[i], remove_target, 16, FTW_PHYS);
        nftw(directories[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    directory_count = 0;
}

const char *temporary_directory(void)
{
    assert_true(directory_count < DIRECTORIES_MAX);
    if (directory_owner != getpid()) {
        directory_owner = getpid();
        atexit(temporary_directories_remove);
    }
    char *const path = directories[directory_count++];
    strcpy(path, "/var/tmp/lapmark-recorder-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

const char *process_directory(const char *directory, unsigned index)
{
    static char path[512];
    struct dirent **entries;
    const int count = scandir(directory, &entries, is_visible, alphasort);
    assert_true(count > (int)index);
    snprintf(path, sizeof path, "%s/%.255s", directory, entries[index]->d_name);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return path;
}

unsigned process_count(const char *directory)
{
    struct dirent **entries;
    const int count = scandir(directory, &entries, is_visible, alphasort);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    if (count >= 0)
        free(entries);
    return count < 0 ? 0 : (unsigned)count;
}

const char *variable(const char *name, const char *value)
{
    static char texts[4][256];
    static unsigned next;
    char *const text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%s=%s", name, value);
    return text;
}

long status_kib(const char *name)
{
    FILE *const file = fopen("/proc/self/status", "re");
    char line[256];
    long value = -1;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            value = strtol(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

void *shared_map(const char *path, size_t bytes)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        abort();
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

void spend_us(long us)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < us * 1000);
}
