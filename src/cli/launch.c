/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "launch.h"

#include "message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };
/* A write says by itself that nobody reads, or that the file is too large. */
static const int ignored[] = {SIGPIPE, SIGXFSZ};
enum { IGNORED = sizeof ignored / sizeof *ignored };
static struct sigaction before_ignored[IGNORED];
static bool is_ignoring;

enum { STATUS_NOT_FOUND = 127, STATUS_NOT_RUNNABLE = 126, STATUS_SIGNAL = 128 };

static volatile sig_atomic_t program, ending;

/* The terminal sends to all of its foreground group, so the program has had it already; another process sends to us. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
    (void)context;
    const int error = errno;
    if (signal != SIGUSR1 && signal != SIGUSR2)
        ending = signal;
    if (info->si_code <= 0 && program > 0)
        kill((pid_t)program, signal);
    errno = error;
}

void lap_launch_ignore(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (int i = 0; i < IGNORED; i++)
        sigaction(ignored[i], &ignore, &before_ignored[i]);
    is_ignoring = true;
}

int lap_launch_ending(void) { return ending; }

struct dispositions {
    struct sigaction passed_on[PASSED_ON];
    sigset_t mask;
};

/* Blocks the signals until the program's number is known; what was ignored (nohup) stays so. They are taken once and kept: the
 * next program finds them as the first one did. */
static void take_signals(struct dispositions *old)
{
    static struct dispositions first;
    static bool is_taken;
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t mask;
    sigemptyset(&mask);
    for (int i = 0; i < PASSED_ON; i++)
        sigaddset(&mask, passed_on[i]);
    sigprocmask(SIG_BLOCK, &mask, &old->mask);
    if (is_taken) {
        *old = first;
        return;
    }
    for (int i = 0; i < PASSED_ON; i++) {
        sigaction(passed_on[i], NULL, &old->passed_on[i]);
        if (old->passed_on[i].sa_handler != SIG_IGN)
            sigaction(passed_on[i], &action, NULL);
    }
    first = *old;
    is_taken = true;
}

static _Noreturn void become(char **argv, const struct lap_launch_variable *variables, size_t count,
                             const struct dispositions *old, int report)
{
    for (int i = 0; i < PASSED_ON; i++)
        sigaction(passed_on[i], &old->passed_on[i], NULL);
    for (int i = 0; i < IGNORED && is_ignoring; i++)
        sigaction(ignored[i], &before_ignored[i], NULL);
    sigprocmask(SIG_SETMASK, &old->mask, NULL);
    int error = 0;
    for (size_t i = 0; i < count; i++) {
        const int failed =
            variables[i].value ? setenv(variables[i].name, variables[i].value, 1) : unsetenv(variables[i].name);
        if (failed != 0)
            error = errno;
    }
    if (error == 0) {
        execvp(argv[0], argv);
        error = errno;
    }
    (void)!write(report, &error, sizeof error);
    _exit(STATUS_NOT_FOUND);
}

/* 0: it runs; else why not. The pipe closes by itself at the exec. */
static int read_report(int fd)
{
    int error = 0;
    ssize_t got;
    do {
        got = read(fd, &error, sizeof error);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof error ? error : 0;
}

int lap_launch_run(struct lap_launch *ret_launch, char **argv, const struct lap_launch_variable *variables, size_t count)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return lap_message_trouble("cannot run '%s': %s", argv[0], lap_message_reason(errno));
    struct dispositions old;
    take_signals(&old);
    const pid_t pid = fork();
    if (pid < 0)
        return lap_message_trouble("cannot run '%s': %s", argv[0], lap_message_reason(errno));
    if (pid == 0)
        become(argv, variables, count, &old, report[1]);
    program = pid;
    sigprocmask(SIG_SETMASK, &old.mask, NULL);
    close(report[1]);
    const int error = read_report(report[0]);
    close(report[0]);

    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    program = 0;
    struct lap_launch launch = {.was_run = error == 0};
    if (error != 0) {
        launch.status = error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE;
        lap_message_trouble("cannot run '%s': %s", argv[0], lap_message_reason(error));
    } else if (WIFSIGNALED(status)) {
        launch.signal = WTERMSIG(status);
        launch.status = STATUS_SIGNAL + launch.signal;
    } else {
        launch.status = WEXITSTATUS(status);
    }
    *ret_launch = launch;
    return 0;
}
