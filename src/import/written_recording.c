/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "written_recording.h"

#include "temporary_files.h"
#include "written_metadata.h"
#include "written_ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_MAX 4096u
#define RINGS_MAX 65536u
#define PID_MAX 0x3FFFFFFFu              /* readers take none that is greater */
#define ORIGIN_TICKS INT64_C(1000000000) /* of the trace's first time: 0 would be none */
#define PROGRAM_BYTES 64u
#define NAME_BYTES 39u

struct writing {
    struct lap_foreign_trace *trace;
    const struct lap_written_source *source;
    struct lap_foreign_classes classes;
    struct lap_foreign_layout layout;
    struct lap_written_process process;
    char program[PROGRAM_BYTES];
    char *command;
    struct lap_class *reader_classes;
    uint32_t rings;
};

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mixed(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

static void uuid_make(struct writing *writing, uint32_t process)
{
    const uint64_t halves[2] = {mixed(writing->source->seed + 2 * process),
                                mixed(writing->source->seed + 2 * process + 1)};
    memcpy(writing->process.uuid, halves, sizeof halves);
    writing->process.uuid[6] = (uint8_t)((writing->process.uuid[6] & 15) | 0x40); /* RFC 4122, version 4 */
    writing->process.uuid[8] = (uint8_t)((writing->process.uuid[8] & 0x3F) | 0x80);
}

static uint64_t pid_of(const struct writing *writing)
{
    const uint64_t pid = writing->trace->processes[writing->layout.process].pid;
    return pid <= PID_MAX ? pid : pid & PID_MAX;
}

static void program_find(struct writing *writing)
{
    const struct lap_foreign_process *const process = &writing->trace->processes[writing->layout.process];
    const char *const name =
        process->name != LAP_FOREIGN_NONE ? lap_foreign_texts_get(&writing->trace->names, process->name, NULL) : "";
    snprintf(writing->program, sizeof writing->program, "%s", *name ? name : "process");
}

/* The process's directory, with what no thread's ring is needed for. */
static int directory_make(struct writing *writing, char **ret_directory)
{
    char name[NAME_BYTES + 1], *side;
    snprintf(name, sizeof name, "%.*s", (int)NAME_BYTES, writing->program);
    for (char *at = name; *at; at++)
        if (*at == '/' || *at == ' ' || *at == '\n' || (*at == '.' && at == name))
            *at = '_';
    const uint8_t *const uuid = writing->process.uuid;
    if (asprintf(ret_directory, "%s/%s-%llu-%02x%02x%02x%02x", writing->source->place, name,
                 (unsigned long long)pid_of(writing), uuid[0], uuid[1], uuid[2], uuid[3]) < 0)
        return -ENOMEM;
    writing->process.directory = *ret_directory;
    if (asprintf(&side, "%s/.lapmark", *ret_directory) < 0)
        return -ENOMEM;
    int code = lap_temporary_directory(*ret_directory);
    if (code == 0)
        code = lap_temporary_directory(side);
    free(side);
    return code;
}

static int side_file_write(const struct writing *writing, const char *name, const void *bytes, size_t count)
{
    char *path;
    if (asprintf(&path, "%s/.lapmark/%s", writing->process.directory, name) < 0)
        return -ENOMEM;
    const int code = lap_temporary_file(path, bytes, count);
    free(path);
    return code;
}

/* The classes as a reader makes them of the metadata, for the statistics. */
static int classes_make(struct writing *writing)
{
    static const uint8_t kinds[LAP_FOREIGN_USES] = {LAP_CLASS_BEGIN_WITH, LAP_CLASS_HANDLE_BEGIN, LAP_CLASS_HANDLE_MARK};
    const struct lap_foreign_classes *const from = &writing->classes;
    const uint32_t count = LAP_FORMAT_FIRST_SITE_CLASS + from->count;
    struct lap_class *const classes = realloc(writing->reader_classes, count * sizeof *classes);
    if (!classes)
        return -ENOMEM;
    memset(classes, 0, count * sizeof *classes);
    lap_class_set_fixed(classes);
    for (uint32_t id = LAP_FORMAT_FIRST_SITE_CLASS; id < count; id++) {
        const struct lap_foreign_class *const class = lap_foreign_class_of(from, id);
        const bool is_plain = class->use == LAP_FOREIGN_AS_SCOPE && !class->has_n;
        classes[id].kind = is_plain ? LAP_CLASS_BEGIN : kinds[class->use];
        classes[id].args = class->numbers;
        if (class->form == LAP_FOREIGN_BY_TEXT)
            classes[id].flags = LAP_CLASS_TEXT;
        else
            classes[id].words = (uint8_t)(lap_class_fixed_words((enum lap_class_kind)classes[id].kind) + class->numbers);
    }
    writing->process.classes = writing->reader_classes = classes;
    writing->process.class_count = count;
    return 0;
}

static int rings_write(struct writing *writing)
{
    struct lap_foreign_trace *const trace = writing->trace;
    uint32_t threads = 0;
    int code = 0;
    for (uint32_t i = 0; i < trace->thread_count && code == 0; i++) {
        bool is_any = false;
        if (trace->threads[i].process != writing->layout.process)
            continue;
        if (writing->rings == RINGS_MAX) {
            trace->left_out[LAP_FOREIGN_TOO_MANY] += lap_written_ring_slices(&writing->process, i);
            continue;
        }
        trace->threads[i].index = threads++;
        code = lap_written_ring(&writing->process, i, writing->rings, &is_any);
        writing->rings += is_any;
    }
    return code;
}

static struct lap_format_clock_reading reading_at(const struct writing *writing, int64_t ns)
{
    const uint64_t ticks = lap_written_ticks(&writing->process, ns);
    return (struct lap_format_clock_reading){
        .ticks = ticks, .monotonic_ns = ticks, .realtime_ns = writing->process.origin_realtime_ns + ticks};
}

static int control_write(const struct writing *writing)
{
    struct lap_format_control control = {
        .magic = LAP_FORMAT_CONTROL_MAGIC,
        .version = LAP_FORMAT_VERSION,
        .header_bytes = LAP_FORMAT_CONTROL_HEADER_BYTES,
        .pid = pid_of(writing),
        .state = LAP_FORMAT_ENDED,
        .clock_source = LAP_FORMAT_CLOCK_MONOTONIC,
        .clock_hz = 1000000000,
        .clock_resolution_ticks = writing->trace->is_fine ? 1 : 1000,
        .start = reading_at(writing, writing->layout.first_ns),
        .end = reading_at(writing, writing->layout.last_ns),
        .segment_bytes = 1u << 20,
        .segments_each = 1,
        .rings = writing->rings,
        .full = 1,
        .clock_domain = mixed(~writing->source->seed) | 1, /* shared by a trace's processes, and by no other trace */
    };
    char page[LAP_FORMAT_CONTROL_HEADER_BYTES] = {0};
    memcpy(control.uuid, writing->process.uuid, sizeof control.uuid);
    snprintf((char *)control.program, sizeof control.program, "%s", writing->program);
    snprintf((char *)control.command, sizeof control.command, "%s", writing->command);
    memcpy(page, &control, sizeof control);
    return side_file_write(writing, "control", page, sizeof page);
}

static int process_write(struct writing *writing)
{
    char *directory = NULL;
    uuid_make(writing, writing->layout.process);
    program_find(writing);
    writing->rings = 0;
    const struct lap_written_facts facts = {writing->program, writing->command,
                                            writing->trace->processes[writing->layout.process].pid};
    int code = directory_make(writing, &directory);
    if (code == 0)
        code = classes_make(writing);
    if (code == 0)
        code = rings_write(writing);
    if (code == 0)
        code = lap_written_metadata(&writing->process, &facts);
    if (code == 0)
        code = side_file_write(writing, "paths", writing->layout.paths_memory,
                               sizeof(struct lap_format_paths) +
                                   writing->layout.paths.header->count * sizeof(struct lap_format_path));
    if (code == 0)
        code = control_write(writing);
    free(directory);
    return code;
}

/* When tick 0 was. Times of a clock that is not told are taken for such since 1970, which is what is known of them. */
static uint64_t origin_realtime(const struct lap_foreign_trace *trace)
{
    const int64_t first_ns = trace->first_ns + trace->realtime_shift_ns;
    return first_ns > ORIGIN_TICKS ? (uint64_t)(first_ns - ORIGIN_TICKS) : 0;
}

static int processes_write(struct writing *writing, size_t *ret_processes)
{
    struct lap_foreign_trace *const trace = writing->trace;
    int code = 0;
    for (uint32_t process = 0; process < trace->process_count && code == 0; process++) {
        code = lap_foreign_layout_process(&writing->layout, process);
        if (code == 0 && *ret_processes == PROCESSES_MAX)
            trace->left_out[LAP_FOREIGN_TOO_MANY] += writing->layout.slice_count;
        else if (code == 0 && writing->layout.slice_count > 0) {
            code = process_write(writing);
            ++*ret_processes;
        }
    }
    return code;
}

int lap_written_recording(struct lap_foreign_trace *trace, struct lap_foreign_slices *slices,
                          const struct lap_written_source *source, size_t *ret_processes)
{
    struct writing writing = {.trace = trace, .source = source};
    *ret_processes = 0;
    writing.process.origin_ns = trace->first_ns - ORIGIN_TICKS;
    writing.process.origin_realtime_ns = origin_realtime(trace);
    writing.process.layout = &writing.layout;
    int code = asprintf(&writing.command, "%s in '%s'", trace->format, source->file) < 0 ? -ENOMEM : 0;
    if (code == 0) {
        code = lap_foreign_classes_make(&writing.classes, trace);
        if (code == 0)
            code = lap_foreign_layout_make(&writing.layout, trace, slices, &writing.classes);
        if (code == 0)
            code = processes_write(&writing, ret_processes);
        lap_foreign_layout_done(&writing.layout);
        lap_foreign_classes_done(&writing.classes);
        free(writing.reader_classes);
        free(writing.command);
    }
    return code;
}
