/* SPDX-License-Identifier: MIT
 *
 * What the files of the Profiler share: profiler.c has the type, construct.c the begin, checkpoint.c the checkpoints,
 * surroundings.c who is around whom, ending.c the end, peers.c calls to other processes.
 */
#ifndef LAP_PY_PARTS_H
#define LAP_PY_PARTS_H

#include "profiler.h"

extern struct lap_names {
    PyObject *msg, *disabled, *delayed, *threshold, *n, *file, *sink, *level, *function, *disable, *env;
} lap_names;
extern struct lap_rate {
    double ns_per_tick, ms_per_tick;
    int reads_clock; /* the counter cannot be used */
} lap_rate;
extern PyObject *lap_zero;         /* 0.0 */
extern PyObject *lap_unused_float; /* see lap_ms_of */
extern PyObject *lap_task_clock;   /* what gives the running task's times, or NULL */

/* A new reference. A float that nobody looks at is the next result, as of most checkpoints: it is neither freed nor made. */
PyObject *lap_ms_made(double ms);
static inline PyObject *lap_ms_of(uint64_t ticks)
{
    const double ms = (double)(int64_t)ticks * lap_rate.ms_per_tick;
    PyObject *const unused = lap_unused_float;
    if (LAP_I_UNLIKELY(Py_REFCNT(unused) != 1))
        return lap_ms_made(ms);
    ((PyFloatObject *)unused)->ob_fval = ms;
    Py_INCREF(unused);
    return unused;
}

uint64_t lap_now_ticks(void);

/* A key's switch and its path under another, made known where they are not. */
static inline unsigned lap_key_state(struct key *key)
{
    const unsigned state = lap_impl_state(&key->c_site);
    return LAP_I_UNLIKELY(state & LAP_IMPL_UNREGISTERED) ? lap_impl_site_state(&key->c_site) : state;
}
static inline uint32_t lap_key_path(struct key *key, uint32_t parent)
{
    if (LAP_I_UNLIKELY(key->parent_path != parent)) {
        key->path = lap_impl_path(parent, &key->c_site);
        key->parent_path = parent;
    }
    return key->path;
}
/* Two halves of an event's word. */
static inline uint64_t lap_pair(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }
static inline void lap_numbers_put(uint64_t *out, const struct numbers *numbers)
{
    for (unsigned i = 0; i < numbers->count; i++)
        out[i] = numbers->words[i];
}

/* ---- profiler.c ---------------------------------------------------------------------------------------------------- */

/* The class's own switch: whatever `disable` is there. */
int lap_class_is_disabled(PyTypeObject *type);
/* An awaitable that is done at once, with this value. A new reference. */
PyObject *lap_instant_make(PyObject *value);
/* Is it what a profiler decorates, and does not take for a label? */
int lap_is_decorated(PyObject *object);
/* A function around it, a new reference. `like`: a profiler that was only made for this; as if it had not been. */
PyObject *lap_decorate(PyTypeObject *type, PyObject *function, struct profiler *like);

/* ---- construct.c --------------------------------------------------------------------------------------------------- */

extern struct profiler *lap_off_profiler; /* what construction gives where it is off */
PyObject *lap_type_call(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *keywords);
PyObject *lap_profiler_new(PyTypeObject *type, PyObject *args, PyObject *keywords);
int lap_profiler_init(PyObject *object, PyObject *args, PyObject *keywords);
/* The same as calling the class with these, but what is off is an object of its own. *ret_is_disabled: by the code, whatever the terms
 * say. NULL with an exception. */
struct profiler *lap_profiler_make(PyObject *const *args, Py_ssize_t count, PyObject *keywords, int *ret_is_disabled);
/* In milliseconds, as an argument; what is none is counted, and 0. */
uint64_t lap_threshold_read_ns(PyObject *threshold);
/* A zeroed one, tracked, and its memory back. */
struct profiler *lap_profiler_alloc(PyTypeObject *type);
void lap_profiler_release(struct profiler *self);
/* Makes a zeroed one that is off. */
void lap_profiler_blank(struct profiler *self);

/* ---- checkpoint.c -------------------------------------------------------------------------------------------------- */

/* What a profiler is called by: the usual checkpoint, any other, and where it is off. */
PyObject *lap_call_fast(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords);
PyObject *lap_call_general(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords);
PyObject *lap_call_off(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *keywords);
/* Reads (msg=None, n=None), or with `max` 1 (msg=None). Borrowed. */
int lap_read_label(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *keywords, int max,
                   PyObject **ret_label, PyObject **ret_size);
/* A checkpoint with any label, NULL or None for none, and a size. Returns the lap's milliseconds. */
PyObject *lap_checkpoint(struct profiler *self, PyObject *label, PyObject *size);
/* The text of any object, exact. What has none is counted. New reference; NULL with an exception: no memory. */
PyObject *lap_label_text(PyObject *object);
/* Reads a size; 0: it is none, which is counted. */
int lap_size_read(PyObject *object, int64_t *ret_n);
/* Asks the running task's clock what has passed since the last time. Nothing where it is another task, or did not wait. */
struct wait lap_task_clock_read(struct profiler *self);
void lap_laps_drop(struct profiler *self);

/* A handle for a profiler; 0 where there is none. One that is done is kept for the next, under its next number, so that most cost
 * the library nothing. */
uint64_t lap_handle_next(void);
void lap_handle_done(uint64_t handle);
void lap_handles_after_fork(void);

/* ---- peers.c --------------------------------------------------------------------------------------------------------- */

int lap_calls_start(PyObject *module);
/* The methods call() and reply(), and the functions now(), serve() and share(). */
PyObject *lap_profiler_call(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *lap_profiler_context(PyObject *object, PyObject *unused);
PyObject *lap_profiler_link(PyObject *object, PyObject *other);
PyObject *lap_profiler_reply(PyObject *object, PyObject *unused);
PyObject *lap_calls_now(PyObject *self, PyObject *unused);
PyObject *lap_calls_serve(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *lap_calls_share(PyObject *self, PyObject *what);
PyObject *lap_calls_accept(PyObject *self, PyObject *what);
/* Adds laps of servers to a sum, which is made where there is none. */
void lap_calls_add_laps(struct peer_laps **sum, const struct lap_peer_lap *laps, uint32_t count);
void lap_calls_free(struct lap_calls *calls);
/* What a profiler has of them. */
void lap_calls_drop(struct profiler *self);
/* It has ended: if it has taken its threshold, the next request of that kind says which of its calls was the slowest. */
void lap_calls_tell(const struct profiler *self);
/* In a forked child: those that are open are the parent's. */
void lap_calls_after_fork(void);

/* ---- surroundings.c ------------------------------------------------------------------------------------------------ */

extern PyTypeObject *lap_node_type;
extern PyObject *lap_context_variable;   /* its value: the node of the newest profiler of the context */
extern struct profiler *lap_newest_live; /* of the process */
int lap_surroundings_start(void);
void lap_live_add(struct profiler *self);
void lap_live_remove(struct profiler *self);
void lap_child_add(struct profiler *parent, struct profiler *self);
void lap_child_remove(struct profiler *self);
/* Puts it at its frame, in its token's list or, without a token, where frames are compared; and away from there. */
void lap_token_enter(struct profiler *self, struct token *token, const lap_frame *frame);
void lap_token_leave(struct profiler *self);
/* Its handle or path has changed: the token says so to C code. */
void lap_token_tell(struct token *token);
/* Makes its node, which is then the context's. `known`: the one that was. A new reference; NULL with an exception. */
struct node *lap_node_enter(struct profiler *profiler, const PyThreadState *state, struct node *known,
                            struct node *parent);
/* What is around a new profiler; NULL: nothing. `inherited` is the context's node or NULL. */
struct profiler *lap_parent_find(const lap_frame *frame, struct token *token, const struct site *site,
                                 struct node *inherited, const void *context);

/* ---- ending.c ------------------------------------------------------------------------------------------------------ */

void lap_profiler_end(struct profiler *self, enum profiler_end how);
/* Nobody holds it any more: it ends in the way that its frame tells. An exception in flight stays. */
void lap_profiler_let_go(struct profiler *self);

#endif
