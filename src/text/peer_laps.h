/* SPDX-License-Identifier: MIT
 *
 * The laps of a server that its reply tells: as notes behind the trailer, and as sums by label for who prints them. Notes are
 * {u8 type, u8 length, length bytes} one after another, up to a type 0 or LAP_NOTES_BYTES; a lap is {u64 sum_ns, u32 count,
 * label}, little-endian. What a peer sends is not trusted, and labels come out of here as they may be printed.
 *
 * Threads: any, no state. No allocation, no lock. Warm.
 */
#ifndef LAP_PEER_LAPS_H
#define LAP_PEER_LAPS_H

#include <stdint.h>

#define LAP_PEER_LAPS 4u         /* of a reply, and of a line */
#define LAP_PEER_LAPS_HELD 8u    /* labels that a sum of several calls tells apart */
#define LAP_PEER_LABEL_BYTES 56u /* with its 0: more than is sent, for escapes */

/* The checkpoints with one label. */
struct lap_peer_lap {
    double sum_ns;
    uint32_t count;
    char label[LAP_PEER_LABEL_BYTES];
};

/* Of a stored LAP_FORMAT_PEER_LAP event, whose size has been checked. */
struct lap_peer_lap lap_peer_lap_of(const uint64_t *words);
/* Adds more of one label. */
static inline void lap_peer_lap_join(struct lap_peer_lap *to, const struct lap_peer_lap *more)
{
    to->sum_ns += more->sum_ns;
    to->count = to->count + more->count < to->count ? UINT32_MAX : to->count + more->count;
}
/* Adds to what is there of its label, or as a new one; past `room` labels it is left out. */
void lap_peer_laps_add(struct lap_peer_lap *laps, uint32_t *count, uint32_t room, const struct lap_peer_lap *lap);
/* The greatest sums first. */
void lap_peer_laps_sort(struct lap_peer_lap *laps, uint32_t count);

/* Reads notes, the greatest sum first, where the server took `server_ns`: all laps together cannot have taken longer. Notes of
 * other types are passed over. Returns how many; *ret_is_bad: something is left out, as no server would send it. */
uint32_t lap_peer_laps_read(struct lap_peer_lap laps[LAP_PEER_LAPS], const void *notes, uint64_t bytes, double server_ns,
                            int *ret_is_bad);
/* Writes the first of those, sorted, as many as fit, but no more than `server_ns` of them together. Returns the bytes. */
uint64_t lap_peer_laps_write(void *out, uint64_t room, const struct lap_peer_lap *laps, uint32_t count, double server_ns);

#endif
