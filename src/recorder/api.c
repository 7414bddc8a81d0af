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
    static const struct {
        uint8_t error;
        char text[35]; /* no pointers here and in tables like it: each would take 32 bytes to be filled in at start-up */
    } texts[] = {{EALREADY, "a recording is running already"},
                 {ESRCH, "no recording is running"},
                 {ENOTSUP, "no memory file system can be had"},
                 {EINVAL, "invalid argument"},
                 {ENOENT, "no such file or directory"},
                 {EACCES, "permission denied"},
                 {EPERM, "operation not permitted"},
                 {EROFS, "read-only file system"},
                 {ENOSPC, "no space left on device"},
                 {EDQUOT, "disk quota exceeded"},
                 {EFBIG, "file too large"},
                 {ENOMEM, "out of memory"},
                 {EMFILE, "too many open files"},
                 {ENFILE, "too many open files in system"},
                 {ENOTDIR, "not a directory"},
                 {EEXIST, "file exists"},
                 {ELOOP, "too many levels of symbolic links"},
                 {ENAMETOOLONG, "file name too long"},
                 {EIO, "input/output error"}};
    const int positive = error < 0 ? -error : error;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].error == positive)
            return texts[i].text;
#if defined(__GLIBC__)
    const char *const text = strerrordesc_np(positive); /* strerror's may be the thread's */
    return text ? text : "unknown error";
#else
    return strerror(positive);
#endif
}
