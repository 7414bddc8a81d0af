/* SPDX-License-Identifier: MIT
 *
 * lapmark._lapmark: the Profiler over the C recorder. See lapmark/__init__.py for what users are given.
 */
#include "parts.h"
#include "stream.h"

#include "lapmark.h"

static PyObject *raise_error(int error, PyObject *what)
{
    errno = -error;
    PyObject *const arguments = Py_BuildValue("(isO)", -error, lap_error_text(error), what);
    PyErr_SetObject(PyExc_OSError, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

static PyObject *module_record(PyObject *self, PyObject *directory)
{
    PyObject *path = NULL;
    (void)self;
    if (!PyUnicode_FSConverter(directory, &path))
        return NULL;
    const int error = lap_record_start(PyBytes_AS_STRING(path));
    Py_DECREF(path);
    if (error < 0)
        return raise_error(error, directory);
    Py_RETURN_NONE;
}

static PyObject *module_record_stop(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    const int error = lap_record_stop();
    if (error < 0)
        return raise_error(error, Py_None);
    Py_RETURN_NONE;
}

static PyObject *module_set(PyObject *self, PyObject *terms)
{
    (void)self;
    const char *const text = PyUnicode_AsUTF8(terms);
    if (!text)
        return NULL;
    if (lap_set(text) < 0)
        return PyErr_Format(PyExc_ValueError, "cannot read the terms %R", terms);
    Py_RETURN_NONE;
}

static PyObject *module_flush(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    lap_profilers_flush();
    lap_flush();
    Py_RETURN_NONE;
}

static PyObject *module_counts(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return Py_BuildValue("{sKsKsKsKsKsKsKsK}", "after_end", lap_counts.after_end, "reentered", lap_counts.reentered,
                         "sink_failed", lap_counts.sink_failed, "suppressed", lap_counts.suppressed, "bad_label",
                         lap_counts.bad_label, "bad_number", lap_counts.bad_number, "bad_trailer", lap_counts.bad_trailer,
                         "failed", lap_counts.failed);
}

static PyObject *module_set_task_clock(PyObject *self, PyObject *function)
{
    (void)self;
    lap_profilers_set_task_clock(function == Py_None ? NULL : function);
    Py_RETURN_NONE;
}

static PyObject *module_exit(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    lap_profilers_exit();
    Py_RETURN_NONE;
}

/* For a process that leaves without its atexit hooks. */
static PyObject *module_end_process(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    lap_profilers_exit();
    (void)lap_record_stop();
    Py_RETURN_NONE;
}

static PyObject *module_after_fork(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    lap_profilers_after_fork();
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"record", module_record, METH_O, "record(directory): starts to record into a sub-directory of it"},
    {"record_stop", module_record_stop, METH_NOARGS, "record_stop(): ends the recording; its files are whole then"},
    {"set", module_set, METH_O, "set(terms): switches by the terms of the LAPMARK variable"},
    {"flush", module_flush, METH_NOARGS,
     "flush(): prints the reports that wait for a profiler around them, and brings this thread's statistics up to date"},
    {"counts", module_counts, METH_NOARGS, "counts(): what went wrong and was not raised"},
    {"now", lap_calls_now, METH_NOARGS, "now(): the clock, for serve(): when a request was read"},
    {"serve", (PyCFunction)(void (*)(void))lap_calls_serve, METH_FASTCALL | METH_KEYWORDS,
     "serve(msg=None, trailer=None, arrived=None, ...): a Profiler for a request that came with this trailer, if it had "
     "one; its "
     "reply() goes back. In its place, text: the traceparent of a request that has but that"},
    {"share", lap_calls_share, METH_O,
     "share('domain'): tells peers a number for this machine's clock, so that the ways there and back are told apart; "
     "'laps': "
     "what the laps of profilers that serve() made are; 'domain,laps' or 'nothing'"},
    {"accept", lap_calls_accept, METH_O,
     "accept('slow'), 'threshold', 'slow,threshold' or 'nothing': what peers may wish for, besides LAPMARK_ACCEPT; all "
     "of them together\n"
     "ten times a second. slow: where a call was slow for its server, its profiler here prints, too, whatever its own "
     "threshold; and\n"
     "one of the last 64 that served, whose call was slow for its caller. threshold: what Call.wish() has put into a "
     "request goes for\n"
     "the profiler that serves it; terms of LAPMARK and set() go before that."},
    {"set_task_clock", module_set_task_clock, METH_O, NULL},
    {"end_process", module_end_process, METH_NOARGS, NULL},
    {"_exit", module_exit, METH_NOARGS, NULL},
    {"_after_fork", module_after_fork, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

/* Ends what is open when the interpreter does, and what a forked child has inherited. */
static int hooks_set(PyObject *module)
{
    PyObject *const at_exit = PyImport_ImportModule("atexit"), *const os = PyImport_ImportModule("os");
    PyObject *const exit_function = PyObject_GetAttrString(module, "_exit"), *const fork_function =
                                                                                 PyObject_GetAttrString(module,
                                                                                                        "_after_fork");
    PyObject *first = NULL, *second = NULL;
    if (at_exit && os && exit_function && fork_function) {
        first = PyObject_CallMethod(at_exit, "register", "O", exit_function);
        PyObject *const method = PyObject_GetAttrString(os, "register_at_fork");
        PyObject *const empty = PyTuple_New(0), *const named = Py_BuildValue("{sO}", "after_in_child", fork_function);
        second = method && empty && named ? PyObject_Call(method, empty, named) : NULL;
        Py_XDECREF(method);
        Py_XDECREF(empty);
        Py_XDECREF(named);
    }
    Py_XDECREF(at_exit);
    Py_XDECREF(os);
    Py_XDECREF(exit_function);
    Py_XDECREF(fork_function);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return first && second ? 0 : -1;
}

static int module_exec(PyObject *module)
{
    static int is_started;
    if (PyInterpreterState_Get() != PyInterpreterState_Main() || is_started) {
        PyErr_SetString(PyExc_ImportError, "lapmark._lapmark is for the main interpreter, once in a process");
        return -1;
    }
    is_started = 1;
    if (lap_sites_start() < 0 || lap_tokens_start() < 0 || lap_streams_start() < 0 || lap_profilers_start(module) < 0 ||
        lap_calls_start(module) < 0)
        return -1;
    return hooks_set(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)module_exec},
#if PY_VERSION_HEX >= 0x030C0000
                                   {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
                                   {Py_mod_gil, Py_MOD_GIL_USED},
#endif
                                   {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                        "lapmark._lapmark",
                                        "The Profiler over the C recorder.",
                                        0,
                                        functions,
                                        slots,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit__lapmark(void) { return PyModuleDef_Init(&definition); }
