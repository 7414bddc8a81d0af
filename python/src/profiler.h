/* SPDX-License-Identifier: MIT
 *
 * The Profiler type: construction, checkpoints, end. Its events go into the calling thread's ring as a handle's; what its report
 * needs it keeps itself, within bounds. Threads: under the GIL; a profiler may be used on any thread.
 */
#ifndef LAP_PY_PROFILER_H
#define LAP_PY_PROFILER_H

#include "lapmark/call.h"
#include "line.h"
#include "site.h"
#include "token.h"

#define LAPS_INLINE 4
#define LAPS_MAX 1024  /* kept one by one; older ones are folded */
#define LAPS_ROOM 1280 /* a multiple of what it has more than those */

/* A checkpoint. Its lap is the time since the one before, or since the begin. Most have the label that their key has, and nothing
 * else; what others have is in a lap_more, whose address has its lowest bit set here. */
struct lap {
    uintptr_t what; /* struct key *, or struct lap_more * + 1 */
    uint64_t ticks;
};
/* How a lap over an await was spent; all 0: it did not wait. */
struct wait {
    int64_t running_ns, waiting_ns, busy_ns;
};
/* Of several calls, what their servers' laps are in sum. */
struct peer_laps {
    uint32_t count;
    struct lap_peer_lap laps[LAP_PEER_LAPS_HELD];
};
/* Calls to other processes that came back in a lap. */
struct lap_calls {
    struct lap_line_calls sum;
    struct peer_laps *laps; /* NULL: none was told */
};
struct lap_more {
    struct key *key;
    PyObject *label; /* held; NULL: none was given */
    int64_t n;
    struct wait wait;
    struct lap_calls *calls; /* that came back in it; NULL: none */
};
static inline struct lap_more *lap_more_of(const struct lap *lap)
{
    return lap->what & 1 ? (struct lap_more *)(lap->what - 1) : NULL;
}
static inline struct key *lap_key_of(const struct lap *lap)
{
    return lap->what & 1 ? lap_more_of(lap)->key : (struct key *)lap->what;
}
static inline int64_t lap_n_of(const struct lap *lap) { return lap->what & 1 ? lap_more_of(lap)->n : 0; }

/* What a profiler has to do with traces. */
struct steps {
    struct lap_serve serve; /* the request; zeros: none */
    struct lap_context own; /* zeros: none yet */
    uint64_t served_span;   /* of the request, whose caller may ask for the report; 0 */
    struct {
        uint64_t span_id, total_ns;
        uint32_t class_id;
    } slowest; /* of its calls, but for those that were slow for their servers; zeros: none */
};

/* Older checkpoints of one label. */
struct fold {
    struct key *key;
    uint64_t count, sum_ticks, max_ticks, last_ticks;
    int64_t n_least, n_greatest;
    struct wait wait;
    struct lap_line_calls calls;
    struct peer_laps *laps; /* of the calls; of the profiler's own folds only */
};

static inline void lap_fold_add(struct fold *fold, const struct lap *lap, uint64_t ticks)
{
    if (fold->count == 0) {
        fold->key = lap_key_of(lap);
        fold->n_least = fold->n_greatest = lap_n_of(lap);
    }
    fold->count++;
    fold->sum_ticks += ticks;
    fold->max_ticks = ticks > fold->max_ticks ? ticks : fold->max_ticks;
    fold->last_ticks = lap->ticks;
    if (lap->what & 1) {
        const int64_t n = lap_n_of(lap);
        const struct wait *const wait = &lap_more_of(lap)->wait;
        fold->wait.running_ns += wait->running_ns;
        fold->wait.waiting_ns += wait->waiting_ns;
        fold->wait.busy_ns += wait->busy_ns;
        fold->n_least = n < fold->n_least ? n : fold->n_least;
        fold->n_greatest = n > fold->n_greatest ? n : fold->n_greatest;
        if (lap_more_of(lap)->calls)
            lap_line_calls_join(&fold->calls, &lap_more_of(lap)->calls->sum);
    }
}

/* What outlives a profiler: a context variable may hold it. */
struct node {
    PyObject_HEAD struct profiler *profiler; /* borrowed; NULL: it has ended */
    struct node *parent;                     /* held */
    const void *context;                     /* that it was made in: to be compared */
};

enum profiler_flags {
    PROFILER_OFF = 1, /* takes every call and does nothing */
    PROFILER_ENDED = 2,
    PROFILER_PRINTS = 4,
    PROFILER_IMMEDIATE = 8, /* prints each line at once */
    PROFILER_PLAIN = 16,    /* made in a frame that cannot be suspended */
    PROFILER_LEFT = 32,     /* the frame is gone */
    PROFILER_HAS_N = 64,
    PROFILER_DISABLED = 128, /* the instance's own switch */
    PROFILER_COMPARED = 256, /* its frame has no token and is compared */
    PROFILER_DIES = 512,     /* a variable of the frame that is just being left is all that holds it */
    PROFILER_MUTE = 1024,    /* off by a term that names it, and so is what is inside */
    PROFILER_BLANK = 2048,   /* not constructed yet */
    PROFILER_KEPT = 4096     /* prints whatever it took, as a call's server was slow */
};

enum profiler_end {
    END_CALLED,   /* finish(), or a with block is left: up to now */
    END_MARKED,   /* finish() with a label: up to that checkpoint */
    END_RETURNED, /* its plain function is left: up to now */
    END_LET_GO,   /* rebound, deleted, dropped late: up to its last checkpoint */
    END_EXIT,     /* the interpreter's end: up to its last checkpoint */
    END_NOT_YET,  /* still open, shown in its parent's report */
    END_CANCELLED /* made for a decorator: as if it had not been */
};

struct block;

struct profiler {
    PyObject_HEAD vectorcallfunc vectorcall;
    PyObject *weak_references;
    struct site *site;
    struct key *key; /* of its message */
    uint64_t handle;
    uint64_t begin_ticks, last_ticks;
    uint32_t path;
    uint32_t flags;
    uint64_t marks;
    struct lap *lap_next, *lap_end; /* where the next goes, and where there is no room any more */
    struct lap *laps;
    uint32_t lap_room;
    uint32_t fork;
    uint64_t folded_ticks; /* of the newest that was folded, 0 for none */
    struct fold *folds;    /* LAP_KEYS_EACH + 1, made with the first */
    uint64_t total_ticks;  /* once ended */
    uint64_t rest_ticks;
    enum profiler_end end;
    int64_t n;
    double threshold_ns;
    PyObject *message, *file, *sink;
    struct node *node;
    /* Live profilers: of the process, of the frame, and the parent's children. All borrowed. */
    struct profiler *live_newer, *live_older;
    struct token *token;
    const PyFrameObject *compared;
    struct profiler *token_newer, *token_older;
    const lap_frame *left_frame; /* what is on top, and where, when its frame is left */
    const void *left_instruction;
    struct profiler *parent, *children, *next_child, *last_child;
    /* Ended children for the report, oldest first. */
    struct block *blocks, *last_block;
    struct child_fold *child_folds;
    uint32_t block_count;
    uint64_t more_children; /* of more sites than it has room for */
    PyObject *task_clock;   /* record of the running task, held */
    struct wait task_times;
    struct lap_calls *calls; /* that came back since the last checkpoint; NULL: none */
    struct steps *steps;     /* of traces; NULL: it serves no request, and nobody has asked for its name */
    struct lap inline_laps[LAPS_INLINE];
};

extern PyTypeObject *lap_profiler_type;
/* What went wrong and was not raised; see counts(). */
extern struct lap_counts {
    unsigned long long
        after_end; /* checkpoints and messages of a profiler that has ended, also of the parent process's */
    unsigned long long reentered;   /* profilers made while a report was written, by what writes it */
    unsigned long long sink_failed; /* reports that their stream or sink did not take */
    unsigned long long suppressed;  /* reports above 1,000 a second, and what peers wished for in vain */
    unsigned long long bad_label;   /* labels and messages that str() failed on */
    unsigned long long bad_number;  /* n, ms_threshold and arrived that are no numbers */
    unsigned long long bad_trailer; /* of requests, replies and links: none of these, damaged, or another call's */
    unsigned long long failed;      /* whatever else went wrong in the profiler itself */
} lap_counts;

int lap_profilers_start(PyObject *module);
/* A frame goes, whose live profilers these are; its variables are still there from 3.11 on. */
void lap_profilers_lose_frame(struct profiler *newest, const lap_frame *frame);
/* Does it end to make way for a child, which has taken its name and done nothing yet? */
int lap_profiler_makes_way(const struct profiler *self, const struct profiler *child);
/* A tracer has taken the token's place. */
void lap_profilers_lose_token(struct profiler *newest, const PyFrameObject *object);
/* The interpreter ends: so do they. */
void lap_profilers_exit(void);
void lap_profilers_after_fork(void);
/* Prints what has ended and waits for one around it. */
void lap_profilers_flush(void);
/* Called at construction and at checkpoints: the running task's record, or None; NULL: none is asked for. */
void lap_profilers_set_task_clock(PyObject *function);

double lap_ticks_to_ns(uint64_t ticks);

/* Would it print, had it ended after so long? */
static inline int lap_profiler_took_threshold(const struct profiler *self, uint64_t ticks)
{
    return self->flags & PROFILER_KEPT || lap_ticks_to_ns(ticks) >= self->threshold_ns;
}
uint64_t lap_ms_to_ticks(double ms);

#endif
