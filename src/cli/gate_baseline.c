/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "gate_baseline.h"

#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FORMAT "lapmark baseline 1"
enum { VALUE_BYTES = 256, LABELS_MAX = 256, RUN_FIELDS = 7, RUNS_MAX = 1000000 };

/* ---- the machine ---- */

enum { MACHINE_CPU, MACHINE_CORES, MACHINE_KERNEL, MACHINE_CLOCK, MACHINE_PARTS };
static const char *const part_names[MACHINE_PARTS] = {"cpu", "cores", "kernel", "clock"};

struct machine {
    char parts[MACHINE_PARTS][VALUE_BYTES];
};

/* What stands behind the colon in the first line that begins so; or the whole first line, without a name. */
static void read_line_of(char value[VALUE_BYTES], const char *file, const char *name)
{
    FILE *const in = fopen(file, "r");
    char line[VALUE_BYTES + 64];
    snprintf(value, VALUE_BYTES, "unknown");
    while (in && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        const char *const colon = strchr(line, ':');
        if (name && (strncmp(line, name, strlen(name)) != 0 || !colon))
            continue;
        snprintf(value, VALUE_BYTES, "%.*s", VALUE_BYTES - 1, name ? colon + 1 + strspn(colon + 1, " \t") : line);
        break;
    }
    if (in)
        fclose(in);
}

static void find_machine(struct machine *machine)
{
    struct utsname system;
    read_line_of(machine->parts[MACHINE_CPU], "/proc/cpuinfo", "model name");
    snprintf(machine->parts[MACHINE_CORES], VALUE_BYTES, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    snprintf(machine->parts[MACHINE_KERNEL], VALUE_BYTES, "%s", uname(&system) == 0 ? system.release : "unknown");
    read_line_of(machine->parts[MACHINE_CLOCK], "/sys/devices/system/clocksource/clocksource0/current_clocksource", NULL);
    for (int part = 0; part < MACHINE_PARTS; part++)
        for (char *at = machine->parts[part]; *at; at++)
            if (*at == '\t')
                *at = ' ';
}

/* ---- writing ---- */

static void write_label(FILE *out, const char *label)
{
    fputc('\t', out);
    for (; *label; label++)
        switch (*label) {
        case '\t': fputs("\\t", out); break;
        case '\n': fputs("\\n", out); break;
        case '\r': fputs("\\r", out); break;
        case '\\': fputs("\\\\", out); break;
        default: fputc(*label, out);
        }
}

static const char *const kinds[] = {
    [LAP_SUMMARY_PROFILER] = "profiler", [LAP_SUMMARY_LAP] = "lap", [LAP_SUMMARY_REST] = "rest"};
enum { KINDS = sizeof kinds / sizeof *kinds };

int lap_gate_baseline_write(const struct lap_gate_runs *runs, enum lap_gate_side side, const char *file)
{
    struct machine machine;
    FILE *const out = fopen(file, "w");
    if (!out)
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    find_machine(&machine);
    fputs(FORMAT "\n", out);
    for (int part = 0; part < MACHINE_PARTS; part++)
        fprintf(out, "machine\t%s\t%s\n", part_names[part], machine.parts[part]);
    fputs("# run, number, kind, count, mean_ns, p50_ns, p99_ns, labels\n", out);
    for (size_t run = 0; run < runs->counts[side]; run++)
        for (size_t path = 0; path < runs->path_count; path++) {
            const struct lap_gate_cell cell = lap_gate_runs_get(runs, side, run, path);
            if (cell.count == 0)
                continue;
            fprintf(out, "run\t%zu\t%s\t%" PRIu64 "\t%.1f\t%.1f\t%.1f", run, kinds[runs->paths[path].kind], cell.count,
                    cell.mean_ns, cell.p50_ns, cell.p99_ns);
            for (size_t i = 0; i < runs->paths[path].depth; i++)
                write_label(out, runs->paths[path].labels[i]);
            fputc('\n', out);
        }
    if (ferror(out) | fclose(out))
        return lap_message_trouble("cannot write '%s': %s", file, lap_message_reason(errno));
    return 0;
}

/* ---- reading ---- */

struct reading {
    const char *file;
    size_t line;
    struct lap_gate_runs *runs;
    enum lap_gate_side side;
    struct machine machine;
    bool has_part[MACHINE_PARTS];
};

static int complain(const struct reading *reading, const char *what)
{
    return lap_message_trouble("cannot read '%s': line %zu: %s; 'lapmark gate --write-baseline' makes one", reading->file,
                               reading->line, what);
}

/* In place. Returns false on a backslash that means nothing. */
static bool unescape(char *label)
{
    char *to = label;
    for (const char *from = label; *from; from++) {
        if (*from == '\\') {
            const char *const found = strchr("t\tn\nr\r\\\\", *++from);
            if (*from == 0 || !found)
                return false;
            *to++ = found[*from == '\\' ? 0 : 1];
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return true;
}

static bool read_count(const char *text, uint64_t greatest, uint64_t *ret_count)
{
    char *end;
    errno = 0;
    *ret_count = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *ret_count <= greatest;
}

static bool read_ns(const char *text, double *ret_ns)
{
    char *end;
    *ret_ns = strtod(text, &end);
    return *text >= '0' && *text <= '9' && *end == 0 && isfinite(*ret_ns);
}

static int read_machine(struct reading *reading, char **fields, size_t count)
{
    for (int part = 0; part < MACHINE_PARTS && count == 3; part++)
        if (strcmp(fields[1], part_names[part]) == 0 && !reading->has_part[part]) {
            reading->has_part[part] = true;
            if (strcmp(fields[2], reading->machine.parts[part]) == 0)
                return 0;
            return lap_message_trouble(
                "'%s' is of another machine: its %s is '%s', here it is '%s'; times of two machines cannot be "
                "compared: write a baseline here",
                reading->file, fields[1], fields[2], reading->machine.parts[part]);
        }
    return complain(reading, "no 'machine' line with a name and a value");
}

static int read_run(struct reading *reading, char **fields, size_t count)
{
    uint64_t number;
    struct lap_gate_cell cell;
    int kind = 0;
    if (count <= RUN_FIELDS)
        return complain(reading, "a 'run' line has at least 8 fields");
    while (kind < KINDS && strcmp(fields[2], kinds[kind]) != 0)
        kind++;
    if (!read_count(fields[1], RUNS_MAX, &number) || kind == KINDS || !read_count(fields[3], INT64_MAX, &cell.count) ||
        cell.count == 0 || !read_ns(fields[4], &cell.mean_ns) || !read_ns(fields[5], &cell.p50_ns) ||
        !read_ns(fields[6], &cell.p99_ns))
        return complain(reading, "not: run, number, kind, count, mean_ns, p50_ns, p99_ns, labels");
    for (size_t i = RUN_FIELDS; i < count; i++)
        if (!unescape(fields[i]))
            return complain(reading, "a backslash that is none of \\t, \\n, \\r and \\\\");
    int error = 0;
    if (number == reading->runs->counts[reading->side])
        error = lap_gate_runs_add(reading->runs, reading->side);
    if (number + 1 != reading->runs->counts[reading->side])
        return complain(reading, "the runs are not numbered from 0 on");
    if (error == 0)
        error = lap_gate_runs_set(reading->runs, reading->side, (enum lap_summary_kind)kind,
                                  (const char *const *)fields + RUN_FIELDS, count - RUN_FIELDS, &cell);
    return error == 0 ? 0 : lap_message_trouble("cannot read '%s': %s", reading->file, lap_message_reason(error));
}

static int read_line(struct reading *reading, char *line)
{
    char *fields[RUN_FIELDS + LABELS_MAX];
    size_t count = 0;
    if (line[0] == '#' || line[0] == 0)
        return 0;
    for (char *rest = line; rest;) {
        if (count == sizeof fields / sizeof *fields)
            return complain(reading, "more fields than there can be");
        fields[count++] = strsep(&rest, "\t");
    }
    if (strcmp(fields[0], "machine") == 0)
        return read_machine(reading, fields, count);
    if (strcmp(fields[0], "run") == 0)
        return read_run(reading, fields, count);
    return complain(reading, "neither 'machine' nor 'run'");
}

static int read_lines(struct reading *reading, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    int status = 0;
    while (status == 0 && getline(&line, &room, in) >= 0) {
        reading->line++;
        line[strcspn(line, "\n")] = 0;
        if (reading->line == 1)
            status = strcmp(line, FORMAT) == 0 ? 0 : complain(reading, "it does not begin with '" FORMAT "'");
        else
            status = read_line(reading, line);
    }
    free(line);
    for (int part = 0; part < MACHINE_PARTS && status == 0; part++)
        if (!reading->has_part[part])
            status = complain(reading, "it ends without saying of which machine it is");
    if (status == 0 && reading->runs->counts[reading->side] == 0)
        status = complain(reading, "it ends without a run");
    return status;
}

int lap_gate_baseline_read(struct lap_gate_runs *runs, enum lap_gate_side side, const char *file)
{
    struct reading reading = {.file = file, .runs = runs, .side = side};
    FILE *const in = fopen(file, "r");
    if (!in)
        return lap_message_trouble("cannot open '%s': %s", file, lap_message_reason(errno));
    find_machine(&reading.machine);
    const int status = read_lines(&reading, in);
    fclose(in);
    return status;
}
