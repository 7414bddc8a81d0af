/* SPDX-License-Identifier: MIT
 *
 * OpenTelemetry's traces: a profiler is a span, its checkpoints are the span's events; a call is a span of its own. A span is written when
 * it ends, in batches of one process.
 *
 * Ids: a call has those that it was sent with. A profiler that serves one is its child, in its trace. A handle whose context was asked for
 * has the id that others know it by. All else is in the trace of what is around it. Where that is another trace, links say what a parent
 * would: a parent is of the same trace.
 *
 * Attributes of the semantic conventions 1.33: https://opentelemetry.io/docs/specs/semconv/ registry/attributes/ code, host, process,
 * service, telemetry, thread.
 */
#define _GNU_SOURCE
#include "otlp.h"
#include "otlp_steps.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_SPANS 512u
#define BATCH_BYTES (512u << 10)
#define CALLS_LINKED 4096u /* calls under way that have a link: one of them may take the place of another */
#define THREADS 64u        /* whose attributes are at hand */

enum { OWN_ID, TRACE_HIGH, TRACE_LOW, KEPT }; /* lap_span.user[] */

/* Attributes as they are written. */
struct fixed {
    size_t count;
    char bytes[];
};

struct thread {
    const struct lap_thread *thread;
    char name[LAP_FORMAT_THREAD_NAME_BYTES]; /* which may change */
    uint32_t count;
    char bytes[512];
};

struct call_link {
    uint64_t call;
    struct lap_span_id other;
};

struct otlp {
    const struct lap_export *export;
    const struct lap_otlp_encoding *encoding;
    struct lap_out *out;
    struct lap_process *process;
    struct lap_otlp_steps steps;
    struct lap_otlp_store store;
    uint64_t number; /* of the process's newest span */
    struct fixed *resource;
    struct fixed **places; /* by class: where it is in the source */
    struct thread threads[THREADS];
    struct call_link *call_links; /* made with the first one */
    uint64_t links_left_out;
    char *batch;
    size_t batch_used;
    uint32_t batch_spans;
    char attributes[LAP_OTLP_ATTRIBUTES];
    char scratch[LAP_OTLP_ATTRIBUTES]; /* of what is made once */
};

static void fail(struct otlp *to, int code) { to->out->error = to->out->error < 0 ? to->out->error : code; }

/* ---- attributes ---------------------------------------------------------------------------------------------------- */

static char *text_put(const struct otlp *to, char *at, enum lap_otlp_place place, const char *key, const char *text)
{
    char escaped[LAP_OTLP_VALUE_BYTES];
    const size_t bytes = lap_span_text_escape(escaped, sizeof escaped, text);
    return bytes > 0 ? to->encoding->text(at, place, key, escaped, bytes) : at;
}

static char *number_put(const struct otlp *to, char *at, const char *key, int64_t number)
{
    return to->encoding->number(at, LAP_OTLP_OF_SPAN, key, number);
}

static char *truth_put(const struct otlp *to, char *at, const char *key)
{
    return to->encoding->truth(at, LAP_OTLP_OF_SPAN, key);
}

static struct fixed *fixed_make(struct otlp *to, const char *end)
{
    const size_t count = (size_t)(end - to->scratch);
    struct fixed *const fixed = malloc(sizeof *fixed + count);
    if (!fixed) {
        fail(to, -ENOMEM);
        return NULL;
    }
    fixed->count = count;
    memcpy(fixed->bytes, to->scratch, count);
    return fixed;
}

static char *place_put(struct otlp *to, char *at, uint32_t class_id)
{
    const struct lap_catalog *const catalog = &to->process->catalog;
    if (class_id >= catalog->class_count || !to->places)
        return at;
    struct fixed *fixed = to->places[class_id];
    if (!fixed) {
        const struct lap_description *const description = lap_catalog_description(catalog, class_id);
        char *end = text_put(to, to->scratch, LAP_OTLP_OF_SPAN, "code.function.name", description->function);
        end = text_put(to, end, LAP_OTLP_OF_SPAN, "code.file.path", description->file);
        if (description->line > 0)
            end = number_put(to, end, "code.line.number", description->line);
        if (!(fixed = to->places[class_id] = fixed_make(to, end)))
            return at;
    }
    memcpy(at, fixed->bytes, fixed->count);
    return at + fixed->count;
}

static char *thread_put(struct otlp *to, char *at, const struct lap_thread *thread)
{
    if (!thread)
        return at;
    struct thread *const entry = &to->threads[thread->index % THREADS];
    if (entry->thread != thread || strcmp(entry->name, thread->name) != 0) {
        char *const end = number_put(to, entry->bytes, "thread.id", (int64_t)thread->id);
        entry->count = (uint32_t)(text_put(to, end, LAP_OTLP_OF_SPAN, "thread.name", thread->name) - entry->bytes);
        entry->thread = thread;
        memcpy(entry->name, thread->name, sizeof entry->name);
    }
    memcpy(at, entry->bytes, entry->count);
    return at + entry->count;
}

/* ---- processes ----------------------------------------------------------------------------------------------------- */

static char *time_error_put(const struct otlp *to, char *at)
{
    const struct lap_timeline *const timeline = to->export->timeline;
    if (!timeline)
        return at;
    const struct lap_timeline_process *const times = &timeline->processes[to->process->index];
    if (times->how == LAP_TIMELINE_CALLS && isfinite(times->error_ns))
        at = to->encoding->number(at, LAP_OTLP_OF_RESOURCE, "lapmark.time_error_ns",
                                  (int64_t)ceil(fmin(times->error_ns, 0x1p62)));
    if (times->root != timeline->root || (times->how == LAP_TIMELINE_CALLS && !isfinite(times->error_ns)))
        at = to->encoding->truth(at, LAP_OTLP_OF_RESOURCE, "lapmark.times_by_wall_clock");
    return at;
}

static char *uuid_put(const struct otlp *to, char *at)
{
    const uint8_t *const uuid = to->process->catalog.uuid;
    char text[37], *end = text;
    for (int i = 0; i < 16; i++)
        end += sprintf(end, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    return to->encoding->text(at, LAP_OTLP_OF_RESOURCE, "service.instance.id", text, 36);
}

static struct fixed *resource_make(struct otlp *to)
{
    const struct lap_process *const process = to->process;
    const enum lap_otlp_place place = LAP_OTLP_OF_RESOURCE;
    char *at =
        text_put(to, to->scratch, place, "service.name", process->program[0] ? process->program : "unknown_service");
    at = uuid_put(to, at);
    at = text_put(to, at, place, "process.executable.name", process->program);
    at = text_put(to, at, place, "process.command_line", process->command);
    at = to->encoding->number(at, place, "process.pid", (int64_t)process->pid);
    at = text_put(to, at, place, "host.name", process->host);
    at = text_put(to, at, place, "telemetry.sdk.name", "lapmark");
    at = text_put(to, at, place, "telemetry.sdk.language", "c");
    at = text_put(to, at, place, "telemetry.sdk.version", LAPMARK_VERSION);
    if (process->state != LAP_PROCESS_ENDED)
        at = text_put(to, at, place, "lapmark.state", lap_process_state_text(process->state));
    if (process->lost > 0)
        at = to->encoding->number(at, place, "lapmark.lost_events", (int64_t)process->lost);
    return fixed_make(to, time_error_put(to, at));
}

static void process_done(struct otlp *to)
{
    for (uint32_t i = 0; to->places && i < to->process->catalog.class_count; i++)
        free(to->places[i]);
    free(to->places);
    free(to->resource);
    to->places = NULL;
    to->resource = NULL;
    lap_otlp_steps_done(&to->steps);
}

static void see_process(void *user, const struct lap_process *process)
{
    struct otlp *const to = user;
    process_done(to);
    to->process = to->export->recording->processes[process->index];
    to->number = 0;
    to->links_left_out = 0;
    memset(to->threads, 0, sizeof to->threads);
    const int code = lap_otlp_steps_read(&to->steps, to->process);
    to->places = calloc((size_t)process->catalog.class_count + 1, sizeof(struct fixed *));
    to->resource = resource_make(to);
    if (code < 0 || !to->places)
        fail(to, code < 0 ? code : -ENOMEM);
}

static void batch_write(struct otlp *to)
{
    if (to->batch_spans > 0 && to->resource)
        to->encoding->message(to->out, (struct lap_otlp_bytes){to->resource->bytes, to->resource->count},
                              (struct lap_otlp_bytes){to->batch, to->batch_used});
    to->batch_spans = 0;
    to->batch_used = 0;
}

static void see_process_end(void *user, const struct lap_process *process, uint64_t end_ns)
{
    struct otlp *const to = user;
    (void)end_ns;
    batch_write(to);
    if (to->steps.left_out > 0)
        lap_recording_warn(to->export->recording, process, LAP_READER_LIMIT, process->directory, UINT64_MAX,
                           "more profilers than can be gathered are known to others: some ids are in links alone");
    if (to->links_left_out > 0)
        lap_recording_warn(to->export->recording, process, LAP_READER_LIMIT, process->directory, UINT64_MAX,
                           "more calls at once follow others than can be held: some of their links are left out");
}

/* ---- spans --------------------------------------------------------------------------------------------------------- */

static struct lap_span_id id_of(const struct lap_span *span)
{
    return (struct lap_span_id){span->user[TRACE_HIGH], span->user[TRACE_LOW], span->user[OWN_ID]};
}

/* Whatever a recording says: an id of zeros is none. */
static bool is_valid(const struct lap_span_id *id) { return id->span != 0 && (id->trace_high | id->trace_low) != 0; }

static void trace_set(struct lap_span *span, const struct lap_span_id *id)
{
    span->user[TRACE_HIGH] = id->trace_high;
    span->user[TRACE_LOW] = id->trace_low;
}

static bool has_parent_inside(const struct lap_span *span)
{
    return span->parent && span->parent->user[TRACE_HIGH] == span->user[TRACE_HIGH] &&
           span->parent->user[TRACE_LOW] == span->user[TRACE_LOW];
}

struct parent {
    uint64_t id;
    uint32_t flags;
};

static struct parent parent_of(const struct otlp *to, const struct lap_span *span)
{
    const struct lap_span_id own = id_of(span);
    const struct lap_otlp_step *const step = lap_otlp_step_find(&to->steps, span->handle);
    if (is_valid(&span->caller) && lap_otlp_is_same_trace(&span->caller, &own))
        return (struct parent){span->caller.span, LAP_OTLP_KNOWS_REMOTE | LAP_OTLP_IS_REMOTE};
    if (step && step->parent != 0)
        return (struct parent){step->parent, 0};
    if (has_parent_inside(span))
        return (struct parent){span->parent->user[OWN_ID], LAP_OTLP_KNOWS_REMOTE};
    return (struct parent){0, 0};
}

/* A one-way call is served without a reply. */
static enum lap_otlp_kind kind_of(const struct otlp *to, const struct lap_span *span, enum lap_span_end how)
{
    const struct lap_otlp_step *const step = lap_otlp_step_find(&to->steps, span->handle);
    if (is_valid(&span->caller))
        return span->has_replied || how != LAP_SPAN_ENDED ? LAP_OTLP_SERVER : LAP_OTLP_CONSUMER;
    return step && step->parent != 0 ? LAP_OTLP_SERVER : LAP_OTLP_INTERNAL;
}

static struct lap_otlp_kept *kept_of(const struct lap_span *span)
{
    return (struct lap_otlp_kept *)(uintptr_t)span->user[KEPT]; // NOLINT(performance-no-int-to-ptr)
}

static void link_keep(struct otlp *to, struct lap_span *span, enum lap_otlp_entry_kind kind,
                      const struct lap_span_id *other)
{
    struct lap_otlp_kept *kept = kept_of(span);
    lap_otlp_keep_link(&to->store, &kept, kind, other);
    span->user[KEPT] = (uintptr_t)kept;
}

static void see_begin(void *user, struct lap_span *span)
{
    struct otlp *const to = user;
    const struct lap_otlp_step *const step = lap_otlp_step_find(&to->steps, span->handle);
    const uint64_t made = lap_otlp_id_make(&to->steps, ++to->number);
    span->user[OWN_ID] = step && step->id.span != 0 ? step->id.span : made;
    const struct lap_span_id trace = step           ? step->id
                                     : span->parent ? id_of(span->parent)
                                                    : lap_otlp_trace_make(&to->steps, made);
    trace_set(span, &trace);
}

static void see_serve(void *user, struct lap_span *span)
{
    const struct otlp *const to = user;
    if (!lap_otlp_step_find(&to->steps, span->handle) && is_valid(&span->caller))
        trace_set(span, &span->caller);
}

static void see_lap(void *user, struct lap_span *span, const struct lap_span_lap *lap)
{
    struct otlp *const to = user;
    struct lap_otlp_kept *kept = kept_of(span);
    lap_otlp_keep_lap(&to->store, &kept, span, lap);
    span->user[KEPT] = (uintptr_t)kept;
}

static void see_pause(void *user, struct lap_span *span, const struct lap_thread *thread, uint64_t begin_ns,
                      uint64_t end_ns)
{
    struct otlp *const to = user;
    (void)thread;
    if (!span)
        return;
    struct lap_otlp_kept *kept = kept_of(span);
    lap_otlp_keep_pause(&to->store, &kept, begin_ns, end_ns);
    span->user[KEPT] = (uintptr_t)kept;
}

/* What was gathered is in the ids already. */
static void see_link(void *user, struct lap_span *span, const struct lap_format_link *link)
{
    static const enum lap_otlp_entry_kind kinds[] = {[LAP_FORMAT_LINK_IS] = LAP_OTLP_LINK_IS,
                                                     [LAP_FORMAT_LINK_PARENT] = LAP_OTLP_LINK_PARENT,
                                                     [LAP_FORMAT_LINK_FOLLOWS] = LAP_OTLP_LINK_FOLLOWS};
    struct otlp *const to = user;
    const struct lap_span_id own = id_of(span), other = {link->trace_id_high, link->trace_id_low, link->span_id};
    if (link->relation < LAP_FORMAT_LINK_IS || link->relation > LAP_FORMAT_LINK_FOLLOWS || !is_valid(&other))
        return;
    if (link->own_span_id != 0) {
        if (!to->call_links && !(to->call_links = calloc(CALLS_LINKED, sizeof *to->call_links))) {
            fail(to, -ENOMEM);
            return;
        }
        struct call_link *const place = &to->call_links[link->own_span_id % CALLS_LINKED];
        to->links_left_out += place->call != 0;
        *place = (struct call_link){link->own_span_id, other};
        return;
    }
    const bool is_same_trace = lap_otlp_is_same_trace(&own, &other);
    if ((link->relation == LAP_FORMAT_LINK_IS && is_same_trace && other.span == own.span) ||
        (link->relation == LAP_FORMAT_LINK_PARENT && is_same_trace && other.span == parent_of(to, span).id))
        return;
    link_keep(to, span, kinds[link->relation], &other);
}

static void span_write(struct otlp *to, const struct lap_otlp_span *span)
{
    char *const end = to->encoding->span(to->batch + to->batch_used, span);
    to->batch_used = (size_t)(end - to->batch);
    if (++to->batch_spans == BATCH_SPANS || to->batch_used >= BATCH_BYTES)
        batch_write(to);
}

static char *end_put(const struct otlp *to, char *at, const struct lap_span *span, uint64_t took_ns, uint64_t total_ns,
                     enum lap_span_end how)
{
    if (how == LAP_SPAN_ABANDONED)
        at = truth_put(to, at, "lapmark.abandoned");
    else if (how != LAP_SPAN_ENDED)
        at = truth_put(to, at, "lapmark.unfinished");
    if (span->is_cut)
        at = truth_put(to, at, "lapmark.cut");
    if (took_ns > total_ns + 1) /* pauses are in it */
        at = number_put(to, at, "lapmark.total_ns", (int64_t)total_ns);
    return at;
}

static void see_end(void *user, struct lap_span *span, uint64_t end_ns, uint64_t total_ns, enum lap_span_end how)
{
    struct otlp *const to = user;
    const struct parent parent = parent_of(to, span);
    if (is_valid(&span->caller) && parent.id != span->caller.span)
        link_keep(to, span, LAP_OTLP_LINK_PARENT, &span->caller);
    if (span->parent && !has_parent_inside(span)) {
        const struct lap_span_id around = id_of(span->parent);
        link_keep(to, span, LAP_OTLP_LINK_INSIDE, &around);
    }
    char *at = to->attributes;
    if (span->message)
        at = to->encoding->text(at, LAP_OTLP_OF_SPAN, "lapmark.message", span->message, strlen(span->message));
    if (span->has_n)
        at = number_put(to, at, "lapmark.n", span->n);
    at = place_put(to, at, span->class_id);
    at = thread_put(to, at, span->thread);
    at = end_put(to, at, span, end_ns - span->begin_ns, total_ns, how);
    const struct lap_otlp_span written = {.id = id_of(span),
                                          .parent = parent.id,
                                          .flags = LAP_OTLP_SAMPLED | parent.flags,
                                          .kind = kind_of(to, span, how),
                                          .name = span->name,
                                          .begin_ns = span->begin_ns,
                                          .end_ns = end_ns,
                                          .attributes = {to->attributes, (size_t)(at - to->attributes)},
                                          .kept = kept_of(span)};
    span_write(to, &written);
    lap_otlp_kept_free(&to->store, kept_of(span));
    span->user[KEPT] = 0;
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

static char *call_attributes_put(struct otlp *to, char *at, const struct lap_span_call *call)
{
    at = place_put(to, at, call->class_id);
    at = thread_put(to, at, call->thread);
    if (call->times.has_server) {
        at = number_put(to, at, "lapmark.server_ns", (int64_t)call->times.server_ns);
        at = number_put(to, at, "lapmark.queue_ns", (int64_t)call->times.queue_ns);
        at = number_put(to, at, "lapmark.between_ns", (int64_t)call->times.between_ns);
    }
    return call->is_refused ? truth_put(to, at, "lapmark.refused") : at;
}

/* Its parent; or, of another trace, a link to it and one back. */
static uint64_t call_join(struct otlp *to, struct lap_span *span, const struct lap_span_id *id,
                          struct lap_otlp_kept **kept)
{
    if (!span)
        return 0;
    const struct lap_span_id around = id_of(span);
    if (lap_otlp_is_same_trace(&around, id))
        return around.span;
    lap_otlp_keep_link(&to->store, kept, LAP_OTLP_LINK_INSIDE, &around);
    link_keep(to, span, LAP_OTLP_LINK_CALL, id);
    return 0;
}

static void see_call(void *user, const struct lap_span_call *call)
{
    struct otlp *const to = user;
    struct lap_otlp_kept *kept = NULL;
    const struct lap_span_id id =
        is_valid(&call->id) ? call->id : lap_otlp_trace_make(&to->steps, lap_otlp_id_make(&to->steps, ++to->number));
    const uint64_t parent = call_join(to, call->span, &id, &kept);
    struct call_link *const link = to->call_links ? &to->call_links[id.span % CALLS_LINKED] : NULL;
    if (link && link->call == id.span) {
        lap_otlp_keep_link(&to->store, &kept, LAP_OTLP_LINK_FOLLOWS, &link->other);
        link->call = 0;
    }
    char *const end = call_attributes_put(to, to->attributes, call);
    const struct lap_otlp_span written = {.id = id,
                                          .parent = parent,
                                          .flags = LAP_OTLP_SAMPLED | (parent != 0 ? LAP_OTLP_KNOWS_REMOTE : 0),
                                          .kind = call->is_one_way ? LAP_OTLP_PRODUCER : LAP_OTLP_CLIENT,
                                          .name = call->name,
                                          .begin_ns = call->begin_ns,
                                          .end_ns = call->end_ns,
                                          .attributes = {to->attributes, (size_t)(end - to->attributes)},
                                          .kept = kept};
    span_write(to, &written);
    lap_otlp_kept_free(&to->store, kept);
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

static bool has_failed(void *user) { return ((struct otlp *)user)->out->error != 0; }

static int otlp_write(const struct lap_export *export, struct lap_out *out, const struct lap_otlp_encoding *encoding)
{
    static const struct lap_span_writer writer = {.process = see_process,
                                                  .begin = see_begin,
                                                  .lap = see_lap,
                                                  .end = see_end,
                                                  .pause = see_pause,
                                                  .call = see_call,
                                                  .serve = see_serve,
                                                  .link = see_link,
                                                  .process_end = see_process_end,
                                                  .wants_messages = true};
    struct otlp *const to = calloc(1, sizeof *to);
    char *const batch = malloc(BATCH_BYTES + LAP_OTLP_SPAN_BYTES);
    int code = to && batch ? 0 : -ENOMEM;
    if (code == 0) {
        *to = (struct otlp){.export = export, .encoding = encoding, .out = out, .batch = batch};
        struct lap_spans_options options = export->options;
        options.failed = has_failed;
        code = lap_spans_run(export->recording, &writer, to, &options);
        process_done(to);
        lap_otlp_store_done(&to->store);
        free(to->call_links);
    }
    free(batch);
    free(to);
    return out->error < 0 ? out->error : code;
}

int lap_export_otlp(const struct lap_export *export, struct lap_out *out)
{
    return otlp_write(export, out, &lap_otlp_protobuf);
}

int lap_export_otlp_json(const struct lap_export *export, struct lap_out *out)
{
    return otlp_write(export, out, &lap_otlp_json);
}
