/* SPDX-License-Identifier: MIT
 *
 * Jobs that programs do all day, in steps of some 45 microseconds: 100,000 events a second. Each is compiled twice: with its profilers, and with
 * LAPMARK_DISABLE, which makes them nothing.
 */
#ifndef BENCH_REAL_JOBS_H
#define BENCH_REAL_JOBS_H

/* One step on a job's state. */
void sqlite_step(void *state, unsigned number);
void sqlite_step_without(void *state, unsigned number);
void zlib_step(void *state, unsigned number);
void zlib_step_without(void *state, unsigned number);

/* States, for the life of the program. NULL: it cannot be had. */
void *sqlite_open(void);
void *zlib_open(void);

enum { JOB_EVENTS = 5 }; /* that a step stores: a begin, three checkpoints, an end */

#endif
