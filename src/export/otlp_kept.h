/* SPDX-License-Identifier: MIT
 *
 * Events and links of a span that has not ended: kept in memory, within bounds for each and for all, since a span is written with them as
 * a whole. What does not fit is counted with its span.
 */
#ifndef LAP_OTLP_KEPT_H
#define LAP_OTLP_KEPT_H

#include "spans.h"

#define LAP_OTLP_EVENTS 1000u            /* of a span */
#define LAP_OTLP_LINKS 128u              /* of a span */
#define LAP_OTLP_KEPT_BYTES (256u << 10) /* of a span, with its names */
#define LAP_OTLP_ALL_BYTES (32u << 20)   /* of all; a few hundred bytes each come besides */

enum lap_otlp_entry_kind {
    LAP_OTLP_LAP = 0,
    LAP_OTLP_PAUSE,        /* of the recorder */
    LAP_OTLP_LINK_IS,      /* it is known by that name, too */
    LAP_OTLP_LINK_PARENT,  /* it is a child of that, which is of another trace */
    LAP_OTLP_LINK_FOLLOWS, /* that led to it */
    LAP_OTLP_LINK_INSIDE,  /* it took place in that */
    LAP_OTLP_LINK_CALL     /* a call that it made */
};

struct lap_otlp_entry {
    union {
        struct {
            uint64_t time_ns, took_ns;
            int64_t n;
            uint64_t thread;  /* where that is not the span's; 0 */
            const char *name; /* NULL: it follows, then the message */
        };
        struct lap_span_id other;
    };
    uint32_t bytes; /* of all, with what follows */
    uint16_t name_bytes, message_bytes;
    uint8_t kind; /* enum lap_otlp_entry_kind */
    bool has_n;
};

struct lap_otlp_kept {
    struct lap_otlp_kept *next; /* of those that are free */
    uint32_t used, room;        /* of `entries`, in bytes */
    uint32_t named;             /* bytes of names that are elsewhere: these are written, too */
    uint32_t events, links, dropped_events, dropped_links;
    uint64_t entries[];
};

struct lap_otlp_store {
    struct lap_otlp_kept *free; /* of the least room */
    uint64_t bytes;             /* in use */
};

/* Each adds to what a span keeps, NULL at first, and counts what there is no room for. Without memory nothing is kept. */
void lap_otlp_keep_lap(struct lap_otlp_store *store, struct lap_otlp_kept **kept, const struct lap_span *span,
                       const struct lap_span_lap *lap);
void lap_otlp_keep_pause(struct lap_otlp_store *store, struct lap_otlp_kept **kept, uint64_t begin_ns, uint64_t end_ns);
void lap_otlp_keep_link(struct lap_otlp_store *store, struct lap_otlp_kept **kept, enum lap_otlp_entry_kind kind,
                        const struct lap_span_id *other);
void lap_otlp_kept_free(struct lap_otlp_store *store, struct lap_otlp_kept *kept);
void lap_otlp_store_done(struct lap_otlp_store *store);

static inline bool lap_otlp_is_link(const struct lap_otlp_entry *entry) { return entry->kind >= LAP_OTLP_LINK_IS; }

/* The first one and the next; NULL: no more. */
static inline const struct lap_otlp_entry *lap_otlp_entry_at(const struct lap_otlp_kept *kept, size_t offset)
{
    return offset < kept->used ? (const struct lap_otlp_entry *)(const void *)((const char *)kept->entries + offset)
                               : NULL;
}
static inline const struct lap_otlp_entry *lap_otlp_entry_next(const struct lap_otlp_kept *kept,
                                                               const struct lap_otlp_entry *entry)
{
    return lap_otlp_entry_at(kept, (size_t)((const char *)entry - (const char *)kept->entries) + entry->bytes);
}
static inline const char *lap_otlp_entry_name(const struct lap_otlp_entry *entry)
{
    return entry->name ? entry->name : (const char *)(entry + 1);
}
static inline const char *lap_otlp_entry_message(const struct lap_otlp_entry *entry)
{
    return (const char *)(entry + 1) + (entry->name ? 0 : entry->name_bytes);
}
static inline const char *lap_otlp_relation(const struct lap_otlp_entry *entry)
{
    static const char *const names[] = {[LAP_OTLP_LINK_IS] = "is",
                                        [LAP_OTLP_LINK_PARENT] = "child of",
                                        [LAP_OTLP_LINK_FOLLOWS] = "follows",
                                        [LAP_OTLP_LINK_INSIDE] = "inside",
                                        [LAP_OTLP_LINK_CALL] = "call"};
    return names[entry->kind];
}

#endif
