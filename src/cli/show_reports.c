/* SPDX-License-Identifier: MIT
 *
 * The reports of a recording's threads, made anew from its events by what makes them in the program: each ring has one,
 * each process one more for handles. All rings are read together, by time, so that reports come in the order of their ends.
 */
#define _GNU_SOURCE
#include "show.h"

#include "cursor.h"
#include "json.h"
#include "report.h"
#include "terminal.h"
#include "units.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* A handle's events so far: it may be met on any ring, and has its report when it has ended. */
struct handle {
    uint64_t number;
    const struct lap_thread *thread;
    uint64_t **events;
    size_t count;
};
enum { HANDLE_EVENTS_MAX = 1 << 16 };

struct replay;

/* What replays one ring, or (ring NULL) the handles of a process. */
struct player {
    struct replay *replay;
    const struct lap_process *process;
    const struct lap_ring *ring;
    const struct lap_thread *thread; /* whose report it would be */
    struct lap_report *report;
    struct lap_decoder decoder;
    uint64_t sequence;
    uint32_t offset; /* up to which event of that segment */
    uint64_t now_ticks;
    void *handles; /* a tree of struct handle, by number */
};

struct replay {
    const struct lap_show_filter *filter;
    const struct lap_recording *recording;
    struct player **players; /* for each process those of its rings, then the one for handles; NULL: no event yet */
    size_t player_count;
    size_t *first;                  /* of each process, its first player */
    const struct lap_thread *shown; /* whose report came last */
    bool names_threads;
    bool has_shown;
};

/* ---- which, and out ---- */

static int decide(void *user, const struct lap_open *open, const struct lap_class *class, uint64_t *ret_threshold_ns)
{
    const struct player *const player = user;
    const struct lap_show_filter *const filter = player->replay->filter;
    const struct lap_catalog *const catalog = &player->process->catalog;
    (void)class;
    if (!lap_show_matches_name(filter, lap_catalog_description(catalog, open->class_id),
                               lap_catalog_name(catalog, open->class_id)))
        return 0;
    if (filter->until_ns != UINT64_MAX && open->begin_ticks != 0 &&
        lap_timebase_realtime_ns(&player->process->clock, open->begin_ticks) > filter->until_ns)
        return 0;
    *ret_threshold_ns = open->threshold_ns == LAP_FORMAT_NO_THRESHOLD ? 0 : open->threshold_ns;
    if (filter->has_min_duration)
        *ret_threshold_ns = filter->min_duration_ns;
    return 1;
}

static void print_thread(const struct player *player, uint64_t now_ns)
{
    char text[512], time[LAP_UNITS_BYTES];
    const struct lap_thread *const thread = player->thread;
    int length =
        snprintf(text, sizeof text, "# %s %llu", player->process->program, (unsigned long long)player->process->pid);
    if (thread && length > 0 && (size_t)length < sizeof text)
        snprintf(text + length, sizeof text - (size_t)length, ", thread %s%s%llu%s", thread->name,
                 thread->name[0] ? " (" : "", (unsigned long long)thread->id, thread->name[0] ? ")" : "");
    char *const printable = lap_text_printable(text);
    printf("%s%s, at %s%s\n", lap_terminal_style(LAP_STYLE_DIM), printable, lap_units_time(time, now_ns),
           lap_terminal_style(LAP_STYLE_PLAIN));
    free(printable);
}

static void print_json(const struct player *player, const char *text, size_t bytes, uint64_t now_ns)
{
    json_t *const lines = json_array();
    char *const copy = strndup(text, bytes);
    if (!copy)
        abort();
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && (rest || *line);)
        lap_json_append(lines, lap_json_text(line));
    free(copy);
    json_t *const value = json_object();
    lap_json_set(value, "time_ns", lap_json_count(now_ns));
    lap_json_set(value, "process", lap_json_text(player->process->name));
    lap_json_set(value, "pid", lap_json_count(player->process->pid));
    lap_json_set(value, "thread", player->thread ? lap_json_count(player->thread->id) : json_null());
    lap_json_set(value, "thread_name", lap_json_text(player->thread ? player->thread->name : NULL));
    lap_json_set(value, "lines", lines);
    lap_json_print_line(value, stdout);
}

static void write_report(void *user, const char *text, size_t bytes)
{
    struct player *const player = user;
    struct replay *const replay = player->replay;
    const uint64_t now_ns = lap_timebase_realtime_ns(&player->process->clock, player->now_ticks);
    if (now_ns < replay->filter->since_ns || !lap_show_matches_thread(replay->filter, player->thread))
        return;
    replay->has_shown = true;
    if (replay->filter->is_json) {
        print_json(player, text, bytes, now_ns);
        return;
    }
    if (replay->names_threads && replay->shown != player->thread)
        print_thread(player, now_ns);
    replay->shown = player->thread;
    fwrite(text, 1, bytes, stdout);
}

/* ---- players ---- */

static struct player *make_player(struct replay *replay, const struct lap_process *process, const struct lap_ring *ring)
{
    struct player *const player = calloc(1, sizeof *player);
    void *const memory = malloc(lap_report_bytes());
    if (!player || !memory)
        abort();
    player->replay = replay;
    player->process = process;
    player->ring = ring;
    player->sequence = UINT64_MAX;
    player->decoder.classes = process->catalog.classes;
    player->decoder.class_count = process->catalog.class_count;
    const struct lap_report_settings settings = {.ns_per_tick = process->clock.ns_per_tick,
                                                 .clock_domain = process->control.clock_domain,
                                                 .classes = process->catalog.classes,
                                                 .descriptions = process->catalog.descriptions,
                                                 .class_count = process->catalog.class_count,
                                                 .description_count = process->catalog.description_count,
                                                 .decide = decide,
                                                 .write = write_report,
                                                 .user = player};
    player->report = lap_report_init(memory, &settings);
    return player;
}

static void free_handle(void *node)
{
    struct handle *const handle = node;
    for (size_t i = 0; i < handle->count; i++)
        free(handle->events[i]);
    free(handle->events);
    free(handle);
}

static void free_player(struct player *player)
{
    if (!player)
        return;
    tdestroy(player->handles, free_handle);
    free(player->report);
    free(player);
}

static struct player *find_player(struct replay *replay, const struct lap_process *process, const struct lap_ring *ring)
{
    const size_t index = ring ? (size_t)(ring - process->rings) : process->ring_count;
    struct player **const player = &replay->players[replay->first[process->index] + index];
    if (!*player)
        *player = make_player(replay, process, ring);
    return *player;
}

static void make_places(struct replay *replay)
{
    replay->first = calloc(replay->recording->process_count + 1, sizeof *replay->first);
    for (size_t i = 0; replay->first && i < replay->recording->process_count; i++) {
        replay->first[i] = replay->player_count;
        replay->player_count += replay->recording->processes[i]->ring_count + 1;
    }
    replay->players = calloc(replay->player_count + 1, sizeof *replay->players); /* NOLINT(bugprone-sizeof-expression) */
    if (!replay->first || !replay->players)
        abort();
}

/* ---- events ---- */

static int by_number(const void *left, const void *right)
{
    const uint64_t a = ((const struct handle *)left)->number;
    const uint64_t b = ((const struct handle *)right)->number;
    return (a > b) - (a < b);
}

static struct handle *find_handle(struct player *player, uint64_t number)
{
    const struct handle key = {.number = number};
    struct handle **const found = tfind(&key, &player->handles, by_number);
    if (found)
        return *found;
    struct handle *const handle = calloc(1, sizeof *handle);
    if (!handle)
        abort();
    handle->number = number;
    if (!tsearch(handle, &player->handles, by_number))
        abort();
    return handle;
}

/* Marks past the bound are left out; the report counts them by their numbers. */
static void keep_event(struct handle *handle, const struct lap_event *event)
{
    const int kind = event->class->kind;
    if (handle->count >= HANDLE_EVENTS_MAX &&
        (kind == LAP_CLASS_HANDLE_MARK || kind == LAP_CLASS_CALL || kind == LAP_CLASS_PEER_LAP))
        return;
    const size_t bytes = event->end - event->offset;
    uint64_t *const copy = malloc(bytes);
    if ((handle->count & (handle->count + 1)) == 0)
        handle->events = realloc(handle->events, (2 * handle->count + 2) * sizeof *handle->events);
    if (!copy || !handle->events)
        abort();
    memcpy(copy, event->words, bytes);
    handle->events[handle->count++] = copy;
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct replay *const replay = user;
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    struct player *const player = find_player(replay, cursor->process, NULL);
    /* Each kind's payload starts with the handle. */
    uint64_t number;
    memcpy(&number, lap_event_payload(event->words, event->class), sizeof number);
    struct handle *const handle = find_handle(player, number);
    keep_event(handle, event);
    if (event->class->kind != LAP_CLASS_HANDLE_END)
        return;
    player->now_ticks = event->ticks;
    player->thread = cursor->thread;
    lap_report_handle(player->report, (const uint64_t *const *)handle->events, handle->count);
    tdelete(handle, &player->handles, by_number);
    free_handle(handle);
}

/* A call or a lap of its peer. Those of the thread's own scopes are with its report. */
static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    uint64_t number;
    memcpy(&number, lap_event_payload(event->words, event->class), sizeof number);
    if (number != 0)
        see_handle(user, decoder, event);
}

/* As the cursor enters a segment: events of the one before are no longer in memory, and behind a gap all starts anew. */
static void enter_segment(struct player *player, const struct lap_format_segment *header)
{
    struct lap_decoder *const decoder = &player->decoder;
    if (player->sequence == UINT64_MAX || player->sequence + 1 != header->sequence) {
        lap_report_reset(player->report);
        decoder->depth = 0;
        decoder->last_ticks = 0;
    }
    decoder->paused = header->paused_ticks;
    for (uint32_t depth = 0; depth < decoder->depth; depth++)
        decoder->open[depth].event = NULL;
    player->sequence = header->sequence;
    player->offset = LAP_FORMAT_SEGMENT_HEADER_BYTES;
}

/* Feeds the ring's report with what the cursor has gone over. */
static void see_done(void *user, struct lap_decoder *decoder, uint32_t end)
{
    const struct lap_cursor *const cursor = lap_cursor_of(decoder);
    struct player *const player = find_player(user, cursor->process, cursor->ring);
    const struct lap_format_segment *const header = &cursor->segment->header;
    if (player->sequence != header->sequence)
        enter_segment(player, header);
    player->now_ticks = decoder->last_ticks;
    player->thread = cursor->thread;
    lap_report_run(player->report, &player->decoder, cursor->data, header->begin_ticks, player->offset, end);
    player->offset = end;
}

/* ---- what never ended ---- */

static const char *open_reason(const struct lap_process *process)
{
    return process->state == LAP_PROCESS_RUNNING    ? "still open"
           : process->state == LAP_PROCESS_DIED     ? "open when it died"
           : process->state == LAP_PROCESS_SNAPSHOT ? "still open"
                                                    : NULL;
}

static struct player *walked; /* twalk() has no argument of its own */

static void show_open_handle(const void *node, VISIT order, int depth)
{
    (void)depth;
    if (order != preorder && order != leaf)
        return;
    const struct handle *const handle = *(struct handle *const *)node;
    const struct lap_process *const process = walked->process;
    const uint64_t *const first = handle->events[0];
    const uint32_t class_id = first[0] & LAP_FORMAT_CLASS_MASK;
    if (class_id >= process->catalog.class_count || process->catalog.classes[class_id].kind != LAP_CLASS_HANDLE_BEGIN)
        return;
    lap_report_handle_begin(walked->report, first, class_id);
    for (size_t i = 1; i < handle->count; i++)
        lap_report_handle_mark(walked->report, handle->events[i]);
    const uint64_t begin = (first[0] >> LAP_FORMAT_CLOCK_SHIFT) & LAP_FORMAT_CLOCK_MASK;
    const char *const reason = open_reason(process);
    lap_report_handle_end(walked->report, NULL, (process->end_ticks - begin) & LAP_FORMAT_CLOCK_MASK,
                          reason ? reason : "still open at exit");
}

static void show_open(struct player *player)
{
    player->now_ticks = player->process->end_ticks;
    if (player->ring) {
        lap_report_open(player->report, &player->decoder, player->process->end_ticks, open_reason(player->process));
    } else {
        player->thread = NULL;
        walked = player;
        twalk(player->handles, show_open_handle);
    }
}

static bool has_several_threads(const struct lap_recording *recording)
{
    uint64_t threads = 0;
    for (size_t i = 0; i < recording->process_count; i++)
        for (size_t j = 0; j < recording->processes[i]->ring_count; j++)
            threads += recording->processes[i]->rings[j].thread_count;
    return threads > 1;
}

int lap_show_reports(struct lap_recording *recording, const struct lap_show_filter *filter)
{
    static const struct lap_visitor visitor = {
        .handle = see_handle, .call = see_call, .peer_lap = see_call, .done = see_done};
    struct replay replay = {.filter = filter, .recording = recording, .names_threads = has_several_threads(recording)};
    struct lap_merge *merge;
    int error = lap_merge_make(&merge, recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (error < 0)
        return error;
    make_places(&replay);
    do {
        error = lap_merge_next(merge, &visitor, &replay);
    } while (error > 0 && !ferror(stdout));
    for (size_t i = 0; i < replay.player_count; i++) {
        if (replay.players[i] && error == 0)
            show_open(replay.players[i]);
        free_player(replay.players[i]);
    }
    free(replay.players);
    free(replay.first);
    lap_merge_free(merge);
    return error < 0 ? error : replay.has_shown;
}
