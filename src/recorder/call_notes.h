/* SPDX-License-Identifier: MIT
 *
 * What a reply says behind its trailer, on its way between wire and ring. Apart from call.c, which is made fast: only those pay
 * for this who asked for it.
 */
#ifndef LAP_CALL_NOTES_H
#define LAP_CALL_NOTES_H

#include "lapmark/format.h"
#include "peer_laps.h"

#include <stdint.h>

/* What the events of a reply's laps take at most. */
#define LAP_CALL_NOTES_EVENTS_BYTES                                                                                      \
    (LAP_PEER_LAPS * (8u + (uint32_t)sizeof(struct lap_format_peer_lap) + LAP_PEER_LABEL_BYTES + 8u))

/* Stores the laps that a call's reply tells at `position`, where there is room for them, right behind the call's event. What is
 * wrong with the notes is counted, once. Returns the position behind them; not committed. */
uint64_t lap_call_notes_store(uint64_t position, uint64_t ticks, const struct lap_format_call *call, uint64_t server_ns,
                              const void *notes, uint64_t bytes);

#endif
