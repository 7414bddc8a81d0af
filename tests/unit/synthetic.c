/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "synthetic.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PACKET_BYTES (1u << 20)
#define PACKET_HEADER_BYTES 37u

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "synthetic: %s '%s': %s\n", what, name, strerror(errno));
    abort();
}

static void *allocate(size_t bytes)
{
    void *const memory = calloc(1, bytes);
    if (!memory)
        abort();
    return memory;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

void synthetic_write(const char *path, const void *bytes, size_t count)
{
    FILE *const file = fopen(path, "w");
    if (!file || (count != 0 && fwrite(bytes, count, 1, file) != 1) || fclose(file) != 0)
        fail("cannot write", path);
}

char *synthetic_read(const char *path, size_t *ret_bytes)
{
    FILE *const file = fopen(path, "r");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0)
        fail("cannot read", path);
    *ret_bytes = (size_t)status.st_size;
    char *const bytes = allocate(*ret_bytes + 1);
    if (*ret_bytes != 0 && fread(bytes, *ret_bytes, 1, file) != 1)
        fail("cannot read", path);
    fclose(file);
    return bytes;
}

char *synthetic_directory(void)
{
    const char *const parent = getenv("TMPDIR");
    char name[512];
    snprintf(name, sizeof name, "%s/lapmark-test-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(name))
        fail("cannot make", name);
    return strdup(name);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void synthetic_remove(const char *directory) { nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

long synthetic_babeltrace(const char *directory)
{
    if (system("command -v babeltrace2 >/dev/null 2>&1") != 0)
        return -1;
    char command[1024];
    snprintf(command, sizeof command, "babeltrace2 '%s' 2>&1 >'%s/.events' | head -c 1 | wc -c", directory, directory);
    FILE *const errors = popen(command, "r");
    int error_bytes = 1;
    const int got = errors ? fscanf(errors, "%d", &error_bytes) : 0;
    if (!errors || pclose(errors) != 0 || got != 1)
        return -2;
    snprintf(command, sizeof command, "%s/.events", directory);
    size_t bytes;
    char *const events = synthetic_read(command, &bytes);
    long lines = 0;
    for (size_t i = 0; i < bytes; i++)
        lines += events[i] == '\n';
    free(events);
    unlink(command);
    return error_bytes != 0 ? -2 : lines;
}

/* ---- metadata ------------------------------------------------------------------------------------------------------ */

static __attribute__((format(printf, 2, 3))) void text_add(struct synthetic *process, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text;
    const int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    process->metadata = realloc(process->metadata, process->metadata_bytes + (size_t)length + 1);
    if (!process->metadata)
        abort();
    memcpy(process->metadata + process->metadata_bytes, text, (size_t)length + 1);
    process->metadata_bytes += (size_t)length;
    free(text);
}

static void trace_describe(struct synthetic *process)
{
    char uuid[40];
    const uint8_t *const u = process->control.uuid;
    snprintf(uuid, sizeof uuid, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
             u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    text_add(process,
             "/* CTF 1.8 */\n"
             "typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
             "typealias integer { size = 32; align = 32; signed = false; } := uint32_t;\n"
             "typealias integer { size = 64; align = 64; signed = false; } := uint64_t;\n"
             "typealias integer { size = 64; align = 64; signed = true; } := int64_t;\n"
             "typealias integer { size = 64; align = 64; signed = false; base = hex; } := pointer_t;\n"
             "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 64; } := double_t;\n"
             "trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"%s\";\n\tbyte_order = le;\n"
             "\tpacket.header := struct { uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; uint64_t "
             "stream_instance_id; };\n};\n"
             "env {\n\ttracer_name = \"lapmark\";\n\ttracer_major = 0;\n\ttracer_minor = 1;\n\thostname = \"testhost\";\n"
             "\tprogram = \"prog\\\"ram\";\n\tcommand = \"./program -x\";\n\tpid = %llu;\n};\n",
             uuid, (unsigned long long)process->control.pid);
    const uint64_t origin_ns = SYNTHETIC_REALTIME - SYNTHETIC_START;
    text_add(process,
             "clock {\n\tname = tsc;\n\tuuid = \"%s\";\n\tdescription = \"processor counter\";\n\tfreq = %-20u;\n"
             "\toffset_s = %llu;\n\toffset = %llu;\n\tabsolute = true;\n};\n",
             uuid, 1000000000u, (unsigned long long)(origin_ns / 1000000000u),
             (unsigned long long)(origin_ns % 1000000000u));
    text_add(process,
             "stream {\n\tid = 0;\n"
             "\tevent.header := struct { integer { size = 20; align = 1; signed = false; } id; integer { size = 44; "
             "align = 1; "
             "signed = false; map = clock.tsc.value; } timestamp; } align(64);\n"
             "\tpacket.context := struct {\n\t\tuint64_t content_size;\n\t\tuint64_t packet_size;\n"
             "\t\tinteger { size = 64; align = 64; signed = false; map = clock.tsc.value; } timestamp_begin;\n"
             "\t\tuint64_t packet_seq_num;\n\t\tuint64_t events_discarded;\n\t\tuint64_t paused_ticks;\n"
             "\t\tuint64_t thread_id;\n\t\tuint64_t thread_index;\n\t\tuint64_t clock_ticks;\n\t\tuint64_t "
             "clock_monotonic_ns;\n"
             "\t\tuint64_t clock_realtime_ns;\n"
             "\t\tinteger { size = 8; align = 8; signed = false; encoding = UTF8; } thread_name[32];\n\t};\n};\n");
}

static void fixed_classes_describe(struct synthetic *process)
{
    static const struct {
        unsigned id;
        const char *name, *fields;
    } fixed[] = {
        {LAP_FORMAT_END, "end", ""},
        {LAP_FORMAT_ABANDONED, "abandoned", "uint64_t count; "},
        {LAP_FORMAT_PAUSE, "pause", "uint64_t ticks; "},
        {LAP_FORMAT_OPEN, "open",
         "uint64_t size; uint64_t begin_ticks; uint64_t begin_paused; uint64_t last_ticks; uint64_t threshold_ns; "
         "int64_t n; "
         "uint32_t class_id; uint32_t depth; uint32_t marks; uint32_t flags; uint32_t path; uint32_t reserved; string "
         "message; "
         "uint64_t tail; "},
        {LAP_FORMAT_HANDLE_END, "handle_end",
         "uint64_t handle; uint64_t lap_ticks; uint64_t total_ticks; uint32_t path; uint32_t marks; "},
        {LAP_FORMAT_THREAD, "thread",
         "uint64_t size; uint64_t thread_id; uint64_t thread_index; string name; uint64_t tail; "},
        {LAP_FORMAT_SERVE, "serve",
         "uint64_t handle; pointer_t trace_id_high; pointer_t trace_id_low; pointer_t span_id; uint64_t sent_ticks; "
         "uint64_t received_ticks; pointer_t peer_domain; "},
        {LAP_FORMAT_REPLY, "reply", "uint64_t handle; pointer_t span_id; uint64_t replied_ticks; "},
        {LAP_FORMAT_LINK, "link",
         "uint64_t handle; pointer_t own_span_id; pointer_t trace_id_high; pointer_t trace_id_low; pointer_t span_id; "
         "uint32_t relation; uint32_t path; "},
        {LAP_FORMAT_PEER_LAP, "peer_lap",
         "uint64_t size; uint64_t handle; pointer_t span_id; uint64_t sum_ns; uint32_t count; uint32_t number; "
         "string label; uint64_t tail; "},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        text_add(process,
                 "event { name = \"lapmark:%s\"; id = %u; stream_id = 0; model.emf.uri = \"lapmark:%s\"; fields := "
                 "struct { %s}; };\n",
                 fixed[i].name, fixed[i].id, fixed[i].name, fixed[i].fields);
}

static uint8_t kind_of(const char *kind, const char **ret_payload)
{
    static const struct {
        const char *name, *payload;
        uint8_t kind;
    } kinds[] = {
        {"mark", "", LAP_CLASS_MARK},
        {"begin", "", LAP_CLASS_BEGIN},
        {"begin_with", "uint64_t threshold_ns; int64_t n; uint64_t parent; uint32_t path; uint32_t flags; ",
         LAP_CLASS_BEGIN_WITH},
        {"handle_begin",
         "uint64_t handle; uint64_t threshold_ns; int64_t n; uint64_t parent; uint32_t path; uint32_t flags; ",
         LAP_CLASS_HANDLE_BEGIN},
        {"handle_mark", "uint64_t handle; uint64_t lap_ticks; uint32_t path; uint32_t number; ", LAP_CLASS_HANDLE_MARK},
        {"call",
         "uint64_t handle; pointer_t trace_id_high; pointer_t trace_id_low; pointer_t span_id; uint64_t sent_ticks; "
         "uint64_t received_ticks; uint64_t replied_ticks; uint64_t got_ticks; pointer_t peer_domain; uint32_t peer_khz; "
         "uint32_t queue_us; uint32_t path; uint32_t number; uint32_t flags; uint32_t reserved; ",
         LAP_CLASS_CALL},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0) {
            *ret_payload = kinds[i].payload;
            return kinds[i].kind;
        }
    fail("no such kind", kind);
    return 0;
}

void synthetic_class(struct synthetic *process, uint32_t id, const char *kind, const char *label, unsigned flags,
                     const char *types)
{
    const char *payload = "";
    struct lap_class *const class = &process->classes[id];
    class->kind = kind_of(kind, &payload);
    class->flags = (uint8_t)(flags & 15u);
    class->args = (uint8_t)strlen(types);
    class->words = strchr(types, 's') || flags & LAP_CLASS_TEXT
                       ? 0
                       : (uint8_t)(lap_class_fixed_words(class->kind) + ((flags & LAP_CLASS_N) != 0) + class->args);
    text_add(process,
             "event { name = \"%s\"; id = %u; stream_id = 0; model.emf.uri = "
             "\"lapmark:%s?flags=%u&types=%s&line=%u&function=fun%%5F%u&file=src/file.c\"; fields := struct { ",
             label, id, kind, flags, types, id * 10, id);
    if (class->words == 0)
        text_add(process, "uint64_t size; ");
    text_add(process, "%s%s", payload, flags & LAP_CLASS_N ? "int64_t n; " : "");
    for (size_t i = 0; types[i]; i++)
        if (types[i] != 's')
            text_add(process, "%s a%zu; ",
                     types[i] == 'i'   ? "int64_t"
                     : types[i] == 'u' ? "uint64_t"
                     : types[i] == 'f' ? "double_t"
                                       : "pointer_t",
                     i);
    for (size_t i = 0; types[i]; i++)
        if (types[i] == 's')
            text_add(process, "string a%zu; ", i);
    text_add(process, "%s%s}; };\n", flags & LAP_CLASS_TEXT ? "string text; " : "",
             class->words == 0 ? "uint64_t tail; " : "");
}

static void metadata_write(const struct synthetic *process)
{
    char *const packet = allocate(PACKET_BYTES);
    const uint32_t magic = LAP_FORMAT_METADATA_MAGIC;
    const uint32_t content_bits = (uint32_t)(PACKET_HEADER_BYTES + process->metadata_bytes) * 8,
                   packet_bits = PACKET_BYTES * 8;
    memcpy(packet, &magic, 4);
    memcpy(packet + 4, process->control.uuid, 16);
    memcpy(packet + 24, &content_bits, 4);
    memcpy(packet + 28, &packet_bits, 4);
    packet[35] = 1;
    packet[36] = 8;
    memcpy(packet + PACKET_HEADER_BYTES, process->metadata, process->metadata_bytes);
    char path[640];
    snprintf(path, sizeof path, "%s/metadata", process->directory);
    synthetic_write(path, packet, PACKET_BYTES);
    free(packet);
}

/* ---- process ------------------------------------------------------------------------------------------------------- */

void synthetic_open(struct synthetic *process, const char *parent, const char *name, uint8_t seed)
{
    memset(process, 0, sizeof *process);
    snprintf(process->directory, sizeof process->directory, "%.250s/%.250s", parent, name);
    char side[640];
    snprintf(side, sizeof side, "%s/.lapmark", process->directory);
    if (mkdir(process->directory, 0700) < 0 || mkdir(side, 0700) < 0)
        fail("cannot make", side);
    process->control = (struct lap_format_control){
        .magic = LAP_FORMAT_CONTROL_MAGIC,
        .version = LAP_FORMAT_VERSION,
        .header_bytes = LAP_FORMAT_CONTROL_HEADER_BYTES,
        .pid = 1000u + seed,
        .start_time = 77,
        .state = LAP_FORMAT_ENDED,
        .clock_source = LAP_FORMAT_CLOCK_TSC,
        .clock_hz = 1000000000,
        .clock_resolution_ticks = 20,
        .start = {SYNTHETIC_START, 4000000000, SYNTHETIC_REALTIME, 50},
        .end = {SYNTHETIC_START + UINT64_C(10000000000), 14000000000, SYNTHETIC_REALTIME + UINT64_C(10000000000), 50},
        .event_ticks_x1000 = 10000,
    };
    for (unsigned i = 0; i < 16; i++)
        process->control.uuid[i] = (uint8_t)(seed + i);
    snprintf((char *)process->control.program, sizeof process->control.program, "program");
    snprintf((char *)process->control.host, sizeof process->control.host, "testhost");
    lap_class_set_fixed(process->classes);
    process->paths_memory = allocate(LAP_PATHS_BYTES);
    process->buckets = allocate(LAP_PATHS_BUCKETS_BYTES);
    lap_paths_init(&process->paths, process->paths_memory, process->buckets);
    trace_describe(process);
    fixed_classes_describe(process);
}

void synthetic_close(struct synthetic *process)
{
    char path[640];
    metadata_write(process);
    char *const page = allocate(LAP_FORMAT_CONTROL_HEADER_BYTES);
    memcpy(page, &process->control, sizeof process->control);
    snprintf(path, sizeof path, "%s/.lapmark/control", process->directory);
    synthetic_write(path, page, LAP_FORMAT_CONTROL_HEADER_BYTES);
    free(page);
    snprintf(path, sizeof path, "%s/.lapmark/paths", process->directory);
    synthetic_write(path, process->paths_memory,
                    sizeof(struct lap_format_paths) + process->paths.header->count * sizeof(struct lap_format_path));
    pthread_mutex_destroy(&process->paths.lock);
    free(process->paths_memory);
    free(process->buckets);
    free(process->metadata);
}

/* ---- rings --------------------------------------------------------------------------------------------------------- */

static uint32_t content_bytes(const struct synthetic_ring *ring) { return (uint32_t)(ring->header->content_bits / 8); }

void synthetic_ring_open(struct synthetic_ring *ring, struct synthetic *process, uint32_t number, uint32_t segment_bytes,
                         uint32_t segments_each)
{
    memset(ring, 0, sizeof *ring);
    ring->process = process;
    ring->number = number;
    ring->segment_bytes = segment_bytes;
    ring->segments_each = segments_each;
    ring->segment = allocate(segment_bytes);
    ring->header = (struct lap_format_segment *)(void *)ring->segment;
    ring->clock = SYNTHETIC_START + 1000;
    ring->decoder.classes = process->classes;
    ring->decoder.class_count = SYNTHETIC_CLASSES;
    ring->statistics.heap = allocate((size_t)LAP_FORMAT_UNITS * LAP_FORMAT_UNIT_BYTES);
    ring->statistics.units = LAP_FORMAT_UNITS;
    ring->statistics.paths = &process->paths;
    ring->statistics.cell_of_path = allocate(LAP_FORMAT_PATHS * sizeof *ring->statistics.cell_of_path);
    ring->statistics.cache = allocate(LAP_STATISTICS_CACHE * sizeof *ring->statistics.cache);
    lap_statistics_init(&ring->statistics);
    ring->statistics.heap->threads = 1;
    *ring->header = (struct lap_format_segment){
        .magic = LAP_FORMAT_PACKET_MAGIC,
        .stream = number,
        .content_bits = LAP_FORMAT_SEGMENT_HEADER_BYTES * 8,
        .packet_bits = segment_bytes * UINT64_C(8),
        .begin_ticks = ring->clock,
        .thread_id = 5000u + number,
        .thread_index = number,
        .clock_ticks = ring->clock,
        .clock_monotonic_ns = 4000000000 + ring->clock - SYNTHETIC_START,
        .clock_realtime_ns = SYNTHETIC_REALTIME + ring->clock - SYNTHETIC_START,
    };
    memcpy(ring->header->uuid, process->control.uuid, 16);
    ring->thread_id = ring->header->thread_id;
    ring->thread_index = number;
    snprintf(ring->thread_name, sizeof ring->thread_name, "thread%u", number);
    memcpy(ring->header->thread_name, ring->thread_name, sizeof ring->thread_name);
    ring->applied = LAP_FORMAT_SEGMENT_HEADER_BYTES;
    process->control.rings++;
}

void synthetic_apply(struct synthetic_ring *ring)
{
    lap_statistics_run(&ring->statistics, &ring->decoder, ring->segment, ring->header->begin_ticks,
                       ring->header->sequence, ring->applied, content_bytes(ring));
    ring->applied = content_bytes(ring);
}

static void segment_write(const struct synthetic_ring *ring)
{
    char path[640];
    if (ring->segments_each == 0)
        snprintf(path, sizeof path, "%s/stream-%04u-%08llu", ring->process->directory, ring->number,
                 (unsigned long long)ring->header->sequence);
    else
        snprintf(path, sizeof path, "%s/stream-%04u-%02llu", ring->process->directory, ring->number,
                 (unsigned long long)(ring->header->sequence % ring->segments_each));
    synthetic_write(path, ring->segment, ring->segment_bytes);
}

static void append(struct synthetic_ring *ring, const void *bytes, size_t count)
{
    memcpy(ring->segment + content_bytes(ring), bytes, count);
    ring->header->content_bits += count * 8;
}

static void open_store(struct synthetic_ring *ring, uint32_t depth)
{
    const struct lap_open *const scope = &ring->decoder.open[depth];
    char event[8 + sizeof(struct lap_format_open) + 24] = {0}; /* message, zeros up to 8 bytes, tail */
    const uint64_t word = (ring->clock << LAP_FORMAT_CLOCK_SHIFT) | LAP_FORMAT_OPEN;
    const struct lap_format_open open = {.size = sizeof event,
                                         .begin_ticks = scope->begin_ticks,
                                         .begin_paused = scope->begin_ticks - scope->begin,
                                         .last_ticks = scope->last,
                                         .threshold_ns = scope->threshold_ns,
                                         .n = scope->n,
                                         .class_id = scope->class_id,
                                         .depth = depth,
                                         .marks = scope->marks,
                                         .flags = scope->flags,
                                         .path = scope->path};
    memcpy(event, &word, 8);
    memcpy(event + 8, &open, sizeof open);
    snprintf(event + 8 + sizeof open, 16, "message %u", depth % 1000);
    append(ring, event, sizeof event);
}

void synthetic_segment_next(struct synthetic_ring *ring)
{
    synthetic_apply(ring);
    segment_write(ring);
    memset(ring->segment + sizeof *ring->header, 0, ring->segment_bytes - sizeof *ring->header);
    ring->header->sequence++;
    ring->header->content_bits = LAP_FORMAT_SEGMENT_HEADER_BYTES * 8;
    ring->header->begin_ticks = ring->clock;
    ring->header->paused_ticks = ring->decoder.paused;
    ring->header->thread_id = ring->thread_id;
    ring->header->thread_index = ring->thread_index;
    memcpy(ring->header->thread_name, ring->thread_name, sizeof ring->thread_name);
    for (uint32_t depth = 0; depth < ring->decoder.depth; depth++) {
        open_store(ring, depth);
        ring->decoder.open[depth].event = NULL;
    }
    ring->applied = content_bytes(ring);
    ring->statistics.heap->applied = ring->header->sequence << LAP_FORMAT_APPLIED_SHIFT | ring->applied;
}

static void room_make(struct synthetic_ring *ring, size_t bytes)
{
    if (content_bytes(ring) + bytes > ring->segment_bytes)
        synthetic_segment_next(ring);
}

void synthetic_event(struct synthetic_ring *ring, uint64_t after_ticks, uint32_t class_id, const uint64_t *words,
                     size_t count)
{
    ring->clock += after_ticks;
    room_make(ring, 8 + 8 * count);
    const uint64_t word = ring->clock << LAP_FORMAT_CLOCK_SHIFT | class_id;
    append(ring, &word, 8);
    if (count > 0)
        append(ring, words, 8 * count);
}

void synthetic_event_strings(struct synthetic_ring *ring, uint64_t after_ticks, uint32_t class_id,
                             const uint64_t *numbers, size_t count, const char *const *strings, size_t string_count)
{
    char event[LAP_FORMAT_EVENT_BYTES_MAX] = {0};
    ring->clock += after_ticks;
    size_t bytes = 16;
    if (count > 0)
        memcpy(event + bytes, numbers, 8 * count);
    bytes += 8 * count;
    for (size_t i = 0; i < string_count; i++) {
        strcpy(event + bytes, strings[i]);
        bytes += strlen(strings[i]) + 1;
    }
    const uint64_t size = (bytes + 7) / 8 * 8 + 8, word = ring->clock << LAP_FORMAT_CLOCK_SHIFT | class_id;
    memcpy(event, &word, 8);
    memcpy(event + 8, &size, 8);
    room_make(ring, size);
    append(ring, event, size);
}

void synthetic_thread(struct synthetic_ring *ring, uint64_t thread_id, uint64_t thread_index, const char *name)
{
    const uint64_t numbers[] = {thread_id, thread_index};
    synthetic_event_strings(ring, 1, LAP_FORMAT_THREAD, numbers, 2, &name, 1);
    ring->thread_id = thread_id;
    ring->thread_index = thread_index;
    memset(ring->thread_name, 0, sizeof ring->thread_name);
    snprintf(ring->thread_name, sizeof ring->thread_name, "%s", name);
    ring->statistics.heap->threads++;
}

void synthetic_ring_write(struct synthetic_ring *ring)
{
    char path[640];
    segment_write(ring);
    snprintf(path, sizeof path, "%s/.lapmark/statistics-%04u", ring->process->directory, ring->number);
    synthetic_write(path, ring->statistics.heap, (size_t)ring->statistics.heap->units * LAP_FORMAT_UNIT_BYTES);
}

void synthetic_ring_close(struct synthetic_ring *ring)
{
    synthetic_ring_write(ring);
    free(ring->segment);
    free(ring->statistics.heap);
    free(ring->statistics.cell_of_path);
    free(ring->statistics.cache);
}

/* ---- an example ---------------------------------------------------------------------------------------------------- */

static uint32_t handle_path(struct synthetic *process)
{
    return lap_paths_get(&process->paths, LAP_PATHS_ROOT, SYNTHETIC_REQUEST);
}

static void handle_begin(struct synthetic_ring *ring, uint64_t handle)
{
    const uint64_t words[] = {handle, LAP_FORMAT_NO_THRESHOLD, 0, 0, handle_path(ring->process)};
    synthetic_event(ring, 10, SYNTHETIC_REQUEST, words, 5);
}

static void outer_begin(struct synthetic_ring *ring, uint64_t argument)
{
    const uint64_t words[] = {LAP_FORMAT_NO_THRESHOLD, 0, 0, 0, argument};
    synthetic_event(ring, 10, SYNTHETIC_OUTER, words, 5);
}

static void turn(struct synthetic_ring *ring, uint64_t number)
{
    const char *const string = number % 2 ? "odd" : "even";
    const uint64_t numbers[] = {number * 3, number};
    outer_begin(ring, number);
    synthetic_event(ring, 100, SYNTHETIC_STEP, NULL, 0);
    synthetic_event(ring, 100, SYNTHETIC_INNER, NULL, 0);
    synthetic_event(ring, 50, SYNTHETIC_NUMBERED, NULL, 0);
    synthetic_event(ring, 50, SYNTHETIC_NUMBERED, NULL, 0);
    synthetic_event(ring, 200, LAP_FORMAT_END, NULL, 0);
    synthetic_event_strings(ring, 200, SYNTHETIC_TEXT, numbers, 2, &string, 1);
    synthetic_event(ring, 300, LAP_FORMAT_END, NULL, 0);

    const uint64_t handle = (2 * number + 1) << 32 | 5;
    const uint32_t path = handle_path(ring->process),
                   received = lap_paths_get(&ring->process->paths, path, SYNTHETIC_RECEIVED);
    handle_begin(ring, handle);
    for (uint64_t mark = 0; mark < 2; mark++) {
        const uint64_t words[] = {handle, 300, received | mark << 32};
        synthetic_event(ring, 300, SYNTHETIC_RECEIVED, words, 3);
    }
    const uint64_t words[] = {handle, 300, 900, path | UINT64_C(2) << 32};
    synthetic_event(ring, 300, LAP_FORMAT_HANDLE_END, words, 4);
}

void synthetic_example(const char *parent, const char *name, uint8_t seed, uint32_t segment_bytes, uint32_t segments_each,
                       unsigned turns)
{
    struct synthetic process;
    struct synthetic_ring *const ring = allocate(sizeof *ring);
    synthetic_open(&process, parent, name, seed);
    synthetic_class(&process, SYNTHETIC_OUTER, "begin_with", "outer(%d)", 0, "i");
    synthetic_class(&process, SYNTHETIC_STEP, "mark", "step", 0, "");
    synthetic_class(&process, SYNTHETIC_INNER, "begin", "inner", 0, "");
    synthetic_class(&process, SYNTHETIC_NUMBERED, "mark", "(checkpoint)", LAP_CLASS_NUMBERED, "");
    synthetic_class(&process, SYNTHETIC_TEXT, "mark", "text %s %lld", LAP_CLASS_N, "si");
    synthetic_class(&process, SYNTHETIC_REQUEST, "handle_begin", "request", 0, "");
    synthetic_class(&process, SYNTHETIC_RECEIVED, "handle_mark", "received", 0, "");
    synthetic_ring_open(ring, &process, 0, segment_bytes, segments_each);
    for (unsigned i = 0; i < turns; i++) {
        if (i + 1 == turns)
            synthetic_apply(ring);
        turn(ring, i);
    }
    const uint64_t ticks = 40, count = 1;
    outer_begin(ring, 98);
    synthetic_event(ring, ticks, LAP_FORMAT_PAUSE, &ticks, 1);
    synthetic_event(ring, 5, LAP_FORMAT_ABANDONED, &count, 1);
    synthetic_thread(ring, 6000, 9, "second");
    outer_begin(ring, 99);
    synthetic_event(ring, 7, SYNTHETIC_STEP, NULL, 0);
    handle_begin(ring, UINT64_C(7) << 32 | 6);
    synthetic_ring_close(ring);
    synthetic_close(&process);
    free(ring);
}
