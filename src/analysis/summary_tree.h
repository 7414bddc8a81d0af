/* SPDX-License-Identifier: MIT
 *
 * A tree of a summary while it is made: cells of any number of rings are added by their labels.
 */
#ifndef LAP_SUMMARY_TREE_H
#define LAP_SUMMARY_TREE_H

#include "call_join.h"
#include "ring_statistics.h"
#include "summary.h"

/* Labels that are nobody else's. */
struct lap_summary_texts {
    char **texts;
    size_t count, room;
};
const char *lap_summary_text_keep(struct lap_summary_texts *texts, const char *text);
void lap_summary_texts_done(struct lap_summary_texts *texts);

/* What a profiler that serves calls hangs on: the calls, which may be another process's. */
struct lap_summary_grafts {
    const struct lap_call_join *join;
    const struct lap_recording *recording;
    const struct lap_path_table *tables; /* one a process */
};

struct lap_summary_tree {
    struct lap_summary_node *nodes; /* in the order of their making */
    size_t count, room;
    const struct lap_process *process; /* of the last ring that was added */
    uint64_t process_count;
    uint32_t *buckets; /* node + 1 */
    size_t bucket_count;
    struct lap_summary_texts *texts;  /* not owned */
    struct lap_summary_grafts grafts; /* zeros: none */
    uint32_t *const *nodes_of_paths;  /* a process, then a path: filled with their nodes. Not owned; NULL: not wanted */
};

/* The node of a path of grafts.recording->processes[process], made if it is new, with those around it. LAP_SUMMARY_NONE: the root, a
 * path that the tables do not have, or no memory. */
uint32_t lap_summary_tree_node(struct lap_summary_tree *tree, size_t process, uint32_t path);

/* Adds a ring's cells. `index` is the process's in the recording, `paths` are its, as they are after all passes over its rings. 0 or -ENOMEM. */
int lap_summary_tree_add(struct lap_summary_tree *tree, const struct lap_process *process, size_t index,
                         const struct lap_paths *paths, const struct lap_ring_statistics *statistics);

/* Says of profilers that are called from several places from which, once all rings are added. 0 or -ENOMEM. */
int lap_summary_tree_add_callers(struct lap_summary_tree *tree);

/* Brings the nodes into depth-first order, works out what follows from the counts, and moves them into the group. */
int lap_summary_tree_finish(struct lap_summary_tree *tree, struct lap_summary_group *group);
/* Empties the tree, which can be filled again. */
void lap_summary_tree_done(struct lap_summary_tree *tree);

#endif
