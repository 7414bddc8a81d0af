/* SPDX-License-Identifier: MIT */
#include "scaling_gather.h"

#include "cursor.h"
#include "events.h"
#include "order.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A handle's lower half is its slot's number, of which there are so many (doc/format.md, "Handles"). */
#define HANDLE_SLOTS 16384u
/* Of what runs in a profiler, so many times are kept until that ends, for their median. */
#define CHILD_COSTS 15u

struct sizes {
    int64_t numbers[LAP_SCALING_NUMBERS]; /* 0: not given, or none that a cost could grow with */
};

struct child {
    uint32_t node;
    uint64_t count;
    float ns[CHILD_COSTS]; /* a sample */
};

/* A profiler that is open. */
struct instance {
    struct instance *next, **link; /* of all */
    uint64_t handle, parent;       /* handles; 0: a scope */
    uint32_t node;
    uint32_t run;
    bool is_whole; /* its begin was seen, and so all of its laps */
    struct sizes sizes[LAP_SCALING_LEVELS];
    struct child *children;
    size_t child_count, child_room, last_child;
};

struct process_state {
    uint32_t *nodes; /* of the paths: 0, or node + 1 */
    struct instance **handles;
};

struct gathering {
    struct lap_scaling_gather *gather;
    struct lap_recording *recording;
    struct lap_summary_tree tree;
    struct lap_scaling_gathered *nodes; /* as in the tree */
    size_t node_room;
    struct process_state *processes;
    size_t process; /* whose event it is */
    struct instance *instances;
    struct lap_random random;
    int error;
};

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* The node of a path of the process, LAP_SUMMARY_NONE: none, or no memory. */
static uint32_t node_find(struct gathering *gathering, uint32_t path)
{
    uint32_t *const known = gathering->processes[gathering->process].nodes;
    if (path >= LAP_FORMAT_PATHS)
        return LAP_SUMMARY_NONE;
    if (known[path] != 0)
        return known[path] - 1;
    const uint32_t node = lap_summary_tree_node(&gathering->tree, gathering->process, path);
    if (node == LAP_SUMMARY_NONE)
        return node;
    known[path] = node + 1;
    if (gathering->tree.count > gathering->node_room) {
        const size_t room = 2 * gathering->tree.count;
        struct lap_scaling_gathered *const nodes = realloc(gathering->nodes, room * sizeof *nodes);
        if (!nodes) {
            gathering->error = -ENOMEM;
            return LAP_SUMMARY_NONE;
        }
        memset(nodes + gathering->node_room, 0, (room - gathering->node_room) * sizeof *nodes);
        gathering->nodes = nodes;
        gathering->node_room = room;
    }
    return node;
}

static uint32_t path_find(struct gathering *gathering, uint32_t parent, uint32_t class_id)
{
    return lap_paths_get(&gathering->gather->tables[gathering->process].paths, parent, class_id);
}

static void costs_add(struct gathering *gathering, struct lap_sized_costs **costs, uint32_t run, int64_t n, double cost)
{
    if (!*costs)
        *costs = calloc(1, sizeof **costs);
    if (!*costs || lap_sized_costs_add(*costs, run, n, cost) < 0)
        gathering->error = -ENOMEM;
}

/* A cost by the numbers of one level. */
static void costs_add_level(struct gathering *gathering, struct lap_sized_costs **costs, unsigned level,
                            const struct sizes *sizes, uint32_t run, double cost)
{
    for (unsigned i = 0; sizes && i < LAP_SCALING_NUMBERS; i++)
        if (sizes->numbers[i] > 0)
            costs_add(gathering, &costs[LAP_SCALING_SLOT(level, i)], run, sizes->numbers[i], cost);
}

/* ---- sizes --------------------------------------------------------------------------------------------------------- */

static int64_t number_of(const struct lap_field *field)
{
    switch (field->type) {
    case LAP_FIELD_U64: return field->value.u64 <= INT64_MAX ? (int64_t)field->value.u64 : 0;
    case LAP_FIELD_I64: return field->value.i64 > 0 ? field->value.i64 : 0;
    case LAP_FIELD_F64: return field->value.f64 >= 1 && field->value.f64 < 0x1p62 ? (int64_t)floor(field->value.f64) : 0;
    default: return 0;
    }
}

/* The numbers of an event, in front of which stands what it has besides. False: it has none. */
static bool sizes_read(struct sizes *sizes, const struct gathering *gathering, const struct lap_event *event)
{
    memset(sizes, 0, sizeof *sizes);
    if (event->class->args == 0 && !(event->class->flags & LAP_CLASS_N) &&
        !lap_class_has_n((enum lap_class_kind)event->class->kind))
        return false;
    struct lap_field fields[LAP_EVENT_FIELDS];
    const struct lap_catalog *const catalog = &gathering->recording->processes[gathering->process]->catalog;
    const uint32_t count =
        lap_event_fields(event->words, event->class, lap_catalog_description(catalog, event->class_id), fields);
    for (uint32_t i = 0; i < count; i++) {
        const char *const name = fields[i].name;
        if (strcmp(name, "n") == 0 || strcmp(name, "label_n") == 0) {
            const int64_t n = number_of(&fields[i]);
            sizes->numbers[LAP_SCALING_N] = n > 0 ? n : sizes->numbers[LAP_SCALING_N];
        } else if (name[0] == 'a' && name[1] >= '0' && name[1] < '0' + LAP_SCALING_ARGUMENTS && name[2] == 0) {
            sizes->numbers[LAP_SCALING_ARGUMENT + name[1] - '0'] = number_of(&fields[i]);
        }
    }
    return true;
}

/* ---- instances ----------------------------------------------------------------------------------------------------- */

static struct instance *instance_begin(struct gathering *gathering, uint32_t path, const struct instance *parent,
                                       const struct lap_event *event)
{
    const uint32_t node = node_find(gathering, path);
    struct instance *const instance = node != LAP_SUMMARY_NONE ? calloc(1, sizeof *instance) : NULL;
    if (!instance)
        return NULL;
    *instance = (struct instance){.node = node,
                                  .run = (uint32_t)gathering->process,
                                  .parent = parent ? parent->handle : 0,
                                  .next = gathering->instances,
                                  .link = &gathering->instances};
    if (instance->next)
        instance->next->link = &instance->next;
    gathering->instances = instance;
    sizes_read(&instance->sizes[LAP_SCALING_OWN], gathering, event);
    if (parent)
        for (int level = LAP_SCALING_AROUND; level < LAP_SCALING_LEVELS; level++)
            instance->sizes[level] = parent->sizes[level - 1];
    return instance;
}

static void instance_free(struct instance *instance)
{
    *instance->link = instance->next;
    if (instance->next)
        instance->next->link = instance->link;
    free(instance->children);
    free(instance);
}

/* The children of a profiler come in turns: mostly it is the last one, or the one behind it. */
static struct child *child_get(struct gathering *gathering, struct instance *instance, uint32_t node)
{
    for (size_t i = 0; i < instance->child_count; i++) {
        const size_t at = (instance->last_child + i) % instance->child_count;
        if (instance->children[at].node == node) {
            instance->last_child = at;
            return &instance->children[at];
        }
    }
    if (instance->child_count == instance->child_room) {
        const size_t room = instance->child_room ? 2 * instance->child_room : 4;
        struct child *const children = realloc(instance->children, room * sizeof *children);
        if (!children) {
            gathering->error = -ENOMEM;
            return NULL;
        }
        instance->children = children;
        instance->child_room = room;
    }
    instance->last_child = instance->child_count;
    instance->children[instance->child_count] = (struct child){.node = node};
    return &instance->children[instance->child_count++];
}

static void child_add(struct gathering *gathering, struct instance *parent, uint32_t node, double ns)
{
    struct child *const child = parent ? child_get(gathering, parent, node) : NULL;
    if (child) {
        const uint64_t place =
            child->count < CHILD_COSTS ? child->count : lap_random_below(&gathering->random, child->count + 1);
        child->count++;
        if (place < CHILD_COSTS)
            child->ns[place] = (float)ns;
    }
}

/* The median of its times, as one that was interrupted is no rule for the others. */
static double child_ns(const struct child *child)
{
    double ns[CHILD_COSTS];
    const size_t count = child->count < CHILD_COSTS ? (size_t)child->count : CHILD_COSTS;
    for (size_t i = 0; i < count; i++)
        ns[i] = child->ns[i];
    return lap_order_median(ns, count);
}

/* A lap, a rest or a profiler has ended, in one that is open. `own` are its own sizes, may be NULL. */
static void cost_add(struct gathering *gathering, uint32_t node, const struct sizes *own, const struct sizes *around,
                     const struct sizes *further, uint32_t run, double ns)
{
    struct lap_sized_costs **const costs = gathering->nodes[node].costs;
    if (lap_distribution_add_one(gathering->tree.nodes[node].distribution, ns) < 0)
        gathering->error = -ENOMEM;
    costs_add_level(gathering, costs, LAP_SCALING_OWN, own, run, ns);
    costs_add_level(gathering, costs, LAP_SCALING_AROUND, around, run, ns);
    costs_add_level(gathering, costs, LAP_SCALING_FURTHER, further, run, ns);
}

static void lap_add(struct gathering *gathering, struct instance *instance, uint32_t path, const struct lap_event *event,
                    double ns)
{
    const uint32_t node = node_find(gathering, path);
    if (node == LAP_SUMMARY_NONE)
        return;
    struct sizes own;
    const bool has_own = event && sizes_read(&own, gathering, event);
    cost_add(gathering, node, has_own ? &own : NULL, instance ? &instance->sizes[LAP_SCALING_OWN] : NULL,
             instance ? &instance->sizes[LAP_SCALING_AROUND] : NULL, (uint32_t)gathering->process, ns);
    child_add(gathering, instance, node, ns);
}

/* How often each child ran, by the profiler's sizes; and the costs by how often the most frequent ran. */
static void children_count(struct gathering *gathering, const struct instance *instance, double total_ns)
{
    uint64_t most = 0;
    for (size_t i = 0; i < instance->child_count; i++)
        most = instance->children[i].count > most ? instance->children[i].count : most;
    for (size_t i = 0; i < instance->child_count; i++) {
        const struct child *const child = &instance->children[i];
        struct lap_scaling_gathered *const gathered = &gathering->nodes[child->node];
        for (unsigned level = LAP_SCALING_OWN; level <= LAP_SCALING_AROUND; level++)
            costs_add_level(gathering, gathered->counts, level, &instance->sizes[level], instance->run,
                            (double)child->count);
        costs_add(gathering, &gathered->counts[LAP_SCALING_COUNT], instance->run, (int64_t)most, (double)child->count);
        costs_add(gathering, &gathered->costs[LAP_SCALING_COUNT], instance->run, (int64_t)most, child_ns(child));
    }
    if (most > 0)
        costs_add(gathering, &gathering->nodes[instance->node].costs[LAP_SCALING_COUNT], instance->run, (int64_t)most,
                  total_ns);
}

static void instance_end(struct gathering *gathering, struct instance *instance, struct instance *parent, double total_ns)
{
    cost_add(gathering, instance->node, &instance->sizes[0], &instance->sizes[1], &instance->sizes[2], instance->run,
             total_ns);
    if (instance->is_whole)
        children_count(gathering, instance, total_ns);
    child_add(gathering, parent, instance->node, total_ns);
    instance_free(instance);
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static double to_ns(const struct gathering *gathering, uint64_t ticks)
{
    return (double)ticks * gathering->recording->processes[gathering->process]->clock.ns_per_tick;
}

static struct instance *instance_of(const struct lap_open *scope) { return (struct instance *)(uintptr_t)scope->key; }

/* The open instance of a handle, NULL: its begin is not known. */
static struct instance *handle_find(const struct gathering *gathering, uint64_t handle)
{
    struct instance *const instance = gathering->processes[gathering->process].handles[handle % HANDLE_SLOTS];
    return instance && instance->handle == handle ? instance : NULL;
}

/* What is around a scope: the handle that it was given, or the scope that it stands in. */
static struct instance *parent_of(const struct gathering *gathering, const struct lap_decoder *decoder,
                                  const struct instance *instance, const struct lap_open *scope)
{
    if (instance && instance->parent != 0)
        return handle_find(gathering, instance->parent);
    return decoder->depth > 1 ? instance_of(&scope[-1]) : NULL;
}

static void see_begin(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    struct gathering *const gathering = user;
    struct instance *parent = decoder->depth > 1 ? instance_of(&scope[-1]) : NULL;
    if (event->class->kind != LAP_CLASS_OPEN) {
        uint32_t around = decoder->depth > 1 ? scope[-1].path : LAP_PATHS_ROOT;
        if (event->class->kind == LAP_CLASS_BEGIN_WITH) {
            const struct lap_format_begin_with *const with = lap_event_payload(event->words, event->class);
            if (with->parent != 0 && with->path < LAP_FORMAT_PATHS) {
                around = with->path;
                parent = handle_find(gathering, with->parent);
            }
        }
        scope->path = path_find(gathering, around, event->class_id);
    } else if (scope->path >= LAP_FORMAT_PATHS) {
        scope->path = LAP_PATHS_OTHER;
    }
    struct instance *const instance = instance_begin(gathering, scope->path, parent, event);
    if (instance)
        instance->is_whole = event->class->kind != LAP_CLASS_OPEN;
    scope->key = (uintptr_t)instance;
}

static void see_mark(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                     uint64_t lap)
{
    struct gathering *const gathering = user;
    (void)decoder;
    lap_add(gathering, instance_of(scope), path_find(gathering, scope->path, event->class_id), event,
            to_ns(gathering, lap));
}

static void see_end(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope,
                    uint64_t total, uint64_t rest)
{
    struct gathering *const gathering = user;
    struct instance *const instance = instance_of(scope);
    (void)event;
    if (scope->marks != 0)
        lap_add(gathering, instance, path_find(gathering, scope->path, LAP_FORMAT_REST), NULL, to_ns(gathering, rest));
    if (instance)
        instance_end(gathering, instance, parent_of(gathering, decoder, instance, scope), to_ns(gathering, total));
}

static void see_abandoned(void *user, struct lap_decoder *decoder, const struct lap_event *event, struct lap_open *scope)
{
    (void)user;
    (void)decoder;
    (void)event;
    if (instance_of(scope))
        instance_free(instance_of(scope));
}

static void handle_begin(struct gathering *gathering, const struct lap_decoder *decoder, const struct lap_event *event)
{
    const struct lap_format_handle_begin *const begin = lap_event_payload(event->words, event->class);
    struct instance **const slot = &gathering->processes[gathering->process].handles[begin->handle % HANDLE_SLOTS];
    if (*slot)
        instance_free(*slot);
    const struct instance *const parent = begin->parent != 0   ? handle_find(gathering, begin->parent)
                                          : decoder->depth > 0 ? instance_of(&decoder->open[decoder->depth - 1])
                                                               : NULL;
    *slot = instance_begin(gathering, begin->path, parent, event);
    if (*slot) {
        (*slot)->handle = begin->handle;
        (*slot)->is_whole = true;
    }
}

static void handle_end(struct gathering *gathering, const struct lap_event *event)
{
    const struct lap_format_handle_end *const end = lap_event_payload(event->words, event->class);
    struct instance *const instance = handle_find(gathering, end->handle);
    if (end->marks != 0 && end->path < LAP_FORMAT_PATHS)
        lap_add(gathering, instance, path_find(gathering, end->path, LAP_FORMAT_REST), NULL,
                to_ns(gathering, end->lap_ticks));
    if (!instance)
        return;
    gathering->processes[gathering->process].handles[end->handle % HANDLE_SLOTS] = NULL;
    instance_end(gathering, instance, instance->parent != 0 ? handle_find(gathering, instance->parent) : NULL,
                 to_ns(gathering, end->total_ticks));
}

static void see_handle(void *user, struct lap_decoder *decoder, const struct lap_event *event)
{
    struct gathering *const gathering = user;
    if (event->class->kind == LAP_CLASS_HANDLE_BEGIN) {
        handle_begin(gathering, decoder, event);
    } else if (event->class->kind == LAP_CLASS_HANDLE_MARK) {
        const struct lap_format_handle_mark *const mark = lap_event_payload(event->words, event->class);
        lap_add(gathering, handle_find(gathering, mark->handle), mark->path, event, to_ns(gathering, mark->lap_ticks));
    } else {
        handle_end(gathering, event);
    }
}

/* ---- the pass ------------------------------------------------------------------------------------------------------ */

static size_t index_of(const struct lap_recording *recording, const struct lap_process *process)
{
    size_t index = 0;
    while (recording->processes[index] != process)
        index++;
    return index;
}

static int gathering_read(struct gathering *gathering,
                          void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes), void *user)
{
    static const struct lap_visitor visitor = {
        .begin = see_begin, .mark = see_mark, .end = see_end, .abandoned = see_abandoned, .handle = see_handle};
    uint64_t done_bytes = 0, total_bytes = 0, told_bytes = 0;
    for (size_t i = 0; i < gathering->recording->process_count; i++)
        total_bytes += gathering->recording->processes[i]->content_bytes;
    struct lap_merge *merge;
    int found = lap_merge_make(&merge, gathering->recording, LAP_MERGE_BY_TIME, NULL, NULL);
    if (found < 0)
        return found;
    struct lap_cursor *cursor;
    while ((found = lap_merge_peek(merge, &cursor)) == 1) {
        const uint32_t from = cursor->offset;
        if (gathering->recording->processes[gathering->process] != cursor->process)
            gathering->process = index_of(gathering->recording, cursor->process);
        found = lap_cursor_next(cursor, &visitor, gathering);
        if (found < 0 || gathering->error < 0)
            break;
        done_bytes += cursor->offset > from ? cursor->offset - from : 0;
        if (progress && done_bytes - told_bytes >= 1u << 20) {
            progress(user, done_bytes, total_bytes);
            told_bytes = done_bytes;
        }
    }
    lap_merge_free(merge);
    return found < 0 ? found : gathering->error;
}

static int processes_make(struct gathering *gathering)
{
    const size_t count = gathering->recording->process_count;
    gathering->gather->tables = calloc(count + 1, sizeof *gathering->gather->tables);
    gathering->processes = calloc(count + 1, sizeof *gathering->processes);
    int code = gathering->gather->tables && gathering->processes ? 0 : -ENOMEM;
    for (size_t i = 0; code == 0 && i < count; i++) {
        code = lap_path_table_init(&gathering->gather->tables[i], gathering->recording->processes[i]);
        gathering->processes[i].nodes = calloc(LAP_FORMAT_PATHS, sizeof *gathering->processes[i].nodes);
        gathering->processes[i].handles = calloc(HANDLE_SLOTS, sizeof(struct instance *));
        if (!gathering->processes[i].nodes || !gathering->processes[i].handles)
            code = -ENOMEM;
    }
    return code;
}

/* The tree in depth-first order, and what was gathered beside it. A node's `met` is its place before. */
static int nodes_finish(struct gathering *gathering)
{
    struct lap_scaling_gather *const gather = gathering->gather;
    for (size_t i = 0; i < gathering->tree.count; i++)
        gathering->tree.nodes[i].met = i;
    gather->nodes = calloc(gathering->tree.count + 1, sizeof *gather->nodes);
    const int code = gather->nodes ? lap_summary_tree_finish(&gathering->tree, &gather->group) : -ENOMEM;
    for (size_t i = 0; code == 0 && i < gather->group.node_count; i++) {
        gather->nodes[i] = gathering->nodes[gather->group.nodes[i].met];
        memset(&gathering->nodes[gather->group.nodes[i].met], 0, sizeof *gathering->nodes);
    }
    return code;
}

static void gathered_done(struct lap_scaling_gathered *gathered)
{
    for (unsigned slot = 0; slot < LAP_SCALING_SLOTS; slot++) {
        struct lap_sized_costs *const both[] = {gathered->costs[slot], gathered->counts[slot]};
        for (int i = 0; i < 2; i++)
            if (both[i])
                lap_sized_costs_done(both[i]);
        free(both[0]);
        free(both[1]);
    }
}

static void gathering_done(struct gathering *gathering)
{
    for (struct instance *instance = gathering->instances, *next; instance; instance = next) {
        next = instance->next;
        free(instance->children);
        free(instance);
    }
    for (size_t i = 0; gathering->processes && i < gathering->recording->process_count; i++) {
        free(gathering->processes[i].nodes);
        free(gathering->processes[i].handles);
    }
    for (size_t i = 0; i < gathering->node_room; i++)
        gathered_done(&gathering->nodes[i]);
    free(gathering->processes);
    free(gathering->nodes);
    lap_summary_tree_done(&gathering->tree);
}

int lap_scaling_gather_make(struct lap_scaling_gather *gather, struct lap_recording *recording,
                            void (*progress)(void *user, uint64_t done_bytes, uint64_t total_bytes), void *user)
{
    *gather = (struct lap_scaling_gather){.runs = recording->process_count};
    struct gathering gathering = {.gather = gather, .recording = recording};
    lap_random_seed(&gathering.random, 1);
    int code = processes_make(&gathering);
    gathering.tree.texts = &gather->texts;
    gathering.tree.grafts = (struct lap_summary_grafts){NULL, recording, gather->tables};
    if (code == 0)
        code = gathering_read(&gathering, progress, user);
    if (code == 0)
        code = nodes_finish(&gathering);
    gathering_done(&gathering);
    return code;
}

void lap_scaling_gather_done(struct lap_scaling_gather *gather)
{
    for (size_t i = 0; i < gather->group.node_count; i++) {
        gathered_done(&gather->nodes[i]);
        lap_distribution_done(gather->group.nodes[i].distribution);
        free(gather->group.nodes[i].distribution);
    }
    free(gather->nodes);
    free(gather->group.nodes);
    for (size_t i = 0; gather->tables && i < gather->runs; i++)
        lap_path_table_done(&gather->tables[i]);
    free(gather->tables);
    lap_summary_texts_done(&gather->texts);
}
