/* SPDX-License-Identifier: MIT
 *
 * What the files of the reader share.
 */
#ifndef LAP_RECORDING_INTERNAL_H
#define LAP_RECORDING_INTERNAL_H

#include "recording.h"

#include <pthread.h>

/* Behind recording->internal. */
struct lap_recording_shared {
    pthread_mutex_t lock; /* of the warnings and the threads */
    uint64_t copied_bytes;
    bool is_newest; /* only the segments that the statistics lack events of */
};

/* Behind process->internal. */
struct lap_process_shared {
    uint32_t *thread_buckets; /* by index: place in process->threads + 1; a power of two */
    uint32_t thread_room, bucket_count;
    bool may_change;        /* it may still write to its files */
    uint64_t device, inode; /* of the directory */
};

#define LAP_COPIED_BYTES_MAX (UINT64_C(2) << 30)
#define LAP_THREADS_MAX (1u << 20)

/* Opens a process's directory. 0 or a negative code: nothing of it can be read. Takes over directory_fd. */
int lap_process_open(struct lap_process **ret_process, struct lap_recording *recording, int directory_fd,
                     const char *directory, struct lap_reader_error *error);
void lap_process_free(struct lap_process *process);

/* Reads the control page: what it cannot be is told and taken as 0. 0 or a negative code: a version that is not read. */
int lap_process_read_control(struct lap_process *process, struct lap_reader_error *error);

/* Reads the rings' segments and statistics. 0 or -ENOMEM. */
int lap_process_read_rings(struct lap_process *process);

/* Cuts what was cut anywhere to whole events, once the classes are known. */
void lap_segments_trim(struct lap_process *process);

/* Whether the process is alive, from control page and files. */
enum lap_process_state lap_process_find_state(const struct lap_process *process);

/* The thread with this number, made if it is new; NULL: no memory, or too many. Thread-safe. */
struct lap_thread *lap_process_thread(struct lap_process *process, const struct lap_ring *ring, uint64_t index,
                                      uint64_t id, const char *name, size_t name_bytes);

/* Opens a regular file for reading, whatever else lies there. A descriptor or a negative errno. */
int lap_file_open(int directory_fd, const char *name, uint64_t *ret_bytes);
/* Reads up to `bytes`, as many as there are. Bytes read or a negative errno. */
int64_t lap_file_read_at(int fd, void *memory, uint64_t bytes, uint64_t offset);
/* Warnings about a process that is about to be freed become those of none. */
void lap_recording_forget(struct lap_recording *recording, const struct lap_process *process);
/* A segment cannot be opened or read: a warning, but for one that a running process has removed for its disk's bound, of
 * which there may be many: one warning for all. */
void lap_process_warn_segment(const struct lap_process *process, int code, const char *file);
/* A warning about a file of a process. */
void lap_process_warn(const struct lap_process *process, int code, const char *file, uint64_t offset, const char *text);

#endif
