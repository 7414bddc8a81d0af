/* SPDX-License-Identifier: MIT
 *
 * The rest of the public functions.
 */
#define _GNU_SOURCE
#include "lapmark.h"

#include "printer.h"
#include "process.h"
#include "scope.h"

#include <errno.h>
#include <string.h>

int lap_set(const char *terms)
{
    if (!terms)
        return -EINVAL;
    if (lap_process_ensure() < 0)
        return -ENOMEM;
    const char *where;
    pthread_mutex_lock(&lap_process.lock);
    const int error = lap_switches_add(&lap_process.settings.switches, terms, &where);
    if (error == 0)
        lap_sites_switch_all();
    pthread_mutex_unlock(&lap_process.lock);
    return error;
}

int lap_record_start(const char *directory)
{
    if (!directory || !*directory)
        return -EINVAL;
    return lap_process_start_recording(directory);
}

int lap_record_stop(void)
{
    return lap_process_stop_recording();
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
    if (position != 0)
        position = lap_ring_store_thread(ring, position);
    lap_ring_give(ring, position);
}

const char *lap_error_text(int error)
{
    switch (error) {
    case -EALREADY:
        return "a recording is running already";
    case -ENOTSUP:
        return "no memory file system can be had";
    default:
        return strerrordesc_np(error < 0 ? -error : error) ? strerrordesc_np(error < 0 ? -error : error) : "unknown error";
    }
}
