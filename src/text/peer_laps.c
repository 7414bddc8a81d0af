/* SPDX-License-Identifier: MIT */
#include "peer_laps.h"

#include "label.h"

#include "lapmark/call.h"
#include "lapmark/format.h"

#include <string.h>

enum { NOTE_END = 0, NOTE_LAP = 2 };
enum { NOTE_HEAD_BYTES = 2, NOTE_LAP_BYTES = 12, NOTE_LABEL_BYTES = 40 };

struct lap_peer_lap lap_peer_lap_of(const uint64_t *words)
{
    const struct lap_format_peer_lap *const told = (const struct lap_format_peer_lap *)(const void *)(words + 1);
    const char *const label = (const char *)(told + 1);
    const size_t label_room = told->size - 8 - sizeof *told;
    const char *const end = memchr(label, 0, label_room);
    struct lap_peer_lap lap = {.sum_ns = (double)told->sum_ns, .count = told->count};
    lap_label_escape(lap.label, sizeof lap.label, label, end ? (size_t)(end - label) : label_room);
    return lap;
}

void lap_peer_laps_add(struct lap_peer_lap *laps, uint32_t *count, uint32_t room, const struct lap_peer_lap *lap)
{
    uint32_t at = 0;
    while (at < *count && strcmp(laps[at].label, lap->label) != 0)
        at++;
    if (at < *count)
        lap_peer_lap_join(&laps[at], lap);
    else if (at < room)
        laps[(*count)++] = *lap;
}

void lap_peer_laps_sort(struct lap_peer_lap *laps, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct lap_peer_lap lap = laps[i];
        uint32_t at = i;
        for (; at > 0 && laps[at - 1].sum_ns < lap.sum_ns; at--)
            laps[at] = laps[at - 1];
        laps[at] = lap;
    }
}

/* One that can be: with a count and a label, and within what is left of the server's time. */
static int lap_read(struct lap_peer_lap *lap, const uint8_t *note, uint32_t length, double left_ns)
{
    uint64_t sum_ns;
    if (length <= NOTE_LAP_BYTES || length > NOTE_LAP_BYTES + NOTE_LABEL_BYTES)
        return 0;
    memcpy(&sum_ns, note, sizeof sum_ns);
    memcpy(&lap->count, note + sizeof sum_ns, sizeof lap->count);
    lap->sum_ns = (double)sum_ns;
    lap_label_escape(lap->label, sizeof lap->label, (const char *)note + NOTE_LAP_BYTES, length - NOTE_LAP_BYTES);
    return lap->count != 0 && lap->sum_ns <= left_ns;
}

uint32_t lap_peer_laps_read(struct lap_peer_lap laps[LAP_PEER_LAPS], const void *notes, uint64_t bytes, double server_ns,
                            int *ret_is_bad)
{
    uint8_t copy[LAP_NOTES_BYTES]; /* they may lie where the peer can still write */
    const uint32_t end = bytes < sizeof copy ? (uint32_t)bytes : (uint32_t)sizeof copy;
    double left_ns = server_ns * 1.001 + 1e3; /* 0.1 % for two rates that are roughly known, as for the trailer's times */
    uint32_t count = 0, seen = 0, at = 0;
    int is_bad = 0;
    memcpy(copy, notes, end);
    while (at < end && copy[at] != NOTE_END) {
        const uint32_t next = at + NOTE_HEAD_BYTES + (at + 1 < end ? copy[at + 1] : 0);
        if (at + 1 >= end || next > end) {
            is_bad = 1;
            break;
        }
        struct lap_peer_lap lap;
        if (copy[at] == NOTE_LAP && seen++ < LAP_PEER_LAPS &&
            lap_read(&lap, copy + at + NOTE_HEAD_BYTES, copy[at + 1], left_ns)) {
            left_ns -= lap.sum_ns;
            lap_peer_laps_add(laps, &count, LAP_PEER_LAPS, &lap);
        } else {
            is_bad |= copy[at] == NOTE_LAP;
        }
        at = next;
    }
    lap_peer_laps_sort(laps, count);
    *ret_is_bad = is_bad;
    return count;
}

uint64_t lap_peer_laps_write(void *out, uint64_t room, const struct lap_peer_lap *laps, uint32_t count, double server_ns)
{
    uint8_t *const start = out;
    uint64_t at = 0;
    if (room > LAP_NOTES_BYTES)
        room = LAP_NOTES_BYTES;
    for (uint32_t i = 0; i < count && i < LAP_PEER_LAPS; i++) {
        char label[NOTE_LABEL_BYTES + 1];
        const size_t label_bytes = lap_label_escape(label, sizeof label, laps[i].label, strlen(laps[i].label));
        if (label_bytes == 0 || at + NOTE_HEAD_BYTES + NOTE_LAP_BYTES + label_bytes > room)
            continue;
        const uint64_t sum_ns = (uint64_t)(laps[i].sum_ns < server_ns ? laps[i].sum_ns : server_ns);
        server_ns -= (double)sum_ns;
        start[at] = NOTE_LAP;
        start[at + 1] = (uint8_t)(NOTE_LAP_BYTES + label_bytes);
        memcpy(start + at + NOTE_HEAD_BYTES, &sum_ns, sizeof sum_ns);
        memcpy(start + at + NOTE_HEAD_BYTES + sizeof sum_ns, &laps[i].count, sizeof laps[i].count);
        at += NOTE_HEAD_BYTES + NOTE_LAP_BYTES;
        memcpy(start + at, label, label_bytes);
        at += label_bytes;
    }
    if (at > 0 && at < room)
        start[at++] = NOTE_END;
    return at;
}
