/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "out.h"

#include "out_place.h"
#include "temporary_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the file until it is whole -------------------------------------------------------------------------------------- */

/* For a file that is there and may be written, but whose directory takes no other: it is written into in the end. */
static int spare_name(struct lap_out *out)
{
    const char *directory = getenv("TMPDIR");
    if (!directory || !*directory)
        directory = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    free(out->temporary);
    out->temporary = NULL;
    return asprintf(&out->temporary, "%s/lapmark-export-XXXXXX", directory) < 0 ? -ENOMEM : 0;
}

/* One without a name (O_TMPFILE), if it can be given one later; else a temporary one. A descriptor or a negative errno. */
static int temporary_open(struct lap_out *out, bool is_named)
{
    char self[32], *const directory = is_named ? NULL : lap_out_place_directory(out->temporary);
    int fd = directory ? open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    free(directory);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fd >= 0 && access(self, F_OK) != 0) { /* no /proc */
        close(fd);
        fd = -1;
    }
    out->is_unnamed = fd >= 0;
    return out->is_unnamed ? fd : lap_temporary_make(out->temporary);
}

static int target_open(struct lap_out *out, const struct lap_out_place *place, bool is_named)
{
    if (lap_out_place_is_direct(place)) {
        const int flags = O_WRONLY | O_CLOEXEC | (place->is_open_file ? O_APPEND : 0);
        const int fd = place->own_fd >= 0 ? fcntl(place->own_fd, F_DUPFD_CLOEXEC, 0) : open(place->name, flags);
        return fd < 0 ? -errno : fd;
    }
    const mode_t mask = umask(0);
    umask(mask);
    out->mode = place->is_there ? place->status.st_mode & 0777 : 0666 & ~mask;
    out->is_there = place->is_there;
    if (asprintf(&out->temporary, "%s.XXXXXX", out->target) < 0)
        return -ENOMEM;
    const int fd = temporary_open(out, is_named);
    if ((fd != -EACCES && fd != -EPERM && fd != -EROFS) || !out->is_there || access(out->target, W_OK) != 0)
        return fd;
    const int code = spare_name(out);
    out->is_spare = true;
    return code < 0 ? code : temporary_open(out, is_named);
}

/* ---- and then ------------------------------------------------------------------------------------------------------ */

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

/* Writes into a file that cannot be replaced: it is mounted, or its directory takes no other. Half of it is not left there. */
static int target_fill(struct lap_out *out)
{
    const int from = out->fd;
    off_t at = 0;
    ssize_t got = 0;
    out->fd = open(out->target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    out->error = out->fd < 0 ? -errno : 0;
    while (out->error == 0 && (got = pread(from, out->buffer, LAP_OUT_BYTES, at)) > 0) {
        bytes_put(out, out->buffer, (size_t)got);
        at += got;
    }
    if (got < 0 && out->error == 0)
        out->error = -errno;
    if (out->fd >= 0 && out->error < 0 && ftruncate(out->fd, 0) != 0)
        out->error = -errno;
    if (out->fd >= 0 && close(out->fd) != 0 && out->error == 0)
        out->error = -errno;
    out->fd = from;
    return out->error;
}

/* A link does not take the place of what is there; a name does. Returns 0 or a negative errno. */
static int target_replace(struct lap_out *out)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
    fchmod(out->fd, out->mode);
    for (int tries = 0; out->is_unnamed && tries < 100; tries++) {
        const size_t bytes = strlen(out->temporary);
        snprintf(out->temporary + bytes - 6, 7, "%06u", ((unsigned)getpid() * 100u + (unsigned)tries) % 1000000u);
        if (linkat(AT_FDCWD, self, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW) == 0)
            out->is_unnamed = false;
        else if (errno != EEXIST)
            break;
    }
    return out->is_unnamed ? -errno : lap_temporary_rename(out->temporary, out->target);
}

/* Ends the temporary file, too. */
static int target_end(struct lap_out *out, int code)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* a name that is new is in no list of what is to be removed */
    const bool is_whole = code == 0;
    if (is_whole && !out->is_spare)
        code = target_replace(out);
    const bool is_replaced = is_whole && !out->is_spare && code == 0;
    if (is_whole && (out->is_spare || (out->is_there && (code == -EBUSY || code == -EPERM || code == -EACCES))))
        code = target_fill(out);
    if (!is_replaced && !out->is_unnamed)
        lap_temporary_unlink(out->temporary);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static int out_open(struct lap_out *out, const char *file, bool is_named)
{
    struct lap_out_place place;
    *out = (struct lap_out){.fd = STDOUT_FILENO, .buffer = malloc(LAP_OUT_BYTES)};
    int code = out->buffer ? 0 : -ENOMEM;
    if (code == 0 && file && (code = lap_out_place_find(&place, file)) == 0) {
        out->target = place.name;
        out->fd = target_open(out, &place, is_named);
        code = out->fd < 0 ? out->fd : 0;
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
    if (out->temporary) {
        const int ended = target_end(out, is_whole ? code : -ECANCELED);
        code = code < 0 || !is_whole ? code : ended;
    }
    if (out->target && close(out->fd) != 0 && code == 0)
        code = -errno;
    free(out->buffer);
    free(out->target);
    free(out->temporary);
    return code;
}
