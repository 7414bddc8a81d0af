/* SPDX-License-Identifier: MIT
 *
 * What stands behind an option, from text to number.
 */
#define _GNU_SOURCE
#include "message.h"
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit sizes[] = {{"", 1},         {"B", 1},      {"K", 0x1p10},   {"KiB", 0x1p10}, {"M", 0x1p20},
                                    {"MiB", 0x1p20}, {"G", 0x1p30}, {"GiB", 0x1p30}, {NULL, 0}};
static const struct unit durations[] = {{"ns", 1},     {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6}, {"s", 1e9},
                                        {"min", 60e9}, {"m", 60e9}, {"h", 3600e9},      {"", 1e9},   {NULL, 0}};

static const char *long_name(const struct lap_arguments *arguments, enum lap_option_id id)
{
    for (size_t i = 0; i < lap_options_count; i++)
        if (lap_options[i].id == id && lap_options[i].commands & (uint32_t)arguments->command->bit)
            return lap_options[i].name;
    return "?";
}

/* A number and a unit, not negative, below 2^63. Returns false if it is none. */
static bool parse(const char *text, const struct unit *units, double *ret_value)
{
    if ((*text < '0' || *text > '9') && *text != '.')
        return false;
    if (text[0] == '0' && (text[1] | 32) == 'x')
        return false;
    char *end;
    const double number = strtod(text, &end);
    for (const struct unit *unit = units; end != text && unit->name; unit++) {
        if (strcmp(unit->name, end) == 0 && number * unit->factor < 0x1p63) {
            *ret_value = number * unit->factor;
            return true;
        }
    }
    return false;
}

int lap_arguments_size(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_bytes)
{
    double value;
    if (!arguments->given[id])
        return 0;
    if (!parse(arguments->values[id], sizes, &value) || value < 1)
        return lap_message_trouble("--%s: '%s' is no size such as 512K, 4M or 1G", long_name(arguments, id),
                                   arguments->values[id]);
    *ret_bytes = (uint64_t)value;
    return 0;
}

int lap_arguments_duration(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_ns)
{
    double value;
    if (!arguments->given[id])
        return 0;
    if (!parse(arguments->values[id], durations, &value))
        return lap_message_trouble("--%s: '%s' is no duration such as 250us, 5ms or 1.5s", long_name(arguments, id),
                                   arguments->values[id]);
    *ret_ns = (uint64_t)value;
    return 0;
}

int lap_arguments_count(const struct lap_arguments *arguments, enum lap_option_id id, uint64_t *ret_count)
{
    if (!arguments->given[id])
        return 0;
    const char *const text = arguments->values[id];
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value == 0)
        return lap_message_trouble("--%s: '%s' is no number from 1 on", long_name(arguments, id), text);
    *ret_count = value;
    return 0;
}

int lap_arguments_percent(const struct lap_arguments *arguments, enum lap_option_id id, double *ret_share)
{
    static const struct unit percents[] = {{"%", 0.01}, {NULL, 0}};
    double value;
    if (!arguments->given[id])
        return 0;
    if (!parse(arguments->values[id], percents, &value) || value <= 0)
        return lap_message_trouble("--%s: '%s' is no percentage above 0 such as 5%% or 2.5%%", long_name(arguments, id),
                                   arguments->values[id]);
    *ret_share = value;
    return 0;
}

int lap_arguments_word(const struct lap_arguments *arguments, enum lap_option_id id, int *ret_index)
{
    if (!arguments->given[id])
        return 0;
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (option->id != id || !(option->commands & (uint32_t)arguments->command->bit))
            continue;
        const char *word = option->words;
        for (int index = 0; *word; index++) {
            const size_t length = strcspn(word, " ");
            if (length == strlen(arguments->values[id]) && strncmp(word, arguments->values[id], length) == 0) {
                *ret_index = index;
                return 0;
            }
            word += length + (word[length] == ' ');
        }
        return lap_message_trouble("--%s: '%s' is none of: %s", option->name, arguments->values[id], option->words);
    }
    return 0;
}

/* "[2026-11-22 ]14:03[:05[.25]]", local time; without a date today's. */
static bool parse_wall_clock(const char *text, int64_t *ret_ns)
{
    const time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && (*end == 'T' || *end == ' '))
        text = end + 1;
    tm.tm_sec = 0;
    end = strptime(text, "%H:%M", &tm);
    if (!end)
        return false;
    double seconds = 0;
    if (*end == ':') {
        char *rest;
        if (end[1] < '0' || end[1] > '9')
            return false;
        seconds = strtod(end + 1, &rest);
        end = rest;
    }
    if (*end || !(seconds < 61))
        return false;
    tm.tm_isdst = -1;
    const time_t minute = mktime(&tm);
    if (minute == (time_t)-1)
        return false;
    *ret_ns = (int64_t)minute * 1000000000 + (int64_t)llround(seconds * 1e9);
    return true;
}

int lap_arguments_moment(const struct lap_arguments *arguments, enum lap_option_id id, struct lap_moment *ret_moment)
{
    if (!arguments->given[id])
        return 0;
    const char *const text = arguments->values[id];
    struct lap_moment moment = {.given = true};
    double value;
    if (parse(text + (*text == '-'), durations, &value)) {
        moment.ns = (int64_t)(*text == '-' ? -value : value);
    } else if (parse_wall_clock(text, &moment.ns)) {
        moment.is_wall_clock = true;
    } else {
        return lap_message_trouble("--%s: '%s' is no time such as 1.5s, -200ms or 14:03:05", long_name(arguments, id),
                                   text);
    }
    *ret_moment = moment;
    return 0;
}
