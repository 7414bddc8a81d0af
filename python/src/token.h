/* SPDX-License-Identifier: MIT
 *
 * A frame's token: a small object that is put into the frame (as its trace function, which is unused unless a debugger is at
 * work, and which does nothing when called) and dies with it. It lists the live profilers that were made in the frame, so that
 * "the innermost profiler whose frame is on my call stack" is a walk over frames, with no frame held and none compared by an
 * address that may have been used again.
 */
#ifndef LAP_PY_TOKEN_H
#define LAP_PY_TOKEN_H

#include "frames.h"

struct profiler;

struct token {
    PyObject_HEAD struct profiler *newest; /* of a list by token_older; borrowed */
    PyFrameObject *object;                 /* borrowed: it holds us */
    /* Of the newest that records, for C code without the GIL, which reads them while others may write: a handle, 0 for none. */
    uint64_t handle;
    uint32_t path;
    uint32_t prints;
};

int lap_tokens_start(void);
/* The token of a frame on the calling thread's stack, made if there is none; borrowed. NULL without an exception: a tracer
 * has its place, or there is no memory. */
struct token *lap_token_get(PyThreadState *state, const lap_frame *frame);
/* The token of a frame if it has one. */
struct token *lap_token_find(const lap_frame *frame);

#endif
