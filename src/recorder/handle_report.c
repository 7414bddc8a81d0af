/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "handle_report.h"

#include "printer.h"
#include "process.h"
#include "report.h"

#include <string.h>
#include <sys/mman.h>

#define EVENTS_MAX 4096u /* of one report */

void lap_handle_rings_note(struct lap_handle_rings *rings, const struct lap_ring *ring, uint64_t position)
{
    for (uint32_t i = 0; i < rings->count && i < LAP_HANDLE_RINGS; i++)
        if (rings->first[i].ring == ring->number)
            return;
    if (rings->count < LAP_HANDLE_RINGS) {
        rings->first[rings->count].ring = ring->number;
        rings->first[rings->count].place = (struct lap_ring_place){ring->sequence, lap_ring_offset(ring, position)};
    }
    rings->count++;
}

/* The events of one handle, copied out of the rings, with their clocks for the order. */
struct gathered {
    uint64_t handle;
    uint32_t count;
    uint32_t used_words;
    uint64_t missed;
    struct {
        uint64_t ticks;
        uint32_t word;
    } events[EVENTS_MAX];
    uint64_t words[EVENTS_MAX * 8];
};

static void gather_event(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathered *const gathered = user;
    (void)decoder;
    const uint64_t *const payload = lap_event_payload(event->words, event->class);
    if (payload[0] != gathered->handle)
        return;
    const uint32_t words = (event->end - event->offset) / 8;
    if (gathered->count == EVENTS_MAX || gathered->used_words + words > EVENTS_MAX * 8) {
        gathered->missed++;
        return;
    }
    gathered->events[gathered->count].ticks = event->ticks;
    gathered->events[gathered->count++].word = gathered->used_words;
    memcpy(gathered->words + gathered->used_words, event->words, words * 8u);
    gathered->used_words += words;
}

/* Looks through a ring from a place on. Other threads' rings go on growing, and their oldest segment may be used again
 * meanwhile: then what was read of it is dropped. */
static void gather_ring(struct gathered *gathered, const struct lap_ring *ring, struct lap_ring_place from)
{
    static const struct lap_visitor visitor = {.handle = gather_event};
    for (uint64_t sequence = from.sequence;; sequence++) {
        const struct lap_segment *const segment = lap_ring_segment(ring, sequence);
        if (!segment)
            return;
        const uint32_t count = gathered->count, used = gathered->used_words;
        const uint64_t bytes = __atomic_load_n(&segment->header->content_bits, __ATOMIC_ACQUIRE) / 8;
        struct lap_decoder decoder;
        memset(&decoder, 0, offsetof(struct lap_decoder, open));
        decoder.classes = lap_process.sites.classes;
        decoder.class_count = __atomic_load_n(&lap_process.sites.count, __ATOMIC_ACQUIRE);
        const uint32_t start = sequence == from.sequence ? from.offset : LAP_FORMAT_SEGMENT_HEADER_BYTES;
        if (start <= bytes && bytes <= ring->segment_bytes)
            lap_decode(&decoder, segment->header, segment->header->begin_ticks, start, (uint32_t)bytes, &visitor, gathered);
        if (__atomic_load_n(&segment->header->sequence, __ATOMIC_ACQUIRE) != sequence) {
            gathered->count = count;
            gathered->used_words = used;
            gathered->missed++;
        }
    }
}

static void gathered_sort(struct gathered *gathered)
{
    for (uint32_t i = 1; i < gathered->count; i++)
        for (uint32_t k = i; k > 0 && gathered->events[k].ticks < gathered->events[k - 1].ticks; k--) {
            const uint64_t ticks = gathered->events[k].ticks;
            const uint32_t word = gathered->events[k].word;
            gathered->events[k] = gathered->events[k - 1];
            gathered->events[k - 1].ticks = ticks;
            gathered->events[k - 1].word = word;
        }
}

void lap_handle_print(struct lap_ring *ring, uint64_t handle, const struct lap_handle_rings *touched)
{
    struct lap_report *const report = lap_printer_report(ring);
    if (!report)
        return;
    void *const memory = mmap(NULL, sizeof(struct gathered), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    struct gathered *const gathered = memory;
    gathered->handle = handle;
    pthread_rwlock_rdlock(&lap_process.storage_lock); /* rings keep their segments */
    const uint32_t rings = __atomic_load_n(&lap_process.ring_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < (touched->count > LAP_HANDLE_RINGS ? rings : touched->count); i++) {
        if (touched->count > LAP_HANDLE_RINGS) {
            const struct lap_ring *const other = lap_process.rings[i];
            const uint64_t sequence = other->sequence;
            gather_ring(gathered, other,
                        (struct lap_ring_place){sequence < other->segment_count ? 0 : sequence + 1 - other->segment_count,
                                                LAP_FORMAT_SEGMENT_HEADER_BYTES});
        } else {
            gather_ring(gathered, lap_process.rings[touched->first[i].ring], touched->first[i].place);
        }
    }
    pthread_rwlock_unlock(&lap_process.storage_lock);
    gathered_sort(gathered);
    const uint64_t **const events = (const uint64_t **)(void *)(gathered->words + gathered->used_words);
    if (gathered->used_words + gathered->count <= EVENTS_MAX * 8) {
        for (uint32_t i = 0; i < gathered->count; i++)
            events[i] = gathered->words + gathered->events[i].word;
        if (gathered->missed != 0)
            lap_report_missed(report, gathered->missed);
        lap_report_handle(report, events, gathered->count);
    }
    munmap(memory, sizeof(struct gathered));
}
