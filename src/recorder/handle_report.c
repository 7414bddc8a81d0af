/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "handle_report.h"

#include "guard.h"
#include "printer.h"
#include "process.h"
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define EVENTS_MAX 4096u /* of one report */

void lap_handle_rings_note(struct lap_handle_rings *rings, const struct lap_ring *ring, uint64_t position)
{
    const struct lap_ring_place place = {ring->sequence, lap_ring_offset(ring, position)};
    for (uint32_t i = 0; i < rings->count && i < LAP_HANDLE_RINGS; i++) {
        if (rings->first[i].ring != ring->number)
            continue;
        if (rings->first[i].recording != ring->recording) { /* what was before is gone */
            rings->first[i].recording = ring->recording;
            rings->first[i].place = place;
        }
        return;
    }
    if (rings->count < LAP_HANDLE_RINGS) {
        rings->first[rings->count].ring = ring->number;
        rings->first[rings->count].recording = ring->recording;
        rings->first[rings->count].place = place;
    }
    rings->count++;
}

/* The events of one handle, copied out of the rings. */
struct gathered {
    uint64_t handle;
    struct lap_report *report;
    uint32_t class_id;
    uint32_t is_in_order; /* all in one ring: they go to the report at once, however many they are */
    uint32_t has_begin;   /* the report has, or it is known to be gone */
    uint32_t count;
    uint32_t used_words;
    uint64_t end[1 + sizeof(struct lap_format_handle_end) / 8]; /* its end: 0 for none */
    struct {
        uint32_t order;
        uint32_t word;
    } events[EVENTS_MAX];
    uint64_t words[EVENTS_MAX * 8];
};

static void report_event(struct gathered *gathered, const uint64_t *words, uint32_t kind)
{
    if (kind == LAP_CLASS_HANDLE_BEGIN) {
        lap_report_handle_begin(gathered->report, words, 0);
    } else {
        if (!gathered->has_begin) /* its begin is no longer held */
            lap_report_handle_begin(gathered->report, NULL, gathered->class_id);
        lap_report_handle_mark(gathered->report, words);
    }
    gathered->has_begin = 1;
}

static void gather_event(struct gathered *gathered, const struct lap_event *event)
{
    const uint64_t *const payload = lap_event_payload(event->words, event->class);
    if (payload[0] != gathered->handle)
        return;
    if (event->class->kind == LAP_CLASS_HANDLE_END) {
        memcpy(gathered->end, event->words, sizeof gathered->end);
        return;
    }
    if (gathered->is_in_order) {
        report_event(gathered, event->words, event->class->kind);
        return;
    }
    const uint32_t words = (event->end - event->offset) / 8;
    if (gathered->count == EVENTS_MAX || gathered->used_words + words > EVENTS_MAX * 8)
        return; /* the checkpoints' numbers say how many are not there */
    const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    gathered->events[gathered->count].order = event->class->kind == LAP_CLASS_HANDLE_MARK ? 2 * mark->number + 2
                                              : event->class->kind == LAP_CLASS_CALL      ? 2 * call->number + 1
                                                                                          : 0;
    gathered->events[gathered->count++].word = gathered->used_words;
    memcpy(gathered->words + gathered->used_words, event->words, words * 8u);
    gathered->used_words += words;
}

/* Looks through a ring from a place on, or from the oldest that it holds. Other threads' rings go on growing, and their
 * oldest segment may be used again meanwhile: then what was read of it is dropped. */
static void gather_ring(struct gathered *gathered, const struct lap_ring *ring, struct lap_ring_place from)
{
    const uint64_t last = __atomic_load_n(&ring->sequence, __ATOMIC_ACQUIRE);
    const uint32_t held = __atomic_load_n(&ring->segment_count, __ATOMIC_ACQUIRE);
    if (last >= held && from.sequence < last + 1 - held)
        from = (struct lap_ring_place){last + 1 - held, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    for (uint64_t sequence = from.sequence; sequence <= last; sequence++) {
        const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
        if (!segment)
            continue;
        const uint32_t count = gathered->count, used = gathered->used_words;
        const uint64_t bytes = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
        struct lap_decoder decoder;
        decoder.classes = lap_process.sites.classes;
        decoder.class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
        struct lap_event event;
        const uint32_t start = sequence == from.sequence ? from.offset : LAP_FORMAT_SEGMENT_HEADER_BYTES;
        const uint32_t end = bytes <= ring->segment_bytes ? (uint32_t)bytes : 0;
        for (uint32_t offset = start; offset < end; offset = event.end) {
            if (lap_decode_measure(&decoder, segment->header, 0, offset, end, &event).error != LAP_DECODE_OK)
                break;
            if (event.class->kind >= LAP_CLASS_HANDLE_BEGIN && event.class->kind <= LAP_CLASS_CALL)
                gather_event(gathered, &event);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* what was read, before the look whether it still counts */
        if (__atomic_load_n(&segment->header->sequence, __ATOMIC_RELAXED) != sequence) {
            gathered->count = count;
            gathered->used_words = used;
        }
    }
}

static void gathered_sort(struct gathered *gathered)
{
    for (uint32_t i = 1; i < gathered->count; i++)
        for (uint32_t k = i; k > 0 && gathered->events[k].order < gathered->events[k - 1].order; k--) {
            const uint32_t order = gathered->events[k].order, word = gathered->events[k].word;
            gathered->events[k] = gathered->events[k - 1];
            gathered->events[k - 1].order = order;
            gathered->events[k - 1].word = word;
        }
}

static void gather(struct gathered *gathered, const struct lap_handle_rings *touched)
{
    const struct lap_ring_place oldest = {0, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    const uint32_t rings = __atomic_load_n(&lap_process.ring_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < (touched->count > LAP_HANDLE_RINGS ? rings : touched->count); i++) {
        if (touched->count > LAP_HANDLE_RINGS) {
            gather_ring(gathered, lap_process.rings[i], oldest);
        } else {
            const struct lap_ring *const ring = lap_process.rings[touched->first[i].ring];
            gather_ring(gathered, ring, ring->recording == touched->first[i].recording ? touched->first[i].place : oldest);
        }
    }
    gathered_sort(gathered);
    for (uint32_t i = 0; i < gathered->count; i++) {
        const uint64_t *const words = gathered->words + gathered->events[i].word;
        report_event(gathered, words, lap_process.sites.classes[words[0] & LAP_FORMAT_CLASS_MASK].kind);
    }
}

void lap_handle_print(struct lap_ring *ring, uint64_t handle, uint32_t class_id, const struct lap_handle_rings *touched)
{
    struct lap_report *const report = lap_printer_report(ring);
    if (!report)
        return;
    const int error = errno;
    void *const memory = mmap(NULL, sizeof(struct gathered), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        errno = error;
        return;
    }
    struct gathered *const gathered = memory;
    gathered->handle = handle;
    gathered->report = report;
    gathered->class_id = class_id;
    gathered->is_in_order = touched->count == 1;
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_rwlock_rdlock(&lap_process.storage_lock); /* rings keep their segments */
    gather(gathered, touched);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    lap_guard_leave(&guard);
    ring->at_work++;
    if (!gathered->has_begin)
        lap_report_handle_begin(report, NULL, class_id);
    if (gathered->end[0] != 0)
        lap_report_handle_end(report, gathered->end, 0, NULL);
    ring->at_work--;
    munmap(memory, sizeof(struct gathered));
}
