/* SPDX-License-Identifier: MIT
 *
 * `lapmark gate`: is anything slower than before? From runs of two commands in turn, or from runs that were recorded.
 */
#define _GNU_SOURCE
#include "commands.h"
#include "gate_baseline.h"
#include "gate_record.h"
#include "gate_view.h"
#include "message.h"
#include "random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { RUNS_FOR_BASELINE = 40 };
#define MAX_SLOWDOWN 0.05
#define MIN_EFFECT_NS 100000
#define MAX_TIME_NS UINT64_C(300000000000)

/* Where a side's runs come from: one of the three. */
struct source {
    const char *command;
    const char *baseline;
    char **recordings;
    int recording_count;
};

struct session {
    const struct lap_arguments *arguments;
    struct lap_gate_rules rules;
    uint64_t max_time_ns;
    struct source sources[LAP_GATE_SIDES];
    struct lap_gate_runs runs;
    struct lap_gate gate;
    size_t *paths; /* of the gate's nodes */
    size_t compared;
    char *place;
    struct lap_random coin;
    struct lap_progress progress;
    uint64_t begin_ns, first_pair_ns; /* by the clock */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- what is asked for ---- */

static bool is_given(const struct source *source)
{
    return source->command || source->baseline || source->recording_count > 0;
}

static int find_sources(struct session *session)
{
    const struct lap_arguments *const arguments = session->arguments;
    struct source *const base = &session->sources[LAP_GATE_BASE], *const new = &session->sources[LAP_GATE_NEW];
    *base = (struct source){arguments->values[LAP_OPTION_BASE], arguments->values[LAP_OPTION_BASELINE],
                            arguments->operands, arguments->operands_before};
    *new = (struct source){arguments->values[LAP_OPTION_NEW], NULL, arguments->operands + base->recording_count,
                           arguments->operand_count - arguments->operands_before};
    if (!!base->command + !!base->baseline + (base->recording_count > 0) > 1)
        return lap_message_trouble(
            "the base is given more than once: give one of --base, --baseline and recordings before '--'");
    if (new->command &&new->recording_count > 0)
        return lap_message_trouble("what is new is given twice: give --new, or recordings behind '--'");
    if (!is_given(new))
        return lap_message_trouble("'gate' needs what is new: give --new 'COMMAND', or recordings behind '--'");
    if (!is_given(base) && !arguments->given[LAP_OPTION_WRITE_BASELINE])
        return lap_message_trouble(
            "'gate' needs a base: give --base 'COMMAND', --baseline FILE, or recordings before '--'");
    return 0;
}

static int find_rules(struct session *session)
{
    const struct lap_arguments *const arguments = session->arguments;
    uint64_t min_effect_ns = MIN_EFFECT_NS;
    session->rules.max_slowdown = MAX_SLOWDOWN;
    session->max_time_ns = MAX_TIME_NS;
    if (lap_arguments_percent(arguments, LAP_OPTION_MAX_SLOWDOWN, &session->rules.max_slowdown) != 0 ||
        lap_arguments_duration(arguments, LAP_OPTION_MIN_EFFECT, &min_effect_ns) != 0 ||
        lap_arguments_duration(arguments, LAP_OPTION_MAX_TIME, &session->max_time_ns) != 0)
        return LAP_EXIT_TROUBLE;
    session->rules.min_effect_ns = (double)min_effect_ns;
    return 0;
}

/* ---- the gate over the runs ---- */

static int no_memory(int error) { return error < 0 ? lap_message_trouble("%s", lap_message_reason(error)) : 0; }

/* By what the first runs have shown. */
static int choose(struct session *session, size_t runs)
{
    const size_t count = session->runs.path_count;
    double *const run_ns = calloc(count + 1, sizeof *run_ns);
    size_t chosen = 0;
    session->compared = runs;
    session->paths = calloc(count + 1, sizeof *session->paths);
    if (!run_ns || !session->paths)
        abort();
    for (size_t path = 0; path < count; path++)
        if (lap_gate_runs_choose(&session->runs, runs, path) == LAP_GATE_GATED) {
            const struct lap_gate_cell mean = lap_gate_runs_mean(&session->runs, LAP_GATE_BASE, runs, path);
            run_ns[chosen] = (double)mean.count * mean.mean_ns;
            session->paths[chosen++] = path;
        }
    const int error = lap_gate_init(&session->gate, &session->rules, run_ns, chosen);
    free(run_ns);
    if (error == 0 && chosen == 0)
        return lap_message_trouble(
            "no step is in every run of both sides and worth %.0f%% of the total: nothing can be compared",
            100 * LAP_GATE_SHARE);
    return no_memory(error);
}

/* Hands a pair of runs to the gate. */
static int add_pair(struct session *session, size_t run)
{
    const size_t count = session->gate.node_count;
    double *const values = calloc(2 * count, sizeof *values);
    if (!values)
        abort();
    for (size_t i = 0; i < count; i++) {
        values[i] = lap_gate_runs_get(&session->runs, LAP_GATE_BASE, run, session->paths[i]).mean_ns;
        values[count + i] = lap_gate_runs_get(&session->runs, LAP_GATE_NEW, run, session->paths[i]).mean_ns;
    }
    const int error = lap_gate_add(&session->gate, values, values + count);
    free(values);
    return no_memory(error);
}

static int ask(struct session *session, size_t *ret_wanted)
{
    return no_memory(lap_gate_wants(&session->gate, ret_wanted));
}

/* ---- in turn ---- */

static int record(struct session *session, enum lap_gate_side side)
{
    return lap_gate_record(&session->runs, side, session->sources[side].command, session->place);
}

/* Another coin for each gate: the error rate rests on nothing else. */
static int take_coin(struct session *session)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return lap_message_trouble("cannot draw who runs first: %s", lap_message_reason(errno));
    lap_random_seed(&session->coin, seed);
    return 0;
}

static int record_pair(struct session *session)
{
    const enum lap_gate_side first = (enum lap_gate_side)lap_random_below(&session->coin, LAP_GATE_SIDES);
    session->progress.text = session->gate.is_second ? "second round, pairs of runs" : "pairs of runs";
    lap_progress_step(&session->progress, session->runs.counts[LAP_GATE_BASE], 0);
    const int status = record(session, first);
    return status != 0 ? status : record(session, first == LAP_GATE_BASE ? LAP_GATE_NEW : LAP_GATE_BASE);
}

/* Pairs that there was time for in the first round, a second one being as long. */
static double pairs_for_half(const struct session *session)
{
    const double taken = (double)session->runs.counts[LAP_GATE_BASE];
    const double each_ns = (double)(now_ns() - session->first_pair_ns) / fmax(taken, 1);
    return (double)session->max_time_ns / (2 * each_ns);
}

/* Would a second round after this be too long? */
static bool is_time_used(const struct session *session)
{
    const double used_ns = (double)(now_ns() - session->first_pair_ns);
    const double each_ns = used_ns / (double)session->runs.counts[LAP_GATE_BASE];
    return used_ns + each_ns * (double)session->gate.pairs >= (double)session->max_time_ns;
}

static int record_first_look(struct session *session)
{
    int status = 0;
    /* What only the first run of a program does, such as to come from the disk, is not counted. */
    for (enum lap_gate_side side = 0; side < LAP_GATE_SIDES && status == 0; side++)
        status = lap_gate_record(NULL, side, session->sources[side].command, session->place);
    session->first_pair_ns = now_ns();
    for (size_t pairs = 0; pairs < LAP_GATE_FIRST_LOOK && status == 0; pairs++) {
        if (pairs > 0 && now_ns() - session->first_pair_ns > session->max_time_ns)
            return lap_message_trouble(
                "there was time for %zu pairs of runs, and nothing can be said with less than %d: give more "
                "--max-time, or a command that is done sooner",
                pairs, LAP_GATE_FIRST_LOOK);
        status = record_pair(session);
    }
    return status;
}

static int run_in_turn(struct session *session)
{
    size_t wanted = 0;
    int status = take_coin(session);
    if (status == 0)
        status = record_first_look(session);
    if (status == 0)
        status = choose(session, LAP_GATE_FIRST_LOOK);
    for (size_t run = 0; run < LAP_GATE_FIRST_LOOK && status == 0; run++)
        status = add_pair(session, run);
    while (status == 0) {
        session->gate.pairs_possible = (size_t)pairs_for_half(session);
        if (!session->gate.is_second && !session->gate.is_stopped && is_time_used(session))
            lap_gate_stop(&session->gate);
        status = ask(session, &wanted);
        if (status != 0 || wanted == 0)
            return status;
        status = record_pair(session);
        if (status == 0)
            status = add_pair(session, session->runs.counts[LAP_GATE_BASE] - 1);
    }
    return status;
}

/* ---- from what is there ---- */

/* `count` is of a command's runs. */
static int load(struct session *session, enum lap_gate_side side, size_t count)
{
    const struct source *const source = &session->sources[side];
    int status = 0;
    if (source->baseline)
        return lap_gate_baseline_read(&session->runs, side, source->baseline);
    for (int i = 0; i < source->recording_count && status == 0; i++)
        status = lap_gate_read(&session->runs, side, source->recordings[i]);
    if (source->command)
        status = lap_gate_record(NULL, side, source->command, session->place);
    session->progress.text = "runs";
    for (size_t run = 0; source->command && run < count && status == 0; run++) {
        status = record(session, side);
        lap_progress_step(&session->progress, run + 1, count);
    }
    return status;
}

static int compare_loaded(struct session *session)
{
    const size_t base = session->runs.counts[LAP_GATE_BASE], new = session->runs.counts[LAP_GATE_NEW];
    const size_t pairs = base < new ? base : new;
    size_t wanted;
    session->rules.is_once = true;
    int status = choose(session, pairs);
    if (status != 0)
        return status;
    const size_t least = lap_gate_least_pairs(session->gate.node_count);
    if (pairs < least)
        return lap_message_trouble(
            "%zu runs of the base and %zu of the new: nothing can be said with less than %zu of each", base, new, least);
    for (size_t run = 0; run < pairs && status == 0; run++)
        status = add_pair(session, run);
    lap_gate_stop(&session->gate);
    return status != 0 ? status : ask(session, &wanted);
}

static int load_and_compare(struct session *session)
{
    const struct source *const base = &session->sources[LAP_GATE_BASE], *const new = &session->sources[LAP_GATE_NEW];
    size_t count = base->command && new->recording_count > 0 ? (size_t) new->recording_count : RUNS_FOR_BASELINE;
    int status = is_given(base) ? load(session, LAP_GATE_BASE, count) : 0;
    if (session->runs.counts[LAP_GATE_BASE] > 0)
        count = session->runs.counts[LAP_GATE_BASE];
    if (status == 0)
        status = load(session, LAP_GATE_NEW, count);
    if (status == 0 && is_given(base))
        status = compare_loaded(session);
    return status;
}

/* ---- the result ---- */

static int say(struct session *session)
{
    const struct lap_arguments *const arguments = session->arguments;
    const struct source *const sources = session->sources;
    const struct lap_gate_result result = {.gate = &session->gate,
                                           .runs = &session->runs,
                                           .paths = session->paths,
                                           .compared = session->compared,
                                           .elapsed_ns = (double)(now_ns() - session->begin_ns),
                                           .is_interleaved =
                                               sources[LAP_GATE_BASE].command && sources[LAP_GATE_NEW].command};
    int status = 0;
    if (arguments->given[LAP_OPTION_JSON])
        lap_gate_print_json(&result);
    else
        lap_gate_print_text(&result);
    if (arguments->given[LAP_OPTION_MARKDOWN])
        status = lap_gate_write_markdown(&result, arguments->values[LAP_OPTION_MARKDOWN]);
    if (status == 0 && arguments->given[LAP_OPTION_JUNIT])
        status = lap_gate_write_junit(&result, arguments->values[LAP_OPTION_JUNIT]);
    if (status != 0)
        return status;
    if (session->gate.failed)
        return LAP_EXIT_NO;
    if (session->gate.is_blind && arguments->given[LAP_OPTION_REQUIRE_POWER])
        return lap_message_trouble("--require-power: a slowdown at the limit could not have been told from none");
    return LAP_EXIT_FINE;
}

static int run(struct session *session)
{
    const char *const baseline = session->arguments->values[LAP_OPTION_WRITE_BASELINE];
    const struct source *const sources = session->sources;
    const bool is_in_turn = sources[LAP_GATE_BASE].command && sources[LAP_GATE_NEW].command;
    int status = is_in_turn ? run_in_turn(session) : load_and_compare(session);
    lap_progress_end(&session->progress);
    if (status == 0 && baseline)
        status = lap_gate_baseline_write(&session->runs, LAP_GATE_NEW, baseline);
    if (status == 0 && is_given(&sources[LAP_GATE_BASE]))
        status = say(session);
    else if (status == 0)
        lap_message_note("wrote %zu runs into '%s'", session->runs.counts[LAP_GATE_NEW], baseline);
    return status;
}

int lap_command_gate(const struct lap_arguments *arguments)
{
    struct session session = {.arguments = arguments, .begin_ns = now_ns()};
    int status = find_rules(&session);
    if (status == 0)
        status = find_sources(&session);
    if (status == 0)
        status = lap_gate_place_make(&session.place);
    if (status == 0)
        status = run(&session);
    lap_gate_place_done(session.place);
    lap_gate_done(&session.gate);
    lap_gate_runs_done(&session.runs);
    free(session.paths);
    return status;
}
