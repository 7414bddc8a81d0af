/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "settings.h"

#include "lapmark/call.h"

#include "printer.h"
#include "ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_BYTES_DEFAULT (UINT64_C(4) << 20)
#define MEMORY_BYTES_DEFAULT (UINT64_C(64) << 20)
#define GROUP_SHARE 4 /* of a control group's memory that is not more than this many times as much, its share is taken */
#define MEMORY_BYTES_MIN (UINT64_C(256) << 10) /* a ring has room in it */

static void warn_value(const char *name, const char *value, const char *where)
{
    char line[512];
    snprintf(line, sizeof line, "lapmark: cannot read %s='%.200s' at '%.60s'; it is ignored\n", name, value, where);
    lap_printer_say(line);
}

static void setting_size(const char *name, uint64_t *size_bytes)
{
    const char *const value = secure_getenv(name);
    if (value && lap_switches_parse_size(value, size_bytes) < 0)
        warn_value(name, value, value);
}

/* Is the variable `word`? Anything but that and `other` is said to be unknown. */
static int setting_is(const char *name, const char *word, const char *other)
{
    const char *const value = secure_getenv(name);
    if (!value || !*value || strcmp(value, other) == 0)
        return 0;
    if (strcmp(value, word) == 0)
        return 1;
    warn_value(name, value, value);
    return 0;
}

/* Words with commas between them: bit 0 for the first of `words`, and so on. */
static uint32_t setting_words(const char *name, const char *const *words, size_t count)
{
    const char *const value = secure_getenv(name);
    uint32_t found = 0;
    for (const char *at = value; at && *at; at += *at == ',') {
        const size_t length = strcspn(at, ",");
        size_t i = 0;
        while (i < count && (strlen(words[i]) != length || memcmp(words[i], at, length) != 0))
            i++;
        if (i == count && (length != strlen("nothing") || memcmp(at, "nothing", length) != 0)) {
            warn_value(name, value, at);
            return 0;
        }
        found |= i < count ? 1u << i : 0;
        at += length;
    }
    return found;
}

/* What a segment of a ring of so many bytes has: whole blocks, within the format's bounds. */
static uint64_t segment_bytes(uint64_t ring_bytes)
{
    const uint64_t bytes = ring_bytes / LAP_RING_SEGMENTS;
    if (bytes < LAP_FORMAT_SEGMENT_BYTES_MIN)
        return LAP_FORMAT_SEGMENT_BYTES_MIN;
    if (bytes > LAP_FORMAT_SEGMENT_BYTES_MAX)
        return LAP_FORMAT_SEGMENT_BYTES_MAX;
    return (bytes + LAP_RING_BLOCK_BYTES - 1) & ~(uint64_t)(LAP_RING_BLOCK_BYTES - 1);
}

/* The default bound: less where the control group, which a container has, may have little itself. */
static uint64_t memory_default(void)
{
    char groups[4096], path[4352], text[32];
    uint64_t least = MEMORY_BYTES_DEFAULT;
    lap_storage_read_text("/proc/self/cgroup", groups, sizeof groups);
    for (char *line = groups, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = 0;
        const char *const is_old = strstr(line, ":memory:"), *const group = strrchr(line, ':');
        if (!is_old && strncmp(line, "0::", 3) != 0)
            continue;
        /* Its place, or in a container that does not show that, the top. */
        for (int top = 0; top < 2; top++) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/memory.%s", is_old ? "/memory" : "", top ? "" : group + 1,
                     is_old ? "limit_in_bytes" : "max");
            lap_storage_read_text(path, text, sizeof text);
            const uint64_t limit = strtoull(text, NULL, 10); /* 0: none, or "max" */
            if (limit != 0 && limit / GROUP_SHARE < least)
                least = limit / GROUP_SHARE;
        }
    }
    return least;
}

void lap_settings_read(struct lap_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    uint64_t ring_bytes = RING_BYTES_DEFAULT;
    settings->memory_bytes = memory_default();
    const char *const terms = secure_getenv("LAPMARK");
    const char *where = "";
    if (terms && lap_switches_add(&settings->switches, terms, 1, &where) < 0)
        warn_value("LAPMARK", terms, where);
    const char *const directory = secure_getenv("LAPMARK_RECORD");
    if (directory && *directory && lap_storage_absolute(settings->directory, directory) < 0)
        warn_value("LAPMARK_RECORD", directory, directory);
    settings->is_full = setting_is("LAPMARK_MODE", "full", "flight");
    settings->keeps_slow = setting_is("LAPMARK_KEEP", "slow", "all");
    settings->has_prefix = setting_is("LAPMARK_PREFIX", "on", "off");
    settings->shares = setting_words("LAPMARK_SHARE", (const char *const[]){"domain", "laps"}, 2);
    settings->accepts = setting_words("LAPMARK_ACCEPT", (const char *const[]){"slow", "threshold"}, 2);
    setting_size("LAPMARK_RING", &ring_bytes);
    settings->segment_bytes = segment_bytes(ring_bytes);
    setting_size("LAPMARK_MEMORY", &settings->memory_bytes);
    if (settings->memory_bytes < MEMORY_BYTES_MIN)
        settings->memory_bytes = MEMORY_BYTES_MIN;
    setting_size("LAPMARK_DISK", &settings->disk_bytes);
    const char *const last = secure_getenv("LAPMARK_SNAPSHOT");
    if (last && *last && lap_switches_parse_duration(last, &settings->breach_last_ns) < 0)
        warn_value("LAPMARK_SNAPSHOT", last, last);
    const char *const print = secure_getenv("LAPMARK_PRINT");
    settings->prints = !print || strcmp(print, "off") != 0;
    if (lap_printer_configure(print) < 0)
        warn_value("LAPMARK_PRINT", print, print);
}
