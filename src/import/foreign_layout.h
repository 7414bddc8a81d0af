/* SPDX-License-Identifier: MIT
 *
 * Where a process's slices go: those of a thread that nest become its scopes, all others handles. Handles get their numbers, and
 * all their paths.
 */
#ifndef LAP_FOREIGN_LAYOUT_H
#define LAP_FOREIGN_LAYOUT_H

#include "foreign_classes.h"
#include "foreign_slices.h"
#include "paths.h"

#define LAP_FOREIGN_DEPTH 507u

struct lap_foreign_handle {
    uint32_t slice;
    uint32_t parent; /* handle + 1; 0: none */
    uint64_t number; /* in the recording; 0: there was none left */
};

/* What of a handle is stored, in a thread's ring. */
struct lap_foreign_stored {
    int64_t ns;
    int64_t lap_ns; /* of a mark or an end */
    uint64_t order;
    uint32_t thread, handle;
    uint32_t kind;  /* enum lap_foreign_kind, but for WHOLE */
    uint32_t name;  /* of a mark */
    uint32_t path;  /* its own */
    uint32_t marks; /* that were before it */
};

struct lap_foreign_layout {
    struct lap_foreign_trace *trace;
    struct lap_foreign_slices *slices;
    struct lap_foreign_classes *classes;
    uint32_t *others; /* slices that are on no thread's track, by process, track and begin */
    size_t *other_starts;
    /* Of one process. */
    uint32_t process;
    struct lap_paths paths;
    void *paths_memory;
    uint32_t *buckets;
    struct lap_foreign_handle *handles;
    size_t handle_count, handle_room;
    struct lap_foreign_stored *stored; /* by thread and time */
    size_t stored_count;
    int64_t first_ns, last_ns;
    size_t slice_count;
};

/* The scopes that are open while one goes through a track's slices in their order. */
struct lap_foreign_nest {
    uint32_t slices[LAP_FOREIGN_DEPTH];
    uint32_t handles[LAP_FOREIGN_DEPTH]; /* handle + 1, of tracks that are no thread's */
    uint32_t depth;
};
/* Has the innermost one ended when `slice` begins? */
bool lap_foreign_nest_has_ended(const struct lap_foreign_nest *nest, const struct lap_foreign_slice *slices,
                                const struct lap_foreign_slice *slice);

/* 0 or -ENOMEM; lap_foreign_layout_done() either way. */
int lap_foreign_layout_make(struct lap_foreign_layout *layout, struct lap_foreign_trace *trace,
                            struct lap_foreign_slices *slices, struct lap_foreign_classes *classes);
/* Of a process, in the place of the one before. 0 or -ENOMEM. */
int lap_foreign_layout_process(struct lap_foreign_layout *layout, uint32_t process);
void lap_foreign_layout_done(struct lap_foreign_layout *layout);

#endif
