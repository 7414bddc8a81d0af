/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include "blocks.h"

#include <structmember.h>
#include <time.h>

PyTypeObject *lap_profiler_type;
struct lap_counts lap_counts;
struct lap_names lap_names;
struct lap_rate lap_rate;

uint64_t lap_ms_to_ticks(double ms) { return ms > 0 ? (uint64_t)(ms / lap_rate.ms_per_tick) : 0; }
double lap_ticks_to_ns(uint64_t ticks) { return (double)ticks * lap_rate.ns_per_tick; }

uint64_t lap_now_ticks(void)
{
    if (!lap_rate.reads_clock)
        return lap_impl_ticks();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The class's own switch: whatever `disable` is there, unless it is the one that this module put there. */
int lap_class_is_disabled(PyTypeObject *type)
{
    static PyTypeObject *known_type;
    static unsigned known_tag;
    static int known;
    if (type == known_type && type->tp_version_tag != 0 && type->tp_version_tag == known_tag &&
        PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
        return known;
    PyObject *const value = PyObject_GetAttr((PyObject *)type, lap_names.disable);
    const int truth = value ? PyObject_IsTrue(value) : 0;
    Py_XDECREF(value);
    if (!value || truth < 0)
        PyErr_Clear();
    known_type = type;
    known_tag = type->tp_version_tag;
    return known = truth > 0;
}

/* ---- methods ------------------------------------------------------------------------------------------------------- */

static PyObject *profiler_mark(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *label, *size;
    if (lap_read_label("mark()", args, count, keywords, 2, &label, &size) < 0)
        return NULL;
    return lap_checkpoint((struct profiler *)object, label, size);
}

static PyObject *profiler_finish(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)object;
    PyObject *label, *size;
    if (lap_read_label("finish()", args, count, keywords, 1, &label, &size) < 0)
        return NULL;
    if (self->flags & PROFILER_OFF) {
        Py_INCREF(lap_zero);
        return lap_zero;
    }
    if (!(self->flags & PROFILER_ENDED)) {
        if (label && label != Py_None) {
            PyObject *const lap = lap_checkpoint(self, label, NULL);
            if (!lap)
                return NULL;
            Py_DECREF(lap);
        }
        lap_profiler_end(self, label && label != Py_None ? END_MARKED : END_CALLED);
    } else if (label && label != Py_None && !(self->flags & PROFILER_MUTE)) {
        lap_counts.after_end++;
    }
    return lap_ms_of(self->total_ticks);
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
    lap_profiler_end((struct profiler *)self, END_CALLED);
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

PyObject *lap_instant_make(PyObject *value)
{
    struct instant *const instant = PyObject_New(struct instant, instant_type);
    if (instant)
        instant->value = Py_NewRef(value);
    return (PyObject *)instant;
}

static PyObject *profiler_aenter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return lap_instant_make(self);
}

static PyObject *profiler_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Py_XDECREF(profiler_exit(self, args, count));
    return lap_instant_make(Py_None);
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

/* `disable` is a switch of the class and of the instance: read there by a descriptor, set here. */
static int profiler_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    struct profiler *const self = (struct profiler *)object;
    if (value && PyUnicode_Check(name) && PyUnicode_Compare(name, lap_names.disable) == 0) {
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
    return PyBool_FromLong(object && PyObject_TypeCheck(object, lap_profiler_type) &&
                           ((struct profiler *)object)->flags & PROFILER_DISABLED);
}

/* ---- decorators ---------------------------------------------------------------------------------------------------- */

int lap_is_decorated(PyObject *object)
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
        error = dict_set(options, lap_names.msg, Py_NewRef(like->message));
    if (error == 0)
        error = dict_set(options, lap_names.delayed, PyBool_FromLong(!(like->flags & PROFILER_IMMEDIATE)));
    if (error == 0)
        error = dict_set(options, lap_names.threshold, PyFloat_FromDouble(like->threshold_ns / 1e6));
    if (error == 0 && like->flags & PROFILER_HAS_N)
        error = dict_set(options, lap_names.n, PyLong_FromLongLong(like->n));
    if (error == 0 && like->file)
        error = dict_set(options, lap_names.file, Py_NewRef(like->file));
    if (error == 0 && like->sink)
        error = dict_set(options, lap_names.sink, Py_NewRef(like->sink));
    return options;
}

/* The wrappers are written in Python. `like`: a profiler that was only made for this; as if it had not been. */
PyObject *lap_decorate(PyTypeObject *type, PyObject *function, struct profiler *like)
{
    if (like && like->flags & PROFILER_OFF)
        return Py_NewRef(function);
    PyObject *const options = like ? options_of(like) : PyDict_New();
    PyObject *const module = PyImport_ImportModule("lapmark._decorate");
    if (like)
        lap_profiler_end(like, END_CANCELLED);
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

static void profiler_finalize(PyObject *self) { lap_profiler_let_go((struct profiler *)self); }

static void profiler_free(struct profiler *self)
{
    lap_child_remove(self);
    lap_token_leave(self);
    lap_laps_drop(self);
    lap_report_free(self);
    if (LAP_I_UNLIKELY(self->calls || self->steps))
        lap_calls_drop(self);
    Py_XDECREF(self->message);
    Py_XDECREF((PyObject *)self->node);
    profiler_clear((PyObject *)self);
    lap_profiler_release(self);
}

static void profiler_go(PyObject *object)
{
    struct profiler *const self = (struct profiler *)object;
    if (!(self->flags & (PROFILER_OFF | PROFILER_ENDED))) {
        Py_SET_REFCNT(object, 1);
        lap_profiler_let_go(self);
        Py_SET_REFCNT(object, Py_REFCNT(object) - 1);
    }
    if (Py_REFCNT(object) == 0)
        profiler_free(self);
    else /* another thread holds it: see living_each */
        PyObject_GC_Track(object);
}

static void profiler_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    if (LAP_I_UNLIKELY(((struct profiler *)object)->weak_references != NULL))
        PyObject_ClearWeakRefs(object);
    if (LAP_I_LIKELY(!((struct profiler *)object)->sink)) {
        profiler_go(object);
        return;
    }
    Py_TRASHCAN_BEGIN(object, profiler_dealloc) /* a sink may be another profiler, with a sink */
        profiler_go(object);
    Py_TRASHCAN_END
}

static PyMethodDef methods[] = {
    {"mark", (PyCFunction)(void (*)(void))profiler_mark, METH_FASTCALL | METH_KEYWORDS,
     "mark(msg=None, n=None): a checkpoint; returns its lap in milliseconds"},
    {"finish", (PyCFunction)(void (*)(void))profiler_finish, METH_FASTCALL | METH_KEYWORDS,
     "finish(msg=None): ends it, with a last checkpoint if there is a label; returns the total in milliseconds"},
    {"call", (PyCFunction)(void (*)(void))lap_profiler_call, METH_FASTCALL | METH_KEYWORDS,
     "call(msg, *, follows=None): begins a call to another process, see lapmark.Call; the next checkpoint says how its "
     "time "
     "divides. follows: the call that was an earlier attempt at it"},
    {"context", lap_profiler_context, METH_NOARGS,
     "context(): by which name others know it, as a traceparent, for whom it starts; '' where it is off"},
    {"link", lap_profiler_link, METH_O,
     "link(other): in recordings it follows that step, a Call or a traceparent, which is not its parent: a batch each of "
     "its "
     "requests"},
    {"reply", lap_profiler_reply, METH_NOARGS,
     "reply(): of one that lapmark.serve() made, 48 bytes to go with the reply, up to 248 with its laps where those are "
     "shared; "
     "b'' where the request had none"},
    {"__init_subclass__", (PyCFunction)(void (*)(void))profiler_init_subclass, METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     NULL},
    {"__enter__", profiler_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))profiler_exit, METH_FASTCALL, NULL},
    {"__aenter__", profiler_aenter, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))profiler_aexit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef getters[] = {
    {"laps", profiler_get_laps, NULL, "the checkpoints so far, see lapmark.Lap; the rest is none of them", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct profiler, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct profiler, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

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
    } names[] = {{&lap_names.msg, "msg"},
                 {&lap_names.disabled, "disabled"},
                 {&lap_names.delayed, "delayed"},
                 {&lap_names.threshold, "ms_threshold"},
                 {&lap_names.n, "n"},
                 {&lap_names.file, "file"},
                 {&lap_names.sink, "sink"},
                 {&lap_names.level, "stacklevel"},
                 {&lap_names.function, "_function"},
                 {&lap_names.disable, "disable"},
                 {&lap_names.env, "env"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!(*names[i].place = PyUnicode_InternFromString(names[i].text)))
            return -1;
    static PyType_Slot profiler_slots[] = {{Py_tp_new, (void *)lap_profiler_new},
                                           {Py_tp_init, (void *)lap_profiler_init},
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
    static PyType_Slot switch_slots[] = {{Py_tp_descr_get, (void *)switch_get}, {0, NULL}};
    static PyType_Slot instant_slots[] = {{Py_tp_dealloc, (void *)instant_dealloc},
                                          {Py_am_await, (void *)instant_self},
                                          {Py_tp_iter, (void *)instant_self},
                                          {Py_tp_iternext, (void *)instant_next},
                                          {0, NULL}};
    lap_profiler_type = type_make("lapmark.Profiler", sizeof(struct profiler),
                                  Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, profiler_slots);
    switch_type = type_make("lapmark._lapmark.switch", sizeof(PyObject), Py_TPFLAGS_DISALLOW_INSTANTIATION, switch_slots);
    instant_type =
        type_make("lapmark._lapmark.instant", sizeof(struct instant), Py_TPFLAGS_DISALLOW_INSTANTIATION, instant_slots);
    lap_zero = PyFloat_FromDouble(0);
    lap_unused_float = PyFloat_FromDouble(0);
    if (!lap_profiler_type || !switch_type || !instant_type || !lap_zero || !lap_unused_float ||
        lap_surroundings_start() < 0)
        return -1;
    PyObject *const switch_object = switch_type->tp_alloc(switch_type, 0);
    if (!switch_object || PyObject_SetAttr((PyObject *)lap_profiler_type, lap_names.disable, switch_object) < 0)
        return -1;
    Py_DECREF(switch_object);
    lap_profiler_type->tp_vectorcall = lap_type_call;
    struct lap_impl_facts facts;
    lap_impl_facts_read(&facts);
    lap_rate.ns_per_tick = facts.ns_per_tick;
    lap_rate.ms_per_tick = lap_rate.ns_per_tick / 1e6;
    lap_rate.reads_clock = (int)facts.reads_clock;
    lap_off_profiler = lap_profiler_alloc(lap_profiler_type);
    if (!lap_off_profiler)
        return -1;
    lap_profiler_blank(lap_off_profiler);
    Py_INCREF(lap_profiler_type);
    return PyModule_AddObject(module, "Profiler", (PyObject *)lap_profiler_type);
}
