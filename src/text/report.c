/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "report_state.h"

#include <string.h>

/* A node has at most as many labels as a report has lines: no other could be printed. */
#define GROUPS_MAX LAP_REPORT_LINES_MAX

#define LAP_REPORT_INLINE static inline __attribute__((always_inline))
#define LAP_REPORT_COLD static __attribute__((noinline))

size_t lap_report_bytes(void) { return sizeof(struct lap_report); }

struct lap_report *lap_report_init(void *memory, const struct lap_report_settings *settings)
{
    struct lap_report *const report = memory;
    report->settings = *settings;
    report->written = 0;
    lap_tree_init(&report->tree);
    lap_report_reset(report);
    return report;
}

struct lap_report_settings *lap_report_settings(struct lap_report *report) { return &report->settings; }

void lap_report_reset(struct lap_report *report)
{
    report->depth = 0;
    report->top = report->certain = LAP_REPORT_NONE;
    report->is_tight = 0;
    report->last = report->missed = 0;
    report->handle = report->handle_calls = 0;
    lap_tree_clear(&report->tree);
}

void lap_report_missed(struct lap_report *report, uint64_t events) { report->missed += events; }

/* ---- laps -------------------------------------------------------------------------------------------------------- */

static int event_n(const struct lap_class *class, const uint64_t *words, int64_t *ret_n)
{
    if (!(class->flags & LAP_CLASS_N) || !words)
        return 0;
    *ret_n = (int64_t)*lap_event_values(words, class);
    return 1;
}

/* Copies what the label needs; returns 0 where there was no room. */
static int copy_event(struct lap_report *report, const struct lap_class *class, const uint64_t *words, uint16_t *ret_copy)
{
    if (!lap_label_needs_event(class))
        return 1;
    *ret_copy = words ? lap_tree_copy(&report->tree, words, lap_event_size_bytes(words, class)) : 0;
    return *ret_copy != 0;
}

static uint32_t event_units(const struct lap_class *class, const uint64_t *words)
{
    return words && lap_label_needs_event(class) ? lap_tree_copy_units(lap_event_size_bytes(words, class)) : 0;
}

/* Laps of one label become one line, whose label is the pattern. */
static void fold_laps(struct lap_report *report, uint16_t head, const struct lap_class *class)
{
    struct lap_tree_line *const line = lap_tree_line(&report->tree, head);
    lap_tree_fold(&report->tree, head, 0);
    if (class->flags & LAP_CLASS_TEXT)
        return;
    lap_tree_copy_free(&report->tree, line->detail);
    line->detail = 0;
}

/* A new line for one of a label, `head` 0: its first. Returns 0 when there is no room. */
static uint16_t line_new(struct lap_report *report, uint16_t node, uint64_t key, uint16_t head, uint64_t ticks,
                         uint64_t tot)
{
    struct lap_tree *const tree = &report->tree;
    if (head == 0 && lap_tree_node(tree, node)->groups >= GROUPS_MAX)
        return 0;
    const uint16_t index = lap_tree_line_make(tree, node, key, head);
    if (index == 0)
        return 0;
    struct lap_tree_line *const line = lap_tree_line(tree, index);
    line->ticks = ticks;
    line->tot = tot;
    if (head == 0) {
        line->count = 1;
        return index;
    }
    struct lap_tree_line *const first = lap_tree_line(tree, head);
    first->count++;
    if (first->second == 0)
        first->second = index;
    else
        first->third = index;
    return index;
}

struct lap_seen {
    const struct lap_class *class;
    const uint64_t *words;
    uint64_t ticks;
    uint64_t tot;
    uint64_t number;
    uint16_t calls;
};

/* A lap whose label is not one line yet. */
LAP_REPORT_COLD void add_lap(struct lap_report *report, uint16_t node, uint64_t key, const struct lap_seen *seen)
{
    struct lap_tree *const tree = &report->tree;
    lap_report_reserve(report, 1 + event_units(seen->class, seen->words));
    const uint16_t head = (uint16_t)lap_tree_find(tree, node, key);
    int64_t n = 0;
    const int has_n = event_n(seen->class, seen->words, &n);
    const int is_line = head == 0 || (!(lap_tree_line(tree, head)->flags & LAP_TREE_FOLDED) &&
                                      lap_tree_line(tree, head)->count < LAP_TREE_FOLD_ABOVE);
    const uint16_t index = is_line ? line_new(report, node, key, head, seen->ticks, seen->tot) : 0;
    if (index != 0) {
        struct lap_tree_line *const line = lap_tree_line(tree, index);
        line->max = seen->number;
        line->n = line->n_greatest = n;
        line->flags |= has_n ? LAP_TREE_N : 0;
        line->calls = seen->calls;
        line->flags |= copy_event(report, seen->class, seen->words, &line->detail) ? 0 : LAP_TREE_LOST;
        return;
    }
    if (head == 0) {
        uint16_t calls = seen->calls;
        lap_tree_calls_free(tree, &calls);
        lap_tree_node(tree, node)->more++;
        return;
    }
    if (!(lap_tree_line(tree, head)->flags & LAP_TREE_FOLDED))
        fold_laps(report, head, seen->class);
    lap_tree_fold_add(lap_tree_line(tree, head), seen->ticks, seen->tot, has_n, n);
    lap_tree_calls_join(tree, &lap_tree_line(tree, head)->calls, seen->calls);
}

LAP_REPORT_INLINE void see_lap(struct lap_report *report, uint16_t node, uint32_t class_id, const struct lap_seen *seen)
{
    const uint64_t key = lap_label_key(lap_report_description(report, seen->class), seen->class, class_id, seen->words);
    const uint32_t head = lap_tree_find(&report->tree, node, key);
    struct lap_tree_line *const line = lap_tree_line(&report->tree, head);
    if (__builtin_expect(head == 0 || !(line->flags & LAP_TREE_FOLDED), 0)) {
        add_lap(report, node, key, seen);
        return;
    }
    int64_t n = 0;
    const int has_n = event_n(seen->class, seen->words, &n);
    lap_tree_fold_add(line, seen->ticks, seen->tot, has_n, n);
    if (__builtin_expect(seen->calls != 0, 0))
        lap_tree_calls_join(&report->tree, &line->calls, seen->calls);
}

/* ---- profilers --------------------------------------------------------------------------------------------------- */

static int node_decide(const struct lap_report *report, const struct lap_open *open, const struct lap_class *class,
                       uint64_t *ret_threshold_ns)
{
    *ret_threshold_ns = 0;
    return report->settings.decide(report->settings.user, open, class, ret_threshold_ns) != 0;
}

/* Makes the node of a profiler that prints or is inside one that does. `words` NULL: its event is gone; `is_dump`: it is
 * that of an open scope's state. */
static uint16_t make_node(struct lap_report *report, const struct lap_open *open, const struct lap_class *class,
                          const uint64_t *words, int is_dump)
{
    static const struct lap_class dump = {.kind = LAP_CLASS_OPEN};
    const struct lap_class *const of = is_dump ? &dump : class;
    lap_report_reserve(report, 1 + event_units(of, words));
    const uint16_t index = lap_tree_node_make(&report->tree);
    if (index == 0)
        return 0;
    struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    node->class_id = open->class_id;
    node->begin = open->begin;
    node->n = open->n;
    node->missed = open->marks;
    node->flags = is_dump ? LAP_TREE_DUMPED : 0;
    if ((!is_dump && event_n(class, words, &node->n)) || node->n != 0)
        node->flags |= LAP_TREE_SIZED;
    node->flags |= copy_event(report, of, words, &node->payload) ? 0 : LAP_TREE_NO_LABEL;
    return index;
}

/* Gets rid of an ended profiler for which there is no room: printed at once where it might have to be. Returns how many
 * lines its parent is without. */
LAP_REPORT_COLD uint64_t spill(struct lap_report *report, uint16_t index, int is_keeping)
{
    const struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    if (is_keeping && node->flags & LAP_TREE_QUALIFIES)
        lap_report_print(report, index, "parent still open");
    else if (is_keeping && node->flags & LAP_TREE_INSIDE)
        lap_report_print_inside(report, index, "parent still open");
    const uint64_t lines = lap_tree_node_clear(&report->tree, index) + node->more + lap_tree_node_lines(node);
    lap_tree_node_free(&report->tree, index);
    return lines;
}

/* Puts an ended profiler among its parent's lines. */
static void attach(struct lap_report *report, uint32_t parent_depth, uint16_t index, uint64_t tot)
{
    struct lap_tree *const tree = &report->tree;
    struct lap_tree_node *const node = lap_tree_node(tree, index);
    const uint16_t parent = report->stack[parent_depth];
    const struct lap_class *const class = lap_report_class(report, node->class_id);
    uint64_t key = node->class_id;
    if (class->flags & LAP_CLASS_TEXT && node->payload != 0 && !(node->flags & LAP_TREE_DUMPED))
        key = lap_label_key(lap_report_description(report, class), class, node->class_id,
                            lap_tree_copied(tree, node->payload, report->scratch));
    lap_report_reserve(report, 1);
    if (node->flags & LAP_TREE_SPEAKS)
        lap_tree_node(tree, parent)->flags |= LAP_TREE_INSIDE;
    const int is_keeping = !lap_report_is_certain(report, parent_depth);
    const uint16_t head = (uint16_t)lap_tree_find(tree, parent, key);
    const int is_line = head == 0 || (!(lap_tree_line(tree, head)->flags & LAP_TREE_FOLDED) &&
                                      lap_tree_line(tree, head)->count < LAP_TREE_FOLD_ABOVE);
    const uint16_t new = is_line ? line_new(report, parent, key, head, node->total, tot) : 0;
    const int has_n = (node->flags & LAP_TREE_SIZED) != 0;
    if (new != 0) {
        struct lap_tree_line *const line = lap_tree_line(tree, new);
        line->flags |= LAP_TREE_NESTED | (has_n ? LAP_TREE_N : 0);
        line->n = line->n_greatest = node->n;
        line->detail = index;
        node->line = new;
        return;
    }
    if (head == 0) {
        const uint64_t lines = spill(report, index, is_keeping);
        lap_tree_node(tree, parent)->more += lines;
        return;
    }
    if (!(lap_tree_line(tree, head)->flags & LAP_TREE_FOLDED))
        lap_tree_fold(tree, head, is_keeping);
    lap_tree_fold_add(lap_tree_line(tree, head), node->total, tot, has_n, node->n);
    if (lap_tree_fold_detail(tree, head, index, is_keeping) < 0)
        spill(report, index, is_keeping);
}

/* The outermost profiler that prints has ended. */
static void finish_top(struct lap_report *report, uint16_t index)
{
    const uint32_t flags = lap_tree_node(&report->tree, index)->flags;
    report->top = report->certain = LAP_REPORT_NONE;
    report->is_tight = 0;
    if (flags & LAP_TREE_QUALIFIES)
        lap_report_print(report, index, NULL);
    else if (flags & LAP_TREE_INSIDE)
        lap_report_print_inside(report, index, NULL);
    lap_tree_node_free(&report->tree, index);
}

/* A profiler ends; `flags`: how, if not as it should. */
LAP_REPORT_COLD void end_held(struct lap_report *report, uint32_t depth, const struct lap_open *open, uint64_t total,
                              uint64_t rest, uint32_t flags)
{
    const uint16_t index = report->stack[depth];
    const uint32_t top = report->top;
    report->depth = depth;
    if (index == 0) {
        lap_report_count_more(report, depth, open->marks != 0); /* its rest */
        return;
    }
    struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    node->total = total;
    node->rest = rest;
    node->calls = report->calls[depth];
    report->calls[depth] = 0;
    node->flags |= (uint16_t)(flags | (open->marks != 0 ? LAP_TREE_REST : 0));
    const int prints = node_decide(report, open, lap_report_class(report, open->class_id), &node->threshold_ns);
    if (node->flags & LAP_TREE_PRINTS && prints &&
        (node->flags & LAP_TREE_ASKED_FOR || lap_report_ns(report, total) >= (double)node->threshold_ns))
        node->flags |= LAP_TREE_QUALIFIES;
    if (report->certain != LAP_REPORT_NONE && report->certain >= depth)
        report->certain = LAP_REPORT_NONE;
    if (depth == top)
        finish_top(report, index);
    else if (report->stack[depth - 1] != 0)
        attach(report, depth - 1, index,
               open->begin + total - lap_tree_node(&report->tree, report->stack[depth - 1])->begin);
    else
        lap_tree_node_free(&report->tree, index);
}

/* ---- the visitor ------------------------------------------------------------------------------------------------- */

LAP_REPORT_INLINE void report_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                                   struct lap_open *scope, uint64_t lap)
{
    struct lap_report *const report = user;
    const uint32_t depth = decoder->depth - 1;
    const uint16_t node = report->stack[depth];
    report->last = scope->last;
    if (node == 0) {
        if (depth > report->top)
            lap_report_count_more(report, depth, 1);
        return;
    }
    const struct lap_seen seen = {event->class,     event->words,        lap, scope->last - scope->begin,
                                  scope->marks - 1, report->calls[depth]};
    report->calls[depth] = 0;
    see_lap(report, node, event->class_id, &seen);
}

LAP_REPORT_INLINE void report_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                                    struct lap_open *open)
{
    struct lap_report *const report = user;
    const uint32_t depth = decoder->depth - 1;
    const int is_dump = event->class->kind == LAP_CLASS_OPEN;
    const struct lap_class *const class = is_dump ? lap_report_class(report, open->class_id) : event->class;
    report->last = open->last > open->begin ? open->last : open->begin;
    uint64_t threshold_ns;
    const int prints = node_decide(report, open, class, &threshold_ns);
    report->depth = depth + 1;
    report->stack[depth] = report->calls[depth] = 0;
    if (!prints && report->top == LAP_REPORT_NONE)
        return;
    const int is_lost = report->top != LAP_REPORT_NONE && depth > report->top && report->stack[depth - 1] == 0;
    const uint16_t index = is_lost ? 0 : make_node(report, open, class, event->words, is_dump);
    if (index == 0) {
        lap_report_count_more(report, depth, 2);
        return;
    }
    struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    node->threshold_ns = threshold_ns;
    node->flags |= prints ? LAP_TREE_PRINTS : 0;
    report->stack[depth] = index;
    if (report->top == LAP_REPORT_NONE)
        report->top = depth;
}

LAP_REPORT_INLINE void report_end(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                                  struct lap_open *scope, uint64_t total, uint64_t rest)
{
    struct lap_report *const report = user;
    const uint32_t depth = decoder->depth - 1;
    (void)event;
    report->last = scope->begin + total;
    if (report->top != LAP_REPORT_NONE && report->top <= depth)
        end_held(report, depth, scope, total, rest, 0);
    report->depth = depth;
}

/* The innermost open profiler that prints will, whatever it takes. */
static void ask_for(struct lap_report *report, uint32_t depth)
{
    while (depth > 0 && depth - 1 >= report->top) {
        struct lap_tree_node *const node = lap_tree_node(&report->tree, report->stack[--depth]);
        if (report->stack[depth] != 0 && node->flags & LAP_TREE_PRINTS) {
            node->flags |= LAP_TREE_ASKED_FOR;
            return;
        }
    }
}

static void report_call(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_report *const report = user;
    const struct lap_format_call *const call = lap_event_payload(event->words, event->class);
    if (call->handle != 0 || decoder->depth == 0)
        return;
    report->last = event->ticks - decoder->paused; /* a scope that is abandoned lasted at least until its reply */
    if (call->flags & LAP_FORMAT_CALL_KEPT)
        ask_for(report, decoder->depth);
    if (report->stack[decoder->depth - 1] == 0 || call->flags & (LAP_FORMAT_CALL_ONE_WAY | LAP_FORMAT_CALL_PART))
        return;
    const struct lap_call_times times = lap_call_times(call, report->settings.ns_per_tick, report->settings.clock_domain);
    lap_report_reserve(report, 1);
    lap_tree_calls_add(&report->tree, &report->calls[decoder->depth - 1], &times);
}

/* A lap of the server of the call before it; of none where that found no room. */
static void peer_lap_add(struct lap_report *report, uint16_t calls, const uint64_t *words)
{
    const struct lap_peer_lap lap = lap_peer_lap_of(words);
    if (calls != 0)
        lap_tree_calls_add_lap(&report->tree, calls, &lap);
}

static void report_peer_lap(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct lap_report *const report = user;
    const struct lap_format_peer_lap *const told = (const struct lap_format_peer_lap *)(const void *)(event->words + 1);
    if (told->handle != 0 || decoder->depth == 0 || report->stack[decoder->depth - 1] == 0)
        return;
    lap_report_reserve(report, 1);
    peer_lap_add(report, report->calls[decoder->depth - 1], event->words);
}

static void report_abandoned(void *user, struct lap_decoder *decoder, const struct lap_event *event,
                             struct lap_open *scope)
{
    struct lap_report *const report = user;
    const uint32_t depth = decoder->depth - 1;
    (void)event;
    if (report->last < scope->last)
        report->last = scope->last;
    if (report->top != LAP_REPORT_NONE && report->top <= depth)
        end_held(report, depth, scope, report->last - scope->begin, report->last - scope->last, LAP_TREE_ABANDONED);
    report->depth = depth;
}

/* Open profilers of which nothing more will come: what ended inside is printed, the rest counted. */
static void cut_stack(struct lap_report *report, uint32_t depth)
{
    for (uint32_t i = report->depth; i > depth; i--) {
        const uint16_t index = i - 1 >= report->top ? report->stack[i - 1] : 0;
        if (index == 0)
            continue;
        if (lap_tree_node(&report->tree, index)->flags & LAP_TREE_INSIDE)
            lap_report_print_inside(report, index, NULL);
        report->missed += lap_tree_node_clear(&report->tree, index) + lap_tree_node(&report->tree, index)->more;
        lap_tree_calls_free(&report->tree, &report->calls[i - 1]);
        lap_tree_node_free(&report->tree, index);
    }
    report->depth = depth;
    report->is_tight = 0;
    if (report->top != LAP_REPORT_NONE && report->top >= depth)
        report->top = LAP_REPORT_NONE;
    if (report->certain != LAP_REPORT_NONE && report->certain >= depth)
        report->certain = LAP_REPORT_NONE;
}

/* Makes the open profilers those of the decoder. */
static void synchronize(struct lap_report *report, const struct lap_decoder *decoder)
{
    const uint32_t common = report->depth < decoder->depth ? report->depth : decoder->depth;
    uint32_t same = report->top < common ? report->top : common;
    while (same < common && (report->stack[same] == 0 ||
                             lap_tree_node(&report->tree, report->stack[same])->begin == decoder->open[same].begin))
        same++;
    if (same < report->depth)
        cut_stack(report, same);
    for (uint32_t depth = report->depth; depth < decoder->depth; depth++) {
        report->stack[depth] = report->calls[depth] = 0;
        if (report->top != LAP_REPORT_NONE)
            lap_report_count_more(report, depth, 2);
    }
    report->depth = decoder->depth;
}

struct lap_decode_result lap_report_run(struct lap_report *report, struct lap_decoder *decoder, const void *segment,
                                        uint64_t begin_ticks, uint32_t from, uint32_t to)
{
    static const struct lap_visitor visitor = {.mark = report_mark,
                                               .begin = report_begin,
                                               .end = report_end,
                                               .abandoned = report_abandoned,
                                               .call = report_call,
                                               .peer_lap = report_peer_lap};
    report->settings.classes = decoder->classes;
    report->settings.class_count = decoder->class_count;
    synchronize(report, decoder);
    return lap_decode(decoder, segment, begin_ticks, from, to, &visitor, report);
}

/* ---- before the end ---------------------------------------------------------------------------------------------- */

int lap_report_is_waiting(const struct lap_report *report)
{
    if (report->top == LAP_REPORT_NONE)
        return 0;
    for (uint32_t depth = report->top; depth < report->depth; depth++)
        if (report->stack[depth] != 0 && report->tree.units[report->stack[depth]].node.flags & LAP_TREE_INSIDE)
            return 1;
    return 0;
}

uint32_t lap_report_flush(struct lap_report *report, const struct lap_decoder *decoder, const char *reason)
{
    synchronize(report, decoder);
    const uint32_t before = report->written;
    for (uint32_t depth = report->top; depth < report->depth; depth++)
        lap_report_print_waiting(report, report->stack[depth], reason ? reason : "parent still open");
    report->is_tight = 0;
    return report->written - before;
}

void lap_report_open(struct lap_report *report, const struct lap_decoder *decoder, uint64_t now_ticks, const char *reason)
{
    synchronize(report, decoder);
    uint64_t now = now_ticks != 0 && now_ticks > decoder->last_ticks ? now_ticks - decoder->paused : report->last;
    const uint32_t top = report->top;
    report->open_note = reason ? reason : "still open at exit";
    for (uint32_t depth = report->depth; top != LAP_REPORT_NONE && depth > top; depth--) {
        const struct lap_open *const open = &decoder->open[depth - 1];
        now = now < open->last ? open->last : now;
        report->last = now;
        end_held(report, depth - 1, open, now - open->begin, now - open->last, LAP_TREE_OPEN);
    }
    report->depth = decoder->depth;
    memset(report->stack, 0, report->depth * sizeof *report->stack);
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

void lap_report_handle_begin(struct lap_report *report, const uint64_t *words, uint32_t class_id)
{
    lap_tree_node_free(&report->tree, report->handle);
    lap_tree_calls_free(&report->tree, &report->handle_calls);
    report->handle = 0;
    report->handle_marks = 0;
    report->handle_tot = 0;
    report->handle_has_begin = words != NULL;
    report->handle_begin = words ? words[0] >> LAP_FORMAT_CLOCK_SHIFT : 0;
    struct lap_open open = {.class_id = words ? (uint32_t)(words[0] & LAP_FORMAT_CLASS_MASK) : class_id,
                            .threshold_ns = LAP_FORMAT_NO_THRESHOLD};
    const struct lap_class *const class = lap_report_class(report, open.class_id);
    const int is_begin = words && class->kind == LAP_CLASS_HANDLE_BEGIN;
    if (is_begin) {
        const struct lap_format_handle_begin *const payload = lap_event_payload(words, class);
        open.threshold_ns = payload->threshold_ns;
        open.n = payload->n;
        open.path = payload->path;
        open.flags = payload->flags;
    }
    report->handle = make_node(report, &open, class, is_begin ? words : NULL, 0);
    report->handle_open = open;
}

void lap_report_handle_mark(struct lap_report *report, const uint64_t *words)
{
    const uint32_t class_id = (uint32_t)(words[0] & LAP_FORMAT_CLASS_MASK);
    const struct lap_class *const class = lap_report_class(report, class_id);
    if (report->handle != 0 && class->kind == LAP_CLASS_CALL) {
        const struct lap_format_call *const call = lap_event_payload(words, class);
        const struct lap_call_times times =
            lap_call_times(call, report->settings.ns_per_tick, report->settings.clock_domain);
        if (!(call->flags & (LAP_FORMAT_CALL_ONE_WAY | LAP_FORMAT_CALL_PART)))
            lap_tree_calls_add(&report->tree, &report->handle_calls, &times);
        if (call->flags & LAP_FORMAT_CALL_KEPT)
            lap_tree_node(&report->tree, report->handle)->flags |= LAP_TREE_ASKED_FOR;
        return;
    }
    if (report->handle != 0 && class->kind == LAP_CLASS_PEER_LAP)
        peer_lap_add(report, report->handle_calls, words);
    if (report->handle == 0 || class->kind != LAP_CLASS_HANDLE_MARK)
        return;
    const struct lap_format_handle_mark *const mark = lap_event_payload(words, class);
    if (mark->number > report->handle_marks)
        lap_tree_node(&report->tree, report->handle)->missed += mark->number - report->handle_marks;
    if (mark->number > report->handle_marks && report->handle_has_begin)
        report->handle_tot = ((words[0] >> LAP_FORMAT_CLOCK_SHIFT) - report->handle_begin) & LAP_FORMAT_CLOCK_MASK;
    else
        report->handle_tot += mark->lap_ticks;
    report->handle_marks = mark->number + 1;
    const struct lap_seen seen = {class, words, mark->lap_ticks, report->handle_tot, mark->number, report->handle_calls};
    report->handle_calls = 0;
    see_lap(report, report->handle, class_id, &seen);
}

int lap_report_handle_end(struct lap_report *report, const uint64_t *words, uint64_t total_ticks, const char *note)
{
    const uint16_t index = report->handle;
    if (index == 0)
        return 0;
    report->handle = 0;
    struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    uint32_t marks = report->handle_marks;
    node->total = total_ticks;
    node->rest = total_ticks > report->handle_tot ? total_ticks - report->handle_tot : 0;
    if (words) {
        const struct lap_format_handle_end *const end = (const struct lap_format_handle_end *)(const void *)(words + 1);
        node->total = end->total_ticks;
        node->rest = end->lap_ticks;
        node->missed += end->marks > marks ? end->marks - marks : 0;
        marks = end->marks;
    }
    node->calls = report->handle_calls;
    report->handle_calls = 0;
    report->open_note = note ? note : "still open at exit";
    node->flags |= (uint16_t)((marks != 0 ? LAP_TREE_REST : 0) | (words && !note ? 0 : LAP_TREE_OPEN));
    uint64_t threshold_ns;
    const int prints =
        node_decide(report, &report->handle_open, lap_report_class(report, node->class_id), &threshold_ns) &&
        (node->flags & LAP_TREE_ASKED_FOR || lap_report_ns(report, node->total) >= (double)threshold_ns);
    if (prints)
        lap_report_print(report, index, NULL);
    lap_tree_node_free(&report->tree, index);
    return prints;
}

int lap_report_handle(struct lap_report *report, const uint64_t *const *events, size_t count)
{
    const uint64_t *begin_words = NULL, *end_words = NULL;
    for (size_t i = 0; i < count; i++) {
        const uint32_t kind = lap_report_class(report, (uint32_t)(events[i][0] & LAP_FORMAT_CLASS_MASK))->kind;
        begin_words = kind == LAP_CLASS_HANDLE_BEGIN ? events[i] : begin_words;
        end_words = kind == LAP_CLASS_HANDLE_END ? events[i] : end_words;
    }
    if (!begin_words || !end_words)
        return 0;
    lap_report_handle_begin(report, begin_words, 0);
    for (size_t i = 0; i < count; i++)
        lap_report_handle_mark(report, events[i]);
    return lap_report_handle_end(report, end_words, 0, NULL);
}
