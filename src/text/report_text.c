/* SPDX-License-Identifier: MIT */
#include "line.h"
#include "report_state.h"

#include <string.h>

/* ---- lines and the limits ---------------------------------------------------------------------------------------- */

static uint32_t lines_max(const struct lap_report *report)
{
    const uint32_t lines = report->settings.max_lines;
    return lines == 0 || lines > LAP_REPORT_LINES_MAX ? LAP_REPORT_LINES_MAX : lines < 4 ? 4 : lines;
}

static size_t bytes_max(const struct lap_report *report)
{
    const uint32_t bytes = report->settings.max_bytes;
    return bytes == 0 || bytes > LAP_REPORT_BYTES_MAX ? LAP_REPORT_BYTES_MAX : bytes < 4096 ? 4096 : bytes;
}

static uint32_t indent_first(const struct lap_report *report)
{
    const uint32_t indent = report->settings.indent;
    return indent < LAP_REPORT_INDENT_MAX ? indent : LAP_REPORT_INDENT_MAX;
}

static struct lap_line_place place_at(const struct lap_report *report, uint32_t indent)
{
    const size_t bytes = report->settings.prefix ? report->settings.prefix_bytes : 0;
    return (struct lap_line_place){
        .prefix = report->settings.prefix,
        .prefix_bytes = bytes < LAP_REPORT_PREFIX_BYTES_MAX ? bytes : LAP_REPORT_PREFIX_BYTES_MAX,
        .indent = indent,
    };
}

/* Room for one more line with the label that was made last, NULL when the report is full: then it is counted. The line of
 * the count and the outermost profiler's exit always have room behind it; a report with as many lines as it may have
 * gives up its last for the count. */
static char *report_line_start(struct lap_report *report, const struct lap_line_place *place, size_t *ret_room)
{
    if (report->is_cut) {
        report->more++;
        return NULL;
    }
    const size_t tail =
        2 * (place->prefix_bytes + indent_first(report) + LAP_LINE_INDENT + LAP_LINE_ROOM) + LAP_LABEL_BYTES;
    const size_t room = place->prefix_bytes + place->indent + report->label_bytes + LAP_LINE_ROOM;
    if (report->lines + 1 < lines_max(report) && report->bytes + room + tail <= bytes_max(report)) {
        *ret_room = room;
        return report->text + report->bytes;
    }
    report->is_cut = 1;
    report->more++;
    if (report->lines + 1 >= lines_max(report)) {
        report->bytes = report->last_line;
        report->lines--;
        report->more += report->last_more;
    }
    return NULL;
}

static void line_done(struct lap_report *report, size_t bytes)
{
    report->last_line = report->bytes;
    report->last_more = 1;
    report->bytes += bytes;
    report->lines++;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

const struct lap_class *lap_report_class(const struct lap_report *report, uint32_t class_id)
{
    static const struct lap_class none;
    return class_id < report->settings.class_count ? &report->settings.classes[class_id] : &none;
}

const struct lap_description *lap_report_description(const struct lap_report *report, const struct lap_class *class)
{
    return class->description < report->settings.description_count ? &report->settings.descriptions[class->description]
                                                                   : NULL;
}

/* Makes the label, if a line is still going to be printed. */
static void label_set(struct lap_report *report, uint32_t class_id, uint16_t copy, int is_pattern, uint64_t number)
{
    if (report->is_cut)
        return;
    const struct lap_class *const class = lap_report_class(report, class_id);
    const struct lap_description *const description =
        class->kind == LAP_CLASS_NONE ? NULL : lap_report_description(report, class);
    const uint64_t *const words = lap_tree_copied(&report->tree, copy, report->scratch);
    const size_t bytes = is_pattern
                             ? lap_label_pattern(report->label, sizeof report->label, description, class, words)
                             : lap_label_format(report->label, sizeof report->label, description, class, words, number);
    report->label_bytes = (uint32_t)bytes;
}

static void label_set_node(struct lap_report *report, uint16_t index, int is_pattern)
{
    const struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    if (node->flags & LAP_TREE_DUMPED && node->payload != 0 && !is_pattern && !report->is_cut) {
        static const struct lap_class dump = {.kind = LAP_CLASS_OPEN};
        report->label_bytes =
            (uint32_t)lap_label_format(report->label, sizeof report->label, NULL, &dump,
                                       lap_tree_copied(&report->tree, node->payload, report->scratch), 0);
        return;
    }
    const int is_own = !(node->flags & (LAP_TREE_DUMPED | LAP_TREE_NO_LABEL));
    label_set(report, node->class_id, is_own ? node->payload : 0, is_pattern || !is_own, 0);
}

/* ---- the parts of a report --------------------------------------------------------------------------------------- */

static struct lap_line_sizes node_sizes(const struct lap_tree_node *node)
{
    return (struct lap_line_sizes){node->n, node->n, (node->flags & LAP_TREE_SIZED) != 0};
}

static struct lap_line_sizes line_sizes(const struct lap_tree_line *line)
{
    return (struct lap_line_sizes){line->n, line->n_greatest, (line->flags & LAP_TREE_N) != 0};
}

static struct lap_line_fold line_fold(const struct lap_report *report, const struct lap_tree_line *line)
{
    return (struct lap_line_fold){line->flags & LAP_TREE_FOLDED ? line->count : 1, lap_report_ns(report, line->ticks),
                                  lap_report_ns(report, line->max), lap_report_ns(report, line->tot)};
}

static size_t add_calls(struct lap_report *report, uint16_t calls, char *out, size_t room, size_t bytes)
{
    if (calls == 0)
        return bytes;
    struct lap_peer_lap laps[LAP_PEER_LAPS_HELD];
    const uint32_t count = lap_tree_calls_laps(&report->tree, calls, laps);
    return lap_line_add_calls(out, room, bytes, &report->tree.units[calls].calls.sum, laps, count);
}

static void put_missed(struct lap_report *report, uint32_t indent, uint64_t count, const char *what)
{
    const struct lap_line_place place = place_at(report, indent);
    size_t room;
    char *const out = count == 0 ? NULL : report_line_start(report, &place, &room);
    if (out)
        line_done(report, lap_line_missed(out, room, &place, count, what));
}

static void put_enter(struct lap_report *report, uint16_t index, uint32_t indent, const char *note)
{
    const struct lap_line_place place = place_at(report, indent);
    size_t room;
    lap_tree_settle(&report->tree, index);
    label_set_node(report, index, 0);
    char *const out = report_line_start(report, &place, &room);
    if (out)
        line_done(report, lap_line_enter(out, room, &place, report->label, note));
    put_missed(report, indent + LAP_LINE_INDENT, lap_tree_node(&report->tree, index)->missed, "checkpoint");
}

static void put_lap(struct lap_report *report, const struct lap_tree_line *line, uint32_t indent)
{
    const struct lap_line_place place = place_at(report, indent);
    const struct lap_line_sizes sizes = line_sizes(line);
    const int is_folded = (line->flags & LAP_TREE_FOLDED) != 0;
    size_t room;
    label_set(report, line->key & LAP_FORMAT_CLASS_MASK, line->detail, is_folded || line->flags & LAP_TREE_LOST,
              line->max);
    char *const out = report_line_start(report, &place, &room);
    if (!out)
        return;
    const struct lap_line_fold fold = line_fold(report, line);
    const size_t bytes = is_folded ? lap_line_laps(out, room, &place, report->label, &fold, &sizes)
                                   : lap_line_lap(out, room, &place, report->label, fold.sum_ns, fold.tot_ns, &sizes);
    line_done(report, add_calls(report, line->calls, out, room, bytes));
}

/* A nested profiler in one line: several of it, or one that was printed by itself. */
static void put_nested(struct lap_report *report, const struct lap_tree_line *line, uint32_t indent)
{
    const struct lap_line_place place = place_at(report, indent);
    const struct lap_line_sizes sizes = line_sizes(line);
    const struct lap_line_fold fold = line_fold(report, line);
    size_t room;
    if (line->detail != 0)
        label_set_node(report, line->detail, (line->flags & LAP_TREE_FOLDED) != 0);
    else
        label_set(report, line->key & LAP_FORMAT_CLASS_MASK, 0, 1, 0);
    const int is_printed = line->detail != 0 && lap_tree_node(&report->tree, line->detail)->flags & LAP_TREE_PRINTED;
    char *const out = report_line_start(report, &place, &room);
    if (out)
        line_done(report, lap_line_nested(out, room, &place, report->label, &fold, &sizes,
                                          !is_printed      ? NULL
                                          : fold.count > 1 ? "slowest printed before"
                                                           : "printed before"));
}

/* What comes behind a profiler's lines. */
/* Its rest has a line. */
static int has_rest(const struct lap_tree_node *node)
{
    return node->flags & LAP_TREE_REST && !(node->rest == 0 && node->flags & LAP_TREE_ABANDONED);
}

static void put_rest(struct lap_report *report, uint16_t index, uint32_t indent)
{
    const struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    const struct lap_line_place place = place_at(report, indent);
    size_t room;
    if (node->more != 0 && report->is_cut) {
        report->more += node->more;
    } else if (node->more != 0) {
        char *const out = report_line_start(report, &place, &room);
        if (out) {
            line_done(report, lap_line_more(out, room, &place, node->more));
            report->last_more = node->more;
        } else {
            report->more += node->more - 1;
        }
    }
    if (!has_rest(node))
        return;
    char *const out = report_line_start(report, &place, &room);
    if (out)
        line_done(report, add_calls(report, node->calls, out, room,
                                    lap_line_rest(out, room, &place, lap_report_ns(report, node->rest))));
}

static const char *exit_note(const struct lap_report *report, const struct lap_tree_node *node)
{
    return node->flags & LAP_TREE_ABANDONED ? "abandoned" : node->flags & LAP_TREE_OPEN ? report->open_note : NULL;
}

/* Calls behind the last checkpoint are the rest's; where that has no line, they are told here. */
static size_t add_exit_calls(struct lap_report *report, const struct lap_tree_node *node, char *out, size_t room,
                             size_t bytes)
{
    return has_rest(node) ? bytes : add_calls(report, node->calls, out, room, bytes);
}

static void put_exit(struct lap_report *report, uint16_t index, uint32_t indent)
{
    const struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    const struct lap_line_place place = place_at(report, indent);
    const struct lap_line_sizes sizes = node_sizes(node);
    size_t room;
    label_set_node(report, index, 0);
    char *const out = report_line_start(report, &place, &room);
    if (!out)
        return;
    const size_t bytes = lap_line_exit(out, room, &place, report->label, lap_report_ns(report, node->total), &sizes,
                                       exit_note(report, node));
    line_done(report, add_exit_calls(report, node, out, room, bytes));
}

/* The outermost exit and the count of what is not there: they have their room. */
static void put_end(struct lap_report *report, uint16_t index)
{
    const struct lap_tree_node *const node = lap_tree_node(&report->tree, index);
    struct lap_line_place place = place_at(report, indent_first(report) + LAP_LINE_INDENT);
    if (report->is_cut)
        line_done(report,
                  lap_line_more(report->text + report->bytes, sizeof report->text - report->bytes, &place, report->more));
    report->is_cut = 0;
    label_set_node(report, index, 0);
    place.indent -= LAP_LINE_INDENT;
    const struct lap_line_sizes sizes = node_sizes(node);
    char *const out = report->text + report->bytes;
    const size_t room = sizeof report->text - report->bytes;
    const size_t bytes = lap_line_exit(out, room, &place, report->label, lap_report_ns(report, node->total), &sizes,
                                       exit_note(report, node));
    line_done(report, add_exit_calls(report, node, out, room, bytes));
}

/* ---- walks, by the links upward: nesting costs no stack -------------------------------------------------------- */

/* Prints a line; returns the node to go into, or 0. */
static uint16_t put_line(struct lap_report *report, const struct lap_tree_line *line, uint32_t *indent)
{
    if (!(line->flags & LAP_TREE_NESTED)) {
        put_lap(report, line, *indent);
        return 0;
    }
    const int is_printed = line->detail != 0 && lap_tree_node(&report->tree, line->detail)->flags & LAP_TREE_PRINTED;
    const int is_folded = (line->flags & LAP_TREE_FOLDED) != 0;
    if (is_folded || is_printed || line->detail == 0)
        put_nested(report, line, *indent);
    if (is_printed || line->detail == 0)
        return 0;
    *indent += is_folded ? LAP_LINE_INDENT : 0;
    put_enter(report, line->detail, *indent, is_folded ? "slowest" : NULL);
    *indent += LAP_LINE_INDENT;
    return line->detail;
}

void lap_report_print(struct lap_report *report, uint16_t root, const char *note)
{
    struct lap_tree *const tree = &report->tree;
    uint32_t indent = indent_first(report);
    report->lines = report->is_cut = 0;
    report->bytes = report->last_line = 0;
    report->more = 0;
    put_enter(report, root, indent, note);
    indent += LAP_LINE_INDENT;
    put_missed(report, indent, report->missed, "event");
    report->missed = 0;
    uint16_t node = root;
    uint16_t index = lap_tree_node(tree, root)->first;
    for (;;) {
        if (index != 0) {
            const uint16_t inside = put_line(report, lap_tree_line(tree, index), &indent);
            node = inside != 0 ? inside : node;
            index = inside != 0 ? lap_tree_node(tree, inside)->first : lap_tree_line(tree, index)->next;
            continue;
        }
        put_rest(report, node, indent);
        if (node == root)
            break;
        indent -= LAP_LINE_INDENT;
        put_exit(report, node, indent);
        const struct lap_tree_line *const line = lap_tree_line(tree, lap_tree_node(tree, node)->line);
        indent -= line->flags & LAP_TREE_FOLDED ? LAP_LINE_INDENT : 0;
        node = line->owner;
        index = line->next;
    }
    put_end(report, root);
    report->written++;
    report->settings.write(report->settings.user, report->text, report->bytes);
}

void lap_report_print_inside(struct lap_report *report, uint16_t root, const char *note)
{
    struct lap_tree *const tree = &report->tree;
    uint16_t node = root;
    uint16_t index = lap_tree_node(tree, root)->first;
    for (;;) {
        if (index == 0) {
            lap_tree_node(tree, node)->flags &= (uint16_t)~LAP_TREE_INSIDE;
            if (node == root)
                return;
            const struct lap_tree_line *const line = lap_tree_line(tree, lap_tree_node(tree, node)->line);
            node = line->owner;
            index = line->next;
            continue;
        }
        const struct lap_tree_line *const line = lap_tree_line(tree, index);
        const uint16_t detail = line->flags & LAP_TREE_NESTED ? line->detail : 0;
        struct lap_tree_node *const inside = lap_tree_node(tree, detail);
        if (detail != 0 && inside->flags & LAP_TREE_QUALIFIES) {
            lap_report_print(report, detail, note);
            lap_tree_node_clear(tree, detail);
            inside->more = 0;
            inside->flags &= (uint16_t)~LAP_TREE_SPEAKS;
            inside->flags |= LAP_TREE_PRINTED;
        } else if (detail != 0 && inside->flags & LAP_TREE_INSIDE) {
            node = detail;
            index = inside->first;
            continue;
        }
        index = line->next;
    }
}
