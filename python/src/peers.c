/* SPDX-License-Identifier: MIT
 *
 * Calls to other processes, over lapmark/call.h: both ends. A call knows its profiler by the node, and so does not
 * keep it alive.
 */
#include "held.h"
#include "lapmark/format.h"
#include "lines.h"
#include "parts.h"

#include "lapmark.h"

#include <errno.h>

struct call {
    PyObject_HEAD struct lap_call call;
    struct node *node; /* held; NULL: it is off */
    uint8_t reply[LAP_REPLY_BYTES_MAX];
    Py_ssize_t reply_bytes;
    int has_reply, is_ended, error;
    unsigned fork;
};

static PyTypeObject *call_type;
static struct call *off_call; /* what takes all and does nothing */
static unsigned forks;

void lap_calls_after_fork(void) { forks++; }

void lap_calls_free(struct lap_calls *calls)
{
    if (calls)
        PyMem_RawFree(calls->laps);
    PyMem_RawFree(calls);
}

void lap_calls_add_laps(struct peer_laps **sum, const struct lap_peer_lap *laps, uint32_t count)
{
    if (count > 0 && !*sum)
        *sum = PyMem_RawCalloc(1, sizeof **sum);
    lap_counts.failed += count > 0 && !*sum;
    for (uint32_t i = 0; i < count && *sum; i++)
        lap_peer_laps_add((*sum)->laps, &(*sum)->count, LAP_PEER_LAPS_HELD, &laps[i]);
}

void lap_calls_drop(struct profiler *self)
{
    lap_calls_free(self->calls);
    PyMem_RawFree(self->steps);
    self->calls = NULL;
    self->steps = NULL;
}

/* The first bytes of what should be a trailer, with what is behind it. Returns how many, 0: there is none; one that is none where
 * it has no bytes. */
static Py_ssize_t trailer_copy(uint8_t *out, Py_ssize_t room, PyObject *object)
{
    Py_buffer view;
    if (!object || object == Py_None)
        return 0;
    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        out[0] = 0xFF;
        return 1;
    }
    const Py_ssize_t bytes = view.len < room ? view.len : room;
    if (bytes > 0)
        memcpy(out, view.buf, (size_t)bytes);
    PyBuffer_Release(&view);
    return bytes;
}

/* ---- the caller ---------------------------------------------------------------------------------------------------- */

/* Whose child a profiler's calls are: its own, where it has a name, else its request's, or those of one around it. */
static const struct lap_context *context_of(const struct profiler *profiler)
{
    for (const struct profiler *at = profiler; at; at = at->parent) {
        if (at->steps && lap_context_is_valid(&at->steps->own))
            return &at->steps->own;
        if (at->steps && lap_context_is_valid(&at->steps->serve.context))
            return &at->steps->serve.context;
    }
    return NULL;
}

static struct steps *steps_make(struct profiler *self)
{
    if (!self->steps)
        self->steps = PyMem_RawCalloc(1, sizeof *self->steps);
    lap_counts.failed += !self->steps;
    return self->steps;
}

/* As requests have one that they name. */
static uint64_t span_number(const uint8_t span_id[8])
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | span_id[i];
    return number;
}

static int traceparent_read(struct lap_context *ret_context, PyObject *text)
{
    Py_ssize_t bytes = 0;
    const char *const characters = PyUnicode_AsUTF8AndSize(text, &bytes);
    if (!characters)
        PyErr_Clear();
    if (characters && bytes == 0)
        return 0;
    const int error = characters ? lap_traceparent_read(ret_context, characters, (uint64_t)bytes) : -EINVAL;
    lap_counts.bad_trailer += error < 0;
    return error == 0;
}

/* What a link leads to: a traceparent, or a call. 1, or 0: nothing, or none of these, which is counted. */
static int other_read(struct lap_context *ret_context, PyObject *other)
{
    if (!other || other == Py_None)
        return 0;
    if (Py_TYPE(other) == call_type) {
        *ret_context = ((const struct call *)other)->call.context;
        return lap_context_is_valid(ret_context);
    }
    if (PyUnicode_Check(other))
        return traceparent_read(ret_context, other);
    lap_counts.bad_trailer++;
    return 0;
}

static PyObject *call_begin(struct profiler *self, PyObject *label, PyObject *follows)
{
    struct lap_context other;
    struct numbers numbers;
    PyObject *const text = lap_label_text(label);
    if (!text)
        return NULL;
    if (self->flags & PROFILER_ENDED) { /* by the label's own code */
        Py_DECREF(text);
        return Py_NewRef((PyObject *)off_call);
    }
    struct key *const key = lap_key_get(self->site, LAP_IMPL_KIND_CALL, text, NULL, &numbers);
    Py_DECREF(text);
    struct call *const call = key ? (struct call *)call_type->tp_alloc(call_type, 0) : NULL;
    if (!call)
        return NULL;
    if (self->node)
        call->node = (struct node *)Py_NewRef((PyObject *)self->node);
    call->fork = forks;
    const int has_other = other_read(&other, follows);
    lap_impl_call_begin_at(&call->call, &key->c_site, self->handle, self->path, context_of(self));
    if (has_other && call->call.is_open)
        lap_impl_link(self->handle, self->path, LAP_FORMAT_LINK_FOLLOWS, &call->call.context, &other);
    return (PyObject *)call;
}

/* call(msg, *, follows=None) */
static int call_read(PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **ret_label,
                     PyObject **ret_follows)
{
    *ret_label = count > 0 ? args[0] : NULL;
    *ret_follows = NULL;
    for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *const name = PyTuple_GET_ITEM(keywords, i);
        PyObject **const value = PyUnicode_CompareWithASCIIString(name, "msg") == 0       ? ret_label
                                 : PyUnicode_CompareWithASCIIString(name, "follows") == 0 ? ret_follows
                                                                                          : NULL;
        if (!value || *value) {
            PyErr_Format(PyExc_TypeError, "call() got %s argument '%U'", value ? "twice its" : "an unexpected keyword",
                         name);
            return -1;
        }
        *value = args[count + i];
    }
    if (count <= 1 && *ret_label)
        return 0;
    if (count > 1)
        PyErr_Format(PyExc_TypeError, "call() takes 1 positional argument (%zd given)", count);
    else
        PyErr_SetString(PyExc_TypeError, "call() needs what it is: an argument 'msg'");
    return -1;
}

PyObject *lap_profiler_call(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct profiler *const self = (struct profiler *)object;
    PyObject *label, *follows;
    if (call_read(args, count, keywords, &label, &follows) < 0)
        return NULL;
    if (self->flags & PROFILER_ENDED && !(self->flags & PROFILER_OFF))
        lap_counts.after_end++;
    if (self->flags & (PROFILER_OFF | PROFILER_MUTE | PROFILER_ENDED))
        return Py_NewRef((PyObject *)off_call);
    return call_begin(self, label, follows);
}

/* ---- steps of traces ----------------------------------------------------------------------------------------------- */

static void own_make(struct profiler *self)
{
    struct steps *const steps = steps_make(self);
    if (!steps)
        return;
    const struct lap_context *const around = context_of(self), current = lap_context_current();
    steps->own = lap_context_child(around ? *around : current);
    steps->own.flags |= LAP_CONTEXT_SAMPLED;
    if (!around && lap_context_is_valid(&current))
        lap_impl_link(self->handle, self->path, LAP_FORMAT_LINK_PARENT, NULL, &current);
    lap_impl_link(self->handle, self->path, LAP_FORMAT_LINK_IS, NULL, &steps->own);
}

PyObject *lap_profiler_context(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct profiler *const self = (struct profiler *)object;
    char text[LAP_TRACEPARENT_BYTES];
    const int has_own = self->steps && lap_context_is_valid(&self->steps->own);
    if (!has_own && !(self->flags & (PROFILER_OFF | PROFILER_MUTE | PROFILER_ENDED)))
        own_make(self);
    lap_traceparent_write(text, self->steps ? &self->steps->own : NULL);
    return PyUnicode_FromString(text);
}

PyObject *lap_profiler_link(PyObject *object, PyObject *other)
{
    struct profiler *const self = (struct profiler *)object;
    struct lap_context context;
    if (self->flags & PROFILER_ENDED && !(self->flags & PROFILER_OFF))
        lap_counts.after_end++;
    if (!(self->flags & (PROFILER_OFF | PROFILER_MUTE | PROFILER_ENDED)) && other_read(&context, other))
        lap_impl_link(self->handle, self->path, LAP_FORMAT_LINK_FOLLOWS, NULL, &context);
    Py_RETURN_NONE;
}

/* ---- the caller's end ---------------------------------------------------------------------------------------------- */

/* Its profiler, if it is open, says so at its next checkpoint: which must then be a general one. */
static void note(struct profiler *profiler, const struct lap_split *split, const struct lap_peer_lap *laps,
                 uint32_t lap_count)
{
    if (!profiler->calls)
        profiler->calls = PyMem_RawCalloc(1, sizeof *profiler->calls);
    if (!profiler->calls) {
        lap_counts.failed++;
        return;
    }
    const int has_server = (split->flags & LAP_SPLIT_SERVER) != 0, has_ways = (split->flags & LAP_SPLIT_WAYS) != 0;
    struct lap_line_calls one = {.count = 1, .answered = (uint64_t)has_server, .ways = (uint64_t)has_ways};
    if (has_server) {
        one.server_ns = (double)split->server_ns;
        one.queue_ns = (double)split->queue_ns;
        one.between_ns = (double)split->between_ns;
        one.there_ns = (double)split->there_ns;
        one.back_ns = (double)split->back_ns;
    }
    lap_line_calls_join(&profiler->calls->sum, &one);
    lap_calls_add_laps(&profiler->calls->laps, laps, lap_count);
    if (profiler->vectorcall == lap_call_fast)
        profiler->vectorcall = lap_call_general;
}

/* Either its server was slow, which goes for the profiler here, too; or it may be the one that makes the profiler slow. */
static void see_slow(struct profiler *profiler, const struct lap_call *call)
{
    const struct lap_split *const split = &call->split;
    if (split->flags & LAP_SPLIT_KEPT)
        profiler->flags |= PROFILER_KEPT;
    if (split->flags & LAP_SPLIT_SLOW)
        lap_counts.suppressed += !(split->flags & LAP_SPLIT_KEPT) && lap_impl_accepted() & LAP_ACCEPT_SLOW;
    else if (profiler->threshold_ns > 0 && split->flags & LAP_SPLIT_SERVER && steps_make(profiler) &&
             split->total_ns >= profiler->steps->slowest.total_ns) {
        profiler->steps->slowest.span_id = span_number(call->context.span_id);
        profiler->steps->slowest.total_ns = split->total_ns;
        profiler->steps->slowest.class_id = call->class_id;
    }
}

void lap_calls_tell(const struct profiler *self)
{
    const struct steps *const steps = self->steps;
    if (steps->slowest.span_id != 0 && lap_ticks_to_ns(self->total_ticks) >= self->threshold_ns)
        lap_impl_call_slow(steps->slowest.span_id, steps->slowest.class_id);
}

static void call_end(struct call *self)
{
    if (!self->call.is_open || self->fork != forks) /* off, ended, or the parent process's */
        return;
    self->error = lap_call_end(&self->call, self->reply, (uint64_t)self->reply_bytes);
    self->is_ended = 1;
    struct lap_peer_lap laps[LAP_PEER_LAPS];
    uint32_t count = 0;
    int is_bad = self->error < 0 && self->error != -ENOMSG;
    if (self->error == 0 && self->reply_bytes > LAP_TRAILER_BYTES)
        count = lap_peer_laps_read(laps, self->reply + LAP_TRAILER_BYTES, (uint64_t)self->reply_bytes - LAP_TRAILER_BYTES,
                                   (double)self->call.split.server_ns, &is_bad);
    lap_counts.bad_trailer += is_bad != 0;
    if (!self->node || !self->node->profiler)
        return;
    note(self->node->profiler, &self->call.split, laps, count);
    see_slow(self->node->profiler, &self->call);
}

static void reply_set(struct call *self, PyObject *reply)
{
    uint8_t copy[LAP_REPLY_BYTES_MAX];
    const Py_ssize_t bytes = trailer_copy(copy, sizeof copy, reply);
    if (self->is_ended || self == off_call)
        return;
    memcpy(self->reply, copy, (size_t)bytes);
    self->reply_bytes = bytes;
    self->has_reply = reply && reply != Py_None;
}

static PyObject *call_end_method(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct call *const self = (struct call *)object;
    const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    if (count + named > 1 ||
        (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "reply") != 0))
        return PyErr_Format(PyExc_TypeError, "end() takes at most one argument, 'reply'");
    if (count + named == 1 && args[0] != Py_None)
        reply_set(self, args[0]);
    call_end(self);
    return PyFloat_FromDouble((double)self->call.split.total_ns / 1e6);
}

static PyObject *call_wish(PyObject *object, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"ms_threshold", "disabled", NULL};
    PyObject *threshold = NULL, *disabled = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO", names, &threshold, &disabled))
        return NULL;
    const int is_disabled = disabled == Py_None ? 0 : PyObject_IsTrue(disabled);
    if (is_disabled < 0)
        return NULL;
    if (((struct call *)object)->call.is_open)
        lap_call_wish(&((struct call *)object)->call,
                      disabled == Py_None ? LAP_WISH_AS_IT_IS
                      : is_disabled       ? LAP_WISH_OFF
                                          : LAP_WISH_ON,
                      (double)lap_threshold_read_ns(threshold) / 1e6);
    Py_RETURN_NONE;
}

static PyObject *call_take_part(PyObject *object, PyObject *trailer)
{
    struct call *const self = (struct call *)object;
    uint8_t reply[LAP_TRAILER_BYTES];
    if (!self->call.is_open || self->fork != forks)
        Py_RETURN_NONE;
    const int error = lap_call_part(&self->call, reply, (uint64_t)trailer_copy(reply, sizeof reply, trailer));
    lap_counts.bad_trailer += error < 0 && error != -ENOMSG;
    Py_RETURN_NONE;
}

static PyObject *call_sent(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct call *const self = (struct call *)object;
    if (self->call.is_open && self->fork == forks) {
        self->error = lap_call_sent(&self->call);
        self->is_ended = 1;
    }
    return PyFloat_FromDouble((double)self->call.split.total_ns / 1e6);
}

static PyObject *call_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    call_end((struct call *)self);
    Py_RETURN_NONE;
}

static PyObject *call_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *call_aenter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return lap_instant_make(self);
}

static PyObject *call_aexit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    call_end((struct call *)self);
    return lap_instant_make(Py_None);
}

/* ---- what it says -------------------------------------------------------------------------------------------------- */

static int is_on(const struct call *self) { return self->call.is_open || self->is_ended; }

static PyObject *call_request(PyObject *object, void *unused)
{
    (void)unused;
    const struct call *const self = (const struct call *)object;
    return PyBytes_FromStringAndSize((const char *)self->call.request, is_on(self) ? LAP_TRAILER_BYTES : 0);
}

static PyObject *call_span(PyObject *object, void *unused)
{
    (void)unused;
    const struct call *const self = (const struct call *)object;
    char text[2 * sizeof self->call.context.span_id + 1] = "";
    for (size_t i = 0; is_on(self) && i < sizeof self->call.context.span_id; i++)
        PyOS_snprintf(text + 2 * i, 3, "%02x", self->call.context.span_id[i]);
    return PyUnicode_FromString(text);
}

static PyObject *call_traceparent(PyObject *object, void *unused)
{
    (void)unused;
    char text[LAP_TRACEPARENT_BYTES];
    lap_traceparent_write(text, &((const struct call *)object)->call.context);
    return PyUnicode_FromString(text);
}

static PyObject *call_get_reply(PyObject *object, void *unused)
{
    (void)unused;
    const struct call *const self = (const struct call *)object;
    return self->has_reply ? PyBytes_FromStringAndSize((const char *)self->reply, self->reply_bytes) : Py_NewRef(Py_None);
}

static int call_set_reply(PyObject *object, PyObject *value, void *unused)
{
    (void)unused;
    reply_set((struct call *)object, value);
    return 0;
}

static PyObject *call_error(PyObject *object, void *unused)
{
    (void)unused;
    const struct call *const self = (const struct call *)object;
    if (self->error == 0)
        Py_RETURN_NONE;
    return PyUnicode_FromString(self->error == -ENOMSG   ? "silent"
                                : self->error == -EPROTO ? "another call's"
                                                         : "damaged");
}

static PyObject *call_slow(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong((((const struct call *)object)->call.split.flags & LAP_SPLIT_SLOW) != 0);
}

enum part { TOTAL, SERVER, HANDLE, QUEUE, BETWEEN, THERE, BACK };

static PyObject *call_part(PyObject *object, void *which)
{
    const struct call *const self = (const struct call *)object;
    const struct lap_split *const split = &self->call.split;
    const enum part part = (enum part)(uintptr_t)which;
    const uint32_t needed = part == TOTAL ? 0 : part < THERE ? LAP_SPLIT_SERVER : LAP_SPLIT_WAYS;
    /* Each was cut to whole nanoseconds; what is the rest of another is told by that. */
    const uint64_t parts[] = {split->total_ns,
                              split->server_ns,
                              split->server_ns - split->queue_ns,
                              split->queue_ns,
                              split->total_ns - split->server_ns,
                              split->there_ns,
                              split->back_ns};
    if (!self->is_ended || (split->flags & needed) != needed)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)parts[part] / 1e6);
}

static PyObject *call_repr(PyObject *object)
{
    const struct call *const self = (const struct call *)object;
    PyObject *const span = call_span(object, NULL);
    PyObject *const text = !span ? NULL
                           : !is_on(self)
                               ? PyUnicode_FromString("<lapmark.Call, off>")
                               : PyUnicode_FromFormat("<lapmark.Call %U, %s>", span, self->is_ended ? "ended" : "open");
    Py_XDECREF(span);
    return text;
}

static void call_dealloc(PyObject *object)
{
    PyTypeObject *const type = Py_TYPE(object);
    Py_XDECREF((PyObject *)((struct call *)object)->node);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- the server ---------------------------------------------------------------------------------------------------- */

PyObject *lap_calls_now(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromUnsignedLongLong(lap_now());
}

/* Words with commas between them: bit 0 for the first of the two, bit 1 for the other, none for 'nothing'. -1, with an exception. */
static int words_read(PyObject *text, const char *verb, const char *const words[2])
{
    const char *at = PyUnicode_Check(text) ? PyUnicode_AsUTF8(text) : NULL;
    PyErr_Clear(); /* of a text that has no UTF-8 */
    int found = 0;
    for (size_t length = 0, is_last = 0; !is_last; at += length + 1) {
        at = at ? at : "?";
        length = strcspn(at, ",");
        is_last = at[length] == 0;
        const char *const known[] = {words[0], words[1], "nothing"};
        int i = 0;
        while (i < 3 && (strlen(known[i]) != length || memcmp(known[i], at, length) != 0))
            i++;
        if (i == 3) {
            PyErr_Format(PyExc_ValueError, "cannot %s %R: '%s', '%s', '%s,%s' or 'nothing'", verb, text, words[0],
                         words[1], words[0], words[1]);
            return -1;
        }
        found |= i < 2 ? 1 << i : 0;
    }
    return found;
}

PyObject *lap_calls_share(PyObject *self, PyObject *what)
{
    (void)self;
    const int words = words_read(what, "share", (const char *const[]){"domain", "laps"});
    if (words < 0)
        return NULL;
    lap_share((uint32_t)words); /* the bits are those of enum lap_share */
    Py_RETURN_NONE;
}

PyObject *lap_calls_accept(PyObject *self, PyObject *what)
{
    (void)self;
    const int words = words_read(what, "accept", (const char *const[]){"slow", "threshold"});
    if (words < 0)
        return NULL;
    lap_accept((uint32_t)words); /* as are these those of enum lap_accept */
    Py_RETURN_NONE;
}

static uint64_t arrived_read(PyObject *arrived)
{
    if (!arrived || arrived == Py_None)
        return 0;
    const unsigned long long ticks = PyLong_AsUnsignedLongLong(arrived);
    if (!PyErr_Occurred())
        return ticks;
    PyErr_Clear();
    lap_counts.bad_number++;
    return 0;
}

/* The arguments that are not the profiler's, and those that are. Borrowed but *ret_names. */
struct serve_arguments {
    PyObject *own[3]; /* msg, trailer, arrived */
    PyObject *rest[16];
    Py_ssize_t count; /* of rest, behind a message */
    PyObject *names;  /* held */
};

static int serve_read(struct serve_arguments *out, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const own[] = {"msg", "trailer", "arrived"};
    PyObject *names[16];
    Py_ssize_t named = 0;
    *out = (struct serve_arguments){.names = NULL};
    if (count > 3) {
        PyErr_Format(PyExc_TypeError, "serve() takes at most 3 positional arguments (%zd given)", count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        out->own[i] = args[i];
    for (Py_ssize_t i = 0; keywords && i < PyTuple_GET_SIZE(keywords); i++) {
        PyObject *const name = PyTuple_GET_ITEM(keywords, i);
        size_t at = 0;
        while (at < 3 && PyUnicode_CompareWithASCIIString(name, own[at]) != 0)
            at++;
        if ((at < 3 && out->own[at]) || named == 15) {
            PyErr_Format(PyExc_TypeError, "serve() got %s argument '%U'", at < 3 ? "twice its" : "an unexpected keyword",
                         name);
            return -1;
        }
        if (at < 3) {
            out->own[at] = args[count + i];
        } else {
            names[named] = name;
            out->rest[1 + named++] = args[count + i];
        }
    }
    out->rest[0] = out->own[0] ? out->own[0] : Py_None;
    out->names = PyTuple_New(named);
    for (Py_ssize_t i = 0; out->names && i < named; i++)
        PyTuple_SET_ITEM(out->names, i, Py_NewRef(names[i]));
    return out->names ? 0 : -1;
}

/* The place of an argument of the profiler, NULL where it has none. */
static PyObject **serve_find(struct serve_arguments *arguments, PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arguments->names); i++)
        if (PyUnicode_Compare(PyTuple_GET_ITEM(arguments->names, i), name) == 0)
            return &arguments->rest[1 + i];
    return NULL;
}

/* Gives the profiler another argument, or one more. Steals `value`, which lives as long as *ret_held. */
static int serve_put(struct serve_arguments *arguments, PyObject *name, PyObject *value, PyObject **ret_held)
{
    *ret_held = value;
    PyObject **const place = serve_find(arguments, name);
    const Py_ssize_t count = PyTuple_GET_SIZE(arguments->names);
    if (place && value)
        *place = value;
    if (place || !value || count == 15)
        return value ? 0 : -1;
    PyObject *const names = PyTuple_New(count + 1);
    for (Py_ssize_t i = 0; names && i < count; i++)
        PyTuple_SET_ITEM(names, i, Py_NewRef(PyTuple_GET_ITEM(arguments->names, i)));
    if (!names)
        return -1;
    PyTuple_SET_ITEM(names, count, Py_NewRef(name));
    Py_SETREF(arguments->names, names);
    arguments->rest[1 + count] = value;
    return 0;
}

/* What the request wishes, in place of the arguments; *ret_held are to be let go of. */
static int serve_wishes(struct serve_arguments *arguments, const void *trailer, Py_ssize_t bytes, PyObject *ret_held[2])
{
    PyObject **const threshold = serve_find(arguments, lap_names.threshold),
                     **const disabled = serve_find(arguments, lap_names.disabled);
    const int is_disabled = disabled ? PyObject_IsTrue(*disabled) : 0;
    if (is_disabled < 0)
        PyErr_Clear();
    const struct lap_options code = {.threshold_ms = threshold ? (double)lap_threshold_read_ns(*threshold) / 1e6 : 0,
                                     .disabled = is_disabled > 0};
    struct lap_options wished = code;
    lap_impl_serve_options(&wished, trailer, (uint64_t)bytes);
    if (wished.threshold_ms != code.threshold_ms &&
        serve_put(arguments, lap_names.threshold, PyFloat_FromDouble(wished.threshold_ms), &ret_held[0]) < 0)
        return -1;
    if (wished.disabled == code.disabled)
        return 0;
    return serve_put(arguments, lap_names.disabled, PyBool_FromLong(wished.disabled), &ret_held[1]);
}

/* Takes out of a request which earlier call was slow for its caller: those that Python served are held here. 1, or 0: none. The places
 * are those of struct lap_request_trailer. */
static int earlier_take(uint8_t *trailer, Py_ssize_t bytes, uint64_t *ret_span)
{
    enum { LEVEL = 5, LEVEL_EARLIER = 128, DOMAIN = 32 };
    if (bytes < LAP_TRAILER_BYTES || !(trailer[LEVEL] & LEVEL_EARLIER))
        return 0;
    memcpy(ret_span, trailer + DOMAIN, sizeof *ret_span);
    memset(trailer + DOMAIN, 0, sizeof *ret_span);
    trailer[LEVEL] &= (uint8_t)~LEVEL_EARLIER;
    return 1;
}

PyObject *lap_calls_serve(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct serve_arguments arguments;
    uint8_t trailer[LAP_TRAILER_BYTES];
    int is_disabled = 0;
    (void)self;
    if (serve_read(&arguments, args, count, keywords) < 0)
        return NULL;
    const int is_text = arguments.own[1] && PyUnicode_Check(arguments.own[1]);
    struct lap_context parent;
    const int has_parent = is_text && traceparent_read(&parent, arguments.own[1]);
    const Py_ssize_t bytes = is_text ? 0 : trailer_copy(trailer, sizeof trailer, arguments.own[1]);
    const uint64_t arrived = arrived_read(arguments.own[2]);
    PyObject *held[2] = {NULL, NULL};
    struct profiler *const profiler = serve_wishes(&arguments, trailer, bytes, held) < 0
                                          ? NULL
                                          : lap_profiler_make(arguments.rest, 1, arguments.names, &is_disabled);
    Py_XDECREF(held[0]);
    Py_XDECREF(held[1]);
    Py_DECREF(arguments.names);
    if (!profiler || is_disabled)
        return (PyObject *)profiler;
    struct steps *const steps = steps_make(profiler);
    if (!steps)
        return (PyObject *)profiler;
    uint64_t earlier = 0;
    const int names_earlier = earlier_take(trailer, bytes, &earlier);
    const int error = lap_impl_serve_begin(&steps->serve, profiler->handle, trailer, (uint64_t)bytes, arrived);
    lap_counts.bad_trailer += error < 0 && error != -ENOMSG;
    if (error == 0 && lap_impl_accepted() & LAP_ACCEPT_SLOW)
        steps->served_span = span_number(steps->serve.context.span_id);
    if (error == 0 && names_earlier)
        lap_counts.suppressed += lap_held_keep(earlier) == 0;
    if (has_parent) {
        steps->serve.context = parent;
        if (profiler->handle != 0)
            lap_impl_link(profiler->handle, profiler->path, LAP_FORMAT_LINK_PARENT, NULL, &parent);
    }
    return (PyObject *)profiler;
}

PyObject *lap_profiler_reply(PyObject *object, PyObject *unused)
{
    struct profiler *const self = (struct profiler *)object;
    uint8_t out[LAP_REPLY_BYTES_MAX];
    struct lap_peer_lap laps[LAP_PEER_LAPS];
    uint32_t count = 0;
    (void)unused;
    if (!self->steps)
        return PyBytes_FromStringAndSize(NULL, 0);
    struct lap_serve *const serve = &self->steps->serve;
    serve->handle = self->handle; /* none, once it has ended */
    serve->is_slow = self->handle != 0 && self->threshold_ns != 0 &&
                     lap_ticks_to_ns(lap_now_ticks() - self->begin_ticks) >= self->threshold_ns;
    if (lap_impl_shared() & LAP_SHARE_LAPS && !(self->flags & PROFILER_ENDED))
        count = lap_lines_laps(self, laps);
    /* Not above what the trailer says. */
    const double server_ns = lap_ticks_to_ns(lap_now() - serve->received_ticks);
    uint64_t bytes = lap_serve_reply(serve, out);
    if (bytes > 0)
        bytes += lap_peer_laps_write(out + bytes, sizeof out - bytes, laps, count, server_ns);
    return PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)bytes);
}

/* ---- the type ------------------------------------------------------------------------------------------------------ */

static PyMethodDef methods[] = {
    {"end", (PyCFunction)(void (*)(void))call_end_method, METH_FASTCALL | METH_KEYWORDS,
     "end(reply=None): the reply is here, with this trailer, if it had one; returns the total in milliseconds"},
    {"wish", (PyCFunction)(void (*)(void))call_wish, METH_VARARGS | METH_KEYWORDS,
     "wish(ms_threshold=0.0, disabled=None): what the server's profiler should have, if the server accepts that: before "
     "the request\n"
     "is sent. 0.0 and None: its own"},
    {"part", call_take_part, METH_O,
     "part(reply): one of several replies to the call, but the last, which end() takes, came with this trailer"},
    {"sent", call_sent, METH_NOARGS, "sent(): it is sent, and no reply will come; returns the total in milliseconds"},
    {"__enter__", call_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))call_exit, METH_FASTCALL, NULL},
    {"__aenter__", call_aenter, METH_NOARGS, NULL},
    {"__aexit__", (PyCFunction)(void (*)(void))call_aexit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef getters[] = {
    {"request", call_request, NULL, "48 bytes to go with the request; b'' where the call is off", NULL},
    {"reply", call_get_reply, call_set_reply, "what came with the reply, for the end of a with block", NULL},
    {"span_id", call_span, NULL, "what reply_of() says of its reply", NULL},
    {"traceparent", call_traceparent, NULL, "the value of a W3C traceparent header", NULL},
    {"error", call_error, NULL, "None, 'silent', 'damaged' or \"another call's\"", NULL},
    {"slow", call_slow, NULL, "did the server's profiler take its threshold?", NULL},
    {"total_ms", call_part, NULL, "from the begin to the end", (void *)TOTAL},
    {"server_ms", call_part, NULL, "from the request's arrival to the reply, on the server's clock", (void *)SERVER},
    {"handle_ms", call_part, NULL, "of server_ms: since the server took it up", (void *)HANDLE},
    {"queue_ms", call_part, NULL, "of server_ms: until the server took it up", (void *)QUEUE},
    {"between_ms", call_part, NULL, "total_ms without server_ms", (void *)BETWEEN},
    {"there_ms", call_part, NULL, "of between_ms: before the server, where both share their clock's domain",
     (void *)THERE},
    {"back_ms", call_part, NULL, "of between_ms: behind the server", (void *)BACK},
    {NULL, NULL, NULL, NULL, NULL}};

static const char documentation[] =
    "A call to another process, of Profiler.call(). Its `request` goes with the request; `end()` takes what came with "
    "the reply,\n"
    "or a `with` block ends it with `reply`. The next checkpoint of its profiler says how the time divides, and so do "
    "its\n"
    "attributes in milliseconds, None where that is not known. One that never ends is dropped.";

int lap_calls_start(PyObject *module)
{
    static PyType_Slot call_slots[] = {{Py_tp_dealloc, (void *)call_dealloc},
                                       {Py_tp_repr, (void *)call_repr},
                                       {Py_tp_methods, methods},
                                       {Py_tp_getset, getters},
                                       {Py_tp_doc, (void *)documentation},
                                       {0, NULL}};
    PyType_Spec spec = {"lapmark.Call", (int)sizeof(struct call), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, call_slots};
    call_type = (PyTypeObject *)PyType_FromSpec(&spec);
    off_call = call_type ? (struct call *)call_type->tp_alloc(call_type, 0) : NULL;
    if (!off_call)
        return -1;
    Py_INCREF(call_type);
    return PyModule_AddObject(module, "Call", (PyObject *)call_type);
}
