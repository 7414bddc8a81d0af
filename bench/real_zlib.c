/* SPDX-License-Identifier: MIT
 *
 * A step of compression: a block is written, compressed and checked.
 */
#include "real_jobs.h"

#include <lapmark.h>
#include <zlib.h>

#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 16384 };

struct job {
    z_stream stream;
    unsigned char block[BLOCK_BYTES];
    unsigned char packed[2 * BLOCK_BYTES];
    unsigned long sum;
};

#if defined(LAPMARK_DISABLE)
#define STEP zlib_step_without
#else
#define STEP zlib_step

void *zlib_open(void)
{
    struct job *const job = calloc(1, sizeof *job);
    return job && deflateInit(&job->stream, 1) == Z_OK ? job : NULL;
}
#endif

void STEP(void *state, unsigned number)
{
    struct job *const job = state;
    LAP_PROFILE("block %u", number);
    for (unsigned i = 0; i < BLOCK_BYTES; i++)
        job->block[i] = (unsigned char)((unsigned char)"lookups of packages "[(i * i + number) % 20] + i % 3);
    LAP_MARK("written");
    deflateReset(&job->stream);
    job->stream.next_in = job->block;
    job->stream.avail_in = BLOCK_BYTES;
    job->stream.next_out = job->packed;
    job->stream.avail_out = sizeof job->packed;
    deflate(&job->stream, Z_FINISH);
    const unsigned long packed_bytes = job->stream.total_out;
    LAP_MARK_N(packed_bytes, "compressed");
    job->sum += crc32(0, job->packed, (unsigned)packed_bytes);
    LAP_MARK("checked");
}
