/* SPDX-License-Identifier: MIT
 *
 * The out-of-line paths of scopes and their checkpoints: sites not met yet, full blocks, scopes that print, that may be
 * taken back, that are immediate, or that were left by longjmp.
 */
#define _GNU_SOURCE
#include "scope.h"

#include "handle_table.h"
#include "immediate.h"
#include "lapmark.h"
#include "printer.h"
#include "process.h"
#include "take_back.h"

#include <signal.h>
#include <string.h>

#define STACK_BYTES_MAX (UINT64_C(8) << 20)
/* of the divert word: an immediate scope is open; without it, the muting scope's address */
#define IMMEDIATE_BIT UINT64_C(1)
#define NO_RING_REFUSALS_EACH 1024u

/* ---- taking the ring ----------------------------------------------------------------------------------------------- */

static struct lap_ring *ring_of(const struct lap_impl_thread *thread)
{
    return (struct lap_ring *)(uintptr_t)thread->reserved_words[0];
}

struct lap_ring *lap_ring_take(uint64_t taken, uint64_t *ret_position)
{
    struct lap_impl_thread *thread = lap_impl_local.thread;
    if (thread->segment == 0) { /* a new thread, or a forked child's */
        /* Without memory for a ring, asking again each time would cost the thread a lock an event. */
        static __thread uint32_t refusals __attribute__((tls_model("initial-exec")));
        struct lap_ring *const ring = refusals % NO_RING_REFUSALS_EACH == 0 ? lap_ring_adopt() : NULL;
        refusals = ring ? 0 : refusals + 1;
        if (!ring) {
            lap_process_count_loss(LAP_FORMAT_LOSS_MEMORY, 1);
            return NULL;
        }
        thread = ring->thread;
        taken = lap_impl_take(thread);
    } else if (taken == 0) {
        taken = lap_impl_take(thread);
    }
    struct lap_ring *const ring = ring_of(thread);
    if (taken >= LAP_IMPL_BUSY) { /* a signal handler, or a sink: the thread is in the middle of an event */
        thread->position -= LAP_IMPL_BUSY;
        __atomic_add_fetch(&ring->lost_events, 1, __ATOMIC_RELAXED);
        lap_process_count_loss(LAP_FORMAT_LOSS_SIGNAL, 1);
        return NULL;
    }
    if (lap_impl_local.divert == IMMEDIATE_BIT && ring->immediate == 0)
        lap_impl_local.divert = 0; /* what set it was the parent's, before a fork */
    *ret_position = taken;
    return ring;
}

unsigned lap_site_state(struct lap_impl_site *site)
{
    unsigned state = lap_impl_state(site);
    if (state & LAP_IMPL_UNREGISTERED) {
        lap_sites_register(site);
        state = lap_impl_state(site);
    }
    return state & LAP_IMPL_UNREGISTERED ? LAP_IMPL_OFF : state;
}

uint64_t lap_ring_room(struct lap_ring *ring, uint64_t position, uint32_t bytes, uint64_t *ret_ticks)
{
    *ret_ticks = lap_clock_ticks(&lap_process.clock);
    return lap_ring_room_at(ring, position, bytes, ret_ticks);
}

uint64_t lap_ring_room_at(struct lap_ring *ring, uint64_t position, uint32_t bytes, uint64_t *ticks)
{
    if (!lap_ring_has_room(ring, position, bytes, *ticks)) {
        position = lap_ring_make_room(ring, position, bytes);
        *ticks = lap_clock_ticks(&lap_process.clock);
    }
    if (*ticks < ring->thread->begin_ticks)
        *ticks = ring->thread->begin_ticks;
    if (position == 0) {
        ring->lost_events++;
        lap_process_count_loss(LAP_FORMAT_LOSS_MEMORY, 1);
        lap_ring_give(ring, ring->thread->position & ~LAP_IMPL_BUSY);
    }
    return position;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static const char *string_of(uint64_t word)
{
    const char *const text = (const char *)(uintptr_t)word;
    return text ? text : "(null)";
}

static uint32_t string_bytes(uint64_t word, uint8_t *ret_length)
{
    *ret_length = (uint8_t)strnlen(string_of(word), LAP_FORMAT_STRING_BYTES - 1);
    return *ret_length + 1u;
}

void lap_event_measure(struct lap_event_parts *parts)
{
    const struct lap_impl_site *const site = parts->site;
    const unsigned sizes = site->flags & LAP_IMPL_SITE_N;
    parts->id = site->id;
    if (site->flags & LAP_IMPL_SITE_TEXT)
        parts->id = lap_sites_text_class(site->id, string_of(parts->words[sizes]));
    const struct lap_class *const class = &lap_process.sites.classes[parts->id];
    if (class->words != 0) {
        parts->bytes = 8u * class->words;
        return;
    }
    uint32_t numbers = sizes, strings = 0;
    uint8_t *length = parts->lengths;
    for (unsigned i = 0; i < site->args; i++) {
        if ((site->types >> (4 * i) & 15) == LAP_IMPL_TYPE_STRING)
            strings += string_bytes(parts->words[sizes + i], length++);
        else
            numbers++;
    }
    if (class->flags & LAP_CLASS_TEXT)
        strings += string_bytes(parts->words[sizes + site->args], length);
    parts->bytes = 8 * (3 + parts->fixed_words + numbers) + ((strings + 7) & ~7u);
}

/* Another thread may be changing the string: it gets the room that was measured, and is one string. */
static char *string_put(char *out, uint64_t word, size_t length)
{
    memcpy(out, string_of(word), length);
    out[length] = 0;
    for (size_t ended; (ended = strlen(out)) < length;)
        out[ended] = '?';
    return out + length + 1;
}

uint64_t lap_event_store(const struct lap_event_parts *parts, uint64_t position, uint64_t ticks)
{
    const struct lap_impl_site *const site = parts->site;
    const struct lap_class *const class = &lap_process.sites.classes[parts->id];
    uint64_t *out = (uint64_t *)(uintptr_t)position;
    const uint64_t end = position + parts->bytes;
    *out++ = ticks << LAP_IMPL_CLASS_BITS | parts->id;
    if (class->words == 0)
        *out++ = parts->bytes;
    if (parts->fixed_words != 0)
        memcpy(out, parts->fixed, 8 * parts->fixed_words);
    out += parts->fixed_words;
    const uint64_t *word = parts->words;
    if (site->flags & LAP_IMPL_SITE_N)
        *out++ = *word++;
    for (unsigned i = 0; i < site->args; i++)
        if ((site->types >> (4 * i) & 15) != LAP_IMPL_TYPE_STRING)
            *out++ = word[i];
    if (class->words != 0)
        return end;
    char *text = (char *)out;
    const uint8_t *length = parts->lengths;
    for (unsigned i = 0; i < site->args; i++)
        if ((site->types >> (4 * i) & 15) == LAP_IMPL_TYPE_STRING)
            text = string_put(text, word[i], *length++);
    if (class->flags & LAP_CLASS_TEXT)
        text = string_put(text, word[site->args], *length);
    memset(text, 0, (size_t)((char *)(uintptr_t)end - text));
    return end;
}

/* ---- frames that are gone ------------------------------------------------------------------------------------------ */

/* Was the scope at this address left without its end? It was if its memory is used for the scope that begins, or lies
 * below the frame of whoever is running: a stack grows down, and nobody's frame lies there any more. Another stack (a
 * signal handler's) tells nothing. */
static __attribute__((noinline)) int is_gone(uint64_t address, uint64_t beginning, uint64_t frame)
{
    if (address == beginning)
        return 1;
    if (address >= frame || frame - address > STACK_BYTES_MAX)
        return 0;
    stack_t stack;
    return sigaltstack(NULL, &stack) < 0 || !(stack.ss_flags & SS_ONSTACK);
}

/* How many open scopes are left once those that are gone are taken off. */
static uint32_t depth_alive(const struct lap_impl_thread *thread, uint64_t beginning, uint64_t frame)
{
    uint32_t depth = thread->depth;
    while (depth > 0 && is_gone(thread->frames[depth].address, beginning, frame))
        depth--;
    /* One further out may be at the same address while those inside it look alive: they went with it. */
    for (uint32_t i = 1; i <= depth; i++)
        if (thread->frames[i].address == beginning)
            return i - 1;
    return depth;
}

/* ---- muting -------------------------------------------------------------------------------------------------------- */

int lap_is_muted(void) { return lap_impl_local.divert != 0 && !(lap_impl_local.divert & IMMEDIATE_BIT); }

/* A muting scope that was left by longjmp mutes no more. */
static void mute_heal(uint64_t beginning, uint64_t frame)
{
    if (lap_is_muted() && is_gone(lap_impl_local.divert, beginning, frame))
        lap_impl_local.divert = 0;
}

void lap_impl_mute_cold(struct lap_impl_scope *scope)
{
    mute_heal((uintptr_t)scope, (uintptr_t)__builtin_frame_address(0));
    if (lap_is_muted())
        return;
    scope->saved = lap_impl_local.divert;
    scope->mode = scope->saved ? LAP_IMPL_SCOPE_RESTORE : LAP_IMPL_SCOPE_MUTE;
    lap_impl_local.divert = (uintptr_t)scope;
}

/* ---- scopes that were left ------------------------------------------------------------------------------------------- */

/* Takes off what was left without an end, and says so. Returns the position, 0 if there is no room. */
static uint64_t abandon(struct lap_ring *ring, uint64_t position, uint32_t depth)
{
    struct lap_impl_thread *const thread = ring->thread;
    if (depth == thread->depth)
        return position;
    uint64_t ticks;
    position = lap_ring_room(ring, position, 16, &ticks);
    if (position == 0)
        return 0;
    position = lap_ring_store_abandoned(ring, position, thread->depth - depth);
    for (uint32_t i = thread->depth; i > depth; i--) {
        const struct lap_slow_scope *const slow = &ring->slow[i];
        if (slow->address != thread->frames[i].address || slow->begin_ticks != thread->frames[i].begin_ticks)
            continue;
        if (slow->flags & LAP_SLOW_RESTORES)
            lap_impl_local.divert = slow->saved_divert;
        if (slow->flags & LAP_SLOW_IMMEDIATE && --ring->immediate == 0)
            lap_impl_local.divert &= ~IMMEDIATE_BIT;
        if (slow->flags & LAP_SLOW_PRINTS)
            lap_printer_scope_ends(ring, position, 1);
    }
    thread->depth = depth;
    return position;
}

/* ---- handlers that leave by siglongjmp ----------------------------------------------------------------------------- */

/* What is half done is dropped: the report, statistics of at most a block, all that is open. */
static uint64_t work_drop(struct lap_ring *ring, uint64_t position)
{
    struct lap_impl_thread *const thread = ring->thread;
    ring->at_work = 0;
    lap_printer_heal(ring);
    ring->applied = lap_ring_offset(ring, position);
    __atomic_store_n(&ring->statistics.heap->applied, ring->sequence << LAP_FORMAT_APPLIED_SHIFT | ring->applied,
                     __ATOMIC_RELEASE);
    lap_process_count_loss(LAP_FORMAT_LOSS_STATISTICS, 1);
    ring->decoder.depth = thread->depth;
    for (uint32_t i = 0; i < thread->depth; i++)
        ring->decoder.open[i] = (struct lap_open){.event = NULL};
    return abandon(ring, position, 0);
}

/* A handler that leaves by siglongjmp leaves the position busy for good. It is told from one that is still at work by a
 * scope of those that it interrupted, which is gone, or ends (`ending`). Returns what to take: 0 if the position is free
 * again, else `taken`. What the packet says is stored is what counts. */
static uint64_t busy_heal(uint64_t taken, uint64_t ending, uint64_t beginning, uint64_t frame)
{
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    if (__builtin_expect(taken < LAP_IMPL_BUSY && thread->position < LAP_IMPL_BUSY, 1) || thread->segment == 0)
        return taken;
    uint32_t depth = thread->depth;
    if (ending == 0 && (depth == 0 || !is_gone(thread->frames[depth].address, beginning, frame)))
        return taken;
    while (ending != 0 && depth > 0 && thread->frames[depth].address != ending)
        depth--;
    if (depth == 0)
        return taken;
    struct lap_ring *const ring = ring_of(thread);
    uint64_t position = thread->position & (LAP_IMPL_BUSY - 1);
    __atomic_store_n(&thread->limit, 0, __ATOMIC_RELAXED); /* it may be that of the segment before */
    if (lap_ring_has_segment(ring)) {
        position = thread->segment + ring->segments[ring->current].header->content_bits / 8;
        if (ring->at_work != 0)
            position = work_drop(ring, position);
        else
            lap_ring_apply(ring, position);
        const uint32_t begun = ring->decoder.depth > thread->depth ? ring->decoder.depth - thread->depth : 0;
        if (position != 0 && ring->decoder.depth < thread->depth)
            thread->depth = ring->decoder.depth; /* its end was stored */
        uint64_t ticks;
        if (position != 0 && begun != 0) /* its begin was, and nothing else */
            position = lap_ring_room(ring, position, 16, &ticks);
        if (position != 0 && begun != 0)
            position = lap_ring_store_abandoned(ring, position, begun);
    }
    if (position != 0)
        lap_ring_give(ring, position);
    return 0;
}

/* ---- checkpoints --------------------------------------------------------------------------------------------------- */

void lap_impl_mark_cold(struct lap_impl_site *site, uint64_t taken, const uint64_t *words)
{
    if (lap_is_muted()) {
        mute_heal(0, (uintptr_t)__builtin_frame_address(0));
        if (lap_is_muted())
            return;
    }
    uint64_t position;
    taken = busy_heal(taken, 0, 0, (uintptr_t)__builtin_frame_address(0));
    struct lap_ring *const ring = lap_ring_take(taken, &position);
    if (!ring)
        return;
    if (lap_site_state(site) == LAP_IMPL_OFF) {
        lap_ring_give(ring, position);
        return;
    }
    struct lap_event_parts parts = {.site = site, .words = words};
    lap_event_measure(&parts);
    uint64_t ticks;
    position = lap_ring_room(ring, position, parts.bytes, &ticks);
    if (position == 0)
        return;
    if (ring->immediate != 0) {
        lap_ring_apply(ring, position);
        ring->immediate_last = ring->decoder.depth != 0 ? ring->decoder.open[ring->decoder.depth - 1].last : 0;
        ticks = lap_clock_ticks(&lap_process.clock);
    }
    const uint64_t end = lap_event_store(&parts, position, ticks);
    lap_impl_commit(ring->thread, end);
    if (ring->immediate != 0) {
        lap_ring_apply(ring, end);
        if (ring->decoder.depth != 0)
            lap_immediate_mark(ring, &parts, position);
    }
    lap_ring_give(ring, end);
}

/* ---- begin --------------------------------------------------------------------------------------------------------- */

struct begin {
    struct lap_impl_scope *scope;
    struct lap_impl_site *site;
    const struct lap_options *options; /* NULL for a kind without */
    const uint64_t *words;
    uint64_t frame;
    unsigned state;
};

static uint64_t threshold_of(const struct lap_options *options)
{
    return options ? lap_threshold_ns(options->threshold_ms * 1e6) : 0;
}

static uint32_t slow_flags(const struct lap_ring *ring, const struct begin *begin, int is_restoring)
{
    uint32_t flags = 0;
    if (begin->state & LAP_IMPL_PRINT) {
        if (begin->options && begin->options->immediate)
            flags |= LAP_SLOW_IMMEDIATE;
        else if (ring->immediate == 0) /* inside an immediate one it prints line by line, too */
            flags |= LAP_SLOW_PRINTS;
    }
    if (begin->state & LAP_IMPL_TAKE_BACK)
        flags |= LAP_SLOW_TAKES_BACK;
    if (begin->state & LAP_IMPL_SNAPSHOT)
        flags |= LAP_SLOW_SNAPSHOTS;
    if (is_restoring)
        flags |= LAP_SLOW_RESTORES;
    return flags;
}

/* An outermost scope that a binding's profiler is around: its path goes into the event, which is then one with options. */
static int scope_adopt(struct lap_ring *ring, const struct lap_impl_site *site, struct lap_impl_site *ret_site,
                       struct lap_format_begin_with *with)
{
    ring->adopted_by = 0;
    if (ring->thread->frames[0].address != 0 || with->parent != 0 ||
        !lap_process.adopter->find(&with->parent, &with->path))
        return 0;
    *ret_site = *site;
    if (site->kind == LAP_IMPL_KIND_BEGIN) {
        uint32_t *const id = &lap_process.sites.with_options[site->id];
        ret_site->kind = LAP_IMPL_KIND_BEGIN_WITH;
        ret_site->state = &lap_impl_unregistered;
        ret_site->id = *id;
        with->threshold_ns = LAP_FORMAT_NO_THRESHOLD;
        if (*id == 0 && lap_sites_register(ret_site) < 0) {
            with->parent = with->path = 0;
            return 0;
        }
        *id = ret_site->id;
    }
    ring->adopted_by = with->parent;
    return 1;
}

static void scope_store(struct lap_ring *ring, uint64_t position, const struct begin *begin, uint32_t flags)
{
    struct lap_impl_thread *const thread = ring->thread;
    struct lap_format_begin_with with = {.threshold_ns = threshold_of(begin->options)};
    struct lap_event_parts parts = {.site = begin->site, .words = begin->words};
    if (begin->options) {
        with.n = begin->options->n;
        with.parent = begin->options->parent;
    }
    struct lap_impl_site adopted;
    const int is_adopted = thread->depth == 0 && scope_adopt(ring, begin->site, &adopted, &with);
    if (is_adopted)
        parts.site = &adopted;
    if (parts.site->kind == LAP_IMPL_KIND_BEGIN_WITH) {
        if (!is_adopted)
            with.path = with.parent ? lap_handle_path(with.parent) : 0;
        if (with.path == LAP_FORMAT_PATH_NONE)
            with.path = 0, with.parent = 0;
        with.flags = (flags & LAP_SLOW_PRINTS ? LAP_FORMAT_FLAG_PRINT : 0u) |
                     (flags & LAP_SLOW_IMMEDIATE ? LAP_FORMAT_FLAG_IMMEDIATE : 0u);
        parts.fixed = &with;
        parts.fixed_words = sizeof with / 8;
    }
    lap_event_measure(&parts);
    uint64_t ticks;
    position = lap_ring_room(ring, position, parts.bytes, &ticks);
    if (position == 0)
        return;
    if (flags & LAP_SLOW_IMMEDIATE && ring->immediate == 0)
        ring->base_immediate = thread->depth;
    const struct lap_ring_place place = {ring->sequence, lap_ring_offset(ring, position)};
    const uint64_t end = lap_event_store(&parts, position, ticks);
    lap_impl_commit(thread, end);
    const uint32_t depth = ++thread->depth;
    thread->frames[depth] = (struct lap_impl_frame){(uintptr_t)begin->scope, ticks};
    begin->scope->mode = LAP_IMPL_SCOPE_FAST;
    if (flags != 0 || begin->state & LAP_IMPL_OTHER_CLOCK || ring->immediate != 0) {
        begin->scope->mode = LAP_IMPL_SCOPE_SLOW;
        ring->slow[depth] = (struct lap_slow_scope){
            .address = (uintptr_t)begin->scope,
            .begin_ticks = ticks,
            .threshold_ticks = lap_threshold_ticks(lap_printer_threshold_ns(parts.id, with.threshold_ns)),
            .saved_divert = lap_impl_local.divert,
            .place = place,
            .flags = flags,
            .id = parts.id};
    }
    if (flags & LAP_SLOW_PRINTS)
        lap_printer_scope_begins(ring, place, depth - 1);
    if (flags & LAP_SLOW_RESTORES)
        lap_impl_local.divert = 0;
    if (flags & LAP_SLOW_IMMEDIATE) {
        ring->immediate++;
        lap_impl_local.divert = IMMEDIATE_BIT;
    }
    if (ring->immediate != 0) {
        lap_ring_apply(ring, end);
        lap_immediate_enter(ring, parts.id, position, ring->decoder.depth - 1);
    }
    lap_ring_give(ring, end);
}

static void scope_begin(struct begin *begin, uint64_t taken)
{
    struct lap_impl_scope *const scope = begin->scope;
    uint64_t position;
    taken = busy_heal(taken, 0, (uintptr_t)scope, begin->frame);
    struct lap_ring *const ring = lap_ring_take(taken, &position);
    if (!ring)
        return;
    begin->state = lap_site_state(begin->site);
    mute_heal((uintptr_t)scope, begin->frame);
    const int was_muted = lap_is_muted();
    if (begin->state == LAP_IMPL_OFF ||
        (begin->options && begin->options->disabled && !(begin->state & LAP_IMPL_FORCED))) {
        lap_ring_give(ring, position);
        lap_impl_mute(scope);
        return;
    }
    if (was_muted && !(begin->state & LAP_IMPL_FORCED)) {
        lap_ring_give(ring, position);
        return;
    }
    position = abandon(ring, position, depth_alive(ring->thread, (uintptr_t)scope, begin->frame));
    if (position == 0)
        return;
    if (ring->thread->depth >= LAP_IMPL_FRAMES - 1) {
        lap_process_count_loss(LAP_FORMAT_LOSS_DEPTH, 1);
        lap_ring_give(ring, position);
        lap_impl_mute(scope);
        return;
    }
    scope_store(ring, position, begin, slow_flags(ring, begin, was_muted));
}

void lap_impl_begin_cold(struct lap_impl_scope *scope, struct lap_impl_site *site, uint64_t taken, const uint64_t *words)
{
    struct begin begin = {scope, site, NULL, words, (uintptr_t)__builtin_frame_address(0), 0};
    scope_begin(&begin, taken);
}

void lap_scope_begin_with(struct lap_impl_scope *scope, struct lap_impl_site *site, const struct lap_options *options,
                          const uint64_t *words, uint64_t taken, uint64_t frame)
{
    struct begin begin = {scope, site, options, words, frame, 0};
    scope_begin(&begin, taken);
}

/* ---- end ----------------------------------------------------------------------------------------------------------- */

/* Puts the divert word back as it was before such a scope. */
static void slow_undivert(struct lap_ring *ring, const struct lap_slow_scope *slow)
{
    if (slow->flags & LAP_SLOW_RESTORES)
        lap_impl_local.divert = slow->saved_divert;
    if (slow->flags & LAP_SLOW_IMMEDIATE && --ring->immediate == 0)
        lap_impl_local.divert &= ~IMMEDIATE_BIT;
}

/* What a scope that the library began does at its end, after its event. Returns the position. */
static uint64_t slow_end(struct lap_ring *ring, const struct lap_slow_scope *slow, uint64_t position, uint64_t ticks)
{
    const int is_breach = ticks >= slow->begin_ticks && ticks - slow->begin_ticks >= slow->threshold_ticks;
    slow_undivert(ring, slow);
    if (is_breach && slow->threshold_ticks != 0)
        lap_slow_call_tell(&ring->slowest_call, slow->begin_ticks);
    if (slow->flags & LAP_SLOW_PRINTS)
        lap_printer_scope_ends(ring, position, is_breach);
    if (slow->flags & LAP_SLOW_TAKES_BACK)
        position = lap_take_back(ring, slow, position, is_breach);
    if (slow->flags & LAP_SLOW_SNAPSHOTS && is_breach && slow->threshold_ticks != 0)
        position = lap_snapshot_breach(ring, position, slow->id, ticks - slow->begin_ticks);
    return position;
}

/* Ends the scope at `address` if it is open; what is inside it was left without an end. */
void lap_scope_end(uint64_t address, uint64_t taken)
{
    uint64_t position;
    if (lap_impl_local.thread->segment == 0) /* begun before a fork, or without memory */
        return;
    taken = busy_heal(taken, address, 0, 0);
    struct lap_ring *const ring = lap_ring_take(taken, &position);
    if (!ring)
        return;
    struct lap_impl_thread *const thread = ring->thread;
    uint32_t depth = thread->depth;
    while (depth > 0 && thread->frames[depth].address != address)
        depth--;
    if (depth == 0) { /* ended before its block, or begun before a fork */
        lap_ring_give(ring, position);
        return;
    }
    position = abandon(ring, position, depth);
    uint64_t ticks;
    position = position == 0 ? 0 : lap_ring_room(ring, position, 8, &ticks);
    const struct lap_slow_scope *const slow = &ring->slow[depth];
    const int is_slow = slow->address == address && slow->begin_ticks == thread->frames[depth].begin_ticks;
    if (position == 0) {
        if (is_slow) {
            slow_undivert(ring, slow);
            ring->printing -= slow->flags & LAP_SLOW_PRINTS && ring->printing != 0;
        }
        thread->depth = depth - 1;
        return;
    }
    if (ring->immediate != 0) {
        lap_ring_apply(ring, position);
        const struct lap_open *const scope = &ring->decoder.open[depth - 1];
        if (ring->decoder.depth == depth)
            lap_immediate_exit(ring, scope, depth - 1, ticks - ring->decoder.paused);
    }
    lap_impl_store(position, ticks, LAP_IMPL_END_CLASS, NULL, 0);
    lap_impl_commit(thread, position + 8);
    position += 8;
    thread->depth = depth - 1;
    if (is_slow)
        position = slow_end(ring, slow, position, ticks);
    lap_ring_give(ring, position);
}

void lap_impl_end_innermost(void)
{
    const struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint32_t depth = depth_alive(thread, 0, (uintptr_t)__builtin_frame_address(0));
    if (thread->segment == 0 || depth == 0 || lap_is_muted())
        return;
    if (thread->position >= LAP_IMPL_BUSY) /* in a handler: it is not this one's to end */
        lap_process_count_loss(LAP_FORMAT_LOSS_SIGNAL, 1);
    else
        lap_scope_end(thread->frames[depth].address, 0);
}

uint64_t lap_impl_elapsed_ns(void)
{
    const struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint32_t depth = depth_alive(thread, 0, (uintptr_t)__builtin_frame_address(0));
    if (thread->segment == 0 || depth == 0 || lap_is_muted())
        return 0;
    const uint64_t ticks = lap_clock_ticks(&lap_process.clock), begin_ticks = thread->frames[depth].begin_ticks;
    return ticks > begin_ticks ? (uint64_t)((double)(ticks - begin_ticks) * lap_process.ns_per_tick) : 0;
}

void lap_impl_check_format(const char *format, ...) { (void)format; }
