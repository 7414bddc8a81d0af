/* SPDX-License-Identifier: MIT */
#include "line.h"

#include "duration.h"

#include <string.h>

struct line {
    char *out;
    size_t room; /* without the newline */
    size_t bytes;
};

static void line_add_bytes(struct line *line, const char *text, size_t bytes)
{
    const size_t room = line->room - line->bytes;
    const size_t taken = bytes < room ? bytes : room;
    if (taken > 0)
        memcpy(line->out + line->bytes, text, taken);
    line->bytes += taken;
}

static void line_add(struct line *line, const char *text) { line_add_bytes(line, text, strlen(text)); }

static void line_add_unsigned(struct line *line, uint64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    line_add_bytes(line, at, (size_t)(text + sizeof text - at));
}

static void line_add_signed(struct line *line, int64_t value)
{
    if (value < 0)
        line_add(line, "-");
    line_add_unsigned(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void line_add_ms(struct line *line, const char *before, double ns)
{
    char text[LAP_DURATION_BYTES];
    const size_t bytes = lap_duration_ms(text, sizeof text, ns);
    line_add(line, before);
    line_add_bytes(line, text, bytes);
}

static void line_add_sizes(struct line *line, const struct lap_line_sizes *sizes)
{
    if (!sizes || !sizes->is_set)
        return;
    line_add(line, ", n=");
    line_add_signed(line, sizes->least);
    if (sizes->greatest != sizes->least) {
        line_add(line, "..");
        line_add_signed(line, sizes->greatest);
    }
}

static void line_add_note(struct line *line, const char *note)
{
    if (!note)
        return;
    const size_t bytes = strlen(note);
    line_add(line, " (");
    line_add_bytes(line, note, bytes < LAP_LINE_NOTE_BYTES ? bytes : LAP_LINE_NOTE_BYTES);
    line_add(line, ")");
}

static void line_add_count(struct line *line, uint64_t count)
{
    line_add(line, " (x");
    line_add_unsigned(line, count);
    line_add(line, ")");
}

static struct line line_start(char *out, size_t out_bytes, const struct lap_line_place *place)
{
    struct line line = {.out = out, .room = out_bytes == 0 ? 0 : out_bytes - 1};
    line_add_bytes(&line, place->prefix, place->prefix_bytes);
    const size_t room = line.room - line.bytes;
    const size_t spaces = place->indent < room ? place->indent : room;
    if (spaces > 0)
        memset(out + line.bytes, ' ', spaces);
    line.bytes += spaces;
    return line;
}

static size_t line_finish(struct line *line, size_t out_bytes)
{
    if (out_bytes == 0)
        return 0;
    line->out[line->bytes++] = '\n';
    return line->bytes;
}

size_t lap_line_enter(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                      const char *note)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, "> Entering ");
    line_add(&line, label);
    line_add_note(&line, note);
    return line_finish(&line, out_bytes);
}

size_t lap_line_lap(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label, double lap_ns,
                    double tot_ns, const struct lap_line_sizes *sizes)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, label);
    line_add_ms(&line, ": ", lap_ns);
    line_add_ms(&line, ", tot: ", tot_ns);
    line_add_sizes(&line, sizes);
    return line_finish(&line, out_bytes);
}

static double fold_mean(const struct lap_line_fold *fold)
{
    return fold->count == 0 ? 0 : fold->sum_ns / (double)fold->count;
}

size_t lap_line_laps(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                     const struct lap_line_fold *fold, const struct lap_line_sizes *sizes)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, label);
    line_add_count(&line, fold->count);
    line_add_ms(&line, ": ", fold->sum_ns);
    line_add_ms(&line, ", tot: ", fold->tot_ns);
    line_add_ms(&line, ", mean ", fold_mean(fold));
    line_add_ms(&line, ", max ", fold->max_ns);
    line_add_sizes(&line, sizes);
    return line_finish(&line, out_bytes);
}

size_t lap_line_nested(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label,
                       const struct lap_line_fold *fold, const struct lap_line_sizes *sizes, const char *note)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, "> ");
    line_add(&line, label);
    if (fold->count > 1)
        line_add_count(&line, fold->count);
    line_add_ms(&line, ": total ", fold->sum_ns);
    if (fold->count > 1) {
        line_add_ms(&line, ", mean ", fold_mean(fold));
        line_add_ms(&line, ", max ", fold->max_ns);
    }
    line_add_sizes(&line, sizes);
    line_add_note(&line, note);
    return line_finish(&line, out_bytes);
}

size_t lap_line_rest(char *out, size_t out_bytes, const struct lap_line_place *place, double rest_ns)
{
    struct line line = line_start(out, out_bytes, place);
    line_add_ms(&line, "(rest): ", rest_ns);
    return line_finish(&line, out_bytes);
}

size_t lap_line_exit(char *out, size_t out_bytes, const struct lap_line_place *place, const char *label, double total_ns,
                     const struct lap_line_sizes *sizes, const char *note)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, "< Exiting ");
    line_add(&line, label);
    line_add_ms(&line, ", total time: ", total_ns);
    line_add_sizes(&line, sizes);
    line_add_note(&line, note);
    return line_finish(&line, out_bytes);
}

/* Milliseconds without their unit. */
static void line_add_part(struct line *line, const char *before, double ns)
{
    char text[LAP_DURATION_BYTES];
    const size_t bytes = lap_duration_ms(text, sizeof text, ns);
    line_add(line, before);
    line_add_bytes(line, text, bytes - 3);
}

/* What may come behind the laps of a note has its room. */
#define LINE_BEHIND_LAPS_BYTES 160u

static void line_add_laps(struct line *line, const struct lap_peer_lap *laps, uint32_t count)
{
    const char *before = " [";
    for (uint32_t i = 0; i < count && i < LAP_PEER_LAPS; i++) {
        const size_t bytes = strlen(laps[i].label) + LAP_DURATION_BYTES + 4;
        if (line->bytes + bytes + LINE_BEHIND_LAPS_BYTES > line->room)
            continue;
        line_add(line, before);
        line_add(line, laps[i].label);
        line_add_part(line, " ", laps[i].sum_ns);
        before = ", ";
    }
    if (*before == ',')
        line_add(line, "]");
}

size_t lap_line_add_calls(char *out, size_t out_bytes, size_t bytes, const struct lap_line_calls *calls,
                          const struct lap_peer_lap *laps, uint32_t lap_count)
{
    if (bytes == 0 || calls->count == 0)
        return bytes;
    struct line line = {.out = out, .room = out_bytes - 1, .bytes = bytes - 1};
    line_add(&line, " (");
    if (calls->count > 1) {
        line_add_unsigned(&line, calls->count);
        line_add(&line, " calls");
        if (calls->answered > 0 && calls->answered < calls->count) {
            line_add(&line, ", ");
            line_add_unsigned(&line, calls->count - calls->answered);
            line_add(&line, " silent");
        }
        line_add(&line, ": ");
    }
    if (calls->answered == 0) {
        line_add(&line, "peer silent");
    } else {
        line_add_part(&line, "server ", calls->server_ns);
        if (calls->queue_ns > 0)
            line_add_part(&line, ": handle ", calls->server_ns - calls->queue_ns);
        line_add_laps(&line, laps, lap_count);
        if (calls->queue_ns > 0)
            line_add_part(&line, ", queue ", calls->queue_ns);
        line_add_part(&line, "; between ", calls->between_ns);
        if (calls->ways == calls->answered) {
            line_add_part(&line, ": there ", calls->there_ns);
            line_add_part(&line, ", back ", calls->back_ns);
        }
    }
    line_add(&line, ")");
    return line_finish(&line, out_bytes);
}

size_t lap_line_more(char *out, size_t out_bytes, const struct lap_line_place *place, uint64_t lines)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, "(");
    line_add_unsigned(&line, lines);
    line_add(&line, lines == 1 ? " more line)" : " more lines)");
    return line_finish(&line, out_bytes);
}

size_t lap_line_missed(char *out, size_t out_bytes, const struct lap_line_place *place, uint64_t count, const char *what)
{
    struct line line = line_start(out, out_bytes, place);
    line_add(&line, "(");
    line_add_unsigned(&line, count);
    line_add(&line, " ");
    line_add(&line, what);
    line_add(&line, count == 1 ? " no longer held)" : "s no longer held)");
    return line_finish(&line, out_bytes);
}
