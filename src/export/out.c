/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a link leads, the file is made. */
static int target_find(struct lap_out *out, const char *file)
{
    struct stat status;
    out->target = realpath(file, NULL);
    if (!out->target)
        out->target = strdup(file);
    if (!out->target)
        return -ENOMEM;
    if (stat(out->target, &status) == 0 && !S_ISREG(status.st_mode))
        return 0;
    return asprintf(&out->temporary, "%s.XXXXXX", out->target) < 0 ? -ENOMEM : 0;
}

/* One without a name (O_TMPFILE); or, where there is no such thing, a temporary one, which gets the rights that a new file has. */
static int target_open(struct lap_out *out, bool is_named)
{
    int fd = -1;
    if (!out->temporary)
        return open(out->target, O_WRONLY | O_CLOEXEC | O_TRUNC);
    char *const slash = strrchr(out->target, '/');
    if (slash)
        *slash = 0;
    if (!is_named)
        fd = open(!slash ? "." : slash == out->target ? "/" : out->target, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (slash)
        *slash = '/';
    out->is_unnamed = fd >= 0;
    if (!out->is_unnamed && (fd = mkostemp(out->temporary, O_CLOEXEC)) >= 0) {
        const mode_t mask = umask(0);
        umask(mask);
        fchmod(fd, 0666 & ~mask);
    }
    return fd;
}

/* A link does not take the place of what is there; a name does. Returns 0 or a negative errno. */
static int target_name(struct lap_out *out)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
    for (int tries = 0; out->is_unnamed && tries < 100; tries++) {
        const size_t bytes = strlen(out->temporary);
        snprintf(out->temporary + bytes - 6, 7, "%06u", ((unsigned)getpid() * 100u + (unsigned)tries) % 1000000u);
        if (linkat(AT_FDCWD, self, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW) == 0)
            out->is_unnamed = false;
        else if (errno != EEXIST)
            break;
    }
    return !out->is_unnamed && rename(out->temporary, out->target) == 0 ? 0 : -errno;
}

static int out_open(struct lap_out *out, const char *file, bool is_named)
{
    *out = (struct lap_out){.fd = STDOUT_FILENO, .buffer = malloc(LAP_OUT_BYTES)};
    int code = out->buffer ? 0 : -ENOMEM;
    if (code == 0 && file) {
        code = target_find(out, file);
        out->fd = code == 0 ? target_open(out, is_named) : -1;
        code = code == 0 && out->fd < 0 ? -errno : code;
    }
    if (code < 0) {
        free(out->buffer);
        free(out->target);
        free(out->temporary);
    }
    return code;
}

int lap_out_open(struct lap_out *out, const char *file) { return out_open(out, file, false); }

int lap_out_open_named(struct lap_out *out, const char *file) { return out_open(out, file, true); }

static void bytes_put(struct lap_out *out, const char *bytes, size_t count)
{
    while (count > 0 && out->error == 0) {
        const ssize_t put = write(out->fd, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            out->error = -errno;
            return;
        }
        bytes += put;
        count -= (size_t)put;
        out->written += (uint64_t)put;
    }
}

void lap_out_flush(struct lap_out *out)
{
    bytes_put(out, out->buffer, out->used);
    out->used = 0;
}

void lap_out_write_large(struct lap_out *out, const void *bytes, size_t count)
{
    lap_out_flush(out);
    bytes_put(out, bytes, count);
}

void lap_out_printf(struct lap_out *out, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    const int bytes = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (bytes < 0) {
        out->error = out->error != 0 ? out->error : -ENOMEM;
        return;
    }
    lap_out_write(out, text, (size_t)bytes);
    free(text);
}

int lap_out_close(struct lap_out *out, bool is_whole)
{
    lap_out_flush(out);
    int code = out->error;
    if (out->temporary && code == 0 && is_whole)
        code = target_name(out);
    if (out->temporary && !out->is_unnamed && (code < 0 || !is_whole))
        unlink(out->temporary);
    if (out->target && close(out->fd) != 0 && code == 0)
        code = -errno;
    free(out->buffer);
    free(out->target);
    free(out->temporary);
    return code;
}
