/* SPDX-License-Identifier: MIT */
#include "adopt.h"

#include "blocks.h"
#include "lapmark.h"
#include "parts.h"

#include <pthread.h>

#define WAITING_BYTES_MAX (256u << 10)

static __thread uint64_t printing; /* the handle that the last look found, if its profiler prints */

/* Reports that came without the GIL. */
static struct waiting {
    struct waiting *next;
    uint64_t handle, ticks;
    size_t bytes;
    char text[];
} * waiting;
static size_t waiting_bytes;
static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER;

static int find(uint64_t *ret_handle, uint32_t *ret_path)
{
    PyThreadState *const state = PyGILState_GetThisThreadState();
    lap_frame *frame = state ? lap_frame_complete(lap_frame_top(state)) : NULL;
    for (; frame; frame = lap_frame_around(frame)) {
        const struct token *const token = lap_token_find(frame);
        const uint64_t handle = token ? __atomic_load_n(&token->handle, __ATOMIC_ACQUIRE) : 0;
        if (handle == 0)
            continue;
        *ret_handle = handle;
        *ret_path = __atomic_load_n(&token->path, __ATOMIC_RELAXED);
        printing = __atomic_load_n(&token->prints, __ATOMIC_RELAXED) ? handle : 0;
        return 1;
    }
    return 0;
}

/* A report waits until its profiler ends; the lock is not waited for, since this may be a signal handler. */
static int wait(uint64_t handle, const char *text, size_t bytes)
{
    if (pthread_mutex_trylock(&waiting_lock) != 0)
        return 0;
    struct waiting *const one = waiting_bytes + bytes <= WAITING_BYTES_MAX ? PyMem_RawMalloc(sizeof *one + bytes) : NULL;
    if (one) {
        *one = (struct waiting){waiting, handle, lap_now_ticks(), bytes};
        memcpy(one->text, text, bytes);
        waiting = one;
        waiting_bytes += bytes;
    }
    pthread_mutex_unlock(&waiting_lock);
    return one != NULL;
}

static int take(uint64_t handle, const char *text, uint64_t bytes)
{
    if (!PyGILState_Check())
        return handle == printing && wait(handle, text, (size_t)bytes);
    for (struct profiler *profiler = lap_newest_live; profiler; profiler = profiler->live_older)
        if (profiler->handle == handle)
            return lap_report_adopt(profiler, lap_now_ticks(), text, (size_t)bytes);
    return 0;
}

/* What the program calls this thread: recordings then do, too. Nothing is made for it where threading knows none. */
static void thread_name(void)
{
    PyObject *const modules = PyImport_GetModuleDict(); /* borrowed */
    PyObject *const threading = modules ? PyDict_GetItemString(modules, "threading") : NULL;
    PyObject *const active = threading ? PyObject_GetAttrString(threading, "_active") : NULL;
    PyObject *const ident = active ? PyLong_FromUnsignedLong(PyThread_get_thread_ident()) : NULL;
    PyObject *const thread = ident && PyDict_Check(active) ? PyDict_GetItemWithError(active, ident) : NULL;
    PyObject *const name = thread ? PyObject_GetAttrString(thread, "name") : NULL;
    const char *const text = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (text && strcmp(text, "MainThread") != 0) /* the kernel calls that one by the program */
        lap_thread_name(text);
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(ident);
    Py_XDECREF(active);
}

void lap_adopt_thread(void)
{
    static const struct lap_impl_adopter adopter = {find, take};
    if (lap_impl_local.thread->segment == 0 || lap_impl_local.thread->frames[0].address == 0)
        return;
    lap_impl_adopt(&adopter);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    thread_name();
    PyErr_Restore(type, value, traceback);
}

void lap_adopt_deliver(struct profiler *profiler)
{
    if (!waiting || profiler->handle == 0)
        return;
    pthread_mutex_lock(&waiting_lock);
    struct waiting *mine = NULL; /* oldest first */
    for (struct waiting **at = &waiting; *at;) {
        struct waiting *const one = *at;
        if (one->handle != profiler->handle) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        one->next = mine;
        mine = one;
        waiting_bytes -= one->bytes;
    }
    pthread_mutex_unlock(&waiting_lock);
    while (mine) {
        struct waiting *const one = mine;
        mine = one->next;
        lap_report_adopt(profiler, one->ticks, one->text, one->bytes);
        PyMem_RawFree(one);
    }
}
