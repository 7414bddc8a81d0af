/* SPDX-License-Identifier: MIT
 *
 * The stored events, one a line. There may be hundreds of millions, so the lines are written piece by piece.
 */
#define _GNU_SOURCE
#include "show.h"

#include "events.h"
#include "json.h"
#include "terminal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_text(const struct lap_class *class)
{
    static const char *const kinds[] = {[LAP_CLASS_NONE] = "none",
                                        [LAP_CLASS_MARK] = "mark",
                                        [LAP_CLASS_END] = "end",
                                        [LAP_CLASS_BEGIN] = "begin",
                                        [LAP_CLASS_BEGIN_WITH] = "begin_with",
                                        [LAP_CLASS_ABANDONED] = "abandoned",
                                        [LAP_CLASS_PAUSE] = "pause",
                                        [LAP_CLASS_OPEN] = "open",
                                        [LAP_CLASS_THREAD] = "thread",
                                        [LAP_CLASS_HANDLE_BEGIN] = "handle_begin",
                                        [LAP_CLASS_HANDLE_MARK] = "handle_mark",
                                        [LAP_CLASS_HANDLE_END] = "handle_end",
                                        [LAP_CLASS_CALL] = "call",
                                        [LAP_CLASS_SERVE] = "serve",
                                        [LAP_CLASS_REPLY] = "reply",
                                        [LAP_CLASS_LINK] = "link",
                                        [LAP_CLASS_PEER_LAP] = "peer_lap"};
    return class->kind < sizeof kinds / sizeof *kinds ? kinds[class->kind] : "unknown";
}

/* How a link's other step stands to it; NULL: not a link, or of a kind to come. */
static const char *relation_text(const struct lap_event_item *item)
{
    static const char *const relations[] = {
        [LAP_FORMAT_LINK_IS] = "is", [LAP_FORMAT_LINK_PARENT] = "child of", [LAP_FORMAT_LINK_FOLLOWS] = "follows"};
    if (item->class->kind != LAP_CLASS_LINK)
        return NULL;
    const struct lap_format_link *const link = lap_event_payload(item->words, item->class);
    return link->relation < sizeof relations / sizeof *relations ? relations[link->relation] : NULL;
}

static void write_json_field(const struct lap_field *field)
{
    printf("\"%s\":", field->name);
    switch (field->type) {
    case LAP_FIELD_U64:
    case LAP_FIELD_POINTER: printf("%" PRIu64, field->value.u64); break;
    case LAP_FIELD_I64: printf("%" PRId64, field->value.i64); break;
    case LAP_FIELD_F64: lap_json_write_double(stdout, field->value.f64); break;
    case LAP_FIELD_STRING: lap_json_write_text(stdout, field->value.string); break;
    }
}

static void write_json(const struct lap_event_item *item)
{
    printf("{\"time_ns\":%" PRIu64, item->realtime_ns);
    const double error_ns = lap_timebase_error_ns(&item->process->clock, item->ticks);
    if (isfinite(error_ns) && item->process->clock.pieces)
        printf(",\"time_error_ns\":%.0f", ceil(error_ns));
    printf(",\"ticks\":%" PRIu64 ",\"process\":", item->ticks);
    lap_json_write_text(stdout, item->process->name);
    printf(",\"ring\":%" PRIu32 ",\"thread\":", item->ring->number);
    if (item->thread)
        printf("%" PRIu64, item->thread->id);
    else
        fputs("null", stdout);
    printf(",\"class\":%" PRIu32 ",\"name\":", item->class_id);
    lap_json_write_text(stdout, item->name);
    printf(",\"kind\":\"%s\"", kind_text(item->class));
    if (relation_text(item))
        printf(",\"relation\":\"%s\"", relation_text(item));
    fputs(",\"fields\":{", stdout);
    for (uint32_t i = 0; i < item->field_count; i++) {
        if (i > 0)
            putchar(',');
        write_json_field(&item->fields[i]);
    }
    fputs("}}\n", stdout);
}

static void write_text_field(const struct lap_field *field)
{
    printf("  %s=", field->name);
    switch (field->type) {
    case LAP_FIELD_U64: printf("%" PRIu64, field->value.u64); break;
    case LAP_FIELD_POINTER: printf("0x%" PRIx64, field->value.u64); break;
    case LAP_FIELD_I64: printf("%" PRId64, field->value.i64); break;
    case LAP_FIELD_F64: printf("%.17g", field->value.f64); break;
    case LAP_FIELD_STRING: {
        char *const text = lap_text_printable(field->value.string);
        printf("\"%s\"", text);
        free(text);
        break;
    }
    }
}

static void write_text(const struct lap_event_item *item, uint64_t start_ns)
{
    const int64_t since = (int64_t)(item->realtime_ns - start_ns);
    const bool is_begin = item->class->kind == LAP_CLASS_BEGIN || item->class->kind == LAP_CLASS_BEGIN_WITH;
    const uint32_t depth = is_begin && item->depth > 0 ? item->depth - 1 : item->depth;
    char *const name = lap_text_printable(item->name);
    const double error_ns = lap_timebase_error_ns(&item->process->clock, item->ticks);
    printf("%s%" PRId64 ".%09" PRId64, since < 0 ? "-" : "", (since < 0 ? -since : since) / 1000000000,
           (since < 0 ? -since : since) % 1000000000);
    if (error_ns > 0)
        printf(" ± %.6f", error_ns / 1e9);
    printf("  %" PRIu64 "/%" PRIu64 "  %-12s  %*s%s", item->process->pid, item->thread ? item->thread->id : 0,
           kind_text(item->class), (int)(depth < 40 ? depth : 40) * 2, "", name);
    free(name);
    if (relation_text(item)) {
        const struct lap_format_link *const link = lap_event_payload(item->words, item->class);
        printf("  %s %016" PRIx64, relation_text(item), link->span_id);
    }
    for (uint32_t i = 0; i < item->field_count; i++)
        write_text_field(&item->fields[i]);
    putchar('\n');
}

int lap_show_events(struct lap_recording *recording, const struct lap_show_filter *filter)
{
    struct lap_events *events;
    int error = lap_events_make(&events, recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (error < 0)
        return error;
    uint64_t start_ns = UINT64_MAX;
    for (size_t i = 0; i < recording->process_count; i++) {
        const struct lap_timebase *const clock = &recording->processes[i]->clock;
        const uint64_t process_ns = lap_timebase_realtime_ns(clock, clock->start_ticks);
        start_ns = process_ns < start_ns ? process_ns : start_ns;
    }
    struct lap_event_item item;
    int has_shown = 0;
    while (!ferror(stdout) && (error = lap_events_next(events, &item)) > 0) {
        if (item.realtime_ns > filter->until_ns)
            break;
        if (item.realtime_ns < filter->since_ns || !lap_show_matches_thread(filter, item.thread) ||
            !lap_show_matches_name(filter, item.description, item.name))
            continue;
        has_shown = 1;
        if (filter->is_json)
            write_json(&item);
        else
            write_text(&item, start_ns);
    }
    lap_events_free(events);
    return error < 0 ? error : has_shown;
}
