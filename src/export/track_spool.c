/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "track_spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
#define BLOCKS 2048u /* in memory: 8 MiB; a track's has its place by the track's number */
#define RECORDS ((BLOCK_BYTES - 8) / sizeof(struct lap_spool_record))

struct lap_spool_block {
    uint32_t next; /* of the track; only where the block is full */
    uint32_t reserved;
    struct lap_spool_record records[RECORDS];
    uint8_t unused[BLOCK_BYTES - 8 - RECORDS * sizeof(struct lap_spool_record)];
};
static_assert(sizeof(struct lap_spool_block) == BLOCK_BYTES, "blocks are whole pages");

int lap_spool_init(struct lap_spool *spool, const char *directory)
{
    *spool = (struct lap_spool){.directory = directory,
                                .fd = -1,
                                .blocks = malloc(BLOCKS * sizeof(struct lap_spool_block)),
                                .owners = calloc(BLOCKS, sizeof *spool->owners)};
    if (spool->blocks && spool->owners)
        return 0;
    lap_spool_done(spool);
    return -ENOMEM;
}

void lap_spool_done(struct lap_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    free(spool->tracks);
    free(spool->blocks);
    free(spool->owners);
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

/* Not every file system has files without a name. */
static int file_make(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *name;
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd >= 0 ? fd : -errno;
    if (asprintf(&name, "%s/.lapmark-export.XXXXXX", directory) < 0)
        return -ENOMEM;
    fd = mkostemp(name, O_CLOEXEC);
    const int code = fd < 0 ? -errno : fd;
    if (fd >= 0)
        unlink(name);
    free(name);
    return code;
}

static void file_write(struct lap_spool *spool, const void *bytes, size_t count, uint64_t offset)
{
    if (spool->fd < 0 && (spool->fd = file_make(spool->directory)) < 0) {
        spool->error = spool->fd;
        return;
    }
    while (count > 0) {
        const ssize_t put = pwrite(spool->fd, bytes, count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            spool->error = put < 0 ? -errno : -EIO;
            return;
        }
        bytes = (const char *)bytes + put;
        count -= (size_t)put;
        offset += (size_t)put;
    }
}

static void block_read(struct lap_spool *spool, struct lap_spool_block *block, uint32_t number)
{
    for (size_t got = 0; got < sizeof *block;) {
        const ssize_t more =
            pread(spool->fd, (char *)block + got, sizeof *block - got, (off_t)(number * (uint64_t)BLOCK_BYTES + got));
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0) {
            spool->error = more < 0 ? -errno : -EIO;
            return;
        }
        got += (size_t)more;
    }
}

static void block_write(struct lap_spool *spool, const struct lap_spool_block *block, uint32_t number)
{
    file_write(spool, block, sizeof *block, number * (uint64_t)BLOCK_BYTES);
}

/* ---- tracks -------------------------------------------------------------------------------------------------------- */

uint32_t lap_spool_track_make(struct lap_spool *spool)
{
    if (spool->track_count == spool->track_room) {
        const uint32_t room = 2 * spool->track_room + 64;
        struct lap_spool_track *const tracks = realloc(spool->tracks, room * sizeof *tracks);
        if (!tracks) {
            spool->error = -ENOMEM;
            return 0;
        }
        spool->tracks = tracks;
        spool->track_room = room;
    }
    const uint32_t block = spool->block_count++;
    spool->tracks[spool->track_count] = (struct lap_spool_track){.first = block, .last = block};
    return spool->track_count++;
}

/* The track's last block, in its place, from which another track's has to go. */
static struct lap_spool_block *block_of(struct lap_spool *spool, uint32_t track)
{
    struct lap_spool_block *const block = &spool->blocks[track % BLOCKS];
    uint32_t *const owner = &spool->owners[track % BLOCKS];
    if (*owner == track + 1)
        return block;
    if (*owner != 0)
        block_write(spool, block, spool->tracks[*owner - 1].last);
    if (spool->tracks[track].records > 0 && spool->error == 0)
        block_read(spool, block, spool->tracks[track].last);
    *owner = track + 1;
    return block;
}

uint64_t lap_spool_add(struct lap_spool *spool, uint32_t track, uint64_t at, uint32_t frame)
{
    if (spool->error != 0)
        return 0;
    struct lap_spool_track *const to = &spool->tracks[track];
    struct lap_spool_block *const block = block_of(spool, track);
    if (to->records == RECORDS) {
        block->next = spool->block_count++;
        block_write(spool, block, to->last);
        to->last = block->next;
        to->records = 0;
    }
    to->at = at > to->at ? at : to->at;
    struct lap_spool_record *const record = &block->records[to->records++];
    *record = (struct lap_spool_record){(uint32_t)to->at, (uint32_t)(to->at >> 32), frame};
    return to->last * (uint64_t)BLOCK_BYTES + (size_t)((char *)record - (char *)block);
}

void lap_spool_set(struct lap_spool *spool, uint32_t track, uint64_t where, uint32_t frame)
{
    where += offsetof(struct lap_spool_record, frame);
    if (spool->error != 0)
        return;
    if (spool->owners[track % BLOCKS] == track + 1 && spool->tracks[track].last == where / BLOCK_BYTES) {
        struct lap_spool_block *const block = &spool->blocks[track % BLOCKS];
        block->records[(where % BLOCK_BYTES - offsetof(struct lap_spool_block, records)) / sizeof *block->records].frame =
            frame;
    } else {
        file_write(spool, &frame, sizeof frame, where);
    }
}

void lap_spool_read(struct lap_spool *spool, uint32_t track,
                    void (*see)(void *user, const struct lap_spool_record *records, size_t count), void *user)
{
    const struct lap_spool_track *const from = &spool->tracks[track];
    struct lap_spool_block read;
    if (from->records == 0)
        return;
    const struct lap_spool_block *const last = block_of(spool, track);
    for (uint32_t number = from->first; number != from->last && spool->error == 0; number = read.next) {
        block_read(spool, &read, number);
        if (spool->error == 0)
            see(user, read.records, RECORDS);
    }
    if (spool->error == 0)
        see(user, last->records, from->records);
}

void lap_spool_clear(struct lap_spool *spool)
{
    for (uint32_t i = 0; i < BLOCKS; i++)
        spool->owners[i] = 0;
    spool->track_count = spool->block_count = 0;
    if (spool->fd >= 0 && ftruncate(spool->fd, 0) != 0)
        spool->error = -errno;
}
