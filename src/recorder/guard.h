/* SPDX-License-Identifier: MIT
 *
 * What stands around the library's locks and system calls: signals wait, since a handler's checkpoint may want the same
 * lock, may leave by siglongjmp with it, and cuts some calls short; the thread is not cancelled with a lock held; errno
 * stays the host's. Two system calls: for what is rare. May be nested. Signals of the thread's own faults are not held back.
 */
#ifndef LAP_GUARD_H
#define LAP_GUARD_H

#include <signal.h>

struct lap_guard {
    sigset_t signals;
    int cancel_state;
    int error;
};

void lap_guard_enter(struct lap_guard *guard);
void lap_guard_leave(const struct lap_guard *guard);

#endif
