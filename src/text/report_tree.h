/* SPDX-License-Identifier: MIT
 *
 * Where a report keeps what it has seen: instances of profilers (nodes) and their lines, in a fixed number of units. An
 * index is a unit's number, 0 is none. Nothing here prints or decides; memory is inside struct lap_tree, touched from its
 * start as it is needed. Private to the report.
 */
#ifndef LAP_REPORT_TREE_H
#define LAP_REPORT_TREE_H

#include "call_times.h"
#include "line.h"

#include <stddef.h>
#include <stdint.h>

#define LAP_TREE_UNITS 5440u
#define LAP_TREE_BUCKETS 4096u
#define LAP_TREE_PAYLOAD_WORDS 8u

/* Labels seen more often than this in one instance are one line. */
#define LAP_TREE_FOLD_ABOVE 3u

enum lap_tree_line_flags {
    LAP_TREE_NESTED = 1, /* of a nested profiler; else a lap */
    LAP_TREE_HEAD = 2,   /* the first of its label */
    LAP_TREE_FOLDED = 4, /* a head that stands for all of its label */
    LAP_TREE_KEPT = 8,   /* behind a folded head: only here because its profiler may have to be printed by itself */
    LAP_TREE_N = 16,     /* has a problem size */
    LAP_TREE_LOST = 32   /* its arguments found no room */
};

/* A lap or a nested profiler, in the order of its owner's lines. A head that is not folded has up to two more lines. */
struct lap_tree_line {
    uint64_t key;   /* of the label; its low 20 bits are the class */
    uint64_t ticks; /* the lap or total; folded: of all */
    uint64_t tot;   /* from the owner's begin; folded: to the last */
    uint64_t count; /* of a head: all of its label */
    uint64_t max;   /* folded: the greatest; else the number of an unlabelled checkpoint */
    int64_t n;
    int64_t n_greatest;
    uint16_t next, prev;
    uint16_t hash_next;
    uint16_t owner;  /* node */
    uint16_t detail; /* nested: its node, folded: the slowest one's; a lap: its event's copy */
    uint16_t second; /* the label's second line; of one that is kept: its head */
    uint16_t third;
    uint16_t flags;
    uint16_t calls; /* to other processes that came back in it, or 0 */
    uint16_t reserved[3];
};

enum lap_tree_node_flags {
    LAP_TREE_PRINTS = 1,    /* its site prints */
    LAP_TREE_QUALIFIES = 2, /* ended, prints, took its threshold and was not printed */
    LAP_TREE_INSIDE = 4,    /* has one inside that qualifies */
    LAP_TREE_PRINTED = 8,   /* was printed by itself */
    LAP_TREE_ABANDONED = 16,
    LAP_TREE_OPEN = 32,       /* has not ended, but is shown */
    LAP_TREE_REST = 64,       /* had a checkpoint */
    LAP_TREE_SIZED = 128,     /* has a problem size */
    LAP_TREE_DUMPED = 256,    /* its event is a dump of open scopes */
    LAP_TREE_NO_LABEL = 512,  /* its arguments found no room */
    LAP_TREE_ASKED_FOR = 1024 /* a call in it was slow for its server: no threshold counts */
};
#define LAP_TREE_SPEAKS (LAP_TREE_QUALIFIES | LAP_TREE_INSIDE)

/* One instance of a profiler. */
struct lap_tree_node {
    uint64_t begin; /* thread time */
    uint64_t total;
    uint64_t rest;
    uint64_t threshold_ns;
    int64_t n;
    uint64_t more;   /* lines it should have and has not */
    uint64_t missed; /* checkpoints before the first that was seen */
    uint32_t class_id;
    uint16_t flags;
    uint16_t groups; /* heads */
    uint16_t first, last;
    uint16_t payload; /* its event's copy */
    uint16_t line;    /* that it hangs on */
    uint16_t calls;   /* of its rest */
    uint16_t reserved[3];
};

/* Calls that came back in a line, and a list of what their servers' laps are in sum. */
struct lap_tree_calls {
    struct lap_line_calls sum;
    uint16_t laps;
    uint16_t reserved[3];
};
struct lap_tree_peer_lap {
    struct lap_peer_lap lap;
    uint16_t next;
    uint16_t reserved[3];
};

struct lap_tree_chunk {
    uint64_t words[LAP_TREE_PAYLOAD_WORDS];
    uint16_t next;
    uint16_t reserved[3];
};

union lap_tree_unit {
    struct lap_tree_calls calls;
    struct lap_tree_peer_lap peer_lap;
    struct lap_tree_line line;
    struct lap_tree_node node;
    struct lap_tree_chunk chunk;
};

struct lap_tree {
    uint32_t fresh;      /* units from here on were never used */
    uint32_t free_count; /* with those */
    uint16_t free;
    uint16_t buckets[LAP_TREE_BUCKETS];
    union lap_tree_unit units[LAP_TREE_UNITS];
};

static inline struct lap_tree_line *lap_tree_line(struct lap_tree *tree, uint32_t index)
{
    return &tree->units[index].line;
}
static inline struct lap_tree_node *lap_tree_node(struct lap_tree *tree, uint32_t index)
{
    return &tree->units[index].node;
}
static inline uint32_t lap_tree_bucket(uint32_t owner, uint64_t key)
{
    return (uint32_t)((key + owner * UINT64_C(0x10001)) * UINT64_C(0x9E3779B97F4A7C15) >> 52);
}

/* The head of a label in a node, or 0. Hot. */
static inline uint32_t lap_tree_find(struct lap_tree *tree, uint32_t owner, uint64_t key)
{
    uint32_t index = tree->buckets[lap_tree_bucket(owner, key)];
    while (index != 0 && (tree->units[index].line.key != key || tree->units[index].line.owner != owner))
        index = tree->units[index].line.hash_next;
    return index;
}

void lap_tree_init(struct lap_tree *tree);
/* Frees everything; at once where nothing is held. */
void lap_tree_clear(struct lap_tree *tree);

/* A zeroed node; 0 when there is no unit. */
uint16_t lap_tree_node_make(struct lap_tree *tree);
/* Frees a node that hangs on no line, with all inside. */
void lap_tree_node_free(struct lap_tree *tree, uint16_t node);
/* Frees a node's lines with all inside. Returns how many lines of a report those were; what was printed
 * is not counted. */
uint64_t lap_tree_node_clear(struct lap_tree *tree, uint16_t node);

/* Lines of a report for the node itself: 0 if it was printed. */
uint32_t lap_tree_node_lines(const struct lap_tree_node *node);

/* How many units a copy takes; the copy, or 0; and the copy in one piece, for which `scratch` has
 * LAP_FORMAT_EVENT_BYTES_MAX. */
uint32_t lap_tree_copy_units(uint64_t bytes);
uint16_t lap_tree_copy(struct lap_tree *tree, const uint64_t *words, uint64_t bytes);
const uint64_t *lap_tree_copied(const struct lap_tree *tree, uint16_t copy, uint64_t *scratch);
void lap_tree_copy_free(struct lap_tree *tree, uint16_t copy);

/* Adds a call to a sum of them, or joins two sums; *sum 0: there is none yet. What finds no room is left out. */
void lap_tree_calls_add(struct lap_tree *tree, uint16_t *sum, const struct lap_call_times *times);
void lap_tree_calls_join(struct lap_tree *tree, uint16_t *sum, uint16_t from);
void lap_tree_calls_free(struct lap_tree *tree, uint16_t *sum);
/* Adds a lap of a server to a sum that is there; of further ones than LAP_PEER_LAPS_HELD labels nothing. */
void lap_tree_calls_add_lap(struct lap_tree *tree, uint16_t sum, const struct lap_peer_lap *lap);
/* Copies those, sorted. Returns how many. */
uint32_t lap_tree_calls_laps(const struct lap_tree *tree, uint16_t sum, struct lap_peer_lap laps[LAP_PEER_LAPS_HELD]);

/* A zeroed line at a node's end; `head` 0 makes it the head of its label. 0 when there is no unit. */
uint16_t lap_tree_line_make(struct lap_tree *tree, uint16_t owner, uint64_t key, uint16_t head);
/* Takes a line out and frees it, and what it has inside. */
void lap_tree_line_free(struct lap_tree *tree, uint16_t line);

/* Makes a head stand for its label's lines, which go, but for those that must be kept (`is_keeping`: what speaks stays).
 * A nested head keeps the slowest. */
void lap_tree_fold(struct lap_tree *tree, uint16_t head, int is_keeping);
/* Adds one to a folded head; not its detail. */
void lap_tree_fold_add(struct lap_tree_line *head, uint64_t ticks, uint64_t tot, int has_n, int64_t n);
/* Hangs `node` on a folded head if it is the slowest, and frees the other; `is_keeping`: what speaks stays, in a line of
 * its own. Returns 0, or -ENOMEM where that line had no room: `node` is still the caller's. */
int lap_tree_fold_detail(struct lap_tree *tree, uint16_t head, uint16_t node, int is_keeping);
/* Merges the kept lines of a node into their heads. */
void lap_tree_settle(struct lap_tree *tree, uint16_t node);

#endif
