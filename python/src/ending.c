/* SPDX-License-Identifier: MIT */
#include "parts.h"

#include "adopt.h"
#include "blocks.h"
#include "held.h"
#include "lapmark/format.h"
#include "stream.h"

/* What a held end leaves out is in none of its statistics: a reader takes an end without checkpoints to have no rest. */
static void lap_end_store(const struct profiler *self, uint64_t *ret_ticks)
{
    uint64_t ticks = 0;
    const unsigned state = self->handle ? lap_key_state(self->key) : LAP_IMPL_OFF;
    const uint64_t position = state == LAP_IMPL_OFF ? 0 : lap_impl_keep_open(state, 40, &ticks);
    if (ticks == 0)
        ticks = lap_now_ticks();
    *ret_ticks = ticks < self->last_ticks || self->end == END_MARKED ? self->last_ticks : ticks;
    if (position == 0)
        return;
    const uint64_t rest = *ret_ticks - self->last_ticks;
    const int is_whole = self->end == END_CALLED || self->end == END_MARKED || self->end == END_RETURNED;
    const uint64_t words[] = {
        self->handle, rest, (is_whole ? *ret_ticks : self->last_ticks) - self->begin_ticks,
        lap_pair(self->end == END_CANCELLED ? LAP_FORMAT_PATH_NONE : self->path, is_whole ? (uint32_t)self->marks : 0)};
    lap_impl_store(position, ticks, LAP_FORMAT_HANDLE_END, words, 4);
    lap_impl_keep_close(position + 40);
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* An implicit end: the function that made it is being left just now, or somebody let go of it. */
static enum profiler_end end_of(const struct profiler *self)
{
    if (!(self->flags & PROFILER_PLAIN))
        return END_LET_GO;
    PyThreadState *const state = PyThreadState_Get();
    const lap_frame *const top = lap_frame_top(state);
#if PY_VERSION_HEX >= 0x030B0000
    if (self->flags & PROFILER_COMPARED) {
        for (const lap_frame *frame = lap_frame_complete((lap_frame *)(uintptr_t)top); frame;
             frame = lap_frame_around(frame))
            if (lap_frame_object(frame) == self->compared)
                return END_LET_GO;
        return END_RETURNED;
    }
    if (self->flags & PROFILER_DIES)
        return END_RETURNED;
    if (self->flags & PROFILER_LEFT && self->left_frame == top && self->left_instruction == lap_frame_instruction(top))
        return END_RETURNED;
#else
    if (self->left_frame == top && self->left_instruction == lap_frame_instruction(top))
        return END_RETURNED;
#endif
    return END_LET_GO;
}

/* Others of its frame that go with it, since the frame goes: they are inside, and end first. */
static void companions_end(struct profiler *self)
{
    for (struct profiler *child = self->children, *next; child && !(self->flags & PROFILER_ENDED); child = next) {
        next = child->next_child;
        const int is_left_behind = self->token && child->token == self->token &&
                                   lap_frame_object_is_left(self->token->object) && Py_REFCNT((PyObject *)child) == 1 &&
                                   lap_frame_holds(lap_frame_of_object(self->token->object), (PyObject *)child);
        if ((child->flags & PROFILER_DIES || is_left_behind) && !(child->flags & PROFILER_ENDED)) {
            Py_INCREF(child);
            lap_profiler_end(child, self->end);
            Py_DECREF(child);
            next = self->children; /* what it calls may have ended others */
        }
    }
}

/* What is open inside goes to nobody, or, when the profiler made way for one that has done nothing yet, to who is around. */
static void children_leave(struct profiler *self)
{
    struct profiler *const around = self->parent;
    for (struct profiler *child = self->children, *next; child; child = next) {
        next = child->next_child;
        const int moves = lap_profiler_makes_way(self, child);
        lap_child_remove(child);
        if (moves && around)
            lap_child_add(around, child);
        if (moves) {
            child->path = lap_key_path(child->key, around ? around->path : 0);
            lap_token_tell(child->token);
        }
    }
}

int lap_profiler_makes_way(const struct profiler *self, const struct profiler *child)
{
    return self->end == END_LET_GO && child->marks == 0 && !child->children && !child->blocks;
}

void lap_profiler_end(struct profiler *self, enum profiler_end how)
{
    if (self->flags & (PROFILER_OFF | PROFILER_ENDED))
        return;
    uint64_t now;
    self->end = how;
    if (how == END_RETURNED || how == END_LET_GO) {
        companions_end(self);
        if (self->flags & PROFILER_ENDED)
            return;
        self->end = how;
    }
    lap_adopt_deliver(self);
    lap_end_store(self, &now);
    self->flags |= PROFILER_ENDED;
    self->vectorcall = lap_call_general;
    self->rest_ticks = now - self->last_ticks;
    self->total_ticks = (how == END_CALLED || how == END_RETURNED ? now : self->last_ticks) - self->begin_ticks;
    if (self->node)
        self->node->profiler = NULL;
    if (LAP_I_UNLIKELY(self->steps != NULL))
        lap_calls_tell(self);
    if (self->handle)
        lap_handle_done(self->handle);
    self->handle = 0;
    const int has_own = self->file || self->sink;
    if (self->flags & (PROFILER_DISABLED | PROFILER_MUTE) || how == END_CANCELLED ||
        lap_class_is_disabled(Py_TYPE(self)) ||
        !(lap_key_state(self->key) & (has_own ? 0xFFu : (unsigned)LAP_IMPL_PRINT)))
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
    lap_report_end(self); /* knows the children that are open, and the parent */
    children_leave(self);
    lap_child_remove(self);
    lap_token_leave(self);
    lap_live_remove(self);
}

void lap_profiler_let_go(struct profiler *self)
{
    if (self->flags & (PROFILER_OFF | PROFILER_ENDED))
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    lap_profiler_end(self, end_of(self));
    PyErr_Restore(type, value, traceback);
}

/* Calls it with each that lives, oldest or newest first. They are held, since what is called for one may drop the others. One that is
 * being freed is left: it ends by itself. Returns to how many; out of memory: 0. */
static size_t living_each(int newest_first, void (*function)(struct profiler *))
{
    size_t count = 0, held = 0;
    for (struct profiler *self = lap_newest_live; self; self = self->live_older)
        count++;
    struct profiler **const all = PyMem_RawMalloc((count + 1) * sizeof(struct profiler *));
    for (struct profiler *self = all ? lap_newest_live : NULL; self; self = self->live_older)
        if (!(self->flags & PROFILER_ENDED) && Py_REFCNT((PyObject *)self) > 0)
            all[held++] = (struct profiler *)Py_NewRef((PyObject *)self);
    for (size_t i = 0; i < held; i++)
        function(all[newest_first ? i : held - 1 - i]);
    for (size_t i = 0; i < held; i++)
        Py_DECREF(all[i]);
    PyMem_RawFree(all);
    return held;
}

static void exit_inner(struct profiler *self)
{
    if (self->parent && !(self->parent->flags & PROFILER_IMMEDIATE))
        lap_profiler_end(self, END_EXIT);
}

static void exit_end(struct profiler *self) { lap_profiler_end(self, END_EXIT); }

void lap_profilers_exit(void)
{
    /* The inner ones first, so that each is in its parent's report; then the others, oldest first. */
    living_each(1, exit_inner);
    while (living_each(0, exit_end) > 0)
        ;
    lap_held_drop_all();
}

static void flush_one(struct profiler *self)
{
    if (!(self->flags & PROFILER_ENDED))
        lap_report_flush(self);
}

void lap_profilers_flush(void) { living_each(0, flush_one); }

void lap_profilers_after_fork(void)
{
    lap_handles_after_fork();
    lap_calls_after_fork();
    lap_held_drop_all();
    /* They are the parent's to end. Their handles are none here. */
    while (lap_newest_live) {
        struct profiler *const self = lap_newest_live;
        lap_live_remove(self);
        self->flags |= PROFILER_ENDED;
        self->flags &= ~(uint32_t)PROFILER_PRINTS;
        self->vectorcall = lap_call_general;
        self->handle = 0;
        if (self->node)
            self->node->profiler = NULL;
        lap_token_leave(self);
        self->parent = self->children = self->next_child = self->last_child = NULL;
    }
    lap_sites_after_fork();
    lap_streams_after_fork();
}

void lap_profilers_set_task_clock(PyObject *function)
{
    Py_XINCREF(function);
    Py_XSETREF(lap_task_clock, function);
    for (struct profiler *self = lap_newest_live; function && self; self = self->live_older)
        self->vectorcall = lap_call_general;
}
