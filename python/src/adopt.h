/* SPDX-License-Identifier: MIT
 *
 * C code inside a profiler: the outermost scopes that it begins on this thread are the innermost live profiler's on the call stack,
 * in the recording, and their reports are part of its own. C code often has no GIL; so all that it looks at are the frames of its own
 * thread, which stand still while it runs, and their tokens. What it reports then waits until the profiler ends.
 */
#ifndef LAP_PY_ADOPT_H
#define LAP_PY_ADOPT_H

#include "profiler.h"

/* A profiler was made on this thread: from now on its C scopes ask. */
void lap_adopt_thread(void);
/* Gives a profiler that ends what C code had to report inside it while it had no GIL. */
void lap_adopt_deliver(struct profiler *profiler);

#endif
