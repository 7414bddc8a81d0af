/* SPDX-License-Identifier: MIT
 *
 * The one decoder: turns the words of a segment into begins, laps and ends. The recorder's statistics, the text report and
 * every command read events through lap_decode(), so that they cannot disagree. It trusts no byte, allocates nothing, and
 * keeps a thread's open scopes from one segment to the next.
 *
 * Times of scopes are in thread time: the clock less what the recorder itself took (pause events), so that no lap
 * contains the recorder's own batches and writes. Handles, which cross threads, are in plain clock time.
 */
#ifndef LAP_DECODE_H
#define LAP_DECODE_H

#include "class.h"
#include "lapmark/format.h"

#include <stdint.h>

#define LAP_DECODE_DEPTH 508 /* LAP_IMPL_FRAMES: what the recorder nests, plus one */

/* A scope that is open. */
struct lap_open {
    uint64_t begin;        /* thread time */
    uint64_t last;         /* thread time of its last checkpoint, or of its begin */
    uint64_t begin_ticks;  /* clock */
    const uint64_t *event; /* its begin, NULL if that is not in the segment being decoded */
    uint64_t threshold_ns; /* of the code; LAP_FORMAT_NO_THRESHOLD if it gives none */
    int64_t n;
    uint64_t key; /* the visitor's */
    uint32_t class_id;
    uint32_t path; /* the visitor's */
    uint32_t unit; /* the visitor's */
    uint32_t marks;
    uint32_t flags; /* LAP_FORMAT_FLAG_* */
    uint32_t reserved;
};

struct lap_decoder {
    const struct lap_class *classes;
    uint32_t class_count;
    uint32_t depth; /* open[0..depth-1], outermost first */
    uint64_t paused;
    uint64_t last_ticks; /* of the clock, to see it go backward */
    /* Counts, never reset here. */
    uint64_t backward;    /* clocks that went backward and were clamped */
    uint64_t orphans;     /* checkpoints and ends without an open scope */
    uint64_t abandoned;   /* scopes left without an end */
    uint64_t events;      /* of sites, and ends */
    struct lap_open root; /* stands for what is around the outermost; right before open */
    struct lap_open open[LAP_DECODE_DEPTH];
};
static_assert(offsetof(struct lap_decoder, open) == offsetof(struct lap_decoder, root) + sizeof(struct lap_open), "root");

/* One event as the visitor sees it. */
struct lap_event {
    const uint64_t *words; /* the event; words[0] is {class, clock} */
    const struct lap_class *class;
    uint64_t ticks; /* 64-bit clock */
    uint32_t class_id;
    uint32_t offset; /* in bytes from the segment's start */
    uint32_t end;    /* offset behind it */
};

/* The events of a segment that are not decoded yet, for a visitor that reads the common ones faster than one by one. */
struct lap_run {
    const char *segment;
    uint32_t offset;
    uint32_t to;
    uint64_t begin_ticks; /* of the segment */
};

/* Ticks from the segment's begin to an event. The difference of whole words, shifted down, is that of their clocks modulo
 * 2^44, since `begin_word`, the begin shifted up, has no class in its low bits. */
static inline uint64_t lap_event_elapsed(uint64_t word, uint64_t begin_word)
{
    return (word - begin_word) >> LAP_FORMAT_CLOCK_SHIFT;
}

/* What happens. `scope` is the innermost (mark), the new one (begin) or the one that ends (end, abandoned). Any function
 * may be NULL. Called in the order of events. */
struct lap_visitor {
    void (*mark)(void *user, struct lap_decoder *, const struct lap_event *, struct lap_open *scope, uint64_t lap);
    void (*begin)(void *user, struct lap_decoder *, const struct lap_event *, struct lap_open *scope);
    void (*end)(void *user, struct lap_decoder *, const struct lap_event *, struct lap_open *scope, uint64_t total,
                uint64_t rest);
    void (*abandoned)(void *user, struct lap_decoder *, const struct lap_event *, struct lap_open *scope);
    void (*handle)(void *user, struct lap_decoder *,
                   const struct lap_event *);                                 /* begin, mark, end: see the class's kind */
    void (*call)(void *user, struct lap_decoder *, const struct lap_event *); /* a call that is over */
    void (*peer_lap)(void *user, struct lap_decoder *, const struct lap_event *); /* of the call before it */
    /* pause, open, thread, serve, reply, link, orphans */
    void (*other)(void *user, struct lap_decoder *, const struct lap_event *);
    /* Takes as many events as it can in one go; see struct lap_run. Returns the offset behind them; the next one comes to
     * the others. */
    uint32_t (*run)(void *user, struct lap_decoder *, struct lap_run *);
    void (*done)(void *user, struct lap_decoder *, uint32_t end); /* after each event, with the offset behind it */
};

enum lap_decode_error {
    LAP_DECODE_OK = 0,
    LAP_DECODE_CLASS = 1, /* a class that the metadata does not have */
    LAP_DECODE_SIZE = 2,  /* an event that is longer than what is left */
    LAP_DECODE_DEPTH_EXCEEDED = 3
};

struct lap_decode_result {
    uint32_t offset; /* behind the last good event */
    uint32_t error;  /* enum lap_decode_error */
};

/* The fixed payload of an event, behind its first word and its size. */
static inline const void *lap_event_payload(const uint64_t *words, const struct lap_class *class)
{
    return words + 1 + (class->words == 0);
}

/* Where an event's size `n` and then its arguments start. */
static inline const uint64_t *lap_event_values(const uint64_t *words, const struct lap_class *class)
{
    return words + lap_class_fixed_words((enum lap_class_kind) class->kind) + (class->words == 0);
}

static inline uint64_t lap_event_size_bytes(const uint64_t *words, const struct lap_class *class)
{
    return class->words != 0 ? 8u * class->words : words[1];
}

/* The path, as the visitor has set them, of what is around a scope that begins; 0: the root. */
static inline uint32_t lap_decode_around(const struct lap_decoder *decoder, const struct lap_event *event,
                                         const struct lap_open *scope)
{
    if (event->class->kind == LAP_CLASS_BEGIN_WITH) {
        const struct lap_format_begin_with *const with = lap_event_payload(event->words, event->class);
        if (with->parent != 0 && with->path < LAP_FORMAT_PATHS)
            return with->path;
    }
    return decoder->depth > 1 ? scope[-1].path : 0;
}

static inline __attribute__((always_inline)) void lap_decode_begin(struct lap_decoder *decoder,
                                                                   const struct lap_event *event, uint64_t now,
                                                                   const struct lap_visitor *visitor, void *user)
{
    struct lap_open *const scope = &decoder->open[decoder->depth++];
    scope->begin = scope->last = now;
    scope->begin_ticks = event->ticks;
    scope->event = event->words;
    scope->threshold_ns = LAP_FORMAT_NO_THRESHOLD;
    scope->n = 0;
    scope->class_id = event->class_id;
    scope->marks = 0;
    scope->flags = 0;
    if (event->class->kind == LAP_CLASS_BEGIN_WITH) {
        const struct lap_format_begin_with *const with = lap_event_payload(event->words, event->class);
        scope->threshold_ns = with->threshold_ns;
        scope->n = with->n;
        scope->flags = with->flags;
    }
    if (visitor->begin)
        visitor->begin(user, decoder, event, scope);
}

/* A state dump says what was open when the segment began: taken where this decoder knows less (it starts here). */
static inline void lap_decode_open(struct lap_decoder *decoder, const struct lap_event *event,
                                   const struct lap_visitor *visitor, void *user)
{
    const struct lap_format_open *const open = (const struct lap_format_open *)(const void *)(event->words + 1);
    if (open->depth != decoder->depth || decoder->depth >= LAP_DECODE_DEPTH ||
        open->class_id < LAP_FORMAT_FIRST_SITE_CLASS || open->class_id >= decoder->class_count)
        return;
    struct lap_open *const scope = &decoder->open[decoder->depth++];
    *scope = (struct lap_open){.begin = open->begin_ticks - open->begin_paused,
                               .last = open->last_ticks,
                               .begin_ticks = open->begin_ticks,
                               .event = event->words,
                               .threshold_ns = open->threshold_ns,
                               .n = open->n,
                               .class_id = open->class_id,
                               .marks = open->marks,
                               .flags = open->flags,
                               .path = open->path};
    if (visitor->begin)
        visitor->begin(user, decoder, event, scope);
}

/* The size of an event that says it itself, 0 if it cannot be one: its first word, size, fixed payload, a string and the
 * tail are the least. */
static inline uint32_t lap_decode_own_size(const uint64_t *words, const struct lap_class *class, uint32_t left)
{
    if (left < 24)
        return 0;
    const uint64_t size = words[1];
    if (size % 8 != 0 || size < 8u * (lap_class_fixed_words((enum lap_class_kind) class->kind) + 3) ||
        size > LAP_FORMAT_EVENT_BYTES_MAX || size > left ||
        (class->kind == LAP_CLASS_OPEN && size < 8 + sizeof(struct lap_format_open) + 16) ||
        (class->kind == LAP_CLASS_THREAD && size < 8 + sizeof(struct lap_format_thread) + 16))
        return 0;
    return (uint32_t)size;
}

/* Looks at the event at `offset`: its class, its size, which must be whole, and its clock, not clamped. No state changes. */
static inline struct lap_decode_result lap_decode_measure(const struct lap_decoder *decoder, const void *segment,
                                                          uint64_t segment_begin_ticks, uint32_t offset, uint32_t to,
                                                          struct lap_event *ret_event)
{
    ret_event->words = (const uint64_t *)(const void *)((const char *)segment + offset);
    const uint64_t word = ret_event->words[0];
    ret_event->class_id = word & LAP_FORMAT_CLASS_MASK;
    if (__builtin_expect(ret_event->class_id >= decoder->class_count, 0))
        return (struct lap_decode_result){offset, LAP_DECODE_CLASS};
    const struct lap_class *const class = ret_event->class = &decoder->classes[ret_event->class_id];
    uint32_t size = 8u * class->words;
    if (size == 0 && class->kind == LAP_CLASS_NONE)
        return (struct lap_decode_result){offset, LAP_DECODE_CLASS};
    if (size == 0)
        size = lap_decode_own_size(ret_event->words, class, to - offset);
    if (size - 1 >= to - offset)
        return (struct lap_decode_result){offset, LAP_DECODE_SIZE};
    ret_event->ticks =
        segment_begin_ticks + (((word >> LAP_FORMAT_CLOCK_SHIFT) - segment_begin_ticks) & LAP_FORMAT_CLOCK_MASK);
    ret_event->offset = offset;
    ret_event->end = offset + size;
    return (struct lap_decode_result){ret_event->end, LAP_DECODE_OK};
}

/* Every kind but a checkpoint of an open scope. Returns 0, or LAP_DECODE_DEPTH_EXCEEDED. */
static inline __attribute__((always_inline)) uint32_t lap_decode_other(struct lap_decoder *decoder,
                                                                       const struct lap_event *event,
                                                                       const struct lap_visitor *visitor, void *user)
{
    const uint64_t now = event->ticks - decoder->paused;
    switch (event->class->kind) {
    case LAP_CLASS_BEGIN:
    case LAP_CLASS_BEGIN_WITH:
        if (__builtin_expect(decoder->depth >= LAP_DECODE_DEPTH, 0))
            return LAP_DECODE_DEPTH_EXCEEDED;
        decoder->events++;
        lap_decode_begin(decoder, event, now, visitor, user);
        return 0;
    case LAP_CLASS_END:
        decoder->events++;
        if (__builtin_expect(decoder->depth == 0, 0))
            break;
        struct lap_open *const scope = &decoder->open[decoder->depth - 1];
        if (visitor->end)
            visitor->end(user, decoder, event, scope, now - scope->begin, now - scope->last);
        decoder->depth--;
        return 0;
    case LAP_CLASS_MARK: decoder->events++; break;
    case LAP_CLASS_HANDLE_BEGIN:
    case LAP_CLASS_HANDLE_MARK:
    case LAP_CLASS_HANDLE_END:
        decoder->events++;
        if (visitor->handle)
            visitor->handle(user, decoder, event);
        return 0;
    case LAP_CLASS_CALL:
        decoder->events++;
        if (visitor->call)
            visitor->call(user, decoder, event);
        return 0;
    case LAP_CLASS_PEER_LAP:
        if (visitor->peer_lap)
            visitor->peer_lap(user, decoder, event);
        return 0;
    case LAP_CLASS_ABANDONED:
        for (uint64_t count = event->words[1]; count > 0 && decoder->depth > 0; count--) {
            decoder->abandoned++;
            if (visitor->abandoned)
                visitor->abandoned(user, decoder, event, &decoder->open[decoder->depth - 1]);
            decoder->depth--;
        }
        return 0;
    case LAP_CLASS_OPEN: lap_decode_open(decoder, event, visitor, user); return 0;
    case LAP_CLASS_PAUSE:
        decoder->paused += event->words[1];
        if (visitor->other)
            visitor->other(user, decoder, event);
        return 0;
    default:
        if (visitor->other)
            visitor->other(user, decoder, event);
        return 0;
    }
    decoder->orphans++; /* a checkpoint or an end with nothing open */
    if (visitor->other)
        visitor->other(user, decoder, event);
    return 0;
}

/* Decodes the events of `segment` (its header included) from byte `from` to byte `to`, which must lie within it. Events
 * are whole or it stops in front of the first that is not. `visitor` should be a constant, so that the calls are inlined.
 * Cost: about 1 ns a checkpoint with a visitor that does nothing; what a run of checkpoints needs stays in registers, which
 * is why their events are built apart from the others'. */
static inline __attribute__((always_inline)) struct lap_decode_result
lap_decode(struct lap_decoder *decoder, const void *segment, uint64_t segment_begin_ticks, uint32_t from, uint32_t to,
           const struct lap_visitor *visitor, void *user)
{
    const char *const start = segment;
    const struct lap_class *const classes = decoder->classes;
    const uint32_t class_count = decoder->class_count;
    uint64_t last_ticks = decoder->last_ticks;
    uint32_t offset = from, error = LAP_DECODE_OK;
    while (offset < to) {
        if (visitor->run) {
            struct lap_run run = {start, offset, to, segment_begin_ticks};
            decoder->last_ticks = last_ticks;
            offset = visitor->run(user, decoder, &run);
            last_ticks = decoder->last_ticks;
            if (offset >= to)
                break;
        }
        const uint64_t *const words = (const uint64_t *)(const void *)(start + offset);
        const uint64_t word = words[0];
        const uint32_t class_id = word & LAP_FORMAT_CLASS_MASK;
        if (__builtin_expect(class_id >= class_count, 0)) {
            error = LAP_DECODE_CLASS;
            break;
        }
        const struct lap_class *const class = &classes[class_id];
        const uint32_t kind = class->kind;
        uint32_t size = 8u * class->words;
        if (__builtin_expect(size == 0, 0)) {
            if (kind == LAP_CLASS_NONE) {
                error = LAP_DECODE_CLASS;
                break;
            }
            size = lap_decode_own_size(words, class, to - offset);
        }
        if (__builtin_expect(size - 1 >= to - offset, 0)) {
            error = LAP_DECODE_SIZE;
            break;
        }
        uint64_t ticks = segment_begin_ticks + lap_event_elapsed(word, segment_begin_ticks << LAP_FORMAT_CLOCK_SHIFT);
        if (__builtin_expect(ticks < last_ticks, 0)) {
            decoder->backward++;
            ticks = last_ticks;
        }
        last_ticks = ticks;
        if (kind == LAP_CLASS_MARK && __builtin_expect(decoder->depth != 0, 1)) {
            struct lap_open *const scope = &decoder->open[decoder->depth - 1];
            const struct lap_event event = {words, class, ticks, class_id, offset, offset + size};
            const uint64_t now = ticks - decoder->paused;
            const uint64_t lap = now - scope->last;
            decoder->events++;
            scope->last = now;
            scope->marks++;
            if (visitor->mark)
                visitor->mark(user, decoder, &event, scope, lap);
        } else {
            const struct lap_event event = {words, class, ticks, class_id, offset, offset + size};
            decoder->last_ticks = last_ticks;
            error = lap_decode_other(decoder, &event, visitor, user);
            if (__builtin_expect(error != LAP_DECODE_OK, 0))
                break;
        }
        offset += size;
        if (visitor->done)
            visitor->done(user, decoder, offset);
    }
    decoder->last_ticks = last_ticks;
    return (struct lap_decode_result){offset, error};
}

#endif
