/* SPDX-License-Identifier: MIT
 *
 * The one table of commands and the one of options. Parsing, help, the shells' completions and the test that compares
 * help with the manual pages are all made from these two. Cold; one thread.
 */
#ifndef LAP_OPTIONS_H
#define LAP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum lap_option_id {
    LAP_OPTION_HELP = 0,
    LAP_OPTION_VERSION,
    LAP_OPTION_OUTPUT,
    LAP_OPTION_PRINT,
    LAP_OPTION_FULL,
    LAP_OPTION_RING,
    LAP_OPTION_DISK,
    LAP_OPTION_MEMORY,
    LAP_OPTION_KEEP,
    LAP_OPTION_FILTER,
    LAP_OPTION_BY,
    LAP_OPTION_EVENTS,
    LAP_OPTION_NAME,
    LAP_OPTION_THREAD,
    LAP_OPTION_SINCE,
    LAP_OPTION_UNTIL,
    LAP_OPTION_MIN_DURATION,
    LAP_OPTION_COUNT,
    LAP_OPTION_INTERVAL,
    LAP_OPTION_ONCE,
    LAP_OPTION_LAST,
    LAP_OPTION_SNAPSHOT,
    LAP_OPTION_SLOWEST,
    LAP_OPTION_MERGE,
    LAP_OPTION_BASE,
    LAP_OPTION_NEW,
    LAP_OPTION_MAX_SLOWDOWN,
    LAP_OPTION_MIN_EFFECT,
    LAP_OPTION_MAX_TIME,
    LAP_OPTION_REQUIRE_POWER,
    LAP_OPTION_BASELINE,
    LAP_OPTION_WRITE_BASELINE,
    LAP_OPTION_MARKDOWN,
    LAP_OPTION_JUNIT,
    LAP_OPTION_JSON,
    LAP_OPTION_HTML,
    LAP_OPTION_FORMAT,
    LAP_OPTION_SCHEMA,
    LAP_OPTIONS
};

/* What a shell offers for an argument. */
enum lap_completion {
    LAP_COMPLETE_NOTHING,
    LAP_COMPLETE_DIRECTORY, /* recordings are directories */
    LAP_COMPLETE_WORDS,     /* the words of the table */
    LAP_COMPLETE_PROGRAM,   /* a program and its arguments */
    LAP_COMPLETE_COMMAND    /* a command of this table */
};

struct lap_option {
    enum lap_option_id id;
    char letter;          /* 0: has none */
    const char *name;     /* without its dashes */
    const char *argument; /* as help shows it; NULL: takes none */
    enum lap_completion completion;
    const char *words; /* what it may be, separated by spaces, or NULL */
    const char *help;
    uint32_t commands; /* bits of enum lap_command_bit */
};

enum lap_command_bit {
    LAP_COMMAND_NONE = 1, /* before any command */
    LAP_COMMAND_RUN = 2,
    LAP_COMMAND_RECORD = 4,
    LAP_COMMAND_REPORT = 8,
    LAP_COMMAND_SHOW = 16,
    LAP_COMMAND_SLOWEST = 32,
    LAP_COMMAND_CHECK = 64,
    LAP_COMMAND_COMPLETION = 128,
    LAP_COMMAND_VERSION = 256,
    LAP_COMMAND_HELP = 512,
    LAP_COMMAND_CTL = 1024,
    LAP_COMMAND_TOP = 2048,
    LAP_COMMAND_SNAPSHOT = 4096,
    LAP_COMMAND_CALLS = 8192,
    LAP_COMMAND_DIFF = 16384,
    LAP_COMMAND_SCALING = 65536,
    LAP_COMMAND_EXPORT = 131072,
    LAP_COMMAND_SQL = 1 << 18,
    LAP_COMMAND_GATE = 1 << 20
};

/* A command line, taken apart. Points into argv. */
struct lap_arguments {
    const struct lap_command *command;
    bool given[LAP_OPTIONS];
    const char *values[LAP_OPTIONS]; /* NULL where not given or without argument */
    char **operands;                 /* ended by NULL */
    int operand_count;
    int operands_before; /* of a command of two sides: how many are in front of "--"; all where there is none */
};

struct lap_command {
    enum lap_command_bit bit;
    const char *name;
    const char *operands; /* as help shows them */
    int operands_min;
    int operands_max; /* -1: any number */
    enum lap_completion completion;
    const char *words;
    const char *summary;                               /* one line, for the list of commands */
    const char *about;                                 /* further lines for its own help, or NULL */
    int (*run)(const struct lap_arguments *arguments); /* returns the exit status */
};

extern const struct lap_option lap_options[];
extern const size_t lap_options_count;
extern const struct lap_command lap_commands[];
extern const size_t lap_commands_count;

/* NULL if there is none of that name. */
const struct lap_command *lap_command_find(const char *name);
/* The nearest command to what was typed; NULL if none is near. */
const char *lap_command_nearest(const char *name);

/* Takes a command's part of argv apart: argv[0] is its name. Returns 0, or 2 with the message written. */
int lap_arguments_parse(struct lap_arguments *ret_arguments, const struct lap_command *command, int argc, char **argv);

/* Says what is wrong with an option of the command's (NULL: of the program's). Returns 2. */
int lap_option_complain(const struct lap_command *command, const char *word);

/* A command's help; NULL is the program's. */
void lap_help_print(FILE *out, const struct lap_command *command);

/* Values. Each returns 0, or 2 with the message written; *ret_value stays where the option is not given. */
int lap_arguments_size(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_bytes);
int lap_arguments_duration(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_ns);
int lap_arguments_count(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_count);
/* "5%" is 0.05. */
int lap_arguments_percent(const struct lap_arguments *arguments, enum lap_option_id id, double *ret_share);
/* The index of the value among the option's words. */
int lap_arguments_word(const struct lap_arguments *arguments, enum lap_option_id id, int *ret_index);

/* A moment: `relative` nanoseconds from the recording's start (its end if negative), or of the wall clock. */
struct lap_moment {
    bool given;
    bool is_wall_clock;
    int64_t ns;
};
int lap_arguments_moment(const struct lap_arguments *arguments, enum lap_option_id id, struct lap_moment *ret_moment);

#endif
