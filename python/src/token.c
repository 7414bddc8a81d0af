/* SPDX-License-Identifier: MIT */
#include "token.h"

#include "profiler.h"

static PyTypeObject *token_type;
#define FREE_MAX 64
static struct token *free_tokens[FREE_MAX];
static int free_count;

/* The frame is being left, and from 3.11 on its variables die right after; or a tracer takes its place. */
static void token_dealloc(PyObject *object)
{
    struct token *const token = (struct token *)object;
    if (token->newest && Py_REFCNT((PyObject *)token->object) > 0)
        lap_profilers_lose_token(token->newest, token->object);
    else if (token->newest)
        lap_profilers_lose_frame(token->newest, lap_frame_of_object(token->object));
    if (free_count < FREE_MAX) {
        free_tokens[free_count++] = token;
        return;
    }
    PyTypeObject *const type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *token_call(PyObject *self, PyObject *args, PyObject *keywords)
{
    (void)self;
    (void)args;
    (void)keywords;
    Py_RETURN_NONE;
}

int lap_tokens_start(void)
{
    static PyType_Slot slots[] = {{Py_tp_dealloc, (void *)token_dealloc}, {Py_tp_call, (void *)token_call}, {0, NULL}};
    static PyType_Spec spec = {"lapmark._lapmark.frame_token", sizeof(struct token), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    token_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return token_type ? 0 : -1;
}

struct token *lap_token_find(const lap_frame *frame)
{
    PyFrameObject *const object = lap_frame_object(frame);
    PyObject *const mark = object ? *lap_frame_mark(object) : NULL;
    struct token *const token = mark && Py_TYPE(mark) == token_type ? (struct token *)mark : NULL;
    return token && token->object == object ? token : NULL; /* somebody may have put it at another frame */
}

struct token *lap_token_get(PyThreadState *state, const lap_frame *frame)
{
    struct token *token = lap_token_find(frame);
    if (token)
        return token;
    if (state->c_tracefunc)
        return NULL;
    PyFrameObject *const object = lap_frame_make_object(state, frame);
    if (!object || (*lap_frame_mark(object) && *lap_frame_mark(object) != Py_None)) {
        Py_XDECREF((PyObject *)object);
        PyErr_Clear();
        return NULL;
    }
    if (free_count > 0) {
        token = free_tokens[--free_count];
        Py_SET_REFCNT((PyObject *)token, 1);
    } else {
        token = (struct token *)token_type->tp_alloc(token_type, 0);
    }
    if (token) {
        token->newest = NULL;
        token->handle = 0;
        token->object = object;
        Py_XSETREF(*lap_frame_mark(object), (PyObject *)token);
    } else {
        PyErr_Clear();
    }
    Py_DECREF((PyObject *)object);
    return token;
}
