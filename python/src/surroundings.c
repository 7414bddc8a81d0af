/* SPDX-License-Identifier: MIT */
#include "parts.h"

PyTypeObject *lap_node_type;
PyObject *lap_context_variable;
struct profiler *lap_newest_live;
static uint32_t live_count;
static uint32_t compared_count; /* live ones whose frames have no token */

/* ---- lists of the living ------------------------------------------------------------------------------------------- */

void lap_live_add(struct profiler *self)
{
    self->live_older = lap_newest_live;
    if (lap_newest_live)
        lap_newest_live->live_newer = self;
    lap_newest_live = self;
    live_count++;
}

void lap_live_remove(struct profiler *self)
{
    if (!self->live_newer && lap_newest_live != self) /* there was a fork while its report was written */
        return;
    if (self->live_newer)
        self->live_newer->live_older = self->live_older;
    else
        lap_newest_live = self->live_older;
    if (self->live_older)
        self->live_older->live_newer = self->live_newer;
    self->live_newer = self->live_older = NULL;
    live_count--;
}

void lap_token_tell(struct token *token)
{
    const struct profiler *newest = token ? token->newest : NULL;
    while (newest && newest->flags & PROFILER_MUTE)
        newest = newest->token_older;
    if (!token)
        return;
    const int prints = newest && newest->flags & PROFILER_PRINTS && !(newest->flags & PROFILER_IMMEDIATE);
    __atomic_store_n(&token->path, newest ? newest->path : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&token->prints, (uint32_t)prints, __ATOMIC_RELAXED);
    __atomic_store_n(&token->handle, newest ? newest->handle : 0, __ATOMIC_RELEASE);
}

void lap_token_enter(struct profiler *self, struct token *token, const lap_frame *frame)
{
    self->token = token;
    if (token) {
        self->token_older = token->newest;
        if (token->newest)
            token->newest->token_newer = self;
        token->newest = self;
    } else if (lap_frame_object(frame)) {
        self->compared = lap_frame_object(frame);
        self->flags |= PROFILER_COMPARED;
        compared_count++;
    }
}

void lap_token_leave(struct profiler *self)
{
    if (self->token_newer)
        self->token_newer->token_older = self->token_older;
    else if (self->token)
        self->token->newest = self->token_older;
    if (self->token_older)
        self->token_older->token_newer = self->token_newer;
    lap_token_tell(self->token);
    self->token = NULL;
    self->token_newer = self->token_older = NULL;
    if (self->flags & PROFILER_COMPARED) {
        self->flags &= ~(uint32_t)PROFILER_COMPARED;
        compared_count--;
    }
}

void lap_profilers_lose_frame(struct profiler *newest, const lap_frame *frame)
{
    const lap_frame *const top = lap_frame_top(PyThreadState_Get());
    const void *const instruction = lap_frame_instruction(top);
    for (struct profiler *self = newest, *older; self; self = older) {
        older = self->token_older;
        self->token = NULL;
        self->token_newer = self->token_older = NULL;
        self->flags |= PROFILER_LEFT;
#if PY_VERSION_HEX >= 0x030B0000
        self->left_frame = top;
        self->left_instruction = instruction;
        if (Py_REFCNT((PyObject *)self) == 1 && lap_frame_holds(frame, (PyObject *)self))
            self->flags |= PROFILER_DIES;
#else
        (void)frame;
        (void)instruction;
#endif
    }
}

void lap_profilers_lose_token(struct profiler *newest, const PyFrameObject *object)
{
    for (struct profiler *self = newest, *older; self; self = older) {
        older = self->token_older;
        self->token = NULL;
        self->token_newer = self->token_older = NULL;
        self->compared = object;
        self->flags |= PROFILER_COMPARED;
        compared_count++;
    }
}

void lap_child_add(struct profiler *parent, struct profiler *self)
{
    self->parent = parent;
    self->next_child = parent->children;
    if (parent->children)
        parent->children->last_child = self;
    parent->children = self;
}

void lap_child_remove(struct profiler *self)
{
    if (!self->parent)
        return;
    if (self->last_child)
        self->last_child->next_child = self->next_child;
    else
        self->parent->children = self->next_child;
    if (self->next_child)
        self->next_child->last_child = self->last_child;
    self->parent = self->next_child = self->last_child = NULL;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

static void node_dealloc(PyObject *object)
{
    struct node *node = (struct node *)object;
    PyTypeObject *const type = Py_TYPE(object);
    struct node *parent = node->parent;
    PyObject_Free(object);
    Py_DECREF(type);
    while (parent && Py_REFCNT(parent) == 1) { /* a long chain takes no stack */
        node = parent;
        parent = node->parent;
        node->parent = NULL;
        Py_DECREF(node);
    }
    Py_XDECREF(parent);
}

int lap_surroundings_start(void)
{
    static PyType_Slot slots[] = {{Py_tp_dealloc, (void *)node_dealloc}, {0, NULL}};
    static PyType_Spec spec = {"lapmark._lapmark.node", sizeof(struct node), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    lap_node_type = (PyTypeObject *)PyType_FromSpec(&spec);
    lap_context_variable = PyContextVar_New("lapmark_profiler", NULL);
    return lap_node_type && lap_context_variable ? 0 : -1;
}

/* Ended ancestors are nobody's parents: they are taken out, so that a chain is as long as it is alive. */
static struct node *node_living(struct node *node)
{
    while (node && !node->profiler)
        node = node->parent;
    return node;
}

/* The node of an ended profiler that nobody else refers to serves the next one: neither a task nor a thread can have taken it with
 * it, since their contexts are copies of this one, and share what it has until they have another value. */
static int is_free(const struct node *node, const PyThreadState *state)
{
    return !node->profiler && node->context == state->context && Py_REFCNT((PyObject *)(uintptr_t)node) == 2 &&
           lap_context_is_alone(state->context);
}

struct node *lap_node_enter(struct profiler *profiler, const PyThreadState *state, struct node *known,
                            struct node *parent)
{
    parent = node_living(parent);
    if (parent) {
        struct node *const further = node_living(parent->parent);
        if (further != parent->parent) {
            Py_XINCREF(further);
            Py_XSETREF(parent->parent, further);
        }
    }
    if (known && known != parent && state->context && is_free(known, state)) {
        Py_XINCREF(parent);
        Py_XSETREF(known->parent, parent);
        known->profiler = profiler;
        return (struct node *)Py_NewRef((PyObject *)known);
    }
    struct node *const node = PyObject_New(struct node, lap_node_type);
    if (!node)
        return NULL;
    Py_XINCREF(parent);
    node->profiler = profiler;
    node->parent = parent;
    PyObject *const undo = PyContextVar_Set(lap_context_variable, (PyObject *)node);
    if (!undo) {
        node->profiler = NULL;
        Py_DECREF(node);
        return NULL;
    }
    Py_DECREF(undo);
    node->context = state->context;
    return node;
}

/* ---- who is around ------------------------------------------------------------------------------------------------- */

static struct profiler *compared_find(const lap_frame *frame)
{
    const PyFrameObject *const object = lap_frame_object(frame);
    for (struct profiler *at = object ? lap_newest_live : NULL; at; at = at->live_older)
        if (at->flags & PROFILER_COMPARED && at->compared == object)
            return at;
    return NULL;
}

/* The innermost live profiler whose frame is on the stack from `frame` outward. */
static struct profiler *stack_find(const lap_frame *frame)
{
    for (; frame; frame = lap_frame_around(frame)) {
        const struct token *const token = lap_token_find(frame);
        if (token && token->newest)
            return token->newest;
        if (LAP_I_UNLIKELY(compared_count != 0)) {
            struct profiler *const found = compared_find(frame);
            if (found)
                return found;
        }
    }
    return NULL;
}

/* Is its frame gone, or a generator's that nobody is asking? */
static int is_aside(const struct profiler *profiler)
{
    if (profiler->flags & PROFILER_LEFT)
        return 1;
    if (profiler->token && Py_REFCNT((PyObject *)profiler->token) > 1)
        return 1; /* somebody took it from the frame, which may be gone */
    return profiler->token &&
           (lap_frame_object_is_left(profiler->token->object) || lap_frame_is_set_aside(profiler->token->object));
}

/* What this task or thread was started in: the innermost live profiler that another one had made before. */
static struct profiler *inherited_find(struct node *node, const void *context)
{
    for (; node; node = node->parent)
        if (node->profiler && node->context != context && !is_aside(node->profiler))
            return node->profiler;
    return NULL;
}

struct profiler *lap_parent_find(const lap_frame *frame, struct token *token, const struct site *site,
                                 struct node *inherited, const void *context)
{
    if (live_count == 0)
        return NULL;
    struct profiler *found = stack_find(frame);
    struct profiler *const outside = inherited ? inherited_find(inherited, context) : NULL;
    if (outside && (!found || outside->begin_ticks > found->begin_ticks))
        found = outside;
    /* Made again by the same line of the same frame: it is going to take that one's place. */
    while (found && token && found->token == token && found->site == site)
        found = found->parent;
    return found;
}
