/* SPDX-License-Identifier: MIT
 *
 * Calls as text: a sentence that says what to look at, what is to be known about it, the kinds, the slowest.
 */
#define _GNU_SOURCE
#include "calls_view.h"

#include "head.h"
#include "table.h"
#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 2048, LABEL_BYTES = 1024, STEPS_SHOWN = 10, CLOCKS_SHOWN = 10 };

/* ---- the sentence -------------------------------------------------------------------------------------------------- */

struct text {
    char bytes[TEXT_BYTES];
    size_t length;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->bytes + text->length, sizeof text->bytes - text->length, format, arguments);
    va_end(arguments);
    text->length += strlen(text->bytes + text->length);
}

static void add_server(struct text *text, const struct lap_calls_kind *kind)
{
    char server[LAP_UNITS_BYTES], handle[LAP_UNITS_BYTES], queue[LAP_UNITS_BYTES];
    const struct lap_calls_times *const times = kind->times;
    const double whole_ns = times[LAP_CALLS_ANSWERED].sum_ns;
    add(text, "%s on the server", lap_units_share(server, times[LAP_CALLS_SERVER].sum_ns, whole_ns));
    if (times[LAP_CALLS_QUEUE].sum_ns > 0)
        add(text, " (%s handling, %s waiting in its queue)",
            lap_units_share(handle, times[LAP_CALLS_HANDLE].sum_ns, whole_ns),
            lap_units_share(queue, times[LAP_CALLS_QUEUE].sum_ns, whole_ns));
}

static void add_between(struct text *text, const struct lap_calls_kind *kind)
{
    char share[LAP_UNITS_BYTES], mean[LAP_UNITS_BYTES], p99[LAP_UNITS_BYTES];
    const struct lap_calls_times *const times = kind->times;
    add(text, "%s between: the way there and back takes %s",
        lap_units_share(share, times[LAP_CALLS_BETWEEN].sum_ns, times[LAP_CALLS_ANSWERED].sum_ns),
        lap_units_duration(mean, times[LAP_CALLS_BETWEEN].mean_ns));
    if (kind->ways > 0 && kind->ways == kind->answered) {
        char there[LAP_UNITS_BYTES], back[LAP_UNITS_BYTES];
        add(text, " (%s there, %s back)", lap_units_duration(there, times[LAP_CALLS_THERE].mean_ns),
            lap_units_duration(back, times[LAP_CALLS_BACK].mean_ns));
    }
    add(text, ", p99 %s", lap_units_duration(p99, times[LAP_CALLS_BETWEEN].p99_ns));
}

static void add_owner(struct text *text, const struct lap_calls_kind *kind)
{
    if (kind->thread && kind->thread->name[0])
        add(text, "thread %s (%" PRIu64 ") of ", kind->thread->name, kind->thread->id);
    else if (kind->thread)
        add(text, "thread %" PRIu64 " of ", kind->thread->id);
    add(text, "%s %" PRIu64, kind->process->program, kind->process->pid);
}

static void add_kind(struct text *text, const struct lap_calls_kind *kind)
{
    char count[LAP_UNITS_BYTES], mean[LAP_UNITS_BYTES];
    add(text, "%s \"%.512s\"", lap_units_counted(count, kind->count, "call"), kind->name);
    if (kind->process) {
        add(text, " in ");
        add_owner(text, kind);
    }
    add(text, ", %s%s: ", lap_units_duration(mean, kind->times[LAP_CALLS_TOTAL].mean_ns),
        kind->count > 1 ? " in the mean" : "");
    if (kind->answered == 0 && kind->one_way == kind->count) {
        add(text, "until sent; no reply is to come");
        return;
    }
    if (kind->answered == 0) {
        add(text, "the peer says nothing of its part, so where that went is not known");
        return;
    }
    if (kind->answered < kind->count)
        add(text, "of %s whose peer says what it did, ", lap_units_counted(count, kind->answered, "call"));
    if (kind->times[LAP_CALLS_SERVER].sum_ns >= kind->times[LAP_CALLS_BETWEEN].sum_ns) {
        add_server(text, kind);
        add(text, ", ");
        add_between(text, kind);
    } else {
        add_between(text, kind);
        add(text, "; ");
        add_server(text, kind);
    }
}

static void print_sentence(const struct lap_calls *calls)
{
    struct text text = {.length = 0};
    const struct lap_calls_kind *most = &calls->kinds[0];
    for (size_t i = 1; i < calls->kind_count; i++)
        if (calls->kinds[i].times[LAP_CALLS_TOTAL].sum_ns > most->times[LAP_CALLS_TOTAL].sum_ns)
            most = &calls->kinds[i];
    if (calls->kind_count > 1) {
        char count[LAP_UNITS_BYTES], sum[LAP_UNITS_BYTES], share[LAP_UNITS_BYTES];
        add(&text, "%s of %zu kinds, %s in sum; ", lap_units_counted(count, calls->count, "call"), calls->kind_count,
            lap_units_duration(sum, calls->sum_ns));
        add(&text, "%s of that: ", lap_units_share(share, most->times[LAP_CALLS_TOTAL].sum_ns, calls->sum_ns));
    }
    add_kind(&text, most);
    lap_head_sentence(text.bytes);
    putchar('\n');
}

/* ---- what is to be known ------------------------------------------------------------------------------------------- */

static const char *plus_minus(void) { return lap_terminal_get()->has_utf8 ? "\xc2\xb1" : "+-"; }

/* "12.345678901 s": with all its digits, as the error may be far smaller than it. */
static char *offset_text(char out[LAP_UNITS_BYTES], const char *sign, int64_t ns)
{
    const uint64_t size = ns < 0 ? (uint64_t)-ns : (uint64_t)ns;
    if (size < 1000000)
        snprintf(out, LAP_UNITS_BYTES, "%s%" PRIu64 ".%03" PRIu64 " %s", sign, size / 1000, size % 1000,
                 lap_terminal_get()->has_utf8 ? "\xc2\xb5s" : "us");
    else
        snprintf(out, LAP_UNITS_BYTES, "%s%" PRIu64 ".%09" PRIu64 " s", sign, size / 1000000000, size % 1000000000);
    return out;
}

static char *error_text(char out[LAP_UNITS_BYTES], double ns)
{
    if (isfinite(ns))
        return lap_units_duration(out, ns);
    snprintf(out, LAP_UNITS_BYTES, "unbounded");
    return out;
}

/* "drifts by 3.200 ± 0.100 ppm", or where the sign is not even known what it is at most. */
static void drift_text(char out[LAP_UNITS_BYTES], const struct lap_calls_clock *clock)
{
    const double most_ppm = fabs(clock->drift_ppm) + clock->drift_error_ppm, limit_ppm = 500;
    if (fabs(clock->drift_ppm) > clock->drift_error_ppm)
        snprintf(out, LAP_UNITS_BYTES, "drifts by %.3f %s %.3f ppm", clock->drift_ppm, plus_minus(),
                 clock->drift_error_ppm);
    else
        snprintf(out, LAP_UNITS_BYTES, "drifts by at most %.3g ppm", most_ppm < limit_ppm ? most_ppm : limit_ppm);
}

static void print_offset(const struct lap_calls_clock *clock)
{
    char offset[LAP_UNITS_BYTES], error[LAP_UNITS_BYTES], calls[LAP_UNITS_BYTES], windows[LAP_UNITS_BYTES];
    char steps[LAP_UNITS_BYTES], time[LAP_UNITS_BYTES], other[LAP_UNITS_BYTES], drift[LAP_UNITS_BYTES];
    if (!clock->has_offset) {
        lap_head_line("", "how far the server's is ahead cannot be told");
        return;
    }
    drift_text(drift, clock);
    lap_head_line("", "the server's is %s by %s %s %s at %s, and %s%s", clock->theta_ns < 0 ? "behind" : "ahead",
                  offset_text(offset, "", clock->theta_ns), plus_minus(), error_text(error, clock->error_ns),
                  lap_units_time(time, clock->end_time_ns), drift,
                  clock->is_server_read ? "" : " (its rate is what the server says)");
    lap_head_line("", "by %s in %s, %s%s", lap_units_counted(calls, clock->calls - clock->left_out, "call"),
                  lap_units_counted(windows, clock->windows, "window"),
                  clock->step_count ? lap_units_counted(steps, clock->step_count, "step") : "no step",
                  clock->left_out ? "; others contradict them" : "");
    for (size_t i = 0; i < clock->step_count && i < STEPS_SHOWN; i++) {
        const struct lap_calls_step *const step = &clock->steps[i];
        lap_head_line("", "a step of %s %s %s between %s and %s",
                      offset_text(offset, step->step_ns < 0 ? "-" : "+", (int64_t)step->step_ns), plus_minus(),
                      error_text(error, step->error_ns), lap_units_time(time, step->after_time_ns),
                      lap_units_time(other, step->before_time_ns));
    }
    if (clock->step_count > STEPS_SHOWN)
        lap_head_line("", "and %zu more; --json has them all", clock->step_count - STEPS_SHOWN);
}

static void print_clocks(const struct lap_calls *calls)
{
    char count[LAP_UNITS_BYTES];
    for (size_t i = 0; i < calls->clock_count && i < CLOCKS_SHOWN; i++) {
        const struct lap_calls_clock *const clock = &calls->clocks[i];
        lap_units_counted(count, clock->calls, "call");
        if (clock->is_same) {
            lap_head_line("clock", "both sides of %s read one clock", count);
            continue;
        }
        if (clock->is_contradicted)
            lap_head_line("clock",
                          "both sides of %s say that they read one clock (%016" PRIx64 "), but by the calls' times "
                          "it cannot be one; taken for two",
                          count, clock->client);
        else
            lap_head_line("clock", "two for %s: the client's %016" PRIx64 ", the server's %016" PRIx64, count,
                          clock->client, clock->server);
        print_offset(clock);
    }
    if (calls->clock_count > CLOCKS_SHOWN)
        lap_head_line("", "and %zu more; --json has them all", calls->clock_count - CLOCKS_SHOWN);
    if (calls->pairs_left_out > 0)
        lap_head_line("", "and %s between further clocks", lap_units_counted(count, calls->pairs_left_out, "call"));
    if (calls->server_untold > 0)
        lap_head_line("clock",
                      "of %s the server does not say which it reads, so there and back are not told apart: "
                      "LAPMARK_SHARE=domain in its environment says it",
                      lap_units_counted(count, calls->server_untold, "call"));
    if (calls->client_untold > 0)
        lap_head_line("clock", "of %s the client's recording does not say which it read",
                      lap_units_counted(count, calls->client_untold, "call"));
}

static void print_head(const struct lap_calls *calls)
{
    char count[LAP_UNITS_BYTES], all[LAP_UNITS_BYTES];
    lap_units_counted(all, calls->count, "call");
    if (calls->silent > 0)
        lap_head_line("silent", "the peer of %s of %s says nothing of its part; the split is of the others",
                      lap_units_count(count, calls->silent), all);
    if (calls->refused > 0)
        lap_head_line("refused",
                      "what came with the reply to %s of %s is no trailer, or another call's; the split is of the "
                      "others",
                      lap_units_count(count, calls->refused), all);
    if (calls->one_way > 0)
        lap_head_line("one way", "to %s of %s no reply is to come; their time is until they were sent",
                      lap_units_count(count, calls->one_way), all);
    print_clocks(calls);
    if (calls->is_incomplete)
        lap_head_line("missing", "the oldest events were overwritten, and calls with them");
    if (calls->is_selected)
        lap_head_line("selected", "what was below its threshold was taken back, and calls with it");
}

/* ---- the kinds ----------------------------------------------------------------------------------------------------- */

static const struct lap_table_column columns[] = {
    {"", 0, true},        {"count", 90, false}, {"total", 85, false}, {"of all", 60, false}, {"of call", 95, false},
    {"mean", 100, false}, {"p50", 55, false},   {"p99", 80, false},   {"max", 65, false},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* `of_ns`: what its share is of; `is_kind`: that is all calls. */
static void add_row(struct lap_table *table, const char *label, const struct lap_calls_times *times, double of_ns,
                    bool is_kind)
{
    char text[LAP_UNITS_BYTES];
    lap_table_row(table, LAP_STYLE_PLAIN);
    lap_table_cell_styled(table, is_kind ? LAP_STYLE_BOLD : LAP_STYLE_PLAIN, label);
    lap_table_cell(table, lap_units_count(text, times->count));
    lap_table_cell(table, lap_units_duration(text, times->sum_ns));
    lap_table_cell(table, is_kind ? lap_units_share(text, times->sum_ns, of_ns) : "");
    lap_table_cell(table, is_kind ? "" : lap_units_share(text, times->sum_ns, of_ns));
    lap_table_cell(table, lap_units_duration(text, times->mean_ns));
    lap_table_cell(table, lap_units_duration(text, times->p50_ns));
    lap_table_cell(table, lap_units_duration(text, times->p99_ns));
    lap_table_cell(table, lap_units_duration(text, times->max_ns));
}

static void add_rows(struct lap_table *table, const struct lap_calls *calls, const struct lap_calls_kind *kind)
{
    static const struct {
        enum lap_calls_part part;
        unsigned depth;
        const char *name;
    } parts[] = {{LAP_CALLS_SERVER, 1, "server"},   {LAP_CALLS_QUEUE, 2, "queue"}, {LAP_CALLS_HANDLE, 2, "handle"},
                 {LAP_CALLS_BETWEEN, 1, "between"}, {LAP_CALLS_THERE, 2, "there"}, {LAP_CALLS_BACK, 2, "back"}};
    const char *const mark = lap_terminal_get()->has_utf8 ? "\xc2\xb7" : "-";
    char label[LABEL_BYTES];
    add_row(table, kind->name, &kind->times[LAP_CALLS_TOTAL], calls->sum_ns, true);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct lap_calls_times *const times = &kind->times[parts[i].part];
        if (times->count == 0)
            continue;
        snprintf(label, sizeof label, "%*s%s %s", (int)parts[i].depth * 2, "", mark, parts[i].name);
        add_row(table, label, times, kind->times[LAP_CALLS_ANSWERED].sum_ns, false);
    }
}

/* What the servers of a kind's calls say of their laps. */
static void print_laps(const struct lap_calls_kind *kind)
{
    struct text text = {.length = 0};
    for (uint32_t i = 0; i < kind->lap_count; i++) {
        char duration[LAP_UNITS_BYTES], share[LAP_UNITS_BYTES];
        add(&text, "%s %s %s (%s)", i > 0 ? "," : "", kind->laps[i].label,
            lap_units_duration(duration, kind->laps[i].sum_ns),
            lap_units_share(share, kind->laps[i].sum_ns, kind->times[LAP_CALLS_SERVER].sum_ns));
    }
    if (kind->lap_count > 0)
        lap_head_line("laps", "of the server of \"%.512s\":%s", kind->name, text.bytes);
}

static void print_kinds(const struct lap_calls *calls)
{
    for (size_t i = 0; i < calls->kind_count && !ferror(stdout);) {
        const struct lap_calls_kind *const first = &calls->kinds[i];
        putchar('\n');
        if (first->process) {
            struct text title = {.length = 0};
            add_owner(&title, first);
            char *const printable = lap_text_printable(title.bytes);
            printf("%s%s%s\n", lap_terminal_style(LAP_STYLE_BOLD), printable, lap_terminal_style(LAP_STYLE_PLAIN));
            free(printable);
        }
        struct lap_table *const table = lap_table_make(columns, COLUMNS);
        const size_t start = i;
        for (; i < calls->kind_count && calls->kinds[i].process == first->process &&
               calls->kinds[i].thread == first->thread;
             i++)
            add_rows(table, calls, &calls->kinds[i]);
        lap_table_print(table, stdout, lap_terminal_get()->columns);
        lap_table_free(table);
        for (size_t k = start; k < i; k++)
            print_laps(&calls->kinds[k]);
    }
}

/* ---- the slowest --------------------------------------------------------------------------------------------------- */

static void add_part(struct lap_table *table, bool is_known, double ns)
{
    char text[LAP_UNITS_BYTES];
    lap_table_cell(table, is_known ? lap_units_duration(text, ns) : "");
}

static void print_slowest(const struct lap_calls *calls)
{
    static const struct lap_table_column slowest_columns[] = {
        {"the slowest", 0, true}, {"at", 60, false},     {"in", 50, true},
        {"total", 100, false},    {"server", 95, false}, {"queue", 80, false},
        {"between", 90, false},   {"there", 70, false},  {"back", 65, false},
    };
    struct lap_table *const table = lap_table_make(slowest_columns, sizeof slowest_columns / sizeof *slowest_columns);
    for (size_t i = 0; i < calls->slowest_count; i++) {
        const struct lap_calls_instance *const instance = &calls->slowest[i];
        const struct lap_call_times *const times = &instance->times;
        const bool is_answered = instance->outcome == LAP_CALLS_IS_ANSWERED;
        char text[LABEL_BYTES], time[LAP_UNITS_BYTES];
        snprintf(text, sizeof text, "%zu. %s", i + 1, instance->name);
        lap_table_row(table, LAP_STYLE_PLAIN);
        lap_table_cell(table, text);
        lap_table_cell(table, lap_units_time(time, instance->begin_realtime_ns));
        snprintf(text, sizeof text, "%.200s %" PRIu64, instance->process->program, instance->process->pid);
        lap_table_cell(table, text);
        add_part(table, true, times->total_ns);
        if (is_answered)
            add_part(table, true, times->server_ns);
        else
            lap_table_cell(table, instance->outcome == LAP_CALLS_IS_SILENT    ? "silent"
                                  : instance->outcome == LAP_CALLS_IS_ONE_WAY ? "one way"
                                                                              : "refused");
        add_part(table, is_answered, times->queue_ns);
        add_part(table, is_answered, times->between_ns);
        add_part(table, is_answered && times->has_ways, times->there_ns);
        add_part(table, is_answered && times->has_ways, times->back_ns);
    }
    putchar('\n');
    lap_table_print(table, stdout, lap_terminal_get()->columns);
    lap_table_free(table);
}

void lap_calls_print_text(const struct lap_calls *calls)
{
    if (calls->count == 0) {
        printf("no call to another process is in the recording's events%s\n",
               calls->is_incomplete ? ", of which the oldest were overwritten"
               : calls->is_selected ? ", from which what was below its threshold was taken back"
                                    : "");
        return;
    }
    print_sentence(calls);
    print_head(calls);
    print_kinds(calls);
    print_slowest(calls);
}
