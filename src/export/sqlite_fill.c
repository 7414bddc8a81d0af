/* SPDX-License-Identifier: MIT */
#include "sqlite_fill.h"

#include "sqlite_pages.h"
#include "sqlite_schema.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES 4096
#define HEX_BYTES 40

struct fill {
    const struct lap_export *export;
    struct lap_sqlite_file file;
    struct lap_sqlite_table tables[LAP_SQLITE_TABLES];
    int64_t ids[LAP_SQLITE_TABLES]; /* the last ones */
    struct lap_sqlite_row row;
    const struct lap_process *process;
    int64_t process_id;
    uint32_t *sites;  /* by class: its id, 0 for none yet */
    int64_t *threads; /* their ids, by their slots; 0: not told */
    size_t threads_room;
    const struct lap_thread **told; /* in the order of their ids */
    size_t told_count, told_room;
};

/* What of a profiler's row is only known at its end: the columns from end_ns to state. */
#define END_BYTES 25

enum { USER_ID = 0, USER_LEAF, USER_PLACE, USER_INNER };

static struct lap_sqlite_place row_add(struct fill *to, enum lap_sqlite_table_id table)
{
    return lap_sqlite_append(&to->tables[table], ++to->ids[table], &to->row);
}

static void put_text(struct lap_sqlite_row *row, const char *text)
{
    char escaped[TEXT_BYTES];
    if (text)
        lap_row_text(row, escaped, lap_span_text_escape(escaped, sizeof escaped, text));
    else
        lap_row_null(row);
}

static void put_hex(struct lap_sqlite_row *row, uint64_t number)
{
    char text[HEX_BYTES];
    lap_row_text(row, text, (size_t)snprintf(text, sizeof text, "%016" PRIx64, number));
}

static void put_trace(struct lap_sqlite_row *row, uint64_t high, uint64_t low)
{
    char text[HEX_BYTES];
    lap_row_text(row, text, (size_t)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, high, low));
}

static void put_ns_if(struct lap_sqlite_row *row, int is_there, double ns)
{
    lap_row_int_if(row, is_there, (int64_t)llround(ns));
}

/* ---- processes, threads, sites ------------------------------------------------------------------------------------- */

static void loss_add(struct fill *to, const char *kind, uint64_t count)
{
    if (count == 0)
        return;
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_int(&to->row, to->process_id);
    lap_row_string(&to->row, kind);
    lap_row_int(&to->row, (int64_t)count);
    row_add(to, LAP_SQLITE_LOSS);
}

static void losses_add(struct fill *to)
{
    const struct lap_process *const process = to->process;
    uint64_t overwritten = 0;
    for (size_t r = 0; r < process->ring_count; r++) {
        const struct lap_ring *const ring = &process->rings[r];
        if (ring->segment_count > 0)
            overwritten += ring->segments[ring->segment_count - 1].header.sequence + 1 - ring->segment_count;
    }
    for (int i = 0; i < LAP_FORMAT_LOSSES; i++)
        if (lap_loss_text((enum lap_format_loss)i))
            loss_add(to, lap_loss_text((enum lap_format_loss)i), process->control.losses[i]);
    loss_add(to, "segment", overwritten);
}

/* The first process that reads the same clock: which one does is not known where the domain is 0. */
static size_t first_of_clock(const struct lap_recording *recording, const struct lap_process *process)
{
    for (size_t p = 0; process->control.clock_domain != 0 && p < process->index; p++)
        if (recording->processes[p]->control.clock_domain == process->control.clock_domain)
            return p;
    return process->index;
}

static void clock_add(struct fill *to)
{
    static const char *const ways[] = {
        [LAP_TIMELINE_ROOT] = "own", [LAP_TIMELINE_CALLS] = "calls", [LAP_TIMELINE_WALL] = "wall"};
    const struct lap_process *const process = to->process;
    const struct lap_timeline *const timeline = to->export->timeline;
    const struct lap_timeline_process alone = {.how = LAP_TIMELINE_ROOT,
                                               .root = first_of_clock(to->export->recording, process)};
    const struct lap_timeline_process *const time = timeline ? &timeline->processes[process->index] : &alone;
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_string(&to->row, lap_timebase_source_text(process->clock.source));
    put_hex(&to->row, process->control.clock_domain);
    lap_row_real(&to->row, process->clock.hz);
    lap_row_string(&to->row, ways[time->how]);
    lap_row_int(&to->row, (int64_t)time->root + 1);
    lap_row_real(&to->row, time->shift_ns);
    if (isfinite(time->error_ns))
        lap_row_real(&to->row, time->error_ns);
    else
        lap_row_null(&to->row);
    row_add(to, LAP_SQLITE_CLOCK);
}

static void see_process(void *user, const struct lap_process *process)
{
    struct fill *const to = user;
    to->process = process;
    to->process_id = (int64_t)process->index + 1;
    free(to->sites);
    to->sites = calloc((size_t)process->catalog.class_count + 1, sizeof *to->sites);
    if (to->threads)
        memset(to->threads, 0, to->threads_room * sizeof *to->threads);
    to->told_count = 0;
    if (!to->sites) {
        to->file.error = -ENOMEM;
        return;
    }
    clock_add(to);
    losses_add(to);
}

/* At the end of the process: they have their last names then. */
static void threads_write(struct fill *to)
{
    for (size_t i = 0; i < to->told_count; i++) {
        lap_row_begin(&to->row);
        lap_row_null(&to->row);
        lap_row_int(&to->row, to->process_id);
        lap_row_int(&to->row, (int64_t)to->told[i]->id);
        lap_row_int(&to->row, (int64_t)to->told[i]->index);
        put_text(&to->row, to->told[i]->name);
        row_add(to, LAP_SQLITE_THREAD);
    }
}

static void see_process_end(void *user, const struct lap_process *process, uint64_t end_ns)
{
    struct fill *const to = user;
    struct lap_sqlite_row *const row = &to->row;
    threads_write(to);
    lap_row_begin(row);
    lap_row_null(row);
    put_text(row, process->name);
    lap_row_int(row, (int64_t)process->pid);
    put_text(row, process->program);
    put_text(row, process->host);
    put_text(row, process->command);
    lap_row_string(row, lap_process_state_text(process->state));
    lap_row_int(row, (int64_t)lap_timebase_realtime_ns(&process->clock, process->clock.start_ticks));
    lap_row_int_if(row, end_ns != 0, (int64_t)end_ns);
    lap_row_int(row, (int64_t)process->lost);
    row_add(to, LAP_SQLITE_PROCESS);
}

static bool threads_reserve(struct fill *to, uint32_t slot)
{
    if (slot >= to->threads_room) {
        const size_t room = 2 * (size_t)slot + 64;
        int64_t *const threads = realloc(to->threads, room * sizeof *threads);
        if (!threads)
            return false;
        memset(threads + to->threads_room, 0, (room - to->threads_room) * sizeof *threads);
        to->threads = threads;
        to->threads_room = room;
    }
    if (to->told_count == to->told_room) {
        const size_t room = 2 * to->told_room + 64;
        const struct lap_thread **const told = realloc(to->told, room * sizeof *told);
        if (!told)
            return false;
        to->told = told;
        to->told_room = room;
    }
    return true;
}

static void see_thread(void *user, const struct lap_thread *thread)
{
    struct fill *const to = user;
    const uint32_t slot = lap_span_thread_slot(thread);
    if (!threads_reserve(to, slot)) {
        to->file.error = -ENOMEM;
        return;
    }
    if (to->threads[slot] == 0) {
        to->told[to->told_count++] = thread;
        to->threads[slot] = to->ids[LAP_SQLITE_THREAD] + (int64_t)to->told_count;
    }
}

static void put_thread(struct fill *to, const struct lap_thread *thread)
{
    const uint32_t slot = thread ? lap_span_thread_slot(thread) : 0;
    if (thread && slot < to->threads_room && to->threads[slot] != 0)
        lap_row_int(&to->row, to->threads[slot]);
    else
        lap_row_null(&to->row);
}

static const char *site_kind(enum lap_class_kind kind)
{
    switch (kind) {
    case LAP_CLASS_MARK:
    case LAP_CLASS_HANDLE_MARK: return "checkpoint";
    case LAP_CLASS_CALL: return "call";
    default: return "profiler";
    }
}

/* A row of it is added when it is met first. Returns its id; 0: it has none. */
static uint32_t site_get(struct fill *to, uint32_t class_id, struct lap_span_text name)
{
    const struct lap_catalog *const catalog = &to->process->catalog;
    if (class_id == 0 || class_id >= catalog->class_count || !to->sites)
        return 0;
    if (to->sites[class_id] != 0)
        return to->sites[class_id];
    const struct lap_description *const description = lap_catalog_description(catalog, class_id);
    struct lap_sqlite_row *const row = &to->row;
    lap_row_begin(row);
    lap_row_null(row);
    lap_row_int(row, to->process_id);
    lap_row_string(row, site_kind(catalog->classes[class_id].kind));
    if (name.id != 0)
        lap_row_text(row, name.text, name.bytes);
    else
        put_text(row, lap_catalog_name(catalog, class_id));
    put_text(row, description->function);
    put_text(row, description->file);
    lap_row_int(row, description->line);
    row_add(to, LAP_SQLITE_SITE);
    return to->sites[class_id] = (uint32_t)to->ids[LAP_SQLITE_SITE];
}

/* Where the label is the event's own, not the site's. */
static void put_label(struct fill *to, struct lap_span_text name, bool is_rest)
{
    if (name.id != 0 || is_rest)
        lap_row_null(&to->row);
    else
        lap_row_text(&to->row, name.text, name.bytes);
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static void row_head(struct fill *to, const struct lap_span *parent, const struct lap_thread *thread, uint32_t site)
{
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_int_if(&to->row, parent != NULL, parent ? (int64_t)parent->user[USER_ID] : 0);
    lap_row_int(&to->row, to->process_id);
    put_thread(to, thread);
    lap_row_int_if(&to->row, site != 0, site);
}

/* To the nearest, so that sums of many are right. */
static uint64_t nearest_ns(const struct fill *to, uint64_t ticks)
{
    return (uint64_t)(((lap_uint128)ticks * to->process->clock.scale + (UINT64_C(1) << 55)) >> 56);
}

static void see_begin(void *user, struct lap_span *span)
{
    struct fill *const to = user;
    struct lap_sqlite_row *const row = &to->row;
    const uint32_t site = site_get(to, span->class_id, span->name);
    row_head(to, span->parent, span->thread, site);
    lap_row_text(row, "profiler", sizeof "profiler" - 1);
    lap_row_int64(row, (int64_t)span->begin_ns);
    const uint32_t end_at = lap_row_int64(row, 0);
    lap_row_int64(row, 0);
    lap_row_int64(row, 0);
    lap_row_int8(row, 0);
    lap_row_int(row, span->is_cut);
    lap_row_int(row, span->handle != 0);
    lap_row_null(row);
    lap_row_int_if(row, span->has_n, span->n);
    lap_row_int_if(row, span->threshold_ns != LAP_FORMAT_NO_THRESHOLD, (int64_t)span->threshold_ns);
    put_label(to, span->name, false);
    lap_row_string(row, span->message);
    const struct lap_sqlite_place place = row_add(to, LAP_SQLITE_SPAN);
    span->user[USER_ID] = (uint64_t)to->ids[LAP_SQLITE_SPAN];
    span->user[USER_LEAF] = place.leaf;
    span->user[USER_PLACE] = (uint64_t)place.page << 32 | (place.offset + end_at);
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct fill *const to = user;
    struct lap_sqlite_row *const row = &to->row;
    const bool is_rest = lap->class_id == LAP_FORMAT_REST;
    const uint32_t site = is_rest ? 0 : site_get(to, lap->class_id, lap->name);
    span->user[USER_INNER] += lap->inner_ticks;
    row_head(to, span, lap->thread, site);
    if (is_rest)
        lap_row_text(row, "rest", sizeof "rest" - 1);
    else
        lap_row_text(row, "lap", sizeof "lap" - 1);
    lap_row_int64(row, (int64_t)lap->begin_ns);
    lap_row_int64(row, (int64_t)lap->end_ns);
    lap_row_int(row, (int64_t)nearest_ns(to, lap->lap_ticks));
    lap_row_int(row, (int64_t)nearest_ns(to, lap->lap_ticks - lap->inner_ticks));
    lap_row_int(row, 0);
    lap_row_int(row, 0);
    lap_row_int(row, span->handle != 0);
    lap_row_int_if(row, !is_rest, (int64_t)lap->number);
    lap_row_int_if(row, lap->has_n, lap->n);
    lap_row_null(row);
    put_label(to, lap->name, is_rest);
    lap_row_string(row, lap->message);
    row_add(to, LAP_SQLITE_SPAN);
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    struct fill *const to = user;
    const uint64_t inner_ticks = span->user[USER_INNER] + span->inner_ticks;
    const uint64_t inner_ns = nearest_ns(to, inner_ticks);
    uint64_t self_ns = total_ns > inner_ns ? total_ns - inner_ns : 0;
    if (how == LAP_SPAN_ENDED) {
        total_ns = nearest_ns(to, span->total_ticks);
        self_ns = span->total_ticks > inner_ticks ? nearest_ns(to, span->total_ticks - inner_ticks) : 0;
    }
    const uint64_t stored[3] = {lap_row_swapped(end_ns), lap_row_swapped(total_ns), lap_row_swapped(self_ns)};
    uint8_t bytes[END_BYTES];
    memcpy(bytes, stored, sizeof stored);
    bytes[END_BYTES - 1] = (uint8_t)how;
    const struct lap_sqlite_place place = {.leaf = span->user[USER_LEAF],
                                           .page = (uint32_t)(span->user[USER_PLACE] >> 32),
                                           .offset = (uint32_t)span->user[USER_PLACE]};
    lap_sqlite_change(&to->tables[LAP_SQLITE_SPAN], place, 0, bytes, END_BYTES);
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    struct fill *const to = user;
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_int_if(&to->row, span != NULL, span ? (int64_t)span->user[USER_ID] : 0);
    lap_row_int(&to->row, to->process_id);
    put_thread(to, thread);
    lap_row_int64(&to->row, (int64_t)begin_ns);
    lap_row_int(&to->row, (int64_t)(end_ns - begin_ns));
    row_add(to, LAP_SQLITE_PAUSE);
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

static void see_call(void *user, const struct lap_span_call *call)
{
    struct fill *const to = user;
    struct lap_sqlite_row *const row = &to->row;
    const struct lap_call_times *const times = &call->times;
    const uint32_t site = site_get(to, call->class_id, call->name);
    row_head(to, call->span, call->thread, site);
    lap_row_int64(row, (int64_t)call->begin_ns);
    lap_row_int64(row, (int64_t)call->end_ns);
    put_ns_if(row, true, times->total_ns);
    put_ns_if(row, times->has_server, times->server_ns);
    put_ns_if(row, times->has_server, times->queue_ns);
    put_ns_if(row, times->has_server, times->between_ns);
    put_ns_if(row, times->has_ways, times->there_ns);
    put_ns_if(row, times->has_ways, times->back_ns);
    lap_row_int(row, call->is_one_way);
    lap_row_int(row, call->is_refused);
    put_trace(row, call->id.trace_high, call->id.trace_low);
    put_hex(row, call->id.span);
    put_label(to, call->name, false);
    row_add(to, LAP_SQLITE_CALL);
}

static void see_serve(void *user, struct lap_span *span)
{
    struct fill *const to = user;
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_int(&to->row, (int64_t)span->user[USER_ID]);
    put_trace(&to->row, span->caller.trace_high, span->caller.trace_low);
    put_hex(&to->row, span->caller.span);
    row_add(to, LAP_SQLITE_SERVE);
}

static void see_link(void *user, struct lap_span *span, const struct lap_format_link *link)
{
    static const char *const relations[] = {
        [LAP_FORMAT_LINK_IS] = "is", [LAP_FORMAT_LINK_PARENT] = "child of", [LAP_FORMAT_LINK_FOLLOWS] = "follows"};
    struct fill *const to = user;
    lap_row_begin(&to->row);
    lap_row_null(&to->row);
    lap_row_int(&to->row, (int64_t)span->user[USER_ID]);
    if (link->own_span_id != 0)
        put_hex(&to->row, link->own_span_id);
    else
        lap_row_null(&to->row);
    lap_row_string(&to->row, link->relation < sizeof relations / sizeof *relations ? relations[link->relation] : NULL);
    put_trace(&to->row, link->trace_id_high, link->trace_id_low);
    put_hex(&to->row, link->span_id);
    row_add(to, LAP_SQLITE_LINK);
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static bool has_failed(void *user) { return ((struct fill *)user)->file.error != 0; }

static int tables_end(struct fill *to)
{
    enum { ITEMS_MAX = LAP_SQLITE_TABLES + 16 };
    struct lap_sqlite_item items[ITEMS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < LAP_SQLITE_TABLES; i++)
        items[count++] = (struct lap_sqlite_item){.type = "table",
                                                  .name = lap_sqlite_tables[i].name,
                                                  .sql = lap_sqlite_tables[i].sql,
                                                  .page = lap_sqlite_table_end(&to->tables[i])};
    for (size_t i = 0; i < lap_sqlite_views_count && count < ITEMS_MAX; i++)
        items[count++] =
            (struct lap_sqlite_item){.type = "view", .name = lap_sqlite_views[i].name, .sql = lap_sqlite_views[i].sql};
    return lap_sqlite_end(&to->file, items, count, LAP_SQLITE_APPLICATION, LAP_SQLITE_VERSION);
}

int lap_sqlite_fill(const struct lap_export *export, int fd, bool wants_messages)
{
    const struct lap_span_writer writer = {.process = see_process,
                                           .thread = see_thread,
                                           .begin = see_begin,
                                           .lap = see_lap,
                                           .end = see_end,
                                           .pause = see_pause,
                                           .call = see_call,
                                           .serve = see_serve,
                                           .link = see_link,
                                           .process_end = see_process_end,
                                           .wants_messages = wants_messages};
    struct fill *const to = calloc(1, sizeof *to);
    if (!to)
        return -ENOMEM;
    to->export = export;
    lap_sqlite_begin(&to->file, fd);
    for (size_t i = 0; i < LAP_SQLITE_TABLES; i++)
        to->tables[i].file = &to->file;
    struct lap_spans_options options = export->options;
    options.failed = has_failed;
    int code = lap_spans_run(export->recording, &writer, to, &options);
    if (code == 0 || to->file.error != 0)
        code = to->file.error != 0 ? to->file.error : tables_end(to);
    for (size_t i = 0; i < LAP_SQLITE_TABLES; i++)
        lap_sqlite_table_done(&to->tables[i]);
    free(to->sites);
    free(to->threads);
    free(to->told);
    free(to);
    return code;
}
