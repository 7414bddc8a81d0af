/* SPDX-License-Identifier: MIT
 *
 * The rest of the public functions.
 */
#define _GNU_SOURCE
#include "lapmark.h"

#include "guard.h"
#include "printer.h"
#include "process.h"
#include "scope.h"

#include <errno.h>
#include <string.h>

int lap_set(const char *terms)
{
    if (!terms)
        return -EINVAL;
    struct lap_guard guard;
    lap_guard_enter(&guard);
    int error = lap_process_ensure();
    if (error == 0) {
        pthread_mutex_lock(&lap_process.lock);
        error = lap_sites_switch(terms);
        pthread_mutex_unlock(&lap_process.lock);
    }
    lap_guard_leave(&guard);
    return error;
}

int lap_record_start(const char *directory)
{
    if (!directory || !*directory)
        return -EINVAL;
    struct lap_guard guard;
    lap_guard_enter(&guard);
    const int error = lap_process_start_recording(directory);
    lap_guard_leave(&guard);
    return error;
}

int lap_record_stop(void)
{
    struct lap_guard guard;
    lap_guard_enter(&guard);
    uint64_t position;
    struct lap_ring *const ring = lap_ring_settle(&position);
    const int error = lap_process_stop_recording();
    if (ring)
        lap_ring_give(ring, position);
    lap_guard_leave(&guard);
    return error;
}

void lap_flush(void)
{
    if (lap_impl_local.thread->segment == 0)
        return;
    uint64_t position;
    struct lap_ring *const ring = lap_ring_take(0, &position);
    if (!ring)
        return;
    lap_ring_apply(ring, position);
    lap_printer_flush(ring);
    lap_ring_give(ring, position);
}

void lap_thread_name(const char *name)
{
    uint64_t position;
    struct lap_ring *const ring = name ? lap_ring_take(0, &position) : NULL;
    if (!ring)
        return;
    memset(ring->thread_name, 0, sizeof ring->thread_name);
    memcpy(ring->thread_name, name, strnlen(name, sizeof ring->thread_name - 1));
    if (!lap_ring_has_room(ring, position, 128, lap_clock_ticks(&lap_process.clock)))
        position = lap_ring_make_room(ring, position, 128);
    lap_ring_give(ring, position != 0 ? lap_ring_store_thread(ring, position) : ring->thread->position & ~LAP_IMPL_BUSY);
}

const char *lap_error_text(int error)
{
    /* One after another, and no pointers: each would take 32 bytes to be filled in at start-up. */
    static const uint8_t errors[] = {EALREADY, ESRCH,  ENOTSUP, EINVAL,       ENOENT, EACCES, EPERM,
                                     EROFS,    ENOSPC, EDQUOT,  EFBIG,        ENOMEM, EMFILE, ENFILE,
                                     ENOTDIR,  EEXIST, ELOOP,   ENAMETOOLONG, EIO};
    static const char texts[] = "a recording is running already\0"
                                "no recording is running\0"
                                "no memory file system can be had\0"
                                "invalid argument\0"
                                "no such file or directory\0"
                                "permission denied\0"
                                "operation not permitted\0"
                                "read-only file system\0"
                                "no space left on device\0"
                                "disk quota exceeded\0"
                                "file too large\0"
                                "out of memory\0"
                                "too many open files\0"
                                "too many open files in system\0"
                                "not a directory\0"
                                "file exists\0"
                                "too many levels of symbolic links\0"
                                "file name too long\0"
                                "input/output error\0";
    const int positive = error < 0 ? -error : error;
    const char *known = texts;
    for (size_t i = 0; i < sizeof errors; i++, known += strlen(known) + 1)
        if (errors[i] == positive)
            return known;
#if defined(__GLIBC__)
    const char *const text = strerrordesc_np(positive); /* strerror's may be the thread's */
    return text ? text : "unknown error";
#else
    return strerror(positive);
#endif
}
