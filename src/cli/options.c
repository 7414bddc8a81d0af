/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "options.h"

#include "commands.h"
#include "export.h"
#include "message.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

#define RECORDING (LAP_COMMAND_RUN | LAP_COMMAND_RECORD)
#define READING                                                                                                          \
    (LAP_COMMAND_REPORT | LAP_COMMAND_SHOW | LAP_COMMAND_SLOWEST | LAP_COMMAND_CALLS | LAP_COMMAND_SCALING |             \
     LAP_COMMAND_CHECK)
#define TWO_SIDED (LAP_COMMAND_DIFF | LAP_COMMAND_GATE)

const struct lap_option lap_options[] = {
    {LAP_OPTION_OUTPUT, 'o', "output", "DIR", LAP_COMPLETE_DIRECTORY, NULL,
     "record into DIR, not into the first free of lapmark-recording, lapmark-recording-2, ...", RECORDING},
    {LAP_OPTION_PRINT, 0, "print", NULL, LAP_COMPLETE_NOTHING, NULL, "let the profilers print as well", RECORDING},
    {LAP_OPTION_FILTER, 'f', "filter", "TERMS", LAP_COMPLETE_NOTHING, NULL,
     "switch profilers by the terms of the LAPMARK variable: GLOB[:THRESHOLD], -GLOB, off", RECORDING},
    {LAP_OPTION_FULL, 0, "full", NULL, LAP_COMPLETE_NOTHING, NULL,
     "keep every event, on disk, not only the newest of each thread", RECORDING},
    {LAP_OPTION_DISK, 0, "disk", "SIZE", LAP_COMPLETE_NOTHING, NULL,
     "with --full: use at most SIZE of disk, the oldest events going first", RECORDING},
    {LAP_OPTION_RING, 0, "ring", "SIZE", LAP_COMPLETE_NOTHING, NULL, "keep SIZE of events of each thread, such as 4M",
     RECORDING},
    {LAP_OPTION_MEMORY, 0, "memory", "SIZE", LAP_COMPLETE_NOTHING, NULL, "use at most SIZE of memory in each process",
     RECORDING},
    {LAP_OPTION_KEEP, 0, "keep", "WHICH", LAP_COMPLETE_WORDS, "all slow",
     "keep the events of all profilers, or only of the slow: at or above their threshold", RECORDING},
    {LAP_OPTION_SNAPSHOT, 0, "snapshot", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "when a profiler takes its threshold or longer, keep the last TIME of all threads, such as 500ms, in DIR/snapshots",
     RECORDING},
    {LAP_OPTION_BY, 0, "by", "WHAT", LAP_COMPLETE_WORDS, "thread process",
     "a tree for each thread or process, not one for all", LAP_COMMAND_RUN | LAP_COMMAND_REPORT},
    {LAP_OPTION_EVENTS, 0, "events", NULL, LAP_COMPLETE_NOTHING, NULL,
     "compute it from the stored events and compare with the stored statistics", LAP_COMMAND_REPORT},
    {LAP_OPTION_NAME, 0, "name", "GLOB", LAP_COMPLETE_NOTHING, NULL, "only profilers whose message or function matches",
     LAP_COMMAND_SHOW},
    {LAP_OPTION_THREAD, 0, "thread", "THREAD", LAP_COMPLETE_NOTHING, NULL,
     "only this thread: its name, kernel id or number", LAP_COMMAND_SHOW},
    {LAP_OPTION_SINCE, 0, "since", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "only what ended at TIME or later: 1.5s after the start, -2s before the end, or 14:03:05.25", LAP_COMMAND_SHOW},
    {LAP_OPTION_UNTIL, 0, "until", "TIME", LAP_COMPLETE_NOTHING, NULL, "only what began at TIME or before",
     LAP_COMMAND_SHOW},
    {LAP_OPTION_MIN_DURATION, 0, "min-duration", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "only what took TIME or longer, such as 5ms", LAP_COMMAND_SHOW},
    {LAP_OPTION_EVENTS, 0, "events", NULL, LAP_COMPLETE_NOTHING, NULL, "show the stored events, one a line",
     LAP_COMMAND_SHOW},
    {LAP_OPTION_MERGE, 0, "merge", NULL, LAP_COMPLETE_NOTHING, NULL,
     "put the processes of several hosts on one timeline, by the calls between them", LAP_COMMAND_SHOW},
    {LAP_OPTION_COUNT, 'n', "count", "N", LAP_COMPLETE_NOTHING, NULL, "show N instances, not 10", LAP_COMMAND_SLOWEST},
    {LAP_OPTION_BY, 0, "by", "WHAT", LAP_COMPLETE_WORDS, "thread process",
     "the kinds of calls of each thread or process, not of all", LAP_COMMAND_CALLS},
    {LAP_OPTION_SLOWEST, 0, "slowest", "N", LAP_COMPLETE_NOTHING, NULL, "show the slowest N calls, not 5",
     LAP_COMMAND_CALLS},
    {LAP_OPTION_PRINT, 0, "print", "WHETHER", LAP_COMPLETE_WORDS, "on off", "let the profilers print, or not",
     LAP_COMMAND_CTL},
    {LAP_OPTION_KEEP, 0, "keep", "WHICH", LAP_COMPLETE_WORDS, "all slow",
     "keep the events of all profilers from now on, or only of the slow: at or above their threshold", LAP_COMMAND_CTL},
    {LAP_OPTION_INTERVAL, 0, "interval", "TIME", LAP_COMPLETE_NOTHING, NULL, "look every TIME, not every second",
     LAP_COMMAND_TOP},
    {LAP_OPTION_ONCE, 0, "once", NULL, LAP_COMPLETE_NOTHING, NULL, "look once, and print what was since the start",
     LAP_COMMAND_TOP},
    {LAP_OPTION_COUNT, 'n', "count", "N", LAP_COMPLETE_NOTHING, NULL, "end after N intervals", LAP_COMMAND_TOP},
    {LAP_OPTION_OUTPUT, 'o', "output", "DIR", LAP_COMPLETE_DIRECTORY, NULL,
     "write into DIR, not into the first free of lapmark-snapshot, lapmark-snapshot-2, ...", LAP_COMMAND_SNAPSHOT},
    {LAP_OPTION_LAST, 0, "last", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "what came in the last TIME, such as 500ms, not all that the rings hold", LAP_COMMAND_SNAPSHOT},
    {LAP_OPTION_BASE, 0, "base", "COMMAND", LAP_COMPLETE_NOTHING, NULL, "run COMMAND, by the shell, for the base",
     LAP_COMMAND_GATE},
    {LAP_OPTION_NEW, 0, "new", "COMMAND", LAP_COMPLETE_NOTHING, NULL,
     "run COMMAND, by the shell, for what is held against it", LAP_COMMAND_GATE},
    {LAP_OPTION_MAX_SLOWDOWN, 0, "max-slowdown", "PERCENT", LAP_COMPLETE_NOTHING, NULL,
     "fail where a step is slower by PERCENT or more, not 5%", LAP_COMMAND_GATE},
    {LAP_OPTION_MIN_EFFECT, 0, "min-effect", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "and where that adds TIME or more to a run, not 100us", LAP_COMMAND_GATE},
    {LAP_OPTION_MAX_TIME, 0, "max-time", "TIME", LAP_COMPLETE_NOTHING, NULL,
     "run pairs for TIME at most, not 5min, where it is not clear before", LAP_COMMAND_GATE},
    {LAP_OPTION_REQUIRE_POWER, 0, "require-power", NULL, LAP_COMPLETE_NOTHING, NULL,
     "end with 2 where the limit could not have been told from no slowdown", LAP_COMMAND_GATE},
    {LAP_OPTION_BASELINE, 0, "baseline", "FILE", LAP_COMPLETE_NOTHING, NULL, "take the base's runs from FILE",
     LAP_COMMAND_GATE},
    {LAP_OPTION_WRITE_BASELINE, 0, "write-baseline", "FILE", LAP_COMPLETE_NOTHING, NULL,
     "write the runs of --new or NEW into FILE", LAP_COMMAND_GATE},
    {LAP_OPTION_MARKDOWN, 0, "markdown", "FILE", LAP_COMPLETE_NOTHING, NULL, "write the result as Markdown, too",
     LAP_COMMAND_GATE},
    {LAP_OPTION_JUNIT, 0, "junit", "FILE", LAP_COMPLETE_NOTHING, NULL, "write the result as JUnit's XML, too",
     LAP_COMMAND_GATE},
    {LAP_OPTION_JSON, 0, "json", NULL, LAP_COMPLETE_NOTHING, NULL, "write JSON",
     RECORDING | READING | LAP_COMMAND_DIFF | LAP_COMMAND_GATE | LAP_COMMAND_CTL | LAP_COMMAND_TOP |
         LAP_COMMAND_SNAPSHOT | LAP_COMMAND_SQL},
    {LAP_OPTION_HTML, 0, "html", "FILE", LAP_COMPLETE_NOTHING, NULL, "write a page for a browser into FILE, too",
     LAP_COMMAND_REPORT | LAP_COMMAND_DIFF | LAP_COMMAND_SCALING},
    {LAP_OPTION_FORMAT, 0, "format", "FORMAT", LAP_COMPLETE_WORDS, LAP_EXPORT_NAMES, "what to write", LAP_COMMAND_EXPORT},
    {LAP_OPTION_OUTPUT, 'o', "output", "FILE", LAP_COMPLETE_NOTHING, NULL, "write FILE, not standard output",
     LAP_COMMAND_EXPORT},
    {LAP_OPTION_SCHEMA, 0, "schema", NULL, LAP_COMPLETE_NOTHING, NULL, "print what can be asked: tables, columns, views",
     LAP_COMMAND_SQL},
    {LAP_OPTION_VERSION, 0, "version", NULL, LAP_COMPLETE_NOTHING, NULL, "print the version", LAP_COMMAND_NONE},
    {LAP_OPTION_HELP, 'h', "help", NULL, LAP_COMPLETE_NOTHING, NULL, "print this help", UINT32_MAX},
};
const size_t lap_options_count = sizeof lap_options / sizeof *lap_options;

const struct lap_command lap_commands[] = {
    {LAP_COMMAND_RUN, "run", "-- PROGRAM [ARGUMENT...]", 1, -1, LAP_COMPLETE_PROGRAM, NULL,
     "record a program, then report",
     "Ends with the program's own exit status, 128 + its number where a signal ended it.", lap_command_run},
    {LAP_COMMAND_RECORD, "record", "-- PROGRAM [ARGUMENT...]", 1, -1, LAP_COMPLETE_PROGRAM, NULL, "record a program",
     "Ends with the program's own exit status, 128 + its number where a signal ended it.", lap_command_record},
    {LAP_COMMAND_REPORT, "report", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "where the time went: the tree of profilers and laps",
     "Without RECORDING: the newest lapmark-recording* of the current directory.", lap_command_report},
    {LAP_COMMAND_SHOW, "show", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "what the profilers printed, or would have",
     "Without RECORDING: the newest lapmark-recording* of the current directory.", lap_command_show},
    {LAP_COMMAND_SLOWEST, "slowest", "[NAME] [RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "the slowest instances, each with all its laps",
     "NAME is a glob that the profiler's message or function matches; a directory or trace of that name\n"
     "is taken for a recording. Without RECORDING: the newest lapmark-recording* of the current directory.",
     lap_command_slowest},
    {LAP_COMMAND_CALLS, "calls", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "where the time of calls to other processes went",
     "Without RECORDING: the newest lapmark-recording* of the current directory.", lap_command_calls},
    {LAP_COMMAND_DIFF, "diff", "BASE... -- NEW...", 2, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "what got slower or faster between runs, and why",
     "Each BASE and NEW is the recording of one run; without '--' there is one of each. Several a side\n"
     "tell a change from the noise between runs.",
     lap_command_diff},
    {LAP_COMMAND_GATE, "gate", "[[BASE...] -- NEW...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "is anything slower than before? for CI",
     "Runs the commands of --base and --new in turn, or takes recordings, each of one run: BASE\n"
     "before '--', NEW behind it.\n"
     "Exit status 0: nothing is slower, 1: something is, 2: it cannot be said, or trouble.",
     lap_command_gate},
    {LAP_COMMAND_SCALING, "scaling", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "how costs grow with sizes, and what scans in a loop",
     "Sizes are the n of checkpoints and profilers, else the numbers in their messages, else counts.\n"
     "Without RECORDING: the newest lapmark-recording* of the current directory.",
     lap_command_scaling},
    {LAP_COMMAND_EXPORT, "export", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "a recording in the format of another tool",
     "Without RECORDING: the newest lapmark-recording* of the current directory.", lap_command_export},
    {LAP_COMMAND_SQL, "sql", "[RECORDING...] SQL", 0, -1, LAP_COMPLETE_DIRECTORY, NULL, "answer a question in SQL",
     "SQL is one SELECT, over the tables and views of 'lapmark sql --schema'; RECORDING may be a file of\n"
     "'lapmark export --format sqlite'. Without RECORDING: the newest lapmark-recording* of the current\n"
     "directory.",
     lap_command_sql},
    {LAP_COMMAND_CHECK, "check", "[RECORDING...]", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "is a recording sound? what is lost, what was still open?",
     "Exit status 0: sound, 1: not, 2: trouble.\n"
     "Without RECORDING: the newest lapmark-recording* of the current directory.",
     lap_command_check},
    {LAP_COMMAND_CTL, "ctl", "PID|DIR [TERMS]", 1, 2, LAP_COMPLETE_DIRECTORY, NULL,
     "list or switch the profilers of a running process",
     "TERMS are those of the LAPMARK variable: GLOB[:THRESHOLD], -GLOB, off; behind '--' where the first\n"
     "has a dash. They hold at once for all threads, and for sites that are met later. Without TERMS and\n"
     "options: lists the sites that were met. The process must be recording; DIR is where it does.",
     lap_command_ctl},
    {LAP_COMMAND_TOP, "top", "[PID|DIR]...", 0, -1, LAP_COMPLETE_DIRECTORY, NULL,
     "what running processes do now, once a second",
     "Without PID or DIR: all of this user's processes that are being recorded. Where standard output is\n"
     "no terminal it prints each look as text.",
     lap_command_top},
    {LAP_COMMAND_SNAPSHOT, "snapshot", "PID|DIR", 1, 1, LAP_COMPLETE_DIRECTORY, NULL,
     "keep what the rings of a running process hold now",
     "The process is neither stopped nor told; it must be recording, and DIR is where it does. A snapshot\n"
     "is a recording that all commands read.",
     lap_command_snapshot},
    {LAP_COMMAND_COMPLETION, "completion", "SHELL", 1, 1, LAP_COMPLETE_WORDS, "bash zsh",
     "print a shell's completion of this command", "SHELL is bash or zsh. To try it: eval \"$(lapmark completion bash)\"",
     lap_command_completion},
    {LAP_COMMAND_VERSION, "version", "", 0, 0, LAP_COMPLETE_NOTHING, NULL, "print the version", NULL,
     lap_command_version},
    {LAP_COMMAND_HELP, "help", "[COMMAND]", 0, 1, LAP_COMPLETE_COMMAND, NULL, "print the help of a command", NULL,
     lap_command_help},
};
const size_t lap_commands_count = sizeof lap_commands / sizeof *lap_commands;

const struct lap_command *lap_command_find(const char *name)
{
    for (size_t i = 0; i < lap_commands_count; i++)
        if (strcmp(lap_commands[i].name, name) == 0)
            return &lap_commands[i];
    return NULL;
}

/* ---- the nearest match ---- */

enum { NEAR_BYTES = 32 };

/* Damerau-Levenshtein, one transposition counting one (Boytsov 2011, "optimal string alignment"). */
static unsigned distance(const char *left, const char *right)
{
    const size_t rows = strlen(left);
    const size_t columns = strlen(right);
    if (rows >= NEAR_BYTES || columns >= NEAR_BYTES)
        return NEAR_BYTES;
    unsigned table[NEAR_BYTES + 1][NEAR_BYTES + 1];
    for (size_t i = 0; i <= rows; i++)
        table[i][0] = (unsigned)i;
    for (size_t j = 0; j <= columns; j++)
        table[0][j] = (unsigned)j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            unsigned best = table[i - 1][j - 1] + (left[i - 1] != right[j - 1]);
            if (table[i - 1][j] + 1 < best)
                best = table[i - 1][j] + 1;
            if (table[i][j - 1] + 1 < best)
                best = table[i][j - 1] + 1;
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] &&
                table[i - 2][j - 2] + 1 < best)
                best = table[i - 2][j - 2] + 1;
            table[i][j] = best;
        }
    }
    return table[rows][columns];
}

struct nearest {
    const char *typed;
    const char *name;
    unsigned distance;
};

static void nearest_offer(struct nearest *nearest, const char *name)
{
    const size_t length = strlen(nearest->typed);
    unsigned d = distance(nearest->typed, name);
    if (length >= 2 && strncmp(nearest->typed, name, length) == 0)
        d = 1;
    if (d <= 1 + length / 4 && d < nearest->distance) {
        nearest->distance = d;
        nearest->name = name;
    }
}

const char *lap_command_nearest(const char *name)
{
    struct nearest nearest = {name, NULL, NEAR_BYTES};
    for (size_t i = 0; i < lap_commands_count; i++)
        nearest_offer(&nearest, lap_commands[i].name);
    return nearest.name;
}

static bool takes(const struct lap_command *command, const struct lap_option *option)
{
    return option->commands & (uint32_t)(command ? command->bit : LAP_COMMAND_NONE);
}

/* ---- parsing ---- */

enum { LONG_FIRST = 256 };

/* What getopt_long calls '?', said in words: it does not tell which of its complaints it had. */
int lap_option_complain(const struct lap_command *command, const char *word)
{
    char name[NEAR_BYTES * 2];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    if (strncmp(name, "--", 2) != 0)
        return lap_message_trouble("unknown option '-%c'", command ? optopt : word[1]);
    unsigned matches = 0;
    bool exact = false;
    struct nearest nearest = {name + 2, NULL, NEAR_BYTES};
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (!takes(command, option))
            continue;
        nearest_offer(&nearest, option->name);
        matches += strncmp(option->name, name + 2, strlen(name + 2)) == 0;
        exact |= strcmp(option->name, name + 2) == 0;
    }
    if ((exact || matches == 1) && strchr(word, '='))
        return lap_message_trouble("option '%s' takes no argument", name);
    if (matches > 1)
        return lap_message_trouble("option '%s' could be several", name);
    if (nearest.name)
        return lap_message_trouble("unknown option '%s'; did you mean '--%s'?", name, nearest.name);
    return lap_message_trouble("unknown option '%s'", name);
}

static int check_operands(const struct lap_arguments *arguments)
{
    const struct lap_command *const command = arguments->command;
    if (arguments->operand_count < command->operands_min) {
        const char *const missing = command->completion == LAP_COMPLETE_PROGRAM ? "a program to run" : command->operands;
        return lap_message_trouble("'%s' needs %s; see 'lapmark help %s'", command->name, missing, command->name);
    }
    if (command->operands_max >= 0 && arguments->operand_count > command->operands_max)
        return lap_message_trouble("'%s' does not take '%s'; see 'lapmark help %s'", command->name,
                                   arguments->operands[command->operands_max], command->name);
    return 0;
}

static int parse(struct lap_arguments *ret_arguments, const struct lap_command *command, int argc, char **argv)
{
    struct option longs[LAP_OPTIONS * 2];
    char letters[2 + LAP_OPTIONS * 4] = {command->completion == LAP_COMPLETE_PROGRAM ? '+' : '-', ':'};
    size_t long_count = 0;
    size_t letter_count = 2;
    if (letters[0] == '-') {
        letters[0] = ':';
        letter_count = 1;
    }
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (!takes(command, option))
            continue;
        const int has = option->argument ? required_argument : no_argument;
        longs[long_count++] = (struct option){option->name, has, NULL, LONG_FIRST + (int)i};
        if (option->letter) {
            letters[letter_count++] = option->letter;
            if (option->argument)
                letters[letter_count++] = ':';
        }
    }
    longs[long_count] = (struct option){0};
    letters[letter_count] = 0;

    struct lap_arguments arguments = {.command = command};
    opterr = 0;
    optind = 0;
    for (;;) {
        const int before = optind == 0 ? 1 : optind;
        const int found = getopt_long(argc, argv, letters, longs, NULL);
        if (found < 0)
            break;
        if (found == '?')
            return lap_option_complain(command, argv[optopt != 0 && optopt < LONG_FIRST ? before : optind - 1]);
        if (found == ':')
            return lap_message_trouble("option '%s' needs an argument", argv[optind - 1]);
        for (size_t i = 0; i < lap_options_count; i++) {
            const struct lap_option *const option = &lap_options[i];
            if (!takes(command, option) || (found >= LONG_FIRST ? found != LONG_FIRST + (int)i : found != option->letter))
                continue;
            arguments.given[option->id] = true;
            arguments.values[option->id] = option->argument ? optarg : NULL;
        }
    }
    arguments.operands = argv + optind;
    arguments.operand_count = argc - optind;
    arguments.operands_before = arguments.operand_count;
    *ret_arguments = arguments;
    return 0;
}

/* Takes the first "--" out of what a command of two sides is given: there it does not end the options. Returns its place, or 0. */
static int separator_take(const struct lap_command *command, int argc, char **argv)
{
    for (int i = 1; i < argc && (command->bit & TWO_SIDED); i++)
        if (strcmp(argv[i], "--") == 0) {
            memmove(argv + i, argv + i + 1, (size_t)(argc - i) * sizeof *argv);
            return i;
        }
    return 0;
}

int lap_arguments_parse(struct lap_arguments *ret_arguments, const struct lap_command *command, int argc, char **argv)
{
    struct lap_arguments arguments, before = {0};
    const int separator = separator_take(command, argc, argv);
    if (separator > 0 && parse(&before, command, separator, argv) != 0)
        return LAP_EXIT_TROUBLE;
    if (parse(&arguments, command, argc - (separator > 0), argv) != 0)
        return LAP_EXIT_TROUBLE;
    if (separator > 0)
        arguments.operands_before = before.operand_count;
    if (!arguments.given[LAP_OPTION_HELP] && check_operands(&arguments) != 0)
        return LAP_EXIT_TROUBLE;
    *ret_arguments = arguments;
    return 0;
}

/* ---- help ---- */

enum { HELP_COLUMN = 24, HELP_WIDTH = 80 };

/* `text` from the column on, wrapped; the cursor stands at `at`. */
static void wrap(FILE *out, size_t at, const char *text)
{
    if (at + 2 > HELP_COLUMN) {
        fputc('\n', out);
        at = 0;
    }
    fprintf(out, "%*s", (int)(HELP_COLUMN - at), "");
    size_t column = HELP_COLUMN;
    while (*text) {
        const size_t word = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, word, out);
        column += word;
        text += word + (text[word] == ' ');
    }
    fputc('\n', out);
}

static void help_options(FILE *out, const struct lap_command *command)
{
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (!takes(command, option))
            continue;
        int at = option->letter ? fprintf(out, "  -%c, --%s", option->letter, option->name)
                                : fprintf(out, "      --%s", option->name);
        if (option->argument)
            at += fprintf(out, " %s", option->argument);
        char text[256];
        if (option->words) {
            snprintf(text, sizeof text, "%s (%s)", option->help, option->words);
            for (char *space = strrchr(text, '('); (space = strchr(space, ' ')) != NULL;)
                *space = '|';
        } else {
            snprintf(text, sizeof text, "%s", option->help);
        }
        wrap(out, (size_t)at, text);
    }
}

void lap_help_print(FILE *out, const struct lap_command *command)
{
    if (command) {
        fprintf(out, "usage: lapmark %s [OPTION...]%s%s\n", command->name, *command->operands ? " " : "",
                command->operands);
        fprintf(out, "%c%s\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
        if (command->about)
            fprintf(out, "\n%s\n", command->about);
        fputc('\n', out);
        help_options(out, command);
        return;
    }
    fputs("usage: lapmark COMMAND [OPTION...] [ARGUMENT...]\n"
          "Records where the time of a program goes, by its own profilers and checkpoints, and reports it\n\n",
          out);
    for (size_t i = 0; i < lap_commands_count; i++)
        wrap(out, (size_t)fprintf(out, "  %s", lap_commands[i].name), lap_commands[i].summary);
    fputc('\n', out);
    help_options(out, NULL);
    fputs("\n'lapmark help COMMAND' says more, and 'man lapmark' all of it.\n", out);
}
