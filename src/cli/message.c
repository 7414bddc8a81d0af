/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "message.h"

#include "terminal.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* In one write, so that lines of several processes on a terminal do not mix. */
static void message(const char *kind, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        return;
    char *line = NULL, *const printable = lap_text_printable(text);
    const int length = asprintf(&line, "lapmark: %s%s\n", kind, printable);
    free(printable);
    free(text);
    if (length < 0)
        return;
    fflush(stdout);
    (void)!write(STDERR_FILENO, line, (size_t)length);
    free(line);
}

int lap_message_trouble(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message("", format, arguments);
    va_end(arguments);
    return LAP_EXIT_TROUBLE;
}

void lap_message_warning(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message("warning: ", format, arguments);
    va_end(arguments);
}

void lap_message_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message("", format, arguments);
    va_end(arguments);
}

const char *lap_message_reason(int error)
{
    static char text[256];
    snprintf(text, sizeof text, "%s", strerror(error < 0 ? -error : error));
    if (islower((unsigned char)text[1]))
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void lap_progress_step(void *user, uint64_t done, uint64_t total)
{
    struct lap_progress *const progress = user;
    enum { FIRST_NS = 1000000000, EACH_NS = 100000000 };
    const uint64_t now = now_ns();
    if (progress->begun_ns == 0) {
        progress->begun_ns = now;
        return;
    }
    if (now - progress->begun_ns < FIRST_NS || now - progress->shown_ns < EACH_NS || !isatty(STDERR_FILENO))
        return;
    progress->shown_ns = now;
    if (total > 0)
        fprintf(stderr, "\rlapmark: %s: %d %%\033[K", progress->text, (int)((double)done * 100 / (double)total));
    else
        fprintf(stderr, "\rlapmark: %s: %llu\033[K", progress->text, (unsigned long long)done);
}

void lap_progress_end(struct lap_progress *progress)
{
    if (progress->shown_ns != 0)
        fputs("\r\033[K", stderr);
    progress->begun_ns = progress->shown_ns = 0;
}

/* stdio does not keep the error of an earlier write, but a pipe tells whether its reader went away. */
static bool reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && out.revents & POLLERR;
}

int lap_message_finish(int status)
{
    errno = 0;
    const bool failed = fflush(stdout) != 0 || ferror(stdout);
    const int error = errno;
    if (!failed || error == EPIPE || reader_is_gone())
        return status;
    return lap_message_trouble("cannot write the output: %s", lap_message_reason(error ? error : EIO));
}
