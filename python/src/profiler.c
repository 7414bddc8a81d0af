/* SPDX-License-Identifier: MIT */
#include "profiler.h"

#include "lapmark/format.h"
#include "report.h"
#include "stream.h"

#include <structmember.h>
#include <time.h>

PyTypeObject *lap_profiler_type;
struct lap_counts lap_counts;

static PyTypeObject *node_type;
static PyObject *context_variable;
static struct profiler *newest_live;
static uint32_t live_count, compared_count; /* compared_count: live ones whose frames have no token */
static struct profiler *off_profiler;       /* what construction gives where it is off */
static PyObject *zero;
static PyObject *task_clock;
static double ns_per_tick, ms_per_tick;
static int reads_clock;
static PyObject *name_msg, *name_disabled, *name_delayed, *name_threshold, *name_n, *name_file, *name_sink, *name_level,
    *name_function, *name_disable, *text_env;

static PyObject *call_fast(PyObject *, PyObject *const *, size_t, PyObject *);
static PyObject *call_general(PyObject *, PyObject *const *, size_t, PyObject *);
static PyObject *call_off(PyObject *, PyObject *const *, size_t, PyObject *);

double lap_ticks_to_ns(uint64_t ticks) { return (double)ticks * ns_per_tick; }

/* A float that nobody looks at is the next result, as of most checkpoints: it is neither freed nor made. */
static inline PyObject *ms_of(uint64_t ticks)
{
    static PyObject *unused;
    const double ms = (double)ticks * ms_per_tick;
    if (LAP_I_LIKELY(unused && Py_REFCNT(unused) == 1))
        ((PyFloatObject *)unused)->ob_fval = ms;
    else
        Py_XSETREF(unused, PyFloat_FromDouble(ms));
    Py_XINCREF(unused);
    return unused;
}

static uint64_t now_ticks(void)
{
    if (!reads_clock)
        return lap_impl_ticks();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline unsigned state_of(struct key *key)
{
    const unsigned state = lap_impl_state(&key->c_site);
    return LAP_I_UNLIKELY(state & LAP_IMPL_UNREGISTERED) ? lap_impl_site_state(&key->c_site) : state;
}

static inline uint32_t path_of(struct key *key, uint32_t parent)
{
    if (LAP_I_UNLIKELY(key->parent_path != parent)) {
        key->path = lap_impl_path(parent, &key->c_site);
        key->parent_path = parent;
    }
    return key->path;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

static uint64_t pair(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

static void words_put(uint64_t *out, const struct numbers *numbers)
{
    for (unsigned i = 0; i < numbers->count; i++)
        out[i] = numbers->words[i];
}

static uint64_t begin_store(const struct profiler *self, unsigned state, const struct profiler *parent,
                            const struct numbers *numbers)
{
    uint64_t ticks;
    const uint64_t position = self->handle ? lap_impl_keep_open(state, 48 + 8 * numbers->count, &ticks) : 0;
    if (position == 0)
        return self->handle ? ticks : now_ticks();
    const uint32_t flags = !(self->flags & PROFILER_PRINTS)   ? 0
                           : self->flags & PROFILER_IMMEDIATE ? LAP_FORMAT_FLAG_IMMEDIATE
                                                              : LAP_FORMAT_FLAG_PRINT;
    uint64_t words[5 + 1 + LAP_NUMBERS] = {self->handle, (uint64_t)self->threshold_ns, (uint64_t)self->n,
                                           parent ? parent->handle : 0, pair(self->path, flags)};
    words_put(words + 5, numbers);
    lap_impl_store(position, ticks, self->key->c_site.id, words, 5 + numbers->count);
    lap_impl_keep_close(position + 48 + 8 * numbers->count);
    return ticks;
}

/* Stores a checkpoint; returns its clock, not before the last one's. */
static inline __attribute__((always_inline)) uint64_t mark_store(struct profiler *self, struct key *key,
                                                                 const struct numbers *numbers)
{
    const unsigned count = numbers ? numbers->count : 0;
    const unsigned state = state_of(key);
    if (LAP_I_UNLIKELY(state == LAP_IMPL_OFF || self->handle == 0)) {
        const uint64_t now = now_ticks();
        return now < self->last_ticks ? self->last_ticks : now;
    }
    const uint32_t path = path_of(key, self->path);
    uint64_t ticks;
    const uint64_t position = lap_impl_keep_open(state, 32 + 8 * count, &ticks);
    const uint64_t shown = LAP_I_UNLIKELY(ticks < self->last_ticks) ? self->last_ticks : ticks;
    if (LAP_I_LIKELY(position != 0)) {
        uint64_t *const event = (uint64_t *)(uintptr_t)position;
        event[0] = ticks << LAP_IMPL_CLASS_BITS | key->c_site.id;
        event[1] = self->handle;
        event[2] = shown - self->last_ticks;
        event[3] = pair(path, (uint32_t)self->marks);
        if (numbers)
            words_put(event + 4, numbers);
        lap_impl_keep_close(position + 32 + 8 * count);
    }
    return shown;
}

/* What a held end leaves out is in none of its statistics: a reader takes an end without checkpoints to have no rest. */
static void end_store(const struct profiler *self, uint64_t *ret_ticks)
{
    uint64_t ticks = 0;
    const unsigned state = self->handle ? state_of(self->key) : LAP_IMPL_OFF;
    const uint64_t position = state == LAP_IMPL_OFF ? 0 : lap_impl_keep_open(state, 40, &ticks);
    if (ticks == 0)
        ticks = now_ticks();
    *ret_ticks = ticks < self->last_ticks || self->end == END_MARKED ? self->last_ticks : ticks;
    if (position == 0)
        return;
    const uint64_t rest = *ret_ticks - self->last_ticks;
    const int is_whole = self->end == END_CALLED || self->end == END_MARKED || self->end == END_RETURNED;
    const uint64_t words[] = {
        self->handle, rest, (is_whole ? *ret_ticks : self->last_ticks) - self->begin_ticks,
        pair(self->end == END_CANCELLED ? LAP_FORMAT_PATH_NONE : self->path, is_whole ? (uint32_t)self->marks : 0)};
    lap_impl_store(position, ticks, LAP_FORMAT_HANDLE_END, words, 4);
    lap_impl_keep_close(position + 40);
}

/* ---- laps ---------------------------------------------------------------------------------------------------------- */

static void lap_drop(struct lap *lap)
{
    struct lap_more *const more = lap_more_of(lap);
    lap->what = 0;
    if (!more)
        return;
    Py_XDECREF(more->label);
    PyMem_RawFree(more);
}

/* Folds a lap and those of the same label behind it. */
static struct lap *laps_fold(struct fold *fold, struct lap *lap, const struct lap *end, uint64_t *before)
{
    const uintptr_t what = lap->what;
    uint64_t last = lap->ticks, max = last - *before, count = 1;
    const uint64_t first = *before;
    lap_fold_add(fold, lap++, max);
    for (; lap < end && lap->what == what; lap++, count++) {
        const uint64_t ticks = lap->ticks - last;
        max = ticks > max ? ticks : max;
        last = lap->ticks;
    }
    fold->count += count - 1;
    fold->sum_ticks += last - first - (lap[-(ptrdiff_t)count].ticks - first);
    fold->max_ticks = max > fold->max_ticks ? max : fold->max_ticks;
    fold->last_ticks = *before = last;
    return lap;
}

/* Makes room for a lap: more of it, or that of the oldest ones, many at a time. */
static __attribute__((noinline)) void laps_make_room(struct profiler *self)
{
    if (self->lap_room < LAPS_ROOM) {
        const uint32_t room = self->lap_room == LAPS_INLINE    ? 32
                              : self->lap_room * 4 < LAPS_ROOM ? self->lap_room * 4
                                                               : LAPS_ROOM;
        struct lap *const old = self->laps == self->inline_laps ? NULL : self->laps;
        struct lap *const laps = PyMem_RawRealloc(old, room * sizeof *laps);
        if (laps) {
            if (!old)
                memcpy(laps, self->inline_laps, sizeof self->inline_laps);
            self->laps = laps;
            self->lap_next = laps + self->lap_room;
            self->lap_room = room;
            self->lap_end = laps + room;
            return;
        }
    }
    if (!self->folds)
        self->folds = PyMem_RawCalloc(LAP_KEYS_EACH + 1, sizeof *self->folds);
    if (self->lap_next == self->laps + self->lap_room)
        self->lap_next = self->laps;
    const uint32_t count = self->lap_room == LAPS_ROOM ? LAPS_ROOM - LAPS_MAX : 1;
    uint64_t before = self->folded_ticks ? self->folded_ticks : self->begin_ticks;
    for (struct lap *lap = self->lap_next, *const end = lap + count; lap < end;) {
        if (lap->what & 1 || !self->folds) {
            if (self->folds)
                lap_fold_add(&self->folds[lap_key_of(lap)->index], lap, lap->ticks - before);
            before = lap->ticks;
            lap_drop(lap++);
        } else {
            lap = laps_fold(&self->folds[lap_key_of(lap)->index], lap, end, &before);
        }
    }
    lap_counts.failed += self->folds ? 0 : count;
    self->folded_ticks = before;
    self->lap_end = self->lap_next + count;
}

/* ---- checkpoints --------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) struct lap *lap_add(struct profiler *self, struct key *key, uint64_t ticks)
{
    if (LAP_I_UNLIKELY(self->lap_next == self->lap_end))
        laps_make_room(self);
    struct lap *const lap = self->lap_next++;
    *lap = (struct lap){(uintptr_t)key, ticks};
    self->last_ticks = ticks;
    self->marks++;
    return lap;
}

/* Adds what its key does not say. */
static void lap_add_more(struct lap *lap, PyObject *label, int64_t n, const struct wait *wait)
{
    struct lap_more *const more = PyMem_RawMalloc(sizeof *more);
    if (!more) {
        lap_counts.failed++;
        return;
    }
    Py_XINCREF(label);
    *more = (struct lap_more){lap_key_of(lap), label, n, *wait};
    lap->what = (uintptr_t)more + 1;
}

/* The text of any object, exact. What has none is counted. New reference; NULL with an exception: no memory. */
static PyObject *text_of(PyObject *object)
{
    if (PyUnicode_CheckExact(object)) {
        Py_INCREF(object);
        return object;
    }
    PyObject *text = PyObject_Str(object);
    if (text && !PyUnicode_CheckExact(text)) {
        PyObject *const exact = PyUnicode_FromObject(text);
        Py_DECREF(text);
        text = exact;
    }
    if (!text) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
        lap_counts.bad_label++;
        const char *const dot = strrchr(Py_TYPE(object)->tp_name, '.');
        text = PyUnicode_FromFormat("(a %s without text)", dot ? dot + 1 : Py_TYPE(object)->tp_name);
    }
    return text;
}

/* Reads a size; 0: it is none, which is counted. */
static int size_of(PyObject *object, int64_t *ret_n)
{
    PyObject *const number = object && object != Py_None ? PyNumber_Long(object) : NULL;
    if (!number) {
        if (object && object != Py_None) {
            PyErr_Clear();
            lap_counts.bad_number++;
        }
        return 0;
    }
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    *ret_n = overflow > 0 ? INT64_MAX : overflow < 0 ? INT64_MIN : value;
    return 1;
}

static int64_t attribute_ns(PyObject *object, const char *name)
{
    PyObject *const value = PyObject_GetAttrString(object, name);
    const long long number = value ? PyLong_AsLongLong(value) : 0;
    Py_XDECREF(value);
    PyErr_Clear();
    return number;
}

/* Asks the running task's clock what has passed since the last time. Nothing where it is another task, or did not wait. */
static struct wait task_clock_read(struct profiler *self)
{
    PyObject *const record = task_clock ? PyObject_CallNoArgs(task_clock) : NULL;
    struct wait passed = {0, 0, 0};
    PyErr_Clear();
    if (record && record != Py_None) {
        const struct wait now = {attribute_ns(record, "running_ns"), attribute_ns(record, "waiting_ns"),
                                 attribute_ns(record, "busy_ns")};
        const struct wait before = self->task_times;
        if (record == self->task_clock && now.waiting_ns > before.waiting_ns)
            passed = (struct wait){now.running_ns - before.running_ns, now.waiting_ns - before.waiting_ns,
                                   now.busy_ns - before.busy_ns};
        self->task_times = now;
    }
    Py_XSETREF(self->task_clock, record);
    return passed;
}

/* A checkpoint that is not the usual one. `label` NULL: none. Returns the lap's milliseconds. */
static PyObject *mark_general(struct profiler *self, PyObject *label, PyObject *size)
{
    if (self->flags & (PROFILER_OFF | PROFILER_MUTE)) {
        Py_INCREF(zero);
        return zero;
    }
    if (self->flags & PROFILER_ENDED) {
        lap_counts.after_end++;
        Py_INCREF(zero);
        return zero;
    }
    int64_t n = 0;
    const int has_n = size_of(size, &n);
    PyObject *const text = label && label != Py_None ? text_of(label) : NULL;
    if (!text && PyErr_Occurred())
        return NULL;
    struct numbers numbers;
    struct key *const key = lap_key_get(self->site, LAP_IMPL_KIND_HANDLE_MARK, text, has_n ? &n : NULL, &numbers);
    if (!key) {
        Py_XDECREF(text);
        return NULL;
    }
    const uint64_t before = self->last_ticks;
    const uint64_t ticks = mark_store(self, key, &numbers);
    struct wait wait = task_clock ? task_clock_read(self) : (struct wait){0, 0, 0};
    if (wait.waiting_ns > 0) { /* the two clocks are not read at one instant: the lap is what is divided */
        const int64_t lap_ns = (int64_t)lap_ticks_to_ns(ticks - before);
        wait.running_ns = wait.running_ns < lap_ns ? wait.running_ns : lap_ns;
        wait.waiting_ns = lap_ns - wait.running_ns;
        wait.busy_ns = wait.busy_ns < wait.waiting_ns ? wait.busy_ns : wait.waiting_ns;
    }
    struct lap *const lap = lap_add(self, key, ticks);
    if (wait.waiting_ns > 0 || has_n || !text || !numbers.is_exact)
        lap_add_more(lap, text, n, &wait);
    Py_XDECREF(text);
    if (self->flags & PROFILER_IMMEDIATE)
        lap_report_marked(self);
    return ms_of(ticks - before);
}

/* The usual checkpoint: one label that was met here before, and nothing else. */
static PyObject *call_fast(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)callable;
    if (LAP_I_LIKELY(PyVectorcall_NARGS(nargsf) == 1 && !keywords)) {
        PyObject *const label = args[0];
        const unsigned index = lap_label_index(label);
        if (LAP_I_LIKELY(self->site->labels.cache[index].label == label)) {
            struct key *const key = self->site->labels.cache[index].key;
            const uint64_t before = self->last_ticks;
            const uint64_t ticks = mark_store(self, key, NULL);
            lap_add(self, key, ticks);
            return ms_of(ticks - before);
        }
    }
    return call_general(callable, args, nargsf, keywords);
}

static PyObject *decorate(PyTypeObject *type, PyObject *function, struct profiler *like);
static int is_decorated(PyObject *object);
static void profiler_end(struct profiler *self, enum profiler_end how);

/* Reads (msg=None, n=None), or with `max` 1 (msg=None). Borrowed. */
static int read_label(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *keywords, int max,
                      PyObject **ret_label, PyObject **ret_size)
{
    const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    *ret_label = *ret_size = NULL;
    if (count > max) {
        PyErr_Format(PyExc_TypeError, "%s takes at most %d arguments (%zd given)", name, max, count + named);
        return -1;
    }
    if (count > 0)
        *ret_label = args[0];
    if (count > 1)
        *ret_size = args[1];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *const keyword = PyTuple_GET_ITEM(keywords, i);
        PyObject **const value = PyUnicode_Compare(keyword, name_msg) == 0            ? ret_label
                                 : max > 1 && PyUnicode_Compare(keyword, name_n) == 0 ? ret_size
                                                                                      : NULL;
        if (!value || *value) {
            PyErr_Format(PyExc_TypeError, "%s got %s argument '%U'", name, value ? "twice its" : "an unexpected keyword",
                         keyword);
            return -1;
        }
        *value = args[count + i];
    }
    return 0;
}

static PyObject *call_general(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)callable;
    PyObject *label, *size;
    if (read_label("a checkpoint", args, PyVectorcall_NARGS(nargsf), keywords, 2, &label, &size) < 0)
        return NULL;
    if (label && self->marks == 0 && !size && is_decorated(label))
        return decorate(Py_TYPE(self), label, self);
    return mark_general(self, label, size);
}

static PyObject *call_off(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    if (LAP_I_UNLIKELY(PyVectorcall_NARGS(nargsf) != 1 || keywords || is_decorated(args[0])))
        return call_general(callable, args, nargsf, keywords);
    Py_INCREF(zero);
    return zero;
}

/* ---- lists of the living ------------------------------------------------------------------------------------------- */

static void live_add(struct profiler *self)
{
    self->live_older = newest_live;
    if (newest_live)
        newest_live->live_newer = self;
    newest_live = self;
    live_count++;
}

static void live_remove(struct profiler *self)
{
    if (self->live_newer)
        self->live_newer->live_older = self->live_older;
    else
        newest_live = self->live_older;
    if (self->live_older)
        self->live_older->live_newer = self->live_newer;
    self->live_newer = self->live_older = NULL;
    live_count--;
}

static void token_leave(struct profiler *self)
{
    struct profiler **at = self->token ? &self->token->newest : NULL;
    while (at && *at && *at != self)
        at = &(*at)->token_older;
    if (at && *at)
        *at = self->token_older;
    self->token = NULL;
    self->token_older = NULL;
    if (self->flags & PROFILER_COMPARED) {
        self->flags &= ~(uint32_t)PROFILER_COMPARED;
        compared_count--;
    }
}

void lap_profilers_lose_frame(struct profiler *newest, const lap_frame *frame)
{
    const lap_frame *const top = lap_frame_top(PyThreadState_Get());
    const void *const instruction = lap_frame_instruction(top);
    for (struct profiler *self = newest, *older; self; self = older) {
        older = self->token_older;
        self->token = NULL;
        self->token_older = NULL;
        self->flags |= PROFILER_LEFT;
#if PY_VERSION_HEX >= 0x030B0000
        self->left_frame = top;
        self->left_instruction = instruction;
        if (Py_REFCNT((PyObject *)self) == 1 && lap_frame_holds(frame, (PyObject *)self))
            self->flags |= PROFILER_DIES;
#else
        (void)frame;
        (void)instruction;
#endif
    }
}

void lap_profilers_lose_token(struct profiler *newest, const PyFrameObject *object)
{
    for (struct profiler *self = newest, *older; self; self = older) {
        older = self->token_older;
        self->token = NULL;
        self->token_older = NULL;
        self->compared = object;
        self->flags |= PROFILER_COMPARED;
        compared_count++;
    }
}

static void child_add(struct profiler *parent, struct profiler *self)
{
    self->parent = parent;
    self->next_child = parent->children;
    if (parent->children)
        parent->children->last_child = self;
    parent->children = self;
}

static void child_remove(struct profiler *self)
{
    if (!self->parent)
        return;
    if (self->last_child)
        self->last_child->next_child = self->next_child;
    else
        self->parent->children = self->next_child;
    if (self->next_child)
        self->next_child->last_child = self->last_child;
    self->parent = self->next_child = self->last_child = NULL;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

static void node_dealloc(PyObject *object)
{
    struct node *node = (struct node *)object;
    PyTypeObject *const type = Py_TYPE(object);
    struct node *parent = node->parent;
    PyObject_Free(object);
    Py_DECREF(type);
    while (parent && Py_REFCNT(parent) == 1) { /* a long chain takes no stack */
        node = parent;
        parent = node->parent;
        node->parent = NULL;
        Py_DECREF(node);
    }
    Py_XDECREF(parent);
}

/* Ended ancestors are nobody's parents: they are taken out, so that a chain is as long as it is alive. */
static struct node *node_living(struct node *node)
{
    while (node && !node->profiler)
        node = node->parent;
    return node;
}

static struct node *node_make(struct profiler *profiler, struct node *parent)
{
    struct node *const node = PyObject_New(struct node, node_type);
    if (!node)
        return NULL;
    parent = node_living(parent);
    if (parent) {
        struct node *const further = node_living(parent->parent);
        if (further != parent->parent) {
            Py_XINCREF(further);
            Py_XSETREF(parent->parent, further);
        }
    }
    Py_XINCREF(parent);
    node->profiler = profiler;
    node->parent = parent;
    return node;
}

/* ---- who is around ------------------------------------------------------------------------------------------------- */

static struct profiler *compared_find(const lap_frame *frame)
{
    const PyFrameObject *const object = lap_frame_object(frame);
    for (struct profiler *at = object ? newest_live : NULL; at; at = at->live_older)
        if (at->flags & PROFILER_COMPARED && at->compared == object)
            return at;
    return NULL;
}

/* The innermost live profiler whose frame is on the stack from `frame` outward. */
static struct profiler *stack_find(const lap_frame *frame)
{
    for (; frame; frame = lap_frame_around(frame)) {
        const struct token *const token = lap_token_find(frame);
        if (token && token->newest)
            return token->newest;
        if (LAP_I_UNLIKELY(compared_count != 0)) {
            struct profiler *const found = compared_find(frame);
            if (found)
                return found;
        }
    }
    return NULL;
}

/* Is its frame gone, or a generator's that nobody is asking? */
static int is_aside(const struct profiler *profiler)
{
    if (profiler->flags & PROFILER_LEFT)
        return 1;
    return profiler->token &&
           (lap_frame_object_is_left(profiler->token->object) || lap_frame_is_set_aside(profiler->token->object));
}

/* What this task or thread was started in: the innermost live profiler that another one had made before. */
static struct profiler *inherited_find(struct node *node, const void *context)
{
    for (; node; node = node->parent)
        if (node->profiler && node->context != context && !is_aside(node->profiler))
            return node->profiler;
    return NULL;
}

static struct profiler *parent_find(const lap_frame *frame, struct token *token, const struct site *site,
                                    struct node *inherited, const void *context)
{
    if (live_count == 0)
        return NULL;
    struct profiler *found = stack_find(frame);
    struct profiler *const outside = inherited ? inherited_find(inherited, context) : NULL;
    if (outside && (!found || outside->begin_ticks > found->begin_ticks))
        found = outside;
    /* Made again by the same line of the same frame: it is going to take that one's place. */
    while (found && token && found->token == token && found->site == site)
        found = found->parent;
    return found;
}

/* ---- construction -------------------------------------------------------------------------------------------------- */

struct options {
    PyObject *msg, *disabled, *delayed, *threshold, *n, *file, *sink, *level, *function;
};

static int options_read(struct options *options, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject **const places[] = {&options->msg,  &options->disabled, &options->delayed, &options->threshold, &options->n,
                                 &options->file, &options->sink,     &options->level,   &options->function};
    PyObject *const names[] = {name_msg,  name_disabled, name_delayed, name_threshold, name_n,
                               name_file, name_sink,     name_level,   name_function};
    *options = (struct options){NULL};
    if (count > 5) {
        PyErr_Format(PyExc_TypeError, "Profiler() takes at most 5 positional arguments (%zd given)", count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        *places[i] = args[i];
    for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *const keyword = PyTuple_GET_ITEM(keywords, i);
        size_t at = 0;
        while (at < sizeof names / sizeof *names && names[at] != keyword)
            at++;
        for (size_t k = 0; at == sizeof names / sizeof *names && k < at; k++)
            if (PyUnicode_Compare(names[k], keyword) == 0)
                at = k;
        if (at == sizeof names / sizeof *names || *places[at]) {
            PyErr_Format(PyExc_TypeError, "Profiler() got %s argument '%U'",
                         at == sizeof names / sizeof *names ? "an unexpected keyword" : "twice its", keyword);
            return -1;
        }
        *places[at] = args[count + i];
    }
    if (options->function && !PyFunction_Check(options->function))
        options->function = NULL;
    return 0;
}

/* The class's own switch: whatever `disable` is there, unless it is the one that this module put there. */
static int class_is_disabled(PyTypeObject *type)
{
    static PyTypeObject *known_type;
    static unsigned known_tag;
    static int known;
    if (type == known_type && type->tp_version_tag != 0 && type->tp_version_tag == known_tag &&
        PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
        return known;
    PyObject *const value = PyObject_GetAttr((PyObject *)type, name_disable);
    const int truth = value ? PyObject_IsTrue(value) : 0;
    Py_XDECREF(value);
    if (!value || truth < 0)
        PyErr_Clear();
    known_type = type;
    known_tag = type->tp_version_tag;
    return known = truth > 0;
}

/* 1: off, 0: on, 2: on where a term names it; -1 with an exception. */
static int disabled_read(PyObject *disabled)
{
    if (!disabled || disabled == Py_None || disabled == Py_False)
        return 0;
    if (disabled == Py_True)
        return 1;
    if (PyUnicode_Check(disabled) && PyUnicode_Compare(disabled, text_env) == 0)
        return 2;
    return PyObject_IsTrue(disabled);
}

#define FREE_MAX 64
static struct profiler *free_profilers[FREE_MAX]; /* untracked, and still with their reference to the type */
static int free_count;

/* A zeroed one, tracked. NULL with an exception. */
static struct profiler *profiler_alloc(PyTypeObject *type)
{
    if (type != lap_profiler_type || free_count == 0)
        return (struct profiler *)type->tp_alloc(type, 0);
    struct profiler *const self = free_profilers[--free_count];
    memset((char *)self + sizeof(PyObject), 0, offsetof(struct profiler, inline_laps) - sizeof(PyObject));
    Py_SET_REFCNT((PyObject *)self, 1);
    PyObject_GC_Track((PyObject *)self);
    return self;
}

static void profiler_release(struct profiler *self)
{
    PyTypeObject *const type = Py_TYPE(self);
    if (type == lap_profiler_type && free_count < FREE_MAX) {
        free_profilers[free_count++] = self;
        return;
    }
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* The frame that a profiler is made for: the caller's, or as many further out. */
static lap_frame *frame_of(PyThreadState *state, PyObject *level)
{
    lap_frame *frame = lap_frame_complete(lap_frame_top(state));
    long steps = level ? PyLong_AsLong(level) : 1;
    PyErr_Clear();
    for (; frame && steps > 1; steps--)
        frame = lap_frame_around(frame);
    return frame;
}

/* Puts it among what is around it, and stores its begin. */
static int profiler_begin(struct profiler *self, PyThreadState *state, const lap_frame *frame, unsigned site_state,
                          const struct numbers *numbers)
{
#if PY_VERSION_HEX < 0x030B0000
    /* A function that returns leaves its caller where it was when it called. */
    self->left_frame = lap_frame_around(frame);
    self->left_instruction = lap_frame_instruction(self->left_frame);
#endif
    self->token = lap_token_get(state, frame);
    struct token *const token = self->token;
    PyObject *inherited = NULL;
    if (PyContextVar_Get(context_variable, NULL, &inherited) < 0)
        PyErr_Clear();
    const int is_node = inherited && Py_TYPE(inherited) == node_type;
    struct profiler *const parent =
        parent_find(frame, token, self->site, is_node ? (struct node *)inherited : NULL, state->context);
    self->node = node_make(self, parent ? parent->node : NULL);
    PyObject *const undo = self->node ? PyContextVar_Set(context_variable, (PyObject *)self->node) : NULL;
    Py_XDECREF(undo);
    if (!undo) {
        Py_XDECREF(inherited);
        return -1;
    }
    self->node->context = state->context;
    Py_XDECREF(inherited);
    if (token) {
        self->token_older = token->newest;
        token->newest = self;
    } else if (lap_frame_object(frame)) {
        self->compared = lap_frame_object(frame);
        self->flags |= PROFILER_COMPARED;
        compared_count++;
    }
    if (parent)
        child_add(parent, self);
    live_add(self);
    if (parent && parent->flags & PROFILER_MUTE && !(site_state & LAP_IMPL_FORCED))
        self->flags |= PROFILER_MUTE;
    if (self->flags & PROFILER_MUTE) {
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
        self->vectorcall = call_general;
        return 0;
    }
    struct profiler *outer = parent;
    while (outer && outer->flags & PROFILER_MUTE)
        outer = outer->parent;
    if (outer && outer->flags & PROFILER_IMMEDIATE)
        self->flags |= PROFILER_IMMEDIATE;
    if (task_clock || self->flags & PROFILER_IMMEDIATE)
        self->vectorcall = call_general;
    uint32_t around = outer ? outer->path : 0, scope_path;
    uint64_t scope_begin;
    const struct profiler *linked = outer;
    if (LAP_I_UNLIKELY(lap_impl_local.thread->depth != 0) && lap_impl_innermost(&scope_path, &scope_begin) &&
        (!outer || scope_begin > outer->begin_ticks)) {
        around = scope_path;
        linked = NULL;
    }
    self->path = path_of(self->key, around);
    self->handle = lap_impl_handle_take();
    if (task_clock)
        task_clock_read(self);
    if (self->flags & PROFILER_IMMEDIATE && self->flags & PROFILER_PRINTS)
        lap_report_entered(self);
    self->begin_ticks = self->last_ticks = begin_store(self, site_state, linked, numbers);
    return 0;
}

/* Is it the constructor of a subclass, on the way from which we are called? */
static int is_constructor(const lap_frame *frame, const PyTypeObject *type)
{
    PyObject *const name = lap_frame_code(frame)->co_name;
    PyObject *const first =
#if PY_VERSION_HEX >= 0x030B0000
        lap_frame_code(frame)->co_argcount > 0 ? frame->localsplus[0] : NULL;
#else
        lap_frame_code(frame)->co_argcount > 0 ? frame->f_localsplus[0] : NULL;
#endif
    PyObject *const own = first && PyCell_Check(first) ? PyCell_GET(first) : first;
    if (!own)
        return 0;
    return PyUnicode_CompareWithASCIIString(name, "__init__") == 0 ? Py_TYPE(own) == type
           : PyUnicode_CompareWithASCIIString(name, "__new__") == 0
               ? PyType_Check(own) && PyType_IsSubtype((PyTypeObject *)own, lap_profiler_type)
               : 0;
}

static uint64_t threshold_of(PyObject *threshold)
{
    const double ms = threshold && threshold != Py_None ? PyFloat_AsDouble(threshold) : 0;
    if (ms == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        lap_counts.bad_number++;
        return 0;
    }
    return ms > 0 ? ms < 1e12 ? (uint64_t)(ms * 1e6) : UINT64_C(1000000000000000000) : 0;
}

/* Gives a blank one its options, and begins it; it stays off where it is to be. 0, or -1 with an exception. */
static int profiler_fill(struct profiler *self, const struct options *options, lap_frame *frame)
{
    PyObject *const function = options->function;
    struct site *const site = function ? lap_site_of_code((PyCodeObject *)PyFunction_GET_CODE(function),
                                                          ((PyFunctionObject *)function)->func_qualname)
                                       : lap_site_of_frame(frame);
    if (!site)
        return -1;
    self->message = options->msg && options->msg != Py_None ? text_of(options->msg) : lap_site_name(frame);
    struct numbers numbers;
    struct key *const key =
        self->message ? lap_key_get(site, LAP_IMPL_KIND_HANDLE_BEGIN, self->message, NULL, &numbers) : NULL;
    if (!key)
        return -1;
    const unsigned site_state = state_of(key);
    const int is_env = options->disabled && disabled_read(options->disabled) == 2;
    const int is_off = site_state == LAP_IMPL_OFF || lap_impl_local.divert > 1;
    const int is_silent = is_off && lap_impl_is_silenced(&key->c_site);
    if ((is_off && !is_silent) || (is_env && !(site_state & LAP_IMPL_FORCED)))
        return 0;
    self->site = site;
    self->key = key;
    self->threshold_ns = (double)lap_impl_threshold_ns(&key->c_site, threshold_of(options->threshold));
    const int has_own = (options->file && options->file != Py_None) || (options->sink && options->sink != Py_None);
    const int is_immediate = options->delayed && PyObject_IsTrue(options->delayed) == 0;
    self->flags = (site_state & LAP_IMPL_PRINT || (has_own && !is_silent) ? PROFILER_PRINTS : 0u) |
                  (is_immediate ? PROFILER_IMMEDIATE : 0u) |
                  (lap_frame_code(frame)->co_flags & LAP_CODE_SUSPENDS ? 0u : PROFILER_PLAIN) |
                  (size_of(options->n, &self->n) ? PROFILER_HAS_N : 0u) | (is_silent ? PROFILER_MUTE : 0u);
    if (options->file && options->file != Py_None)
        self->file = Py_NewRef(options->file);
    if (options->sink && options->sink != Py_None)
        self->sink = Py_NewRef(options->sink);
    self->vectorcall = call_fast;
    return profiler_begin(self, PyThreadState_Get(), frame, site_state, &numbers);
}

static void profiler_blank(struct profiler *self)
{
    self->flags = PROFILER_OFF;
    self->vectorcall = call_off;
    self->laps = self->lap_next = self->inline_laps;
    self->lap_room = LAPS_INLINE;
    self->lap_end = self->inline_laps + LAPS_INLINE;
}

/* Is construction to give one that is off, whatever the labels say? 1, 0, or -1 with an exception. */
static int is_made_off(PyTypeObject *type, const struct options *options)
{
    const int disabled = disabled_read(options->disabled);
    if (disabled < 0 || disabled == 1 || class_is_disabled(type))
        return disabled < 0 ? -1 : 1;
    if (lap_stream_is_writing()) {
        lap_counts.reentered++;
        return 1;
    }
    return 0;
}

static PyObject *profiler_make(PyTypeObject *type, const struct options *options)
{
    if (options->msg && is_decorated(options->msg))
        return decorate(type, options->msg, NULL);
    const int is_off = is_made_off(type, options);
    lap_frame *const frame = is_off ? NULL : frame_of(PyThreadState_Get(), options->level);
    if (is_off < 0)
        return NULL;
    if (!frame)
        return Py_NewRef((PyObject *)off_profiler);
    struct profiler *const self = profiler_alloc(type);
    if (!self)
        return NULL;
    profiler_blank(self);
    if (profiler_fill(self, options, frame) < 0) {
        self->flags |= PROFILER_ENDED;
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *type_call(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    struct options options;
    if (options_read(&options, args, PyVectorcall_NARGS(nargsf), keywords) < 0)
        return NULL;
    return profiler_make((PyTypeObject *)type, &options);
}

/* Subclasses are made in two steps, since their constructors may have other arguments. */
static PyObject *profiler_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *const msg = PyTuple_GET_SIZE(args) == 1 && !keywords ? PyTuple_GET_ITEM(args, 0) : NULL;
    if (msg && is_decorated(msg))
        return decorate(type, msg, NULL);
    struct profiler *const self = (struct profiler *)type->tp_alloc(type, 0);
    if (self) {
        profiler_blank(self);
        self->flags |= PROFILER_BLANK;
    }
    return (PyObject *)self;
}

static int options_read_tuple(struct options *options, PyObject *args, PyObject *keywords)
{
    PyObject *all[5 + 9], *name, *value;
    const Py_ssize_t count = PyTuple_GET_SIZE(args), named = keywords ? PyDict_GET_SIZE(keywords) : 0;
    if (count > 5 || named > 9)
        return options_read(options, NULL, 6, NULL);
    PyObject *const names = PyTuple_New(named);
    if (!names)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++)
        all[i] = PyTuple_GET_ITEM(args, i);
    for (Py_ssize_t at = 0, i = 0; named > 0 && PyDict_Next(keywords, &at, &name, &value); i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(name));
        all[count + i] = value;
    }
    const int error = options_read(options, all, count, names);
    Py_DECREF(names);
    return error;
}

static int profiler_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)object;
    struct options options;
    if (!(self->flags & PROFILER_BLANK))
        return 0;
    if (options_read_tuple(&options, args, keywords) < 0)
        return -1;
    const int is_off = is_made_off(Py_TYPE(object), &options);
    if (is_off < 0)
        return -1;
    self->flags &= ~(uint32_t)PROFILER_BLANK;
    lap_frame *frame = is_off ? NULL : frame_of(PyThreadState_Get(), options.level);
    while (frame && is_constructor(frame, Py_TYPE(object)))
        frame = lap_frame_around(frame);
    return frame ? profiler_fill(self, &options, frame) : 0;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* An implicit end: the function that made it is being left just now, or somebody let go of it. */
static enum profiler_end end_of(const struct profiler *self)
{
    if (!(self->flags & PROFILER_PLAIN))
        return END_LET_GO;
    PyThreadState *const state = PyThreadState_Get();
    const lap_frame *const top = lap_frame_top(state);
#if PY_VERSION_HEX >= 0x030B0000
    if (self->flags & PROFILER_COMPARED) {
        for (const lap_frame *frame = lap_frame_complete((lap_frame *)(uintptr_t)top); frame;
             frame = lap_frame_around(frame))
            if (lap_frame_object(frame) == self->compared)
                return END_LET_GO;
        return END_RETURNED;
    }
    if (self->flags & PROFILER_DIES)
        return END_RETURNED;
    if (self->flags & PROFILER_LEFT && self->left_frame == top && self->left_instruction == lap_frame_instruction(top))
        return END_RETURNED;
#else
    if (self->left_frame == top && self->left_instruction == lap_frame_instruction(top))
        return END_RETURNED;
#endif
    return END_LET_GO;
}

/* Others of its frame that go with it, since the frame goes: they are inside, and end first. */
static void companions_end(struct profiler *self)
{
    for (struct profiler *child = self->children, *next; child; child = next) {
        next = child->next_child;
        const int is_left_behind = self->token && child->token == self->token &&
                                   lap_frame_object_is_left(self->token->object) && Py_REFCNT((PyObject *)child) == 1 &&
                                   lap_frame_holds(lap_frame_of_object(self->token->object), (PyObject *)child);
        if (child->flags & PROFILER_DIES || is_left_behind)
            profiler_end(child, self->end);
    }
}

/* What is open inside goes to nobody, or, when the profiler made way for one that has done nothing yet, to who is around. */
static void children_leave(struct profiler *self)
{
    struct profiler *const around = self->parent;
    for (struct profiler *child = self->children, *next; child; child = next) {
        next = child->next_child;
        const int moves = lap_profiler_makes_way(self, child);
        child_remove(child);
        if (moves && around)
            child_add(around, child);
        if (moves)
            child->path = path_of(child->key, around ? around->path : 0);
    }
}

int lap_profiler_makes_way(const struct profiler *self, const struct profiler *child)
{
    return self->end == END_LET_GO && child->marks == 0 && !child->children && !child->blocks &&
           child->token == self->token;
}

static void profiler_end(struct profiler *self, enum profiler_end how)
{
    if (self->flags & (PROFILER_OFF | PROFILER_ENDED))
        return;
    uint64_t now;
    self->end = how;
    if (how == END_RETURNED || how == END_LET_GO)
        companions_end(self);
    end_store(self, &now);
    self->flags |= PROFILER_ENDED;
    self->vectorcall = call_general;
    self->rest_ticks = now - self->last_ticks;
    self->total_ticks = (how == END_CALLED || how == END_RETURNED ? now : self->last_ticks) - self->begin_ticks;
    if (self->node)
        self->node->profiler = NULL;
    if (self->handle)
        lap_impl_handle_give(self->handle);
    self->handle = 0;
    const int has_own = self->file || self->sink;
    if (self->flags & (PROFILER_DISABLED | PROFILER_MUTE) || how == END_CANCELLED || class_is_disabled(Py_TYPE(self)) ||
        !(state_of(self->key) & (has_own ? 0xFFu : (unsigned)LAP_IMPL_PRINT)))
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
    lap_report_end(self); /* knows the children that are open, and the parent */
    children_leave(self);
    child_remove(self);
    token_leave(self);
    live_remove(self);
}

static void profiler_end_implicitly(struct profiler *self)
{
    if (self->flags & (PROFILER_OFF | PROFILER_ENDED))
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    profiler_end(self, end_of(self));
    PyErr_Restore(type, value, traceback);
}

void lap_profilers_exit(void)
{
    /* The inner ones first, so that each is in its parent's report; then the others, oldest first. */
    for (struct profiler *self = newest_live, *older; self; self = older) {
        older = self->live_older;
        if (self->parent && !(self->parent->flags & PROFILER_IMMEDIATE))
            profiler_end(self, END_EXIT);
    }
    while (newest_live) {
        struct profiler *oldest = newest_live;
        while (oldest->live_older)
            oldest = oldest->live_older;
        Py_INCREF(oldest);
        profiler_end(oldest, END_EXIT);
        Py_DECREF(oldest);
    }
}

void lap_profilers_flush(void)
{
    struct profiler *self = newest_live;
    while (self && self->live_older)
        self = self->live_older;
    for (; self; self = self->live_newer)
        lap_report_flush(self);
}

void lap_profilers_after_fork(void)
{
    /* They are the parent's to end. Their handles are none here. */
    while (newest_live) {
        struct profiler *const self = newest_live;
        live_remove(self);
        self->flags |= PROFILER_ENDED;
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
        self->vectorcall = call_general;
        self->handle = 0;
        if (self->node)
            self->node->profiler = NULL;
        token_leave(self);
        self->parent = self->children = self->next_child = self->last_child = NULL;
    }
    compared_count = 0;
    lap_sites_after_fork();
}

void lap_profilers_set_task_clock(PyObject *function)
{
    Py_XINCREF(function);
    Py_XSETREF(task_clock, function);
    for (struct profiler *self = newest_live; function && self; self = self->live_older)
        self->vectorcall = call_general;
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

static PyObject *profiler_mark(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *label, *size;
    if (read_label("mark()", args, count, keywords, 2, &label, &size) < 0)
        return NULL;
    return mark_general((struct profiler *)object, label, size);
}

static PyObject *profiler_finish(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)object;
    PyObject *label, *size;
    if (read_label("finish()", args, count, keywords, 1, &label, &size) < 0)
        return NULL;
    if (self->flags & PROFILER_OFF) {
        Py_INCREF(zero);
        return zero;
    }
    if (!(self->flags & PROFILER_ENDED)) {
        if (label && label != Py_None) {
            PyObject *const lap = mark_general(self, label, NULL);
            if (!lap)
                return NULL;
            Py_DECREF(lap);
        }
        profiler_end(self, label && label != Py_None ? END_MARKED : END_CALLED);
    } else if (label && label != Py_None && !(self->flags & PROFILER_MUTE)) {
        lap_counts.after_end++;
    }
    return ms_of(self->total_ticks);
}

static PyObject *profiler_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *profiler_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    profiler_end((struct profiler *)self, END_CALLED);
    Py_RETURN_NONE;
}

static PyObject *profiler_init_subclass(PyObject *class, PyObject *args, PyObject *keywords)
{
    (void)args;
    if (keywords && PyDict_GET_SIZE(keywords) > 0)
        return PyErr_Format(PyExc_TypeError, "__init_subclass__() takes no keyword arguments");
    PyObject *const module = PyImport_ImportModule("lapmark._frames");
    PyObject *const result = module ? PyObject_CallMethod(module, "note_subclass", "O", class) : NULL;
    Py_XDECREF(module);
    return result;
}

/* An awaitable that is done at once. */
struct instant {
    PyObject_HEAD PyObject *value;
};
static PyTypeObject *instant_type;

static void instant_dealloc(PyObject *object)
{
    PyTypeObject *const type = Py_TYPE(object);
    Py_XDECREF(((struct instant *)object)->value);
    PyObject_Free(object);
    Py_DECREF(type);
}
static PyObject *instant_self(PyObject *object) { return Py_NewRef(object); }
static PyObject *instant_next(PyObject *object)
{
    PyErr_SetObject(PyExc_StopIteration, ((struct instant *)object)->value);
    return NULL;
}

static PyObject *instant_make(PyObject *value)
{
    struct instant *const instant = PyObject_New(struct instant, instant_type);
    if (instant)
        instant->value = Py_NewRef(value);
    return (PyObject *)instant;
}

static PyObject *profiler_aenter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return instant_make(self);
}

static PyObject *profiler_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_XDECREF(profiler_exit(self, args, count));
    return instant_make(Py_None);
}

static PyObject *profiler_repr(PyObject *object)
{
    const struct profiler *const self = (struct profiler *)object;
    if (self->flags & PROFILER_OFF)
        return PyUnicode_FromString("<lapmark.Profiler, off>");
    return PyUnicode_FromFormat("<lapmark.Profiler %R, %s, %llu checkpoints>", self->message,
                                self->flags & PROFILER_ENDED ? "finished" : "open", (unsigned long long)self->marks);
}

static PyObject *profiler_get_laps(PyObject *self, void *unused)
{
    (void)unused;
    return lap_report_laps((struct profiler *)self);
}

static PyObject *profiler_get_msg(PyObject *object, void *unused)
{
    PyObject *const message = ((struct profiler *)object)->message;
    (void)unused;
    return Py_NewRef(message ? message : Py_None);
}

static PyObject *profiler_get_finished(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong((((struct profiler *)object)->flags & PROFILER_ENDED) != 0);
}

static PyObject *profiler_get_enabled(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong((((struct profiler *)object)->flags & PROFILER_OFF) == 0);
}

/* `disable` is a switch of the class and of the instance: read there by a descriptor, set here. */
static int profiler_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    struct profiler *const self = (struct profiler *)object;
    if (value && PyUnicode_Check(name) && PyUnicode_Compare(name, name_disable) == 0) {
        const int truth = PyObject_IsTrue(value);
        if (truth < 0)
            return -1;
        self->flags = truth ? self->flags | PROFILER_DISABLED : self->flags & ~(uint32_t)PROFILER_DISABLED;
        return 0;
    }
    return PyObject_GenericSetAttr(object, name, value);
}

static PyTypeObject *switch_type;
static PyObject *switch_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)self;
    (void)type;
    return PyBool_FromLong(object && ((struct profiler *)object)->flags & PROFILER_DISABLED);
}

/* ---- decorators ---------------------------------------------------------------------------------------------------- */

static int is_decorated(PyObject *object)
{
    return PyFunction_Check(object) || Py_TYPE(object) == &PyStaticMethod_Type || Py_TYPE(object) == &PyClassMethod_Type;
}

static int dict_set(PyObject *dict, PyObject *name, PyObject *value)
{
    const int error = value ? PyDict_SetItem(dict, name, value) : -1;
    Py_XDECREF(value);
    return error;
}

/* The options that it was made with, as keywords. */
static PyObject *options_of(const struct profiler *like)
{
    PyObject *const options = PyDict_New();
    int error = options ? 0 : -1;
    if (error == 0 && like->message)
        error = dict_set(options, name_msg, Py_NewRef(like->message));
    if (error == 0)
        error = dict_set(options, name_delayed, PyBool_FromLong(!(like->flags & PROFILER_IMMEDIATE)));
    if (error == 0)
        error = dict_set(options, name_threshold, PyFloat_FromDouble(like->threshold_ns / 1e6));
    if (error == 0 && like->flags & PROFILER_HAS_N)
        error = dict_set(options, name_n, PyLong_FromLongLong(like->n));
    if (error == 0 && like->file)
        error = dict_set(options, name_file, Py_NewRef(like->file));
    if (error == 0 && like->sink)
        error = dict_set(options, name_sink, Py_NewRef(like->sink));
    return options;
}

/* The wrappers are written in Python. `like`: a profiler that was only made for this; as if it had not been. */
static PyObject *decorate(PyTypeObject *type, PyObject *function, struct profiler *like)
{
    if (like && like->flags & PROFILER_OFF)
        return Py_NewRef(function);
    PyObject *const options = like ? options_of(like) : PyDict_New();
    PyObject *const module = PyImport_ImportModule("lapmark._decorate");
    if (like)
        profiler_end(like, END_CANCELLED);
    PyObject *const wrapped =
        options && module ? PyObject_CallMethod(module, "decorate_with", "OOO", function, (PyObject *)type, options)
                          : NULL;
    Py_XDECREF(module);
    Py_XDECREF(options);
    return wrapped;
}

/* ---- the type ------------------------------------------------------------------------------------------------------ */

static int profiler_traverse(PyObject *object, visitproc visit, void *arg)
{
    const struct profiler *const self = (struct profiler *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->file);
    Py_VISIT(self->sink);
    Py_VISIT(self->task_clock);
    return 0;
}

static int profiler_clear(PyObject *object)
{
    struct profiler *const self = (struct profiler *)object;
    Py_CLEAR(self->file);
    Py_CLEAR(self->sink);
    Py_CLEAR(self->task_clock);
    return 0;
}

static void profiler_finalize(PyObject *self) { profiler_end_implicitly((struct profiler *)self); }

static void laps_drop(struct profiler *self)
{
    struct lap *const end = self->folded_ticks ? self->laps + self->lap_room : self->lap_next;
    for (struct lap *lap = self->laps; lap && lap < end; lap++)
        if (lap->what & 1)
            lap_drop(lap);
    if (self->laps != self->inline_laps)
        PyMem_RawFree(self->laps);
    PyMem_RawFree(self->folds);
}

static void profiler_dealloc(PyObject *object)
{
    struct profiler *const self = (struct profiler *)object;
    PyObject_GC_UnTrack(object);
    if (!(self->flags & (PROFILER_OFF | PROFILER_ENDED))) {
        Py_SET_REFCNT(object, 1); /* whoever is called from here may look at it, not keep it */
        profiler_end_implicitly(self);
        Py_SET_REFCNT(object, 0);
    }
    child_remove(self);
    token_leave(self);
    laps_drop(self);
    lap_report_free(self);
    Py_XDECREF(self->message);
    Py_XDECREF((PyObject *)self->node);
    profiler_clear(object);
    profiler_release(self);
}

static PyMethodDef methods[] = {
    {"mark", (PyCFunction)(void (*)(void))profiler_mark, METH_FASTCALL | METH_KEYWORDS,
     "mark(msg=None, n=None): a checkpoint; returns its lap in milliseconds"},
    {"finish", (PyCFunction)(void (*)(void))profiler_finish, METH_FASTCALL | METH_KEYWORDS,
     "finish(msg=None): ends it, with a last checkpoint if there is a label; returns the total in milliseconds"},
    {"__init_subclass__", (PyCFunction)(void (*)(void))profiler_init_subclass, METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     NULL},
    {"__enter__", profiler_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))profiler_exit, METH_FASTCALL, NULL},
    {"__aenter__", profiler_aenter, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))profiler_aexit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef getters[] = {{"laps", profiler_get_laps, NULL, "the last 1,024 checkpoints: [(label, ms), ...]", NULL},
                                {"msg", profiler_get_msg, NULL, "its message", NULL},
                                {"finished", profiler_get_finished, NULL, "has it ended?", NULL},
                                {"enabled", profiler_get_enabled, NULL, "does it do anything?", NULL},
                                {NULL, NULL, NULL, NULL, NULL}};
static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct profiler, vectorcall), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};

static const char documentation[] =
    "Profiler(msg=None, disabled=None, delayed=True, ms_threshold=0.0, n=None, *, file=None, sink=None)\n--\n\n"
    "A stopwatch with named laps, around a stretch of code.\n\n"
    "Call it after each step. It reports when it dies (where the function that made it returns), at `finish()`, or at "
    "the end\n"
    "of `with` or `async with`. `@Profiler('message')` and `@Profiler` put one around each call of a function.\n\n"
    "disabled  None, False: on, unless LAPMARK or lapmark.set() says off. 'env': on only where they name it. Anything "
    "else\n"
    "          that is true: takes the same calls and does nothing, whatever LAPMARK says, and costs the least.\n"
    "delayed   False: each line is printed at once, whatever the threshold.\n"
    "ms_threshold  prints only if it took this many milliseconds or more.\n"
    "n         a problem size, shown with its total.\n"
    "file, sink  where its report goes instead: an object with `write`, or a callable that gets the whole text.\n\n"
    "`disable`, of a class or an object, is read when a profiler is made and when it ends: such a one reports nothing.";

static PyTypeObject *type_make(const char *name, size_t bytes, unsigned long flags, PyType_Slot *slots)
{
    PyType_Spec spec = {name, (int)bytes, 0, (unsigned)(Py_TPFLAGS_DEFAULT | flags), slots};
    return (PyTypeObject *)PyType_FromSpec(&spec);
}

int lap_profilers_start(PyObject *module)
{
    static const struct {
        PyObject **place;
        const char *text;
    } names[] = {{&name_msg, "msg"},
                 {&name_disabled, "disabled"},
                 {&name_delayed, "delayed"},
                 {&name_threshold, "ms_threshold"},
                 {&name_n, "n"},
                 {&name_file, "file"},
                 {&name_sink, "sink"},
                 {&name_level, "stacklevel"},
                 {&name_function, "_function"},
                 {&name_disable, "disable"},
                 {&text_env, "env"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!(*names[i].place = PyUnicode_InternFromString(names[i].text)))
            return -1;
    static PyType_Slot profiler_slots[] = {{Py_tp_new, (void *)profiler_new},
                                           {Py_tp_init, (void *)profiler_init},
                                           {Py_tp_dealloc, (void *)profiler_dealloc},
                                           {Py_tp_finalize, (void *)profiler_finalize},
                                           {Py_tp_traverse, (void *)profiler_traverse},
                                           {Py_tp_clear, (void *)profiler_clear},
                                           {Py_tp_call, (void *)PyVectorcall_Call},
                                           {Py_tp_repr, (void *)profiler_repr},
                                           {Py_tp_setattro, (void *)profiler_setattro},
                                           {Py_tp_methods, methods},
                                           {Py_tp_getset, getters},
                                           {Py_tp_members, members},
                                           {Py_tp_doc, (void *)documentation},
                                           {0, NULL}};
    static PyType_Slot node_slots[] = {{Py_tp_dealloc, (void *)node_dealloc}, {0, NULL}};
    static PyType_Slot switch_slots[] = {{Py_tp_descr_get, (void *)switch_get}, {0, NULL}};
    static PyType_Slot instant_slots[] = {{Py_tp_dealloc, (void *)instant_dealloc},
                                          {Py_am_await, (void *)instant_self},
                                          {Py_tp_iter, (void *)instant_self},
                                          {Py_tp_iternext, (void *)instant_next},
                                          {0, NULL}};
    lap_profiler_type = type_make("lapmark.Profiler", sizeof(struct profiler),
                                  Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, profiler_slots);
    node_type = type_make("lapmark._lapmark.node", sizeof(struct node), 0, node_slots);
    switch_type = type_make("lapmark._lapmark.switch", sizeof(PyObject), 0, switch_slots);
    instant_type = type_make("lapmark._lapmark.instant", sizeof(struct instant), 0, instant_slots);
    context_variable = PyContextVar_New("lapmark_profiler", NULL);
    zero = PyFloat_FromDouble(0);
    if (!lap_profiler_type || !node_type || !switch_type || !instant_type || !context_variable || !zero)
        return -1;
    PyObject *const switch_object = switch_type->tp_alloc(switch_type, 0);
    if (!switch_object || PyObject_SetAttr((PyObject *)lap_profiler_type, name_disable, switch_object) < 0)
        return -1;
    Py_DECREF(switch_object);
    lap_profiler_type->tp_vectorcall = type_call;
    struct lap_impl_facts facts;
    lap_impl_facts_read(&facts);
    ns_per_tick = facts.ns_per_tick;
    ms_per_tick = ns_per_tick / 1e6;
    reads_clock = (int)facts.reads_clock;
    off_profiler = profiler_alloc(lap_profiler_type);
    if (!off_profiler)
        return -1;
    profiler_blank(off_profiler);
    Py_INCREF(lap_profiler_type);
    return PyModule_AddObject(module, "Profiler", (PyObject *)lap_profiler_type);
}
