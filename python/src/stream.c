/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static struct lap_impl_facts facts;
static PyObject *io_text_class, *prefix_function;
static __thread int is_writing; /* this thread is in a stream */
static char prefix_text[256];
#define REPORTS_A_SECOND 1000u
static struct {
    time_t second;
    unsigned count;
} limit;

int lap_streams_start(void)
{
    lap_impl_facts_read(&facts);
    PyObject *const io = PyImport_ImportModule("_io");
    io_text_class = io ? PyObject_GetAttrString(io, "TextIOWrapper") : NULL;
    Py_XDECREF(io);
    PyErr_Clear();
    return 0;
}

int lap_stream_is_writing(void) { return is_writing; }

const char *lap_stream_prefix(size_t *ret_bytes)
{
    *ret_bytes = 0;
    if (!facts.has_prefix)
        return "";
    if (!prefix_function) {
        PyObject *const module = PyImport_ImportModule("lapmark._report");
        prefix_function = module ? PyObject_GetAttrString(module, "prefix") : NULL;
        Py_XDECREF(module);
    }
    PyObject *const text = prefix_function ? PyObject_CallNoArgs(prefix_function) : NULL;
    const char *const utf8 = text ? PyUnicode_AsUTF8(text) : NULL;
    if (utf8)
        *ret_bytes = (size_t)PyOS_snprintf(prefix_text, sizeof prefix_text, "%s", utf8);
    if (*ret_bytes >= sizeof prefix_text)
        *ret_bytes = sizeof prefix_text - 1;
    PyErr_Clear();
    Py_XDECREF(text);
    return prefix_text;
}

static int call(PyObject *stream, const char *method, PyObject *argument)
{
    PyObject *const name = PyUnicode_InternFromString(method);
    PyObject *const result = !name      ? NULL
                             : argument ? PyObject_CallMethodOneArg(stream, name, argument)
                                        : PyObject_CallMethodNoArgs(stream, name);
    Py_XDECREF(name);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int write_fd(int fd, const char *text, size_t bytes)
{
    ssize_t written;
    Py_BEGIN_ALLOW_THREADS do written = write(fd, text, bytes);
    while (written < 0 && errno == EINTR)
        ;
    for (size_t done = written > 0 ? (size_t)written : 0;
         written > 0 && done<bytes; done += written> 0 ? (size_t)written : 0)
        written = write(fd, text + done, bytes - done);
    Py_END_ALLOW_THREADS if (written >= 0) return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* The interpreter's own text stream goes to its descriptor in one write, after what it holds. Others are asked to write. */
static int write_stream(PyObject *stream, const char *text, size_t bytes)
{
    if (call(stream, "flush", NULL) < 0 && Py_TYPE(stream) == (PyTypeObject *)io_text_class)
        return -1;
    PyErr_Clear();
    if (Py_TYPE(stream) == (PyTypeObject *)io_text_class) {
        const int fd = PyObject_AsFileDescriptor(stream);
        if (fd >= 0)
            return write_fd(fd, text, bytes);
        PyErr_Clear();
    }
    PyObject *const string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)bytes, "replace");
    const int error = string ? call(stream, "write", string) : -1;
    Py_XDECREF(string);
    if (error == 0 && call(stream, "flush", NULL) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
    }
    return error;
}

static int write_sink(PyObject *sink, const char *text, size_t bytes)
{
    PyObject *const string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)bytes, "replace");
    PyObject *const result = string ? PyObject_CallOneArg(sink, string) : NULL;
    Py_XDECREF(string);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int write_usual(const char *text, size_t bytes)
{
    if (facts.fd > 2 || facts.fd == 0)
        return write_fd(facts.fd, text, bytes);
    PyObject *const stream = PySys_GetObject(facts.fd == STDOUT_FILENO ? "stdout" : "stderr"); /* borrowed */
    if (!stream || stream == Py_None)
        return 0;
    Py_INCREF(stream);
    const int error = write_stream(stream, text, bytes);
    Py_DECREF(stream);
    return error;
}

/* Reports of profilers that die inside of a stream: they are written behind what is being written. */
#define WAITING_MAX 256u
static struct waiting {
    struct waiting *next;
    PyObject *sink, *file;
    size_t bytes;
    char text[];
} * first_waiting, **last_waiting = &first_waiting;
static unsigned waiting_count;

static void wait_add(PyObject *sink, PyObject *file, const char *text, size_t bytes)
{
    struct waiting *const waiting = waiting_count < WAITING_MAX ? PyMem_RawMalloc(sizeof *waiting + bytes) : NULL;
    if (!waiting) {
        lap_counts.reentered++;
        return;
    }
    Py_XINCREF(sink);
    Py_XINCREF(file);
    *waiting = (struct waiting){NULL, sink, file, bytes};
    memcpy(waiting->text, text, bytes);
    *last_waiting = waiting;
    last_waiting = &waiting->next;
    waiting_count++;
}

void lap_streams_after_fork(void)
{
    while (first_waiting) {
        struct waiting *const waiting = first_waiting;
        first_waiting = waiting->next;
        Py_XDECREF(waiting->sink);
        Py_XDECREF(waiting->file);
        PyMem_RawFree(waiting);
    }
    last_waiting = &first_waiting;
    waiting_count = 0;
}

static void write_one(PyObject *sink, PyObject *file, const char *text, size_t bytes)
{
    const int error = sink   ? write_sink(sink, text, bytes)
                      : file ? write_stream(file, text, bytes)
                             : write_usual(text, bytes);
    if (error == 0)
        return;
    lap_counts.sink_failed++;
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        PyErr_SetInterrupt(); /* it is raised where it belongs */
    PyErr_Clear();
}

/* Is there no room for one more in this second? */
static int is_suppressed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != limit.second)
        limit.second = now.tv_sec, limit.count = 0;
    if (limit.count++ < REPORTS_A_SECOND)
        return 0;
    lap_counts.suppressed++;
    return 1;
}

void lap_stream_write(PyObject *sink, PyObject *file, const char *text, size_t bytes)
{
    if (bytes == 0 || is_suppressed())
        return;
    if (is_writing) {
        wait_add(sink, file, text, bytes);
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    is_writing = 1;
    Py_XINCREF(sink);
    Py_XINCREF(file);
    write_one(sink, file, text, bytes);
    Py_XDECREF(sink);
    Py_XDECREF(file);
    while (first_waiting) {
        struct waiting *const waiting = first_waiting;
        first_waiting = waiting->next;
        if (!first_waiting)
            last_waiting = &first_waiting;
        waiting_count--;
        write_one(waiting->sink, waiting->file, waiting->text, waiting->bytes);
        Py_XDECREF(waiting->sink);
        Py_XDECREF(waiting->file);
        PyMem_RawFree(waiting);
    }
    is_writing = 0;
    PyErr_Restore(type, value, traceback);
}
