/* SPDX-License-Identifier: MIT */
#include "timeline.h"

#include "calls_clocks.h"
#include "clock_tree.h"
#include "cursor.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PIECES 256u /* of a process; between two the time is a straight line */

struct pass {
    struct lap_calls_clocks *clocks;
    int error;
};

static void see_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct pass *const pass = user;
    const struct lap_process *const process = lap_cursor_of(decoder)->process;
    const int code = lap_calls_clocks_add(pass->clocks, process, lap_event_payload(event->words, event->class));
    pass->error = code < 0 ? code : pass->error;
}

static void see_other(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct pass *const pass = user;
    if (event->class->kind != LAP_CLASS_SERVE)
        return;
    const struct lap_process *const process = lap_cursor_of(decoder)->process;
    const int code = lap_calls_clocks_add_served(pass->clocks, process, lap_event_payload(event->words, event->class));
    pass->error = code < 0 ? code : pass->error;
}

static int calls_read(struct pass *pass, struct lap_recording *recording)
{
    static const struct lap_visitor visitor = {.call = see_call, .other = see_other};
    struct lap_merge *merge;
    int code = lap_merge_make(&merge, recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (code < 0)
        return code;
    while ((code = lap_merge_next(merge, &visitor, pass)) == 1 && pass->error == 0)
        continue;
    lap_merge_free(merge);
    return code < 0 ? code : pass->error;
}

#define NOWHERE SIZE_MAX /* lap_timeline_process.root: it has no place yet */

/* Of those that are nowhere: the process whose clock has the most processes; the first of those. */
static size_t root_choose(const struct lap_timeline *timeline)
{
    const struct lap_recording *const recording = timeline->recording;
    size_t root = NOWHERE, most = 0;
    for (size_t p = 0; p < recording->process_count; p++) {
        if (timeline->processes[p].root != NOWHERE)
            continue;
        const uint64_t domain = recording->processes[p]->control.clock_domain;
        size_t same = 0;
        for (size_t q = 0; domain != 0 && q < recording->process_count; q++)
            same += recording->processes[q]->control.clock_domain == domain;
        if (root == NOWHERE || same > most) {
            most = same;
            root = p;
        }
    }
    return root;
}

/* Leaves it nowhere, if no way leads to the root. `own`: how that one came onto the timeline, and so those with its clock. */
static void process_align(struct lap_process *process, struct lap_timeline_process *to,
                          const struct lap_calls_clocks *clocks, const struct lap_clock_tree *tree,
                          const struct lap_process *root, enum lap_timeline_how own, struct lap_timebase_piece *pieces)
{
    double error_ns = 0;
    bool is_near_step = false;
    const uint64_t from = process->first_ticks != 0 && process->first_ticks < process->clock.start_ticks
                              ? process->first_ticks
                              : process->clock.start_ticks;
    const uint64_t until = process->end_ticks > from ? process->end_ticks : from + 1;
    size_t count = 0;
    const uint64_t start_ns = lap_timebase_realtime_ns(&process->clock, from);
    for (uint32_t i = 0; i < PIECES; i++) {
        const uint64_t ticks = from + (uint64_t)((double)(until - from) * i / (PIECES - 1));
        struct lap_clock_time time;
        if (count > 0 && ticks <= pieces[count - 1].ticks)
            continue;
        if (lap_calls_clocks_to_root(clocks, tree, root, process, ticks, &time) < 0)
            return;
        pieces[count++] = (struct lap_timebase_piece){ticks, (uint64_t)time.time_ns, time.error_ns};
        error_ns = time.error_ns > error_ns ? time.error_ns : error_ns;
        is_near_step |= time.is_near_step;
    }
    to->how = process->control.clock_domain != root->control.clock_domain ? LAP_TIMELINE_CALLS : own;
    to->root = root->index;
    to->error_ns = error_ns;
    to->is_near_step = is_near_step;
    to->shift_ns = (double)(int64_t)(start_ns - pieces[0].realtime_ns);
    process->clock.pieces = pieces;
    process->clock.piece_count = count;
}

static int loops_add(struct lap_timeline *timeline, const struct lap_calls_clocks *clocks,
                     const struct lap_clock_tree *tree)
{
    const size_t count = lap_clock_tree_loop_count(tree);
    const struct lap_clock_loop *const loops = lap_clock_tree_loops(tree);
    struct lap_timeline_loop *const all =
        realloc(timeline->loops, (timeline->loop_count + count + 1) * sizeof *timeline->loops);
    if (!all)
        return -ENOMEM;
    timeline->loops = all;
    for (size_t i = 0; i < count; i++) {
        if (loops[i].samples == 0)
            continue;
        const struct lap_clock_pair *const pair = lap_clock_tree_get_pair(tree, loops[i].pair);
        timeline->loops[timeline->loop_count++] =
            (struct lap_timeline_loop){.client = lap_calls_clocks_process(clocks, pair->client),
                                       .server = lap_calls_clocks_process(clocks, pair->server),
                                       .residual_ns = loops[i].residual_ns,
                                       .error_ns = loops[i].error_ns,
                                       .is_within = loops[i].is_within};
    }
    return 0;
}

/* All that calls join with a root. It comes last: the others are brought to it as it is. */
static int group_place(struct lap_timeline *timeline, const struct lap_calls_clocks *clocks, size_t root)
{
    struct lap_recording *const recording = timeline->recording;
    struct lap_clock_tree *tree = NULL;
    const enum lap_timeline_how own = root == timeline->root ? LAP_TIMELINE_ROOT : LAP_TIMELINE_WALL;
    const uint64_t domain = recording->processes[root]->control.clock_domain;
    int code = domain != 0 ? lap_calls_clocks_tree(clocks, domain, &tree) : 0;
    if (tree)
        code = loops_add(timeline, clocks, tree);
    for (size_t i = 1; code == 0 && tree && i <= recording->process_count; i++) {
        const size_t p = (root + i) % recording->process_count;
        if (timeline->processes[p].root == NOWHERE)
            process_align(recording->processes[p], &timeline->processes[p], clocks, tree, recording->processes[root], own,
                          (struct lap_timebase_piece *)timeline->pieces + p * PIECES);
    }
    lap_clock_tree_free(tree);
    timeline->processes[root].root = root;
    timeline->processes[root].how = own;
    return code;
}

int lap_timeline_make(struct lap_timeline **ret_timeline, struct lap_recording *recording)
{
    struct lap_timeline *const timeline = calloc(1, sizeof *timeline);
    struct pass pass = {0};
    if (!timeline)
        return -ENOMEM;
    timeline->recording = recording;
    timeline->processes = calloc(recording->process_count + 1, sizeof *timeline->processes);
    timeline->pieces = calloc((recording->process_count + 1) * PIECES, sizeof(struct lap_timebase_piece));
    int code = timeline->processes && timeline->pieces ? lap_calls_clocks_make(&pass.clocks, recording) : -ENOMEM;
    if (code == 0)
        code = calls_read(&pass, recording);
    for (size_t p = 0; code == 0 && p < recording->process_count; p++)
        timeline->processes[p].root = NOWHERE;
    if (code == 0 && recording->process_count > 0)
        timeline->root = root_choose(timeline);
    for (size_t root; code == 0 && (root = root_choose(timeline)) != NOWHERE;)
        code = group_place(timeline, pass.clocks, root);
    lap_calls_clocks_free(pass.clocks);
    if (code < 0) {
        lap_timeline_free(timeline);
        return code;
    }
    *ret_timeline = timeline;
    return 0;
}

void lap_timeline_free(struct lap_timeline *timeline)
{
    if (!timeline)
        return;
    for (size_t p = 0; p < timeline->recording->process_count; p++) {
        timeline->recording->processes[p]->clock.pieces = NULL;
        timeline->recording->processes[p]->clock.piece_count = 0;
    }
    free(timeline->processes);
    free(timeline->loops);
    free(timeline->pieces);
    free(timeline);
}
