/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "handle_report.h"

#include "guard.h"
#include "label.h"
#include "printer.h"
#include "process.h"
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define EVENTS_MAX 4096u /* of one report */
#define LOOKS_MAX 65536u /* events of a ring that are looked at for laps */
#define SUMS_MAX 32u     /* labels of those */

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
struct copies {
    uint32_t count;
    uint32_t used_words;
    struct {
        uint32_t order;
        uint32_t word;
    } events[EVENTS_MAX];
    uint64_t words[EVENTS_MAX * 8];
};

struct gathered {
    uint64_t handle;
    void (*see)(void *user, const uint64_t *words, const struct lap_class *class); /* in order */
    void *user;
    struct copies *copies; /* NULL: all are in the thread's own ring, and seen at once, however many they are */
    uint32_t looks_max;    /* at events of a ring */
    uint64_t end[1 + sizeof(struct lap_format_handle_end) / 8]; /* its end: 0 for none */
};

/* A call and its peer's laps stand before the checkpoint with their number, in the order in which they were stored. */
static uint32_t order_of(const struct lap_event *event)
{
    const void *const payload = lap_event_payload(event->words, event->class);
    switch (event->class->kind) {
    case LAP_CLASS_HANDLE_MARK: return 2 * ((const struct lap_format_handle_mark *)payload)->number + 2;
    case LAP_CLASS_CALL: return 2 * ((const struct lap_format_call *)payload)->number + 1;
    case LAP_CLASS_PEER_LAP:
        return 2 * ((const struct lap_format_peer_lap *)(const void *)(event->words + 1))->number + 1;
    default: return 0;
    }
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
    struct copies *const copies = gathered->copies;
    if (!copies) {
        gathered->see(gathered->user, event->words, event->class);
        return;
    }
    const uint32_t words = (event->end - event->offset) / 8;
    if (copies->count == EVENTS_MAX || copies->used_words + words > EVENTS_MAX * 8)
        return; /* the checkpoints' numbers say how many are not there */
    copies->events[copies->count].order = order_of(event);
    copies->events[copies->count++].word = copies->used_words;
    memcpy(copies->words + copies->used_words, event->words, words * 8u);
    copies->used_words += words;
}

/* Looks through a ring from a place on, or from the oldest that it holds. Other threads' rings go on growing, and their
 * oldest segment may be used again meanwhile: then what was read of it is dropped. */
static void gather_ring(struct gathered *gathered, const struct lap_ring *ring, struct lap_ring_place from)
{
    struct copies *const copies = gathered->copies;
    const uint64_t last = __atomic_load_n(&ring->sequence, __ATOMIC_ACQUIRE);
    const uint32_t held = __atomic_load_n(&ring->segment_count, __ATOMIC_ACQUIRE);
    if (last >= held && from.sequence < last + 1 - held)
        from = (struct lap_ring_place){last + 1 - held, LAP_FORMAT_SEGMENT_HEADER_BYTES};
    uint32_t looks = 0;
    for (uint64_t sequence = from.sequence; sequence <= last; sequence++) {
        const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
        if (!segment)
            continue;
        const uint32_t count = copies ? copies->count : 0, used = copies ? copies->used_words : 0;
        const uint64_t bytes = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
        struct lap_decoder decoder;
        decoder.classes = lap_process.sites.classes;
        decoder.class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
        struct lap_event event;
        const uint32_t start = sequence == from.sequence ? from.offset : LAP_FORMAT_SEGMENT_HEADER_BYTES;
        const uint32_t end = bytes <= ring->segment_bytes ? (uint32_t)bytes : 0;
        for (uint32_t offset = start; offset < end && looks < gathered->looks_max; offset = event.end, looks++) {
            if (lap_decode_measure(&decoder, segment->header, 0, offset, end, &event).error != LAP_DECODE_OK)
                break;
            if (event.class->kind >= LAP_CLASS_HANDLE_BEGIN && event.class->kind <= LAP_CLASS_PEER_LAP)
                gather_event(gathered, &event);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* what was read, before the look whether it still counts */
        if (copies && __atomic_load_n(&segment->header->sequence, __ATOMIC_RELAXED) != sequence) {
            copies->count = count;
            copies->used_words = used;
        }
    }
}

static void copies_sort(struct copies *copies)
{
    for (uint32_t i = 1; i < copies->count; i++)
        for (uint32_t k = i; k > 0 && copies->events[k].order < copies->events[k - 1].order; k--) {
            const uint32_t order = copies->events[k].order, word = copies->events[k].word;
            copies->events[k] = copies->events[k - 1];
            copies->events[k - 1].order = order;
            copies->events[k - 1].word = word;
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
            gather_ring(gathered, ring,
                        ring->recording == touched->first[i].recording ? touched->first[i].place : oldest);
        }
    }
    if (gathered->copies)
        copies_sort(gathered->copies);
    for (uint32_t i = 0; gathered->copies && i < gathered->copies->count; i++) {
        const uint64_t *const words = gathered->copies->words + gathered->copies->events[i].word;
        gathered->see(gathered->user, words, &lap_process.sites.classes[words[0] & LAP_FORMAT_CLASS_MASK]);
    }
}

/* Shows a handle's events to `see`, its end last; `own`: the calling thread's ring. None where there is no memory. */
static void handle_see(const struct lap_ring *own, uint64_t handle, const struct lap_handle_rings *touched,
                       uint32_t looks_max, void (*see)(void *user, const uint64_t *words, const struct lap_class *class),
                       void *user)
{
    struct gathered gathered = {.handle = handle, .see = see, .user = user, .looks_max = looks_max};
    if (touched->count != 1 || lap_process.rings[touched->first[0].ring] != own) {
        const int error = errno;
        void *const memory =
            mmap(NULL, sizeof(struct copies), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            errno = error;
            return;
        }
        gathered.copies = memory;
    }
    struct lap_guard guard;
    lap_guard_enter(&guard);
    pthread_rwlock_rdlock(&lap_process.storage_lock); /* rings keep their segments */
    gather(&gathered, touched);
    pthread_rwlock_unlock(&lap_process.storage_lock);
    lap_guard_leave(&guard);
    if (gathered.end[0] != 0)
        see(user, gathered.end, &lap_process.sites.classes[LAP_FORMAT_HANDLE_END]);
    if (gathered.copies)
        munmap(gathered.copies, sizeof *gathered.copies);
}

/* ---- its report ------------------------------------------------------------------------------------------------------ */

struct shown {
    struct lap_ring *ring;
    struct lap_report *report;
    uint32_t class_id;
    uint32_t has_begin; /* the report has, or it is known to be gone */
};

static void show_event(void *user, const uint64_t *words, const struct lap_class *class)
{
    struct shown *const shown = user;
    const int is_begin = class->kind == LAP_CLASS_HANDLE_BEGIN;
    if (is_begin || !shown->has_begin) /* or its begin is no longer held */
        lap_report_handle_begin(shown->report, is_begin ? words : NULL, shown->class_id);
    shown->has_begin = 1;
    if (class->kind == LAP_CLASS_HANDLE_END) {
        shown->ring->at_work++;
        lap_report_handle_end(shown->report, words, 0, NULL);
        shown->ring->at_work--;
    } else {
        lap_report_handle_mark(shown->report, words);
    }
}

void lap_handle_print(struct lap_ring *ring, uint64_t handle, uint32_t class_id, const struct lap_handle_rings *touched)
{
    struct shown shown = {ring, lap_printer_report(ring), class_id, 0};
    if (shown.report)
        handle_see(ring, handle, touched, UINT32_MAX, show_event, &shown);
}

/* ---- its laps -------------------------------------------------------------------------------------------------------- */

struct sums {
    struct lap_peer_lap laps[SUMS_MAX];
    uint32_t count;
    uint32_t seen;
};

static void sum_event(void *user, const uint64_t *words, const struct lap_class *class)
{
    struct sums *const sums = user;
    if (class->kind != LAP_CLASS_HANDLE_MARK || sums->seen++ >= EVENTS_MAX)
        return;
    const struct lap_format_handle_mark *const mark = lap_event_payload(words, class);
    struct lap_peer_lap lap = {.sum_ns = (double)mark->lap_ticks * lap_process.ns_per_tick, .count = 1};
    lap_label_pattern(lap.label, sizeof lap.label, &lap_process.sites.descriptions[class->description], class, words);
    lap_peer_laps_add(sums->laps, &sums->count, SUMS_MAX, &lap);
}

uint32_t lap_handle_sum(const struct lap_ring *ring, uint64_t handle, const struct lap_handle_rings *touched,
                        struct lap_peer_lap *laps)
{
    struct sums sums = {.count = 0, .seen = 0};
    handle_see(ring, handle, touched, LOOKS_MAX, sum_event, &sums);
    lap_peer_laps_sort(sums.laps, sums.count);
    const uint32_t count = sums.count < LAP_PEER_LAPS ? sums.count : LAP_PEER_LAPS;
    memcpy(laps, sums.laps, count * sizeof *laps);
    return count;
}
