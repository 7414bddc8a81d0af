/* SPDX-License-Identifier: MIT
 *
 * What the recorder has once in a process: settings, clock, storage, classes, paths, rings. It comes to life with the
 * first checkpoint, and anew in a forked child.
 */
#ifndef LAP_PROCESS_H
#define LAP_PROCESS_H

#include "clock.h"
#include "metadata_writer.h"
#include "paths.h"
#include "settings.h"
#include "sites.h"
#include "snapshot.h"
#include "storage.h"

#include <pthread.h>
#include <stdint.h>

#define LAP_PROCESS_RINGS 4096u

struct lap_ring;

struct lap_process {
    pthread_mutex_t lock;          /* of all below that is not said to be atomic; taken before storage_lock */
    pthread_rwlock_t storage_lock; /* written to start and stop a recording, read to use its files */
    struct lap_settings settings;
    struct lap_clock clock;
    double ns_per_tick; /* as known at the start: for thresholds and what handles return */
    double ticks_per_ms;
    struct lap_storage storage;
    struct lap_metadata metadata;
    struct lap_sites sites;
    struct lap_paths paths;
    struct lap_format_control *control; /* followed by the switches; in the recording while there is one */
    struct lap_format_switch *switches;
    struct lap_ring *rings[LAP_PROCESS_RINGS];
    uint32_t ring_count;   /* atomic */
    uint32_t recording;    /* atomic: grows with each start and stop; a ring of another number begins anew */
    uint64_t thread_count; /* atomic */
    struct lap_snapshots snapshots;
    const struct lap_impl_adopter *adopter;
    uint64_t clock_domain; /* atomic: 0 until it was asked for */
    uint32_t life;         /* 1, and one more in a forked child: what has another one is its parent's */
    uint32_t failed;       /* atomic: recording stopped for a failure, which was said once */
};
extern struct lap_process lap_process;

/* What a thread works on that has no ring: all zero but for what inline code adds to its position. */
extern struct lap_impl_thread lap_impl_no_thread;

/* Makes sure that the process's state is this process's own: sets it up at first use and in a forked child. Returns 0,
 * or negative where it cannot be had (then everything is off). Cold. */
int lap_process_ensure(void);

/* Says once, on stderr, why recording stopped, and stops it: the program goes on. */
void lap_process_fail(const char *what, const char *name, int error);

/* Says on stderr what went wrong and what comes of it. */
void lap_process_say(const char *what, const char *name, int error, const char *result);

/* Counts a loss. Signal-safe. */
void lap_process_count_loss(enum lap_format_loss kind, uint64_t events);

/* Full recording: a segment was kept on disk; the oldest go when there is a bound and it is passed. */
void lap_process_kept(uint32_t ring, uint64_t sequence, uint64_t bytes);

/* Has the thread's end told to lap_ring_leave and lap_context_thread_ends; the second has it told to the latter, at least. */
void lap_process_watch_thread(struct lap_ring *ring);
void lap_process_watch_thread_too(const void *other);

/* A number for the clock that this process reads: see the control page. Reads files the first time. */
uint64_t lap_process_clock_domain(void);

/* Reserves memory within the process's bound. 0, or -ENOMEM. Atomic. */
int lap_process_reserve(uint64_t bytes);
void lap_process_release(uint64_t bytes);
uint64_t lap_process_memory_used(void);

/* Memory that a forked child finds full of zeros. NULL: none. */
void *lap_process_map_wiped(uint64_t bytes);

/* The key of the ids of trace contexts: LAP_PROCESS_KEY_WORDS words, 0 at first and in a forked child. NULL: there is no such memory.
 * Signal-safe. */
#define LAP_PROCESS_KEY_WORDS 4u
uint64_t *lap_process_key(void);

/* Writes the metadata that belongs to a control page: what the trace is, and all classes. Under the lock. 0 or a negative errno. */
int lap_process_describe(struct lap_metadata *metadata, const struct lap_storage *storage,
                         const struct lap_format_control *control);
/* Gives the process, where it records nothing, what snapshots say of it: name, UUID, control page. Under the lock. */
void lap_process_describe_unrecorded(void);
/* A random one. 0 or a negative errno. */
int lap_process_make_uuid(uint8_t *uuid);

int lap_process_start_recording(const char *directory);
int lap_process_stop_recording(void);

#endif
