/* SPDX-License-Identifier: MIT */
#include "events.h"

#include "lapmark/abi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields -------------------------------------------------------------------------------------------------------- */

struct field_list {
    struct lap_field *fields;
    uint32_t count;
    const char *at, *end; /* what is left of the event */
};

static void field_add(struct field_list *list, const char *name, enum lap_field_type type, uint64_t value)
{
    if (list->count >= LAP_EVENT_FIELDS)
        return;
    struct lap_field *const field = &list->fields[list->count++];
    *field = (struct lap_field){.name = name, .type = type};
    field->value.u64 = value;
}

static void word_add(struct field_list *list, const char *name, enum lap_field_type type)
{
    uint64_t value;
    if (list->end - list->at < 8)
        return;
    memcpy(&value, list->at, sizeof value);
    list->at += 8;
    field_add(list, name, type, value);
}

static void half_add(struct field_list *list, const char *name)
{
    uint32_t value;
    if (list->end - list->at < 4)
        return;
    memcpy(&value, list->at, sizeof value);
    list->at += 4;
    field_add(list, name, LAP_FIELD_U64, value);
}

static void string_add(struct field_list *list, const char *name)
{
    const size_t left = (size_t)(list->end - list->at);
    const char *const zero = left > 0 ? memchr(list->at, 0, left) : NULL;
    if (!zero || list->count >= LAP_EVENT_FIELDS) {
        list->at = list->end;
        return;
    }
    struct lap_field *const field = &list->fields[list->count++];
    *field = (struct lap_field){.name = name, .type = LAP_FIELD_STRING, .length_bytes = (uint32_t)(zero - list->at)};
    field->value.string = list->at;
    list->at = zero + 1;
}

/* A fixed payload: u, i: a word; x: one that is shown in hexadecimal; h: half of one. */
struct payload {
    const char *name;
    char type;
};

static void payload_add(struct field_list *list, const struct payload *payload)
{
    for (; payload->name; payload++)
        if (payload->type == 'h')
            half_add(list, payload->name);
        else
            word_add(list, payload->name,
                     payload->type == 'i'   ? LAP_FIELD_I64
                     : payload->type == 'x' ? LAP_FIELD_POINTER
                                            : LAP_FIELD_U64);
}

static const struct payload *payload_of(const struct lap_class *class)
{
    static const struct payload none[] = {{NULL, 0}};
    static const struct payload begin_with[] = {{"threshold_ns", 'u'}, {"n", 'i'},     {"parent", 'u'},
                                                {"path", 'h'},         {"flags", 'h'}, {NULL, 0}};
    static const struct payload handle_begin[] = {{"handle", 'u'}, {"threshold_ns", 'u'}, {"n", 'i'}, {"parent", 'u'},
                                                  {"path", 'h'},   {"flags", 'h'},        {NULL, 0}};
    static const struct payload handle_mark[] = {
        {"handle", 'u'}, {"lap_ticks", 'u'}, {"path", 'h'}, {"number", 'h'}, {NULL, 0}};
    static const struct payload handle_end[] = {{"handle", 'u'}, {"lap_ticks", 'u'}, {"total_ticks", 'u'},
                                                {"path", 'h'},   {"marks", 'h'},     {NULL, 0}};
    static const struct payload abandoned[] = {{"count", 'u'}, {NULL, 0}};
    static const struct payload pause[] = {{"ticks", 'u'}, {NULL, 0}};
    static const struct payload open[] = {
        {"begin_ticks", 'u'}, {"begin_paused", 'u'}, {"last_ticks", 'u'}, {"threshold_ns", 'u'},
        {"n", 'i'},           {"class_id", 'h'},     {"depth", 'h'},      {"marks", 'h'},
        {"flags", 'h'},       {"path", 'h'},         {"reserved", 'h'},   {NULL, 0}};
    static const struct payload thread[] = {{"thread_id", 'u'}, {"thread_index", 'u'}, {NULL, 0}};
    static const struct payload call[] = {
        {"handle", 'u'},      {"trace_id_high", 'x'},  {"trace_id_low", 'x'},  {"span_id", 'x'},
        {"sent_ticks", 'u'},  {"received_ticks", 'u'}, {"replied_ticks", 'u'}, {"got_ticks", 'u'},
        {"peer_domain", 'x'}, {"peer_khz", 'h'},       {"queue_us", 'h'},      {"path", 'h'},
        {"number", 'h'},      {"flags", 'h'},          {"reserved", 'h'},      {NULL, 0}};
    static const struct payload serve[] = {
        {"handle", 'u'},     {"trace_id_high", 'x'},  {"trace_id_low", 'x'}, {"span_id", 'x'},
        {"sent_ticks", 'u'}, {"received_ticks", 'u'}, {"peer_domain", 'x'},  {NULL, 0}};
    static const struct payload reply[] = {{"handle", 'u'}, {"span_id", 'x'}, {"replied_ticks", 'u'}, {NULL, 0}};
    static const struct payload link[] = {
        {"handle", 'u'},  {"own_span_id", 'x'}, {"trace_id_high", 'x'}, {"trace_id_low", 'x'},
        {"span_id", 'x'}, {"relation", 'h'},    {"path", 'h'},          {NULL, 0}};
    static const struct payload peer_lap[] = {{"handle", 'u'}, {"span_id", 'x'}, {"sum_ns", 'u'},
                                              {"count", 'h'},  {"number", 'h'},  {NULL, 0}};
    switch ((enum lap_class_kind) class->kind) {
    case LAP_CLASS_BEGIN_WITH: return begin_with;
    case LAP_CLASS_HANDLE_BEGIN: return handle_begin;
    case LAP_CLASS_HANDLE_MARK: return handle_mark;
    case LAP_CLASS_HANDLE_END: return handle_end;
    case LAP_CLASS_ABANDONED: return abandoned;
    case LAP_CLASS_PAUSE: return pause;
    case LAP_CLASS_OPEN: return open;
    case LAP_CLASS_THREAD: return thread;
    case LAP_CLASS_CALL: return call;
    case LAP_CLASS_SERVE: return serve;
    case LAP_CLASS_REPLY: return reply;
    case LAP_CLASS_LINK: return link;
    case LAP_CLASS_PEER_LAP: return peer_lap;
    default: return none;
    }
}

static void arguments_add(struct field_list *list, const struct lap_class *class,
                          const struct lap_description *description)
{
    static const char *const names[LAP_IMPL_ARGS_MAX] = {"a0", "a1", "a2", "a3", "a4",  "a5",
                                                         "a6", "a7", "a8", "a9", "a10", "a11"};
    static const enum lap_field_type types[16] = {[LAP_IMPL_TYPE_I64] = LAP_FIELD_I64,
                                                  [LAP_IMPL_TYPE_U64] = LAP_FIELD_U64,
                                                  [LAP_IMPL_TYPE_F64] = LAP_FIELD_F64,
                                                  [LAP_IMPL_TYPE_STRING] = LAP_FIELD_STRING,
                                                  [LAP_IMPL_TYPE_POINTER] = LAP_FIELD_POINTER};
    const unsigned count = class->args < LAP_IMPL_ARGS_MAX ? class->args : LAP_IMPL_ARGS_MAX;
    for (int strings = 0; strings <= 1; strings++)
        for (unsigned i = 0; i < count; i++) {
            const enum lap_field_type type = types[description->types >> (4 * i) & 15];
            if (!strings && type != LAP_FIELD_STRING)
                word_add(list, names[i], type);
            else if (strings && type == LAP_FIELD_STRING)
                string_add(list, names[i]);
        }
}

uint32_t lap_event_fields(const uint64_t *words, const struct lap_class *class, const struct lap_description *description,
                          struct lap_field fields[LAP_EVENT_FIELDS])
{
    const uint64_t size = lap_event_size_bytes(words, class);
    const char *const end = (const char *)words + size;
    const bool is_sized = class->words == 0;
    struct field_list list = {.fields = fields, .at = (const char *)(words + 1), .end = is_sized ? end - 8 : end};
    if (is_sized)
        word_add(&list, "size", LAP_FIELD_U64);
    payload_add(&list, payload_of(class));
    if (class->flags & LAP_CLASS_N)
        word_add(&list, lap_class_has_n((enum lap_class_kind) class->kind) ? "label_n" : "n", LAP_FIELD_I64);
    arguments_add(&list, class, description);
    if (class->flags & LAP_CLASS_TEXT)
        string_add(&list, "text");
    if (class->kind == LAP_CLASS_OPEN)
        string_add(&list, "message");
    if (class->kind == LAP_CLASS_THREAD)
        string_add(&list, "name");
    if (class->kind == LAP_CLASS_PEER_LAP)
        string_add(&list, "label");
    if (is_sized) {
        list.at = end - 8;
        list.end = end;
        word_add(&list, "tail", LAP_FIELD_U64);
    }
    return list.count;
}

/* ---- the iterator -------------------------------------------------------------------------------------------------- */

struct lap_events {
    struct lap_merge *merge;
    struct lap_cursor *cursor; /* whose event was handed out, and is decoded with the next call */
};

int lap_events_make(struct lap_events **ret_events, struct lap_recording *recording, enum lap_merge_order order,
                    bool (*wanted)(void *user, const struct lap_ring *ring), void *user)
{
    struct lap_events *const events = calloc(1, sizeof *events);
    if (!events)
        return -ENOMEM;
    const int code = lap_merge_make(&events->merge, recording, order, wanted, user);
    if (code < 0) {
        free(events);
        return code;
    }
    *ret_events = events;
    return 0;
}

int lap_events_next(struct lap_events *events, struct lap_event_item *ret_item)
{
    struct lap_event event;
    int found = lap_merge_peek(events->merge, &events->cursor);
    if (found == 1)
        found = lap_cursor_peek(events->cursor, &event);
    if (found != 1)
        return found;
    struct lap_cursor *const cursor = events->cursor;
    /* Decoded first, for the state behind it; its words stay where they are until the next segment is loaded. */
    const struct lap_segment *const segment = cursor->segment;
    found = lap_cursor_next(cursor, NULL, NULL);
    if (found != 1)
        return found;
    const struct lap_process *const process = cursor->process;
    ret_item->process = process;
    ret_item->ring = cursor->ring;
    ret_item->thread = cursor->thread;
    ret_item->name = lap_catalog_name(&process->catalog, event.class_id);
    ret_item->class = event.class;
    ret_item->description = lap_catalog_description(&process->catalog, event.class_id);
    ret_item->words = event.words;
    ret_item->class_id = event.class_id;
    ret_item->depth = cursor->decoder.depth;
    ret_item->ticks = event.ticks;
    ret_item->realtime_ns = lap_timebase_realtime_ns(&process->clock, event.ticks);
    ret_item->sequence = segment->header.sequence;
    ret_item->offset = event.offset;
    ret_item->field_count = lap_event_fields(event.words, event.class, ret_item->description, ret_item->fields);
    return 1;
}

void lap_events_free(struct lap_events *events)
{
    if (!events)
        return;
    lap_merge_free(events->merge);
    free(events);
}
