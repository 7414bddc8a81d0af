/* SPDX-License-Identifier: MIT
 *
 * What trace contexts keep for a thread.
 */
#ifndef LAP_CONTEXT_THREAD_H
#define LAP_CONTEXT_THREAD_H

/* The calling thread ends: another one may have its block. */
void lap_context_thread_ends(void);

#endif
