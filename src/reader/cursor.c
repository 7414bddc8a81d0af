/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "cursor.h"

#include "recording_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_BYTES (64u << 10) /* as much as the kernel brings in with one fault */

int lap_cursor_make(struct lap_cursor **ret_cursor, struct lap_ring *ring)
{
    struct lap_cursor *const cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return -ENOMEM;
    cursor->ring = ring;
    cursor->process = ring->process;
    cursor->decoder.classes = ring->process->catalog.classes;
    cursor->decoder.class_count = ring->process->catalog.class_count;
    cursor->is_broken = 1;
    cursor->end_segment = ring->segment_count;
    *ret_cursor = cursor;
    return 0;
}

static void segment_unload(struct lap_cursor *cursor)
{
    if (cursor->mapping)
        munmap(cursor->mapping, cursor->mapping_bytes);
    cursor->mapping = NULL;
    cursor->given_back = 0;
}

/* What is behind: whoever still looks at it gets it again. */
static void segment_give_back(struct lap_cursor *cursor)
{
    const uint32_t upto = cursor->offset & ~(WINDOW_BYTES - 1);
    if (!cursor->is_one_of_many || !cursor->mapping || upto == cursor->given_back)
        return;
    (void)madvise((char *)cursor->mapping + cursor->given_back, upto - cursor->given_back, MADV_DONTNEED);
    cursor->given_back = upto;
}

void lap_cursor_free(struct lap_cursor *cursor)
{
    if (!cursor)
        return;
    segment_unload(cursor);
    free(cursor);
}

/* ---- segments ------------------------------------------------------------------------------------------------------ */

static int segment_open(const struct lap_process *process, const char *name, uint64_t *ret_bytes)
{
    if (process->directory_fd >= 0)
        return lap_file_open(process->directory_fd, name, ret_bytes);
    const int directory_fd = open(process->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return -errno;
    const int fd = lap_file_open(directory_fd, name, ret_bytes);
    close(directory_fd);
    return fd;
}

/* Maps a segment's content: nobody writes to it any more. 1, 0: it cannot be read (any more), or -ENOMEM. */
static int segment_load(struct lap_cursor *cursor, const struct lap_segment *segment)
{
    segment_unload(cursor);
    if (segment->copy) {
        cursor->data = segment->copy;
        return 1;
    }
    uint64_t file_bytes = 0;
    const int fd = segment_open(cursor->process, segment->name, &file_bytes);
    int code = fd < 0 ? fd : file_bytes < segment->content_bytes ? LAP_READER_TORN : 0;
    if (code == 0) {
        /* Populated at once: a fault each 4 KiB would cost as much as decoding them. */
        const int flags = MAP_PRIVATE | (cursor->is_one_of_many ? 0 : MAP_POPULATE);
        void *const mapping = mmap(NULL, segment->content_bytes, PROT_READ, flags, fd, 0);
        code = mapping == MAP_FAILED ? -errno : 0;
        cursor->mapping = mapping == MAP_FAILED ? NULL : mapping;
        cursor->mapping_bytes = segment->content_bytes;
    }
    if (fd >= 0)
        close(fd);
    const struct lap_format_segment *const header = cursor->mapping;
    if (code == 0 && (header->sequence != segment->header.sequence || header->begin_ticks != segment->header.begin_ticks))
        code = LAP_READER_CHANGED;
    if (code < 0 && code != -ENOMEM) {
        __atomic_add_fetch(&cursor->process->unread, 1, __ATOMIC_RELAXED);
        lap_process_warn_segment(cursor->process, code, segment->name);
    }
    cursor->data = cursor->mapping;
    return code == -ENOMEM ? code : code == 0;
}

/* The decoder goes on from the segment before, or starts anew. */
static void decoder_enter(struct lap_cursor *cursor, const struct lap_format_segment *header, bool is_contiguous)
{
    struct lap_decoder *const decoder = &cursor->decoder;
    if (!is_contiguous) {
        decoder->depth = 0;
        decoder->last_ticks = 0;
    }
    decoder->paused = header->paused_ticks;
    for (uint32_t depth = 0; depth < decoder->depth; depth++)
        decoder->open[depth].event = NULL;
    cursor->thread = lap_process_thread(cursor->process, cursor->ring, header->thread_index, header->thread_id,
                                        (const char *)header->thread_name, sizeof header->thread_name);
}

int lap_cursor_load(struct lap_cursor *cursor)
{
    cursor->has_event = 0;
    while (cursor->next_segment < cursor->end_segment) {
        const struct lap_segment *const segment = &cursor->ring->segments[cursor->next_segment++];
        const int loaded = segment_load(cursor, segment);
        if (loaded < 0)
            return loaded;
        if (loaded == 0) {
            cursor->gaps++;
            cursor->is_broken = 1;
            continue;
        }
        const bool follows = cursor->segment && cursor->segment->header.sequence + 1 == segment->header.sequence;
        if (cursor->segment && !follows)
            cursor->gaps += segment->header.sequence - cursor->segment->header.sequence - 1;
        decoder_enter(cursor, &segment->header, follows && !cursor->is_broken);
        cursor->is_broken = 0;
        cursor->segment = segment;
        cursor->offset = LAP_FORMAT_SEGMENT_HEADER_BYTES;
        cursor->to = (uint32_t)segment->content_bytes;
        return 1;
    }
    return 0;
}

void lap_cursor_decoded(struct lap_cursor *cursor, struct lap_decode_result result)
{
    cursor->has_event = 0;
    cursor->offset = result.offset;
    segment_give_back(cursor);
    if (result.error == LAP_DECODE_OK)
        return;
    static const char *const texts[] = {
        [LAP_DECODE_CLASS] = "event of a class that the metadata does not have",
        [LAP_DECODE_SIZE] = "event that is longer than its segment",
        [LAP_DECODE_DEPTH_EXCEEDED] = "scopes nested too deep",
    };
    const char *const text = result.error < sizeof texts / sizeof *texts ? texts[result.error] : NULL;
    lap_process_warn(cursor->process, LAP_READER_EVENT, cursor->segment->name, result.offset, text);
    cursor->damaged_bytes += cursor->to - result.offset;
    cursor->offset = cursor->to;
    cursor->is_broken = 1;
}

void lap_cursor_see_thread(struct lap_cursor *cursor, const struct lap_event *event)
{
    const struct lap_format_thread *const thread = (const void *)(event->words + 1);
    const char *const name = (const char *)(thread + 1);
    cursor->thread = lap_process_thread(cursor->process, cursor->ring, thread->thread_index, thread->thread_id, name,
                                        (size_t)(event->end - event->offset) - 8 - sizeof *thread);
}

/* ---- decoding with a visitor that is not known here ---------------------------------------------------------------- */

struct forward {
    const struct lap_visitor *visitor;
    void *user;
};

static void forward_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                         uint64_t lap)
{
    const struct forward *const to = user;
    if (to->visitor->mark)
        to->visitor->mark(to->user, decoder, event, scope, lap);
}

static void forward_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    const struct forward *const to = user;
    if (to->visitor->begin)
        to->visitor->begin(to->user, decoder, event, scope);
}

static void forward_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                        uint64_t total, uint64_t rest)
{
    const struct forward *const to = user;
    if (to->visitor->end)
        to->visitor->end(to->user, decoder, event, scope, total, rest);
}

static void forward_abandoned(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                              struct lap_open *scope)
{
    const struct forward *const to = user;
    if (to->visitor->abandoned)
        to->visitor->abandoned(to->user, decoder, event, scope);
}

static void forward_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct forward *const to = user;
    if (to->visitor->handle)
        to->visitor->handle(to->user, decoder, event);
}

static void forward_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct forward *const to = user;
    if (to->visitor->call)
        to->visitor->call(to->user, decoder, event);
}

static void forward_peer_lap(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct forward *const to = user;
    if (to->visitor->peer_lap)
        to->visitor->peer_lap(to->user, decoder, event);
}

static void forward_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct forward *const to = user;
    if (event->class->kind == LAP_CLASS_THREAD)
        lap_cursor_see_thread(lap_cursor_of(decoder), event);
    if (to->visitor->other)
        to->visitor->other(to->user, decoder, event);
}

static void forward_done(void *user, struct lap_decoder *decoder, uint32_t end)
{
    const struct forward *const to = user;
    if (to->visitor->done)
        to->visitor->done(to->user, decoder, end);
}

static struct lap_decode_result decode_forward(struct lap_cursor *cursor, uint32_t to, const struct lap_visitor *visitor,
                                               void *user)
{
    static const struct lap_visitor forwarding = {.mark = forward_mark,
                                                  .begin = forward_begin,
                                                  .end = forward_end,
                                                  .abandoned = forward_abandoned,
                                                  .handle = forward_handle,
                                                  .call = forward_call,
                                                  .peer_lap = forward_peer_lap,
                                                  .other = forward_other,
                                                  .done = forward_done};
    static const struct lap_visitor nobody = {0};
    struct forward forward = {visitor ? visitor : &nobody, user};
    return lap_decode(&cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, cursor->offset, to,
                      &forwarding, &forward);
}

void lap_cursor_run(struct lap_cursor *cursor, const struct lap_visitor *visitor, void *user)
{
    lap_cursor_decoded(cursor, decode_forward(cursor, cursor->to, visitor, user));
}

int lap_ring_visit(struct lap_ring *ring, const struct lap_visitor *visitor, void *user)
{
    struct lap_cursor *cursor;
    int code = lap_cursor_make(&cursor, ring);
    if (code < 0)
        return code;
    while ((code = lap_cursor_load(cursor)) == 1)
        lap_cursor_run(cursor, visitor, user);
    lap_cursor_free(cursor);
    return code;
}

/* ---- one event at a time ------------------------------------------------------------------------------------------- */

int lap_cursor_peek(struct lap_cursor *cursor, struct lap_event *ret_event)
{
    while (!cursor->has_event) {
        if (cursor->offset >= cursor->to || !cursor->segment) {
            const int loaded = lap_cursor_load(cursor);
            if (loaded <= 0)
                return loaded;
            continue;
        }
        const struct lap_decode_result result =
            lap_decode_measure(&cursor->decoder, cursor->data, cursor->segment->header.begin_ticks, cursor->offset,
                               cursor->to, &cursor->event);
        if (result.error != LAP_DECODE_OK)
            lap_cursor_decoded(cursor, result);
        else
            cursor->has_event = 1;
        if (cursor->event.ticks < cursor->decoder.last_ticks)
            cursor->event.ticks = cursor->decoder.last_ticks;
    }
    *ret_event = cursor->event;
    return 1;
}

int lap_cursor_next(struct lap_cursor *cursor, const struct lap_visitor *visitor, void *user)
{
    struct lap_event event;
    const int found = lap_cursor_peek(cursor, &event);
    if (found == 1)
        lap_cursor_decoded(cursor, decode_forward(cursor, event.end, visitor, user));
    return found;
}
