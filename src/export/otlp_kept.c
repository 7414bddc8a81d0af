/* SPDX-License-Identifier: MIT */
#include "otlp_kept.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM 320u /* most profilers have few checkpoints */

static size_t room_bytes(uint32_t room) { return sizeof(struct lap_otlp_kept) + room; }

static struct lap_otlp_kept *kept_make(struct lap_otlp_store *store)
{
    struct lap_otlp_kept *kept = store->free;
    if (kept)
        store->free = kept->next;
    else if (!(kept = malloc(room_bytes(LEAST_ROOM))))
        return NULL;
    *kept = (struct lap_otlp_kept){.room = LEAST_ROOM};
    store->bytes += room_bytes(LEAST_ROOM);
    return kept;
}

void lap_otlp_kept_free(struct lap_otlp_store *store, struct lap_otlp_kept *kept)
{
    if (!kept)
        return;
    store->bytes -= room_bytes(kept->room);
    if (kept->room != LEAST_ROOM) {
        free(kept);
        return;
    }
    kept->next = store->free;
    store->free = kept;
}

void lap_otlp_store_done(struct lap_otlp_store *store)
{
    while (store->free) {
        struct lap_otlp_kept *const next = store->free->next;
        free(store->free);
        store->free = next;
    }
}

static bool kept_grow(struct lap_otlp_store *store, struct lap_otlp_kept **kept, uint32_t bytes)
{
    uint32_t room = 2 * (*kept)->room;
    while (room < (*kept)->used + bytes)
        room *= 2;
    room = room < LAP_OTLP_KEPT_BYTES ? room : LAP_OTLP_KEPT_BYTES;
    if (room < (*kept)->used + bytes || store->bytes + room - (*kept)->room > LAP_OTLP_ALL_BYTES)
        return false;
    struct lap_otlp_kept *const grown = realloc(*kept, room_bytes(room));
    if (!grown)
        return false;
    store->bytes += room - grown->room;
    grown->room = room;
    *kept = grown;
    return true;
}

/* Room for an entry and `more` bytes behind it, and for writing a name that is elsewhere; NULL: there is none. */
static struct lap_otlp_entry *entry_make(struct lap_otlp_store *store, struct lap_otlp_kept **kept,
                                         enum lap_otlp_entry_kind kind, size_t more, size_t named)
{
    const uint32_t bytes = (uint32_t)((sizeof(struct lap_otlp_entry) + more + 7) & ~(size_t)7);
    if (!*kept && !(*kept = kept_make(store)))
        return NULL;
    const bool is_link = kind >= LAP_OTLP_LINK_IS;
    /* What says where it belongs comes last, and has its place. */
    const uint32_t links =
        kind == LAP_OTLP_LINK_PARENT || kind == LAP_OTLP_LINK_INSIDE ? LAP_OTLP_LINKS : LAP_OTLP_LINKS - 2;
    const bool is_full = (is_link ? (*kept)->links >= links : (*kept)->events >= LAP_OTLP_EVENTS) ||
                         (*kept)->used + (*kept)->named + bytes + named > LAP_OTLP_KEPT_BYTES;
    if (is_full || ((*kept)->room - (*kept)->used < bytes && !kept_grow(store, kept, bytes))) {
        *(is_link ? &(*kept)->dropped_links : &(*kept)->dropped_events) += 1;
        return NULL;
    }
    struct lap_otlp_entry *const entry = (struct lap_otlp_entry *)(void *)((char *)(*kept)->entries + (*kept)->used);
    (*kept)->used += bytes;
    (*kept)->named += (uint32_t)named;
    *(is_link ? &(*kept)->links : &(*kept)->events) += 1;
    entry->bytes = bytes;
    entry->kind = (uint8_t)kind;
    return entry;
}

void lap_otlp_keep_lap(struct lap_otlp_store *store, struct lap_otlp_kept **kept, const struct lap_span *span,
                       const struct lap_span_lap *lap)
{
    const bool is_rest = lap->class_id == LAP_FORMAT_REST; /* whose name is static */
    const bool has_name = lap->name.id == 0 && !is_rest;
    const size_t name_bytes = lap->name.bytes, message_bytes = lap->message ? strlen(lap->message) : 0;
    if (name_bytes > UINT16_MAX || message_bytes > UINT16_MAX)
        return;
    struct lap_otlp_entry *const entry =
        entry_make(store, kept, LAP_OTLP_LAP, (has_name ? name_bytes : 0) + message_bytes, has_name ? 0 : name_bytes);
    if (!entry)
        return;
    entry->time_ns = lap->end_ns;
    entry->took_ns = lap->lap_ns;
    entry->n = lap->n;
    entry->has_n = lap->has_n;
    entry->thread = span->handle != 0 && lap->thread && lap->thread != span->thread ? lap->thread->id : 0;
    entry->name = has_name ? NULL : lap->name.text;
    entry->name_bytes = (uint16_t)name_bytes;
    entry->message_bytes = (uint16_t)message_bytes;
    if (has_name)
        memcpy(entry + 1, lap->name.text, name_bytes);
    if (message_bytes > 0)
        memcpy((char *)(entry + 1) + (has_name ? name_bytes : 0), lap->message, message_bytes);
}

void lap_otlp_keep_pause(struct lap_otlp_store *store, struct lap_otlp_kept **kept, uint64_t begin_ns, uint64_t end_ns)
{
    static const char name[] = "(recorder)";
    struct lap_otlp_entry *const entry = entry_make(store, kept, LAP_OTLP_PAUSE, 0, sizeof name - 1);
    if (!entry)
        return;
    entry->time_ns = begin_ns;
    entry->took_ns = end_ns - begin_ns;
    entry->has_n = false;
    entry->thread = 0;
    entry->name = name;
    entry->name_bytes = sizeof name - 1;
    entry->message_bytes = 0;
}

void lap_otlp_keep_link(struct lap_otlp_store *store, struct lap_otlp_kept **kept, enum lap_otlp_entry_kind kind,
                        const struct lap_span_id *other)
{
    struct lap_otlp_entry *const entry = entry_make(store, kept, kind, 0, 0);
    if (entry)
        entry->other = *other;
}
