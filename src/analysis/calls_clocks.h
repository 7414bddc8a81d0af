/* SPDX-License-Identifier: MIT
 *
 * The clocks that calls were stamped by: what a tick of each takes, and for each two of them how far they are apart. Part of
 * calls.h.
 */
#ifndef LAP_CALLS_CLOCKS_H
#define LAP_CALLS_CLOCKS_H

#include "calls.h"

struct lap_calls_clocks;

/* Knows the clocks of the recording's processes. Returns 0 or -ENOMEM. */
int lap_calls_clocks_make(struct lap_calls_clocks **ret_clocks, const struct lap_recording *recording);
void lap_calls_clocks_free(struct lap_calls_clocks *clocks);

/* A call of a process, nearly in the order of the calls' begins: one that was answered counts, one that went one way together
 * with what the server stored of it, and others do not. Returns 0 or -ENOMEM. Warm. */
int lap_calls_clocks_add(struct lap_calls_clocks *clocks, const struct lap_process *process,
                         const struct lap_format_call *call);

/* What the server of a call stored of it, before or behind that. A bounded number of sides wait for the other. The same. */
int lap_calls_clocks_add_served(struct lap_calls_clocks *clocks, const struct lap_process *process,
                                const struct lap_format_serve *serve);

/* Two sides that claim to read this one clock: is that excluded by what was added so far? */
bool lap_calls_clocks_is_contradicted(const struct lap_calls_clocks *clocks, uint64_t domain);

/* One time for all clocks of the recording's processes, the root's; *ret_tree refers to the clocks. 0 or a negative errno. */
struct lap_clock_tree;
struct lap_clock_time;
int lap_calls_clocks_tree(const struct lap_calls_clocks *clocks, uint64_t root_domain, struct lap_clock_tree **ret_tree);
/* A process that reads a clock of the tree. */
const struct lap_process *lap_calls_clocks_process(const struct lap_calls_clocks *clocks, uint32_t domain);
/* A process's ticks as realtime of `root`, which reads the root's clock. 0, or -ENODATA: no call leads there, or another negative
 * errno. */
int lap_calls_clocks_to_root(const struct lap_calls_clocks *clocks, const struct lap_clock_tree *tree,
                             const struct lap_process *root, const struct lap_process *process, uint64_t ticks,
                             struct lap_clock_time *ret_time);

/* Fills the clocks' part of the result, the pair with the most calls first. Returns 0 or -ENOMEM. */
int lap_calls_clocks_fill(const struct lap_calls_clocks *clocks, struct lap_calls *calls);

#endif
