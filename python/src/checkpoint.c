/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include "blocks.h"
#include "lapmark/format.h"

PyObject *lap_zero, *lap_unused_float, *lap_task_clock;

PyObject *lap_ms_made(double ms)
{
    PyObject *const made = PyFloat_FromDouble(ms);
    if (made) {
        Py_INCREF(made);
        Py_SETREF(lap_unused_float, made);
    }
    return made;
}

/* Writes a checkpoint's event, but for its numbers. */
static inline __attribute__((always_inline)) void event_put(uint64_t position, const struct profiler *self,
                                                            const struct key *key, uint64_t ticks, uint64_t shown,
                                                            uint64_t before)
{
    uint64_t *const event = (uint64_t *)(uintptr_t)position;
    event[0] = ticks << LAP_IMPL_CLASS_BITS | key->c_site.id;
    event[1] = self->handle;
    event[2] = shown - before;
    event[3] = lap_pair(key->path, (uint32_t)self->marks);
}

/* Stores a checkpoint at a position that has been taken, 0: it is lost. Returns its clock, not before the last one's. */
static uint64_t mark_put(struct profiler *self, const struct key *key, uint64_t position, uint64_t ticks,
                         const struct numbers *numbers)
{
    const uint64_t shown = ticks < self->last_ticks ? self->last_ticks : ticks;
    if (position != 0) {
        event_put(position, self, key, ticks, shown, self->last_ticks);
        if (numbers)
            lap_numbers_put((uint64_t *)(uintptr_t)position + 4, numbers);
        lap_impl_keep_close(position + 32 + 8 * (numbers ? numbers->count : 0));
    }
    return shown;
}

static uint64_t mark_store(struct profiler *self, struct key *key, const struct numbers *numbers)
{
    const unsigned state = lap_key_state(key);
    if (LAP_I_UNLIKELY(state == LAP_IMPL_OFF || self->handle == 0)) {
        const uint64_t now = lap_now_ticks();
        return now < self->last_ticks ? self->last_ticks : now;
    }
    lap_key_path(key, self->path);
    uint64_t ticks;
    const uint64_t position = lap_impl_keep_open(state, 32 + 8 * (numbers ? numbers->count : 0), &ticks);
    return mark_put(self, key, position, ticks, numbers);
}

/* ---- laps ---------------------------------------------------------------------------------------------------------- */

static void lap_drop(struct lap *lap)
{
    struct lap_more *const more = lap_more_of(lap);
    lap->what = 0;
    if (!more)
        return;
    Py_XDECREF(more->label);
    lap_calls_free(more->calls);
    PyMem_RawFree(more);
}

/* Folds a lap with what goes with it. */
static void lap_fold_in(struct fold *fold, const struct lap *lap, uint64_t ticks)
{
    const struct lap_more *const more = lap_more_of(lap);
    lap_fold_add(fold, lap, ticks);
    if (more && more->calls && more->calls->laps)
        lap_calls_add_laps(&fold->laps, more->calls->laps->laps, more->calls->laps->count);
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
    if (self->lap_room < LAPS_ROOM &&
        !self->folded_ticks) { /* where there was no memory for more, it goes round in what it has */
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
                lap_fold_in(&self->folds[lap_key_of(lap)->index], lap, lap->ticks - before);
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

void lap_laps_drop(struct profiler *self)
{
    struct lap *const end = self->folded_ticks ? self->laps + self->lap_room : self->lap_next;
    for (struct lap *lap = self->laps; lap && lap < end; lap++)
        if (lap->what & 1)
            lap_drop(lap);
    if (self->laps != self->inline_laps)
        PyMem_RawFree(self->laps);
    for (unsigned i = 0; self->folds && i <= LAP_KEYS_EACH; i++)
        PyMem_RawFree(self->folds[i].laps);
    PyMem_RawFree(self->folds);
}

/* ---- checkpoints --------------------------------------------------------------------------------------------------- */

/* Where there is room. */
static inline __attribute__((always_inline)) struct lap *lap_add_there(struct profiler *self, struct key *key,
                                                                       uint64_t ticks)
{
    struct lap *const lap = self->lap_next++;
    lap->what = (uintptr_t)key;
    lap->ticks = ticks;
    self->last_ticks = ticks;
    self->marks++;
    return lap;
}

static inline __attribute__((always_inline)) struct lap *lap_add(struct profiler *self, struct key *key, uint64_t ticks)
{
    if (LAP_I_UNLIKELY(self->lap_next == self->lap_end))
        laps_make_room(self);
    return lap_add_there(self, key, ticks);
}

/* Adds what its key does not say, and takes the calls that came back. */
static void lap_add_more(struct profiler *self, struct lap *lap, PyObject *label, int64_t n, const struct wait *wait)
{
    struct lap_more *const more = PyMem_RawMalloc(sizeof *more);
    if (!more) {
        lap_counts.failed++;
        return;
    }
    Py_XINCREF(label);
    *more = (struct lap_more){lap_key_of(lap), label, n, *wait, self->calls};
    lap->what = (uintptr_t)more + 1;
    self->calls = NULL;
}

/* The text of any object, exact. What has none is counted. New reference; NULL with an exception: no memory. */
PyObject *lap_label_text(PyObject *object)
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
int lap_size_read(PyObject *object, int64_t *ret_n)
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
struct wait lap_task_clock_read(struct profiler *self)
{
    PyObject *const record = lap_task_clock ? PyObject_CallNoArgs(lap_task_clock) : NULL;
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
PyObject *lap_checkpoint(struct profiler *self, PyObject *label, PyObject *size)
{
    if (self->flags & (PROFILER_OFF | PROFILER_MUTE)) {
        Py_INCREF(lap_zero);
        return lap_zero;
    }
    if (self->flags & PROFILER_ENDED) {
        lap_counts.after_end++;
        Py_INCREF(lap_zero);
        return lap_zero;
    }
    int64_t n = 0;
    const int has_n = lap_size_read(size, &n);
    PyObject *const text = label && label != Py_None ? lap_label_text(label) : NULL;
    if (!text && PyErr_Occurred())
        return NULL;
    struct wait wait = lap_task_clock ? lap_task_clock_read(self) : (struct wait){0, 0, 0};
    if (self->flags & PROFILER_ENDED) { /* by what was called above, or on another thread meanwhile */
        Py_XDECREF(text);
        return lap_checkpoint(self, NULL, NULL);
    }
    struct numbers numbers;
    struct key *const key = lap_key_get(self->site, LAP_IMPL_KIND_HANDLE_MARK, text, has_n ? &n : NULL, &numbers);
    if (!key) {
        Py_XDECREF(text);
        return NULL;
    }
    const uint64_t before = self->last_ticks;
    const uint64_t ticks = mark_store(self, key, &numbers);
    if (wait.waiting_ns > 0) { /* the two clocks are not read at one instant: the lap is what is divided */
        const int64_t lap_ns = (int64_t)lap_ticks_to_ns(ticks - before);
        wait.waiting_ns = wait.waiting_ns < lap_ns ? wait.waiting_ns : lap_ns;
        wait.running_ns = lap_ns - wait.waiting_ns;
        wait.busy_ns = wait.busy_ns < wait.waiting_ns ? wait.busy_ns : wait.waiting_ns;
    }
    struct lap *const lap = lap_add(self, key, ticks);
    if (self->calls && !(self->flags & PROFILER_IMMEDIATE) && !lap_task_clock)
        self->vectorcall = lap_call_fast; /* see lap_calls_note */
    if (wait.waiting_ns > 0 || has_n || !text || !numbers.is_exact || self->calls)
        lap_add_more(self, lap, text, n, &wait);
    Py_XDECREF(text);
    if (self->flags & PROFILER_IMMEDIATE)
        lap_report_marked(self);
    return lap_ms_of(ticks - before);
}

/* A label that was met here before, where its switch, its path or the profiler's laps want a look. */
static __attribute__((noinline)) PyObject *call_known(struct profiler *self, struct key *key)
{
    const uint64_t before = self->last_ticks;
    const uint64_t ticks = mark_store(self, key, NULL);
    lap_add(self, key, ticks);
    return lap_ms_of(ticks - before);
}

/* The same, where the block is full: of the position that was taken. */
static __attribute__((noinline)) PyObject *call_full(struct profiler *self, struct key *key, uint64_t taken)
{
    const uint64_t before = self->last_ticks;
    uint64_t ticks;
    const uint64_t position = lap_impl_room(taken, 32, &ticks);
    const uint64_t shown = mark_put(self, key, position, ticks, NULL);
    lap_add(self, key, shown);
    return lap_ms_of(shown - before);
}

/* The usual checkpoint: one label that was met here before, and nothing else. What calls anything is left to others, so that this
 * keeps all it has in registers and saves none. */
__attribute__((aligned(64))) PyObject *lap_call_fast(PyObject *callable, PyObject *const *args, size_t nargsf,
                                                     PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)callable;
    if (LAP_I_UNLIKELY(PyVectorcall_NARGS(nargsf) != 1 || keywords))
        return lap_call_general(callable, args, nargsf, keywords);
    const unsigned index = lap_label_index(args[0]);
    if (LAP_I_UNLIKELY(self->site->labels.cache[index].label != args[0]))
        return lap_call_general(callable, args, nargsf, keywords);
    struct key *const key = self->site->labels.cache[index].key;
    const unsigned state = lap_impl_state(&key->c_site);
    if (LAP_I_UNLIKELY(state == LAP_IMPL_OFF || state & (LAP_IMPL_UNREGISTERED | LAP_IMPL_OTHER_CLOCK) ||
                       self->handle == 0 || key->parent_path != self->path || self->lap_next == self->lap_end))
        return call_known(self, key);
    struct lap_impl_thread *const thread = lap_impl_local.thread;
    const uint64_t position = lap_impl_take(thread);
    const uint64_t ticks = lap_impl_ticks();
    if (LAP_I_UNLIKELY(lap_impl_is_full(thread, position, ticks)))
        return call_full(self, key, position);
    const uint64_t before = self->last_ticks;
    const uint64_t shown = LAP_I_UNLIKELY(ticks < before) ? before : ticks;
    event_put(position, self, key, ticks, shown, before);
    lap_impl_keep_close(position + 32);
    lap_add_there(self, key, shown);
    return lap_ms_of(shown - before);
}

/* Reads (msg=None, n=None), or with `max` 1 (msg=None). Borrowed. */
int lap_read_label(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *keywords, int max,
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
        PyObject **const value = PyUnicode_Compare(keyword, lap_names.msg) == 0            ? ret_label
                                 : max > 1 && PyUnicode_Compare(keyword, lap_names.n) == 0 ? ret_size
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

PyObject *lap_call_general(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)callable;
    PyObject *label, *size;
    if (lap_read_label("a checkpoint", args, PyVectorcall_NARGS(nargsf), keywords, 2, &label, &size) < 0)
        return NULL;
    if (label && self->marks == 0 && !size && lap_is_decorated(label))
        return lap_decorate(Py_TYPE(self), label, self);
    return lap_checkpoint(self, label, size);
}

PyObject *lap_call_off(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    if (LAP_I_UNLIKELY(PyVectorcall_NARGS(nargsf) != 1 || keywords || lap_is_decorated(args[0])))
        return lap_call_general(callable, args, nargsf, keywords);
    Py_INCREF(lap_zero);
    return lap_zero;
}
