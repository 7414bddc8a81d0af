/* SPDX-License-Identifier: MIT
 *
 * The interpreter's frames, as far as a profiler needs them: which are on the thread's call stack, which code and
 * instruction they are at, and a mark in a frame that dies with it. The one file that knows how versions of CPython differ.
 *
 * Nothing here holds a frame. From 3.11 on a frame is a plain structure on a stack of the interpreter's own; its Python
 * object is made when somebody asks, and dies in front of the frame's locals. Before, the object is the frame.
 */
#ifndef LAP_PY_FRAMES_H
#define LAP_PY_FRAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>

/* In 3.9 a frame with a trace function has no line numbers of its own, so that no token can be put there. */
#if PY_VERSION_HEX < 0x030A0000 || PY_VERSION_HEX >= 0x030E0000
#error "lapmark's extension knows the frames of CPython 3.10 to 3.13; others use the package's pure-Python profiler"
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#define Py_BUILD_CORE 1
#include <internal/pycore_context.h>
#include <internal/pycore_hamt.h>
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_frame.h>
#endif
#undef Py_BUILD_CORE
#pragma GCC diagnostic pop

/* Has a context one variable, and shares what it has with no copy of it? */
static inline int lap_context_is_alone(PyObject *context)
{
    const PyHamtObject *const variables = ((PyContext *)context)->ctx_vars;
    return Py_REFCNT((PyObject *)(uintptr_t)variables) == 1 && variables->h_count == 1;
}

#if PY_VERSION_HEX >= 0x030B0000
typedef struct _PyInterpreterFrame lap_frame;

static inline lap_frame *lap_frame_top(const PyThreadState *state)
{
#if PY_VERSION_HEX >= 0x030D0000
    return state->current_frame;
#else
    return state->cframe->current_frame;
#endif
}
/* Where a frame is, without a look at what a frame that is being left still has. */
static inline const void *lap_frame_instruction(const lap_frame *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return frame ? frame->instr_ptr : NULL;
#else
    return frame ? frame->prev_instr : NULL;
#endif
}
/* This frame, or the first around it that runs code of its own. */
static inline lap_frame *lap_frame_complete(lap_frame *frame)
{
    while (frame && _PyFrame_IsIncomplete(frame))
        frame = frame->previous;
    return frame;
}
static inline lap_frame *lap_frame_around(const lap_frame *frame) { return lap_frame_complete(frame->previous); }
static inline PyCodeObject *lap_frame_code(const lap_frame *frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return (PyCodeObject *)frame->f_executable;
#else
    return frame->f_code;
#endif
}
static inline PyFrameObject *lap_frame_object(const lap_frame *frame) { return frame->frame_obj; }
/* Has the object taken over what is left of a frame that was left? */
static inline int lap_frame_object_is_left(const PyFrameObject *object)
{
    const char *const data = (const char *)object->f_frame;
    return data >= (const char *)object && data <= (const char *)object->_f_frame_data;
}
static inline PyObject **lap_frame_mark(PyFrameObject *object) { return &object->f_trace; }
#else
typedef PyFrameObject lap_frame;
static inline lap_frame *lap_frame_top(const PyThreadState *state) { return state->frame; }
static inline const void *lap_frame_instruction(const lap_frame *frame)
{
    return frame ? (const void *)(Py_ssize_t)frame->f_lasti : NULL;
}
static inline lap_frame *lap_frame_complete(lap_frame *frame) { return frame; }
static inline lap_frame *lap_frame_around(const lap_frame *frame) { return frame->f_back; }
static inline PyCodeObject *lap_frame_code(const lap_frame *frame) { return frame->f_code; }
static inline PyFrameObject *lap_frame_object(const lap_frame *frame) { return (PyFrameObject *)(uintptr_t)frame; }
static inline int lap_frame_object_is_left(const PyFrameObject *object) { return object->f_state > FRAME_EXECUTING; }
static inline PyObject **lap_frame_mark(PyFrameObject *object) { return &object->f_trace; }
#endif

/* The object of a frame on the calling thread's stack, a new reference: made if there is none. Of the innermost it is free
 * of trouble; of others each frame between gets one, too. NULL with an exception: no memory. */
static inline PyFrameObject *lap_frame_make_object(PyThreadState *state, const lap_frame *frame)
{
    if (lap_frame_object(frame))
        return (PyFrameObject *)Py_NewRef((PyObject *)lap_frame_object(frame));
#if PY_VERSION_HEX >= 0x030B0000
    PyFrameObject *object = PyThreadState_GetFrame(state);
    while (object && object->f_frame != frame) {
        PyFrameObject *const back = PyFrame_GetBack(object);
        Py_DECREF(object);
        object = back;
    }
    return object;
#else
    (void)state;
    return NULL;
#endif
}

/* Is it the frame of a generator that waits for its caller to ask again, so that it is around nothing now? A coroutine that waits
 * is around what it waits for. */
static inline int lap_frame_is_set_aside(const PyFrameObject *object)
{
#if PY_VERSION_HEX >= 0x030B0000
    lap_frame *const frame = object->f_frame;
    const int flags = frame->owner == FRAME_OWNED_BY_GENERATOR ? lap_frame_code(frame)->co_flags : 0;
    const PyGenObject *const generator = flags ? _PyFrame_GetGenerator(frame) : NULL;
    if (flags & CO_ASYNC_GENERATOR)
        return !((const PyAsyncGenObject *)(const void *)generator)->ag_running_async;
    return flags & CO_GENERATOR && !(flags & CO_ITERABLE_COROUTINE) && generator->gi_frame_state != FRAME_EXECUTING;
#else
    return object->f_code->co_flags & CO_GENERATOR && object->f_state == FRAME_SUSPENDED;
#endif
}

/* Does a variable of the frame, or a cell that is the frame's alone, hold this object? */
static inline int lap_frame_holds(const lap_frame *frame, PyObject *object)
{
#if PY_VERSION_HEX >= 0x030B0000
    PyObject *const *const locals = frame->localsplus;
    /* One that outlived its call, in a traceback, has no code any more when its variables go one by one. */
    const PyCodeObject *const code = lap_frame_code(frame);
    const Py_ssize_t count = code ? code->co_nlocalsplus : frame->stacktop;
#else
    PyObject *const *const locals = frame->f_localsplus;
    const PyCodeObject *const code = frame->f_code;
    const Py_ssize_t count = code->co_nlocals + PyTuple_GET_SIZE(code->co_cellvars) + PyTuple_GET_SIZE(code->co_freevars);
#endif
    for (Py_ssize_t i = 0; i < count; i++)
        if (locals[i] == object ||
            (locals[i] && PyCell_Check(locals[i]) && Py_REFCNT(locals[i]) == 1 && PyCell_GET(locals[i]) == object))
            return 1;
    return 0;
}
/* The frame that an object stands for. */
static inline const lap_frame *lap_frame_of_object(const PyFrameObject *object)
{
#if PY_VERSION_HEX >= 0x030B0000
    return object->f_frame;
#else
    return object;
#endif
}

#define LAP_CODE_SUSPENDS (CO_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR)

static inline int lap_frame_line(const lap_frame *frame)
{
#if PY_VERSION_HEX >= 0x030B0000
    lap_frame *const at = (lap_frame *)(uintptr_t)frame;
    return PyCode_Addr2Line(lap_frame_code(frame), (int)(_PyInterpreterFrame_LASTI(at) * (int)sizeof(_Py_CODEUNIT)));
#else
    return PyFrame_GetLineNumber((PyFrameObject *)(uintptr_t)frame);
#endif
}

#endif
