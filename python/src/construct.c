/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include "adopt.h"
#include "blocks.h"
#include "lapmark/format.h"
#include "stream.h"

struct profiler *lap_off_profiler;

#define HANDLES_KEPT 64
static uint64_t handles[HANDLES_KEPT];
static unsigned handle_count;

uint64_t lap_handle_next(void) { return handle_count > 0 ? handles[--handle_count] : lap_impl_handle_take(); }

void lap_handle_done(uint64_t handle)
{
    if (handle_count < HANDLES_KEPT)
        handles[handle_count++] = handle + (UINT64_C(2) << 32); /* the generation, which stays odd */
    else
        lap_impl_handle_give(handle);
}

void lap_handles_after_fork(void) { handle_count = 0; }

static uint64_t lap_begin_store(const struct profiler *self, unsigned state, uint64_t parent_handle,
                                const struct numbers *numbers)
{
    uint64_t ticks;
    const uint64_t position = self->handle ? lap_impl_keep_open(state, 48 + 8 * numbers->count, &ticks) : 0;
    if (position == 0)
        return self->handle ? ticks : lap_now_ticks();
    const uint32_t flags = !(self->flags & PROFILER_PRINTS)   ? 0
                           : self->flags & PROFILER_IMMEDIATE ? LAP_FORMAT_FLAG_IMMEDIATE
                                                              : LAP_FORMAT_FLAG_PRINT;
    uint64_t words[5 + 1 + LAP_NUMBERS] = {self->handle, (uint64_t)self->threshold_ns, (uint64_t)self->n, parent_handle,
                                           lap_pair(self->path, flags)};
    lap_numbers_put(words + 5, numbers);
    lap_impl_store(position, ticks, self->key->c_site.id, words, 5 + numbers->count);
    lap_impl_keep_close(position + 48 + 8 * numbers->count);
    return ticks;
}

/* ---- construction -------------------------------------------------------------------------------------------------- */

struct options {
    PyObject *msg, *disabled, *delayed, *threshold, *n, *file, *sink, *level, *function;
};

static int options_read(struct options *options, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject **const places[] = {&options->msg,  &options->disabled, &options->delayed, &options->threshold, &options->n,
                                 &options->file, &options->sink,     &options->level,   &options->function};
    PyObject *const names[] = {lap_names.msg,  lap_names.disabled, lap_names.delayed, lap_names.threshold, lap_names.n,
                               lap_names.file, lap_names.sink,     lap_names.level,   lap_names.function};
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

/* 1: off, 0: on, 2: on where a term names it; -1 with an exception. */
static int disabled_read(PyObject *disabled)
{
    if (!disabled || disabled == Py_None || disabled == Py_False)
        return 0;
    if (disabled == Py_True)
        return 1;
    if (PyUnicode_Check(disabled) && PyUnicode_Compare(disabled, lap_names.env) == 0)
        return 2;
    return PyObject_IsTrue(disabled);
}

#define FREE_MAX 64
static struct profiler *free_profilers[FREE_MAX]; /* untracked, and still with their reference to the type */
static int free_count;

/* A zeroed one, tracked. NULL with an exception. */
struct profiler *lap_profiler_alloc(PyTypeObject *type)
{
    if (type != lap_profiler_type || free_count == 0)
        return (struct profiler *)type->tp_alloc(type, 0);
    struct profiler *const self = free_profilers[--free_count];
    memset((char *)self + sizeof(PyObject), 0, offsetof(struct profiler, inline_laps) - sizeof(PyObject));
    Py_SET_REFCNT((PyObject *)self, 1);
    PyObject_GC_Track((PyObject *)self);
    return self;
}

void lap_profiler_release(struct profiler *self)
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
    struct token *const token = lap_token_get(state, frame);
    PyObject *inherited = NULL;
    if (PyContextVar_Get(lap_context_variable, NULL, &inherited) < 0)
        PyErr_Clear();
    const int is_node = inherited && Py_TYPE(inherited) == lap_node_type;
    struct profiler *parent =
        lap_parent_find(frame, token, self->site, is_node ? (struct node *)inherited : NULL, state->context);
    self->node = lap_node_enter(self, state, is_node ? (struct node *)inherited : NULL, parent ? parent->node : NULL);
    Py_XDECREF(inherited);
    if (!self->node)
        return -1;
    if (parent && !self->node->parent->profiler) /* ended by a finalizer: garbage may have been collected above */
        parent = NULL;
    lap_token_enter(self, token, frame);
    if (parent)
        lap_child_add(parent, self);
    lap_live_add(self);
    if (parent && parent->flags & PROFILER_MUTE && !(site_state & LAP_IMPL_FORCED))
        self->flags |= PROFILER_MUTE;
    if (self->flags & PROFILER_MUTE) {
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
        self->vectorcall = lap_call_general;
        return 0;
    }
    struct profiler *outer = parent;
    while (outer && outer->flags & PROFILER_MUTE)
        outer = outer->parent;
    if (outer && outer->flags & PROFILER_IMMEDIATE)
        self->flags |= PROFILER_IMMEDIATE;
    if (lap_task_clock || self->flags & PROFILER_IMMEDIATE)
        self->vectorcall = lap_call_general;
    uint32_t around = outer ? outer->path : 0, scope_path;
    uint64_t scope_begin;
    uint64_t linked = outer ? outer->handle : 0;
    if (LAP_I_UNLIKELY(lap_impl_local.thread->depth != 0) && lap_impl_innermost(&scope_path, &scope_begin) &&
        (!outer || scope_begin > outer->begin_ticks)) {
        around = scope_path;
        linked = 0;
    }
    self->path = lap_key_path(self->key, around);
    self->handle = lap_handle_next();
    lap_token_tell(token);
    if (lap_task_clock)
        lap_task_clock_read(self);
    if (self->flags & PROFILER_IMMEDIATE && self->flags & PROFILER_PRINTS)
        lap_report_entered(self); /* calls its stream: who is around may be gone then */
    self->begin_ticks = self->last_ticks = lap_begin_store(self, site_state, linked, numbers);
    lap_adopt_thread();
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

uint64_t lap_threshold_read_ns(PyObject *threshold)
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
    self->message = options->msg && options->msg != Py_None ? lap_label_text(options->msg) : lap_site_name(frame);
    struct numbers numbers;
    struct key *const key =
        self->message ? lap_key_get(site, LAP_IMPL_KIND_HANDLE_BEGIN, self->message, NULL, &numbers) : NULL;
    if (!key)
        return -1;
    const unsigned site_state = lap_key_state(key);
    const int is_env = options->disabled && disabled_read(options->disabled) == 2;
    const int is_off = site_state == LAP_IMPL_OFF || lap_impl_local.divert > 1;
    const int is_silent = is_off && lap_impl_is_silenced(&key->c_site);
    if ((is_off && !is_silent) || (is_env && !(site_state & LAP_IMPL_FORCED)))
        return 0;
    self->site = site;
    self->key = key;
    self->threshold_ns = (double)lap_impl_threshold_ns(&key->c_site, lap_threshold_read_ns(options->threshold));
    const int has_own = (options->file && options->file != Py_None) || (options->sink && options->sink != Py_None);
    const int is_immediate = options->delayed && PyObject_IsTrue(options->delayed) == 0;
    self->flags = (site_state & LAP_IMPL_PRINT || (has_own && !is_silent) ? PROFILER_PRINTS : 0u) |
                  (is_immediate ? PROFILER_IMMEDIATE : 0u) |
                  (lap_frame_code(frame)->co_flags & LAP_CODE_SUSPENDS ? 0u : PROFILER_PLAIN) |
                  (lap_size_read(options->n, &self->n) ? PROFILER_HAS_N : 0u) | (is_silent ? PROFILER_MUTE : 0u);
    if (options->file && options->file != Py_None)
        self->file = Py_NewRef(options->file);
    if (options->sink && options->sink != Py_None)
        self->sink = Py_NewRef(options->sink);
    self->vectorcall = lap_call_fast;
    if (profiler_begin(self, PyThreadState_Get(), frame, site_state, &numbers) == 0)
        return 0;
    self->flags = PROFILER_OFF; /* it is in no list */
    self->vectorcall = lap_call_off;
    return -1;
}

void lap_profiler_blank(struct profiler *self)
{
    self->flags = PROFILER_OFF;
    self->vectorcall = lap_call_off;
    self->laps = self->lap_next = self->inline_laps;
    self->lap_room = LAPS_INLINE;
    self->lap_end = self->inline_laps + LAPS_INLINE;
}

/* Is construction to give one that is off, whatever the labels say? 1, 0, or -1 with an exception. */
static int is_made_off(PyTypeObject *type, const struct options *options)
{
    const int disabled = disabled_read(options->disabled);
    if (disabled < 0 || disabled == 1 || lap_class_is_disabled(type))
        return disabled < 0 ? -1 : 1;
    if (lap_stream_is_writing()) {
        lap_counts.reentered++;
        return 1;
    }
    return 0;
}

/* One for a frame; NULL: off. */
static struct profiler *profiler_make_at(PyTypeObject *type, const struct options *options, lap_frame *frame)
{
    struct profiler *const self = lap_profiler_alloc(type);
    if (!self)
        return NULL;
    lap_profiler_blank(self);
    if (frame && profiler_fill(self, options, frame) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static PyObject *profiler_make(PyTypeObject *type, const struct options *options)
{
    if (options->msg && lap_is_decorated(options->msg))
        return lap_decorate(type, options->msg, NULL);
    const int is_off = is_made_off(type, options);
    lap_frame *const frame = is_off ? NULL : frame_of(PyThreadState_Get(), options->level);
    if (is_off < 0)
        return NULL;
    return frame ? (PyObject *)profiler_make_at(type, options, frame) : Py_NewRef((PyObject *)lap_off_profiler);
}

struct profiler *lap_profiler_make(PyObject *const *args, Py_ssize_t count, PyObject *keywords, int *ret_is_disabled)
{
    struct options options;
    if (options_read(&options, args, count, keywords) < 0)
        return NULL;
    const int is_off = is_made_off(lap_profiler_type, &options);
    lap_frame *const frame = is_off ? NULL : frame_of(PyThreadState_Get(), options.level);
    *ret_is_disabled = is_off;
    return is_off < 0 ? NULL : profiler_make_at(lap_profiler_type, &options, frame);
}

PyObject *lap_type_call(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    struct options options;
    if (options_read(&options, args, PyVectorcall_NARGS(nargsf), keywords) < 0)
        return NULL;
    return profiler_make((PyTypeObject *)type, &options);
}

/* Subclasses are made in two steps, since their constructors may have other arguments. */
PyObject *lap_profiler_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *const msg = PyTuple_GET_SIZE(args) == 1 && !keywords ? PyTuple_GET_ITEM(args, 0) : NULL;
    if (msg && lap_is_decorated(msg))
        return lap_decorate(type, msg, NULL);
    struct profiler *const self = (struct profiler *)type->tp_alloc(type, 0);
    if (self) {
        lap_profiler_blank(self);
        self->flags |= PROFILER_BLANK;
    }
    return (PyObject *)self;
}

static void options_hold(const struct options *options)
{
    PyObject *const *const each = (PyObject *const *)options;
    for (size_t i = 0; i < sizeof *options / sizeof *each; i++)
        Py_XINCREF(each[i]);
}
static void options_let_go(const struct options *options)
{
    PyObject *const *const each = (PyObject *const *)options;
    for (size_t i = 0; i < sizeof *options / sizeof *each; i++)
        Py_XDECREF(each[i]);
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

int lap_profiler_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)object;
    struct options options;
    if (!(self->flags & PROFILER_BLANK))
        return 0;
    if (options_read_tuple(&options, args, keywords) < 0)
        return -1;
    /* An option's own code may come here again, or change the dictionary that they are in. */
    self->flags &= ~(uint32_t)PROFILER_BLANK;
    options_hold(&options);
    const int is_off = is_made_off(Py_TYPE(object), &options);
    lap_frame *frame = is_off ? NULL : frame_of(PyThreadState_Get(), options.level);
    while (frame && is_constructor(frame, Py_TYPE(object)))
        frame = lap_frame_around(frame);
    const int error = is_off < 0 ? -1 : frame ? profiler_fill(self, &options, frame) : 0;
    options_let_go(&options);
    return error;
}
